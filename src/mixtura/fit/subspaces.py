"""A partition for low-rank components: rows that point the same way belong together.

Rows that share factors lie near one subspace, however far apart they are, where distances from a
seed say little. Thresholded subspace clustering (Heckel & Bölcskei 2015) links each row to those at
the smallest angle to it and cuts the graph by its leading eigenvectors.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from mixtura import kernels
from mixtura._types import Array, Indices

MOST = 4000
"""Rows up to which all angles are compared."""

_DENSE = 300
"""Rows up to which the graph's eigenvectors are taken densely."""

_PASSES = 25
"""Of the block iteration, four products each."""

_ROUNDS = 30
"""Lloyd's steps among the eigenvectors."""

_TRIES = 5
"""Seeds among the eigenvectors, of which the tightest partition is taken."""


def by_angle(rows: Array, weights: Array, k: int, rng: np.random.Generator) -> Indices:
    """Labels (m,) of rows (m, d) by the subspaces that they lie near."""
    leading = _leading(_graph(rows - weights @ rows / weights.sum(), k), k)
    lengths = np.linalg.norm(leading, axis=1)
    places = leading / np.where(lengths > 0, lengths, 1.0)[:, None]
    tries = [_cut(places, weights, k, rng) for _ in range(_TRIES)]
    return min(tries, key=lambda one: one[0])[1]


def _graph(centred: Array, k: int) -> csr_matrix:
    """Each row's links to the few at the smallest angle, with weight ``exp(-2 angle)``."""
    m = len(centred)
    few = min(max(3, -(-m // (20 * k))), m - 1)
    lengths = np.linalg.norm(centred, axis=1)
    directions = centred / np.where(lengths > 0, lengths, 1.0)[:, None]
    cosines = np.abs(directions @ directions.T)
    np.fill_diagonal(cosines, -1.0)
    near = np.argpartition(-cosines, few - 1, axis=1)[:, :few]
    closeness = np.take_along_axis(cosines, near, axis=1)
    strength = np.exp(-2.0 * np.arccos(np.clip(closeness, 0.0, 1.0)))
    ends = np.repeat(np.arange(m), few), near.ravel()
    links = coo_matrix((strength.ravel(), ends), shape=(m, m)).tocsr()
    return links + links.T


def _leading(graph: csr_matrix, k: int) -> Array:
    """The k leading eigenvectors (m, k) of ``D^(-½) A D^(-½)``.

    By iterating a block of vectors: groups without a link share one eigenvalue, of which a single
    vector's Krylov space holds one direction only.
    """
    m = graph.shape[0]
    root = 1.0 / np.sqrt(np.maximum(np.asarray(graph.sum(axis=1)).ravel(), 1e-300))
    scaled = graph.multiply(root[:, None]).multiply(root).tocsr()
    if m <= max(_DENSE, 4 * k):
        return np.asarray(np.linalg.eigh(scaled.toarray())[1][:, -k:])
    basis = np.random.default_rng(0).standard_normal((m, 2 * k + 5))
    for _ in range(_PASSES):
        for _ in range(4):
            basis = (basis + scaled @ basis) / 2.0  # eigenvalues into [0, 1]
        basis, _ = np.linalg.qr(basis)
    return np.asarray(basis @ np.linalg.eigh(basis.T @ (scaled @ basis))[1][:, -k:])


def _cut(places: Array, weights: Array, k: int, rng: np.random.Generator) -> tuple[float, Indices]:
    """k-means among the places (m, k): the squared distances that remain, and the labels."""
    columns, kernel = np.asfortranarray(places).T, kernels.active()
    seeds = places[kernel.spread(columns, weights, rng.random(k))]
    labels = np.asarray(kernel.lloyd(columns, weights, seeds, _ROUNDS))
    shares = np.eye(k)[labels] * weights[:, None]
    means = shares.T @ places / np.maximum(shares.sum(axis=0), 1e-300)[:, None]
    return float(weights @ ((places - means[labels]) ** 2).sum(axis=1)), labels
