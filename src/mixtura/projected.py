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
from mixtura.law import LOG_2PI
from mixtura.mixture import Mixture
from mixtura.statistics import Moments, Statistics

_UNIT = 2.0**-53

Assign = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Sums:
    """What a tile of rows adds: mass (k,), first (k, d), second (k, d, 1 + r), log-likelihood."""

    mass: Array
    first: Array
    second: Array
    value: float

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.mass + other.mass,
            self.first + other.first,
            self.second + other.second,
            self.value + other.value,
        )


def projected(
    mixture: Mixture, block: Block, moments: Moments, assign: Assign, loss: float
) -> Statistics:
    """The expected statistics of a block about the mixture's means, and its log-likelihood.

    Complete rows go through products about zero where these lose at most `loss` nats a row, else
    through each component's own centre.
    """
    structure, pivot = mixture.structure, mixture.location
    assert isinstance(structure, FactorCovariances)
    terms, moments = structure.terms(pivot), moments.at(structure)
    centred = bool(mixture.kept("cancellation", cancellation) > loss)
    k, d, rank = structure.loadings.shape
    sums = Sums(np.zeros(k), np.zeros((k, d)), np.zeros((k, d, 1 + rank)), 0.0)
    whole, torn = block.tiles
    for part in whole:
        sums = sums + _complete(mixture, terms, part, assign, centred)
    for part in torn:
        sums = sums + _gappy(mixture, terms, part, assign)
    onto = structure.onto_regressions(sums.second[:, :, 1:])
    on_basis = np.concatenate([sums.second[:, :, :1], onto], axis=2)
    counts, second = sums.mass, moments.total(on_basis)
    return Statistics(moments, pivot, counts, counts, counts, sums.first, second, sums.value)


def cancellation(mixture: Mixture) -> float:
    """Nats a row that products about zero may lose, for rows within three deviations of a mean."""
    structure = mixture.structure
    assert isinstance(structure, FactorCovariances)
    reach = np.abs(mixture.location) + 3.0 * np.sqrt(structure.variances_by_column)
    return float(_UNIT * (reach**2 / structure.noise).sum(axis=1).max())


def _complete(
    mixture: Mixture, terms: low_rank.Terms, block: Block, assign: Assign, centred: bool
) -> Sums:
    measure = low_rank.distances_centred if centred else low_rank.distances
    gather = low_rank.sums_centred if centred else low_rank.sums
    z = mixture.frame.read(block.rows)
    squared, scores = measure(z, terms)
    norms = z.shape[1] * LOG_2PI + mixture.structure.log_det
    shares, value = _assigned(mixture.log_weights - 0.5 * (squared + norms), block, assign)
    return Sums(shares.sum(axis=0), *gather(z, shares, scores, terms), value)


def _gappy(mixture: Mixture, terms: low_rank.Terms, block: Block, assign: Assign) -> Sums:
    seen, which = block.masks
    gaps = low_rank.Gaps(mixture.frame.read(block.rows), seen, which)
    squared, log_det, factors = gaps.distances(terms)
    norms = (seen.sum(axis=1) * LOG_2PI)[which, None] + log_det
    shares, value = _assigned(mixture.log_weights - 0.5 * (squared + norms), block, assign)
    return Sums(shares.sum(axis=0), *gaps.sums(shares, factors, terms), value)


def _assigned(joint: Array, block: Block, assign: Assign) -> tuple[Array, float]:
    """Responsibilities times weights, and the log-likelihood."""
    if block.plausibility is not None:
        joint = joint + block.plausibility
    shares, values = assign(joint)
    weights = block.weight()
    return shares * weights[:, None], float(values @ weights)
