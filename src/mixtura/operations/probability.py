"""Distribution function and box probabilities of a mixture in any dimension."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._random import generator
from mixtura._types import Array
from mixtura.integrals.box import POINTS, box
from mixtura.integrals.tilting import Tilted
from mixtura.law import StudentT
from mixtura.mixture import Mixture
from mixtura.operations import univariate
from mixtura.operations.line import Line

_FAR = 1e150
"""Ends farther off, in units of the frame, are infinite: their squares are no numbers."""

_TINY = 1e-6
"""Below this probability a Gaussian's share of a box is summed again, to relative accuracy."""


def cdf(
    mixture: Mixture,
    X: Any,
    *,
    return_error: bool = False,
    points: int = POINTS,
    rng: int = 0,
) -> Any:
    """Probability P(x' <= x) of rows at most x in every coordinate.

    One feature is exact, two and three are exact to about 1e-15 by Genz's methods, more are summed
    over randomised Sobol' points, and so is Student's t in two dimensions and more: see
    `box_probability`.

    Parameters
    ----------
    mixture : Mixture
    X : (n, d) array_like or data frame; with one feature also a scalar or (n,)
        ±inf is allowed. With several features, NaN is a coordinate that does not matter: the row
        has the marginal's value. With one, NaN gives NaN.
    return_error : bool, default=False
        Also give the standard error of each value.
    points : int, default=4096
        Where points are summed, how many for each row and component.
    rng : int, default=0
        Seed of the points.

    Returns
    -------
    cdf : (n,), or a scalar for a scalar
    error : (n,), with `return_error`

    Examples
    --------
    >>> from mixtura import Mixture
    >>> mixture = Mixture([0.3, 0.7], [[0.0], [4.0]], [[[1.0]], [[0.25]]])
    >>> mixture.cdf([0.0, 4.0]).round(4)
    array([0.15, 0.65])
    >>> flat = Mixture([1.0], [[0, 0]], [[[1, 0.5], [0.5, 1]]])
    >>> flat.cdf([[0.0, 0.0], [0.0, float("inf")]]).round(6)
    array([0.333333, 0.5     ])
    """
    if mixture.n_features == 1:
        found = univariate.cdf(mixture, X)
        return (found, np.zeros_like(found)) if return_error else found
    high = _limits(mixture, X, np.inf)
    low = np.full(high.shape, -np.inf)
    return _box(mixture, low, high, return_error, points, rng)


def logcdf(mixture: Mixture, X: Any, *, points: int = POINTS, rng: int = 0) -> Array:
    """log P(x' <= x), also where the probability underflows; see `cdf`.

    With one feature exact in both tails. With several, small probabilities of Gaussian components
    are summed by minimax tilting (Botev 2017), which keeps the relative accuracy.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> Mixture([1.0], [[0.0]], [[[1.0]]]).logcdf([-40.0]).round(3)
    array([-804.608])
    >>> flat = Mixture([1.0], [[0, 0]], [[[1, 0.5], [0.5, 1]]])
    >>> flat.logcdf([[-40.0, -40.0]]).round(2)
    array([-1074.93])
    """
    if mixture.n_features == 1:
        return univariate.logcdf(mixture, X)
    high = _limits(mixture, X, np.inf)
    return log_box_probability(mixture, np.full(high.shape, -np.inf), high, points=points, rng=rng)


def box_probability(
    mixture: Mixture,
    lower: Any,
    upper: Any,
    *,
    return_error: bool = False,
    points: int = POINTS,
    rng: int = 0,
) -> Any:
    """Probability P(lower <= x <= upper) of a box, ``Σ π_k ∫_box p(x | k) dx``.

    Parameters
    ----------
    mixture : Mixture
    lower, upper : (d,) or (n, d) array_like
        Corners of one box, or of n; infinite where there is no bound. NaN is no bound either.
    return_error : bool, default=False
        Also give the standard error. It is that of rounding in up to three dimensions, and else
        that of eight scrambles of the points.
    points : int, default=4096
        Where points are summed, how many for each box and component.
    rng : int, default=0
        Seed of the points.

    Returns
    -------
    probability : float, or (n,) for n boxes
    error : the same, with `return_error`

    Raises
    ------
    InputError
        Corners that do not fit the mixture, or a lower bound above the upper.

    References
    ----------
    Genz (1992, 2004), Genz & Bretz (1999): see `mixtura.integrals.box`.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture
    >>> cube = Mixture([1.0], [[0, 0, 0]], [np.eye(3)])
    >>> round(cube.box_probability([-1, -1, -1], [1, 1, np.inf]), 6)  # 0.682689² 0.841345
    0.392121
    """
    low, high, single = corners(mixture, lower, upper)
    found = _box(mixture, low, high, return_error, points, rng)
    if not single:
        return found
    return tuple(float(part[0]) for part in found) if return_error else float(found[0])


def log_box_probability(
    mixture: Mixture, lower: Any, upper: Any, *, points: int = POINTS, rng: int = 0
) -> Any:
    """log P(lower <= x <= upper), also where the probability underflows; see `box_probability`.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture
    >>> from mixtura.operations.probability import log_box_probability
    >>> cube = Mixture([1.0], [[0, 0, 0]], [np.eye(3)])
    >>> round(log_box_probability(cube, [30, 30, 30], [np.inf] * 3), 3)  # 3 log Φ(-30)
    -1362.964
    """
    low, high, single = corners(mixture, lower, upper)
    logs = log_component_boxes(mixture, low, high, points, rng) + mixture.log_weights
    found = log_totals(logs)
    noise = mixture.noise
    if noise is not None:
        even = _noise_box(mixture, low, high, points, rng)[0]
        with np.errstate(divide="ignore"):
            found = np.logaddexp(np.log1p(-noise.share) + found, np.log(noise.share * even))
    return float(found[0]) if single else found


def _box(
    mixture: Mixture, low: Array, high: Array, return_error: bool, points: int, seed: int
) -> Any:
    shares, errors = component_boxes(mixture, low, high, points, seed)
    found, error = shares @ mixture.weights, np.sqrt(errors**2 @ mixture.weights**2)
    noise = mixture.noise
    if noise is not None:
        even, off = _noise_box(mixture, low, high, points, seed)
        found = (1.0 - noise.share) * found + noise.share * even
        error = np.hypot((1.0 - noise.share) * error, noise.share * off)
    found = np.minimum(found, 1.0)
    return (found, error) if return_error else found


def log_totals(logs: Array) -> Array:
    """log Σ_k exp of each row (n, k); -inf where nothing is."""
    return np.asarray(np.logaddexp.reduce(logs, axis=1))


def component_boxes(
    mixture: Mixture, low: Array, high: Array, points: int = POINTS, seed: int = 0
) -> tuple[Array, Array]:
    """What each component (n, k) gives to boxes (n, d) in the data's units; standard errors."""
    n, k = len(low), mixture.n_components
    found, errors = np.empty((n, k)), np.zeros((n, k))
    if mixture.n_features == 1:
        return np.exp(_line_boxes(mixture, low, high)), errors
    ends = [mixture.frame.read(end) for end in (low, high)]
    for index, centre in enumerate(mixture.location):
        dof = float(mixture.law.dof[index]) if isinstance(mixture.law, StudentT) else None
        covariance = mixture.structure.take([index]).dense()[0]
        offsets = (end - centre for end in ends)
        found[:, index], errors[:, index] = box(
            covariance, *offsets, dof=dof, points=points, seed=seed
        )
    return found, errors


def log_component_boxes(
    mixture: Mixture, low: Array, high: Array, points: int = POINTS, seed: int = 0
) -> Array:
    """The logarithms of `component_boxes`, to relative accuracy for Gaussians."""
    if mixture.n_features == 1:
        return _line_boxes(mixture, low, high)
    shares = component_boxes(mixture, low, high, points, seed)[0]
    with np.errstate(divide="ignore"):
        logs = np.log(shares)
    if isinstance(mixture.law, StudentT):
        return logs
    ends = [mixture.frame.read(end) for end in (low, high)]
    proper = np.all(low < high, axis=1)
    some = (shares < _TINY) & np.reshape(proper, (-1, 1)) & (mixture.weights > 0)
    for row, index in np.argwhere(some):
        a, b = (end[row] - mixture.location[index] for end in ends)
        bound = np.flatnonzero(np.isfinite(a) | np.isfinite(b))
        if not ((a > _FAR) | (b < -_FAR)).any():
            covariance = mixture.structure.take([index]).marginal(bound).dense()[0]
            tilted = Tilted.of(covariance, a[bound], b[bound])
            logs[row, index] = tilted.log_probability(points, seed)[0]
    return logs


def _line_boxes(mixture: Mixture, low: Array, high: Array) -> Array:
    """(n, k) log-probabilities of intervals, from the thinner tails."""
    line = Line.of(mixture.changed(weights=np.ones(mixture.n_components), noise=None))
    a, b = ((line.read(end[:, 0])[:, None] - line.means) / line.deviations for end in (low, high))
    with np.errstate(invalid="ignore"):
        turned = np.where(np.isneginf(a), False, a + b > 0)
    a, b = np.where(turned, -b, a), np.where(turned, -a, b)
    logs = np.empty(a.shape)
    for k in range(a.shape[1]):
        top, bottom = line.law.log_tail(b[:, k], k), line.law.log_tail(a[:, k], k)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs[:, k] = top + np.log1p(-np.exp(np.minimum(bottom - top, 0.0)))
    return np.where(np.isnan(logs), -np.inf, logs)


def _noise_box(
    mixture: Mixture, low: Array, high: Array, points: int, seed: int
) -> tuple[Array, Array]:
    """The share (n,) of the region of noise within boxes, and its error."""
    noise, (low, high) = mixture.noise, (mixture.frame.read(end) for end in (low, high))
    assert noise is not None
    if noise.edges is None:
        inner = np.minimum(high, noise.high) - np.maximum(low, noise.low)
        return np.prod(np.clip(inner / (noise.high - noise.low), 0, 1), axis=1), np.zeros(len(low))
    rows = noise.sample(points, generator(seed))
    held = np.array(
        [((a <= rows) & (rows <= b)).all(axis=1).mean() for a, b in zip(low, high, strict=True)]
    )
    return held, np.sqrt(held * (1.0 - held) / points)


def corners(mixture: Mixture, lower: Any, upper: Any) -> tuple[Array, Array, bool]:
    """Corners (n, d) in the data's units, and whether one box alone was given."""
    single = max(np.ndim(lower), np.ndim(upper)) < 2
    low, high = _limits(mixture, lower, -np.inf), _limits(mixture, upper, np.inf)
    if 1 not in (len(low), len(high)) and len(low) != len(high):
        raise InputError(f"{len(low)} lower corners and {len(high)} upper: give one, or as many")
    low, high = np.broadcast_arrays(low, high)
    bad = np.argwhere(low > high)
    if len(bad):
        row, column = bad[0]
        raise InputError(
            f"box {row}, feature {column}: lower {low[row, column]} is above upper "
            f"{high[row, column]}"
        )
    return low, high, single and len(low) == 1


def _limits(mixture: Mixture, given: Any, free: float) -> Array:
    """(n, d) bounds, NaN read as no bound."""
    d = mixture.n_features
    if not hasattr(given, "columns"):
        given = _checks.numbers(given, "bounds")
        if given.ndim == 0:
            given = np.full(d, float(given))
        given = _as_rows(given, d)
    rows = np.array(_checks.rows_like(given, d, mixture.feature_names, finite=False), dtype=float)
    rows[np.isnan(rows)] = free
    with np.errstate(over="ignore"):
        outward = mixture.frame.read(rows) * np.sign(free) > _FAR
    rows[outward] = free
    return rows


def _as_rows(bounds: Array, d: int) -> Array:
    """One corner (d,), or with one feature one bound a row, as rows."""
    if bounds.ndim != 1:
        return bounds
    return bounds[:, None] if d == 1 else bounds[None]
