"""Priors: pseudo-rows that are added to the statistics, and their log-density."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mixtura._types import Array
from mixtura.kernels.layout import DIAGONAL, FACTOR, FULL, SPHERICAL
from mixtura.statistics import Moments, Statistics


class Prior(Protocol):
    """What is known before the data, as one more block of rows."""

    @property
    def flat(self) -> bool:
        """Whether nothing is known."""

    def statistics(self, moments: Moments, pivot: Array) -> Statistics:
        """The pseudo-statistics of k components about the pivot (k, d)."""

    def added(self, data: Statistics) -> Statistics:
        """The statistics of the data and the pseudo-rows together."""


@dataclass(frozen=True)
class Flat:
    """No prior: maximum likelihood."""

    flat = True

    def statistics(self, moments: Moments, pivot: Array) -> Statistics:
        return Statistics.zero(moments, pivot)

    def added(self, data: Statistics) -> Statistics:
        return data


@dataclass(frozen=True, eq=False)
class Conjugate:
    """Normal-inverse-Wishart prior on each component, Dirichlet on the weights.

    ``μ_k | Σ_k ~ N(mean, Σ_k / shrinkage)``, ``Σ_k ~ inverse Wishart(dof, scale)``; for diagonal
    and spherical families an inverse gamma with the same degrees of freedom and the scalar
    ``variance`` (Fraley & Raftery 2007), in the units of the data. Families whose components share
    volume, shape or orientation in part have the product of the k densities as it is within the
    family: as pseudo-rows of each component, like any rows.
    Low-rank covariances take an inverse Wishart with the diagonal scale ``variance`` and the
    diagonal exponent ν + 2.

    Attributes
    ----------
    shrinkage : float
        κ: how many rows the prior mean is worth.
    mean : (d,)
    dof : float
        ν
    matrix : (d, d), or (d,) for a diagonal one
        Λ of the inverse Wishart.
    variance : (d,) or float
        ς² of the inverse gamma, by column.
    concentration : float
        Dirichlet parameter of the weights; 1 is flat.
    """

    shrinkage: float
    mean: Array
    dof: float
    matrix: Array
    variance: Array
    concentration: float = 1.0

    flat = False

    def statistics(self, moments: Moments, pivot: Array) -> Statistics:
        """One pseudo-row of weight κ at the prior mean for each component, plus the scale.

        The exponents of |Σ| in the prior, read as rows: ν + d + 1 (or ν + 2) for each covariance
        that is free, and one for each component's mean.
        """
        k, d = pivot.shape
        covariances = 1 if moments.pooled else k
        scale = {
            FULL: np.diag(self.matrix) if self.matrix.ndim == 1 else self.matrix,
            DIAGONAL: np.broadcast_to(self.variance, (d,)),
            SPHERICAL: np.mean(self.variance),
            FACTOR: moments.diagonal(np.broadcast_to(self.variance, (d,))),
        }[moments.shape]
        exponent = {
            FULL: self.dof + d + 1,
            DIAGONAL: self.dof + 2,
            SPHERICAL: (self.dof + 2) / d,
            FACTOR: self.dof + 2,
        }
        off = self.mean - pivot
        second = moments.total(self.shrinkage * moments.outer(off, off)) + scale
        return Statistics(
            moments,
            pivot,
            counts=np.full(k, self.concentration - 1.0),
            mass=np.full(k, self.shrinkage),
            dof=np.full(k, 1.0 + exponent[moments.shape] * covariances / k),
            first=self.shrinkage * off,
            second=second,
        )

    def added(self, data: Statistics) -> Statistics:
        return data + self.statistics(data.moments, data.pivot)


def fraley_raftery(mean: Array, covariance: Array, k: int, scale: Array | None = None) -> Conjugate:
    """The scale-free default of Fraley & Raftery (2007).

    κ = 0.01, ν = d + 2, Λ = Cov(X) / k^(2/d), ς² = mean variance / k^(2/d). Given the variances
    (d,) alone, Λ is diagonal. In coordinates that have a scale (d,), ς² is still the mean in the
    units of the data, and infinite where these are too far apart.

    Examples
    --------
    >>> import numpy as np
    >>> prior = fraley_raftery(np.zeros(2), np.diag([1.0, 3.0]), 4)
    >>> prior.dof, prior.variance.tolist()
    (4.0, [0.5, 0.5])
    """
    d = len(mean)
    shrink = k ** (2.0 / d)
    spread = covariance if covariance.ndim == 1 else covariance.diagonal()
    ones = np.ones(d) if scale is None else scale
    with np.errstate(over="ignore", under="ignore"):
        variance = (spread * (ones[:, None] / ones) ** 2).mean(axis=1) / shrink
    return Conjugate(0.01, mean, d + 2.0, covariance / shrink, variance)
