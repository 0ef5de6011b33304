"""Averages held to a form: the M-steps of the parsimonious families, in NumPy.

Every solve maximises ``-½ Σ_k ν_k [log|Σ_k| + tr(Σ_k⁻¹ C_k)]`` within the form and the bounds on
eigenvalues. All but those with a common orientation among varying shapes (EVE, VVE) have a single
optimum; these are climbed from the axes handed over, never to a lower place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from mixtura.kernels.forms import COMMON_AXES, EEV, EVI, EVV, VEE, VEI, VEV, VVE

__all__ = ["Bounds", "constrain", "truncated"]

Array = NDArray[Any]

ROUNDS = 500
"""Rounds of alternation at most; some twenty are usual."""

TURNS, SWEEPS = 1000, 20
"""Rounds of turns at most, and sweeps over all pairs of axes at least; ten to thirty are usual.

Where bounds hold, each round is dear, and as many sweeps as the least must do: a climb comes back.
"""

SETTLED = 1e-13
"""Relative change of the volumes at which an alternation ends."""

ROUNDING = 8 * float(np.finfo(float).eps)
"""Smallest eigenvalue beside the largest, for each feature, that factors do not lose."""

THIN, ROUNDED = 1e-13, 2e-15
"""Eigenvalues of averages beside the component's largest, and beside the unit variance of framed
data, that may be rounding alone: equal volumes would blow it up to a shape."""

GAIN = 1e-13
"""Nats a row (unit of ν) below which a rotation is not worth making."""


class Bounds(NamedTuple):
    """Bounds on eigenvalues: the smallest allowed, and how many times it the largest may be."""

    floor: float = 0.0
    ratio: float = np.inf


def constrain(
    averages: Array,
    dof: Array,
    form: int,
    bounds: Bounds = Bounds(),
    *,
    axes: Array | None = None,
    volumes: Array | None = None,
) -> tuple[Array, Array | None]:
    """Covariances of a form that explain averages best.

    Parameters
    ----------
    averages : (k, d, d), or (k, d) for VEI and EVI
        C_k: scatters over their divisors.
    dof : (k,)
        ν_k: the divisors.
    form : int
        A code of `mixtura.kernels.forms`.
    bounds : Bounds
        The ratio is kept by EEV and VVE alone.
    axes : (d, d), optional
        Common axes, in columns, to begin from (EVE, VVE).
    volumes : (k,), optional
        Volumes to begin from; where the floor holds, what comes out is never worse.

    Returns
    -------
    covariances : like `averages`
    axes : (d, d) or None
        Of EVE and VVE.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.kernels.forms import EVI
    >>> constrain(np.array([[1.0, 4.0], [9.0, 1.0]]), np.ones(2), EVI)[0]
    array([[1.25      , 5.        ],
           [7.5       , 0.83333333]])
    """
    if form in COMMON_AXES:
        return _oriented(averages, dof, form, bounds, axes)
    return _SOLVES[form](averages, dof, bounds, volumes), None


# ---- eigenvalues alone


def truncated(values: Array, dof: Array, bounds: Bounds) -> Array:
    """Eigenvalues (k, d) under bounds: ``clip(ω, m, ratio m)`` with the best m >= floor.

    ``Σ ν (log e + ω/e)`` is convex in log m; its slope is zero where m is the mean, by ν, of the
    ω below m and the ω/ratio above ratio m (Fritz, García-Escudero & Mayo-Iscar 2013).

    Examples
    --------
    >>> truncated(np.array([[1.0, 100.0]]), np.ones(1), Bounds(0.0, 4.0))
    array([[13., 52.]])
    """
    if not np.isfinite(bounds.ratio):
        return np.asarray(np.maximum(values, bounds.floor))
    lowest = max(_best_lower_bound(values, dof, bounds.ratio), bounds.floor)
    return np.asarray(np.clip(values, lowest, bounds.ratio * lowest))


def _best_lower_bound(values: Array, dof: Array, ratio: float) -> float:
    flat = np.maximum(values.reshape(-1), 0.0)
    weight = np.broadcast_to(dof[:, None], values.shape).reshape(-1)
    order = np.argsort(flat)
    flat, weight = flat[order], weight[order]
    scaled = flat / ratio
    mass = np.concatenate([[0.0], np.cumsum(weight)])
    total = np.concatenate([[0.0], np.cumsum(weight * flat)])

    def parts(below: Array, above: Array) -> tuple[Array, Array]:
        """Weight of what is cut off at both ends, and the sum of where m would leave it."""
        cut = mass[below] + mass[-1] - mass[above]
        return cut, total[below] + (total[-1] - total[above]) / ratio

    knots = np.sort(np.concatenate([flat, scaled]))
    cut, wanted = parts(np.searchsorted(flat, knots), np.searchsorted(scaled, knots, "right"))
    # m times the slope in log m; it rises, so its zero lies after the last knot where it is < 0.
    falling = np.flatnonzero(cut * knots < wanted)
    if not len(falling):
        return float(knots[0])
    last = knots[falling[-1]]
    places = np.searchsorted(flat, last, "right"), np.searchsorted(scaled, last, "right")
    cut, wanted = parts(*places)
    return float(wanted / cut) if cut > 0.0 else float(last)


def _pooled(values: Array, dof: Array) -> Array:
    return np.asarray((dof @ values / dof.sum())[None])


def _equal_shapes(values: Array, dof: Array, bounds: Bounds, volumes: Array | None) -> Array:
    """``λ_k b_j`` (VEI): rows and columns in turn, until ``Σ_j ω_kj/(λ_k b_j) = d`` and
    ``Σ_k ν_k ω_kj/(λ_k b_j) = Σ ν``; concave in the logarithms, so that the optimum is one."""
    floor, share = bounds.floor, dof / dof.sum()
    volumes = values.mean(axis=1) if volumes is None else volumes
    volumes = np.maximum(volumes, max(floor, np.finfo(float).tiny))
    for _ in range(ROUNDS):
        shape = np.maximum(share @ (values / volumes[:, None]), floor / volumes.min())
        last, volumes = volumes, (values / shape).mean(axis=1)
        volumes = np.maximum(volumes, floor / shape.min())
        if (np.abs(volumes - last) <= SETTLED * last).all():
            break
    shape = np.maximum(share @ (values / volumes[:, None]), floor / volumes.min())
    return np.asarray(volumes[:, None] * shape)


def _equal_volumes(values: Array, dof: Array, bounds: Bounds) -> Array:
    """``λ ω_k / |ω_k|^{1/d}`` with ``λ = Σ ν_k |ω_k|^{1/d} / Σ ν`` (EVI)."""
    least = min(ROUNDED, 1e-3 * bounds.floor)
    values = np.maximum(values, np.maximum(THIN * values.max(axis=1, keepdims=True), least))
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.exp(np.log(values).mean(axis=1, keepdims=True))
        held = values * (dof @ size / dof.sum()) / size
    return held if (held >= bounds.floor).all() else _filled(values, dof, bounds.floor)


def _filled(values: Array, dof: Array, floor: float) -> Array:
    """Equal volumes with eigenvalues on the floor: ``log e = max(log floor, log ω - μ_k)``.

    μ_k gives component k the common log-volume; that is best where ``Σ ν_k exp(μ_k) = Σ ν``.
    """
    d, lowest = values.shape[1], float(np.log(floor))
    logs = np.log(np.maximum(values, floor * 1e-8))
    falling = -np.sort(-logs, axis=1)
    free = np.arange(1, d + 1)

    def levels(volume: float) -> Array:
        given = (np.cumsum(falling, axis=1) - volume + (d - free) * lowest) / free
        count = np.maximum((falling - given > lowest).sum(axis=1), 1)
        return np.asarray(given[np.arange(len(logs)), count - 1])

    def excess(volume: float) -> float:
        return float(np.log(dof @ np.exp(levels(volume)) / dof.sum()))

    least, most = d * lowest, d * float(max(falling.max(), lowest))
    if most <= least or excess(least) <= 0.0:
        return np.full_like(values, floor)
    volume = brentq(excess, least, most, xtol=1e-14, rtol=1e-15) if excess(most) < 0 else most
    return np.asarray(np.exp(np.maximum(logs - levels(volume)[:, None], lowest)))


# ---- matrices


def composed(values: Array, axes: Array) -> Array:
    """``D diag(e) Dᵀ`` for eigenvalues (k, d) and axes (k, d, d) or (d, d).

    Eigenvalues below what rounding makes of a zero beside the largest are raised to that.
    """
    values = np.maximum(values, ROUNDING * values.shape[1] * values.max(axis=1, keepdims=True))
    out = (axes * values[:, None, :]) @ axes.swapaxes(-1, -2)
    return np.asarray((out + out.swapaxes(1, 2)) / 2)


def _own_axes(averages: Array) -> tuple[Array, Array]:
    values, axes = np.linalg.eigh(averages)
    return np.maximum(values, 0.0), axes


def _eev(averages: Array, dof: Array, bounds: Bounds, _: Array | None) -> Array:
    values, axes = _own_axes(averages)
    shape = truncated(_pooled(values, dof), np.ones(1), bounds)
    return composed(np.broadcast_to(shape, values.shape), axes)


def _vev(averages: Array, dof: Array, bounds: Bounds, volumes: Array | None) -> Array:
    values, axes = _own_axes(averages)
    return composed(_equal_shapes(values, dof, bounds, volumes), axes)


def _evv(averages: Array, dof: Array, bounds: Bounds, _: Array | None) -> Array:
    values, axes = _own_axes(averages)
    return composed(_equal_volumes(values, dof, bounds), axes)


def _evi(averages: Array, dof: Array, bounds: Bounds, _: Array | None) -> Array:
    return _equal_volumes(averages, dof, bounds)


def _vee(averages: Array, dof: Array, bounds: Bounds, volumes: Array | None) -> Array:
    """``λ_k C`` in turn: ``C = Σ ν_k C_k/λ_k / Σ ν``, ``λ_k = tr(C_k C⁻¹)/d``."""
    d, share, floor = averages.shape[1], dof / dof.sum(), bounds.floor
    least = max(floor, np.finfo(float).tiny)
    volumes = np.trace(averages, axis1=1, axis2=2) / d if volumes is None else volumes
    volumes = np.maximum(volumes, least)
    for _ in range(ROUNDS):
        values, axes = np.linalg.eigh(np.einsum("k,kij->ij", share / volumes, averages))
        values = np.maximum(values, least / volumes.min())
        along = np.einsum("ia,kij,ja->ka", axes, averages, axes, optimize=True)
        last, volumes = volumes, np.maximum((along / values).mean(axis=1), floor / values[0])
        if (np.abs(volumes - last) <= SETTLED * last).all():
            break
    return composed(last[:, None] * values, axes)


_SOLVES: dict[int, Callable[[Array, Array, Bounds, Array | None], Array]] = {
    VEI: _equal_shapes,
    EVI: _evi,
    VEE: _vee,
    EEV: _eev,
    VEV: _vev,
    EVV: _evv,
}


# ---- common axes


def _oriented(
    averages: Array, dof: Array, form: int, bounds: Bounds, axes: Array | None
) -> tuple[Array, Array | None]:
    """Common axes with varying shapes (EVE, VVE): rotations in the planes of pairs of axes.

    Given eigenvalues, ``Σ_k ν_k Σ_j c_kj/e_kj`` of a plane is ``X cos 2θ + Y sin 2θ`` and has its
    minimum in closed form (Flury & Gautschi 1986 for VVE); given the axes, the eigenvalues have
    theirs. Pairs that share no axis turn at once. No turn and no round lowers the objective.
    """
    d = averages.shape[1]
    best = truncated if form == VVE else _equal_volumes
    axes = _first_axes(averages, dof, lambda c: best(c, dof, bounds)) if axes is None else axes
    turned = axes.T @ averages @ axes
    values = best(_diagonals(turned), dof, bounds)
    bound = bool((values <= 1.5 * bounds.floor).any()) or np.isfinite(bounds.ratio)
    for _ in range(SWEEPS if bound else max(SWEEPS, TURNS // d)):
        moved = False
        for left, right in _schedule(d):
            turns = _turns(turned, dof[:, None] / values, left, right, GAIN * dof.sum())
            if turns is None:
                continue
            moved, rotation = True, _rotation(d, left, right, *turns)
            axes, turned = axes @ rotation, rotation.T @ turned @ rotation
            values = best(_diagonals(turned), dof, bounds)
        if not moved:
            break
    return composed(values, axes), axes


def _turns(
    turned: Array, weights: Array, left: Array, right: Array, least: float
) -> tuple[Array, Array] | None:
    """Cosines and sines of the best rotations in some planes; None where none gains."""
    pull = weights[:, left] - weights[:, right]
    spread = (turned[:, left, left] - turned[:, right, right]) / 2
    x, y = (pull * spread).sum(axis=0), (pull * turned[:, left, right]).sum(axis=0)
    length = np.hypot(x, y)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(x < 0, y**2 / (length - x), length + x)
        turning = gain > least
        if not turning.any():
            return None
        cosine = np.sqrt((1.0 - x / length) / 2)
        sine = np.where(cosine > 1e-8, -y / length / (2 * cosine), 1.0)
    return np.where(turning, cosine, 1.0), np.where(turning, sine, 0.0)


def _rotation(d: int, left: Array, right: Array, cosine: Array, sine: Array) -> Array:
    out = np.eye(d)
    out[left, left] = out[right, right] = cosine
    out[right, left], out[left, right] = sine, -sine
    return out


@cache
def _schedule(d: int) -> list[tuple[Array, Array]]:
    """All pairs of axes in rounds of disjoint pairs: everyone plays everyone."""
    players = list(range(d + d % 2))
    rounds = []
    for _ in range(len(players) - 1):
        half = len(players) // 2
        pairs = [
            (min(a, b), max(a, b))
            for a, b in zip(players[:half], players[: half - 1 : -1], strict=True)
            if max(a, b) < d
        ]
        rounds.append((np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])))
        players[1:] = [players[-1], *players[1:-1]]
    return rounds if d > 1 else []


def _first_axes(averages: Array, dof: Array, best: Callable[[Array], Array]) -> Array:
    """The best of the axes of each average and of all together."""
    together = np.einsum("k,kij->ij", dof / dof.sum(), averages)
    _, candidates = np.linalg.eigh(np.concatenate([averages, together[None]]))
    values = np.einsum("mia,kij,mja->mka", candidates, averages, candidates, optimize=True)
    costs = []
    for along in values:
        held = best(along)
        costs.append(float(dof @ (np.log(held) + along / held).sum(axis=1)))
    return np.asarray(candidates[int(np.argmin(costs))])


def _diagonals(matrices: Array) -> Array:
    return np.maximum(matrices.diagonal(axis1=1, axis2=2), 0.0)
