"""The modes of a mixture, and clusters of the rows that climb to the same mode."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from mixtura._types import Array
from mixtura.fitted import fitted_mixture
from mixtura.mixture import Mixture
from mixtura.operations.ascent import Hill, climb
from mixtura.operations.line import Line

_SAME = 1e-4
"""Ends of climbs closer than this, in local standard deviations, are one mode."""
_RIDGE = 65
_MOST_PAIRS = 1_000
_DRAWS = 200


@dataclass(frozen=True, eq=False)
class Modes:
    """The local maxima of a density, the highest first.

    Attributes
    ----------
    mixture : Mixture
    points : (m, d)
    log_densities : (m,)
    of_components : (k,)
        The mode to which the mean of each component climbs.
    """

    mixture: Mixture
    points: Array
    log_densities: Array
    of_components: Array

    def __len__(self) -> int:
        return len(self.points)

    def sentence(self) -> str:
        """The modes beside the components, in words."""
        m, k = len(self), self.mixture.n_components
        text = f"{m} mode{'s' * (m > 1)} from {k} component{'s' * (k > 1)}"
        silent = m - len(np.unique(self.of_components))
        if silent:
            text += f"; to {silent} of them no mean of a component climbs"
        return text + "."

    def __repr__(self) -> str:
        lines = [self.sentence()]
        dust = 1e-12 * np.abs(self.points).max()
        shown = np.where(np.abs(self.points) > dust, self.points, 0.0)
        for index in range(min(len(self), 12)):
            at = ", ".join(f"{value:.4g}" for value in shown[index][:6])
            more = ", …" if self.points.shape[1] > 6 else ""
            lines.append(f"  {index}: log-density {self.log_densities[index]:.4g} at ({at}{more})")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class ModalClusters:
    """Rows by the mode they climb to.

    Attributes
    ----------
    labels : (n,)
        Index into `modes.points`.
    modes : Modes
    """

    labels: Array
    modes: Modes

    def __len__(self) -> int:
        return len(self.modes)


def modes(mixture: Any) -> Modes:
    """All modes that can be found.

    In one dimension from the signs of the derivative. In more, climbs start from the means, from
    the local maxima along the ridgeline of every pair of components,
    ``x(α) = [(1-α) P_a + α P_b]⁻¹ [(1-α) P_a μ_a + α P_b μ_b]``, on which all modes of two
    components lie, and from points of the ridge of more components: with unequal covariances
    there may be more modes than components.

    Parameters
    ----------
    mixture : Mixture or fitted estimator

    Returns
    -------
    Modes

    References
    ----------
    Ray & Lindsay (2005), "The topography of multivariate normal mixtures", Annals of Statistics
    33, 2042-2065; Carreira-Perpiñán (2000), IEEE PAMI 22, 1318-1323.

    Examples
    --------
    >>> from mixtura import Mixture, modes
    >>> modes(Mixture([0.5, 0.5], [[0.0], [3.0]], [[[1.0]], [[1.0]]])).points.round(4)
    array([[0.0368],
           [2.9632]])
    """
    mixture = fitted_mixture(mixture)
    hill = Hill(mixture)
    if mixture.n_features == 1:
        ends = Line.of(mixture).modes[:, None]
    else:
        ends = climb(hill, np.vstack([hill.means, *_ridges(hill), _simplex(hill)]))
    points, _ = _distinct(hill, ends)
    own = climb(hill, mixture.location)
    return _named(mixture, hill, points, own)


def modal_clusters(mixture: Any, X: Any) -> ModalClusters:
    """Label every row by the mode it climbs to.

    Unlike components, modes are a property of the density alone: two components that together make
    one hill make one cluster.

    Parameters
    ----------
    mixture : Mixture or fitted estimator
    X : (n, d) array_like or data frame
        A row with NaN starts at its conditional mean.

    Returns
    -------
    ModalClusters

    References
    ----------
    Li, Ray & Lindsay (2007), "A nonparametric statistical approach to clustering via mode
    identification", Journal of Machine Learning Research 8, 1687-1723.

    Examples
    --------
    >>> from mixtura import Mixture, modal_clusters
    >>> mixture = Mixture([0.4, 0.4, 0.2], [[0.0], [1.0], [9.0]], [[[1.0]]] * 3)
    >>> modal_clusters(mixture, [[-1.0], [2.0], [8.0]]).labels
    array([0, 0, 1])
    """
    mixture = fitted_mixture(mixture)
    found, hill = modes(mixture), Hill(mixture)
    ends = climb(hill, mixture.frame.read(mixture.impute(X)))
    known = mixture.frame.read(found.points)
    points, labels = _distinct(hill, np.vstack([known, ends]), first=len(known))
    if len(points) > len(known):
        found = _named(mixture, hill, points, climb(hill, mixture.location))
        points, labels = _distinct(
            hill, np.vstack([mixture.frame.read(found.points), ends]), first=len(points)
        )
    return ModalClusters(labels[len(known) :][-len(ends) :], found)


def _named(mixture: Mixture, hill: Hill, points: Array, own: Array) -> Modes:
    """Modes in frame coordinates, in falling order of density."""
    heights = mixture.logpdf(mixture.frame.unread(points))
    order = np.argsort(-heights, kind="stable")
    points = points[order]
    _, labels = _distinct(hill, np.vstack([points, own]), first=len(points))
    found = mixture.frame.unread(points)
    return Modes(mixture, found, heights[order], labels[len(points) :])


def _distinct(hill: Hill, ends: Array, first: int = 0) -> tuple[Array, Array]:
    """The different points among the ends of climbs, and which one each end is.

    The first so many are different by declaration; a new point is the highest one that is left.
    """
    labels = np.full(len(ends), -1)
    here = hill.local(ends)
    order = [*range(first), *(first + np.argsort(-here.log_density[first:], kind="stable"))]
    kept: list[int] = []
    for index in order:
        if labels[index] >= 0:
            continue
        off = ends - ends[index]
        near = np.einsum("ni,ij,nj->n", off, here.metric[index], off) < _SAME**2
        near[:first] = False
        near[index] = True
        labels[near & (labels < 0)] = len(kept)
        kept.append(index)
    return ends[kept], labels


def _ridges(hill: Hill) -> list[Array]:
    """Local maxima of the density along the ridgelines of the pairs of components."""
    pairs = list(combinations(range(len(hill.means)), 2))
    if len(pairs) > _MOST_PAIRS:
        gaps = [np.linalg.norm((hill.means[a] - hill.means[b]) @ hill.factors[a]) for a, b in pairs]
        pairs = [pairs[index] for index in np.argsort(gaps, kind="stable")[:_MOST_PAIRS]]
    share = np.linspace(0.0, 1.0, _RIDGE)
    found = []
    for a, b in pairs:
        alpha = np.zeros((_RIDGE, len(hill.means)))
        alpha[:, a], alpha[:, b] = 1.0 - share, share
        path = _ridge(hill, alpha)
        height = hill.local(path).log_density
        inner = (height[1:-1] >= height[:-2]) & (height[1:-1] >= height[2:])
        found.append(path[1:-1][inner])
    return found


def _simplex(hill: Hill) -> Array:
    """Points of the ridge of all components, drawn sparsely from the simplex."""
    k = len(hill.means)
    if k < 3:
        return hill.means[:0]
    draws = np.random.default_rng(0).dirichlet(np.full(k, min(1.0, 3.0 / k)), _DRAWS)
    return _ridge(hill, draws)


def _ridge(hill: Hill, alpha: Array) -> Array:
    """``[Σ α_k P_k]⁻¹ Σ α_k P_k μ_k`` for each row of shares (m, k): Ray & Lindsay (2005), (4)."""
    k, d = hill.means.shape
    pulled = np.einsum("kij,kj->ki", hill.precisions, hill.means)
    metric = (alpha @ hill.precisions.reshape(k, d * d)).reshape(-1, d, d)
    return np.asarray(np.linalg.solve(metric, (alpha @ pulled)[:, :, None])[:, :, 0])
