"""Columns of a table that hold weights and labels, by their names."""

from __future__ import annotations

from typing import Any

from mixtura import _frames
from mixtura._errors import InputError
from mixtura.reading.scan import Scan

__all__ = ["taken"]


def taken(X: Any, weights: Any, aside: Any) -> tuple[Any, Any, Any]:
    """X without the columns that are named as weights and as what else is told, and these.

    What a scan is to keep aside is decoded with its rows, and is None here. What is no name, and
    collections of engines, which know names themselves, are left alone.

    Raises
    ------
    InputError
        X has no such columns.
    """
    named = [name for name in (weights, aside) if isinstance(name, str)]
    if not named:
        return X, weights, aside
    if isinstance(X, Scan):
        by_name = [name if isinstance(name, str) else None for name in (weights, aside)]
        X = X.taking(weights=by_name[0], aside=by_name[1])
        return X, *(None if isinstance(one, str) else one for one in (weights, aside))
    frame = _frames.frame(X)
    missing = named if frame is None else [name for name in named if name not in frame.columns]
    if frame is None or missing:
        raise InputError(f"X has no columns {missing}: pass them as arrays beside it")
    values = (frame[one].to_numpy() if isinstance(one, str) else one for one in (weights, aside))
    return frame.drop(named).to_native(), *values
