"""Columns with bounds, mapped to the line by a range and a power transformation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import boxcox, inv_boxcox, xlogy

from mixtura._types import Array, Mask


@dataclass(frozen=True, eq=False)
class Transformation:
    """``z = B_λ(y)`` with ``B_λ(y) = (y^λ - 1) / λ``, ``B_0 = log``, column by column.

    The range transformation y is ``(x - l) / s`` above a lower bound l, ``(u - x) / s`` below an
    upper bound u (where z is turned about, so that it rises with x) and ``(x - l) / (u - x)``
    between two; an unbounded column stays as it is. With λ = 0 this is the logarithm, or the logit
    (Scrucca 2019, "A transformation-based approach to Gaussian mixture density estimation for
    bounded data", Biometrical Journal 61, 873-888, section 3).

    Attributes
    ----------
    lower, upper : (d,)
        Bounds, infinite where there is none.
    power : (d,)
        λ.
    unit : (d,)
        s, a power of two near the size of the column, so that powers of it stay near one.
    """

    lower: Array
    upper: Array
    power: Array
    unit: Array

    @classmethod
    def of(cls, lower: Array, upper: Array, rows: Array) -> Transformation:
        """The logarithm, or the logit, of bounded columns; rows (n, d) give the units."""
        typical = np.ones(len(lower))
        for j in np.flatnonzero(np.isfinite(lower) != np.isfinite(upper)):
            column = rows[:, j][~np.isnan(rows[:, j])]
            off = column - lower[j] if np.isfinite(lower[j]) else upper[j] - column
            typical[j] = np.median(off) if len(off) else 1.0
        unit = np.exp2(np.round(np.log2(typical)))
        return cls(lower, upper, np.zeros(len(lower)), unit)

    def with_power(self, power: Array) -> Transformation:
        """The same bounds with another λ in each column."""
        return replace(self, power=np.where(self.bounded, power, 0.0))

    @property
    def bounded(self) -> Mask:
        """(d,) whether a column has a bound."""
        return np.asarray(self.above | self.below)

    @property
    def above(self) -> Mask:
        """(d,) whether a column has a lower bound."""
        return np.isfinite(self.lower)

    @property
    def below(self) -> Mask:
        """(d,) whether a column has an upper bound."""
        return np.isfinite(self.upper)

    @property
    def limits(self) -> tuple[Array, Array]:
        """(d,) and (d,): the range of z, of which a power other than 0 leaves only a half-line."""
        low, high = np.full(len(self.power), -np.inf), np.full(len(self.power), np.inf)
        mirrored = self.below & ~self.above
        with np.errstate(divide="ignore"):
            edge = np.where(mirrored, 1.0, -1.0) / self.power
        end = np.where(self.bounded & (self.power != 0), edge, 0.0)
        low[end < 0], high[end > 0] = end[end < 0], end[end > 0]
        return low, high

    def inside(self, rows: Array) -> Mask:
        """Whether each row (n, d) lies within all bounds, or on one; what is NaN does."""
        return np.asarray(~((rows < self.lower) | (rows > self.upper)).any(axis=1))

    def read(self, rows: Array) -> Array:
        """x (n, d) -> z, -inf or inf on a bound that maps there."""
        z = np.array(rows, dtype=np.float64)
        for j in self._columns:
            with np.errstate(divide="ignore", over="ignore"):
                z[:, j] = self._sign(j) * boxcox(self._ranged(z[:, j], j), self.power[j])
        return z

    def unread(self, z: Array) -> Array:
        """z (n, d) within `limits` -> x."""
        rows = np.array(z, dtype=np.float64)
        for j in self._columns:
            with np.errstate(over="ignore"):
                y = inv_boxcox(self._sign(j) * rows[:, j], self.power[j])
                rows[:, j] = self._unranged(y, j)
        return rows

    def log_jacobian(self, rows: Array) -> Array:
        """``Σ_j log |dz_j / dx_j|`` (n,) over the coordinates that are observed."""
        total = np.zeros(len(rows))
        for j in self._columns:
            x, power = np.asarray(rows[:, j], dtype=np.float64), self.power[j]
            if self.above[j] and self.below[j]:
                term = xlogy(power - 1.0, x - self.lower[j]) - xlogy(power + 1.0, self.upper[j] - x)
                term += np.log(self.upper[j] - self.lower[j])
            else:
                term = xlogy(power - 1.0, self._ranged(x, j)) - np.log(self.unit[j])
            total += np.where(np.isnan(x), 0.0, term)
        return total

    @property
    def _columns(self) -> list[int]:
        return [int(j) for j in np.flatnonzero(self.bounded)]

    def _sign(self, j: int) -> float:
        return 1.0 if self.above[j] else -1.0

    def _ranged(self, x: Array, j: int) -> Array:
        if not self.above[j]:
            return np.asarray((self.upper[j] - x) / self.unit[j])
        if not self.below[j]:
            return np.asarray((x - self.lower[j]) / self.unit[j])
        with np.errstate(divide="ignore"):
            return np.asarray((x - self.lower[j]) / (self.upper[j] - x))

    def _unranged(self, y: Array, j: int) -> Array:
        if not self.above[j]:
            return np.asarray(self.upper[j] - y * self.unit[j])
        if not self.below[j]:
            return np.asarray(self.lower[j] + y * self.unit[j])
        span = self.upper[j] - self.lower[j]
        far = self.upper[j] - span / (1.0 + y)
        return np.where(y < 1.0, self.lower[j] + span * (y / (1.0 + np.minimum(y, 1.0))), far)
