"""Seeds and Lloyd's steps, compiled. Rows are feature-major: one feature of all rows lies together,
so that distances fill vector registers."""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_products import add_sums, lanes
from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart

__all__ = ["lloyd", "spread"]

_STEP = lanes(np.dtype(float))
_FEW = 8  # clusters up to which products in registers take less time than additions row by row


@njit(**OPTIONS)
def spread(columns, weights, draws, chosen):  # type: ignore[no-untyped-def]
    """Write rows drawn by weighted squared distance from those before."""
    keep_apart()
    d, n = columns.shape
    nearest, squared = np.ones(n), np.empty(n)
    for place in range(len(draws)):
        whole = 0.0
        for i in range(n):
            whole += weights[i] * nearest[i]
        share, running, spot = draws[place] * whole, 0.0, n - 1
        if whole > 0.0:
            for i in range(n):
                running += weights[i] * nearest[i]
                if running > share:
                    spot = i
                    break
        else:
            spot = min(int(draws[place] * n), n - 1)
        chosen[place] = spot
        for i in range(n):
            squared[i] = 0.0
        for j in range(d):
            centre = columns[j, spot]
            for i in range(n):
                squared[i] += (columns[j, i] - centre) ** 2
        for i in range(n):
            nearest[i] = squared[i] if place == 0 else min(nearest[i], squared[i])


@njit(**OPTIONS)
def lloyd(columns, weights, seeds, rounds, labels):  # type: ignore[no-untyped-def]
    """Move `seeds` and write `labels` until nothing changes or all rounds are over."""
    k, d = seeds.shape
    n = columns.shape[1]
    best, squared = np.empty(n), np.empty(n)
    few = k <= _FEW
    table = _with_ones(columns) if few else np.empty((d + 1, 0))
    shares, sums = np.empty((k, table.shape[1])), np.empty((k, len(table)))
    for _ in range(rounds):
        if not _nearest(columns, seeds, best, squared, labels):
            return
        if few:
            _sum_by_shares(table, weights, labels, shares, sums)
        else:
            _sum_row_by_row(columns, weights, labels, sums)
        for c in range(k):
            if sums[c, d] > 0.0:
                for j in range(d):
                    seeds[c, j] = sums[c, j] / sums[c, d]


@njit(**OPTIONS)
def _with_ones(columns):  # type: ignore[no-untyped-def]
    """The columns with one of ones, padded for `add_sums`."""
    d, n = columns.shape
    out = np.zeros(((d + 4) // 4 * 4, (n + _STEP - 1) // _STEP * _STEP))
    for j in range(d):
        for i in range(n):
            out[j, i] = columns[j, i]
    for i in range(n):
        out[d, i] = 1.0
    return out


@njit(**OPTIONS)
def _sum_by_shares(table, weights, labels, shares, sums):  # type: ignore[no-untyped-def]
    """Weighted sums (k, d + 1) of a table's rows by label: a product, as each row's share is."""
    keep_apart()
    shares[:] = 0.0
    sums[:] = 0.0
    for i in range(len(weights)):
        shares[labels[i], i] = weights[i]
    add_sums(shares, table, sums, 0, len(table), table.shape[1])


@njit(**OPTIONS)
def _sum_row_by_row(columns, weights, labels, sums):  # type: ignore[no-untyped-def]
    """The same, one addition after the other: with many labels, nearly all shares are zero."""
    keep_apart()
    d, n = columns.shape
    sums[:] = 0.0
    for j in range(d):
        for i in range(n):
            sums[labels[i], j] += weights[i] * columns[j, i]
    for i in range(n):
        sums[labels[i], d] += weights[i]


@njit(**OPTIONS)
def _nearest(columns, seeds, best, squared, labels):  # type: ignore[no-untyped-def]
    """Write the first nearest seed of each row; whether any label changed."""
    keep_apart()
    n = columns.shape[1]
    found = np.zeros(n, np.int32)
    for c in range(len(seeds)):
        constant = 0.0
        for j in range(len(columns)):
            constant += seeds[c, j] ** 2
        for i in range(n):
            squared[i] = constant
        for j in range(len(columns)):
            factor = -2.0 * seeds[c, j]
            for i in range(n):
                squared[i] += factor * columns[j, i]
        for i in range(n):
            nearer = c == 0 or squared[i] < best[i]
            best[i] = squared[i] if nearer else best[i]
            found[i] = c if nearer else found[i]
    changed = False
    for i in range(n):
        changed |= labels[i] != found[i]
        labels[i] = found[i]
    return changed
