"""A run of rows and all that is known of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from mixtura import kernels
from mixtura._types import Array, Indices, Mask, Rows
from mixtura.frame import Frame
from mixtura.kernels.layout import DIAGONAL, FULL
from mixtura.measurement import Errors
from mixtura.statistics import Moments

T = TypeVar("T")

_TILE = 1 << 19  # numbers in the rows of a tile: 4 MiB


@dataclass(frozen=True)
class Pattern:
    """The rows of a block that have the same coordinates observed, or are taken together.

    Attributes
    ----------
    observed : (d,) bool, or (m, d) for rows that have each their own
    rows : (m,) indices into the block, or a slice of all its rows
    bounded : (d,) bool or None
        The coordinates known to lie within limits alone; None for none.
    """

    observed: Mask
    rows: Indices | slice
    bounded: Mask | None = None

    @cached_property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return bool(self.observed.all())

    @property
    def mixed(self) -> bool:
        """Whether rows have each their own coordinates observed."""
        return self.observed.ndim == 2

    @cached_property
    def features(self) -> Indices:
        """How many coordinates are observed, (1,), or (m, 1) for rows that have each their own."""
        return np.asarray(self.observed.sum(axis=-1, keepdims=True))

    @cached_property
    def key(self) -> bytes:
        """A short name for the observed coordinates."""
        return np.packbits(self.observed).tobytes()


@dataclass(frozen=True, eq=False)
class Block:
    """Rows with their weights and labels; NaN is a coordinate that was not observed.

    Attributes
    ----------
    rows : (n, d) in the units of the data
    weights : (n,) or None for ones
    plausibility : (n, k) or None
        ``log pl_ik``: how plausible component k is for row i by its label: 0 where nothing is
        known, -inf where k is excluded (Côme et al. 2009, belief functions).
    errors : Errors or None
        How the rows were measured, where that was not exactly.
    limits : (n, d) and (n, d), or None
        What cells that are NaN lie within, in the units of the data; infinite elsewhere.
    aside : (n,) or (n, m) array of anything, or None
        What else is told of each row, until it is spelled out as weights or labels.
    """

    rows: Rows
    weights: Array | None = None
    plausibility: Array | None = None
    errors: Errors | None = None
    limits: tuple[Array, Array] | None = None
    aside: Any = None

    @classmethod
    def without_gaps(cls, rows: Any, weights: Any = None) -> Block:
        """Rows, perhaps on a device, in which nothing is missing."""
        return cls(rows, weights).gapless()

    def gapless(self) -> Block:
        """The same block, of whose rows it is known that nothing is missing."""
        whole = np.ones(self.rows.shape[1], dtype=bool)
        self.__dict__["patterns"] = (Pattern(whole, slice(None)),)
        return self

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def patterns(self) -> tuple[Pattern, ...]:
        """The patterns of observed coordinates, complete rows first."""
        gaps = np.isnan(self.rows)
        if not gaps.any():
            return (Pattern(np.ones(self.rows.shape[1], dtype=bool), slice(None)),)
        known = gaps if self.limits is None else np.hstack([gaps, self._bounded])
        codes = _codes(known)
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(codes[order[1:]] != codes[order[:-1]]) + 1
        groups = np.split(order, starts)
        return tuple(Pattern(~gaps[rows[0]], rows, self._limited(rows[0])) for rows in groups)

    @property
    def censored(self) -> int:
        """How many missing cells have limits."""
        return 0 if self.limits is None else int(self._bounded.sum())

    @property
    def _bounded(self) -> Mask:
        assert self.limits is not None
        return np.asarray(np.isfinite(self.limits[0]) | np.isfinite(self.limits[1]))

    def _limited(self, row: int) -> Mask | None:
        """Which coordinates of a row have limits; None for none."""
        if self.limits is None:
            return None
        found = np.isfinite(self.limits[0][row]) | np.isfinite(self.limits[1][row])
        return found if found.any() else None

    @cached_property
    def complete(self) -> bool:
        """Whether no coordinate of any row is missing."""
        return len(self.patterns) == 1 and self.patterns[0].complete

    @property
    def here(self) -> Block:
        """The block in the computer's memory, from wherever its rows lie."""
        if isinstance(self.rows, np.ndarray):
            return self
        device = kernels.of(self.rows)
        weights = None if self.weights is None else device.to_host(self.weights)
        return replace(self, rows=device.brought(self.rows, slice(None)), weights=weights)

    @cached_property
    def halves(self) -> tuple[Block | None, Block | None]:
        """The complete exact rows without labels, and all others."""
        known = self.plausibility is not None or self.errors is not None
        if known or not self.patterns[0].complete:
            return None, self
        if len(self.patterns) == 1:
            return self, None
        gappy = np.ones(len(self), dtype=bool)
        gappy[self.patterns[0].rows] = False
        return self.take(self.patterns[0].rows), self.take(np.flatnonzero(gappy))

    @cached_property
    def tiles(self) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
        """The rows without gaps and those with, by pattern, in tiles of a few megabytes; kept."""
        order, ends, _ = self.groups
        if self.complete:
            return self._tiled(), ()
        complete = int(ends[0]) if self.patterns[0].complete else 0
        whole, torn = self.take(order[:complete]), self.take(order[complete:])
        return whole._tiled() if complete else (), torn._tiled()

    def _tiled(self) -> tuple[Block, ...]:
        size = max(_TILE // max(self.rows.shape[1], 1), 64)
        if len(self) <= size:
            return (self,)
        return tuple(self.take(slice(at, at + size)) for at in range(0, len(self), size))

    @cached_property
    def masks(self) -> tuple[Array, Indices]:
        """What each pattern observes (p, d) as 0 and 1, and the pattern (n,) of each row."""
        which = np.empty(len(self), dtype=np.intp)
        for number, pattern in enumerate(self.patterns):
            which[pattern.rows] = number
        return np.array([one.observed for one in self.patterns], dtype=float), which

    @cached_property
    def sides(self) -> tuple[tuple[Pattern, Block], ...]:
        """The complete rows, if any, and all others at once; kept, as `parts` are."""
        first, rest = self.patterns[0], self.mixed
        if not first.complete:
            return ((rest, self),)
        gappy = np.flatnonzero(~rest.observed.all(axis=1))
        torn = Pattern(rest.observed[gappy], gappy)
        return (first, self.take(first.rows)), (torn, self.take(gappy))

    @cached_property
    def mixed(self) -> Pattern:
        """All rows, each with its own coordinates observed."""
        return Pattern(~np.isnan(self.rows), slice(None))

    @cached_property
    def groups(self) -> tuple[Indices, Indices, Mask]:
        """The rows by pattern: their order, where each pattern ends, and what it observes."""
        order = [np.arange(len(self))[pattern.rows] for pattern in self.patterns]
        ends = np.cumsum([len(rows) for rows in order])
        return np.concatenate(order), ends, np.array([one.observed for one in self.patterns])

    @cached_property
    def parts(self) -> tuple[tuple[Pattern, Block], ...]:
        """The block cut by pattern; kept, as every step of a fit needs the same parts."""
        if len(self.patterns) == 1:
            return tuple((pattern, self) for pattern in self.patterns)
        return tuple((pattern, self.take(pattern.rows)) for pattern in self.patterns)

    def second(self, frame: Frame, moments: Moments) -> Array:
        """``Σ w z zᵀ`` (1, ...) of complete rows about zero; kept, as it never changes."""
        known = self._seconds.get(moments.shape)
        if known is not None and known[0] == frame:
            return known[1]
        z = frame.read(self.rows)
        weighted = z if self.weights is None else z * self.weights[:, None]
        if moments.shape == FULL:
            total = z.T @ weighted
        else:
            total = np.einsum("ij,ij->j", z, weighted)
            total = total if moments.shape == DIAGONAL else np.array(total.sum())
        self._seconds[moments.shape] = (frame, total[None])
        return np.asarray(total[None])

    @cached_property
    def _seconds(self) -> dict[int, tuple[Frame, Array]]:
        return {}

    def once(self, of: tuple[object, ...], make: Callable[[], T]) -> T:
        """``make()``, kept until it is asked for of other objects; these are told by identity."""
        known = self.__dict__.get("_once")
        if known is None or any(a is not b for a, b in zip(known[0], of, strict=True)):
            known = of, make()
            self.__dict__["_once"] = known
        value: T = known[1]
        return value

    def take(self, rows: Indices | slice) -> Block:
        """Some of the rows."""
        return Block(
            self.rows[rows],
            None if self.weights is None else self.weights[rows],
            None if self.plausibility is None else self.plausibility[rows],
            None if self.errors is None else self.errors.take(rows),
            None if self.limits is None else (self.limits[0][rows], self.limits[1][rows]),
            None if self.aside is None else self.aside[rows],
        )

    @cached_property
    def readings(self) -> Block:
        """What was measured, as if it were exact."""
        if self.errors is None or self.errors.observations is None:
            return replace(self, errors=None)
        return Block(self.errors.observations, self.weights, self.plausibility)

    def weight(self, rows: Indices | slice = slice(None)) -> Array:
        """The weights of some of the rows, ones where none were given."""
        if self.weights is not None:
            return self.weights[rows]
        return np.ones(len(self.rows) if isinstance(rows, slice) else len(rows))

    @property
    def total_weight(self) -> float:
        """What all rows weigh together."""
        return float(len(self) if self.weights is None else self.weights.sum())


def _codes(known: Mask) -> Array:
    """A whole number (n,) for each row of a mask (n, d): equal rows have equal ones, none is 0."""
    packed = np.packbits(known, axis=1)
    if packed.shape[1] > 8:
        return np.unique(packed, axis=0, return_inverse=True)[1].ravel()
    padded = np.zeros((len(packed), 8), dtype=np.uint8)
    padded[:, -packed.shape[1] :] = packed
    return padded.view(">u8")[:, 0].astype(np.uint64)


def cuts(n: int, d: int) -> list[slice]:
    """Where rows are cut into blocks: by row number alone, whatever the number of threads.

    Few rows are one block, which needs no sums over blocks; many are cut finer, into a multiple of
    four, so that threads end together.
    """
    least = max(1024, 8 * d)
    size = min(max((1 << 17) // max(d, 1), least), 1 << 15)
    size = size if n <= size else max(size // 2, least)
    count = max(-(-n // size), 1)
    count = -(-count // 4) * 4 if count > 1 else 1
    edges = [n * index // count for index in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]
