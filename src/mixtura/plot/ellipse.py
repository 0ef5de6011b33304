"""The curve that holds a stated share of a Gaussian.

Drawn in frame coordinates and carried to the units of the data: a square of 1e300 has no number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2

from mixtura._types import Array

if TYPE_CHECKING:
    from mixtura.mixture import Mixture

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
    """Points (181, d) of an ellipse, or of an interval; d is 2 or 1.

    Where the covariance is singular, a segment or a point.
    """
    spread = np.sqrt(np.clip(np.diagonal(covariance), 0.0, None))
    unit = np.where(spread > 0, spread, 1.0)
    values, vectors = np.linalg.eigh(covariance / unit[:, None] / unit)
    angles = np.linspace(0.0, 2.0 * np.pi, CORNERS)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])[:, : len(values)]
    reach = circle * np.sqrt(np.clip(values, 0.0, None)) @ vectors.T
    return np.asarray(mean) + radius * reach * unit


def outlines(mixture: Mixture, probability: float) -> Array:
    """The curves (k, 181, d) that hold a probability of each component, in the data's units."""
    reach = radius(probability, mixture.n_features)
    pairs = zip(mixture.location, mixture.structure.dense(), strict=True)
    curves = np.stack([outline(mean, covariance, reach) for mean, covariance in pairs])
    return np.asarray(mixture.frame.unread(curves))


def deviations(mixture: Mixture) -> Array:
    """Standard deviations (k, d) of the components, in the data's units."""
    return np.asarray(np.sqrt(mixture.structure.variances_by_column) / mixture.frame.scale)
