"""Agglomeration by the classification likelihood, compiled.

The rise of the criterion is kept for every pair, and for every cluster the partner whose rise is
least, so that a merge costs about one pass over the clusters. For the common covariance all rises
change with every merge, but fall by a factor that is known: rises of before are bounds, and only
the clusters whose bound is lowest are looked at again.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart
from mixtura.kernels.plain_hierarchy import EEE, EII, VII, VVV

__all__ = ["agglomerate"]

_EII, _VII, _EEE, _VVV = EII, VII, EEE, VVV


@njit(**OPTIONS)
def agglomerate(rows, weights, ridge, model, merges, costs):  # type: ignore[no-untyped-def]
    """Write the merges and by how much each raises the criterion."""
    keep_apart()
    m, d = rows.shape
    means, mass = rows.copy(), weights.copy()
    if model == _EEE:
        _pooled(means, mass, ridge, merges, costs)
        return
    scatter = np.zeros((m, d * (d + 1) // 2 if model == _VVV else 1))
    own, work = np.empty(m), np.empty(d * (d + 1) // 2)
    size = np.ones(m, np.int64)
    for i in range(m):
        own[i] = _alone(mass[i], d, ridge, model)
    clusters = means, mass, scatter, own, size
    table, nearest, best = np.full((m, m), np.inf), np.zeros(m, np.int64), np.full(m, np.inf)
    for i in range(m):
        for j in range(i):
            table[i, j] = table[j, i] = _rise(clusters, i, j, ridge, model, work)
    for i in range(m):
        _look(table, i, nearest, best)
    for step in range(m - 1):
        i = np.argmin(best)
        i, j = min(i, nearest[i]), max(i, nearest[i])
        merges[step, 0], merges[step, 1], costs[step] = i, j, table[i, j]
        own[i] += own[j] + table[i, j]
        _join(clusters, i, j, model)
        best[j] = np.inf
        for h in range(m):
            table[h, j] = table[j, h] = np.inf
        for h in range(m):
            if h != i and size[h] > 0:
                table[h, i] = table[i, h] = _rise(clusters, i, h, ridge, model, work)
        for h in range(m):
            if size[h] == 0:
                continue
            if h == i or nearest[h] == i or nearest[h] == j:
                _look(table, h, nearest, best)
            elif table[h, i] < best[h]:
                best[h], nearest[h] = table[h, i], i


@njit(**OPTIONS)
def _alone(mass, d, ridge, model):  # type: ignore[no-untyped-def]
    """The criterion of a single row."""
    return 0.0 if model == _EII else mass * d * np.log(ridge / mass)


@njit(**OPTIONS)
def _look(table, i, nearest, best):  # type: ignore[no-untyped-def]
    """Find a cluster's best partner."""
    best[i] = np.inf
    for j in range(len(table)):
        if table[i, j] < best[i]:
            best[i], nearest[i] = table[i, j], j


@njit(**OPTIONS)
def _rise(clusters, i, j, ridge, model, work):  # type: ignore[no-untyped-def]
    """By how much the criterion rises if clusters i and j become one."""
    means, mass, scatter, own, size = clusters
    d = means.shape[1]
    both = mass[i] + mass[j]
    factor = mass[i] * mass[j] / both
    apart = 0.0
    for c in range(d):
        apart += (means[i, c] - means[j, c]) ** 2
    if model == _EII:
        return factor * apart
    if model == _VII:
        trace = scatter[i, 0] + scatter[j, 0] + factor * apart
        return both * d * np.log((trace / d + ridge) / both) - own[i] - own[j]
    if size[i] == 1 and size[j] == 1:
        log_det = (d - 1) * np.log(ridge) + np.log(ridge + factor * apart)
    else:
        f = 0
        for a in range(d):
            off = factor * (means[i, a] - means[j, a])
            for b in range(a + 1):
                work[f] = scatter[i, f] + scatter[j, f] + off * (means[i, b] - means[j, b])
                f += 1
            work[f - 1] += ridge
        log_det = _log_det(work, d)
    return both * (log_det - d * np.log(both)) - own[i] - own[j]


@njit(**OPTIONS)
def _log_det(packed, d):  # type: ignore[no-untyped-def]
    """log det of a positive definite matrix, packed by rows of its lower triangle; overwrites."""
    total, product = 0.0, 1.0
    for a in range(d):
        row = a * (a + 1) // 2
        for b in range(a + 1):
            column = b * (b + 1) // 2
            rest = packed[row + b]
            for c in range(b):
                rest -= packed[row + c] * packed[column + c]
            if b < a:
                packed[row + b] = rest * packed[column + b]
            else:
                rest = max(rest, 1e-300)
                packed[row + b] = 1.0 / np.sqrt(rest)
                product *= rest
                if not 1e-100 < product < 1e100:
                    total, product = total + np.log(product), 1.0
    return total + np.log(product)


@njit(**OPTIONS)
def _join(clusters, i, j, model):  # type: ignore[no-untyped-def]
    """Cluster i takes in cluster j."""
    means, mass, scatter, _, size = clusters
    d = means.shape[1]
    both = mass[i] + mass[j]
    factor = mass[i] * mass[j] / both
    f = 0
    for a in range(d):
        off = means[i, a] - means[j, a]
        if model == _VVV:
            for b in range(a + 1):
                scatter[i, f] += scatter[j, f] + factor * off * (means[i, b] - means[j, b])
                f += 1
        else:
            scatter[i, 0] += factor * off * off
    if model != _VVV:
        scatter[i, 0] += scatter[j, 0]
    for a in range(d):
        means[i, a] += mass[j] / both * (means[j, a] - means[i, a])
    mass[i] = both
    size[i] += size[j]
    size[j] = 0


@njit(**OPTIONS)
def _pooled(means, mass, ridge, merges, costs):  # type: ignore[no-untyped-def]
    """Clusters with one covariance in common.

    ``det(A + f δδᵀ) = det A (1 + f δᵀA⁻¹δ)``, and as A grows by such a term with quotient q, no
    other quotient falls by more than the factor 1 + q.
    """
    m, d = means.shape
    lower, scatter = np.eye(d) * np.sqrt(ridge), np.eye(d) * ridge
    white, there = np.empty((m, d)), np.ones(m, np.bool_)
    bound, nearest, fresh = np.zeros(m), np.zeros(m, np.int64), np.zeros(m, np.bool_)
    total = mass.sum()
    for step in range(m - 1):
        _whiten(means, there, lower, white)
        fresh[:] = False
        i = np.argmin(bound)
        while not fresh[i]:
            _nearest_white(white, mass, there, i, nearest, bound)
            fresh[i] = True
            i = np.argmin(bound)
        quotient = bound[i]
        i, j = min(i, nearest[i]), max(i, nearest[i])
        merges[step, 0], merges[step, 1], costs[step] = i, j, total * np.log1p(quotient)
        both = mass[i] + mass[j]
        factor = mass[i] * mass[j] / both
        for a in range(d):
            for b in range(d):
                scatter[a, b] += factor * (means[i, a] - means[j, a]) * (means[i, b] - means[j, b])
        for a in range(d):
            means[i, a] += mass[j] / both * (means[j, a] - means[i, a])
        mass[i], there[j] = both, False
        _factor(scatter, lower)
        for h in range(m):
            bound[h] = bound[h] / (1.0 + quotient) if there[h] else np.inf
        _whiten(means, there, lower, white)
        _approach(white, mass, there, i, bound)


@njit(**OPTIONS)
def _whiten(means, there, lower, white):  # type: ignore[no-untyped-def]
    """Coordinates in which the common scatter is the identity."""
    d = means.shape[1]
    for h in range(len(means)):
        if there[h]:
            for a in range(d):
                rest = means[h, a]
                for b in range(a):
                    rest -= lower[a, b] * white[h, b]
                white[h, a] = rest / lower[a, a]


@njit(**OPTIONS)
def _quotient(white, mass, i, j):  # type: ignore[no-untyped-def]
    apart = 0.0
    for a in range(white.shape[1]):
        apart += (white[i, a] - white[j, a]) ** 2
    return mass[i] * mass[j] / (mass[i] + mass[j]) * apart


@njit(**OPTIONS)
def _nearest_white(white, mass, there, i, nearest, bound):  # type: ignore[no-untyped-def]
    """The partner of a cluster, exactly."""
    bound[i] = np.inf
    for j in range(len(white)):
        if there[j] and j != i:
            quotient = _quotient(white, mass, i, j)
            if quotient < bound[i]:
                bound[i], nearest[i] = quotient, j


@njit(**OPTIONS)
def _approach(white, mass, there, i, bound):  # type: ignore[no-untyped-def]
    """The union may be nearer to others than anything before."""
    bound[i] = 0.0
    for h in range(len(white)):
        if there[h] and h != i:
            bound[h] = min(bound[h], _quotient(white, mass, i, h))


@njit(**OPTIONS)
def _factor(scatter, lower):  # type: ignore[no-untyped-def]
    """Write the Cholesky factor."""
    d = len(scatter)
    for a in range(d):
        for b in range(a + 1):
            rest = scatter[a, b]
            for c in range(b):
                rest -= lower[a, c] * lower[b, c]
            lower[a, b] = np.sqrt(max(rest, 1e-300)) if a == b else rest / lower[b, b]
