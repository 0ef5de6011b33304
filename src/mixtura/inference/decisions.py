"""What to do with each row: name its class, ask among some, or abstain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtura._tables import data_frame
from mixtura._types import Array, Mask
from mixtura.inference.tables import aligned

LABEL, ASK, ABSTAIN = "label", "ask", "abstain"

_SHOWN = 10
_LISTED = 5


@dataclass(frozen=True, eq=False)
class Decisions:
    """What to do with each of m rows.

    For a row that is exchangeable with the rows held out for calibration, whatever the
    distribution and however wrong the densities:

    - its class is not among the candidates with a probability of at most `error_rate`, which hence
      bounds the share of *all* such rows that get a wrong label, and of those that are asked about
      in vain;
    - it is abstained on with a probability of at most `novelty_rate`.

    Both hold on average over the rows held out and the new row. Nothing is promised of the share of
    wrong labels among the rows labelled, nor of rows of another kind.

    Attributes
    ----------
    action : (m,) str
        "label" where one candidate is left, "ask" where several are, "abstain" where the row is
        like none of the classes.
    label : (m,)
        The most probable class, whatever the action.
    candidates : tuple of m tuples
        Classes that are not ruled out, the most probable first; it is always among them.
    p_value : (m,)
        For "the row is like the rows of the known classes".
    entropy : (m,)
        Of the posterior, in nats: 0 where it is sure, log C where all classes are as likely.
    error_rate, novelty_rate : float
    """

    action: Array
    label: Any
    candidates: tuple[tuple[Any, ...], ...]
    p_value: Array
    entropy: Array
    error_rate: float
    novelty_rate: float

    @classmethod
    def of(
        cls,
        classes: Any,
        log_posterior: Array,
        members: Mask,
        p_value: Array,
        rates: tuple[float, float],
    ) -> Decisions:
        """By which classes (m, C) are not ruled out, and novelty p-values (m,)."""
        order = np.argsort(-log_posterior, axis=1, kind="stable")
        best = order[:, 0]
        inside = members.copy()
        inside[np.arange(len(best)), best] = True
        ranked = np.take_along_axis(inside, order, axis=1)
        names = classes[order]
        action = np.where(inside.sum(axis=1) == 1, LABEL, ASK).astype("<U7")
        action[p_value <= rates[1] * (1.0 + 1e-9)] = ABSTAIN
        return cls(
            action,
            classes[best],
            tuple(tuple(row[kept].tolist()) for row, kept in zip(names, ranked, strict=True)),
            p_value,
            entropies(log_posterior),
            *rates,
        )

    def __len__(self) -> int:
        return len(self.action)

    @cached_property
    def sizes(self) -> Array:
        """(m,) numbers of candidates."""
        return np.array([len(some) for some in self.candidates], dtype=np.intp)

    def table(self) -> dict[str, list[Any]]:
        """The rows as columns of plain values; candidates as one text each."""
        return {
            "action": self.action.tolist(),
            "label": [str(one) for one in self.label.tolist()],
            "candidates": [", ".join(map(str, some)) for some in self.candidates],
            "p_value": self.p_value.tolist(),
            "entropy": self.entropy.tolist(),
        }

    def to_frame(self, backend: str = "pandas") -> Any:
        """A data frame of pandas, polars or pyarrow."""
        return data_frame(
            self.table(), dict.fromkeys(("action", "label", "candidates"), str), backend
        )

    def __str__(self) -> str:
        counts = {kind: int(np.sum(self.action == kind)) for kind in (LABEL, ASK, ABSTAIN)}
        lines = [
            f"{len(self)} rows at error rate {self.error_rate:g}, novelty rate "
            f"{self.novelty_rate:g}: {counts[LABEL]} labelled, {counts[ASK]} to ask about, "
            f"{counts[ABSTAIN]} abstained on",
            aligned([["row", "action", "candidates", "p-value", "entropy"], *self._shown()]),
        ]
        more = len(self) - _SHOWN
        return "\n".join(lines) + (f"\n… and {more} more rows" if more > 0 else "")

    __repr__ = __str__

    def _shown(self) -> list[list[str]]:
        return [
            [
                str(i),
                str(self.action[i]),
                "-" if self.action[i] == ABSTAIN else _listed(self.candidates[i]),
                f"{self.p_value[i]:.3f}",
                f"{self.entropy[i]:.2f}",
            ]
            for i in range(min(len(self), _SHOWN))
        ]


def entropies(log_posterior: Array) -> Array:
    """``-Σ_c P(c | x) log P(c | x)`` of each row, (m,)."""
    posterior = np.exp(log_posterior)
    terms = np.where(posterior > 0, posterior * log_posterior, 0.0)
    return np.maximum(-terms.sum(axis=1), 0.0)


def _listed(names: tuple[Any, ...]) -> str:
    text = ", ".join(map(str, names[:_LISTED]))
    return text if len(names) <= _LISTED else f"{text} and {len(names) - _LISTED} more"
