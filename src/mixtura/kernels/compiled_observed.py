"""Rows of which only some coordinates were observed, or that carry labels, compiled.

Rows come grouped by pattern. For each pattern and component a Cholesky factorization of the
covariance, observed coordinates first, is broken off after these: what is left is the conditional
covariance of the missing ones. Then each row costs about d^2. Components lie side by side in vector
registers, as they take the same steps.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_lanes import LANES, add_products, forward, pivot
from mixtura.kernels.compiled_math import LOG2E, exponentiate
from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart
from mixtura.kernels.layout import DIAGONAL, FULL

__all__ = ["assign_row", "observed_distances", "observed_means", "observed_sums"]

_LOG_2PI = 1.8378770664093453
_FULL, _DIAGONAL = FULL, DIAGONAL
_LANES = LANES  # components side by side
_PIVOTS = 8  # that are multiplied before a logarithm is taken


@njit(**OPTIONS)
def observed_sums(  # type: ignore[no-untyped-def]
    rows, pivot, scale, weights, plausibility, groups, component, shape, hard, constants, sums
):
    """Add ``sum_i w_i r_ik E[T(z - mean_k)]`` given what was observed; return the log-likelihood.

    `groups` holds the rows' order, where each pattern's rows end, and the patterns (P, d);
    `component` the log-weights (k,), means (k, d) and covariances (k, d, d), or (k, 1, d) where
    they are diagonal. `plausibility` is (n, k), or (0, 0) without labels; `constants` are those of
    the exponential.
    """
    order, ends, masks = groups
    k, d = component[1].shape
    dense = component[2].shape[1] > 1 or d == 1
    means, covariances, log_weights = _side_by_side(component)
    factor, level = np.empty((len(means), d * d, _LANES)), np.empty((len(means), _LANES))
    room = _room(len(means), d)
    totals = np.zeros((len(means), sums.shape[1], _LANES))
    log_likelihood, start = 0.0, 0
    for p in range(len(ends)):
        o = np.flatnonzero(masks[p])
        turn, seen = np.concatenate((o, np.flatnonzero(~masks[p]))), len(o)
        for g in range(len(means)):
            level[g] = log_weights[g] - 0.5 * seen * _LOG_2PI
            _factorize(covariances[g], turn, seen, dense, room[1], factor[g], level[g])
        data = rows, (pivot, scale), weights, plausibility, order[start : ends[p]]
        seen_through = means, factor, level, turn, seen, dense
        log_likelihood += _add_rows(data, seen_through, k, shape, hard, constants, room, totals)
        start = ends[p]
    for c in range(k):
        sums[c] += totals[c // _LANES, :, c % _LANES]
    return log_likelihood


@njit(**OPTIONS)
def observed_distances(rows, pivot, scale, groups, component, squared, log_det):  # type: ignore[no-untyped-def]
    """Write squared Mahalanobis distances (n, k) and log-determinants (n, k) of what was observed.

    `groups` and `component` are those of `observed_sums`; log-weights do not matter.
    """
    order, ends, masks = groups
    k, d = component[1].shape
    dense = component[2].shape[1] > 1 or d == 1
    means, covariances, _ = _side_by_side(component)
    factor, level = np.empty((len(means), d * d, _LANES)), np.empty((len(means), _LANES))
    z, work, off, shares = _room(len(means), d)[:4]
    start = 0
    for p in range(len(ends)):
        o = np.flatnonzero(masks[p])
        turn, seen = np.concatenate((o, np.flatnonzero(~masks[p]))), len(o)
        level[:] = 0.0
        for g in range(len(means)):
            _factorize(covariances[g], turn, seen, dense, work, factor[g], level[g])
        for i in order[start : ends[p]]:
            for j in o:
                z[j] = (rows[i, j] - pivot[j]) * scale[j]
            for g in range(len(means)):
                _whiten(z, means[g], factor[g], turn, seen, dense, work, off[g], shares, g)
            for c in range(k):
                g, t = c // _LANES, c % _LANES
                squared[i, c], log_det[i, c] = shares[g, t], -2.0 * level[g, t]
        start = ends[p]


@njit(**OPTIONS)
def observed_means(rows, pivot, scale, groups, component, responsibilities, out):  # type: ignore[no-untyped-def]
    """Write the expected coordinates (n, d) in the frame, by responsibilities (n, k)."""
    order, ends, masks = groups
    k, d = component[1].shape
    dense = component[2].shape[1] > 1 or d == 1
    means, covariances, _ = _side_by_side(component)
    factor, level = np.empty((len(means), d * d, _LANES)), np.empty((len(means), _LANES))
    z, work, off, shares = _room(len(means), d)[:4]
    start = 0
    for p in range(len(ends)):
        o = np.flatnonzero(masks[p])
        turn, seen = np.concatenate((o, np.flatnonzero(~masks[p]))), len(o)
        for g in range(len(means)):
            _factorize(covariances[g], turn, seen, dense, work, factor[g], level[g])
        for i in order[start : ends[p]]:
            for j in o:
                z[j] = (rows[i, j] - pivot[j]) * scale[j]
                out[i, j] = z[j]
            for g in range(len(means)):
                _whiten(z, means[g], factor[g], turn, seen, dense, work, off[g], shares, g)
            for j in turn[seen:]:
                out[i, j] = 0.0
                for c in range(k):
                    g, t = c // _LANES, c % _LANES
                    out[i, j] += responsibilities[i, c] * (means[g, j, t] + off[g, j, t])
        start = ends[p]


@njit(**OPTIONS)
def _room(count, d):  # type: ignore[no-untyped-def]
    """Buffers for the coordinates of a row and what is made of them, and for its logits."""
    z, work, off = np.empty(d), np.empty((d, _LANES)), np.empty((count, d, _LANES))
    shares, mass = np.empty((count, _LANES)), np.empty((count, _LANES))
    logits, top, norm = np.zeros((3, 1, (count + 1) // 2 * 2 * _LANES))
    return z, work, off, shares, mass, logits, top, norm


@njit(**OPTIONS)
def _add_rows(data, seen_through, k, shape, hard, constants, room, totals):  # type: ignore[no-untyped-def]
    """The rows of one pattern."""
    keep_apart()
    rows, (pivot, scale), weights, plausibility, own = data
    means, factor, level, turn, seen, dense = seen_through
    z, work, off, shares, mass, logits, top, norm = room
    count, log_likelihood = len(means), 0.0
    mass[:] = 0.0
    for i in own:
        for j in turn[:seen]:
            z[j] = (rows[i, j] - pivot[j]) * scale[j]
        for g in range(count):
            _whiten(z, means[g], factor[g], turn, seen, dense, work, off[g], shares, g)
            for t in range(_LANES):
                logits[0, g * _LANES + t] = level[g, t] - 0.5 * shares[g, t]
        if plausibility.size:
            for c in range(k):
                logits[0, c] += plausibility[i, c]
        weight = weights[i] if weights.size else 1.0
        log_likelihood += weight * _assign(logits, top, norm, constants, hard, weight, shares)
        for g in range(count):
            for t in range(_LANES):
                mass[g, t] += shares[g, t]
            _accumulate(off[g], shares, g, shape, totals[g])
    for g in range(count):
        _add_rest(factor[g], mass[g], turn, seen, dense, shape, totals[g])
    return log_likelihood


@njit(**OPTIONS)
def _side_by_side(component):  # type: ignore[no-untyped-def]
    """Means (g, d, lanes), covariances (g, d, d or 1, lanes), log-weights (g, lanes).

    What is left of the last lanes is filled with components of no weight.
    """
    log_weights, means, covariances = component
    k, d = means.shape
    count = (k + _LANES - 1) // _LANES
    at, logs = np.zeros((count, d, _LANES)), np.full((count, _LANES), -np.inf)
    spread = np.zeros((count, covariances.shape[1], d, _LANES))
    for c in range(count * _LANES):
        g, t = c // _LANES, c % _LANES
        if c < k:
            logs[g, t] = log_weights[c]
            at[g, :, t] = means[c]
            spread[g, :, :, t] = covariances[c]
        else:
            for j in range(d):
                spread[g, min(j, spread.shape[1] - 1), j, t] = 1.0
    return at, spread, logs


@njit(**OPTIONS)
def _factorize(covariances, turn, seen, dense, product, factor, level):  # type: ignore[no-untyped-def]
    """Factorize covariances as far as coordinates were seen; take half the log determinant off.

    What is below becomes the conditional covariance. With diagonal covariances nothing is told of
    the missing.
    """
    keep_apart()
    d = len(turn)
    for a in range(d):
        for b in range(a, d if dense else a + 1):
            for t in range(_LANES):
                factor[a * d + b, t] = covariances[turn[a] if dense else 0, turn[b], t]
    for s in range(seen):
        if s % _PIVOTS == 0:
            product[0] = 1.0
        pivot(factor, s, d, d - s - 1 if dense else 0, product)
        if s % _PIVOTS == _PIVOTS - 1 or s == seen - 1:
            for t in range(_LANES):
                level[t] -= 0.5 * np.log(product[0, t])


@njit(**OPTIONS)
def _whiten(z, means, factor, turn, seen, dense, work, off, squares, g):  # type: ignore[no-untyped-def]
    """Write the expected deviations from the means, and the squared Mahalanobis distances."""
    keep_apart()
    d = len(turn)
    for a in range(d):
        j = turn[a]
        for t in range(_LANES):
            work[a, t] = z[j] - means[j, t] if a < seen else 0.0
            off[j, t] = work[a, t]
    forward(factor, d, seen, 1 if dense else 0, work, squares, g)
    for a in range(seen, d):
        for t in range(_LANES):
            off[turn[a], t] = -work[a, t]


@njit(**OPTIONS)
def _assign(logits, top, norm, constants, hard, weight, shares):  # type: ignore[no-untyped-def]
    """Write the weighted responsibilities of a row of logits; return its log-likelihood."""
    keep_apart()
    size = shares.size
    if hard:
        best = assign_row(logits[0, :size], True)
        for c in range(size):
            shares[c // _LANES, c % _LANES] = weight * logits[0, c]
        return best
    best = logits[0, 0]
    for c in range(1, size):
        best = max(best, logits[0, c])
    for c in range(size):
        logits[0, c] = (logits[0, c] - best) * LOG2E
    logits[0, size:] = 0.0
    norm[:] = 0.0
    exponentiate(logits, top, norm, constants, 0, logits.shape[1])
    total = 0.0
    for c in range(size):
        total += logits[0, c]
    for c in range(size):
        shares[c // _LANES, c % _LANES] = weight / total * logits[0, c]
    return best + np.log(total)


@njit(**OPTIONS)
def assign_row(logits, hard):  # type: ignore[no-untyped-def]
    """Replace the log joint by responsibilities; return the row's log-likelihood."""
    best = np.argmax(logits)
    top = logits[best]
    if hard:
        logits[:] = 0.0
        logits[best] = 1.0
        return top
    norm = 0.0
    for c in range(len(logits)):
        logits[c] = np.exp(logits[c] - top)
        norm += logits[c]
    logits /= norm
    return top + np.log(norm)


@njit(**OPTIONS)
def _accumulate(off, shares, g, shape, sums):  # type: ignore[no-untyped-def]
    """Add the weighted ``T(off)`` of a row."""
    keep_apart()
    d = len(off)
    first = len(sums) - d - 1
    for t in range(_LANES):
        sums[first + d, t] += shares[g, t]
    step = 1 if shape == _DIAGONAL else 0
    add_products(sums, first, off, d, 1 if shape == _FULL else 0, step, shares, g)


@njit(**OPTIONS)
def _add_rest(factor, mass, turn, seen, dense, shape, sums):  # type: ignore[no-untyped-def]
    """Add the conditional covariance of the missing coordinates, `mass` times."""
    d = len(turn)
    for a in range(seen, d):
        i = turn[a]
        for b in range(a, d if shape == _FULL and dense else a + 1):
            place = i if shape == _DIAGONAL else 0
            if shape == _FULL:
                place = i * d - i * (i - 1) // 2 + turn[b] - i
            for t in range(_LANES):
                sums[place, t] += mass[t] * factor[a * d + b, t]
