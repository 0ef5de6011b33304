"""Inputs and outcomes side by side, wherever they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks, _frames
from mixtura._errors import InputError
from mixtura.block import Block
from mixtura.estimators.gaussian_mixture import GaussianMixture
from mixtura.estimators.outcomes import outcomes
from mixtura.estimators.rows import Given, note_columns, rows_at_hand, source_of, source_to_fit
from mixtura.fit.select import threads
from mixtura.reading.scan import Scan, opened
from mixtura.source.opening import engine, module


@dataclass(frozen=True, eq=False)
class Joint:
    """Inputs and, in their last columns, outcomes.

    Attributes
    ----------
    given : Given
    outputs : int
        The number of outcomes.
    flat : bool
        Whether predictions are to have no axis of outcomes.
    names : of the columns, or None
    """

    given: Given
    outputs: int
    flat: bool
    names: tuple[str, ...] | None


def joint_to_fit(
    estimator: Any, model: GaussianMixture, X: Any, y: Any, sample_weight: Any
) -> Joint:
    """What a regressor's mixture is fitted to; the estimator notes the columns of the inputs.

    Raises
    ------
    InputError, InputTypeError
        What cannot be used as rows, outcomes or weights, or not together.
    """
    if engine(X) is None and _named(y) is None:
        return _at_hand(estimator, model, X, y, sample_weight)
    wide, last, flat = _by_name(X, y, sample_weight)
    given = source_to_fit(model, wide, sample_weight)
    note_columns(
        estimator, given.source.d - last, None if given.names is None else given.names[:-last]
    )
    return Joint(given, last, flat, given.names)


def _at_hand(estimator: Any, model: GaussianMixture, X: Any, y: Any, sample_weight: Any) -> Joint:
    """Of arrays and frames beside each other."""
    told = outcomes(y)
    _, read = rows_at_hand(estimator, X, sample_weight)
    rows, names = told.beside(read)
    note_columns(model, rows.shape[1], None)
    block = Block(*_checks.weighted(rows, read.weights))
    given = Given(rows, source_of(block, threads(model.n_jobs)), None)
    return Joint(given, told.rows.shape[1], told.flat, names)


def _named(y: Any) -> list[str] | None:
    """The columns that y names; None where it holds the outcomes themselves."""
    if isinstance(y, str):
        return [y]
    listed = list(y) if isinstance(y, (list, tuple)) else []
    return listed if listed and all(isinstance(name, str) for name in listed) else None


def _by_name(X: Any, y: Any, sample_weight: Any) -> tuple[Any, int, bool]:
    """X with the columns of y as its last ones, how many these are, and whether they are flat."""
    if y is None:
        raise InputError("a regressor requires y to be passed, but the target y is None")
    names, flat = _named(y), isinstance(y, str)
    if names is None:
        X, names, flat = _beside(X, y)
        if names is None:  # an array
            return X, 1 if flat else y.shape[1], flat
    X = opened(X) if engine(X) is None else X
    frame = None if engine(X) or isinstance(X, Scan) else _frames.frame(X)
    known = list(X.names()) if isinstance(X, Scan) else list(getattr(frame or X, "columns", []))
    missing = [name for name in names if name not in known]
    if missing and not (isinstance(X, Scan) and X.columns is not None):
        raise InputError(f"y names columns {missing}, and X has {known}: pass y as an array")
    weights = sample_weight if isinstance(sample_weight, str) else None
    inputs = [name for name in known if name not in (*names, weights)]
    if isinstance(X, Scan):
        return X.taking([*inputs, *names], weights), len(names), flat
    wanted = [*inputs, *names, *([] if weights is None else [weights])]
    if frame is not None:
        return frame.select(wanted).to_native(), len(names), flat
    return X.select(*wanted) if engine(X) == "pyspark" else X[wanted], len(names), flat


def _beside(X: Any, y: Any) -> tuple[Any, list[str] | None, bool]:
    if engine(X) == "pyspark":
        raise InputError("beside a Spark data frame y names one or several of its columns")
    wide, names = module("dask").beside(X, y)
    return wide, names, np.ndim(y) == 1
