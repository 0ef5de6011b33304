"""Bounds of columns and cells as users hand them in."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array, Rows


def limits(lower: Any, upper: Any, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Lower and upper bounds of a shape, infinite where there is none; None and NaN are none.

    Raises
    ------
    InputError
        Shapes that do not fit, infinite on the wrong side, or a lower bound above the upper.
    """
    ends = []
    for name, given, free in (("lower", lower, -np.inf), ("upper", upper, np.inf)):
        values = np.full(shape, free)
        if given is not None:
            read = _checks.table(given, finite=False).rows if hasattr(given, "columns") else given
            known = _checks.numbers(read, name)
            try:
                values[...] = known
            except ValueError:
                raise InputError(
                    f"{name} has shape {known.shape}; a number, one for each column, or {shape} "
                    "is needed"
                ) from None
        values[np.isnan(values)] = free
        if (values == -free).any():
            raise InputError(f"{name} holds {-free}: use {free} where there is no bound")
        ends.append(values)
    bad = np.argwhere(ends[0] > ends[1])
    if len(bad):
        at = tuple(bad[0])
        where = f"column {at[-1]}" if len(at) == 1 else f"row {at[0]}, column {at[1]}"
        raise InputError(
            f"{where}: lower {ends[0][at]:g} is above upper {ends[1][at]:g}: exchange them"
        )
    return ends[0], ends[1]


def within(
    rows: Rows, weights: Array | None, lower: Any, upper: Any
) -> tuple[Rows, tuple[Array, Array] | None]:
    """Rows, and what their missing cells lie within; equal limits are an observed value.

    Limits of cells that were observed say nothing. A row of weight zero, which is a copy of the
    first that counts, has the limits of that.
    """
    if lower is None and upper is None:
        return rows, None
    low, high = limits(lower, upper, rows.shape)
    if weights is not None and not weights.all():
        first = int(np.flatnonzero(weights)[0])
        low[weights == 0], high[weights == 0] = low[first], high[first]
    gaps = np.isnan(rows)
    known = gaps & (low == high)
    if known.any():
        rows, gaps = np.where(known, low, rows), gaps & ~known
    low[~gaps], high[~gaps] = -np.inf, np.inf
    some = np.isfinite(low).any() or np.isfinite(high).any()
    return rows, (low, high) if some else None
