"""Rows in memory, summed by a pool of threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from itertools import count
from threading import Lock
from typing import Any, TypeVar

import threadpoolctl

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

    @classmethod
    def over(cls, block: Block, threads: int = 1) -> MemorySource:
        """All that is known of a block's rows."""
        source = cls(block.rows, block.weights, block.plausibility, threads)
        source.whole = block
        return source

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
        with one_blas_thread():
            if self.threads == 1 or len(self.blocks) == 1:
                return [function(block) for block in self.blocks]
            return self._side_by_side(function)

    def _side_by_side(self, function: Callable[[Block], Any]) -> list[Any]:
        """`map` by this thread and others, which take the next block when they are free.

        To wake a thread takes as long as a small block: meanwhile this one is at work.
        """
        results: list[Any] = [None] * len(self.blocks)
        turns = count()

        def work() -> None:
            while (turn := next(turns)) < len(results):
                results[turn] = function(self.blocks[turn])

        others = [self._pool.submit(work) for _ in range(min(self.threads, len(results)) - 1)]
        try:
            work()
        finally:
            for other in others:
                if not other.cancel():
                    other.result()
        return results

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        """The other threads, which end with the source."""
        return ThreadPoolExecutor(self.threads - 1)

    def each(self, function: Callable[[Block, slice], object]) -> None:
        """``function(block, place)`` of every block and where its rows stand."""
        places = iter(cuts(self.n, self.d))
        placed = {id(block): place for block, place in zip(self.blocks, places, strict=True)}
        self.map(lambda block: function(block, placed[id(block)]))

    def single(self) -> Block | None:
        """All rows where they are a single block, else None."""
        return self.whole if len(self.blocks) == 1 else None

    def take(self, rows: Indices | slice) -> Block:
        """Some of the rows as one block."""
        return self.whole.take(rows)


def tree_sum(values: list[Any]) -> Any:
    """Sum neighbours, then sums of neighbours: the same tree for any number of workers."""
    while len(values) > 1:
        pairs = [a + b for a, b in zip(values[::2], values[1::2], strict=False)]
        values = pairs + values[len(pairs) * 2 :]
    return values[0]


class OneBlasThread:
    """Hold BLAS to one thread while our own threads are at work.

    The limit is the whole process's, so the first to enter sets it and the last to leave lifts it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limit = _controller().limit(limits=1, user_api="blas")
                self._limit.__enter__()
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                _let_any_thread_set_limits()
                self._limit.__exit__(None, None, None)
                _let_any_thread_set_limits()


_guard = OneBlasThread()


def one_blas_thread() -> OneBlasThread:
    """The process's guard: one BLAS thread for each of ours."""
    return _guard


def _let_any_thread_set_limits() -> None:
    """threadpoolctl from 3.8 on heeds only the thread that set a limit; ours may end in another."""
    blas = getattr(threadpoolctl, "OpenBLASController", None)
    if blas is not None and hasattr(blas, "clear_controlling_thread"):
        blas.clear_controlling_thread(force=True)


@cache
def _controller() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController()
