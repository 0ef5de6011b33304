"""Climbs over many groups of rows, each with its own frame and its own starts, in one call.

A group is framed as an ordinary fit frames its rows: by its mean and by powers of two. Partitions
by k-means++ in the frame and where the group's covariance is a unit matrix are the starts; all
climb a few steps, and the best that comes through to the end is the group's.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mixtura.kernels.calling import call, frozen, plan, unpacked
from mixtura.kernels.compiled_calls import INNER, call_compiled, copy_part
from mixtura.kernels.compiled_climb import CARE, CONVERGED, EXHAUSTED
from mixtura.kernels.compiled_forms import address, first_axes
from mixtura.kernels.compiled_race import race_at, room, slots
from mixtura.kernels.compiled_replicates import add_total, gather_weighted, whitened_columns
from mixtura.kernels.compiled_seeds import lloyd, spread
from mixtura.kernels.compiled_sums import alone
from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart
from mixtura.kernels.forms import FREE
from mixtura.kernels.layout import LINEAR, second_width, width

__all__ = ["CARE", "CONVERGED", "EXHAUSTED", "Ends", "groups"]

Array = NDArray[Any]

_CARE, _CONVERGED = CARE, CONVERGED
_ROUNDS = 2  # of Lloyd's steps
_AGREED = 1e-3  # nats a row between the first two climbs: others are spared
_NOISE = 1e-14  # relative change of the objective that counts as rounding, at least
_SHARE = 1e-4  # of the tolerance that does so, too: thin components lose more digits


class Ends(NamedTuple):
    """Where the climbs ended, each in the frame of its group; G groups.

    Attributes
    ----------
    weights, means : (G, k), (G, k, d)
    covariances : (G, k, d, d), (G, k, d) or (G, k)
        By shape; all equal if pooled.
    pivot, scale : (G, d)
        The frames.
    values : (G,)
        Objective per unit of row weight, in frame coordinates.
    n_iter, remaining, status : (G,)
        As in `compiled_race.Climb`; the steps of all starts together. With CARE, the other numbers
        of the group mean nothing.
    """

    weights: Array
    means: Array
    covariances: Array
    pivot: Array
    scale: Array
    values: Array
    n_iter: Array
    remaining: Array
    status: Array


@njit(**INNER)
def _framed(some, w, m, one_scale, pivot, scale):  # type: ignore[no-untyped-def]
    """Write means, and powers of two that bring deviations into [1, 2); whether there are any."""
    keep_apart()
    widest = 0.0
    for j in range(len(pivot)):
        low = high = some[0, j]
        for i in range(m):
            low, high = min(low, some[i, j]), max(high, some[i, j])
        middle, half = high / 2.0 + low / 2.0, high / 2.0 - low / 2.0
        if not half > 0.0:
            return False
        mass, first, second = 0.0, 0.0, 0.0
        for i in range(m):
            u = (some[i, j] - middle) / half
            mass += w[i]
            first += w[i] * u
            second += w[i] * u * u
        mean = first / mass
        pivot[j] = middle + half * mean
        scale[j] = half * np.sqrt(max(second / mass - mean * mean, 0.0))
        widest = max(widest, scale[j])
    for j in range(len(pivot)):
        deviation = widest if one_scale else scale[j]
        if not deviation > 0.0:
            return False
        scale[j] = math.ldexp(1.0, 1 - math.frexp(deviation)[1])
        if not (np.isfinite(pivot[j]) and np.isfinite(scale[j])):
            return False
    return True


@njit(**INNER)
def _whitening(some, w, m, pivot, scale, white):  # type: ignore[no-untyped-def]
    """Write the inverse Cholesky factor of the covariance in the frame; whether there is one."""
    keep_apart()
    d = len(pivot)
    lower, mass = np.zeros((d, d)), 0.0
    for r in range(m):
        mass += w[r]
        for i in range(d):
            share = w[r] * (some[r, i] - pivot[i]) * scale[i]
            for j in range(i + 1):
                lower[i, j] += share * (some[r, j] - pivot[j]) * scale[j]
    for i in range(d):
        for j in range(i + 1):
            rest = lower[i, j] / mass
            for a in range(j):
                rest -= lower[i, a] * lower[j, a]
            if i == j and not rest > 0.0:
                return False
            lower[i, j] = np.sqrt(rest) if i == j else rest / lower[j, j]
    for i in range(d):
        for j in range(i):
            white[i, j] = 0.0
            for a in range(j, i):
                white[i, j] -= lower[i, a] * white[a, j]
            white[i, j] /= lower[i, i]
        white[i, i] = 1.0 / lower[i, i]
    return True


@njit(**INNER)
def _partitioned(columns, w, draws, rounds, labels):  # type: ignore[no-untyped-def]
    """Write the labels of a few of Lloyd's steps from seeds drawn by squared distance."""
    keep_apart()
    k, d = len(draws), len(columns)
    chosen, seeds = np.empty(k, np.intp), np.empty((k, d))
    spread(columns, w, draws, chosen)
    for c in range(k):
        for j in range(d):
            seeds[c, j] = columns[j, chosen[c]]
    labels[:] = -1
    lloyd(columns, w, seeds, rounds, labels)


@njit(**INNER)
def _is_new(labels, s, m, k):  # type: ignore[no-untyped-def]
    """Number the clusters of partition s as they appear; 1 if no partition before is equal."""
    keep_apart()
    number, seen = np.full(k, -1, np.int32), 0
    for i in range(m):
        if number[labels[s, i]] < 0:
            number[labels[s, i]] = seen
            seen += 1
        labels[s, i] = number[labels[s, i]]
    for before in range(s):
        i = 0
        while i < m and labels[before, i] == labels[s, i]:
            i += 1
        if i == m:
            return 0
    return 1


@njit(**INNER)
def _begun(some, m, frame, draws, race, labels, starts, given, stops, ends):  # type: ignore[no-untyped-def]
    """Climb a few steps from the distinct partitions, unless two agree; how many climbed."""
    keep_apart()
    points, data, model, prior, limits = given
    short, tol, noise, fast, rounds = stops
    count, w = 0, data[2]
    spaces = np.empty((2, len(frame[0]), m))
    for space in range(2):
        whitened_columns(some, m, frame[0], frame[1], frame[2][space], spaces[space])
    told = labels[: len(draws) * m].reshape(len(draws), m)
    for s in range(len(draws)):
        _partitioned(spaces[s % 2], w, draws[s], rounds, told[count])
        count += _is_new(told, count, m, draws.shape[1])
    lo, hi = 0, min(count, 2)
    while lo < hi:
        here = some, starts, told[lo:hi], points, data, model, prior, limits
        some_ends = (
            *(ends[0][lo:], ends[1][lo:], ends[2][lo:], ends[3][lo:]),
            *(ends[4][lo:], ends[5][lo:], ends[6][lo:]),
        )
        call_compiled(race, (*here, short[lo:hi], tol, fast, noise, some_ends))
        lo, hi = hi, hi if hi == count or _agree(ends[5], ends[6]) else count
    return hi


@njit(**INNER)
def _agree(traces, facts):  # type: ignore[no-untyped-def]
    """Whether the first two climbs came through to about the same objective."""
    first, second = int(facts[0, 0]), int(facts[1, 0])
    if not (first and second) or facts[0, 3] == _CARE or facts[1, 3] == _CARE:
        return False
    return abs(traces[0, first - 1] - traces[1, second - 1]) < _AGREED


@njit(**INNER)
def _ended(some, count, race, nothing, start, given, stops, begun, ends):  # type: ignore[no-untyped-def]
    """Climb on from the best of the starts that comes through; whether one does."""
    keep_apart()
    points, data, model, prior, limits = given
    traces, facts = begun[5], begun[6]
    most, tol, noise, fast, _ = stops
    for _ in range(count):
        best, highest = -1, -np.inf
        for s in range(count):
            entries = int(facts[s, 0])
            if entries and facts[s, 3] != _CARE and traces[s, entries - 1] > highest:
                best, highest = s, traces[s, entries - 1]
        if best < 0:
            return False
        if facts[best, 3] == _CONVERGED:
            _keep(begun, best, highest, facts[:count, 1].sum(), ends)
            return True
        copy_part(start[0], 0, begun[0], best)
        copy_part(start[1], 0, begun[1], best)
        copy_part(start[2], 0, begun[2], best)
        here = some, start, nothing, points, data, model, prior, limits
        call_compiled(race, (*here, most, tol, fast, noise, ends))
        ends[6][0, 1] += facts[:count, 1].sum()
        if ends[6][0, 0] > 0 and ends[6][0, 3] != _CARE:
            return True
        facts[best, 3] = _CARE
    return False


@njit(**INNER)
def _keep(begun, best, value, steps, ends):  # type: ignore[no-untyped-def]
    """The end of one of the first climbs as the end of the last."""
    copy_part(ends[0], 0, begun[0], best)
    copy_part(ends[1], 0, begun[1], best)
    copy_part(ends[2], 0, begun[2], best)
    ends[5][0, 0] = value
    copy_part(ends[6], 0, begun[6], best)
    ends[6][0, 0], ends[6][0, 1] = 1.0, steps


@njit(**OPTIONS)
def _groups(  # type: ignore[no-untyped-def]
    rows, row_weights, bounds, draws, race, points, data, model, prior, limits, stops, room, out
):
    """Climb over the rows of each group, which lie one after the other between the bounds."""
    pair, constants, b, q, step, single, total = data
    shape, pooled, hard, reg_covar, form, hold, control, one_scale = model
    some, w, labels, nothing, whiteners, ridge, starts, start, begun, ends = room
    pivots, scales, found = out[3], out[4], out[5]
    for g in range(len(found)):
        lo, hi = bounds[g], bounds[g + 1]
        found[g, 0], found[g, 1], found[g, 2], found[g, 3] = np.nan, 0.0, np.inf, _CARE
        mine = row_weights[lo:hi] if row_weights.size else row_weights
        m, mass = gather_weighted(rows[lo:hi], mine, some, w)
        pivot, scale = pivots[g], scales[g]
        if m < draws.shape[1] or not _framed(some, w, m, one_scale, pivot, scale):
            continue
        if not _whitening(some, w, m, pivot, scale, whiteners[1]):
            continue
        if pooled:
            add_total(some, w, m, pivot, scale, shape, total)
        for j in range(len(ridge)):
            ridge[j] = reg_covar * scale[j] ** 2
        here = pivot, scale, w[:m], pair, constants, mass, total, b, q, step, single
        given = points, here, (shape, pooled, hard, ridge, form, hold, control), prior, limits
        frame = pivot, scale, whiteners
        count = _begun(some[:m], m, frame, draws, race, labels, starts, given, stops[0], begun)
        if _ended(some[:m], count, race, nothing, start, given, stops[1], begun, ends):
            copy_part(out[0], g, ends[0], 0)
            copy_part(out[1], g, ends[1], 0)
            copy_part(out[2], g, ends[2], 0)
            facts = ends[6][0]
            found[g, 0], found[g, 1] = ends[5][0, int(facts[0]) - 1], facts[1]
            found[g, 2], found[g, 3] = facts[2], facts[3]


def groups(
    rows: Array,
    bounds: Array,
    row_weights: Array,
    draws: Array,
    shape: int,
    pooled: bool,
    one_scale: bool,
    *,
    form: int = FREE,
    reg_covar: float = 0.0,
    floor: float,
    loss: float,
    short: int,
    most: int,
    tol: float,
) -> Ends:
    """Run EM over each group of rows.

    Parameters
    ----------
    rows : (N, d)
        Complete, group after group.
    bounds : (G + 1,)
        Where the groups begin and end.
    row_weights : (N,), or (0,) for ones
    draws : (R, k)
        Uniform numbers; each k of them give one start to every group.
    shape, pooled, form, floor, loss, tol
        As in `compiled.race`.
    one_scale : bool
        Whether all columns of a group are scaled alike.
    reg_covar : float
        Added to the variances, in squared units of the rows.
    short, most : int
        E+M steps of each start before the best goes on, and then at most.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[-1.5], [-0.5], [9.5], [10.5], [1.0], [3.0], [21.0], [23.0]])
    >>> ends = groups(rows, np.array([0, 4, 8]), np.empty(0), np.array([[0.2, 0.9]]), 0, False,
    ...               False, floor=1e-12, loss=1e-8, short=4, most=99, tol=1e-9)
    >>> means = ends.pivot[:, None] + ends.means / ends.scale[:, None]
    >>> np.sort(means[..., 0]).round(6).tolist()
    [[-1.0, 10.0], [2.0, 22.0]]
    """
    rows = np.require(rows, np.float64, ["C", "A"])
    bounds = frozen(bounds, np.int64)
    (count, k), d, size = draws.shape, rows.shape[1], len(bounds) - 1
    inner, longest = LINEAR if pooled else shape, int(np.diff(bounds).max(initial=1))
    pair, constants, *tile = plan(rows, k, inner)
    total = np.empty(second_width(shape, d) if pooled else 0)
    starts, start = (_parameters(number, k, d, shape, form) for number in (count, 1))
    space = (
        *(np.empty((longest, d)), np.empty(longest), np.empty(count * longest, np.int32)),
        *(np.empty((0, 0), np.int32), np.stack([np.eye(d), np.eye(d)]), np.empty(d)),
        *(starts, start, room(starts, short), room(start, most)),
    )
    prior = np.zeros((k, width(shape, d))), np.zeros(k), np.zeros(k)
    noise = min(max(_SHARE * tol, _NOISE), 1e-10)
    stops = tuple(
        (np.full(number, steps), float(tol), noise, True, _ROUNDS)
        for number, steps in ((count, short), (1, most))
    )
    parameters = tuple(np.empty((size, *part.shape[1:])) for part in start[:3])
    called = address(form), alone(rows.dtype)
    out = *parameters, np.ones((size, d)), np.ones((size, d)), np.empty((size, 4))
    call(
        _groups,
        rows,
        frozen(row_weights),
        bounds,
        frozen(draws),
        race_at(),
        slots(start, width(inner, d), pair.shape[1]),
        (pair, constants, *tile, np.empty((k, width(inner, d))), total),
        (*(shape, pooled, False, float(reg_covar), int(form)), *called, bool(one_scale)),
        prior,
        (float(floor), float(loss * 2.0**53)),
        stops,
        space,
        out,
        layout="C",
    )
    dense, facts = unpacked(out[2], shape, d), out[5]
    return Ends(out[0], out[1], dense, out[3], out[4], *facts.T)


def _parameters(count: int, k: int, d: int, shape: int, form: int) -> tuple[Array, ...]:
    """Room for parameters of some mixtures, as the kernels lay them out; their axes unknown."""
    second = np.empty((count, k, second_width(shape, d)))
    return np.empty((count, k)), np.empty((count, k, d)), second, first_axes(form, k, d, (), count)
