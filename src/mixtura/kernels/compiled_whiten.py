"""The accurate kernels, compiled: whiten each tile for each component, sum about its own mean.

Nothing large cancels here, whatever the conditioning. For a full covariance both halves are
matrix products of the tile's centred rows, with the triangle of zeros left out.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_math import LOG2E
from mixtura.kernels.compiled_products import add_upper, squared_norms
from mixtura.kernels.compiled_sweep import OPTIONS, assign, read_tile
from mixtura.kernels.compiled_vectors import keep_apart

__all__ = [
    "about_mean",
    "add_mass",
    "add_moments",
    "log_joint_of",
    "whitened_joint",
    "whitened_sums",
]


@njit(**OPTIONS)
def whitened_sums(  # type: ignore[no-untyped-def]
    rows, pivot, scale, weights, component, hard, constants, b, step, first, second
):
    """Add weighted first and second moments about each mean; return the log-likelihood.

    `component` holds constants (k,), means (k, d) and transposed whiteners (k, r, d): lower
    triangles, or r = 1 where they are diagonal.
    `first` (k, d + 1) ends with the mass; `second` is (k, r, q), q >= d a multiple of 4.
    """
    keep_apart()
    n, d = rows.shape
    means = component[1]
    k, stride = len(means), b + step
    z, w, logits = np.zeros((d, stride)), np.empty(stride), np.empty((k, stride))
    off, y = np.zeros(((d + 3) // 4 * 4, stride)), np.empty((d, stride))
    top, norm, level = np.empty((1, stride)), np.empty((1, stride)), np.empty(stride)
    log_likelihood = 0.0
    for start in range(0, n, b):
        m = min(b, n - start)
        wide = (m + step - 1) // step * step
        read_tile(rows, start, m, wide, pivot, scale, weights, z, w)
        for c in range(k):
            log_joint_of(z, component, c, LOG2E, logits, c, wide, step)
        even = weights.size == 0 and m == wide
        log_likelihood += assign(logits, w, even, hard, top, norm, level, constants, wide)
        for c in range(k):
            if add_mass(logits[c], wide, first[c]):
                about_mean(z, means[c], off, wide)
                add_moments(off, logits[c], y, first[c], second[c], wide)
    return log_likelihood


@njit(**OPTIONS)
def whitened_joint(rows, pivot, scale, component, b, step, out):  # type: ignore[no-untyped-def]
    """Write the log joint (n, k)."""
    keep_apart()
    n, d = rows.shape
    k, stride = len(component[0]), b + step
    z, w, logits = np.zeros((d, stride)), np.empty(stride), np.empty((k, stride))
    for start in range(0, n, b):
        m = min(b, n - start)
        wide = (m + step - 1) // step * step
        read_tile(rows, start, m, wide, pivot, scale, w[:0], z, w)
        for c in range(k):
            log_joint_of(z, component, c, 1.0, logits, c, wide, step)
        for i in range(m):
            for c in range(k):
                out[start + i, c] = logits[c, i]


@njit(**OPTIONS)
def log_joint_of(  # type: ignore[no-untyped-def]
    z, component, c, unit, logits, row, wide, step
):
    """logits[row] = (constant - |whitener (z - mean)|^2 / 2) of component c, times the unit."""
    keep_apart()
    constants, means, whiteners = component
    if len(whiteners[c]) == 1:
        _squares(z, means[c], whiteners[c, 0], logits[row], wide)
    else:
        squared_norms(whiteners[c], means, z, logits, c, row, wide, step)
    for i in range(wide):
        logits[row, i] = (constants[c] - 0.5 * logits[row, i]) * unit


@njit(**OPTIONS)
def _squares(z, mean, factor, out, wide):  # type: ignore[no-untyped-def]
    """out = |factor * (z - mean)|^2, number by number."""
    keep_apart()
    for i in range(wide):
        out[i] = 0.0
    for j in range(len(mean)):
        for i in range(wide):
            y = (z[j, i] - mean[j]) * factor[j]
            out[i] += y * y


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
        add_upper(y, off, second, wide)
