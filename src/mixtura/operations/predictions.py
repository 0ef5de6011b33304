"""What many mixtures predict: points, quantiles and central intervals, feature by feature."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.operations.mixtures import Mixtures

POINTS = ("mean", "median", "mode")


def points(mixtures: Mixtures, kind: str) -> Array:
    """(n, d) the mean, the median of each feature, or the highest mode of each mixture."""
    if kind == "mean":
        return mixtures.mean()
    if kind == "median":
        return quantiles(mixtures, 0.5)
    return mixtures.modes().points[:, 0]


def quantiles(mixtures: Mixtures, probability: Any) -> Array:
    """(n, d) for a probability, (n, d, q) for q of them: of each feature by itself."""
    each = [mixtures.marginal(one).quantile(probability) for one in range(mixtures.n_features)]
    return np.stack(each, axis=1)


def central_intervals(mixtures: Mixtures, coverage: float) -> Array:
    """(n, d, 2) intervals that leave the same probability on either side.

    Raises
    ------
    InputError
        A coverage outside (0, 1).
    """
    tail = 0.5 * (1.0 - proper_coverage(coverage))
    return quantiles(mixtures, [tail, 1.0 - tail])


def proper_coverage(coverage: Any) -> float:
    """A probability above 0 and below 1."""
    value = _checks.numbers(coverage, "coverage")
    if value.ndim or not 0 < value < 1:
        raise InputError(f"coverage={coverage!r}: a number above 0 and below 1 is needed")
    return float(value)
