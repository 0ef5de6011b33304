"""One pass over the rows in the log-linear form, compiled: logits = theta T, sums += R T'.

Rows are worked through tile by tile. A tile is read into `z` (a feature is a row of `z`, so that
consecutive data rows fill a vector register), expanded into a table of T(z) panel by panel,
and used up while it lies in the cache.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mixtura.kernels.compiled_math import LN2, LOG2E, exponentiate, larger, log
from mixtura.kernels.compiled_products import add_logits, add_sums
from mixtura.kernels.compiled_vectors import keep_apart
from mixtura.kernels.layout import DIAGONAL, FULL, SPHERICAL

__all__ = ["OPTIONS", "assign", "pairs", "read_tile", "sums_of_labels", "sweep", "tiling"]

# Never nnan or ninf: data far out gives logits of -1e300. No reassociation of float sums but where
# a function says so.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}

_TABLE_BYTES = 1 << 18  # of the table of a tile: half of a common second-level cache


@cache
def pairs(shape: int, d: int) -> NDArray[np.int32]:
    """Which two rows of `z` are multiplied into each number of T(z): (2, p), p a multiple of 4.

    Below its d features, `z` holds a row of ones, a row of zeros (for the padding) and |z|^2.
    """
    one, nil, square = d, d + 1, d + 2
    features = np.arange(d)
    if shape == FULL:
        left, right = np.triu_indices(d)
    elif shape == DIAGONAL:
        left, right = features, features
    elif shape == SPHERICAL:
        left, right = np.array([square]), np.array([one])
    else:
        left = right = np.empty(0, int)
    left = np.concatenate([left, features, [one]])
    right = np.concatenate([right, np.full(d + 1, one)])
    spare = -len(left) % 4
    out = np.full((2, len(left) + spare), nil, np.int32)
    out[0, : len(left)], out[1, : len(right)] = left, right
    out.setflags(write=False)
    return out


def tiling(n: int, k: int, p: int, itemsize: int, step: int) -> tuple[int, int]:
    """Rows per tile (a multiple of `step`) and features per panel (a multiple of 4)."""
    numbers = _TABLE_BYTES // itemsize
    b = 256 if (p + k) * 256 <= numbers else 128
    b = min(b, -(-max(n, 1) // step) * step)
    q = p if p * b <= numbers else max(numbers // b // 8 * 4, 64)
    return b, q


@njit(**OPTIONS)
def read_tile(rows, start, m, wide, pivot, scale, weights, z, w):  # type: ignore[no-untyped-def]
    """Frame `m` rows from `start` on into `z`, pad to `wide` with rows of weight zero."""
    keep_apart()
    d = rows.shape[1]
    for i in range(m):
        w[i] = weights[start + i] if weights.size else 1.0
    for j in range(d):
        centre, factor = pivot[j], scale[j]
        for i in range(m):
            z[j, i] = (rows[start + i, j] - centre) * factor
    for i in range(m, wide):
        w[i] = 0.0
        for j in range(d):
            z[j, i] = 0.0


@njit(**OPTIONS)
def _square(z, d, wide):  # type: ignore[no-untyped-def]
    """Write |z|^2 into its row."""
    for i in range(wide):
        z[d + 2, i] = 0.0
    for j in range(d):
        for i in range(wide):
            z[d + 2, i] += z[j, i] * z[j, i]


@njit(**OPTIONS)
def _expand(z, pair, lo, hi, table, wide):  # type: ignore[no-untyped-def]
    """Numbers lo to hi of T(z)."""
    keep_apart()
    for f in range(lo, hi):
        a, c = pair[0, f], pair[1, f]
        for i in range(wide):
            table[f - lo, i] = z[a, i] * z[c, i]


@njit(**{**OPTIONS, "fastmath": {"contract", "reassoc"}})
def _dot(a, b, wide):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(wide):
        total += a[i] * b[i]
    return total


@njit(**OPTIONS)
def in_bits(values):  # type: ignore[no-untyped-def]
    """Nats as bits, (k, p): powers of two are cheaper than powers of e."""
    out = np.empty_like(values)
    for c in range(len(values)):
        for f in range(values.shape[1]):
            out[c, f] = LOG2E * values[c, f]
    return out


@njit(**OPTIONS)
def assign(logits, w, even, hard, top, norm, level, constants, wide):  # type: ignore[no-untyped-def]
    """Turn logits in bits into weighted responsibilities in place; return the log-likelihood.

    With `even`, all weights are one.
    """
    keep_apart()
    k = len(logits)
    for i in range(wide):
        top[0, i] = logits[0, i]
    for c in range(1, k, 2):
        after = min(c + 1, k - 1)
        for i in range(wide):
            top[0, i] = larger(logits[after, i], larger(top[0, i], logits[c, i]))
    if hard:
        return _assign_hard(logits, w, top, level, wide)
    for i in range(wide):
        norm[0, i] = 0.0
    for c in range(k):
        exponentiate(logits, top, norm, constants, c, wide)
    log_likelihood = _log_likelihood(top, norm, w, even, level, wide)
    for i in range(wide):
        norm[0, i] = w[i] / np.float64(norm[0, i])
    for c in range(k):
        for i in range(wide):
            logits[c, i] *= norm[0, i]
    return log_likelihood


@njit(**OPTIONS)
def _assign_hard(logits, w, top, level, wide):  # type: ignore[no-untyped-def]
    keep_apart()
    for i in range(wide):
        level[i] = LN2 * top[0, i]
        taken = False
        for c in range(len(logits)):
            first = logits[c, i] == top[0, i] and not taken
            taken = taken or first
            logits[c, i] = w[i] if first else 0.0
    return _dot(w, level, wide)


@njit(**{**OPTIONS, "fastmath": {"contract", "reassoc"}})
def _log_likelihood(top, norm, w, even, level, wide):  # type: ignore[no-untyped-def]
    """The sum of ``w (top log 2 + log norm)``."""
    keep_apart()
    if not even:
        for i in range(wide):
            level[i] = LN2 * top[0, i] + log(np.float64(norm[0, i]))
        return _dot(w, level, wide)
    eighth, bits, total = wide // 8, 0.0, 0.0
    for i in range(eighth):  # one logarithm for eight rows: norms lie between 1 and k
        product = np.float64(norm[0, i])
        for part in range(1, 8):
            product *= np.float64(norm[0, part * eighth + i])
        level[i] = product
    for i in range(eighth):
        total += log(level[i])
    for i in range(wide):
        bits += np.float64(top[0, i])
    return LN2 * bits + total


@njit(**OPTIONS)
def sweep(  # type: ignore[no-untyped-def]
    rows, pivot, scale, weights, theta, pair, hard, sums, constants, b, q, step, control
):
    """Add each row's weighted T(z) to `sums`; return the log-likelihood.

    `theta` (k, p) has the type of the products; `pair` and `sums` are padded to a multiple of 4;
    `constants` are those of `exponentiate`; `b`, `q` and `step` are those of `tiling`; `control` is
    for passes of several threads.
    """
    keep_apart()
    n, d = rows.shape
    k, p = len(theta), pair.shape[1]
    last = theta.shape[1] - 1  # the constant, with which the logits begin
    stride = b + step  # not a power of two: rows of a tile must not fall into the same cache sets
    bits = in_bits(theta)
    z = np.zeros((d + 3, stride), theta.dtype)
    for i in range(stride):
        z[d, i] = 1.0
    table, logits = np.empty((q, stride), theta.dtype), np.empty((k, stride), theta.dtype)
    top, norm = np.empty((1, stride), theta.dtype), np.empty((1, stride), theta.dtype)
    w, level = np.empty(stride), np.empty(stride)
    panels = (p + q - 1) // q
    log_likelihood = 0.0
    for start in range(0, n, b):
        m = min(b, n - start)
        wide = (m + step - 1) // step * step
        read_tile(rows, start, m, wide, pivot, scale, weights, z, w)
        if pair[0, 0] == d + 2:
            _square(z, d, wide)
        for panel in range(panels):
            lo, hi = panel * q, min(panel * q + q, p)
            _expand(z, pair, lo, hi, table, wide)
            add_logits(bits, table, logits, last if lo == 0 else -1, lo, min(hi, last), wide, step)
        even = weights.size == 0 and m == wide
        log_likelihood += assign(logits, w, even, hard, top, norm, level, constants, wide)
        # Backwards: the last panel is still there.
        for panel in range(panels - 1, -1, -1):
            lo, hi = panel * q, min(panel * q + q, p)
            if panel < panels - 1:
                _expand(z, pair, lo, hi, table, wide)
            add_sums(logits, table, sums, lo, min(hi, last + 1), wide)
    return log_likelihood


@njit(**OPTIONS)
def sums_of_labels(rows, pivot, scale, weights, labels, pair, sums, b, q, step):  # type: ignore[no-untyped-def]
    """Add each row's weighted T(z) to the `sums` of its label alone."""
    keep_apart()
    n, d = rows.shape
    k, p = len(sums), pair.shape[1]
    stride = b + step
    z = np.zeros((d + 3, stride))
    for i in range(stride):
        z[d, i] = 1.0
    table, shares = np.empty((q, stride)), np.empty((k, stride))
    w = np.empty(stride)
    for start in range(0, n, b):
        m = min(b, n - start)
        wide = (m + step - 1) // step * step
        read_tile(rows, start, m, wide, pivot, scale, weights, z, w)
        if pair[0, 0] == d + 2:
            _square(z, d, wide)
        for c in range(k):
            for i in range(wide):
                shares[c, i] = 0.0
        for i in range(m):
            shares[labels[start + i], i] = w[i]
        for lo in range(0, p, q):
            hi = min(lo + q, p)
            _expand(z, pair, lo, hi, table, wide)
            add_sums(shares, table, sums, lo, hi, wide)
