"""Rows to try starts on, and the first mixture of a partition."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mixtura import kernels
from mixtura._errors import InputError
from mixtura._types import Array, Indices
from mixtura.block import Block
from mixtura.covariance import (
    Covariances,
    Factor,
    FactorCovariances,
    FullCovariances,
    TiedCovariances,
)
from mixtura.covariance.guard import EXACT_FEATURES, Guard
from mixtura.fit import importance
from mixtura.fit.principal import EXACT, principal_start, whitening
from mixtura.fit.problem import UNFELT, Problem
from mixtura.fit.seeds import LLOYD
from mixtura.fit.summary import Summary
from mixtura.integrals.interval import within
from mixtura.kernels.layout import FACTOR, FULL
from mixtura.mixture import Mixture
from mixtura.source import MemorySource
from mixtura.statistics import Statistics

SIZE = 2000
"""Rows in a sample, or more where the family has many parameters."""

POOL = 16 * SIZE
"""Rows among which those of a sample are sought."""

_TABLE = 1 << 21
"""Numbers in a table of responsibilities from which sums are made cluster by cluster."""

_GOLDEN = 0.6180339887498949
"""Multiples of it, less their whole parts, are spread evenly."""

_CLEAR = 100.0
"""So many times the floor is well above it."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows to try starts on.

    Attributes
    ----------
    problem : Problem
        The same problem on the sample.
    spaces : two of (m, d), one column after the other
        The rows in the frame, gaps filled with the mean; and these whitened by their covariance,
        where elongated clusters are round, however the axes are scaled, rotated or sheared.
    weights : (m,)
    told : (m, k) or None
        Plausibility of the components by the rows' labels.
    flat : int
        Directions in which all rows together lie on the floor, as the family sees them: constant
        or collinear columns.
    whole : bool
        Whether these are all the rows.
    """

    problem: Problem
    spaces: tuple[Array, Array]
    weights: Array
    told: Array | None
    flat: int
    whole: bool


@dataclass(frozen=True, eq=False)
class Draw:
    """The rows of a sample before any family looks at them; the fields are those of `Sample`.

    `least` is the smallest eigenvalue of complete rows' covariance in the frame; zero is unknown.
    """

    block: Block
    spaces: tuple[Array, Array]
    told: Array | None
    whole: bool
    least: float = 0.0


def sample(problem: Problem, k: int, rng: np.random.Generator) -> Sample:
    """Draw at most a few thousand rows; equal rows are merged and sorted.

    So a fit does not depend on the order of the rows, and a weight counts as so many repetitions.
    """
    return viewed(problem, draw(problem, k, rng))


def sample_size(problem: Problem, k: int) -> int:
    """How many rows are enough to try starts on."""
    moments = problem.family.moments
    return max(SIZE, 10 * k * (problem.source.d if moments.shape == FULL else 1 + moments.rank))


def draw(problem: Problem, k: int, rng: np.random.Generator) -> Draw:
    """The rows, in the coordinates of a problem."""
    n, size = problem.source.n, sample_size(problem, k)
    block = _drawn(problem, size, k, rng) if n > size else problem.source.take(slice(None))
    whole = n <= size and block.limits is None and problem.truncation is None
    block = merged(guessed(block, problem.summary))
    z = np.nan_to_num(problem.frame.read(block.rows), nan=0.0)
    told = None if block.plausibility is None else np.exp(block.plausibility)
    white, least = _whitened(z, block.weight())
    spaces = np.asfortranarray(z), np.asfortranarray(white)
    return Draw(block, spaces, told, whole, least if block.complete else 0.0)


def _drawn(problem: Problem, size: int, k: int, rng: np.random.Generator) -> Block:
    """Some of the rows, by how much they can matter: few from far away, or with rare labels, too.

    Where a pool of rows stands for all, no others are looked at, and where it is hardly larger than
    the sample, all of it are as good.
    """
    source, n = problem.source, problem.source.n
    pool = source.take(np.sort(rng.choice(n, size=min(n, max(size, POOL)), replace=False)))
    if _stands_for_all(pool, problem):
        if size > POOL // 2:
            return pool.take(np.sort(rng.choice(len(pool), size=size, replace=False)))
        source = MemorySource.of(pool)
    some = np.sort(rng.choice(len(pool), size=min(len(pool), SIZE), replace=False))
    clusters = importance.clustered(pool.take(some), problem.frame, k, rng)
    found = importance.drawn(source, clusters, size, int(rng.integers(1 << 62)))
    return replace(source.take(found.numbers), weights=found.weights)


def _stands_for_all(pool: Block, problem: Problem) -> bool:
    """Whether rows drawn alike tell enough: there are no labels, and no few rows weigh most."""
    if pool.plausibility is not None or pool.weights is None:
        return pool.plausibility is None
    weights = pool.weights
    even = weights.sum() ** 2 > len(weights) * (weights**2).sum() / 2.0
    share = problem.source.n * weights.mean() / problem.summary.weight
    return bool(even and abs(share - 1.0) < 0.1)


def viewed(problem: Problem, drawn: Draw, flat: int | None = None) -> Sample:
    """A draw as the family of a problem sees it; `flat` where it is known already."""
    block = drawn.block
    seen = replace(problem, truncation=None)
    small = seen.on(MemorySource.of(replace(block, weights=block.weight())))
    flat = _flat(small, drawn) if flat is None else flat
    return Sample(small, drawn.spaces, block.weight(), drawn.told, flat, drawn.whole)


def _flat(small: Problem, drawn: Draw) -> int:
    """Directions in which all rows together lie on the floor, as the family sees them."""
    if drawn.least > _CLEAR * _floor(small.guard):
        return 0
    block = drawn.block
    if small.family.moments.shape == FACTOR and small.source.d <= EXACT:
        return _narrow(drawn.spaces[0], block.weight(), small.guard)
    rows = Block(block.rows, block.weight())
    one = from_shares(replace(small, held=None), rows, np.ones((len(block), 1)))
    return int(on_floor(one, small.guard)[0])


def _floor(guard: Guard) -> float:
    """Eigenvalues up to this are held up by the guard."""
    return float(4.0 * guard.floor + 1.01 * guard.ridge.min(initial=np.inf))


def on_floor(mixture: Mixture, guard: Guard) -> Indices:
    """How many eigenvalues of each component's covariance (k,) the guard holds up.

    Many features are judged by the squared pivots of the Cholesky factors instead, which are little
    above the floor in the same directions and cost no eigendecomposition.
    """
    structure = mixture.structure
    limit = _floor(guard)
    if isinstance(structure, FullCovariances | TiedCovariances) and structure.d > EXACT_FEATURES:
        low = structure.cholesky.diagonal(axis1=-2, axis2=-1) ** 2 <= _CLEAR * limit
        return np.broadcast_to(low.sum(axis=-1), structure.k)
    if isinstance(structure, FactorCovariances):
        return structure.below(limit)
    if (_least(structure) > limit).all():
        return np.zeros(structure.k, dtype=np.intp)
    return np.asarray((structure.eigenvalues() <= limit).sum(axis=1))


def _least(structure: Covariances) -> Array:
    """A bound from below on the smallest eigenvalue of each covariance (k,).

    The determinant over the largest product that the other eigenvalues can have given the trace.
    """
    trace, d = structure.variances_by_column.sum(axis=1), structure.d
    return np.asarray(np.exp(structure.log_det - (d - 1) * np.log(trace / max(d - 1, 1))))


def _narrow(z: Array, weights: Array, guard: Guard) -> int:
    """Directions of the rows' own covariance on the floor; a low-rank start never lies there."""
    centred = (z - weights @ z / weights.sum()) * np.sqrt(weights / weights.sum())[:, None]
    values = np.linalg.eigvalsh(centred.T @ centred)
    return int((values <= max(4.0 * guard.floor, 1e-14 * z.shape[1] * values[-1])).sum())


def partitioned(small: Sample, seeds: Array, space: int = 0, rounds: int = LLOYD) -> Indices:
    """Labels (m,) after Lloyd's steps from the seeds in a space of the sample."""
    rows, k = small.spaces[space], len(seeds)
    return named(small, kernels.active().lloyd(rows.T, small.weights, seeds, rounds), k)


def named(small: Sample, labels: Indices, k: int) -> Indices:
    """Clusters (m,) numbered as the rows' own labels tell, where they have any."""
    if small.told is not None:
        labels = _renamed(labels, k, small.told * small.weights[:, None])
    return np.asarray(labels)


def _renamed(labels: Indices, k: int, told: Array) -> Indices:
    """Clusters numbered so that they agree best with what labels (m, k) tell."""
    from scipy.optimize import linear_sum_assignment

    agreement = np.eye(k)[labels].T @ told
    return np.asarray(linear_sum_assignment(-agreement)[1][labels])


def from_labels(small: Sample, labels: Indices, k: int) -> Mixture:
    """The M-step of a partition of the sample."""
    problem, block = small.problem, small.problem.source.take(slice(None))
    told = isinstance(problem.family, Factor) or block.plausibility is not None
    if told or not block.complete or len(labels) * k <= _TABLE:
        return from_shares(problem, block, np.eye(k)[labels])
    sums = _sums_of_labels(problem, block, labels, k)
    return _started(problem, problem.isotropic(np.zeros((k, problem.source.d))), sums)


def from_shares(problem: Problem, block: Block, shares: Array) -> Mixture:
    """The M-step of given responsibilities (n, k): a start inside its family by construction."""
    if isinstance(problem.family, Factor):
        told = _told(shares, block.plausibility)
        return problem.with_held(principal_start(problem, problem.family, block, told))
    flat = problem.isotropic(np.zeros((shares.shape[1], problem.source.d)))
    if block.complete and block.plausibility is None:
        frame, moments = problem.frame, problem.family.moments
        weighted = shares * block.weight()[:, None]
        return _started(
            problem,
            flat,
            kernels.plain.weighted_sums(
                block.rows, frame.pivot, frame.scale, weighted, moments.shape
            ),
        )
    agreed = _agreed(shares, block.plausibility)
    source = MemorySource.of(replace(block, plausibility=agreed))
    data = problem.ordinary.on(source).at(flat).data
    return problem.ordinary.maximized(smoothed(data, problem), flat)


def _started(problem: Problem, flat: Mixture, sums: Array) -> Mixture:
    """The M-step of sums of T(z), under a start `flat` about zero."""
    data = Statistics.from_sums(sums, problem.family.moments, flat.location, 0.0)
    return problem.ordinary.maximized(smoothed(data, problem), flat)


def _sums_of_labels(problem: Problem, block: Block, labels: Indices, k: int) -> Array:
    """Sums (k, p) of T(z) by label, cluster by cluster: a table of shares could be huge."""
    frame, shape = problem.frame, problem.family.moments.shape
    order, ends = np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels, minlength=k))
    groups = np.split(order, ends[:-1])
    weights = block.weight()
    each = [
        kernels.plain.weighted_sums(
            block.rows[own], frame.pivot, frame.scale, weights[own, None], shape
        )
        for own in groups
    ]
    return np.concatenate(each)


def _told(shares: Array, plausibility: Array | None) -> Array:
    """Responsibilities under the rows' own labels where they have any."""
    told = np.exp(_agreed(shares, plausibility))
    return np.asarray(told / told.sum(axis=1, keepdims=True))


def _agreed(shares: Array, plausibility: Array | None) -> Array:
    """Responsibilities as soft labels, under the rows' own labels where they have any."""
    with np.errstate(divide="ignore"):
        told = np.log(shares)
    if plausibility is None:
        return told
    both = told + plausibility
    contradicted = np.all(both == -np.inf, axis=1)
    return np.where(contradicted[:, None], plausibility, both)


def smoothed(data: Statistics, problem: Problem) -> Statistics:
    """Empty or tiny components borrow a row from the whole, so that a start is never singular."""
    k, d = data.pivot.shape
    rows = problem.source.n / problem.summary.weight
    if (data.mass * rows >= d + 1).all():
        return data
    share = 1e-3 * max(float(data.mass.sum()) / k, 1e-300)
    centre = np.zeros((k, d))
    unit = problem.isotropic(centre)
    whole = unit.structure.dense() if data.moments.shape == 0 else None
    ones = np.ones((k, d))
    second = whole if whole is not None else data.moments.outer(ones, ones)
    thin = np.where(data.mass * rows < d + 1, share, 0.0)
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


def merged(block: Block) -> Block:
    """Sorted rows; equal ones merged into one with the sum of their weights.

    Rows with measurement errors are sorted alone.
    """
    weights = block.weight()
    kept = np.flatnonzero(weights > 0)
    if not len(kept):
        raise InputError(UNFELT)
    rows = block.rows[kept]
    if block.errors is not None:
        return block.take(kept[np.lexsort(rows.T[::-1])])
    key = np.where(np.isnan(rows), np.finfo(rows.dtype).max, rows)
    if block.plausibility is not None:
        key = np.column_stack([key, block.plausibility[kept]])
    order = _ascending(key)
    ordered = key[order]
    changes = np.any(ordered[1:] != ordered[:-1], axis=1)
    new = np.concatenate([np.ones(1, dtype=bool), changes])
    first = kept[order[new]]
    total = np.add.reduceat(weights[kept][order], np.flatnonzero(new))
    told = None if block.plausibility is None else block.plausibility[first]
    return Block(np.ascontiguousarray(block.rows[first]), total, told)


def _ascending(key: Array) -> Indices:
    """Rows in the order of their first column, ties in that of the next, and so on."""
    order = np.argsort(key[:, 0], kind="stable")
    if not (np.diff(key[order, 0]) == 0.0).any():
        return order
    order = np.lexsort(key.T[:_AT_ONCE][::-1])
    if key.shape[1] <= _AT_ONCE:
        return order
    few = key[order, :_AT_ONCE]
    alike = (few[1:] == few[:-1]).all(axis=1)
    for column in key.T[_AT_ONCE:]:  # few rows, if any, are still to be told apart
        if not alike.any():
            break
        tied = np.append(alike, False) | np.append(False, alike)
        group = np.cumsum(np.append(False, ~alike))[tied]
        rows = order[tied]
        order[tied] = rows[np.lexsort((column[rows], group))]
        ordered = column[order]
        alike &= ordered[1:] == ordered[:-1]
    return order


_AT_ONCE = 4
"""Columns by which all rows are sorted at once where the first has ties."""


def guessed(block: Block, summary: Summary) -> Block:
    """The block with its limited cells spread over their limits, as their column's law is.

    Good enough to start from, and no spike at a limit for a component to collapse on.
    """
    if block.limits is None:
        return block
    low, high = block.limits
    spread = np.where(summary.deviation > 0, summary.deviation, 1.0)
    order = np.lexsort(np.hstack([block.rows, low, high]).T)
    share = np.empty(len(order))
    share[order] = (np.arange(len(order)) + 0.5) * _GOLDEN % 1.0
    a, b = ((end - summary.mean) / spread for end in (low, high))
    drawn = summary.mean + spread * within(a, b, share[:, None])
    cells = np.isfinite(low) | np.isfinite(high)
    return replace(block, rows=np.where(cells, drawn, block.rows), limits=None)


def _whitened(z: Array, weights: Array) -> tuple[Array, float]:
    """Rows whitened by their covariance, and its smallest eigenvalue, zero for many columns."""
    centre, matrix, least = whitening(z, weights)
    return np.asarray((z - centre) @ matrix), least
