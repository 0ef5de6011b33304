"""The protocol between a fit and its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from mixtura._types import Indices
from mixtura.block import Block
from mixtura.kernels.crew import Crew

T = TypeVar("T")

View = Callable[[Block, int], Block]
"""Another sight of a block, whose first row has this number: the same rows, weighted or labelled
anew. A pure function that can be pickled."""


class Whole(NamedTuple):
    """All rows in memory, how they are cut, and the threads for what is compiled as a whole."""

    rows: Block
    blocks: tuple[Block, ...]
    crew: Crew | None


class Source(Protocol):
    """Rows cut into blocks by row number.

    The cuts and the order of summation depend on the rows alone, so a sum is bitwise equal for
    any number of workers.
    """

    @property
    def n(self) -> int:
        """Number of rows."""

    @property
    def d(self) -> int:
        """Number of columns."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the rows: float32 or float64."""

    def sum(self, function: Callable[[Sequence[Block]], T]) -> T:
        """``Σ function(run)`` over runs of blocks, in a fixed binary tree.

        The function adds up the blocks of its run in the same tree (`mixtura.tree`).
        """

    def sum_over(self, places: Sequence[slice], function: Callable[[Block, slice], T]) -> T:
        """``Σ function(block, place)`` over another cut of the rows, in a fixed binary tree."""

    def map(self, function: Callable[[Block], Any]) -> list[Any]:
        """``function(block)`` of every block, in order."""

    def placed(self, function: Callable[[Block, slice], Any]) -> list[Any]:
        """``function(block, place)`` of every block and where its rows stand, in order."""

    def each(self, function: Callable[[Block, slice], object]) -> None:
        """``function(block, place)`` of every block and where its rows stand."""

    def parts(self, count: int) -> Sequence[Source]:
        """The rows one after the other as so many sources, of nearly the same size."""

    def viewed(self, view: View) -> Source:
        """The same rows under other weights and labels; those of weight zero are left out."""

    def in_memory(self) -> Whole | None:
        """All rows where they are in memory, else None."""

    def take(self, rows: Indices | slice) -> Block:
        """Some of the rows as one block."""
