"""Whole EM runs, compiled: for data in memory where the interpreter would take most of the time.

A run works on four points (parameters, their coefficients, the sums they lead to and their
objective), kept in slots of preallocated arrays.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_solve import linearize, maximize
from mixtura.kernels.compiled_sweep import OPTIONS, sweep

__all__ = ["CARE", "CONVERGED", "EXHAUSTED", "climb"]

CONVERGED, EXHAUSTED, CARE = 0, 1, 2


@njit(**OPTIONS)
def _expect(slot, points, data, model, prior, limits):  # type: ignore[no-untyped-def]
    """Coefficients, sums and objective of a slot's parameters; False if they need care."""
    weights, means, covariances, theta, sums, values = points
    rows, pivot, scale, row_weights, pair, constants, mass, total, b, q, step, single = data
    shape, pooled, hard, _ = model
    exact = theta[slot]
    common = np.zeros(len(total))
    log_prior = linearize(
        weights[slot], means[slot], covariances[slot], prior, shape, pooled, limits, exact, common
    )
    if np.isnan(log_prior):
        return False
    sums[slot] = 0.0
    single[:] = exact
    log_likelihood = sweep(
        rows, pivot, scale, row_weights, single, pair, hard, sums[slot], constants, b, q, step
    )
    if pooled:
        log_likelihood += np.dot(common, total)
    values[slot] = (log_likelihood + log_prior) / mass
    return np.isfinite(values[slot])


@njit(**OPTIONS)
def _step(origin, slot, points, data, model, prior, limits):  # type: ignore[no-untyped-def]
    """One M-step from the sums of `origin` and the E-step after it, into `slot`."""
    weights, means, covariances, _, sums, _ = points
    shape, pooled, _, ridge = model
    total = data[7]
    found = maximize(
        sums[origin],
        total,
        prior,
        shape,
        pooled,
        ridge,
        weights[slot],
        means[slot],
        covariances[slot],
    )
    return found and _expect(slot, points, data, model, prior, limits)


@njit(**OPTIONS)
def _bend(sums, s0, s1, s2):  # type: ignore[no-untyped-def]
    """|v| / |r| of SQUAREM: r = S1 - S0, v = (S2 - S1) - r; 1 - that is the rate of EM."""
    r = sums[s1] - sums[s0]
    v = sums[s2] - sums[s1] - r
    size = np.sqrt((r * r).sum())
    return np.sqrt((v * v).sum()) / size if size > 0.0 else 1.0


@njit(**OPTIONS)
def _gain_left(before, middle, now, bend, noise):  # type: ignore[no-untyped-def]
    """Aitken's estimate of what the objective still gains after three plain steps.

    The rate of the gains is the square of the rate of the sums. The slower of both is believed: right
    after a leap the gains alone look faster than they are.
    """
    first, second = middle - before, now - middle
    if abs(second) <= noise and abs(first) <= 10.0 * noise:
        return 0.0
    if first <= 0.0 or second >= first:
        return np.inf
    rate = max(second / first, max(1.0 - bend, 0.0) ** 2)
    return max(second, 0.0) * rate / (1.0 - rate) if rate < 1.0 else np.inf


@njit(**OPTIONS)
def _leap(slots, length, points, data, model, prior, limits):  # type: ignore[no-untyped-def]
    """The step from the extrapolated sums S0 + 2 a r + a^2 v into the last slot, if it climbs."""
    s0, s1, s2, s3 = slots
    sums, values = points[4], points[5]
    r = sums[s1] - sums[s0]
    v = sums[s2] - sums[s1] - r
    sums[s3] = sums[s0] + 2.0 * length * r + length * length * v
    return _step(s3, s3, points, data, model, prior, limits) and values[s3] >= values[s2]


@njit(**OPTIONS)
def climb(points, data, model, prior, limits, max_iter, tol, accelerate, noise, trace):  # type: ignore[no-untyped-def]
    """Climb from the parameters in slot 0.

    Returns the slot of the last good point, the length of the trace, the steps taken, the gain
    that remains and the status.
    """
    values = points[5]
    s0, s1, s2, s3 = 0, 1, 2, 3
    entries, steps, longest, left = 0, 0, 4.0, np.inf
    if not _expect(s0, points, data, model, prior, limits):
        return s0, entries, steps, left, CARE
    trace[0], entries = values[s0], 1
    while steps < max_iter:
        if not _step(s0, s1, points, data, model, prior, limits):
            return s0, entries, steps, left, CARE
        trace[entries] = values[s1]
        entries, steps = entries + 1, steps + 1
        if steps == max_iter:
            return s1, entries, steps, left, EXHAUSTED
        if not _step(s1, s2, points, data, model, prior, limits):
            return s1, entries, steps, left, CARE
        trace[entries] = values[s2]
        entries, steps = entries + 1, steps + 1
        bend = _bend(points[4], s0, s1, s2)
        level = noise * max(abs(values[s2]), 1.0)
        left = _gain_left(values[s0], values[s1], values[s2], bend, level)
        if left < tol:
            return s2, entries, steps, left, CONVERGED
        if accelerate and steps < max_iter:
            length = min(max(1.0 / bend if bend > 0.0 else 1.0, 1.0), longest)
            steps += 1
            if _leap((s0, s1, s2, s3), length, points, data, model, prior, limits):
                trace[entries] = values[s3]
                entries += 1
                longest = longest * 4.0 if length >= longest else longest
                s0, s3 = s3, s0
                continue
            longest = max(longest / 4.0, 1.0)
        s0, s2 = s2, s0
    return s0, entries, steps, left, EXHAUSTED
