"""Where a curve bends: a regression on two straight lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtura._types import Array

_TIE = 1e-9
"""Sums of squares closer than this share of the curve's own are equal."""


@dataclass(frozen=True, eq=False)
class Elbow:
    """Two straight lines that meet at one of the points of a curve.

    Attributes
    ----------
    at : int
        Index of the point at which they meet.
    x : (3,) first point, meeting point, last point
    y : (3,) heights of the lines there
    bends_up : bool
        Whether the second line is the steeper one.
    """

    at: int
    x: Array
    y: Array
    bends_up: bool


def elbow(x: Array, y: Array) -> Elbow | None:
    """The continuous two-piece line closest to the points, by least squares; None below three.

    Every inner point is tried as the meeting point; of equals, the one furthest right is taken.

    Parameters
    ----------
    x : (m,) in rising order
    y : (m,)
    """
    if len(x) < 3:
        return None
    fits = [_hinge(x, y, knot) for knot in range(1, len(x) - 1)]
    errors = np.array([error for error, _ in fits])
    close = errors <= errors.min() + _TIE * float(((y - y.mean()) ** 2).sum())
    best = int(np.flatnonzero(close)[-1])
    ends = x[[0, best + 1, -1]]
    heights = _design(ends, x[best + 1]) @ fits[best][1]
    rises = np.diff(heights) / np.diff(ends)
    return Elbow(best + 1, ends, heights, bool(rises[1] > rises[0]))


def _hinge(x: Array, y: Array, knot: int) -> tuple[float, Array]:
    """Sum of squares and coefficients of ``a + b x + c max(x - x_knot, 0)``."""
    design = _design(x, x[knot])
    size = np.abs(design).max(axis=0)
    coefficients = np.linalg.lstsq(design / size, y, rcond=None)[0] / size
    return float(((y - design @ coefficients) ** 2).sum()), coefficients


def _design(x: Array, knot: float) -> Array:
    return np.column_stack([np.ones(len(x)), x, np.maximum(x - knot, 0.0)])
