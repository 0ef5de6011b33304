"""Agglomeration by the classification likelihood, in NumPy: the definition for the compiled one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EEE", "EII", "VII", "VVV", "agglomerate"]

Array = NDArray[Any]

EII, VII, EEE, VVV = 0, 1, 2, 3


def agglomerate(rows: Array, weights: Array, ridge: float, model: int) -> tuple[Array, Array]:
    """Merge, again and again, the two clusters whose union raises the criterion least.

    Parameters
    ----------
    rows : (m, d)
        In coordinates where `ridge` is meant for all directions alike.
    weights : (m,)
        Positive.
    ridge : float
        r, positive, in squared units of the rows; without effect for EII.
    model : int
        The criterion, with n rows and scatter W in a cluster and N rows in all (Fraley 1998):
        EII ``Σ tr W``; VII ``Σ n d log((tr W / d + r) / n)``; VVV ``Σ n log det((W + r 1) / n)``;
        EEE ``N log det(Σ W + r 1)``.

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
    scatter = np.zeros((m, d, d) if model == VVV else m)
    own = _alone(mass, scatter, d, ridge, model)
    pooled, active = ridge * np.eye(d), np.ones(m, dtype=bool)
    merges, costs = np.empty((m - 1, 2), np.intp), np.empty(m - 1)
    table = np.full((m, m), np.inf)
    for i in range(m - 1 if model != EEE else 0):
        rest = np.arange(i + 1, m)
        table[i, rest] = _rises((means, mass, scatter, own), i, rest, ridge, model)
    for step in range(m - 1):
        if model == EEE:
            table = _pooled_rises(means, mass, pooled, active)
        pair = divmod(int(table.argmin()), m)
        i, j = min(pair), max(pair)
        merges[step], costs[step] = (i, j), table[pair]
        off = means[i] - means[j]
        share = mass[j] / (mass[i] + mass[j])
        spread = mass[i] * share * np.outer(off, off)
        scatter[i] += scatter[j] + (spread if model == VVV else np.trace(spread))
        pooled = pooled + spread
        means[i] -= share * off
        mass[i] += mass[j]
        active[j] = False
        if model != EEE:
            own[i] += own[j] + costs[step]
            table[j], table[:, j], table[i], table[:, i] = np.inf, np.inf, np.inf, np.inf
            others = np.flatnonzero(active)
            others = others[others != i]
            table[i, others] = _rises((means, mass, scatter, own), i, others, ridge, model)
    return merges, costs


def _alone(mass: Array, scatter: Array, d: int, ridge: float, model: int) -> Array:
    """What clusters add to the criterion, from their scatter (n, d, d) or its trace (n,)."""
    if model == VVV:
        shape = np.linalg.slogdet(scatter + ridge * np.eye(d))[1]
        return np.asarray(mass * (shape - d * np.log(mass)))
    return np.asarray(scatter if model == EII else mass * d * np.log((scatter / d + ridge) / mass))


def _rises(
    clusters: tuple[Array, Array, Array, Array], i: int, others: Array, ridge: float, model: int
) -> Array:
    """By how much the criterion rises if cluster i joins each of the others."""
    means, mass, scatter, own = clusters
    off = means[others] - means[i]
    both = mass[others] + mass[i]
    factor = mass[others] * mass[i] / both
    if model == VVV:
        spread = factor[:, None, None] * off[:, :, None] * off[:, None, :]
    else:
        spread = factor * np.einsum("ni,ni->n", off, off)
    union = _alone(both, scatter[others] + scatter[i] + spread, off.shape[1], ridge, model)
    return np.asarray(union - own[others] - own[i])


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
