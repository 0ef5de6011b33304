"""A standard normal variable within an interval: probability, moments and draws, far out too."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from mixtura._types import Array
from mixtura.law import LOG_2PI

_NARROW = 1e-6
_CANCELS = 1e-3
"""Variance, over one plus the squared mean, below which closed forms lose digits."""
_DEPTH = 38.0
_GAUSS = np.polynomial.legendre.leggauss(20)
_NODES = np.concatenate([0.25 * (1.0 + _GAUSS[0]), 0.25 * (3.0 + _GAUSS[0])])
_WEIGHTS = np.tile(0.25 * _GAUSS[1], 2)


def log_probability(low: Any, high: Any) -> Array:
    """``log (Φ(b) - Φ(a))`` for a <= b, also where both are far out on one side."""
    a, b = _turned(low, high)[:2]
    top, bottom = log_ndtr(b), log_ndtr(a)
    with np.errstate(divide="ignore", invalid="ignore"):
        wide = top + np.log1p(-np.exp(bottom - top))
        width = np.where(np.isfinite(a) & np.isfinite(b), b - a, np.inf)
        at = np.where(np.isfinite(width), 0.5 * (a + b), 0.0)
        thin = np.log(width) - 0.5 * (at * at + LOG_2PI)
    narrow = width * np.maximum(np.abs(at), 1.0) < _NARROW
    return np.where(narrow, thin, np.where(b == -np.inf, -np.inf, wide))


def moments(low: Any, high: Any) -> tuple[Array, Array, Array]:
    """``log (Φ(b) - Φ(a))``, mean and variance of the variable given that it lies in [a, b].

    ``m = (φ(a) - φ(b)) / P`` and ``v = 1 + (a φ(a) - b φ(b)) / P - m²``; where these cancel, far
    out or in a narrow interval, by Gauss points from the end nearest to zero.

    Examples
    --------
    >>> logs, mean, variance = moments(40.0, np.inf)  # 40 + 1/40 - 2/40³ ..., 1/40² - 6/40⁴ ...
    >>> logs.round(3).item(), mean.round(8).item(), variance.round(10).item()
    (-804.608, 40.02496885, 0.0006226684)
    """
    a, b, turned = _turned(low, high)
    logs = log_probability(a, b)
    with np.errstate(invalid="ignore", over="ignore"):
        at_a, at_b = (np.exp(-0.5 * (end * end + LOG_2PI) - logs) for end in (a, b))
        mean = at_a - at_b
        pulls = [np.where(at > 0, end * at, 0.0) for end, at in ((a, at_a), (b, at_b))]
        variance = 1.0 + pulls[0] - pulls[1] - mean * mean
        poor = ~(variance > _CANCELS * (1.0 + mean * mean))
    if poor.any():
        found = _from_the_end(a[poor], b[poor])
        logs, mean, variance = (np.array(one) for one in (logs, mean, variance))
        logs[poor], mean[poor], variance[poor] = found
    return np.asarray(logs), np.where(turned, -mean, mean), np.asarray(variance)


def _from_the_end(low: Array, high: Array) -> tuple[Array, Array, Array]:
    """The same by integrating down from the upper end, of short or thin-tailed intervals."""
    slope = np.maximum(-high, 0.0)
    reach = 2.0 * _DEPTH / (np.sqrt(slope * slope + 2.0 * _DEPTH) + slope)
    width = np.minimum(high - low, reach)
    t = width[:, None] * _NODES
    mass = np.exp(t * (high[:, None] - 0.5 * t)) * _WEIGHTS
    total = mass.sum(axis=1)
    mass /= total[:, None]
    depth = (mass * t).sum(axis=1)
    variance = (mass * (t - depth[:, None]) ** 2).sum(axis=1)
    with np.errstate(divide="ignore"):
        logs = np.log(width * total) - 0.5 * (high * high + LOG_2PI)
    return logs, high - depth, variance


def within(low: Any, high: Any, share: Any) -> Array:
    """The quantile of a standard normal variable within [a, b] at shares in (0, 1)."""
    a, b, turned = _turned(low, high)
    share = np.where(turned, 1.0 - np.asarray(share), share)
    top, bottom = log_ndtr(b), log_ndtr(a)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = top + np.log(share + (1.0 - share) * np.exp(np.minimum(bottom - top, 0.0)))
    found = ndtri_exp(np.minimum(logs, 0.0))
    found = np.where(np.isnan(found), b, np.clip(found, a, b))
    return np.where(turned, -found, found)


def _turned(low: Any, high: Any) -> tuple[Array, Array, Array]:
    """The interval, mirrored where that brings it nearer to the lower tail, and where that was."""
    a, b = np.broadcast_arrays(np.asarray(low, dtype=float), np.asarray(high, dtype=float))
    turned = a > np.maximum(-b, -np.inf)
    with np.errstate(invalid="ignore"):
        turned = np.where(np.isinf(a) & np.isinf(b), False, a + b > 0)
    return np.where(turned, -b, a), np.where(turned, -a, b), turned
