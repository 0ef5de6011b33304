"""Classification with a way out: class densities, calibrated on rows that were held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array, Indices, Rows
from mixtura.fit.class_gaussians import class_densities
from mixtura.fit.class_scatter import Labelled
from mixtura.fit.class_shape import Chosen, chosen, log_posterior
from mixtura.inference.conformal import Conformal
from mixtura.inference.conformal_sets import ConformalSets, Score, adaptive, least_ambiguous
from mixtura.operations.class_densities import ClassDensities

SETS: dict[str, tuple[Score, bool]] = {
    "marginal": (least_ambiguous, False),
    "adaptive": (adaptive, False),
    "by class": (least_ambiguous, True),
}
"""Kinds of prediction sets: their score, and whether each class is calibrated by itself."""


@dataclass(frozen=True, eq=False)
class OpenSet:
    """Class densities with a temperature.

    Attributes
    ----------
    densities : ClassDensities
    chosen : Chosen
        The shape of the covariances, and the temperature.
    """

    densities: ClassDensities
    chosen: Chosen

    @classmethod
    def fitted(cls, data: Labelled, seed: int, **given: Any) -> OpenSet:
        """Choose the shape, but for what is given of it (see `chosen`), then fit to all rows.

        One class has no background: it would be the class itself.
        """
        found = chosen(data, seed, **given)
        return cls(class_densities(data, found.shape, seed, broad=data.size > 1), found)

    def judged(self, rows: Rows) -> tuple[Array, Array]:
        """``log P(c | x)`` (m, C), and the log-ratio (m,) of known to broad density."""
        logs = self.densities.log_densities(rows)
        tempered = log_posterior(logs, self.densities.log_priors, self.chosen.temperature)
        return tempered, self.densities.log_ratio(rows, logs)


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What rows held out say: how low known rows score, and how improbable their classes are.

    Attributes
    ----------
    novelty : Conformal
        Log-ratios of known to broad density.
    sets : ConformalSets
    """

    novelty: Conformal
    sets: ConformalSets

    @classmethod
    def of(
        cls, model: OpenSet, rows: Rows, codes: Indices, weights: Array | None, kind: str
    ) -> Calibrated:
        """By rows that had no part in the fit."""
        posterior, ratio = model.judged(rows)
        score, by_class = SETS[kind]
        sets = ConformalSets.of(score, posterior, codes, weights, by_class=by_class)
        return cls(Conformal.of(ratio, weights), sets)


def held_out(data: Labelled, share: float, seed: int) -> tuple[Labelled, Labelled]:
    """Rows to fit, and rows to calibrate by, at random.

    A class none of whose rows would be left to fit gets one back.

    Raises
    ------
    InputError
        No row to calibrate by.
    """
    order = np.random.default_rng(seed).permutation(len(data))
    last = np.zeros(data.size, np.intp)
    last[data.codes[order]] = order
    held = np.zeros(len(data), dtype=bool)
    held[order[: round(share * len(data))]] = True
    held[last] = False
    if not held.any():
        raise InputError(
            f"calibration={share:g} of n_samples={len(data)} leaves none to calibrate by: "
            "give more rows, or calibration=None and call calibrate with others"
        )
    return data.take(np.flatnonzero(~held)), data.take(np.flatnonzero(held))
