"""Dask arrays and data frames; the one file that asks for Dask.

Every pass is a graph of small pure tasks: one for each chunk, with the parameters closed over, and
a tree of tasks that add up their sums. Nothing is scattered, so a task can run again anywhere.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import cloudpickle
import dask
import dask.array as da
import numpy as np
from dask._task_spec import Task, TaskRef
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph

from mixtura._errors import InputError, InputTypeError
from mixtura.source.remote import Visit, partition

FAN = 16
"""Sums that one task adds up."""


class DaskPartitions:
    """The chunks of a Dask array (n, d), or the partitions of a Dask data frame.

    Parameters
    ----------
    X : dask.array.Array or dask.dataframe.DataFrame
    weights : dask array or series of one number a row, or the name of a column of X
    """

    def __init__(self, X: Any, weights: Any = None) -> None:
        if isinstance(weights, str):
            if not _framed(X) or weights not in X.columns:
                raise InputError(f"sample_weight={weights!r} is no column of X")
            X, weights = X.drop(columns=weights), X[weights]
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
        self._weights = _aligned(X, weights, len(self._chunks))

    def each(self, visit: Visit, told: Sequence[Any] | None = None) -> list[Any]:
        """The results, as small as what a visit gives, in one computation."""
        n = len(self._chunks)
        everyone = [None] * n if told is None else told
        asked = [i for i in range(n) if told is None or everyone[i] is not None]
        found = self._computed(visit, [(i, everyone[i]) for i in asked], _listed, n)
        by_number = dict(zip(asked, found, strict=True))
        return [by_number.get(i) for i in range(n)]

    def merged(self, visit: Visit, told: Sequence[Any], merge: Callable[[list[Any]], Any]) -> Any:
        """The sums of sums, in tasks of their own."""
        asked = [(i, one) for i, one in enumerate(told) if one is not None]
        return self._computed(visit, asked, merge, FAN)

    def _computed(
        self, visit: Visit, asked: Sequence[tuple[int, Any]], join: Callable[..., Any], fan: int
    ) -> Any:
        """Visit the chunks, join the results `fan` at a time, and so on until one is left.

        The graph is one layer of few tasks: what a scheduler does for each is most of its work.
        """
        name = f"mixtura-{uuid4().hex}"
        packed, joining = cloudpickle.dumps(visit), cloudpickle.dumps(join)
        graph: dict[Any, Any] = {}
        for number, (index, told) in enumerate(asked):
            weights = self._weights[index]
            given = [TaskRef(one.key) for one in (self._chunks[index], weights) if one is not None]
            key = name, 0, number
            graph[key] = Task(key, _visited, packed, told, *given)
        level, width = 0, len(asked)
        while level == 0 or width > 1:
            below = [TaskRef((name, level, i)) for i in range(width)]
            level, width = level + 1, -(-width // fan)
            for i in range(width):
                key = name, level, i
                graph[key] = Task(key, _joined, joining, *below[i * fan : (i + 1) * fan])
        known = [one for one in (self._chunks[0], self._weights[0]) if one is not None]
        whole = HighLevelGraph.from_collections(name, graph, dependencies=known)
        return Delayed((name, level, 0), whole, layer=name).compute()


def by_rows(X: Any, function: Callable[[Any], Any], width: int | None, kind: Any) -> Any:
    """``function(rows)`` of every partition, not computed yet: an array, or columns with an index.

    Parameters
    ----------
    function : gives (m,), or (m, width) where there is a width
    """
    if not _framed(X):
        X = _rows_whole(X)
        if width is None:
            return X.map_blocks(function, dtype=kind, drop_axis=1)
        return X.map_blocks(function, dtype=kind, chunks=(X.chunks[0], (width,)))
    like = X._meta.iloc[:0].index
    meta = _labelled(np.empty((0,) if width is None else (0, width), kind), like)
    return X.map_partitions(_of_partition, function, width, kind, meta=meta)


def _of_partition(part: Any, function: Callable[[Any], Any], width: int | None, kind: Any) -> Any:
    tail = () if width is None else (width,)
    return _labelled(function(part) if len(part) else np.empty((0, *tail), kind), part.index)


def _labelled(values: Any, index: Any) -> Any:
    import pandas as pd

    return pd.Series(values, index) if values.ndim == 1 else pd.DataFrame(values, index)


def _visited(packed: bytes, told: Any, chunk: Any, weights: Any = None) -> Any:
    batches = [partition(chunk, weights)] if len(chunk) else []
    return pickle.loads(packed)(batches, told)


def _joined(packed: bytes, *parts: Any) -> Any:
    return pickle.loads(packed)(list(parts))


def _listed(parts: list[Any]) -> list[Any]:
    return parts


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


def _aligned(X: Any, weights: Any, n: int) -> list[Any]:
    """The weights of each partition."""
    if weights is None:
        return [None] * n
    if not dask.is_dask_collection(weights):
        raise InputTypeError(
            "sample_weight must be a Dask array or series beside a Dask collection, or the name "
            "of a column: dask.array.from_array(sample_weight, chunks=X.chunks[0])"
        )
    if isinstance(weights, da.Array) and isinstance(X, da.Array) and _known(weights, X):
        weights = weights.rechunk((X.chunks[0],))
    parts = np.ravel(weights.to_delayed()).tolist()
    if len(parts) != n:
        raise InputError(
            f"sample_weight has {len(parts)} partitions and X has {n}: make them the same"
        )
    return parts


def _known(weights: Any, X: Any) -> bool:
    if weights.shape[:1] == X.shape[:1] and not np.isnan(weights.shape[0]):
        return True
    if np.isnan(X.shape[0]) or np.isnan(weights.shape[0]):
        return False
    raise InputError(f"sample_weight has shape {weights.shape}: one a row is needed, ({len(X)},)")
