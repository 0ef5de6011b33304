"""First and second derivatives of the observed log-likelihood, row by row in closed form.

Coordinates are those of each component by itself, ``(log π_k, μ_k, entries of Σ_k)``; a chart
(`mixtura.inference.chart`) says how a family's free parameters move them. With ``v = P (x - μ)``
and P the precision of the observed coordinates, padded with zeros for the missing ones,

    ∂ log(π_k N_k) = (1, v, ½ (v vᵀ - P)),

which is also Fisher's identity for rows with gaps. The Hessian of ``log Σ_k π_k N_k`` follows from
responsibilities r as in Louis (1982): ``Σ_k r_k (H_k + s_k s_kᵀ) - s sᵀ`` with ``s = Σ_k r_k s_k``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mixtura._types import Array, Indices
from mixtura.block import Block, Pattern
from mixtura.conditioning import shares
from mixtura.fit.problem import Problem
from mixtura.kernels.layout import DIAGONAL, FULL
from mixtura.mixture import Mixture

Entries = tuple[Indices, Indices]
"""Rows and columns of the entries of Σ that are moved; i <= j."""

_NUMBERS = 1 << 20
"""So many numbers of scores are held at a time."""


@dataclass(frozen=True)
class Derivatives:
    """Sums over rows of derivatives in the coordinates of the components; m of them each.

    Attributes
    ----------
    gradient : (k, m)
        ``Σ w s``
    within : (k, m, m)
        ``Σ w r_k (H_k + s_k s_kᵀ)``
    outer : (k m, k m)
        ``Σ w s sᵀ``
    """

    gradient: Array
    within: Array
    outer: Array

    def __add__(self, other: Derivatives) -> Derivatives:
        return Derivatives(
            self.gradient + other.gradient, self.within + other.within, self.outer + other.outer
        )

    @classmethod
    def zero(cls, k: int, m: int) -> Derivatives:
        """Those of no rows."""
        return cls(np.zeros((k, m)), np.zeros((k, m, m)), np.zeros((k * m, k * m)))


def derivatives(mixture: Mixture, block: Block, entries: Entries) -> Derivatives:
    """The sums over a block's rows."""
    k, d = mixture.location.shape
    m = 1 + d + len(entries[0])
    total = Derivatives.zero(k, m)
    for pattern, part in _parts(block, k * m):
        total = total + _of_part(mixture, part, pattern, entries)
    return total


def row_scores(mixture: Mixture, block: Block, entries: Entries) -> Array:
    """``s`` of each row (n, k, m): the gradient of its log-density, without its weight."""
    k, d = mixture.location.shape
    out = np.empty((len(block), k, 1 + d + len(entries[0])))
    for pattern in block.patterns:
        share, score, _ = _scores(mixture, block.take(pattern.rows), pattern, entries)
        out[pattern.rows] = share[:, :, None] * score
    return out


def of_prior(problem: Problem, mixture: Mixture, entries: Entries) -> Derivatives:
    """The derivatives of the prior's log-density: those of its pseudo-rows."""
    k, d = mixture.location.shape
    pseudo = problem.prior.statistics(problem.family.moments, mixture.location)
    second = np.zeros((k, d, d))
    shape = pseudo.moments.shape
    if shape == FULL:
        second[: len(pseudo.second)] = pseudo.second
    else:
        columns = pseudo.second if shape == DIAGONAL else pseudo.second[:, None] / d
        second[: len(columns)] = columns[:, :, None] * np.eye(d) if d else 0.0
    precisions = np.linalg.inv(mixture.structure.dense())
    first = np.einsum("kij,kj->ki", precisions, pseudo.first)
    square = precisions @ second @ precisions
    i, j = entries
    half = np.where(i == j, 0.5, 1.0)
    moved = half * (square - pseudo.dof[:, None, None] * precisions)[:, i, j]
    gradient = np.concatenate([pseudo.counts[:, None], first, moved], axis=1)
    masses = pseudo.mass, pseudo.dof
    within = np.stack(
        [
            _curved(masses[0][c], masses[1][c], first[c], square[c], precisions[c], entries)
            for c in range(k)
        ]
    )
    return Derivatives(gradient, within, np.zeros((within[:, 0].size, within[:, 0].size)))


def _parts(block: Block, width: int) -> Iterator[tuple[Pattern, Block]]:
    """The block by pattern, in pieces whose scores are not too many numbers."""
    size = max(_NUMBERS // width, 64)
    for pattern, part in block.parts:
        for start in range(0, len(part), size):
            piece = part if len(part) <= size else part.take(slice(start, start + size))
            yield pattern, piece


def _of_part(mixture: Mixture, part: Block, pattern: Pattern, entries: Entries) -> Derivatives:
    k, d = mixture.location.shape
    share, score, precisions = _scores(mixture, part, pattern, entries)
    weights = part.weight()
    weighted = share * weights[:, None]
    within = np.einsum("nk,nka,nkb->kab", weighted, score, score, optimize=True)
    whole = share[:, :, None] * score
    flat = whole.reshape(len(whole), -1)
    outer = (flat * weights[:, None]).T @ flat
    gradient = np.einsum("n,nka->ka", weights, whole)
    v = score[:, :, 1 : 1 + d]
    first = np.einsum("nk,nki->ki", weighted, v)
    square = np.einsum("nk,nki,nkj->kij", weighted, v, v, optimize=True)
    mass = weighted.sum(axis=0)
    for c in range(k):
        within[c] += _curved(mass[c], mass[c], first[c], square[c], precisions[c], entries)
    return Derivatives(gradient, within, outer)


def _scores(
    mixture: Mixture, part: Block, pattern: Pattern, entries: Entries
) -> tuple[Array, Array, Array]:
    """Responsibilities (n, k), gradients of log(π_k N_k) (n, k, m), padded precisions (k, d, d)."""
    k, d = mixture.location.shape
    o, (i, j) = pattern.observed, entries
    joint = mixture.joint(part.rows, o)
    if part.plausibility is not None:
        joint = joint + part.plausibility
    precisions = np.zeros((k, d, d))
    seen = np.ix_(np.arange(k), o, o)
    precisions[seen] = np.linalg.inv(mixture.structure.dense()[seen])
    off = np.zeros((len(part), k, d))
    off[:, :, o] = mixture.frame.take(o).read(part.rows[:, o])[:, None] - mixture.location[:, o]
    v = np.einsum("nki,kij->nkj", off, precisions, optimize=True)
    half = np.where(i == j, 0.5, 1.0)
    moved = half * (v[:, :, i] * v[:, :, j] - precisions[:, i, j])
    return shares(joint), np.concatenate([np.ones((len(part), k, 1)), v, moved], axis=2), precisions


def _curved(
    mass: float, dof: float, first: Array, square: Array, precision: Array, entries: Entries
) -> Array:
    """``Σ r H`` (m, m) of one component from ``Σ r v`` and ``Σ r v vᵀ``.

    ``dv = -P dμ - P dΣ v`` and ``d²(-½ log|Σ| - ½ δ²) = ½ tr(P A P B) - vᵀ A P B v`` for moves A
    and B of Σ (Magnus & Neudecker 1988, ch. 10).
    """
    i, j = entries
    d = len(first)
    half = np.where(i == j, 0.5, 1.0)
    out = np.zeros((1 + d + len(i), 1 + d + len(i)))
    means, moves = slice(1, 1 + d), slice(1 + d, None)
    out[means, means] = -mass * precision
    out[means, moves] = -half * (precision[:, i] * first[j] + precision[:, j] * first[i])
    out[moves, means] = out[means, moves].T
    rest = square - 0.5 * dof * precision
    table = _traces(rest, precision, entries)
    out[moves, moves] = -0.5 * (table + table.T) * half[:, None] * half
    return out


def _traces(left: Array, right: Array, entries: Entries) -> Array:
    """``tr(X A Y B)`` for symmetric unit moves A and B, each diagonal one counted twice."""
    i, j = entries
    a, b = i[None], j[None]
    i, j = i[:, None], j[:, None]
    return np.asarray(
        left[b, i] * right[j, a]
        + left[b, j] * right[i, a]
        + left[a, i] * right[j, b]
        + left[a, j] * right[i, b]
    )
