"""The loop: expectation, maximization, until what is left to gain is below the tolerance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixtura._types import Indices
from mixtura.assignment import hard
from mixtura.fit import at_once
from mixtura.fit.accelerate import Stride, onward, path
from mixtura.fit.candidates import Audit, Candidates
from mixtura.fit.problem import Point, Problem
from mixtura.fit.sample import on_floor
from mixtura.kernels.layout import FACTOR
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
    flat : int or None
        End a climb, too, once a component lies on the floor in more directions than these: its
        likelihood grows without bound and says nothing. None climbs on.
    parts : int
        M-steps in a pass over the rows, each after another part of them
        (`mixtura.fit.incremental`); with one, the steps are accelerated ones of all rows.
    """

    tol: float = 1e-6
    max_iter: int = 1000
    accelerate: bool = True
    flat: int | None = None
    parts: int = 1

    @property
    def bounds(self) -> tuple[float, bool]:
        """`tol` and `accelerate`."""
        return self.tol, self.accelerate

    def lost(self, problem: Problem, mixture: Mixture) -> bool:
        """Whether a climb is to be given up."""
        return self.flat is not None and bool((on_floor(mixture, problem.guard) > self.flat).any())


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
    candidates : Candidates or None
        What the rows count for in the end, where they count for few.
    audit : Audit or None
        How far the objective then lies below the exact one.
    above_floor : bool
        Whether the climb itself has checked that no covariance lies on the floor.
    """

    mixture: Mixture
    trace: tuple[float, ...]
    converged: bool
    n_iter: int
    remaining: float
    counts: np.ndarray
    candidates: Candidates | None = None
    audit: Audit | None = None
    above_floor: bool = False

    @property
    def value(self) -> float:
        """The objective at the mixture."""
        return self.trace[-1]

    def after(self, earlier: Fit) -> Fit:
        """This climb as the continuation of an earlier one over the same rows."""
        trace = earlier.trace + self.trace[1:]
        return replace(self, trace=trace, n_iter=earlier.n_iter + self.n_iter)


@dataclass(frozen=True, eq=False)
class State:
    """Where a climb stands between two rounds of steps: all that the rest of it depends on.

    Attributes
    ----------
    mixture, trace, n_iter, remaining
        As in `Fit`; the trace is empty before the first E-step.
    stride : Stride
        How far a leap may go.
    noise : float
        Nats a row by which rounding blurs the objective.
    end : "", "converged" or "stopped"
        Empty while the climb goes on.
    """

    mixture: Mixture
    trace: tuple[float, ...]
    n_iter: int
    remaining: float
    stride: Stride
    noise: float
    end: str = ""

    @classmethod
    def of(cls, problem: Problem, start: Mixture, stop: Stop, begun: Fit | None = None) -> State:
        """The beginning, at `start` or where a compiled climb has `begun`."""
        here = start if begun is None else begun.mixture
        trace, steps = ((), 0) if begun is None else (begun.trace, begun.n_iter)
        stride = Stride(gained=np.inf if _in_bursts(problem, stop) else 0.0)
        return cls(here, trace, steps, np.inf, stride, problem.noise(here))

    def then(self, points: Sequence[Point], used: int, follow: Follow | None = None) -> State:
        """After accepted points, which took so many E-steps; stopped if the follower says so."""
        if not points:
            return replace(self, n_iter=self.n_iter + used)
        last, values = points[-1], tuple(point.value for point in points)
        steps = self.n_iter + used
        stopped = follow is not None and bool(follow(steps, last.value, last.mixture))
        return replace(
            self,
            mixture=last.mixture,
            trace=self.trace + values,
            n_iter=steps,
            end="stopped" if stopped else "",
        )


Keep = Callable[[State], object]
"""Called with the state after each round of steps."""


def run(
    problem: Problem,
    start: Mixture,
    stop: Stop = Stop(),
    follow: Follow | None = None,
    *,
    keep: Keep | None = None,
) -> Fit:
    """Climb from `start` until `stop`; the last trace entry belongs to the returned mixture.

    To `keep` where a climb stands changes no bit of it.
    """
    begun = _compiled(problem, [start], stop)[0] if follow is None else None
    if begun is not None and _over(begun, stop):
        return begun
    return climbed(problem, State.of(problem, start, stop, begun), stop, follow, keep=keep)


def climbed(
    problem: Problem,
    state: State,
    stop: Stop,
    follow: Follow | None = None,
    *,
    keep: Keep | None = None,
) -> Fit:
    """Climb on step by step from a state."""
    here = problem.at(state.mixture)
    if not state.trace:
        state = replace(state, trace=(here.value,))
    while not state.end and state.n_iter < stop.max_iter and not stop.lost(problem, here.mixture):
        here, state = _round(problem, here, state, stop, follow)
        if keep is not None:
            keep(state)
    done = state.end == "converged"
    counts = here.data.counts
    given = here.mixture, state.trace, done, state.n_iter, state.remaining, counts
    return Fit(*given, here.candidates)


def _round(
    problem: Problem, here: Point, state: State, stop: Stop, follow: Follow | None
) -> tuple[Point, State]:
    """Two plain steps, and accelerated ones while there is more to gain."""
    points = [here]
    for _ in range(min(2, stop.max_iter - state.n_iter)):
        last = points[-1]
        points.append(problem.at(problem.maximized(last.data, last.mixture), last))
        state = state.then(points[-1:], 1, follow)
        if state.end:
            return points[-1], state
    if len(points) < 3:
        return points[-1], state
    track, stride = path(points), state.stride
    values = [point.value for point in points]
    noise = max(state.noise, _fallen(problem, values))
    gain = gain_left(*values, ratio=track.ratio, noise=noise)
    leaping, bursting = stop.accelerate and problem.assign is not hard, _in_bursts(problem, stop)
    if leaping and not bursting:
        gained = values[-1] - stride.reached
        gained = gained if gained > 10.0 * noise else 0.0
        stride = replace(stride, gained=gained, reached=values[-1])
    state = replace(state, remaining=max(stride.gained, gain), stride=stride)
    if state.remaining < stop.tol:
        return points[-1], replace(state, end="converged")
    if not (leaping or bursting) or state.n_iter >= stop.max_iter:
        return points[-1], state
    most = stop.max_iter - state.n_iter
    landed, stride, used = onward(problem, points, track, stride, most)
    state = replace(state, stride=stride).then(landed, used, follow)
    return landed[-1] if landed else points[-1], state


def _in_bursts(problem: Problem, stop: Stop) -> bool:
    """Whether the climb is accelerated by Anderson's bursts."""
    return stop.accelerate and problem.family.moments.shape == FACTOR


def _fallen(problem: Problem, values: Sequence[float]) -> float:
    """By how much plain steps fell. They cannot, but by rounding, or under a ridge."""
    return 0.0 if problem.guard.ridge.any() else max(0.0, *(-np.diff(values)))


def gain_left(
    before: float, middle: float, now: float, *, ratio: float = 1.0, noise: float = 0.0
) -> float:
    """Aitken's estimate of ``limit - now`` from three objectives a plain step apart.

    With rate ``a = (l₂ - l₁)/(l₁ - l₀)`` the rest of the geometric series is
    ``(l₂ - l₁) a/(1 - a)`` (Böhning et al. 1994). The gains' rate is the square of the rate
    ``1 - ratio`` of the statistics; the slower of both is believed, as right after a leap the gains
    alone look faster than they are. At the level of rounding or `noise` nothing is left; while
    steps still grow, everything may be.
    """
    first, second = middle - before, now - middle
    level = max(1e-14 * max(abs(now), 1.0), noise)
    if abs(second) <= level and abs(first) <= 10.0 * level:
        return 0.0
    if first < 0.0 and second < 0.0:
        first, second = -first, -second
    if first <= 0.0 or second >= first:
        return float("inf")
    rate = max(second / first, max(1.0 - ratio, 0.0) ** 2)
    return max(second, 0.0) * rate / (1.0 - rate) if rate < 1.0 else float("inf")


def race(problem: Problem, starts: Sequence[Mixture], stop: Stop, spare: bool = False) -> list[Fit]:
    """Climb from several starts; in one compiled call where that is possible.

    Compiled climbs end early where a component all but empties or collapses. They go on step by
    step, unless most got through and the others are to be spared.
    """
    if not starts:
        return []
    begun = _compiled(problem, starts, stop)
    spare = spare and _most(begun, stop)
    return [
        fit
        if fit is not None and (spare or _over(fit, stop))
        else climbed(problem, State.of(problem, start, stop, fit), stop)
        for fit, start in zip(begun, starts, strict=True)
    ]


def race_from_labels(problem: Problem, labels: Indices, k: int, stop: Stop) -> list[Fit | None]:
    """Climb from the M-steps of partitions (E, n) of all rows; None where that takes more care.

    Where most get through, the others are left where they are.
    """
    if not at_once.able(problem, k):
        return [None] * len(labels)
    found = at_once.from_labels(problem, labels, k, stop.max_iter, *stop.bounds)
    ends = [_fit(problem, end) for end in found]
    if _most(ends, stop):
        return ends
    return [fit if fit is not None and _over(fit, stop) else None for fit in ends]


def smooth(problem: Problem, start: Mixture, stop: Stop) -> Fit | None:
    """A climb that comes near no collapse; None where it does."""
    if not at_once.able(problem, start.n_components):
        return run(problem, start, stop)
    begun = _compiled(problem, [start], stop)[0]
    return begun if begun is not None and _over(begun, stop) else None


def _most(fits: Sequence[Fit | None], stop: Stop) -> bool:
    """Whether most compiled climbs, and more than one, went all the way."""
    through = sum(fit is not None and _over(fit, stop) for fit in fits)
    return through > max(1, len(fits) // 2)


def _over(fit: Fit, stop: Stop) -> bool:
    """Whether a compiled climb went all the way."""
    return fit.converged or fit.n_iter >= stop.max_iter


def _compiled(problem: Problem, starts: Sequence[Mixture], stop: Stop) -> Sequence[Fit | None]:
    """Climbs in one compiled call, as far as they go; None where that is not possible.

    They hand over where a component empties or the covariances near the floor.
    """
    most = at_once.steps(problem, starts[0].n_components, stop.max_iter)
    ends = at_once.from_mixtures(problem, starts, int(most), *stop.bounds) if most else []
    return [_fit(problem, end) for end in ends] or [None] * len(starts)


def _fit(problem: Problem, end: Any) -> Fit | None:
    """What a compiled climb ended with; it has checked eigenvalues, or a ridge holds."""
    if not len(end.trace):
        return None
    trace = tuple((end.trace + problem.volume).tolist())
    given = trace, end.status == 0, end.n_iter, end.remaining, end.counts
    return Fit(at_once.mixture(problem, end), *given, above_floor=not problem.guard.ridge.any())
