"""Sums in a fixed binary tree: bitwise the same for any number of workers and any order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

__all__ = ["Sums", "joined", "nodes", "runs", "tree_sum", "united"]

_FEW, _FAIR = 8, 1.25
"""Leaves of a worker that are worth no second run, and how uneven the runs may be then."""


def tree_sum(values: Iterable[Any]) -> Any:
    """Sum neighbours, then sums of neighbours, and so on; no more are held than the tree is high.

    >>> tree_sum(["a", "b", "c", "d", "e"])
    'abcde'
    """
    waiting: list[tuple[int, Any]] = []
    for value in values:
        height = 0
        while waiting and waiting[-1][0] == height:
            value = waiting.pop()[1] + value
            height += 1
        waiting.append((height, value))
    total = waiting.pop()[1]
    while waiting:
        total = waiting.pop()[1] + total
    return total


@dataclass(frozen=True, eq=False)
class Sums:
    """Values with all sums of their tree, so that one of them can be exchanged.

    Attributes
    ----------
    levels : tuple of tuple
        The values, the sums of neighbours, and so on up to the sum of all.
    """

    levels: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, leaves: Iterable[Any]) -> Sums:
        """The sums over values, of which there is at least one."""
        levels = [tuple(leaves)]
        while len(levels[-1]) > 1:
            levels.append(tuple(_parent(levels[-1], i) for i in range((len(levels[-1]) + 1) // 2)))
        return cls(tuple(levels))

    @property
    def leaves(self) -> tuple[Any, ...]:
        """The values themselves."""
        return self.levels[0]

    @property
    def total(self) -> Any:
        """The sum of all: that of `tree_sum`, to the last bit."""
        return self.levels[-1][0]

    def exchanged(self, index: int, leaf: Any) -> Sums:
        """With another value in one place: only the sums above it are made anew.

        Nothing is subtracted, so the total is what it would be had all values been added up.

        >>> Sums.of("abcde").exchanged(1, "B").total
        'aBcde'
        """
        levels: list[tuple[Any, ...]] = []
        for own in self.levels:
            value = _parent(levels[-1], index) if levels else leaf
            levels.append((*own[:index], value, *own[index + 1 :]))
            index //= 2
        return Sums(tuple(levels))


def _parent(level: Sequence[Any], index: int) -> Any:
    """The sum of two neighbours; the last of an odd number stands alone."""
    pair = level[2 * index : 2 * index + 2]
    return pair[0] + pair[1] if len(pair) == 2 else pair[0]


def runs(n: int, workers: int, longest: int | None = None) -> list[slice]:
    """Cut n leaves into runs that are nodes of their tree, the later the shorter.

    One worker takes all at once, and each of more one run where leaves are few and nearly evenly
    parted by that. Else a run is about the share of a worker in two thirds of what is left, so that
    few are handed out and all workers end together. None is longer than the `longest`.

    >>> [run.stop for run in runs(13, 2)]
    [8, 13]
    >>> [run.stop for run in runs(11, 2)]
    [2, 4, 6, 7, 8, 9, 10, 11]
    """
    most = n if longest is None else longest
    if workers == 1 and n <= most:
        return [slice(0, n)]
    even = 1 << max(-(-n // workers) - 1, 0).bit_length()
    if n <= _FEW * workers and even <= most and even * workers <= _FAIR * n:
        return [slice(start, min(start + even, n)) for start in range(0, n, even)]
    edges = [0]
    while (start := edges[-1]) < n:
        share = max(min(2 * (n - start) // (3 * workers), most), 1)
        size = 1 << (share.bit_length() - 1)
        edges.append(min(start + min(size, start & -start or size), n))
    return [slice(*ends) for ends in pairwise(edges)]


def joined(parts: Sequence[Any], cut: Sequence[slice]) -> Any:
    """The sum over all leaves from the sums over `runs`: the tree of `tree_sum`."""
    known = {(run.start, run.stop): part for run, part in zip(cut, parts, strict=True)}

    def node(start: int, stop: int) -> Any:
        if (start, stop) in known:
            return known[start, stop]
        half = 1 << ((stop - start - 1).bit_length() - 1)
        return node(start, start + half) + node(start + half, stop)

    return node(cut[0].start, cut[-1].stop)


def nodes(start: int, stop: int, longest: int | None = None) -> list[slice]:
    """The leaves from `start` to `stop` as few nodes of the tree, whatever its size.

    None is longer than the `longest`, a power of two.

    >>> [(node.start, node.stop) for node in nodes(3, 9)]
    [(3, 4), (4, 8), (8, 9)]
    >>> [(node.start, node.stop) for node in nodes(3, 9, longest=2)]
    [(3, 4), (4, 6), (6, 8), (8, 9)]
    """
    found = []
    while start < stop:
        most = stop - start if longest is None else min(stop - start, longest)
        size = 1 << (most.bit_length() - 1)
        size = min(size, start & -start or size)
        found.append(slice(start, start + size))
        start += size
    return found


def united(parts: Iterable[Iterable[tuple[slice, Any]]], n: int) -> list[tuple[slice, Any]]:
    """Sums over nodes of the tree of n leaves, added up as far as neighbours are there.

    In whatever order parts arrive and are united, all of them end as the sum of `tree_sum`.

    >>> letters = [(slice(i, i + 1), "abcde"[i]) for i in range(5)]
    >>> united([letters[1:4], letters[4:]], 5)
    [(slice(1, 2, None), 'b'), (slice(2, 4, None), 'cd'), (slice(4, 5, None), 'e')]
    >>> united([letters[:1], _], 5)
    [(slice(0, 5, None), 'abcde')]
    """
    known = sorted((one for part in parts for one in part), key=lambda one: one[0].start)
    done: list[tuple[slice, Any]] = []
    for node, value in known:
        while done and _siblings(done[-1][0], node, n):
            left, before = done.pop()
            node, value = slice(left.start, node.stop), before + value
        done.append((node, value))
    return done


def _siblings(left: slice, right: slice, n: int) -> bool:
    """Whether two nodes are the halves of one: the right one may be shorter at the end."""
    size, other = left.stop - left.start, right.stop - right.start
    if left.stop != right.start or left.start % (2 * size):
        return False
    return other == size or (right.stop == n and other < size)
