"""Gaussian mixtures: soft clusters, densities, missing values, weights and labels."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Bootstrap": "mixtura.inference.bootstrap",
    "Candidate": "mixtura.fit.select",
    "Comparison": "mixtura.inference.comparison",
    "Conjugate": "mixtura.prior",
    "DegenerateWarning": "mixtura._errors",
    "DensityEstimator": "mixtura.estimators.density",
    "Directions": "mixtura.inference.directions",
    "Estimate": "mixtura.operations.estimate",
    "Factor": "mixtura.covariance",
    "GaussianMixture": "mixtura.estimators",
    "InputError": "mixtura._errors",
    "InputTypeError": "mixtura._errors",
    "Intervals": "mixtura.inference.intervals",
    "MissingDependency": "mixtura._errors",
    "MixturaError": "mixtura._errors",
    "MixturaWarning": "mixtura._errors",
    "Mixture": "mixtura.mixture",
    "MixtureClassifier": "mixtura.estimators",
    "MixtureImputer": "mixtura.estimators.mixture_imputer",
    "MixtureOutlierDetector": "mixtura.estimators.mixture_outlier_detector",
    "ModelFileError": "mixtura._errors",
    "Noise": "mixtura.noise",
    "RatioTest": "mixtura.inference.ratio_test",
    "Selection": "mixtura.fit.select",
    "StandardErrors": "mixtura.inference.standard_errors",
    "StartsDisagreeWarning": "mixtura._errors",
    "StudentT": "mixtura.law",
    "Summary": "mixtura.inference.summary",
    "Tree": "mixtura.fit.hierarchical",
    "align": "mixtura.inference.alignment",
    "bootstrap": "mixtura.inference.bootstrap",
    "calibration": "mixtura.operations.calibration",
    "compare": "mixtura.inference.comparison",
    "confidence_intervals": "mixtura.inference.standard_errors",
    "divergence": "mixtura.divergence",
    "hierarchical": "mixtura.fit.hierarchical",
    "highest_density_region": "mixtura.operations.region",
    "likelihood_ratio_test": "mixtura.inference.ratio_test",
    "load": "mixtura.io.model_file",
    "load_metadata": "mixtura.io.model_file",
    "merge": "mixtura.operations.merge",
    "metrics": "mixtura.metrics",
    "modal_clusters": "mixtura.operations.modes",
    "modes": "mixtura.operations.modes",
    "plot": "mixtura.plot",
    "save": "mixtura.io.model_file",
    "select": "mixtura.fit.select",
    "separating_directions": "mixtura.inference.directions",
    "standard_errors": "mixtura.inference.standard_errors",
    "summary": "mixtura.inference.summary",
}

__all__ = [
    "Bootstrap",
    "Candidate",
    "Comparison",
    "Conjugate",
    "DegenerateWarning",
    "DensityEstimator",
    "Directions",
    "Estimate",
    "Factor",
    "GaussianMixture",
    "InputError",
    "InputTypeError",
    "Intervals",
    "MissingDependency",
    "MixturaError",
    "MixturaWarning",
    "Mixture",
    "MixtureClassifier",
    "MixtureImputer",
    "MixtureOutlierDetector",
    "ModelFileError",
    "Noise",
    "RatioTest",
    "Selection",
    "StandardErrors",
    "StartsDisagreeWarning",
    "StudentT",
    "Summary",
    "Tree",
    "align",
    "bootstrap",
    "calibration",
    "compare",
    "confidence_intervals",
    "divergence",
    "hierarchical",
    "highest_density_region",
    "likelihood_ratio_test",
    "load",
    "load_metadata",
    "merge",
    "metrics",
    "modal_clusters",
    "modes",
    "plot",
    "save",
    "select",
    "separating_directions",
    "standard_errors",
    "summary",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load a public name on first touch, so that `import mixtura` is quick."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'mixtura' has no attribute {name!r}")
    module = import_module(home)
    return module if home == f"mixtura.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
