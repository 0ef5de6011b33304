"""Tables in files, wherever they lie, as batches."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet

from mixtura._errors import InputError
from mixtura.reading.arrow import is_number
from mixtura.reading.delimited import delimited
from mixtura.reading.stored import BATCH, Stored, damage
from mixtura.reading.uri import shown

__all__ = ["in_files"]

_BUFFER = 1 << 16
"""Bytes of a column read together."""

_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "ipc",
    ".ipc": "ipc",
    ".feather": "ipc",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
}

_HIDDEN = ("_", ".")
"""How names begin of what lies in folders and is no data: _SUCCESS, _temporary, .x.crc."""

_COMPRESSED = (".gz", ".bz2", ".zst")
"""What may follow the suffix of text."""


def in_files(path: str, where: Any = None) -> Stored:
    """The table in a file, or in all files of a folder or that match a pattern.

    Memory stays bounded: one batch is read ahead, and no row group is held as a whole.

    Parameters
    ----------
    path : of a file or folder, a pattern, or a URI
    where : rows to read, as (column, operator, value) triples or a pyarrow expression

    Raises
    ------
    InputError
        No such files, files of several formats or of none that is known, damaged files.
    """
    called = shown(path)
    files, system = _files(path, called)
    form, rule = _format(files), _expression(where)
    if form == "csv":
        return delimited(files, system, rule, called)
    if form == "ipc" and _is_ipc_stream(files[0], system):
        return _ipc_streams(files, system, rule, called)
    with damage(called):
        data = ds.dataset(files, format=form, filesystem=system)
        rows = data.count_rows() if rule is None else None
    batches = _row_groups if form == "parquet" else _scanned

    def read(columns: Sequence[str], numbers: Sequence[str] = ()) -> Iterator[Any]:
        for fragment in data.get_fragments(filter=rule):
            with damage(fragment.path):
                _check_columns(fragment.path, fragment.physical_schema, columns, files[0])
                _check_numbers(fragment.path, fragment.physical_schema, numbers)
                yield from batches(fragment, list(columns), rule)

    written = "parquet" if form == "parquet" else "arrow"
    return Stored(data.schema, read, rows, called, form=written)


def _scanned(fragment: Any, columns: list[str], rule: Any) -> Iterator[Any]:
    """Batches one by one; what a scanner reads ahead by itself is not bounded."""
    yield from fragment.scanner(
        columns=columns,
        filter=rule,
        batch_size=BATCH,
        batch_readahead=1,
        fragment_readahead=1,
        use_threads=False,
    ).to_batches()


def _row_groups(fragment: Any, columns: list[str], rule: Any) -> Iterator[Any]:
    """Batches of a Parquet file, page by page: a scanner decodes whole row groups at a time.

    Row groups whose statistics say that no row is wanted are not read.
    """
    chosen = fragment if rule is None else fragment.subset(filter=rule)
    groups = [group.id for group in chosen.row_groups]
    with fragment.open() as stream:
        file = pa.parquet.ParquetFile(stream, pre_buffer=False, buffer_size=_BUFFER)
        read = columns if rule is None else None
        for batch in file.iter_batches(BATCH, groups, read, use_threads=False):
            kept = batch if rule is None else batch.filter(rule)
            yield kept.select(columns)


def _is_ipc_stream(file: str, system: Any) -> bool:
    """Whether a file begins as Arrow's stream does, which has no index at its end."""
    with damage(file), system.open_input_stream(file) as stream:
        return bytes(stream.read(4)) == b"\xff\xff\xff\xff"


def _ipc_streams(files: Sequence[str], system: Any, rule: Any, called: str) -> Stored:
    with damage(files[0]), system.open_input_stream(files[0]) as stream:
        schema = pa.ipc.open_stream(stream).schema

    def read(columns: Sequence[str], numbers: Sequence[str] = ()) -> Iterator[Any]:
        for file in files:
            with damage(file), system.open_input_stream(file) as stream:
                reader = pa.ipc.open_stream(stream)
                _check_columns(file, reader.schema, columns, files[0])
                _check_numbers(file, reader.schema, numbers)
                for batch in reader:
                    yield (batch if rule is None else batch.filter(rule)).select(list(columns))

    return Stored(schema, read, None, called, form="arrow")


def _check_numbers(file: str, schema: Any, numbers: Sequence[str]) -> None:
    wrong = [name for name in numbers if not is_number(schema.field(name).type)]
    if wrong:
        raise InputError(
            f"{file}: the columns {wrong} hold no numbers, as in the first file: leave the file "
            "out, or choose other columns"
        )


def _check_columns(file: str, schema: Any, columns: Sequence[str], first: str) -> None:
    absent = [name for name in columns if name not in schema.names]
    if absent:
        raise InputError(
            f"{file} lacks the columns {absent} that {first} has: leave the file out, or "
            "choose other columns"
        )


def _files(path: str, called: str) -> tuple[list[str], Any]:
    """The files in a stable order, and where they are."""
    if "://" in path:
        try:
            system, inner = pa.fs.FileSystem.from_uri(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{called} is no place that pyarrow knows: {error}. Write file:///folder/rows.csv "
                "or s3://bucket/rows.csv, with %20 for spaces, or copy it to this machine"
            ) from None
        with damage(called):
            files = _remote_files(system, inner)
    else:
        system, files = pa.fs.LocalFileSystem(), _local_files(os.path.expanduser(path))
    if not files:
        raise InputError(
            f"{called}: there is no such file, folder with tables or pattern that matches"
        )
    return files, system


def _local_files(path: str) -> list[str]:
    if os.path.isdir(path):
        found = [str(one) for one in Path(path).rglob("*") if one.is_file()]
        return sorted(one for one in _seen(found, path) if _suffix(one) in _FORMATS)
    if os.path.exists(path) or not glob.has_magic(path):
        return [path] if os.path.exists(path) else []
    found = [one for one in glob.glob(path, recursive=True) if not os.path.isdir(one)]
    folder = os.path.dirname(re.split(r"[*?[]", path)[0])
    hidden = any(name.startswith(_HIDDEN) for name in Path(path).relative_to(folder).parts)
    return sorted(found if hidden else _seen(found, folder))


def _seen(files: Sequence[str], folder: str) -> list[str]:
    """Files on whose way down from a folder no name begins as those of what is no data do."""
    return [
        file
        for file in files
        if not any(part.startswith(_HIDDEN) for part in Path(file).relative_to(folder).parts)
    ]


def _remote_files(system: Any, inner: str) -> list[str]:
    """A file that is not on this machine, those of a folder, or those that match a pattern."""
    if not glob.has_magic(inner):
        kind = system.get_file_info(inner).type
        if kind != pa.fs.FileType.Directory:
            return [] if kind == pa.fs.FileType.NotFound else [inner]
    names = inner.split("/")
    fixed = next((i for i, name in enumerate(names) if glob.has_magic(name)), len(names))
    folder = pa.fs.FileSelector("/".join(names[:fixed]), recursive=True, allow_not_found=True)
    found = [one.path for one in system.get_file_info(folder) if one.is_file]
    if fixed < len(names):
        found = [one for one in found if _matches(one.split("/"), names)]
        hidden = any(name.startswith(_HIDDEN) for name in names[fixed:])
        return sorted(found if hidden else _seen(found, "/".join(names[:fixed])))
    return sorted(one for one in _seen(found, inner) if _suffix(one) in _FORMATS)


def _matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether the names on a way match patterns; ``**`` stands for any number of folders."""
    if not patterns or not names:
        return not patterns and not names
    if patterns[0] == "**":
        return any(_matches(names[start:], patterns[1:]) for start in range(len(names)))
    return fnmatchcase(names[0], patterns[0]) and _matches(names[1:], patterns[1:])


def _format(files: Sequence[str]) -> str:
    """The one format of all files."""
    suffixes = dict.fromkeys(_suffix(file) for file in files)
    unknown = [suffix for suffix in suffixes if suffix not in _FORMATS]
    if unknown:
        raise InputError(
            f"{files[0]}: no format is known by the suffix {unknown[0] or '(none)'!r}: use one of "
            f"{' '.join(_FORMATS)} or .npy"
        )
    forms = {_FORMATS[suffix] for suffix in suffixes}
    if len(forms) > 1:
        raise InputError(
            f"{os.path.commonpath(files)} holds {' and '.join(suffixes)} files: say which by a "
            "pattern, for instance 'folder/*.parquet'"
        )
    return forms.pop()


def _suffix(file: str) -> str:
    """The last suffix, before that of a compression."""
    path = Path(file.lower())
    return Path(path.stem).suffix if path.suffix in _COMPRESSED else path.suffix


def _expression(where: Any) -> Any:
    """A pyarrow expression from one, or from (column, operator, value) triples."""
    if where is None or isinstance(where, pa.compute.Expression):
        return where
    try:
        return pa.parquet.filters_to_expression([tuple(one) for one in where])
    except (TypeError, ValueError, AttributeError):
        raise InputError(
            f"where={where!r}: give (column, operator, value) triples, for instance "
            '[("year", ">=", 2020)], or a pyarrow expression'
        ) from None
