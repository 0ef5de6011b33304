"""Where components might be: k seeds drawn from rows (m, d) with weights (m,)."""

from __future__ import annotations

import numpy as np

from mixtura import kernels
from mixtura._types import Array


def plus_plus(rows: Array, weights: Array, k: int, rng: np.random.Generator) -> Array:
    """k-means++: each next seed drawn by weighted squared distance from the nearest so far."""
    return np.asarray(rows[kernels.active().spread(rows.T, weights, rng.random(k))])


def farthest(rows: Array, weights: Array, k: int, rng: np.random.Generator) -> Array:
    """A random row, then always the row farthest from all chosen (Gonzalez 1985).

    A tenth of the rows enters, so that outliers rarely do.
    """
    size = min(len(rows), max(10 * k, len(rows) // 10))
    race = rng.random(len(rows)) ** (1.0 / np.maximum(weights, 1e-300))
    some = rows[np.sort(np.argsort(-race, kind="stable")[:size])]
    chosen = [0]
    nearest = _distances(some, some[0])
    for _ in range(k - 1):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _distances(some, some[chosen[-1]]))
    return np.asarray(some[chosen])


def random(rows: Array, weights: Array, k: int, rng: np.random.Generator) -> Array:
    """k rows drawn by weight."""
    return np.asarray(rows[[_pick(weights, draw) for draw in rng.random(k)]])


def labelled(rows: Array, weights: Array, told: Array, rng: np.random.Generator) -> Array:
    """Means of the rows that the labels (m, k) tell apart; k-means++ where they name nobody."""
    k = told.shape[1]
    sure = told * weights[:, None] * (told.min(axis=1) < told.max(axis=1))[:, None]
    mass = sure.sum(axis=0)
    named = mass > 0
    places = plus_plus(rows, weights, k, rng)
    places[named] = sure.T[named] @ rows / mass[named, None]
    return places


def _pick(chances: Array, draw: float) -> int:
    """The index at which the running sum of the chances passes the share `draw`."""
    running = np.cumsum(chances)
    if running[-1] <= 0:
        return int(draw * len(chances))
    return min(int(np.searchsorted(running, draw * running[-1], "right")), len(chances) - 1)


def _distances(rows: Array, point: Array) -> Array:
    return np.asarray(((rows - point) ** 2).sum(axis=1))
