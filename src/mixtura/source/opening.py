"""Which engine holds the rows of what a user hands in."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mixtura._errors import MissingDependency
from mixtura.source.remote import RemoteSource

_ENGINES = {"dask": "DaskPartitions", "pyspark": "SparkPartitions"}


def engine(X: Any) -> str | None:
    """ "dask" or "pyspark" where X is a collection of theirs; nothing is imported to know."""
    name = type(X).__module__.split(".")[0].replace("dask_expr", "dask")
    return name if name in _ENGINES else None


def remote(X: Any, sample_weight: Any = None, aside: Any = None) -> RemoteSource | None:
    """The source of rows in partitions, with what else is told of them; None for rows at hand.

    Raises
    ------
    InputError, InputTypeError
        What cannot be used as rows or weights.
    """
    name = engine(X)
    if name is None:
        return None
    home = module(name)
    return RemoteSource(getattr(home, _ENGINES[name])(X, sample_weight, aside))


def module(name: str) -> Any:
    """The file that asks for an engine."""
    try:
        return import_module(f"mixtura.source.{name.removeprefix('py')}")
    except ImportError as error:
        raise MissingDependency.of(name, extra=name.removeprefix("py")) from error
