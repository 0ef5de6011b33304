"""Text tables, read whole."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from mixtura._errors import InputError
from mixtura.reading.delimited import ragged
from mixtura.reading.dialect import HEAD, MISSING, Dialect, guess_dialect

ONE_BLOCK = 1 << 30  # text up to this size is read as one block, so types are seen in every row
NUMBER_PATTERN = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"


def read_text(data: pa.Buffer, source: str) -> tuple[pa.Table, Dialect]:
    """The table written in `data`, and how it was written.

    Raises
    ------
    InputError
        When there are no rows, or when rows differ in their number of cells.
    """
    dialect = guess_dialect(data.slice(0, min(HEAD, data.size)).to_pybytes())
    if dialect.delimiter == " ":
        data = _tabs_for_spaces(data)
    try:
        table = _parse(data, dialect)
    except pa.ArrowInvalid as error:
        raise _explained(error, data, dialect, source) from None
    names = [name.strip() for name in table.column_names]
    return pa.table([_trimmed(column) for column in table.columns], names=names), dialect


def _parse(data: pa.Buffer, dialect: Dialect, handler: Any = None) -> pa.Table:
    in_one_block = data.size < ONE_BLOCK
    delimiter = "\t" if dialect.delimiter == " " else dialect.delimiter
    return pa.csv.read_csv(
        pa.BufferReader(data),
        pa.csv.ReadOptions(
            column_names=None if dialect.header else list(dialect.names),
            encoding=dialect.encoding,
            block_size=max(data.size + 1, 1 << 20) if in_one_block else ONE_BLOCK // 4,
            use_threads=False,  # threads that hold the text when Python ends abort it
        ),
        pa.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=handler
        ),
        pa.csv.ConvertOptions(null_values=list(MISSING), decimal_point=dialect.decimal_point),
    )


def _tabs_for_spaces(data: pa.Buffer) -> pa.Buffer:
    text = re.sub(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)", b"", data.to_pybytes())
    return pa.py_buffer(re.sub(rb"[ \t]+", b"\t", text))


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A text column as numbers, if it is numbers once spaces are cut off."""
    if not pa.types.is_string(column.type):
        return column
    trimmed = pa.compute.utf8_trim_whitespace(column)
    missing = pa.compute.is_in(trimmed, value_set=pa.array(MISSING))
    try:
        return pa.compute.if_else(missing, None, trimmed).cast(pa.float64())
    except pa.ArrowInvalid:
        return column


def _explained(
    error: pa.ArrowInvalid, data: pa.Buffer, dialect: Dialect, source: str
) -> InputError:
    """What pyarrow stumbled on, with the row."""
    if "Empty CSV" in str(error):
        return InputError(f"{source} has column names but no rows: give a table with data")
    odd: list[pa.csv.InvalidRow] = []

    def note(row: pa.csv.InvalidRow) -> str:
        odd.append(row)
        return "skip" if len(odd) < 3 else "error"

    with suppress(pa.ArrowInvalid):
        _parse(data, dialect, note)
    if odd:
        row = odd[0]
        number = "a row" if row.number is None else f"row {row.number}"
        number += " (the header is row 1)" if dialect.header else ""
        cells, expected = row.actual_columns, row.expected_columns
        return InputError(ragged(source, number, cells, expected, row.text, dialect.names))
    return InputError(f"{source} cannot be read as a table of text: {_short(str(error), 160)}")


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
