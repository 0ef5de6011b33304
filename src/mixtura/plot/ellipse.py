"""The curve that holds a stated share of a component.

Drawn in frame coordinates and carried to the units of the data: a square of 1e300 has no number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixtura._types import Array

if TYPE_CHECKING:
    from mixtura.mixture import Mixture

CORNERS = 181


def radii(mixture: Mixture, probability: float) -> Array:
    """Mahalanobis radii (k,) within which each component has a probability, by its law.

    Examples
    --------
    >>> from mixtura import Mixture, StudentT
    >>> from mixtura.plot.ellipse import radii
    >>> pair = [[0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]]]
    >>> radii(Mixture(*pair), 0.95).round(2).tolist()
    [1.96, 1.96]
    >>> radii(Mixture(*pair, law=StudentT(np.array([3.0, 30.0]))), 0.95).round(2).tolist()
    [3.18, 2.04]
    """
    squared = mixture.law.squared_radius(probability, mixture.n_features)
    return np.sqrt(np.broadcast_to(squared, (mixture.n_components,)))


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
    reach = radii(mixture, probability)
    each = zip(mixture.location, mixture.structure.dense(), reach, strict=True)
    curves = np.stack([outline(*one) for one in each])
    return np.asarray(mixture.frame.unread(curves))


def deviations(mixture: Mixture) -> Array:
    """Standard deviations (k, d), of Student's t scales, in the data's units."""
    return np.asarray(np.sqrt(mixture.structure.variances_by_column) / mixture.frame.scale)
