"""A mixture in the log-linear form: its coefficients, and when the form is accurate enough."""

from __future__ import annotations

import numpy as np

from mixtura import kernels
from mixtura._types import Array
from mixtura.covariance import Covariances, FullCovariances
from mixtura.kernels.layout import FACTOR, FULL, doubled, width
from mixtura.law import log_norms
from mixtura.mixture import Mixture
from mixtura.projected import LOSS
from mixtura.projected import cancellation as low_rank_cancellation
from mixtura.statistics import pack_rows, packed

LOSS_SINGLE = 1e-2
"""The same bound for float32 rows, whose products run in single precision; what is really lost is
far below, as roundings average out."""


def cancellation(mixture: Mixture) -> float:
    """Nats a row that the log-linear form may lose for this mixture, in float64."""
    return float(mixture.kept("cancellation", _cancellation))


def _cancellation(mixture: Mixture) -> float:
    structure = mixture.structure
    if structure.shape == FACTOR:
        return low_rank_cancellation(mixture)
    if _one_by_one(structure):
        return mixture.kept("coefficients and cancellation", _both)[1]
    deviations = np.sqrt(structure.variances_by_column)
    return kernels.plain.cancellation(mixture.location, structure.precisions, deviations)


def log_linear(mixture: Mixture) -> Array | None:
    """The coefficients of the log-linear form; None where it may lose more than LOSS."""
    known: Array | None = mixture.kept("coefficients", _coefficients_if_accurate)
    return known


def _coefficients_if_accurate(mixture: Mixture) -> Array | None:
    structure = mixture.structure
    compiled = getattr(kernels.active(), "coefficients", None)
    if compiled is not None and not structure.shared and structure.d <= _NARROW:
        given = mixture.weights, mixture.location, structure.array()
        found: Array | None = compiled(*given, structure.shape, LOSS)
        if found is not None:
            return found
    return coefficients(mixture) if cancellation(mixture) <= LOSS else None


_NARROW = 32
"""Features up to which loops over small matrices take less time than calls of a library."""


def coefficients(mixture: Mixture) -> Array:
    """Θ (k, p) with ``log π_k N(z | k) = Θ_k · T(z)``; without the common part where shared.

    ``-½ (z-μ)ᵀP(z-μ) = -½ zᵀPz + (Pμ)ᵀz - ½ μᵀPμ``.
    """
    structure, means = mixture.structure, mixture.location
    if _one_by_one(structure):
        return mixture.kept("coefficients and cancellation", _both)[0]
    precisions = structure.precisions
    if structure.shape == FULL:
        first = np.einsum("kij,kj->ki", precisions, means)
    else:
        first = precisions.reshape(len(means), -1) * means
    constant = mixture.log_weights - 0.5 * (first * means).sum(axis=1)
    if structure.shared:
        return np.column_stack([first, constant])
    constant = constant + log_norms(structure.log_det, structure.d)
    out = np.column_stack([packed(precisions, structure.shape), first, constant])
    second = out[:, : -structure.d - 1]
    second *= -0.5 * doubled(structure.d) if structure.shape == FULL else -0.5
    return out


def _one_by_one(structure: Covariances) -> bool:
    return isinstance(structure, FullCovariances) and structure.d > _MANY


_MANY = 128
"""Features from which on no more than one precision is held: memory takes longer than sums."""


def _both(mixture: Mixture) -> tuple[Array, float]:
    """`coefficients` and `cancellation` of full covariances, one precision after another."""
    structure, means = mixture.structure, mixture.location
    assert isinstance(structure, FullCovariances)
    k, d = means.shape
    theta, terms = np.empty((k, width(FULL, d))), np.empty(k)
    reach = np.abs(means) + 3.0 * np.sqrt(structure.variances_by_column)
    constants = mixture.log_weights + log_norms(structure.log_det, d)
    for component, upper in enumerate(structure.upper_precisions()):
        own, mean, far = theta[component], means[component], reach[component]
        diagonal = upper.diagonal().copy()
        own[-d - 1 : -1] = upper @ mean + mean @ upper - diagonal * mean
        own[-1] = constants[component] - 0.5 * (own[-d - 1 : -1] @ mean)
        pack_rows(upper, own)
        np.abs(upper, out=upper)
        terms[component] = 2.0 * (far @ (upper @ far)) - diagonal @ far**2
    second = theta[:, : -d - 1]
    second *= -0.5 * doubled(d)
    return theta, 2.0**-53 * float(terms.max())


def common_part(mixture: Mixture, second: Array, mass: float) -> float:
    """``Σ_i w_i (-½ zᵀPz + log norm)``: what a shared covariance adds for every component."""
    structure = mixture.structure
    norm = log_norms(structure.log_det[:1], structure.d)[0]
    return float(mass * norm - 0.5 * np.vdot(structure.precisions[0], second[0]))
