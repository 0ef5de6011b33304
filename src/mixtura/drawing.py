"""What a mixture is like as a whole: rows drawn from it, its mean and covariance, in the frame."""

from __future__ import annotations

import numpy as np

from mixtura._types import Array, Indices
from mixtura.covariance import FactorCovariances
from mixtura.parts import Parts


def drawn(
    mixture: Parts, n: int, rng: np.random.Generator, component: int | None
) -> tuple[Array, Indices]:
    """Rows (n, d) in frame coordinates and the component of each, -1 for noise."""
    k, d = mixture.location.shape
    chances = mixture.weights if component is None else np.eye(k)[component]
    labels = rng.choice(k, size=n, p=chances / chances.sum())
    z = rng.standard_normal((n, d))
    for index, centre in enumerate(mixture.location):
        mine = labels == index
        coloured = mixture.structure.colorize(z[mine], index)
        z[mine] = coloured / mixture.law.shrunk(rng, len(coloured), index) + centre
    if mixture.noise is not None and component is None:
        lost = rng.random(n) < mixture.noise.share
        z[lost], labels[lost] = mixture.noise.sample(int(lost.sum()), rng), -1
    return z, labels


def centre(mixture: Parts) -> Array:
    """``Σ π_k μ_k``, and the middle of the noise by its share, (d,)."""
    within = mixture.weights @ mixture.location
    if mixture.noise is None:
        return np.asarray(within)
    return np.asarray(within + mixture.noise.share * (mixture.noise.mean() - within))


def total_covariance(mixture: Parts) -> Array:
    """``Σ π_k (Cov_k + (μ_k - m)(μ_k - m)ᵀ)`` and the same of the noise by its share, (d, d)."""
    middle, noise = centre(mixture), mixture.noise
    off = mixture.location - middle
    shares = mixture.weights * np.broadcast_to(mixture.law.inflation, mixture.weights.shape)
    if isinstance(mixture.structure, FactorCovariances):
        within = mixture.structure.averaged(shares)
    else:
        within = np.einsum("k,kij->ij", shares, mixture.structure.dense())
    total = within + (mixture.weights * off.T) @ off
    if noise is None:
        return np.asarray(total)
    lone = noise.mean() - middle
    even = noise.covariance() + np.outer(lone, lone)
    return np.asarray((1.0 - noise.share) * total + noise.share * even)
