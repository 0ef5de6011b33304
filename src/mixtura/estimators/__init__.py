"""scikit-learn shells: parameters in, a `Mixture` out; no arithmetic."""

from mixtura.estimators.gaussian_mixture import GaussianMixture

__all__ = ["GaussianMixture"]
