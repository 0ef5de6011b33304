"""Incremental EM: an M-step after each part of the rows (Neal & Hinton 1998).

The expected statistics of each part are kept. A step renews those of one part under the mixture so
far, and takes the M-step of all. Both raise the free energy
``F = Σ_b E_b[log p(z, c | θ)] + H_b`` with H_b the entropy of the responsibilities of part b, so it
never falls; it is a lower bound of the log-likelihood, and equal to it where all parts are renewed
under the same mixture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.expectation import EStep
from mixtura.fit import em
from mixtura.fit.em import Fit, Follow, Stop, gain_left
from mixtura.fit.problem import Problem
from mixtura.kernels.layout import FACTOR
from mixtura.maximization import expected
from mixtura.mixture import Mixture
from mixtura.source import Source
from mixtura.statistics import Statistics
from mixtura.tree import Sums

PARTS = 16
"""Parts where no number is given."""

_MEMORY = 1 << 28
"""Bytes of statistics, about, for which there are fewer."""


@dataclass(frozen=True, eq=False)
class Progress:
    """Where an incremental climb stands between two passes.

    Attributes
    ----------
    mixture : Mixture
        The M-step of the sum of all `leaves`.
    trace : tuple of float
        The free energy after each pass, the log-likelihood where it was exact; nats a row.
    n_iter : int
        Passes over the rows after the first.
    remaining : float
        Aitken estimate of the gain that remains.
    leaves : tuple of Statistics
        Of each part, about the same pivot; as their log-likelihood the entropy H_b.
    since : int
        Passes since all parts were renewed under the same mixture.
    end : "" or "stopped"
        Empty while the climb goes on.
    """

    mixture: Mixture
    trace: tuple[float, ...]
    n_iter: int
    remaining: float
    leaves: tuple[Statistics, ...]
    since: int = 0
    end: str = ""

    def under_way(self, stop: Stop) -> bool:
        """Whether there is another pass to take before the likelihood is worked out exactly."""
        left = self.n_iter < stop.max_iter - 1 and not self.end
        return left and not self.remaining < stop.tol


def run(
    problem: Problem,
    start: Mixture,
    stop: Stop,
    follow: Follow | None = None,
    *,
    keep: Callable[[Progress], object] | None = None,
) -> Fit:
    """Climb from `start` until `stop`; as `mixtura.fit.em.run`, and to the same ends."""
    sources = problem.source.parts(count(problem, start.n_components, stop.parts))
    sums, value = _renewed(problem, sources, start)
    state = Progress(problem.maximized(sums.total, start), (value,), 0, np.inf, sums.leaves)
    return climbed(problem, state, stop, follow, keep=keep)


def climbed(
    problem: Problem,
    state: Progress,
    stop: Stop,
    follow: Follow | None = None,
    *,
    keep: Callable[[Progress], object] | None = None,
) -> Fit:
    """Climb on from a state: passes until little remains, then an exact one that must agree."""
    sources = problem.source.parts(len(state.leaves))
    noise = problem.noise(state.mixture)
    while True:
        while state.under_way(stop):
            state = _passed(problem, sources, state, noise, follow)
            if keep is not None:
                keep(state)
        sums, value = _renewed(problem, sources, state.mixture)
        gap = value - state.trace[-1]
        remaining = state.remaining + (gap if gap > max(1e-14 * abs(value), noise) else 0.0)
        trace, steps = (*state.trace, value), state.n_iter + 1
        done = remaining < stop.tol and not state.end
        if done or state.end or steps >= stop.max_iter:
            counts = sums.total.counts
            return Fit(state.mixture, trace, done, steps, remaining, counts)
        mixture = problem.maximized(sums.total, state.mixture)
        state = Progress(mixture, trace, steps, np.inf, sums.leaves)


def _check(problem: Problem) -> None:
    """Refuse what cannot be fitted part by part."""
    low_rank = problem.family.moments.shape == FACTOR
    if low_rank or not problem.outliers.none or problem.truncation or problem.shortlist:
        raise InputError(
            "incremental steps are for Gaussian components whose statistics add up: leave out "
            "distribution, noise, trim, truncation and candidates, choose another "
            "covariance_type than factor analyzers, or set incremental=False"
        )


def count(problem: Problem, k: int, asked: int) -> int:
    """How many parts: `PARTS` where no number is asked for, or as few as memory has room for."""
    d = problem.source.d
    size = problem.family.moments.zeros(k, d).nbytes + 8 * k * (d + 3)
    room = max(_MEMORY // (2 * size), 2)
    return min(asked or min(PARTS, room), problem.source.n)


def _passed(
    problem: Problem,
    sources: Sequence[Source],
    state: Progress,
    noise: float,
    follow: Follow | None,
) -> Progress:
    """After each part once, and the M-step after each.

    The pivot of all sums is where the means were before the pass, so that none of them cancel.
    """
    mixture, pivot = state.mixture, state.mixture.location
    sums = Sums.of(leaf.about(pivot) for leaf in state.leaves)
    for index, source in enumerate(sources):
        sums = sums.exchanged(index, leaf(problem, source, mixture, pivot))
        mixture = problem.maximized(sums.total, mixture)
    trace, steps = (*state.trace, free_energy(problem, sums, mixture)), state.n_iter + 1
    since = state.since + 1
    remaining = gain_left(*trace[-3:], noise=noise) if since > 1 else np.inf
    stopped = follow is not None and bool(follow(steps, trace[-1], mixture))
    end = "stopped" if stopped else ""
    return Progress(mixture, trace, steps, remaining, sums.leaves, since, end)


def _renewed(problem: Problem, sources: Sequence[Source], mixture: Mixture) -> tuple[Sums, float]:
    """All statistics under one mixture, and its objective."""
    pivot = mixture.location
    sums = Sums.of(leaf(problem, source, mixture, pivot) for source in sources)
    return sums, free_energy(problem, sums, mixture)


def leaf(problem: Problem, source: Source, mixture: Mixture, pivot: Array) -> Statistics:
    """The statistics of a part, with the entropy in place of the log-likelihood."""
    found = EStep(mixture, problem.family.moments, problem.assign).over(source)
    entropy = found.log_likelihood - expected(found, mixture)
    return replace(found.about(pivot), log_likelihood=entropy)


def free_energy(problem: Problem, sums: Sums, mixture: Mixture) -> float:
    """F plus the log-prior, in nats a row and the units of the data."""
    total = sums.total
    value = total.log_likelihood + expected(total, mixture) + problem.log_prior(mixture)
    return float(value / problem.summary.weight + problem.volume)


def way(problem: Problem, stop: Stop) -> tuple[Callable[..., Fit], Callable[..., Fit]]:
    """What climbs from a start, and what climbs on from a state.

    Raises
    ------
    InputError
        The M-step needs more than statistics that add up.
    """
    if stop.parts == 1:
        return em.run, em.climbed
    _check(problem)
    return run, climbed
