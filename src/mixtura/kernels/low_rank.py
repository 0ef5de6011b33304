"""Sums over rows under low-rank covariances ``Σ = Λ Λᵀ + Ψ``, Ψ diagonal: never a d × d array.

The factors u are read in the basis in which a complete row tells of each apart and to the same
precision: with ``Ψ^(-½) Λ = U diag(s) Vᵀ`` the directions are ``H = Ψ^(-½) U diag(s/√(1 + s²))``,
the scores of a row ``h = (z - μ) H`` are the expected factors, and ``Λ u = G h`` for ``G = Ψ H``.
Woodbury's identity reads ``Σ⁻¹ = Ψ⁻¹ - H Hᵀ``; H is as well conditioned as can be, whatever Λ and
Ψ. The scores' prior precision is ``1/(1 + s²)``. A row costs O(k d r), all in products, so these
serve whatever kernels are active. Rows with gaps are in `low_rank_gaps`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Terms", "distances", "distances_centred", "sums", "sums_centred", "tiled"]

Array = NDArray[Any]

_TILE_NUMBERS = 1 << 18  # float64 numbers in the rows of a tile: 2 MiB


class Terms(NamedTuple):
    """k components in the frame, and what every tile of rows needs of them.

    Attributes
    ----------
    means, noise : (k, d)
    spread : (k, d, r)
        G.
    directions : (k, d, r)
        H.
    prior : (k, r)
        ``1 / (1 + s²)``.
    """

    means: Array
    noise: Array
    spread: Array
    directions: Array
    prior: Array


def distances(z: Array, terms: Terms) -> tuple[Array, Array]:
    """Squared distances (b, k) and scores ``(z - μ) H`` (b, k, r) of complete rows.

    By products of all components at once: ``Σ z²/ψ - 2 z μ/ψ + μ²/ψ - |scores|²``.

    Examples
    --------
    >>> import numpy as np
    >>> spread = np.array([[[0.5**0.5], [0.0]]])  # Λ = (1, 0): s = 1
    >>> terms = Terms(np.zeros((1, 2)), np.ones((1, 2)), spread, spread, np.full((1, 1), 0.5))
    >>> distances(np.array([[2.0, 3.0]]), terms)[0].round(12).tolist()
    [[11.0]]
    """
    k, d, rank = terms.spread.shape
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
    """The same, accurate for any conditioning: ``|Ψ^(-½)(z - μ - G h)|² + Σ h²/(1 + s²)``."""
    squared = np.empty((len(z), len(terms.means)))
    scores = np.empty((len(z), len(terms.means), terms.spread.shape[2]))
    for index, mean in enumerate(terms.means):
        off = z - mean
        found = off @ terms.directions[index]
        off -= found @ terms.spread[index].T
        off *= off
        squared[:, index] = off @ (1.0 / terms.noise[index]) + found**2 @ terms.prior[index]
        scores[:, index] = found
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
    k, d, rank = terms.spread.shape
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
    k, d, rank = terms.spread.shape
    first, second = np.empty((k, d)), np.empty((k, d, 1 + rank))
    for index, mean in enumerate(terms.means):
        off, share = z - mean, shares[:, index]
        first[index] = share @ off
        second[index, :, 1:] = off.T @ (share[:, None] * scores[:, index])
        off *= off
        second[index, :, 0] = share @ off
    return first, second
