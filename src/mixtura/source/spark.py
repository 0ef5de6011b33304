"""Spark data frames, classic or by Spark Connect; the one file that asks for pyspark.

Rows are decoded once, into blocks of bytes that Spark keeps: to hand over each number of a row
costs far more than to work with it, and a fit asks tens of times. Every pass is one ``mapInArrow``
with the parameters closed over: no RDD and no broadcast. A partition gives one row, its sums as
bytes.
"""

from __future__ import annotations

import pickle
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa

from mixtura._errors import InputError, InputTypeError
from mixtura.block import Block
from mixtura.source.partition import Visit, block_of

FAN = 32
"""Sums that one task adds up; where partitions are more, executors add them up first."""

_ROW = "part int, found binary"


class SparkPartitions:
    """The partitions of a Spark data frame of numbers, kept as blocks while this object lives.

    Parameters
    ----------
    X : pyspark.sql.DataFrame
    weights, aside : str, optional
        The names of the columns that hold the rows' weights, and what else is told of them.
    """

    def __init__(self, X: Any, weights: Any = None, aside: Any = None) -> None:
        for what, name in (("sample_weight", weights), ("the labels", aside)):
            if name is not None and not (isinstance(name, str) and name in X.columns):
                raise InputError(
                    f"{what}: {name!r}, but beside a Spark data frame it is the name of one of "
                    f"its columns, {X.columns}"
                )
        kept = [name for name in X.columns if name not in (weights, aside)]
        fields = [field for field in X.schema.fields if field.name != aside]
        wrong = [field.name for field in fields if not _is_number(field)]
        if wrong:
            rest = [name for name in kept if name not in wrong]
            raise InputTypeError(f"columns {wrong} do not hold numbers: X.select({rest})")
        self.names: tuple[str, ...] | None = tuple(kept)
        self.d = len(kept)
        self._blocks = _packed(X, kept, weights, aside).persist()
        weakref.finalize(self, _let_go, self._blocks)

    def each(self, visit: Visit, told: Sequence[Any] | None = None) -> list[Any]:
        """The results of the partitions that were told something, or of all."""
        found = dict(_rows(self._visits(visit, told)))
        n = max(found, default=-1) + 1 if told is None else len(told)
        return [found.get(part) for part in range(n)]

    def merged(self, visit: Visit, told: Sequence[Any], merge: Callable[[list[Any]], Any]) -> Any:
        """Added up here, or in two levels where partitions are many."""
        visits = self._visits(visit, told)
        groups = -(-sum(one is not None for one in told) // FAN)
        if groups > 1:

            def union(batches: Iterator[Any]) -> Iterator[Any]:
                parts = [value for _, value in _unpacked(batches)]
                if parts:
                    yield _row(-1, merge(parts))

            visits = visits.repartition(groups).mapInArrow(union, _ROW)
        return merge([value for _, value in _rows(visits)])

    def _visits(self, visit: Visit, told: Sequence[Any] | None) -> Any:
        def run(batches: Iterator[Any]) -> Iterator[Any]:
            from pyspark import TaskContext

            context = TaskContext.get()
            index = 0 if context is None else context.partitionId()
            mine = None if told is None else told[index] if index < len(told) else None
            if told is None or mine is not None:
                yield _row(index, visit(_blocks(batches), mine))
            for _ in batches:  # a worker that leaves rows unread is not used again
                pass

        return self._blocks.mapInArrow(run, _ROW)


def with_columns(X: Any, columns: dict[str, tuple[str, Callable[[Any], Any]]]) -> Any:
    """The data frame with more columns, each of a type and a function of an Arrow table."""
    taken = [name for name in columns if name in X.columns]
    if taken:
        raise InputError(f"the data frame has columns {taken} already: drop or rename them")
    kinds = {field.name: field.dataType.simpleString() for field in X.schema.fields}
    kinds |= {name: kind for name, (kind, _) in columns.items()}
    schema = ", ".join(f"`{name.replace('`', '``')}` {kind}" for name, kind in kinds.items())

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            if not batch.num_rows:
                continue
            table = pa.Table.from_batches([batch])
            for name, (_, function) in columns.items():
                table = table.append_column(name, _column(function(table)))
            yield from table.combine_chunks().to_batches()

    return X.mapInArrow(run, schema)


def as_column(columns: Sequence[Any], kind: str, function: Callable[[Any], Any]) -> Any:
    """A function of an Arrow table as an expression over columns."""
    from pyspark.sql.functions import pandas_udf

    names = [str(number) for number in range(len(columns))]

    def run(*given: Any) -> Any:
        import pandas as pd

        rows = np.column_stack([np.asarray(one, dtype=np.float64) for one in given])
        found = function(pa.table(dict(zip(names, rows.T, strict=True))))
        return pd.Series(list(found) if np.ndim(found) == 2 else found)

    import pandas as pd

    run.__annotations__ = {"given": pd.Series, "return": pd.Series}
    return pandas_udf(run, kind)(*columns)


def _column(values: Any) -> Any:
    return pa.array(list(values) if np.ndim(values) == 2 else values)


def _packed(X: Any, names: list[str], weights: str | None, aside: str | None) -> Any:
    """The batches of each partition as blocks of bytes, one a row."""

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            if batch.num_rows:
                table = pa.Table.from_batches([batch])
                told = (None if n is None else table.column(n).to_numpy() for n in (weights, aside))
                block = pickle.dumps(block_of(table.select(names), *told), protocol=5)
                yield pa.RecordBatch.from_arrays([pa.array([block], pa.binary())], ["block"])

    return X.mapInArrow(run, "block binary")


def _blocks(batches: Iterator[Any]) -> Iterator[Block]:
    """The blocks of a partition one by one, however large it is."""
    for batch in batches:
        for packed in batch.column(0):
            yield pickle.loads(packed.as_buffer())


def _let_go(frame: Any) -> None:
    """Tell Spark that it need not keep these; its session may be over by then."""
    with suppress(Exception):
        frame.unpersist()


def _row(part: int, found: Any) -> Any:
    packed = pa.array([pickle.dumps(found)], pa.binary())
    return pa.RecordBatch.from_arrays([pa.array([part], pa.int32()), packed], ["part", "found"])


def _unpacked(batches: Iterator[Any]) -> Iterator[tuple[int, Any]]:
    for batch in batches:
        for part, found in zip(batch.column(0), batch.column(1), strict=True):
            yield part.as_py(), pickle.loads(found.as_py())


def _rows(frame: Any) -> Iterator[tuple[int, Any]]:
    for row in frame.collect():
        yield row["part"], pickle.loads(bytes(row["found"]))


def _is_number(field: Any) -> bool:
    kinds = ("tinyint", "smallint", "int", "bigint", "float", "double", "boolean", "decimal")
    return str(field.dataType.simpleString()).startswith(kinds)
