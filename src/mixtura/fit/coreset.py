"""Coresets: few weighted rows on which a mixture is as likely as on all of them."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from mixtura import _checks, kernels
from mixtura._errors import InputError
from mixtura._random import generator
from mixtura._types import Array, Indices, Rows
from mixtura.covariance import FAMILIES
from mixtura.fit.importance import Clusters, clustered, drawn
from mixtura.fit.problem import state
from mixtura.fit.sample import draw
from mixtura.fit.select import threads
from mixtura.reading.scan import opened
from mixtura.source import MemorySource, Source
from mixtura.source.memory import one_blas_thread
from mixtura.source.opening import remote

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
    rng = generator(random_state, "random_state")
    with one_blas_thread():
        clusters = _clusters(source, int(n_components), rng, names)
        found = drawn(source, clusters, int(size), int(rng.integers(1 << 62)))
    return Coreset(found.rows, found.weights, found.numbers, names)


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
    return clustered(draw(problem, k, rng).block, problem.frame, k, rng)
