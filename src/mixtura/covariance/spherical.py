"""Spherical covariances: one variance a component (VII), or one for all (EII)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtura._types import Array
from mixtura.covariance.diagonal import DiagonalCovariances
from mixtura.covariance.guard import Guard
from mixtura.covariance.protocol import Covariances
from mixtura.kernels.forms import FREE
from mixtura.kernels.layout import SPHERICAL
from mixtura.statistics import Moments, Statistics


@dataclass(frozen=True, eq=False)
class SphericalCovariances:
    """k covariance matrices that are multiples of the identity.

    Attributes
    ----------
    variances : (k,)
    features : int
        d
    shared : bool
        Whether the variances are one and the same by construction.
    """

    variances: Array
    features: int
    shared: bool = False

    shape = SPHERICAL

    @property
    def name(self) -> str:
        return "equal-spherical" if self.shared else "spherical"

    @property
    def k(self) -> int:
        return len(self.variances)

    @property
    def d(self) -> int:
        return self.features

    @cached_property
    def log_det(self) -> Array:
        return np.asarray(self.features * np.log(self.variances))

    @cached_property
    def factors(self) -> Array:
        return np.asarray(1.0 / np.sqrt(self.variances))

    @cached_property
    def precisions(self) -> Array:
        return np.asarray(1.0 / self.variances)

    @property
    def variances_by_column(self) -> Array:
        return np.broadcast_to(self.variances[:, None], (self.k, self.features))

    def dense(self) -> Array:
        return np.where(np.eye(self.features, dtype=bool), self.variances[:, None, None], 0.0)

    def array(self) -> Array:
        return self.variances

    def colorize(self, noise: Array, component: int) -> Array:
        return np.asarray(noise * np.sqrt(self.variances[component]))

    def marginal(self, dims: Any) -> SphericalCovariances:
        kept = len(np.arange(self.features)[dims])
        return SphericalCovariances(self.variances, kept, self.shared)

    def take(self, components: Any) -> SphericalCovariances:
        return SphericalCovariances(self.variances[components], self.features, self.shared)

    def scaled(self, factors: Array) -> SphericalCovariances | DiagonalCovariances:
        if np.all(factors == factors[0]):
            scaled = self.variances * factors[0] ** 2
            return SphericalCovariances(scaled, self.features, self.shared)
        return DiagonalCovariances(self.variances_by_column * factors**2)

    def eigenvalues(self) -> Array:
        return self.variances_by_column


class Spherical:
    """Σ_k = v_k I: k parameters (VII; Celeux & Govaert 1995)."""

    name = "spherical"
    moments = Moments(SPHERICAL)
    one_scale = True
    averages = True
    form = FREE

    def n_parameters(self, k: int, d: int) -> int:
        return k

    def maximize(
        self, data: Statistics, guard: Guard, before: Covariances | None = None
    ) -> SphericalCovariances:
        d = data.pivot.shape[1]
        variances = data.scatter() / (d * data.divisor())
        return SphericalCovariances(guard.common(variances, data.dof), d)

    def from_array(self, array: Array, k: int, d: int) -> SphericalCovariances:
        return SphericalCovariances(array.reshape(k), d)


class EqualSpherical:
    """Σ_k = v I: one parameter (EII; Celeux & Govaert 1995). With hard assignment, k-means."""

    name = "equal-spherical"
    moments = Moments(SPHERICAL, pooled=True)
    one_scale = True
    averages = True
    form = FREE

    def n_parameters(self, k: int, d: int) -> int:
        return 1

    def maximize(
        self, data: Statistics, guard: Guard, before: Covariances | None = None
    ) -> SphericalCovariances:
        k, d = data.pivot.shape
        pooled = guard.common(data.scatter() / (d * data.divisor()), np.ones(1))
        return SphericalCovariances(np.repeat(pooled, k), d, shared=True)

    def from_array(self, array: Array, k: int, d: int) -> SphericalCovariances:
        return SphericalCovariances(np.broadcast_to(array, (k,)).copy(), d, shared=True)
