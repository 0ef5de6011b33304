"""The probability that a Gaussian, or Student's t, gives to a box."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.special import chdtri, ndtr, ndtri, stdtr

from mixtura._types import Array
from mixtura.integrals.orthant import bivariate, trivariate
from mixtura.integrals.sobol import averaged, scrambled

POINTS = 4096
_CELLS = 1 << 21
_ROUNDING = 1e-15
_LEAST, _MOST = 1e-300, 1.0 - 1e-16


def box(
    covariance: Array,
    low: Array,
    high: Array,
    *,
    dof: float | None = None,
    points: int = POINTS,
    seed: int = 0,
) -> tuple[Array, Array]:
    """P(low <= z <= high) for a centred Gaussian or Student's t, (m,), and its standard error.

    Up to three coordinates of a Gaussian are exact to about 1e-15 (Genz 2004), one of the t to the
    last digits. More are integrated one coordinate given those before, the least probable first
    and exactly, over randomised Sobol' points (Genz 1992; Genz & Bretz 1999 for the t, whose scale
    is one more coordinate); the error is that of the mean of eight scrambles.

    Parameters
    ----------
    covariance : (d, d)
    low, high : (m, d)
        Infinite where there is no bound.
    dof : float, optional
        Of Student's t.
    points : int
        Of all scrambles together.
    seed : int
        Of the scrambles.

    References
    ----------
    Genz (1992), "Numerical computation of multivariate normal probabilities", J. Comput. Graph.
    Stat. 1, 141-149; Genz & Bretz (1999), "Numerical computation of multivariate t-probabilities
    with application to power calculation of multiple contrasts", J. Stat. Comput. Simul. 63,
    361-378.
    """
    deviations = np.sqrt(covariance.diagonal())
    low, high = low / deviations, high / deviations
    correlation = covariance / deviations[:, None] / deviations
    found, error = np.ones(len(low)), np.zeros(len(low))
    tight = ~(np.isneginf(low) & np.isposinf(high))
    for pattern in np.unique(tight, axis=0):
        mine, kept = np.flatnonzero((tight == pattern).all(axis=1)), np.flatnonzero(pattern)
        if not len(kept):
            continue
        ends = low[np.ix_(mine, kept)], high[np.ix_(mine, kept)]
        own = correlation[np.ix_(kept, kept)]
        if dof is not None and len(kept) == 1:
            found[mine] = _one(dof, *(end[:, 0] for end in ends))
            continue
        exact = dof is None and len(kept) <= 3
        part = _exact(own, *ends) if exact else _summed(own, *ends, dof, (points, seed))
        found[mine], error[mine] = part
    return found, error


def _one(dof: float, low: Array, high: Array) -> Array:
    """A standard t variable within an interval, from its thinner tail."""
    turned = low > 0
    bottom, top = np.where(turned, -high, low), np.where(turned, -low, high)
    return np.asarray(stdtr(dof, top) - stdtr(dof, bottom))


def _exact(correlation: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Corner by corner, each coordinate turned so that its box is nearer to the lower tail."""
    with np.errstate(invalid="ignore"):
        turned = np.where(np.isneginf(low), False, low + high > 0)
    low, high = np.where(turned, -high, low), np.where(turned, -low, high)
    found, error = np.zeros(len(low)), np.zeros(len(low))
    for sides in np.unique(turned, axis=0):
        mine = np.flatnonzero((turned == sides).all(axis=1))
        sign = np.where(sides, -1.0, 1.0)
        own = correlation * np.outer(sign, sign)
        for corner in product((True, False), repeat=len(own)):
            bounds = np.where(corner, high[mine], low[mine])
            if np.isneginf(bounds).any(axis=1).all():
                continue
            part, off = _orthant(bounds, own)
            odd = sum(not top for top in corner) % 2
            found[mine] += -part if odd else part
            error[mine] += off
    return np.clip(found, 0.0, 1.0), error


def _orthant(bounds: Array, correlation: Array) -> tuple[Array, Array]:
    if bounds.shape[1] == 1:
        return ndtr(bounds[:, 0]), np.zeros(len(bounds))
    if bounds.shape[1] == 2:
        h, k = bounds.T
        return bivariate(h, k, float(correlation[1, 0])), np.full(len(bounds), _ROUNDING)
    return trivariate(bounds, correlation)


def _summed(
    correlation: Array, low: Array, high: Array, dof: float | None, grid: tuple[int, int]
) -> tuple[Array, Array]:
    """The mean over the scrambles, and its standard error."""
    order = np.argsort(np.mean(ndtr(high) - ndtr(low), axis=0), kind="stable")
    lower = np.linalg.cholesky(correlation[np.ix_(order, order)])
    low, high = low[:, order], high[:, order]
    points = scrambled(len(lower) - (dof is None), *grid)  # (s, q, d - 1 or d)
    count = points.shape[0] * points.shape[1]
    flat = points.reshape(count, -1)
    scale = np.ones(count)
    if dof is not None:
        scale = np.sqrt(chdtri(dof, flat[:, -1]) / dof)
    size = max(1, _CELLS // (count * len(lower)))
    parts = [
        _products(lower, low[at : at + size], high[at : at + size], flat, scale)
        for at in range(0, len(low), size)
    ]
    return averaged(np.concatenate(parts).reshape(len(low), len(points), -1).mean(axis=2))


def _products(lower: Array, low: Array, high: Array, points: Array, scale: Array) -> Array:
    """The product (m, q) of the conditional probabilities at each point."""
    total = np.ones((len(low), len(points)))
    drawn: list[Array] = []
    for j in range(len(lower)):
        shift = sum((lower[j, i] * drawn[i] for i in range(j)), start=np.zeros(()))
        bottom = ndtr((low[:, [j]] * scale - shift) / lower[j, j])
        top = ndtr((high[:, [j]] * scale - shift) / lower[j, j])
        total *= top - bottom
        if j + 1 < len(lower):
            inside = bottom + points[:, j] * (top - bottom)
            drawn.append(ndtri(np.clip(inside, _LEAST, _MOST)))
    return total
