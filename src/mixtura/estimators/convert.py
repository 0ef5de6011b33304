"""From a mixture to scikit-learn's estimator."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.covariance import Covariances, FactorCovariances, FullCovariances
from mixtura.kernels.layout import DIAGONAL, FULL
from mixtura.law import StudentT
from mixtura.mixture import Mixture

_KINDS = ("full", "diag", "spherical")
"""scikit-learn's names by the kernels' layout."""


def covariance_name(structure: Covariances) -> str:
    """The name of the family whose structure it is."""
    return structure.name


def outliers_of(mixture: Mixture) -> dict[str, Any]:
    """The parameters of an estimator that would fit a mixture of this law, with its noise."""
    law, noise = mixture.law, mixture.noise
    given: dict[str, Any] = {} if noise is None else {"noise": noise.share}
    if isinstance(law, StudentT):
        held = law.tie == "fixed" and bool((law.dof == law.dof[0]).all())
        tie = "own" if law.tie == "fixed" else law.tie
        given |= {"distribution": "t", "dof": float(law.dof[0]) if held else tie}
    return given


def plain(structure: Covariances) -> Covariances:
    """The structure as scikit-learn knows it: low-rank covariances are full ones."""
    if isinstance(structure, FactorCovariances):
        return FullCovariances(structure.dense())
    return structure


def refuse_unfitted(estimator: Any) -> None:
    """Refuse an estimator before its fit.

    Raises
    ------
    NotFittedError
    """
    from sklearn.utils.validation import check_is_fitted  # takes a second to load

    if hasattr(estimator, "fit"):
        check_is_fitted(estimator)


def laid_out(values: Array, structure: Covariances) -> Array:
    """Precisions or factors laid out as the covariances: once where they are shared."""
    return values[0] if structure.name in ("tied", "EEI") else values


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
    """A fitted ``sklearn.mixture.GaussianMixture`` with the mixture's parameters.

    Raises
    ------
    InputError
        Student's t components or noise, which scikit-learn does not have.
    """
    if not mixture.plain:
        raise InputError("scikit-learn has Gaussian components alone: no Student's t, no noise")
    from sklearn.mixture import GaussianMixture as SklearnMixture  # takes a second to load

    with np.errstate(over="ignore", under="ignore"):
        unframed = plain(mixture.unframed())
    structure, scale = plain(mixture.structure), mixture.frame.scale
    kind = "tied" if unframed.name == "tied" else _KINDS[unframed.shape]
    columns = unframed.variances_by_column
    array = columns if kind == "diag" else unframed.array()
    estimator = SklearnMixture(mixture.n_components, covariance_type=kind)
    estimator.weights_ = mixture.weights.copy()
    estimator.means_ = mixture.means.copy()
    estimator.covariances_ = np.array(array)
    one = 0 if kind == "tied" else slice(None)
    estimator.precisions_ = np.array(rescaled(structure.precisions, structure, scale, 2)[one])
    estimator.precisions_cholesky_ = np.array(rescaled(structure.factors, structure, scale, 1)[one])
    estimator.converged_, estimator.n_iter_ = True, 0
    estimator.lower_bound_, estimator.lower_bounds_ = float("nan"), []
    estimator.n_features_in_ = mixture.n_features
    if mixture.feature_names is not None:
        estimator.feature_names_in_ = np.array(mixture.feature_names, dtype=object)
    return estimator
