"""Sums over rows that share few candidates each, compiled: whitened tile by tile.

A tile is rows with the same best component, so that they share a search: a few dozen whiteners
stay in the cache while each is multiplied with rows side by side in vector registers.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart
from mixtura.kernels.compiled_whiten import about_mean, add_mass, add_moments, log_joint_of
from mixtura.kernels.plain_truncated import NOTHING

__all__ = ["truncated_sums"]

_TILE, _NOTHING = 128, NOTHING


@njit(**OPTIONS)
def truncated_sums(  # type: ignore[no-untyped-def]
    rows, pivot, scale, weights, component, hard, near, order, edges, step, held, first, second
):
    """Add moments about each mean of rows and the components kept; return the free energy.

    `component`, `first` and `second` are those of `whitened_sums`. Tile t is the rows
    ``order[edges[t]:edges[t + 1]]``; `held` (n, C) is what they kept, best first, and is replaced.
    Without a column in `near`, all components are searched.
    """
    keep_apart()
    shares = np.empty(held.shape)
    frame = pivot, scale
    energy = _assigned(
        rows, frame, weights, component, hard, near, order, edges, step, held, shares
    )
    _summed(rows, frame, component[1], held, shares, step, first, second)
    return energy


@njit(**OPTIONS)
def _assigned(  # type: ignore[no-untyped-def]
    rows, frame, weights, component, hard, near, order, edges, step, held, shares
):
    """Replace what the rows hold, and write their weighted shares (n, C); the free energy."""
    keep_apart()
    d, k = rows.shape[1], len(near)
    longest = 0
    for t in range(len(edges) - 1):
        longest = max(longest, edges[t + 1] - edges[t])
    stride = (longest + step - 1) // step * step + step
    most = min(k, near.shape[1] + longest * held.shape[1]) if near.shape[1] else k
    z, logits = np.zeros((d, stride)), np.empty((most, stride))
    stamps, listed = np.full(k, -1), np.empty(most, np.int64)
    tops, spots = np.empty(held.shape[1]), np.zeros(held.shape[1], np.int64)
    energy = 0.0
    for t in range(len(edges) - 1):
        tile = order[edges[t] : edges[t + 1]]
        wide = (len(tile) + step - 1) // step * step
        _gather(rows, frame, tile, wide, z)
        size = _listed(near, held, tile, stamps, t, listed)
        for s in range(size):
            log_joint_of(z, component, listed[s], 1.0, logits, s, wide, step)
        for i in range(len(tile)):
            row = tile[i]
            _best(logits, size, i, tops, spots)
            for j in range(len(tops)):
                held[row, j] = listed[spots[j]]
            w = weights[row] if weights.size else 1.0
            energy += w * _shared(tops, w, hard, held[row], shares[row])
    return energy


@njit(**OPTIONS)
def _summed(rows, frame, means, held, shares, step, first, second):  # type: ignore[no-untyped-def]
    """Add the moments, component by component, of the rows that have a share of it."""
    keep_apart()
    d, k = rows.shape[1], len(means)
    stride = _TILE + step
    z, off = np.zeros((d, stride)), np.zeros(((d + 3) // 4 * 4, stride))
    y, share = np.empty((d, stride)), np.zeros(stride)
    owners, own, begins = _by_component(held, shares, k)
    for c in range(k):
        for lo in range(begins[c], begins[c + 1], _TILE):
            m = min(_TILE, begins[c + 1] - lo)
            wide = (m + step - 1) // step * step
            _gather(rows, frame, owners[lo : lo + m], wide, z)
            for i in range(wide):
                share[i] = own[lo + i] if i < m else 0.0
            add_mass(share, wide, first[c])
            about_mean(z, means[c], off, wide)
            add_moments(off, share, y, first[c], second[c], wide)


@njit(**OPTIONS)
def _by_component(held, shares, k):  # type: ignore[no-untyped-def]
    """The rows with a share of each component, their shares, and where each component begins."""
    keep_apart()
    n, most = held.shape
    begins = np.zeros(k + 1, np.int64)
    for i in range(n):
        for j in range(most):
            if shares[i, j] != 0.0:
                begins[held[i, j] + 1] += 1
    for c in range(k):
        begins[c + 1] += begins[c]
    places = begins.copy()
    owners, own = np.empty(begins[k], np.int64), np.empty(begins[k])
    for i in range(n):
        for j in range(most):
            if shares[i, j] != 0.0:
                place = places[held[i, j]]
                owners[place], own[place] = i, shares[i, j]
                places[held[i, j]] += 1
    return owners, own, begins


@njit(**OPTIONS)
def _gather(rows, frame, tile, wide, z):  # type: ignore[no-untyped-def]
    """Frame the rows of a tile, a feature a row of `z`; pad with zeros."""
    keep_apart()
    pivot, scale = frame
    m = len(tile)
    for i in range(m):
        for j in range(rows.shape[1]):
            z[j, i] = (rows[tile[i], j] - pivot[j]) * scale[j]
    for i in range(m, wide):
        for j in range(rows.shape[1]):
            z[j, i] = 0.0


@njit(**OPTIONS)
def _listed(near, held, tile, stamps, t, listed):  # type: ignore[no-untyped-def]
    """Write which components a tile searches, each once; return how many."""
    keep_apart()
    if near.shape[1] == 0:
        for c in range(len(near)):
            listed[c] = c
        return len(near)
    size = 0
    for c in near[held[tile[0], 0]]:
        if stamps[c] != t:
            stamps[c] = t
            listed[size] = c
            size += 1
    for i in range(len(tile)):
        for c in held[tile[i]]:
            if c >= 0 and stamps[c] != t:
                stamps[c] = t
                listed[size] = c
                size += 1
    return size


@njit(**OPTIONS)
def _best(logits, size, i, tops, spots):  # type: ignore[no-untyped-def]
    """The largest of a column's first numbers, in order, and where they are."""
    keep_apart()
    most, found = len(tops), 0
    tops[:] = -np.inf
    for s in range(size):
        value = logits[s, i]
        if found == most:
            if not value > tops[most - 1]:
                continue
            found -= 1
        place = found
        while place > 0 and tops[place - 1] < value:
            tops[place], spots[place] = tops[place - 1], spots[place - 1]
            place -= 1
        tops[place], spots[place] = value, s
        found += 1


@njit(**OPTIONS)
def _shared(tops, w, hard, held, shares):  # type: ignore[no-untyped-def]
    """Write the weighted shares of a row and let go of what has none; return its free energy."""
    keep_apart()
    norm = 0.0
    for j in range(len(tops)):
        behind = tops[j] - tops[0]
        if j > 0 and (hard or not behind > _NOTHING):
            held[j], shares[j] = -1, 0.0
            continue
        shares[j] = math.exp(behind)
        norm += shares[j]
    for j in range(len(tops)):
        shares[j] *= w / norm
    return tops[0] + math.log(norm)
