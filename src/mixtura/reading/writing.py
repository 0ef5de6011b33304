"""Tables into files or standard output, whole or block by block."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from mixtura._errors import InputError
from mixtura._types import Rows
from mixtura.atomic import written_whole

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}

Columns: TypeAlias = Mapping[str, Any] | pa.Table
"""Columns of equal length: name -> array, in which NaN is a missing cell; or an Arrow table."""

Write = Callable[[Columns], None]


def write_table(columns: Columns, path: str | os.PathLike[str], *, form: str | None = None) -> None:
    """Write columns of equal length to a file, whole or not at all; "-" is standard output.

    Parameters
    ----------
    columns : name -> array; NaN is written as a missing cell
    path : its suffix says the format, unless `form` does: .csv .tsv .parquet .arrow .feather
    form : "csv", "tsv", "parquet" or "arrow"

    Examples
    --------
    >>> write_table({"row": [0, 1], "label": [1, 0]}, "-")
    row,label
    0,1
    1,0
    """
    with table_written(path, form=form) as write:
        write(columns)


@contextmanager
def table_written(path: str | os.PathLike[str], *, form: str | None = None) -> Iterator[Write]:
    """A function that writes block after block of one table; the file is there whole at the end.

    The first block says the columns and their types.

    Parameters
    ----------
    path, form : as in `write_table`

    Examples
    --------
    >>> with table_written("-") as write:
    ...     for label in (1, 0):
    ...         write({"label": [label]})
    label
    1
    0
    """
    if os.fspath(path) == "-":
        sys.stdout.flush()
        with _blocks(getattr(sys.stdout, "buffer", None) or _Text(), form or "csv") as write:
            yield write
        return
    form = form or format_of(path)
    with written_whole(path) as stream, _blocks(stream, form) as write:
        yield write


def format_of(path: str | os.PathLike[str]) -> str:
    """The format that a file's suffix asks for.

    Examples
    --------
    >>> format_of("labels.parquet")
    'parquet'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise InputError(
            f"{os.fspath(path)}: no format is known by the suffix {suffix or '(none)'!r}: "
            f"use one of {' '.join(FORMATS)}"
        )
    return FORMATS[suffix]


class _Text:
    """A captured standard output, which takes text only."""

    closed = False

    def write(self, data: Any) -> None:
        sys.stdout.write(bytes(data).decode())

    def flush(self) -> None:
        sys.stdout.flush()


@contextmanager
def _blocks(stream: Any, form: str) -> Iterator[Write]:
    """What writes tables of one schema to a stream, and ends the last of them."""
    writer: Any = None

    def write(columns: Columns) -> None:
        nonlocal writer
        table = _table(columns)
        if writer is None:
            writer = _writer(stream, table.schema, form)
        writer.write_table(table)

    try:
        yield write
    except BaseException:
        if writer is not None:
            with suppress(OSError):
                writer.close()
        raise
    if writer is not None:
        writer.close()


def _writer(stream: Any, schema: pa.Schema, form: str) -> Any:
    if form == "parquet":
        return pa.parquet.ParquetWriter(stream, schema)
    if form == "arrow":
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        return pa.ipc.new_file(stream, schema, options=options)
    return _TextWriter(stream, schema, "\t" if form == "tsv" else ",")


class _TextWriter:
    """Delimited text, in which cells are quoted only where that is needed."""

    def __init__(self, stream: Any, schema: pa.Schema, delimiter: str) -> None:
        _refuse_no_text(schema)
        self._stream, self._delimiter = stream, delimiter
        header = delimiter.join(_quoted(name, delimiter) for name in schema.names)
        stream.write(header.encode() + b"\n")

    def write_table(self, table: pa.Table) -> None:
        special = _has_special_text(table, self._delimiter)
        options = pa.csv.WriteOptions(
            include_header=False,
            delimiter=self._delimiter,
            quoting_style="needed" if special else "none",
        )
        pa.csv.write_csv(table, self._stream, options)

    def close(self) -> None:
        self._stream.flush()


def _refuse_no_text(schema: pa.Schema) -> None:
    """Lists, structures and the like have no place in delimited text."""
    for field in schema:
        try:
            pa.csv.write_csv(pa.schema([field]).empty_table(), pa.MockOutputStream())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise InputError(
                f'column "{field.name}" of type {field.type} does not go into delimited text: '
                "write Parquet or Arrow"
            ) from None


def _table(columns: Columns) -> pa.Table:
    if isinstance(columns, pa.Table):
        return columns
    return pa.table({name: _arrow(values) for name, values in columns.items()})


def _arrow(values: Any) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, pa.ChunkedArray):
        return values
    return pa.array(values, from_pandas=True)


def _has_special_text(table: pa.Table, delimiter: str) -> bool:
    """Whether a text cell must be quoted; if none must, none is."""
    return any(
        pa.compute.any(pa.compute.match_substring_regex(column, f'["\r\n{delimiter}]')).as_py()
        for column in table.columns
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    )


def _quoted(name: str, delimiter: str) -> str:
    if any(sign in name for sign in (delimiter, '"', "\n", "\r")):
        return '"' + name.replace('"', '""') + '"'
    return name


def write_array(parts: Iterable[Rows], like: Rows, path: str | os.PathLike[str]) -> None:
    """Rows as a ``.npy`` file of the shape and kind of `like`, whole or not at all."""
    header = {"descr": like.dtype.str, "fortran_order": False, "shape": like.shape}
    with written_whole(path) as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for part in parts:
            stream.write(np.ascontiguousarray(part).data)
