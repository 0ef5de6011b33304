"""Where a detector draws the line."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from scipy.special import gammaincinv

from mixtura._errors import InputError
from mixtura._types import Array, Rows
from mixtura.block import Block
from mixtura.law import GAUSSIAN
from mixtura.mixture import Mixture
from mixtura.operations.completed import completed_log_density

LEVEL = 0.01
"""Share of ordinary rows beyond the line where none is asked for."""

_DRAWS, _CELLS, _FEWEST = 20_000, 2_000_000, 2_000


def check_line(contamination: Any, alpha: Any, calibration: Any, smallest: Any) -> None:
    """Refuse a line that cannot be drawn or is drawn twice, and components nothing is left of.

    Raises
    ------
    InputError
    """
    if contamination != "auto" and not _share(contamination, 0.5):
        raise InputError(f'contamination={contamination!r} must be "auto" or a share in (0, 0.5]')
    if alpha is not None and not _share(alpha, 0.5):
        raise InputError(f"alpha={alpha!r} must be None or a share in (0, 0.5]")
    if alpha is not None and contamination != "auto":
        raise InputError(
            f"contamination={contamination!r} and alpha={alpha!r} both draw the line: leave "
            'contamination at "auto" for false alarms at the rate alpha'
        )
    if calibration is not None and not (_share(calibration, 1.0) and calibration < 1.0):
        raise InputError(f"calibration={calibration!r} must be None or a share in (0, 1)")
    if smallest != 0 and not (_share(smallest, 1.0) and smallest < 1.0):
        raise InputError(f"smallest={smallest!r} must be a share of the rows: at least 0, below 1")


def _share(value: Any, most: float) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0.0 < float(value) <= most


def percentile(values: Array, weights: Array | None, share: float) -> float:
    """The value below which the share lies, as `numpy.percentile`; weights count repetitions."""
    if weights is None:
        return float(np.quantile(values, share))
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order])
    place = share * max(float(running[-1]) - 1.0, 0.0)
    low, high = (
        values[order[min(int(np.searchsorted(running, at, side="right")), len(order) - 1)]]
        for at in (np.floor(place), np.floor(place) + 1.0)
    )
    return float(low + (place - np.floor(place)) * (high - low))


def ordinary_level(mixture: Mixture, rows: Rows, weights: Array | None) -> float:
    """The log-density below which 1 % of rows lie where all are Gaussian about their component.

    By draws from Gaussian components that have the mixture's weights and means, and its Σ times
    ``median(δ²) / median(χ²)``, so that the middle half of the rows tells how wide they are
    (the consistency factor of robust scatter estimates: Rousseeuw & van Zomeren 1990).
    """
    stretch = np.full(mixture.n_features, np.sqrt(_consistency(mixture, rows, weights)))
    core = mixture.changed(law=GAUSSIAN, noise=None, structure=mixture.structure.scaled(stretch))
    draws = max(min(_DRAWS, _CELLS // mixture.n_features), _FEWEST)
    logs = completed_log_density(mixture, Block(core.sample(draws, 0)))
    return float(np.quantile(logs, LEVEL))


def _consistency(mixture: Mixture, rows: Rows, weights: Array | None) -> float:
    """How much wider the rows lie than Σ says, by the median of their squared distances."""
    squared = mixture.mahalanobis(rows).min(axis=1) ** 2
    features = np.sum(~np.isnan(rows), axis=1)
    seen = features > 0
    usual = 2.0 * gammaincinv(0.5 * features[seen], 0.5)
    some = None if weights is None else weights[seen]
    return max(percentile(squared[seen] / usual, some, 0.5), np.finfo(float).tiny)
