"""Highest-density regions: the smallest sets that hold a probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import chi2

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.fitted import fitted_mixture
from mixtura.law import log_norms
from mixtura.mixture import Mixture
from mixtura.operations.line import Line, bisected
from mixtura.operations.univariate import solved

_DRAWS = 100_000


@dataclass(frozen=True, eq=False)
class Region:
    """The set ``{x : f(x) >= c}`` that holds a probability.

    Attributes
    ----------
    mixture : Mixture or fitted estimator
    probability : float
    log_threshold : float
        log c.
    threshold_error : float
        Standard error of `log_threshold`; 0 where it is exact.
    probability_error : float
        Standard error of the probability held; 0 where it is exact.
    intervals : (m, 2) or None
        Of one feature without noise, in rising order; otherwise there is no such list.
    """

    mixture: Mixture
    probability: float
    log_threshold: float
    threshold_error: float
    probability_error: float
    intervals: Array | None

    @property
    def threshold(self) -> float:
        """c, the density on the edge."""
        return float(np.exp(self.log_threshold))

    def contains(self, X: Any) -> Array:
        """Whether each row lies in the region, (n,)."""
        return np.asarray(self.mixture.logpdf(X) >= self.log_threshold)

    def sentence(self) -> str:
        """The region in words."""
        text = f"{100 * self.probability:.8g} % of the mixture lies where its density is at least "
        text += f"{self.threshold:.4g}"
        if self.probability_error:
            text += f" ({self.probability_error:.1g} standard error of the probability)"
        if self.intervals is not None:
            shown = [f"{low:.4g} to {high:.4g}" for low, high in self.intervals[:6]]
            text += ": " + ", ".join(shown) + (", …" if len(self.intervals) > 6 else "")
        return text + "."

    __repr__ = sentence


def highest_density_region(
    mixture: Any, probability: float, *, draws: int = _DRAWS, rng: Any = 0
) -> Region:
    """The region of highest density that holds a probability.

    With one feature the edges are the zeros of ``f - c`` between the turning points of f, and c is
    the zero of the probability held less the one asked for. A single Gaussian has its ellipsoid,
    by χ². Otherwise log c is the quantile ``1 - p`` of the log-density over draws of the mixture.

    Parameters
    ----------
    mixture : Mixture or fitted estimator
    probability : float
        Above 0, below 1.
    draws : int, default=100_000
        Used with several features and several components, and with noise.
    rng : numpy.random.Generator, int or None, default=0

    Returns
    -------
    Region

    Raises
    ------
    InputError
        A probability outside (0, 1).

    References
    ----------
    Hyndman (1996), "Computing and graphing highest density regions", The American Statistician
    50, 120-126.

    Examples
    --------
    >>> from mixtura import Mixture, highest_density_region
    >>> mixture = Mixture([0.5, 0.5], [[0.0], [9.0]], [[[1.0]], [[1.0]]])
    >>> highest_density_region(mixture, 0.95).intervals.round(2)
    array([[-1.96,  1.96],
           [ 7.04, 10.96]])
    """
    mixture = fitted_mixture(mixture)
    p = float(_checks.numbers(probability, "probability"))
    if not 0 < p < 1:
        raise InputError(f"probability={p}: a number above 0 and below 1 is needed")
    if mixture.n_features == 1 and mixture.noise is None:
        return _of_line(mixture, p)
    if np.count_nonzero(mixture.weights) == 1 and mixture.plain:
        return _of_one(mixture, p)
    return _drawn(mixture, p, draws, rng)


def level_set(mixture: Any, density: float, *, draws: int = _DRAWS, rng: Any = 0) -> Region:
    """The set where the density is at least a level, and the probability that it holds.

    Parameters
    ----------
    mixture : Mixture or fitted estimator
    density : float
        The level, above 0.
    draws : int, default=100_000
        Used with several features and several components, and with noise.
    rng : numpy.random.Generator, int or None, default=0

    Returns
    -------
    Region
        Empty, with probability 0, for a level above the highest mode.

    Raises
    ------
    InputError
        A level that is not above 0.

    Examples
    --------
    >>> from mixtura import Mixture, level_set
    >>> mixture = Mixture([0.5, 0.5], [[0.0], [9.0]], [[[1.0]], [[1.0]]])
    >>> found = level_set(mixture, 0.1)
    >>> round(found.probability, 6), found.intervals.round(3).tolist()
    (0.760069, [[-1.175, 1.175], [7.825, 10.175]])
    """
    mixture = fitted_mixture(mixture)
    level = float(_checks.numbers(density, "density"))
    if not 0 < level < np.inf:
        raise InputError(f"density={level}: a level above 0 is needed")
    log = float(np.log(level))
    if mixture.n_features == 1 and mixture.noise is None:
        line = Line.of(mixture)
        found = intervals(line, log - mixture.frame.log_volume)
        held = 1.0 - _missed(line, found)
        return Region(mixture, held, log, 0.0, 0.0, line.unread(found))
    if np.count_nonzero(mixture.weights) == 1 and mixture.plain:
        single, d = int(mixture.weights.argmax()), mixture.n_features
        norm = float(log_norms(mixture.structure.log_det, d)[single]) + mixture.frame.log_volume
        return Region(mixture, float(chi2.cdf(2.0 * (norm - log), d)), log, 0.0, 0.0, None)
    held = float((mixture.logpdf(mixture.sample(draws, rng)) >= log).mean())
    return Region(mixture, held, log, 0.0, float(np.sqrt(held * (1.0 - held) / draws)), None)


def _of_line(mixture: Mixture, p: float) -> Region:
    line = Line.of(mixture)
    top = float(line.log_density(line.modes).max())
    low, high = _outside(line, 0.5 * (1.0 - p))
    inner = line.turns[(line.turns > low) & (line.turns < high)]
    ends = np.concatenate([[low, high], inner])
    floor = float(line.log_density(ends).min())  # the central interval lies inside that region

    def lack(log_threshold: float) -> float:
        return _missed(line, intervals(line, log_threshold)) - (1.0 - p)

    level = floor if lack(floor) >= 0 else brentq(lack, floor, top, xtol=1e-14, rtol=1e-15)
    edges = line.unread(intervals(line, float(level)))
    return Region(mixture, p, float(level) + mixture.frame.log_volume, 0.0, 0.0, edges)


def _outside(line: Line, tail: float) -> tuple[float, float]:
    """The central interval that leaves this probability on either side."""
    ends = solved(line, np.array([ndtri(tail), -ndtri(tail)]))
    return float(ends[0]), float(ends[1])


def intervals(line: Line, log_threshold: float) -> Array:
    """(m, 2) where the log-density is at least a threshold, in frame coordinates."""
    turns = line.turns
    logs = line.log_density(turns)
    first = _beyond(line, log_threshold, float(turns[0]), -1.0)
    last = _beyond(line, log_threshold, float(turns[-1]), 1.0)
    corners = np.concatenate([[first], turns, [last]])
    above = np.concatenate([[False], logs >= log_threshold, [False]])
    cross = np.flatnonzero(above[:-1] != above[1:])
    sign = np.where(above[cross], 1.0, -1.0)

    def over(z: Array) -> Array:
        return np.where(line.log_density(z) >= log_threshold, 1.0, -1.0)

    return bisected(over, corners[cross], corners[cross + 1], sign).reshape(-1, 2)


def _beyond(line: Line, log_threshold: float, z: float, sign: float) -> float:
    """A point on one side of the last turn where the density is below the threshold."""
    width = float(line.deviations.max())
    while line.log_density(np.array(z)) >= log_threshold:
        z, width = z + sign * width, 2.0 * width
    return z


def _missed(line: Line, edges: Array) -> float:
    """The probability outside the intervals, summed from the thin tails inwards."""
    if not len(edges):
        return 1.0
    gaps = line.lower(edges[1:, 0]) - line.lower(edges[:-1, 1])
    return float(line.lower(edges[0, 0]) + gaps.sum() + line.upper(edges[-1, 1]))


def _of_one(mixture: Mixture, p: float) -> Region:
    """``log c = log N(0) - χ²_p / 2``."""
    single, d = int(mixture.weights.argmax()), mixture.n_features
    norm = float(log_norms(mixture.structure.log_det, d)[single]) + mixture.frame.log_volume
    return Region(mixture, p, norm - 0.5 * float(chi2.ppf(p, d)), 0.0, 0.0, None)


def _drawn(mixture: Mixture, p: float, draws: int, rng: Any) -> Region:
    if draws < 100:
        raise InputError(f"draws={draws}: at least 100 are needed, and 100 000 are better")
    logs = np.sort(mixture.logpdf(mixture.sample(draws, rng)))
    error = float(np.sqrt(p * (1.0 - p) / draws))
    ends = np.quantile(logs, np.clip([1.0 - p - error, 1.0 - p, 1.0 - p + error], 0.0, 1.0))
    return Region(mixture, p, float(ends[1]), float(0.5 * (ends[2] - ends[0])), error, None)
