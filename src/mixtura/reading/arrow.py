"""Tables in files and from engines, as batches of numbers; the one place that asks pyarrow here."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet

from mixtura import _checks
from mixtura._errors import InputError, InputTypeError
from mixtura._types import Array, Rows

__all__ = ["Batches", "blocks", "from_files", "from_stream", "names_of"]

BATCH = 1 << 16
"""Rows of a batch."""

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
    ".txt": "csv",
}


@dataclass(frozen=True, eq=False)
class Batches:
    """Record batches of one schema.

    Attributes
    ----------
    names : of the columns of numbers
    weights, aside : names of the columns of weights, and of what else is told of the rows, or None
    batches : iterable of pyarrow.RecordBatch
    rows : how many rows are to come, None where that is not known
    where : what to call it in messages
    """

    names: tuple[str, ...]
    batches: Iterable[Any]
    rows: int | None
    where: str
    weights: str | None = None
    aside: str | None = None

    @property
    def wanted(self) -> list[str]:
        """The names of all columns that are read."""
        return [*self.names, *(one for one in (self.weights, self.aside) if one is not None)]


def from_files(
    path: str,
    columns: Sequence[str] | None,
    weights: str | None,
    where: Any,
    aside: str | None = None,
) -> Batches:
    """The columns of a file, or of all files of a folder or that match a pattern.

    Memory stays bounded: one batch is read ahead, and no row group is held as a whole.
    """
    data, form = _dataset(path)
    found = _chosen(data.schema, columns, weights, aside, path)
    rule = _expression(where)
    read = _row_groups if form == "parquet" else _scanned
    rows = data.count_rows() if rule is None and form != "csv" else None
    batches = _named_errors(read(data, found.wanted, rule), path)
    return replace(found, batches=batches, rows=rows)


def names_of(source: Any) -> list[str]:
    """The names of all columns of a path, or of what streams Arrow batches."""
    if isinstance(source, str):
        return list(_dataset(source)[0].schema.names)
    if hasattr(source, "collect_schema"):
        return list(source.collect_schema().names())
    found = getattr(source, "column_names", None) or getattr(source, "columns", None)
    return list(found if found is not None else source.schema.names)


def _dataset(path: str) -> tuple[Any, str]:
    """The files of a path as one table that is not read yet, and their format."""
    files, filesystem = _files(path)
    form = _format(files[0])
    try:
        return ds.dataset(files, format=_reader(form, files[0]), filesystem=filesystem), form
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def _scanned(data: Any, columns: list[str], rule: Any) -> Iterator[Any]:
    """Batches one by one; what a scanner reads ahead by itself is not bounded."""
    yield from data.scanner(
        columns=columns,
        filter=rule,
        batch_size=BATCH,
        batch_readahead=1,
        fragment_readahead=1,
        use_threads=False,
    ).to_batches()


def _row_groups(data: Any, columns: list[str], rule: Any) -> Iterator[Any]:
    """Batches of Parquet files, page by page: a scanner decodes whole row groups at a time.

    Row groups whose statistics say that no row is wanted are not read.
    """
    for fragment in data.get_fragments(filter=rule):
        chosen = fragment if rule is None else fragment.subset(filter=rule)
        groups = [group.id for group in chosen.row_groups]
        with fragment.open() as stream:
            file = pa.parquet.ParquetFile(stream, pre_buffer=False, buffer_size=_BUFFER)
            read = columns if rule is None else None
            for batch in file.iter_batches(BATCH, groups, read, use_threads=False):
                kept = batch if rule is None else batch.filter(rule)
                yield kept.select(columns)


def from_stream(
    given: Any,
    columns: Sequence[str] | None,
    weights: str | None,
    where: str,
    aside: str | None = None,
) -> Batches:
    """The columns of what streams Arrow batches: a query's result, a table, a lazy frame."""
    if hasattr(given, "collect_batches"):
        schema = given.collect_schema().to_frame().to_arrow().schema
        batches = (
            batch for frame in given.collect_batches(chunk_size=BATCH, maintain_order=True)
            for batch in frame.to_arrow().to_batches()
        )  # fmt: skip
    else:
        batches = pa.RecordBatchReader.from_stream(given)
        schema = batches.schema
    found = _chosen(schema, columns, weights, aside, where)
    chosen = (batch.select(found.wanted) for batch in batches)
    return replace(found, batches=_named_errors(chosen, where))


def blocks(found: Batches, kind: np.dtype[Any], aside: list[Any]) -> Iterator[Rows]:
    """The batches as arrays (m, d), NaN where a cell is missing; weights are a last column.

    Rows of weight zero are left out. What else is told of the rows is appended to `aside`.
    """
    start = 0
    for batch in found.batches:
        told = None if found.aside is None else _told(batch.column(found.aside))
        rows = _array(batch if told is None else batch.drop_columns([found.aside]), kind)
        if found.weights is not None:
            _check_weights(rows[:, -1], start, found.where)
            counted = rows[:, -1] > 0
            rows, told = rows[counted], None if told is None else told[counted]
        if len(rows):
            _checks.refuse_infinite(rows, found.names, start)
            if told is not None:
                aside.append(told)
            yield rows
        start += batch.num_rows
    if not start:
        raise InputError(f"{found.where} has no rows: nothing is left to fit")


def _check_weights(weights: Array, start: int, where: str) -> None:
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        raise InputError(
            f"{where}: weights must be finite and not negative; row {start + int(bad[0])} has "
            f"{weights[bad[0]]}"
        )


def _told(column: Any) -> Any:
    """A column of anything as an array; equal texts are one object."""
    if pa.types.is_dictionary(column.type) or not _is_number(column.type):
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        words = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
        return words[coded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)]
    return column.to_numpy(zero_copy_only=False)


def _array(batch: Any, kind: np.dtype[Any]) -> Rows:
    out = np.empty((batch.num_rows, batch.num_columns), kind)
    for index, column in enumerate(batch.columns):
        if pa.types.is_boolean(column.type) or pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        values = column.to_numpy(zero_copy_only=False)
        out[:, index] = values
    return out


def _named_errors(batches: Iterable[Any], where: str) -> Iterator[Any]:
    try:
        yield from batches
    except (pa.ArrowException, OSError) as error:
        raise _damaged(where, error) from None


def _damaged(where: str, error: Exception) -> InputError:
    said = str(error).splitlines()[0][:200]
    return InputError(f"{where} is damaged or cut short, write it again: {said}")


def _files(path: str) -> tuple[list[str], Any]:
    """The files in a stable order, and where they are."""
    if "://" in path:
        system, inner = pa.fs.FileSystem.from_uri(path)
        info = system.get_file_info(inner)
        if info.type == pa.fs.FileType.Directory:
            found = system.get_file_info(pa.fs.FileSelector(inner, recursive=True))
            return sorted(one.path for one in found if one.is_file), system
        return [inner], system
    if os.path.isdir(path):
        named = (str(one) for one in Path(path).rglob("*") if one.is_file())
        files = sorted(one for one in named if Path(one).suffix.lower() in _FORMATS)
    else:
        files = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else [path]
    if not files or not os.path.exists(files[0]):
        raise InputError(
            f"{path}: there is no such file, folder with tables or pattern that matches"
        )
    return files, None


def _format(file: str) -> str:
    suffix = Path(file).suffix.lower()
    if suffix not in _FORMATS:
        raise InputError(
            f"{file}: no format is known by the suffix {suffix or '(none)'!r}: use one of "
            f"{' '.join(_FORMATS)} or .npy"
        )
    return _FORMATS[suffix]


def _reader(form: str, file: str) -> Any:
    if form != "csv":
        return form
    return ds.CsvFileFormat(parse_options=pa.csv.ParseOptions(delimiter=_delimiter(file)))


def _delimiter(file: str) -> str:
    if file.lower().endswith(".tsv"):
        return "\t"
    with open(file, encoding="utf-8", errors="replace") as stream:
        head = stream.readline()
    try:
        return csv.Sniffer().sniff(head, ",;\t|").delimiter
    except csv.Error:
        return ","


def _chosen(
    schema: Any, columns: Sequence[str] | None, weights: str | None, aside: str | None, where: str
) -> Batches:
    """The chosen columns, or all but those of weights and labels; they must be numbers."""
    names = tuple(columns or (name for name in schema.names if name not in (weights, aside)))
    found = Batches(names, (), None, where, weights, aside)
    missing = [name for name in found.wanted if name not in schema.names]
    if missing:
        raise InputError(f"{where} has no columns {missing}; it has {schema.names}")
    numbers = [name for name in found.wanted if name != aside]
    wrong = [name for name in numbers if not _is_number(schema.field(name).type)]
    if wrong:
        rest = [name for name in names if name not in wrong]
        raise InputTypeError(
            f"{where}: columns {wrong} do not hold numbers: choose others, columns={rest}"
        )
    return found


def _is_number(kind: Any) -> bool:
    of = pa.types
    return bool(
        of.is_integer(kind) or of.is_floating(kind) or of.is_boolean(kind) or of.is_decimal(kind)
    )


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
