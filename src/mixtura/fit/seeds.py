"""Where components might be: k seeds drawn from rows (m, d) with weights (m,)."""

from __future__ import annotations

import numpy as np

from mixtura import kernels
from mixtura._types import Array

LLOYD = 8
"""Lloyd's steps of a start."""


def plus_plus(rows: Array, weights: Array, k: int, rng: np.random.Generator) -> Array:
    """k-means++: each next seed drawn by weighted squared distance from the nearest so far."""
    return np.asarray(rows[kernels.active().spread(rows.T, weights, rng.random(k))])


def settled(rows: Array, weights: Array, places: Array, rounds: int) -> Array:
    """Where seeds (k, d) are after so many of Lloyd's steps at most; an empty one stays."""
    k = len(places)
    labels = kernels.active().lloyd(rows.T, weights, places, rounds)
    mass = np.bincount(labels, weights, k)
    sums = np.stack([np.bincount(labels, weights * column, k) for column in rows.T], axis=1)
    return np.where(mass[:, None] > 0, sums / np.maximum(mass, 1e-300)[:, None], places)


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
    places = plus_plus(rows, weights, told.shape[1], rng)
    known = named(rows, weights, told)
    return np.where(np.isnan(known), places, known)


def named(rows: Array, weights: Array, told: Array) -> Array:
    """Means (k, d) of the rows that the labels (m, k) tell apart, NaN where they name nobody."""
    sure = told * weights[:, None] * (told.min(axis=1) < told.max(axis=1))[:, None]
    mass = sure.sum(axis=0)
    return np.asarray(sure.T @ rows / np.where(mass > 0, mass, np.nan)[:, None])


def around(
    rows: Array, weights: Array, known: Array, rng: np.random.Generator, *, spread: bool
) -> Array:
    """Seeds (k, d) of which some are known, the others NaN: rows drawn in any order.

    By weight; or `spread` out, by weighted squared distance from the nearest, as in k-means++.
    """
    places, free = known.copy(), np.isnan(known[:, 0])
    nearest = np.full(len(rows), np.inf)
    for one in known[~free]:
        nearest = np.minimum(nearest, _distances(rows, one))
    for index in rng.permutation(np.flatnonzero(free)):
        chances = np.where(spread & np.isfinite(nearest), nearest, 1.0)
        places[index] = rows[_pick(weights * chances, rng.random())]
        nearest = np.minimum(nearest, _distances(rows, places[index]))
    return places


def _pick(chances: Array, draw: float) -> int:
    """The index at which the running sum of the chances passes the share `draw`."""
    running = np.cumsum(chances)
    if running[-1] <= 0:
        return int(draw * len(chances))
    return min(int(np.searchsorted(running, draw * running[-1], "right")), len(chances) - 1)


def _distances(rows: Array, point: Array) -> Array:
    return np.asarray(((rows - point) ** 2).sum(axis=1))
