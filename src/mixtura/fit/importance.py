"""Rows drawn the more likely the more they matter to a mixture, and what each then stands for.

How much a row can matter to any mixture of k components is bounded by its *sensitivity* (Feldman,
Faulkner & Krause 2011; Lucic, Faulkner, Krause & Feldman 2018),

    s_i = w_i (α d²_i / φ + 2 α φ_c / φ + 4 W / W_c),   α = 16 (log k + 2),

of a rough clustering: d_i is the row's distance from the nearest of k places, c that place's
cluster, φ_c and W_c the mean of d² and the weight in the cluster, φ and W those of all. To rows
with a label, ``4 w_i W / W_l`` is added for the weight W_l of those with the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mixtura._types import Array, Indices, Rows
from mixtura.block import Block
from mixtura.fit import seeds
from mixtura.fit.principal import whitening
from mixtura.frame import Frame
from mixtura.source import Source
from mixtura.tree import tree_sum


@dataclass(frozen=True, eq=False)
class Clusters:
    """A rough clustering of rows in whitened columns.

    Attributes
    ----------
    frame : Frame
    centre : (d,), matrix : (d, r)
        Rows z of the frame are at ``(z - centre) @ matrix``.
    places : (k, r)
    """

    frame: Frame
    centre: Array
    matrix: Array
    places: Array

    def nearest(self, rows: Rows) -> tuple[Indices, Array]:
        """The nearest place of each row (n,), and the squared distance from it (n,)."""
        z = np.nan_to_num(self.frame.read(rows), nan=0.0)
        at = (z - self.centre) @ self.matrix
        labels = ((self.places**2).sum(axis=1) - 2.0 * at @ self.places.T).argmin(axis=1)
        return labels, ((at - self.places[labels]) ** 2).sum(axis=1)


def clustered(block: Block, frame: Frame, k: int, rng: np.random.Generator) -> Clusters:
    """Seeds and Lloyd's steps on some of the rows."""
    z, weights = np.nan_to_num(frame.read(block.rows), nan=0.0), block.weight()
    centre, matrix, _ = whitening(z, weights)
    rows = np.asfortranarray((z - centre) @ matrix)
    places = seeds.plus_plus(rows, weights, k, rng)
    return Clusters(frame, centre, matrix, seeds.settled(rows, weights, places, seeds.LLOYD))


@dataclass(frozen=True, eq=False)
class Sums:
    """What sensitivities depend on: of each cluster the weight (k,), ``Σ w d²`` (k,), and the
    number of rows that have a weight (k,); and the weight of each label (l,).
    """

    weights: Array
    spreads: Array
    counts: Array
    told: Array

    def __add__(self, other: Sums) -> Sums:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Sums(*(a + b for a, b in pairs))

    @classmethod
    def of(cls, clusters: Clusters, blocks: Sequence[Block]) -> Sums:
        """Those of several blocks."""
        return tree_sum([cls._of(clusters, block) for block in blocks])

    @classmethod
    def _of(cls, clusters: Clusters, block: Block) -> Sums:
        k, weights = len(clusters.places), block.weight()
        labels, distances = clusters.nearest(block.rows)
        mass, spread, counts = (
            np.bincount(labels, each, k) for each in (weights, weights * distances, weights > 0)
        )
        named, names = _told(block)
        return cls(mass, spread, counts, np.bincount(names, weights[named], _labels(block)))


def _labels(block: Block) -> int:
    return 0 if block.plausibility is None else block.plausibility.shape[1]


def _told(block: Block) -> tuple[Indices, Indices]:
    """The rows whose label says something, and the component it makes likeliest."""
    if block.plausibility is None:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    known = np.flatnonzero(block.plausibility.min(axis=1) < block.plausibility.max(axis=1))
    return known, block.plausibility[known].argmax(axis=1)


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """``s_i = w_i (slope d²_i + offset_c + told_l)``."""

    slope: float
    offset: Array
    told: Array

    @classmethod
    def of(cls, sums: Sums) -> Sensitivity:
        """By the sums over all rows."""
        k, total, spread = len(sums.weights), sums.weights.sum(), sums.spreads.sum()
        slope = float(16.0 * (np.log(k) + 2.0) * total / spread) if spread > 0 else 0.0
        safe, known = (np.where(one > 0, one, np.inf) for one in (sums.weights, sums.told))
        offset = 2.0 * slope * sums.spreads / safe + 4.0 * total / safe
        return cls(slope, offset, 4.0 * total / known)

    def total(self, sums: Sums) -> float:
        """That of all rows together."""
        own = self.offset @ sums.weights + self.told @ sums.told
        return float(own + self.slope * sums.spreads.sum())

    def __call__(self, clusters: Clusters, block: Block) -> Array:
        """Those of the rows of a block (n,)."""
        labels, distances = clusters.nearest(block.rows)
        each = self.slope * distances + self.offset[labels]
        named, names = _told(block)
        each[named] += self.told[names]
        return np.asarray(block.weight() * each)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Rows (m, d), what each stands for (m,), and its number among all (m,)."""

    rows: Rows
    weights: Array
    numbers: Indices


@dataclass(frozen=True, eq=False)
class Entered:
    """Rows (m, d) that may be among those drawn, with what decides."""

    priorities: Array
    sensitivities: Array
    weights: Array
    numbers: Indices
    rows: Rows

    def largest(self, size: int) -> Drawn:
        """Those of the largest priorities, in the order of their numbers."""
        order = np.argsort(-self.priorities, kind="stable")
        some = np.sort(order[:size])
        limit = float(self.priorities[order[size]]) if size < len(order) else 0.0
        standing = self.weights[some] * np.maximum(limit / self.sensitivities[some], 1.0)
        return Drawn(self.rows[some], standing, self.numbers[some])

    @classmethod
    def joined(cls, parts: Sequence[Entered]) -> Entered:
        """All of several parts."""
        each = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*map(np.concatenate, each))


@dataclass(frozen=True, eq=False)
class Race:
    """What decides which rows are drawn: their sensitivities, and a seed.

    The uniform number of a row depends on its number among all, so not on how rows are cut.
    """

    clusters: Clusters
    sensitivity: Sensitivity
    seed: int

    def entered(self, least: float, block: Block, place: slice) -> Entered:
        """The rows of a block with a priority of at `least` so much."""
        bound, weights = self.sensitivity(self.clusters, block), block.weight()
        draws = np.random.PCG64(self.seed).advance(place.start)
        priorities = bound / (1.0 - np.random.Generator(draws).random(len(block)))
        some = np.flatnonzero((priorities >= least) & (weights > 0))
        numbers = place.start + some
        return Entered(priorities[some], bound[some], weights[some], numbers, block.rows[some])


def drawn(source: Source, clusters: Clusters, size: int, seed: int) -> Drawn:
    """Rows by priority sampling (Duffield, Lund & Thorup 2007); all where there are no more.

    Few enter a pass that have no chance; if too few do, another pass lets in more.
    """
    sums = source.sum(partial(Sums.of, clusters))
    sensitivity = Sensitivity.of(sums)
    race = Race(clusters, sensitivity, seed)
    few = int(sums.counts.sum()) <= size
    least = 0.0 if few else sensitivity.total(sums) / (size + 8.0 * np.sqrt(size) + 32.0)
    while True:
        found = Entered.joined(source.placed(partial(race.entered, least)))
        if few or len(found.rows) > size:
            return found.largest(size)
        least /= 4.0
