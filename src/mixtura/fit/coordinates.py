"""A mixture as a point of a vector space, for leaps where statistics are none.

Moments projected on the directions of one mixture do not add to those of another, so low-rank
mixtures leap in their parameters: log weights, means, loadings and log noise. An EM step moves
loadings without turning them, as its fixed points are those of ``Λ ← S B L⁻ᵀ`` with ``L = I``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mixtura._types import Array
from mixtura.covariance import FactorCovariances
from mixtura.mixture import Mixture

_LARGEST = 300.0
"""The logarithm of a noise variance beyond which there is no mixture."""


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Log weights (k,), means (k, d), loadings (k, d, r), log noise (k, d), one after another."""

    values: Array

    @classmethod
    def of(cls, mixture: Mixture) -> Coordinates:
        """Where a low-rank mixture lies."""
        structure = mixture.structure
        assert isinstance(structure, FactorCovariances)
        parts = (mixture.log_weights, mixture.location, structure.loadings, np.log(structure.noise))
        return cls(np.concatenate([part.ravel() for part in parts]))

    def __add__(self, other: Coordinates) -> Coordinates:
        return Coordinates(self.values + other.values)

    def __mul__(self, factor: float) -> Coordinates:
        return Coordinates(factor * self.values)

    __rmul__ = __mul__

    def __sub__(self, other: Coordinates) -> Coordinates:
        return Coordinates(self.values - other.values)

    def norm(self) -> float:
        """Euclidean length."""
        return float(np.linalg.norm(self.values))

    def mixture(self, like: Mixture, floor: float) -> Mixture | None:
        """The mixture there, its noise at least at the floor; None where it is no mixture."""
        structure = like.structure
        assert isinstance(structure, FactorCovariances)
        k, d, rank = structure.loadings.shape
        logs, location, loadings, noise = np.split(self.values, np.cumsum([k, k * d, k * d * rank]))
        if not np.isfinite(self.values).all() or noise.max() > _LARGEST:
            return None
        weights = np.exp(logs - logs.max())
        there = replace(
            structure,
            loadings=loadings.reshape(k, d, rank),
            noise=np.maximum(np.exp(noise.reshape(k, d)), floor),
        )
        return Mixture.of(
            weights / weights.sum(), location.reshape(k, d), there, like.frame, like.feature_names
        )
