"""Order statistics of what a function says of each row, wherever the rows are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from mixtura._types import Array
from mixtura.block import Block
from mixtura.source.protocol import Source
from mixtura.source.remote import RemoteSource
from mixtura.trimming import Place

Values = Callable[[Block], tuple[Array, Array]]
"""A block's values (m,) and their weights. A pure function that can be pickled."""

_HERE, _ELSEWHERE = 1 << 22, 1 << 16
"""Rows whose values are looked at together, where rows are at hand and where they are not."""

_KNOTS = 512
"""Values that a block sends of the rows in question, which are so many times fewer after a pass."""


def place(source: Source, values: Values, below: Callable[[float], float]) -> Place:
    """The least value such that more than ``below(total)`` of the weight lies at it or under.

    The greatest value where that is all of it. Exact: each pass brackets the value between some of
    the blocks' own order statistics (Munro & Paterson 1980), until few are in question.

    Examples
    --------
    >>> from mixtura.source import MemorySource
    >>> from mixtura.source.ranks import place
    >>> rows = MemorySource(np.array([[3.0], [1.0], [2.0], [2.0]]))
    >>> place(rows, lambda block: (block.rows[:, 0], block.weight()), lambda total: 1.0)
    Place(level=2.0, under=1.0, weight=2.0, total=4.0)
    """
    most = _ELSEWHERE if isinstance(source, RemoteSource) else _HERE
    knots = 0 if source.n <= most else _KNOTS
    low, high = -np.inf, np.inf
    while True:
        found = source.map(partial(_bracketed, values, low=low, high=high, knots=knots))
        base, total = (float(sum(one[i] for one in found)) for i in range(2))
        keys, under, weights = (np.concatenate([one[i] for one in found]) for i in range(2, 5))
        wanted = below(total)
        order = np.argsort(keys, kind="stable")
        keys, running = keys[order], base + np.cumsum(weights[order])
        first = min(int(np.searchsorted(running, wanted, "right")), len(keys) - 1)
        if all(one[5] for one in found):
            return _placed(keys, weights[order], first, base, total)
        before = low, high
        high, begun = float(keys[first]), np.argsort(under, kind="stable")
        bound = base + np.concatenate([[0.0], np.cumsum(weights[begun])])
        bound = bound[np.searchsorted(under[begun], keys, "left")]  # that may lie at each or under
        sure = np.flatnonzero((bound <= wanted) & (keys < high))
        low = max(low, float(keys[sure[-1]])) if len(sure) else low
        knots = 0 if (low, high) == before else knots  # rounded weights may hide where it is


def place_of(values: Array, weights: Array, below: Callable[[float], float]) -> Place:
    """The same of values (n,) at hand."""
    order, total = np.argsort(values, kind="stable"), float(weights.sum())
    running = np.cumsum(weights[order])
    first = min(int(np.searchsorted(running, below(total), "right")), len(values) - 1)
    return _placed(values[order], weights[order], first, 0.0, total)


def quantile(source: Source, values: Values, share: float) -> float:
    """The value below which the share lies, as `numpy.quantile`; weights count repetitions."""
    spot = partial(_spot, share)
    low = place(source, values, lambda total: float(np.floor(spot(total))))
    step = spot(low.total) - float(np.floor(spot(low.total)))
    if step == 0.0:
        return low.level
    high = place(source, values, lambda total: float(np.floor(spot(total))) + 1.0).level
    return float(low.level + step * (high - low.level))


def _spot(share: float, total: float) -> float:
    return share * max(total - 1.0, 0.0)


def _bracketed(
    values: Values, block: Block, *, low: float, high: float, knots: int
) -> tuple[float, float, Array, Array, Array, bool]:
    """Weight up to `low` and in all; values above it up to `high`, or some of them.

    Of some with the weight from the one before on, and what that one was.
    """
    keys, weights = values(block)
    if not knots:
        return 0.0, float(weights.sum()), keys, keys[:0], weights, True
    inside = (keys > low) & (keys <= high)
    base, total = float(weights[keys <= low].sum()), float(weights.sum())
    keys, back = np.unique(keys[inside], return_inverse=True)
    weights = np.bincount(back.ravel(), weights[inside], len(keys))
    before = np.concatenate([[low], keys[:-1]])[: len(keys)]
    if len(keys) <= knots:
        return base, total, keys, before, weights, True
    ends = np.linspace(0, len(keys) - 1, knots + 1).astype(np.intp)[1:]
    starts = np.concatenate([[0], ends[:-1] + 1])
    return base, total, keys[ends], before[starts], np.add.reduceat(weights, starts), False


def _placed(keys: Array, weights: Array, first: int, base: float, total: float) -> Place:
    level = float(keys[first])
    under = base + float(weights[keys < level].sum())
    return Place(level, under, float(weights[keys == level].sum()), total)
