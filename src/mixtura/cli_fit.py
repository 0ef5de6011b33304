"""`mixtura fit`: from a file to a chosen mixture, its assignments and figures."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mixtura import cli_facts as facts
from mixtura._errors import InputError, MissingDependency
from mixtura.cli_rows import Assignment
from mixtura.covariance import ALIASES, FAMILIES, RATIO, UNIVARIATE, named
from mixtura.covariance.factor_rule import NAMES
from mixtura.fit.outliers import asked
from mixtura.io import model_file
from mixtura.io.columns import Table, choose
from mixtura.io.plain_json import json_text
from mixtura.io.tables import read_raw, write_table
from mixtura.mixture import Mixture

if TYPE_CHECKING:
    from mixtura.fit.select import Selection


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
    output: str | None
    form: str | None
    figures: bool
    seed: int
    jobs: int | None
    as_json: bool
    quiet: bool


@dataclass(eq=False)
class Answer:
    """What is known at the end, and where it went."""

    table: Table
    mixture: Mixture
    selection: Selection
    facts: facts.Facts
    rows: Assignment
    files: list[tuple[str, str]] = field(default_factory=list)

    def columns(self, identifier: str | None) -> dict[str, Any]:
        """The table of assignments."""
        return self.rows.columns(identifier, self.table.ids)


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


def fit(options: FitOptions) -> None:
    """Read, choose, write, tell."""
    raw = read_raw(options.file)
    table = choose(
        raw, columns=options.columns, identifier=options.identifier, weights=options.weights
    )
    folder = _folder(options)
    with told_once() as messages:
        answer = _answer(table, options)
        answer.facts["warnings"] = messages
        form = options.form or ("csv" if raw.kind == "text" else raw.kind)
        if folder is None:
            write_table(answer.columns(options.identifier), "-", form=form)
        else:
            _write(answer, folder, form, options)
            if options.figures:
                _draw(answer, folder)
    if options.as_json:
        written = [path for path, _ in answer.files]
        print(json_text(answer.facts | {"written": written}, indent=None))
    if not options.quiet and not options.as_json:
        _tell(answer, folder, options)


@contextmanager
def told_once() -> Iterator[list[str]]:
    """Collect the warnings of a block, each message once."""
    messages: list[str] = []

    def note(message: Warning | str, *_: Any, **__: Any) -> None:
        text = " ".join(str(message).split())
        if text not in messages:
            messages.append(text)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        yield messages


def _answer(table: Table, options: FitOptions) -> Answer:
    from mixtura import report
    from mixtura.fit.select import select

    named = pa.table(dict(zip(table.columns, table.rows.T, strict=True)))
    models = len(options.components) * len(options.covariance)
    with report.progress(models, quiet=options.quiet) as follow:
        selection = select(
            named,
            options.components,
            options.covariance,
            criterion=options.criterion,
            sample_weight=table.weights,
            **options.model,
            random_state=options.seed,
            n_jobs=options.jobs,
            progress=follow,
        )
    mixture = selection.fit.mixture
    for note in selection.notes:
        note.warn()
    rows = Assignment.of(mixture, table.rows, selection.cut)
    known = {
        "data": facts.of_table(table, options.identifier, options.weights),
        **facts.of_selection(selection),
        "components": facts.of_components(mixture, rows.sizes),
        "outliers": facts.of_outliers(mixture, selection.cut) | rows.aside,
        "certainty": facts.of_certainty(rows),
        "asked": dict(options.model),
        "seed": options.seed,
    }
    return Answer(table, mixture, selection, known, rows)


def _folder(options: FitOptions) -> Path | None:
    """Where to write, or None for standard output; refused before the work, not after it."""
    if options.output == "-":
        return None
    name = "stdin" if options.file == "-" else Path(options.file).name.split(".")[0]
    folder = Path(options.output or f"{name}-mixture")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder with --output")
    return folder


def _write(answer: Answer, folder: Path, form: str, options: FitOptions) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model, rows = folder / "model.mixtura", folder / f"assignments.{form}"
    model_file.save(answer.mixture, model, answer.facts)
    write_table(answer.columns(options.identifier), rows, form=form)
    answer.files += [
        (str(model), "model and its choice"),
        (str(rows), "label and certainty by row"),
    ]


def _draw(answer: Answer, folder: Path) -> None:
    try:
        from mixtura.plot import save_figures
    except MissingDependency as error:
        warnings.warn(f"no figures: {error}", stacklevel=2)
        return
    paths = save_figures(
        answer.mixture,
        answer.table.rows,
        answer.selection,
        folder / "figures",
        trace=answer.selection.fit.trace,
        cut=answer.selection.cut,
    )
    names = ", ".join(path.stem for path in paths)
    answer.files.append((f"{folder / 'figures'}/", names))


def _tell(answer: Answer, folder: Path | None, options: FitOptions) -> None:
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
        sections.append(report.following(_next(answer, folder, options)))
    report.tell(sections)


def _next(answer: Answer, folder: Path, options: FitOptions) -> Sequence[tuple[str, str]]:
    model = shlex.quote(str(folder / "model.mixtura"))
    file = shlex.quote(options.file)
    if any(answer.table.missing) and options.file != "-":
        second = ("fill the gaps", f"mixtura impute {model} {file} > filled.csv")
    else:
        second = ("draw new rows", f"mixtura sample {model} -n 1000 > drawn.csv")
    if options.file == "-":
        return [("see the model again", f"mixtura show {model}"), second]
    return [("label these rows, or new ones", f"mixtura assign {model} {file}"), second]
