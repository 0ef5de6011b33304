"""The one door for what users hand in: validated here, once, and trusted below."""

from __future__ import annotations

import operator
import os
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura._errors import InputError, InputTypeError
from mixtura._frames import empty, frame, rows_of
from mixtura._types import Array, Rows


@dataclass(frozen=True)
class Table:
    """Rows (n, d) of float64 or float32 with NaN where nothing was observed, and column names.

    Besides their weights (n,), and what else is told of them, where these lie in the table, too.
    """

    rows: Rows
    names: tuple[str, ...] | None
    weights: Array | None = None
    aside: Any = None


class Elsewhere(ABC):
    """Rows that lie elsewhere: read and checked by whoever brings them."""

    @property
    @abstractmethod
    def table(self) -> Table:
        """The rows."""


def table(X: Any, finite: bool = True) -> Table:
    """Read an array, masked array, nested sequence or data frame; infinite where allowed.

    Raises
    ------
    InputError, InputTypeError
        Not two-dimensional, no rows or columns, not numbers, or infinite; names what and where.
    """
    if isinstance(X, Elsewhere):
        return X.table
    if isinstance(X, str | os.PathLike):
        raise InputTypeError(f"X is the text {os.fspath(X)!r}, not rows: mixtura.scan reads files")
    found = frame(X)
    if found is not None:
        rows, names = rows_of(found)
    else:
        rows, names = _array_rows(X), None
    if finite:
        refuse_infinite(rows, names)
    return Table(rows, names)


def without_gaps(rows: Rows, advice: str) -> Rows:
    """The rows, none of which has a NaN.

    Raises
    ------
    InputError
        Says where, and gives the advice.
    """
    gaps = np.isnan(rows)
    if gaps.any():
        row, column = np.argwhere(gaps)[0]
        raise InputError(f"Input X contains NaN, first in row {row}, column {column}: {advice}")
    return rows


def rows_like(
    X: Any, features: int, names: Sequence[str] | None = None, finite: bool = True
) -> Rows:
    """Rows for a model of `features` columns; a data frame is matched to `names` when it can be."""
    read = table(X, finite)
    if names is not None and read.names is not None and read.names != tuple(names):
        if set(names) <= set(read.names):
            return np.asarray(read.rows[:, [read.names.index(name) for name in names]])
        missing = [name for name in names if name not in read.names]
        raise InputError(
            f"the data lack the model's columns {missing}; they have {list(read.names)}"
        )
    if read.rows.shape[1] != features:
        raise InputError(
            f"X has {read.rows.shape[1]} features, but the mixture is expecting {features} "
            "features as input: pass the same columns, in the same order"
        )
    return read.rows


LIGHTEST, HEAVIEST = 1e-150, 1e150
"""Weights between which quotients and squares of sums neither overflow nor vanish."""


def felt(weights: Array) -> Array:
    """Weights, zero where they are too light to be felt."""
    return np.where((weights > 0) & (weights < LIGHTEST), 0.0, weights)


def same_columns(found: Sequence[str] | None, names: Sequence[str]) -> None:
    """Refuse columns with other names, or in another order, where they have any.

    Raises
    ------
    InputError
    """
    if found is not None and tuple(found) != tuple(names):
        raise InputError(
            f"the columns of X are {list(found)}, and the model was fitted to {list(names)}: pass "
            "these, in this order"
        )


def row_weights(sample_weight: Any, n: int) -> Array | None:
    """Weights (n,) of the rows, or None for ones; those below LIGHTEST count for nothing.

    Raises
    ------
    InputError
        Wrong length, negative, NaN or above HEAVIEST, or all zero.
    """
    if sample_weight is None:
        return None
    weights = numbers(_plain(sample_weight), "sample_weight")
    if weights.ndim == 0:
        weights = np.full(n, float(weights))
    if weights.shape != (n,):
        raise InputError(
            f"sample_weight has shape {weights.shape}: one weight a row is needed, ({n},)"
        )
    bad = np.flatnonzero(~((weights >= 0) & (weights <= HEAVIEST)))
    if len(bad):
        raise InputError(
            f"sample_weight must be finite and not negative, and at most {HEAVIEST}; "
            f"row {bad[0]} has {weights[bad[0]]} ({len(bad)} such rows)"
        )
    found = felt(weights)
    if not found.any():
        said = f"below {LIGHTEST} (divide it by its mean)" if weights.any() else "zero"
        raise InputError(f"sample_weight is {said} for every row: nothing is left to fit")
    return found


def weights_beside(X: Any, sample_weight: Any) -> Any:
    """The weights that are told, or else those that lie in the table with the rows X."""
    if sample_weight is None and isinstance(X, Elsewhere):
        return X.table.weights
    return sample_weight


def weighted(rows: Rows, sample_weight: Any) -> tuple[Rows, Array | None]:
    """Rows and their weights; a row of weight zero becomes a copy of one that counts.

    So whatever stood there, even 1e200, adds exactly nothing to the sums.
    """
    weights = row_weights(sample_weight, len(rows))
    if weights is not None and not weights.all():
        rows = rows.copy()
        rows[weights == 0] = rows[np.flatnonzero(weights)[0]]
    return rows, weights


def plausibility(labels: Any, n: int, k: int, first: int = 0) -> Array | None:
    """``log pl_ik`` (n, k) from labels (n,) with -1 for unknown, or from soft labels (n, k).

    The first row has the number `first`.

    Raises
    ------
    InputError
        Wrong shape, labels outside -1..k-1, negative soft labels, or a row that excludes all.
    """
    if labels is None:
        return None
    given = np.asarray(_plain(labels))
    if given.shape == (n,):
        return _hard_plausibility(given, k, first)
    if given.shape != (n, k):
        raise InputError(
            f"labels have shape {given.shape}: ({n},) with -1 for unknown, or ({n}, {k})"
        )
    soft = numbers(given, "labels")
    if np.isinf(soft).any():
        row = int(np.flatnonzero(np.isinf(soft).any(axis=1))[0])
        raise InputError(f"soft labels must be finite; row {row + first} is {soft[row]}")
    unknown = np.isnan(soft).all(axis=1)
    soft[unknown] = 1.0
    bad = np.flatnonzero(~((soft >= 0).all(axis=1) & (soft.max(axis=1) > 0)))
    if len(bad):
        raise InputError(
            "soft labels must be at least 0, one above 0 in each row; "
            f"row {bad[0] + first}: {soft[bad[0]]}"
        )
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(soft / soft.max(axis=1, keepdims=True)))


def partition(given: Any, n: int, k: int, where: str) -> Array:
    """Responsibilities (n, k) from labels (n,) or responsibilities (n, k), as a start."""
    values = np.asarray(_plain(given))
    if values.shape == (n,):
        return np.asarray(np.exp(_hard_plausibility(values, k)))
    if values.shape == (n, k):
        values = numbers(values, where)
        total = values.sum(axis=1, keepdims=True)
        if np.isfinite(values).all() and (values >= 0).all() and (total > 0).all():
            return np.asarray(values / total)
        raise InputError(
            f"{where}: responsibilities must be at least 0 with a positive sum per row"
        )
    raise InputError(
        f"{where} has shape {values.shape}: labels ({n},) or responsibilities ({n}, {k}) are needed"
    )


def mixing_weights(weights: Any, k: int) -> Array:
    """Weights (k,) that are at least 0 and sum to one."""
    values = numbers(weights, "weights")
    if values.shape != (k,):
        raise InputError(f"weights have shape {values.shape}; {k} means need ({k},)")
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise InputError(f"weights must be finite and not negative, and sum to one: {values}")
    if abs(values.sum() - 1.0) > 1e-6:
        raise InputError(f"weights sum to {values.sum():.6g}, not to one: divide them by their sum")
    return values


def mean_vectors(means: Any) -> Array:
    """Finite means (k, d)."""
    values = numbers(means, "means")
    if values.ndim != 2 or 0 in values.shape:
        raise InputError(f"means have shape {values.shape}; (k, d) is needed")
    if not np.isfinite(values).all():
        raise InputError("means hold NaN or infinite numbers")
    return values


def whole(value: Any, what: str) -> int:
    """A whole number.

    Raises
    ------
    InputTypeError
        Something else, such as 2.5 or "3".
    """
    try:
        return operator.index(value)
    except TypeError:
        raise InputTypeError(f"{what}={value!r}: a whole number is needed") from None


def positions(dims: Any, features: int, names: Sequence[str] | None) -> list[int]:
    """Column numbers from numbers or names."""
    if not isinstance(dims, str | int | float | np.number | Iterable):
        raise InputTypeError(f"dimensions are given by number or name, not as {dims!r}")
    listed = [dims] if isinstance(dims, (str, int, float, np.number)) else list(dims)
    if not listed:
        raise InputError("no dimension is named: give at least one, by number or name")
    found = [_position(dim, features, names) for dim in listed]
    if len(set(found)) != len(found):
        raise InputError(f"dimensions are named twice: {listed}")
    return found


def _position(dim: Any, features: int, names: Sequence[str] | None) -> int:
    if isinstance(dim, str):
        if names is None or dim not in names:
            raise InputError(f"no feature is named {dim!r}; names: {list(names or [])}")
        return list(names).index(dim)
    try:
        index = operator.index(dim)
    except TypeError:
        raise InputError(f"dimension {dim!r} is neither a whole number nor a name") from None
    if not -features <= index < features:
        raise InputError(f"dimension {index} is outside 0..{features - 1}")
    return index % features


def numbers(values: Any, what: str) -> Array:
    """An array of float64, or an error that names what was to be numbers."""
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{what} must be numbers, not {reprlib.repr(values)}") from None


def _hard_plausibility(labels: Any, k: int, first: int = 0) -> Array:
    told = numbers(labels, "labels")
    told = np.where(np.isnan(told), -1.0, told)
    bad = np.flatnonzero((told != np.round(told)) | (told < -1) | (told >= k))
    if len(bad):
        raise InputError(
            f"labels must be 0..{k - 1}, or -1 for unknown; "
            f"row {bad[0] + first} has {labels[bad[0]]}"
        )
    out = np.zeros((len(told), k))
    known = np.flatnonzero(told >= 0)
    out[known] = -np.inf
    out[known, told[known].astype(np.intp)] = 0.0
    return out


def _plain(values: Any) -> Any:
    """A series or column of a data frame as an array."""
    return values.to_numpy() if hasattr(values, "to_numpy") else values


def _array_rows(X: Any) -> Rows:
    if hasattr(X, "tocsr"):
        raise InputTypeError(
            "Sparse data was passed, but dense data is required: use X.toarray(), or fewer columns"
        )
    mask = np.ma.getmaskarray(X) if isinstance(X, np.ma.MaskedArray) else None
    try:
        values = np.asarray(X.data if mask is not None else X)
    except ValueError:
        raise InputError("X is ragged: its rows have different lengths") from None
    if values.dtype.kind == "c":
        raise InputError(
            "Complex data not supported: pass real columns, for instance .real and .imag"
        )
    if values.ndim != 2:
        raise InputError(
            f"Expected 2D array, got {values.ndim}D array instead with shape {values.shape}. "
            "Reshape your data: X.reshape(-1, 1) for one feature, X.reshape(1, -1) for one row"
        )
    if 0 in values.shape:
        raise InputError(empty(*values.shape))
    rows = _as_float(values)
    if mask is not None and mask.any():
        rows = np.where(mask, rows.dtype.type(np.nan), rows)
    return rows


def _as_float(values: Any) -> Rows:
    if values.dtype.kind in "USmMV":
        raise InputTypeError(f"X holds {values.dtype}, not numbers: pass numeric columns only")
    if values.dtype.kind == "f" and values.dtype.itemsize == 4:
        return np.asarray(values, dtype=np.float32)
    try:
        with np.errstate(over="ignore"):
            return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise _not_numbers(values, error) from None


def _not_numbers(values: Any, error: Exception) -> Exception:
    for (row, column), cell in np.ndenumerate(values):
        try:
            float(cell)
        except (TypeError, ValueError):
            message = f"row {row}, column {column} holds {cell!r}, not a number"
            kind = InputError if isinstance(cell, str) else InputTypeError
            return kind(
                f"{message}; argument must be a string or a number: pass numeric columns only"
            )
    return InputTypeError(str(error))


def refuse_infinite(rows: Rows, names: Sequence[str] | None, first: int = 0) -> None:
    """Refuse rows, the first of which has the number `first`, that hold infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(rows.sum(dtype=np.float64)):
            return
    cells = [
        (int(row) + start + first, int(column))
        for start in range(0, len(rows), 1 << 16)
        for row, column in np.argwhere(np.isinf(rows[start : start + (1 << 16)]))[:3]
    ]
    if cells:
        shown = ", ".join(
            f"row {row}, column {names[column]!r}" if names else f"row {row}, column {column}"
            for row, column in cells[:3]
        )
        raise InputError(
            f"Input X contains infinity or a value too large for {rows.dtype} at {shown}: "
            "drop it, or use NaN for a value that was not observed"
        )
