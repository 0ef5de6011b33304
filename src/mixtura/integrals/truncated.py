"""Moments of a normal vector within a box."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mixtura._types import Array, Indices, Mask
from mixtura.integrals import interval, plane
from mixtura.integrals.sobol import scrambled
from mixtura.integrals.tilting import saddles

POINTS = 512
"""Points for each row where three and more correlated coordinates have bounds."""

_CELLS = 1 << 20


class Truncated(NamedTuple):
    """Normal vectors within boxes.

    Attributes
    ----------
    log_probability : (n,)
    mean : (n, m)
    covariance : (n, m, m)
    """

    log_probability: Array
    mean: Array
    covariance: Array


def truncated(
    covariance: Array, low: Array, high: Array, *, points: int = POINTS, seed: int = 0
) -> Truncated:
    """Probability, mean and covariance of a centred normal vector given that it lies in a box.

    Coordinates that are independent of the others are exact; pairs are integrated to about 1e-12;
    three and more that hang together by minimax tilting (Botev 2017) over fixed randomised Sobol'
    points, the last coordinate exactly. All to relative accuracy, however far out the box is.

    Parameters
    ----------
    covariance : (m, m)
    low, high : (n, m)
        Infinite where there is no bound.
    points, seed : int
        Of the points.

    References
    ----------
    Tallis (1961), "The moment generating function of the truncated multi-normal distribution",
    Journal of the Royal Statistical Society B 23, 223-229; Botev (2017), see
    `mixtura.integrals.tilting`.

    Examples
    --------
    >>> half = truncated(np.eye(1), np.zeros((1, 1)), np.full((1, 1), np.inf))
    >>> half.mean.round(6), half.covariance.round(6)  # √(2/π) and 1 - 2/π
    (array([[0.797885]]), array([[[0.36338]]]))
    """
    n, m = low.shape
    deviations = np.sqrt(covariance.diagonal())
    low, high = low / deviations, high / deviations
    correlation = covariance / deviations[:, None] / deviations
    found = Truncated(np.zeros(n), np.zeros((n, m)), np.zeros((n, m, m)))
    for some in _together(correlation != 0.0):
        own = correlation[np.ix_(some, some)]
        logs, mean, spread = _joint(own, low[:, some], high[:, some], points, seed)
        found.log_probability[:] += logs
        found.mean[:, some] = mean
        found.covariance[:, some[:, None], some] = spread
    return Truncated(
        found.log_probability,
        found.mean * deviations,
        found.covariance * deviations[:, None] * deviations,
    )


def _together(linked: Mask) -> list[Indices]:
    """The coordinates in groups that are independent of each other."""
    reach = linked
    for _ in range(int(np.ceil(np.log2(max(len(linked), 2))))):
        reach = reach @ reach
    first = reach.argmax(axis=1)
    return [np.flatnonzero(first == number) for number in np.unique(first)]


def _joint(
    correlation: Array, low: Array, high: Array, points: int, seed: int
) -> tuple[Array, Array, Array]:
    """The same for standard variables that hang together."""
    if len(correlation) == 1:
        logs, mean, variance = interval.moments(low[:, 0], high[:, 0])
        return logs, mean[:, None], variance[:, None, None]
    if len(correlation) == 2:
        return plane.moments(low, high, float(correlation[1, 0]))
    return _summed(correlation, low, high, points, seed)


def _summed(
    correlation: Array, low: Array, high: Array, points: int, seed: int
) -> tuple[Array, Array, Array]:
    """By points drawn one coordinate after the other, the least probable first."""
    d = len(correlation)
    order = np.argsort(interval.log_probability(low, high).mean(axis=0), kind="stable")
    factor = np.linalg.cholesky(correlation[np.ix_(order, order)])
    diagonal = factor.diagonal()
    rest = factor / diagonal[:, None] - np.eye(d)
    low, high = low[:, order] / diagonal, high[:, order] / diagonal
    tilts = saddles(rest, low, high)
    shares = scrambled(d - 1, points, seed).reshape(-1, d - 1)
    size = max(1, _CELLS // (len(shares) * d))
    parts = [
        _drawn(rest, low[at : at + size], high[at : at + size], tilts[at : at + size], shares)
        for at in range(0, len(low), size)
    ]
    logs, means, spreads = (np.concatenate(part) for part in zip(*parts, strict=True))
    back = np.argsort(order)
    turned = factor[back]
    return logs, means @ turned.T, turned @ spreads @ turned.T


def _drawn(
    rest: Array, low: Array, high: Array, tilts: Array, shares: Array
) -> tuple[Array, Array, Array]:
    """log P, and moments of the independent coordinates x, with ``z = factor @ x``."""
    n, d = low.shape
    x, value = np.zeros((n, len(shares), d)), np.zeros((n, len(shares)))
    for j in range(d):
        shift = tilts[:, j, None] + x @ rest[j]
        a, b = low[:, j, None] - shift, high[:, j, None] - shift
        if j + 1 == d:
            logs, x[:, :, j], variance = interval.moments(a, b)
            value += logs
            continue
        mu = tilts[:, j, None]
        x[:, :, j] = mu + interval.within(a, b, shares[:, j])
        value += interval.log_probability(a, b) + 0.5 * mu * mu - x[:, :, j] * mu
    top = value.max(axis=1)
    mass = np.exp(value - top[:, None])
    total = mass.sum(axis=1)
    mass /= total[:, None]
    mean = np.einsum("nq,nqj->nj", mass, x)
    off = x - mean[:, None]
    spread = np.einsum("nqi,nqj->nij", off * mass[:, :, None], off)
    spread[:, -1, -1] += (mass * variance).sum(axis=1)
    return top + np.log(total / len(shares)), mean, spread
