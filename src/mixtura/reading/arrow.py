"""Columns of stored tables as arrays of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from mixtura import _checks
from mixtura._errors import InputError, InputTypeError
from mixtura._types import Array, Rows
from mixtura.reading.stored import Stored

__all__ = ["Batches", "blocks", "is_number", "numeric"]


@dataclass(frozen=True, eq=False)
class Batches:
    """Record batches of one schema.

    Attributes
    ----------
    names : of the columns of numbers
    weights, aside : names of the columns of weights, and of what else is told of the rows, or None
    batches : generator of pyarrow.RecordBatch, which is closed after use
    rows : how many rows are to come, None where that is not known
    where : what to call it in messages
    """

    names: tuple[str, ...]
    batches: Any
    rows: int | None
    where: str
    weights: str | None = None
    aside: str | None = None

    @property
    def wanted(self) -> list[str]:
        """The names of all columns that are read."""
        return [*self.names, *(one for one in (self.weights, self.aside) if one is not None)]


def numeric(
    stored: Stored, columns: Sequence[str] | None, weights: str | None, aside: str | None
) -> Batches:
    """The chosen columns, or all but those of weights and labels; they must be numbers.

    Raises
    ------
    InputError, InputTypeError
        Columns that are not there, or hold something else.
    """
    schema, where = stored.schema, stored.called
    names = tuple(columns or stored.features(weights, aside))
    found = Batches(names, None, stored.rows, where, weights, aside)
    missing = [name for name in found.wanted if name not in schema.names]
    if missing:
        raise InputError(f"{where} has no columns {missing}; it has {schema.names}")
    numbers = [name for name in found.wanted if name != aside]
    wrong = [name for name in numbers if not is_number(schema.field(name).type)]
    if wrong:
        rest = [name for name in names if name not in wrong]
        raise InputTypeError(
            f"{where}: columns {wrong} do not hold numbers: choose others, "
            f"scan(..., columns={rest})"
        )
    return replace(found, batches=stored.read(found.wanted, numbers))


def blocks(found: Batches, kind: np.dtype[Any], aside: list[Any]) -> Iterator[Rows]:
    """The batches as arrays (m, d), NaN where a cell is missing; weights are a last column.

    Rows of weight zero are left out. What else is told of the rows is appended to `aside`.
    """
    start = counted_rows = 0
    with closing(found.batches) as batches:
        for batch in batches:
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
                counted_rows += len(rows)
                yield rows
            start += batch.num_rows
    if not start:
        raise InputError(f"{found.where} has no rows: nothing is left to fit")
    if not counted_rows:
        raise InputError(f"{found.where}: weights are zero for every row: nothing is left to fit")


def _check_weights(weights: Array, start: int, where: str) -> None:
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        raise InputError(
            f"{where}: weights must be finite and not negative; row {start + int(bad[0])} has "
            f"{weights[bad[0]]}"
        )


def _told(column: Any) -> Any:
    """A column of anything as an array; equal texts are one object."""
    if pa.types.is_dictionary(column.type) or not is_number(column.type):
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        words = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
        return words[coded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)]
    return column.to_numpy(zero_copy_only=False)


def _array(batch: Any, kind: np.dtype[Any]) -> Rows:
    out = np.empty((batch.num_rows, batch.num_columns), kind)
    for index, column in enumerate(batch.columns):
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            column = column.cast(pa.float64())
        values = column.to_numpy(zero_copy_only=False)
        out[:, index] = values
    return out


def is_number(kind: Any) -> bool:
    """Whether a column of this type holds numbers, be they coded as a dictionary."""
    of = pa.types
    if of.is_dictionary(kind):
        kind = kind.value_type
    tests = (of.is_integer, of.is_floating, of.is_boolean, of.is_decimal, of.is_null)
    return any(test(kind) for test in tests)
