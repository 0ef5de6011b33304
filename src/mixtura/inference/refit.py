"""Many refits of a fitted mixture, each to its own rows or its own row weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from mixtura import kernels
from mixtura._types import Array, Indices, Mask
from mixtura.assignment import hard
from mixtura.covariance import FullCovariances, common_axes
from mixtura.expectation import fits
from mixtura.fit.at_once import stacked
from mixtura.fit.em import Stop, run
from mixtura.fit.fitting import seconds
from mixtura.fit.problem import Problem
from mixtura.fit.sample import on_floor
from mixtura.inference.alignment import distances, orders
from mixtura.inference.subject import Subject
from mixtura.kernels.layout import DIAGONAL, FULL
from mixtura.log_linear import cancellation
from mixtura.mixture import Mixture
from mixtura.source import MemorySource
from mixtura.source.memory import one_blas_thread

CHUNK = 128
"""Replicates drawn from one stream of random numbers and refitted in one compiled call."""

NUMBERS = 1 << 22
"""So many numbers of rows or weights are drawn at a time, at most, by each thread."""

COMPILING = 60.0
"""Seconds of work on the plain kernels for which batches are compiled, once on a machine."""

CARE = 2
"""A compiled climb's status where a component emptied or collapsed."""

SAFE, LOSS = 1e-8, 1e-6
"""Nats a row lost to rounding: from below SAFE only a collapsing component comes near LOSS."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """The data of E replicates: other weights of the same rows, or other rows.

    Attributes
    ----------
    rows : (E, n, d), or (1, n, d) the rows of the fit
    weights : (E, n), or (0, n) for ones
    plausibility : (n, k) or None
    """

    rows: Array
    weights: Array
    plausibility: Array | None = None

    def __len__(self) -> int:
        """E."""
        return max(len(self.rows), len(self.weights))

    def source(self, index: int) -> MemorySource:
        """One replicate."""
        rows = self.rows[index if len(self.rows) > 1 else 0]
        weights = self.weights[index] if len(self.weights) else None
        if weights is not None and not weights.all():
            kept = np.flatnonzero(weights)
            told = None if self.plausibility is None else self.plausibility[kept]
            return MemorySource(rows[kept], weights[kept], told)
        return MemorySource(rows, weights, self.plausibility)


@dataclass(frozen=True, eq=False)
class Refits:
    """Parameters of E refits in frame coordinates, components in the order of the fit's.

    Attributes
    ----------
    weights : (E, k)
    location : (E, k, d)
    covariances : (E, k, d, d)
    values : (E,)
        Objective in nats per unit of row weight, in frame coordinates.
    sound : (E,) bool
        False where a component emptied or collapsed: the likelihood has no maximum there.
    others : (E,) of Mixture or None
        The refits themselves where these numbers do not say all: Student's t and noise.
    """

    weights: Array
    location: Array
    covariances: Array
    values: Array
    sound: Mask
    others: Array

    @classmethod
    def joined(cls, parts: Sequence[Refits]) -> Refits:
        """One after the other."""
        names = cls.__dataclass_fields__
        return cls(*(np.concatenate([getattr(one, name) for one in parts]) for name in names))

    def mixture(self, index: int, like: Mixture) -> Mixture:
        """One of them as a value."""
        if self.others[index] is not None:
            return self.others[index]
        structure = FullCovariances(self.covariances[index])
        return Mixture.of(
            self.weights[index], self.location[index], structure, like.frame, like.feature_names
        )


def in_chunks(
    task: Callable[[np.random.Generator, int, int], Any],
    count: int,
    numbers: int,
    rng: np.random.Generator,
    threads: int,
) -> list[Any]:
    """``task(rng, first, size)`` of each chunk that `count` replicates are cut into, in order.

    A chunk has its own stream of random numbers, and its size depends on the `numbers` of a
    replicate alone: the results are the same for any number of threads.
    """
    size = int(np.clip(NUMBERS // max(numbers, 1), 1, CHUNK))
    firsts = range(0, count, size)
    seeds = rng.integers(2**63, size=len(firsts))

    def chunk(index: int) -> Any:
        first = firsts[index]
        return task(np.random.default_rng(seeds[index]), first, min(size, count - first))

    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(chunk, range(len(firsts))))


def prepare(problem: Problem, k: int, count: int) -> bool:
    """Load the compiled kernels if so many fits make that pay; whether to climb in batches.

    Where batches have not been compiled yet, less work does not wait for that.
    """
    work = 0.2 * count * seconds(problem, k)
    kernels.prepare(work)
    folder = Path(kernels.__file__).parent / "__pycache__"
    return work > COMPILING or any(folder.glob("compiled_replicates*.nbi"))


def refitted(subject: Subject, drawn: Drawn, one_call: bool = True) -> Refits:
    """Climb from the fit over each replicate; by compiled climbs where that is possible."""
    compiled = able(subject, drawn)
    found = _compiled(subject, drawn, one_call) if compiled else _one_by_one(subject, drawn)
    if subject.problem.held is not None:  # the components are named by what is held of them
        return found
    return _aligned(subject.mixture, found)


def able(subject: Subject, drawn: Drawn) -> bool:
    """Whether replicates can be climbed in one compiled call.

    That is for complete rows without labels, not too many features, a family whose M-step is an
    average, and covariances far enough from singular.
    """
    problem, mixture = subject.problem, subject.mixture
    _, n, d = drawn.rows.shape
    if not hasattr(kernels.active(), "race") or not problem.family.averages:
        return False
    if not problem.outliers.none or not mixture.plain or problem.guard.ratio is not None:
        return False
    if problem.held is not None:
        return False
    if problem.equal_weights or problem.assign is hard or drawn.plausibility is not None:
        return False
    if kernels.active().is_wide(problem.family.moments.shape, d, mixture.n_components):
        return False
    if n * d > NUMBERS or not fits(mixture, problem.family.moments):
        return False
    return cancellation(mixture) <= SAFE and not np.isnan(drawn.rows).any()


def _compiled(subject: Subject, drawn: Drawn, one_call: bool) -> Refits:
    ends = batch(subject.problem, drawn, [subject.mixture], subject.stop, one_call=one_call)
    dense, shape = ends.covariances, subject.problem.family.moments.shape
    if shape != FULL:
        d = subject.mixture.n_features
        columns = dense if shape == DIAGONAL else dense[..., None]
        dense = np.broadcast_to(columns, (*dense.shape[:2], d))[..., None] * np.eye(d)
    others = np.full(len(dense), None)
    return Refits(ends.weights, ends.means, dense, ends.values, ends.status != CARE, others)


def batch(
    problem: Problem, drawn: Drawn, starts: Sequence[Mixture], stop: Stop, **options: Any
) -> Any:
    """The ends of climbs from the best of some starts over each replicate, compiled."""
    moments = problem.family.moments
    return import_module("mixtura.kernels.compiled_replicates").replicates(
        drawn.rows,
        problem.frame.pivot,
        problem.frame.scale,
        drawn.weights,
        stacked(starts),
        moments.shape,
        moments.pooled,
        most=stop.max_iter,
        tol=stop.tol,
        prior=problem.pseudo_sums(*starts[0].location.shape),
        ridge=problem.guard.ridge,
        floor=4.0 * problem.guard.floor,
        loss=LOSS,
        form=problem.family.form,
        axes=[common_axes(start.structure) for start in starts],
        **options,
    )


def _one_by_one(subject: Subject, drawn: Drawn) -> Refits:
    problem, mixture = subject.problem, subject.mixture
    before = on_floor(mixture, problem.guard)
    stop = replace(subject.stop, flat=int(before.max()))
    parts = []
    for index in range(len(drawn)):
        source = drawn.source(index)
        own = on(problem, source)
        fit = run(own, mixture, stop)
        end = fit.mixture
        empty = fit.counts < 1e-8 * fit.counts.sum()
        sound = not (empty | (on_floor(end, problem.guard) > before)).any()
        parts.append((end, fit.value - own.volume, sound))
    return Refits(
        np.stack([end.weights for end, _, _ in parts]),
        np.stack([end.location for end, _, _ in parts]),
        np.stack([end.structure.dense() for end, _, _ in parts]),
        np.array([value for _, value, _ in parts]),
        np.array([sound for _, _, sound in parts]),
        np.array([None if mixture.plain else end for end, _, _ in parts], dtype=object),
    )


def on(problem: Problem, source: MemorySource) -> Problem:
    """The problem over a replicate's rows."""
    own = problem.on(source)
    seen = source.whole.weight() @ ~np.isnan(source.whole.rows)
    return replace(own, summary=replace(own.summary, observed=seen))


def _aligned(mixture: Mixture, found: Refits) -> Refits:
    """The components in the order that matches those of the fit."""
    good = np.flatnonzero(found.sound)
    if not len(good) or mixture.n_components == 1:
        return found
    distance = distances(
        mixture.location,
        mixture.structure.dense(),
        found.location[good],
        found.covariances[good],
    )
    order = orders(distance)
    moved: Indices = np.flatnonzero((order != np.arange(order.shape[1])).any(axis=1))
    if not len(moved):
        return found
    weights, location = found.weights.copy(), found.location.copy()
    covariances, others = found.covariances.copy(), found.others.copy()
    for index in moved:
        at, own = good[index], order[index]
        weights[at], location[at] = weights[at][own], location[at][own]
        covariances[at] = covariances[at][own]
        others[at] = None if others[at] is None else others[at].take(own)
    return Refits(weights, location, covariances, found.values, found.sound, others)
