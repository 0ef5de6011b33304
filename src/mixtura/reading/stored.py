"""A table that lies elsewhere and can be read as often as needed, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mixtura._errors import InputError
from mixtura.reading.cache import released

__all__ = ["BATCH", "Stored", "damage", "of_array", "of_stream"]

BATCH = 1 << 16
"""Rows of a batch."""

Read = Callable[[Sequence[str], Sequence[str]], Iterator[Any]]
"""From names of columns, and those of them that are to be numbers, to batches of these columns."""


@dataclass(frozen=True, eq=False)
class Stored:
    """Record batches of one schema, as often as they are asked for.

    Attributes
    ----------
    schema : pyarrow.Schema
    read : Read
    rows : how many rows there are, None where that is not known
    called : what to call it in messages
    notes : sentences on what was guessed
    form : "csv", "parquet" or "arrow", what another such table is written as
    """

    schema: Any
    read: Read
    rows: int | None
    called: str
    notes: tuple[str, ...] = ()
    form: str = "csv"


def of_stream(given: Any, called: str) -> Stored:
    """What streams Arrow batches: a query's result, a table, a lazy frame."""
    lazy = hasattr(given, "collect_batches")
    if lazy:
        schema = given.collect_schema().to_frame().to_arrow().schema
    else:
        schema = pa.RecordBatchReader.from_stream(given).schema

    def read(columns: Sequence[str], numbers: Sequence[str] = ()) -> Iterator[Any]:
        batches = _lazy(given) if lazy else pa.RecordBatchReader.from_stream(given)
        with damage(called):
            for batch in batches:
                yield batch.select(list(columns))

    return Stored(schema, read, None, called)


def _lazy(frame: Any) -> Iterator[Any]:
    for part in frame.collect_batches(chunk_size=BATCH, maintain_order=True):
        yield from part.to_arrow().to_batches()


def of_array(values: Any, called: str) -> Stored:
    """An array (n, d) whose columns are named x1, x2, … in the order in which they stand."""
    names = [f"x{place + 1}" for place in range(values.shape[1])]
    kind = values.dtype.newbyteorder("=")
    schema = pa.schema([(name, pa.from_numpy_dtype(kind)) for name in names])

    def read(columns: Sequence[str], numbers: Sequence[str] = ()) -> Iterator[Any]:
        places = [names.index(name) for name in columns]
        for at in range(0, len(values), BATCH):
            part = values[at : at + BATCH]
            turned = np.asarray(part.T, kind, order="C")
            yield pa.record_batch([turned[place] for place in places], names=list(columns))
            released(part)

    return Stored(schema, read, len(values), called)


@contextmanager
def damage(called: str) -> Iterator[None]:
    """What pyarrow cannot read, as an error that names it.

    Raises
    ------
    InputError
    """
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        said = str(error).splitlines()[0][:200]
        raise InputError(f"{called} is damaged or cut short, write it again: {said}") from None
