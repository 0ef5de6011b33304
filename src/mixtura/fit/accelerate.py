"""SQUAREM leaps (Varadhan & Roland 2008, scheme S3) in the space of statistics.

Statistics form a vector space and every family can be estimated from them, so the leap needs no
parametrisation: an EM step is a map ``S -> E(M(S))`` of statistics, and it is that map whose
fixed point is extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtura.fit.problem import Point, Problem
from mixtura.statistics import Statistics


@dataclass(frozen=True)
class Stride:
    """How far a leap may go; grows when the bound is met with success, shrinks on a failure."""

    longest: float = 4.0

    def grown(self) -> Stride:
        return Stride(self.longest * 4.0)

    def shrunk(self) -> Stride:
        return Stride(max(self.longest / 4.0, 1.0))


def leap(problem: Problem, points: list[Point], stride: Stride) -> tuple[Point, Stride]:
    """Extrapolate three consecutive points; the last of them where that does not climb."""
    start, middle, last = points
    target, length = _extrapolated(start.data, middle.data, last.data, stride)
    if not _in_cone(target):
        return last, stride.shrunk()
    try:
        there = problem.at(problem.maximized(target, last.mixture))
    except np.linalg.LinAlgError:
        return last, stride.shrunk()
    if not there.value >= last.value:
        return last, stride.shrunk()
    return there, stride.grown() if length >= stride.longest else stride


def _extrapolated(
    start: Statistics, middle: Statistics, last: Statistics, stride: Stride
) -> tuple[Statistics, float]:
    """``S - 2αr + α²v`` with r = S₁ - S, v = (S₂ - S₁) - r and α = -|r|/|v|."""
    pivot = last.pivot
    start, middle = start.about(pivot), middle.about(pivot)
    step = middle - start
    bend = (last - middle) - step
    size = bend.norm()
    length = min(max(step.norm() / size, 1.0), stride.longest) if size > 0 else 1.0
    return start + (2.0 * length) * step + length**2 * bend, length


def _in_cone(data: Statistics) -> bool:
    """Whether the statistics could be those of rows: positive masses and variances."""
    if not (data.mass > 0).all() or not np.isfinite(data.second).all():
        return False
    scatter = data.scatter()
    diagonal = scatter.diagonal(axis1=1, axis2=2) if scatter.ndim == 3 else scatter
    return bool((diagonal > 0).all())
