"""What a mixture says of rows: densities, responsibilities, distances."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._types import Array, Mask, Rows
from mixtura.block import Block, Pattern, cuts
from mixtura.censoring import hidden, log_probabilities
from mixtura.conditioning import Observed, labels, log_sums, seen_through, shares
from mixtura.covariance import Covariances
from mixtura.deconvolution import joint as blurred_joint
from mixtura.frame import Frame
from mixtura.kernels.layout import FACTOR
from mixtura.law import Gaussian, Law
from mixtura.noise import Noise
from mixtura.scoring import (
    ahead,
    distances_with_gaps,
    gaussian_joint,
    joint_at,
    joint_with,
    squared_distances,
)

_FEW, _KEPT = 8, 256
"""Patterns of gaps that are taken one by one, and of which what they show of a mixture is kept."""


class Densities(ABC):
    """The part of `mixtura.Mixture` that takes rows; see there for the fields."""

    weights: Array
    location: Array
    structure: Covariances
    frame: Frame
    feature_names: tuple[str, ...] | None
    law: Law
    noise: Noise | None

    @property
    @abstractmethod
    def means(self) -> Array:
        """(k, d) means in the units of the data."""

    @abstractmethod
    def changed(self, **fields: Any) -> Any:
        """The mixture with other values for some of the fields."""

    @property
    def n_components(self) -> int:
        """k."""
        return len(self.weights)

    @property
    def n_features(self) -> int:
        """d."""
        return self.location.shape[1]

    def logpdf(self, X: Any) -> Array:
        """Log-density log P(x) of each row, (n,), by the observed coordinates."""
        return self.by_rows(X, log_sums, ())

    def pdf(self, X: Any) -> Array:
        """Density P(x) of each row, (n,)."""
        return np.exp(self.logpdf(X))

    def component_logpdf(self, X: Any) -> Array:
        """Log-density log p(x | μ_k, Σ_k) of each row in each component, (n, k)."""
        free = self.changed(weights=np.ones_like(self.weights), noise=None)
        return free.by_rows(self._rows(X), lambda joint: joint, (self.n_components,))

    def responsibilities(self, X: Any) -> Array:
        """Posterior probability of each component given the row, (n, k).

        Rows sum to one, or with noise to one less the probability that the row is noise.
        """
        k = self.n_components
        return self.by_rows(X, lambda joint: shares(joint)[:, :k], (k,))

    def predict(self, X: Any) -> Array:
        """The most probable component of each row, (n,); -1 where that is the noise."""
        k = self.n_components
        return self.by_rows(X, lambda joint: labels(joint, k), ()).astype(np.intp)

    def outlier_probability(self, X: Any) -> Array:
        """Probability that the row is noise, (n,); zero without a noise component."""
        k = self.n_components
        return self.by_rows(X, lambda joint: shares(joint)[:, k:].sum(axis=1), ())

    def outlier_weights(self, X: Any) -> Array:
        """How much each row counts in a fit, ``Σ_k r_ik u_ik``, (n,): near zero for outliers.

        ``u = (ν + d)/(ν + δ²)`` for Student's t with d coordinates observed, one for a Gaussian;
        the responsibilities r of a row that is probably noise sum to little.

        Examples
        --------
        >>> from mixtura import Mixture, StudentT
        >>> one = Mixture([1.0], [[0.0]], [[[1.0]]], law=StudentT(np.array([3.0])))
        >>> one.outlier_weights([[0.0], [1.0], [9.0]]).round(3).tolist()
        [1.333, 1.0, 0.048]
        """

        def weighed(squared: Array, log_det: Array, pattern: Pattern) -> Array:
            share = shares(joint_with(self, squared, log_det, pattern))[:, : self.n_components]
            return np.asarray(share * self.law.row_weights(squared, pattern.features))

        return self._by_distance(X, weighed).sum(axis=1)

    def mahalanobis(self, X: Any) -> Array:
        """Distance √((x - μ_k)ᵀ Σ_k⁻¹ (x - μ_k)) of each row to each component, (n, k).

        With gaps, that of the observed coordinates.
        """
        return self._by_distance(X, lambda squared, log_det, pattern: np.sqrt(squared))

    @cached_property
    def log_weights(self) -> Array:
        """(k,) log π_k, -inf for an empty component."""
        with np.errstate(divide="ignore"):
            return np.log(self.weights)

    def log_joint(self, block: Block) -> Iterator[tuple[Pattern, Array]]:
        """``log π_k + log p(z | k)`` (m, k) in frame coordinates: at once, or pattern by pattern.

        With noise, ``log (1 - share)`` is added and a last column holds the noise's.
        """
        if block.errors is not None:
            blurred = blurred_joint(self, block)
            yield from ((pattern, blurred[pattern.rows]) for pattern in block.patterns)
            return
        found = distances_with_gaps(self, block) if many_gaps(block) else None
        if found is not None:
            yield block.mixed, joint_with(self, *found, block.mixed)
            return
        for pattern in block.patterns:
            joint = self.joint(block.rows[pattern.rows], pattern.observed)
            if pattern.bounded is not None:
                part = block.take(pattern.rows)
                joint = joint + log_probabilities(hidden(self, part, pattern))
            yield pattern, joint

    def joint_of(self, block: Block) -> Array:
        """`log_joint` of all rows, (n, k), or (n, k + 1) with noise."""
        out = np.empty((len(block), self.n_components + (self.noise is not None)))
        for pattern, joint in self.log_joint(block):
            out[pattern.rows] = joint
        return out

    def measured(self, block: Block) -> Iterator[tuple[Pattern, Array, Array]]:
        """Squared distances (m, k) and log-determinants (k,) or (m, k) of what is observed."""
        found = distances_with_gaps(self, block) if many_gaps(block) else None
        if found is not None:
            yield block.mixed, *found
            return
        for pattern in block.patterns:
            squared = squared_distances(self, block.rows[pattern.rows], pattern.observed)
            yield pattern, squared, self.observed(pattern.observed).structure.log_det

    def observed(self, observed: Mask) -> Observed:
        """The mixture seen through a pattern (d,) of observed coordinates."""
        if self.structure.shape == FACTOR:  # cheap, and as large as the loadings
            return seen_through(self.structure, observed)
        key = np.packbits(observed).tobytes()
        known = self._seen.get(key) or seen_through(self.structure, observed)
        if len(self._seen) < _KEPT:
            self._seen[key] = known
        return known

    def kept(self, name: str, make: Any) -> Any:
        """``make(mixture)``, made once: what every block of rows needs of the mixture."""
        if name not in self._kept:
            self._kept[name] = make(self)
        return self._kept[name]

    @cached_property
    def _kept(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _seen(self) -> dict[bytes, Observed]:
        return {}

    def joint(self, rows: Rows, observed: Mask) -> Array:
        """Log joint (m, k) of rows that have the coordinates `observed`; see `log_joint`."""
        if self.plain:
            norms = self.observed(observed).log_norms
            return gaussian_joint(self, rows, observed, self.log_weights, norms)
        return joint_at(self, squared_distances(self, rows, observed), observed)

    @property
    def plain(self) -> bool:
        """Whether all components are Gaussian and there is no noise."""
        return isinstance(self.law, Gaussian) and self.noise is None

    def _rows(self, X: Any) -> Rows:
        return _checks.rows_like(X, self.n_features, self.feature_names)

    def by_rows(self, X: Any, finish: Any, tail: tuple[int, ...]) -> Array:
        """Apply `finish` to the log joint (in the data's units) of every row, block by block."""
        rows = self._rows(X)
        ahead(self, rows)
        out = np.empty((len(rows), *tail))
        for part in cuts(*rows.shape):
            self.fill(Block(rows[part]), finish, out[part])
        return out

    def _by_distance(self, X: Any, finish: Any) -> Array:
        """``finish(squared distances, log-determinants, pattern)``, (n, k), of every row."""
        rows = self._rows(X)
        ahead(self, rows)
        out = np.empty((len(rows), self.n_components))
        for part in cuts(*rows.shape):
            for pattern, squared, log_det in self.measured(Block(rows[part])):
                out[part][pattern.rows] = finish(squared, log_det, pattern)
        return out

    def fill(self, block: Block, finish: Any, out: Array) -> None:
        """Write ``finish(log joint)`` of a block's rows into `out`."""
        block = block if self.plain and self.structure.shape != FACTOR else block.here
        for pattern, joint in self.log_joint(block):
            out[pattern.rows] = finish(joint + self.frame.volumes(pattern.observed))


def many_gaps(block: Block) -> bool:
    """Whether a block has so many patterns of gaps that they are better taken at once."""
    return len(block.patterns) > _FEW and block.limits is None
