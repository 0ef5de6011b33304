"""Rows for an estimator: those to be fitted, and new ones for the fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from mixtura import _checks
from mixtura._types import Rows
from mixtura.reading.scan import Scan, opened


def rows_to_fit(estimator: Any, X: Any) -> tuple[Any, _checks.Table]:
    """X as it is to be used from here on, and its rows; the estimator notes their columns.

    Raises
    ------
    InputError, InputTypeError
        What cannot be used as rows.
    """
    X = opened(X)
    read = _checks.table(X)
    validate_data(estimator, _plain(X), skip_check_array=True, reset=True)
    estimator.n_features_in_ = read.rows.shape[1]
    if read.names is not None:
        estimator.feature_names_in_ = np.array(read.names, dtype=object)
    return X, read


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
    if isinstance(X, Scan):
        return _checks.rows_like(_with_columns(estimator, X), estimator.n_features_in_)
    read = _checks.table(X)
    validate_data(estimator, X, skip_check_array=True, reset=False)
    return _checks.rows_like(read.rows, estimator.n_features_in_)


def _plain(X: Any) -> Any:
    """What scikit-learn may look at."""
    return X.table.rows if isinstance(X, Scan) else X


def _with_columns(estimator: Any, X: Scan) -> Scan:
    """The scan of the columns by the names that the estimator was fitted to."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or X.table.names in (None, tuple(names)):
        return X
    return replace(X, columns=tuple(names))
