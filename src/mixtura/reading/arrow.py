"""Columns of stored tables as arrays of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mixtura import _checks
from mixtura._errors import InputError, InputTypeError
from mixtura._types import Array, Rows
from mixtura.reading.stored import Stored

__all__ = ["Batches", "blocks", "numeric"]


@dataclass(frozen=True, eq=False)
class Batches:
    """Record batches of numeric columns, the last of which are weights if there are any.

    Attributes
    ----------
    names : of the columns but the weights
    batches : iterable of pyarrow.RecordBatch
    rows : how many rows are to come, None where that is not known
    where : what to call it in messages
    """

    names: tuple[str, ...]
    batches: Iterable[Any]
    rows: int | None
    where: str


def numeric(stored: Stored, columns: Sequence[str] | None, weights: str | None) -> Batches:
    """The chosen columns, or all but the weights; they must be numbers.

    Raises
    ------
    InputError, InputTypeError
        Columns that are not there, or hold something else.
    """
    schema, where = stored.schema, stored.called
    names = tuple(columns or (name for name in schema.names if name != weights))
    wanted = [*names] if weights is None else [*names, weights]
    missing = [name for name in wanted if name not in schema.names]
    if missing:
        raise InputError(f"{where} has no columns {missing}; it has {schema.names}")
    wrong = [name for name in wanted if not _is_number(schema.field(name).type)]
    if wrong:
        rest = [name for name in names if name not in wrong]
        raise InputTypeError(
            f"{where}: columns {wrong} do not hold numbers: choose others, columns={rest}"
        )
    return Batches(names, stored.read(wanted, wanted), stored.rows, where)


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


def _array(batch: Any, kind: np.dtype[Any]) -> Rows:
    out = np.empty((batch.num_rows, batch.num_columns), kind)
    for index, column in enumerate(batch.columns):
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            column = column.cast(pa.float64())
        values = column.to_numpy(zero_copy_only=False)
        out[:, index] = values
    return out


def _is_number(kind: Any) -> bool:
    of = pa.types
    tests = (of.is_integer, of.is_floating, of.is_boolean, of.is_decimal, of.is_null)
    return any(test(kind) for test in tests)
