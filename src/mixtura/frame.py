"""The coordinates a fit works in: shifted to a pivot, scaled by powers of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura._types import Array, Mask, Rows

_NEAR = 16.0
"""Deviations, about, up to which a pivot may be zero instead."""


@dataclass(frozen=True, eq=False)
class Frame:
    """Coordinates z = (x - pivot) * scale, with each scale a power of two.

    A power of two costs no rounding, so a fit does not depend on the units of the columns.

    Attributes
    ----------
    pivot : (d,) in the units of the data
    scale : (d,) powers of two
    """

    pivot: Array
    scale: Array

    @classmethod
    def identity(cls, features: int) -> Frame:
        """The frame in which z = x."""
        return cls(np.zeros(features), np.ones(features))

    @property
    def log_volume(self) -> float:
        """log |dz/dx|: what the log-density gains on the way back to the data's units."""
        return float(np.sum(np.log(self.scale)))

    def volumes(self, observed: Mask) -> Array:
        """The same where these coordinates (d,) or (m, d) are observed: (1,) or (m, 1)."""
        return np.where(observed, np.log(self.scale), 0.0).sum(axis=-1, keepdims=True)

    def coarse(self, deviation: Array) -> Frame:
        """A frame with its pivot at zero, or at few binary digits where the data are far from it.

        Points among the data then come back from `read` and `unread` to the last bit: differences
        of numbers of like size, and from a number with few digits, are exact. `deviation` (d,) is
        that of the data's columns.
        """
        known = np.where(deviation > 0, deviation, 1.0 / self.scale)
        unit = np.ldexp(1.0, np.frexp(known)[1] - 1)
        steps = np.rint(self.pivot / unit)
        return Frame(np.where(np.abs(steps) <= _NEAR, 0.0, steps * unit), self.scale)

    def read(self, rows: Rows) -> Array:
        """Rows in the data's units -> z."""
        z = np.subtract(rows, self.pivot, dtype=np.float64, order="C")
        z *= self.scale
        return z

    def unread(self, z: Array) -> Array:
        """z -> rows in the data's units."""
        with np.errstate(over="ignore"):  # what is beyond all numbers is infinite
            return self.pivot + z / self.scale

    def take(self, dims: Any) -> Frame:
        """The frame of some of the columns."""
        return Frame(self.pivot[dims], self.scale[dims])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        if self is other:
            return True
        return np.array_equal(self.pivot, other.pivot) and np.array_equal(self.scale, other.scale)

    __hash__ = None  # type: ignore[assignment]
