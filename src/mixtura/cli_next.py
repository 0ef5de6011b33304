"""What to do after a fit: commands to copy, and the way to many machines."""

from __future__ import annotations

import glob
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mixtura.cli_facts import Facts
from mixtura.cli_progress import Pace
from mixtura.reading.scan import is_array_file
from mixtura.reading.sql import is_query
from mixtura.reading.uri import shown

SLOW = 5.0
"""Seconds of one pass over the rows from which other machines are worth a thought."""

MANY = 100_000_000
"""Rows from which they are."""

_TEXT = (".csv", ".tsv", ".txt")


class Asked(Protocol):
    """What a command line says of a fit."""

    @property
    def file(self) -> str:
        """What was read."""

    @property
    def model(self) -> Mapping[str, Any]:
        """What was fitted besides Gaussian components."""

    @property
    def weights(self) -> str | None:
        """The column of the rows' weights."""

    @property
    def where(self) -> tuple[str, ...]:
        """Conditions on the rows."""

    @property
    def seed(self) -> int:
        """Of the random numbers."""


def default_folder(file: str) -> str:
    """Where a fit is written that is not told where.

    Examples
    --------
    >>> [default_folder(file) for file in ("a/b.csv.gz", "-", "parts/*.parquet", "s3://x/y/")]
    ['b-mixture', 'stdin-mixture', 'parts-mixture', 'y-mixture']
    >>> default_folder("select x from t")
    'query-mixture'
    """
    if file == "-" or is_query(file):
        return "stdin-mixture" if file == "-" else "query-mixture"
    path = Path(file)
    while glob.has_magic(path.name):
        path = path.parent
    name = path.resolve().name if path.name in ("", "..") else path.name
    return f"{name.split('.')[0] or 'rows'}-mixture"


def following(known: Facts, model: str, options: Asked, pace: Pace) -> list[tuple[str, str]]:
    """What each next command does, and the command."""
    model, file = shlex.quote(model), shlex.quote(shown(options.file))
    read = "".join(f" --where {shlex.quote(one)}" for one in options.where)
    if any(known["data"]["missing"].values()) and options.file != "-":
        second = ("fill the gaps", f"mixtura impute {model} {file}{read} > filled.csv")
    else:
        second = ("draw new rows", f"mixtura sample {model} -n 1000 > drawn.csv")
    if options.file == "-":
        return [("see the model again", f"mixtura show {model}"), second]
    first = ("label these rows, or new ones", f"mixtura assign {model} {file}{read}")
    rows, seconds = known["data"]["rows"], pace.seconds
    if rows >= MANY or (not math.isnan(seconds) and seconds >= SLOW):
        return [first, second, _on_a_cluster(known, options, seconds)]
    return [first, second]


def _on_a_cluster(known: Facts, options: Asked, seconds: float) -> tuple[str, str]:
    """The same model, fitted where the rows are spread over machines."""
    columns, choice = known["data"]["columns"], known["choice"]
    wanted = columns + ([options.weights] if options.weights else [])
    told = "".join(f", {name}={value!r}" for name, value in options.model.items())
    weights = f", sample_weight={options.weights!r}" if options.weights else ""
    why = "" if math.isnan(seconds) else f", as a step took {seconds:.0f} s"
    return (
        f"on many machines, in Python{why}; Spark data frames go as well (docs: Rows on many "
        "machines)",
        "import dask.dataframe as dd; from mixtura import GaussianMixture\n"
        f"rows = {_read(shown(options.file))}[{wanted!r}].persist()\n"
        f"GaussianMixture({choice['components']}, covariance_type={choice['covariance']!r}"
        f"{told}, random_state={options.seed}).fit(rows{weights}).save('model.mixtura')",
    )


def _read(file: str) -> str:
    if is_query(file) or is_array_file(file):
        return "dd.read_parquet('parts/*.parquet')"
    return f"dd.read_csv({file!r})" if file.endswith(_TEXT) else f"dd.read_parquet({file!r})"
