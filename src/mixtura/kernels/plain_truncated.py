"""The truncated E-step in NumPy: the definition that the compiled one must meet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.kernels.layout import width

__all__ = ["NOTHING", "TILE", "accumulate_truncated", "cut_by_best"]

Array = NDArray[Any]

TILE = 64
"""Rows at most that share a search."""

NOTHING = -37.0
"""Nats behind a row's best from which a component's share is lost in rounding: it is let go."""


def accumulate_truncated(
    rows: Array,
    pivot: Array,
    scale: Array,
    weights: Array,
    log_weights: Array,
    means: Array,
    factors: Array,
    log_norms: Array,
    shape: int,
    hard: bool,
    held: Array,
    near: Array,
) -> tuple[float, Array, Array]:
    """Free energy and sums of ``T(z - mean_k)`` where each row counts for few components.

    Rows of one best component are searched together, in tiles: among its neighbours and all that
    any of them held. Each row keeps the best of these.

    Parameters
    ----------
    rows, pivot, scale, weights, log_weights, means, factors, log_norms, shape, hard
        As in `mixtura.kernels.plain.accumulate_centred`.
    held : (n, C) int32
        The components that each row kept last, all different, the best first; -1 for none.
    near : (k, G) int32
        The components among which rows of a best component are searched. Without a column, all
        are, and of `held` only the shape counts.

    Returns
    -------
    free_energy : float
        ``sum_i w_i log sum_{c in kept_i} exp(log_joint_ic)``; with `hard`, of the best alone.
    sums : (k, p)
        ``sum_i w_i R_ik T(z_i - mean_k)``.
    kept : (n, C) int32
        Best first; of components that tie, those earlier in the search. Those without a share are
        let go, so that they need not be searched again: -1.

    Examples
    --------
    Two rows, of which each keeps one of two standard normals:

    >>> import numpy as np
    >>> one, zero, rows = np.ones(1), np.zeros(1), np.array([[0.1], [3.0]])
    >>> normals = np.zeros(2), np.array([[0.0], [3.0]]), np.ones((2, 1, 1)), np.zeros(2)
    >>> held, near = np.zeros((2, 1), np.int32), np.empty((2, 0), np.int32)
    >>> given = rows, zero, one, zero[:0], *normals, 0, False, held, near
    >>> accumulate_truncated(*given)[2].tolist()
    [[0], [1]]
    """
    from mixtura.kernels import plain

    joint = plain.log_joint(rows, pivot, scale, log_weights, means, factors, log_norms, shape)
    kept = np.full_like(held, -1)
    shares = np.zeros_like(joint)
    energy = 0.0
    for tile, listed in _searched(held, near):
        found = joint[np.ix_(tile, listed)]
        best = np.argsort(-found, axis=1, kind="stable")[:, : held.shape[1]]
        tops = np.take_along_axis(found, best, 1)
        behind = tops - tops[:, :1]
        lost = (behind <= NOTHING) | (hard & (np.arange(best.shape[1]) > 0))
        lost[:, 0] = False
        w = weights[tile] if len(weights) else np.ones(len(tile))
        gained, own = plain.assign(np.where(lost, -np.inf, tops).T, w, hard)
        energy += gained
        kept[tile, : best.shape[1]] = np.where(lost, -1, listed[best])
        shares[tile[:, None], listed[best]] = own.T
    sums = np.zeros((len(means), width(shape, len(pivot))))
    for c, mean in enumerate(means):
        own_rows = np.flatnonzero(shares[:, c])
        z = (rows[own_rows] - pivot) * scale - mean
        sums[c] = plain.features(z, shape) @ shares[own_rows, c]
    return energy, sums, kept


def cut_by_best(best: Array) -> tuple[Array, Array]:
    """The order of rows by their best component (n,), and where tiles of them end (t + 1,).

    >>> import numpy as np
    >>> [part.tolist() for part in cut_by_best(np.array([1, 0, 1], np.int32))]
    [[1, 0, 2], [0, 1, 3]]
    """
    order = np.argsort(best, kind="stable")
    sizes = np.bincount(best)
    begins = np.repeat(np.cumsum(sizes) - sizes, -(-sizes // TILE))
    nth = np.concatenate([np.arange(-(-size // TILE)) for size in sizes] or [np.empty(0, int)])
    return order, np.append(begins + TILE * nth, len(best))


def _searched(held: Array, near: Array) -> Iterator[tuple[Array, Array]]:
    """The tiles, each with the components it searches in turn."""
    if not near.shape[1]:
        yield np.arange(len(held)), np.arange(len(near))
        return
    order, edges = cut_by_best(held[:, 0])
    for start, stop in pairwise(edges):
        tile = order[start:stop]
        every = np.concatenate([near[held[tile[0], 0]], held[tile].ravel()])
        every = every[np.sort(np.unique(every, return_index=True)[1])]
        yield tile, every[every >= 0]
