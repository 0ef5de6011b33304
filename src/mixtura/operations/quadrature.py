"""Integrals over the line by Gauss-Legendre panels that are halved where they disagree."""

from __future__ import annotations

from collections.abc import Callable
from math import fsum

import numpy as np

from mixtura._types import Array
from mixtura.law import StudentT
from mixtura.operations.estimate import Estimate
from mixtura.operations.line import Line

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_RELATIVE, _ABSOLUTE = 1e-16, 1e-17
_DEPTH = 60
_PANELS = 1 << 15
_BLOCK = 1 << 9
_ROUNDING = 8.0 * float(np.finfo(float).eps)

_STEPS = np.concatenate([np.arange(-9.0, 10.0), [-40, -30, -20, -15, -11, 11, 15, 20, 30, 40]])
_NARROWEST = 0.25
"""The least width of a panel to begin with, in deviations of the narrowest component."""

_REACH = 400
"""Doublings beyond the components that the tails of Student's t are followed: 1e120 widths."""


def integral(function: Callable[[Array], Array], breaks: Array) -> Estimate:
    """The integral between the first and the last of rising breaks.

    Each panel is integrated whole and in halves; where both differ by more than rounding the halves
    are taken apart. The error is the sum of these differences and of rounding.
    """
    low, high = breaks[:-1], breaks[1:]
    whole, _ = _panels(function, low, high)
    kept: list[float] = []
    size = doubt = 0.0
    for depth in range(_DEPTH):
        middle = low + 0.5 * (high - low)
        left, left_size = _panels(function, low, middle)
        right, right_size = _panels(function, middle, high)
        gap = np.abs(left + right - whole)
        sizes = left_size + right_size
        done = gap <= _ABSOLUTE + _RELATIVE * (size + float(sizes.sum()))
        if depth == _DEPTH - 1 or len(low) > _PANELS:
            done[:] = True
        kept.extend((left + right)[done])
        size, doubt = size + float(sizes[done].sum()), doubt + float(gap[done].sum())
        rest = ~done
        if not rest.any():
            break
        low = np.concatenate([low[rest], middle[rest]])
        high = np.concatenate([middle[rest], high[rest]])
        whole = np.concatenate([left[rest], right[rest]])
    return Estimate(fsum(kept), doubt + _ROUNDING * size, "quadrature")


def _panels(function: Callable[[Array], Array], low: Array, high: Array) -> tuple[Array, Array]:
    """The integral over each panel, and that of the absolute value."""
    half = 0.5 * (high - low)
    out = np.empty((2, len(half)))
    for start in range(0, len(half), _BLOCK):
        some = slice(start, start + _BLOCK)
        x = (low + half)[some, None] + half[some, None] * _NODES
        y = function(x.ravel()).reshape(x.shape)
        out[:, some] = y @ _WEIGHTS, np.abs(y) @ _WEIGHTS
    return half * out[0], half * out[1]


def breaks(lines: list[Line]) -> Array:
    """Where panels begin for lines in one frame: around every component, and at edges of noise."""
    around = [(line.means[:, None] + line.deviations[:, None] * _STEPS).ravel() for line in lines]
    width = _NARROWEST * min(float(line.deviations.min()) for line in lines)
    points = np.unique(np.round(np.concatenate(around) / width)) * width
    edges = [end for line in lines if line.noise for end in (line.noise.low, line.noise.high)]
    points = np.unique(np.concatenate([points, *edges]))
    if any(isinstance(line.law, StudentT) for line in lines):
        low, high = points.min(), points.max()
        out = (high - low) * 2.0 ** np.arange(_REACH)
        points = np.concatenate([low - out, points, high + out])
    return np.unique(points)
