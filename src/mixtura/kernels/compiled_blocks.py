"""One pass over the rows of many blocks by several threads, compiled as a whole."""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_calls import number_compiled
from mixtura.kernels.compiled_crew import (
    add,
    address_in,
    close_job,
    entrance,
    open_job,
)
from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart
from mixtura.kernels.crew import BLOCKS, NEXT, SWEEP

__all__ = ["sweep_blocks"]


@njit(**OPTIONS)
def _some(given):  # type: ignore[no-untyped-def]
    """Blocks that no other thread has taken, until there are none left."""
    rows, frame, weights, model, sums, values, tile, control = given
    n, m = len(rows), len(values)
    while True:
        block = add(control, NEXT, 1)
        if block >= m:
            return
        start, stop = n * block // m, n * (block + 1) // m
        part = weights[start:stop] if weights.size else weights
        numbers = *frame, part, *model, sums[block], *tile, control
        values[block] = number_compiled(control[SWEEP], (rows[start:stop], *numbers))


@njit(**OPTIONS)
def sweep_blocks(  # type: ignore[no-untyped-def]
    rows, pivot, scale, weights, theta, pair, hard, sums, constants, b, q, step, control
):
    """`sweep` over blocks of rows by several threads, added up in their tree, whoever made them."""
    m = control[BLOCKS]
    parts, values = np.zeros((m, *sums.shape)), np.zeros(m)
    model, tile = (theta, pair, hard), (constants, b, q, step)
    given = rows, (pivot, scale), weights, model, parts, values, tile, control
    open_job(control, entrance(_some, given), address_in(given))
    _some(given)
    close_job(control)
    apart = 1
    while apart < m:
        for left in range(0, m - apart, 2 * apart):
            values[left] += values[left + apart]
            _add(parts[left], parts[left + apart])
        apart *= 2
    _add(sums, parts[0])
    return values[0]


@njit(**OPTIONS)
def _add(sums, others):  # type: ignore[no-untyped-def]
    keep_apart()
    for c in range(sums.shape[0]):
        for f in range(sums.shape[1]):
            sums[c, f] += others[c, f]
