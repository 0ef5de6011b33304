"""Full covariances: each component its own (VVV)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import lapack

from mixtura._types import Array
from mixtura.covariance.guard import Guard
from mixtura.covariance.protocol import Covariances
from mixtura.kernels.forms import FREE
from mixtura.kernels.layout import FULL
from mixtura.statistics import Moments, Statistics


@dataclass(frozen=True, eq=False)
class FullCovariances:
    """k covariance matrices, unrestricted or of a parsimonious family.

    Attributes
    ----------
    covariances : (k, d, d)
    name : str
        The family.
    axes : (d, d) or None
        Eigenvectors common to all components, in columns, where the family has them and they are
        known; None also where all matrices are round, so that any would do.
    lower : (k, d, d) or None
        Their Cholesky factors where they are known.
    """

    covariances: Array
    name: str = "full"
    axes: Array | None = None
    lower: Array | None = None

    shape = FULL
    shared = False

    @property
    def k(self) -> int:
        return len(self.covariances)

    @property
    def d(self) -> int:
        return self.covariances.shape[1]

    @cached_property
    def cholesky(self) -> Array:
        """(k, d, d) lower factors L with Σ = L Lᵀ."""
        return np.linalg.cholesky(self.covariances) if self.lower is None else self.lower

    @cached_property
    def log_det(self) -> Array:
        diagonal = self.cholesky.diagonal(axis1=1, axis2=2)
        return np.asarray(2.0 * np.log(diagonal).sum(axis=1))

    @cached_property
    def factors(self) -> Array:
        return inverse_transposes(self.cholesky)

    @cached_property
    def precisions(self) -> Array:
        if self.d > _NARROW:
            return inverses(self.cholesky)
        return np.asarray(self.factors @ self.factors.swapaxes(1, 2))

    def upper_precisions(self) -> Iterator[Array]:
        """The upper triangle (d, d) of one precision after the other, all in the same memory."""
        upper = np.empty((self.d, self.d))
        for factor in self.cholesky:
            upper[:] = lapack.dpotri(factor.T)[0]
            yield upper

    @property
    def variances_by_column(self) -> Array:
        return self.covariances.diagonal(axis1=1, axis2=2)

    def dense(self) -> Array:
        return self.covariances

    def array(self) -> Array:
        return self.covariances

    def colorize(self, noise: Array, component: int) -> Array:
        return np.asarray(noise @ self.cholesky[component].T)

    def marginal(self, dims: Any) -> FullCovariances:
        name = self.name if self.name in _OF_MARGINALS else "full"
        return FullCovariances(self.covariances[:, dims][:, :, dims], name)

    def take(self, components: Any) -> FullCovariances:
        return FullCovariances(self.covariances[components], self.name, self.axes)

    def scaled(self, factors: Array) -> FullCovariances:
        covariances = factors[:, None] * self.covariances * factors
        if np.all(factors == factors[:1]):
            return FullCovariances(covariances, self.name, self.axes)
        return FullCovariances(covariances, self.name if self.name in _SCALABLE else "full")

    def eigenvalues(self) -> Array:
        return np.linalg.eigvalsh(self.covariances)


_OF_MARGINALS = frozenset({"full", "VEE"})
_SCALABLE = frozenset({"full", "VEE", "EVV"})
"""The families that marginals, and structures with columns scaled one by one, still belong to."""


class Full:
    """Σ_k free: k d(d+1)/2 parameters (VVV; Celeux & Govaert 1995)."""

    name = "full"
    moments = Moments(FULL)
    one_scale = False
    averages = True
    form = FREE

    def n_parameters(self, k: int, d: int) -> int:
        return k * d * (d + 1) // 2

    def maximize(
        self, data: Statistics, guard: Guard, before: Covariances | None = None
    ) -> FullCovariances:
        bounded, lower = guard.matrices(data.average(), data.dof)
        return FullCovariances(bounded, lower=lower)

    def from_array(self, array: Array, k: int, d: int) -> FullCovariances:
        return FullCovariances(array.reshape(k, d, d))


def inverse_transposes(lower: Array) -> Array:
    """L⁻ᵀ of each of the (k, d, d) lower-triangular matrices, zero elsewhere.

    A view of the L⁻¹, which lie row by row, as the compiled kernels read them.
    """
    out = np.empty_like(lower)
    for index, factor in enumerate(lower):
        out[index], _ = lapack.dtrtri(factor, lower=1)
    return out.swapaxes(1, 2)


def inverses(lower: Array) -> Array:
    """(L Lᵀ)⁻¹ of each of the (k, d, d) lower-triangular matrices."""
    out = np.empty_like(lower)
    for inverse, factor in zip(out, lower, strict=True):
        upper, _ = lapack.dpotri(factor.T)  # zero below the diagonal, as the factor's transpose is
        np.add(upper, upper.T, out=inverse)
        np.fill_diagonal(inverse, upper.diagonal())
    return out


_NARROW = 128
"""Features up to which a product of factors takes less time than two passes to mirror a half."""
