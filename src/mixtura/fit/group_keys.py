"""Which rows belong together: keys of groups, from a column or beside the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mixtura import _checks, _frames
from mixtura._errors import InputError
from mixtura._types import Indices


def split(X: Any, by: Any) -> tuple[Any, Any]:
    """X without the columns of keys, and the keys of its rows.

    Raises
    ------
    InputError
        Columns that there are not.
    """
    frame = _frame(X)
    names = [by] if isinstance(by, str) else by
    if frame is not None and _names_columns(frame, names):
        absent = [name for name in names if name not in frame.columns]
        if absent:
            raise InputError(f"by={by!r}: no columns are named {absent}; there are {frame.columns}")
        columns = [frame[name].to_list() for name in names]
        keys = columns[0] if isinstance(by, str) else list(zip(*columns, strict=True))
        return frame.drop(*names).to_native(), keys
    if isinstance(by, str):
        raise InputError(f"by={by!r} names a column, and X has no names: pass one key for each row")
    return X, by.to_numpy() if hasattr(by, "to_numpy") else by


def coded(keys: Any, n: int) -> tuple[tuple[Any, ...], Indices]:
    """The distinct keys, sorted where they compare, and the number (n,) of each row's.

    Raises
    ------
    InputError
        A row without a key; more or fewer keys than rows.

    Examples
    --------
    >>> coded(["b", "a", "b"], 3)
    (('a', 'b'), array([1, 0, 1]))
    """
    if isinstance(keys, np.ndarray) and keys.dtype.kind in "iub" and keys.shape == (n,):
        if (keys[1:] >= keys[:-1]).all():
            first = np.concatenate([[True], keys[1:] != keys[:-1]])
            return tuple(keys[first].tolist()), np.cumsum(first) - 1
        distinct, codes = np.unique(keys, return_inverse=True)
        return tuple(distinct.tolist()), codes.ravel()
    listed = _listed(keys, n)
    table: dict[Any, int] = {}
    found = np.array([table.setdefault(key, len(table)) for key in listed], np.intp)
    _refuse_missing(table, listed)
    known = list(table)
    try:
        order = sorted(range(len(known)), key=known.__getitem__)
    except TypeError:
        return tuple(known), found
    place = np.empty(len(known), np.intp)
    place[order] = np.arange(len(known))
    return tuple(known[index] for index in order), place[found]


def looked_up(keys: Any, n: int, known: dict[Any, int]) -> Indices:
    """The number (n,) of each row's key among those that are known.

    Raises
    ------
    InputError
        Keys that are not; more or fewer keys than rows.
    """
    listed = _listed(keys, n)
    try:
        return np.array([known[key] for key in listed], np.intp)
    except KeyError:
        strange = list(dict.fromkeys(key for key in listed if key not in known))
        raise InputError(
            f"{len(strange)} groups were not fitted, the first {strange[:3]}: "
            "leave their rows out, or fit them"
        ) from None


def _listed(keys: Any, n: int) -> Sequence[Any]:
    shape = keys.shape if isinstance(keys, np.ndarray) else (len(keys),)
    if shape != (n,):
        raise InputError(f"by has shape {shape}: one key for each row is needed, ({n},)")
    return keys.tolist() if isinstance(keys, np.ndarray) else keys


def _refuse_missing(table: dict[Any, int], listed: Sequence[Any]) -> None:
    for key in table:
        if key is None or key != key or type(key).__name__ in ("NAType", "NaTType"):
            row = next(i for i, one in enumerate(listed) if one is key or one != one)
            raise InputError(f"row {row} has no group, its key is {key}: drop it, or give it one")


def _frame(X: Any) -> Any:
    """X as a narwhals data frame, or None if it is none."""
    if isinstance(X, (np.ndarray, list, tuple, _checks.Elsewhere)):
        return None
    import narwhals as nw

    frame = nw.from_native(_frames.eager(X), pass_through=True)
    return frame if isinstance(frame, nw.DataFrame) else None


def _names_columns(frame: Any, names: Any) -> bool:
    """Whether these are names of columns, not keys of rows."""
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        return False
    return len(names) != len(frame) or set(names) <= set(frame.columns)
