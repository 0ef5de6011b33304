"""Highest-density regions of many mixtures of one feature at once: one or more intervals each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array, Indices, Mask
from mixtura.operations.lines import Lines
from mixtura.operations.mixtures import Mixtures
from mixtura.operations.predictions import proper_coverage
from mixtura.operations.region import highest_density_region
from mixtura.operations.row_modes import log_density, lower, turns

_FAR = 40.0
_HALVINGS = 52
_ROUNDS = 60
_CLOSE = 1e-12


@dataclass(frozen=True, eq=False)
class Slopes:
    """The stretches between turns, on which each density rises or falls all the way.

    Attributes
    ----------
    lines : Lines
    owners : (s,)
    low, high : (s,)
    log_low, log_high : (s,)
        The log-densities there.
    """

    lines: Lines
    owners: Indices
    low: Array
    high: Array
    log_low: Array
    log_high: Array

    @classmethod
    def of(cls, lines: Lines) -> Slopes:
        """From far below the lowest mean to far above the highest."""
        rows = np.arange(len(lines.means))
        first = (lines.means - _FAR * lines.deviations).min(axis=1)
        last = (lines.means + _FAR * lines.deviations).max(axis=1)
        owners, z, _ = turns(lines)
        owners, z = np.concatenate([rows, owners, rows]), np.concatenate([first, z, last])
        order = np.lexsort((z, owners))
        owners, z = owners[order], z[order]
        logs = log_density(lines, owners, z)
        here = np.flatnonzero(owners[1:] == owners[:-1])
        return cls(lines, owners[here], z[here], z[here + 1], logs[here], logs[here + 1])

    def top(self) -> Array:
        """(n,) the log-density at the highest mode."""
        out = np.full(len(self.lines.means), -np.inf)
        np.maximum.at(out, self.owners, self.log_high)
        return out

    def edges(self, level: Array) -> tuple[Indices, Array, Mask]:
        """Where the densities cross the levels (n,): owner, place, and whether upwards."""
        wanted = level[self.owners]
        upward = self.log_high >= wanted
        some = np.flatnonzero(upward != (self.log_low >= wanted))
        rows, low, high = self.owners[some], self.low[some], self.high[some]
        up, wanted = upward[some], wanted[some]
        for _ in range(_HALVINGS):
            middle = low + 0.5 * (high - low)
            after = (log_density(self.lines, rows, middle) >= wanted) == up
            low, high = np.where(after, low, middle), np.where(after, middle, high)
        return rows, low + 0.5 * (high - low), up

    def mass(self, level: Array) -> Array:
        """(n,) the probability of what is at least as dense as the levels (n,)."""
        rows, z, up = self.edges(level)
        signed = np.where(up, -1.0, 1.0) * lower(self.lines, rows, z)
        return np.bincount(rows, signed, len(self.lines.means))


def row_regions(mixtures: Mixtures, probability: float) -> Array:
    """(n, j, 2) the intervals of highest density that hold a probability in each mixture.

    The region ``{x : f(x) >= c}`` (Hyndman 1996): its edges by bisection between the turns of f,
    log c by the regula falsi (Illinois) on the probability held. NaN where a mixture has fewer
    intervals than others. With Student's t, `mixtura.highest_density_region` row by row.

    Raises
    ------
    InputError
        More than one feature, a probability outside (0, 1), or noise.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> joint = Mixture([0.5, 0.5], [[0, 0], [0, 9]], [[[1, 0], [0, 1]]] * 2)
    >>> joint.conditionals([[0.0]], given=[0]).regions(0.95).round(2).tolist()
    [[[-1.96, 1.96], [7.04, 10.96]]]
    """
    p = proper_coverage(probability)
    lines = Lines.of(mixtures)
    if mixtures.noise is not None:
        raise InputError(
            "a region of highest density under noise is no list of intervals: take central "
            "intervals, by quantile"
        )
    if not lines.plain:
        return _one_by_one(mixtures, p)
    slopes = Slopes.of(lines)
    rows, z, up = slopes.edges(_levels(slopes, p))
    edges = np.column_stack([z[up], z[~up]])
    return _packed(rows[up], mixtures.frame.unread(edges[:, :, None])[:, :, 0], len(mixtures))


def _levels(slopes: Slopes, p: float) -> Array:
    """(n,) log c."""
    low, high = _floor(slopes, p), slopes.top()
    over, under = slopes.mass(low) - p, np.full(len(low), -p)
    level, side = low.copy(), np.zeros(len(low))
    for _ in range(_ROUNDS):
        level = (low * under - high * over) / (under - over)
        gap = slopes.mass(level) - p
        if (np.abs(gap) <= _CLOSE).all():
            break
        above = gap >= 0
        under = np.where(above & (side > 0), 0.5 * under, under)
        over = np.where(~above & (side < 0), 0.5 * over, over)
        low, over = np.where(above, level, low), np.where(above, gap, over)
        high, under = np.where(above, high, level), np.where(above, under, gap)
        side = np.where(above, 1.0, -1.0)
    return np.asarray(level)


def _floor(slopes: Slopes, p: float) -> Array:
    """A level low enough that its region holds the central interval."""
    lines, rows = slopes.lines, np.arange(len(slopes.lines.means))
    ends = [lines.solved_at(0.5 * (1.0 - p)), lines.solved_at(0.5 * (1.0 + p))]
    floor = np.minimum(*(log_density(lines, rows, end) for end in ends))
    inner = (slopes.low > ends[0][slopes.owners]) & (slopes.low < ends[1][slopes.owners])
    np.minimum.at(floor, slopes.owners[inner], slopes.log_low[inner])
    return np.asarray(floor)


def _one_by_one(mixtures: Mixtures, p: float) -> Array:
    every = [highest_density_region(one, p).intervals for one in mixtures]
    found = [one for one in every if one is not None]
    owners = np.repeat(np.arange(len(found)), [len(one) for one in found])
    return _packed(owners, np.concatenate(found), len(found))


def _packed(owners: Indices, edges: Array, n: int) -> Array:
    counts = np.bincount(owners, minlength=n)
    place = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    out = np.full((n, int(counts.max()), 2), np.nan)
    out[owners, place] = edges
    return out
