"""scikit-learn shells: parameters in, a `Mixture` out; no arithmetic."""

from mixtura.estimators.gaussian_mixture import GaussianMixture
from mixtura.estimators.mixture_classifier import MixtureClassifier

__all__ = ["GaussianMixture", "MixtureClassifier"]
