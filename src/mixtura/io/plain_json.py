"""Results as JSON that any reader takes: plain numbers, and null for what is not finite."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np


def json_text(value: Any, *, indent: int | None = 1, sort_keys: bool = False) -> str:
    """JSON of numbers, texts, arrays, lists and mappings.

    Examples
    --------
    >>> json_text({"k": np.int64(3), "bic": np.inf, "weights": np.ones(2)}, indent=None)
    '{"k": 3, "bic": null, "weights": [1.0, 1.0]}'
    """
    plain = _plain(value)
    return json.dumps(
        plain,
        indent=indent,
        sort_keys=sort_keys,
        ensure_ascii=False,
        allow_nan=False,
        default=_cell,
    )


def _cell(value: Any) -> str:
    """A cell of a table that JSON has no kind for."""
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (timedelta, Decimal)):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
