"""Rows of a scan with their gaps filled, block by block whenever they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mixtura import _checks
from mixtura._types import Rows
from mixtura.block import cuts
from mixtura.estimators.rows import rows_like_fitted
from mixtura.reading.cache import released
from mixtura.reading.scan import Scan


@dataclass(frozen=True, eq=False)
class Part(_checks.Elsewhere):
    """A block that was filled."""

    filled: _checks.Table

    @property
    def table(self) -> _checks.Table:
        """The rows with the names of their columns."""
        return self.filled


@dataclass(frozen=True, eq=False)
class Filled:
    """An iterable of blocks that can be read again: the rows of a scan, filled.

    Attributes
    ----------
    imputer : a fitted imputer that nothing else changes
    fill : what it makes of a block (m, d)
    rows : Scan
    """

    imputer: Any
    fill: Callable[[Rows], Rows]
    rows: Scan

    def __iter__(self) -> Iterator[Part]:
        rows = rows_like_fitted(self.imputer, self.rows)
        names = None
        if hasattr(self.imputer, "feature_names_in_"):
            names = tuple(self.imputer.get_feature_names_out())
        for part in cuts(*rows.shape):
            yield Part(_checks.Table(self.fill(rows[part]), names))
            released(rows[part])
