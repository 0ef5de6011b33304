"""Rows for an estimator: those to be fitted, and new ones for the fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from mixtura import _checks, kernels
from mixtura._errors import InputError, InputTypeError
from mixtura._types import Array, Rows
from mixtura.block import Block
from mixtura.estimators import parameters
from mixtura.fit.apart import refuse_told
from mixtura.fit.measured import UNABLE
from mixtura.fit.select import threads
from mixtura.fit.told import Told, known, seen
from mixtura.reading.naming import taken
from mixtura.reading.scan import Scan, opened
from mixtura.source import DeviceSource, MemorySource, Source
from mixtura.source.opening import remote


@dataclass(frozen=True, eq=False)
class Given:
    """What an estimator is fitted to.

    Attributes
    ----------
    X : as it is to be used from here on
    source : the rows with their weights, and labels aside, wherever they are
    names : of the columns, or None
    """

    X: Any
    source: Source
    names: tuple[str, ...] | None


def source_to_fit(
    estimator: Any,
    X: Any,
    sample_weight: Any = None,
    said: dict[str, Any] | None = None,
    labels: Any = None,
) -> Given:
    """Rows, weights and labels, wherever they are; the estimator notes the columns.

    The one door for all estimators. Weights and labels are arrays beside X, or columns by name.

    Raises
    ------
    InputError, InputTypeError
        What cannot be used as rows or weights, or be said of rows in partitions.
    """
    said = said or {}
    apart = remote(X, sample_weight, labels)
    if apart is not None:
        refuse_told(Told(**said, box=parameters.truncation(estimator, apart.d)))
        note_columns(estimator, apart.d, apart.names)
        return Given(X, apart, apart.names)
    X, read = rows_to_fit(estimator, X, sample_weight, labels)
    told = Told(**said, box=parameters.truncation(estimator, estimator.n_features_in_))
    source = source_of(block_to_fit(estimator, read, told), threads(estimator.n_jobs))
    names = read.names if told.projection is None else None
    note_columns(estimator, source.d, names)
    return Given(X, source, names)


def rows_at_hand(
    estimator: Any, X: Any, sample_weight: Any = None, labels: Any = None
) -> tuple[Any, _checks.Table]:
    """X as it is to be used from here on, and its rows as an array of this process.

    Rows of partitions are brought here: into memory while they are few, else into a file that is
    mapped.

    Raises
    ------
    InputError, InputTypeError
        What cannot be used as rows or weights, or has no room here.
    """
    apart = remote(X, sample_weight, labels)
    if apart is None:
        X, read = rows_to_fit(estimator, X, sample_weight, labels)
        return X, replace(read, rows=_here(read.rows))
    note_columns(estimator, apart.d, apart.names)
    block = apart.brought()
    return X, _checks.Table(block.rows, apart.names, block.weights, block.aside)


def rows_to_fit(
    estimator: Any, X: Any, sample_weight: Any = None, labels: Any = None
) -> tuple[Any, _checks.Table]:
    """X as it is to be used from here on, and its rows, weights and labels as they are given.

    Raises
    ------
    InputError, InputTypeError
        What cannot be used as rows.
    """
    X, sample_weight, labels = taken(opened(X), sample_weight, labels)
    read = _checks.Table(_tensor(X), None) if kernels.on_device(X) else _checks.table(X)
    validate_data(estimator, _plain(X), skip_check_array=True, reset=True)
    note_columns(estimator, read.rows.shape[1], read.names)
    rows = read.rows if labels is None else _here(read.rows)
    weights = read.weights if sample_weight is None else sample_weight
    aside = read.aside if labels is None else labels
    return X, replace(read, rows=rows, weights=weights, aside=aside)


def _here(rows: Any) -> Rows:
    """Rows as an array of this process's memory."""
    return kernels.of(rows).brought(rows, slice(None)) if kernels.on_device(rows) else rows


def block_to_fit(estimator: Any, read: _checks.Table, told: Told) -> Block:
    """The rows to fit with their weights and all that is said of them.

    Raises
    ------
    InputError
        What cannot be used, or not together.
    """
    if not kernels.on_device(read.rows):
        return known(read.rows, read.weights, told, parameters.outliers(estimator), read.aside)
    _check_bare(told)
    return Block.without_gaps(read.rows, _checks.row_weights(read.weights, len(read.rows)))


def source_of(block: Block, threads: int) -> MemorySource | DeviceSource:
    """Where the rows of a block lie."""
    if kernels.on_device(block.rows):
        return DeviceSource(block.rows, block.weights)
    return MemorySource.of(block, threads)


def _check_bare(told: Told) -> None:
    if told.blurred or told.bounded:
        raise InputError(
            "truncation, limits and measurement errors need rows in memory: pass X.cpu().numpy()"
        )


def answered(X: Any, values: Array) -> Any:
    """What is said of rows, as a tensor beside them if they are one."""
    return kernels.of(X).like(X, values) if kernels.on_device(X) else values


def note_columns(estimator: Any, d: int, names: tuple[str, ...] | None) -> None:
    """Note what the columns of the mixture are."""
    estimator.n_features_in_ = d
    estimator.__dict__.pop("feature_names_in_", None)
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)


def rows_to_go_on(estimator: Any, X: Any) -> _checks.Table:
    """More rows for an estimator that has noted its columns, with the weights of a scan.

    Raises
    ------
    InputError, InputTypeError
        Other columns, or what cannot be used as rows.
    """
    X = opened(X)
    rows = rows_like_fitted(estimator, X, "n_features_in_")
    return _checks.Table(rows, None, X.table.weights if isinstance(X, Scan) else None)


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
        validate_data(estimator, X, skip_check_array=True, reset=False)
        return _tensor(X)
    if isinstance(X, Scan):
        return _checks.rows_like(_with_columns(estimator, X), estimator.n_features_in_)
    read = _checks.table(X)
    validate_data(estimator, X, skip_check_array=True, reset=False)
    return _checks.rows_like(read.rows, estimator.n_features_in_)


def rows_here(estimator: Any, X: Any, attribute: str = "mixture_") -> Rows:
    """The same as an array of this process's memory, wherever they lie."""
    return _here(rows_like_fitted(estimator, X, attribute))


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
    if kernels.of(X).finite(X):
        return X
    rows = _here(X)  # gaps are worked out here
    _checks.refuse_infinite(rows, None)
    return rows


def block_like_fitted(estimator: Any, X: Any, told: Told) -> Block:
    """Rows for the fitted mixture with all that is said of them.

    Raises
    ------
    InputError
        Noise, projections or limits that cannot be used, or a fit that knows nothing of them.
    """
    check_is_fitted(estimator, "mixture_")
    if told.blurred and not (estimator.mixture_.plain and estimator.cut_ is None):
        raise InputError(UNABLE)
    if told.projection is None:
        rows = rows_like_fitted(estimator, X)
        if not kernels.on_device(rows):
            return seen(rows, told)
        _check_bare(told)
        return Block.without_gaps(rows)
    block = seen(_checks.table(opened(X)).rows, told)
    if block.rows.shape[1] != estimator.n_features_in_:
        raise InputError(
            f"projection makes rows from {block.rows.shape[1]} features, and the mixture has "
            f"{estimator.n_features_in_}: its last axis must have that length"
        )
    return block


def _plain(X: Any) -> Any:
    """What scikit-learn may look at."""
    return X.table.rows if isinstance(X, Scan) else X


def _with_columns(estimator: Any, X: Scan) -> Scan:
    """The scan of the columns by the names that the estimator was fitted to."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return X
    if not X.named:
        _checks.same_columns(X.table.names, names)
        return X
    return X if X.names() == tuple(names) else X.taking(tuple(names))
