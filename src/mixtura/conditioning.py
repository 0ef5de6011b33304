"""What some observed coordinates tell of the components and of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mixtura import kernels
from mixtura._types import Array, Indices, Mask
from mixtura.covariance import Covariances, ExpertCovariances, FactorCovariances, structure
from mixtura.law import log_norms


class Observed(Protocol):
    """A mixture seen through a pattern: what is observed, and what that tells of the rest.

    Attributes
    ----------
    coefficients : (k, m, o) regressions Σ_mo Σ_oo⁻¹ of the missing on the observed
    residual : (k, m, m) conditional covariances Σ_mm - Σ_mo Σ_oo⁻¹ Σ_om
    """

    @property
    def structure(self) -> Covariances:
        """The covariances of the observed coordinates."""

    @property
    def log_norms(self) -> Array:
        """(k,)"""

    @property
    def coefficients(self) -> Array: ...
    @property
    def residual(self) -> Array: ...
    def missing(self, off: Array, component: int) -> Array:
        """What the observed ``z - μ`` (n, o) lead one to expect of the missing: (n, m)."""

    def lead(self, off: Array) -> Array:
        """The same for one row of offsets a component, (k, o) -> (k, m)."""

    def rest(self, factor: Array) -> Covariances:
        """The conditional covariances of the missing coordinates, times a factor (k,) each."""


@dataclass(frozen=True)
class DenseObserved:
    """Seen through a pattern, for any structure."""

    structure: Covariances
    log_norms: Array
    coefficients: Array
    residual: Array

    def missing(self, off: Array, component: int) -> Array:
        return np.asarray(off @ self.coefficients[component].T)

    def lead(self, off: Array) -> Array:
        return np.einsum("kmo,ko->km", self.coefficients, off)

    def rest(self, factor: Array) -> Covariances:
        k, m = self.residual.shape[:2]
        return structure(self.residual * factor[:, None, None], "full", k, m)


@dataclass(frozen=True)
class FactorObserved:
    """Seen through a pattern, through r factors: nothing of size m × o is formed unless asked for.

    Attributes
    ----------
    structure : FactorCovariances of the observed coordinates
    log_norms : (k,)
    whole : FactorCovariances of all coordinates
    hidden : the missing coordinates
    """

    structure: FactorCovariances
    log_norms: Array
    whole: FactorCovariances
    hidden: Indices

    @property
    def coefficients(self) -> Array:
        loadings = self.whole.loadings[:, self.hidden]
        return np.asarray(loadings @ self.structure.regressions.swapaxes(1, 2))

    @property
    def residual(self) -> Array:
        return self.rest(np.ones(self.whole.k)).dense()

    def missing(self, off: Array, component: int) -> Array:
        """``Λ_m E[u | z_o]``."""
        factors = off @ self.structure.regressions[component]
        return np.asarray(factors @ self.whole.loadings[component, self.hidden].T)

    def lead(self, off: Array) -> Array:
        return np.stack([self.missing(row, index) for index, row in enumerate(off)])

    def rest(self, factor: Array) -> FactorCovariances:
        """``Λ_m Cov[u | z_o] Λ_mᵀ + Ψ_m``: of the same structure."""
        return self.whole.conditional(self.hidden, self.structure.doubt_root, factor)


def seen_through(whole: Covariances, observed: Mask) -> Observed:
    """Regress the missing on the observed coordinates in every component."""
    some, rest = np.flatnonzero(observed), np.flatnonzero(~observed)
    part = whole if not len(rest) else whole.marginal(some)
    norms = log_norms(part.log_det, len(some))
    if isinstance(whole, ExpertCovariances) and np.array_equal(some, np.arange(whole.inputs)):
        return DenseObserved(part, norms, whole.slopes, whole.noise.dense())
    if isinstance(whole, FactorCovariances) and isinstance(part, FactorCovariances):
        return FactorObserved(part, norms, whole, rest)
    if not len(rest):
        empty = np.empty((whole.k, 0, 0))
        return DenseObserved(part, norms, empty, empty)
    dense = whole.dense()
    within = dense[:, rest][:, :, rest]
    cross = dense[:, some][:, :, rest]
    if not cross.any():
        return DenseObserved(part, norms, cross.swapaxes(1, 2), within)
    lower = np.linalg.cholesky(dense[:, some][:, :, some])
    white = np.linalg.solve(lower, cross)
    coefficients = np.linalg.solve(lower.swapaxes(1, 2), white).swapaxes(1, 2)
    residual = within - white.swapaxes(1, 2) @ white
    return DenseObserved(part, norms, coefficients, (residual + residual.swapaxes(1, 2)) / 2)


def log_sums(joint: Array) -> Array:
    """log Σ_k exp(joint) of each row."""
    return np.asarray(kernels.active().log_sums(joint))


def shares(joint: Array) -> Array:
    """exp(joint) normalised to sum to one in each row."""
    return np.asarray(kernels.active().soft(joint)[0])


def labels(joint: Array, k: int) -> Array:
    """The first best component of each row; -1 where that is the noise's column."""
    best = kernels.active().best(joint)
    return np.where(best < k, best, -1)
