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


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Log weights (k,), means (k, d), loadings (k, d, r) and log noise (k, d)."""

    parts: tuple[Array, ...]

    @classmethod
    def of(cls, mixture: Mixture) -> Coordinates:
        """Where a low-rank mixture lies."""
        structure = mixture.structure
        assert isinstance(structure, FactorCovariances)
        return cls(
            (mixture.log_weights, mixture.location, structure.loadings, np.log(structure.noise))
        )

    def __add__(self, other: Coordinates) -> Coordinates:
        return Coordinates(tuple(a + b for a, b in zip(self.parts, other.parts, strict=True)))

    def __mul__(self, factor: float) -> Coordinates:
        return Coordinates(tuple(factor * part for part in self.parts))

    __rmul__ = __mul__

    def __sub__(self, other: Coordinates) -> Coordinates:
        return self + (-1.0) * other

    def norm(self) -> float:
        """Euclidean length."""
        return float(np.sqrt(sum(np.vdot(part, part) for part in self.parts)))

    def mixture(self, like: Mixture, floor: float) -> Mixture | None:
        """The mixture there, its noise at least at the floor; None where it is no mixture."""
        logs, location, loadings, log_noise = self.parts
        structure = like.structure
        assert isinstance(structure, FactorCovariances)
        if not all(np.isfinite(part).all() for part in self.parts) or log_noise.max() > 300.0:
            return None
        weights = np.exp(logs - logs.max())
        noise = np.maximum(np.exp(log_noise), floor)
        there = replace(structure, loadings=loadings, noise=noise)
        return Mixture.of(weights / weights.sum(), location, there, like.frame, like.feature_names)
