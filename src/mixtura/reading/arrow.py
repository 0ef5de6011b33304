"""Tables in files and from engines, as batches of numbers; the one place that asks pyarrow here."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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

__all__ = ["Batches", "blocks", "from_files", "from_stream"]

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
    names : of the columns
    batches : iterable of pyarrow.RecordBatch
    rows : how many rows are to come, None where that is not known
    where : what to call it in messages
    """

    names: tuple[str, ...]
    batches: Iterable[Any]
    rows: int | None
    where: str


def from_files(
    path: str, columns: Sequence[str] | None, weights: str | None, where: Any
) -> Batches:
    """The columns of a file, or of all files of a folder or that match a pattern.

    Memory stays bounded: one batch is read ahead, and no row group is held as a whole.
    """
    files, filesystem = _files(path)
    form = _format(files[0])
    try:
        data = ds.dataset(files, format=_reader(form, files[0]), filesystem=filesystem)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None
    names = _numeric(data.schema, columns, weights, path)
    rule = _expression(where)
    wanted = _with(names, weights)
    batches = _row_groups(data, wanted, rule) if form == "parquet" else _scanned(data, wanted, rule)
    rows = data.count_rows() if rule is None and form != "csv" else None
    return Batches(names, _named_errors(batches, path), rows, path)


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
    given: Any, columns: Sequence[str] | None, weights: str | None, where: str
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
    names = _numeric(schema, columns, weights, where)
    chosen = (batch.select(_with(names, weights)) for batch in batches)
    return Batches(names, _named_errors(chosen, where), None, where)


def blocks(found: Batches, kind: np.dtype[Any], weighted: bool) -> Iterator[Rows]:
    """The batches as arrays (m, d), NaN where a cell is missing; weights are a last column.

    Rows of weight zero are left out.
    """
    start = 0
    for batch in found.batches:
        rows = _array(batch, kind)
        if weighted:
            _check_weights(rows[:, -1], start, found.where)
            rows = rows[rows[:, -1] > 0]
        if len(rows):
            _checks.refuse_infinite(rows, found.names, start)
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


def _with(names: Sequence[str], weights: str | None) -> list[str]:
    return [*names] if weights is None else [*names, weights]


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


def _numeric(
    schema: Any, columns: Sequence[str] | None, weights: str | None, where: str
) -> tuple[str, ...]:
    """The chosen columns, or all but the weights; they must be numbers."""
    names = tuple(columns or (name for name in schema.names if name != weights))
    missing = [name for name in _with(names, weights) if name not in schema.names]
    if missing:
        raise InputError(f"{where} has no columns {missing}; it has {schema.names}")
    wrong = [name for name in _with(names, weights) if not _is_number(schema.field(name).type)]
    if wrong:
        rest = [name for name in names if name not in wrong]
        raise InputTypeError(
            f"{where}: columns {wrong} do not hold numbers: choose others, columns={rest}"
        )
    return names


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
