"""What estimators share that have a `GaussianMixture` behind them."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import validate_data

from mixtura.estimators.gaussian_mixture import GaussianMixture


def mixture_parameters(estimator: Any) -> dict[str, Any]:
    """Those of the estimator's parameters that `GaussianMixture` has, too."""
    known = GaussianMixture().get_params(deep=False)
    given = estimator.get_params(deep=False)
    return {name: value for name, value in given.items() if name in known}


def take_over(estimator: Any, model: GaussianMixture, X: Any) -> None:
    """Keep what was fitted, and what columns it was fitted to."""
    validate_data(estimator, X, skip_check_array=True, reset=True)
    estimator.n_features_in_ = model.n_features_in_
    if hasattr(model, "feature_names_in_"):
        estimator.feature_names_in_ = model.feature_names_in_
    keep_fit(estimator, model)


def keep_fit(estimator: Any, model: GaussianMixture) -> None:
    """Keep what was fitted alone."""
    estimator.mixture_, estimator.selection_ = model.mixture_, model.selection_
    estimator.covariance_type_ = model.covariance_type_
    estimator.converged_, estimator.n_iter_ = model.converged_, model.n_iter_
