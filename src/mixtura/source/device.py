"""Rows on a device: summed there, and looked at here piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from mixtura import kernels
from mixtura._errors import InputError
from mixtura._types import Array, Indices
from mixtura.block import Block, cuts
from mixtura.source.memory import MemorySource
from mixtura.source.protocol import View
from mixtura.tree import tree_sum

T = TypeVar("T")


class DeviceSource:
    """A tensor of complete rows, where it lies.

    Parameters
    ----------
    rows : (n, d) tensor of float32 or float64
    weights : (n,) or None
        In the computer's memory.

    Raises
    ------
    InputError
        A row is not finite.
    """

    threads = 1

    def __init__(self, rows: Any, weights: Array | None = None) -> None:
        device = kernels.of(rows)
        if not device.finite(rows):
            raise InputError(
                "the tensor holds NaN or infinity: rows with gaps are fitted in the computer's "
                "memory, X.cpu().numpy(); infinity cannot be fitted"
            )
        self.rows, self.weights = rows, weights
        self._there = Block.without_gaps(
            rows, None if weights is None else device.like(rows, weights)
        )

    @property
    def n(self) -> int:
        return int(self.rows.shape[0])

    @property
    def d(self) -> int:
        return int(self.rows.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(str(self.rows.dtype).split(".")[-1])

    def sum(self, function: Callable[[Sequence[Block]], T]) -> T:
        """``function`` of all rows, on the device."""
        return function([self._there])

    def sum_over(self, places: Sequence[slice], function: Callable[[Block, slice], T]) -> T:
        """``Σ function(block, place)`` over any cut of the rows, each brought here in its turn."""
        total: T = tree_sum(function(self.take(place), place) for place in places)
        return total

    def map(self, function: Callable[[Block], Any]) -> list[Any]:
        """``function(block)`` of every block, in order, each brought here in its turn."""
        return [function(self.take(part)) for part in cuts(self.n, self.d)]

    def placed(self, function: Callable[[Block, slice], Any]) -> list[Any]:
        """``function(block, place)`` of every block, in order, each brought here in its turn."""
        return [function(self.take(part), part) for part in cuts(self.n, self.d)]

    def parts(self, count: int) -> list[DeviceSource]:
        """The rows one after the other as so many sources."""
        edges = [self.n * index // count for index in range(count + 1)]
        return [
            DeviceSource(
                self.rows[start:stop, :], None if self.weights is None else self.weights[start:stop]
            )
            for start, stop in pairwise(edges)
        ]

    def viewed(self, view: View) -> MemorySource:
        """The same rows under other weights and labels, here."""
        return MemorySource.of(self.take(slice(None))).viewed(view)

    def in_memory(self) -> None:
        return None

    def take(self, rows: Indices | slice) -> Block:
        """Some of the rows, here."""
        weights = None if self.weights is None else self.weights[rows]
        return Block(kernels.of(self.rows).brought(self.rows, rows), weights)

    def each(self, function: Callable[[Block, slice], object]) -> None:
        """``function(block, place)`` of every block, on the device, and where its rows stand."""
        for part in cuts(self.n, self.d):
            function(Block.without_gaps(self.rows[part, :]), part)
