"""SQUAREM leaps (Varadhan & Roland 2008, scheme S3) in the space of statistics.

Statistics form a vector space and every family can be estimated from them, so the leap needs no
parametrisation: an EM step is a map ``S -> E(M(S))`` of statistics, and it is that map whose
fixed point is extrapolated. Projected statistics are the exception: low-rank mixtures leap in
their parameters (`mixtura.fit.coordinates`), by Anderson acceleration first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixtura.fit.anderson import Memory, burst
from mixtura.fit.coordinates import Coordinates
from mixtura.fit.problem import Point, Problem
from mixtura.kernels.layout import FACTOR
from mixtura.mixture import Mixture
from mixtura.statistics import Statistics


@dataclass(frozen=True)
class Stride:
    """How far a leap may go; grows when the bound is met with success, shrinks on a failure.

    `memory` is what Anderson acceleration has learnt, and `gained` what its last burst brought,
    nats a row: it moves where plain steps hardly do, so these alone cannot tell the end. `reached`
    is the objective where SQUAREM last asked for the end: the gain since then tells most.
    """

    longest: float = 4.0
    memory: Memory = ()
    gained: float = 0.0
    reached: float = -np.inf

    def grown(self) -> Stride:
        return replace(self, longest=self.longest * 4.0)

    def shrunk(self) -> Stride:
        return replace(self, longest=max(self.longest / 4.0, 1.0))


@dataclass(frozen=True, eq=False)
class Path:
    """Three consecutive points of plain EM: where they start, the step, and how it bends.

    ``step = S₁ - S``, ``bend = (S₂ - S₁) - step``; near the limit ``1 - ratio`` is EM's rate.
    """

    start: Statistics | Coordinates
    step: Any
    bend: Any
    ratio: float


def path(points: list[Point]) -> Path:
    """Step and bend of three consecutive points, about the pivot of the last."""
    start: Any
    middle: Any
    last: Any
    if points[-1].data.moments.shape == FACTOR:
        start, middle, last = (Coordinates.of(point.mixture) for point in points)
    else:
        start, middle, last = (point.data.about(points[-1].data.pivot) for point in points)
    with np.errstate(invalid="ignore"):  # log weights of empty components
        step = middle - start
        bend = (last - middle) - step
    size = step.norm()
    return Path(start, step, bend, bend.norm() / size if size > 0 else 1.0)


def onward(
    problem: Problem, points: list[Point], track: Path, stride: Stride, most: int
) -> tuple[list[Point], Stride, int]:
    """Accelerated points after three of plain EM, each higher, and how many E-steps they took.

    No point where no leap was a gain; `most` E-steps at most.
    """
    landed: list[Point] = []
    used, last = 0, points[-1]
    if last.data.moments.shape == FACTOR:
        landed, memory, used = burst(problem, points, stride.memory, most)
        stride = replace(stride, memory=memory, gained=_gained(points, landed, stride))
    if landed or used >= most:
        return landed, stride, used
    there, stride = leap(problem, last, track, stride)
    return [] if there is last else [there], stride, used + 1


def _gained(points: list[Point], landed: list[Point], stride: Stride) -> float:
    """What a burst brought; of one that failed, which tells nothing, a share of the last."""
    if landed:
        return landed[-1].value - points[-1].value
    return stride.gained / 4.0 if stride.gained < np.inf else points[-1].value - points[0].value


def leap(problem: Problem, last: Point, track: Path, stride: Stride) -> tuple[Point, Stride]:
    """Extrapolate a path, ``S - 2αr + α²v`` with α = -|r|/|v|; its last point if that is better."""
    length = min(max(1.0 / track.ratio if track.ratio > 0 else 1.0, 1.0), stride.longest)
    target = track.start + (2.0 * length) * track.step + length**2 * track.bend
    try:
        landed = _landed(problem, target, last.mixture)
        if landed is None:
            return last, stride.shrunk()
        there = problem.at(landed, last)
    except np.linalg.LinAlgError:
        return last, stride.shrunk()
    if not there.value >= last.value:
        return last, stride.shrunk()
    return there, stride.grown() if length >= stride.longest else stride


def _landed(problem: Problem, target: Statistics | Coordinates, last: Mixture) -> Mixture | None:
    """The mixture of extrapolated statistics or parameters, None where there is none."""
    if isinstance(target, Coordinates):
        landed = target.mixture(last, problem.guard.floor)
        return None if landed is None else problem.with_held(landed)
    return problem.maximized(target, last) if _in_cone(target) else None


def _in_cone(data: Statistics) -> bool:
    """Whether the statistics could be those of rows: positive masses and variances."""
    masses = (data.mass > 0).all() and (data.counts > 0).all() and data.noise >= 0
    if not masses or not np.isfinite(data.second).all():
        return False
    scatter = data.scatter()
    diagonal = scatter.diagonal(axis1=1, axis2=2) if scatter.ndim == 3 else scatter
    return bool((diagonal > 0).all())
