"""What the components of a Gaussian mixture are to each other, pair by pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtura._types import Array
from mixtura.conditioning import log_sums
from mixtura.law import LOG_2PI
from mixtura.mixture import Mixture

_CELLS = 1 << 22


@dataclass(frozen=True, eq=False)
class Pairs:
    """Closed forms between components a (rows) and b (columns), in frame coordinates.

    Attributes
    ----------
    divergence : (k, k)
        ``KL(N_a ‖ N_b) = ½ (tr Σ_b⁻¹ Σ_a - d + δ² + log |Σ_b| / |Σ_a|)``.
    bhattacharyya : (k, k)
        ``-log ∫ √(N_a N_b) = ⅛ δ̄² + ½ log |Σ̄| / √(|Σ_a| |Σ_b|)`` with ``Σ̄ = (Σ_a + Σ_b) / 2``.
    mahalanobis : (k, k)
        Distance δ̄ of the means by Σ̄.
    log_products : (k, k)
        ``log ∫ N_a N_b = log N(μ_a | μ_b, Σ_a + Σ_b)``.
    entropies : (k,)
    """

    divergence: Array
    bhattacharyya: Array
    mahalanobis: Array
    log_products: Array
    entropies: Array

    @classmethod
    def of(cls, mixture: Mixture) -> Pairs:
        """Of all components of a Gaussian mixture."""
        k, d = mixture.location.shape
        size = max(1, _CELLS // (k * d * d))
        parts = [_rows(mixture, slice(at, at + size)) for at in range(0, k, size)]
        divergence, squared, log_ratio = (np.concatenate(part) for part in zip(*parts, strict=True))
        log_det = mixture.structure.log_det
        halves = 0.5 * (log_det[:, None] + log_det)
        sums = log_ratio + halves + d * np.log(2.0)  # log |Σ_a + Σ_b|
        return cls(
            divergence,
            np.maximum(squared / 8.0 + 0.5 * log_ratio, 0.0),
            np.sqrt(squared),
            -0.5 * (d * LOG_2PI + sums + 0.5 * squared),
            0.5 * (d * (1.0 + LOG_2PI) + log_det),
        )


def _rows(mixture: Mixture, some: slice) -> tuple[Array, Array, Array]:
    """KL, δ̄² and ``log |Σ̄| - ½ log |Σ_a| |Σ_b|`` of some components to all."""
    dense, log_det = mixture.structure.dense(), mixture.structure.log_det
    d = dense.shape[1]
    off = mixture.location[some, None] - mixture.location
    own = np.linalg.inv(np.linalg.cholesky(dense))
    white = (own @ off[..., None])[..., 0]
    trace = np.einsum("bij,bil,ajl->ab", own, own, dense[some], optimize=True)
    gain = log_det - log_det[some, None]
    divergence = 0.5 * (trace - d + (white**2).sum(axis=2) + gain)
    middle = np.linalg.cholesky(0.5 * (dense[some, None] + dense))
    squared = (np.linalg.solve(middle, off[..., None])[..., 0] ** 2).sum(axis=2)
    log_middle = 2.0 * np.log(middle.diagonal(axis1=2, axis2=3)).sum(axis=2)
    return np.maximum(divergence, 0.0), squared, log_middle - 0.5 * (log_det[some, None] + log_det)


def log_average(weights: Array, logs: Array) -> Array:
    """``log Σ_b π_b exp(l_ab)`` of each row."""
    with np.errstate(divide="ignore"):
        return log_sums(logs + np.log(weights))
