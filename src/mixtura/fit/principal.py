"""First low-rank covariances of given responsibilities: principal components of each component.

No array of size d × d is formed where d is large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixtura._types import Array
from mixtura.block import Block
from mixtura.covariance import Covariances, Factor, FactorCovariances, Guard, rule_of
from mixtura.kernels.layout import FULL
from mixtura.mixture import Mixture

if TYPE_CHECKING:
    from mixtura.fit.problem import Problem

EXACT = 200
"""Rows or columns up to which the principal components are exact."""

LEADING = 50
"""Directions in which rows of many columns are whitened."""

_PASSES = 4
"""Of the subspace iteration beyond; the climb refines what it finds."""

_FLOOR = 1e-3
"""Least share of a column's variance that a start leaves to the noise."""


def principal_start(problem: Problem, rule: Factor, block: Block, shares: Array) -> Mixture:
    """Means, and covariances by the leading principal components, of responsibilities (n, k).

    Gaps are filled with the component's mean of what was observed. A component of few rows borrows
    from the spread of all.
    """
    rule.check(block.rows.shape[1])
    z = problem.frame.read(block.rows)
    seen = ~np.isnan(z)
    z = np.where(seen, z, 0.0)
    weighted = shares * block.weight()[:, None]
    mass = weighted.sum(axis=0)
    observed = weighted.T @ seen
    location = (weighted.T @ z) / np.maximum(observed, 1e-300)
    whole = _variances(z, seen, weighted.sum(axis=1))
    variances, directions = _spreads(rule, z, seen, weighted, location)
    variances = _borrowed(rule, variances, whole, mass * len(z) / max(mass.sum(), 1e-300))
    structure = _structure(rule, problem.guard, variances, directions, mass)
    weights = mass / mass.sum() if not problem.equal_weights else np.full(len(mass), 1 / len(mass))
    return Mixture.of(weights, location, structure, problem.frame)


def _variances(z: Array, seen: Array, weights: Array) -> Array:
    """Variances (d,) of all rows by what was observed; one for a constant column."""
    known = np.maximum(weights @ seen, 1e-300)
    mean = weights @ z / known
    found = weights @ (z**2) / known - mean**2
    return np.asarray(np.where(found > 0, found, 1.0))


def _spreads(
    rule: Factor, z: Array, seen: Array, weighted: Array, location: Array
) -> tuple[Array, Array]:
    """Variances (k, d), and leading directions (k or 1, d, r) of the rows by deviations.

    The directions V come with their lengths: ``V Vᵀ`` is the part of the correlations that r
    factors explain.
    """
    k, d = location.shape
    variances, directions, pile = np.zeros((k, d)), np.zeros((k, d, rule.rank)), []
    for index in range(k):
        rows = np.flatnonzero(weighted[:, index] > 0)
        share = weighted[rows, index]
        off = np.where(seen[rows], z[rows] - location[index], 0.0)
        variances[index] = share @ off**2 / np.maximum(share @ seen[rows], 1e-300)
        off *= np.sqrt(share / max(share.sum(), 1e-300))[:, None]
        off /= _lengths(rule, variances[index])
        if rule.common:
            pile.append(off * np.sqrt(share.sum() / weighted.sum()))
        else:
            directions[index] = leading(off, rule.rank)
    return variances, leading(np.concatenate(pile), rule.rank)[None] if rule.common else directions


def _lengths(rule: Factor, variances: Array) -> Array:
    """By what columns are divided before their principal components are taken."""
    if rule.one_scale:
        return np.full(len(variances), np.sqrt(max(float(variances.mean()), 1e-300)))
    return np.sqrt(np.maximum(variances, 1e-12 * max(float(variances.max()), 1e-300)))


def leading(rows: Array, rank: int) -> Array:
    """The r leading principal directions (d, r) of ``rowsᵀ rows``, times the deviations along them
    in excess of the rest (Tipping & Bishop 1999, eq. 7).
    """
    m, d = rows.shape
    values, vectors = eigen(rows, rank) if m else (np.zeros(rank), np.zeros((d, rank)))
    rest = max(float((rows**2).sum() - values.sum()), 0.0) / max(d - rank, 1)
    return np.asarray(vectors * np.sqrt(np.maximum(values - rest, 0.0)))


def eigen(rows: Array, rank: int) -> tuple[Array, Array]:
    """Leading eigenvalues (r,) and vectors (d, r) of ``rowsᵀ rows``: of the smaller Gram matrix,
    or by subspace iteration (Halko, Martinsson & Tropp 2011) where both sides are long.
    """
    m, d = rows.shape
    values, vectors = np.zeros(rank), np.zeros((d, rank))
    if d <= min(m, EXACT):
        found, axes = np.linalg.eigh(rows.T @ rows)
    elif m <= EXACT:
        found, left = np.linalg.eigh(rows @ rows.T)
        axes = rows.T @ (left / np.sqrt(np.maximum(found, 1e-300)))
        axes[:, found <= 1e-14 * max(float(found[-1]), 1e-300)] = 0.0
    else:
        basis = np.random.default_rng(0).standard_normal((d, rank + 5))
        for _ in range(_PASSES):
            basis, _ = np.linalg.qr(rows.T @ (rows @ basis))
        seen = rows @ basis
        found, turned = np.linalg.eigh(seen.T @ seen)
        axes = basis @ turned
    count = min(rank, len(found))
    values[:count] = np.maximum(found[::-1][:count], 0.0)
    vectors[:, :count] = axes[:, ::-1][:, :count]
    return values, vectors


def _borrowed(rule: Factor, variances: Array, whole: Array, rows: Array) -> Array:
    """Variances of components with few rows, drawn to those of all rows."""
    few = (rows / (rows + rule.rank + 1.0))[:, None]
    thin = (rows < 2.0 * (rule.rank + 1.0))[:, None]
    return np.asarray(np.where(thin, few * variances + (1.0 - few) * whole, variances))


def nearest(rule: Factor, structure: Covariances, weights: Array) -> FactorCovariances:
    """Low-rank covariances near any others, as a start: their leading principal components.

    A lower rank is kept as it is. Where directions are wanting, as in diagonal covariances,
    arbitrary ones take a little of the variance: without loadings a climb could not leave.
    """
    if isinstance(structure, FactorCovariances) and rule_of(structure) == rule:
        return structure
    k, d = structure.k, structure.d
    rule.check(d)
    variances = structure.variances_by_column
    arbitrary = np.random.default_rng(0).standard_normal((d, rule.rank)) * np.sqrt(0.01 / rule.rank)
    directions = np.empty((k, d, rule.rank))
    for index in range(k):
        lengths = _lengths(rule, variances[index])
        found = leading(_root(structure, index) / lengths, rule.rank)
        directions[index] = np.where((found**2).sum(axis=0) > 1e-12, found, arbitrary)
    if rule.common:
        directions = np.average(directions, axis=0, weights=weights)[None]
    return _structure(rule, Guard.of(d), variances, directions, np.maximum(weights, 1e-300))


def _root(structure: Covariances, component: int) -> Array:
    """Rows whose cross-products are a component's covariance, or the low-rank part of it."""
    if isinstance(structure, FactorCovariances):
        return structure.loadings[component].T
    if structure.shape != FULL:
        return np.zeros((0, structure.d))
    values, vectors = np.linalg.eigh(structure.take([component]).dense()[0])
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))).T)


def _structure(
    rule: Factor, guard: Guard, variances: Array, directions: Array, mass: Array
) -> FactorCovariances:
    """Loadings along the directions, and the noise that they leave of the variances."""
    shares = mass / mass.sum()
    if rule.common:
        lengths = _lengths(rule, shares @ variances)
        loadings = (directions[0] * lengths[:, None])[None]
    else:
        lengths = np.stack([_lengths(rule, one) for one in variances])
        loadings = directions * lengths[:, :, None]
    rest = np.maximum(variances - (loadings**2).sum(axis=2), _FLOOR * variances)
    if rule.noise_common:
        rest = (shares @ rest)[None]
    if rule.one_scale:
        rest = np.repeat(rest.mean(axis=1, keepdims=True), rest.shape[1], axis=1)
    return rule.made(loadings, guard.variances(rest, mass[: len(rest)]), len(mass))


def whitening(z: Array, weights: Array) -> tuple[Array, Array, float]:
    """The rows' mean (d,), the matrix (d, r) that whitens what is about it, and how narrow it is.

    That is the smallest eigenvalue of their covariance. Where there are many columns, r are the
    leading directions, and it is zero.
    """
    centre = weights @ z / weights.sum()
    centred = z - centre
    if z.shape[1] > EXACT:
        return centre, _leading(centred, weights), 0.0
    covariance = (centred * weights[:, None]).T @ centred / weights.sum()
    values, vectors = np.linalg.eigh(covariance)
    safe = np.where(values > 1e-10 * values[-1], values, np.inf)
    return centre, vectors / np.sqrt(safe), float(values[0])


def _leading(centred: Array, weights: Array) -> Array:
    shares = np.sqrt(weights / weights.sum())[:, None]
    values, vectors = eigen(centred * shares, min(LEADING, *centred.shape))
    kept = values > 1e-10 * values[0]
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))
