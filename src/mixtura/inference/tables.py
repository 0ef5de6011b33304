"""Parameters of a mixture with their errors or intervals as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mixtura._types import Array
from mixtura.mixture import Mixture

_SHOWN = 12
"""Components and columns that are printed at most."""

_WHOLE = 6
"""Columns of which covariances are printed; of more, variances alone."""


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
    names, part = column_names(mixture), _narrow(mixture)
    rows = [["component", *(str(c) for c in shown)]]

    def line(label: str, values: Array, spread: Any) -> None:
        own = [None] * len(values) if spread is None else spread
        rows.append([label, *(cell(values[c], own[c]) for c in shown)])

    line("weight", mixture.weights, errors and errors.weights)
    for i in range(part.n_features):
        line(f"mean {names[i]}", part.means[:, i], errors and errors.means[:, i])
    for i, j in _entries(mixture):
        label = f"variance {names[i]}" if i == j else f"covariance {names[i]}, {names[j]}"
        line(label, part.covariances[:, i, j], errors and errors.covariances[:, i, j])
    return rows


def interval_table(mixture: Mixture, weights: Array, means: Array, covariances: Array) -> str:
    """Low and high of each parameter of each component."""
    names, part = column_names(mixture), _narrow(mixture)
    rows = [["parameter", "estimate", "low", "high"]]
    for c in range(min(mixture.n_components, _SHOWN)):
        rows.append(_bounded(f"weight[{c}]", mixture.weights[c], weights[c]))
        for i in range(part.n_features):
            rows.append(_bounded(f"mean[{c},{names[i]}]", part.means[c, i], means[c, i]))
        for i, j in _entries(mixture):
            label = f"covariance[{c},{names[i]},{names[j]}]"
            rows.append(_bounded(label, part.covariances[c, i, j], covariances[c, i, j]))
    return aligned(rows) + _more(mixture)


def _bounded(label: str, value: float, bounds: Array) -> list[str]:
    return [label, f"{value:.5g}", f"{bounds[0]:.5g}", f"{bounds[1]:.5g}"]


def _more(mixture: Mixture) -> str:
    components, columns = mixture.n_components - _SHOWN, mixture.n_features - _SHOWN
    text = f"\n… and {components} more components" if components > 0 else ""
    return text + (f"\n… and {columns} more columns" if columns > 0 else "")


def _entries(mixture: Mixture) -> list[tuple[int, int]]:
    """The entries of the covariances that are printed."""
    d = min(mixture.n_features, _SHOWN)
    ends = range(d)
    return [
        (i, j) for i in ends for j in ends if i == j or (i < j and mixture.n_features <= _WHOLE)
    ]


def _narrow(mixture: Mixture) -> Mixture:
    """The mixture of the columns that are printed."""
    return mixture if mixture.n_features <= _SHOWN else mixture.marginal(range(_SHOWN))
