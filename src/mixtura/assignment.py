"""How rows choose components: their log joint under all that is known, and what a rule makes of it.

The choice is the same whatever moments are then asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mixtura import kernels
from mixtura._types import Array, Mask
from mixtura.block import Block, Pattern
from mixtura.censoring import Hidden, hidden, log_probabilities
from mixtura.densities import many_gaps
from mixtura.kernels.layout import FACTOR
from mixtura.mixture import Mixture
from mixtura.projected import ranked_by_factors
from mixtura.scoring import (
    at_once,
    distances_at_once,
    joint_at,
    joint_with,
    squared_distances,
    under_labels,
)
from mixtura.trimming import Cut, Trim

Assign = Callable[[Array], tuple[Array, Array]]
"""Log joint (n, k) -> responsibilities (n, k) and the log-likelihood of each row (n,)."""


def soft(log_joint: Array) -> tuple[Array, Array]:
    """Responsibilities ``r_ik = P(k | x_i)``: expectation-maximization."""
    shares, log_likelihood = kernels.active().soft(log_joint)
    return shares, log_likelihood


def hard(log_joint: Array) -> tuple[Array, Array]:
    """All to the best component: classification EM (Celeux & Govaert 1992)."""
    best = kernels.active().best(log_joint)
    rows = np.arange(len(best))
    shares = np.zeros_like(log_joint)
    shares[rows, best] = 1.0
    return shares, log_joint[rows, best]


@dataclass(frozen=True, eq=False)
class Assigned:
    """Rows of one pattern, or of many at once, assigned to the components.

    Attributes
    ----------
    block : Block
    pattern : Pattern
    squared : (m, k)
        Squared distances over the observed coordinates; nothing where they are not needed.
    shares : (m, k)
        Responsibilities times the rows' weights, as far as a cut keeps the rows.
    keys : (m,)
        Log-likelihood of each row, or what the cut ranks it by.
    weights : (m,)
        The rows' weights, as far as a cut keeps them.
    noise : float
        Weight of the rows that are noise.
    hidden : tuple of Hidden or None
        What each component makes of cells within limits.
    """

    block: Block
    pattern: Pattern
    squared: Array
    shares: Array
    keys: Array
    weights: Array
    noise: float
    hidden: tuple[Hidden, ...] | None = None


def assigned(
    mixture: Mixture, block: Block, assign: Assign, cut: Cut | None = None
) -> Iterator[Assigned]:
    """Assign the rows of a block to the components: all at once, or pattern by pattern."""
    for part, pattern, squared, joint in _joints(mixture, block, mixture.plain and cut is None):
        within = None if pattern.bounded is None else hidden(mixture, part, pattern)
        if within is not None:
            joint = joint + log_probabilities(within)
        shares, keys = assign(joint)
        weights = part.weight()
        if cut is not None:
            keys = cut.trim.keys(keys, pattern.observed)
            weights = weights * cut.kept(keys)
        shares = shares * weights[:, None]
        k = mixture.n_components
        noise = float(shares[:, k:].sum())
        yield Assigned(part, pattern, squared, shares[:, :k], keys, weights, noise, within)


def ranked(mixture: Mixture, block: Block, assign: Assign, trim: Trim) -> tuple[Array, Array]:
    """What trimming ranks the rows of a block by, and their weights, (n,) each."""
    if mixture.structure.shape == FACTOR:
        return ranked_by_factors(mixture, block, assign, trim), block.weight()
    keys = np.empty(len(block))
    for _, pattern, _, joint in _joints(mixture, block, False):
        keys[pattern.rows] = trim.keys(assign(joint)[1], pattern.observed)
    return keys, block.weight()


def _joints(
    mixture: Mixture, block: Block, direct: bool
) -> Iterator[tuple[Block, Pattern, Array, Array]]:
    """Rows by pattern or at once, squared distances, and the log joint under the rows' labels.

    `direct` leaves out the distances. Blocks remember these, as a step may need them for its cut,
    for the degrees of freedom and for its sums.
    """
    of = (mixture.location, mixture.structure)
    for pattern, part in block.sides if many_gaps(block) and at_once() else block.parts:
        squared, observed = np.empty((0, 0)), pattern.observed
        if pattern.mixed:
            squared, log_det = _distances_at_once(mixture, part, of)
            joint = joint_with(mixture, squared, log_det, pattern)
        elif direct:
            joint = mixture.joint(part.rows, observed)
        else:
            squared = _distances(mixture, part, of, observed)
            joint = joint_at(mixture, squared, observed)
        yield part, pattern, squared, under_labels(mixture, joint, part.plausibility)


def _distances_at_once(
    mixture: Mixture, part: Block, of: tuple[object, ...]
) -> tuple[Array, Array]:
    return part.once(of, lambda: distances_at_once(mixture, part))


def _distances(mixture: Mixture, part: Block, of: tuple[object, ...], observed: Mask) -> Array:
    return part.once(of, lambda: squared_distances(mixture, part.rows, observed))
