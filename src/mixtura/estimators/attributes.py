"""scikit-learn's names for what was fitted: properties that read the mixture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mixtura._types import Array
from mixtura.estimators.convert import laid_out, plain, rescaled
from mixtura.law import StudentT
from mixtura.mixture import Mixture


def fitted_mixture(estimator: Any) -> Mixture:
    """The estimator's mixture; AttributeError before it is fitted, so that ``hasattr`` says no."""
    if "mixture_" not in estimator.__dict__:
        raise AttributeError(f"this {type(estimator).__name__} is not fitted yet: call fit first")
    mixture: Mixture = estimator.mixture_
    return mixture


def _read(function: Callable[[Mixture], Any]) -> property:
    def value(self: Any) -> Any:
        return function(fitted_mixture(self))

    value.__doc__ = function.__doc__
    return property(value)


@_read
def n_components(mixture: Mixture) -> int:
    """The number of components as chosen."""
    return mixture.n_components


@_read
def weights(mixture: Mixture) -> Array:
    """(k,) mixing weights, which sum to one also beside noise."""
    return mixture.weights


@_read
def means(mixture: Mixture) -> Array:
    """(k, d) means."""
    return mixture.means


@_read
def covariances(mixture: Mixture) -> Array:
    """Covariances as scikit-learn lays them out for the family; for Student's t the scales Σ.

    (k, d, d) for factor analyzers, whose ``mixture_.structure`` holds loadings and noise.
    """
    with np.errstate(over="ignore", under="ignore"):
        return plain(mixture.unframed()).array()


@_read
def precisions(mixture: Mixture) -> Array:
    """Inverse covariances, laid out like the covariances."""
    structure, scale = plain(mixture.structure), mixture.frame.scale
    return laid_out(rescaled(structure.precisions, structure, scale, 2), structure)


@_read
def precisions_cholesky(mixture: Mixture) -> Array:
    """Upper factors U with ``U Uᵀ = Σ⁻¹``, laid out like the covariances."""
    structure, scale = plain(mixture.structure), mixture.frame.scale
    return laid_out(rescaled(structure.factors, structure, scale, 1), structure)


@_read
def dof(mixture: Mixture) -> Array | None:
    """(k,) degrees of freedom; None for Gaussian components."""
    return mixture.law.dof if isinstance(mixture.law, StudentT) else None


@_read
def noise_share(mixture: Mixture) -> float:
    """Weight of the noise in the mixture; zero without."""
    return 0.0 if mixture.noise is None else mixture.noise.share


def _trace(self: Any) -> list[float]:
    """The objective in nats a row after each accepted step."""
    traced: list[float] = self.lower_bounds_
    return traced


def _lower_bound(self: Any) -> float:
    """The objective in nats a row at the solution."""
    return self.lower_bounds_[-1] if self.lower_bounds_ else float("nan")


trace, lower_bound = property(_trace), property(_lower_bound)
