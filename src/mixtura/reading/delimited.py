"""Delimited text, batch by batch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.csv

from mixtura._errors import InputError
from mixtura.reading.dialect import HEAD, MISSING, Dialect, guess_dialect
from mixtura.reading.stored import Stored, damage

__all__ = ["delimited", "ragged"]

_BLOCK = 1 << 22
"""Bytes parsed together; the first of them tell the columns' types."""

_OTHERS = {b"PAR1": "Parquet", b"ARROW1": "Arrow", b"\x1f\x8b": "gzip", b"PK": "a zip archive"}
"""How files begin that are no text."""

_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)")
_ABSENT = re.compile(r"Column '(.*)' in include_columns does not exist")
_ODD_CELL = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?.*invalid value '(.*)'")


def delimited(files: Sequence[str], system: Any, rule: Any, called: str) -> Stored:
    """The table in text files that are all written as the first of them is.

    Columns are what they seem to be in the first rows.

    Raises
    ------
    InputError
        Rows that differ in their number of cells, cells that are no numbers, words between spaces.
    """
    with damage(files[0]), system.open_input_stream(files[0]) as stream:
        head = stream.read(HEAD)
    _refuse_other(head, files[0])
    dialect = guess_dialect(head)
    if dialect.delimiter == " ":
        raise InputError(
            f"{files[0]}: cells that are set apart by spaces cannot be read block by block: put "
            "commas or tabs between them, for instance by tr -s ' ' '\\t'"
        )
    with _explained(files[0], dialect.names), _open(files[0], system, dialect, {}) as reader:
        found = reader.schema
    names = [name.strip() for name in found.names]
    schema = pa.schema([field.with_name(name) for field, name in zip(found, names, strict=True)])
    given = dict(zip(names, found.names, strict=True))

    def read(columns: Sequence[str], numbers: Sequence[str] = ()) -> Iterator[Any]:
        wanted = list(columns) if rule is None else names
        types = {given[name]: _type(schema.field(name).type, name in numbers) for name in wanted}
        for file in files:
            with _explained(file, names), _open(file, system, dialect, types) as reader:
                for batch in reader:
                    named = batch.rename_columns(wanted)
                    yield (named if rule is None else named.filter(rule)).select(list(columns))

    return Stored(schema, read, None, called, dialect.notes)


def _refuse_other(head: bytes, file: str) -> None:
    for start, kind in _OTHERS.items():
        if head.startswith(start):
            raise InputError(f"{file} holds {kind}, whatever its name says: rename or unpack it")
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{file} is not text, or of an unknown encoding: save it as UTF-8")


def _open(file: str, system: Any, dialect: Dialect, types: dict[str, Any]) -> Any:
    """Batches of a file; of the columns with types if there are any."""
    return pa.csv.open_csv(
        system.open_input_stream(file),
        pa.csv.ReadOptions(
            use_threads=False,
            block_size=_BLOCK,
            column_names=None if dialect.header else list(dialect.names),
            encoding=dialect.encoding,
        ),
        pa.csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
        pa.csv.ConvertOptions(
            null_values=list(MISSING),
            decimal_point=dialect.decimal_point,
            column_types=types or None,
            include_columns=list(types) or None,
        ),
    )


def _type(seen: Any, number: bool) -> Any:
    """What a column is read as: whole numbers in the first rows may have others below."""
    if number and (pa.types.is_integer(seen) or pa.types.is_null(seen)):
        return pa.float64()
    return pa.string() if pa.types.is_null(seen) else seen


@contextmanager
def _explained(file: str, names: Sequence[str]) -> Iterator[None]:
    """Say which cell is no number, where pyarrow does; `names` are those of all columns."""
    with damage(file):
        try:
            yield
        except UnicodeDecodeError as error:
            raise InputError(
                f"{file} is not text of one encoding, save it as UTF-8: {error}"
            ) from None
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            _explain(str(error), file, names)
            found = _ODD_CELL.search(str(error))
            if found is None:
                raise
            place, row, cell = found.groups()
            at = f" in row {row} (the first line is row 1)" if row else ""
            raise InputError(
                f'{file}: column "{names[int(place)]}" holds {cell!r}{at}, and numbers before: '
                "mend the cell, or leave the column out"
            ) from None


def _explain(said: str, file: str, names: Sequence[str]) -> None:
    """Raise an error with what to do, where pyarrow's words are known."""
    if "Empty CSV" in said:
        raise InputError(f"{file} has no rows: nothing is left to fit") from None
    if found := _ABSENT.search(said):
        raise InputError(
            f'{file} lacks the column "{found[1]}" that the first file has: leave the file out, or '
            "write it as the others are"
        ) from None
    if found := _RAGGED.search(said):
        row, expected, cells, text = found.groups()
        raise InputError(
            ragged(file, f"row {row}", int(cells), int(expected), text, names)
        ) from None


def ragged(file: str, row: str, cells: int, expected: int, text: str, names: Sequence[str]) -> str:
    """What to say of a row that has too few or too many cells."""
    shown = text if len(text) <= 50 else text[:49] + "…"
    comment = text.startswith("#") or any(name.startswith("#") for name in names)
    return (
        f"{file}: {row} has {cells} cell{'s' * (cells != 1)} where {expected} are expected: "
        f"{shown!r}; "
        + (
            "take out the lines that begin with #"
            if comment
            else "mend the row, or quote cells that hold the delimiter"
        )
    )
