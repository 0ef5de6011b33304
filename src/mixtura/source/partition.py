"""What is done to the rows of a partition, by whoever holds them: pure functions of its batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from mixtura import _checks, kernels
from mixtura._errors import InputError
from mixtura._types import Array, Indices
from mixtura.block import Block, cuts
from mixtura.source.memory import LONGEST, joint, one_blas_thread
from mixtura.source.protocol import View
from mixtura.tree import nodes, tree_sum, united

Batches = Iterable[Block]
"""The rows of a partition, in order and in pieces that an engine holds one at a time."""

Visit = Callable[[Batches, Any], Any]
"""What is done to a partition's rows, with what is told of this partition alone."""

STEADY = (
    "what is computed anew for each pass must come out the same, so persist the collection, or "
    "seed what is random in it"
)


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
    complete : whether none of its rows has a gap, so that no pass need look again
    """

    index: int
    start: int
    rows: int
    first: int
    cuts: tuple[slice, ...]
    complete: bool = False


@dataclass(frozen=True, eq=False)
class Counted:
    """A sum over rows, with how many they were and what they weigh."""

    rows: int
    weight: float
    total: Any

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.rows + other.rows, self.weight + other.weight, self.total + other.total)


def places(edges: Array, d: int, complete: bool = False) -> list[Place | None]:
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
        found.append(Place(index, start, stop - start, first, tuple(mine), complete))
        first += len(mine)
    return found


def block_of(given: Any, weights: Any = None, aside: Any = None) -> Block:
    """A partition as a block, with what else is told of its rows; none of them weighs nothing."""
    rows = _checks.table(given, finite=False).rows
    told = None if weights is None else _checks.felt(np.asarray(weights, dtype=np.float64))
    aside = None if aside is None else np.asarray(aside)
    if told is not None and told.shape != (len(rows),):
        raise InputError(
            f"{len(rows)} rows have weights of shape {told.shape}: one a row is needed"
        )
    if aside is not None and len(aside) != len(rows):
        raise InputError(f"{len(rows)} rows have {len(aside)} labels: one a row is needed")
    return _counting(Block(rows, told, aside=aside))


class Survey(NamedTuple):
    """What is found in a partition: rows, their weight, whether in float32, whether with gaps."""

    rows: int = 0
    weight: float = 0.0
    single: bool = False
    gaps: bool = False


def survey(batches: Batches, told: None) -> Survey | str:
    """What is in a partition; or what is wrong with it."""
    rows, weight, single, gaps = Survey()
    for block in batches:
        try:
            _checks.refuse_infinite(block.rows, None, rows)
            if block.weights is not None and len(block):
                _checks.row_weights(block.weights, len(block))
        except InputError as error:
            return str(error)
        rows, weight = rows + len(block), weight + block.total_weight
        single = single or block.rows.dtype == np.float32
        gaps = gaps or not block.complete
    return Survey(rows, weight, single, gaps)


def summed(
    function: Callable[[Sequence[Block]], Any], kernel: str, n: int, batches: Batches, place: Place
) -> list[tuple[slice, Counted]]:
    """Sums over the nodes of the tree that the blocks of a partition are."""
    blocks = _recut(batches, place)
    found: list[tuple[slice, Any]] = []
    with one_blas_thread():
        _use(kernel)
        for node in nodes(place.first, place.first + len(place.cuts), LONGEST):
            run = list(islice(blocks, node.stop - node.start))
            weight = tree_sum([one.total_weight for one in run])
            found = united([found, [(node, Counted(sum(map(len, run)), weight, function(run)))]], n)
    return found


def mapped(
    function: Callable[[Block], Any], kernel: str, batches: Batches, place: Place
) -> list[Any]:
    with one_blas_thread():
        _use(kernel)
        return [function(one) for one in _recut(batches, place)]


def placed(
    function: Callable[[Block, slice], Any], kernel: str, batches: Batches, place: Place
) -> list[Any]:
    with one_blas_thread():
        _use(kernel)
        return [
            function(one, slice(place.start + cut.start, place.start + cut.stop))
            for one, cut in zip(_recut(batches, place), place.cuts, strict=True)
        ]


def taken(batches: Batches, told: tuple[Place, Indices]) -> Block:
    """Some of the rows, by their numbers in the partition."""
    place, wanted = told
    order = np.argsort(wanted, kind="stable")
    ascending, found, start = wanted[order], [], 0
    for block in batches:
        low, high = np.searchsorted(ascending, [start, start + len(block)])
        found.append(block.take(ascending[low:high] - start))
        start += len(block)
    _check_length(start, place)
    return together(found).take(np.argsort(order, kind="stable"))


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
        whole = together(held)
        block = whole.take(slice(0, size))
        yield block.gapless() if place.complete else block
        held, ready = [whole.take(slice(size, None))], ready - size


def together(blocks: Sequence[Block]) -> Block:
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
            f"partition {place.index} had {place.rows} rows at first and has {rows} now: {STEADY}"
        )


def _use(name: str) -> None:
    """The kernels that the fit uses: others round otherwise."""
    if kernels.active().__name__ != name:
        kernels.use("compiled" if name.endswith("compiled") else "auto")


def viewed(view: View, visit: Visit, batches: Batches, told: tuple[int, Any]) -> Any:
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
