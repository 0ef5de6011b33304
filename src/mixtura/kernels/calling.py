"""How the compiled kernels are called: compiled once for each type of rows, on arrays as they are.

Arguments are contiguous, native and read-only, as each combination would be compiled anew.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
from numba import njit, typeof, types
from numpy.typing import NDArray

from mixtura.kernels.compiled_math import exp_constants
from mixtura.kernels.compiled_products import lanes
from mixtura.kernels.compiled_sweep import OPTIONS, pairs, tiling
from mixtura.kernels.layout import DIAGONAL, FULL, second_width

__all__ = ["call", "compile_for", "compiled", "frozen", "native", "packed", "plan", "unpacked"]

Array = NDArray[Any]


def plan(rows: Array, k: int, shape: int) -> tuple[Array, Array, int, int, int]:
    """Pairs of features, constants of the exponential, and the tiling."""
    pair = pairs(shape, rows.shape[1])
    step = lanes(rows.dtype)
    b, q = tiling(len(rows), k, pair.shape[1], rows.dtype.itemsize, step)
    return pair, exp_constants(rows.dtype), b, q, step


def native(rows: Array) -> Array:
    """The rows as native, aligned float32 or float64; copied only if they are not."""
    single = rows.dtype.newbyteorder("=") == np.float32
    kind = np.float32 if single else np.float64
    return np.require(rows, kind, "A")


def frozen(values: Array, dtype: Any = np.float64) -> Array:
    """Contiguous and read-only, whatever it was: each combination would be compiled anew."""
    flags = values.flags
    if values.dtype is not np.dtype(dtype) or not (flags.c_contiguous and flags.aligned):
        values = np.require(values, dtype, ["C", "A"])
        flags = values.flags
    if not flags.writeable:
        return values
    out = values.view()
    out.setflags(write=False)
    return out


_compiled: dict[tuple[Any, np.dtype[Any]], Any] = {}
_compiling = Lock()


def call(function: Any, rows: Array, *given: Any, layout: str = "A") -> Any:
    """Run a function, compiled once for float64 and once for float32 rows of a layout.

    "A" is rows of any strides, "C" rows one after the other.
    """
    known = compiled(function, rows)
    if known is None:
        with _compiling:
            kind = types.float32 if rows.dtype == np.float32 else types.float64
            signature = (types.Array(kind, 2, layout, readonly=True), *map(typeof, given))
            known = compile_for(function.py_func, signature)
            _compiled[function, rows.dtype] = known
    return known(rows, *given)


def compiled(function: Any, rows: Array) -> Any:
    """What `call` runs for such rows, or None before its first call."""
    return _compiled.get((function, rows.dtype))


def compile_for(function: Any, signature: tuple[Any, ...]) -> Any:
    """The function for one signature, from the cache if it is there.

    Processes that compile for two signatures at once may write both into the same file of the
    cache, of which one signature then gets the other's code: such a cache is emptied.
    """
    try:
        found = njit(signature, cache=True, **OPTIONS)(function)
        if signature not in found.signatures:
            found._cache.flush()
            found = njit(signature, cache=True, **OPTIONS)(function)
        return found
    except RuntimeError:  # no folder may be written to: compile in every process
        return njit(signature, **OPTIONS)(function)


def packed(dense: Array, shape: int) -> Array:
    """(..., k, d, d), (..., k, d) or (..., k) as second moments are kept: (..., k, s)."""
    if shape == FULL:
        left, right = pairs(FULL, dense.shape[-1])[:, : second_width(FULL, dense.shape[-1])]
        return dense[..., left, right]
    return dense if shape == DIAGONAL else dense[..., None]


def unpacked(packed: Array, shape: int, d: int) -> Array:
    if shape == FULL:
        left, right = pairs(FULL, d)[:, : second_width(FULL, d)]
        out = np.empty((*packed.shape[:-1], d, d))
        out[..., left, right] = out[..., right, left] = packed
        return out
    return packed if shape == DIAGONAL else packed[..., 0]
