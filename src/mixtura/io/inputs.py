"""Tables for the command line: small ones in memory, all others read block by block."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mixtura._errors import InputError
from mixtura._types import Rows
from mixtura.io.columns import (
    Chosen,
    RawTable,
    Table,
    choose,
    choose_names,
    counting_columns,
    numbers_of,
    refuse_empty,
)
from mixtura.io.row_filter import row_filter
from mixtura.io.tables import checked, read_raw
from mixtura.reading.cache import gathered, released
from mixtura.reading.scan import is_array_file, scan, stored
from mixtura.reading.sql import is_query
from mixtura.reading.stored import BATCH, Stored

__all__ = ["HELD", "Input", "Piece", "opened"]

HELD = 1 << 26
"""Bytes of a local file up to which its table is held in memory."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Some rows of a table, one after the other.

    Attributes
    ----------
    start : number of the first
    rows : (m, d) the numbers asked for, NaN where a cell is missing
    arrow : the columns carried along
    """

    start: int
    rows: Rows
    arrow: pa.Table


@dataclass(frozen=True, eq=False)
class Input:
    """A table that can be gone through again and again.

    Attributes
    ----------
    head : RawTable
        All of it where it is held in memory, else its first rows.
    given : str
        What names it: a file, a folder, a pattern, a URI or a query.
    stored : Stored or None
        What reads it block by block, where it is not held.
    rule : pyarrow expression or None
        Which rows are wanted.
    """

    head: RawTable
    given: str
    stored: Stored | None = None
    rule: Any = None

    def pieces(self, names: Sequence[str], carried: Sequence[str] = ()) -> Iterator[Piece]:
        """The numbers in some columns, NaN in those that are not there, and columns as they are.

        Raises
        ------
        InputError
            Files that are damaged, cells that are no numbers, infinite values.
        """
        there = [name for name in names if name in self.head.arrow.column_names]
        start = 0
        for part in self._parts(list(dict.fromkeys((*there, *carried))), there):
            rows = numbers_of(part, names, self.head.source, start)
            yield Piece(start, rows, part.select(list(carried)))
            start += part.num_rows

    def table(
        self,
        columns: Sequence[str] = (),
        identifier: str | None = None,
        weights: str | None = None,
        cache: str | None = None,
    ) -> Table:
        """The chosen columns to be fitted; in a file that is mapped where the table is not held.

        Raises
        ------
        InputError
            As `choose` and `scan` do.
        """
        if self.stored is None:
            return choose(self.head, columns=columns, identifier=identifier, weights=weights)
        chosen = choose_names(self.head, columns=columns, identifier=identifier, weights=weights)
        read = self._decoded(chosen, weights, cache)
        missing = _missing(read.rows)
        refuse_empty(chosen.columns, missing, len(read.rows), self.head.source)
        return Table(
            rows=read.rows,
            columns=chosen.columns,
            skipped=chosen.skipped,
            missing=missing,
            source=self.head.source,
            weights=read.weights,
            notes=self.head.notes + counting_columns(self.head.arrow, chosen.columns),
        )

    def _decoded(self, chosen: Chosen, weights: str | None, cache: str | None) -> Any:
        kinds = [self.head.arrow.schema.field(name).type for name in chosen.columns]
        single = all(pa.types.is_float32(kind) for kind in kinds)
        everything = list(chosen.columns) == self.head.arrow.column_names
        return scan(
            self.given,
            columns=None if everything and is_array_file(self.given) else chosen.columns,
            where=self.rule,
            weights=weights,
            dtype="float32" if single else None,
            cache=cache,
        ).table

    def _parts(self, columns: list[str], numbers: list[str]) -> Iterator[pa.Table]:
        if self.stored is not None:
            for batch in self.stored.read(columns, numbers):
                if batch.num_rows:
                    yield pa.Table.from_batches([batch])
            return
        chosen = self.head.arrow.select(columns)
        for at in range(0, self.head.arrow.num_rows, BATCH):
            yield chosen.slice(at, BATCH)


def opened(given: str, where: Sequence[str] = ()) -> Input:
    """What a user names: a local file of up to `HELD` bytes and standard input are held in memory.

    Larger files, folders, patterns, URIs, ``.npy`` files and queries are read block by block.

    Parameters
    ----------
    where : conditions such as "year >= 2020" that the rows wanted meet

    Raises
    ------
    InputError
        What cannot be read, holds no rows, or has none that meets the conditions.
    """
    given = os.path.expanduser(given)
    if not _lies_elsewhere(given):
        raw = read_raw(given)
        rule = row_filter(where, raw.arrow.schema, raw.source)
        kept = raw if rule is None else replace(raw, arrow=raw.arrow.filter(rule))
        _refuse_none_left(kept.arrow, where, raw.source)
        return Input(kept, given)
    found = stored(given)
    rule = row_filter(where, found.schema, found.called)
    found = found if rule is None else stored(given, rule)
    bare = [field.name for field in found.schema if pa.types.is_null(field.type)]
    head = next((batch for batch in found.read(found.schema.names, bare) if batch.num_rows), None)
    first = found.schema.empty_table() if head is None else pa.Table.from_batches([head])
    _refuse_none_left(first, where, found.called)
    kind = {"csv": "text"}.get(found.form, found.form)
    return Input(checked(RawTable(first, found.called, kind, found.notes)), given, found, rule)


def _lies_elsewhere(given: str) -> bool:
    if given == "-":
        return False
    if is_query(given) or is_array_file(given) or "://" in given or os.path.isdir(given):
        return True
    path = Path(given)
    return path.stat().st_size > HELD if path.is_file() else glob.has_magic(given)


def _refuse_none_left(arrow: pa.Table, where: Sequence[str], source: str) -> None:
    if where and not arrow.num_rows:
        raise InputError(f"{source}: no row meets {' and '.join(where)}: ask for less")


def drawn(rows: Rows, most: int, seed: int) -> Rows:
    """All rows, or so many drawn at random, in their order."""
    if len(rows) <= most:
        return rows
    chosen = np.random.default_rng(seed).choice(len(rows), most, replace=False)
    return gathered(rows, np.sort(chosen))


def _missing(rows: Rows) -> tuple[int, ...]:
    """How many cells of each column are missing."""
    count = np.zeros(rows.shape[1], dtype=np.intp)
    for at in range(0, len(rows), BATCH):
        part = rows[at : at + BATCH]
        count += np.isnan(part).sum(axis=0)
        released(part)
    return tuple(count.tolist())
