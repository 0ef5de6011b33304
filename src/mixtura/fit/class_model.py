"""What a classifier knows: a prior probability and a density for every class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mixtura._types import Array, Indices
from mixtura.block import Block
from mixtura.conditioning import log_sums, shares
from mixtura.covariance import structure
from mixtura.mixture import Mixture
from mixtura.source import MemorySource


@dataclass(frozen=True, eq=False)
class ClassModel:
    """``P(x, c) = π_c P_c(x)``, where each class has a mixture ``P_c`` of its own.

    Attributes
    ----------
    priors : (C,)
        Probabilities of the classes, summing to one.
    mixtures : tuple of C Mixtures
    """

    priors: Array
    mixtures: tuple[Mixture, ...]

    def log_joint(self, source: MemorySource) -> Array:
        """``log π_c + log P_c(x_i)`` (n, C) in the data's units, by the observed coordinates."""
        out = np.empty((source.n, len(self.mixtures)))

        def write(block: Block, place: slice) -> None:
            for index, mixture in enumerate(self.mixtures):
                mixture.fill(block, log_sums, out[place, index])

        source.each(write)
        with np.errstate(divide="ignore"):
            return out + np.log(self.priors)

    def log_density(self, source: MemorySource) -> Array:
        """``log Σ_c π_c P_c(x_i)`` (n,)."""
        return log_sums(self.log_joint(source))

    def log_probabilities(self, source: MemorySource) -> Array:
        """``log P(c | x_i)`` (n, C)."""
        joint = self.log_joint(source)
        return np.asarray(joint - log_sums(joint)[:, None])

    def probabilities(self, source: MemorySource) -> Array:
        """``P(c | x_i)`` (n, C); rows sum to one."""
        return shares(self.log_joint(source))

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, Indices]:
        """Draw rows (n, d) and their classes (n,)."""
        classes = rng.choice(len(self.priors), size=n, p=self.priors)
        rows = np.empty((n, self.mixtures[0].n_features))
        for index in np.unique(classes):
            mine = classes == index
            rows[mine] = self.mixtures[index].sample(int(mine.sum()), rng)
        return rows, classes

    @cached_property
    def owners(self) -> Indices:
        """The class (K,) of each component of `union`."""
        sizes = [mixture.n_components for mixture in self.mixtures]
        return np.repeat(np.arange(len(sizes)), sizes)

    @cached_property
    def union(self) -> Mixture:
        """The density of a row whose class is unknown, as one mixture of all components."""
        return united(self.mixtures, self.priors)


def united(mixtures: Sequence[Mixture], shares: Array) -> Mixture:
    """The mixture ``Σ_c share_c P_c`` of all components, with full covariances."""
    first = mixtures[0]
    if len(mixtures) == 1:
        return first
    frame, d = first.frame, first.n_features
    weights = [share * one.weights for share, one in zip(shares, mixtures, strict=True)]
    location = [frame.read(one.means) if one.frame != frame else one.location for one in mixtures]
    dense = [one.shaped(frame).dense() for one in mixtures]
    whole, k = np.concatenate(weights), sum(map(len, location))
    shape = structure(np.concatenate(dense), "full", k, d)
    return Mixture.of(
        whole / whole.sum(), np.concatenate(location), shape, frame, first.feature_names
    )
