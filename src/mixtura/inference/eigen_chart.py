"""Volume, shape and orientation as free parameters: Σ_k = λ_k D_k A_k D_kᵀ.

Each component has log-eigenvalues l and a rotation ``exp(S)`` of its axes Q by a skew matrix S:
``Σ = Q exp(S) diag(exp l) exp(-S) Qᵀ``. The three letters of the family say which components share
what, and so how its parameters add up to (l, S).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag, expm, helmert

from mixtura._types import Array
from mixtura.inference.score import Entries


@dataclass(frozen=True, eq=False)
class EigenMoves:
    """How parameters move covariances through log-eigenvalues and rotations.

    Attributes
    ----------
    entries : the entries of Σ that move
    axes : (k, d, d)
        Q, eigenvectors as columns.
    values : (k, d)
        Eigenvalues in the order of the axes.
    parts : (k, d + r, q)
        (l, S) by the parameters, S by its r entries below; r = 0 without orientation.
    """

    entries: Entries
    axes: Array
    values: Array
    parts: Array

    @property
    def rotates(self) -> bool:
        """Whether the axes are parameters."""
        return self.parts.shape[1] > self.values.shape[1]

    @property
    def jacobian(self) -> Array:
        i, j = self.entries
        pairs = zip(self.values, self.axes, strict=True)
        moved = np.stack([_first(values, axes)[:, i, j] for values, axes in pairs])
        return np.einsum("kse,ksq->keq", moved[:, : self.parts.shape[1]], self.parts)

    def at(self, step: Array) -> Array:
        d = self.values.shape[1]
        out = []
        for values, axes, part in zip(self.values, self.axes, self.parts @ step, strict=True):
            turned = axes
            if self.rotates:
                turned = axes @ expm(np.einsum("s,sij->ij", part[d:], _skews(d)))
            out.append((turned * (values * np.exp(part[:d]))) @ turned.T)
        return np.stack(out)

    def curvature(self, gradient: Array) -> Array:
        i, j = self.entries
        d = self.values.shape[1]
        total = np.zeros((self.parts.shape[2],) * 2)
        for values, axes, parts, mine in zip(
            self.values, self.axes, self.parts, gradient, strict=True
        ):
            push = np.zeros((d, d))
            push[i, j] += mine / 2.0
            push[j, i] += mine / 2.0
            bend = _second(values, axes.T @ push @ axes, self.rotates)
            total += parts.T @ bend @ parts
        return total


def eigen_moves(name: str, covariances: Array) -> EigenMoves | None:
    """The moves of a family by its three letters for volume, shape and orientation.

    None where the name is not three letters out of E, V and I.
    """
    if len(name) != 3 or name[0] not in "EV" or set(name[1:]) - set("EVI"):
        return None
    volume, shape, orientation = tuple(name)
    k, d = covariances.shape[:2]
    axes = _axes(covariances, orientation)
    values = np.einsum("kij,kil,klj->kj", axes, covariances, axes)
    contrasts = helmert(d).T if d > 1 else np.empty((1, 0))  # columns sum to zero
    stretch = [_shared(np.ones((d, 1)), k, volume == "E")]
    if shape != "I":
        stretch.append(_shared(contrasts, k, shape == "E"))
    parts = np.concatenate(stretch, axis=2)
    entries: Entries = (np.arange(d), np.arange(d))
    if orientation != "I":
        entries = np.triu_indices(d)
        turns = _shared(np.eye(d * (d - 1) // 2), k, orientation == "E")
        parts = np.stack([block_diag(a, b) for a, b in zip(parts, turns, strict=True)])
    return EigenMoves(entries, axes, values, parts)


def _axes(covariances: Array, orientation: str) -> Array:
    """Eigenvectors (k, d, d) as columns; common ones from a mean that keeps them apart."""
    k, d = covariances.shape[:2]
    if orientation == "I":
        return np.tile(np.eye(d), (k, 1, 1))
    if orientation == "V":
        return np.linalg.eigh(covariances)[1]
    sizes = np.trace(covariances, axis1=1, axis2=2)
    shares = np.cumsum(1.0 / np.arange(1, k + 1)) / sizes
    one = np.linalg.eigh(np.einsum("k,kij->ij", shares, covariances))[1]
    return np.tile(one, (k, 1, 1))


def _shared(columns: Array, k: int, is_shared: bool) -> Array:
    """The same columns for each component (k, ., .), of common parameters or of its own."""
    if is_shared:
        return np.tile(columns, (k, 1, 1))
    size, own = columns.shape
    out = np.zeros((k, size, k * own))
    for c in range(k):
        out[c, :, c * own : c * own + own] = columns
    return out


def _skews(d: int) -> Array:
    """(r, d, d) generators of the rotations in each plane."""
    p, q = np.triu_indices(d, 1)
    out = np.zeros((len(p), d, d))
    index = np.arange(len(p))
    out[index, p, q], out[index, q, p] = 1.0, -1.0
    return out


def _first(values: Array, axes: Array) -> Array:
    """∂Σ (d + r, d, d) by log-eigenvalues, ``q qᵀ``, and by rotations, ``Q [S, A] Qᵀ``."""
    d = len(values)
    stretched = values[:, None, None] * axes.T[:, :, None] * axes.T[:, None, :]
    skews = _skews(d)
    turned = axes @ (skews * values - values[:, None] * skews) @ axes.T
    return np.concatenate([stretched, turned])


def _second(values: Array, push: Array, rotate: bool) -> Array:
    """``<push, ∂²Σ>`` (d + r, d + r) at S = 0, with push in the axes.

    From ``exp(S) A exp(-S) = A + [S, A] + ½ [S, [S, A]] + ...``.
    """
    d = len(values)
    stretch = np.diag(push.diagonal() * values)
    if not rotate:
        return stretch
    skews, p, q = _skews(d), *np.triu_indices(d, 1)
    index = np.arange(len(p))
    mixed = np.zeros((d, len(p)))
    mixed[q, index] = 2.0 * push[p, q] * values[q]
    mixed[p, index] = -2.0 * push[p, q] * values[p]
    turned = skews * values - values[:, None] * skews
    pushed = push @ skews - skews @ push
    twice = np.einsum("sij,tij->st", pushed, turned)
    return np.block([[stretch, mixed], [mixed.T, (twice + twice.T) / 2.0]])
