"""The M-step: statistics and a prior become the mixture that explains them best."""

from __future__ import annotations

import numpy as np

from mixtura.covariance import FactorCovariances, Family, Guard
from mixtura.kernels.layout import FULL
from mixtura.mixture import Mixture
from mixtura.prior import Prior
from mixtura.statistics import Moments, Statistics

EMPTY = 1e-10
"""Share of the rows below which a component counts as empty and keeps its place and shape."""


def maximization(
    data: Statistics,
    mixture: Mixture,
    family: Family,
    prior: Prior,
    guard: Guard,
    equal_weights: bool = False,
) -> Mixture:
    """The mixture that maximises the expected log-likelihood plus the prior.

    ``π_k = n_k / Σ n``, ``μ_k = pivot + S₁/n``, and Σ by the family from the scatter
    ``S₂ - S₁S₁ᵀ/n``; a prior has added its pseudo-rows to the sums before. A component without
    rows stays where it is with weight zero. With `equal_weights`, ``π_k = 1/k``.
    """
    posterior = data + prior.statistics(data.moments, data.pivot)
    counts = np.ones_like(posterior.counts) if equal_weights else np.maximum(posterior.counts, 0.0)
    empty = posterior.mass <= EMPTY * max(float(posterior.mass.sum()), 1e-300)
    if empty.any():
        posterior = _held(posterior, mixture, empty)
    return Mixture.of(
        counts / counts.sum(),
        posterior.means(),
        family.maximize(posterior, guard),
        mixture.frame,
        mixture.feature_names,
    )


def _held(data: Statistics, mixture: Mixture, empty: np.ndarray) -> Statistics:
    """The statistics with one pseudo-row's worth of the old component in place of an empty one."""
    moments, structure = data.moments, mixture.structure
    stay = np.where(empty, 1.0, 0.0)
    kept = np.where(empty, 0.0, 1.0)
    deviations = np.sqrt(structure.variances_by_column)
    if moments.pooled:
        second, dof = data.second, data.dof * kept
    else:
        old = moments.outer(deviations, deviations)
        if moments.shape == FULL:
            old = structure.dense()
        if isinstance(structure, FactorCovariances):
            old = structure.moments
        mask = empty.reshape(-1, *[1] * (old.ndim - 1))
        second, dof = np.where(mask, old, data.second), data.dof * kept + stay
    first = np.where(empty[:, None], 0.0, data.first)
    pivot = np.where(empty[:, None], mixture.location, data.pivot)
    return Statistics(moments, pivot, data.counts, data.mass * kept + stay, dof, first, second)


def log_prior(prior: Prior, mixture: Mixture, moments: Moments) -> float:
    """The prior's log-density at a mixture, up to a constant, in frame coordinates.

    The log-likelihood of the pseudo-rows:
    ``Σ_k -½ [dof_k log|Σ_k| + tr(Σ_k⁻¹ S_k)] + Σ_k counts_k log π_k`` with ``S_k`` the
    pseudo-rows' second moments about μ_k.
    """
    pseudo = prior.statistics(moments.at(mixture.structure), mixture.location)
    if not pseudo.dof.any() and not pseudo.counts.any():
        return 0.0
    structure = mixture.structure
    precisions = structure.precisions[: len(pseudo.second)]
    quadratic = float(np.vdot(precisions, pseudo.second))
    volume = float(pseudo.dof @ structure.log_det)
    with np.errstate(invalid="ignore"):
        weights = np.where(pseudo.counts != 0, pseudo.counts * mixture.log_weights, 0.0)
    return -0.5 * (volume + quadratic) + float(weights.sum())
