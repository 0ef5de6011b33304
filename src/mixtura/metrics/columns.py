"""What metrics are given: columns of one length, and their weighted mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array


def column(values: Any, what: str, n: int | None = None) -> Array:
    """Finite numbers (n,); a frame or array of one column is taken as that column.

    Raises
    ------
    InputError
        Another shape or length, NaN, or infinite; says which.
    """
    found = _checks.numbers(values, what)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1 or not len(found):
        raise InputError(f"{what} has shape {found.shape}: one number a row is needed, (n,)")
    if n is not None and len(found) != n:
        raise InputError(f"{what} has {len(found)} rows, and y_true has {n}: both need the same")
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        raise InputError(
            f"{what} must be finite; row {bad[0]} is {found[bad[0]]} ({len(bad)} such rows): drop "
            "these rows from every argument"
        )
    return found


def mean(values: Array, sample_weight: Any) -> float:
    """The mean over the rows by weight."""
    return float(np.average(values, weights=_checks.row_weights(sample_weight, len(values))))


def mean_or_rows(values: Array, sample_weight: Any, average: bool) -> Any:
    """The mean by weight, or the rows (n,) where no average is asked for."""
    if average:
        return mean(values, sample_weight)
    if sample_weight is not None:
        raise InputError("sample_weight is used for the mean: leave it out with average=False")
    return values
