"""One full covariance for all components (EEE)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtura._types import Array
from mixtura.covariance.full import inverse_transposes
from mixtura.covariance.guard import Guard
from mixtura.covariance.protocol import Covariances
from mixtura.kernels.forms import FREE
from mixtura.kernels.layout import FULL
from mixtura.statistics import Moments, Statistics


@dataclass(frozen=True, eq=False)
class TiedCovariances:
    """One covariance matrix shared by `count` components.

    Attributes
    ----------
    covariance : (d, d)
    count : int
    lower : (d, d) or None
        Its Cholesky factor where it is known.
    """

    covariance: Array
    count: int
    lower: Array | None = None

    shape = FULL
    shared = True
    name = "tied"

    @property
    def k(self) -> int:
        return self.count

    @property
    def d(self) -> int:
        return len(self.covariance)

    @cached_property
    def cholesky(self) -> Array:
        """(d, d) lower factor L with Σ = L Lᵀ."""
        return np.linalg.cholesky(self.covariance) if self.lower is None else self.lower

    @cached_property
    def log_det(self) -> Array:
        return np.full(self.count, 2.0 * np.log(self.cholesky.diagonal()).sum())

    @cached_property
    def factors(self) -> Array:
        return self._spread(inverse_transposes(self.cholesky[None])[0])

    @cached_property
    def precisions(self) -> Array:
        factor = self.factors[0]
        return self._spread(factor @ factor.T)

    @property
    def variances_by_column(self) -> Array:
        return self._spread(self.covariance.diagonal())

    def dense(self) -> Array:
        return self._spread(self.covariance)

    def array(self) -> Array:
        return self.covariance

    def colorize(self, noise: Array, component: int) -> Array:
        return np.asarray(noise @ self.cholesky.T)

    def marginal(self, dims: Any) -> TiedCovariances:
        return TiedCovariances(self.covariance[dims][:, dims], self.count)

    def take(self, components: Any) -> TiedCovariances:
        return TiedCovariances(self.covariance, len(np.arange(self.count)[components]))

    def scaled(self, factors: Array) -> TiedCovariances:
        return TiedCovariances(factors[:, None] * self.covariance * factors, self.count)

    def eigenvalues(self) -> Array:
        return self._spread(np.linalg.eigvalsh(self.covariance))

    def _spread(self, one: Array) -> Array:
        return np.broadcast_to(one, (self.count, *one.shape))


class Tied:
    """Σ_k = Σ: d(d+1)/2 parameters (EEE; Celeux & Govaert 1995)."""

    name = "tied"
    moments = Moments(FULL, pooled=True)
    one_scale = False
    averages = True
    form = FREE

    def n_parameters(self, k: int, d: int) -> int:
        return d * (d + 1) // 2

    def maximize(
        self, data: Statistics, guard: Guard, before: Covariances | None = None
    ) -> TiedCovariances:
        pooled, lower = guard.matrices(data.average(), np.ones(1))
        return TiedCovariances(pooled[0], len(data.counts), None if lower is None else lower[0])

    def from_array(self, array: Array, k: int, d: int) -> TiedCovariances:
        return TiedCovariances(array.reshape(d, d), k)
