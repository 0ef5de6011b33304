"""The command line's arguments and options, one by one. Nothing heavy is imported here."""

from __future__ import annotations

from enum import StrEnum

import typer


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


FILE = typer.Argument(
    metavar="FILE",
    help="CSV, TSV, Parquet, Arrow, .npy: a file, a folder, 'part-*.parquet', s3://bucket/folder; "
    "or an SQL query in quotes; - is standard input.",
)
MODEL = typer.Argument(metavar="MODEL", help="A model file written by 'mixtura fit'.")
OUTPUT = typer.Option("--output", "-o", metavar="FILE", help="Where to; the suffix says how.")
FORM = typer.Option("--format", help="Format of the table, whatever the file's suffix.")
IDENTIFIER = typer.Option("--id", metavar="COLUMN", help="Column that names the rows.")
ABSENT = typer.Option("--allow-missing-columns", help="Columns the file lacks count as missing.")
SEED = typer.Option("--seed", min=0, metavar="N", help="Seed of the random numbers.")
JSON = typer.Option("--json", help="One JSON object on standard output.")
QUIET = typer.Option("--quiet", "-q", help="No talk, only errors.")
COLUMNS = typer.Option(
    "--columns",
    "-c",
    metavar="NAMES",
    help="Columns to use: a,b or sepal* or ^id (all but id); may be repeated.",
)
WHERE = typer.Option(
    "--where", metavar="CONDITION", help="Only rows with 'year >= 2020'; may be repeated."
)
CACHE = typer.Option(
    "--cache", metavar="FOLDER", help="Where rows that are not held in memory are decoded to."
)
CHECKPOINT = typer.Option(
    "--checkpoint",
    metavar="FILE",
    help="Keeps the fit of one model, so that the same command goes on after whatever ended it.",
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
TOL = typer.Option(
    "--tol", min=0.0, metavar="GAIN", help="End where so many nats a row are estimated to remain."
)
MAX_ITER = typer.Option("--max-iter", min=1, metavar="N", help="End after so many steps.")
FOLDER = typer.Option(
    "--output",
    "-o",
    metavar="FOLDER",
    help="Where to write; FILE-mixture by default, - for assignments to standard output.",
)
FORM_LIKE_FILE = typer.Option("--format", help="Format of the assignments; by default FILE's.")
FIGURES = typer.Option("--figures/--no-figures", help="Draw figures.")
JOBS = typer.Option(
    "--jobs", "-j", metavar="N", help="Threads: models, or blocks of rows of one, side by side."
)
