"""Starts of fits that mind outliers: ordinary winners that climb on under their own law."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mixtura._types import Mask
from mixtura.fit.em import Stop, run
from mixtura.fit.problem import Problem
from mixtura.fit.sample import SIZE, Sample, merged
from mixtura.fit.start import Finalist, better_half, tournament
from mixtura.mixture import Mixture
from mixtura.source import MemorySource, Source

_ROUNDS = (8, 16)
"""Steps that the entrants climb under their own law; the better half goes on after each round."""

_LONELY = 0.1
"""Share of the rows that the second tournament does without, or more where more is trimmed."""

_SPARED = 3
"""So many of the smallest components are left out in turn of a winner with one too many."""


def distinct(source: Source, k: int) -> Source:
    """The source with equal rows merged, sorted, where it is small enough to be its own sample.

    So the sums do not depend on how weights were spelled out. On singular data the densities of
    heavy tails differ visibly where sums differ by their last digit.
    """
    if source.n > SIZE:
        return source
    block = merged(source.take(slice(None)))
    if len(block) < k:
        return source
    return MemorySource.of(block)


def hardened(
    problem: Problem, small: Sample, k: int, rng: np.random.Generator, stop: Stop, fields: int
) -> list[Finalist]:
    """Climb some steps as the problem asks from the winners of ordinary tournaments; best first.

    Outliers draw components to them. So besides the winner on all rows there enter that on the
    rows that have neighbours, and those of one component more with one of the smallest left out.
    """
    harder = replace(small.problem, outliers=problem.outliers)
    standing = [
        Finalist(name, run(harder, harder.outliers.fitted_out(start), Stop(stop.tol, 1)), small)
        for name, start in _entrants(small, problem.outliers.trim, k, rng, stop, fields)
    ]
    for steps in _ROUNDS:
        steps = min(steps, stop.max_iter - max(one.fit.n_iter for one in standing))
        if steps > 0:
            standing = better_half(
                [_onward(harder, one, replace(stop, max_iter=steps)) for one in standing]
            )
    return standing


def _onward(problem: Problem, one: Finalist, stop: Stop) -> Finalist:
    if one.fit.converged:
        return one
    return Finalist(one.name, run(problem, one.fit.mixture, stop).after(one.fit), one.small)


def _entrants(
    small: Sample, trim: float, k: int, rng: np.random.Generator, stop: Stop, fields: int
) -> Iterator[tuple[str, Mixture]]:
    """Ordinary mixtures of k components."""
    dense = _denser(small, trim, k)
    for rows in (small, dense):
        for one in tournament(rows, k, rng, stop, fields):
            yield one.name, one.fit.mixture
    named = small.told is not None or small.problem.held is not None
    if named or len(small.weights) <= 4 * (k + 1):
        return
    more = tournament(small, k + 1, rng, stop, fields)[0]
    for index in np.argsort(more.fit.mixture.weights, kind="stable")[:_SPARED]:
        if more.fit.mixture.weights[index] < 1.0:
            yield f"{more.name}, less one", more.fit.mixture.take(np.arange(k + 1) != index)


def _denser(small: Sample, trim: float, k: int) -> Sample:
    """The sample without the rows whose neighbours are farthest, by weight."""
    from scipy.spatial import cKDTree

    rows = np.ascontiguousarray(small.spaces[0])  # framed by the bulk, unlike the whitened
    near = min(2 * rows.shape[1] + 2, len(rows) - 1)
    if near < 1 or len(rows) <= 4 * k:
        return small
    distance = cKDTree(rows).query(rows, [near + 1])[0][:, 0]
    order = np.argsort(distance, kind="stable")
    running = np.cumsum(small.weights[order])
    inside = running <= (1.0 - max(_LONELY, 1.5 * trim)) * running[-1]
    kept = np.zeros(len(rows), dtype=bool)
    kept[order[inside]] = True
    return _some(small, kept) if kept.sum() > 2 * k else small


def _some(small: Sample, kept: Mask) -> Sample:
    block = small.problem.source.take(np.flatnonzero(kept))
    problem = small.problem.on(MemorySource.of(block))
    spaces = small.spaces[0][kept], small.spaces[1][kept]
    told = None if small.told is None else small.told[kept]
    return Sample(problem, spaces, small.weights[kept], told, small.flat, False)
