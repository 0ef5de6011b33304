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

_FAR = 1e100
"""Deviations whose squares are numbers."""

_NARROW = 1e-7
"""Width of an interval, in deviations and over its distance from the mean, at least."""

_TINY = 5e-324


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
    within = pattern.bounded[~observed]
    low, high, width = _limits(mixture, block, pattern.bounded)
    z = mixture.frame.take(observed).read(block.rows[:, observed])
    seen = mixture.observed(observed)
    residuals = seen.residual
    for component, centre in enumerate(mixture.location):
        off = seen.missing(z - centre[observed], component)
        middle = centre[pattern.bounded] + off[:, within]
        doubt = residuals[component]
        own = doubt[np.ix_(within, within)]
        ends, share = _resolved(low - middle, high - middle, width, np.sqrt(own.diagonal()))
        found = truncated(own, *ends, points=points)
        found = found._replace(log_probability=found.log_probability + share)
        yield _followed(found, off, doubt, within)


def _limits(mixture: Parts, block: Block, bounded: Mask) -> tuple[Array, Array, Array]:
    """The ends (n, c) of the bounded cells in the frame, and how far apart they are."""
    assert block.limits is not None
    frame = mixture.frame.take(bounded)
    with np.errstate(over="ignore", invalid="ignore"):
        ends = [end[:, bounded] for end in block.limits]
        low, high = (frame.read(end) for end in ends)
        return low, high, (ends[1] - ends[0]) * frame.scale


def _resolved(
    low: Array, high: Array, width: Array, deviations: Array
) -> tuple[tuple[Array, Array], Array]:
    """Ends (n, c) less a mean that tell apart what they bound, and log P to be added (n,).

    Beyond 1e100 deviations they are infinite. Intervals so narrow that rounding eats their width
    are widened about their middle, where the density hardly changes, and are so much less probable.
    """
    far = _FAR * deviations
    low = np.where(low < -far, -np.inf, np.minimum(low, far))
    high = np.where(high > far, np.inf, np.maximum(high, -far))
    least = _NARROW * deviations / np.maximum(np.abs(low) / deviations, 1.0)
    narrow = width < least
    if not narrow.any():
        return (low, high), np.zeros(len(low))
    rest = np.where(narrow, 0.5 * (least - width), 0.0)
    share = np.where(narrow, np.maximum(width / np.where(narrow, least, 1.0), _TINY), 1.0)
    return (low - rest, high + rest), np.log(share).sum(axis=1)


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
