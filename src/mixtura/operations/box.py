"""The probability that a Gaussian gives to a box."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from mixtura._types import Array

_LOG_POINTS = 12
_CELLS = 1 << 22


def box_probability(means: Array, covariance: Array, low: Array, high: Array) -> Array:
    """P(low <= z <= high) for Gaussians (m, d) with one covariance (d, d).

    One coordinate is exact. More are integrated one given those before, the first of them exactly,
    over 4 096 fixed points of a scrambled Sobol' sequence (Genz 1992, "Numerical computation of
    multivariate normal probabilities", J. Comput. Graph. Stat. 1, 141-149); the error is about
    1e-5.

    Parameters
    ----------
    means : (m, d)
    covariance : (d, d)
    low, high : (d,)
        Infinite where there is no bound.
    """
    d = len(covariance)
    lower = np.linalg.cholesky(covariance)
    points = _points(d - 1) if d > 1 else np.empty((1, 0))
    size = max(1, _CELLS // points.size) if d > 1 else len(means)
    parts = [
        _box(means[start : start + size], lower, low, high, points)
        for start in range(0, len(means), max(size, 1))
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _box(means: Array, lower: Array, low: Array, high: Array, points: Array) -> Array:
    """The mean over the points (q, d - 1) of the product of the conditional probabilities."""
    total = np.ones((len(means), len(points)))
    drawn: list[Array] = []
    for j in range(len(lower)):
        shift = means[:, [j]] + sum(lower[j, i] * drawn[i] for i in range(j))
        bottom, top = ndtr((low[j] - shift) / lower[j, j]), ndtr((high[j] - shift) / lower[j, j])
        total = total * (top - bottom)
        if j + 1 < len(lower):
            inside = bottom + points[:, j] * (top - bottom)
            drawn.append(ndtri(np.clip(inside, 1e-300, 1.0 - 1e-16)))
    return np.asarray(total.mean(axis=1))


@cache
def _points(d: int) -> Array:
    return np.asarray(qmc.Sobol(d, seed=0).random_base2(_LOG_POINTS))
