"""Anderson acceleration of EM under a monotone guard, for climbs with several slow directions.

EM is a map F of parameters x whose steps ``f(x) = F(x) - x`` vanish at the optimum. From the last
pairs (x, f) the combination of steps that comes nearest to zero tells where to go next
(Henderson & Varadhan 2019). Factor analyzers need it: their loadings and noise trade variance for
long, several at a time, where one extrapolated direction does not help.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from mixtura._types import Array
from mixtura.fit.coordinates import Coordinates
from mixtura.fit.problem import Point, Problem

Memory = tuple[tuple[Array, Array], ...]
"""The last positions and the EM steps taken from there, oldest first."""

DEPTH = 11
"""Pairs that are remembered."""

BURST = 8
"""Accelerated steps at most between plain ones, which tell whether the climb is over."""

_RIDGE = 1e-10
"""Share of the steps' size that keeps nearly parallel ones from cancelling."""


def burst(
    problem: Problem, points: list[Point], memory: Memory, most: int
) -> tuple[list[Point], Memory, int]:
    """Accelerated steps from the last of some points of plain EM, while each is higher.

    Returns
    -------
    landed : the points, each at least as high as the one before
    memory : what was learnt
    used : E-steps
    """
    for before, after in pairwise(points):
        memory = _learnt(memory, before, Coordinates.of(after.mixture))
    landed: list[Point] = []
    here = points[-1]
    for used in range(1, min(BURST, most) + 1):
        step = problem.maximized(here.data, here.mixture)
        known = _learnt(memory, here, Coordinates.of(step))
        there = _tried(problem, known, here)
        level = 1e-14 * max(abs(here.value), 1.0)  # of rounding
        if there is None or not there.value >= here.value - level:
            return landed, memory, used
        memory, here = known, there if there.value >= here.value else here
        landed.append(here)
        if there is not here:
            return landed, memory, used
    return landed, memory, min(BURST, most)


def _learnt(memory: Memory, point: Point, after: Coordinates) -> Memory:
    here = Coordinates.of(point.mixture)
    with np.errstate(invalid="ignore"):  # log weights of empty components
        step = (after - here).values
    return (*memory, (here.values, step))[-DEPTH:]


def _tried(problem: Problem, memory: Memory, here: Point) -> Point | None:
    """The point that the memory leads to, None where there is none."""
    target = _combined(memory)
    if target is None:
        return None
    try:
        mixture = Coordinates(target).mixture(here.mixture, problem.guard.floor)
        return None if mixture is None else problem.at(problem.with_held(mixture))
    except np.linalg.LinAlgError:
        return None


def _combined(memory: Memory) -> Any:
    """``x + f - (ΔX + ΔF) γ`` with γ that brings ``f - ΔF γ`` nearest to zero."""
    places, steps = (np.array(part) for part in zip(*memory, strict=True))
    with np.errstate(invalid="ignore"):  # log weights of empty components
        moves, bends = np.diff(places, axis=0), np.diff(steps, axis=0)
        gram = bends @ bends.T
    if not len(bends) or not np.isfinite(gram).all() or not np.trace(gram) > 0:
        return None
    ridge = _RIDGE * np.trace(gram) * np.eye(len(gram))
    mixed = np.linalg.solve(gram + ridge, bends @ steps[-1])
    return places[-1] + steps[-1] - mixed @ (moves + bends)
