"""Whole EM runs, compiled: for data in memory where the interpreter would take most of the time.

A run works on four points (parameters, their coefficients, the sums they lead to and their
objective), kept in slots of preallocated arrays: a start, two plain steps, and a leap.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_calls import INNER, copy_part, number_compiled
from mixtura.kernels.compiled_solve import linearize, maximize
from mixtura.kernels.compiled_sweep import OPTIONS, sums_of_labels
from mixtura.kernels.compiled_vectors import call_at, keep_apart
from mixtura.kernels.crew import PASS
from mixtura.kernels.forms import FREE

__all__ = ["CARE", "CONVERGED", "EXHAUSTED", "race"]

CONVERGED, EXHAUSTED, CARE = 0, 1, 2
_FREE = FREE


@njit(**INNER, inline="always")
def _step(origin, slot, rows, points, data, model, prior, limits):  # type: ignore[no-untyped-def]
    """Fill a slot: an M-step from the sums of `origin`, then the E-step.

    A negative `origin` keeps the slot's parameters. False where the parameters need care.
    """
    weights, means, covariances, theta, sums, values, axes = points
    pivot, scale, row_weights, pair, constants, mass, total, b, q, step, single = data
    shape, pooled, hard, ridge, form, hold, control = model
    w, m, v = weights[slot], means[slot], covariances[slot]
    if origin >= 0 and not maximize(sums[origin], total, prior, shape, pooled, ridge, w, m, v):
        return False
    if origin >= 0 and form != _FREE:
        k, d = m.shape
        dof, eigenvalues = np.empty(k), np.empty((k, d))
        for c in range(k):
            dof[c] = sums[origin, c, theta.shape[2] - 1] + prior[1][c]
        _carry_axes(axes, origin, slot)
        given, sizes = (v, dof, axes[slot], eigenvalues), (k, d, v.shape[1], axes.shape[1], form)
        if not call_at(hold, given, sizes):
            return False
    common = np.zeros(len(total))
    log_prior = linearize(w, m, v, prior, shape, pooled, limits, theta[slot], common)
    if np.isnan(log_prior):
        return False
    for c in range(len(m)):
        for f in range(theta.shape[2]):
            single[c, f] = theta[slot, c, f]
        for f in range(sums.shape[2]):
            sums[slot, c, f] = 0.0
    numbers = single, pair, hard, sums[slot], constants, b, q, step, control
    value = number_compiled(control[PASS], (rows, pivot, scale, row_weights, *numbers))
    for f in range(len(total)):
        value += common[f] * total[f]
    values[slot] = (value + log_prior) / mass
    return np.isfinite(values[slot])


@njit(**INNER)
def _carry_axes(axes, source, target):  # type: ignore[no-untyped-def]
    """Copy the axes of one slot to another; without a source, mark them as unknown."""
    keep_apart()
    _, m, d, _ = axes.shape
    for c in range(m):
        for i in range(d):
            for j in range(d):
                axes[target, c, i, j] = axes[source, c, i, j] if source >= 0 else np.nan


@njit(**INNER)
def _extrapolate(sums, slots, longest):  # type: ignore[no-untyped-def]
    """SQUAREM: S0 + 2 a r + a^2 v into the last slot, r = S1 - S0, v = (S2 - S1) - r.

    Returns the length a = |r| / |v|, at least 1 and at most `longest`, and the rate of EM that
    |v| / |r| tells of.
    """
    keep_apart()
    s0, s1, s2, s3 = slots[0], slots[1], slots[2], slots[3]
    _, k, p = sums.shape
    rr, vv = 0.0, 0.0
    for c in range(k):
        for f in range(p):
            r = sums[s1, c, f] - sums[s0, c, f]
            v = sums[s2, c, f] - sums[s1, c, f] - r
            rr += r * r
            vv += v * v
    bend = np.sqrt(vv / rr) if rr > 0.0 else 1.0
    a = min(max(1.0 / bend, 1.0), longest) if bend > 0.0 else 1.0
    for c in range(k):
        for f in range(p):
            r = sums[s1, c, f] - sums[s0, c, f]
            v = sums[s2, c, f] - sums[s1, c, f] - r
            sums[s3, c, f] = sums[s0, c, f] + 2.0 * a * r + a * a * v
    return a, max(1.0 - bend, 0.0)


@njit(**INNER)
def _gain_left(before, middle, now, rate, noise):  # type: ignore[no-untyped-def]
    """Aitken's estimate of what the objective still gains after three plain steps.

    The gains shrink with the square of the `rate` of the sums. The slower of both is believed:
    right after a leap the gains alone look faster than they are. Under a ridge, which is no part
    of the objective, steps may lose: then it is what they still lose.
    """
    first, second = middle - before, now - middle
    if abs(second) <= noise and abs(first) <= 10.0 * noise:
        return 0.0
    if first < 0.0 and second < 0.0:
        first, second = -first, -second
    if first <= 0.0 or second >= first:
        return np.inf
    share = max(second / first, rate**2)
    return max(second, 0.0) * share / (1.0 - share) if share < 1.0 else np.inf


@njit(**INNER, inline="always")
def _climb(  # type: ignore[no-untyped-def]
    rows, points, data, labels, model, prior, limits, max_iter, tol, accelerate, noise, trace
):
    """Climb from the parameters in slot 0, or from the M-step of `labels` if there are any.

    Returns the slot of the last good point, the length of the trace, the steps taken, the gain
    that remains and the status.
    """
    sums, values = points[4], points[5]
    slots = np.empty(4, np.intp)
    for slot in range(4):
        slots[slot] = slot
    target, origin, here = (
        0,
        np.intp(-1),
        np.intp(0),
    )  # which of the slots to fill, from which, and the last good one
    if len(labels):
        origin = slots[3]
        given = points[4]
        _carry_axes(points[6], np.intp(-1), origin)
        pivot, scale, row_weights, pair, _, _, _, b, q, step, _ = data
        given[origin] = 0.0
        sums_of_labels(rows, pivot, scale, row_weights, labels, pair, given[origin], b, q, step)
    entries, steps = 0, 0
    length, longest, left, reached = 1.0, 4.0, np.inf, -np.inf
    while True:
        found = _step(origin, slots[target], rows, points, data, model, prior, limits)
        if target == 3:  # a leap: start again from it, or from the last plain step
            taken = found and values[slots[3]] >= values[slots[2]]
            if taken:
                longest = longest * 4.0 if length >= longest else longest
            else:
                longest = max(longest / 4.0, 1.0)
            kept = 3 if taken else 2
            slots[0], slots[kept] = slots[kept], slots[0]
            target, here = 0, slots[0]
        elif found:
            here, taken = slots[target], True
        else:
            return here, entries, steps, left, CARE
        if taken:
            trace[entries] = values[here]
            entries += 1
        if target == 2:
            length, rate = _extrapolate(sums, slots, longest)
            _carry_axes(points[6], slots[2], slots[3])
            before, middle, now = values[slots[0]], values[slots[1]], values[slots[2]]
            left = _gain_left(before, middle, now, rate, noise * max(abs(now), 1.0))
            if accelerate:  # what a whole round with its leap gained tells most
                left = max(left, now - reached)
                reached = now
            if left < tol:
                return here, entries, steps, left, CONVERGED
            if not accelerate:
                slots[0], slots[2] = slots[2], slots[0]
                target = 0
        if steps >= max_iter:
            return here, entries, steps, left, EXHAUSTED
        steps += 1
        target += 1
        origin = slots[3] if target == 3 else slots[target - 1]


@njit(**OPTIONS)
def race(  # type: ignore[no-untyped-def]
    rows, starts, labels, points, data, model, prior, limits, most, tol, accelerate, noise, ends
):
    """Climb from every start (E, ...), or every partition (E, n), at most `most` (E,) steps each.

    Writes the end of each: weights, means, covariances, counts, the trace, and in `facts` (E, 4)
    the length of the trace, the steps taken, the gain that remains and the status.
    """
    weights, means, covariances, theta, sums, _, axes = points
    end_weights, end_means, end_covariances, end_axes, counts, traces, facts = ends
    last = theta.shape[2] - 1
    for e in range(len(most)):
        copy_part(weights, 0, starts[0], e)
        copy_part(means, 0, starts[1], e)
        copy_part(covariances, 0, starts[2], e)
        copy_part(axes, 0, starts[3], e)
        told = labels[e] if len(labels) else labels.reshape(-1)
        slot, entries, steps, left, status = _climb(
            rows,
            points,
            data,
            told,
            model,
            prior,
            limits,
            most[e],
            tol,
            accelerate,
            noise,
            traces[e],
        )
        copy_part(end_weights, e, weights, slot)
        copy_part(end_means, e, means, slot)
        copy_part(end_covariances, e, covariances, slot)
        copy_part(end_axes, e, axes, slot)
        for c in range(len(weights[slot])):
            counts[e, c] = sums[slot, c, last]
        facts[e, 0], facts[e, 1], facts[e, 2], facts[e, 3] = entries, steps, left, status
