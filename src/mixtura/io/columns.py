"""Choosing the columns of a table, and reading them as numbers."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array, Rows
from mixtura.io.text import NUMBER_PATTERN
from mixtura.reading.dialect import MISSING
from mixtura.reading.stored import is_index


@dataclass(frozen=True, eq=False)
class RawTable:
    """A file's columns as they stand in it.

    Attributes
    ----------
    arrow : the columns, each in its own type
    source : the name to call it by in messages
    kind : "text", "parquet" or "arrow"
    notes : sentences on what was guessed
    """

    arrow: pa.Table
    source: str
    kind: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """A column that was left out, and why."""

    column: str
    reason: str


@dataclass(frozen=True, eq=False)
class Table(_checks.Elsewhere):
    """Numeric columns of a table.

    Attributes
    ----------
    rows : (n, d) float64, or float32 when every chosen column is; NaN where a cell is missing
    columns : their d names
    skipped : what was left out
    ids : (n,) the identifier column in its own type, or None
    weights : (n,) or None
    missing : how many cells are missing in each column
    source : the name to call the table by in messages
    notes : sentences on what was guessed
    """

    rows: Rows
    columns: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    missing: tuple[int, ...]
    source: str
    ids: pa.ChunkedArray | None = None
    weights: Array | None = None
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> _checks.Table:
        """The rows to be fitted."""
        return _checks.Table(self.rows, self.columns, self.weights)


@dataclass(frozen=True)
class Chosen:
    """Which columns of a table are taken as numbers.

    Attributes
    ----------
    columns : their names, in the order asked
    skipped : what was left out
    """

    columns: tuple[str, ...]
    skipped: tuple[Skipped, ...]


def choose(
    raw: RawTable,
    *,
    columns: Iterable[str] = (),
    identifier: str | None = None,
    weights: str | None = None,
) -> Table:
    """The chosen columns as numbers; all numeric ones when none are named."""
    arrow = raw.arrow
    chosen = choose_names(raw, columns=columns, identifier=identifier, weights=weights)
    values = {name: as_numbers(arrow[name]) for name in chosen.columns}
    refuse_infinite(values, raw.source)
    missing = _count_missing(values)
    refuse_empty(chosen.columns, missing, arrow.num_rows, raw.source)
    return Table(
        rows=_stacked(list(values.values())),
        columns=chosen.columns,
        skipped=chosen.skipped,
        missing=missing,
        source=raw.source,
        ids=None if identifier is None else arrow[identifier],
        weights=None if weights is None else _weights(raw, weights),
        notes=raw.notes + counting_columns(arrow, values),
    )


def choose_names(
    raw: RawTable,
    *,
    columns: Iterable[str] = (),
    identifier: str | None = None,
    weights: str | None = None,
) -> Chosen:
    """Which columns are taken as numbers, by the patterns, or all numeric ones.

    Raises
    ------
    InputError
        Names that are not there; columns asked for that are no numbers; none that is.
    """
    aside = [_named(raw, name) for name in (identifier, weights) if name is not None]
    asked, gone = _patterns(raw, columns)
    rest = [name for name in raw.arrow.column_names if name not in (*aside, *gone)]
    chosen: list[str] = []
    skipped: list[Skipped] = []
    for name in asked or rest:
        reason = _unusable(raw.arrow, name)
        if not asked and is_index(name):
            reason = "the index of a pandas data frame"
        if reason is None:
            chosen.append(name)
        elif asked:
            raise InputError(
                f'{raw.source}: column "{name}" is not numeric ({reason}): mend it or leave it out'
            )
        else:
            skipped.append(Skipped(name or "a column without a name", reason))
    if not chosen:
        reasons = "; ".join(f'"{s.column}" is {s.reason}' for s in skipped[:3])
        raise InputError(f"{raw.source} has no numeric column{': ' * bool(reasons)}{reasons}")
    return Chosen(tuple(chosen), tuple(skipped))


def match(raw: RawTable, names: Sequence[str], *, allow_missing: bool = False) -> tuple[str, ...]:
    """Those of the names that the table has as numeric columns, wherever they stand in it.

    Raises
    ------
    InputError
        When a column is absent (unless `allow_missing`, and others are there) or not numeric.
    """
    absent = [name for name in names if name not in raw.arrow.column_names]
    if absent and (not allow_missing or len(absent) == len(names)):
        raise _no_column(raw, absent[0], "the model needs ")
    found = tuple(name for name in names if name not in absent)
    for name in found:
        reason = _unusable(raw.arrow, name)
        if reason is not None:
            raise InputError(f'{raw.source}: column "{name}" is not numeric ({reason}): mend it')
    return found


def numbers_of(arrow: pa.Table, names: Sequence[str], source: str, start: int = 0) -> Rows:
    """Columns (n, d) by name, NaN where a cell is missing and in columns that are not there.

    Parameters
    ----------
    start : number of the table's first row, for messages

    Raises
    ------
    InputError
        Infinite values.
    """
    there = set(arrow.column_names)
    values = {
        name: as_numbers(arrow[name]) if name in there else np.full(arrow.num_rows, np.nan)
        for name in names
    }
    refuse_infinite(values, source, start)
    return _stacked(list(values.values()))


def _patterns(raw: RawTable, patterns: Iterable[str]) -> tuple[list[str], set[str]]:
    """Column names that the patterns ask for, in the order asked, and those they take away.

    A pattern is a name, or shell-like (`sepal*`), or several of these with commas between;
    after a `^` it takes columns away: from those asked for, or from all where none is.
    """
    names = raw.arrow.column_names
    parts: list[str] = []
    for pattern in patterns:
        parts += [pattern] if pattern in names else [part.strip() for part in pattern.split(",")]
    parts = [part for part in parts if part]
    asked = [part for part in parts if not _takes_away(part, names)]
    gone = {n for p in parts if _takes_away(p, names) for n in _matching(raw, p[1:])}
    found = dict.fromkeys(n for p in asked for n in _matching(raw, p))
    return [name for name in found if name not in gone], gone


def as_numbers(column: pa.ChunkedArray) -> Rows:
    """A numeric or boolean column as floats, NaN where a cell is missing."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = pa.float32() if pa.types.is_float32(column.type) else pa.float64()
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return np.asarray(column.cast(kind, safe=False).to_numpy())


def _takes_away(part: str, names: Sequence[str]) -> bool:
    return part.startswith("^") and part not in names


def _matching(raw: RawTable, pattern: str) -> list[str]:
    names = raw.arrow.column_names
    found = [pattern] if pattern in names else [n for n in names if fnmatchcase(n, pattern)]
    if not found:
        raise _no_column(raw, pattern)
    return found


def _named(raw: RawTable, name: str) -> str:
    if name not in raw.arrow.column_names:
        raise _no_column(raw, name)
    return name


def _no_column(raw: RawTable, name: str, need: str = "") -> InputError:
    """An error that names the columns nearest to the one that is not there."""
    names = [other for other in raw.arrow.column_names if other]
    folded = {other.casefold(): other for other in names}
    near = [folded[n] for n in get_close_matches(name.casefold(), list(folded), 3, cutoff=0.6)]
    if near:
        remedy = f"did you mean {' or '.join(_quoted(n) for n in near)}?"
    else:
        remedy = f"it has {listed(names)}"
    what = "nothing matches" if any(sign in name for sign in "*?[") else "there is no column"
    if need:
        return InputError(f'{raw.source}: {need}a column "{name}", which is not there: {remedy}')
    return InputError(f'{raw.source}: {what} "{name}": {remedy}')


def _unusable(arrow: pa.Table, name: str) -> str | None:
    """Why a column cannot be read as numbers, or None when it can."""
    if not name:
        return "perhaps row numbers"
    kind = arrow[name].type
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    numeric = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean)
    if types.is_null(kind) or any(test(kind) for test in numeric):
        return None
    if types.is_temporal(kind):
        return "dates or times"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return _text_reason(arrow[name])
    if types.is_binary(kind) or types.is_large_binary(kind):
        return "text in an unknown encoding"
    return f"of type {kind}"


def _text_reason(column: pa.ChunkedArray) -> str:
    """The first cell that is no number; and how many are none, when most are numbers."""
    text = column.cast(pa.string())
    number = pa.compute.match_substring_regex(text, NUMBER_PATTERN)
    missing = pa.compute.is_in(text, value_set=pa.array(MISSING))
    odd = pa.compute.invert(pa.compute.or_(number, missing)).fill_null(False)
    count = pa.compute.sum(odd).as_py() or 0
    if not count:
        some = pa.compute.any(pa.compute.invert(missing)).as_py()
        return "numbers written as text" if some else "text without any value"
    row = pa.compute.index(odd, True).as_py()
    cell = str(text[row])
    cell = cell if len(cell) <= 20 else cell[:19] + "…"
    if 2 * count < len(column):
        are = "is no number" if count == 1 else "are no numbers"
        return f'text: {count} of {len(column)} cells {are}, first "{cell}" in row {row}'
    return f'text, "{cell}" in row {row}'


def _weights(raw: RawTable, name: str) -> Array:
    reason = _unusable(raw.arrow, name)
    if reason is not None:
        raise InputError(f'{raw.source}: the weights "{name}" are not numeric ({reason})')
    weights = np.asarray(as_numbers(raw.arrow[name]), dtype=np.float64)
    wrong = np.flatnonzero(~(weights >= 0) | np.isinf(weights))
    if wrong.size:
        raise InputError(
            f'{raw.source}: the weights "{name}" must be numbers from 0 up: look at {_rows(wrong)}'
        )
    return weights


def refuse_empty(names: Sequence[str], missing: Sequence[int], rows: int, source: str) -> None:
    """Refuse columns all of whose cells are missing."""
    for name, count in zip(names, missing, strict=True):
        if count == rows:
            raise InputError(
                f'{source}: column "{name}" has no values at all: '
                f"leave it out by --columns {shlex.quote('^' + name)}"
            )


def refuse_infinite(values: Mapping[str, Rows], source: str, start: int = 0) -> None:
    """Refuse infinite values; the first row has the number `start`."""
    for name, column in values.items():
        infinite = np.flatnonzero(np.isinf(column)) + start
        if infinite.size:
            raise InputError(
                f'{source}: column "{name}" holds infinite values in {_rows(infinite)}: '
                "mend them, or leave the cells empty to treat them as missing"
            )


def counting_columns(arrow: pa.Table, names: Iterable[str]) -> tuple[str, ...]:
    """A note on each column that only counts the rows: it is hardly a measurement."""
    notes = []
    for name in names:
        column = arrow[name]
        if not pa.types.is_integer(column.type) or column.null_count or len(column) < 10:
            continue
        if np.all(np.diff(column.to_numpy()) == 1):
            notes.append(
                f'"{name}" only counts the rows: if it is no measurement, leave it out by '
                f"--id {shlex.quote(name)}"
            )
    return tuple(notes)


def _count_missing(values: dict[str, Rows]) -> tuple[int, ...]:
    return tuple(int(np.isnan(column).sum()) for column in values.values())


def _stacked(columns: Sequence[Rows]) -> Rows:
    kind = np.float32 if all(c.dtype == np.float32 for c in columns) else np.float64
    rows: Rows = np.empty((len(columns[0]), len(columns)), dtype=kind)
    for place, column in enumerate(columns):
        rows[:, place] = column
    return rows


def _rows(where: np.ndarray[Any, Any]) -> str:
    """Row numbers in words, counted from 0: "rows 3, 5, 8 and 12 more"."""
    if where.size == 1:
        return f"row {where[0]} (counted from 0)"
    shown = ", ".join(str(row) for row in where[:3])
    more = f" and {where.size - 3} more" if where.size > 3 else ""
    return f"rows {shown}{more} (counted from 0)"


def _quoted(name: str) -> str:
    return f'"{name}"'


def listed(names: Sequence[str]) -> str:
    shown = ", ".join(_quoted(name) for name in names[:6])
    return shown + (f" and {len(names) - 6} more" if len(names) > 6 else "")
