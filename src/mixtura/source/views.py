"""Sights of rows: the same rows, numbered, split at random, or without their labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixtura._types import Mask
from mixtura.block import Block
from mixtura.source.protocol import Source
from mixtura.source.shuffle import shuffled


def numbered(block: Block, first: int) -> Block:
    """A view of rows that tells their numbers."""
    return replace(block, aside=np.arange(first, first + len(block)))


def fold(
    block: Block, first: int, *, n: int, seed: int, folds: int, part: int, inside: bool
) -> Block:
    """A view of the rows of one random part of so many, or of all others; tells their numbers."""
    rows = np.arange(first, first + len(block))
    mine = shuffled(rows, n, seed) % folds == part
    return replace(kept(block, mine if inside else ~mine), aside=rows)


def held(block: Block, first: int, *, n: int, seed: int, count: int, inside: bool) -> Block:
    """A view of so many of n rows at random, or of all others."""
    mine = shuffled(np.arange(first, first + len(block)), n, seed) < count
    return kept(block, mine if inside else ~mine)


def bootstrapped(block: Block, first: int, *, seed: int) -> Block:
    """A view of rows under the weights of a Bayesian bootstrap (Rubin 1981), however cut."""
    numbers = np.random.Generator(np.random.PCG64(seed).advance(first))
    return replace(block, weights=-np.log1p(-numbers.random(len(block))) * block.weight())


def weighing(block: Block, first: int, *, scale: float) -> Block:
    """A view of rows that weigh so many times as much."""
    return replace(block, weights=scale * block.weight())


def weighing_twice(block: Block, first: int, *, scale: float) -> Block:
    """A view of rows under their squared weights, so many times."""
    return replace(block, weights=block.weight() * (scale * block.weight()))


def kept(block: Block, rows: Mask) -> Block:
    """A view of some of the rows: the others weigh nothing."""
    return replace(block, weights=np.where(rows, block.weight(), 0.0))


def without_labels(source: Source) -> Source:
    """The same rows, of which no component is known."""
    return source.viewed(_unlabelled) if any(source.map(_labelled)) else source


def _labelled(block: Block) -> bool:
    return block.plausibility is not None


def _unlabelled(block: Block, first: int) -> Block:
    return replace(block, plausibility=None)
