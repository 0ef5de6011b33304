"""The loop: expectation, maximization, until what is left to gain is below the tolerance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixtura.fit.accelerate import Stride, leap
from mixtura.fit.problem import Point, Problem
from mixtura.mixture import Mixture

Follow = Callable[[int, float, Mixture], object]
"""Called after each step with its number, the objective and the mixture; True stops the climb."""


@dataclass(frozen=True)
class Stop:
    """When to stop.

    Attributes
    ----------
    tol : float
        In nats a row: the climb ends when the Aitken estimate of the gain that remains is below.
        Zero never stops before `max_iter`.
    max_iter : int
        E+M steps at most.
    accelerate : bool
        Take SQUAREM leaps.
    """

    tol: float = 1e-6
    max_iter: int = 1000
    accelerate: bool = True


@dataclass(frozen=True, eq=False)
class Fit:
    """The end of a climb.

    Attributes
    ----------
    mixture : Mixture
    trace : tuple of float
        The objective in nats a row after each accepted step; it never falls.
    converged : bool
    n_iter : int
        E+M steps taken.
    remaining : float
        Aitken estimate of the gain that remains, nats a row.
    counts : (k,)
        Rows (total weight) in each component.
    """

    mixture: Mixture
    trace: tuple[float, ...]
    converged: bool
    n_iter: int
    remaining: float
    counts: np.ndarray

    @property
    def value(self) -> float:
        """The objective at the mixture."""
        return self.trace[-1]


def run(problem: Problem, start: Mixture, stop: Stop = Stop(), follow: Follow | None = None) -> Fit:
    """Climb from `start` until `stop`; the last trace entry belongs to the returned mixture."""
    here = problem.at(start)
    trace, steps, stride, remaining = [here.value], 0, Stride(), np.inf
    while steps < stop.max_iter:
        points = [here]
        for _ in range(min(2, stop.max_iter - steps)):
            points.append(problem.at(problem.maximized(points[-1].data, points[-1].mixture)))
            steps += 1
            trace.append(points[-1].value)
            if follow is not None and follow(steps, points[-1].value, points[-1].mixture):
                return _end(points[-1], trace, False, steps, remaining)
        here = points[-1]
        if len(points) == 3:
            remaining = gain_left(*(point.value for point in points))
            if remaining < stop.tol:
                return _end(here, trace, True, steps, remaining)
            if stop.accelerate and steps < stop.max_iter:
                here, stride = leap(problem, points, stride)
                steps += 1
                if here is not points[-1]:
                    trace.append(here.value)
    return _end(here, trace, False, steps, remaining)


def gain_left(before: float, middle: float, now: float) -> float:
    """Aitken's estimate of ``limit - now`` from three objectives a plain step apart.

    With rate ``a = (l₂ - l₁)/(l₁ - l₀)`` the rest of the geometric series is
    ``(l₂ - l₁) a/(1 - a)`` (Böhning et al. 1994). At the level of rounding nothing is left; while
    steps still grow, everything may be.
    """
    first, second = middle - before, now - middle
    if abs(second) <= 4e-15 * max(abs(now), 1.0) and abs(first) <= 1e-13 * max(abs(now), 1.0):
        return 0.0
    if first <= 0.0 or second >= first:
        return float("inf") if second > 0 else 0.0
    rate = max(second, 0.0) / first
    return second * rate / (1.0 - rate) if rate > 0 else 0.0


def _end(here: Point, trace: list[float], converged: bool, steps: int, remaining: float) -> Fit:
    return Fit(here.mixture, tuple(trace), converged, steps, remaining, here.data.counts)
