"""The accurate kernels, compiled: whiten each tile for each component, sum about its own mean.

Nothing large cancels here, whatever the conditioning. For a full covariance both halves are
matrix products of the tile's centred rows, with the triangle of zeros left out.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_math import LOG2E
from mixtura.kernels.compiled_products import add_logits, add_sums
from mixtura.kernels.compiled_sweep import OPTIONS, assign, read_tile
from mixtura.kernels.compiled_vectors import keep_apart

__all__ = ["BAND", "about_mean", "add_mass", "add_moments", "whitened_joint", "whitened_sums"]

BAND = 24  # rows of a triangular matrix that are treated as one rectangle
_BAND = BAND


@njit(**OPTIONS)
def whitened_sums(  # type: ignore[no-untyped-def]
    rows, pivot, scale, weights, component, ends, hard, constants, b, step, first, second
):
    """Add weighted first and second moments about each mean; return the log-likelihood.

    `component` holds constants (k,), means (k, d) and transposed whiteners (k, r, d), r = 1 where
    they are diagonal; row c of `ends` tells where the non-zeros of each band of whitener c end.
    `first` (k, d + 1) ends with the mass; `second` is (k, r, q), q >= d a multiple of 4.
    """
    keep_apart()
    n, d = rows.shape
    means = component[1]
    k = len(means)
    z, w, logits, off, y = _tile(d, k, b + step)
    top, norm, level = np.empty((1, b + step)), np.empty((1, b + step)), np.empty(b + step)
    log_likelihood = 0.0
    for start in range(0, n, b):
        m = min(b, n - start)
        wide = (m + step - 1) // step * step
        read_tile(rows, start, m, wide, pivot, scale, weights, z, w)
        _joint(z, component, ends, step, off, y, LOG2E, logits, wide)
        even = weights.size == 0 and m == wide
        log_likelihood += assign(logits, w, even, hard, top, norm, level, constants, wide)
        for c in range(k):
            if add_mass(logits[c], wide, first[c]):
                about_mean(z, means[c], off, wide)
                add_moments(off, logits[c], y, first[c], second[c], wide)
    return log_likelihood


@njit(**OPTIONS)
def whitened_joint(rows, pivot, scale, component, ends, b, step, out):  # type: ignore[no-untyped-def]
    """Write the log joint (n, k)."""
    keep_apart()
    n, d = rows.shape
    k = len(component[0])
    z, w, logits, off, y = _tile(d, k, b + step)
    for start in range(0, n, b):
        m = min(b, n - start)
        wide = (m + step - 1) // step * step
        read_tile(rows, start, m, wide, pivot, scale, w[:0], z, w)
        _joint(z, component, ends, step, off, y, 1.0, logits, wide)
        for i in range(m):
            for c in range(k):
                out[start + i, c] = logits[c, i]


@njit(**OPTIONS)
def _tile(d, k, stride):  # type: ignore[no-untyped-def]
    """Buffers: rows, weights, logits, centred rows (padded to a multiple of 4), whitened rows."""
    return (
        np.zeros((d + 3, stride)),
        np.empty(stride),
        np.empty((k, stride)),
        np.zeros(((d + 3) // 4 * 4, stride)),
        np.empty((d, stride)),
    )


@njit(**OPTIONS)
def _joint(z, component, ends, step, off, y, unit, logits, wide):  # type: ignore[no-untyped-def]
    """logits[c] = (constant - |whitener (z - mean)|^2 / 2) times the unit."""
    keep_apart()
    constants, means, whiteners = component
    d = means.shape[1]
    for c in range(len(means)):
        about_mean(z, means[c], off, wide)
        if len(whiteners[c]) == 1:
            for j in range(d):
                factor = whiteners[c, 0, j]
                for i in range(wide):
                    y[j, i] = off[j, i] * factor
        else:
            for j in range(d):
                for i in range(wide):
                    y[j, i] = 0.0
            for band in range(ends.shape[1]):
                lo, hi = band * _BAND, min(band * _BAND + _BAND, d)
                add_logits(whiteners[c, lo:hi], off, y[lo:hi], -1, 0, ends[c, band], wide, step)
        for i in range(wide):
            logits[c, i] = 0.0
        for j in range(d):
            for i in range(wide):
                logits[c, i] += y[j, i] * y[j, i]
        for i in range(wide):
            logits[c, i] = (constants[c] - 0.5 * logits[c, i]) * unit


@njit(**OPTIONS)
def about_mean(z, mean, off, wide):  # type: ignore[no-untyped-def]
    for j in range(len(mean)):
        for i in range(wide):
            off[j, i] = z[j, i] - mean[j]


@njit(**{**OPTIONS, "fastmath": {"contract", "reassoc"}})
def add_mass(share, wide, first):  # type: ignore[no-untyped-def]
    """Add the mass; whether there is any."""
    mass = 0.0
    for i in range(wide):
        mass += share[i]
    first[-1] += mass
    return mass != 0.0


@njit(**{**OPTIONS, "fastmath": {"contract", "reassoc"}})
def add_moments(off, share, y, first, second, wide):  # type: ignore[no-untyped-def]
    """Add the weighted sums of the centred rows and of their squares or products."""
    keep_apart()
    d = len(first) - 1
    for j in range(d):
        total, square = 0.0, 0.0
        for i in range(wide):
            y[j, i] = share[i] * off[j, i]
            total += y[j, i]
            square += y[j, i] * off[j, i]
        first[j] += total
        if len(second) == 1:
            second[0, j] += square
    if len(second) > 1:
        for lo in range(0, d, _BAND):  # on and right of the diagonal
            hi = min(lo + _BAND, d)
            add_sums(y[lo:hi], off[lo:], second[lo:hi], lo, second.shape[1], wide)
