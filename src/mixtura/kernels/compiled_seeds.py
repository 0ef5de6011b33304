"""Seeds and Lloyd's steps, compiled. Rows are feature-major: one feature of all rows lies together,
so that distances fill vector registers."""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart

__all__ = ["lloyd", "spread"]


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
    mass, sums = np.empty(k), np.empty((k, d))
    for _ in range(rounds):
        if not _nearest(columns, seeds, best, squared, labels):
            return
        for c in range(k):
            mass[c] = 0.0
            for j in range(d):
                sums[c, j] = 0.0
        for i in range(n):
            mass[labels[i]] += weights[i]
        for j in range(d):
            for i in range(n):
                sums[labels[i], j] += weights[i] * columns[j, i]
        for c in range(k):
            if mass[c] > 0.0:
                for j in range(d):
                    seeds[c, j] = sums[c, j] / mass[c]


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
