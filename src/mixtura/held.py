"""What a fit leaves as it is: chosen weights, means and covariances, by value."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mixtura._types import Array, Mask
from mixtura.covariance import Covariances, Family
from mixtura.frame import Frame
from mixtura.mixture import Mixture
from mixtura.statistics import Statistics


@dataclass(frozen=True, eq=False)
class Held:
    """Parameters of some components that no step of a fit moves.

    Attributes
    ----------
    weights, means, covariances : (k,) bool
        Whose are held. Covariances of some components alone only in families whose components
        have nothing in common.
    values : Mixture
        What they are held at, in a frame that is the data's units; the rest of it is not read.
    """

    weights: Mask
    means: Mask
    covariances: Mask
    values: Mixture

    def about(self, data: Statistics, frame: Frame) -> Statistics:
        """The statistics about the held means, and nothing that would draw a mean from there.

        The scatter is then ``S + n (m - μ)(m - μ)ᵀ``, which is what the covariance of a held mean
        is estimated from.
        """
        if not self.means.any():
            return data
        which = self.means[:, None]
        moved = data.about(np.where(which, frame.read(self.values.location), data.pivot))
        return replace(moved, first=np.where(which, 0.0, moved.first))

    def into(self, found: Mixture, family: Family) -> Mixture:
        """A mixture of the family with everything that is held in its place.

        Free weights share what held ones leave in proportion, which maximises ``Σ n_k log π_k``
        over them: the M-step of the rest is that of all, put through here.
        """
        location = found.frame.read(self.values.location)
        return found.changed(
            weights=self._weights(found.weights),
            location=np.where(self.means[:, None], location, found.location),
            structure=self._structure(found, family),
        )

    def n_parameters(self, family: Family, d: int) -> int:
        """How many free parameters the family has less."""
        k, weights = len(self.weights), int(self.weights.sum())
        spared = (k - 1) - max(k - 1 - weights, 0)
        some = family.n_parameters(1, d) * int(self.covariances.sum())
        matrices = family.n_parameters(k, d) if self.covariances.all() else some
        return spared + d * int(self.means.sum()) + matrices

    def _weights(self, found: Array) -> Array:
        held = np.array(self.values.weights)
        free = ~self.weights
        if free.any():
            total = float(found[free].sum())
            shares = found[free] / total if total > 0 else 1.0 / free.sum()
            held[free] = (1.0 - held[self.weights].sum()) * shares
        return held

    def _structure(self, found: Mixture, family: Family) -> Covariances:
        if not self.covariances.any():
            return found.structure
        held = self.values.structure.scaled(found.frame.scale)
        if self.covariances.all():
            return held
        mine, other = held.array(), found.structure.array()
        which = self.covariances.reshape(-1, *[1] * (other.ndim - 1))
        return family.from_array(np.where(which, mine, other), *found.location.shape)
