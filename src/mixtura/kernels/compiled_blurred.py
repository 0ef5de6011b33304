"""Rows that were measured with errors of their own, compiled.

Rows come grouped by pattern and are worked through sixteen at a time: each step of a small Cholesky
factorisation is done for all of them by the same vector instructions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_observed import assign_row
from mixtura.kernels.compiled_sweep import OPTIONS

__all__ = ["LANES", "back_project", "blurred_sums", "factorize", "project", "read_lanes"]

LANES = 16
_LOG_2PI = 1.8378770664093453
_SUMMING = {**OPTIONS, "fastmath": {"contract", "reassoc"}}


@njit(**OPTIONS)
def blurred_sums(  # type: ignore[no-untyped-def]
    rows, units, errors, weights, plausibility, groups, component, hard, logs, sums
):
    """Add counts and scores of the rows to `sums`; or, with `logs` (n, k), write the log joint.

    `units` are the pivot and scale of x; `errors` the noise (m, p, q), q = 1 where it is diagonal,
    and the projections (m, p, d), or (0, 0, 0); `component` the log-weights (k,), means (k, d) and
    covariances (k, d, d). Returns the log-likelihood.
    """
    pivot, scale = units
    noise, projections = errors
    order, ends, masks = groups
    log_weights, means, covariances = component
    (k, d), p = means.shape, rows.shape[1]
    y, w, logits = np.empty((p, LANES)), np.empty(LANES), np.empty(k)
    R, A = np.empty((p, p, LANES)), np.empty((p, d, LANES))
    T, C = np.empty((p, p, LANES)), np.empty((p, d, LANES))
    u, joint = np.empty((p, LANES)), np.empty((k, LANES))
    v, P = np.empty((k, d, LANES)), np.empty((k, d, d, LANES))
    value, start = 0.0, 0
    for pattern in range(len(ends)):
        o = np.flatnonzero(masks[pattern])
        for at in range(start, ends[pattern], LANES):
            m = min(LANES, ends[pattern] - at)
            read_lanes(rows, pivot, scale, noise, projections, order, at, m, o, y, R, A)
            for c in range(k):
                if projections.size:
                    project(A, covariances[c], R, y, means[c], len(o), C, T, u)
                else:
                    _widen(covariances[c], R, y, means[c], o, T, u)
                constant = log_weights[c] - 0.5 * len(o) * _LOG_2PI
                factorize(T, u, len(o), constant, joint[c])
                if logs.size:
                    continue
                if projections.size:
                    back_project(T, A, u, len(o), C, v[c], P[c])
                else:
                    _back(T, u, len(o), v[c], P[c])
            for t in range(m):
                row = order[at + t]
                for c in range(k):
                    logits[c] = joint[c, t]
                    if plausibility.size:
                        logits[c] += plausibility[row, c]
                if logs.size:
                    logs[row] = logits
                    continue
                w[t] = weights[row] if weights.size else 1.0
                value += w[t] * assign_row(logits, hard)
                for c in range(k):
                    joint[c, t] = w[t] * logits[c]
            if logs.size:
                continue
            for c in range(k):
                for t in range(m, LANES):
                    joint[c, t] = 0.0
                _add(joint[c], v[c], P[c], o, projections.size > 0, sums, c)
        start = ends[pattern]
    return value


@njit(**OPTIONS)
def read_lanes(rows, pivot, scale, noise, projections, order, at, m, o, y, R, A):  # type: ignore[no-untyped-def]
    """Observed coordinates, noise and projections of some rows, in the frame; the rest repeat."""
    full, own, moving = noise.shape[2] > 1, len(noise) > 1, len(projections) > 1
    for t in range(LANES):
        row = order[at + min(t, m - 1)]
        e, f = row if own else 0, row if moving else 0
        for a in range(len(o)):
            if projections.size:
                y[a, t] = rows[row, o[a]]
                for j in range(len(pivot)):
                    y[a, t] -= projections[f, o[a], j] * pivot[j]
                    A[a, j, t] = projections[f, o[a], j] / scale[j]
            else:
                y[a, t] = (rows[row, o[a]] - pivot[o[a]]) * scale[o[a]]
            for b in range(a + 1):
                value = 0.0
                if full:
                    value = noise[e, o[a], o[b]]
                elif a == b:
                    value = noise[e, o[a], 0]
                if not projections.size:
                    value *= scale[o[a]] * scale[o[b]]
                R[a, b, t] = value


@njit(**OPTIONS)
def _widen(covariance, R, y, mean, o, T, u):  # type: ignore[no-untyped-def]
    """``T = Σ + R`` and ``u = y - μ``, of what was observed."""
    for a in range(len(o)):
        centre = mean[o[a]]
        for t in range(LANES):
            u[a, t] = y[a, t] - centre
        for b in range(a + 1):
            value = covariance[o[a], o[b]]
            for t in range(LANES):
                T[a, b, t] = R[a, b, t] + value


@njit(**OPTIONS)
def project(A, covariance, R, y, mean, p, C, T, u):  # type: ignore[no-untyped-def]
    """``T = A Σ Aᵀ + R`` and ``u = y - A μ``."""
    d = len(mean)
    for a in range(p):
        for t in range(LANES):
            u[a, t] = y[a, t]
        for j in range(d):
            centre = mean[j]
            for t in range(LANES):
                u[a, t] -= A[a, j, t] * centre
                C[a, j, t] = 0.0
            for s in range(d):
                value = covariance[s, j]
                for t in range(LANES):
                    C[a, j, t] += A[a, s, t] * value
        for b in range(a + 1):
            for t in range(LANES):
                T[a, b, t] = R[a, b, t]
            for j in range(d):
                for t in range(LANES):
                    T[a, b, t] += C[a, j, t] * A[b, j, t]


@njit(**OPTIONS)
def factorize(T, u, p, constant, joint):  # type: ignore[no-untyped-def]
    """Replace T by its Cholesky factor L, the diagonal inverted, and u by L⁻¹ u; log density."""
    product = np.ones(LANES)
    for t in range(LANES):
        joint[t] = constant
    for a in range(p):
        for b in range(a):
            for s in range(b):
                for t in range(LANES):
                    T[a, b, t] -= T[a, s, t] * T[b, s, t]
            for t in range(LANES):
                T[a, b, t] *= T[b, b, t]
        for s in range(a):
            for t in range(LANES):
                T[a, a, t] -= T[a, s, t] * T[a, s, t]
                u[a, t] -= T[a, s, t] * u[s, t]
        for t in range(LANES):
            T[a, a, t] = 1.0 / np.sqrt(T[a, a, t])
            u[a, t] *= T[a, a, t]
            joint[t] -= 0.5 * u[a, t] * u[a, t]
            product[t] *= T[a, a, t]
        if a % 4 == 3 or a == p - 1:  # four at a time neither overflow nor vanish
            for t in range(LANES):
                joint[t] += np.log(product[t])
                product[t] = 1.0


@njit(**OPTIONS)
def _back(T, u, p, v, P):  # type: ignore[no-untyped-def]
    """``P = L⁻ᵀ L⁻¹`` (its lower triangle) and ``v = L⁻ᵀ u``, from L in T, which is lost."""
    for b in range(p):  # T becomes L⁻¹, column by column
        for a in range(b + 1, p):
            for t in range(LANES):
                T[a, b, t] *= T[b, b, t]
            for s in range(b + 1, a):
                for t in range(LANES):
                    T[a, b, t] += T[a, s, t] * T[s, b, t]
            for t in range(LANES):
                T[a, b, t] *= -T[a, a, t]
    for a in range(p):
        for t in range(LANES):
            v[a, t] = 0.0
        for s in range(a, p):
            for t in range(LANES):
                v[a, t] += T[s, a, t] * u[s, t]
        for b in range(a + 1):
            for t in range(LANES):
                P[a, b, t] = 0.0
            for s in range(a, p):
                for t in range(LANES):
                    P[a, b, t] += T[s, a, t] * T[s, b, t]


@njit(**OPTIONS)
def back_project(T, A, u, p, U, v, P):  # type: ignore[no-untyped-def]
    """``U = L⁻¹ A``, then ``P = Uᵀ U`` (its lower triangle) and ``v = Uᵀ u``."""
    d = len(v)
    for a in range(p):
        for j in range(d):
            for t in range(LANES):
                U[a, j, t] = A[a, j, t]
            for s in range(a):
                for t in range(LANES):
                    U[a, j, t] -= T[a, s, t] * U[s, j, t]
            for t in range(LANES):
                U[a, j, t] *= T[a, a, t]
    for i in range(d):
        for t in range(LANES):
            v[i, t] = 0.0
        for s in range(p):
            for t in range(LANES):
                v[i, t] += U[s, i, t] * u[s, t]
        for j in range(i + 1):
            for t in range(LANES):
                P[i, j, t] = 0.0
            for s in range(p):
                for t in range(LANES):
                    P[i, j, t] += U[s, i, t] * U[s, j, t]


@njit(**_SUMMING)
def _add(shares, v, P, o, projected, sums, c):  # type: ignore[no-untyped-def]
    """Add shares, ``r v`` and ``r (v vᵀ - P)``; the lower triangles."""
    counts, first, second = sums
    total = 0.0
    for t in range(LANES):
        total += shares[t]
    counts[c] += total
    for a in range(len(v) if projected else len(o)):
        i = a if projected else o[a]
        total = 0.0
        for t in range(LANES):
            total += shares[t] * v[a, t]
        first[c, i] += total
        for b in range(a + 1):
            j = b if projected else o[b]
            total = 0.0
            for t in range(LANES):
                total += shares[t] * (v[a, t] * v[b, t] - P[a, b, t])
            second[c, i, j] += total
