"""Which component of one mixture is which of another: labels made comparable across fits."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array, Indices
from mixtura.fitted import fitted_mixture


def align(mixture: Any, reference: Any, X: Any = None) -> Indices:
    """The order in which a mixture's components match those of a reference best.

    Parameters
    ----------
    mixture, reference : Mixture or fitted estimator
        With equally many components of the same columns.
    X : (n, d) array_like or data frame, optional
        Match by the rows that components share instead of by their shapes.

    Returns
    -------
    (k,) ndarray of int
        ``mixture.take(order)`` has component c next to the reference's component c.

    Raises
    ------
    InputError
        Different numbers of components or columns.

    Notes
    -----
    The permutation minimises the sum of Bhattacharyya distances (1943) of matched components::

        ⅛ (μ - ν)ᵀ M⁻¹ (μ - ν) + ½ log(|M| / √(|Σ| |T|)),  M = (Σ + T)/2,

    by optimal assignment. The distance does not change under affine maps of the columns, is
    symmetric, and, unlike Kullback-Leibler's, is not driven by a component that has nearly
    collapsed. With `X` it maximises ``Σ_i Σ_c r_ic s_ic``, the expected number of rows that both
    mixtures put into matched components: for mixtures whose components overlap strongly.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture, align
    >>> reference = Mixture([0.5, 0.5], [[0.0], [5.0]], [[[1.0]], [[1.0]]])
    >>> other = Mixture([0.4, 0.6], [[5.1], [0.2]], [[[1.0]], [[1.0]]])
    >>> order = align(other, reference)
    >>> order.tolist(), other.take(order).means.ravel().tolist()
    ([1, 0], [0.2, 5.1])
    """
    one, two = fitted_mixture(mixture), fitted_mixture(reference)
    if one.location.shape != two.location.shape:
        raise InputError(
            f"mixtures of (components, columns) {one.location.shape} and {two.location.shape} "
            "cannot be matched one to one"
        )
    if X is not None:
        rows = _checks.rows_like(X, two.n_features, two.feature_names)
        return assignment(-two.responsibilities(rows).T @ one.responsibilities(rows))
    frame = two.frame
    framed = one.shaped(frame).dense()
    distance = distances(
        two.location, two.structure.dense(), frame.read(one.means)[None], framed[None]
    )
    return assignment(distance[0])


def assignment(cost: Array) -> Indices:
    """For each row of a cost (k, k) the column it is matched with, at the least total."""
    return np.asarray(linear_sum_assignment(cost)[1])


def distances(means: Array, covariances: Array, others: Array, their_covariances: Array) -> Array:
    """Bhattacharyya distances (B, k, k) from k components to those of B mixtures."""
    middle = (covariances[None, :, None] + their_covariances[:, None]) / 2.0
    gap = others[:, None] - means[None, :, None]
    lower = np.linalg.cholesky(middle)
    white = np.linalg.solve(lower, gap[..., None])[..., 0]
    own = 0.5 * _log_det(np.linalg.cholesky(covariances))
    theirs = 0.5 * _log_det(np.linalg.cholesky(their_covariances))
    spread = _log_det(lower) - own[None, :, None] - theirs[:, None]
    return np.asarray((white**2).sum(axis=-1) / 8.0 + spread / 2.0)


def _log_det(lower: Array) -> Array:
    return np.asarray(2.0 * np.log(lower.diagonal(axis1=-2, axis2=-1)).sum(axis=-1))


def orders(distance: Array) -> Indices:
    """The best order (B, k) for each of B tables of distances (B, k, k).

    Where every component's nearest is the one in its place, nothing need be solved.
    """
    count, k, _ = distance.shape
    out = np.tile(np.arange(k), (count, 1))
    settled = (distance.argmin(axis=2) == np.arange(k)).all(axis=1)
    for index in np.flatnonzero(~settled):
        out[index] = assignment(distance[index])
    return out
