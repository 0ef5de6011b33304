"""A standard normal variable within an interval, in log space: its probability, and its draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from mixtura._types import Array
from mixtura.law import LOG_2PI

_NARROW = 1e-6


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
