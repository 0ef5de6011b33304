"""Climbs over many replicates of the data, each of its own rows or row weights, in one call.

A bootstrap replicate is the same rows with other weights, many of them zero: the rows that count
are gathered once, and the climb of `compiled_climb` runs over these alone. Where more than one
start is given, or seeds are to be drawn, all climb a few steps and the best goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mixtura.kernels.calling import call, frozen, packed, plan, unpacked
from mixtura.kernels.compiled_calls import INNER, call_compiled, copy_part
from mixtura.kernels.compiled_climb import CARE
from mixtura.kernels.compiled_climb import race as _race
from mixtura.kernels.compiled_forms import address, first_axes
from mixtura.kernels.compiled_race import race_at, room, slots
from mixtura.kernels.compiled_seeds import lloyd, spread
from mixtura.kernels.compiled_sums import alone
from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart
from mixtura.kernels.forms import FREE
from mixtura.kernels.layout import FULL, LINEAR, SPHERICAL, second_width, width

__all__ = ["Ends", "add_total", "gather_weighted", "replicates", "whitened_columns"]

Array = NDArray[Any]

_FULL, _SPHERICAL, _CARE = FULL, SPHERICAL, CARE
_ROUNDS = 8  # of Lloyd's steps
_NOISE = 1e-14  # relative change of the objective that counts as rounding


class Ends(NamedTuple):
    """Where the climbs ended, in frame coordinates; E climbs.

    Attributes
    ----------
    weights, means : (E, k), (E, k, d)
    covariances : (E, k, d, d), (E, k, d) or (E, k)
        By shape; all equal if pooled.
    values : (E,)
        Objective per unit of row weight.
    n_iter : (E,)
    remaining : (E,)
        Aitken estimates of what the objectives would still gain.
    status : (E,)
        As in `compiled_race.Climb`.
    """

    weights: Array
    means: Array
    covariances: Array
    values: Array
    n_iter: Array
    remaining: Array
    status: Array


@njit(**INNER)
def gather_weighted(rows, row_weights, some, w):  # type: ignore[no-untyped-def]
    """Copy the rows of positive weight to the front of `some`; how many, and their mass."""
    n, d = rows.shape
    m, mass = 0, 0.0
    for i in range(n):
        weight = row_weights[i] if row_weights.size else 1.0
        if weight > 0.0:
            for j in range(d):
                some[m, j] = rows[i, j]
            w[m] = weight
            mass += weight
            m += 1
    return m, mass


@njit(**INNER)
def add_total(some, w, m, pivot, scale, shape, total):  # type: ignore[no-untyped-def]
    """Second moments of all rows together, which a pooled covariance needs once."""
    keep_apart()
    d = len(pivot)
    z = np.empty(d)
    total[:] = 0.0
    for r in range(m):
        for j in range(d):
            z[j] = (some[r, j] - pivot[j]) * scale[j]
        f = 0
        for i in range(d):
            for j in range(i, d if shape == _FULL else i + 1):
                total[f] += w[r] * z[i] * z[j]
                f += 0 if shape == _SPHERICAL else 1


@njit(**INNER)
def whitened_columns(some, m, pivot, scale, whitener, columns):  # type: ignore[no-untyped-def]
    """Write ``whitener z`` of the rows, feature by feature."""
    keep_apart()
    d = len(pivot)
    for a in range(d):
        for r in range(m):
            columns[a, r] = 0.0
        for j in range(a + 1):
            factor = whitener[a, j]
            for r in range(m):
                columns[a, r] += factor * (some[r, j] - pivot[j]) * scale[j]


@njit(**INNER)
def _partitioned(some, w, m, frame, draws, labels):  # type: ignore[no-untyped-def]
    """Write the labels of Lloyd's steps from seeds drawn by squared distance."""
    pivot, scale, whitener = frame
    d, k = len(pivot), len(draws)
    columns = np.empty((d, m))
    whitened_columns(some, m, pivot, scale, whitener, columns)
    chosen, seeds = np.empty(k, np.intp), np.empty((k, d))
    spread(columns, w[:m], draws, chosen)
    for c in range(k):
        for j in range(d):
            seeds[c, j] = columns[j, chosen[c]]
    labels[:m] = -1
    lloyd(columns, w[:m], seeds, _ROUNDS, labels[:m])


@njit(**INNER)
def _load(given, index, into):  # type: ignore[no-untyped-def]
    """Copy given parameters into the first place."""
    keep_apart()
    copy_part(into[0], 0, given[0], index)
    copy_part(into[1], 0, given[1], index)
    copy_part(into[2], 0, given[2], index)
    copy_part(into[3], 0, given[3], index)


@njit(**OPTIONS)
def _replicates(  # type: ignore[no-untyped-def]
    rows, row_weights, starts, draws, race, points, data, model, prior, limits, stops, out
):
    """Climb over each n of the rows (n or E n, d) under the weights (0 or E, n).

    From the best of the starts (S, ...) and of seeds drawn by `draws` (E, R, k).
    """
    pivot, scale, whiteners, pair, constants, b, q, step, single, buffers = data
    total, some, w, labels, nothing, start, best, ends = buffers
    short, most, tol, noise = stops
    n, given, seeded = len(w), len(starts[0]), draws.shape[1]
    traces, facts, found = ends[5], ends[6], out[3]
    for e in range(len(found)):
        own = rows[e * n : e * n + n] if len(rows) > n else rows
        mine = row_weights[e] if len(row_weights) else row_weights.reshape(-1)
        m, mass = gather_weighted(own, mine, some, w)
        if len(total):
            add_total(some, w, m, pivot, scale, model[0], total)
        here = pivot, scale, w[:m], pair, constants, mass, total, b, q, step, single
        highest, spent, tried = -np.inf, 0.0, given + seeded if given + seeded > 1 else 0
        _load(starts, 0, best)
        for s in range(tried + 1):
            told = nothing
            if s == tried:
                _load(best, 0, start)
            elif s < given:
                _load(starts, s, start)
            else:
                frame = pivot, scale, whiteners[s % 2]
                _partitioned(some, w, m, frame, draws[e, s - given], labels)
                told = labels[:m].reshape(1, m)
            climb = some[:m], start, told, points, here, model, prior, limits
            steps = most if s == tried else short
            call_compiled(race, (*climb, steps, tol, True, noise, ends))
            spent += facts[0, 1]
            value = traces[0, int(facts[0, 0]) - 1] if facts[0, 0] > 0 else np.nan
            if s < tried and facts[0, 3] != _CARE and value > highest:
                highest = value
                _load(ends, 0, best)
        copy_part(out[0], e, ends[0], 0)
        copy_part(out[1], e, ends[1], 0)
        copy_part(out[2], e, ends[2], 0)
        found[e, 0], found[e, 1], found[e, 2], found[e, 3] = value, spent, facts[0, 2], facts[0, 3]


def replicates(
    rows: Array,
    pivot: Array,
    scale: Array,
    row_weights: Array,
    starts: tuple[Array, Array, Array],
    shape: int,
    pooled: bool,
    *,
    prior: tuple[Array, Array, Array],
    ridge: Array,
    floor: float,
    loss: float,
    most: int,
    tol: float,
    form: int = FREE,
    axes: Sequence[Array | None] = (),
    short: int = 0,
    draws: Array | None = None,
    whitener: Array | None = None,
    one_call: bool = True,
) -> Ends:
    """Run EM over each replicate of the rows.

    Parameters
    ----------
    rows : (E, n, d), or (1, n, d) where only the weights differ
    pivot, scale, shape, pooled, prior, ridge, floor, loss, form, axes
        As in `compiled.race`.
    row_weights : (E, n), or (0, n) for ones
    starts : weights (S, k), means (S, k, d), covariances (S, k, d, d), (S, k, d) or (S, k)
        Common to all replicates.
    most : int
        E+M steps at most, each.
    tol : float
        In nats per unit of row weight.
    short : int
        Steps that each start climbs before the best of them goes on.
    draws : (E, R, k), optional
        Uniform numbers; each k of them give one more start, the M-step of a partition by k-means++
        and Lloyd's steps.
    whitener : (d, d), optional
        Lower triangular; every second of these partitions is made of the rows ``whitener z``.
    one_call : bool
        All replicates in one call, the fastest once that is compiled; otherwise one by one by the
        kernels of ordinary fits, from one start.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[[-1.5], [-0.5], [9.5], [10.5]]])
    >>> start = np.full((1, 2), 0.5), np.array([[[0.0], [8.0]]]), np.ones((1, 2, 1, 1))
    >>> twice = np.array([[1.0, 1, 1, 1], [1, 1, 1, 3]])
    >>> nothing = np.zeros((2, 3)), np.zeros(2), np.zeros(2)
    >>> ends = replicates(rows, np.zeros(1), np.ones(1), twice, start, 0, False, most=99, tol=1e-9,
    ...                   prior=nothing, ridge=np.zeros(1), floor=1e-12, loss=1e-9)
    >>> ends.means[..., 0].round(6).tolist()
    [[-1.0, 10.0], [-1.0, 10.25]]
    """
    d = rows.shape[2]
    k, count = starts[0].shape[1], max(len(rows), len(row_weights))
    begin = first_axes(form, k, d, axes, len(starts[0]))
    given = tuple(frozen(part) for part in (*starts[:2], packed(starts[2], shape), begin))
    called = address(form), alone(np.dtype(float))
    model = int(shape), bool(pooled), False, frozen(ridge), int(form), *called
    limits = float(floor), float(loss * 2.0**53)
    ends = tuple(np.empty((count, *part.shape[1:])) for part in given[:3])
    facts = np.empty((count, 4))
    task = _Task(frozen(pivot), frozen(scale), given, model, tuple(map(frozen, prior)), limits)
    rows = np.require(rows, np.float64, ["C", "A"])
    if one_call:
        seeds = np.empty((count, 0, k)) if draws is None else draws
        whiteners = np.stack([np.eye(d), np.eye(d) if whitener is None else whitener])
        stops = int(short), int(most), float(tol), _NOISE
        _together(task, rows, row_weights, (seeds, whiteners), stops, (*ends, facts))
    else:
        _in_turn(task, rows, row_weights, int(most), float(tol), (*ends, facts))
    dense = unpacked(ends[2], shape, d)
    return Ends(ends[0], ends[1], dense, facts[:, 0], facts[:, 1], facts[:, 2], facts[:, 3])


class _Task(NamedTuple):
    """What all replicates share, as the compiled functions take it."""

    pivot: Array
    scale: Array
    starts: tuple[Array, ...]
    model: tuple[Any, ...]
    prior: tuple[Array, ...]
    limits: tuple[float, float]

    def points(self, pair: Array) -> tuple[Array, ...]:
        """Slots to climb in."""
        return slots(self.starts, width(self.inner, len(self.pivot)), pair.shape[1])

    @property
    def inner(self) -> int:
        """The shape of the sums of each component."""
        return LINEAR if self.model[1] else self.model[0]

    def work(self) -> tuple[Array, Array]:
        """Room for coefficients and for the second moments of a pooled covariance."""
        k, d = self.starts[1].shape[1:]
        total = second_width(self.model[0], d) if self.model[1] else 0
        return np.empty((k, width(self.inner, d))), np.empty(total)


def _together(
    task: _Task,
    rows: Array,
    row_weights: Array,
    seeds: tuple[Array, Array],
    stops: tuple[int, int, float, float],
    ends: tuple[Array, ...],
) -> None:
    """All replicates in one call."""
    _, n, d = rows.shape
    pair, constants, *tile = plan(rows[0], task.starts[0].shape[1], task.inner)
    work, total = task.work()
    start, best = (tuple(np.empty((1, *part.shape[1:])) for part in task.starts) for _ in range(2))
    rooms = np.empty((0, 0), np.int32), start, best, room(start, max(stops[:2]))
    buffers = total, np.empty((n, d)), np.empty(n), np.empty(n, np.int32), *rooms
    data = task.pivot, task.scale, frozen(seeds[1]), pair, constants, *tile, work, buffers
    call(
        _replicates,
        rows.reshape(-1, d),
        frozen(row_weights),
        task.starts,
        frozen(seeds[0]),
        race_at(),
        task.points(pair),
        data,
        task.model,
        task.prior,
        task.limits,
        (*(np.full(1, steps) for steps in stops[:2]), *stops[2:]),
        ends,
    )


def _in_turn(
    task: _Task,
    rows: Array,
    row_weights: Array,
    most: int,
    tol: float,
    ends: tuple[Array, ...],
) -> None:
    """One call of the ordinary race for each replicate: nothing new need be compiled."""
    pair, constants, *tile = plan(rows[0], task.starts[0].shape[1], task.inner)
    points, (work, _) = task.points(pair), task.work()
    nothing, steps = frozen(np.empty((0, 0)), np.int32), frozen(np.array([most]), np.int64)
    own = room(task.starts, most)
    traces, facts = own[5:]
    for e in range(len(ends[0])):
        some, w = rows[e if len(rows) > 1 else 0], np.empty(0)
        mass = float(len(some))
        if len(row_weights):
            kept = np.flatnonzero(row_weights[e])
            some, w = some[kept], row_weights[e][kept]
            mass = float(w.sum())
        total = _moments(task, some, w) if task.model[1] else np.empty(0)
        data = task.pivot, task.scale, frozen(w), pair, constants, mass, total, *tile, work
        call(
            _race, some, task.starts, nothing, points, data, task.model, task.prior, task.limits,
            steps, tol, True, _NOISE, own,
        )  # fmt: skip
        for out, part in zip(ends[:3], own, strict=False):
            out[e] = part[0]
        entries = int(facts[0, 0])
        ends[3][e] = traces[0, entries - 1] if entries else np.nan, *facts[0, 1:]


def _moments(task: _Task, rows: Array, w: Array) -> Array:
    """Second moments (s,) of all rows together."""
    z = (rows - task.pivot) * task.scale
    weighted = z * w[:, None] if len(w) else z
    if task.model[0] == FULL:
        return np.asarray((z.T @ weighted)[np.triu_indices(z.shape[1])])
    columns = np.einsum("ij,ij->j", z, weighted)
    return columns.sum(keepdims=True) if task.model[0] == SPHERICAL else columns
