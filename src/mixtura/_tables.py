"""Columns of results as a data frame of the user's library, or as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from mixtura._errors import InputError

BACKENDS = ("pandas", "polars", "pyarrow")


def data_frame(table: Mapping[str, list[Any]], kinds: Mapping[str, type], backend: str) -> Any:
    """Columns as a data frame; those without a kind hold floats.

    Parameters
    ----------
    table : mapping of name to column
    kinds : mapping of name to int, bool or str
    backend : {"pandas", "polars", "pyarrow"}
        Whichever is installed.

    Raises
    ------
    InputError
        Another backend.
    """
    import narwhals as nw

    if backend not in BACKENDS:
        raise InputError(f'backend={backend!r}: use "pandas", "polars" or "pyarrow"')
    types: dict[type, Any] = {int: nw.Int64, bool: nw.Boolean, str: nw.String, float: nw.Float64}
    schema = {name: types[kinds.get(name, float)] for name in table}
    return nw.from_dict(dict(table), schema=schema, backend=backend).to_native()


def html_table(table: Mapping[str, list[Any]]) -> str:
    """Columns as an HTML table."""
    head = "".join(f"<th>{escape(name)}</th>" for name in table)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(shown(cell))}</td>" for cell in row) + "</tr>"
        for row in zip(*table.values(), strict=True)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def shown(cell: Any) -> str:
    """A cell as text."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.4g}" if abs(cell) < 1 else f"{cell:.2f}"
    return str(cell)
