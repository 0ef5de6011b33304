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
    if m < 2:
        return
    if model == _EEE:
        _pooled(means, mass, ridge, merges, costs)
        return
    scatter = np.zeros((m, d * (d + 1) // 2 if model == _VVV else 1))
    own, work = np.empty(m), np.empty(d * (d + 1) // 2)
    size, there = np.ones(m, np.int64), np.arange(m)
    for i in range(m):
        own[i] = 0.0 if model == _EII else mass[i] * d * np.log(ridge / mass[i])
    table, nearest, best = np.empty((m, m)), np.zeros(m, np.int64), np.full(m, np.inf)
    rises = np.empty(m)
    for i in range(1, m):
        _rises(means, mass, scatter, own, size, there[:i], i, ridge, model, work, rises)
        for j in range(i):
            table[i, j] = rises[j]
            _nearer(rises[j], i, j, nearest, best)
            _nearer(rises[j], j, i, nearest, best)
    for count in range(m, 1, -1):
        i = _least(best, there[:count])
        i, j = min(i, nearest[i]), max(i, nearest[i])
        step = m - count
        merges[step, 0], merges[step, 1], costs[step] = i, j, table[j, i]
        own[i] += own[j] + table[j, i]
        _join(means, mass, scatter, i, j, model)
        size[i] += size[j]
        _leave(there[:count], j)
        others = there[: count - 1]
        best[i] = np.inf
        _rises(means, mass, scatter, own, size, others, i, ridge, model, work, rises)
        for place in range(len(others)):
            h = others[place]
            if h != i:
                table[max(i, h), min(i, h)] = rises[place]
                _nearer(rises[place], i, h, nearest, best)
        for place in range(len(others)):
            h = others[place]
            if h != i and (nearest[h] == i or nearest[h] == j):
                _look(table, others, h, nearest, best)
            elif h != i:
                _nearer(rises[place], h, i, nearest, best)


@njit(**OPTIONS)
def _nearer(rise, i, j, nearest, best):  # type: ignore[no-untyped-def]
    """Note j as the partner of i if no other is as near."""
    if rise < best[i]:
        best[i], nearest[i] = rise, j


@njit(**OPTIONS)
def _least(best, there):  # type: ignore[no-untyped-def]
    """The cluster whose partner is nearest."""
    found = there[0]
    for h in there:
        if best[h] < best[found]:
            found = h
    return found


@njit(**OPTIONS)
def _leave(there, j):  # type: ignore[no-untyped-def]
    """Close the gap that cluster j leaves in the list of clusters."""
    gone = False
    for place in range(len(there) - 1):
        gone |= there[place] == j
        if gone:
            there[place] = there[place + 1]


@njit(**OPTIONS)
def _look(table, others, i, nearest, best):  # type: ignore[no-untyped-def]
    """Find a cluster's best partner among the others, which are in order."""
    least, found = np.inf, i
    for j in others:
        if j != i:
            rise = table[i, j] if j < i else table[j, i]
            if rise < least:
                least, found = rise, j
    best[i], nearest[i] = least, found


@njit(**OPTIONS)
def _rises(means, mass, scatter, own, size, others, i, ridge, model, work, out):  # type: ignore[no-untyped-def]
    """Write by how much the criterion rises if cluster i joins each of the others."""
    keep_apart()
    d = means.shape[1]
    for place in range(len(others)):
        h = others[place]
        both = mass[i] + mass[h]
        factor = mass[i] * mass[h] / both
        apart = 0.0
        for c in range(d):
            apart += (means[i, c] - means[h, c]) ** 2
        if model == _EII:
            out[place] = factor * apart
            continue
        if model == _VII:
            trace = scatter[i, 0] + scatter[h, 0] + factor * apart
            out[place] = both * d * np.log((trace / d + ridge) / both) - own[i] - own[h]
            continue
        if size[i] == 1 and size[h] == 1:
            log_det = (d - 1) * np.log(ridge) + np.log(ridge + factor * apart)
        else:
            f = 0
            for a in range(d):
                off = factor * (means[i, a] - means[h, a])
                for b in range(a + 1):
                    work[f] = scatter[i, f] + scatter[h, f] + off * (means[i, b] - means[h, b])
                    f += 1
                work[f - 1] += ridge
            log_det = _log_det(work, d)
        out[place] = both * (log_det - d * np.log(both)) - own[i] - own[h]


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
def _join(means, mass, scatter, i, j, model):  # type: ignore[no-untyped-def]
    """Cluster i takes in cluster j."""
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


@njit(**OPTIONS)
def _pooled(means, mass, ridge, merges, costs):  # type: ignore[no-untyped-def]
    """Clusters with one covariance in common.

    ``det(A + f δδᵀ) = det A (1 + f δᵀA⁻¹δ)``, and as A grows by such a term with quotient q, no
    other quotient falls by more than the factor 1 + q.
    """
    m, d = means.shape
    lower, scatter = np.eye(d) * np.sqrt(ridge), np.eye(d) * ridge
    white, off, there = np.empty((d, m)), np.empty(d), np.arange(m)
    bound, nearest, fresh = np.zeros(m), np.zeros(m, np.int64), np.zeros(m, np.bool_)
    total, squared, i = mass.sum(), np.empty(m), 0
    for count in range(m, 1, -1):
        others = there[:count]
        _whiten(means, others, lower, white)
        if count < m:
            _approach(white, mass, others, i, bound, squared)
        fresh[:] = False
        i = _least(bound, others)
        while not fresh[i]:
            _nearest_white(white, mass, others, i, nearest, bound, squared)
            fresh[i] = True
            i = _least(bound, others)
        quotient = bound[i]
        i, j = min(i, nearest[i]), max(i, nearest[i])
        step = m - count
        merges[step, 0], merges[step, 1], costs[step] = i, j, total * np.log1p(quotient)
        both = mass[i] + mass[j]
        for a in range(d):
            off[a] = means[i, a] - means[j, a]
            means[i, a] -= mass[j] / both * off[a]
        for a in range(d):
            for b in range(d):
                scatter[a, b] += mass[i] * mass[j] / both * off[a] * off[b]
        mass[i] = both
        _factor(scatter, lower)
        _leave(others, j)
        for h in others:
            bound[h] /= 1.0 + quotient


@njit(**OPTIONS)
def _whiten(means, there, lower, white):  # type: ignore[no-untyped-def]
    """Coordinates in which the common scatter is the identity, for the clusters in order."""
    keep_apart()
    d = means.shape[1]
    for place in range(len(there)):
        h = there[place]
        for a in range(d):
            rest = means[h, a]
            for b in range(a):
                rest -= lower[a, b] * white[b, place]
            white[a, place] = rest / lower[a, a]


@njit(**OPTIONS)
def _squared(white, place, count, squared):  # type: ignore[no-untyped-def]
    """Squared distances of all clusters from one."""
    keep_apart()
    for other in range(count):
        squared[other] = 0.0
    for a in range(len(white)):
        here = white[a, place]
        for other in range(count):
            squared[other] += (white[a, other] - here) ** 2


@njit(**OPTIONS)
def _nearest_white(white, mass, there, i, nearest, bound, squared):  # type: ignore[no-untyped-def]
    """The partner of a cluster, exactly."""
    _squared(white, np.searchsorted(there, i), len(there), squared)
    bound[i] = np.inf
    for place in range(len(there)):
        j = there[place]
        if j != i:
            quotient = mass[i] * mass[j] / (mass[i] + mass[j]) * squared[place]
            _nearer(quotient, i, j, nearest, bound)


@njit(**OPTIONS)
def _approach(white, mass, there, i, bound, squared):  # type: ignore[no-untyped-def]
    """The union may be nearer to others than anything before."""
    _squared(white, np.searchsorted(there, i), len(there), squared)
    bound[i] = 0.0
    for place in range(len(there)):
        h = there[place]
        if h != i:
            factor = mass[h] * mass[i] / (mass[h] + mass[i])
            bound[h] = min(bound[h], factor * squared[place])


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
