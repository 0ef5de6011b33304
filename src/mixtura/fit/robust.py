"""Starts of fits that mind outliers: ordinary winners, with and without the loneliest rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixtura._types import Mask
from mixtura.fit.em import Fit, Stop, run
from mixtura.fit.problem import Problem
from mixtura.fit.sample import Sample
from mixtura.fit.start import Finalist, tournament
from mixtura.source import MemorySource

_STEPS = 20
"""Steps that each start climbs under its own law before the best goes on."""

_LONELY = 0.1
"""Share of the rows that is left out of the second tournament, or more where more is trimmed."""


def hardened(
    problem: Problem, small: Sample, k: int, rng: np.random.Generator, stop: Stop, fields: int
) -> list[Finalist]:
    """Climb some steps as the problem asks from the winners of two ordinary tournaments.

    One is on all rows of the sample, one without those whose neighbours are far: there no
    component is lost to outliers.
    """
    begun = tournament(small, k, rng, stop, fields)
    begun += tournament(_denser(small, problem.outliers.trim, k), k, rng, stop, fields)
    harder = replace(small.problem, outliers=problem.outliers)
    steps = replace(stop, max_iter=min(stop.max_iter, _STEPS))
    ends = [Finalist(one.name, _climbed(harder, one.fit, steps), small) for one in begun]
    return sorted(ends, key=lambda one: (one.degenerate, -one.fit.value))


def _climbed(problem: Problem, fit: Fit, stop: Stop) -> Fit:
    return run(problem, problem.outliers.fitted_out(fit.mixture), stop)


def _denser(small: Sample, trim: float, k: int) -> Sample:
    """The sample without the rows whose neighbours are farthest, by weight."""
    from scipy.spatial import cKDTree

    rows = np.ascontiguousarray(small.spaces[1])
    near = min(2 * rows.shape[1] + 2, len(rows) - 1)
    if near < 1 or len(rows) <= 4 * k:
        return small
    distance = cKDTree(rows).query(rows, [near + 1])[0][:, 0]
    order = np.argsort(distance, kind="stable")
    inside = np.cumsum(small.weights[order]) <= (1.0 - max(_LONELY, 1.5 * trim)) * small.weights.sum()
    kept = np.zeros(len(rows), dtype=bool)
    kept[order[inside]] = True
    return _some(small, kept) if kept.sum() > 2 * k else small


def _some(small: Sample, kept: Mask) -> Sample:
    block = small.problem.source.take(np.flatnonzero(kept))
    problem = small.problem.on(MemorySource(block.rows, block.weights, block.plausibility))
    spaces = small.spaces[0][kept], small.spaces[1][kept]
    told = None if small.told is None else small.told[kept]
    return Sample(problem, spaces, small.weights[kept], told, small.flat, False)
