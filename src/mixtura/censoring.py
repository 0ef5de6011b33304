"""Cells that are known to lie within limits: what the rows say of them in each component."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array, Mask
from mixtura.block import Block, Pattern
from mixtura.conditioning import shares
from mixtura.integrals.truncated import POINTS, Truncated, truncated
from mixtura.law import Gaussian
from mixtura.parts import Parts


@dataclass(frozen=True, eq=False)
class Hidden:
    """The hidden coordinates of rows of one pattern in one component.

    The bounded ones c are normal given what was observed, within their limits; the free ones f
    follow them by regression: ``z_f = ... + G (z_c - E[z_c]) + residual``.

    Attributes
    ----------
    log_probability : (n,)
        log P(c within its limits | what was observed).
    off : (n, h)
        E[z - μ] of the hidden coordinates.
    spread : (n, c, c)
        Cov[z_c].
    lead : (h, c)
        G, the identity on c.
    residual : (h, h)
        Of the free coordinates given all others.
    """

    log_probability: Array
    off: Array
    spread: Array
    lead: Array
    residual: Array

    def doubt(self, share: Array) -> Array:
        """``Σ_i share_i Cov[z_h]``, (h, h), for shares (n,) of the rows."""
        spread = np.tensordot(share, self.spread, axes=1)
        return np.asarray(self.lead @ spread @ self.lead.T + share.sum() * self.residual)


def hidden(
    mixture: Parts, block: Block, pattern: Pattern, points: int = POINTS
) -> tuple[Hidden, ...]:
    """What rows of a block that all have one pattern say of their hidden cells, by component.

    Raises
    ------
    InputError
        Student's t, or noise.
    """
    if not isinstance(mixture.law, Gaussian) or mixture.noise is not None:
        raise InputError(
            "cells within limits need Gaussian components without noise: leave out lower and "
            'upper, so that they count as missing, or fit with distribution="gaussian", noise=False'
        )
    return tuple(_hidden(mixture, block, pattern, points))


def _hidden(mixture: Parts, block: Block, pattern: Pattern, points: int) -> Iterator[Hidden]:
    observed = pattern.observed
    assert pattern.bounded is not None and block.limits is not None
    within, frame = pattern.bounded[~observed], mixture.frame.take(pattern.bounded)
    low, high = (frame.read(end[:, pattern.bounded]) for end in block.limits)
    z = mixture.frame.take(observed).read(block.rows[:, observed])
    seen = mixture.observed(observed)
    residuals = seen.residual
    for component, centre in enumerate(mixture.location):
        off = seen.missing(z - centre[observed], component)
        middle = centre[pattern.bounded] + off[:, within]
        doubt = residuals[component]
        own = doubt[np.ix_(within, within)]
        found = truncated(own, low - middle, high - middle, points=points)
        yield _followed(found, off, doubt, within)


def _followed(found: Truncated, off: Array, doubt: Array, within: Mask) -> Hidden:
    """The free coordinates by regression on the bounded ones, of conditional covariance (h, h)."""
    free, lead = ~within, np.zeros((len(within), int(within.sum())))
    lead[within] = np.eye(lead.shape[1])
    residual = np.zeros_like(doubt)
    if free.any():
        cross = doubt[np.ix_(free, within)]
        lead[free] = np.linalg.solve(doubt[np.ix_(within, within)], cross.T).T
        left = doubt[np.ix_(free, free)] - lead[free] @ cross.T
        residual[np.ix_(free, free)] = (left + left.T) / 2
    return Hidden(
        found.log_probability, off + found.mean @ lead.T, found.covariance, lead, residual
    )


def log_probabilities(found: tuple[Hidden, ...]) -> Array:
    """(n, k) log-probabilities of the limits in each component."""
    return np.column_stack([one.log_probability for one in found])


def filled_within(mixture: Parts, block: Block, pattern: Pattern, joint: Array) -> Array:
    """Rows (n, d) with hidden cells replaced by their means; `joint` knows of the limits."""
    missing, share = ~pattern.observed, shares(joint)
    guess = sum(
        share[:, [component]] * (mixture.location[component, missing] + one.off)
        for component, one in enumerate(hidden(mixture, block, pattern))
    )
    whole = np.array(block.rows, dtype=np.float64)
    whole[:, missing] = mixture.frame.take(missing).unread(guess)
    if block.limits is not None:  # rounding may step over a limit
        low, high = block.limits
        whole[:, missing] = np.clip(whole, low, high)[:, missing]
    return whole
