"""Sums over rows under low-rank covariances ``Σ = Λ Λᵀ + Ψ``, Ψ diagonal: never a d × d array.

With ``M = I + Λᵀ Ψ⁻¹ Λ = C Cᵀ`` and the directions ``H = Ψ⁻¹ Λ C⁻ᵀ``, Woodbury's identity reads
``Σ⁻¹ = Ψ⁻¹ - H Hᵀ`` and the factors that a row suggests are ``Σ⁻¹Λ``-projections,
``E[u | z] = C⁻ᵀ Hᵀ (z - μ)``. A row costs O(k d r). Everything but the products is a small part,
so these serve whatever kernels are active. Rows with gaps use the observed rows of Λ and Ψ alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Gaps", "Terms", "distances", "distances_centred", "sums", "sums_centred", "tiled"]

Array = NDArray[Any]

_TILE_NUMBERS = 1 << 18  # float64 numbers in the rows of a tile: 2 MiB


class Terms(NamedTuple):
    """k components in the frame, and what every tile of rows needs of them.

    Attributes
    ----------
    means, noise : (k, d)
    loadings : (k, d, r)
    directions : (k, d, r)
        H.
    inner : (k, r, r)
        C⁻¹.
    """

    means: Array
    noise: Array
    loadings: Array
    directions: Array
    inner: Array


def distances(z: Array, terms: Terms) -> tuple[Array, Array]:
    """Squared distances (b, k) and scores ``(z - μ) H`` (b, k, r) of complete rows.

    By products of all components at once: ``Σ z²/ψ - 2 z μ/ψ + μ²/ψ - |scores|²``.

    Examples
    --------
    >>> import numpy as np
    >>> loadings, noise = np.array([[[1.0], [0.0]]]), np.ones((1, 2))
    >>> half = np.full((1, 1, 1), 0.5**0.5)  # M = 2
    >>> terms = Terms(np.zeros((1, 2)), noise, loadings, loadings * half, half)
    >>> distances(np.array([[2.0, 3.0]]), terms)[0].round(12).tolist()
    [[11.0]]
    """
    k, d, rank = terms.loadings.shape
    precise = 1.0 / terms.noise
    slopes = np.concatenate(
        [terms.means * precise, terms.directions.swapaxes(1, 2).reshape(k * rank, d)]
    )
    products = z @ slopes.T
    offsets = np.einsum("kd,kdr->kr", terms.means, terms.directions)
    scores = products[:, k:].reshape(len(z), k, rank) - offsets
    same = bool((terms.noise == terms.noise[0]).all())
    squared = (z * z) @ (precise[:1] if same else precise).T
    squared = squared - 2.0 * products[:, :k] + (terms.means**2 * precise).sum(axis=1)
    return np.maximum(squared - np.einsum("bkr,bkr->bk", scores, scores), 0.0), scores


def distances_centred(z: Array, terms: Terms) -> tuple[Array, Array]:
    """The same, accurate for any conditioning: ``|Ψ^(-1/2)(z - μ - Λu)|² + |u|²``, u = E[u | z]."""
    squared = np.empty((len(z), len(terms.means)))
    scores = np.empty((len(z), len(terms.means), terms.loadings.shape[2]))
    for index, mean in enumerate(terms.means):
        off = z - mean
        scores[:, index] = off @ terms.directions[index]
        factors = scores[:, index] @ terms.inner[index]
        off -= factors @ terms.loadings[index].T
        off *= off
        squared[:, index] = off @ (1.0 / terms.noise[index]) + (factors**2).sum(axis=1)
    return squared, scores


def tiled(read: Callable[[Array], Array], rows: Array, terms: Terms) -> Array:
    """Squared distances (n, k) of complete rows, read into the frame tile by tile."""
    out = np.empty((len(rows), len(terms.means)))
    size = max(_TILE_NUMBERS // max(rows.shape[1], 1), 64)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        out[part] = distances_centred(read(rows[part]), terms)[0]
    return out


def sums(z: Array, shares: Array, scores: Array, terms: Terms) -> tuple[Array, Array]:
    """``Σ r (z - μ)`` (k, d) and ``[Σ r (z - μ)², Σ r (z - μ) scores]`` (k, d, 1 + r).

    Parameters
    ----------
    z : (b, d)
    shares : (b, k)
        Responsibilities times weights.
    scores : (b, k, r)
    """
    k, d, rank = terms.loadings.shape
    pulled = shares[:, :, None] * scores
    table = np.concatenate([shares, pulled.reshape(len(z), k * rank)], axis=1)
    products = table.T @ z
    mass = shares.sum(axis=0)
    first = products[:k] - mass[:, None] * terms.means
    second = np.empty((k, d, 1 + rank))
    second[:, :, 0] = shares.T @ (z * z)
    second[:, :, 0] -= terms.means * (2.0 * first + mass[:, None] * terms.means)
    cross = products[k:].reshape(k, rank, d).swapaxes(1, 2)
    second[:, :, 1:] = cross - terms.means[:, :, None] * pulled.sum(axis=0)[:, None, :]
    return first, second


def sums_centred(z: Array, shares: Array, scores: Array, terms: Terms) -> tuple[Array, Array]:
    """The same, each component about its own mean: accurate wherever the rows lie."""
    k, d, rank = terms.loadings.shape
    first, second = np.empty((k, d)), np.empty((k, d, 1 + rank))
    for index, mean in enumerate(terms.means):
        off, share = z - mean, shares[:, index]
        first[index] = share @ off
        second[index, :, 1:] = off.T @ (share[:, None] * scores[:, index])
        off *= off
        second[index, :, 0] = share @ off
    return first, second


class Gaps(NamedTuple):
    """Rows with gaps: the patterns of what is observed, and which row has which.

    Attributes
    ----------
    z : (b, d)
        Anything, for instance NaN, where unobserved.
    seen : (p, d)
        1 where the pattern observes, else 0.
    which : (b,)
    """

    z: Array
    seen: Array
    which: Array

    def off(self, mean: Array) -> Array:
        """``z - μ`` (b, d), zero where unobserved."""
        return np.where(self.seen[self.which] > 0, self.z - mean, 0.0)

    def distances(self, terms: Terms) -> tuple[Array, Array, Array]:
        """Squared distances (b, k), log-determinants (b, k), factors E[u | z] (b, k, r)."""
        k, _, rank = terms.loadings.shape
        squared, volumes = np.empty((len(self.z), k)), np.empty((len(self.z), k))
        factors = np.empty((len(self.z), k, rank))
        for index, loadings in enumerate(terms.loadings):
            precise = 1.0 / terms.noise[index]
            doubt, log_det = self.doubt(terms, index)
            off = self.off(terms.means[index])
            pulled = (off * precise) @ loadings
            factors[:, index] = np.einsum("brs,bs->br", doubt[self.which], pulled)
            off -= (factors[:, index] @ loadings.T) * self.seen[self.which]
            squared[:, index] = (off * off) @ precise + (factors[:, index] ** 2).sum(axis=1)
            volumes[:, index] = log_det[self.which]
        return squared, volumes, factors

    def doubt(self, terms: Terms, index: int) -> tuple[Array, Array]:
        """``Cov[u | z] = (I + Λ_oᵀ Ψ_o⁻¹ Λ_o)⁻¹`` (p, r, r), and log |Σ_oo| (p,)."""
        loadings, noise = terms.loadings[index], terms.noise[index]
        information = self._over(self.seen, (loadings / noise[:, None]), loadings)
        lower = np.linalg.cholesky(information + np.eye(loadings.shape[1]))
        inverse = np.linalg.inv(lower)
        log_det = 2.0 * np.log(lower.diagonal(axis1=1, axis2=2)).sum(axis=1)
        return inverse.swapaxes(1, 2) @ inverse, log_det + self.seen @ np.log(noise)

    def sums(self, shares: Array, factors: Array, terms: Terms) -> tuple[Array, Array]:
        """``Σ r E[z - μ]`` and ``[Σ r E[(z - μ)²], Σ r E[(z - μ)(z - μ)ᵀ] H]`` given what is seen.

        A missing coordinate enters by ``Λ_m u``; its conditional covariance
        ``Λ_m Cov[u] Λ_mᵀ + Ψ_m`` is added through sums over the patterns (d, r, r).
        """
        k, d, rank = terms.loadings.shape
        first, second = np.empty((k, d)), np.empty((k, d, 1 + rank))
        hidden = 1.0 - self.seen
        for index, loadings in enumerate(terms.loadings):
            share, directions = shares[:, index], terms.directions[index]
            full = self.off(terms.means[index])
            full += (factors[:, index] @ loadings.T) * hidden[self.which]
            first[index] = share @ full
            second[index, :, 1:] = full.T @ (share[:, None] * (full @ directions))
            second[index, :, 0] = share @ (full * full)
            by_pattern = np.bincount(self.which, share, len(self.seen))
            doubt, _ = self.doubt(terms, index)
            lost = by_pattern @ hidden * terms.noise[index]
            spread = self._back(hidden, by_pattern, doubt)
            second[index, :, 0] += np.einsum("dr,drs,ds->d", loadings, spread, loadings) + lost
            across = doubt @ self._over(hidden, loadings, directions)
            second[index, :, 1:] += lost[:, None] * directions
            second[index, :, 1:] += np.einsum(
                "dr,drs->ds", loadings, self._back(hidden, by_pattern, across)
            )
        return first, second

    @staticmethod
    def _over(masks: Array, left: Array, right: Array) -> Array:
        """``Σ_j mask_pj left_j right_jᵀ``, (p, r, r)."""
        d, rank = left.shape
        products = (left[:, :, None] * right[:, None, :]).reshape(d, rank * rank)
        return (masks @ products).reshape(len(masks), rank, rank)

    @staticmethod
    def _back(masks: Array, weights: Array, matrices: Array) -> Array:
        """``Σ_p mask_pj weight_p matrix_p``, (d, r, r)."""
        rank = matrices.shape[1]
        table = weights[:, None] * matrices.reshape(len(weights), rank * rank)
        return (masks.T @ table).reshape(masks.shape[1], rank, rank)
