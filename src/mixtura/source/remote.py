"""Rows in partitions that other processes hold: functions travel to them, and sums come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import numpy as np

from mixtura import kernels
from mixtura._errors import InputError, MixturaError
from mixtura._types import Array, Indices, Rows
from mixtura.block import Block
from mixtura.reading.cache import IN_MEMORY, kept
from mixtura.source import partition
from mixtura.source.memory import joint
from mixtura.source.partition import Counted, Survey, Visit
from mixtura.source.protocol import Source, View
from mixtura.tree import united

T = TypeVar("T")


class Partitions(Protocol):
    """Where partitions are and how to reach them: all that an engine must bring.

    A visit is a pure function that can be pickled. Engines may run it again at will.
    """

    d: int
    names: tuple[str, ...] | None

    def each(self, visit: Visit, told: Sequence[Any] | None = None) -> list[Any]:
        """``visit(batches, told[i])`` of every partition in order; None where None is told."""

    def merged(self, visit: Visit, told: Sequence[Any], merge: Callable[[list[Any]], Any]) -> Any:
        """`merge` of all visits, of merges of some, and so on, in any order."""


class RemoteSource:
    """Rows in the partitions of an engine.

    Blocks are cut by row number as in memory where partitions end at such cuts, else partition by
    partition. Every pass asserts that all rows and all weight were there.

    Parameters
    ----------
    partitions : Partitions

    Raises
    ------
    InputError
        What cannot be used as rows or weights; says in which partition.
    """

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions
        self.d, self.names = partitions.d, partitions.names
        found = partitions.each(partition.survey)
        for index, one in enumerate(found):
            if isinstance(one, str):
                raise InputError(f"partition {index}: {one}")
        seen = [Survey() if one is None else one for one in found]
        self.edges = np.concatenate([[0], np.cumsum([one.rows for one in seen], dtype=np.int64)])
        self.n = int(self.edges[-1])
        if not self.n:
            raise InputError("the partitions hold no rows that count: nothing is left to fit")
        self.weight = float(sum(one.weight for one in seen))
        single = any(one.single for one in seen)
        self.dtype: np.dtype[Any] = np.dtype(np.float32 if single else np.float64)
        complete = not any(one.gaps for one in seen)
        self._places = partition.places(self.edges, self.d, complete)
        self._blocks = sum(len(place.cuts) for place in self._places if place is not None)

    def sum(self, function: Callable[[Sequence[Block]], T]) -> T:
        """``Σ function(run of blocks)`` in a fixed binary tree, added up where the rows are."""
        visit = partial(partition.summed, function, kernels.active().__name__, self._blocks)
        merge = partial(united, n=self._blocks)
        parts = self._partitions.merged(visit, self._places, merge)
        if len(parts) != 1 or parts[0][0] != slice(0, self._blocks):
            known = [run for run, _ in parts]
            raise MixturaError(f"of {self._blocks} blocks only {known} came back: fit again")
        found: Counted = parts[0][1]
        if found.rows != self.n or abs(found.weight - self.weight) > _SAME * self.weight:
            raise MixturaError(
                f"a pass saw {found.rows} rows of weight {found.weight:.10g}, the first one "
                f"{self.n} of {self.weight:.10g}: {partition.STEADY}"
            )
        total: T = found.total
        return total

    def map(self, function: Callable[[Block], Any]) -> list[Any]:
        """``function(block)`` of every block, in order."""
        return self._visited(partial(partition.mapped, function, kernels.active().__name__))

    def placed(self, function: Callable[[Block, slice], Any]) -> list[Any]:
        """``function(block, place)`` of every block and where its rows stand, in order."""
        return self._visited(partial(partition.placed, function, kernels.active().__name__))

    def _visited(self, visit: Visit) -> list[Any]:
        """What visits say of each block, in order."""
        found = self._partitions.each(visit, self._places)
        values = [value for one in found if one is not None for value in one]
        if len(values) != self._blocks:
            raise MixturaError(f"{len(values)} of {self._blocks} blocks came back: fit again")
        return values

    def each(self, function: Callable[[Block, slice], object]) -> None:
        """Refused: what is said of each row stays where the row is.

        Raises
        ------
        InputError
        """
        raise InputError("rows in partitions are answered for there: predict, or mixtura.assign")

    def viewed(self, view: View) -> RemoteSource:
        """The same rows under other weights and labels; those of weight zero are left out."""
        return RemoteSource(_Viewed(self._partitions, view, self.edges[:-1].tolist()))

    def brought(self, folder: str | None = None) -> Block:
        """All rows and what is told of them, here: in memory while they are few, else in a file.

        Few partitions are in memory at a time.

        Raises
        ------
        InputError
            The folder for temporary files has no room for them.
        """
        told: list[tuple[Any, Any]] = []

        def pieces() -> Iterator[Rows]:
            for piece in _groups(self.edges, IN_MEMORY // (self.d * self.dtype.itemsize)):
                block = self.take(piece)
                told.append((block.weights, block.aside))
                yield np.asarray(block.rows, self.dtype)

        rows = kept(pieces(), folder, self.n * self.d * self.dtype.itemsize)
        weights, aside = (joint([one[i] for one in told]) for i in range(2))
        return Block(rows, weights, aside=aside)

    def in_memory(self) -> None:
        """None: nothing is in memory here."""

    def sum_over(self, places: Sequence[slice], function: Callable[[Block, slice], T]) -> T:
        """Refused: what is kept of each row between steps would have to lie beside it.

        Raises
        ------
        InputError
        """
        raise InputError(
            "candidates need the rows in memory or in files, and these are in partitions: leave "
            "candidates out, or fit mixtura.scan(...)"
        )

    def parts(self, count: int) -> Sequence[Source]:
        """Refused: after each part would come a wait for all workers.

        Raises
        ------
        InputError
        """
        raise InputError(
            "incremental steps need the rows in memory or in files, and these are in partitions: "
            "leave incremental out, or fit mixtura.scan(...)"
        )

    def take(self, rows: Indices | slice) -> Block:
        """Some of the rows, by their numbers among all, as one block in memory."""
        wanted = np.arange(*rows.indices(self.n)) if isinstance(rows, slice) else rows
        home = np.searchsorted(self.edges, wanted, side="right") - 1
        order = np.argsort(home, kind="stable")
        told: list[Any] = [None] * (len(self.edges) - 1)
        for index in np.unique(home):
            told[index] = self._places[index], wanted[home == index] - self.edges[index]
        found = [one for one in self._partitions.each(partition.taken, told) if one is not None]
        if sum(len(one) for one in found) != len(wanted):
            raise MixturaError(f"{len(wanted)} rows were asked for and fewer came: fit again")
        return partition.together(found).take(np.argsort(order, kind="stable"))


def _groups(edges: Array, most: int) -> Iterator[slice]:
    """Runs of whole partitions of at most so many rows, or of one."""
    start = 0
    for stop, after in pairwise([*edges[1:].tolist(), np.inf]):
        if stop > start and after - start > most:
            yield slice(start, stop)
            start = stop


class _Viewed:
    """Partitions seen otherwise, each from the number of its first row on."""

    def __init__(self, partitions: Partitions, view: View, first: Sequence[int]) -> None:
        self._partitions, self._view, self._first = partitions, view, first
        self.d, self.names = partitions.d, partitions.names

    def each(self, visit: Visit, told: Sequence[Any] | None = None) -> list[Any]:
        """``visit(batches, told[i])`` of every partition in order; None where None is told."""
        seen = partial(partition.viewed, self._view, visit)
        return self._partitions.each(seen, self._numbered(told))

    def merged(self, visit: Visit, told: Sequence[Any], merge: Callable[[list[Any]], Any]) -> Any:
        """`merge` of all visits, of merges of some, and so on, in any order."""
        seen = partial(partition.viewed, self._view, visit)
        return self._partitions.merged(seen, self._numbered(told), merge)

    def _numbered(self, told: Sequence[Any] | None) -> list[Any]:
        if told is None:
            return [(first, None) for first in self._first]
        pairs = zip(self._first, told, strict=True)
        return [None if one is None else (first, one) for first, one in pairs]


_SAME = 1e-9
"""Relative difference of sums of the same weights in another order."""
