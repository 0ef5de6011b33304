"""What keeps covariances sound: a floor on eigenvalues, their ratio, or a ridge on diagonals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtura._types import Array
from mixtura.kernels.plain_forms import Bounds, truncated

FLOOR = 1e-12
"""Smallest variance allowed, relative to that of the data's columns."""

EXACT_FEATURES = 32
"""Above, an eigendecomposition a step costs more than its exactness is worth."""


@dataclass(frozen=True)
class Guard:
    """The bounds of a fit, in frame coordinates.

    Attributes
    ----------
    ridge : (d,)
        Added to the variances, as scikit-learn's ``reg_covar``; zeros by default.
    floor : float
        Smallest eigenvalue. Clipping the eigenvalues of a scatter matrix at a bound maximises the
        Gaussian likelihood under that bound, so the climb stays monotone.
    ratio : float or None
        Largest eigenvalue of all components over the smallest, at most (Fritz, García-Escudero &
        Mayo-Iscar 2013); None leaves it free.
    """

    ridge: Array
    floor: float = FLOOR
    ratio: float | None = None

    @classmethod
    def of(cls, features: int) -> Guard:
        """The default guard: the scale-free floor alone."""
        return cls(np.zeros(features))

    @property
    def bounds(self) -> Bounds:
        """The bounds on eigenvalues, for the kernels."""
        return Bounds(self.floor, np.inf if self.ratio is None else self.ratio)

    def ridged(self, covariances: Array) -> Array:
        """(m, d, d) covariances, to which the ridge is added in place, or (m, d) variances."""
        if covariances.ndim == 2:
            return np.asarray(covariances + self.ridge)
        if not self.ridge.any():
            return covariances
        d = covariances.shape[1]
        covariances[:, np.arange(d), np.arange(d)] += self.ridge
        return covariances

    def matrices(self, covariances: Array, dof: Array) -> tuple[Array, Array | None]:
        """Bounded (m, d, d) covariances; their weights (m,) matter where the ratio is bound.

        Those that are given may be written to. With them their Cholesky factors, where these are
        known.
        """
        bounded = self.ridged(covariances)
        if self.ratio is not None:
            values, vectors = np.linalg.eigh(bounded)
            values = truncated(values, dof, self.bounds)
            bounded = (vectors * values[:, None, :]) @ vectors.swapaxes(1, 2)
            return np.asarray((bounded + bounded.swapaxes(1, 2)) / 2), None
        return self.definite(bounded)

    def definite(self, covariances: Array) -> tuple[Array, Array | None]:
        """(m, d, d) covariances whose eigenvalues keep off the floor and above rounding.

        With them their Cholesky factors, where these are known.
        """
        lower: Array | None = None
        try:
            lower = np.linalg.cholesky(covariances)
            pivots = lower.diagonal(axis1=1, axis2=2) ** 2
            if pivots.min() >= 4.0 * self.floor:
                return covariances, lower
            thin = pivots.min(axis=1) < 4.0 * self.floor
        except np.linalg.LinAlgError:
            thin = np.array([self._fails(one) for one in covariances])
        needy = np.flatnonzero(thin)
        covariances = np.array(covariances)
        covariances[needy] = [self._lifted(one) for one in covariances[needy]]
        return covariances, None

    def variances(self, variances: Array, dof: Array) -> Array:
        """Bounded (m, d) variances."""
        return truncated(self.ridged(variances), dof, self.bounds)

    def common(self, variances: Array, dof: Array) -> Array:
        """Bounded variances (m,), one for all columns."""
        ridge = self.ridge.mean() if len(self.ridge) else 0.0
        return truncated((variances + ridge)[:, None], dof, self.bounds)[:, 0]

    def _fails(self, covariance: Array) -> bool:
        try:
            return bool((np.linalg.cholesky(covariance).diagonal() ** 2).min() < 4.0 * self.floor)
        except np.linalg.LinAlgError:
            return True

    def _lifted(self, covariance: Array) -> Array:
        d = len(covariance)
        if d > EXACT_FEATURES:
            lift = self.floor + 4 * d * np.finfo(float).eps * np.trace(covariance) / d
            return np.asarray(covariance + lift * np.eye(d))
        values, vectors = np.linalg.eigh(covariance)
        lowest = max(self.floor, 8 * d * np.finfo(float).eps * values[-1])
        lifted = (vectors * np.maximum(values, lowest)) @ vectors.T
        return np.asarray((lifted + lifted.T) / 2)
