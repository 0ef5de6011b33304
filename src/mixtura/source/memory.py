"""Rows in memory, summed by a pool of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, cached_property
from itertools import count, pairwise
from threading import Lock
from typing import Any, TypeVar

import numpy as np
import threadpoolctl

from mixtura._types import Array, Indices, Rows
from mixtura.block import Block, cuts
from mixtura.kernels.crew import Crew
from mixtura.reading.cache import IN_MEMORY, backing, gathered, released
from mixtura.source.protocol import View, Whole
from mixtura.tree import joined, runs, tree_sum

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
    def of(cls, block: Block, threads: int = 1) -> MemorySource:
        """All that is known of the rows of a block."""
        source = cls(block.rows, threads=threads)
        source.whole = block
        return source

    @property
    def n(self) -> int:
        return len(self.whole.rows)

    @property
    def d(self) -> int:
        return self.whole.rows.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.whole.rows.dtype

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The rows cut by row number."""
        parts = cuts(self.n, self.d)
        return (self.whole,) if len(parts) == 1 else tuple(self.whole.take(part) for part in parts)

    def sum(self, function: Callable[[Sequence[Block]], T]) -> T:
        """``Σ function(run of blocks)`` in a fixed binary tree.

        What a function can do ``together`` with a crew of threads is left to it.
        """
        together = getattr(function, "together", None)
        if together is not None and self.threads > 1 and not self._elsewhere:
            found: T | None = together(self.blocks, self.whole, self._crew)
            if found is not None:
                return found
        cut = runs(len(self.blocks), self.threads, LONGEST if self._elsewhere else None)

        def summed(run: slice) -> T:
            with self._visit(run) as blocks:
                return function(blocks)

        return joined(self._mapped(summed, cut), cut)

    def sum_over(self, places: Sequence[slice], function: Callable[[Block, slice], T]) -> T:
        """``Σ function(block, place)`` over another cut of the rows, in a fixed binary tree."""
        cut = runs(len(places), self.threads)

        def summed(place: slice) -> T:
            block = self.whole.take(place)
            try:
                return function(block, place)
            finally:
                if self._elsewhere:
                    released(block.rows)

        return joined(self._mapped(lambda run: tree_sum(map(summed, places[run])), cut), cut)

    def map(self, function: Callable[[Block], Any]) -> list[Any]:
        """``function(block)`` of every block, in order."""

        def visited(index: int) -> Any:
            with self._visit(slice(index, index + 1)) as (block,):
                return function(block)

        return self._mapped(visited, range(len(self.blocks)))

    def placed(self, function: Callable[[Block, slice], Any]) -> list[Any]:
        """``function(block, place)`` of every block and where its rows stand, in order."""
        places = cuts(self.n, self.d)

        def visited(index: int) -> Any:
            with self._visit(slice(index, index + 1)) as (block,):
                return function(block, places[index])

        return self._mapped(visited, range(len(self.blocks)))

    def each(self, function: Callable[[Block, slice], object]) -> None:
        """The same for what the function does alone."""
        self.placed(function)

    def viewed(self, view: View) -> MemorySource:
        """The same rows under other weights and labels; those of weight zero are left out."""
        places = cuts(self.n, self.d)
        parts: list[Any] = [None] * len(places)

        def look(index: int) -> None:
            with self._visit(slice(index, index + 1)) as (block,):
                seen = view(block, places[index].start)
                parts[index] = seen.weights, seen.plausibility, seen.aside

        self._mapped(look, range(len(places)))
        weights, plausibility, aside = (joint([part[i] for part in parts]) for i in range(3))
        whole = replace(self.whole, weights=weights, plausibility=plausibility, aside=aside)
        source = MemorySource.of(whole, self.threads)
        if weights is None or weights.all():
            return source
        return MemorySource.of(source.take(np.flatnonzero(weights)), self.threads)

    @contextmanager
    def _visit(self, run: slice) -> Iterator[Sequence[Block]]:
        """Some of the blocks; where rows are elsewhere nothing of them is kept in memory."""
        blocks = self.blocks[run]
        if not self._elsewhere:
            yield blocks
            return
        try:
            yield [block.take(slice(None)) for block in blocks]
        finally:
            for block in blocks:
                released(block.rows)

    def _mapped(self, function: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
        with one_blas_thread():
            if self.threads == 1 or len(pieces) == 1:
                return [function(piece) for piece in pieces]
            return self._side_by_side(function, pieces)

    def _side_by_side(self, function: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
        """By this thread and others, which take the next piece when they are free.

        To wake a thread takes as long as a small block: meanwhile this one is at work.
        """
        results: list[Any] = [None] * len(pieces)
        turns = count()

        def work() -> None:
            while (turn := next(turns)) < len(results):
                results[turn] = function(pieces[turn])

        others = [self._pool.submit(work) for _ in range(min(self.threads, len(results)) - 1)]
        try:
            work()
        finally:
            for other in others:
                if not other.cancel():
                    other.result()
        return results

    @cached_property
    def _elsewhere(self) -> bool:
        """Whether the rows are many and mapped from a file: no more than a few are held."""
        return self.whole.rows.nbytes > IN_MEMORY and backing(self.whole.rows) is not None

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        """The other threads, which end with the source."""
        return ThreadPoolExecutor(self.threads - 1)

    @cached_property
    def _crew(self) -> Crew:
        """The same number of threads, for what is compiled as a whole."""
        return Crew(self.threads)

    def parts(self, count: int) -> list[MemorySource]:
        """The rows one after the other as so many sources, which share the threads."""
        edges = [self.n * index // count for index in range(count + 1)]
        found = [MemorySource.of(self.whole.take(slice(*e)), self.threads) for e in pairwise(edges)]
        for one in found:
            one._elsewhere = self._elsewhere
            if self.threads > 1:
                one._pool, one._crew = self._pool, self._crew
        return found

    def in_memory(self) -> Whole | None:
        """All rows where they are in memory, else None."""
        if self._elsewhere:
            return None
        return Whole(self.whole, self.blocks, self._crew if self.threads > 1 else None)

    def take(self, rows: Indices | slice) -> Block:
        """Some of the rows as one block."""
        if isinstance(rows, slice) or not self._elsewhere:
            return self.whole.take(rows)
        known = replace(self.whole, rows=np.empty((self.n, 0))).take(rows)
        return replace(known, rows=gathered(self.whole.rows, rows))


def joint(parts: Sequence[Any]) -> Any:
    """What is told of the rows of blocks, of all of them; None where it is None."""
    return None if parts[0] is None else np.concatenate(parts)


LONGEST = 16
"""Blocks that are in memory together, where rows come from elsewhere."""


class OneBlasThread:
    """Hold BLAS to one thread while our own threads are at work.

    The limit is the whole process's, so the first to enter sets it and the last to leave lifts it.
    Libraries that run on one thread anyway are left alone.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._held: list[tuple[Any, int]] = []

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                known = [(library, library.get_num_threads()) for library in _blas()]
                self._held = [(library, threads) for library, threads in known if threads != 1]
                _set([(library, 1) for library, _ in self._held])
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                _set(self._held)


_guard = OneBlasThread()


def one_blas_thread() -> OneBlasThread:
    """The process's guard: one BLAS thread for each of ours."""
    return _guard


def _set(threads: list[tuple[Any, int]]) -> None:
    if not threads:
        return
    _let_any_thread_set_limits()
    for library, number in threads:
        library.set_num_threads(number)
    _let_any_thread_set_limits()


def _let_any_thread_set_limits() -> None:
    """threadpoolctl from 3.8 on heeds only the thread that set a limit; ours may end in another."""
    blas = getattr(threadpoolctl, "OpenBLASController", None)
    if blas is not None and hasattr(blas, "clear_controlling_thread"):
        blas.clear_controlling_thread(force=True)


@cache
def _blas() -> list[Any]:
    """The BLAS libraries of the process."""
    found = threadpoolctl.ThreadpoolController().lib_controllers
    return [library for library in found if library.user_api == "blas"]
