"""Directions that separate components: where to look at a mixture of many features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array, Indices
from mixtura.covariance import FAMILIES, structure
from mixtura.fit.em import run
from mixtura.fit.problem import state
from mixtura.fitted import fitted_mixture
from mixtura.frame import Frame
from mixtura.mixture import Mixture
from mixtura.source import MemorySource

_LEAST = 1e-8
"""Share of the largest eigenvalue below which a direction tells nothing."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Directions in the order in which they separate components.

    Attributes
    ----------
    basis : (d, r)
        In the data's units: ``projection = (x - centre) @ basis``. The rows projected have the
        identity as their covariance.
    centre : (d,)
        The mean of the rows.
    eigenvalues : (r,)
        How far a direction separates; falling.
    by_means, by_shapes : (r,)
        The parts of the eigenvalues that come from different means and different covariances.
    mixture : Mixture
        The mixture as it is along the directions, exactly.
    original : Mixture
        The mixture of all features.
    """

    basis: Array
    centre: Array
    eigenvalues: Array
    by_means: Array
    by_shapes: Array
    mixture: Mixture
    original: Mixture

    def project(self, X: Any) -> Array:
        """Rows (n, r) along the directions; NaN counts as its mean given what was observed."""
        rows = self.original.impute(X)
        frame = self.original.frame
        scaled = frame.read(rows) - frame.read(self.centre)
        return np.asarray(scaled @ (self.basis / frame.scale[:, None]))

    @property
    def shares(self) -> Array:
        """(r,) the eigenvalues as shares of their sum."""
        return np.asarray(self.eigenvalues / self.eigenvalues.sum())

    def __repr__(self) -> str:
        d, r = self.basis.shape
        told = ", ".join(f"{100 * share:.1f} %" for share in self.shares[:6])
        return f"{r} directions of {d} features; shares of the separation: {told}"


def separating_directions(
    mixture: Any,
    X: Any = None,
    *,
    weight: float = 0.5,
    groups: Any = None,
    sample_weight: Any = None,
) -> Directions:
    """The directions along which the components of a mixture differ most.

    With the marginal mean μ and covariance Σ, ``B = Σ π_k (μ_k - μ)(μ_k - μ)ᵀ`` and
    ``S = Σ π_k Σ_k`` the directions v solve ``M v = l Σ v`` with

    ``M = 2 w B Σ⁻¹ B + 2 (1 - w) Σ_k π_k (Σ_k - S) Σ⁻¹ (Σ_k - S)``

    (Scrucca 2010, eqs. 3-5; the weight: Scrucca 2014). They do not depend on the units of the
    columns, nor on any invertible linear map of the rows.

    Parameters
    ----------
    mixture : Mixture or fitted estimator
        Of two components at least.
    X : (n, d) array_like or data frame, optional
        Rows whose mean and covariance take the place of the mixture's own; NaN where unobserved.
    weight : float, default=0.5
        Between 0, where only differences of covariances count, and 1, where only those of means
        do; then there are at most k - 1 directions.
    groups : (k,) array_like, optional
        A group for each component, for instance its class: what is separated are the groups.
    sample_weight : (n,) array_like, optional
        Of the rows of X.

    Returns
    -------
    Directions

    Raises
    ------
    InputError
        A weight outside 0..1, or components that do not differ.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture, separating_directions
    >>> mixture = Mixture([0.5, 0.5], [[0, 0, 0], [0, 3, 3]], np.eye(3), covariance_type="tied")
    >>> found = separating_directions(mixture, weight=1.0)
    >>> (found.basis[:, 0] / found.basis[1, 0]).round(6) + 0.0
    array([0., 1., 1.])
    """
    if not 0.0 <= weight <= 1.0:
        raise InputError(f"weight={weight!r}: between 0 (covariances) and 1 (means) is needed")
    mixture = fitted_mixture(mixture)
    weights, means, covariances = _grouped(mixture, groups)
    centre, whole = _whole(mixture, X, sample_weight)
    white = _whitener(whole)
    off = (means - centre) @ white
    between = (weights * off.T) @ off
    within = np.einsum("ia,kij,jb->kab", white, covariances, white)
    apart = within - np.einsum("k,kab->ab", weights, within)
    by_means = 2.0 * weight * between @ between
    by_shapes = 2.0 * (1.0 - weight) * np.einsum("k,kab,kbc->ac", weights, apart, apart)
    values, vectors = np.linalg.eigh(by_means + by_shapes)
    kept = np.flatnonzero(values > max(_LEAST * values[-1], 1e-14))[::-1]
    if not len(kept):
        raise InputError("the components do not differ, so that no direction separates them")
    chosen = vectors[:, kept]
    basis = _signed(white @ chosen, whole)
    frame = mixture.frame
    return Directions(
        basis * frame.scale[:, None],
        frame.unread(centre),
        values[kept],
        np.einsum("ar,ab,br->r", chosen, by_means, chosen),
        np.einsum("ar,ab,br->r", chosen, by_shapes, chosen),
        _image(mixture, centre, basis),
        mixture,
    )


def _grouped(mixture: Mixture, groups: Any) -> tuple[Array, Array, Array]:
    """Weights, means and covariances of the components, or of groups of them by their moments."""
    weights, means = mixture.weights, mixture.location
    dense = mixture.structure.dense()
    if groups is None:
        return weights, means, dense
    codes = _group_codes(groups, len(weights))
    belongs = np.eye(int(codes.max()) + 1)[codes].T * weights
    total = belongs.sum(axis=1)
    share = belongs / np.where(total > 0, total, 1.0)[:, None]
    centres = share @ means
    second = dense + np.einsum("ki,kj->kij", means, means)
    covariances = np.einsum("gk,kij->gij", share, second)
    return total, centres, covariances - np.einsum("gi,gj->gij", centres, centres)


def _group_codes(groups: Any, k: int) -> Indices:
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    if codes.shape != (k,):
        raise InputError(f"groups have shape {np.shape(groups)}; one for each component: ({k},)")
    return np.asarray(codes)


def _whole(mixture: Mixture, X: Any, sample_weight: Any) -> tuple[Array, Array]:
    """Mean and covariance of the rows, or of the mixture, in its frame."""
    if X is None:
        location = mixture.weights @ mixture.location
        off = mixture.location - location
        within = np.einsum("k,kij->ij", mixture.weights, mixture.structure.dense())
        return location, within + (mixture.weights * off.T) @ off
    rows = _checks.rows_like(X, mixture.n_features, mixture.feature_names)
    source = MemorySource(*_checks.weighted(rows, _checks.weights_beside(X, sample_weight)))
    problem = state(source, FAMILIES["full"])
    one = run(problem, problem.isotropic(np.zeros((1, source.d)))).mixture
    ratio = mixture.frame.scale / one.frame.scale
    centre = mixture.frame.read(one.means)[0]
    return centre, ratio[:, None] * one.structure.dense()[0] * ratio


def _whitener(covariance: Array) -> Array:
    """(d, r) with ``Wᵀ Σ W = 1``, without the directions in which nothing varies."""
    deviations = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    unit = np.where(deviations > 0, deviations, 1.0)
    values, vectors = np.linalg.eigh(covariance / unit[:, None] / unit)
    kept = values > 1e-10 * values[-1]
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]) / unit[:, None])


def _signed(basis: Array, covariance: Array) -> Array:
    """The same directions, the largest coefficient of each on standardised features positive."""
    standard = basis * np.sqrt(covariance.diagonal())[:, None]
    largest = np.abs(standard).argmax(axis=0)
    return np.asarray(basis * np.sign(standard[largest, np.arange(basis.shape[1])]))


def _image(mixture: Mixture, centre: Array, basis: Array) -> Mixture:
    """The mixture of ``(z - centre) @ basis``: a linear image of a mixture is a mixture."""
    location = (mixture.location - centre) @ basis
    covariances = np.einsum("ia,kij,jb->kab", basis, mixture.structure.dense(), basis)
    covariances = (covariances + covariances.swapaxes(1, 2)) / 2
    r = basis.shape[1]
    shape = structure(covariances, "full", mixture.n_components, r)
    names = [f"direction {index + 1}" for index in range(r)]
    return Mixture.of(mixture.weights, location, shape, Frame.identity(r), names, mixture.law)
