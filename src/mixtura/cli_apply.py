"""`mixtura assign, score, impute`: a fitted model and rows, block by block."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mixtura import cli_facts as facts
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.cli_output import Target, told_once
from mixtura.cli_rows import DOUBT, ModelRows
from mixtura.io import model_file
from mixtura.io.columns import choose_names, listed, match
from mixtura.io.inputs import Input, Piece, opened
from mixtura.io.plain_json import json_text
from mixtura.mixture import Mixture
from mixtura.trimming import Cut


@dataclass(frozen=True)
class Asked:
    """A model, the rows it is applied to, and how these are read."""

    model: str
    file: str
    identifier: str | None = None
    allow_missing: bool = False
    where: tuple[str, ...] = ()

    def rows(self) -> ModelRows:
        """The model, and the columns of the rows that it was fitted to, by their names.

        Raises
        ------
        InputError
            What cannot be read, columns that are not there.
        """
        mixture = model_file.load(self.model)
        given = opened(self.file, self.where)
        names = mixture.feature_names
        if names is None:
            names = _by_place(given, mixture, self.identifier)
        else:
            match(given.head, names, allow_missing=self.allow_missing)
        if self.identifier is not None:
            choose_names(given.head, identifier=self.identifier)
        cut = Cut.told_by(model_file.load_metadata(self.model), mixture.n_features)
        return ModelRows(mixture, cut, given, tuple(names), self.identifier)


def assign(asked: Asked, target: Target) -> None:
    """Write the assignments of the rows."""
    given = asked.rows()
    with told_once() as messages, target.writing() as (write, known):
        tally = given.labelled(write)
        certainty = facts.of_certainty(tally)
        known |= {
            "data": _data(asked, given, tally.rows, tally.missing),
            "sizes": tally.sizes,
            **tally.aside,
            "certainty": certainty,
            "warnings": messages,
        }
    told = [f"{size} to {label}" for label, size in enumerate(tally.sizes)]
    words = {"noise_rows": "to noise", "trimmed_rows": "trimmed"}
    told += [f"{size} {words[name]}" for name, size in tally.aside.items()]
    target.say(
        *_remarks(known["data"], messages),
        f"{given.input.head.source}: {facts.count(tally.rows, 'row')} assigned ({', '.join(told)})",
        f"{certainty['doubtful']} doubtful: largest responsibility below {DOUBT}",
    )


def score(asked: Asked, target: Target) -> None:
    """Tell how well the model describes the rows."""
    from mixtura import report

    given = asked.rows()
    with told_once() as messages:
        tally = given.labelled()
    known = facts.of_scores(given.mixture, tally)
    if tally.trimmed is not None:
        known["trimmed_rows"] = tally.trimmed
    if target.as_json:
        least = [{"row": name, "log_density": value} for value, name in tally.least]
        print(json_text(known | {"least_likely": least, "warnings": messages}, indent=None))
        return
    target.say(*_remarks(_data(asked, given, tally.rows, tally.missing), messages))
    least_likely = [(f"row {name}", f"log-density {value:.4g}") for value, name in tally.least]
    report.tell([report.scores(known), report.figures_of(least_likely, "Least")], stream=sys.stdout)


def impute(asked: Asked, target: Target) -> None:
    """Write the whole table with its gaps filled.

    The rows are gone through twice: which columns have gaps says what these are written as.
    """
    given = asked.rows()
    missing, rows = _gaps(given)
    gaps = [name for name, count in zip(given.columns, missing, strict=True) if count]
    carried = given.input.head.arrow.column_names
    with told_once() as messages, target.writing() as (write, known):
        for piece in given.input.pieces(given.columns, carried):
            write(_filled(given, piece, gaps))
        filled = int(missing.sum())
        known |= {
            "data": _data(asked, given, rows, missing),
            "filled": filled,
            "warnings": messages,
        }
    target.say(
        *_remarks(known["data"], messages),
        f"{given.input.head.source}: {facts.count(filled, 'cell')} filled",
    )


def _gaps(given: ModelRows) -> tuple[Array, int]:
    """Missing cells of each column, and rows."""
    missing, rows = np.zeros(len(given.columns), dtype=np.intp), 0
    for piece in given.input.pieces(given.columns):
        missing += np.isnan(piece.rows).sum(axis=0)
        rows += len(piece.rows)
    return missing, rows


def _filled(given: ModelRows, piece: Piece, gaps: Sequence[str]) -> pa.Table:
    """All columns of some rows, those with gaps filled or added."""
    arrow, whole = piece.arrow, given.mixture.impute(piece.rows)
    for name in gaps:
        values = whole[:, given.columns.index(name)]
        if name not in arrow.column_names:
            arrow = arrow.append_column(name, pa.array(values))
            continue
        kind = arrow[name].type
        kind = kind if pa.types.is_floating(kind) else pa.float64()
        column = pa.array(values).cast(kind, safe=False)
        arrow = arrow.set_column(arrow.column_names.index(name), name, column)
    return arrow


def _data(asked: Asked, given: ModelRows, rows: int, missing: Array) -> facts.Facts:
    empty = [name for name, count in zip(given.columns, missing, strict=True) if count == rows]
    note = f"no values in {listed(empty)}: treated as missing"
    return facts.of_data(
        given.input.head.source,
        given.columns,
        rows,
        missing,
        identifier=asked.identifier,
        where=asked.where,
        notes=given.input.head.notes + ((note,) if empty else ()),
    )


def _by_place(given: Input, mixture: Mixture, identifier: str | None) -> tuple[str, ...]:
    """The numeric columns in their order, for a model that does not know names."""
    names = choose_names(given.head, identifier=identifier).columns
    if len(names) != mixture.n_features:
        raise InputError(
            f"{given.head.source} has {len(names)} numeric columns, but the model has "
            f"{mixture.n_features} and knows no names: give a file with just these columns"
        )
    return names


def _remarks(data: facts.Facts, messages: list[str]) -> list[str]:
    return [f"note: {text}" for text in (*data["notes"], *messages)]
