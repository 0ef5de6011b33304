"""Model-based agglomeration: a tree of clusters by the likelihood of their Gaussians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks, kernels
from mixtura._errors import InputError
from mixtura._types import Array, Indices
from mixtura.covariance import FAMILIES
from mixtura.fit.em import run
from mixtura.fit.problem import Problem, state
from mixtura.frame import Frame
from mixtura.kernels.plain_hierarchy import EEE, EII, VII, VVV
from mixtura.source import MemorySource
from mixtura.source.memory import one_blas_thread

MODELS = {"EII": EII, "VII": VII, "EEE": EEE, "VVV": VVV}

RIDGE = 0.1
"""Share of the total covariance that stands in for what a single row does not tell."""


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
        for first, second in self.merges[: self.n_leaves - k][::-1]:
            owner[second] = first  # the later union is known before the earlier
        for index in range(self.n_leaves):
            owner[index] = owner[owner[index]]
        return np.asarray(np.unique(owner, return_inverse=True)[1][self.leaf])

    def __repr__(self) -> str:
        return f"Tree of {self.n_leaves} leaves by {self.model} over {len(self.leaf)} rows"


def hierarchical(
    X: Any,
    model: str = "VVV",
    *,
    sample_weight: Any = None,
    ridge: float = RIDGE,
    max_rows: int = 2000,
    random_state: int = 0,
) -> Tree:
    """Merge rows into clusters, at each step the two whose union costs least likelihood.

    The criterion is twice the negative classification log-likelihood of Gaussian clusters but for
    a constant (Fraley 1998; Banfield & Raftery 1993): ``Σ_k tr W_k`` for EII, which is Ward's,
    ``Σ_k n_k d log(tr W_k / n_k d)`` for VII, ``n log det Σ_k W_k`` for EEE and
    ``Σ_k n_k log det(W_k / n_k)`` for VVV. Where the scatter W of few rows is singular, `ridge`
    times the covariance of all rows is added to it, so that EEE and VVV do not depend on the
    units of the columns, nor on any invertible linear map of the rows.

    Parameters
    ----------
    X : (n, d) array_like or data frame
        NaN where unobserved: such cells stand where one Gaussian expects them.
    model : {"VVV", "EEE", "VII", "EII"}, default="VVV"
        Clusters of any shape; of one common shape; round ones of any size; round ones of one size.
        The round ones go by the columns as they are: scale these yourself.
    sample_weight : (n,) array_like, optional
        A weight counts as so many repetitions of the row.
    ridge : float, default=0.1
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
    if model not in MODELS:
        raise InputError(f"model={model!r} is unknown: use one of {tuple(MODELS)}")
    if not ridge > 0 or max_rows < 2:
        raise InputError(f"ridge={ridge}, max_rows={max_rows}: above 0, and at least 2 are needed")
    read = _checks.table(X)
    rows, weights = _checks.weighted(read.rows, sample_weight)
    problem = state(MemorySource(rows, weights), FAMILIES["full"], names=read.names)
    z = _coordinates(problem, model)
    weights = np.ones(len(z)) if weights is None else weights
    distinct, leaf = np.unique(z, axis=0, return_inverse=True)
    leaf = leaf.ravel()
    mass = np.bincount(leaf, weights)
    taken = np.flatnonzero(mass > 0)
    if len(taken) > max_rows:
        rng = np.random.default_rng(random_state)
        taken = np.sort(rng.choice(taken, max_rows, replace=False))
    merges, costs = tree(distinct[taken], mass[taken], model, ridge)
    return Tree(model, merges, costs, _nearest(distinct, taken)[leaf])


def tree(rows: Array, weights: Array, model: str, ridge: float = RIDGE) -> tuple[Indices, Array]:
    """Merges and costs for rows (m, d) in coordinates fit for the model.

    Whitened ones for EEE and VVV.
    """
    kernels.prepare(len(rows) ** 2 * (6e-5 if model == "EEE" else 1e-5))
    total = float(weights.sum())
    centred = rows - weights @ rows / total
    unit = float(np.mean(weights @ centred**2 / total))
    bound = ridge * (unit if unit > 0 else 1.0) * (total if model == "EEE" else 1.0)
    return kernels.active().agglomerate(rows, weights, bound, MODELS[model])  # type: ignore[no-any-return]


def labels_of(merges: Indices, m: int, k: int) -> Indices:
    """Labels (m,) of k clusters of the rows themselves."""
    return Tree("", merges, np.empty(0), np.arange(m)).cut(min(k, m))


def _coordinates(problem: Problem, model: str) -> Array:
    """Rows in the frame, gaps filled; whitened where the model asks for no shape."""
    with one_blas_thread():
        one = run(problem, problem.isotropic(np.zeros((1, problem.source.d)))).mixture
    rows = problem.source.take(slice(None)).rows
    rows = one.impute(rows) if np.isnan(rows).any() else rows
    if model in ("EII", "VII"):
        scale = np.full(problem.source.d, problem.frame.scale.max())
        return Frame(problem.frame.pivot, scale).read(rows)
    z = problem.frame.read(rows) - one.location[0]
    values, vectors = np.linalg.eigh(one.structure.dense()[0])
    kept = values > 1e-10 * values[-1]
    return np.asarray(z @ (vectors[:, kept] / np.sqrt(values[kept])))


def _nearest(rows: Array, taken: Indices) -> Indices:
    """The place among the rows taken of each row itself, or of its nearest."""
    from scipy.spatial import cKDTree

    if len(taken) == len(rows):
        return np.arange(len(rows))
    return np.asarray(cKDTree(rows[taken]).query(rows)[1])
