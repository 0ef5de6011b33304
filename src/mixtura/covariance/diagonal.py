"""Diagonal covariances: each component its own variances (VVI)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtura._types import Array
from mixtura.covariance.guard import Guard
from mixtura.kernels.layout import DIAGONAL
from mixtura.statistics import Moments, Statistics


@dataclass(frozen=True, eq=False)
class DiagonalCovariances:
    """k diagonal covariance matrices.

    Attributes
    ----------
    variances : (k, d)
    """

    variances: Array

    shape = DIAGONAL
    shared = False

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
        return np.asarray(self.variances[:, :, None] * np.eye(self.d))

    def array(self) -> Array:
        return self.variances

    def colorize(self, noise: Array, component: int) -> Array:
        return np.asarray(noise * np.sqrt(self.variances[component]))

    def marginal(self, dims: Any) -> DiagonalCovariances:
        return DiagonalCovariances(self.variances[:, dims])

    def take(self, components: Any) -> DiagonalCovariances:
        return DiagonalCovariances(self.variances[components])

    def scaled(self, factors: Array) -> DiagonalCovariances:
        return DiagonalCovariances(self.variances * factors**2)

    def eigenvalues(self) -> Array:
        return np.sort(self.variances, axis=1)


class Diagonal:
    """Σ_k = diag(v_k): k d parameters (VVI; Celeux & Govaert 1995)."""

    name = "diag"
    moments = Moments(DIAGONAL)
    one_scale = False
    averages = True

    def n_parameters(self, k: int, d: int) -> int:
        return k * d

    def maximize(self, data: Statistics, guard: Guard) -> DiagonalCovariances:
        return DiagonalCovariances(guard.variances(data.scatter() / data.divisor()))

    def from_array(self, array: Array, k: int, d: int) -> DiagonalCovariances:
        return DiagonalCovariances(array.reshape(k, d))
