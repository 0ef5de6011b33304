"""Rows in memory, summed by a pool of threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from mixtura._types import Array, Indices, Rows
from mixtura.block import Block, cuts

T = TypeVar("T")


class MemorySource:
    """An array of rows, with weights and labels.

    Parameters
    ----------
    rows : (n, d), NaN where unobserved
    weights : (n,) or None
    plausibility : (n, k) or None
    threads : int
        Blocks at work side by side; with more than one, BLAS is held to one thread each.
    """

    def __init__(
        self,
        rows: Rows,
        weights: Array | None = None,
        plausibility: Array | None = None,
        threads: int = 1,
    ) -> None:
        self.whole = Block(rows, weights, plausibility)
        self.threads = threads

    @property
    def n(self) -> int:
        return len(self.whole.rows)

    @property
    def d(self) -> int:
        return self.whole.rows.shape[1]

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The rows cut by row number."""
        parts = cuts(self.n, self.d)
        return (self.whole,) if len(parts) == 1 else tuple(self.whole.take(part) for part in parts)

    def sum(self, function: Callable[[Block], T]) -> T:
        """``Σ function(block)`` in a fixed binary tree."""
        return tree_sum(self.map(function))

    def map(self, function: Callable[[Block], Any]) -> list[Any]:
        """``function(block)`` of every block, in order."""
        if self.threads == 1 or len(self.blocks) == 1:
            return [function(block) for block in self.blocks]
        with one_blas_thread(), ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(function, self.blocks))

    def each(self, function: Callable[[Block, slice], object]) -> None:
        """``function(block, place)`` of every block and where its rows stand."""
        places = cuts(self.n, self.d)
        if self.threads == 1 or len(places) == 1:
            for block, place in zip(self.blocks, places, strict=True):
                function(block, place)
        else:
            with one_blas_thread(), ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(function, self.blocks, places))

    def single(self) -> Block | None:
        """All rows where they are a single block, else None."""
        return self.whole if len(self.blocks) == 1 else None

    def take(self, rows: Indices) -> Block:
        """Some of the rows as one block."""
        return self.whole.take(rows)


def tree_sum(values: list[Any]) -> Any:
    """Sum neighbours, then sums of neighbours: the same tree for any number of workers."""
    while len(values) > 1:
        pairs = [a + b for a, b in zip(values[::2], values[1::2], strict=False)]
        values = pairs + values[len(pairs) * 2 :]
    return values[0]


_controllers: list[ThreadpoolController] = []


def one_blas_thread() -> AbstractContextManager[Any]:
    """Hold BLAS to one thread while our own threads are at work."""
    if not _controllers:
        _controllers.append(ThreadpoolController())
    return _controllers[0].limit(limits=1, user_api="blas")
