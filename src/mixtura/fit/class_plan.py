"""What a classifier is to be fitted to: rows, their classes, and what to try for each class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mixtura._types import Array, Indices, Mask
from mixtura.covariance import Family
from mixtura.fit.task import Task
from mixtura.source import MemorySource


@dataclass(frozen=True, eq=False)
class Plan:
    """What to fit, to which rows.

    Attributes
    ----------
    task : Task
        The rows with their weights, the criterion, prior, floor and stop.
    codes : (n,)
        The class of each row, -1 where it is unknown.
    components : C lists of numbers of components to try
    families : C lists of families to try
    names : C names of the classes, for messages
    priors : (C,) or None
        Probabilities of the classes; None takes their shares of the rows.
    jobs : int
        Threads.
    """

    task: Task
    codes: Indices
    components: tuple[list[int], ...]
    families: tuple[list[Family], ...]
    names: tuple[str, ...]
    priors: Array | None = None
    jobs: int = 1

    @property
    def source(self) -> MemorySource:
        """The rows with their weights."""
        assert isinstance(self.task.source, MemorySource)
        return self.task.source

    @property
    def size(self) -> int:
        """The number C of classes."""
        return len(self.names)

    @cached_property
    def weights(self) -> Array:
        """(n,)"""
        return self.source.whole.weight()

    @cached_property
    def unknown(self) -> Mask:
        """Which rows (n,) have no label."""
        return self.codes < 0

    @cached_property
    def told(self) -> Array:
        """``log pl_ic`` (n, C): 0 for the class of a row, and for all where it is unknown."""
        out = np.where(self.unknown[:, None], 0.0, np.full((len(self.codes), self.size), -np.inf))
        known = np.flatnonzero(~self.unknown)
        out[known, self.codes[known]] = 0.0
        return out

    @cached_property
    def counts(self) -> Array:
        """Weight (C,) of the rows known to be of each class."""
        known = ~self.unknown
        return np.bincount(self.codes[known], self.weights[known], self.size)

    def take(self, rows: Indices) -> Plan:
        """The same plan for some of the rows."""
        source = MemorySource.of(self.source.take(rows), self.source.threads)
        return replace(self, task=replace(self.task, source=source), codes=self.codes[rows])

    def alone(self) -> Plan:
        """The same plan on one thread, for many side by side."""
        whole = self.source.whole
        source = MemorySource(whole.rows, whole.weights)
        return replace(self, task=replace(self.task, source=source), jobs=1)

    def of(self, index: int, weights: Array) -> tuple[Task, Indices]:
        """The task of one class, over the rows that may be in it with these weights (n,)."""
        rows = np.flatnonzero(weights > 0)
        mine = replace(self.source.take(rows), weights=weights[rows])
        source = MemorySource.of(mine, self.source.threads)
        return replace(self.task, source=source), rows
