"""Rows of known classes, and the Gaussians that all classes share covariances in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array, Indices, Mask
from mixtura.block import Block
from mixtura.fit.sample import merged
from mixtura.operations.class_densities import Whitening
from mixtura.operations.frames import powers_of_two

_FLOOR = 1e-6
"""Variance within the classes, at least, as a share of that of all rows."""

_LEAST = 1e-9
"""Eigenvalue of a correlation matrix, at least."""

_CONSTANT = 1e-13
"""Range, relative to the values, of a column that is constant up to rounding."""


_NARROWEST, _WIDEST = 1e-300, 1e302
"""Spans of columns between which one over them, and sums over rows, are numbers."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Rows with their classes.

    Attributes
    ----------
    rows : (n, d)
    codes : (n,)
        The class of each row: 0 to C - 1.
    weights : (n,)
    size : int
        C.
    """

    rows: Array
    codes: Indices
    weights: Array
    size: int

    @classmethod
    def of(cls, rows: Array, codes: Indices, weights: Array | None, size: int) -> Labelled:
        """Sorted, equal rows of one class as one row with their weight.

        So a draw of rows does not depend on their order, equal rows fall on one side of a split,
        and a weight counts as so many repetitions.

        Raises
        ------
        InputError
            A column of so wide or so narrow a span that one over it is no number.
        """
        _check_spans(rows)
        block = merged(Block(np.column_stack([rows, codes]).astype(np.float64), weights))
        return cls(block.rows[:, :-1], block.rows[:, -1].astype(np.intp), block.weight(), size)

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: Indices) -> Labelled:
        """Some of the rows."""
        return Labelled(self.rows[rows], self.codes[rows], self.weights[rows], self.size)

    def of_cells(self, cells: Indices, size: int) -> Labelled:
        """The same rows with cells for classes."""
        return Labelled(self.rows, cells, self.weights, size)

    @cached_property
    def counts(self) -> Array:
        """(C,) weight of each class."""
        return np.bincount(self.codes, self.weights, self.size)

    @cached_property
    def varying(self) -> Mask:
        """Which columns (d,) are not constant up to rounding."""
        low, high = self.rows.min(axis=0), self.rows.max(axis=0)
        return np.asarray(high - low > _CONSTANT * np.maximum(np.abs(low), np.abs(high)))


@dataclass(frozen=True, eq=False)
class Spread:
    """A covariance in units of the columns, by its eigenvectors.

    Attributes
    ----------
    location : (d,)
    units : (d,)
        Deviations of the columns, or one for all; zero for columns that do not count.
    values : (q,)
    vectors : (d, q)
    """

    location: Array
    units: Array
    values: Array
    vectors: Array

    @classmethod
    def of(
        cls, location: Array, covariance: Array, deviations: Array, scale: Array, common: bool
    ) -> Spread:
        """Of a covariance matrix and deviations, which may exceed its own, in units of `scale`."""
        units = deviations * scale
        if common and units.any():
            top = units.max()
            units = np.where(units > 0, top * np.sqrt(np.mean((units[units > 0] / top) ** 2)), 0.0)
        kept = units > 0
        ratio = scale[kept] / units[kept]
        matrix = covariance[np.ix_(kept, kept)] * ratio[:, None] * ratio
        matrix[np.diag_indices_from(matrix)] = (deviations[kept] * ratio) ** 2
        values, inner = np.linalg.eigh(matrix)
        vectors = np.zeros((len(units), len(ratio)))
        vectors[kept] = inner
        return cls(location, units, values, vectors)

    def whitening(self, shrinkage: float) -> Whitening:
        """For ``(1 - λ) R + λ I`` in these units."""
        values = np.maximum((1.0 - shrinkage) * self.values + shrinkage, _LEAST)
        safe = np.where(self.units > 0, self.units, 1.0)
        matrix = self.vectors / safe[:, None] / np.sqrt(values)
        volume = -np.log(safe).sum() - 0.5 * np.log(values).sum()
        return Whitening(self.location, matrix, float(volume))


@dataclass(frozen=True, eq=False)
class Scatter:
    """What rows of known classes say of the classes together.

    Attributes
    ----------
    residuals : (n, d)
        Rows less the mean of their class.
    means : (C, d)
    within, total : Spread
        Of the rows about the means of their classes, and about their common mean.
    """

    residuals: Array
    means: Array
    within: Spread
    total: Spread

    @classmethod
    def of(cls, data: Labelled, common: bool) -> Scatter:
        """``W = Σ w (x - m_y)(x - m_y)ᵀ / (Σ w - C)`` and ``T = Σ w (x - m)(x - m)ᵀ / Σ w``.

        In units of each column's deviation, or `common` ones.
        """
        weight = data.weights.sum()
        location = data.rows[0] + (data.weights / weight) @ (data.rows - data.rows[0])
        off = data.rows - location
        scale = powers_of_two(np.where(data.varying, np.abs(off).max(axis=0), 0.0))
        off /= scale
        means = _means(off, data)
        rest = off - means[data.codes]
        total = _products(off, data.weights) / weight
        dof = max(weight - np.sum(data.counts > 0), min(weight, 1.0))  # of shares their sum
        within = _products(rest, data.weights) / dof
        wide = np.where(data.varying, np.sqrt(total.diagonal()), 0.0)
        narrow = np.where(data.varying, np.sqrt(within.diagonal()), 0.0)
        narrow = np.maximum(narrow, np.sqrt(_FLOOR) * wide)
        return cls(
            rest * scale,
            location + means * scale,
            Spread.of(location, within, narrow, scale, common),
            Spread.of(location, total, wide, scale, common),
        )


def _check_spans(rows: Array) -> None:
    low, high = (end(rows, axis=0).astype(np.float64) for end in (np.min, np.max))
    span = high / 2.0 - low / 2.0
    bad = np.flatnonzero((span > 0.0) & ~((span >= _NARROWEST) & (span <= _WIDEST)))
    if len(bad):
        raise InputError(
            f"column {bad[0]} spans {low[bad[0]]:.3g} to {high[bad[0]]:.3g}: scale it to a span "
            f"between {_NARROWEST:g} and {_WIDEST:g}, or leave it out"
        )


def _means(rows: Array, data: Labelled) -> Array:
    """(C, d); zeros for a class without rows."""
    shares = np.zeros((len(data), data.size))
    shares[np.arange(len(data)), data.codes] = data.weights
    return np.asarray(shares.T @ rows / np.maximum(data.counts, 1e-300)[:, None])


def _products(rows: Array, weights: Array) -> Array:
    half = rows * np.sqrt(weights)[:, None]
    return np.asarray(half.T @ half)
