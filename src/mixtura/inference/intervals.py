"""Confidence intervals from an estimated covariance of the parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import ndtri

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.inference.chart import Chart
from mixtura.inference.tables import interval_table, parameter_table
from mixtura.mixture import Mixture

_STEP = 1e-2
"""Of the differences, in standard errors; their error is of its fourth power."""


class Errors(Protocol):
    """Standard errors of a mixture's parameters."""

    @property
    def weights(self) -> Array: ...
    @property
    def means(self) -> Array: ...
    @property
    def covariances(self) -> Array: ...
    @property
    def mixture(self) -> Mixture: ...
    @property
    def estimator(self) -> str: ...


@dataclass(frozen=True, eq=False)
class Intervals:
    """Confidence intervals of all parameters; the last axis is (low, high).

    Attributes
    ----------
    weights : (k, 2)
    means : (k, d, 2)
    covariances : (k, d, d, 2)
    level : float
    estimator : str
        What they come from, in words.
    mixture : Mixture
        The estimates.
    """

    weights: Array
    means: Array
    covariances: Array
    level: float
    estimator: str
    mixture: Mixture

    def __str__(self) -> str:
        title = f"{100 * self.level:g} % confidence intervals ({self.estimator})"
        values = self.weights, self.means, self.covariances
        return title + "\n" + interval_table(self.mixture, *values)

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class Deviations:
    """Standard errors of all parameters.

    Attributes
    ----------
    weights : (k,)
    means : (k, d)
    covariances : (k, d, d)
    estimator : str
        What they come from, in words.
    mixture : Mixture
        The estimates.
    """

    weights: Array
    means: Array
    covariances: Array
    estimator: str
    mixture: Mixture

    def __str__(self) -> str:
        return f"Standard errors by {self.estimator}\n" + parameter_table(self.mixture, self)

    __repr__ = __str__


def quantile(level: float) -> float:
    """The standard normal's z with ``P(|Z| <= z) = level``.

    Raises
    ------
    InputError
        A level outside 0..1.
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"level={level!r} must lie between 0 and 1, for instance 0.95")
    return float(ndtri(0.5 + level / 2.0))


def of_parameters(errors: Errors, level: float) -> Intervals:
    """Wald intervals: weights by logits, variances by logarithms, the rest as it is."""
    z = quantile(level)
    mixture = errors.mixture
    weights, means, covariances = mixture.weights, mixture.means, mixture.covariances
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.nan_to_num(z * errors.weights / (weights * (1.0 - weights)))
        odds = weights / (1.0 - weights) * np.exp(np.stack([-far, far])[..., :])
        bounds = np.where(np.isfinite(odds), odds / (1.0 + odds), 1.0)
        ratio = np.exp(np.stack([-z * errors.covariances, z * errors.covariances]) / covariances)
    plain = covariances + np.stack([-z * errors.covariances, z * errors.covariances])
    diagonal = np.eye(mixture.n_features, dtype=bool)
    moved = np.where(diagonal, covariances * ratio, plain)
    return Intervals(
        np.moveaxis(bounds, 0, -1),
        np.stack([means - z * errors.means, means + z * errors.means], axis=-1),
        np.moveaxis(moved, 0, -1),
        level,
        errors.estimator,
        mixture,
    )


def delta(local: Chart, free: Array, f: Callable[[Mixture], Any], level: float) -> tuple[Any, Any]:
    """``f ± z √(∇fᵀ V ∇f)``, the gradient along the axes of V by differences of fourth order."""
    z = quantile(level)
    centre = np.asarray(f(local.mixture), dtype=np.float64)
    values, vectors = np.linalg.eigh(free)
    square = np.zeros_like(centre)
    for axis in (vectors * np.sqrt(np.maximum(values, 0.0))).T:
        ahead, back, far, near = (
            np.asarray(f(local.at(step * _STEP * axis)), dtype=np.float64)
            for step in (1.0, -1.0, 2.0, -2.0)
        )
        slope = (8.0 * (ahead - back) - (far - near)) / (12.0 * _STEP)
        square = square + slope**2
    half = z * np.sqrt(square)
    low, high = centre - half, centre + half
    return (low, high) if np.ndim(low) else (float(low), float(high))
