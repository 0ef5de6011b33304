"""Randomised Sobol' points: what sums over them is, and its standard error."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mixtura._random import whole_seed
from mixtura._types import Array

SCRAMBLES = 8
_LEAST, _MOST = 1e-16, 1.0 - 1e-16


def scrambled(d: int, points: int, seed: int) -> Array:
    """(8, q, d) within (0, 1): eight scrambles of the first q points, of about so many in all.

    Owen (1997), "Scrambled net variance for integrals of smooth functions", Annals of Statistics
    25, 1541-1562: the means over the scrambles are independent, so that their spread tells the
    error. Without dimensions, one empty point.
    """
    seed = whole_seed(seed)
    if d == 0:
        return np.zeros((SCRAMBLES, 1, 0))
    return _sequences(d, max(int(np.ceil(np.log2(points / SCRAMBLES))), 4), seed)


@lru_cache(maxsize=8)
def _sequences(d: int, exponent: int, seed: int) -> Array:
    from scipy.stats import qmc  # takes long to load

    seeds = np.random.SeedSequence(seed).spawn(SCRAMBLES)
    made = (qmc.Sobol(d, seed=np.random.default_rng(one)) for one in seeds)
    found = np.stack([sequence.random_base2(exponent) for sequence in made])
    found = np.clip(found, _LEAST, _MOST)
    found.flags.writeable = False
    return np.asarray(found)


def averaged(each: Array) -> tuple[Array, Array]:
    """Mean and standard error of what the scrambles give, along the last axis."""
    return each.mean(axis=-1), each.std(axis=-1, ddof=1) / np.sqrt(each.shape[-1])
