"""Squared distances of rows to many Gaussians that are round but for a few directions.

``Σ_k = across_k I + V_k diag(along_k - across_k) V_kᵀ`` with orthonormal columns V_k. What rows
need of the means and directions is the same whatever the variances, and is two products of
matrices for all Gaussians at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Projections", "distances", "projections"]

Array = NDArray[Any]


class Projections(NamedTuple):
    """Rows beside k means, each with r directions.

    Attributes
    ----------
    squared : (n, k)
        ``|z - μ_k|²``.
    parts : (n, k, r)
        ``(V_kᵀ (z - μ_k))²``.
    """

    squared: Array
    parts: Array


def projections(z: Array, means: Array, directions: Array) -> Projections:
    """Of rows (n, d) beside means (k, d) with directions (k, r, d).

    Examples
    --------
    >>> import numpy as np
    >>> found = projections(np.array([[3.0, 4.0]]), np.zeros((1, 2)), np.array([[[1.0, 0.0]]]))
    >>> found.squared.tolist(), found.parts.tolist()
    ([[25.0]], [[[9.0]]])
    """
    k, r, d = directions.shape
    slopes = np.concatenate([means, directions.reshape(k * r, d)])
    products = z @ slopes.T
    squared = (z * z).sum(axis=1)[:, None] - 2.0 * products[:, :k] + (means**2).sum(axis=1)
    parts = products[:, k:].reshape(len(z), k, r)
    parts -= np.einsum("kd,krd->kr", means, directions)
    parts *= parts
    return Projections(np.maximum(squared, 0.0), parts)


def distances(rows: Projections, along: Array, across: Array) -> Array:
    """Squared distances (n, k) for variances along the directions (k, r) and across them (k,).

    Examples
    --------
    >>> import numpy as np
    >>> rows = Projections(np.array([[25.0]]), np.array([[[9.0]]]))
    >>> distances(rows, np.array([[9.0]]), np.array([4.0])).tolist()
    [[5.0]]
    """
    gained = 1.0 / across[:, None] - 1.0 / along
    return np.asarray(
        np.maximum(rows.squared / across - np.einsum("nkr,kr->nk", rows.parts, gained), 0.0)
    )
