"""Rows for an estimator: those to be fitted, and new ones for the fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from mixtura import _checks, kernels
from mixtura._errors import InputError, InputTypeError
from mixtura._types import Array, Rows
from mixtura.block import Block
from mixtura.estimators.partitioned import note_columns
from mixtura.fit.select import threads
from mixtura.reading.scan import Scan, opened
from mixtura.source import DeviceSource, MemorySource, Source
from mixtura.source.opening import remote


def source_to_fit(
    estimator: Any, X: Any, sample_weight: Any
) -> tuple[Any, Source, tuple[str, ...] | None]:
    """X as it is to be used from here on, its rows wherever they are, and their columns' names.

    Raises
    ------
    InputError, InputTypeError
        What cannot be used as rows or weights.
    """
    apart = remote(X, sample_weight)
    if apart is not None:
        note_columns(estimator, apart)
        return X, apart, apart.names
    X, read = rows_to_fit(estimator, X)
    return X, source_of(read, sample_weight, threads(estimator.n_jobs)), read.names


def rows_to_fit(estimator: Any, X: Any) -> tuple[Any, _checks.Table]:
    """X as it is to be used from here on, and its rows; the estimator notes their columns.

    Raises
    ------
    InputError, InputTypeError
        What cannot be used as rows.
    """
    X = opened(X)
    read = _checks.Table(_tensor(X), None) if kernels.on_device(X) else _checks.table(X)
    validate_data(estimator, _plain(X), skip_check_array=True, reset=True)
    estimator.n_features_in_ = read.rows.shape[1]
    if read.names is not None:
        estimator.feature_names_in_ = np.array(read.names, dtype=object)
    return X, read


def source_of(read: _checks.Table, sample_weight: Any, threads: int) -> Source:
    """Where the rows lie, with their weights."""
    weights = read.weights if sample_weight is None else sample_weight
    if kernels.on_device(read.rows):
        return DeviceSource(read.rows, _checks.row_weights(weights, len(read.rows)))
    return MemorySource(*_checks.weighted(read.rows, weights), threads=threads)


def each_of(rows: Rows, threads: int, function: Callable[[Block, slice], object]) -> None:
    """``function(block, place)`` of blocks of rows, where these lie."""
    source = DeviceSource(rows) if kernels.on_device(rows) else MemorySource(rows, threads=threads)
    source.each(function)


def answered(X: Any, values: Array) -> Any:
    """What is said of rows, as a tensor beside them if they are one."""
    return kernels.of(X).like(X, values) if kernels.on_device(X) else values


def rows_like_fitted(estimator: Any, X: Any, attribute: str = "mixture_") -> Rows:
    """Rows with the columns that the estimator was fitted to.

    Raises
    ------
    NotFittedError
        The estimator lacks the attribute that its fit leaves.
    InputError, InputTypeError
        Other columns, or what cannot be used as rows.
    """
    check_is_fitted(estimator, attribute)
    X = opened(X)
    if kernels.on_device(X):
        validate_data(estimator, _tensor(X), skip_check_array=True, reset=False)
        return X
    if isinstance(X, Scan):
        return _checks.rows_like(_with_columns(estimator, X), estimator.n_features_in_)
    read = _checks.table(X)
    validate_data(estimator, X, skip_check_array=True, reset=False)
    return _checks.rows_like(read.rows, estimator.n_features_in_)


def _tensor(X: Any) -> Any:
    """A tensor of rows, as it is.

    Raises
    ------
    InputError, InputTypeError
        Not of shape (n, d), or not of floats.
    """
    if len(X.shape) != 2 or 0 in X.shape:
        raise InputError(f"the tensor has shape {tuple(X.shape)}: (n, d) is needed")
    if str(X.dtype).split(".")[-1] not in ("float32", "float64"):
        raise InputTypeError(f"the tensor holds {X.dtype}: convert it, X.float() or X.double()")
    return X


def _plain(X: Any) -> Any:
    """What scikit-learn may look at."""
    return X.table.rows if isinstance(X, Scan) else X


def _with_columns(estimator: Any, X: Scan) -> Scan:
    """The scan of the columns by the names that the estimator was fitted to."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or X.table.names in (None, tuple(names)):
        return X
    return replace(X, columns=tuple(names))
