"""Data frames of whatever library as rows and names."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from mixtura._errors import InputError, InputTypeError
from mixtura._types import Rows


@runtime_checkable
class Streaming(Protocol):
    """What gives its columns as Arrow does: batches, and tables of other libraries."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The batches."""


def eager(X: Any) -> Any:
    """X, read into memory where it is a lazy frame."""
    if isinstance(X, (np.ndarray, list, tuple)):
        return X
    import narwhals as nw

    try:
        frame = nw.from_native(X, pass_through=True, allow_series=True)
    except nw.exceptions.DuplicateError as error:
        raise InputError(f"columns of X have no names of their own: {error}") from None
    if frame is X and isinstance(X, Streaming):
        return nw.from_arrow(X, backend="pyarrow").to_native()
    return frame.collect().to_native() if isinstance(frame, nw.LazyFrame) else X


def frame(X: Any) -> Any:
    """X as a narwhals data frame, or None if it is none."""
    if isinstance(X, (np.ndarray, list, tuple)):
        return None
    import narwhals as nw

    found = nw.from_native(eager(X), pass_through=True, allow_series=True)
    if isinstance(found, nw.Series):
        raise InputError(
            f"Expected 2D array, got 1D array instead: column {found.name!r}. "
            "Reshape your data: pass a frame of one column"
        )
    return found if isinstance(found, nw.DataFrame) else None


def rows_of(frame: Any) -> tuple[Rows, tuple[str, ...] | None]:
    """The numbers (n, d) of a narwhals data frame and the names of its columns.

    Raises
    ------
    InputError, InputTypeError
        No rows or columns, or columns that hold no numbers.
    """
    columns = []
    for series in frame.iter_columns():
        series, name = _decoded(series), series.name
        if not (series.dtype.is_numeric() or str(series.dtype) in ("Boolean", "Object", "Unknown")):
            raise InputTypeError(
                f"column {name!r} holds {series.dtype}, not numbers: drop or encode it"
            )
        columns.append(_column(series, name))
    if not columns or not len(columns[0]):
        raise InputError(empty(len(frame), len(columns)))
    names = tuple(frame.columns) if all(isinstance(name, str) for name in frame.columns) else None
    return np.column_stack(columns), names


def _decoded(series: Any) -> Any:
    """A column of Arrow that is coded as a dictionary of numbers, as these numbers."""
    kind = getattr(series.to_native(), "type", None)
    coded = getattr(kind, "value_type", None)
    if str(series.dtype) != "Categorical" or coded is None:
        return series
    import narwhals as nw

    return nw.from_native(series.to_native().cast(coded), series_only=True)


def _column(series: Any, name: Any) -> Rows:
    import narwhals as nw

    kind = np.float32 if str(series.dtype) == "Float32" else np.float64
    try:
        if str(series.dtype) in ("Object", "Unknown"):
            return _one_by_one(series, kind)
        try:
            values = series.cast(nw.Float32 if kind == np.float32 else nw.Float64)
        except ValueError:  # Arrow does not round whole numbers that are no floats
            return _one_by_one(series, kind)
        return np.asarray(values.fill_null(float("nan")).to_numpy(), dtype=kind)
    except (TypeError, ValueError) as error:
        text = f"column {name!r} holds values that are not numbers: {error}"
        raise InputTypeError(text) from None


def _one_by_one(series: Any, kind: type[np.floating[Any]]) -> Rows:
    """The cells of a column as numbers.

    Raises
    ------
    TypeError, ValueError
        Cells that are none, lists among them.
    """
    cells = np.array([np.nan if _absent(v) else v for v in series.to_list()], dtype=kind)
    if cells.ndim != 1:
        raise TypeError(f"lists of {cells.shape[1]} numbers: give each a column of its own")
    return cells


def _absent(value: Any) -> bool:
    """None, or pandas' NA."""
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def empty(n: int, d: int) -> str:
    """What to say of a table without rows or columns."""
    if n == 0:
        return f"Found array with 0 sample(s) (shape=({n}, {d})) while a minimum of 1 is required."
    return f"Found array with 0 feature(s) (shape=({n}, {d})) while a minimum of 1 is required."
