"""New rows for a fitted estimator."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted, validate_data

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Rows
from mixtura.block import Block
from mixtura.fit.measured import UNABLE, measured


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


def measured_like_fitted(estimator: Any, X: Any, noise_cov: Any, projection: Any) -> Block:
    """Rows with their measurement errors, for a mixture of what was measured.

    Raises
    ------
    InputError
        Noise or projections that cannot be used, or a fit that knows nothing of them.
    """
    check_is_fitted(estimator, "mixture_")
    if noise_cov is None and projection is None:
        return Block(rows_like_fitted(estimator, X))
    if not estimator.mixture_.plain or estimator.cut_ is not None:
        raise InputError(UNABLE)
    if projection is None:
        return measured(rows_like_fitted(estimator, X), None, noise_cov, None)
    block = measured(_checks.table(_checks.eager(X)).rows, None, noise_cov, projection)
    if block.rows.shape[1] != estimator.n_features_in_:
        raise InputError(
            f"projection makes rows from {block.rows.shape[1]} features, and the mixture has "
            f"{estimator.n_features_in_}: its last axis must have that length"
        )
    return block
