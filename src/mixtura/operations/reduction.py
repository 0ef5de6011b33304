"""Fewer components: merging by Runnalls' bound, pruning, each with the error it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.covariance.full import FullCovariances
from mixtura.fitted import fitted_mixture
from mixtura.law import Gaussian
from mixtura.mixture import Mixture

Group = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Reduction:
    """A mixture with fewer components, and what that costs.

    Attributes
    ----------
    mixture : Mixture
    groups : tuple of tuple of int
        The components of the first mixture that each new one stands for.
    divergence_bound : float
        The Kullback-Leibler divergence from the first mixture to this one is at most this, in
        nats.
    costs : (s,)
        What each merge added to it, in the order of the merges.
    """

    mixture: Mixture
    groups: tuple[Group, ...]
    divergence_bound: float
    costs: Array

    def __repr__(self) -> str:
        k, was = len(self.groups), sum(map(len, self.groups))
        return f"{was} components reduced to {k}; KL divergence at most {self.divergence_bound:.4g}"


@dataclass(frozen=True, eq=False)
class Pruning:
    """A mixture without its lightest components.

    Attributes
    ----------
    mixture : Mixture
        With the weights that are left made whole.
    kept : (m,)
        The components that are left.
    lost : float
        The probability of those taken away.
    """

    mixture: Mixture
    kept: Array
    lost: float

    @property
    def total_variation_bound(self) -> float:
        """No event's probability changes by more: what is lost."""
        return self.lost

    @property
    def divergence_bound(self) -> float:
        """The Kullback-Leibler divergence from this mixture to the first is at most ``-log(1 -
        lost)``.
        """
        return float(-np.log1p(-self.lost))


def reduce(
    mixture: Any, n_components: int = 1, *, max_divergence: float | None = None
) -> Reduction:
    """Merge components, two at a time, into Gaussians of the same mean and covariance.

    The pair merged is that of the least ``B_ij = ½ ((π_i + π_j) log |Σ_ij| - π_i log |Σ_i| -
    π_j log |Σ_j|)``, Σ_ij the covariance of both together. The sum of the costs of all merges is
    ``Σ_i π_i KL(N_i ‖ N_group(i))``, which bounds the divergence of the whole, as the divergence
    is convex.

    Parameters
    ----------
    mixture : Mixture or fitted estimator
        Gaussian; noise stays as it is.
    n_components : int, default=1
        Stop at so many.
    max_divergence : float, optional
        Stop before the bound would exceed this.

    Returns
    -------
    Reduction

    Raises
    ------
    InputError
        Fewer than one component, or Student's t.

    References
    ----------
    Runnalls (2007), "Kullback-Leibler approach to Gaussian mixture reduction", IEEE Transactions
    on Aerospace and Electronic Systems 43, 989-999.

    Examples
    --------
    >>> from mixtura import Mixture, reduce
    >>> mixture = Mixture([0.4, 0.4, 0.2], [[0.0], [0.1], [9.0]], [[[1.0]]] * 3)
    >>> found = reduce(mixture, max_divergence=0.01)
    >>> found
    3 components reduced to 2; KL divergence at most 0.0009988
    >>> found.groups, found.mixture.weights.tolist()
    (((0, 1), (2,)), [0.8, 0.2])
    """
    mixture = fitted_mixture(mixture)
    if isinstance(n_components, bool) or n_components != int(n_components) or n_components < 1:
        raise InputError(f"n_components={n_components}: at least one is needed")
    if not isinstance(mixture.law, Gaussian):
        raise InputError(
            "Student's t components do not merge into one: prune, or reduce a Gaussian fit"
        )
    heap = _Heap(mixture)
    limit = np.inf if max_divergence is None else float(max_divergence) / heap.kept
    costs: list[float] = []
    while len(heap.groups) > int(n_components):
        pair, cost = heap.cheapest()
        if sum(costs) + cost > limit:
            break
        heap.merge(*pair)
        costs.append(cost)
    if not costs:
        return Reduction(mixture, tuple(heap.groups), 0.0, np.zeros(0))
    made = mixture.changed(
        weights=heap.weights / heap.weights.sum(),
        location=heap.means,
        structure=FullCovariances(heap.covariances),
    )
    order = np.argsort([group[0] for group in heap.groups], kind="stable")
    groups = tuple(heap.groups[i] for i in order)
    each = np.array(costs) * heap.kept
    return Reduction(made.take(order), groups, float(each.sum()), each)


class _Heap:
    """The components that are left, in frame coordinates, and the cost of merging each pair."""

    def __init__(self, mixture: Mixture) -> None:
        self.kept = 1.0 if mixture.noise is None else 1.0 - mixture.noise.share
        self.weights = np.array(mixture.weights)
        self.means = np.array(mixture.location)
        self.covariances = np.array(mixture.structure.dense())
        self.log_det = np.array(mixture.structure.log_det)
        self.groups: list[Group] = [(i,) for i in range(mixture.n_components)]
        k = len(self.groups)
        self.costs = np.full((k, k), np.inf)
        for i in range(k - 1):
            self.costs[i, i + 1 :] = self._cost(i, np.arange(i + 1, k))

    def cheapest(self) -> tuple[tuple[int, int], float]:
        """The pair that costs least, and what it costs."""
        i, j = divmod(int(self.costs.argmin()), len(self.costs))
        return (i, j), float(self.costs[i, j])

    def merge(self, i: int, j: int) -> None:
        """Put the union of i and j in the place of i."""
        weight, mean, covariance = self._union(i, np.array([j]))
        self.weights[i], self.means[i], self.covariances[i] = weight[0], mean[0], covariance[0]
        self.log_det[i] = np.linalg.slogdet(covariance[0])[1]
        self.groups[i] = tuple(sorted(self.groups[i] + self.groups.pop(j)))
        for name in ("weights", "means", "covariances", "log_det"):
            setattr(self, name, np.delete(getattr(self, name), j, axis=0))
        self.costs = np.delete(np.delete(self.costs, j, axis=0), j, axis=1)
        others = np.delete(np.arange(len(self.groups)), i)
        cost = self._cost(i, others)
        above = others > i
        self.costs[i, others[above]], self.costs[others[~above], i] = cost[above], cost[~above]

    def _union(self, i: int, others: Array) -> tuple[Array, Array, Array]:
        """Weight (m,), mean (m, d) and covariance (m, d, d) of i with each of the others."""
        total = self.weights[i] + self.weights[others]
        safe = np.where(total > 0, total, 1.0)
        share = np.where(total > 0, self.weights[i] / safe, 0.5)[:, None]
        off = self.means[i] - self.means[others]
        covariance = share[:, None] * self.covariances[i]
        covariance = covariance + (1.0 - share[:, None]) * self.covariances[others]
        covariance += (share * (1.0 - share))[:, None] * off[:, :, None] * off[:, None, :]
        return total, self.means[others] + share * off, covariance

    def _cost(self, i: int, others: Array) -> Array:
        total, _, covariance = self._union(i, others)
        log_det = np.linalg.slogdet(covariance)[1]
        own = self.weights[i] * (log_det - self.log_det[i])
        other = self.weights[others] * (log_det - self.log_det[others])
        return np.asarray(np.where(total > 0, np.maximum(0.5 * (own + other), 0.0), 0.0))


def prune(
    mixture: Any, min_weight: float | None = None, *, n_components: int | None = None
) -> Pruning:
    """Take away the lightest components, and make the weights of the others whole.

    Parameters
    ----------
    mixture : Mixture or fitted estimator
    min_weight : float, optional
        Components that weigh less are taken away; the heaviest always stays.
    n_components : int, optional
        Keep at most so many, the heaviest.

    Returns
    -------
    Pruning
        With what is lost and the bounds that follow from it.

    Examples
    --------
    >>> from mixtura import Mixture, prune
    >>> mixture = Mixture([0.69, 0.3, 0.01], [[0.0], [4.0], [9.0]], [[[1.0]]] * 3)
    >>> found = prune(mixture, 0.05)
    >>> found.kept.tolist(), round(found.lost, 3), round(found.divergence_bound, 5)
    ([0, 1], 0.01, 0.01005)
    """
    mixture = fitted_mixture(mixture)
    if min_weight is None and n_components is None:
        raise InputError("say what to prune: min_weight, n_components, or both")
    if n_components is not None and n_components < 1:
        raise InputError(f"n_components={n_components}: at least one is needed")
    heaviest = np.argsort(-mixture.weights, kind="stable")
    few = len(heaviest) if n_components is None else n_components
    floor = 0.0 if min_weight is None else float(min_weight)
    kept = [i for rank, i in enumerate(heaviest[:few]) if rank == 0 or mixture.weights[i] >= floor]
    some = np.sort(kept)
    beside = 1.0 if mixture.noise is None else 1.0 - mixture.noise.share
    lost = beside * (1.0 - float(mixture.weights[some].sum()))
    return Pruning(mixture.take(some), some, max(lost, 0.0))
