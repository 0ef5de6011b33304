"""Tables in files: CSV, TSV and other delimited text, Parquet, Arrow."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

try:
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet
except ImportError as missing:
    from mixtura._errors import MissingDependency

    raise MissingDependency.of("pyarrow", extra="io") from missing

from mixtura._errors import InputError
from mixtura.io.columns import RawTable, Table, choose
from mixtura.io.text import read_text
from mixtura.reading.writing import FORMATS

_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
_BINARY_SUFFIXES = (".parquet", ".pq", ".arrow", ".feather", ".ipc")


def read_table(
    path: str | os.PathLike[str],
    *,
    columns: Iterable[str] = (),
    identifier: str | None = None,
    weights: str | None = None,
) -> Table:
    r"""The numeric columns of a file, as rows of floats with NaN where a cell is missing.

    Parameters
    ----------
    path : a CSV, TSV, Parquet or Arrow file, or "-" for standard input
    columns : names or shell-like patterns; "^name" leaves columns out; all when empty
    identifier : a column of any type to keep aside, as `Table.ids`
    weights : a numeric column to keep aside, as `Table.weights`

    Raises
    ------
    InputError
        When the file cannot be read as a table, has no rows or no numeric column, a name is
        not in it, or a chosen column is text, holds infinite values or no values at all.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "geyser.csv"
    >>> _ = path.write_text("day,eruptions,waiting\nMon,3.6,79\nTue,,54\n")
    >>> table = read_table(path)
    >>> table.columns, table.missing
    (('eruptions', 'waiting'), (1, 0))
    >>> table.skipped
    (Skipped(column='day', reason='text, "Mon" in row 0'),)
    """
    return choose(read_raw(path), columns=columns, identifier=identifier, weights=weights)


def read_raw(path: str | os.PathLike[str]) -> RawTable:
    """All columns of a file. The content decides what kind of table it is, not the name."""
    source = "standard input" if os.fspath(path) == "-" else os.fspath(path)
    data = _content(path, source)
    if data.size == 0:
        raise InputError(f"{source} is empty: give a table with column names and rows")
    start = data.slice(0, min(8, data.size)).to_pybytes()
    try:
        if start.startswith(b"PAR1"):
            return checked(RawTable(pa.parquet.read_table(data), source, "parquet"))
        if start.startswith((b"ARROW1", b"FEA1")):
            return checked(RawTable(pa.feather.read_table(data), source, "arrow"))
        if start.startswith(b"\xff\xff\xff\xff"):
            return checked(RawTable(pa.ipc.open_stream(data).read_all(), source, "arrow"))
    except (pa.ArrowException, OSError) as error:
        said = str(error).splitlines()[0][:160]
        if "Multiple matches" in said:
            raise InputError(f"{source}: two columns have the same name: rename one") from None
        raise InputError(f"{source} is damaged or cut short, write it again: {said}") from None
    _refuse_binary(data, source)
    table, dialect = read_text(data, source)
    return checked(RawTable(table, source, "text", dialect.notes))


def _content(path: str | os.PathLike[str], source: str) -> pa.Buffer:
    """The bytes of a file, decompressed; a plain file is mapped, not copied."""
    if os.fspath(path) == "-":
        data = pa.py_buffer(sys.stdin.buffer.read())
    else:
        file = Path(path)
        if not file.exists():
            raise InputError(f"there is no file {source}{_near_files(file)}")
        if file.is_dir():
            raise InputError(f"{source} is a folder: name a file in it")
        if file.is_file() and file.stat().st_size:
            data = pa.memory_map(source).read_buffer()
        else:
            data = pa.py_buffer(file.read_bytes())
    start = data.slice(0, min(4, data.size)).to_pybytes()
    for magic, codec in _COMPRESSED.items():
        if start.startswith(magic):
            try:
                return pa.CompressedInputStream(pa.BufferReader(data), codec).read_buffer()
            except OSError:
                raise InputError(f"{source} is damaged {codec}: compress it again") from None
    return data


def _near_files(file: Path) -> str:
    if not file.parent.is_dir():
        return f": the folder {file.parent} does not exist either"
    near = get_close_matches(file.name, [other.name for other in file.parent.iterdir()], 2, 0.75)
    names = " or ".join(str(file.parent / name) for name in near)
    return f": did you mean {names}?" if near else ": check its name and folder"


def _refuse_binary(data: pa.Buffer, source: str) -> None:
    head = data.slice(0, min(4096, data.size)).to_pybytes()
    suffix = Path(source).suffix.lower()
    if suffix in _BINARY_SUFFIXES:
        raise InputError(
            f"{source} does not hold {FORMATS[suffix].title()}, whatever its name says: "
            "write it again, or rename it if it holds text"
        )
    if head.startswith(b"PK"):
        raise InputError(
            f"{source} is a zip archive or a spreadsheet: unpack it, or save the sheet as CSV"
        )
    if b"\x00" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{source} is not text, Parquet or Arrow: save the table as one of them")


def checked(raw: RawTable) -> RawTable:
    """The table, if its columns have names of their own and it has rows."""
    names = raw.arrow.column_names
    for name in names:
        if name and names.count(name) > 1:
            raise InputError(f'{raw.source}: two columns are named "{name}": rename one')
    if raw.arrow.num_rows == 0:
        raise InputError(f"{raw.source} has column names but no rows: give a table with data")
    return raw
