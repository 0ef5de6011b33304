"""The statistics T(z) of one row, by shape: which numbers, in which order.

A Gaussian density is log-linear in ``T(z)``; the kernels see a component only as one row of
coefficients on these numbers. The order is ``[second moments, first moments (d), 1]``:

=========== ===========================================================
FULL        ``z_i z_j`` for i <= j, in the order of ``numpy.triu_indices``
DIAGONAL    ``z_i ** 2``
SPHERICAL   ``sum_i z_i ** 2``
LINEAR      nothing: the quadratic part is common to all components
=========== ===========================================================

FACTOR is no statistic of a row alone: ``z_i ** 2`` and ``z (zᵀB)``, projected on the r directions B
of a low-rank covariance (`mixtura.kernels.low_rank`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DIAGONAL",
    "FACTOR",
    "FULL",
    "LINEAR",
    "SPHERICAL",
    "doubled",
    "second_width",
    "triangle",
    "width",
]

FULL = 0
DIAGONAL = 1
SPHERICAL = 2
LINEAR = 3
FACTOR = 4


def second_width(shape: int, d: int) -> int:
    """How many second moments the shape keeps for `d` features.

    >>> [second_width(shape, 3) for shape in (FULL, DIAGONAL, SPHERICAL, LINEAR)]
    [6, 3, 1, 0]
    """
    return (d * (d + 1) // 2, d, 1, 0)[shape]


def width(shape: int, d: int) -> int:
    """The length p of T(z) for `d` features.

    >>> [width(shape, 3) for shape in (FULL, DIAGONAL, SPHERICAL, LINEAR)]
    [10, 7, 5, 4]
    """
    return second_width(shape, d) + d + 1


@cache
def triangle(d: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows and columns of the packed second moments, as ``numpy.triu_indices``."""
    return np.triu_indices(d)


@cache
def doubled(d: int) -> NDArray[Any]:
    """How often each packed second moment stands in ``zᵀPz``: once on the diagonal, else twice.

    >>> doubled(2).tolist()
    [1.0, 2.0, 1.0]
    """
    row, column = triangle(d)
    return np.asarray(np.where(row == column, 1.0, 2.0))
