"""Optimal transport between Gaussian mixtures that moves Gaussians as wholes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import eye as identity
from scipy.sparse import kron, vstack

from mixtura._errors import MixturaError
from mixtura._types import Array
from mixtura.operations.gaussian_pairs import Gaussians, gaussian_pair, gaussians


@dataclass(frozen=True, eq=False)
class Transport:
    """The cheapest plan that turns one mixture into another, component by component.

    Attributes
    ----------
    value : float
        The distance MW2, in the units of the data: the root of `plan` times `costs`, summed.
    plan : (k, k')
        What of each component of p goes to each of q; rows sum to the weights of p, columns to
        those of q. Components without weight have rows or columns of zeros.
    costs : (k, k')
        Squared 2-Wasserstein distances of the components; zero for those without weight.
    """

    value: float
    plan: Array
    costs: Array

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        moves = int(np.count_nonzero(self.plan))
        k, other = self.plan.shape
        return f"MW2 distance {self.value:.6g}: {moves} moves between {k} and {other} components"


def mw2(p: Any, q: Any) -> Transport:
    """The Wasserstein-type distance MW2 of two Gaussian mixtures, with its plan.

    The 2-Wasserstein distance where the couplings are held to Gaussian mixtures, which makes it a
    linear programme over the components: ``MW2² = min_w Σ_ab w_ab W2²(p_a, q_b)`` over plans w with
    the weights of p and q as margins, and
    ``W2² = |μ_a - μ_b|² + tr(Σ_a + Σ_b - 2 (Σ_a^½ Σ_b Σ_a^½)^½)``. It is a metric, and at least the
    2-Wasserstein distance itself.

    Parameters
    ----------
    p, q : Mixture or fitted estimator
        Gaussian, of the same features. Distances are in the units of the data: scale columns that
        are not comparable.

    Returns
    -------
    Transport
        With `value`, `plan` and `costs`.

    Raises
    ------
    InputError
        Student's t or noise, or other features.

    References
    ----------
    Delon & Desolneux (2020), "A Wasserstein-type distance in the space of Gaussian mixture models",
    SIAM J. Imaging Sci. 13, 936-970, propositions 4 and 5.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture, divergence
    >>> p = Mixture([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]])
    >>> q = Mixture([0.25, 0.75], [[0.0], [4.0]], [[[1.0]], [[1.0]]])
    >>> found = divergence.mw2(p, q)
    >>> found
    MW2 distance 2: 3 moves between 2 and 2 components
    >>> found.plan
    array([[0.25, 0.25],
           [0.  , 0.5 ]])
    """
    p, q = gaussian_pair(p, q, "mw2")
    first, second = gaussians(p, q, "mw2")
    costs = _costs(first, second, 1.0 / p.frame.scale)
    plan = _plan(np.exp(first.log_weights), np.exp(second.log_weights), costs)
    value = float(np.sqrt(np.sum(plan * costs)))
    rows, columns = np.flatnonzero(p.weights > 0), np.flatnonzero(q.weights > 0)
    whole = np.zeros((2, p.n_components, q.n_components))
    whole[:, rows[:, None], columns] = plan, costs
    return Transport(value, whole[0], whole[1])


def _costs(p: Gaussians, q: Gaussians, units: Array) -> Array:
    """W2² of every pair: ``|μ_a - μ_b|² + min_U |R_a - R_b U|²`` over orthogonal U.

    The minimum, by the singular vectors of R_bᵀ R_a, is the trace in `mw2` without cancellation.
    """
    out = np.empty((len(p.means), len(q.means)))
    others = units[:, None] * q.roots
    for a, (mean, root) in enumerate(zip(p.means, p.roots, strict=True)):
        own = units[:, None] * root
        left, _, right = np.linalg.svd(others.swapaxes(1, 2) @ own)
        away = own - others @ (left @ right)
        out[a] = np.sum(((mean - q.means) * units) ** 2, axis=1) + np.sum(away**2, axis=(1, 2))
    return out


def _plan(weights: Array, others: Array, costs: Array) -> Array:
    """The cheapest plan with these margins; one margin of the last is implied by the rest."""
    k, m = costs.shape
    margins = vstack([kron(identity(k), np.ones((1, m))), kron(np.ones((1, k)), identity(m))])
    found = linprog(
        costs.ravel() / (costs.max() or 1.0),
        A_eq=margins.tocsr()[:-1],
        b_eq=np.concatenate([weights, others])[:-1],
        method="highs",
    )
    if found.x is None:
        raise MixturaError(f"the transport plan was not found: {found.message}")
    return np.maximum(found.x, 0.0).reshape(k, m)
