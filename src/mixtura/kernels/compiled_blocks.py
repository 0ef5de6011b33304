"""One pass over the rows of many blocks by several threads, compiled as a whole."""

from __future__ import annotations

from numba import njit

from mixtura.kernels.compiled_calls import number_compiled
from mixtura.kernels.compiled_crew import NEXT, add, address_in, close_job, entrance, open_job
from mixtura.kernels.compiled_sweep import OPTIONS

__all__ = ["sweep_blocks"]


@njit(**OPTIONS)
def _some(given):  # type: ignore[no-untyped-def]
    """Blocks that no other thread has taken, until there are none left."""
    rows, weights, edges, frame, model, tile, sums, values, control, sweep = given
    (pivot, scale), (theta, pair, hard), (constants, b, q, step) = frame, model, tile
    while True:
        block = add(control, NEXT, 1)
        if block >= len(values):
            return
        start, stop = edges[block], edges[block + 1]
        part = weights[start:stop] if weights.size else weights
        numbers = theta, pair, hard, sums[block], constants, b, q, step
        whole = rows[start:stop], pivot, scale, part, *numbers
        values[block] = number_compiled(sweep, whole)


@njit(**OPTIONS)
def sweep_blocks(  # type: ignore[no-untyped-def]
    rows, weights, edges, frame, model, tile, sums, values, control, sweep
):
    """The sums (m, k, p) and log-likelihoods (m,) of m blocks; the first of each are those of all.

    They are added up in the blocks' tree, whoever made them: neighbours, then sums of neighbours.
    """
    given = rows, weights, edges, frame, model, tile, sums, values, control, sweep
    open_job(control, entrance(_some, given), address_in(given))
    _some(given)
    close_job(control)
    apart = 1
    while apart < len(values):
        for left in range(0, len(values) - apart, 2 * apart):
            values[left] += values[left + apart]
            for c in range(sums.shape[1]):
                for f in range(sums.shape[2]):
                    sums[left, c, f] += sums[left + apart, c, f]
        apart *= 2
    return values[0]
