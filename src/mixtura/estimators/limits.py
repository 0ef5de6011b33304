"""Bounds of columns as users give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError, InputTypeError
from mixtura._types import Array


def limits(bounds: Any, features: int, names: Sequence[str] | None) -> tuple[Array, Array]:
    """Lower and upper bounds (d,) and (d,), infinite where there is none.

    Raises
    ------
    InputError, InputTypeError
        Not a pair, a pair for each column, or a mapping of columns to pairs; a low end that is
        not below the high one.
    """
    pairs: list[Any] = [None] * features
    if isinstance(bounds, Mapping):
        for column, pair in bounds.items():
            pairs[_checks.positions([column], features, names)[0]] = pair
    elif bounds is not None:
        pairs = _listed(bounds, features)
    ends = np.array([_pair(pair, _named(j, names)) for j, pair in enumerate(pairs)])
    return ends[:, 0], ends[:, 1]


def _listed(bounds: Any, features: int) -> list[Any]:
    try:
        listed = list(bounds)
    except TypeError:
        raise InputTypeError(
            f"bounds={bounds!r}: use (low, high), a pair for each column, or a mapping"
        ) from None
    if len(listed) == 2 and all(end is None or np.ndim(end) == 0 for end in listed):
        return [listed] * features
    if len(listed) != features:
        raise InputError(f"{len(listed)} bounds for {features} columns: give a pair for each")
    return listed


def _pair(pair: Any, where: str) -> tuple[float, float]:
    if pair is None:
        return -np.inf, np.inf
    if np.ndim(pair) != 1 or len(pair) != 2:
        raise InputError(f"the bounds of {where} are {pair!r}: use (low, high), None for no bound")
    low = -np.inf if pair[0] is None else float(_checks.numbers(pair[0], f"the bounds of {where}"))
    high = np.inf if pair[1] is None else float(_checks.numbers(pair[1], f"the bounds of {where}"))
    if not low < high:
        raise InputError(f"the bounds of {where} are {low:g} and {high:g}: low must be below high")
    return low, high


def refuse_outside(rows: Array, lower: Array, upper: Array, names: Sequence[str] | None) -> None:
    """Refuse values outside the bounds, and on them, where the density has no finite value.

    Raises
    ------
    InputError
        Names the column, and the first row.
    """
    for j in range(rows.shape[1]):
        column = rows[:, j]
        out = np.flatnonzero((column <= lower[j]) | (column >= upper[j]))
        if not len(out):
            continue
        on = bool(((column[out] == lower[j]) | (column[out] == upper[j])).all())
        advice = (
            "a density has no finite value there: move the bound out by half of what the values "
            "are rounded to, or leave it open with None"
            if on
            else "drop these rows, or widen the bounds"
        )
        raise InputError(
            f"{_named(j, names)} has {len(out)} values {'on' if on else 'outside'} its bounds "
            f"{lower[j]:g} and {upper[j]:g}, the first ({column[out[0]]:g}) in row {out[0]}: "
            f"{advice}"
        )


def held_powers(power: Any, features: int) -> Array | None:
    """Powers (d,) to hold, or None for "auto".

    Raises
    ------
    InputError
    """
    if isinstance(power, str) and power == "auto":
        return None
    given = _checks.numbers(power, "power")
    if given.shape not in ((), (features,)) or not np.isfinite(given).all():
        raise InputError(f'power={power!r}: use "auto", a number, or one for each column')
    return np.broadcast_to(given, (features,)).copy()


def _named(j: int, names: Sequence[str] | None) -> str:
    return f"column {j}" if names is None else f"column {names[j]!r}"
