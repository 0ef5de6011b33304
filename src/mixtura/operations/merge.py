"""From components to clusters: merging the components that overlap most, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import xlogy

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.fitted import fitted_mixture
from mixtura.mixture import Mixture
from mixtura.operations.elbow import Elbow, elbow

Group = tuple[int, ...]

_SHARP = 1e-3
"""Entropy in nats a row below which components do not overlap."""


@dataclass(frozen=True)
class Step:
    """One merge of two clusters into one.

    Attributes
    ----------
    first, second : tuple of int
        The components of each.
    entropy : float
        Of the clusters after the merge, in nats, over the rows by weight.
    rows : float
        How many rows, by weight, were most probable in either of the two.
    """

    first: Group
    second: Group
    entropy: float
    rows: float


@dataclass(frozen=True, eq=False)
class Merging:
    """The clusters made by merging components one pair at a time.

    Attributes
    ----------
    mixture : Mixture
    steps : tuple of Step
        From k clusters to one.
    entropy : (k,)
        ``ENT(g) = -Σ_i w_i Σ_j t_ij log t_ij`` of g = 1..k clusters; `entropy[g - 1]`.
    component_responsibilities : (n, k)
    weight : float
        Number of rows, by weight.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture, merge
    >>> means = [[0, 0], [1, 0], [9, 0], [0, 9]]
    >>> mixture = Mixture([0.3, 0.3, 0.2, 0.2], means, [np.eye(2)] * 4)
    >>> merging = merge(mixture, mixture.sample(500, 0))
    >>> merging.suggested, merging.groups(3)
    (3, ((0, 1), (2,), (3,)))
    """

    mixture: Mixture
    steps: tuple[Step, ...]
    entropy: Array
    component_responsibilities: Array
    weight: float

    @property
    def n_components(self) -> int:
        """k."""
        return len(self.entropy)

    def groups(self, clusters: int | None = None) -> tuple[Group, ...]:
        """The components of each cluster, by default for the suggested number of clusters.

        Raises
        ------
        InputError
            A number outside 1..k.
        """
        k = self.n_components
        wanted = self.suggested if clusters is None else clusters
        if isinstance(wanted, bool) or wanted != int(wanted) or not 1 <= wanted <= k:
            raise InputError(f"{wanted} clusters cannot be made of {k} components: ask for 1..{k}")
        kept: list[Group] = [(component,) for component in range(k)]
        for step in self.steps[: k - int(wanted)]:
            kept = [group for group in kept if group not in (step.first, step.second)]
            kept.append(tuple(sorted(step.first + step.second)))
        return tuple(sorted(kept))

    def responsibilities(self, clusters: int | None = None, X: Any = None) -> Array:
        """Posterior probability of each cluster, (n, g): the sum over its components.

        Parameters
        ----------
        clusters : int, optional
            By default the suggested number.
        X : (m, d) array_like, optional
            Other rows than those that were merged by.
        """
        rows = self.component_responsibilities if X is None else self.mixture.responsibilities(X)
        groups = self.groups(clusters)
        return np.column_stack([rows[:, list(group)].sum(axis=1) for group in groups])

    def labels(self, clusters: int | None = None, X: Any = None) -> Array:
        """The most probable cluster of each row, (n,), numbered as in `groups`."""
        return np.asarray(self.responsibilities(clusters, X).argmax(axis=1))

    @property
    def merged_rows(self) -> Array:
        """(k,) how many rows the merges down to g = 1..k clusters have involved, in total."""
        return np.cumsum([0.0, *(step.rows for step in self.steps)])[::-1]

    @cached_property
    def elbow(self) -> Elbow | None:
        """Two lines through entropy over the number of clusters; None below three components."""
        return elbow(np.arange(1.0, self.n_components + 1.0), self.entropy)

    @cached_property
    def elbow_by_rows(self) -> Elbow | None:
        """Two lines through entropy over `merged_rows`, so that large clusters count for more."""
        if any(step.rows <= 0 for step in self.steps):
            return None
        return elbow(self.merged_rows[::-1], self.entropy[::-1])

    @property
    def suggested_by_rows(self) -> int | None:
        """Where the entropy over `merged_rows` bends."""
        found = self.elbow_by_rows
        if found is None or not found.bends_up or not self._overlap:
            return None
        return self.n_components - found.at

    @property
    def suggested(self) -> int:
        """The number of clusters at the elbow of the entropy.

        As many as components where the components hardly overlap, where there are fewer than
        three, or where the curve has no elbow: merging further then never saves more than before.
        """
        found = self.elbow
        if found is None or not found.bends_up or not self._overlap:
            return self.n_components
        return found.at + 1

    @property
    def _overlap(self) -> bool:
        return bool(self.entropy[-1] > _SHARP * self.weight)

    def sentence(self) -> str:
        """The suggestion in words."""
        k, some = self.n_components, self.suggested
        if not self._overlap:
            return (
                f"The {k} components hardly overlap ({self.entropy[-1] / self.weight:.2g} nats a "
                "row): each is a cluster."
            )
        if some == k:
            what = "too few" if k < 3 else "no elbow"
            return f"{k} components: {what} for the entropy to suggest a merge."
        saved, left = self.entropy[-1] - self.entropy[some - 1], self.entropy[some - 1]
        text = (
            f"{some} cluster{'s' * (some > 1)} from {k} components: the merges save {saved:.1f} of "
            f"{self.entropy[-1]:.1f} nats of entropy, and {left:.1f} remain"
        )
        other = self.suggested_by_rows
        if other not in (None, some):
            text += f"; by the number of rows merged it would be {other}"
        return text + "."

    def __repr__(self) -> str:
        shown = " ".join("{" + ", ".join(map(str, group)) + "}" for group in self.groups())
        return f"{self.sentence()}\n  {shown}"


def merge(mixture: Any, X: Any, sample_weight: Any = None) -> Merging:
    """Merge components into clusters by the entropy of the assignment.

    At every step the two clusters whose union lowers the entropy most become one:
    ``Σ_i w_i [ t_i,a∪b log t_i,a∪b - t_ia log t_ia - t_ib log t_ib ]`` is largest. The mixture and
    its density stay as they are.

    Parameters
    ----------
    mixture : Mixture or fitted estimator
    X : (n, d) array_like or data frame
        NaN where unobserved.
    sample_weight : (n,) array_like, optional

    Returns
    -------
    Merging

    References
    ----------
    Baudry, Raftery, Celeux, Lo & Gottardo (2010), "Combining mixture components for clustering",
    Journal of Computational and Graphical Statistics 19, 332-353, section 3.
    """
    mixture = fitted_mixture(mixture)
    rows = mixture.responsibilities(X)
    weights = _checks.row_weights(_checks.weights_beside(X, sample_weight), len(rows))
    weights = np.ones(len(rows)) if weights is None else weights
    steps, entropy = _merges(rows, weights)
    return Merging(mixture, steps, entropy, rows, float(weights.sum()))


def _merges(rows: Array, weights: Array) -> tuple[tuple[Step, ...], Array]:
    """All merges, and the entropy of 1..k clusters."""
    shares = np.array(rows.T)  # (g, n): a row for each cluster
    groups: list[Group] = [(component,) for component in range(len(shares))]
    alone = _negentropies(shares, weights)
    union = np.array([_negentropies(shares + share, weights) for share in shares])
    steps, entropies = [], [max(0.0, -float(alone.sum()))]
    while len(groups) > 1:
        gain = union - alone - alone[:, None]
        np.fill_diagonal(gain, -np.inf)
        a, b = sorted(divmod(int(gain.argmax()), len(groups)))
        labels = shares.argmax(axis=0)
        count = float(weights[(labels == a) | (labels == b)].sum())
        first, second = groups[a], groups[b]
        shares[a] += shares[b]
        groups[a] = tuple(sorted(first + second))
        keep = np.delete(np.arange(len(groups)), b)
        del groups[b]
        shares, alone, union = shares[keep], alone[keep], union[np.ix_(keep, keep)]
        alone[a] = _negentropies(shares[[a]], weights)[0]
        union[a] = union[:, a] = _negentropies(shares + shares[a], weights)
        entropies.append(max(0.0, -float(alone.sum())))
        steps.append(Step(first, second, entropies[-1], count))
    return tuple(steps), np.array(entropies[::-1])


def _negentropies(shares: Array, weights: Array) -> Array:
    """``Σ_i w_i t_i log t_i`` of each cluster."""
    return np.asarray(xlogy(shares, shares) @ weights)
