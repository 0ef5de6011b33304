"""Where a climb begins: a tournament of cheap starts on a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.block import Block
from mixtura.covariance import structure
from mixtura.fit.em import Fit, Stop, run
from mixtura.fit.problem import Problem
from mixtura.mixture import Mixture
from mixtura.source import MemorySource
from mixtura.statistics import Statistics

Seeder = Callable[[Array, Array, int, np.random.Generator], Array]
"""Whitened rows (m, d), weights (m,), k -> k seeds (k, d)."""

_SAMPLE = 2000
_WARD = 300
_ROUNDS = ((4, False), (8, True), (24, True))


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows to try starts on.

    Attributes
    ----------
    problem : Problem
        The same problem on the sample.
    white : (m, d)
        The rows in the frame, gaps filled with the mean, whitened by their covariance: a start
        does not depend on how the axes are scaled, rotated or sheared.
    weights : (m,)
    singular : bool
        The columns are collinear or constant.
    """

    problem: Problem
    white: Array
    weights: Array
    singular: bool


@dataclass(frozen=True, eq=False)
class Finalist:
    """A start that survived, by name, with the climb it made on the sample."""

    name: str
    fit: Fit
    degenerate: bool

    @property
    def rank(self) -> tuple[bool, float]:
        """Sound ones first, then by objective."""
        return (self.degenerate, -self.fit.value)


def sample(problem: Problem, k: int, rng: np.random.Generator) -> Sample:
    """Draw at most a few thousand rows; equal rows are merged and sorted.

    So a fit does not depend on the order of the rows, and a weight counts as so many repetitions.
    """
    n, d = problem.source.n, problem.source.d
    size = max(_SAMPLE, 10 * k * d if problem.family.moments.shape == 0 else 10 * k)
    if n > size:
        block = problem.source.take(np.sort(rng.choice(n, size=size, replace=False)))
    else:
        block = problem.source.take(np.arange(n))
    block = _merged(block)
    small = problem.on(MemorySource(block.rows, block.weight(), block.plausibility))
    z = np.nan_to_num(problem.frame.read(block.rows), nan=0.0)
    weights = block.weight()
    white, singular = _whitened(z, weights, problem.guard.floor)
    return Sample(small, white, weights, singular)


def tournament(small: Sample, k: int, rng: np.random.Generator, fields: int = 1) -> list[Finalist]:
    """Let starts climb a few steps on the sample, keep the better half, and repeat; best first.

    Halving after short runs is emEM (Biernacki et al. 2003); seeds are drawn by squared distance
    (Arthur & Vassilvitskii 2007), farthest point first, at random, and by Ward's tree.
    """
    climbs = [
        (name, _partitioned(small, seeds)) for name, seeds in _entrants(small, k, rng, fields)
    ]
    standing: list[Finalist] = []
    for steps, accelerate in _ROUNDS:
        standing = []
        for name, mixture in climbs:
            fit = run(small.problem, mixture, Stop(1e-8, steps, accelerate))
            standing.append(Finalist(name, fit, bool(collapsed(fit, small).any())))
        standing.sort(key=lambda finalist: finalist.rank)
        standing = _distinct(standing)[: max((len(standing) + 1) // 2, 2)]
        climbs = [(finalist.name, finalist.fit.mixture) for finalist in standing]
    return standing


def from_responsibilities(problem: Problem, shares: Array) -> Mixture:
    """One M-step from responsibilities (n, k): a start inside its family by construction."""
    source = problem.source
    block = source.take(np.arange(source.n))
    return _from_shares(problem, block, shares)


def given_start(
    problem: Problem, k: int, how: Any, given: dict[str, Any], rng: np.random.Generator
) -> Mixture | None:
    """The start that the user asked for, or None where a tournament is to find one.

    Parameters
    ----------
    how : str, callable or array_like
        "auto", a start by name, a callable that gives labels or responsibilities, or these.
    given : dict
        "weights", "means", "precisions" to start from, or None.

    Raises
    ------
    InputError
        An unknown name, or numbers that do not fit.
    """
    some = any(value is not None for value in given.values())
    if isinstance(how, str) and how == "auto" and not some:
        return None
    if given["means"] is not None:
        means = _shaped(given["means"], (k, problem.source.d), "means_init")
        flat = problem.isotropic(problem.frame.read(means))
        start = problem.maximized(_smoothed(problem.at(flat).data, problem), flat)
    else:
        start = _asked(problem, k, how, rng)
    return _overridden(problem, start, given)


def _asked(problem: Problem, k: int, how: Any, rng: np.random.Generator) -> Mixture:
    n = problem.source.n
    if callable(how):
        rows = problem.source.take(np.arange(n)).rows
        seed = int(rng.integers(2**31 - 1))
        found = how(rows, k, np.random.RandomState(seed))
        shares = _checks.partition(found, n, k, "what init_params returned")
        return from_responsibilities(problem, shares)
    if not isinstance(how, str):
        return from_responsibilities(problem, _checks.partition(how, n, k, "init_params"))
    if how not in _NAMED:
        raise InputError(
            f"init_params={how!r} is unknown: use one of {('auto', *_NAMED)}, a callable, "
            "labels or responsibilities"
        )
    if how == "random":
        return from_responsibilities(problem, rng.dirichlet(np.ones(k), size=n))
    small = sample(problem, k, rng)
    seeds = _NAMED[how](small.white, small.weights, k, rng)
    return _partitioned(small, seeds, rounds=20 if how == "kmeans" else 1)


def _overridden(problem: Problem, start: Mixture, given: dict[str, Any]) -> Mixture:
    """The start with the parameters that the user gave in place."""
    k, d = start.location.shape
    weights, location, shape = start.weights, start.location, start.structure
    if given["weights"] is not None:
        weights = _shaped(given["weights"], (k,), "weights_init")
        if (weights < 0).any() or abs(weights.sum() - 1.0) > 1e-6:
            raise InputError(f"weights_init must be at least 0 and sum to one: {weights}")
    if given["means"] is not None:
        location = problem.frame.read(_shaped(given["means"], (k, d), "means_init"))
    if given["precisions"] is not None:
        name = problem.family.name
        inverse = structure(given["precisions"], name, k, d, "precisions_init")
        array = (
            inverse.precisions[0] if inverse.shape == 0 and inverse.shared else inverse.precisions
        )
        shape = problem.family.from_array(np.array(array), k, d).scaled(problem.frame.scale)
    return Mixture.of(weights, location, shape, problem.frame)


def _shaped(values: Any, shape: tuple[int, ...], name: str) -> Array:
    array = np.array(values, dtype=np.float64)
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}; {shape} is needed")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds NaN or infinite numbers")
    return array


def collapsed(fit: Fit, small: Sample) -> np.ndarray:
    """Which components (k,) sit on the floor of the covariances, or hold no row."""
    problem = small.problem
    if small.singular:
        return np.asarray(fit.counts < 1e-6 * fit.counts.sum())
    low, _ = fit.mixture.structure.extremes()
    ridge = float(problem.guard.ridge.min(initial=0.0))
    return np.asarray((low <= 4.0 * problem.guard.floor + 1.01 * ridge) | (fit.counts < 1e-6))


def _distinct(standing: list[Finalist]) -> list[Finalist]:
    """Drop climbs that have met: the same objective to nine digits."""
    kept: list[Finalist] = []
    for finalist in standing:
        if all(abs(finalist.fit.value - other.fit.value) > 1e-9 for other in kept):
            kept.append(finalist)
    return kept


def _entrants(
    small: Sample, k: int, rng: np.random.Generator, fields: int
) -> Iterator[tuple[str, Array]]:
    if k == 1:
        yield "mean", np.zeros((1, small.white.shape[1]))
        return
    for _ in range(fields):
        for name, seeder, count in _FIELD:
            for _ in range(count):
                yield name, seeder(small.white, small.weights, k, rng)


def _plus_plus(white: Array, weights: Array, k: int, rng: np.random.Generator) -> Array:
    """k-means++: each next seed drawn by weighted squared distance from the nearest so far."""
    draws = rng.random(k)
    chosen = [_pick(weights, draws[0])]
    nearest = _distances(white, white[chosen[0]])
    for draw in draws[1:]:
        chosen.append(_pick(weights * nearest, draw))
        nearest = np.minimum(nearest, _distances(white, white[chosen[-1]]))
    return np.asarray(white[chosen])


def _farthest(white: Array, weights: Array, k: int, rng: np.random.Generator) -> Array:
    """A random row, then always the row farthest from all chosen (Gonzalez 1985), on a sample.

    A tenth of the rows enters, so that outliers rarely do.
    """
    size = min(len(white), max(10 * k, len(white) // 10))
    race = rng.random(len(white)) ** (1.0 / np.maximum(weights, 1e-300))
    some = white[np.sort(np.argsort(-race, kind="stable")[:size])]
    chosen = [0]
    nearest = _distances(some, some[0])
    for _ in range(k - 1):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _distances(some, some[chosen[-1]]))
    return np.asarray(some[chosen])


def _random(white: Array, weights: Array, k: int, rng: np.random.Generator) -> Array:
    """k rows drawn by weight."""
    return np.asarray(white[[_pick(weights, draw) for draw in rng.random(k)]])


def _ward(white: Array, weights: Array, k: int, rng: np.random.Generator) -> Array:
    """Means of the k clusters of Ward's tree on a few hundred rows."""
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(white) <= k:
        return white[np.arange(k) % len(white)]
    size = min(len(white), max(_WARD, 4 * k))
    some = np.sort(rng.permutation(len(white))[:size]) if len(white) > size else slice(None)
    rows, mass = white[some], weights[some]
    labels = fcluster(linkage(rows, "ward"), k, "maxclust") - 1
    shares = np.eye(k)[labels] * mass[:, None]
    return np.asarray(shares.T @ rows / np.maximum(shares.sum(axis=0), 1e-300)[:, None])


_FIELD: tuple[tuple[str, Seeder, int], ...] = (
    ("k-means++", _plus_plus, 4),
    ("farthest point", _farthest, 1),
    ("random rows", _random, 2),
    ("Ward", _ward, 1),
)


_NAMED: dict[str, Seeder] = {
    "kmeans": _plus_plus,
    "k-means++": _plus_plus,
    "random_from_data": _random,
    "random": _random,
}


def _partitioned(small: Sample, seeds: Array, rounds: int = 3) -> Mixture:
    """Lloyd's steps from the seeds on the whitened rows, then one M-step in the family."""
    k = len(seeds)
    labels = np.zeros(len(small.white), dtype=np.intp)
    for _ in range(rounds):
        squared = (seeds**2).sum(axis=1) - 2.0 * small.white @ seeds.T
        labels = squared.argmin(axis=1)
        shares = np.eye(k)[labels] * small.weights[:, None]
        mass = shares.sum(axis=0)
        means = shares.T @ small.white / np.maximum(mass, 1e-300)[:, None]
        seeds = np.where(mass[:, None] > 0, means, seeds)
    block = small.problem.source.take(np.arange(len(labels)))
    return _from_shares(small.problem, block, np.eye(k)[labels])


def _from_shares(problem: Problem, block: Block, shares: Array) -> Mixture:
    """The M-step of given responsibilities: they enter as the rows' soft labels."""
    with np.errstate(divide="ignore"):
        told = np.log(shares)
    if block.plausibility is not None:
        agreed = told + block.plausibility
        lost = np.isneginf(agreed).all(axis=1)
        told = np.where(lost[:, None], block.plausibility, agreed)
    labelled = MemorySource(block.rows, block.weights, told)
    k, d = shares.shape[1], problem.source.d
    flat = problem.isotropic(np.zeros((k, d)))
    data = problem.on(labelled).at(flat).data
    return problem.maximized(_smoothed(data, problem), flat)


def _smoothed(data: Statistics, problem: Problem) -> Statistics:
    """Empty or tiny components borrow a row from the whole, so that a start is never singular."""
    k, d = data.pivot.shape
    share = 1e-3 * max(float(data.mass.sum()) / k, 1e-300)
    centre = np.zeros((k, d))
    unit = problem.isotropic(centre)
    whole = unit.structure.dense() if data.moments.shape == 0 else None
    ones = np.ones((k, d))
    second = whole if whole is not None else data.moments.outer(ones, ones)
    thin = np.where(data.mass < (d + 1), share, 0.0)
    means = np.where(data.mass[:, None] > 0, data.first / np.maximum(data.mass, 1e-300)[:, None], 0)
    about = Statistics(
        data.moments,
        data.pivot + means,
        thin,
        thin,
        thin,
        np.zeros((k, d)),
        data.moments.total(thin.reshape(-1, *[1] * (second.ndim - 1)) * second),
    )
    return data + about.about(data.pivot)


def _merged(block: Block) -> Block:
    """Sorted rows; equal ones merged into one with the sum of their weights."""
    weights = block.weight()
    kept = np.flatnonzero(weights > 0)
    rows = block.rows[kept]
    key = np.where(np.isnan(rows), np.finfo(rows.dtype).max, rows)
    if block.plausibility is not None:
        key = np.column_stack([key, block.plausibility[kept]])
    order = np.lexsort(key.T[::-1])
    ordered = key[order]
    new = np.ones(len(ordered), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = kept[order[new]]
    total = np.add.reduceat(weights[kept][order], np.flatnonzero(new))
    told = None if block.plausibility is None else block.plausibility[first]
    return Block(np.ascontiguousarray(block.rows[first]), total, told)


def _whitened(z: Array, weights: Array, floor: float) -> tuple[Array, bool]:
    centred = z - weights @ z / weights.sum()
    covariance = (centred * weights[:, None]).T @ centred / weights.sum()
    values, vectors = np.linalg.eigh(covariance)
    singular = bool(values[0] <= 10.0 * floor * max(values[-1], 1e-300))
    safe = np.where(values > 1e-10 * values[-1], values, np.inf)
    return centred @ (vectors / np.sqrt(safe)), singular


def _pick(chances: Array, draw: float) -> int:
    """The index at which the running sum of the chances passes the share `draw`."""
    running = np.cumsum(chances)
    if running[-1] <= 0:
        return int(draw * len(chances))
    return min(int(np.searchsorted(running, draw * running[-1], "right")), len(chances) - 1)


def _distances(rows: Array, point: Array) -> Array:
    return np.asarray(((rows - point) ** 2).sum(axis=1))
