"""Where a curve bends: a regression on two straight lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtura._types import Array

_TIE = 1e-9
"""Sums of squares closer than this share of the curve's own are equal."""


@dataclass(frozen=True, eq=False)
class Elbow:
    """Two straight lines through the points of a curve on either side of one of them.

    Attributes
    ----------
    at : int
        Index of the point that both lines use.
    x, y : (2, 2)
        Ends of the first and of the second line.
    """

    at: int
    x: Array
    y: Array

    @property
    def bends_up(self) -> bool:
        """Whether the second line is the steeper one."""
        rises = np.diff(self.y, axis=1) / np.diff(self.x, axis=1)
        return bool(rises[1, 0] > rises[0, 0])


def elbow(x: Array, y: Array) -> Elbow | None:
    """The two lines closest to the points, by least squares; None below three points.

    Every inner point is tried as the one that both lines share (they need not meet there); of
    equals, the one furthest right is taken.

    Parameters
    ----------
    x : (m,) in rising order
    y : (m,)
    """
    if len(x) < 3:
        return None
    sides = [(slice(0, at + 1), slice(at, None)) for at in range(1, len(x) - 1)]
    fits = [[_line(x[side], y[side]) for side in pair] for pair in sides]
    errors = np.array([first[0] + second[0] for first, second in fits])
    close = errors <= errors.min() + _TIE * float(((y - y.mean()) ** 2).sum())
    best = int(np.flatnonzero(close)[-1])
    ends = np.array([x[side][[0, -1]] for side in sides[best]])
    return Elbow(best + 1, ends, np.array([heights for _, heights in fits[best]]))


def _line(x: Array, y: Array) -> tuple[float, Array]:
    """Sum of squares of the regression of y on x, and its height at the ends of x."""
    off = x - x.mean()
    rise = float(off @ y) / float(off @ off)
    heights = y.mean() + rise * off
    return float(((y - heights) ** 2).sum()), heights[[0, -1]]
