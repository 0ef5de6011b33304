"""A table that lies elsewhere and can be read as often as needed, batch by batch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mixtura._errors import InputError
from mixtura.reading.cache import released

__all__ = ["BATCH", "Stored", "damage", "is_index", "of_array", "of_stream"]

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

    def __post_init__(self) -> None:
        for name in self.schema.names:
            if name and self.schema.names.count(name) > 1:
                raise InputError(f'{self.called}: two columns are named "{name}": rename one')

    def features(self, *apart: str | None) -> tuple[str, ...]:
        """The columns that are fitted where none is named: all but some, and the index of pandas.

        Raises
        ------
        InputError
            A column has no name.
        """
        names = [one for one in self.schema.names if one not in apart and not is_index(one)]
        if "" in names:
            rest = [name for name in names if name]
            raise InputError(
                f"{self.called}: a column has no name, perhaps as it numbers the rows: choose "
                f"columns, scan(..., columns={rest})"
            )
        return tuple(names)


def is_index(name: str) -> bool:
    """Whether a column is the index of a data frame, as pandas writes one that has no name."""
    return re.fullmatch(r"__index_level_\d+__", name) is not None


def of_stream(given: Any, called: str) -> Stored:
    """What streams Arrow batches: a table, a lazy frame, a data set, a reader.

    Raises
    ------
    InputError
        What streams once has been read.
    """
    schema, batches = _schema_and_batches(given, called)

    def read(columns: Sequence[str], numbers: Sequence[str] = ()) -> Iterator[Any]:
        rows = 0
        with damage(called, "see what it streams from, and read it again"):
            for batch in batches(columns):
                rows += batch.num_rows
                yield batch.select(list(columns))
        if not rows and isinstance(given, Iterator):
            raise InputError(f"{called} has no rows, or they are used up: {_ONCE}")

    return Stored(schema, read, None, called)


_ONCE = (
    "what streams can be read only once, so decode it, rows = scan(...), and give rows wherever "
    "they are needed"
)


def _schema_and_batches(
    given: Any, called: str
) -> tuple[Any, Callable[[Sequence[str]], Iterator[Any]]]:
    """The schema of what streams, and from names of columns to batches that have them."""
    if hasattr(given, "collect_batches"):
        schema = given.collect_schema().to_frame().to_arrow().schema
        return schema, lambda columns: _lazy(given.select(list(columns)))
    if hasattr(given, "get_fragments"):
        return given.schema, lambda columns: _scanned(given, columns)
    first = [_reader(given, called)]  # of what streams once there is no other
    return first[0].schema, lambda columns: first.pop() if first else _reader(given, called)


def _reader(given: Any, called: str) -> Any:
    try:
        return pa.RecordBatchReader.from_stream(given)
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{called} cannot be read ({error}): {_ONCE}") from None


def _scanned(data: Any, columns: Sequence[str]) -> Iterator[Any]:
    """Batches of a pyarrow data set one by one, of which little is read ahead."""
    ahead = {"batch_readahead": 1, "fragment_readahead": 1, "use_threads": False}
    yield from data.scanner(columns=list(columns), batch_size=BATCH, **ahead).to_batches()


def _lazy(frame: Any) -> Iterator[Any]:
    for part in frame.collect_batches(chunk_size=BATCH, maintain_order=True):
        yield from part.to_arrow().to_batches()


def of_array(values: Any, called: str) -> Stored:
    """An array (n, d) whose columns are named x1, x2, … in the order in which they stand."""
    names = [f"x{place + 1}" for place in range(values.shape[1])]
    kind = values.dtype.newbyteorder("=") if values.dtype.itemsize <= 8 else np.dtype(np.float64)
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
def damage(called: str, remedy: str = "write it again") -> Iterator[None]:
    """What pyarrow cannot read, as an error that names it.

    Raises
    ------
    InputError
    """
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        said = str(error).splitlines()[0][:200]
        if "duplicate field" in said or "Multiple matches" in said:
            raise InputError(f"{called}: two columns have the same name: rename one") from None
        raise InputError(f"{called} is damaged or cut short, {remedy}: {said}") from None
