"""The pass over the rows for many features: the table of products is never written down.

With many features, and few components to share it, writing the table of ``z_i z_j`` takes as long
as multiplying by it. For one i, though, its rows are those of z times ``z_i``, so that z itself
serves as the table: ``logits += z_i (theta_i. z)`` and ``sums_i. += (R z_i) z'``. The constant 1
counts as one more feature, which brings the linear and the constant terms along.

The logits are double, also for float32 rows: thousands of sums of a window's products are added to
each, and would lose digits of all that cancels among them.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mixtura.kernels.compiled_math import LN2
from mixtura.kernels.compiled_products import add_logits_times_first, add_sums
from mixtura.kernels.compiled_sweep import OPTIONS, assign, in_bits, read_tile
from mixtura.kernels.compiled_vectors import keep_apart

__all__ = ["bands", "wide_sweep"]

# Bytes of z after feature i that are multiplied by it before it is the turn of the next i: as i
# grows, this window moves through z row by row and stays in the second-level cache.
_WINDOW = 1 << 18


@cache
def bands(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the band of each i = 0..d starts, and the place of each number of T(z) in the bands.

    A band holds the products with features i..d and is padded to a multiple of 4.
    """
    lengths = np.arange(d + 1, 0, -1)
    starts = np.concatenate([[0], np.cumsum((lengths + 3) // 4 * 4)]).astype(np.intp)
    row, column = np.triu_indices(d)
    last = np.arange(d + 1)
    places = np.concatenate([starts[row] + column - row, starts[:-1] + d - last])
    return starts, places.astype(np.intp)


@njit(**OPTIONS)
def wide_sweep(  # type: ignore[no-untyped-def]
    rows, pivot, scale, weights, theta, starts, hard, sums, constants, b, step
):
    """As `sweep`, with `theta` and `sums` in bands."""
    keep_apart()
    n, d = rows.shape
    k = len(theta)
    stride = b + step
    z = np.zeros((d + 4, stride), theta.dtype)
    logits, part = np.empty((k, stride), theta.dtype), np.empty((k, stride), theta.dtype)
    totals = np.empty((k, stride))
    top, norm = np.empty((1, stride), theta.dtype), np.empty((1, stride), theta.dtype)
    w, level = np.empty(stride), np.empty(stride)
    for i in range(stride):
        z[d, i] = 1.0
    bits, log_likelihood = in_bits(theta), 0.0
    window = _WINDOW // (b * theta.itemsize) // 4 * 4
    for start in range(0, n, b):
        m = min(b, n - start)
        wide = (m + step - 1) // step * step
        read_tile(rows, start, m, wide, pivot, scale, weights, z, w)
        _clear(totals, wide)
        for near in range(0, d + 1, window):
            for a in range(d + 1 - near):
                lo, last = starts[a] + near, starts[a] + d - a  # the last feature is the constant
                origin, end = last if near == 0 else -1, min(lo + window, last)
                add_logits_times_first(bits, z[a:], totals, origin, lo, end, wide, step, near)
        even = weights.size == 0 and m == wide
        log_likelihood += _below_highest(totals, logits, w, wide)
        log_likelihood += assign(logits, w, even, hard, top, norm, level, constants, wide)
        for near in range(0, d + 1, window):
            for a in range(d + 1 - near):
                lo = starts[a] + near
                _scale_all(logits, z[a], part, wide)
                add_sums(part, z[a + near :], sums, lo, min(lo + window, starts[a + 1]), wide)
    return log_likelihood


@njit(**OPTIONS)
def _below_highest(totals, logits, w, wide):  # type: ignore[no-untyped-def]
    """Write logits less the highest of each row; return what that is of the log-likelihood."""
    keep_apart()
    log_likelihood = 0.0
    for i in range(wide):
        highest = totals[0, i]
        for c in range(1, len(totals)):
            highest = max(highest, totals[c, i])
        for c in range(len(totals)):
            logits[c, i] = totals[c, i] - highest
        log_likelihood += w[i] * highest
    return LN2 * log_likelihood


@njit(**OPTIONS)
def _scale_all(matrix, factor, out, wide):  # type: ignore[no-untyped-def]
    """out = matrix * factor in every row."""
    keep_apart()
    for c in range(len(matrix)):
        for i in range(wide):
            out[c, i] = matrix[c, i] * factor[i]


@njit(**OPTIONS)
def _clear(matrix, wide):  # type: ignore[no-untyped-def]
    for c in range(len(matrix)):
        for i in range(wide):
            matrix[c, i] = 0.0
