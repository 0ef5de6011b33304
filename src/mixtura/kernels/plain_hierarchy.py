"""Agglomeration by the classification likelihood, in NumPy: the definition for the compiled one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EEE", "EII", "VII", "VVV", "agglomerate", "criterion"]

Array = NDArray[Any]

EII, VII, EEE, VVV = 0, 1, 2, 3


def criterion(mass: Array, scatter: Array, ridge: float, model: int) -> Array:
    """What a cluster of so much mass and scatter (..., d, d) adds to the criterion; not for EEE.

    ``tr W`` for EII, ``n d log((tr W / d + r) / n)`` for VII, ``n log det((W + r 1) / n)`` for VVV:
    twice the negative log-likelihood of its rows but for a constant (Fraley 1998), with `ridge` r
    in place of what a single row does not tell.

    Examples
    --------
    >>> import numpy as np
    >>> criterion(np.array(2.0), np.diag([1.0, 3.0]), 1.0, VVV).round(6)
    np.float64(1.386294)
    """
    d = scatter.shape[-1]
    trace = np.trace(scatter, axis1=-2, axis2=-1)
    if model == EII:
        return np.asarray(trace)
    if model == VII:
        return np.asarray(mass * d * np.log((trace / d + ridge) / mass))
    return np.asarray(mass * (np.linalg.slogdet(scatter + ridge * np.eye(d))[1] - d * np.log(mass)))


def agglomerate(rows: Array, weights: Array, ridge: float, model: int) -> tuple[Array, Array]:
    """Merge, again and again, the two clusters whose union raises the criterion least.

    Parameters
    ----------
    rows : (m, d)
        In coordinates where `ridge` is meant for all directions alike.
    weights : (m,)
        Positive.
    ridge : float
        Positive, in squared units of the rows; without effect for EII.
    model : int
        EII, VII, EEE or VVV. For EEE, whose clusters share one covariance, the criterion is
        ``N log det(Σ W + r 1)``.

    Returns
    -------
    merges : (m - 1, 2)
        The clusters merged, each by its first row; the union goes by the first of the two.
    costs : (m - 1,)
        By how much the criterion rose.

    Examples
    --------
    >>> import numpy as np
    >>> agglomerate(np.array([[0.0], [9.0], [1.0]]), np.ones(3), 1.0, EII)[0].tolist()
    [[0, 2], [0, 1]]
    """
    m, d = rows.shape
    means, mass = np.array(rows, dtype=np.float64), np.array(weights, dtype=np.float64)
    scatter, pooled = np.zeros((m, d, d)), ridge * np.eye(d)
    merges, costs = np.empty((m - 1, 2), np.intp), np.empty(m - 1)
    table = np.full((m, m), np.inf)
    active = np.ones(m, dtype=bool)
    for i in range(m - 1 if model != EEE else 0):
        table[i, i + 1 :] = _rises((means, mass, scatter), i, np.arange(i + 1, m), ridge, model)
    for step in range(m - 1):
        if model == EEE:
            table = _pooled_rises(means, mass, pooled, active)
        first, second = np.unravel_index(int(table.argmin()), table.shape)
        i, j = int(min(first, second)), int(max(first, second))
        merges[step], costs[step] = (i, j), table[first, second]
        off = means[i] - means[j]
        share = mass[j] / (mass[i] + mass[j])
        spread = mass[i] * share * np.outer(off, off)
        scatter[i] += scatter[j] + spread
        pooled = pooled + spread
        means[i] -= share * off
        mass[i] += mass[j]
        active[j] = False
        table[j], table[:, j], table[i], table[:, i] = np.inf, np.inf, np.inf, np.inf
        others = np.flatnonzero(active)
        others = others[others != i]
        if model != EEE and len(others):
            table[i, others] = _rises((means, mass, scatter), i, others, ridge, model)
    return merges, costs


def _rises(
    clusters: tuple[Array, Array, Array], i: int, others: Array, ridge: float, model: int
) -> Array:
    """By how much the criterion rises if cluster i joins each of the others."""
    means, mass, scatter = clusters
    off = means[others] - means[i]
    both = mass[others] + mass[i]
    factor = mass[others] * mass[i] / both
    if model == EII:
        return np.asarray(factor * np.einsum("ni,ni->n", off, off))
    spread = np.einsum("n,ni,nj->nij", factor, off, off)
    union = criterion(both, scatter[others] + scatter[i] + spread, ridge, model)
    apart = criterion(mass[others], scatter[others], ridge, model)
    return np.asarray(union - apart - criterion(mass[i], scatter[i], ridge, model))


def _pooled_rises(means: Array, mass: Array, pooled: Array, active: Array) -> Array:
    """By how much ``N log det`` of the common scatter rises for every pair: rank-one updates."""
    table = np.full((len(means), len(means)), np.inf)
    some = np.flatnonzero(active)
    white = np.linalg.solve(np.linalg.cholesky(pooled), means[some].T).T
    for place, i in enumerate(some[:-1]):
        rest = some[place + 1 :]
        off = white[place + 1 :] - white[place]
        factor = mass[i] * mass[rest] / (mass[i] + mass[rest])
        table[i, rest] = mass[some].sum() * np.log1p(factor * np.einsum("ni,ni->n", off, off))
    return table
