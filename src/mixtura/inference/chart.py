"""The free parameters of a family, and how they move weights, means and covariances.

A chart is local: its parameters are log-ratios of the weights, the means, and either the entries
of the covariances (families whose covariances are a linear space) or logarithms of their volume
and shape with rotations about their present axes (the other parsimonious families; Celeux &
Govaert 1995). Standard errors of weights, means and covariances do not depend on the chart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array, Indices, Mask
from mixtura.covariance import FullCovariances
from mixtura.held import Held
from mixtura.inference.eigen_chart import EigenMoves, eigen_moves
from mixtura.inference.score import Derivatives, Entries
from mixtura.mixture import Mixture


class Moves(Protocol):
    """How q free parameters move the entries of k covariances."""

    @property
    def entries(self) -> Entries:
        """The entries of Σ that move."""

    @property
    def jacobian(self) -> Array:
        """(k, entries, q)"""

    def at(self, step: Array) -> Array:
        """The covariances (k, d, d) after a step (q,) of the parameters."""

    def curvature(self, gradient: Array) -> Array:
        """``Σ gradient · ∂²Σ`` (q, q) for a gradient (k, len(entries)) by the entries."""


@dataclass(frozen=True, eq=False)
class LinearMoves:
    """Covariances whose entries are linear in the parameters."""

    entries: Entries
    jacobian: Array
    covariances: Array

    def at(self, step: Array) -> Array:
        i, j = self.entries
        moved = self.covariances.copy()
        change = self.jacobian @ step
        moved[:, i, j] += change
        moved[:, j, i] = moved[:, i, j]
        return moved

    def curvature(self, gradient: Array) -> Array:
        q = self.jacobian.shape[2]
        return np.zeros((q, q))


@dataclass(frozen=True, eq=False)
class Chart:
    """The free parameters of a mixture in its family, about the mixture itself.

    Attributes
    ----------
    mixture : Mixture
    moves : Moves
    free_weights : bool
    held : Held or None
    """

    mixture: Mixture
    moves: Moves
    free_weights: bool = True
    held: Held | None = None

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many parameters are of weights, means and covariances."""
        return len(self._leaders), int(self._means.sum()), int(self._turns.sum())

    def jacobian(self) -> Array:
        """(k, m, p): the coordinates of each component by the free parameters."""
        k, d = self.mixture.location.shape
        a, b, q = self.sizes
        out = np.zeros((k, 1 + d + len(self.moves.entries[0]), a + b + q))
        out[self._weighed, 0, :a] = (np.eye(k) - self._shares)[self._weighed][:, self._leaders]
        out[:, 1 : 1 + d, a : a + b] = np.eye(k * d).reshape(k, d, k * d)[:, :, self._means]
        out[:, 1 + d :, a + b :] = self.moves.jacobian[:, :, self._turns]
        return out

    # ---- what is free: the others are the values that are held

    @cached_property
    def _weighed(self) -> Indices:
        """The components whose weights are free."""
        k = self.mixture.n_components if self.free_weights else 0
        return np.arange(k) if self.held is None else np.flatnonzero(~self.held.weights[:k])

    @property
    def _leaders(self) -> Indices:
        """Those whose weights are parameters; that of the last follows."""
        return self._weighed[:-1]

    @cached_property
    def _shares(self) -> Array:
        """(k,) shares in what the free weights have together."""
        shares = np.zeros(self.mixture.n_components)
        shares[self._weighed] = self.mixture.weights[self._weighed]
        return np.asarray(shares / max(float(shares.sum()), 1e-300))

    @cached_property
    def _means(self) -> Mask:
        """(k d,) which coordinates of means are free."""
        k, d = self.mixture.location.shape
        held = np.zeros(k, dtype=bool) if self.held is None else self.held.means
        return np.repeat(~held, d)

    @cached_property
    def _turns(self) -> Mask:
        """Which parameters of the covariances are free: those that move no held one."""
        held = np.zeros(self.mixture.n_components, bool)
        held = held if self.held is None else self.held.covariances
        return ~(self.moves.jacobian[held] != 0).any(axis=(0, 1))

    def hessian(self, found: Derivatives) -> Array:
        """(p, p) second derivatives of the log-likelihood by the free parameters."""
        jacobian = self.jacobian()
        flat = jacobian.reshape(-1, jacobian.shape[2])
        within = np.einsum("kap,kab,kbq->pq", jacobian, found.within, jacobian, optimize=True)
        return np.asarray(within - flat.T @ found.outer @ flat + self._curvature(found.gradient))

    def outer(self, found: Derivatives) -> Array:
        """(p, p) ``Σ w s sᵀ`` by the free parameters."""
        jacobian = self.jacobian()
        flat = jacobian.reshape(-1, jacobian.shape[2])
        return np.asarray(flat.T @ found.outer @ flat)

    def gradient(self, found: Derivatives) -> Array:
        """(p,)"""
        return np.einsum("kap,ka->p", self.jacobian(), found.gradient)

    def _curvature(self, gradient: Array) -> Array:
        """What the bending of the coordinates adds: ``Σ gradient · ∂² coordinates``."""
        d = self.mixture.n_features
        a, b, q = self.sizes
        out = np.zeros((a + b + q, a + b + q))
        shares, total = self._shares[self._leaders], gradient[self._weighed, 0].sum()
        out[:a, :a] = -total * (np.diag(shares) - np.outer(shares, shares))
        turns = self.moves.curvature(gradient[:, 1 + d :])
        out[a + b :, a + b :] = turns[np.ix_(self._turns, self._turns)]
        return out

    def at(self, step: Array) -> Mixture:
        """The mixture after a step (p,) of the free parameters."""
        k, d = self.mixture.location.shape
        a, b, _ = self.sizes
        weights, moved, turned = self.mixture.weights.copy(), np.zeros(k * d), self._turns * 0.0
        own = weights[self._weighed]
        grown = own * np.exp(np.append(step[:a], np.zeros(len(own) - a)))
        weights[self._weighed] = grown * (own.sum() / grown.sum()) if len(own) else grown
        moved[self._means], turned[self._turns] = step[a : a + b], step[a + b :]
        return Mixture.of(
            weights,
            self.mixture.location + moved.reshape(k, d),
            FullCovariances(self.moves.at(turned)),
            self.mixture.frame,
            self.mixture.feature_names,
        )


def chart(
    mixture: Mixture, name: str, free_weights: bool = True, held: Held | None = None
) -> Chart:
    """The chart of a mixture in the family of a name.

    Raises
    ------
    InputError
        A family without a chart, or a mixture on the edge of its family.
    """
    if free_weights and not (mixture.weights > 0).all():
        empty = np.flatnonzero(mixture.weights <= 0).tolist()
        raise InputError(f"components {empty} are empty: drop them with Mixture.take first")
    return Chart(mixture, _moves(mixture, name), free_weights, held)


def _moves(mixture: Mixture, name: str) -> Moves:
    k, d = mixture.location.shape
    covariances = np.array(mixture.structure.dense())
    linear = _linear(name, k, d)
    if linear is not None:
        return LinearMoves(*linear, covariances)
    moves: EigenMoves | None = eigen_moves(name, covariances)
    if moves is None:
        raise InputError(
            f"the family {name!r} has no parametrisation for standard errors: "
            "use mixtura.bootstrap, which needs none"
        )
    return moves


def _linear(name: str, k: int, d: int) -> tuple[Entries, Array] | None:
    """Entries and Jacobian (k, entries, q) of the families whose covariances are linear."""
    triangle = np.triu_indices(d)
    diagonal = np.arange(d), np.arange(d)
    whole, one = len(triangle[0]), np.ones((d, 1))
    if name == "full":
        return triangle, np.eye(k * whole).reshape(k, whole, k * whole)
    if name == "tied":
        return triangle, np.tile(np.eye(whole), (k, 1, 1))
    if name == "diag":
        return diagonal, np.eye(k * d).reshape(k, d, k * d)
    if name == "EEI":
        return diagonal, np.tile(np.eye(d), (k, 1, 1))
    if name == "spherical":
        return diagonal, one * np.eye(k)[:, None, :]
    if name == "equal-spherical":
        return diagonal, np.tile(one, (k, 1, 1))
    return None
