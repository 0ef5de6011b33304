"""What a noisy observation tells of x, row by row with noise or maps of its own, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_blurred import _LANES, _back_project, _factor, _project, _read
from mixtura.kernels.compiled_sweep import OPTIONS

__all__ = ["blurred_posterior"]


@njit(**OPTIONS)
def blurred_posterior(  # type: ignore[no-untyped-def]
    rows, units, errors, groups, component, roots, logs, location, spread
):
    """Write the log joint (n, k), means (n, k, d) and covariances (n, k, d, d) of x given y.

    Arguments are those of `blurred_sums`, always with projections; `roots` (k, d, d) are lower
    Cholesky factors of the covariances. With M = Aᵀ R⁻¹ A the covariance is
    ``L (I + Lᵀ M L)⁻¹ Lᵀ``, positive definite however small R is.
    """
    pivot, scale = units
    noise, projections = errors
    order, ends, masks = groups
    log_weights, means, covariances = component
    (k, d), p = means.shape, rows.shape[1]
    y, u, joint = np.empty((p, _LANES)), np.empty((p, _LANES)), np.empty(_LANES)
    R, A = np.empty((p, p, _LANES)), np.empty((p, d, _LANES))
    T, C, v = np.empty((p, p, _LANES)), np.empty((p, d, _LANES)), np.empty((d, _LANES))
    M, P = np.empty((d, d, _LANES)), np.empty((d, d, _LANES))
    inner, root, half = np.empty((d, d, _LANES)), np.empty((d, d, _LANES)), np.empty((d, d, _LANES))
    nothing, start = np.zeros((max(p, d), _LANES)), 0
    for pattern in range(len(ends)):
        o = np.flatnonzero(masks[pattern])
        for at in range(start, ends[pattern], _LANES):
            m = min(_LANES, ends[pattern] - at)
            _read(rows, pivot, scale, noise, projections, order, at, m, o, y, R, A)
            T[:] = R
            _factor(T, nothing, len(o), 0.0, joint)
            _back_project(T, A, nothing, len(o), C, v, M)
            for c in range(k):
                _project(A, covariances[c], R, y, means[c], len(o), C, T, u)
                constant = log_weights[c] - 0.9189385332046727 * len(o)
                _factor(T, u, len(o), constant, joint)
                _back_project(T, A, u, len(o), C, v, P)
                _tighten(M, roots[c], P, inner, root)
                for t in range(m):
                    row = order[at + t]
                    logs[row, c] = joint[t]
                    for i in range(d):
                        value = means[c, i]
                        for j in range(d):
                            value += covariances[c, i, j] * v[j, t]
                        location[row, c, i] = value
                _factor(inner, nothing, d, 0.0, joint)
                _back_project(inner, root, nothing, d, half, v, P)
                for t in range(m):
                    row = order[at + t]
                    for i in range(d):
                        for j in range(i + 1):
                            spread[row, c, i, j] = spread[row, c, j, i] = P[i, j, t]
        start = ends[pattern]


@njit(**OPTIONS)
def _tighten(M, L, E, inner, root):  # type: ignore[no-untyped-def]
    """``I + Lᵀ M L`` (its lower triangle, of M's), and Lᵀ for every row."""
    d = len(L)
    for i in range(d):
        for j in range(d):
            for t in range(_LANES):
                E[i, j, t] = 0.0
                root[i, j, t] = L[j, i]
            for s in range(j, d):
                value, a, b = L[s, j], max(i, s), min(i, s)
                for t in range(_LANES):
                    E[i, j, t] += M[a, b, t] * value
    for i in range(d):
        for j in range(i + 1):
            for t in range(_LANES):
                inner[i, j, t] = 1.0 if i == j else 0.0
            for s in range(i, d):
                value = L[s, i]
                for t in range(_LANES):
                    inner[i, j, t] += value * E[s, j, t]
