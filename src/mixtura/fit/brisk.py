"""Starts for many components: few of them, seeded on few rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mixtura._types import Array, Indices
from mixtura.fit import seeds
from mixtura.fit.sample import Sample, partitioned

ROWS = 20
"""Rows for each component on which seeds are drawn and moved."""

_ROUNDS = 4
"""Lloyd's steps on these."""


def partitions(
    small: Sample, k: int, rng: np.random.Generator, fields: int
) -> Iterator[tuple[str, Indices]]:
    """k-means++ and Lloyd's steps on a part of the sample, one step on all; in both spaces.

    Seeds cost as many distances as rows times components, so that all rows of the sample would
    take longer than the climb.
    """
    for _ in range(fields):
        for space, name in enumerate(("k-means++", "k-means++, whitened")):
            yield name, partitioned(small, _places(small, k, space, rng), space, rounds=1)


def _places(small: Sample, k: int, space: int, rng: np.random.Generator) -> Array:
    rows, weights = small.spaces[space], small.weights
    if len(rows) > ROWS * k:
        some = np.sort(rng.choice(len(rows), size=ROWS * k, replace=False))
        rows, weights = np.asfortranarray(rows[some]), weights[some]
    return seeds.settled(rows, weights, seeds.plus_plus(rows, weights, k, rng), _ROUNDS)
