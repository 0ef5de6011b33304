"""Text tables: guess how one is written, then read it."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from mixtura._errors import InputError

MISSING = (
    *("", "NA", "N/A", "n/a", "na", "NaN", "nan", "NAN", "-nan", "-NaN", "null", "NULL", "Null"),
    *("None", "none", "<NA>", "#N/A", "#NA", "?", ".", "-", "--"),
)
HEAD = 1 << 16  # bytes looked at to guess how the text is written
ONE_BLOCK = 1 << 30  # text up to this size is read as one block, so types are seen in every row
_NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*")
NUMBER_PATTERN = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"


@dataclass(frozen=True)
class Dialect:
    """How a text table is written."""

    delimiter: str  # a space stands for any run of spaces and tabs
    names: tuple[str, ...]
    header: bool  # whether `names` are the first row of the text
    decimal_point: str = "."
    encoding: str = "utf-8"


def guess_dialect(head: bytes) -> Dialect:
    r"""Delimiter, header, decimal point and encoding, from the first bytes of a text.

    Examples
    --------
    >>> guess_dialect(b"a;b\n1,5;2\n")
    Dialect(delimiter=';', names=('a', 'b'), header=True, decimal_point=',', encoding='utf-8')
    >>> guess_dialect(b"5.1\t3.5\n4.9\t3.0\n").names
    ('x1', 'x2')
    """
    encoding = _encoding(head)
    lines = _whole_lines(head.decode(encoding, errors="replace").lstrip("\ufeff"))
    delimiter = _delimiter(lines)
    rows = _split(lines, delimiter)
    header = not rows or not _starts_with_data(rows)
    first = rows[0] if rows else []
    names = [cell.strip() for cell in first] if header else [f"x{i + 1}" for i in range(len(first))]
    comma = delimiter != "," and _has_decimal_comma(rows[header:])
    return Dialect(delimiter, tuple(names), header, "," if comma else ".", encoding)


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


def _parse(data: pa.Buffer, dialect: Dialect, **options: object) -> pa.Table:
    in_one_block = data.size < ONE_BLOCK
    delimiter = "\t" if dialect.delimiter == " " else dialect.delimiter
    handler = options.pop("invalid_row_handler", None)
    return pa.csv.read_csv(
        pa.BufferReader(data),
        pa.csv.ReadOptions(
            column_names=None if dialect.header else list(dialect.names),
            encoding=dialect.encoding,
            block_size=max(data.size + 1, 1 << 20) if in_one_block else ONE_BLOCK // 4,
            **options,
        ),
        pa.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=handler
        ),
        pa.csv.ConvertOptions(null_values=list(MISSING), decimal_point=dialect.decimal_point),
    )


def _encoding(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        head[: head.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _whole_lines(text: str) -> list[str]:
    """The lines of a text that may be cut off in its last one; blank ones left out."""
    lines = text.splitlines(keepends=True)
    if len(text) >= HEAD // 4 and len(lines) > 1:
        lines = lines[:-1]
    return [line for line in lines if line.strip()]


def _split(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    if delimiter == " ":
        return [line.split() for line in lines]
    try:
        return [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return [line.split(delimiter) for line in lines]


def _delimiter(lines: Sequence[str]) -> str:
    """The sign that cuts every line alike, else the one most seen in the first line."""
    for candidate in ";\t|,":
        if len({len(row) for row in _split(lines, candidate)} - {1}) == 1 and all(
            len(row) > 1 for row in _split(lines, candidate)
        ):
            return candidate
    first = lines[0] if lines else ""
    likely = max(",;\t|", key=first.count)
    if first.count(likely):
        return likely
    widths = {len(line.split()) for line in lines}
    return " " if len(widths) == 1 and widths.pop() > 1 else ","


def _starts_with_data(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row holds data rather than names.

    It does when all its cells are numbers or missing, or when it has a number with a decimal
    point and a number in every column that has one in the second row.
    """
    first = rows[0]
    numbers = [bool(_NUMBER.fullmatch(cell)) for cell in first]
    if not any(numbers):
        return False
    if all(number or cell.strip() in MISSING for number, cell in zip(numbers, first, strict=True)):
        return True
    fractional = any(n and "." in cell for n, cell in zip(numbers, first, strict=True))
    second = rows[1] if len(rows) > 1 else []
    return fractional and all(
        number or not _NUMBER.fullmatch(cell) for number, cell in zip(numbers, second, strict=False)
    )


def _has_decimal_comma(rows: Sequence[Sequence[str]]) -> bool:
    numbers = [cell for row in rows for cell in row if _NUMBER.fullmatch(cell)]
    return any("," in cell for cell in numbers) and not any("." in cell for cell in numbers)


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
    ragged: list[pa.csv.InvalidRow] = []

    def note(row: pa.csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip" if len(ragged) < 3 else "error"

    with suppress(pa.ArrowInvalid):
        _parse(data, dialect, use_threads=False, invalid_row_handler=note)
    if ragged:
        row = ragged[0]
        number = "a row" if row.number is None else f"row {row.number}"
        header = " (the header is row 1)" if dialect.header else ""
        count = f"{row.actual_columns} cell" + "s" * (row.actual_columns != 1)
        return InputError(
            f"{source}: {number}{header} has {count} where {row.expected_columns} are expected: "
            f"{_short(row.text)!r}; mend the row, or quote cells that hold the delimiter"
        )
    return InputError(f"{source} cannot be read as a table of text: {_short(str(error), 160)}")


def _short(text: str, length: int = 50) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
