"""What a fit must know of the data: weighted moments about a pivot. They are a vector space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mixtura._types import Array
from mixtura.kernels.layout import DIAGONAL, FACTOR, FULL, SPHERICAL, second_width, triangle


@dataclass(frozen=True)
class Moments:
    """Which second moments a family asks for.

    Attributes
    ----------
    shape : int
        FULL (d, d), DIAGONAL (d,), SPHERICAL () or FACTOR (d, 1 + r) of `mixtura.kernels.layout`.
    pooled : bool
        One second moment summed over the components, instead of one each.
    rank : int
        r of FACTOR, whose second moments S are kept as ``[diag S, S B]``.
    basis : structure or None
        Of FACTOR: the covariances whose directions ``B_k = Σ_k⁻¹ Λ_k`` (k, d, r) the moments are
        projected on. Moments add up only on the same basis.
    """

    shape: int
    pooled: bool = False
    rank: int = 0
    basis: Any = field(default=None, compare=False)

    def at(self, structure: Any) -> Moments:
        """The moments that an E-step under these covariances gathers."""
        return replace(self, basis=structure) if self.shape == FACTOR else self

    def outer(self, left: Array, right: Array) -> Array:
        """The part of ``left_k right_kᵀ`` that the shape keeps, for (k, d) arrays."""
        if self.shape == FULL:
            return np.asarray(left[:, :, None] * right[:, None, :])
        product = left * right
        if self.shape == FACTOR:
            return np.concatenate([product[:, :, None], self._projected(left, right)], axis=2)
        return np.asarray(product if self.shape == DIAGONAL else product.sum(axis=1))

    def crossed(self, left: Array, right: Array) -> Array:
        """The part of ``left_k right_kᵀ + right_k left_kᵀ`` that the shape keeps."""
        one = self.outer(left, right)
        if self.shape == FACTOR:
            return one + self.outer(right, left)
        return np.asarray(one + (one.swapaxes(1, 2) if self.shape == FULL else one))

    def part(self, second: Array) -> Array:
        """The part of full second moments (k, d, d) that the shape keeps."""
        if self.shape == FULL:
            return second
        columns = second.diagonal(axis1=1, axis2=2)
        if self.shape == FACTOR:
            basis = np.zeros((*columns.shape, self.rank))
            projected = basis if self.basis is None else second @ self.basis.regressions
            return np.concatenate([columns[:, :, None], projected], axis=2)
        return np.asarray(columns if self.shape == DIAGONAL else columns.sum(axis=1))

    def _projected(self, left: Array, right: Array) -> Array:
        """``left_k (right_kᵀ B_k)``, (k, d, r)."""
        if self.basis is None:
            return np.zeros((*left.shape, self.rank))
        return np.asarray(left[:, :, None] * self.basis.projected(right[:, None, :]))

    def diagonal(self, variances: Array) -> Array:
        """The second moments (1 or k, ...) ``diag(v)`` in the shape of FACTOR, for v (d,)."""
        if self.basis is None:
            return np.column_stack([variances, np.zeros((len(variances), self.rank))])[None]
        scaled = variances[:, None] * self.basis.regressions
        column = np.broadcast_to(variances[:, None], (len(scaled), len(variances), 1))
        both = np.concatenate([column, scaled], axis=2)
        return both[:1] if self.pooled else both

    def reduced(self, dense: Array) -> Array:
        """The part of second moments (k, d, d) that the shape keeps."""
        if self.shape == FULL:
            return dense
        columns = np.asarray(dense.diagonal(axis1=1, axis2=2))
        if self.shape == FACTOR:
            none = np.zeros((*columns.shape, self.rank))
            seen = none if self.basis is None else self.basis.projected(dense)
            return np.concatenate([columns[:, :, None], seen], axis=2)
        return columns if self.shape == DIAGONAL else np.asarray(columns.sum(axis=1))

    def total(self, second: Array) -> Array:
        """Sum (k, ...) second moments over the components where the family pools them."""
        return np.asarray(second.sum(axis=0, keepdims=True)) if self.pooled else second

    def zeros(self, k: int, d: int) -> Array:
        """Second moments of no rows."""
        tail = {FULL: (d, d), DIAGONAL: (d,), SPHERICAL: (), FACTOR: (d, 1 + self.rank)}[self.shape]
        return np.zeros((1 if self.pooled else k, *tail))


@dataclass(frozen=True, eq=False)
class Statistics:
    """Weighted moments of k components about one pivot each.

    Three counters stand apart so that a conjugate prior is just one more block of rows: `counts`
    divide the mixing weights, `mass` the means, `dof` the scatter.

    Attributes
    ----------
    moments : Moments
    pivot, first : (k, d)
        ``first_k = Σ_i r_ik (z_i - pivot_k)``
    second : (k or 1, ...)
        ``Σ_i r_ik (z_i - pivot_k)(z_i - pivot_k)ᵀ`` in the shape of `moments`, over all k at once
        where it is pooled.
    counts, mass, dof : (k,)
        ``Σ_i r_ik`` and what a prior adds to each; under Student's t the mass is ``Σ_i r_ik u_ik``
        and so are the weights of the moments.
    log_likelihood : float
    noise : float
        ``Σ_i r_i0``: the weight of the rows that are noise.
    """

    moments: Moments
    pivot: Array
    counts: Array
    mass: Array
    dof: Array
    first: Array
    second: Array
    log_likelihood: float = 0.0
    noise: float = 0.0

    @classmethod
    def zero(cls, moments: Moments, pivot: Array) -> Statistics:
        """The statistics of no rows."""
        k, d = pivot.shape
        none = np.zeros(k)
        return cls(moments, pivot, none, none, none, np.zeros((k, d)), moments.zeros(k, d))

    @classmethod
    def from_sums(
        cls,
        sums: Array,
        moments: Moments,
        pivot: Array,
        log_likelihood: float,
        second: Array | None = None,
    ) -> Statistics:
        """Unpack the (k, p) sums of T(z - pivot); `second` replaces what LINEAR sums lack."""
        d = pivot.shape[1]
        # Copies: views would keep all sums in memory for as long as the statistics.
        mass, first = sums[:, -1].copy(), sums[:, -d - 1 : -1].copy()
        if second is None:
            second = moments.total(unpacked(sums[:, : -d - 1], moments.shape, d))
        return cls(moments, pivot, mass, mass, mass, first, second, log_likelihood)

    def __add__(self, other: Statistics | Packed) -> Statistics:
        other = other.unpacked()
        return Statistics(
            self.moments,
            self.pivot,
            self.counts + other.counts,
            self.mass + other.mass,
            self.dof + other.dof,
            self.first + other.first,
            self.second + other.second,
            self.log_likelihood + other.log_likelihood,
            self.noise + other.noise,
        )

    def unpacked(self) -> Statistics:
        """As they are: what `Packed` ones become."""
        return self

    def __mul__(self, factor: float) -> Statistics:
        return Statistics(
            self.moments,
            self.pivot,
            self.counts * factor,
            self.mass * factor,
            self.dof * factor,
            self.first * factor,
            self.second * factor,
            self.log_likelihood * factor,
            self.noise * factor,
        )

    __rmul__ = __mul__

    def __sub__(self, other: Statistics) -> Statistics:
        return self + (-1.0) * other

    def about(self, pivot: Array) -> Statistics:
        """The same rows about another pivot (k, d)."""
        if pivot is self.pivot:
            return self
        shift = self.pivot - pivot
        if not shift.any():
            return self
        cross = self.moments.crossed(self.first, shift)
        mass = self.mass.reshape(-1, *[1] * (cross.ndim - 1))
        moved = self.moments.total(cross + mass * self.moments.outer(shift, shift))
        first = self.first + self.mass[:, None] * shift
        return replace(self, pivot=pivot, first=first, second=self.second + moved)

    def means(self) -> Array:
        """μ_k = pivot + first / mass, (k, d)."""
        return np.asarray(self.pivot + self.first / self.mass[:, None])

    def scatter(self) -> Array:
        """Second moments about the means: ``second - first firstᵀ / mass``, (k or 1, ...)."""
        centre = self.moments.outer(self.first, self.first / self.mass[:, None])
        centre = self.moments.total(centre)
        return np.subtract(self.second, centre, out=centre)

    def average(self) -> Array:
        """The scatter over its divisor."""
        scatter = self.scatter()
        return np.divide(scatter, self.divisor(), out=scatter)

    def divisor(self) -> Array:
        """What divides the scatter, broadcastable to it."""
        dof = self.dof.sum(keepdims=True) if self.moments.pooled else self.dof
        return np.asarray(dof.reshape(-1, *[1] * (self.second.ndim - 1)))

    def parts(self) -> Iterator[Statistics]:
        """The statistics of some of the components after others, a few megabytes at a time."""
        k, size = len(self.counts), self.second.nbytes
        step = k if self.moments.pooled else max(k * _PART // max(size, 1), 1)
        for start in range(0, k, step):
            some = slice(start, start + step)
            second = self.second if self.moments.pooled else self.second[some]
            counters = self.counts[some], self.mass[some], self.dof[some]
            yield Statistics(self.moments, self.pivot[some], *counters, self.first[some], second)

    def norm(self) -> float:
        """Euclidean length as a vector, in which each second moment stands once."""
        square = np.vdot(self.second, self.second)
        if self.moments.shape == FULL:
            diagonal = self.second.diagonal(axis1=1, axis2=2)
            square = (square + (diagonal * diagonal).sum()) / 2.0
        square += np.vdot(self.counts, self.counts) + np.vdot(self.first, self.first)
        return float(np.sqrt(square))


@dataclass(frozen=True, eq=False)
class Packed:
    """The statistics of complete rows as the kernels sum them: matrices by their upper triangles.

    To the last bit, sums of these unpacked are the sums of unpacked ones, in half the memory.

    Attributes
    ----------
    moments, pivot, log_likelihood
        As of `Statistics`.
    sums : (k, p)
        Of T(z - pivot).
    """

    moments: Moments
    pivot: Array
    sums: Array
    log_likelihood: float

    def __add__(self, other: Packed | Statistics) -> Packed | Statistics:
        if isinstance(other, Statistics):
            return self.unpacked() + other
        value = self.log_likelihood + other.log_likelihood
        return Packed(self.moments, self.pivot, self.sums + other.sums, value)

    def unpacked(self) -> Statistics:
        """With each number in its place."""
        return Statistics.from_sums(self.sums, self.moments, self.pivot, self.log_likelihood)


def unpacked(packed: Array, shape: int, d: int) -> Array:
    """Second moments from the kernels' packed order: (k, p₂) -> (k, d, d), (k, d) or (k,)."""
    if shape == FULL:
        full = np.empty((len(packed), d, d))
        if d > _NARROW:
            _unpack_by_rows(packed, full)
            return full
        rows, columns = triangle(d)
        full[:, rows, columns] = packed
        full[:, columns, rows] = packed
        return full
    return packed if shape == DIAGONAL else packed[:, 0]


def pack_rows(upper: Array, packed: Array) -> None:
    """Fill packed numbers from an upper triangle (d, d), row by row."""
    d, end = len(upper), 0
    for i in range(d):
        start, end = end, end + d - i
        packed[start:end] = upper[i, i:]


def unpack_rows(packed: Array, upper: Array) -> None:
    """Fill an upper triangle (d, d) from packed numbers, row by row."""
    d, end = len(upper), 0
    for i in range(d):
        start, end = end, end + d - i
        upper[i, i:] = packed[start:end]


def _unpack_by_rows(packed: Array, full: Array) -> None:
    """Fill (k, d, d) symmetric matrices from their upper triangles row by row."""
    d = full.shape[1]
    upper = np.zeros((d, d))
    for numbers, matrix in zip(packed, full, strict=True):
        unpack_rows(numbers, upper)
        np.add(upper, upper.T, out=matrix)
        np.fill_diagonal(matrix, upper.diagonal())


_NARROW = 128
"""Features up to which numbers are placed one by one: rows of a triangle are too short."""

_PART = 1 << 23
"""Bytes of second moments in a part: no more than a few are held beside the whole."""


def packed(second: Array, shape: int) -> Array:
    """The inverse of `unpacked`."""
    if shape == FULL:
        rows, columns = triangle(second.shape[1])
        return np.asarray(second[:, rows, columns])
    return second.reshape(len(second), second_width(shape, second.shape[-1]))
