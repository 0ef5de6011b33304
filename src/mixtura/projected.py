"""The E-step under low-rank covariances: moments projected on the directions of the mixture.

The full second moments S_k (d, d) are never formed. The M-step needs their diagonals and
``S_k B_k``, ``B_k = Σ_k⁻¹ Λ_k`` (Ghahramani & Hinton 1997, eq. 7-8), which cost O(d r) a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from mixtura._types import Array, Indices
from mixtura.block import Block
from mixtura.covariance import FactorCovariances
from mixtura.kernels import low_rank
from mixtura.law import LOG_2PI
from mixtura.mixture import Mixture
from mixtura.statistics import Moments, Statistics

_TILE = 1 << 19  # numbers in the rows of a tile: 4 MiB

_UNIT = 2.0**-53

Assign = Callable[[Array], tuple[Array, Array]]


def projected(
    mixture: Mixture, block: Block, moments: Moments, assign: Assign, loss: float
) -> Statistics:
    """The expected statistics of a block about the mixture's means, and its log-likelihood.

    Complete rows go through products about zero where these lose at most `loss` nats a row, else
    through each component's own centre.
    """
    structure = mixture.structure
    assert isinstance(structure, FactorCovariances)
    centred = bool(mixture.kept("cancellation", cancellation) > loss)
    total = Statistics.zero(moments.at(structure), mixture.location)
    whole, torn = block.torn
    for part in _tiles(whole):
        total = total + _complete(mixture, structure, part, total.moments, assign, centred)
    for part in _tiles(torn):
        total = total + _gappy(mixture, structure, part, total.moments, assign)
    return total


def cancellation(mixture: Mixture) -> float:
    """Nats a row that products about zero may lose, for rows within three deviations of a mean."""
    structure = mixture.structure
    assert isinstance(structure, FactorCovariances)
    reach = np.abs(mixture.location) + 3.0 * np.sqrt(structure.variances_by_column)
    return float(_UNIT * (reach**2 / structure.noise).sum(axis=1).max())


def _tiles(block: Block | None) -> Iterator[Block]:
    if block is None:
        return
    size = max(_TILE // max(block.rows.shape[1], 1), 64)
    if len(block) <= size:
        yield block
        return
    for start in range(0, len(block), size):
        yield block.take(slice(start, start + size))


def _complete(
    mixture: Mixture,
    structure: FactorCovariances,
    block: Block,
    moments: Moments,
    assign: Assign,
    centred: bool,
) -> Statistics:
    terms = structure.terms(mixture.location)
    measure = low_rank.distances_centred if centred else low_rank.distances
    gather = low_rank.sums_centred if centred else low_rank.sums
    z = mixture.frame.read(block.rows)
    squared, scores = measure(z, terms)
    norms = structure.d * LOG_2PI + structure.log_det
    joint = mixture.log_weights - 0.5 * (squared + norms)
    shares, value = _assigned(joint, block, assign)
    sums = gather(z, shares, scores, terms)
    return _statistics(mixture, structure, moments, shares.sum(axis=0), sums, value)


def _gappy(
    mixture: Mixture,
    structure: FactorCovariances,
    block: Block,
    moments: Moments,
    assign: Assign,
) -> Statistics:
    terms = structure.terms(mixture.location)
    seen, which = _patterns(block)
    gaps = low_rank.Gaps(mixture.frame.read(block.rows), seen, which)
    squared, log_det, factors = gaps.distances(terms)
    norms = (seen.sum(axis=1) * LOG_2PI)[which, None] + log_det
    joint = mixture.log_weights - 0.5 * (squared + norms)
    shares, value = _assigned(joint, block, assign)
    sums = gaps.sums(shares, factors, terms)
    return _statistics(mixture, structure, moments, shares.sum(axis=0), sums, value)


def _patterns(block: Block) -> tuple[Array, Indices]:
    """What each pattern observes (p, d) as 0 and 1, and the pattern of each row."""
    which = np.empty(len(block), dtype=np.intp)
    for number, pattern in enumerate(block.patterns):
        which[pattern.rows] = number
    return np.array([one.observed for one in block.patterns], dtype=float), which


def _assigned(joint: Array, block: Block, assign: Assign) -> tuple[Array, float]:
    """Responsibilities times weights, and the log-likelihood."""
    if block.plausibility is not None:
        joint = joint + block.plausibility
    shares, values = assign(joint)
    weights = block.weight()
    return shares * weights[:, None], float(values @ weights)


def _statistics(
    mixture: Mixture,
    structure: FactorCovariances,
    moments: Moments,
    mass: Array,
    sums: tuple[Array, Array],
    value: float,
) -> Statistics:
    """Sums projected on H, as statistics projected on ``B = H C⁻¹``."""
    first, second = sums
    second[:, :, 1:] = second[:, :, 1:] @ structure.terms(mixture.location).inner
    pivot, total = mixture.location, moments.total(second)
    return Statistics(moments, pivot, mass, mass, mass, first, total, value)
