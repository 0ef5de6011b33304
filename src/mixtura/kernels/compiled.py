"""The kernels compiled by Numba: the same names, arguments and results as `plain`.

Importing this module compiles nothing. The first call for a type of rows compiles, or loads what
an earlier process compiled. The functions hold no lock and share no state: several threads may run
them at once on their own ranges of rows.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from mixtura.kernels.compiled_math import exp_constants
from mixtura.kernels.compiled_products import lanes
from mixtura.kernels.compiled_sweep import OPTIONS, pairs, sweep, tiling

__all__ = ["accumulate"]

Array = NDArray[Any]


def accumulate(
    rows: Array,
    pivot: Array,
    scale: Array,
    weights: Array,
    theta: Array,
    shape: int,
    hard: bool,
) -> tuple[float, Array]:
    """As `plain.accumulate`; for float32 rows the products are in float32, the sums in float64."""
    rows = readable(rows)
    k, p = theta.shape
    pair = pairs(shape, rows.shape[1])
    step = lanes(rows.dtype)
    b, q = tiling(len(rows), k, pair.shape[1], rows.dtype.itemsize, step)
    theta = np.ascontiguousarray(theta, rows.dtype)
    sums = np.zeros((k, pair.shape[1]))
    log_likelihood = _sweep(rows.dtype)(
        rows,
        vector(pivot),
        vector(scale),
        vector(weights),
        theta,
        pair,
        hard,
        sums,
        exp_constants(rows.dtype),
        b,
        q,
        step,
    )
    return log_likelihood, sums[:, :p]


def readable(rows: Array) -> Array:
    """The rows as native, aligned float32 or float64; copied only if they are not."""
    kind = np.float32 if rows.dtype == np.float32 else np.float64
    return np.require(rows, kind, "A")


def vector(values: Array) -> Array:
    return np.ascontiguousarray(values, np.float64)


def array_type(dtype: Any, ndim: int, layout: str = "C", readonly: bool = True) -> Any:
    return types.Array(
        types.float32 if dtype == np.float32 else types.float64, ndim, layout, readonly
    )


@cache
def _sweep(dtype: Any) -> Any:
    """The compiled pass for one type of rows, whatever their strides."""
    vectors = [array_type(np.float64, 1)] * 3
    signature = types.float64(
        array_type(dtype, 2, "A"),
        *vectors,
        array_type(dtype, 2),
        types.Array(types.int32, 2, "C", True),
        types.boolean,
        array_type(np.float64, 2, readonly=False),
        array_type(dtype, 2),
        types.intp,
        types.intp,
        types.intp,
    )

    def run(rows, pivot, scale, weights, theta, pair, hard, sums, constants, b, q, step):  # type: ignore[no-untyped-def]
        return sweep(rows, pivot, scale, weights, theta, pair, hard, sums, constants, b, q, step)

    return njit(signature, cache=True, **OPTIONS)(run)
