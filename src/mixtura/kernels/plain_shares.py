"""Log densities, responsibilities and labels from log joint densities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["best", "log_sums", "soft"]

Array = NDArray[Any]


def best(joint: Array) -> Array:
    """The place (n,) of the largest number of each row, the first of equal ones."""
    return joint.argmax(axis=1)


def log_sums(joint: Array) -> Array:
    """log Σ_k exp(joint) of each row, (n, k) -> (n,)."""
    _, norm, top = _exponentials(joint)
    return np.asarray(top + np.log(norm))


def soft(joint: Array) -> tuple[Array, Array]:
    """exp(joint) normalised to sum to one in each row, (n, k), and `log_sums`."""
    likely, norm, top = _exponentials(joint)
    likely /= norm
    return np.ascontiguousarray(likely.T), top + np.log(norm)


def _exponentials(joint: Array) -> tuple[Array, Array, Array]:
    """exp(joint - top) by columns (k, n), their sums and the largest of each row."""
    likely = np.array(joint.T, order="C")  # sums along short rows are slow
    top = likely.max(axis=0)
    likely -= top
    np.exp(likely, out=likely)
    return likely, likely.sum(axis=0), top
