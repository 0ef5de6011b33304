"""The M-step: statistics and a prior become the mixture that explains them best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixtura.covariance import Covariances, FactorCovariances, Family, Guard
from mixtura.held import Held
from mixtura.kernels.layout import FULL
from mixtura.mixture import Mixture
from mixtura.noise import Noise
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
    *,
    equal_weights: bool = False,
    held: Held | None = None,
) -> Mixture:
    """The mixture that maximises the expected log-likelihood plus the prior.

    ``π_k = n_k / Σ n``, ``μ_k = pivot + S₁/n``, and Σ by the family from the scatter
    ``S₂ - S₁S₁ᵀ/n``; a prior has added its pseudo-rows to the sums before. A component without
    rows stays where it is with weight zero. With `equal_weights`, ``π_k = 1/k``. What is `held`
    stays, and the rest is the maximum given that.

    Under Student's t the degrees of freedom stay; without a prior the covariances are divided by
    ``Σ r u`` in place of ``Σ r`` (PX-EM; Liu, Rubin & Wu 1998), which climbs faster. Like a prior,
    a held covariance fixes the scale that this leaves open.
    """
    posterior = prior.added(data)
    scaled = held is not None and held.covariances.any()
    if not scaled and not (mixture.plain or (posterior.dof - data.dof).any()):
        posterior = replace(posterior, dof=mixture.law.expanded(data.counts, data.mass))
    counts = np.ones_like(posterior.counts) if equal_weights else np.maximum(posterior.counts, 0.0)
    empty = posterior.mass <= EMPTY * max(float(posterior.mass.sum()), 1e-300)
    if empty.any():
        posterior = _staying(posterior, mixture, empty)
    if held is not None:
        posterior = held.about(posterior, mixture.frame)
    total = counts.sum()
    found = mixture.changed(
        weights=counts / total if total > 0 else mixture.weights,  # all may be noise
        location=posterior.means(),
        structure=family.maximize(posterior, guard, mixture.structure),
        noise=_noise(data, mixture),
    )
    return found if held is None else held.into(found, family)


def _noise(data: Statistics, mixture: Mixture) -> Noise | None:
    """The noise with the share of the rows that fell to it."""
    if mixture.noise is None:
        return None
    total = data.noise + float(np.maximum(data.counts, 0.0).sum())
    return mixture.noise.sharing(data.noise / total) if total > 0 else mixture.noise


def _staying(data: Statistics, mixture: Mixture, empty: np.ndarray) -> Statistics:
    """The statistics with a trace of the old component in place of an empty one.

    Too little to weigh in what components have in common, enough to keep what is its own.
    """
    moments, structure = data.moments, mixture.structure
    trace = EMPTY * max(float(data.mass.sum()), 1e-290)
    stay = np.where(empty, trace, 0.0)
    kept = np.where(empty, 0.0, 1.0)
    if moments.pooled and (data.dof * kept).any():
        second, dof = data.second, data.dof * kept
    else:
        old, dof = _moments(moments, structure), data.dof * kept + stay
        mask = empty.reshape(-1, *[1] * (old.ndim - 1))
        rest = 0.0 if moments.pooled else data.second  # all are empty where they are pooled
        second = moments.total(np.where(mask, trace * old, rest))
    first = np.where(empty[:, None], 0.0, data.first)
    pivot = np.where(empty[:, None], mixture.location, data.pivot)
    return Statistics(moments, pivot, data.counts, data.mass * kept + stay, dof, first, second)


def _moments(moments: Moments, structure: Covariances) -> np.ndarray:
    """The second moments of a row of weight one in each component, about its mean."""
    if isinstance(structure, FactorCovariances):
        return structure.moments
    if moments.shape == FULL:
        return structure.dense()
    deviations = np.sqrt(structure.variances_by_column)
    return moments.outer(deviations, deviations)


def log_prior(prior: Prior, mixture: Mixture, moments: Moments) -> float:
    """The prior's log-density at a mixture, up to a constant, in frame coordinates.

    That of the pseudo-rows.
    """
    if prior.flat:
        return 0.0
    return expected(prior.statistics(moments.at(mixture.structure), mixture.location), mixture)


def expected(data: Statistics, mixture: Mixture) -> float:
    """The expected log-density of rows and their components, without ``-½ d log 2π`` a row.

    ``Σ_k -½ [dof_k log|Σ_k| + tr(Σ_k⁻¹ S_k)] + Σ_k counts_k log π_k`` in frame coordinates, with
    ``S_k`` the rows' second moments about μ_k: what the M-step of Gaussian components maximises.
    """
    data, structure = data.about(mixture.location), mixture.structure
    precisions = structure.precisions[: len(data.second)]
    quadratic = float(np.vdot(precisions, data.second))
    volume = float(data.dof @ structure.log_det)
    with np.errstate(invalid="ignore"):
        weights = np.where(data.counts != 0, data.counts * mixture.log_weights, 0.0)
    return -0.5 * (volume + quadratic) + float(weights.sum())
