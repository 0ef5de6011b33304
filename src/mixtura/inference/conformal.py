"""Conformal p-values: how odd a row is beside rows that were held out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import false_discovery_control

from mixtura._errors import InputError
from mixtura._types import Array, Mask

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Conformal:
    """Scores of rows that were held out, low where a row is odd.

    ``p(x) = (1 + #{i: s_i <= s(x)}) / (n + 1)``, a p-value for "x is like the rows held out",
    exact in finite samples if x and these are exchangeable, whatever the score. A row's weight
    counts as repetitions.

    Attributes
    ----------
    scores : (n,), rising
    weights : (n,)

    References
    ----------
    Bates, Candès, Lei, Romano & Sesia (2023), "Testing for outliers with conformal p-values",
    Annals of Statistics 51, 149-178.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.inference.conformal import Conformal
    >>> held = Conformal.of(np.arange(19.0))
    >>> held.p_values(np.array([-1.0, 9.5, 30.0])).tolist()
    [0.05, 0.55, 1.0]
    """

    scores: Array
    weights: Array

    @classmethod
    def of(cls, scores: Array, weights: Array | None = None) -> Conformal:
        """Of scores in any order; rows of weight zero do not count."""
        weights = np.ones(len(scores)) if weights is None else weights
        scores, weights = scores[weights > 0], weights[weights > 0]
        order = np.argsort(scores, kind="stable")
        return cls(scores[order], weights[order])

    @property
    def total(self) -> float:
        """Weight of the rows held out: their number where all count one."""
        return float(self._below[-1])

    def p_values(self, scores: Array) -> Array:
        """p-values (m,) of rows of these scores."""
        below = self._below[np.searchsorted(self.scores, scores, side="right")]
        return np.asarray((1.0 + below) / (1.0 + self.total))

    def threshold(self, alpha: float) -> float:
        """The score below which the p-value is at most `alpha`.

        Raises
        ------
        InputError
            Fewer rows than an `alpha` that small takes.
        """
        allowed = alpha * (1.0 + self.total) - 1.0 + _ROUNDING
        if allowed < 0:
            raise InputError(
                f"alpha={alpha:g} takes {int(np.ceil(1.0 / alpha - _ROUNDING)) - 1} rows held out "
                f"for calibration, and there are {self.total:g}: raise alpha or calibration, or "
                "give more rows"
            )
        return float(self.scores[np.searchsorted(self._below[1:], allowed, side="right")])

    @cached_property
    def _below(self) -> Array:
        return np.concatenate([[0.0], np.cumsum(self.weights)])


def selected(p_values: Array, fdr: float) -> Mask:
    """Which rows are odd, with an expected share of at most `fdr` false ones among them.

    Benjamini & Hochberg's (1995) step-up procedure. Conformal p-values of rows that were
    calibrated on the same held-out rows are positively dependent (PRDS), for which it holds (Bates
    et al. 2023).
    """
    if not len(p_values):
        return np.zeros(0, dtype=bool)
    return np.asarray(false_discovery_control(p_values) <= fdr * (1.0 + _ROUNDING))
