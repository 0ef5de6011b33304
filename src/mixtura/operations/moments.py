"""Moments of a mixture: of any order for each column, and what lies within and between."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from scipy.special import bernoulli, gammaln

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.covariance import FactorCovariances
from mixtura.drawing import centre
from mixtura.law import StudentT
from mixtura.mixture import Mixture
from mixtura.noise import Noise

KINDS = ("raw", "central", "standardized")


def moment_order(order: Any, kind: Any) -> tuple[int, str]:
    """A whole order of at least 0, and a kind of moment."""
    if isinstance(order, bool) or order != int(order) or order < 0:
        raise InputError(f"order={order}: a whole number of at least 0 is needed")
    if kind not in KINDS:
        raise InputError(f"kind={kind!r}: one of {', '.join(KINDS)} is needed")
    return int(order), kind


def moment(mixture: Mixture, order: int = 1, kind: str = "raw") -> Array:
    """Moment of each column, (d,): ``E[x^r]``, about the mean, or of the standardised column.

    ``E[(x - c)^r] = Σ_k π_k Σ_j C(r, j) (μ_k - c)^(r-j) E[(x - μ_k)^j]`` with ``E[(x - μ_k)^(2i)] =
    (2i - 1)!! σ_k^(2i)`` for a Gaussian.

    Parameters
    ----------
    mixture : Mixture
    order : int
        r, at least 0.
    kind : {"raw", "central", "standardized"}
        As in ``scipy.stats.Normal.moment``.

    Returns
    -------
    (d,)
        For Student's t infinite for even orders, and NaN for odd ones, that do not exist.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> mixture = Mixture([0.5, 0.5], [[-1.0], [1.0]], [[[1.0]], [[1.0]]])
    >>> mixture.moment(2).tolist(), mixture.moment(4).tolist()
    ([2.0], [10.0])
    """
    order, kind = moment_order(order, kind)
    middle, scale = centre(mixture), mixture.frame.scale
    if kind == "standardized":  # whatever the units
        spread = _about(mixture, 2, middle) ** (order / 2)
        return np.asarray(_about(mixture, order, middle) / spread)
    point = middle if kind == "central" else mixture.frame.read(np.zeros((1, len(scale))))[0]
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        return np.asarray(_about(mixture, order, point) * (1.0 / scale) ** order)


def var(mixture: Mixture) -> Array:
    """Variance of each column, (d,)."""
    return moment(mixture, 2, "central")


def std(mixture: Mixture) -> Array:
    """Standard deviation of each column, (d,)."""
    return np.asarray(np.sqrt(_about(mixture, 2, centre(mixture))) / mixture.frame.scale)


def skewness(mixture: Mixture) -> Array:
    """``E[(x - m)³] / σ³`` of each column, (d,).

    Examples
    --------
    >>> from mixtura import Mixture
    >>> Mixture([0.9, 0.1], [[0.0], [3.0]], [[[1.0]], [[1.0]]]).skewness().round(4)
    array([0.7983])
    """
    return moment(mixture, 3, "standardized")


def kurtosis(mixture: Mixture) -> Array:
    """Excess kurtosis ``E[(x - m)⁴] / σ⁴ - 3`` of each column, (d,): 0 for a Gaussian.

    As `scipy.stats.kurtosis`; ``moment(4, "standardized")`` is the kurtosis itself.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> Mixture([0.5, 0.5], [[-2.0], [2.0]], [[[1.0]], [[1.0]]]).kurtosis().round(4)
    array([-1.28])
    """
    return np.asarray(moment(mixture, 4, "standardized") - 3.0)


@dataclass(frozen=True, eq=False)
class CovarianceParts:
    """The two parts of the covariance of a mixture.

    Attributes
    ----------
    within : (d, d)
        ``Σ π_k Cov_k``.
    between : (d, d)
        ``Σ π_k (μ_k - m)(μ_k - m)ᵀ``.
    """

    within: Array
    between: Array

    @property
    def share_between(self) -> Array:
        """(d,) share of each column's variance that lies between the components: η²."""
        between = self.between.diagonal()
        return np.asarray(between / (between + self.within.diagonal()))


def covariance_parts(mixture: Mixture) -> CovarianceParts:
    """``Cov[x] = Σ π_k Cov_k + Σ π_k (μ_k - m)(μ_k - m)ᵀ``: within and between components.

    Noise counts as one more component.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> parts = Mixture([0.5, 0.5], [[-2.0], [2.0]], [[[1.0]], [[1.0]]]).covariance_parts()
    >>> parts.within.tolist(), parts.between.tolist(), parts.share_between.tolist()
    ([[1.0]], [[4.0]], [0.8])
    """
    noise, structure = mixture.noise, mixture.structure
    kept = 1.0 - (0.0 if noise is None else noise.share)
    off = mixture.location - centre(mixture)
    grown = np.broadcast_to(mixture.law.inflation, mixture.weights.shape)
    shares = np.where(mixture.weights > 0, grown * kept, 0.0) * mixture.weights
    if isinstance(structure, FactorCovariances):
        within = structure.averaged(shares)
    else:
        within = np.einsum("k,kij->ij", shares, structure.dense())
    between = kept * (mixture.weights * off.T) @ off
    if noise is not None:
        lone = noise.mean() - centre(mixture)
        within = within + noise.share * noise.covariance()
        between = between + noise.share * np.outer(lone, lone)
    scale = mixture.frame.scale
    return CovarianceParts(*(part / scale[:, None] / scale for part in (within, between)))


def _about(mixture: Mixture, order: int, point: Array) -> Array:
    """(d,) moments about a point of the frame, in its units."""
    off, variances = mixture.location - point, mixture.structure.variances_by_column
    terms = (
        comb(order, j) * off ** (order - j) * own
        for j in range(0, order + 1, 2)
        for own in [_component(mixture, variances, j)]
    )
    each = np.asarray(sum(terms))
    if isinstance(mixture.law, StudentT):
        none = mixture.law.dof[:, None] <= order
        each = np.where(none & (order > 0), np.inf if order % 2 == 0 else np.nan, each)
    some = mixture.weights > 0
    total = mixture.weights[some] @ each[some]
    if mixture.noise is not None:
        share = mixture.noise.share
        total = (1.0 - share) * total + share * _even(mixture.noise, order, point)
    return np.asarray(total)


def _component(mixture: Mixture, variances: Array, order: int) -> Array:
    """(k, d) even moments about its mean: ``σ^(2i) (2i - 1)!!``, for t by its mixing variable."""
    half = order // 2
    logs = gammaln(half + 0.5) - gammaln(0.5) + half * np.log(2.0 * variances)
    if isinstance(mixture.law, StudentT) and half:
        dof = mixture.law.dof[:, None]
        exists = dof > order
        known = np.where(exists, dof, order + 1.0)
        grown = half * np.log(known / 2.0) + gammaln(known / 2.0 - half) - gammaln(known / 2.0)
        return np.where(exists, np.exp(logs + grown), np.inf)
    return np.exp(logs)


def _even(noise: Noise, order: int, point: Array) -> Array:
    """(d,) moments of the region about a point, from its cumulants ``Σ_j B_n e_j^n / n``."""
    edges = np.diag(noise.high - noise.low) if noise.edges is None else noise.edges
    numbers = bernoulli(max(order, 2))
    cumulants = [np.zeros(len(point)), noise.mean() - point]
    cumulants += [numbers[n] / n * (edges**n).sum(axis=1) for n in range(2, order + 1)]
    moments = [np.ones(len(point))]
    for n in range(1, order + 1):
        parts = (comb(n - 1, j - 1) * cumulants[j] * moments[n - j] for j in range(1, n + 1))
        moments.append(np.asarray(sum(parts)))
    return moments[order]
