"""A mixture as a point of a vector space, for leaps where statistics are none.

Moments projected on the directions of one mixture do not add to those of another, so low-rank
mixtures leap in their parameters: log weights, means, loadings and log noise, and where there are
any, log degrees of freedom and the log odds of noise rows. An EM step moves loadings without
turning them, as its fixed points are those of ``Λ ← S B L⁻ᵀ`` with ``L = I``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit, logit

from mixtura._types import Array
from mixtura.covariance import FactorCovariances
from mixtura.law import LEAST, MOST, StudentT
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
        structure, law = mixture.structure, mixture.law
        assert isinstance(structure, FactorCovariances)
        parts = [mixture.log_weights, mixture.location, structure.loadings, np.log(structure.noise)]
        if isinstance(law, StudentT):
            parts.append(np.log(law.dof))
        if mixture.noise is not None:
            parts.append(np.array([logit(mixture.noise.share)]))
        return cls(np.concatenate([part.ravel() for part in parts]))

    def __add__(self, other: Coordinates) -> Coordinates:
        return Coordinates(self.values + other.values)

    def __mul__(self, factor: float) -> Coordinates:
        return Coordinates(factor * self.values)

    __rmul__ = __mul__

    def __sub__(self, other: Coordinates) -> Coordinates:
        return Coordinates(self.values - other.values)

    def parts(self) -> list[Coordinates]:
        """The point itself: a few numbers need not be taken in turn."""
        return [self]

    def norm(self) -> float:
        """Euclidean length."""
        return float(np.linalg.norm(self.values))

    def mixture(self, like: Mixture, floor: float) -> Mixture | None:
        """The mixture there, its noise at least at the floor; None where it is no mixture."""
        structure = like.structure
        assert isinstance(structure, FactorCovariances)
        k, d, rank = structure.loadings.shape
        ends = np.cumsum([k, k * d, k * d * rank, k * d])
        logs, location, loadings, noise, rest = np.split(self.values, ends)
        if not np.isfinite(self.values).all() or noise.max() > _LARGEST:
            return None
        weights = np.exp(logs - logs.max())
        there = replace(
            structure,
            loadings=loadings.reshape(k, d, rank),
            noise=np.maximum(np.exp(noise.reshape(k, d)), floor),
        )
        return like.changed(
            weights=weights / weights.sum(),
            location=location.reshape(k, d),
            structure=there,
            **_robust(like, rest),
        )


def _robust(like: Mixture, rest: Array) -> dict[str, Any]:
    """The law and noise of the last coordinates."""
    law, noise, k = like.law, like.noise, like.n_components
    if isinstance(law, StudentT) and not law.settled:
        law = StudentT(np.clip(np.exp(np.minimum(rest[:k], 50.0)), LEAST, MOST), law.tie)
    return {"law": law, "noise": None if noise is None else noise.sharing(float(expit(rest[-1])))}
