"""The E-step under low-rank covariances: moments projected on the directions of the mixture.

The full second moments S_k (d, d) are never formed. The M-step needs their diagonals and
``S_k B_k``, ``B_k = Σ_k⁻¹ Λ_k`` (Ghahramani & Hinton 1997), which cost O(d r) a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixtura._types import Array
from mixtura.block import Block
from mixtura.covariance import FactorCovariances
from mixtura.kernels import low_rank
from mixtura.mixture import Mixture
from mixtura.scoring import joint_with, under_labels
from mixtura.statistics import Moments, Statistics
from mixtura.trimming import Cut

LOSS = 1e-9
"""Nats a row that forms about zero may lose to rounding before the centred ones take over."""

_UNIT = 2.0**-53

Assign = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Sums:
    """What a tile of rows adds; moments projected on the directions H of `kernels.low_rank`.

    Attributes
    ----------
    counts, mass : (k,)
    first : (k, d)
    second : (k, d, 1 + r)
    value : float
    noise : float
    """

    counts: Array
    mass: Array
    first: Array
    second: Array
    value: float = 0.0
    noise: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.counts + other.counts,
            self.mass + other.mass,
            self.first + other.first,
            self.second + other.second,
            self.value + other.value,
            self.noise + other.noise,
        )


@dataclass(frozen=True, eq=False)
class Shares:
    """Rows of a tile, assigned.

    Attributes
    ----------
    shares : (b, k)
        Responsibilities times weights, as far as a cut keeps the rows.
    scaled : (b, k)
        The same times what the law weighs the rows by.
    value, noise : float
    """

    shares: Array
    scaled: Array
    value: float
    noise: float

    def sums(self, first: Array, second: Array) -> Sums:
        """With the moments of the tile."""
        counts, mass = self.shares.sum(axis=0), self.scaled.sum(axis=0)
        return Sums(counts, mass, first, second, self.value, self.noise)


def projected(
    mixture: Mixture, block: Block, moments: Moments, assign: Assign, cut: Cut | None = None
) -> Statistics:
    """The expected statistics of a block about the mixture's means, and its log-likelihood.

    Complete rows go through products about zero where these lose next to nothing, else through
    each component's own centre.
    """
    structure, pivot = mixture.structure, mixture.location
    assert isinstance(structure, FactorCovariances)
    terms, moments = structure.terms(pivot), moments.at(structure)
    centred = bool(mixture.kept("cancellation", cancellation) > LOSS)
    k, d, rank = structure.loadings.shape
    sums = Sums(np.zeros(k), np.zeros(k), np.zeros((k, d)), np.zeros((k, d, 1 + rank)))
    whole, torn = block.tiles
    for part in whole:
        sums = sums + _complete(mixture, terms, part, assign, cut, centred)
    for part in torn:
        sums = sums + _gappy(mixture, terms, part, assign, cut)
    onto = structure.onto_regressions(sums.second[:, :, 1:])
    second = moments.total(np.concatenate([sums.second[:, :, :1], onto], axis=2))
    counts, mass = sums.counts, sums.mass
    return Statistics(
        moments, pivot, counts, mass, counts, sums.first, second, sums.value, sums.noise
    )


def cancellation(mixture: Mixture) -> float:
    """Nats a row that products about zero may lose, for rows within three deviations of a mean."""
    structure = mixture.structure
    assert isinstance(structure, FactorCovariances)
    reach = np.abs(mixture.location) + 3.0 * np.sqrt(structure.variances_by_column)
    return float(_UNIT * (reach**2 / structure.noise).sum(axis=1).max())


def _complete(
    mixture: Mixture,
    terms: low_rank.Terms,
    block: Block,
    assign: Assign,
    cut: Cut | None,
    centred: bool,
) -> Sums:
    measure = low_rank.distances_centred if centred else low_rank.distances
    gather = low_rank.sums_centred if centred else low_rank.sums
    z = mixture.frame.read(block.rows)
    squared, scores = measure(z, terms)
    log_det = np.broadcast_to(mixture.structure.log_det, squared.shape)
    found = _assigned(mixture, block, (squared, log_det), assign, cut)
    return found.sums(*gather(z, found.scaled, scores, terms))


def _gappy(
    mixture: Mixture, terms: low_rank.Terms, block: Block, assign: Assign, cut: Cut | None
) -> Sums:
    gaps = low_rank.Gaps(mixture.frame.read(block.rows), *block.masks)
    squared, log_det, scores = gaps.distances(terms)
    found = _assigned(mixture, block, (squared, log_det), assign, cut)
    return found.sums(*gaps.sums(found.shares, found.scaled, scores, terms))


def _assigned(
    mixture: Mixture, block: Block, at: tuple[Array, Array], assign: Assign, cut: Cut | None
) -> Shares:
    """Assign rows at squared distances, with log-determinants, (b, k) each."""
    (squared, log_det), k = at, mixture.n_components
    joint = np.empty((len(block), k + (mixture.noise is not None)))
    for pattern in block.patterns:
        rows, seen = pattern.rows, pattern.observed
        joint[rows] = joint_with(mixture, squared[rows], log_det[rows], seen)
    shares, keys = assign(under_labels(mixture, joint, block.plausibility))
    weights = block.weight()
    if cut is not None:
        for pattern in block.patterns:
            keys[pattern.rows] = cut.trim.keys(keys[pattern.rows], pattern.observed)
        weights = weights * cut.kept(keys)
    shares = shares * weights[:, None]
    noise = float(shares[:, k:].sum())
    shares = scaled = shares[:, :k]
    if not mixture.plain:
        scaled = shares.copy()
        for pattern in block.patterns:
            features = int(pattern.observed.sum())
            scaled[pattern.rows] *= mixture.law.row_weights(squared[pattern.rows], features)
    return Shares(shares, scaled, float(keys @ weights), noise)
