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

__all__ = ["delimited"]

_BLOCK = 1 << 22
"""Bytes parsed together; the first of them tell the columns' types."""

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
        dialect = guess_dialect(stream.read(HEAD))
    if dialect.delimiter == " ":
        raise InputError(
            f"{files[0]}: cells that are set apart by spaces cannot be read block by block: put "
            "commas or tabs between them, for instance by tr -s ' ' '\\t'"
        )
    with damage(files[0]), _open(files[0], system, dialect, {}) as reader:
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

    first = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    note = () if dialect.header else (f"the first row holds numbers: columns named {first}",)
    return Stored(schema, read, None, called, note)


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
        except pa.ArrowInvalid as error:
            found = _ODD_CELL.search(str(error))
            if found is None:
                raise
            place, row, cell = found.groups()
            at = f" in row {row} (the first line is row 1)" if row else ""
            raise InputError(
                f'{file}: column "{names[int(place)]}" holds {cell!r}{at}, and numbers before: '
                "mend the cell, or leave the column out"
            ) from None
