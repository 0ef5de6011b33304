"""Two correlated normal variables within a rectangle: probability and moments, far out too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mixtura._types import Array
from mixtura.integrals import interval
from mixtura.law import LOG_2PI

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_DEPTH = 38.0
"""Nats below its peak at which the integrand no longer counts."""
_FARTHEST = 8.8
"""Deviations from its peak by which the integrand has fallen so deep, however slowly."""
_SHARP = 2.0
"""Slope ρ/√(1-ρ²) above which the edges of the second interval have panels of their own."""
_EDGE = 6.0
_STEPS = 40
_CELLS = 1 << 20

Inner = Callable[[Array], tuple[Array, Array, Array]]


def moments(low: Array, high: Array, correlation: float) -> tuple[Array, Array, Array]:
    """log P, means (n, 2) and covariances (n, 2, 2) of standard variables in [low, high] (n, 2).

    ``∫ φ(x) P(l_2 < y < u_2 | x) dx`` by Gauss points around the peak of the integrand, which is
    log-concave and falls at least as fast as φ; the moments of y given x are exact. All sums are
    of positive terms, so that nothing cancels in the tails. To about 1e-12 of each value.
    """
    size = max(1, _CELLS // (10 * len(_NODES)))
    parts = [
        _moments(low[at : at + size], high[at : at + size], correlation)
        for at in range(0, len(low), size)
    ]
    logs, means, covariances = zip(*parts, strict=True)
    return np.concatenate(logs), np.concatenate(means), np.concatenate(covariances)


def _moments(low: Array, high: Array, rho: float) -> tuple[Array, Array, Array]:
    spare = float(np.sqrt((1.0 - rho) * (1.0 + rho)))

    def inner(x: Array) -> tuple[Array, Array, Array]:
        tail = (slice(None), *[None] * (x.ndim - 1))
        ends = ((end[:, 1][tail] - rho * x) / spare for end in (low, high))
        return interval.moments(*ends)

    slope = rho / spare
    peak, top = _peak(inner, slope, low[:, 0], high[:, 0])
    edges = _window(inner, peak, top, low[:, 0], high[:, 0])
    if abs(slope) > _SHARP:
        edges = np.column_stack([edges, *_kinks(low[:, 1], high[:, 1], rho, spare, edges)])
    edges = np.sort(edges, axis=1)
    half = 0.5 * np.diff(edges, axis=1)[:, :, None]
    x = (edges[:, :-1, None] + half * (1.0 + _NODES)).reshape(len(low), -1)
    logs, mean, variance = inner(x)
    mass = (half * _WEIGHTS).reshape(x.shape) * np.exp(logs - 0.5 * x * x - top[:, None])
    total = mass.sum(axis=1)
    mass /= total[:, None]
    y = rho * x + spare * mean
    middle = np.column_stack([(mass * x).sum(axis=1), (mass * y).sum(axis=1)])
    dx, dy = x - middle[:, :1], y - middle[:, 1:]
    own = (mass * dx * dx).sum(axis=1), (mass * (dy * dy + spare**2 * variance)).sum(axis=1)
    cross = (mass * dx * dy).sum(axis=1)
    covariance = np.stack([own[0], cross, cross, own[1]], axis=1).reshape(-1, 2, 2)
    return top + np.log(total) - 0.5 * LOG_2PI, middle, covariance


def _peak(inner: Inner, slope: float, low: Array, high: Array) -> tuple[Array, Array]:
    """Where ``-x²/2 + log P(y within | x)`` peaks on [low, high], and its value there.

    Newton's method in a bracket; nearly there is enough.
    """
    a, b = low.copy(), high.copy()
    x = np.clip(0.0, a, b)
    for end, sign in ((low, 1.0), (high, -1.0)):  # rising inwards, or the peak is at the end
        at = np.flatnonzero(np.isfinite(end))
        held = np.where(np.isfinite(end), end, x)
        outward = sign * (slope * inner(held)[1] - held) <= 0
        x[at] = np.where(outward[at], end[at], x[at])
        done = at[outward[at]]
        a[done] = b[done] = end[done]
    for _ in range(_STEPS):
        _, mean, variance = inner(x)
        gradient = slope * mean - x
        bend = 1.0 + slope**2 * (1.0 - variance)
        step = gradient / bend
        if (np.abs(step) * np.sqrt(bend) < 1e-2)[a < b].all():
            break
        a, b = np.where(gradient > 0, np.maximum(a, x), a), np.where(gradient > 0, b, x)
        b = np.maximum(a, b)
        then = x + step
        with np.errstate(invalid="ignore"):
            x = np.where((then > a) & (then < b) | ~np.isfinite(b - a), then, 0.5 * (a + b))
        x = np.clip(x, a, b)
    return x, inner(x)[0] - 0.5 * x * x


def _window(inner: Inner, peak: Array, top: Array, low: Array, high: Array) -> Array:
    """Panels' edges (n, 5) from where the integrand begins to count to where it ends to."""
    sign = np.array([-1.0, 1.0])
    at, height = peak[:, None], top[:, None]
    near, far = np.full((len(peak), 2), 63), np.zeros((len(peak), 2), dtype=int)
    for _ in range(6):  # by halves: the least of the reaches _FARTHEST / √2^j that is deep enough
        middle = (near + far + 1) // 2
        x = at + sign * _FARTHEST * 2.0 ** (-0.5 * middle)
        deep = height - (inner(x)[0] - 0.5 * x * x) >= _DEPTH
        far, near = np.where(deep, middle, far), np.where(deep, near, middle - 1)
    start, end = (at + sign * _FARTHEST * 2.0 ** (-0.5 * far)).T
    start, end = np.maximum(start, low), np.minimum(end, high)
    return np.column_stack([start, 0.5 * (start + peak), peak, 0.5 * (peak + end), end])


def _kinks(low: Array, high: Array, rho: float, spare: float, edges: Array) -> list[Array]:
    """Edges where P(y within | x) turns on and off, over a few of its deviations."""
    width = _EDGE * spare / abs(rho)
    start, end = edges[:, 0], edges[:, -1]
    at = [bound / rho + shift for bound in (low, high) for shift in (-width, 0.0, width)]
    return [np.clip(one, start, end) for one in at]
