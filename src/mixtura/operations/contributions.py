"""Why a row is far: what each feature contributes to its squared distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._types import Array, Indices, Mask
from mixtura.block import Block, cuts
from mixtura.covariance import Covariances
from mixtura.fitted import fitted_mixture
from mixtura.kernels.layout import DIAGONAL, SPHERICAL
from mixtura.law import FARTHEST
from mixtura.mixture import Mixture

_ALIKE = 1e-15
"""Eigenvalues of correlations below which rounding is all there is."""


@dataclass(frozen=True, eq=False)
class Contributions:
    """What each feature contributes to the squared distance of rows.

    Attributes
    ----------
    values : (n, d)
        At least 0; a row's sum to its squared distance. 0 where nothing was observed.
    squared_distance : (n,)
        Mahalanobis, to the component, over what was observed.
    component : (n,)
        The likeliest component of each row, to which the distance is measured.
    feature_names : tuple of str or None
    """

    values: Array
    squared_distance: Array
    component: Indices
    feature_names: tuple[str, ...] | None

    @property
    def shares(self) -> Array:
        """(n, d) shares of the features, which sum to one."""
        total = self.values.sum(axis=1, keepdims=True)
        return np.divide(self.values, total, out=np.zeros_like(self.values), where=total > 0)

    def ranked(self, row: int) -> list[tuple[Any, float]]:
        """The features of a row, by name or number, with their shares, the largest first."""
        shares = self.shares[row]
        names: Sequence[Any] = self.feature_names or range(len(shares))
        order = np.argsort(-shares, kind="stable")
        return [(names[j], float(shares[j])) for j in order if shares[j] > 0]


def contributions(mixture: Any, X: Any) -> Contributions:
    """Split each row's squared distance over the features.

    ``δ² = Σ_j w_j²`` with ``w = R^(-1/2) D (x - μ)``, D one over the standard deviations and R the
    correlations ``D Σ D``: of all rotations of the whitened row the one whose coordinates are each
    closest to a feature, in summed correlation (the corr-max transformation of Garthwaite & Koch
    2016). The distance is that to the likeliest component, over the observed coordinates.

    Parameters
    ----------
    mixture : Mixture or fitted estimator
    X : (n, d) array_like or data frame
        NaN where unobserved.

    Returns
    -------
    Contributions

    References
    ----------
    Garthwaite & Koch (2016), "Evaluating the contributions of individual variables to a quadratic
    form", Australian & New Zealand Journal of Statistics 58, 99-119.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> from mixtura.operations.contributions import contributions
    >>> one = Mixture([1.0], [[0.0, 0.0]], [[[1.0, 0.9], [0.9, 1.0]]])
    >>> found = contributions(one, [[2.0, 0.0]])
    >>> found.values.round(2).tolist(), found.squared_distance.round(2).tolist()
    ([[15.11, 5.94]], [21.05])
    """
    mixture = fitted_mixture(mixture)
    rows = _checks.rows_like(X, mixture.n_features, mixture.feature_names)
    values, component = np.zeros(rows.shape), np.empty(len(rows), dtype=np.intp)
    for part in cuts(*rows.shape):
        block = Block(rows[part])
        likeliest = mixture.joint_of(block)[:, : mixture.n_components].argmax(axis=1)
        component[part] = likeliest
        for pattern in block.patterns:
            if pattern.observed.any():
                z, mine = mixture.frame.read(block.rows[pattern.rows]), likeliest[pattern.rows]
                values[part][pattern.rows] = _split(mixture, z, pattern.observed, mine)
    return Contributions(values, values.sum(axis=1), component, mixture.feature_names)


def _split(mixture: Mixture, z: Array, observed: Mask, component: Indices) -> Array:
    """Contributions (m, d) of rows in frame coordinates that have the same gaps."""
    structure = mixture.observed(observed).structure
    out = np.zeros_like(z)
    for index in np.unique(component):
        mine = component == index
        off = z[mine][:, observed] - mixture.location[index, observed]
        white = np.clip(_whitened(off, structure, int(index)), -FARTHEST, FARTHEST)
        out[np.ix_(mine, observed)] = white**2
    return out


def _whitened(off: Array, structure: Covariances, component: int) -> Array:
    """``R^(-1/2) D (x - μ)`` of rows (m, o)."""
    standard = off / np.sqrt(structure.variances_by_column[component])
    if structure.shape in (DIAGONAL, SPHERICAL):
        return np.asarray(standard)
    (covariance,) = structure.take([component]).dense()
    deviations = np.sqrt(covariance.diagonal())
    values, axes = np.linalg.eigh(covariance / deviations[:, None] / deviations)
    values = np.maximum(values, _ALIKE * values[-1])
    return np.asarray(((standard @ axes) / np.sqrt(values)) @ axes.T)
