"""What estimators share that have a `GaussianMixture` behind them."""

from __future__ import annotations

from typing import Any

from mixtura.estimators.gaussian_mixture import GaussianMixture
from mixtura.estimators.rows import Given, note_columns, source_to_fit
from mixtura.source.memory import one_blas_thread


def mixture_parameters(estimator: Any) -> dict[str, Any]:
    """Those of the estimator's parameters that `GaussianMixture` has, too."""
    known = GaussianMixture().get_params(deep=False)
    given = estimator.get_params(deep=False)
    return {name: value for name, value in given.items() if name in known}


def behind(estimator: Any, X: Any, sample_weight: Any = None) -> tuple[GaussianMixture, Given]:
    """The mixture behind an estimator, not fitted yet, and what it is to be fitted to.

    Raises
    ------
    InputError, InputTypeError
        What cannot be used as rows or weights.
    """
    model = GaussianMixture(**mixture_parameters(estimator))
    return model, source_to_fit(model, X, sample_weight)


def fit_behind(model: GaussianMixture, given: Given) -> GaussianMixture:
    """The mixture behind an estimator, fitted."""
    with one_blas_thread():
        return model._fit_given(given)


def take_over(estimator: Any, model: GaussianMixture) -> None:
    """Keep what was fitted, and what columns it was fitted to."""
    names = getattr(model, "feature_names_in_", None)
    note_columns(estimator, model.n_features_in_, None if names is None else tuple(names))
    keep_fit(estimator, model)


def keep_fit(estimator: Any, model: GaussianMixture) -> None:
    """Keep what was fitted alone."""
    estimator.mixture_, estimator.selection_ = model.mixture_, model.selection_
    estimator.covariance_type_ = model.covariance_type_
    estimator.converged_, estimator.n_iter_ = model.converged_, model.n_iter_
