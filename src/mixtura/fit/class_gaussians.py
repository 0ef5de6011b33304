"""Gaussians for many classes of few rows: each class's covariance shrunk towards the pooled one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mixtura import kernels
from mixtura._types import Array, Indices
from mixtura.fit.class_scatter import Labelled, Scatter
from mixtura.fit.seeds import plus_plus
from mixtura.operations.class_densities import Background, ClassDensities

_LLOYD = 20
"""Lloyd's steps, at most, that split a class into cells."""

_ROUND = 0.5
"""How far correlations are shrunk in the coordinates in which a class is split."""

_WIDE = 1e4
"""How many times the covariance of all rows the wide part of the background has, at least."""


@dataclass(frozen=True)
class Shape:
    """What the covariances of the classes are like.

    Attributes
    ----------
    shrinkage : float
        λ in [0, 1]: the covariance within the classes, pooled, is ``(1 - λ) R + λ I`` in units of
        the columns.
    pooling : float
        ν > 0: how many rows of each class the pooled covariance is worth; infinite for one
        covariance common to all.
    rank : int
        Directions in which a class has a variance of its own.
    cells : int
        Gaussians a class, at most.
    common : bool
        One unit for all columns, instead of the deviation of each.
    """

    shrinkage: float
    pooling: float
    rank: int = 16
    cells: int = 1
    common: bool = False


@dataclass(frozen=True, eq=False)
class Leading:
    """The scatter of each class in coordinates in which the pooled covariance is the identity.

    Attributes
    ----------
    values : (K, r)
        Its largest eigenvalues, falling.
    rest : (K,)
        The mean of its other eigenvalues.
    dof : (K,)
        Rows of the class less one.
    """

    values: Array
    rest: Array
    dof: Array

    def variances(self, pooling: float) -> tuple[Array, Array]:
        """Along (K, r) and across (K,) the directions: ``(ν + s) / (ν + n_k - 1)``.

        The posterior mean under an inverse Wishart prior that is worth ν rows of the pooled
        covariance (Greene & Rayens 1989), written to hold for ν = ∞.
        """
        rows = pooling + self.dof
        along = 1.0 + (self.values - self.dof[:, None]) / rows[:, None]
        return along, 1.0 + (self.rest - self.dof) / rows


def class_densities(data: Labelled, shape: Shape, seed: int, *, broad: bool) -> ClassDensities:
    """A density for each class.

    Parameters
    ----------
    data : Labelled
        Every class has a row.
    shape : Shape
    seed : int
        Where classes are split into cells.
    broad : bool
        With a background: the covariance T of all rows, shrunk alike. As ``π_c Σ_c ⪯ T`` up to what
        is shrunk, ``2 T / min π`` is wider than any class.
    """
    split, owners = in_cells(data, shape.cells, seed)
    found, leading = at_shrinkage(split, owners, data, Scatter.of(split, shape.common), shape)
    found = found.with_variances(*leading.variances(shape.pooling))
    if not broad:
        return found
    whitening = Scatter.of(data, shape.common).total.whitening(shape.shrinkage)
    width = max(_WIDE, 2.0 * float(data.counts.sum() / data.counts.min()))
    return replace(found, background=Background(whitening, width))


def at_shrinkage(
    split: Labelled, owners: Indices, data: Labelled, scatter: Scatter, shape: Shape
) -> tuple[ClassDensities, Leading]:
    """Densities but for the variances, and what these depend on besides ν."""
    whitening = scatter.within.whitening(shape.shrinkage)
    z = scatter.residuals @ whitening.matrix * np.sqrt(split.weights)[:, None]
    rank = 1 if np.isinf(shape.pooling) else max(min(shape.rank, z.shape[1]), 1)
    directions, leading = _leading(z, split, rank)
    found = ClassDensities(
        log_priors=np.log(data.counts / data.counts.sum()),
        whitening=whitening,
        log_shares=np.log(split.counts / data.counts[owners]),
        owners=owners,
        means=whitening.read(scatter.means),
        directions=directions,
        along=np.ones((split.size, rank)),
        across=np.ones(split.size),
    )
    return found, leading


def in_cells(data: Labelled, count: int, seed: int) -> tuple[Labelled, Indices]:
    """Rows by cells of their classes, and the class (K,) of each cell.

    By k-means++ and Lloyd's steps in each class, in coordinates in which the classes are round
    (the start of mixture discriminant analysis: Hastie & Tibshirani 1996).
    """
    if count == 1:
        return data, np.arange(data.size)
    z = Scatter.of(data, False).within.whitening(_ROUND).read(data.rows)
    rng, owners = np.random.default_rng(seed), list[int]()
    codes = np.empty(len(data), np.intp)
    for owner in range(data.size):
        mine = np.flatnonzero(data.codes == owner)
        found = _split(z[mine], data.weights[mine], min(count, len(mine)), rng)
        names, codes[mine] = np.unique(found, return_inverse=True)
        codes[mine] += len(owners)
        owners += [owner] * len(names)
    return data.of_cells(codes, len(owners)), np.array(owners)


def _split(z: Array, weights: Array, count: int, rng: np.random.Generator) -> Array:
    seeds = plus_plus(z, weights, count, rng)
    return np.asarray(kernels.plain.lloyd(z.T, weights, seeds, _LLOYD))


def _leading(z: Array, split: Labelled, rank: int) -> tuple[Array, Leading]:
    """Directions (K, r, q) and eigenvalues of the scatter of weighted residuals by class."""
    q = z.shape[1]
    values, directions = np.zeros((split.size, rank)), np.zeros((split.size, rank, q))
    order = np.argsort(split.codes, kind="stable")
    ends = np.cumsum(np.bincount(split.codes, minlength=split.size))
    for index, rows in enumerate(np.split(order, ends[:-1])):
        values[index], directions[index] = _axes(z[rows], rank)
    totals = np.bincount(split.codes, np.einsum("nq,nq->n", z, z), split.size)
    rest = values[:, -1] if q <= rank else (totals - values.sum(axis=1)) / (q - rank)
    rest = np.clip(rest, 0.0, values[:, -1])
    return directions, Leading(values, rest, np.maximum(split.counts - 1.0, 0.0))


def _axes(z: Array, rank: int) -> tuple[Array, Array]:
    """The largest eigenvalues (r,) of zᵀ z, and their eigenvectors (r, q); zeros where none are."""
    n, q = z.shape
    values, vectors = np.linalg.eigh(z.T @ z if q <= n else z @ z.T)
    few = min(rank, len(values))
    values = np.maximum(values[::-1][:few], 0.0)
    vectors = vectors[:, ::-1][:, :few].T
    if q > n:
        lengths = np.sqrt(values)
        sound = values > 1e-12 * values[0]
        values = np.where(sound, values, 0.0)
        vectors = np.where(sound, 1.0 / np.where(sound, lengths, 1.0), 0.0)[:, None] * (vectors @ z)
    out = np.zeros(rank), np.zeros((rank, q))
    out[0][:few], out[1][:few] = values, vectors
    return out
