"""Model-based agglomeration: a tree of clusters by the likelihood of their Gaussians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks, kernels
from mixtura._errors import InputError
from mixtura._random import generator
from mixtura._types import Array, Indices
from mixtura.covariance import FAMILIES
from mixtura.fit.em import run
from mixtura.fit.problem import Problem, state
from mixtura.kernels.plain_hierarchy import EEE, EII, VII, VVV
from mixtura.source import MemorySource
from mixtura.source.memory import one_blas_thread

SCALES = ("columns", "data", "whitened")
MODELS = {"EII": EII, "VII": VII, "EEE": EEE, "VVV": VVV}

RIDGE = 0.03
"""Share of the mean variance that stands in for what a single row does not tell."""


@dataclass(frozen=True, eq=False)
class Tree:
    """Clusters within clusters.

    Attributes
    ----------
    model : str
    merges : (m - 1, 2)
        The clusters merged, in order, each by its first leaf; the union goes by the first.
    costs : (m - 1,)
        By how much each merge raised the criterion; not necessarily rising.
    leaf : (n,)
        The leaf of each row: equal rows share one, and rows that took no part have that of their
        nearest.
    """

    model: str
    merges: Indices
    costs: Array
    leaf: Indices

    @property
    def n_leaves(self) -> int:
        """m, the distinct rows that took part."""
        return len(self.merges) + 1

    def cut(self, k: int) -> Indices:
        """Labels (n,) of k clusters, numbered by their first leaf.

        Raises
        ------
        InputError
            k below one, or above the number of leaves.
        """
        if not 1 <= k <= self.n_leaves:
            raise InputError(f"k={k}: a tree of {self.n_leaves} leaves has 1..{self.n_leaves}")
        owner = np.arange(self.n_leaves)
        into, gone = self.merges[: self.n_leaves - k].T
        owner[gone] = into
        while not np.array_equal(owner, owner[owner]):
            owner = owner[owner]
        return np.asarray(np.unique(owner, return_inverse=True)[1][self.leaf])

    def __repr__(self) -> str:
        return f"Tree of {self.n_leaves} leaves by {self.model} over {len(self.leaf)} rows"


def hierarchical(
    X: Any,
    model: str = "VVV",
    *,
    sample_weight: Any = None,
    scale: str = "columns",
    ridge: float = RIDGE,
    max_rows: int = 2000,
    random_state: int = 0,
) -> Tree:
    """Merge rows into clusters, at each step the two whose union costs least likelihood.

    The criterion is twice the negative classification log-likelihood of Gaussian clusters but for
    a constant (Fraley 1998; Banfield & Raftery 1993): ``Σ_k tr W_k`` for EII, which is Ward's,
    ``Σ_k n_k d log(tr W_k / n_k d)`` for VII, ``n log det Σ_k W_k`` for EEE and
    ``Σ_k n_k log det(W_k / n_k)`` for VVV. As the scatter W of few rows is singular, `ridge` times
    the mean variance of all rows is added to it in every direction.

    Parameters
    ----------
    X : (n, d) array_like or data frame
        NaN where unobserved: such cells stand where one Gaussian expects them.
    model : {"VVV", "EEE", "VII", "EII"}, default="VVV"
        Clusters of any shape; of one common shape; round ones of any size; round ones of one size.
    sample_weight : (n,) array_like, optional
        A weight counts as so many repetitions of the row.
    scale : {"columns", "data", "whitened"}, default="columns"
        Divide each column by its standard deviation; take the columns as they are; or make all
        columns uncorrelated too, so that no invertible linear map of the rows has an effect.
    ridge : float, default=0.03
    max_rows : int, default=2000
        More rows are thinned at random; memory and time grow with its square.
    random_state : int, default=0

    Returns
    -------
    Tree

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import hierarchical
    >>> X = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [9.0]])
    >>> hierarchical(X, "EII").cut(3)
    array([0, 0, 0, 1, 1, 2])
    """
    if model not in MODELS or scale not in SCALES:
        raise InputError(f"model={model!r}, scale={scale!r}: use {tuple(MODELS)} and {SCALES}")
    if not ridge > 0 or max_rows < 2:
        raise InputError(f"ridge={ridge}, max_rows={max_rows}: above 0, and at least 2 are needed")
    read = _checks.table(X)
    rows, weights = _checks.weighted(read.rows, _checks.weights_beside(X, sample_weight))
    problem = state(MemorySource(rows, weights), FAMILIES["full"], names=read.names)
    z = _coordinates(problem, scale)
    leaf = _leaves(z)
    mass = np.bincount(leaf, weights)
    distinct = z[np.unique(leaf, return_index=True)[1]]
    taken = np.flatnonzero(mass > 0)
    if len(taken) > max_rows:
        rng = generator(random_state, "random_state")
        taken = np.sort(rng.choice(taken, max_rows, replace=False))
    merges, costs = tree(distinct[taken], mass[taken], model, ridge)
    return Tree(model, merges, costs, _nearest(distinct, taken)[leaf])


def tree(rows: Array, weights: Array, model: str, ridge: float = RIDGE) -> tuple[Indices, Array]:
    """Merges and costs for rows (m, d) as they are.

    The ridge is what a row of mean weight does not tell: only the ratios of weights matter.
    """
    kernels.prepare(len(rows) ** 2 * (2e-5 * len(rows) / 300 if model == "EEE" else 1e-6))
    total = float(weights.sum())
    centred = rows - weights @ rows / total
    unit = float(np.mean(weights @ centred**2 / total))
    size = total / len(rows)
    bound = ridge * (unit if unit > 0 else 1.0) * (len(rows) if model == "EEE" else 1.0)
    merges, costs = kernels.active().agglomerate(centred, weights / size, bound, MODELS[model])
    return merges, costs * size


def agglomerated(
    rows: Array, weights: Array, k: int, rng: np.random.Generator, most: int
) -> Indices:
    """Labels (m,) of k clusters of all rows, from a tree by VII on at most `most` of them.

    The other rows go where a Gaussian of each cluster says.
    """
    m = len(rows)
    if m <= k:
        return np.arange(m)
    size = min(m, max(most, 4 * k))
    some = np.sort(rng.permutation(m)[:size]) if m > size else np.arange(m)
    few, mass = np.ascontiguousarray(rows[some]), weights[some] * (size / weights[some].sum())
    merges, costs = tree(few, mass, "VII", 0.1)
    labels = Tree("VII", merges, costs, np.arange(size)).cut(k)
    if size == m:
        return labels
    out = _assigned(rows, few, np.eye(k)[labels] * mass[:, None])
    out[some] = labels
    return out


def _assigned(rows: Array, few: Array, shares: Array) -> Indices:
    """The most probable cluster of each row, by Gaussians of clusters given by shares (s, k).

    Covariances are drawn to the mean variance within clusters as by d + 2 rows of weight one more.
    """
    d, counts = rows.shape[1], shares.sum(axis=0)
    means = shares.T @ few / counts[:, None]
    off = (few - means[:, None]) * np.sqrt(shares.T)[:, :, None]
    scatters = off.transpose(0, 2, 1) @ off
    within = float(np.trace(scatters.sum(axis=0))) / d / float(counts.sum())
    drawn = scatters + (d + 2) * max(within, 1e-12) * np.eye(d)
    lower = np.linalg.cholesky(drawn / (counts + d + 2)[:, None, None])
    volumes = np.log(lower.diagonal(axis1=1, axis2=2)).sum(axis=1)
    whiteners = np.linalg.inv(lower)
    logs = np.empty((len(means), len(rows)))
    for index, (mean, whitener) in enumerate(zip(means, whiteners, strict=True)):
        white = whitener @ (rows - mean).T
        logs[index] = np.log(counts[index]) - volumes[index] - 0.5 * (white * white).sum(axis=0)
    return np.asarray(logs.argmax(axis=0))


def _coordinates(problem: Problem, scale: str) -> Array:
    """Rows, gaps filled, about their mean and scaled."""
    with one_blas_thread():
        one = run(problem, problem.isotropic(np.zeros((1, problem.source.d)))).mixture
    rows = problem.source.take(slice(None)).rows
    rows = one.impute(rows) if np.isnan(rows).any() else rows
    z, covariance = problem.frame.read(rows) - one.location[0], one.structure.dense()[0]
    if scale == "data":
        return np.asarray(z / (problem.frame.scale / problem.frame.scale.max()))
    if scale == "columns":
        flat = problem.summary.deviation == 0
        return np.asarray(z / np.where(flat, 1.0, np.sqrt(covariance.diagonal())))
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-10 * values[-1]
    return np.asarray(z @ (vectors[:, kept] / np.sqrt(values[kept])))


def _leaves(rows: Array) -> Indices:
    """A number for each distinct row, in the order in which they come."""
    _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse.ravel()])


def _nearest(rows: Array, taken: Indices) -> Indices:
    """The place among the rows taken of each row itself, or of its nearest."""
    from scipy.spatial import cKDTree

    if len(taken) == len(rows):
        return np.arange(len(rows))
    return np.asarray(cKDTree(rows[taken]).query(rows)[1])
