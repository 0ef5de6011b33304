"""Every component of one Gaussian mixture against every component of another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtura._types import Array
from mixtura.law import LOG_2PI, log_norms
from mixtura.mixture import Mixture
from mixtura.operations.density_ratio import pair
from mixtura.operations.frames import gaussian_only, in_frame


@dataclass(frozen=True, eq=False)
class Gaussians:
    """The components that weigh something, in coordinates z = (x - pivot) * scale.

    Attributes
    ----------
    log_weights : (k,)
    means : (k, d)
    roots : (k, d, d)
        Lower triangles R with ``R Rᵀ = Σ``.
    """

    log_weights: Array
    means: Array
    roots: Array

    @cached_property
    def covariances(self) -> Array:
        """(k, d, d)."""
        return np.asarray(self.roots @ self.roots.swapaxes(1, 2))

    @cached_property
    def log_det(self) -> Array:
        """(k,) log |Σ|."""
        return 2.0 * np.log(np.diagonal(self.roots, axis1=1, axis2=2)).sum(axis=1)

    @property
    def entropies(self) -> Array:
        """(k,) ``½ (d log 2πe + log |Σ|)``."""
        return np.asarray(0.5 * (self.means.shape[1] * (LOG_2PI + 1.0) + self.log_det))


def gaussian_pair(p: Any, q: Any, what: str) -> tuple[Mixture, Mixture]:
    """Two Gaussian mixtures of the same features.

    Raises
    ------
    InputError
        Other features, Student's t, or noise: `what` names who cannot use them.
    """
    p, q = pair(p, q)
    for mixture in (p, q):
        gaussian_only(mixture, what, "jensen_shannon, hellinger and total_variation take any")
    return p, q


def gaussians(p: Any, q: Any, what: str) -> tuple[Gaussians, Gaussians]:
    """Both mixtures of a `gaussian_pair` in the frame of the first."""
    p, q = gaussian_pair(p, q, what)
    return _weighing(p), _weighing(in_frame(q, p.frame))


def _weighing(mixture: Mixture) -> Gaussians:
    """The components that weigh something."""
    some = mixture.weights > 0
    weights = mixture.weights[some]
    roots = np.linalg.cholesky(mixture.structure.dense()[some])
    return Gaussians(np.log(weights / weights.sum()), mixture.location[some], roots)


def kl_pairs(p: Gaussians, q: Gaussians) -> Array:
    """(k, k') ``KL(p_a‖q_b) = ½ (tr Σ_b⁻¹Σ_a + δ² - d + log |Σ_b| - log |Σ_a|)``."""
    d = p.means.shape[1]
    out = np.empty((len(p.means), len(q.means)))
    for a, (mean, root) in enumerate(zip(p.means, p.roots, strict=True)):
        offset = (mean - q.means)[:, :, None]
        stacked = np.concatenate([np.broadcast_to(root, q.roots.shape), offset], axis=2)
        out[a] = np.sum(np.linalg.solve(q.roots, stacked) ** 2, axis=(1, 2))
    return np.asarray(0.5 * (out - d + q.log_det - p.log_det[:, None]))


def log_products(p: Gaussians, q: Gaussians) -> Array:
    """(k, k') ``log ∫ p_a q_b = log N(μ_a | μ_b, Σ_a + Σ_b)`` in z."""
    out = np.empty((len(p.means), len(q.means)))
    for a, (mean, covariance) in enumerate(zip(p.means, p.covariances, strict=True)):
        roots = np.linalg.cholesky(covariance + q.covariances)
        away = np.linalg.solve(roots, (mean - q.means)[:, :, None])[:, :, 0]
        log_det = 2.0 * np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
        out[a] = log_norms(log_det, len(mean)) - 0.5 * np.sum(away**2, axis=1)
    return out
