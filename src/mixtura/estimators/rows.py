"""New rows for a fitted estimator."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted, validate_data

from mixtura import _checks
from mixtura._types import Rows


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
    X = _checks.eager(X)
    read = _checks.table(X)
    validate_data(estimator, X, skip_check_array=True, reset=False)
    return _checks.rows_like(read.rows, estimator.n_features_in_)
