"""Dask arrays and data frames; the one file that asks for Dask.

Every pass is a graph of small pure tasks: one for each run of chunks, with the parameters closed
over, and a tree of tasks that add up their sums. Nothing is scattered, so a task can run again
anywhere.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

import cloudpickle
import dask
import dask.array as da
import numpy as np
from dask._task_spec import Alias, Task, TaskRef
from dask.base import get_scheduler
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph

from mixtura._errors import InputError, InputTypeError
from mixtura.source.partition import Batches, Visit, block_of

FAN = 16
"""Sums that one task adds up."""

HELD = 1 << 27
"""Bytes of chunks that one task visits, as these must be in memory together."""

SHARE = 2
"""Tasks that a worker's thread gets at least, so that all end together."""

Asked = tuple[int, Any]
"""A chunk's number, and what it is told."""


class DaskPartitions:
    """The chunks of a Dask array (n, d), or the partitions of a Dask data frame.

    Parameters
    ----------
    X : dask.array.Array or dask.dataframe.DataFrame
    weights : dask array or series of one number a row, or the name of a column of X
    aside : dask array, series or frame, or the name of a column of X
        What else is told of the rows.
    """

    def __init__(self, X: Any, weights: Any = None, aside: Any = None) -> None:
        for what, name in (("sample_weight", weights), ("the labels", aside)):
            if isinstance(name, str) and (not _framed(X) or name not in X.columns):
                raise InputError(f"{what}: {name!r} is no column of X")
        named = [name for name in (weights, aside) if isinstance(name, str)]
        weights = X[weights] if isinstance(weights, str) else weights
        aside = X[aside] if isinstance(aside, str) else aside
        X = X.drop(columns=named) if named else X
        if _framed(X):
            self.names = _names(X.columns)
        elif isinstance(X, da.Array):
            X, self.names = _rows_whole(X), None
        else:
            raise InputTypeError(
                f"a Dask {type(X).__name__} cannot be fitted: pass a Dask array or data frame, "
                "for instance bag.to_dataframe()"
            )
        self.d = X.shape[1] if self.names is None else len(X.columns)
        self._chunks = np.ravel(X.to_delayed()).tolist()
        client = _client()
        self._futures = client.futures_of(X) if client else []
        self._held = [_held(one) for one in self._chunks] if self._futures else []
        self._weights = _aligned(X, weights, len(self._chunks), "sample_weight")
        self._aside = _aligned(X, aside, len(self._chunks), "the labels")

    def each(self, visit: Visit, told: Sequence[Any] | None = None) -> list[Any]:
        """The results, as small as what a visit gives, in one computation."""
        n = len(self._chunks)
        everyone = [None] * n if told is None else told
        asked = [(i, one) for i, one in enumerate(everyone) if told is None or one is not None]
        found = dict(self._computed(partial(_numbered, visit), asked, _chained))
        return [pickle.loads(found[i]) if i in found else None for i in range(n)]

    def merged(self, visit: Visit, told: Sequence[Any], merge: Callable[[list[Any]], Any]) -> Any:
        """The sums of sums, in tasks of their own."""
        asked = [(i, one) for i, one in enumerate(told) if one is not None]
        return self._computed(partial(_unnumbered, visit), asked, merge)

    def _computed(self, visit: Any, asked: list[Asked], join: Callable[[list[Any]], Any]) -> Any:
        """Visit runs of chunks, join the results `FAN` at a time until no more are left, then here.

        The graph is one layer of few tasks: what a scheduler does for each is most of its work, and
        a level of tasks takes some ten milliseconds.
        """
        name = f"mixtura-{uuid4().hex}"
        packed, joining = cloudpickle.dumps((visit, join)), cloudpickle.dumps(join)
        graph: dict[Any, Any] = {}
        runs = self._runs(asked)
        for number, run in enumerate(runs):
            key = name, 0, number
            graph[key] = Task(key, _visited, packed, pickle.dumps(run), *self._given(run))
        level, width = 0, len(runs)
        while width > FAN:
            below = [TaskRef((name, level, i)) for i in range(width)]
            level, width = level + 1, -(-width // FAN)
            for i in range(width):
                key = name, level, i
                graph[key] = Task(key, _joined, joining, *below[i * FAN : (i + 1) * FAN])
        first = self._chunks[0], self._weights[0], self._aside[0]
        known = [one for one in first if one is not None]
        whole = HighLevelGraph.from_collections(name, graph, dependencies=known)
        last = [Delayed((name, level, i), whole, layer=name) for i in range(width)]
        return join(list(dask.compute(*last)))

    def _given(self, run: list[Asked]) -> list[Any]:
        """References to each chunk, its weights and what is aside, one after the other."""
        kept = self._chunks, self._weights, self._aside
        each = [part[index] for index, _ in run for part in kept]
        return [None if one is None else TaskRef(one.key) for one in each]

    def _runs(self, asked: list[Asked]) -> list[list[Asked]]:
        """Chunks that one task visits: some that the same worker holds.

        A chunk that no worker holds, as it is made anew in each pass, is visited alone.
        """
        client = _client()
        homes = client.who_has(self._futures) if client and self._futures else {}
        if not any(homes.values()):
            return [[one] for one in asked]
        sizes = client.nbytes([key for key, places in homes.items() if places], summary=False)
        threads = client.nthreads()
        held: dict[Any, list[Asked]] = {}
        for one in asked:
            key = self._held[one[0]]
            home = min(homes.get(key) or [key], key=lambda place: len(held.get(place, ())))
            held.setdefault(home, []).append(one)
        runs = []
        for home, mine in held.items():
            weighs = np.array([sizes.get(self._held[index], HELD) for index, _ in mine])
            most = min(HELD, weighs.sum() / SHARE / threads.get(home, 1))
            turns = (np.cumsum(weighs) - weighs / 2) // most
            runs += [[mine[i] for i in np.flatnonzero(turns == turn)] for turn in np.unique(turns)]
        return runs


def by_rows(X: Any, function: Callable[[Any], Any], like: Any, names: Any = None) -> Any:
    """``function(rows)`` of every partition, not computed yet: an array, or columns with an index.

    Parameters
    ----------
    function : gives (m,) or (m, ...)
    like : what it gives of one row
    names : of the columns of a frame
    """
    if not _framed(X):
        X = _rows_whole(X)
        tail = like.shape[1:]
        return X.map_blocks(
            function,
            dtype=like.dtype,
            chunks=(X.chunks[0], *((size,) for size in tail)),
            drop_axis=1,
            new_axis=list(range(1, like.ndim)) or None,
        )
    if like.ndim > 2:
        raise InputError("what has several axes a row is no column: pass X.to_dask_array()")
    meta = _labelled(like[:0], X._meta.iloc[:0].index, names)
    return X.map_partitions(_of_partition, function, like[:0], names, meta=meta)


def _of_partition(part: Any, function: Callable[[Any], Any], empty: Any, names: Any) -> Any:
    return _labelled(function(part) if len(part) else empty, part.index, names)


def _labelled(values: Any, index: Any, names: Any) -> Any:
    import pandas as pd

    return pd.Series(values, index) if values.ndim == 1 else pd.DataFrame(values, index, names)


def beside(X: Any, y: Any) -> tuple[Any, Any]:
    """X with the columns of y as its last ones, and their names, if it has any."""
    if not dask.is_dask_collection(y):
        raise InputTypeError("y must be a Dask array, series or frame beside a Dask collection")
    if _framed(X):
        columns = {name: y[name] for name in y.columns} if _framed(y) else {y.name or "y": y}
        twice = sorted(set(columns) & set(X.columns))
        if twice:
            raise InputError(f"columns {twice} are in X and in y: take them out of one of the two")
        return X.assign(**columns), list(columns)
    y = (y if isinstance(y, da.Array) else y.to_dask_array(lengths=True)).astype(float)
    if len(y) != len(X):
        raise InputError(f"X has {len(X)} rows and y {len(y)}: y needs one row for each of X")
    wide = y[:, None] if y.ndim == 1 else y
    return _rows_whole(da.concatenate([X, wide.rechunk((X.chunks[0], -1))], axis=1)), None


def _client() -> Any:
    """The client of a distributed scheduler, where there is one."""
    client = getattr(get_scheduler(), "__self__", None)
    return client if getattr(client, "who_has", None) else None


def _held(chunk: Any) -> Any:
    """The name under which workers hold a chunk, if they do."""
    known = chunk.dask.get(chunk.key)
    return known.target if isinstance(known, Alias) else chunk.key


def _visited(packed: bytes, run: bytes, *given: Any) -> Any:
    """The join of the visits of a run of chunks, given each with its weights and what is aside."""
    visit, join = pickle.loads(packed)
    found = []
    for at, asked in enumerate(pickle.loads(run)):
        chunk, weights, aside = given[3 * at : 3 * at + 3]
        found.append(visit([block_of(chunk, weights, aside)] if len(chunk) else [], asked))
    return join(found)


def _joined(packed: bytes, *parts: Any) -> Any:
    return pickle.loads(packed)(list(parts))


def _unnumbered(visit: Visit, batches: Batches, asked: Asked) -> Any:
    return visit(batches, asked[1])


def _numbered(visit: Visit, batches: Batches, asked: Asked) -> list[tuple[int, bytes]]:
    """What a visit gives, as bytes, or each small array in it would travel by itself."""
    return [(asked[0], pickle.dumps(visit(batches, asked[1])))]


def _chained(parts: list[list[Any]]) -> list[Any]:
    return [one for part in parts for one in part]


def _framed(X: Any) -> bool:
    """Whether this is a Dask data frame, without loading what these need."""
    return "dataframe" in type(X).__module__ and type(X).__name__ == "DataFrame"


def _names(columns: Any) -> tuple[str, ...] | None:
    return tuple(columns) if all(isinstance(name, str) for name in columns) else None


def _rows_whole(X: Any) -> Any:
    """The array with each row in a single chunk."""
    if X.ndim != 2:
        raise InputError(f"Expected 2D array, got {X.ndim}D array instead: a Dask array (n, d)")
    return X.rechunk({1: -1}) if X.numblocks[1] > 1 else X


def _aligned(X: Any, beside: Any, n: int, what: str) -> list[Any]:
    """What is told of the rows of each partition."""
    if beside is None:
        return [None] * n
    if not dask.is_dask_collection(beside):
        raise InputTypeError(
            f"{what} must be a Dask array or series beside a Dask collection, or the name of a "
            "column: dask.array.from_array(values, chunks=X.chunks[0])"
        )
    if isinstance(beside, da.Array):
        if isinstance(X, da.Array) and _known(beside, X, what):
            beside = beside.rechunk((X.chunks[0], *beside.chunks[1:]))
        beside = beside.rechunk({1: -1}) if beside.ndim == 2 else beside
    parts = np.ravel(beside.to_delayed()).tolist()
    if len(parts) != n:
        raise InputError(f"{what} has {len(parts)} partitions and X has {n}: make them the same")
    return parts


def _known(beside: Any, X: Any, what: str) -> bool:
    if beside.shape[:1] == X.shape[:1] and not np.isnan(beside.shape[0]):
        return True
    if np.isnan(X.shape[0]) or np.isnan(beside.shape[0]):
        return False
    raise InputError(f"{what} has shape {beside.shape}: one a row is needed, ({len(X)},)")
