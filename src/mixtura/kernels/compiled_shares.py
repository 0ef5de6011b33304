"""Log densities, responsibilities and labels from log joint densities, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mixtura.kernels import plain_shares as plain
from mixtura.kernels.calling import call
from mixtura.kernels.compiled_math import LOG2E, exp_constants, exponentiate, larger, log
from mixtura.kernels.compiled_products import lanes
from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart

__all__ = ["best", "first_best", "log_sums", "normalize", "soft"]

Array = NDArray[Any]

_NUMBERS = 1 << 14
"""Of the log joint in a tile; of many components, at least four times `lanes` rows."""


def log_sums(joint: Array) -> Array:
    """As `plain.log_sums`."""
    found = np.empty(len(joint))
    return found if _normalized(joint, found, np.empty((0, 0))) else plain.log_sums(joint)


def soft(joint: Array) -> tuple[Array, Array]:
    """As `plain.soft`."""
    found = np.empty(joint.shape), np.empty(len(joint))
    return found if _normalized(joint, found[1], found[0]) else plain.soft(joint)


def best(joint: Array) -> Array:
    """As `plain.best`."""
    found = np.empty(len(joint), np.intp)
    call(first_best, np.asarray(joint, np.float64), found)
    return found


def _normalized(joint: Array, sums: Array, found: Array) -> bool:
    """Fill what there is room for; whether each row has a largest number that is finite."""
    if joint.dtype != np.float64 or not joint.size or not np.isfinite(joint.max()):
        return False
    step = lanes(joint.dtype)
    b = min(max(_NUMBERS // joint.shape[1] // step, 4), 64) * step
    return bool(call(normalize, joint, exp_constants(joint.dtype), b, step, sums, found) > -np.inf)


@njit(**OPTIONS)
def first_best(joint, labels):  # type: ignore[no-untyped-def]
    """Write where the largest number of each row is, the first of equal ones."""
    for i in range(len(joint)):
        place, top = 0, joint[i, 0]
        for c in range(1, joint.shape[1]):
            if joint[i, c] > top:
                place, top = c, joint[i, c]
        labels[i] = place


@njit(**OPTIONS)
def normalize(joint, constants, b, step, sums, shares):  # type: ignore[no-untyped-def]
    """Write log Σ exp (n,) and, unless empty, the shares (n, k); return the least of the maxima.

    Rows are taken side by side, tile by tile, so that a tile's exponentials fill vector registers.
    """
    keep_apart()
    n, k = joint.shape
    stride = b + step
    logits, top = np.zeros((k, stride)), np.zeros(stride)
    nothing, norm = np.zeros((1, stride)), np.empty((1, stride))
    least = np.inf
    for start in range(0, n, b):
        m = min(b, n - start)
        wide = (m + step - 1) // step * step
        for i in range(m):
            for c in range(k):
                logits[c, i] = joint[start + i, c]
        for i in range(wide):
            top[i], norm[0, i] = logits[0, i], 0.0
        for c in range(1, k):
            for i in range(wide):
                top[i] = larger(logits[c, i], top[i])
        for c in range(k):
            for i in range(wide):
                logits[c, i] = (logits[c, i] - top[i]) * LOG2E
            exponentiate(logits, nothing, norm, constants, c, wide)
        for i in range(m):
            least = min(least, top[i])
        for i in range(m):
            sums[start + i] = top[i] + log(norm[0, i])
        if shares.size:
            for i in range(m):
                for c in range(k):
                    shares[start + i, c] = logits[c, i] / norm[0, i]
    return least
