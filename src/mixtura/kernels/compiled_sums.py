"""Sums over rows, compiled: the log-linear form, the accurate form, and rows with gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.kernels.calling import call, compiled, frozen, native, packed, plan
from mixtura.kernels.compiled_blocks import sweep_blocks
from mixtura.kernels.compiled_calls import address_of
from mixtura.kernels.compiled_math import exp_constants
from mixtura.kernels.compiled_products import lanes
from mixtura.kernels.compiled_sweep import sweep
from mixtura.kernels.compiled_whiten import whitened_joint, whitened_sums
from mixtura.kernels.compiled_wide import bands, wide_sweep
from mixtura.kernels.crew import BLOCKS, PASS, SWEEP, WORDS, Crew
from mixtura.kernels.layout import FULL, SPHERICAL
from mixtura.tree import tree_sum

__all__ = [
    "accumulate",
    "accumulate_blocks",
    "accumulate_centred",
    "accumulate_run",
    "alone",
    "components",
    "directed",
    "is_wide",
    "log_joint",
]

Array = NDArray[Any]

# From so many features, and so many for each component, on.
_WIDE, _WIDE_PER_COMPONENT = 48, 4

_ALONE = np.zeros(1, np.int64)  # control words that nobody reads
_SHARED = 1 << 22  # numbers in the sums of all blocks that are kept for several threads: 32 MiB


def is_wide(shape: int, d: int, k: int) -> bool:
    """Whether features are so many that a table of their products does not pay."""
    return shape == FULL and d >= max(_WIDE, _WIDE_PER_COMPONENT * k)


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
    return accumulate_run([(rows, weights)], pivot, scale, theta, shape, hard)


def accumulate_run(
    blocks: Iterable[tuple[Array, Array]],
    pivot: Array,
    scale: Array,
    theta: Array,
    shape: int,
    hard: bool,
) -> tuple[float, Array]:
    """`accumulate` over the rows and weights of several blocks, added up in their tree."""
    wide = is_wide(shape, len(pivot), len(theta))
    prepared = _wide if wide else _narrow
    ready: dict[np.dtype[Any], _Sweep] = {}

    def parts() -> Iterator[_Part]:
        for given, weights in blocks:
            rows = native(given)
            if rows.dtype not in ready:
                ready[rows.dtype] = prepared(rows, frozen(pivot), frozen(scale), theta, shape, hard)
            yield ready[rows.dtype](rows, frozen(weights))

    total = tree_sum(parts())
    if wide:
        return total.value, total.sums.take(bands(len(pivot))[1], axis=1)
    return total.value, total.sums[:, : theta.shape[1]]


def accumulate_blocks(
    rows: Array,
    weights: Array,
    blocks: Sequence[Any],
    pivot: Array,
    scale: Array,
    theta: Array,
    shape: int,
    hard: bool,
    crew: Crew,
) -> tuple[float, Array] | None:
    """`accumulate_run` over rows by the blocks they are cut into, by several threads.

    None where that does not pay, or the crew is busy.
    """
    k, m = len(theta), len(blocks)
    pair, constants, *tile = plan(rows[: len(blocks[0])], k, shape)
    if is_wide(shape, rows.shape[1], k) or m * k * pair.shape[1] > _SHARED:
        return None
    rows, sums = native(rows), np.zeros((k, pair.shape[1]))
    numbers = np.array(theta, rows.dtype, order="C"), pair, bool(hard), sums, constants, *tile
    given = frozen(pivot), frozen(scale), frozen(weights), *numbers
    value = crew.does(
        lambda control: call(sweep_blocks, rows, *given, directed(control, rows.dtype, m))
    )
    return None if value is None else (value, sums[:, : theta.shape[1]])


@dataclass(frozen=True, eq=False)
class _Part:
    value: float
    sums: Array

    def __add__(self, other: _Part) -> _Part:
        return _Part(self.value + other.value, self.sums + other.sums)


_Sweep = Callable[[Array, Array], _Part]


def _narrow(
    rows: Array, pivot: Array, scale: Array, theta: Array, shape: int, hard: bool
) -> _Sweep:
    """The pass over rows of this type, given the coefficients."""
    k = len(theta)
    pair, constants, *tile = plan(rows, k, shape)
    numbers = np.array(theta, rows.dtype, order="C")

    def swept(rows: Array, weights: Array) -> _Part:
        sums = np.zeros((k, pair.shape[1]))
        rest = weights, numbers, pair, bool(hard), sums, constants, *tile, _ALONE
        return _Part(call(sweep, rows, pivot, scale, *rest), sums)

    return swept


def _wide(rows: Array, pivot: Array, scale: Array, theta: Array, shape: int, hard: bool) -> _Sweep:
    """`_narrow` with full covariances of many features."""
    k, d = len(theta), rows.shape[1]
    starts, places = bands(d)
    banded = np.zeros((k, starts[-1]), rows.dtype)
    banded[:, places] = theta
    step = lanes(rows.dtype)
    b = min(256, -(-max(len(rows), 1) // step) * step)
    given = banded, frozen(starts, np.intp), bool(hard)
    constants = exp_constants(rows.dtype)

    def swept(rows: Array, weights: Array) -> _Part:
        sums = np.zeros((k, starts[-1]))
        rest = *given, sums, constants, b, step
        return _Part(call(wide_sweep, rows, pivot, scale, weights, *rest), sums)

    return swept


def accumulate_centred(
    rows: Array,
    pivot: Array,
    scale: Array,
    weights: Array,
    log_weights: Array,
    means: Array,
    factors: Array,
    log_norms: Array,
    shape: int,
    hard: bool,
) -> tuple[float, Array]:
    """As `plain.accumulate_centred`, in float64 throughout."""
    rows = native(rows)
    k, d = means.shape
    component = components(log_weights, means, factors, log_norms, shape)
    b, step, constants = _centred_plan(rows)
    first = np.zeros((k, d + 1))
    second = np.zeros((k, component[2].shape[1], -(-d // 4) * 4))
    given = frozen(pivot), frozen(scale), frozen(weights), component, bool(hard)
    log_likelihood = call(whitened_sums, rows, *given, constants, b, step, first, second)
    moments = second[:, :, :d] if shape == FULL else second[:, 0, :d]
    if shape == SPHERICAL:
        moments = moments.sum(axis=1)
    return log_likelihood, np.hstack([packed(moments, shape), first])


def log_joint(
    rows: Array,
    pivot: Array,
    scale: Array,
    log_weights: Array,
    means: Array,
    factors: Array,
    log_norms: Array,
    shape: int,
) -> Array:
    """As `plain.log_joint`."""
    rows = native(rows)
    component = components(log_weights, means, factors, log_norms, shape)
    b, step, _ = _centred_plan(rows)
    out = np.empty((len(rows), len(means)))
    call(whitened_joint, rows, frozen(pivot), frozen(scale), component, b, step, out)
    return out


def _centred_plan(rows: Array) -> tuple[int, int, Array]:
    """Rows per tile, their padding, and constants of the exponential; all in float64."""
    double = np.dtype(np.float64)
    step = lanes(double)
    whole = -(-max(len(rows), 1) // step) * step
    return min(256 if rows.shape[1] <= 64 else 128, whole), step, exp_constants(double)


def components(
    log_weights: Array, means: Array, factors: Array, log_norms: Array, shape: int
) -> tuple[Array, Array, Array]:
    """Constants, means and transposed whiteners: lower triangles of full covariances."""
    k, d = means.shape
    if shape == FULL:
        whiteners = factors.swapaxes(1, 2)
    else:
        whiteners = np.broadcast_to(factors.reshape(k, 1, -1), (k, 1, d))
    return frozen(log_weights + log_norms), frozen(means), frozen(whiteners)


def directed(control: Array, dtype: np.dtype[Any], blocks: int) -> Array:
    """The control words of a crew, told which code passes over rows of a type in so many blocks."""
    control[SWEEP], control[BLOCKS] = _sweep_at(dtype), blocks
    control[PASS] = _blocks_at(dtype) if blocks > 1 else control[SWEEP]
    return control


@cache
def alone(dtype: np.dtype[Any]) -> Array:
    """Control words for passes of one thread over a single block of rows of a type."""
    return directed(_words(), dtype, 1)


def _words() -> Array:
    return np.zeros(WORDS, np.int64)


@cache
def _sweep_at(dtype: np.dtype[Any]) -> int:
    """Where the compiled pass over a block lies; compiled or loaded by a first small one."""
    rows = np.zeros((1, 1), dtype)
    accumulate(rows, np.zeros(1), np.ones(1), np.empty(0), np.zeros((1, 3)), FULL, False)
    return address_of(compiled(sweep, rows))


@cache
def _blocks_at(dtype: np.dtype[Any]) -> int:
    """The same of the pass over blocks."""
    rows, sums = np.zeros((1, 1), dtype), np.zeros((1, 4))
    pair, constants, *tile = plan(rows, 1, FULL)
    frame = frozen(np.zeros(1)), frozen(np.ones(1)), frozen(np.empty(0))
    numbers = np.zeros((1, 3), dtype), pair, False, sums, constants, *tile
    call(sweep_blocks, rows, *frame, *numbers, directed(_words(), dtype, 1))
    return address_of(compiled(sweep_blocks, rows))
