"""What the columns of a source are like: weights, means and deviations of the observed cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtura._types import Array, Rows
from mixtura.block import Block
from mixtura.source import Source
from mixtura.tree import tree_sum

_LEAST = 0.01
"""Share of a column's variance, at least, that is not taken for measurement errors."""

_TILE = 1 << 13
"""Numbers that are worked on at a time: in the cache, and cheap to make room for."""

_ABREAST = 16
"""Rows that are seen as one, as loops over a few columns are slow."""


@dataclass(frozen=True, eq=False)
class Summary:
    """The observed cells column by column: weight, mean, and deviation as a power of two's fit.

    Attributes
    ----------
    weight : float
        Total weight of the rows.
    observed : (d,)
        Weight of the rows in which the column was observed.
    mean : (d,)
    deviation : (d,)
        Zero for a constant column.
    patterns : int
        Of observed coordinates, in the block that has the most.
    measured : bool
        Whether rows have measurement errors.
    """

    weight: float
    observed: Array
    mean: Array
    deviation: Array
    patterns: int
    measured: bool


@dataclass(frozen=True, eq=False)
class _Cells:
    """Sums over the observed cells of rows, column by column (d,), which can be added up.

    Moments are about the middle between the least and the greatest, in units of half of what is
    between them, so that nothing overflows or cancels, whatever the scale and the offset.
    """

    weight: float
    low: Array
    high: Array
    observed: Array
    first: Array
    second: Array
    blur: Array
    patterns: int
    measured: bool

    def __add__(self, other: _Cells) -> _Cells:
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        one, two = self._within(low, high), other._within(low, high)
        return _Cells(
            self.weight + other.weight,
            low,
            high,
            self.observed + other.observed,
            one[0] + two[0],
            one[1] + two[1],
            self.blur + other.blur,
            max(self.patterns, other.patterns),
            self.measured or other.measured,
        )

    def _within(self, low: Array, high: Array) -> tuple[Array, Array]:
        """First and second moments about the middle of a wider span, in its units."""
        own, half = _centre(self.low, self.high)
        middle, wider = _centre(low, high)
        unit = np.where(wider > 0, wider, 1.0)
        ratio = half / unit
        shift = np.where(self.observed > 0, own - middle, 0.0) / unit
        first = ratio * self.first
        second = ratio**2 * self.second + shift * (2.0 * first + shift * self.observed)
        return first + shift * self.observed, second


def summarize(source: Source) -> Summary:
    """Weights, means and deviations of the observed cells, safe for any scale and offset."""
    cells: _Cells = tree_sum(source.map(_cells))
    middle, half = _centre(cells.low, cells.high)
    safe = np.where(cells.observed > 0, cells.observed, 1.0)
    unit = np.where(half > 0, half, 1.0)
    mean = cells.first / safe
    variance = np.maximum(cells.second / safe - mean**2, 0.0)
    variance = np.maximum(variance - cells.blur / unit / unit / safe, _LEAST * variance)
    return Summary(
        cells.weight,
        cells.observed,
        middle + unit * mean,
        np.where(half > 0, unit * np.sqrt(variance), 0.0),
        cells.patterns,
        cells.measured,
    )


def _centre(low: Array, high: Array) -> tuple[Array, Array]:
    """The middle of spans and half their length: zero of a column that was never observed."""
    known = np.isfinite(low)
    low, high = np.where(known, low, 0.0), np.where(known, high, 0.0)
    return low / 2 + high / 2, high / 2 - low / 2


def _cells(block: Block) -> _Cells:
    kept = block
    if block.weights is not None and not block.weights.all():
        kept = block.take(np.flatnonzero(block.weights))
    low, high = _span(kept.rows)
    observed, first, second = _moments(kept, low, high)
    weight, blur = block.total_weight, _blur(kept)
    about = len(block.patterns), block.errors is not None
    return _Cells(weight, low, high, observed, first, second, blur, *about)


def _span(rows: Rows) -> tuple[Array, Array]:
    """The least and the greatest of the observed cells; infinite where none was."""
    d, parts = rows.shape[1], [part for part, _ in _abreast(rows)]
    low, high = (
        np.concatenate([np.full(d, away), *(ends.reduce(part, axis=0) for part in parts)])
        for ends, away in ((np.fmin, np.inf), (np.fmax, -np.inf))
    )
    return np.fmin.reduce(low.reshape(-1, d)), np.fmax.reduce(high.reshape(-1, d))


def _moments(block: Block, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """Weight, first and second moments of the observed cells, within their span."""
    middle, half = _centre(low, high)
    unit, weights, d = np.where(half > 0, half, 1.0), block.weight(), len(low)
    observed, first, second = np.zeros((3, d))
    for part, start in _abreast(block.rows):
        times = part.shape[1] // d
        centre, scale = np.tile(middle, times), np.tile(unit, times)
        most = max(_TILE // part.shape[1], 1)
        room = np.empty((most, part.shape[1]))
        for at in range(0, len(part), most):
            wide = np.subtract(part[at : at + most], centre, out=room[: len(part) - at])
            u = np.divide(wide, scale, out=wide).reshape(-1, d)
            w = weights[start + at * times :][: len(u)]
            if not block.complete:
                seen = ~np.isnan(u)
                observed += w @ seen
                u[~seen] = 0.0
            first += w @ u
            second += w @ np.square(u, out=u)
    return np.full(d, weights.sum()) if block.complete else observed, first, second


def _abreast(rows: Rows) -> list[tuple[Rows, int]]:
    """The rows with many side by side as one, so that inner loops are long, and where they begin.

    Those that are left over are one row of fewer.
    """
    n, d = rows.shape
    whole = n - n % _ABREAST
    parts = [(rows[:whole].reshape(-1, _ABREAST * d), 0), (rows[whole:].reshape(1, -1), whole)]
    return [(part, start) for part, start in parts if part.size]


def _blur(block: Block) -> Array:
    """``Σ w R_jj`` (d,) over the observed cells of rows that are readings themselves."""
    if block.errors is None or block.errors.projections is not None:
        return np.zeros(block.rows.shape[1])
    weights = block.weight()[:, None] * ~np.isnan(block.rows)
    with np.errstate(over="ignore"):  # too much for any variance to be left of it
        return np.asarray((weights * block.errors.variances).sum(axis=0))


def weight_of(source: Source) -> float:
    return float(sum(source.map(lambda block: block.total_weight)))


def gappy(source: Source) -> bool:
    return not all(source.map(lambda block: block.complete and block.errors is None))
