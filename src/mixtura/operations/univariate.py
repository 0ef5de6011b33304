"""Distribution function and quantiles of a mixture of one feature, exact in both tails."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.mixture import Mixture
from mixtura.operations.line import Line

_STEPS = 200
_LEAPS = 340
_ROUNDING = 4.0 * float(np.finfo(float).eps)
_LOG_ROOT_TWO_PI = 0.5 * float(np.log(2.0 * np.pi))


def cdf(mixture: Mixture, X: Any) -> Array:
    """Probability P(x' <= x) of a value at most each of the given, ``Σ π_k Φ((x - μ_k) / σ_k)``.

    Components of another law take its distribution function, noise is spread over its box.

    Parameters
    ----------
    mixture : Mixture of one feature
    X : scalar, (n,) or (n, 1) array_like, or data frame
        NaN gives NaN; ±inf gives 0 or 1.

    Returns
    -------
    scalar or (n,)

    Raises
    ------
    InputError
        A mixture of more than one feature.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> mixture = Mixture([0.3, 0.7], [[0.0], [4.0]], [[[1.0]], [[0.25]]])
    >>> mixture.cdf([0.0, 4.0]).round(4)
    array([0.15, 0.65])
    """
    line = Line.of(mixture)
    return line.lower(line.read(values(mixture, X)))


def sf(mixture: Mixture, X: Any) -> Array:
    """Probability P(x' > x) of a value above each of the given; exact where it is tiny."""
    line = Line.of(mixture)
    return line.upper(line.read(values(mixture, X)))


def logcdf(mixture: Mixture, X: Any) -> Array:
    """log P(x' <= x), also where the probability underflows."""
    line = Line.of(mixture)
    return line.log_lower(line.read(values(mixture, X)))


def logsf(mixture: Mixture, X: Any) -> Array:
    """log P(x' > x), also where the probability underflows."""
    line = Line.of(mixture)
    return line.log_upper(line.read(values(mixture, X)))


def quantile(mixture: Mixture, probability: Any) -> Array:
    """Where the distribution function reaches each probability.

    Newton's method on the scale of normal scores, ``Φ⁻¹(F(x)) = Φ⁻¹(p)``, on which the function
    of a single Gaussian is a straight line; bisection where a step leaves the bracket made by the
    quantiles of the components.

    Parameters
    ----------
    mixture : Mixture of one feature
    probability : array_like of any shape, within 0..1

    Returns
    -------
    array of that shape
        -inf at 0, inf at 1. For probabilities near one, `isf` is finer.

    Raises
    ------
    InputError
        A mixture of more than one feature, or a probability outside 0..1.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> mixture = Mixture([0.3, 0.7], [[0.0], [4.0]], [[[1.0]], [[0.25]]])
    >>> mixture.cdf(mixture.quantile([0.1, 0.9])).round(12)
    array([0.1, 0.9])
    """
    line = Line.of(mixture)
    return line.unread(solved(line, ndtri(probabilities(probability))))


def isf(mixture: Mixture, probability: Any) -> Array:
    """Where the survival function falls to each probability: the quantile from above."""
    line = Line.of(mixture)
    return line.unread(solved(line, -ndtri(probabilities(probability))))


def solved(line: Line, score: Array) -> Array:
    """z with Φ⁻¹(F(z)) = score, of any shape."""
    scores = np.ravel(score)
    with np.errstate(invalid="ignore"):
        ends = line.means[:, None] + line.deviations[:, None] * scores
    low, high = ends.min(axis=0), ends.max(axis=0)
    if not line.plain:
        low, high = _widened(line, low, scores, -1.0), _widened(line, high, scores, 1.0)
    z = np.where(np.isfinite(scores), np.clip(line.weights @ ends, low, high), scores)
    open_ = np.flatnonzero((low < high) & np.isfinite(scores))
    last = np.full(len(scores), np.inf)
    for _ in range(_STEPS):
        if not len(open_):
            break
        here = z[open_]
        gap, log_slope = _gap(line, here, scores[open_])
        low[open_] = np.where(gap > 0, here, low[open_])
        high[open_] = np.where(gap < 0, here, high[open_])
        with np.errstate(over="ignore", invalid="ignore"):
            step = gap * np.exp(-log_slope)
            noise = np.maximum(np.abs(scores[open_]), 1.0) + np.abs(here) * np.exp(log_slope)
        done = np.abs(gap) <= _ROUNDING * noise
        then = here + step
        inside = (then > low[open_]) & (then < high[open_])
        slow = np.abs(step) > 0.5 * np.abs(last[open_])
        middle = low[open_] + 0.5 * (high[open_] - low[open_])
        then = np.where(done, here, np.where(inside & ~slow, then, middle))
        last[open_] = then - here
        z[open_] = then
        open_ = open_[~done & (then != here)]
    return z.reshape(np.shape(score))


def _widened(line: Line, ends: Array, scores: Array, sign: float) -> Array:
    """Ends moved out until they hold the quantiles of tails heavier than the Gaussian's."""
    ends, width = ends.copy(), float(line.deviations.max())
    short = np.flatnonzero(np.isfinite(scores))
    for _ in range(_LEAPS):
        lack = sign * (scores[short] - line.normal_score(ends[short]))
        short = short[lack > 0]
        if not len(short):
            break
        ends[short] += sign * width
        width *= 8.0
    return ends


def _gap(line: Line, z: Array, score: Array) -> tuple[Array, Array]:
    """What the normal score of F(z) lacks, and the logarithm of its derivative."""
    found = line.normal_score(z)
    return score - found, line.log_density(z) + 0.5 * found * found + _LOG_ROOT_TWO_PI


def probabilities(given: Any) -> Array:
    """Probabilities within 0..1, of any shape."""
    p = _checks.numbers(given, "probabilities")
    bad = p[~((p >= 0) & (p <= 1))]
    if len(bad):
        raise InputError(f"probabilities must be within 0..1; {bad[0]} is not")
    return p


def values(mixture: Mixture, X: Any) -> Array:
    """Values of one feature, () or (n,), in float64."""
    if not hasattr(X, "columns") and np.ndim(X) < 2:
        return _checks.numbers(X, "the values")
    return np.asarray(_checks.rows_like(X, 1, mixture.feature_names)[:, 0], dtype=np.float64)
