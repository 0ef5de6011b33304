"""Gaussian mixtures: soft clusters, densities, missing values, weights and labels."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Bootstrap": "mixtura.inference.bootstrap",
    "Candidate": "mixtura.fit.select",
    "Conjugate": "mixtura.prior",
    "DegenerateWarning": "mixtura._errors",
    "DensityEstimator": "mixtura.estimators.density",
    "Directions": "mixtura.inference.directions",
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
    "Mixtures": "mixtura.operations.mixtures",
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
    "confidence_intervals": "mixtura.inference.standard_errors",
    "entropy_bounds": "mixtura.operations.entropy",
    "hierarchical": "mixtura.fit.hierarchical",
    "highest_density_region": "mixtura.operations.region",
    "level_set": "mixtura.operations.region",
    "likelihood_ratio_test": "mixtura.inference.ratio_test",
    "load": "mixtura.io.model_file",
    "load_metadata": "mixtura.io.model_file",
    "log_inner_product": "mixtura.operations.algebra",
    "merge": "mixtura.operations.merge",
    "modal_clusters": "mixtura.operations.modes",
    "modes": "mixtura.operations.modes",
    "overlap": "mixtura.operations.overlap",
    "plot": "mixtura.plot",
    "pool": "mixtura.operations.algebra",
    "prune": "mixtura.operations.reduction",
    "reduce": "mixtura.operations.reduction",
    "save": "mixtura.io.model_file",
    "select": "mixtura.fit.select",
    "separating_directions": "mixtura.inference.directions",
    "standard_errors": "mixtura.inference.standard_errors",
    "summary": "mixtura.inference.summary",
}

__all__ = [
    "Bootstrap",
    "Candidate",
    "Conjugate",
    "DegenerateWarning",
    "DensityEstimator",
    "Directions",
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
    "Mixtures",
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
    "confidence_intervals",
    "entropy_bounds",
    "hierarchical",
    "highest_density_region",
    "level_set",
    "likelihood_ratio_test",
    "load",
    "load_metadata",
    "log_inner_product",
    "merge",
    "modal_clusters",
    "modes",
    "overlap",
    "plot",
    "pool",
    "prune",
    "reduce",
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
