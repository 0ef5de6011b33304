"""From a mixture to scikit-learn's estimator."""

from __future__ import annotations

import numpy as np
from sklearn.mixture import GaussianMixture as SklearnMixture

from mixtura._types import Array
from mixtura.covariance import (
    Covariances,
    DiagonalCovariances,
    FullCovariances,
    SphericalCovariances,
    TiedCovariances,
)
from mixtura.mixture import Mixture

_NAMES = {
    FullCovariances: "full",
    TiedCovariances: "tied",
    DiagonalCovariances: "diag",
    SphericalCovariances: "spherical",
}


def covariance_name(structure: Covariances) -> str:
    """scikit-learn's name for a structure."""
    return _NAMES[type(structure)]


def laid_out(values: Array, structure: Covariances) -> Array:
    """Precisions or factors as scikit-learn lays them out: one (d, d) where they are shared."""
    return values[0] if isinstance(structure, TiedCovariances) else values


def to_sklearn(mixture: Mixture) -> SklearnMixture:
    """A fitted ``sklearn.mixture.GaussianMixture`` with the mixture's parameters."""
    structure = mixture.unframed()
    estimator = SklearnMixture(mixture.n_components, covariance_type=covariance_name(structure))
    estimator.weights_ = mixture.weights.copy()
    estimator.means_ = mixture.means.copy()
    estimator.covariances_ = np.array(structure.array())
    estimator.precisions_ = np.array(laid_out(structure.precisions, structure))
    estimator.precisions_cholesky_ = np.array(laid_out(structure.factors, structure))
    estimator.converged_, estimator.n_iter_ = True, 0
    estimator.lower_bound_, estimator.lower_bounds_ = float("nan"), []
    estimator.n_features_in_ = mixture.n_features
    if mixture.feature_names is not None:
        estimator.feature_names_in_ = np.array(mixture.feature_names, dtype=object)
    return estimator
