"""A random order of rows that anyone can tell of any row, without the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura._types import Indices

_ROUNDS = 8

_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
"""Shifts and factors of SplitMix64's last step (Steele, Lea & Flood 2014)."""


def shuffled(rows: Indices, n: int, seed: int) -> Indices:
    """Where a random permutation of ``0..n-1`` puts some of these numbers.

    A Feistel network on the next power of four, walked until it is below n (Black & Rogaway 2002).
    So partitions can be split at random where they are, and as rows in memory would be.

    Examples
    --------
    >>> from mixtura.source.shuffle import shuffled
    >>> sorted(shuffled(np.arange(7), 7, seed=3).tolist())
    [0, 1, 2, 3, 4, 5, 6]
    """
    half = np.uint64(max((int(n - 1).bit_length() + 1) // 2, 1))
    keys = np.random.default_rng(seed).integers(0, 2**64, _ROUNDS, dtype=np.uint64)
    out = _once(rows.astype(np.uint64), half, keys)
    while (outside := np.flatnonzero(out >= n)).size:
        out[outside] = _once(out[outside], half, keys)
    return np.asarray(out, dtype=np.intp)


def _once(x: Any, half: np.uint64, keys: Any) -> Any:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = x >> half, x & mask
    for key in keys:
        mixed = right + key
        for shift, factor in _MIX:
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        left, right = right, left ^ (mixed & mask)
    return (left << half) | right
