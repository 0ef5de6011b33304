"""The command line: commands, their options and exit codes; the work is in `cli_fit`, `cli_apply`,
`cli_model`.

Exit codes: 0 good, 1 a problem with the data or the model, 2 wrong usage, 130 interrupted.
Data go to standard output or files, talk to standard error. Nothing heavy is imported here, so
that help is instant.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Annotated, Any, NoReturn

import typer

from mixtura import __version__
from mixtura._errors import MissingDependency, MixturaError
from mixtura.cli_advice import in_options
from mixtura.cli_options import (
    ABSENT,
    CACHE,
    CHECKPOINT,
    COLUMNS,
    COMPONENTS,
    COVARIANCE,
    CRITERION,
    DISTRIBUTION,
    DOF,
    FIGURES,
    FILE,
    FOLDER,
    FORM,
    FORM_LIKE_FILE,
    IDENTIFIER,
    JOBS,
    JSON,
    MAX_ITER,
    MAX_RATIO,
    MODEL,
    NOISE,
    OUTPUT,
    PRIOR,
    QUIET,
    SEED,
    TOL,
    TRIM,
    WEIGHTS,
    WHERE,
    Criterion,
    Distribution,
    Form,
    Prior,
)

PACKAGES = ("typer", "rich", "pyarrow")
"""What the extra "cli" brings."""

MODEL_OPTIONS = ("distribution", "dof", "noise", "trim", "prior", "max_ratio")
"""Options of `fit` that say what is fitted besides Gaussian components."""


def fit(
    context: typer.Context,
    file: Annotated[str, FILE],
    columns: Annotated[list[str] | None, COLUMNS] = None,
    identifier: Annotated[str | None, IDENTIFIER] = None,
    weights: Annotated[str | None, WEIGHTS] = None,
    where: Annotated[list[str] | None, WHERE] = None,
    components: Annotated[str, COMPONENTS] = "1:9",
    covariance: Annotated[str, COVARIANCE] = "all",
    criterion: Annotated[Criterion, CRITERION] = Criterion.bic,
    distribution: Annotated[Distribution, DISTRIBUTION] = Distribution.gaussian,
    dof: Annotated[str | None, DOF] = None,
    noise: Annotated[bool, NOISE] = False,
    trim: Annotated[float, TRIM] = 0.0,
    prior: Annotated[Prior | None, PRIOR] = None,
    max_ratio: Annotated[float | None, MAX_RATIO] = None,
    tol: Annotated[float, TOL] = 1e-6,
    max_iter: Annotated[int, MAX_ITER] = 1000,
    output: Annotated[str | None, FOLDER] = None,
    form: Annotated[Form | None, FORM_LIKE_FILE] = None,
    figures: Annotated[bool, FIGURES] = True,
    seed: Annotated[int, SEED] = 0,
    jobs: Annotated[int | None, JOBS] = None,
    cache: Annotated[str | None, CACHE] = None,
    checkpoint: Annotated[str | None, CHECKPOINT] = None,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Choose and fit a mixture; write the model, assignments and figures.

    Number of components and kind of covariance are chosen together. Missing cells are used as
    missing; columns that are no numbers are left out, and named.
    """
    given = dict(locals())
    if as_json and output == "-":
        raise typer.BadParameter("--json and --output - both want standard output")
    command = shlex.join(["mixtura", "fit", *given.pop("context").obj])
    given |= {"components": _counts(components), "columns": tuple(columns or ())}
    given |= {"where": tuple(where or ())}
    if dof is not None and distribution is not Distribution.t:
        raise typer.BadParameter("--dof is of Student's t: add --distribution t")
    with answering(None if checkpoint is None else (checkpoint, command)):
        from mixtura import cli_fit

        try:
            given["covariance"] = cli_fit.family_names(covariance, bounded=max_ratio is not None)
            given["model"] = cli_fit.model_options(**{one: given.pop(one) for one in MODEL_OPTIONS})
            given["model"] |= cli_fit.climb_options(given.pop("tol"), given.pop("max_iter"))
        except MixturaError as error:
            raise typer.BadParameter(str(error)) from None
        _check_single(given, len(given["components"]) * len(given["covariance"]))
        cli_fit.fit(cli_fit.FitOptions(**given))


def assign(
    model: Annotated[str, MODEL],
    file: Annotated[str, FILE],
    identifier: Annotated[str | None, IDENTIFIER] = None,
    where: Annotated[list[str] | None, WHERE] = None,
    output: Annotated[str, OUTPUT] = "-",
    form: Annotated[Form | None, FORM] = None,
    allow_missing_columns: Annotated[bool, ABSENT] = False,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Label rows: component, responsibilities, uncertainty, log-density."""
    with answering():
        from mixtura import cli_apply
        from mixtura.cli_output import Target

        asked = cli_apply.Asked(model, file, identifier, allow_missing_columns, tuple(where or ()))
        cli_apply.assign(asked, Target(output, form and form.value, as_json, quiet))


def score(
    model: Annotated[str, MODEL],
    file: Annotated[str, FILE],
    identifier: Annotated[str | None, IDENTIFIER] = None,
    where: Annotated[list[str] | None, WHERE] = None,
    allow_missing_columns: Annotated[bool, ABSENT] = False,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Tell how well a model describes rows, and which it likes least."""
    with answering():
        from mixtura import cli_apply
        from mixtura.cli_output import Target

        asked = cli_apply.Asked(model, file, identifier, allow_missing_columns, tuple(where or ()))
        cli_apply.score(asked, Target("-", None, as_json, quiet))


def sample(
    model: Annotated[str, MODEL],
    count: Annotated[int, typer.Option("-n", "--rows", min=1, metavar="N", help="How many rows.")],
    seed: Annotated[int | None, SEED] = None,
    component: Annotated[
        int | None,
        typer.Option("--component", metavar="LABEL", help="Draw from this component alone."),
    ] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Also write each row's label.")] = False,
    output: Annotated[str, OUTPUT] = "-",
    form: Annotated[Form | None, FORM] = None,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Draw new rows from a model."""
    with answering():
        from mixtura import cli_model
        from mixtura.cli_output import Target

        target = Target(output, form and form.value, as_json, quiet)
        cli_model.sample(model, target, count=count, seed=seed, component=component, labels=labels)


def show(
    model: Annotated[str, MODEL],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Describe a model: its data, how it was chosen, its components."""
    with answering():
        from mixtura import cli_model

        cli_model.show(model, as_json=as_json)


def impute(
    model: Annotated[str, MODEL],
    file: Annotated[str, FILE],
    where: Annotated[list[str] | None, WHERE] = None,
    output: Annotated[str, OUTPUT] = "-",
    form: Annotated[Form | None, FORM] = None,
    allow_missing_columns: Annotated[bool, ABSENT] = False,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Fill gaps with what the model expects; other cells stay as they are."""
    with answering():
        from mixtura import cli_apply
        from mixtura.cli_output import Target

        asked = cli_apply.Asked(model, file, None, allow_missing_columns, tuple(where or ()))
        cli_apply.impute(asked, Target(output, form and form.value, as_json, quiet))


COMMANDS: dict[str, Callable[..., None]] = {
    command.__name__: command for command in (fit, assign, score, sample, show, impute)
}


def main(arguments: Sequence[str]) -> None:
    """Run one command.

    The commands are typer apps of their own rather than a typer group: a group reads its own
    options through a validation library whose import alone takes longer than help may.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are removed
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if not arguments:
        print(overview(), file=sys.stderr)
        sys.exit(2)
    name, *rest = arguments
    if name in ("--help", "-h", "help"):
        _show(overview())
    elif name == "--version":
        _show(f"mixtura {__version__}")
    elif name in COMMANDS:
        _run(name, rest)
    else:
        near = get_close_matches(name, COMMANDS, 1)
        remedy = f"did you mean 'mixtura {near[0]}'?" if near else "see 'mixtura --help'"
        _fail(f"there is no command '{name}': {remedy}", 2)


def overview() -> str:
    """The help of the program as a whole."""
    width = max(map(len, COMMANDS)) + 2
    lines = [
        f"  {name:<{width}}{str(command.__doc__).splitlines()[0]}"
        for name, command in COMMANDS.items()
    ]
    return "\n".join(
        [
            "Usage: mixtura COMMAND [OPTIONS] [ARGUMENTS]",
            "",
            "Gaussian mixtures: from a table to soft clusters, densities and filled gaps.",
            "",
            "Commands:",
            *lines,
            "",
            "Options:",
            "  --version  Show the version.",
            "  --help     Show this message, or that of a command: mixtura fit --help",
            "",
            "Start with:  mixtura fit FILE",
        ]
    )


@contextmanager
def answering(kept: tuple[str, str] | None = None) -> Iterator[None]:
    """Turn what goes wrong into a line on standard error and an exit code.

    `kept` are the checkpoint of a fit and the command that goes on from it.
    """
    if os.environ.get("MIXTURA_DEBUG") == "1":
        yield
        return
    try:
        yield
        sys.stdout.flush()
    except (typer.BadParameter, typer.Exit):
        raise
    except KeyboardInterrupt:
        if kept is not None and os.path.exists(kept[0]):
            _fail(f"interrupted; {kept[0]} keeps the fit. To go on, repeat:\n{kept[1]}", 130)
        _fail("interrupted; files that were being written are as they were before", 130)
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except MixturaError as error:
        _fail(in_options(error), 1)
    except ModuleNotFoundError as error:
        package = str(error.name).split(".")[0]
        if package not in PACKAGES:
            raise
        _fail(str(MissingDependency.of(package, extra="cli")), 1)
    except MemoryError:
        _fail("not enough memory: choose fewer columns, or fewer rows", 1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}", 1)
    except Exception as error:
        _fail(
            f"stopped by an error of its own ({type(error).__name__}: {error}); "
            "MIXTURA_DEBUG=1 shows where, please report it",
            1,
        )


def _run(name: str, arguments: Sequence[str]) -> None:
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.command()(COMMANDS[name])
    app(list(arguments), prog_name=f"mixtura {name}", obj=arguments)


def _show(text: str) -> None:
    with answering():
        print(text)


def _fail(message: str, code: int) -> NoReturn:
    print(f"mixtura: {message}", file=sys.stderr)
    sys.exit(code)


def _check_single(given: Mapping[str, Any], models: int) -> None:
    """Refuse a checkpoint of several models."""
    if given["checkpoint"] is not None and models > 1:
        raise typer.BadParameter(
            f"it keeps the fit of one model, and {models} are compared: choose one by fewer "
            "rows, for instance by --where, then fit it to all, as by -k 3 --covariance full",
            param_hint="--checkpoint",
        )


def _counts(text: str) -> tuple[int, ...]:
    """Numbers of components: "3", "1:9", "2,4,6" or a mixture of these."""
    counts: list[int] = []
    for part in text.split(","):
        first, colon, last = part.partition(":")
        try:
            low = int(first)
            counts += range(low, int(last) + 1) if colon else [low]
        except ValueError:
            low = 0
        if low < 1 or not counts or counts[-1] < low:
            raise typer.BadParameter(
                f"{text!r} is no number of components: say 3, 1:9 or 2,4,6",
                param_hint="--components",
            )
    return tuple(dict.fromkeys(counts))
