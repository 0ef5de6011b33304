"""Rows of which only some coordinates were observed, or that carry labels, compiled.

Rows come grouped by pattern. For each pattern and component one Cholesky factor of the observed
block and the regression of the missing on the observed are made; then each row costs about d^2.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.layout import DIAGONAL, FULL

__all__ = ["assign_row", "observed_sums"]

_LOG_2PI = 1.8378770664093453
_FULL, _DIAGONAL = FULL, DIAGONAL


@njit(**OPTIONS)
def observed_sums(  # type: ignore[no-untyped-def]
    rows, pivot, scale, weights, plausibility, groups, component, shape, hard, sums
):
    """Add ``sum_i w_i r_ik E[T(z - mean_k)]`` given what was observed; return the log-likelihood.

    `groups` holds the rows' order, where each pattern's rows end, and the patterns (P, d);
    `component` the log-weights (k,), means (k, d) and covariances (k, d, d), or (k, 1, d) where
    they are diagonal. `plausibility` is (n, k), or (0, 0) without labels.
    """
    order, ends, masks = groups
    log_weights, means, covariances = component
    k, d = means.shape
    lower, cross = np.zeros((k, d, d)), np.zeros((k, d, d))
    rest, constant = np.zeros((k, d, d)), np.empty(k)
    off, y, logits = np.empty((k, d)), np.empty(d), np.empty(k)
    z, mass = np.empty(d), np.empty(k)
    dense = covariances.shape[1] > 1 or d == 1
    log_likelihood, start = 0.0, 0
    for p in range(len(ends)):
        o, m = np.flatnonzero(masks[p]), np.flatnonzero(~masks[p])
        for c in range(k):
            constant[c] = log_weights[c] - 0.5 * len(o) * _LOG_2PI
            constant[c] -= 0.5 * _regress(covariances[c], o, m, lower[c], cross[c], rest[c])
        mass[:] = 0.0
        for index in range(start, ends[p]):
            i = order[index]
            for j in o:
                z[j] = (rows[i, j] - pivot[j]) * scale[j]
            for c in range(k):
                squared = _whiten(z, means[c], o, m, lower[c], cross[c], y, off[c], dense)
                logits[c] = constant[c] - 0.5 * squared
                if plausibility.size:
                    logits[c] += plausibility[i, c]
            weight = weights[i] if weights.size else 1.0
            log_likelihood += weight * assign_row(logits, hard)
            for c in range(k):
                share = weight * logits[c]
                if share > 0.0:
                    mass[c] += share
                    _accumulate(off[c], share, shape, sums[c])
        for c in range(k):
            _add_rest(rest[c], mass[c], m, d, shape, sums[c])
        start = ends[p]
    return log_likelihood


@njit(**OPTIONS)
def _regress(covariance, o, m, lower, cross, rest):  # type: ignore[no-untyped-def]
    """Factor the observed block, ``cross = L^-1 S_om``, ``rest = S_mm - cross' cross``; log det.

    With a diagonal covariance (1, d) nothing is told of the missing by the observed.
    """
    log_det = 0.0
    if len(covariance) == 1:
        for a in range(len(o)):
            lower[a, a] = np.sqrt(covariance[0, o[a]])
            log_det += np.log(covariance[0, o[a]])
        for a in range(len(m)):
            rest[a, a] = covariance[0, m[a]]
        return log_det
    for a in range(len(o)):
        for b in range(a + 1):
            value = covariance[o[a], o[b]]
            for s in range(b):
                value -= lower[a, s] * lower[b, s]
            if a == b:
                lower[a, a] = np.sqrt(value)
                log_det += np.log(value)
            else:
                lower[a, b] = value / lower[b, b]
        for b in range(len(m)):
            value = covariance[o[a], m[b]]
            for s in range(a):
                value -= lower[a, s] * cross[s, b]
            cross[a, b] = value / lower[a, a]
    for a in range(len(m)):
        for b in range(a, len(m)):
            value = covariance[m[a], m[b]]
            for s in range(len(o)):
                value -= cross[s, a] * cross[s, b]
            rest[a, b] = value
    return log_det


@njit(**OPTIONS)
def _whiten(z, mean, o, m, lower, cross, y, off, dense):  # type: ignore[no-untyped-def]
    """Write the expected deviation from the mean; return the squared Mahalanobis distance."""
    squared = 0.0
    for a in range(len(o)):
        off[o[a]] = z[o[a]] - mean[o[a]]
        value = off[o[a]]
        if dense:
            for s in range(a):
                value -= lower[a, s] * y[s]
        y[a] = value / lower[a, a]
        squared += y[a] * y[a]
    for b in range(len(m)):
        value = 0.0
        if dense:
            for a in range(len(o)):
                value += cross[a, b] * y[a]
        off[m[b]] = value
    return squared


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
def _accumulate(off, share, shape, sums):  # type: ignore[no-untyped-def]
    """Add ``share T(off)``."""
    d = len(off)
    f = 0
    for i in range(d):
        value = share * off[i]
        if shape == _FULL:
            for j in range(i, d):
                sums[f] += value * off[j]
                f += 1
        elif shape == _DIAGONAL:
            sums[i] += value * off[i]
        else:
            sums[0] += value * off[i]
    first = len(sums) - d - 1
    for i in range(d):
        sums[first + i] += share * off[i]
    sums[-1] += share


@njit(**OPTIONS)
def _add_rest(rest, mass, m, d, shape, sums):  # type: ignore[no-untyped-def]
    """Add the conditional covariance of the missing coordinates, `mass` times."""
    for a in range(len(m)):
        i = m[a]
        if shape == _FULL:
            for b in range(a, len(m)):
                sums[i * d - i * (i - 1) // 2 + m[b] - i] += mass * rest[a, b]
        else:
            sums[i if shape == _DIAGONAL else 0] += mass * rest[a, a]
