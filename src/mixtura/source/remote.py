"""Rows in partitions that other processes hold: functions travel to them, and sums come back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from typing import Any, Protocol, TypeVar

import numpy as np

from mixtura import _checks, kernels
from mixtura._errors import InputError, MixturaError
from mixtura._types import Array, Indices, Rows
from mixtura.block import Block, cuts
from mixtura.reading.cache import IN_MEMORY, kept
from mixtura.source.memory import LONGEST, joint, one_blas_thread
from mixtura.source.protocol import Source, View
from mixtura.tree import nodes, tree_sum, united

T = TypeVar("T")

Batches = Iterable[Block]
"""The rows of a partition, in order and in pieces that an engine holds one at a time."""

Visit = Callable[[Batches, Any], Any]
"""What is done to a partition's rows, with what is told of this partition alone."""


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


@dataclass(frozen=True)
class Place:
    """Where the rows of a partition stand among all.

    Attributes
    ----------
    index : the partition's number
    start : the number of its first row
    rows : how many it has
    first : the number of its first block
    cuts : its blocks, in its own row numbers
    """

    index: int
    start: int
    rows: int
    first: int
    cuts: tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Counted:
    """A sum over rows, with how many they were and what they weigh."""

    rows: int
    weight: float
    total: Any

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.rows + other.rows, self.weight + other.weight, self.total + other.total)


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
        found = partitions.each(_survey)
        for index, one in enumerate(found):
            if isinstance(one, str):
                raise InputError(f"partition {index}: {one}")
        lengths = np.array([0 if one is None else one[0] for one in found], dtype=np.int64)
        self.edges = np.concatenate([[0], np.cumsum(lengths)])
        self.n = int(self.edges[-1])
        if not self.n:
            raise InputError("the partitions hold no rows that count: nothing is left to fit")
        self.weight = float(sum(one[1] for one in found if one is not None))
        single = any(one is not None and one[2] for one in found)
        self.dtype: np.dtype[Any] = np.dtype(np.float32 if single else np.float64)
        self._places = places(self.edges, self.d)
        self._blocks = sum(len(place.cuts) for place in self._places if place is not None)

    def sum(self, function: Callable[[Sequence[Block]], T]) -> T:
        """``Σ function(run of blocks)`` in a fixed binary tree, added up where the rows are."""
        visit = partial(_summed, function, kernels.active().__name__, self._blocks)
        merge = partial(united, n=self._blocks)
        parts = self._partitions.merged(visit, self._places, merge)
        if len(parts) != 1 or parts[0][0] != slice(0, self._blocks):
            known = [run for run, _ in parts]
            raise MixturaError(f"of {self._blocks} blocks only {known} came back: fit again")
        found: Counted = parts[0][1]
        if found.rows != self.n or abs(found.weight - self.weight) > _SAME * self.weight:
            raise MixturaError(
                f"a pass saw {found.rows} rows of weight {found.weight:.10g}, the first one "
                f"{self.n} of {self.weight:.10g}: {_STEADY}"
            )
        total: T = found.total
        return total

    def map(self, function: Callable[[Block], Any]) -> list[Any]:
        """``function(block)`` of every block, in order."""
        return self._visited(partial(_mapped, function, kernels.active().__name__))

    def placed(self, function: Callable[[Block, slice], Any]) -> list[Any]:
        """``function(block, place)`` of every block and where its rows stand, in order."""
        return self._visited(partial(_placed, function, kernels.active().__name__))

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

    def single(self) -> None:
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
        found = [one for one in self._partitions.each(_taken, told) if one is not None]
        if sum(len(one) for one in found) != len(wanted):
            raise MixturaError(f"{len(wanted)} rows were asked for and fewer came: fit again")
        return _together(found).take(np.argsort(order, kind="stable"))


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
        return self._partitions.each(partial(_seen, self._view, visit), self._numbered(told))

    def merged(self, visit: Visit, told: Sequence[Any], merge: Callable[[list[Any]], Any]) -> Any:
        """`merge` of all visits, of merges of some, and so on, in any order."""
        seen = partial(_seen, self._view, visit)
        return self._partitions.merged(seen, self._numbered(told), merge)

    def _numbered(self, told: Sequence[Any] | None) -> list[Any]:
        if told is None:
            return [(first, None) for first in self._first]
        pairs = zip(self._first, told, strict=True)
        return [None if one is None else (first, one) for first, one in pairs]


def _seen(view: View, visit: Visit, batches: Batches, told: tuple[int, Any]) -> Any:
    first, mine = told
    return visit(_views(view, batches, first), mine)


def _views(view: View, batches: Batches, first: int) -> Iterator[Block]:
    for block in batches:
        yield _counting(view(block, first))
        first += len(block)


def _counting(block: Block) -> Block:
    """The rows that weigh something."""
    if block.weights is None or block.weights.all():
        return block
    return block.take(np.flatnonzero(block.weights))


_SAME = 1e-9
"""Relative difference of sums of the same weights in another order."""

_STEADY = (
    "what is computed anew for each pass must come out the same, so persist the collection, or "
    "seed what is random in it"
)


def places(edges: Array, d: int) -> list[Place | None]:
    """The blocks of each partition, from where partitions begin and end; None for empty ones."""
    whole = cuts(int(edges[-1]), d)
    known = {cut.start for cut in whole} | {int(edges[-1])}
    aligned = known.issuperset(edges.tolist())
    found: list[Place | None] = []
    first = at = 0
    for index, (start, stop) in enumerate(
        zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ):
        if start == stop:
            found.append(None)
            continue
        mine = cuts(stop - start, d)
        if aligned:
            begun = at
            while at < len(whole) and whole[at].stop <= stop:
                at += 1
            mine = [slice(cut.start - start, cut.stop - start) for cut in whole[begun:at]]
        found.append(Place(index, start, stop - start, first, tuple(mine)))
        first += len(mine)
    return found


def partition(given: Any, weights: Any = None, aside: Any = None) -> Block:
    """A partition as a block, with what else is told of its rows; none of them weighs nothing."""
    rows = _checks.table(given, finite=False).rows
    told = None if weights is None else np.asarray(weights, dtype=np.float64)
    aside = None if aside is None else np.asarray(aside)
    if told is not None and told.shape != (len(rows),):
        raise InputError(
            f"{len(rows)} rows have weights of shape {told.shape}: one a row is needed"
        )
    if aside is not None and len(aside) != len(rows):
        raise InputError(f"{len(rows)} rows have {len(aside)} labels: one a row is needed")
    return _counting(Block(rows, told, aside=aside))


def _survey(batches: Batches, told: None) -> tuple[int, float, bool] | str:
    """Rows, weight, and whether numbers are float32; or what is wrong with them."""
    rows, weight, single = 0, 0.0, False
    for block in batches:
        try:
            _checks.refuse_infinite(block.rows, None, rows)
            if block.weights is not None and len(block):
                _checks.row_weights(block.weights, len(block))
        except InputError as error:
            return str(error)
        rows, weight = rows + len(block), weight + float(block.weight().sum())
        single = single or block.rows.dtype == np.float32
    return rows, weight, single


def _summed(
    function: Callable[[Sequence[Block]], Any], kernel: str, n: int, batches: Batches, place: Place
) -> list[tuple[slice, Counted]]:
    """Sums over the nodes of the tree that the blocks of a partition are."""
    blocks = _recut(batches, place)
    found: list[tuple[slice, Any]] = []
    with one_blas_thread():
        _use(kernel)
        for node in nodes(place.first, place.first + len(place.cuts), LONGEST):
            run = list(islice(blocks, node.stop - node.start))
            weight = tree_sum([float(one.weight().sum()) for one in run])
            found = united([found, [(node, Counted(sum(map(len, run)), weight, function(run)))]], n)
    return found


def _mapped(
    function: Callable[[Block], Any], kernel: str, batches: Batches, place: Place
) -> list[Any]:
    with one_blas_thread():
        _use(kernel)
        return [function(one) for one in _recut(batches, place)]


def _placed(
    function: Callable[[Block, slice], Any], kernel: str, batches: Batches, place: Place
) -> list[Any]:
    with one_blas_thread():
        _use(kernel)
        return [
            function(one, slice(place.start + cut.start, place.start + cut.stop))
            for one, cut in zip(_recut(batches, place), place.cuts, strict=True)
        ]


def _taken(batches: Batches, told: tuple[Place, Indices]) -> Block:
    """Some of the rows, by their numbers in the partition."""
    place, wanted = told
    order = np.argsort(wanted, kind="stable")
    ascending, found, start = wanted[order], [], 0
    for block in batches:
        low, high = np.searchsorted(ascending, [start, start + len(block)])
        found.append(block.take(ascending[low:high] - start))
        start += len(block)
    _check_length(start, place)
    return _together(found).take(np.argsort(order, kind="stable"))


def _recut(batches: Batches, place: Place) -> Iterator[Block]:
    """The blocks of a partition, of which no more is held than batches that make up the next."""
    held: list[Block] = []
    ready = seen = 0
    coming = iter(batches)
    for cut in place.cuts:
        size = cut.stop - cut.start
        while ready < size and (block := next(coming, None)) is not None:
            held.append(block)
            ready, seen = ready + len(block), seen + len(block)
        if ready < size or cut.stop == place.rows:
            _check_length(seen + sum(map(len, coming)), place)
        whole = _together(held)
        yield whole.take(slice(0, size))
        held, ready = [whole.take(slice(size, None))], ready - size


def _together(blocks: Sequence[Block]) -> Block:
    """Rows one after the other, with what is told of them."""
    if len(blocks) == 1:
        return blocks[0]
    return Block(
        np.concatenate([one.rows for one in blocks]),
        joint([one.weights for one in blocks]),
        joint([one.plausibility for one in blocks]),
        aside=joint([one.aside for one in blocks]),
    )


def _check_length(rows: int, place: Place) -> None:
    if rows != place.rows:
        raise InputError(
            f"partition {place.index} had {place.rows} rows at first and has {rows} now: {_STEADY}"
        )


def _use(name: str) -> None:
    """The kernels that the fit uses: others round otherwise."""
    if kernels.active().__name__ != name:
        kernels.use("compiled" if name.endswith("compiled") else "auto")
