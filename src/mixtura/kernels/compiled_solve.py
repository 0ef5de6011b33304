"""The M-step, compiled: sums -> parameters -> the coefficients of the log-linear form.

Covariances and precisions are packed like the second moments of their shape (k, s): the upper
triangle by rows, the diagonal, or one number.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart
from mixtura.kernels.layout import DIAGONAL, FULL, SPHERICAL

__all__ = ["linearize", "maximize"]

_LOG_2PI = 1.8378770664093453
_EMPTY = 1e-8  # share of the total mass below which a component needs the caller's care
_FULL, _DIAGONAL, _SPHERICAL = FULL, DIAGONAL, SPHERICAL


@njit(**OPTIONS)
def maximize(sums, total, prior, shape, pooled, ridge, weights, means, covariances):  # type: ignore[no-untyped-def]
    """Parameters from sums plus the prior's pseudo-sums; whether all components hold mass.

    ``mean = first / mass``, ``covariance = (second - mass mean mean') / dof + ridge``. With
    `pooled`, `sums` holds no second moments: `total` does, for all components together.
    """
    keep_apart()
    prior_sums, prior_dof, prior_counts = prior
    k, d = means.shape
    s = covariances.shape[1]
    start = 0 if pooled else s
    all_mass, all_weight, all_dof = 0.0, 0.0, 0.0
    for c in range(k):
        all_mass += sums[c, start + d] + prior_sums[c, s + d]
        all_weight += sums[c, start + d] + prior_counts[c]
        all_dof += sums[c, start + d] + prior_dof[c]
    for c in range(k):
        count = sums[c, start + d]
        mass = count + prior_sums[c, s + d]
        dof = all_dof if pooled else count + prior_dof[c]
        weights[c] = (count + prior_counts[c]) / all_weight
        if not (mass > _EMPTY * all_mass and dof > 0.0 and weights[c] > 0.0):
            return False
        for j in range(d):
            means[c, j] = (sums[c, start + j] + prior_sums[c, s + j]) / mass
        divisor = dof * d if shape == _SPHERICAL else dof
        for f in range(s):
            second = total[f] if pooled and c == 0 else 0.0 if pooled else sums[c, f]
            covariances[c, f] = (second + prior_sums[c, f]) / divisor
        _subtract_outer(covariances[c], means[c], mass / divisor, shape)
    if pooled:
        _pool(covariances)
    for c in range(k):
        _add_ridge(covariances[c], ridge, shape)
    return True


@njit(**OPTIONS)
def _pool(covariances):  # type: ignore[no-untyped-def]
    """Replace all by their sum."""
    for f in range(covariances.shape[1]):
        total = 0.0
        for c in range(len(covariances)):
            total += covariances[c, f]
        for c in range(len(covariances)):
            covariances[c, f] = total


@njit(**OPTIONS)
def _subtract_outer(packed, mean, mass, shape):  # type: ignore[no-untyped-def]
    keep_apart()
    d = len(mean)
    if shape == _FULL:
        f = 0
        for i in range(d):
            for j in range(i, d):
                packed[f] -= mass * mean[i] * mean[j]
                f += 1
    else:
        for i in range(d):
            packed[i if shape == _DIAGONAL else 0] -= mass * mean[i] * mean[i]


@njit(**OPTIONS)
def _add_ridge(packed, ridge, shape):  # type: ignore[no-untyped-def]
    d = len(ridge)
    f = 0
    for i in range(d):
        packed[f] += ridge[i] / d if shape == _SPHERICAL else ridge[i]
        f += d - i if shape == _FULL else 1 if shape == _DIAGONAL else 0


@njit(**OPTIONS)
def linearize(weights, means, covariances, prior, shape, pooled, limits, theta, common):  # type: ignore[no-untyped-def]
    """Write the coefficients theta of the log-linear form; return the prior's log-density.

    ``theta_k . T(z) = log weight_k + log density_k(z)``. With `pooled`, the quadratic part goes to
    `common` instead, for all components. NaN if an eigenvalue may lie below ``limits[0]`` or
    the largest term ``|z|'|P||z|`` within three deviations of a mean is above ``limits[1]``.
    """
    keep_apart()
    prior_sums, prior_dof, prior_counts = prior
    floor, reach_limit = limits
    k, d = means.shape
    s = covariances.shape[1]
    start = 0 if pooled else s
    precision, linear, reach = np.empty(s), np.empty(d), np.empty(d)
    log_det, log_prior = 0.0, 0.0
    for c in range(k):
        if c == 0 or not pooled:
            log_det = _invert(covariances[c], d, shape, floor, precision)
        _times(precision, means[c], shape, False, linear)
        centre = _dot(linear, means[c])
        log_weight = np.log(weights[c])
        for j in range(d):
            theta[c, start + j] = linear[j]
            log_prior += linear[j] * prior_sums[c, s + j]
        theta[c, start + d] = log_weight - 0.5 * (d * _LOG_2PI + log_det + centre)
        log_prior -= 0.5 * centre * prior_sums[c, s + d]
        log_prior += prior_counts[c] * log_weight - 0.5 * prior_dof[c] * log_det
        log_prior += _quadratic(precision, d, shape, common if pooled else theta[c], prior_sums[c])
        _reach(means[c], covariances[c], shape, reach)
        _times(precision, reach, shape, True, linear)
        if not _dot(linear, reach) <= reach_limit:
            return np.nan
    return log_prior


@njit(**OPTIONS)
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@njit(**OPTIONS)
def _quadratic(precision, d, shape, out, moments):  # type: ignore[no-untyped-def]
    """Write ``-z'Pz / 2`` as coefficients on the second moments; return its sum over `moments`."""
    f, total = 0, 0.0
    for i in range(d):
        for j in range(i, d if shape == _FULL else i + 1):
            out[f] = -0.5 * precision[f] if i == j else -precision[f]
            total += out[f] * moments[f]
            f += 1
        if shape == _SPHERICAL:
            break
    return total


@njit(**OPTIONS)
def _times(precision, vector, shape, absolute, out):  # type: ignore[no-untyped-def]
    """P v, or |P| v."""
    keep_apart()
    d = len(vector)
    if shape != _FULL:
        for i in range(d):
            out[i] = precision[i if shape == _DIAGONAL else 0] * vector[i]
        return
    f = 0
    for i in range(d):
        out[i] = 0.0
    for i in range(d):
        for j in range(i, d):
            p = abs(precision[f]) if absolute else precision[f]
            out[i] += p * vector[j]
            if j > i:
                out[j] += p * vector[i]
            f += 1


@njit(**OPTIONS)
def _reach(mean, covariance, shape, out):  # type: ignore[no-untyped-def]
    """Three standard deviations beyond the mean."""
    d = len(mean)
    f = 0
    for i in range(d):
        out[i] = abs(mean[i]) + 3.0 * np.sqrt(covariance[f])
        f += d - i if shape == _FULL else 1 if shape == _DIAGONAL else 0


@njit(**OPTIONS)
def _invert(covariance, d, shape, floor, precision):  # type: ignore[no-untyped-def]
    """Write the inverse; return log det, or NaN if an eigenvalue may be below the floor."""
    if shape == _FULL:
        return _invert_full(covariance, d, floor, precision)
    log_det = 0.0
    for f in range(len(precision)):
        if not covariance[f] >= floor:
            return np.nan
        precision[f] = 1.0 / covariance[f]
        log_det += np.log(covariance[f])
    return log_det * (d if shape == _SPHERICAL else 1)


@njit(**{**OPTIONS, "fastmath": {"contract", "reassoc"}})
def _invert_full(covariance, d, floor, precision):  # type: ignore[no-untyped-def]
    keep_apart()
    lower, white = np.zeros((d, d)), np.zeros((d, d))
    log_det = 0.0
    for i in range(d):  # covariance = L L', white = L^-1, all row by row
        for j in range(i + 1):
            rest = covariance[j * d - j * (j + 1) // 2 + i]
            for m in range(j):
                rest -= lower[i, m] * lower[j, m]
            if i == j:
                if not rest > 0.0:
                    return np.nan
                lower[i, i] = np.sqrt(rest)
                log_det += np.log(rest)
            else:
                lower[i, j] = rest / lower[j, j]
        for j in range(i):
            factor = lower[i, j] / lower[i, i]
            for m in range(j + 1):
                white[i, m] -= factor * white[j, m]
        white[i, i] = 1.0 / lower[i, i]
    for f in range(len(precision)):
        precision[f] = 0.0
    for r in range(d):  # P = white' white
        f = 0
        for i in range(r + 1):
            for j in range(i, r + 1):
                precision[f + j - i] += white[r, i] * white[r, j]
            f += d - i
    square, f = 0.0, 0
    for i in range(d):
        for j in range(i, d):
            square += precision[f] ** 2 * (1.0 if i == j else 2.0)
            f += 1
    # The smallest eigenvalue lies between 1 / |P|_F and sqrt(d) times that.
    return log_det if 1.0 / np.sqrt(square) >= floor else np.nan
