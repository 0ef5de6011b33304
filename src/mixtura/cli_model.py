"""`mixtura assign, score, sample, show, impute`: what a fitted model is used for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mixtura import cli_facts as facts
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.cli_fit import told_once
from mixtura.cli_rows import Assignment
from mixtura.io import model_file
from mixtura.io.columns import RawTable, Table, choose, match
from mixtura.io.plain_json import json_text
from mixtura.io.tables import read_raw, write_table
from mixtura.mixture import Mixture
from mixtura.trimming import Cut

if TYPE_CHECKING:
    from mixtura import report

LEAST = 5  # least likely rows that are named


@dataclass(frozen=True)
class Target:
    """Where a table goes, and how much is said."""

    output: str
    form: str | None
    as_json: bool
    quiet: bool

    def write(self, columns: dict[str, Any] | pa.Table, known: facts.Facts) -> None:
        """Write the table to the file, or to standard output; as JSON, within one object."""
        if self.output != "-":
            write_table(columns, self.output, form=self.form)
            known = known | {"written": [self.output]}
        if self.as_json:
            if self.output == "-":
                table = columns if isinstance(columns, pa.Table) else pa.table(columns)
                known = known | {"table": table.to_pydict()}
            print(json_text(known, indent=None))
        elif self.output == "-":
            write_table(columns, "-", form=self.form)

    def say(self, *lines: str) -> None:
        """Talk, unless nobody listens."""
        if not self.quiet and not self.as_json:
            for line in lines:
                print(line, file=sys.stderr)


@dataclass(frozen=True, eq=False)
class ModelRows:
    """A model and the rows it is applied to."""

    mixture: Mixture
    raw: RawTable
    table: Table
    identifier: str | None
    ids: Any
    cut: Cut | None

    def assigned(self) -> Assignment:
        """The rows by the mixture."""
        return Assignment.of(self.mixture, self.table.rows, self.cut)


def rows_for(model: str, file: str, identifier: str | None, allow_missing: bool) -> ModelRows:
    """Load a model, and from a file the columns it was fitted to, by their names."""
    mixture = model_file.load(model)
    raw = read_raw(file)
    names = mixture.feature_names
    if names is None:
        table = _by_place(raw, mixture, identifier)
    else:
        table = match(raw, names, allow_missing=allow_missing)
    ids = None
    if identifier is not None:
        ids = choose(raw, columns=table.columns[:1], identifier=identifier).ids
    cut = _cut(model_file.load_metadata(model), mixture)
    return ModelRows(mixture, raw, table, identifier, ids, cut)


def assign(given: ModelRows, target: Target) -> None:
    """Write the assignments of the rows."""
    with told_once() as messages:
        rows = given.assigned()
    certainty = facts.of_certainty(rows)
    known = {
        "data": facts.of_table(given.table, given.identifier),
        "sizes": rows.sizes,
        **rows.aside,
        "certainty": certainty,
        "warnings": messages,
    }
    target.write(rows.columns(given.identifier, given.ids), known)
    told = [f"{size} to {label}" for label, size in enumerate(rows.sizes)]
    words = {"noise_rows": "to noise", "trimmed_rows": "trimmed"}
    told += [f"{size} {words[name]}" for name, size in rows.aside.items()]
    target.say(
        *_remarks(given, messages),
        f"{given.table.source}: {facts.count(len(given.table.rows), 'row')} assigned "
        f"({', '.join(told)})",
        f"{certainty['doubtful']} doubtful: largest responsibility below {facts.DOUBT}",
    )


def score(given: ModelRows, *, as_json: bool, quiet: bool) -> None:
    """Tell how well the model describes the rows."""
    from mixtura import report

    with told_once() as messages:
        rows = given.assigned()
    log_density = rows.log_density
    known = facts.of_scores(given.mixture, log_density[rows.kept])
    if rows.trimmed is not None:
        known["trimmed_rows"] = int(rows.trimmed.sum())
    lowest = [(_row_name(given, row), float(log_density[row])) for row in _lowest(log_density)]
    if as_json:
        least = [{"row": name, "log_density": value} for name, value in lowest]
        print(json_text(known | {"least_likely": least, "warnings": messages}, indent=None))
        return
    Target("-", None, as_json, quiet).say(*_remarks(given, messages))
    numbers = [
        ("rows", str(known["rows"])),
        *([("left out, trimmed", str(known["trimmed_rows"]))] if "trimmed_rows" in known else []),
        ("mean log-density", f"{known['mean_log_density']:.6g}"),
        ("log-likelihood", f"{known['log_likelihood']:.6f}"),
        ("parameters", str(known["n_parameters"])),
        ("BIC", f"{known['bic']:.4f}"),
        ("AIC", f"{known['aic']:.4f}"),
    ]
    least_likely = [(f"row {name}", f"log-density {value:.4g}") for name, value in lowest]
    report.tell(
        [report.figures_of(numbers, "Score"), report.figures_of(least_likely, "Least")],
        stream=sys.stdout,
    )


def sample(
    model: str,
    target: Target,
    *,
    count: int,
    seed: int | None,
    component: int | None,
    labels: bool,
) -> None:
    """Draw rows and write them."""
    mixture = model_file.load(model)
    if component is not None and not 0 <= component < mixture.n_components:
        raise InputError(
            f"there is no component {component}: the model has 0 to {mixture.n_components - 1}"
        )
    rows, origin = mixture.sample(count, seed, component=component, return_labels=True)
    names = facts.column_names(mixture)
    columns: dict[str, Any] = dict(zip(names, rows.T, strict=True))
    if labels:
        columns["component" if "label" in columns else "label"] = origin
    target.write(columns, {"rows": count, "seed": seed})


def show(model: str, *, as_json: bool) -> None:
    """Describe a model on standard output."""
    mixture = model_file.load(model)
    told = model_file.load_metadata(model)
    if as_json:
        print(
            json_text(_description(mixture, _cut(told, mixture)) | {"metadata": told}, indent=None)
        )
        return
    from mixtura import report

    k, d = mixture.n_components, mixture.n_features
    kind = model_file.structure_name(mixture.structure)
    text = (
        f"{model}: {facts.count(k, 'component')} in {facts.count(d, 'dimension')}, {kind} "
        f"covariance, {facts.count(facts.n_parameters(mixture), 'parameter')}"
    )
    outliers = facts.of_outliers(mixture, _cut(told, mixture)) | _aside(told)
    sizes = _told_sizes(told, k)
    described = facts.of_components(mixture)
    shown = [one | {"size": size} for one, size in zip(described, sizes, strict=True)]
    width = report.console_on(sys.stdout).width
    before, after = _told(told, k > 1 or mixture.noise is not None)
    report.tell(
        [
            ("Model", report.paragraphs([text])),
            *before,
            report.components(shown, width=width, everything=True),
            *([report.outliers(outliers)] if outliers else []),
            *after,
        ],
        stream=sys.stdout,
    )


def _told(told: facts.Facts, unsure: bool) -> tuple[list[report.Section], list[report.Section]]:
    """Sections before and after the components, from what stands beside the model, if it can."""
    from mixtura import report

    try:  # it may be anybody's
        before = [report.data(told["data"]), report.choice(told)]
        after = [report.certainty(told["certainty"], told["data"]["rows"])] if unsure else []
        if told["warnings"]:
            after.append(report.cautions(told["warnings"]))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return [], []
    return before, after


def impute(given: ModelRows, target: Target) -> None:
    """Write the whole table with its gaps filled."""
    with told_once() as messages:
        filled = given.mixture.impute(given.table.rows)
    arrow = given.raw.arrow
    count = 0
    for place, name in enumerate(given.table.columns):
        missing = np.isnan(given.table.rows[:, place])
        if not missing.any():
            continue
        count += int(missing.sum())
        arrow = _filled_column(arrow, name, filled[:, place])
    known = {"data": facts.of_table(given.table), "filled": count, "warnings": messages}
    target.write(arrow, known)
    target.say(
        *_remarks(given, messages), f"{given.table.source}: {facts.count(count, 'cell')} filled"
    )


def _filled_column(arrow: pa.Table, name: str, values: Array) -> pa.Table:
    """The table with a column replaced, or added where it was absent."""
    if name not in arrow.column_names:
        return arrow.append_column(name, pa.array(values))
    kind = arrow[name].type
    kind = kind if pa.types.is_floating(kind) else pa.float64()
    column = pa.array(values).cast(kind, safe=False)
    return arrow.set_column(arrow.column_names.index(name), name, column)


def _by_place(raw: RawTable, mixture: Mixture, identifier: str | None) -> Table:
    """The numeric columns in their order, for a model that does not know names."""
    table = choose(raw, identifier=identifier)
    if len(table.columns) != mixture.n_features:
        raise InputError(
            f"{raw.source} has {len(table.columns)} numeric columns, but the model has "
            f"{mixture.n_features} and knows no names: give a file with just these columns"
        )
    return table


def _remarks(given: ModelRows, messages: list[str]) -> list[str]:
    return [f"note: {text}" for text in (*given.table.notes, *messages)]


def _lowest(log_density: Array) -> list[int]:
    return [int(row) for row in np.argsort(log_density, kind="stable")[:LEAST]]


def _row_name(given: ModelRows, row: int) -> Any:
    return row if given.ids is None else given.ids[row].as_py()


def _told_sizes(told: facts.Facts, k: int) -> list[int | None]:
    """Rows by component, where they are known."""
    try:
        sizes = [int(one["size"]) for one in told["components"]]
    except (KeyError, TypeError, ValueError):
        sizes = []
    return list(sizes) if len(sizes) == k else [None] * k


def _cut(told: facts.Facts, mixture: Mixture) -> Cut | None:
    """Where the fit trimmed, by what stands beside the model, which may be anybody's."""
    outliers = told.get("outliers")
    trim = outliers.get("trim") if isinstance(outliers, dict) else None
    return None if trim is None else Cut.read(trim, mixture.n_features)


def _aside(told: facts.Facts) -> facts.Facts:
    """Rows with label -1, where they are known."""
    outliers = told.get("outliers")
    outliers = outliers if isinstance(outliers, dict) else {}
    counts = {name: outliers.get(name) for name in ("noise_rows", "trimmed_rows")}
    return {name: size for name, size in counts.items() if isinstance(size, int)}


def _description(mixture: Mixture, cut: Cut | None) -> facts.Facts:
    return {
        "components": mixture.n_components,
        "features": mixture.n_features,
        "columns": list(facts.column_names(mixture)),
        "covariance": model_file.structure_name(mixture.structure),
        "n_parameters": facts.n_parameters(mixture),
        "weights": mixture.weights,
        "means": mixture.means,
        "covariances": mixture.covariances,
        "outliers": facts.of_outliers(mixture, cut),
    }
