"""Many climbs from one start, each over its own rows or its own row weights, in one compiled call.

A bootstrap replicate is the same rows with other weights, many of them zero: the rows that count
are gathered once, and the climb of `compiled_climb` runs over these alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mixtura.kernels.compiled import _call, _frozen, _packed, _plan, _points, _unpacked
from mixtura.kernels.compiled_climb import _climb
from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart
from mixtura.kernels.layout import FULL, LINEAR, SPHERICAL, second_width, width

__all__ = ["Ends", "replicates"]

Array = NDArray[Any]

_FULL, _SPHERICAL = FULL, SPHERICAL


class Ends(NamedTuple):
    """Where the climbs ended, in frame coordinates; E climbs.

    Attributes
    ----------
    weights, means : (E, k), (E, k, d)
    covariances : (E, k, d, d), (E, k, d) or (E, k)
        By shape; all equal if pooled.
    values : (E,)
        Objective per unit of row weight.
    n_iter : (E,)
    remaining : (E,)
        Aitken estimates of what the objectives would still gain.
    status : (E,)
        As in `compiled.Climb`.
    """

    weights: Array
    means: Array
    covariances: Array
    values: Array
    n_iter: Array
    remaining: Array
    status: Array


@njit(**OPTIONS)
def _gather(rows, row_weights, some, w):  # type: ignore[no-untyped-def]
    """Copy the rows of positive weight to the front of `some`; how many, and their mass."""
    n, d = rows.shape
    m, mass = 0, 0.0
    for i in range(n):
        weight = row_weights[i] if row_weights.size else 1.0
        if weight > 0.0:
            for j in range(d):
                some[m, j] = rows[i, j]
            w[m] = weight
            mass += weight
            m += 1
    return m, mass


@njit(**OPTIONS)
def _total(some, w, m, pivot, scale, shape, total):  # type: ignore[no-untyped-def]
    """Second moments of all rows together, which a pooled covariance needs once."""
    keep_apart()
    d = len(pivot)
    z = np.empty(d)
    total[:] = 0.0
    for r in range(m):
        for j in range(d):
            z[j] = (some[r, j] - pivot[j]) * scale[j]
        f = 0
        for i in range(d):
            for j in range(i, d if shape == _FULL else i + 1):
                total[f] += w[r] * z[i] * z[j]
                f += 0 if shape == _SPHERICAL else 1


@njit(**OPTIONS)
def _replicates(  # type: ignore[no-untyped-def]
    rows, row_weights, start, points, data, model, prior, limits, most, tol, noise, ends
):
    """Climb from `start` over each n of the rows (n or E n, d) under the weights (0 or E, n)."""
    weights, means, covariances, _, _, values = points
    pivot, scale, pair, constants, b, q, step, single, total, some, w, trace = data
    end_weights, end_means, end_covariances, facts = ends
    nothing = np.empty(0, np.int32)
    n = len(w)
    for e in range(len(facts)):
        own = rows[e * n : e * n + n] if len(rows) > n else rows
        mine = row_weights[e] if len(row_weights) else row_weights.reshape(-1)
        m, mass = _gather(own, mine, some, w)
        if len(total):
            _total(some, w, m, pivot, scale, model[0], total)
        weights[0], means[0], covariances[0] = start[0][0], start[1][0], start[2][0]
        here = pivot, scale, w[:m], pair, constants, mass, total, b, q, step, single
        slot, _, steps, left, status = _climb(
            some[:m], points, here, nothing, model, prior, limits, most, tol, True, noise, trace
        )
        end_weights[e], end_means[e], end_covariances[e] = (
            weights[slot],
            means[slot],
            covariances[slot],
        )
        facts[e, 0], facts[e, 1] = values[slot], steps
        facts[e, 2], facts[e, 3] = left, status


def replicates(
    rows: Array,
    pivot: Array,
    scale: Array,
    row_weights: Array,
    start: tuple[Array, Array, Array],
    shape: int,
    pooled: bool,
    *,
    most: int,
    tol: float,
    prior: tuple[Array, Array, Array],
    ridge: Array,
    floor: float,
    loss: float,
) -> Ends:
    """Run EM from one start over each replicate of the rows.

    Parameters
    ----------
    rows : (E, n, d), or (1, n, d) where only the weights differ
    pivot, scale, shape, pooled, prior, ridge, floor, loss
        As in `compiled.race`.
    row_weights : (E, n), or (0, n) for ones
    start : weights (k,), means (k, d), covariances (k, d, d), (k, d) or (k,)
    most : int
        E+M steps at most, each.
    tol : float
        In nats per unit of row weight.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[[-1.5], [-0.5], [9.5], [10.5]]])
    >>> start = np.full(2, 0.5), np.array([[0.0], [8.0]]), np.ones((2, 1, 1))
    >>> twice = np.array([[1.0, 1, 1, 1], [1, 1, 1, 3]])
    >>> nothing = np.zeros((2, 3)), np.zeros(2), np.zeros(2)
    >>> ends = replicates(rows, np.zeros(1), np.ones(1), twice, start, 0, False, most=99, tol=1e-9,
    ...                   prior=nothing, ridge=np.zeros(1), floor=1e-12, loss=1e-9)
    >>> ends.means[..., 0].round(6).tolist()
    [[-1.0, 10.0], [-1.0, 10.25]]
    """
    _, n, d = rows.shape
    k, count = len(start[0]), max(len(rows), len(row_weights))
    rows = np.require(rows, np.float64, ["C", "A"]).reshape(-1, d)
    inner = LINEAR if pooled else shape
    pair, constants, *tile = _plan(rows[:n], k, inner)
    first = tuple(part[None] for part in start)
    given = tuple(_frozen(part) for part in (*first[:2], _packed(first[2], shape)))
    points = _points(given, width(inner, d), pair.shape[1])
    buffers = (
        np.empty((k, width(inner, d))),
        np.empty(second_width(shape, d) if pooled else 0),
        np.empty((n, d)),
        np.empty(n),
        np.empty(most + 1),
    )
    ends = tuple(np.empty((count, *part.shape[1:])) for part in given)
    facts = np.empty((count, 4))
    _call(
        _replicates,
        rows,
        _frozen(row_weights),
        given,
        points,
        (_frozen(pivot), _frozen(scale), pair, constants, *tile, *buffers),
        (int(shape), bool(pooled), False, _frozen(ridge)),
        tuple(map(_frozen, prior)),
        (float(floor), float(loss * 2.0**53)),
        int(most),
        float(tol),
        1e-14,
        (*ends, facts),
    )
    dense = _unpacked(ends[2], shape, d)
    return Ends(ends[0], ends[1], dense, facts[:, 0], facts[:, 1], facts[:, 2], facts[:, 3])
