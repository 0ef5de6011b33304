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

__all__ = [
    "assign_row",
    "observed_distances",
    "observed_means",
    "observed_moments",
    "observed_sums",
]

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
    k = len(component[0])
    means, covariances, log_weights, dense, room = _laid_out(component)
    factor, level, off, shares, mass = room[:5]
    logits, top, norm = np.zeros((3, 1, (len(means) + 1) // 2 * 2 * _LANES))
    totals = np.zeros((len(means), sums.shape[1], _LANES))
    log_likelihood, start = 0.0, 0
    for p in range(len(ends)):
        turn, seen = _begin(masks[p], covariances, dense, room)
        for g in range(len(means)):
            for t in range(_LANES):
                level[g, t] += log_weights[g, t] - 0.5 * seen * _LOG_2PI
        for i in order[start : ends[p]]:
            _look(rows[i], pivot, scale, means, turn, seen, dense, room)
            for c in range(len(means) * _LANES):
                g, t = c // _LANES, c % _LANES
                logits[0, c] = level[g, t] - 0.5 * shares[g, t]
                if plausibility.size and c < k:
                    logits[0, c] += plausibility[i, c]
            weight = weights[i] if weights.size else 1.0
            log_likelihood += weight * _assign(logits, top, norm, constants, hard, weight, shares)
            _accumulate(off, shares, shape, mass, totals)
        _add_rest(factor, mass, turn, seen, dense, shape, totals)
        start = ends[p]
    _unpack(totals, sums)
    return log_likelihood


@njit(**OPTIONS)
def observed_moments(  # type: ignore[no-untyped-def]
    rows, pivot, scale, groups, component, scaled, responsibilities, shape, sums
):
    """Add ``sum_i s_ik x_ik x_ik' + r_ik C_ik`` and the like for known s and r, (n, k) both.

    x is what is expected of ``z - mean_k`` and C its conditional covariance; sums of x and of one
    are by s. The rest is as in `observed_sums`.
    """
    order, ends, masks = groups
    k = len(component[0])
    means, covariances, _, dense, room = _laid_out(component)
    factor, _, off, shares, mass = room[:5]
    totals, start = np.zeros((len(means), sums.shape[1], _LANES)), 0
    doubt = np.zeros((len(means), _LANES))
    for p in range(len(ends)):
        turn, seen = _begin(masks[p], covariances, dense, room)
        doubt[:] = 0.0
        for i in order[start : ends[p]]:
            _look(rows[i], pivot, scale, means, turn, seen, dense, room)
            shares[:] = 0.0
            for c in range(k):
                g, t = c // _LANES, c % _LANES
                shares[g, t] = scaled[i, c]
                doubt[g, t] += responsibilities[i, c]
            _accumulate(off, shares, shape, mass, totals)
        _add_rest(factor, doubt, turn, seen, dense, shape, totals)
        start = ends[p]
    _unpack(totals, sums)


@njit(**OPTIONS)
def observed_distances(rows, pivot, scale, groups, component, squared, log_det):  # type: ignore[no-untyped-def]
    """Write squared Mahalanobis distances (n, k) and log-determinants (n, k) of what was observed.

    `groups` and `component` are those of `observed_sums`; log-weights do not matter.
    """
    order, ends, masks = groups
    k = len(component[0])
    means, covariances, _, dense, room = _laid_out(component)
    level, shares, start = room[1], room[3], 0
    for p in range(len(ends)):
        turn, seen = _begin(masks[p], covariances, dense, room)
        for i in order[start : ends[p]]:
            _look(rows[i], pivot, scale, means, turn, seen, dense, room)
            for c in range(k):
                g, t = c // _LANES, c % _LANES
                squared[i, c], log_det[i, c] = shares[g, t], -2.0 * level[g, t]
        start = ends[p]


@njit(**OPTIONS)
def observed_means(rows, pivot, scale, groups, component, responsibilities, out):  # type: ignore[no-untyped-def]
    """Write the expected coordinates (n, d) in the frame, by responsibilities (n, k)."""
    order, ends, masks = groups
    k = len(component[0])
    means, covariances, _, dense, room = _laid_out(component)
    off, start = room[2], 0
    for p in range(len(ends)):
        turn, seen = _begin(masks[p], covariances, dense, room)
        for i in order[start : ends[p]]:
            _look(rows[i], pivot, scale, means, turn, seen, dense, room)
            for j in turn[:seen]:
                out[i, j] = (rows[i, j] - pivot[j]) * scale[j]
            for j in turn[seen:]:
                out[i, j] = 0.0
                for c in range(k):
                    g, t = c // _LANES, c % _LANES
                    out[i, j] += responsibilities[i, c] * (means[g, j, t] + off[g, j, t])
        start = ends[p]


@njit(**OPTIONS)
def _laid_out(component):  # type: ignore[no-untyped-def]
    """The components side by side, whether covariances are dense, and room to work in."""
    d = component[1].shape[1]
    means, covariances, log_weights = _side_by_side(component)
    dense = component[2].shape[1] > 1 or d == 1
    return means, covariances, log_weights, dense, _room(len(means), d)


@njit(**OPTIONS)
def _room(count, d):  # type: ignore[no-untyped-def]
    """Factors and levels of a pattern; of a row what is expected, shares, mass; and two buffers."""
    factor, level = np.empty((count, d * d, _LANES)), np.empty((count, _LANES))
    off, work, z = np.empty((count, d, _LANES)), np.empty((d, _LANES)), np.empty(d)
    shares, mass = np.empty((count, _LANES)), np.empty((count, _LANES))
    return factor, level, off, shares, mass, work, z


@njit(**OPTIONS)
def _begin(mask, covariances, dense, room):  # type: ignore[no-untyped-def]
    """Factorize for a pattern: the coordinates, observed ones first, and how many these are."""
    factor, level, _, _, mass, work, _ = room
    o = np.flatnonzero(mask)
    turn, seen = np.concatenate((o, np.flatnonzero(~mask))), len(o)
    level[:] = 0.0
    mass[:] = 0.0
    for g in range(len(covariances)):
        _factorize(covariances[g], turn, seen, dense, work, factor[g], level[g])
    return turn, seen


@njit(**OPTIONS)
def _look(row, pivot, scale, means, turn, seen, dense, room):  # type: ignore[no-untyped-def]
    """What a row leads one to expect; its squared distances take the place of the shares."""
    factor, _, off, shares, _, work, z = room
    for j in turn[:seen]:
        z[j] = (row[j] - pivot[j]) * scale[j]
    for g in range(len(means)):
        _whiten(z, means[g], factor[g], turn, seen, dense, work, off[g], shares, g)


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
def _accumulate(off, shares, shape, mass, sums):  # type: ignore[no-untyped-def]
    """Add the weighted ``T(off)`` of a row."""
    keep_apart()
    d = off.shape[1]
    first = sums.shape[1] - d - 1
    full, step = 1 if shape == _FULL else 0, 1 if shape == _DIAGONAL else 0
    for g in range(len(off)):
        for t in range(_LANES):
            sums[g, first + d, t] += shares[g, t]
            mass[g, t] += shares[g, t]
        add_products(sums[g], first, off[g], d, full, step, shares, g)


@njit(**OPTIONS)
def _add_rest(factor, mass, turn, seen, dense, shape, sums):  # type: ignore[no-untyped-def]
    """Add the conditional covariance of the missing coordinates, `mass` times."""
    keep_apart()
    d = len(turn)
    for a in range(seen, d):
        i = turn[a]
        for b in range(a, d if shape == _FULL and dense else a + 1):
            place = i if shape == _DIAGONAL else 0
            if shape == _FULL:
                place = i * d - i * (i - 1) // 2 + turn[b] - i
            for g in range(len(factor)):
                for t in range(_LANES):
                    sums[g, place, t] += mass[g, t] * factor[g, a * d + b, t]


@njit(**OPTIONS)
def _unpack(totals, sums):  # type: ignore[no-untyped-def]
    """Add what lies side by side to the sums (k, p)."""
    for c in range(len(sums)):
        sums[c] += totals[c // _LANES, :, c % _LANES]
