"""Rows that lie elsewhere: what to read, decoded on first use."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixtura import _checks, _frames
from mixtura._errors import InputError, InputTypeError, MissingDependency
from mixtura._types import Rows
from mixtura.reading import sql
from mixtura.reading.cache import kept, released
from mixtura.reading.uri import shown

if TYPE_CHECKING:
    from mixtura.reading.stored import Stored

__all__ = ["Scan", "is_array_file", "opened", "scan", "stored"]

_ROWS = 1 << 16
"""Rows looked at together."""


def scan(
    source: Any,
    *,
    columns: Sequence[str] | None = None,
    where: Any = None,
    weights: str | None = None,
    dtype: Any = None,
    cache: str | os.PathLike[str] | None = None,
) -> Scan:
    """Rows of a file, a query or blocks, to be given where an array or data frame could be.

    A fit reads its rows tens of times, so they are decoded once: into memory while they are few,
    else into a file of the decoded numbers, without a name, that is mapped and goes with the scan.
    Memory stays bounded however many rows there are.

    Parameters
    ----------
    source : str, path, or object
        A file, a folder or a pattern (``"part-*.parquet"``) of Parquet, Arrow IPC (Feather) or
        delimited text files, also by a URI such as ``"s3://bucket/folder"``, but for those below
        a folder whose names begin with ``_`` or ``.``; a ``.npy`` file, which
        is mapped as it is; an SQL query for DuckDB (``"select x, y from 'part-*.parquet'"``); a
        DuckDB relation, a polars LazyFrame, a pyarrow Dataset, or whatever else streams Arrow
        batches; a list, or any
        other iterable that can be read again, of arrays or data frames with the same columns.
    columns : sequence of str, optional
        All columns by default.
    where : sequence of (column, operator, value), or pyarrow expression, optional
        Rows of files to read; for queries, say it in SQL.
    weights : str, optional
        The column that holds the rows' weights.
    dtype : "float32" or "float64", optional
        Of the decoded numbers; float64 by default, and what a ``.npy`` file holds.
    cache : path, optional
        Folder for the decoded rows; the system's folder for temporary files by default.

    Returns
    -------
    Scan

    Raises
    ------
    InputError, InputTypeError
        What cannot be read, holds no numbers, or an iterator that can be read only once.
    MissingDependency
        pyarrow, or DuckDB for a query, is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import GaussianMixture, scan
    >>> rng = np.random.default_rng(0)
    >>> parts = [rng.normal(size=(500, 2)) + 6 * (i % 2) for i in range(4)]
    >>> rows = scan(parts)
    >>> rows.shape
    (2000, 2)
    >>> GaussianMixture(2, random_state=0).fit(rows).means_.round().astype(int).tolist()
    [[0, 0], [6, 6]]
    """
    names = None if columns is None else tuple(columns)
    kind = None if dtype is None else np.dtype(dtype)
    if kind is not None and kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InputError(f'dtype={dtype!r}: use "float32" or "float64"')
    return Scan(source, names, where, weights, kind, None if cache is None else Path(cache))


@dataclass(frozen=True, eq=False)
class Scan(_checks.Elsewhere):
    """What to read; made by `scan`, decoded on first use.

    Attributes
    ----------
    source, columns, where, weights_column, dtype, cache
        As given to `scan`.
    aside_column : str or None
        A column of anything that is kept beside the rows: labels.
    """

    source: Any
    columns: tuple[str, ...] | None = None
    where: Any = None
    weights_column: str | None = None
    dtype: np.dtype[Any] | None = None
    cache: Path | None = None
    aside_column: str | None = None

    def taking(
        self,
        columns: Sequence[str] | None = None,
        weights: str | None = None,
        aside: str | None = None,
    ) -> Scan:
        """The same source, of which these columns are rows, weights, or kept aside.

        Raises
        ------
        InputError
            The columns of the source have no names.
        """
        weights, aside = weights or self.weights_column, aside or self.aside_column
        if not self.named:
            raise InputError(f"the columns of {self.called} have no names: pass arrays beside it")
        chosen = self.columns if columns is None else tuple(columns)
        if chosen is not None and columns is None:
            chosen = tuple(name for name in chosen if name not in (weights, aside))
        asked = chosen, weights, aside
        if asked == (self.columns, self.weights_column, self.aside_column):
            return self
        known: dict[Any, Scan] = self.__dict__.setdefault("_taken", {})
        if asked not in known:
            known[asked] = replace(self, columns=chosen, weights_column=weights, aside_column=aside)
        return known[asked]

    @property
    def named(self) -> bool:
        """Whether the columns of the source have names to choose them by."""
        if _is_path(self.source):
            return not os.fspath(self.source).endswith(".npy")
        return _streams(self.source)

    def names(self) -> tuple[str, ...]:
        """The chosen columns, or all but those of weights and kept aside; nothing is decoded."""
        if self.columns is not None:
            return self.columns
        apart = (self.weights_column, self.aside_column)
        return stored(self.source, self.where).features(*apart)

    @property
    def table(self) -> _checks.Table:
        """The rows, decoded, with the names of their columns and their weights."""
        return self._decoded

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)"""
        return self.table.rows.shape[0], self.table.rows.shape[1]

    def __len__(self) -> int:
        return len(self.table.rows)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the rows to a ``.parquet``, ``.arrow``, ``.csv`` or ``.npy`` file, block by block.

        Rows that a transformation makes of others are worked out meanwhile and not kept.

        Raises
        ------
        InputError
            No format has this suffix, or the rows cannot be read.
        """
        from mixtura.reading.writing import table_written, write_array

        if os.fspath(path).endswith(".npy"):
            write_array((part.rows for part in self._parts()), self.table.rows, path)
            return
        known = "_decoded" in vars(self) or not isinstance(self.source, Iterable) or self.named
        parts = self._parts() if known else (_checks.table(block) for block in self.source)
        with table_written(path) as write:
            for part in parts:
                names = part.names or [f"x{index}" for index in range(part.rows.shape[1])]
                write(dict(zip(names, part.rows.T, strict=True)))

    def _parts(self) -> Iterator[_checks.Table]:
        """The decoded rows in pieces."""
        rows, names = self.table.rows, self.table.names
        for at in range(0, len(rows), _ROWS):
            yield _checks.Table(rows[at : at + _ROWS], names)
            released(rows[at : at + _ROWS])

    @property
    def called(self) -> str:
        """What to call it in messages."""
        if isinstance(self.source, str | os.PathLike):
            return shown(os.fspath(self.source))
        return f"the {type(self.source).__name__}"

    @cached_property
    def _decoded(self) -> _checks.Table:
        if is_array_file(self.source):
            return _checks.Table(_array_file(self), None)
        if _is_path(self.source) or _streams(self.source):
            return _from_arrow(self)
        if isinstance(self.source, Iterable) and not isinstance(self.source, bytes):
            return _from_blocks(self)
        raise InputTypeError(
            f"{self.called} cannot be scanned: give a path, a query, a relation (as "
            "connection.sql(...) returns), a lazy frame, or an iterable of arrays that can be read "
            "again"
        )


def opened(X: Any) -> Any:
    """X as it can be fitted: a path, a query or a relation as a scan, a lazy frame collected.

    So is an iterator, which a scan refuses with what to do.
    """
    elsewhere = type(X).__module__.startswith(("duckdb", "_duckdb")) or hasattr(X, "get_fragments")
    if elsewhere or isinstance(X, str | bytes | os.PathLike | Iterator):
        return scan(X)
    return X if isinstance(X, Scan) else _frames.eager(X)


def is_array_file(source: Any) -> bool:
    """Whether it is the path of a ``.npy`` file."""
    return _is_path(source) and os.fspath(source).endswith(".npy")


def _is_path(source: Any) -> bool:
    return isinstance(source, str | os.PathLike) and not sql.is_query(source)


def _streams(source: Any) -> bool:
    return sql.is_query(source) or any(hasattr(source, name) for name in _STREAMING)


_STREAMING = ("__arrow_c_stream__", "collect_batches", "get_fragments")
"""What tables, relations and readers have, lazy frames of polars, and data sets of pyarrow."""


def stored(source: Any, where: Any = None) -> Stored:
    """The table in files, an array's file, or behind a query or what else streams batches.

    Raises
    ------
    InputError
        What cannot be read.
    MissingDependency
    """
    try:
        from mixtura.reading import stored as tables
        from mixtura.reading.files import in_files
    except ImportError as error:
        raise MissingDependency.of("pyarrow", extra="io") from error
    if _is_path(source) and not is_array_file(source):
        return in_files(os.fspath(source), where)
    if where is not None:
        raise InputError("where= is for files with named columns: say it in the query instead")
    if _is_path(source):
        return tables.of_array(_mapped(os.fspath(source)), os.fspath(source))
    called = f"the {type(source).__name__}"
    if isinstance(source, str):
        return sql.of_query(source)
    if sql.is_relation(source):
        return sql.of_relation(source, called)
    return tables.of_stream(source, called)


def _from_arrow(asked: Scan) -> _checks.Table:
    """The chosen columns of a stored table, decoded."""
    found = stored(asked.source, asked.where)
    from mixtura.reading import arrow

    weights = asked.weights_column
    chosen = arrow.numeric(found, asked.columns, weights, asked.aside_column)
    kind = np.dtype(asked.dtype or np.float64)
    width = len(chosen.names) + (weights is not None)
    size = (chosen.rows or 0) * width * kind.itemsize
    told: list[Any] = []
    table = kept(arrow.blocks(chosen, kind, told), asked.cache, size)
    beside = np.concatenate(told) if told else None
    if weights is None:
        return _checks.Table(table, chosen.names, None, beside)
    return _checks.Table(table[:, :-1], chosen.names, table[:, -1], beside)


def _from_blocks(asked: Scan) -> _checks.Table:
    """The blocks of an iterable, checked one by one."""
    if hasattr(asked.source, "fetch_record_batch"):
        raise InputTypeError(
            f"{asked.called} is not the rows themselves: give what its fetch_record_batch() returns"
        )
    if isinstance(asked.source, Iterator):
        raise InputTypeError(
            f"{asked.called} can be read only once, and what fails half-way would be lost: give "
            "scan a list of blocks, or an object whose __iter__ starts anew"
        )
    if asked.columns is not None or asked.where is not None or asked.weights_column is not None:
        raise InputError("columns=, where= and weights= are for files and queries: cut the blocks")
    first = next(iter(asked.source), None)
    if first is None:
        raise InputError(f"{asked.called} holds no blocks: nothing is left to fit")
    like = _checks.table(first)
    return _checks.Table(kept(_alike(asked.source, like, asked.dtype), asked.cache), like.names)


def _alike(blocks: Iterable[Any], like: _checks.Table, asked: Any) -> Iterator[Rows]:
    kind = np.dtype(asked or like.rows.dtype)
    d = like.rows.shape[1]
    for number, block in enumerate(blocks):
        try:
            rows = _checks.rows_like(block, d, like.names)
        except (InputError, InputTypeError) as error:
            raise type(error)(f"block {number}: {error}") from None
        if asked is None and rows.dtype.itemsize > kind.itemsize:
            raise InputError(
                f"block {number} holds {rows.dtype} and the first {kind}: say which by dtype="
            )
        yield np.asarray(rows, kind)


def _array_file(asked: Scan) -> Rows:
    """A ``.npy`` file as it lies on the disk, or converted."""
    if asked.columns is not None or asked.where is not None or asked.weights_column is not None:
        raise InputError(
            f"{asked.called}: the columns of a .npy file have no names, so columns=, where= and "
            "weights= say nothing; slice the array, or write a Parquet file"
        )
    mapped = _mapped(asked.called)
    usual = mapped.dtype.newbyteorder("=") in (np.float32, np.float64)
    kind = np.dtype(asked.dtype or (mapped.dtype if usual else np.float64))
    ready = kind == mapped.dtype and mapped.flags.c_contiguous
    parts = (mapped[at : at + _ROWS] for at in range(0, len(mapped), _ROWS))
    checked = (_finite(part, number * _ROWS) for number, part in enumerate(parts))
    if ready:
        for part in checked:
            released(part)
        return np.asarray(mapped)
    converted = (np.asarray(part, kind, order="C") for part in checked)
    return kept(converted, asked.cache, mapped.size * kind.itemsize)


def _mapped(path: str) -> Rows:
    """The numbers of a ``.npy`` file, as they lie on the disk."""
    if "://" in path or (glob.has_magic(path) and not os.path.exists(path)):
        raise InputError(
            f"{path}: a .npy file is mapped, so give the path of one that lies on this machine; "
            "several go as a list of arrays, scan([np.load(one, mmap_mode='r') for one in ...])"
        )
    try:
        mapped = np.load(os.path.expanduser(path), mmap_mode="r")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as an array: {error}") from None
    if mapped.ndim != 2 or mapped.dtype.kind not in "fiub" or 0 in mapped.shape:
        raise InputError(
            f"{path} holds {mapped.dtype} of shape {mapped.shape}: numbers of shape (n, d) are "
            "needed"
        )
    return mapped


def _finite(rows: Rows, start: int) -> Rows:
    _checks.refuse_infinite(rows, None, start)
    return rows
