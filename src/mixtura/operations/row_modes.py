"""The modes of many mixtures: those of one feature at once, others one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from mixtura._types import Array, Indices, Mask
from mixtura.conditioning import log_sums, shares
from mixtura.law import FARTHEST, LOG_2PI
from mixtura.operations.line import Line
from mixtura.operations.lines import Lines
from mixtura.operations.mixtures import Mixtures
from mixtura.operations.modes import modes

_OFFSETS = np.linspace(-8.0, 8.0, 65)
_HALVINGS = 60
_CELLS = 1 << 22
Flat = Callable[[Indices, Array], Array]


@dataclass(frozen=True, eq=False)
class RowModes:
    """The modes of n mixtures, the highest first, with room for j of them in each row.

    Attributes
    ----------
    points : (n, j, d)
        NaN where a mixture has fewer.
    log_densities : (n, j)
        -inf there.
    weights : (n, j)
        The probability of each hill, 0 there. Of one feature: between the antimodes on either
        side. Of more: the weights of the components whose means climb to it.
    counts : (n,)
    """

    points: Array
    log_densities: Array
    weights: Array
    counts: Indices

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        several = int((self.counts > 1).sum())
        return f"modes of {len(self)} mixtures, {several} of which have several"


def row_modes(mixtures: Mixtures) -> RowModes:
    """The modes of each mixture.

    All modes of a mixture of Gaussians on a line lie between its outermost means; there the signs
    of f', on a grid laid around every component and refined by the zeros of f'', bracket the turns.
    Student's t, noise and more features are left to `mixtura.modes`, mixture by mixture.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> joint = Mixture([0.3, 0.7], [[0, -2], [0, 2]], [[[1, 0], [0, 0.5]], [[1, 0], [0, 0.5]]])
    >>> found = joint.conditionals([[0.0]], given=[0]).modes()
    >>> found.points[0].round(2).ravel().tolist(), found.weights[0].round(2).tolist()
    ([2.0, -2.0], [0.7, 0.3])
    """
    if mixtures.n_features != 1 or not (lines := Lines.of(mixtures)).plain:
        return _one_by_one(mixtures)
    n, k = lines.means.shape
    size = max(1, _CELLS // (k * k * len(_OFFSETS)))
    parts = []
    for start in range(0, n, size):
        part = lines.take(slice(start, start + size))
        owners, z, logs, mass = _hills(part)
        points = mixtures.frame.unread(z[:, None])
        parts.append((owners + start, points, logs + mixtures.frame.log_volume, mass))
    return _packed(n, *(np.concatenate(column) for column in zip(*parts, strict=True)))


def _hills(lines: Lines) -> tuple[Indices, Array, Array, Array]:
    """Owner, place, log-density and probability of every hill, in rising order row by row."""
    owners, z, rising = turns(lines)
    top = owners[rising]
    below = np.concatenate([[0.0], lower(lines, owners, z)])
    first = np.append(True, top[1:] != top[:-1])
    last = np.append(top[1:] != top[:-1], True)
    place = np.flatnonzero(rising)
    left = np.where(first, 0.0, below[place])
    right = np.where(last, 1.0, np.append(below, 1.0)[place + 2])
    return top, z[rising], log_density(lines, top, z[rising]), right - left


def turns(lines: Lines) -> tuple[Indices, Array, Mask]:
    """Where the densities turn: owner, place, and whether it is a mode; in order row by row."""
    n = len(lines.means)
    grid = lines.means[:, :, None] + lines.deviations[:, :, None] * _OFFSETS
    ends = np.stack(
        [(lines.means - lines.deviations).min(1), (lines.means + lines.deviations).max(1)], axis=1
    )
    inside = np.clip(grid.reshape(n, -1), ends[:, :1], ends[:, 1:])
    z = np.sort(np.concatenate([inside, lines.means, ends], axis=1), axis=1).ravel()
    owners = np.repeat(np.arange(n), len(z) // n)
    bent = _zeros(lambda rows, at: _slopes(lines, rows, at)[1], owners, z)
    owners, z = np.append(owners, bent[0]), np.append(z, bent[1])
    order = np.lexsort((z, owners))
    return _zeros(lambda rows, at: _slopes(lines, rows, at)[0], owners[order], z[order])


def _zeros(function: Flat, owners: Indices, z: Array) -> tuple[Indices, Array, Mask]:
    """Where a function of each row changes its sign, and whether from above to below."""
    signs = np.sign(function(owners, z))
    kept = signs != 0
    owners, z, signs = owners[kept], z[kept], signs[kept]
    here = np.flatnonzero((signs[:-1] != signs[1:]) & (owners[:-1] == owners[1:]))
    rows, low, high, sign = owners[here], z[here], z[here + 1], signs[here]
    for _ in range(_HALVINGS):
        middle = low + 0.5 * (high - low)
        same = np.sign(function(rows, middle)) == sign
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return rows, low + 0.5 * (high - low), sign > 0


def _scores(lines: Lines, rows: Indices, z: Array) -> tuple[Array, Array]:
    """(z - μ) / σ and log π f, (b, k)."""
    t = np.clip((z[:, None] - lines.means[rows]) / lines.deviations[rows], -FARTHEST, FARTHEST)
    logs = lines.log_weights[rows] - np.log(lines.deviations[rows]) - 0.5 * (t * t + LOG_2PI)
    return t, logs


def _slopes(lines: Lines, rows: Indices, z: Array) -> tuple[Array, Array]:
    """f' and f'' up to the factor f: ``-Σ r t / σ`` and ``Σ r (t² - 1) / σ²``."""
    t, logs = _scores(lines, rows, z)
    share, inverse = shares(logs), 1.0 / lines.deviations[rows]
    return -(share * t * inverse).sum(axis=1), (share * (t * t - 1.0) * inverse**2).sum(axis=1)


def log_density(lines: Lines, rows: Indices, z: Array) -> Array:
    """log f at z (b,) of the mixtures `rows`, in frame coordinates."""
    return log_sums(_scores(lines, rows, z)[1])


def lower(lines: Lines, rows: Indices, z: Array) -> Array:
    """P(z' <= z) at z (b,) in the mixtures `rows`."""
    return np.asarray((np.exp(lines.log_weights[rows]) * ndtr(_scores(lines, rows, z)[0])).sum(1))


def _one_by_one(mixtures: Mixtures) -> RowModes:
    owners, points, logs, mass = [], [], [], []
    for row, one in enumerate(mixtures):
        found = modes(one)
        if one.n_features == 1:
            line = Line.of(one)
            edges = line.lower(line.turns[1::2])
            hills = np.diff(np.concatenate([[0.0], edges, [1.0]]))
            weights = hills[np.argsort(np.argsort(found.points[:, 0]))]
        else:
            weights = np.bincount(found.of_components, one.weights, len(found))
        owners.append(np.full(len(found), row))
        points.append(found.points)
        logs.append(found.log_densities)
        mass.append(weights)
    parts = (np.concatenate(column) for column in (owners, points, logs, mass))
    return _packed(len(mixtures), *parts)


def _packed(n: int, owners: Indices, points: Array, logs: Array, mass: Array) -> RowModes:
    """What was found in the order of the rows and, in each, of falling density."""
    order = np.lexsort((-logs, owners))
    owners, counts = owners[order], np.bincount(owners, minlength=n)
    place = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    most = int(counts.max())
    into = RowModes(
        np.full((n, most, points.shape[1]), np.nan),
        np.full((n, most), -np.inf),
        np.zeros((n, most)),
        counts,
    )
    into.points[owners, place] = points[order]
    into.log_densities[owners, place] = logs[order]
    into.weights[owners, place] = mass[order]
    return into
