"""What a noisy observation tells of x, row by row with noise or maps of its own, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_blurred import LANES, back_project, factorize, project, read_lanes
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
    y, u, joint = np.empty((p, LANES)), np.empty((p, LANES)), np.empty(LANES)
    R, A = np.empty((p, p, LANES)), np.empty((p, d, LANES))
    T, C, v = np.empty((p, p, LANES)), np.empty((p, d, LANES)), np.empty((d, LANES))
    M, P = np.empty((d, d, LANES)), np.empty((d, d, LANES))
    inner, root, half = np.empty((d, d, LANES)), np.empty((d, d, LANES)), np.empty((d, d, LANES))
    nothing, start = np.zeros((max(p, d), LANES)), 0
    for pattern in range(len(ends)):
        o = np.flatnonzero(masks[pattern])
        for at in range(start, ends[pattern], LANES):
            m = min(LANES, ends[pattern] - at)
            read_lanes(rows, pivot, scale, noise, projections, order, at, m, o, y, R, A)
            T[:] = R
            factorize(T, nothing, len(o), 0.0, joint)
            back_project(T, A, nothing, len(o), C, v, M)
            for c in range(k):
                project(A, covariances[c], R, y, means[c], len(o), C, T, u)
                constant = log_weights[c] - 0.9189385332046727 * len(o)
                factorize(T, u, len(o), constant, joint)
                back_project(T, A, u, len(o), C, v, P)
                _tighten(M, roots[c], P, inner, root)
                for t in range(m):
                    row = order[at + t]
                    logs[row, c] = joint[t]
                    for i in range(d):
                        value = means[c, i]
                        for j in range(d):
                            value += covariances[c, i, j] * v[j, t]
                        location[row, c, i] = value
                factorize(inner, nothing, d, 0.0, joint)
                back_project(inner, root, nothing, d, half, v, P)
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
            for t in range(LANES):
                E[i, j, t] = 0.0
                root[i, j, t] = L[j, i]
            for s in range(j, d):
                value, a, b = L[s, j], max(i, s), min(i, s)
                for t in range(LANES):
                    E[i, j, t] += M[a, b, t] * value
    for i in range(d):
        for j in range(i + 1):
            for t in range(LANES):
                inner[i, j, t] = 1.0 if i == j else 0.0
            for s in range(i, d):
                value = L[s, i]
                for t in range(LANES):
                    inner[i, j, t] += value * E[s, j, t]
