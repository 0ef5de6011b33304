"""Parameters of a mixture with their errors or intervals as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mixtura._types import Array
from mixtura.mixture import Mixture

_SHOWN = 12
"""Components and columns that are printed at most."""


def column_names(mixture: Mixture) -> tuple[str, ...]:
    """The names of the columns, x0, x1, ... where they have none."""
    return mixture.feature_names or tuple(f"x{i}" for i in range(mixture.n_features))


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Cells in columns: the first flush left, the others flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def parameter_table(mixture: Mixture, errors: Any = None) -> str:
    """Weights, means and covariances of each component, each with its error if given."""
    return aligned(parameter_rows(mixture, errors)) + _more(mixture)


def parameter_rows(mixture: Mixture, errors: Any = None) -> list[list[str]]:
    """The same as rows of cells, a header first; a column is a component."""

    def cell(value: float, error: Any) -> str:
        return f"{value:.5g}" if error is None else f"{value:.5g} ({error:.2g})"

    shown = range(min(mixture.n_components, _SHOWN))
    names = column_names(mixture)
    most = range(min(len(names), _SHOWN))
    rows = [["component", *(str(c) for c in shown)]]

    def line(label: str, values: Array, spread: Any) -> None:
        own = [None] * len(values) if spread is None else spread
        rows.append([label, *(cell(values[c], own[c]) for c in shown)])

    line("weight", mixture.weights, errors and errors.weights)
    for i in most:
        line(f"mean {names[i]}", mixture.means[:, i], errors and errors.means[:, i])
    for i in most:
        for j in most:
            if i <= j:
                label = f"variance {names[i]}" if i == j else f"covariance {names[i]}, {names[j]}"
                spread = errors and errors.covariances[:, i, j]
                line(label, mixture.covariances[:, i, j], spread)
    return rows


def interval_table(mixture: Mixture, weights: Array, means: Array, covariances: Array) -> str:
    """Low and high of each parameter of each component."""
    names = column_names(mixture)
    rows = [["parameter", "estimate", "low", "high"]]
    for c in range(min(mixture.n_components, _SHOWN)):
        rows.append(_bounded(f"weight[{c}]", mixture.weights[c], weights[c]))
        for i in range(min(len(names), _SHOWN)):
            rows.append(_bounded(f"mean[{c},{names[i]}]", mixture.means[c, i], means[c, i]))
        for i in range(min(len(names), _SHOWN)):
            for j in range(i, min(len(names), _SHOWN)):
                label = f"covariance[{c},{names[i]},{names[j]}]"
                value = mixture.covariances[c, i, j]
                rows.append(_bounded(label, value, covariances[c, i, j]))
    return aligned(rows) + _more(mixture)


def _bounded(label: str, value: float, bounds: Array) -> list[str]:
    return [label, f"{value:.5g}", f"{bounds[0]:.5g}", f"{bounds[1]:.5g}"]


def _more(mixture: Mixture) -> str:
    more = mixture.n_components - _SHOWN
    return f"\n… and {more} more components" if more > 0 else ""
