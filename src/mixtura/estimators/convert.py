"""From a mixture to scikit-learn's estimator."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura._types import Array
from mixtura.covariance import (
    Covariances,
    DiagonalCovariances,
    FactorCovariances,
    FullCovariances,
    SphericalCovariances,
    TiedCovariances,
    rule_of,
)
from mixtura.kernels.layout import DIAGONAL, FULL
from mixtura.mixture import Mixture

_NAMES = {
    FullCovariances: "full",
    TiedCovariances: "tied",
    DiagonalCovariances: "diag",
    SphericalCovariances: "spherical",
}


def covariance_name(structure: Covariances) -> str:
    """The name of the family whose structure it is."""
    if isinstance(structure, FactorCovariances):
        return rule_of(structure).name
    name = _NAMES[type(structure)]
    return "equal-spherical" if name == "spherical" and structure.shared else name


def plain(structure: Covariances) -> Covariances:
    """The structure as scikit-learn knows it: low-rank covariances are full ones."""
    if isinstance(structure, FactorCovariances):
        return FullCovariances(structure.dense())
    return structure


def laid_out(values: Array, structure: Covariances) -> Array:
    """Precisions or factors as scikit-learn lays them out: one (d, d) where they are shared."""
    return values[0] if isinstance(structure, TiedCovariances) else values


def rescaled(values: Array, structure: Covariances, scale: Array, power: int) -> Array:
    """Precisions (power 2) or factors (1) of the frame, in the data's units.

    ``P -> S P S`` and ``U -> S U`` for S = diag(scale): no covariance is inverted that may not be
    representable.
    """
    with np.errstate(over="ignore", under="ignore"):
        if structure.shape == FULL:
            rows = scale[:, None] * values
            return np.asarray(rows * scale if power == 2 else rows)
        return np.asarray(values * (scale if structure.shape == DIAGONAL else scale[0]) ** power)


def to_sklearn(mixture: Mixture) -> Any:
    """A fitted ``sklearn.mixture.GaussianMixture`` with the mixture's parameters."""
    from sklearn.mixture import GaussianMixture as SklearnMixture  # takes a second to load

    with np.errstate(over="ignore", under="ignore"):
        unframed = plain(mixture.unframed())
    structure, scale = plain(mixture.structure), mixture.frame.scale
    estimator = SklearnMixture(mixture.n_components, covariance_type=_NAMES[type(unframed)])
    estimator.weights_ = mixture.weights.copy()
    estimator.means_ = mixture.means.copy()
    estimator.covariances_ = np.array(unframed.array())
    estimator.precisions_ = np.array(
        laid_out(rescaled(structure.precisions, structure, scale, 2), unframed)
    )
    estimator.precisions_cholesky_ = np.array(
        laid_out(rescaled(structure.factors, structure, scale, 1), unframed)
    )
    estimator.converged_, estimator.n_iter_ = True, 0
    estimator.lower_bound_, estimator.lower_bounds_ = float("nan"), []
    estimator.n_features_in_ = mixture.n_features
    if mixture.feature_names is not None:
        estimator.feature_names_in_ = np.array(mixture.feature_names, dtype=object)
    return estimator
