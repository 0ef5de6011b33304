"""The E-step under low-rank covariances: moments projected on the directions of the mixture.

The full second moments S_k (d, d) are never formed. The M-step needs their diagonals and
``S_k B_k``, ``B_k = Σ_k⁻¹ Λ_k`` (Ghahramani & Hinton 1997), which cost O(d r) a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mixtura._types import Array
from mixtura.block import Block
from mixtura.covariance import FactorCovariances
from mixtura.kernels import low_rank
from mixtura.kernels.low_rank_gaps import Gaps
from mixtura.mixture import Mixture
from mixtura.scoring import joint_with, under_labels
from mixtura.statistics import Moments, Statistics
from mixtura.trimming import Cut, Trim

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
class Measured:
    """Rows of a tile against the components.

    Attributes
    ----------
    block : Block
    rows : Array (b, d) in the frame, or Gaps
    squared, log_det : (b, k)
    scores : (b, k, r)
        Factors expected of each row, as `kernels.low_rank` reads them.
    centred : bool
        Whether complete rows go through each component's own centre.
    """

    block: Block
    rows: Array | Gaps
    squared: Array
    log_det: Array
    scores: Array
    centred: bool

    def moments(self, shares: Array, scaled: Array, terms: low_rank.Terms) -> tuple[Array, Array]:
        """First and second moments for shares (b, k), and these times the law's weights."""
        if isinstance(self.rows, Gaps):
            return self.rows.sums(shares, scaled, self.scores)
        gather = low_rank.sums_centred if self.centred else low_rank.sums
        return gather(self.rows, scaled, self.scores, terms)

    def joint(self, mixture: Mixture) -> Array:
        """Log joint (b, k) under the rows' labels, with a last column for noise if there is any."""
        joint = joint_with(mixture, self.squared, self.log_det, self.block.mixed)
        return under_labels(mixture, joint, self.block.plausibility)

    def ranks(self, keys: Array, trim: Trim) -> Array:
        """What trimming ranks the rows by, for their log-likelihoods."""
        return trim.keys(keys, self.block.mixed.observed)

    @property
    def features(self) -> Array:
        """How many coordinates of each row are observed, (b,)."""
        return self.block.mixed.features[:, 0]

    def scaled(self, mixture: Mixture, shares: Array) -> Array:
        """Shares (b, k) times what the law weighs the rows by."""
        if mixture.plain:
            return shares
        return shares * mixture.law.row_weights(self.squared, self.block.mixed.features)


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
    k, d, rank = structure.loadings.shape
    sums = Sums(np.zeros(k), np.zeros(k), np.zeros((k, d)), np.zeros((k, d, 1 + rank)))
    for tile in measured(mixture, block):
        shares, value, noise = _assigned(mixture, tile, assign, cut)
        scaled = tile.scaled(mixture, shares)
        counts, mass = shares.sum(axis=0), scaled.sum(axis=0)
        sums = sums + Sums(counts, mass, *tile.moments(shares, scaled, terms), value, noise)
    onto = structure.onto_regressions(sums.second[:, :, 1:])
    second = moments.total(np.concatenate([sums.second[:, :, :1], onto], axis=2))
    counts, mass = sums.counts, sums.mass
    return Statistics(
        moments, pivot, counts, mass, counts, sums.first, second, sums.value, sums.noise
    )


def measured(mixture: Mixture, block: Block) -> Iterator[Measured]:
    """The tiles of a block, always the same ones to the last bit: complete rows, then others."""
    structure = mixture.structure
    assert isinstance(structure, FactorCovariances)
    terms = structure.terms(mixture.location)
    centred = bool(mixture.kept("cancellation", cancellation) > LOSS)
    measure = low_rank.distances_centred if centred else low_rank.distances
    whole, torn = block.tiles
    for part in whole:
        z = mixture.frame.read(part.rows)
        squared, scores = measure(z, terms)
        log_det = np.broadcast_to(structure.log_det, squared.shape)
        yield Measured(part, z, squared, log_det, scores, centred)
    for part in torn:
        gaps = Gaps(mixture.frame.read(part.rows), *part.masks, terms, centred)
        squared, log_det, scores = gaps.distances()
        yield Measured(part, gaps, squared, log_det, scores, centred)


def cancellation(mixture: Mixture) -> float:
    """Nats a row that products about zero may lose, for rows within three deviations of a mean."""
    structure = mixture.structure
    assert isinstance(structure, FactorCovariances)
    reach = np.abs(mixture.location) + 3.0 * np.sqrt(structure.variances_by_column)
    return float(_UNIT * (reach**2 / structure.noise).sum(axis=1).max())


def ranked_by_factors(mixture: Mixture, block: Block, assign: Assign, trim: Trim) -> Array:
    """What trimming ranks the rows of a block by, (n,)."""
    keys = [tile.ranks(assign(tile.joint(mixture))[1], trim) for tile in measured(mixture, block)]
    out = np.empty(len(block))
    out[block.groups[0]] = np.concatenate(keys)
    return out


def told_by_factors(
    mixture: Mixture, block: Block, assign: Assign, cut: Cut | None
) -> list[tuple[Array, Array, Array]]:
    """Squared distances (b, k), coordinates (b,) and weighted shares (b, k), by tile."""
    return [
        (tile.squared, tile.features, _assigned(mixture, tile, assign, cut)[0])
        for tile in measured(mixture, block)
    ]


def _assigned(
    mixture: Mixture, tile: Measured, assign: Assign, cut: Cut | None
) -> tuple[Array, float, float]:
    """Responsibilities times weights (b, k), as far as a cut keeps rows; log-likelihood; noise."""
    k, weights = mixture.n_components, tile.block.weight()
    shares, keys = assign(tile.joint(mixture))
    if cut is not None:
        keys = tile.ranks(keys, cut.trim)
        weights = weights * cut.kept(keys)
    shares = shares * weights[:, None]
    return shares[:, :k], float(keys @ weights), float(shares[:, k:].sum())
