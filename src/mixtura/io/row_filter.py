"""Conditions on rows in words: "year >= 2020"."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute

from mixtura._errors import InputError

__all__ = ["row_filter"]

_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_CONDITION = re.compile(r"\s*(.+?)\s*(>=|<=|!=|==|=|>|<)\s*(.*?)\s*")


def row_filter(conditions: Iterable[str], schema: pa.Schema, source: str) -> Any:
    """All of the conditions as one pyarrow expression, None where there is none.

    A value is read as what its column holds: a number, a date, a text. Rows whose cell is missing
    do not meet a condition.

    Raises
    ------
    InputError
        No condition, a column that is not there, a value of another kind.

    Examples
    --------
    >>> schema = pa.schema([("year", pa.int64()), ("kind", pa.string())])
    >>> print(row_filter(["year >= 2020", "kind = a"], schema, "x.csv"))
    ((year >= 2020) and (kind == "a"))
    """
    rules = [_rule(condition, schema, source) for condition in conditions]
    return reduce(operator.and_, rules) if rules else None


def _rule(condition: str, schema: pa.Schema, source: str) -> Any:
    found = _CONDITION.fullmatch(condition)
    if found is None:
        raise InputError(
            f"{condition!r} is no condition: write COLUMN, one of {' '.join(_SIGNS)}, and a value, "
            "for instance 'year >= 2020'"
        )
    name, sign, text = found.groups()
    name = name.strip("\"'") if name not in schema.names else name
    if name not in schema.names:
        raise InputError(f'{source}: there is no column "{name}" for {condition!r}')
    return _SIGNS[sign](pa.compute.field(name), _value(text, schema.field(name).type, source, name))


def _value(text: str, kind: Any, source: str, name: str) -> Any:
    """A value as a column holds it; for whole numbers it may have a fraction."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    for one in (kind, pa.float64()) if pa.types.is_integer(kind) else (kind,):
        try:
            return pa.scalar(text).cast(one)
        except pa.ArrowException:
            continue
    raise InputError(f'{source}: column "{name}" holds {kind}, and {text!r} is none')
