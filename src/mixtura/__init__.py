"""Gaussian mixtures: soft clusters, densities, missing values, weights and labels."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Candidate": "mixtura.fit.select",
    "Conjugate": "mixtura.prior",
    "DegenerateWarning": "mixtura._errors",
    "DensityEstimator": "mixtura.estimators.density",
    "GaussianMixture": "mixtura.estimators",
    "InputError": "mixtura._errors",
    "InputTypeError": "mixtura._errors",
    "MissingDependency": "mixtura._errors",
    "MixturaError": "mixtura._errors",
    "MixturaWarning": "mixtura._errors",
    "Mixture": "mixtura.mixture",
    "ModelFileError": "mixtura._errors",
    "Noise": "mixtura.noise",
    "Selection": "mixtura.fit.select",
    "StartsDisagreeWarning": "mixtura._errors",
    "StudentT": "mixtura.law",
    "load": "mixtura.io.model_file",
    "load_metadata": "mixtura.io.model_file",
    "plot": "mixtura.plot",
    "save": "mixtura.io.model_file",
    "select": "mixtura.fit.select",
}

__all__ = [
    "Candidate",
    "Conjugate",
    "DegenerateWarning",
    "DensityEstimator",
    "GaussianMixture",
    "InputError",
    "InputTypeError",
    "MissingDependency",
    "MixturaError",
    "MixturaWarning",
    "Mixture",
    "ModelFileError",
    "Noise",
    "Selection",
    "StartsDisagreeWarning",
    "StudentT",
    "load",
    "load_metadata",
    "plot",
    "save",
    "select",
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
