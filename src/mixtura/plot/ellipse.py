"""The curve that holds a stated share of a Gaussian."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

from mixtura._types import Array

CORNERS = 181


def radius(probability: float, d: int) -> float:
    """Mahalanobis radius of the ball that holds `probability` of a Gaussian in d dimensions.

    Examples
    --------
    >>> from mixtura.plot.ellipse import radius
    >>> round(radius(0.95, 1), 2), round(radius(0.95, 2), 2)
    (1.96, 2.45)
    """
    return float(np.sqrt(chi2.ppf(probability, d)))


def outline(mean: Array, covariance: Array, radius: float) -> Array:
    """Points (181, 2) of the ellipse; a segment or a point where the covariance is singular.

    The axes come from the correlation matrix, so that units 1e-8 and 1e9 do no harm.
    """
    spread = np.sqrt(np.clip(np.diagonal(covariance), 0.0, None))
    unit = np.where(spread > 0, spread, 1.0)
    values, vectors = np.linalg.eigh(covariance / unit[:, None] / unit)
    angles = np.linspace(0.0, 2.0 * np.pi, CORNERS)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    reach = circle * np.sqrt(np.clip(values, 0.0, None)) @ vectors.T
    return np.asarray(mean) + radius * reach * unit
