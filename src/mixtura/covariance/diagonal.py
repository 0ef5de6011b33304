"""Diagonal covariances: each component its own variances (VVI), or all the same (EEI)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtura._types import Array
from mixtura.covariance.guard import Guard
from mixtura.covariance.protocol import Covariances
from mixtura.kernels.forms import FREE
from mixtura.kernels.layout import DIAGONAL
from mixtura.statistics import Moments, Statistics


@dataclass(frozen=True, eq=False)
class DiagonalCovariances:
    """k diagonal covariance matrices, unrestricted or of a parsimonious family.

    Attributes
    ----------
    variances : (k, d)
    name : str
        The family: diag, VEI, EVI, or EEI where all components have the same variances.
    """

    variances: Array
    name: str = "diag"

    shape = DIAGONAL

    @property
    def shared(self) -> bool:
        return self.name == "EEI"

    @property
    def k(self) -> int:
        return len(self.variances)

    @property
    def d(self) -> int:
        return self.variances.shape[1]

    @cached_property
    def log_det(self) -> Array:
        return np.asarray(np.log(self.variances).sum(axis=1))

    @cached_property
    def factors(self) -> Array:
        return np.asarray(1.0 / np.sqrt(self.variances))

    @cached_property
    def precisions(self) -> Array:
        return np.asarray(1.0 / self.variances)

    @property
    def variances_by_column(self) -> Array:
        return self.variances

    def dense(self) -> Array:
        return np.where(np.eye(self.d, dtype=bool), self.variances[:, :, None], 0.0)

    def array(self) -> Array:
        return self.variances[0] if self.shared else self.variances

    def colorize(self, noise: Array, component: int) -> Array:
        return np.asarray(noise * np.sqrt(self.variances[component]))

    def marginal(self, dims: Any) -> DiagonalCovariances:
        name = "diag" if self.name == "EVI" else self.name
        return DiagonalCovariances(self.variances[:, dims], name)

    def take(self, components: Any) -> DiagonalCovariances:
        return DiagonalCovariances(self.variances[components], self.name)

    def scaled(self, factors: Array) -> DiagonalCovariances:
        return DiagonalCovariances(self.variances * factors**2, self.name)

    def eigenvalues(self) -> Array:
        return np.sort(self.variances, axis=1)


class Diagonal:
    """Σ_k = diag(v_k): k d parameters (VVI; Celeux & Govaert 1995)."""

    name = "diag"
    moments = Moments(DIAGONAL)
    one_scale = False
    averages = True
    form = FREE

    def n_parameters(self, k: int, d: int) -> int:
        return k * d

    def maximize(
        self, data: Statistics, guard: Guard, before: Covariances | None = None
    ) -> DiagonalCovariances:
        variances = data.average()
        return DiagonalCovariances(guard.variances(variances, data.dof))

    def from_array(self, array: Array, k: int, d: int) -> DiagonalCovariances:
        return DiagonalCovariances(array.reshape(k, d))


class EqualDiagonal:
    """Σ_k = diag(v): d parameters (EEI; Celeux & Govaert 1995). Laid out as (d,)."""

    name = "EEI"
    moments = Moments(DIAGONAL, pooled=True)
    one_scale = False
    averages = True
    form = FREE

    def n_parameters(self, k: int, d: int) -> int:
        return d

    def maximize(
        self, data: Statistics, guard: Guard, before: Covariances | None = None
    ) -> DiagonalCovariances:
        pooled = guard.variances(data.average(), np.ones(1))
        return self.from_array(pooled, len(data.counts), pooled.shape[1])

    def from_array(self, array: Array, k: int, d: int) -> DiagonalCovariances:
        return DiagonalCovariances(np.tile(array.reshape(-1, d)[:1], (k, 1)), self.name)
