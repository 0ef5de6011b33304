"""The command line: commands, their options and exit codes; the work is in `cli_fit`, `cli_model`.

Exit codes: 0 good, 1 a problem with the data or the model, 2 wrong usage, 130 interrupted.
Data go to standard output or files, talk to standard error. Nothing heavy is imported here, so
that help is instant.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, NoReturn

import typer

from mixtura import __version__
from mixtura._errors import MissingDependency, MixturaError

PACKAGES = ("typer", "rich", "pyarrow")
"""What the extra "cli" brings."""

MODEL_OPTIONS = ("distribution", "dof", "noise", "trim", "prior", "max_ratio")
"""Options of `fit` that say what is fitted besides Gaussian components."""


class Criterion(StrEnum):
    """What a choice among models minimises."""

    bic = "bic"
    aic = "aic"
    icl = "icl"
    cv = "cv"
    sabic = "sabic"
    caic = "caic"
    hqc = "hqc"
    slope = "slope"


class Distribution(StrEnum):
    """Laws of the components."""

    gaussian = "gaussian"
    t = "t"


class Prior(StrEnum):
    """Priors by name."""

    fraley_raftery = "fraley-raftery"


class Form(StrEnum):
    """Formats of tables."""

    csv = "csv"
    tsv = "tsv"
    parquet = "parquet"
    arrow = "arrow"


FILE = typer.Argument(metavar="FILE", help="CSV, TSV, Parquet or Arrow; - is standard input.")
MODEL = typer.Argument(metavar="MODEL", help="A model file written by 'mixtura fit'.")
OUTPUT = typer.Option("--output", "-o", metavar="FILE", help="Where to; the suffix says how.")
FORM = typer.Option("--format", help="Format of the table, whatever the file's suffix.")
IDENTIFIER = typer.Option("--id", metavar="COLUMN", help="Column that names the rows.")
ABSENT = typer.Option("--allow-missing-columns", help="Columns the file lacks count as missing.")
SEED = typer.Option("--seed", metavar="N", help="Seed of the random numbers.")
JSON = typer.Option("--json", help="One JSON object on standard output.")
QUIET = typer.Option("--quiet", "-q", help="No talk, only errors.")
COLUMNS = typer.Option(
    "--columns",
    "-c",
    metavar="NAMES",
    help="Columns to use: a,b or sepal* or ^id (all but id); may be repeated.",
)
WEIGHTS = typer.Option("--weights", metavar="COLUMN", help="Column with the rows' weights.")
COMPONENTS = typer.Option("--components", "-k", metavar="K", help="How many: 3, 1:9 or 2,4,6.")
COVARIANCE = typer.Option(
    "--covariance",
    metavar="NAMES",
    help="all, or some of full,tied,diag,spherical,equal-spherical,"
    "EEI,VEI,EVI,VEE,EVE,VVE,EEV,VEV,EVV; factor:3, factor:1-5, ppca:2 for many columns.",
)
CRITERION = typer.Option(help="What the choice minimises.")
DISTRIBUTION = typer.Option(help="t is Student's: outliers count for less.")
DOF = typer.Option("--dof", metavar="DOF", help="Of t: common, own (the default is common), or 4.")
NOISE = typer.Option("--noise", help="Add a component that is uniform over the data.")
TRIM = typer.Option("--trim", metavar="SHARE", help="Leave out 0.1 of the rows, the unlikeliest.")
PRIOR = typer.Option("--prior", help="A weak prior that keeps small components sound.")
MAX_RATIO = typer.Option(
    "--max-ratio", metavar="R", help="Largest over smallest eigenvalue of all covariances at most."
)
FOLDER = typer.Option(
    "--output",
    "-o",
    metavar="FOLDER",
    help="Where to write; FILE-mixture by default, - for assignments to standard output.",
)
FORM_LIKE_FILE = typer.Option("--format", help="Format of the assignments; by default FILE's.")
FIGURES = typer.Option("--figures/--no-figures", help="Draw figures.")
JOBS = typer.Option("--jobs", "-j", metavar="N", help="Models fitted side by side.")


def fit(
    file: Annotated[str, FILE],
    columns: Annotated[list[str] | None, COLUMNS] = None,
    identifier: Annotated[str | None, IDENTIFIER] = None,
    weights: Annotated[str | None, WEIGHTS] = None,
    components: Annotated[str, COMPONENTS] = "1:9",
    covariance: Annotated[str, COVARIANCE] = "all",
    criterion: Annotated[Criterion, CRITERION] = Criterion.bic,
    distribution: Annotated[Distribution, DISTRIBUTION] = Distribution.gaussian,
    dof: Annotated[str | None, DOF] = None,
    noise: Annotated[bool, NOISE] = False,
    trim: Annotated[float, TRIM] = 0.0,
    prior: Annotated[Prior | None, PRIOR] = None,
    max_ratio: Annotated[float | None, MAX_RATIO] = None,
    output: Annotated[str | None, FOLDER] = None,
    form: Annotated[Form | None, FORM_LIKE_FILE] = None,
    figures: Annotated[bool, FIGURES] = True,
    seed: Annotated[int, SEED] = 0,
    jobs: Annotated[int | None, JOBS] = None,
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
    given |= {"components": _counts(components), "columns": tuple(columns or ())}
    if dof is not None and distribution is not Distribution.t:
        raise typer.BadParameter("--dof is of Student's t: add --distribution t")
    with answering():
        from mixtura import cli_fit

        try:
            given["covariance"] = cli_fit.family_names(covariance, bounded=max_ratio is not None)
            given["model"] = cli_fit.model_options(**{one: given.pop(one) for one in MODEL_OPTIONS})
        except MixturaError as error:
            raise typer.BadParameter(str(error)) from None
        cli_fit.fit(cli_fit.FitOptions(**given))


def assign(
    model: Annotated[str, MODEL],
    file: Annotated[str, FILE],
    identifier: Annotated[str | None, IDENTIFIER] = None,
    output: Annotated[str, OUTPUT] = "-",
    form: Annotated[Form | None, FORM] = None,
    allow_missing_columns: Annotated[bool, ABSENT] = False,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Label rows: component, responsibilities, uncertainty, log-density."""
    with answering():
        from mixtura import cli_model

        target = cli_model.Target(output, form and form.value, as_json, quiet)
        rows = cli_model.rows_for(model, file, identifier, allow_missing_columns)
        cli_model.assign(rows, target)


def score(
    model: Annotated[str, MODEL],
    file: Annotated[str, FILE],
    identifier: Annotated[str | None, IDENTIFIER] = None,
    allow_missing_columns: Annotated[bool, ABSENT] = False,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Tell how well a model describes rows, and which it likes least."""
    with answering():
        from mixtura import cli_model

        rows = cli_model.rows_for(model, file, identifier, allow_missing_columns)
        cli_model.score(rows, as_json=as_json, quiet=quiet)


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

        target = cli_model.Target(output, form and form.value, as_json, quiet)
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
    output: Annotated[str, OUTPUT] = "-",
    form: Annotated[Form | None, FORM] = None,
    allow_missing_columns: Annotated[bool, ABSENT] = False,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Fill gaps with what the model expects; other cells stay as they are."""
    with answering():
        from mixtura import cli_model

        target = cli_model.Target(output, form and form.value, as_json, quiet)
        cli_model.impute(cli_model.rows_for(model, file, None, allow_missing_columns), target)


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
        print(overview())
    elif name == "--version":
        print(f"mixtura {__version__}")
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
def answering() -> Iterator[None]:
    """Turn what goes wrong into a line on standard error and an exit code."""
    if os.environ.get("MIXTURA_DEBUG") == "1":
        yield
        return
    try:
        yield
        sys.stdout.flush()
    except (typer.BadParameter, typer.Exit):
        raise
    except KeyboardInterrupt:
        _fail("interrupted; files that were being written are as they were before", 130)
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except MixturaError as error:
        _fail(str(error), 1)
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
    app(list(arguments), prog_name=f"mixtura {name}")


def _fail(message: str, code: int) -> NoReturn:
    print(f"mixtura: {message}", file=sys.stderr)
    sys.exit(code)


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
