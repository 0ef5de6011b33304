"""How rows choose components: their log joint under all that is known, and what a rule makes of it.

The choice is the same whatever moments are then asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixtura._types import Array
from mixtura.block import Block, Pattern
from mixtura.censoring import Hidden, hidden, log_probabilities
from mixtura.kernels.layout import FACTOR
from mixtura.mixture import Mixture
from mixtura.projected import ranked_by_factors
from mixtura.scoring import joint_at, squared_distances, under_labels
from mixtura.trimming import Cut, Trim

Assign = Callable[[Array], tuple[Array, Array]]
"""Log joint (n, k) -> responsibilities (n, k) and the log-likelihood of each row (n,)."""


def soft(log_joint: Array) -> tuple[Array, Array]:
    """Responsibilities ``r_ik = P(k | x_i)``: expectation-maximization."""
    top = log_joint.max(axis=1)
    shares = np.exp(log_joint - top[:, None])
    norm = shares.sum(axis=1)
    return shares / norm[:, None], top + np.log(norm)


def hard(log_joint: Array) -> tuple[Array, Array]:
    """All to the best component: classification EM (Celeux & Govaert 1992)."""
    best = log_joint.argmax(axis=1)
    rows = np.arange(len(best))
    shares = np.zeros_like(log_joint)
    shares[rows, best] = 1.0
    return shares, log_joint[rows, best]


@dataclass(frozen=True, eq=False)
class Assigned:
    """Rows of one pattern, assigned to the components.

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
    mixture: Mixture, block: Block, pattern: Pattern, assign: Assign, cut: Cut | None = None
) -> Assigned:
    """Assign the rows of a block that all have one pattern."""
    squared, joint = _joint(mixture, block, pattern, mixture.plain and cut is None)
    within = None if pattern.bounded is None else hidden(mixture, block, pattern)
    if within is not None:
        joint = joint + log_probabilities(within)
    shares, keys = assign(joint)
    weights = block.weight()
    if cut is not None:
        keys = cut.trim.keys(keys, pattern.observed)
        weights = weights * cut.kept(keys)
    shares = shares * weights[:, None]
    k = mixture.n_components
    noise = float(shares[:, k:].sum())
    return Assigned(block, pattern, squared, shares[:, :k], keys, weights, noise, within)


def ranked(mixture: Mixture, block: Block, assign: Assign, trim: Trim) -> tuple[Array, Array]:
    """What trimming ranks the rows of a block by, and their weights, (n,) each."""
    if mixture.structure.shape == FACTOR:
        return ranked_by_factors(mixture, block, assign, trim), block.weight()
    keys = np.empty(len(block))
    for pattern, part in block.parts:
        _, joint = _joint(mixture, part, pattern, False)
        keys[pattern.rows] = trim.keys(assign(joint)[1], pattern.observed)
    return keys, block.weight()


def _joint(mixture: Mixture, block: Block, pattern: Pattern, direct: bool) -> tuple[Array, Array]:
    """Squared distances and log joint under the rows' labels; `direct` leaves out the distances.

    The block remembers the distances, as a step may need them for its cut, for the degrees of
    freedom and for its sums.
    """
    observed = pattern.observed
    if direct:
        squared, joint = np.empty((0, 0)), mixture.joint(block.rows, observed)
    else:
        of = (mixture.location, mixture.structure)
        squared = block.once(of, lambda: squared_distances(mixture, block.rows, observed))
        joint = joint_at(mixture, squared, observed)
    return squared, under_labels(mixture, joint, block.plausibility)
