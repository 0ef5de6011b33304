"""A mixture in the log-linear form: its coefficients, and when the form is accurate enough."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from mixtura import kernels
from mixtura._types import Array
from mixtura.covariance import Covariances, FullCovariances
from mixtura.kernels.layout import FACTOR, FULL, doubled, width
from mixtura.law import log_norms
from mixtura.mixture import Mixture
from mixtura.projected import LOSS
from mixtura.projected import cancellation as low_rank_cancellation
from mixtura.statistics import pack_rows, packed, unpack_rows

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


def single(mixture: Mixture, kernel: ModuleType) -> bool:
    """Whether products in single precision are accurate enough for float32 rows in such a kernel.

    They are by the bound on what cancels; or, where the kernel adds up products in double, by what
    a few rows drawn from each component lose.
    """
    if cancellation(mixture) * 2.0**29 <= LOSS_SINGLE:
        return True
    wide = getattr(kernel, "is_wide", None)
    structure = mixture.structure
    if structure.shared or wide is None or not wide(structure.shape, structure.d, structure.k):
        return False
    return _CAUTION * float(mixture.kept("loss in single precision", _drawn_loss)) <= LOSS_SINGLE


def _drawn_loss(mixture: Mixture) -> float:
    """The most nats that rows drawn from the components lose to single precision.

    Infinite where the log-linear form is not accurate enough even in double. A draw ``μ + L g``
    has the squared distance ``|g|²`` with no rounding at all. Coefficients that are alike are
    rounded alike, so that their errors add up where columns vary together: no count of independent
    roundings tells that.
    """
    theta = log_linear(mixture)
    if theta is None:
        return np.inf
    structure, d = mixture.structure, mixture.location.shape[1]
    noise = np.random.default_rng(0).standard_normal((_DRAWS, d))
    exact = log_norms(structure.log_det, d)[:, None] - 0.5 * (noise**2).sum(axis=1)
    bits = np.float32(np.log2(np.e))
    upper, lost = np.zeros((d, d), np.float32), 0.0
    for component in np.flatnonzero(mixture.weights > 0).tolist():
        z = (mixture.location[component] + structure.colorize(noise, component)).astype(np.float32)
        own = theta[component].astype(np.float32) * bits
        unpack_rows(own, upper)
        inner = upper @ z.T + own[-d - 1 : -1, None]
        found = np.log(2.0) * ((z.T.astype(np.float64) * inner).sum(axis=0) + own[-1])
        off = found - mixture.log_weights[component] - exact[component]
        lost = max(lost, float(np.nan_to_num(np.abs(off), nan=np.inf).max()))
    return lost


_DRAWS, _CAUTION = 8, 4.0
"""Rows drawn from each component, and how many times as much others may lose."""


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
