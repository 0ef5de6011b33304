"""Coresets: few weighted rows on which a mixture is as likely as on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np

from mixtura import _checks, kernels
from mixtura._errors import InputError
from mixtura._types import Array, Indices, Rows
from mixtura.block import Block
from mixtura.covariance import FAMILIES
from mixtura.fit import seeds
from mixtura.fit.problem import state
from mixtura.fit.sample import LLOYD, draw, whitening
from mixtura.fit.select import threads
from mixtura.frame import Frame
from mixtura.reading.scan import opened
from mixtura.source import MemorySource, Source
from mixtura.source.memory import one_blas_thread
from mixtura.source.opening import remote
from mixtura.tree import tree_sum

__all__ = ["Coreset", "coreset"]


@dataclass(frozen=True, eq=False)
class Coreset:
    """Rows that stand for more: sums over them, times their weights, estimate those over all.

    Attributes
    ----------
    rows : (m, d)
        In the order they have among all.
    weights : (m,)
        What each stands for; a row drawn for certain has its own weight.
    indices : (m,)
        Their numbers among all rows; in files and partitions, among those of a weight above zero.
    columns : tuple of str or None
        The columns' names.
    """

    rows: Rows
    weights: Array
    indices: Indices
    columns: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.rows)


def coreset(
    X: Any,
    size: int,
    *,
    n_components: int = 10,
    sample_weight: Any = None,
    random_state: Any = 0,
    n_jobs: int | None = None,
) -> Coreset:
    """Draw rows for a mixture to be fitted to, the more likely the more they matter to it.

    How much a row can matter to any mixture is bounded by its *sensitivity* (Feldman, Faulkner &
    Krause 2011; Lucic, Faulkner, Krause & Feldman 2018),

    ``s_i = w_i (α d²_i / φ + 2 α φ_c / φ + 4 W / W_c)``  with  ``α = 16 (log k + 2)``,

    of a rough clustering: d_i is the row's distance from the nearest of k places, c that place's
    cluster, φ_c and W_c the mean of d² and the weight in the cluster, and φ and W those of all.
    Distances are those of the whitened columns. The places are k-means++ seeds, after a few of
    Lloyd's steps, on a sample of a few thousand rows.

    Parameters
    ----------
    X : (n, d) array_like, data frame, path, scan, or Dask or Spark collection
        NaN where unobserved; a gap counts as its column's mean in the distances, and stays.
    size : int
        Rows to draw; all that have a weight where there are no more.
    n_components : int, default=10
        About how many components the mixture will have: k.
    sample_weight : (n,) array_like, optional
        As in `GaussianMixture.fit`; the weights of the rows drawn are multiples of it.
    random_state : int, Generator or None, default=0
        The rows drawn depend on it and on the rows' order, but not on how they are cut, nor on the
        number of threads or workers.
    n_jobs : int, optional
        Threads; all cores by default.

    Returns
    -------
    Coreset

    Raises
    ------
    InputError, InputTypeError
        Rows or weights that cannot be used; a size or number of components below one.

    See Also
    --------
    mixtura.scan : Rows in files, of which a fit reads all in every step.

    Notes
    -----
    Rows are drawn by priority sampling (Duffield, Lund & Thorup 2007), without replacement: those
    with the largest ``q_i = s_i / u_i`` for u_i uniform on (0, 1], with the weight
    ``w_i max(1, τ / s_i)`` for τ the largest q of a row that is not among them. Every weighted
    sum over them, that of the weights and the log-likelihood of any mixture among them, is then an
    unbiased estimate of the sum over all rows. So the weights are not scaled to sum to W.

    After the columns' ranges and moments, it takes two passes over the rows: one for the sums of
    the clusters, one to draw. No more than `size` rows and a few are held.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import GaussianMixture, coreset
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(50_000, 2)) + 9.0 * (rng.random(50_000) < 0.01)[:, None]
    >>> few = coreset(X, 500, n_components=2)
    >>> model = GaussianMixture(2, random_state=0).fit(few.rows, sample_weight=few.weights)
    >>> model.means_.round().astype(int).tolist(), model.weights_.round(2).tolist()
    ([[0, 0], [9, 9]], [0.99, 0.01])
    """
    for name, value in (("size", size), ("n_components", n_components)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise InputError(f"{name}={value!r} must be a whole number from 1 on")
    source, names = _source(X, sample_weight, n_jobs)
    rng = np.random.default_rng(random_state)
    with one_blas_thread():
        clusters = _clusters(source, int(n_components), rng, names)
        sums = source.sum(partial(_sums, clusters))
        race = Race(clusters, *sensitivities(*sums[:2]), int(rng.integers(1 << 62)))
        found, limit = _first(source, race, sums, int(size))
    weights = found.weights * np.maximum(limit / found.sensitivities, 1.0)
    return Coreset(found.rows, weights, found.numbers, names)


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


@dataclass(frozen=True, eq=False)
class Entered:
    """Rows (m, d) that may be among those drawn, with what decides."""

    priorities: Array
    sensitivities: Array
    weights: Array
    numbers: Indices
    rows: Rows

    def take(self, some: Indices) -> Entered:
        """Some of them."""
        return Entered(*(values[some] for values in vars(self).values()))

    @classmethod
    def joined(cls, parts: Sequence[Entered]) -> Entered:
        """All of several parts."""
        each = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*map(np.concatenate, each))


@dataclass(frozen=True, eq=False)
class Race:
    """What decides which rows are drawn: ``s_i = w_i (slope d²_i + offset_c)``, and a seed.

    The uniform number of a row depends on its number among all, so not on how rows are cut.
    """

    clusters: Clusters
    slope: float
    offset: Array
    seed: int

    def entered(self, least: float, block: Block, place: slice) -> Entered:
        """The rows of a block with a priority of at `least` so much."""
        labels, distances = self.clusters.nearest(block.rows)
        weights = block.weight()
        bound = weights * (self.slope * distances + self.offset[labels])
        draws = np.random.PCG64(self.seed).advance(place.start)
        priorities = bound / (1.0 - np.random.Generator(draws).random(len(block)))
        some = np.flatnonzero((priorities >= least) & (weights > 0))
        numbers = place.start + some
        return Entered(priorities[some], bound[some], weights[some], numbers, block.rows[some])


def sensitivities(weights: Array, spreads: Array) -> tuple[float, Array]:
    """Slope and offset (k,) of a row's sensitivity in its squared distance from its place.

    Parameters
    ----------
    weights, spreads : (k,)
        ``W_c = Σ w`` and ``Σ w d²`` over the rows of each cluster.
    """
    alpha, total, spread = 16.0 * (np.log(len(weights)) + 2.0), weights.sum(), spreads.sum()
    slope = float(alpha * total / spread) if spread > 0 else 0.0
    safe = np.where(weights > 0, weights, np.inf)
    return slope, 2.0 * slope * spreads / safe + 4.0 * total / safe


def _source(
    X: Any, sample_weight: Any, n_jobs: int | None
) -> tuple[Source, tuple[str, ...] | None]:
    apart = remote(X, sample_weight)
    if apart is not None:
        return apart, apart.names
    if kernels.on_device(X):
        raise InputError("a coreset is drawn in the computer's memory: pass X.cpu().numpy()")
    read = _checks.table(opened(X))
    given = read.weights if sample_weight is None else sample_weight
    return MemorySource(*_checks.weighted(read.rows, given), threads=threads(n_jobs)), read.names


def _clusters(
    source: Source, k: int, rng: np.random.Generator, names: tuple[str, ...] | None
) -> Clusters:
    """Seeds and Lloyd's steps on a sample."""
    problem = state(source, FAMILIES["full"], names=names)
    small = draw(problem, k, rng)
    weights, (z, rows) = small.block.weight(), small.spaces
    places = seeds.settled(rows, weights, seeds.plus_plus(rows, weights, k, rng), LLOYD)
    return Clusters(problem.frame, *whitening(z, weights)[:2], places)


def _sums(clusters: Clusters, blocks: Sequence[Block]) -> Array:
    """Of each cluster the weight, ``Σ w d²``, and the number of rows that have a weight: (3, k)."""
    return np.asarray(tree_sum([_sums_of(clusters, block) for block in blocks]))


def _sums_of(clusters: Clusters, block: Block) -> Array:
    k, weights = len(clusters.places), block.weight()
    labels, distances = clusters.nearest(block.rows)
    each = (weights, weights * distances, weights > 0)
    return np.stack([np.bincount(labels, values, k) for values in each])


def _first(source: Source, race: Race, sums: Array, size: int) -> tuple[Entered, float]:
    """The rows of the largest priorities, in their order, and the largest one of the others.

    Few enter a pass that have no chance; if too few do, another pass lets in more.
    """
    few = int(sums[2].sum()) <= size
    total = float(race.offset @ sums[0] + race.slope * sums[1].sum())
    least = 0.0 if few else total / (size + 8.0 * np.sqrt(size) + 32.0)
    while True:
        found = Entered.joined(source.placed(partial(race.entered, least)))
        if few or len(found.rows) > size:
            break
        least /= 4.0
    order = np.argsort(-found.priorities, kind="stable")
    limit = 0.0 if few else float(found.priorities[order[size]])
    return found.take(np.sort(order[:size])), limit
