"""What users hand in as y: classes, and rows that have none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from mixtura._errors import InputError
from mixtura._types import Array, Indices, Mask


def coded(y: Any, n: int, semi_supervised: Any, weights: Array | None) -> tuple[Any, Indices]:
    """The classes, sorted, and the class (n,) of each row as a number; -1 where it is unknown.

    A class all of whose rows weigh nothing does not count.

    Raises
    ------
    InputError
        No y, a wrong length, NaN where all rows must have a class, or no class at all.
    """
    values, unknown = told(y, n, semi_supervised)
    counted = ~unknown if weights is None else ~unknown & (weights > 0)
    if not counted.any():
        raise InputError("no row has a class: y must name the class of some rows at least")
    classes = np.unique(values[counted])
    codes = np.full(n, -1)
    places = np.searchsorted(classes, values[~unknown])
    codes[~unknown] = np.minimum(places, len(classes) - 1)  # a row of no weight may be anything
    return classes, codes


def known_codes(y: Any, n: int, classes: Any) -> Indices:
    """The class (n,) of each row as a number, of classes that are known.

    Raises
    ------
    InputError
        As `coded`, or a class that is not among them.
    """
    values, _ = told(y, n, False)
    unknown = np.setdiff1d(values, classes)
    if len(unknown):
        raise InputError(f"classes {unknown.tolist()} were not there when the model was fitted")
    return np.searchsorted(classes, values)


def told(y: Any, n: int, semi_supervised: Any) -> tuple[Any, Mask]:
    """y as an array (n,), and which rows have no class."""
    if y is None:
        raise InputError("this classifier requires y to be passed, but the target y is None")
    values = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)
    with _advised():
        values = column_or_1d(values, warn=True)
    if len(values) != n:
        raise InputError(
            f"Found input variables with inconsistent numbers of samples: [{n}, {len(values)}]: "
            "y needs one class a row"
        )
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise InputError("Input y contains infinity: classes must be finite")
    unknown = absent(values)
    if unknown.any() and not semi_supervised:
        raise InputError(
            f"Input y contains NaN or None, first in row {int(np.flatnonzero(unknown)[0])}: give "
            "every row a class, or use MixtureClassifier with semi_supervised=True"
        )
    if semi_supervised and semi_supervised != "missing":
        unknown = unknown | np.array([_is_minus_one(value) for value in values.tolist()], bool)
    if not unknown.all():
        known = values[~unknown]
        kept = np.array(known.tolist()) if values.dtype.kind == "O" else known
        with _advised():
            check_classification_targets(kept)
        if values.dtype.kind == "O":
            values = np.full(n, kept[0], dtype=kept.dtype)
            values[~unknown] = kept
    return values, unknown


@contextmanager
def _advised() -> Iterator[None]:
    """What scikit-learn refuses is refused as all else is."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise InputError(f"{error}: y must be one column of classes, texts or numbers") from None


def absent(values: Any) -> Mask:
    """Which values are None, NaN or a data frame's NA."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind != "O":
        return np.zeros(len(values), dtype=bool)
    names = ("NoneType", "NAType", "NaTType")
    return np.array([type(v).__name__ in names or _is_nan(v) for v in values], dtype=bool)


def _is_nan(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def _is_minus_one(value: Any) -> bool:
    return not isinstance(value, (str, bool)) and value == -1
