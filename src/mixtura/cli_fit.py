"""`mixtura fit`: from a file to a chosen mixture, its assignments and figures."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixtura import cli_facts as facts
from mixtura._errors import InputError, MissingDependency
from mixtura.cli_next import default_folder, following
from mixtura.cli_output import told_once
from mixtura.cli_progress import Line, Pace, line
from mixtura.cli_rows import ModelRows, Tally
from mixtura.covariance import ALIASES, FAMILIES, RATIO, UNIVARIATE, named
from mixtura.covariance.factor_rule import NAMES
from mixtura.fit.em import Stop
from mixtura.fit.outliers import asked
from mixtura.io import model_file
from mixtura.io.columns import Table
from mixtura.io.inputs import Input, drawn, opened
from mixtura.io.plain_json import json_text
from mixtura.mixture import Mixture
from mixtura.reading.writing import table_written

if TYPE_CHECKING:
    from mixtura.fit.select import Selection

FIGURE_ROWS = 100_000
"""Rows from which figures are drawn at most."""

CODES = (*NAMES, *NAMES.values())
"""Names and codes of low-rank families, before the colon."""


@dataclass(frozen=True)
class FitOptions:
    """What was asked for on the command line."""

    file: str
    columns: tuple[str, ...]
    identifier: str | None
    weights: str | None
    components: tuple[int, ...]
    covariance: tuple[str, ...]
    criterion: str
    model: Mapping[str, Any]
    where: tuple[str, ...]
    cache: str | None
    checkpoint: str | None
    output: str | None
    form: str | None
    figures: bool
    seed: int
    jobs: int | None
    as_json: bool
    quiet: bool


def family_names(text: str, *, bounded: bool = False) -> tuple[str, ...]:
    """The families that "all" or a list of names stands for.

    All that can be held to a ratio of eigenvalues, where one is asked for.
    """
    if text == "all":
        return RATIO if bounded else tuple(FAMILIES)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in (*FAMILIES, *ALIASES, *UNIVARIATE) and name.split(":")[0] not in CODES:
            known = ", ".join((*FAMILIES, *ALIASES, *UNIVARIATE))
            ranked = ", ".join(f"{kind}:3" for kind in NAMES)
            raise InputError(f"{name!r} is none of all, {known}, {ranked} (3 factors; or 1-5)")
    told = [[name] if name in UNIVARIATE else [one.name for one in named(name)] for name in names]
    return tuple(dict.fromkeys(name for some in told for name in some))


def model_options(
    distribution: str, dof: str | None, noise: bool, trim: float, prior: Any, max_ratio: Any
) -> dict[str, Any]:
    """What `select` is to fit besides Gaussian components; only what was asked for.

    Raises
    ------
    InputError
    """
    freedom: str | float = dof or "common"
    with suppress(ValueError):
        freedom = float(freedom)
    asked(str(distribution), freedom, noise, trim)
    if max_ratio is not None and not max_ratio >= 1.0:
        raise InputError(f"--max-ratio {max_ratio:g}: use a number of at least 1")
    given = {"distribution": str(distribution), "dof": freedom, "noise": noise, "trim": trim}
    plain = {"distribution": "gaussian", "dof": "common", "noise": False, "trim": 0.0}
    told = {name: value for name, value in given.items() if value != plain[name]}
    told |= {} if prior is None else {"prior": str(prior)}
    return told | ({} if max_ratio is None else {"max_ratio": max_ratio})


def climb_options(tol: float, max_iter: int) -> dict[str, Any]:
    """When `select` is to end a climb; only what was asked for."""
    told = {"tol": tol, "max_iter": max_iter}
    return {name: value for name, value in told.items() if value != getattr(Stop, name)}


@dataclass(eq=False)
class Answer:
    """What is known at the end, and where it went."""

    options: FitOptions
    input: Input
    table: Table
    mixture: Mixture
    selection: Selection
    pace: Pace
    messages: list[str]
    facts: facts.Facts = field(default_factory=dict)
    files: list[tuple[str, str]] = field(default_factory=list)

    @property
    def form(self) -> str:
        """Format of the assignments."""
        kind = self.input.head.kind
        return self.options.form or ("csv" if kind == "text" else kind)

    def label(self, path: str, told: Line) -> None:
        """Write the assignments, and note what they tell."""
        options, cut = self.options, self.selection.cut
        rows = ModelRows(self.mixture, cut, self.input, self.table.columns, options.identifier)
        told.begin("Labelling", len(self.table.rows))
        with table_written(path, form=self.form) as write:
            self.note(rows.labelled(told.counting(write)))

    def note(self, tally: Tally | None = None) -> None:
        """Gather what is known, also of the assignments where they are."""
        table, mixture = self.table, self.mixture
        self.facts = {
            "data": facts.of_data(
                table.source,
                table.columns,
                len(table.rows) if tally is None else tally.rows,
                table.missing if tally is None else tally.missing,
                skipped=table.skipped,
                notes=table.notes,
                identifier=self.options.identifier,
                weights=self.options.weights,
                where=self.options.where,
            ),
            **facts.of_selection(self.selection),
            "components": facts.of_components(mixture, None if tally is None else tally.sizes),
            "outliers": facts.of_outliers(mixture, self.selection.cut),
            "asked": dict(self.options.model),
            "seed": self.options.seed,
            "warnings": self.messages,
        }
        if tally is not None:
            self.facts["outliers"] |= tally.aside
            self.facts["certainty"] = facts.of_certainty(tally)


def fit(options: FitOptions) -> None:
    """Read, choose, write, tell."""
    folder = _folder(options)
    with told_once() as messages:
        with line(quiet=options.quiet) as told:
            answer = _answer(options, messages, told)
            if folder is None:
                answer.label("-", told)
            else:
                _write(answer, folder, told)
        if folder is not None and options.figures:
            _draw(answer, folder)
    if options.as_json:
        written = [path for path, _ in answer.files]
        print(json_text(answer.facts | {"written": written}, indent=None))
    if not options.quiet and not options.as_json:
        _tell(answer, folder)


def _answer(options: FitOptions, messages: list[str], told: Line) -> Answer:
    from mixtura.fit.select import rules, select

    told.begin("Reading")
    given = opened(options.file, options.where)
    table = given.table(options.columns, options.identifier, options.weights, options.cache)
    families = rules(options.covariance, len(table.columns))
    sizes = [k for k in options.components for _ in families]
    pace = Pace(len(table.rows), sizes, _stop(options.model))
    told.begin("Fitting", len(sizes) if len(sizes) > 1 else None)
    selection = select(
        table,
        options.components,
        options.covariance,
        criterion=options.criterion,
        **options.model,
        random_state=options.seed,
        n_jobs=options.jobs,
        watch=told.following(pace),
        checkpoint=options.checkpoint,
    )
    for note in selection.notes:
        note.warn()
    return Answer(options, given, table, selection.fit.mixture, selection, pace, messages)


def _stop(model: Mapping[str, Any]) -> Stop:
    return Stop(**{name: model[name] for name in ("tol", "max_iter") if name in model})


def _folder(options: FitOptions) -> Path | None:
    """Where to write, or None for standard output; refused before the work, not after it."""
    if options.output == "-":
        return None
    folder = Path(options.output or default_folder(options.file))
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not there.is_dir():
        raise InputError(f"{there} is a file: name a folder with --output")
    if not os.access(there, os.W_OK):
        raise InputError(f"{there} may not be written to: name another folder with --output")
    return folder


def _write(answer: Answer, folder: Path, told: Line) -> None:
    """Write the model, safe before all rows are gone through, and again with what these tell."""
    folder.mkdir(parents=True, exist_ok=True)
    model, rows = folder / "model.mixtura", folder / f"assignments.{answer.form}"
    answer.note()
    model_file.save(answer.mixture, model, answer.facts)
    answer.label(str(rows), told)
    model_file.save(answer.mixture, model, answer.facts)
    answer.files += [
        (str(model), "model and its choice"),
        (str(rows), "label and certainty by row"),
    ]
    if answer.options.checkpoint is not None:
        answer.files.append((answer.options.checkpoint, "the fit, for the same command"))


def _draw(answer: Answer, folder: Path) -> None:
    try:
        from mixtura.plot import remove_figures, save_figures
        from mixtura.plot.shown import Drawn
    except MissingDependency as error:
        warnings.warn(f"no figures: {error}", stacklevel=2)
        return
    table, selection = answer.table, answer.selection
    some = drawn(table.rows, FIGURE_ROWS, answer.options.seed)
    paths = save_figures(
        answer.mixture,
        Drawn(some, table.columns, len(table.rows)),
        selection,
        folder / "figures",
        trace=selection.fit.trace,
        cut=selection.cut,
    )
    left = remove_figures(folder / "figures", but=paths)
    gone = f"; removed, of an earlier model: {_stems(left)}" if left else ""
    of = f", of {facts.count(len(some), 'row')} at random" if len(some) < len(table.rows) else ""
    answer.files.append((f"{folder / 'figures'}/", _stems(paths) + of + gone))


def _stems(paths: Sequence[Path]) -> str:
    return ", ".join(path.stem for path in paths)


def _tell(answer: Answer, folder: Path | None) -> None:
    from mixtura import report

    known = answer.facts
    sections = [
        report.data(known["data"]),
        report.choice(known),
        report.components(known["components"], width=report.console_on(sys.stderr).width),
    ]
    if known["outliers"]:
        sections.append(report.outliers(known["outliers"]))
    if answer.mixture.n_components > 1 or answer.mixture.noise is not None:
        sections.append(report.certainty(known["certainty"], known["data"]["rows"]))
    if known["warnings"]:
        sections.append(report.cautions(known["warnings"]))
    if folder is not None:
        sections.append(report.written(answer.files))
        model = str(folder / "model.mixtura")
        sections.append(report.following(following(known, model, answer.options, answer.pace)))
    report.tell(sections)
