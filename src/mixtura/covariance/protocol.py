"""What a covariance structure and a family must offer; everything else is generic."""

from __future__ import annotations

from typing import Any, Protocol

from mixtura._types import Array
from mixtura.covariance.guard import Guard
from mixtura.statistics import Moments, Statistics


class Covariances(Protocol):
    """The frozen value: k covariance matrices of d features in some structure.

    `shape` names the kernels' layout (`mixtura.kernels.layout`) that fits its precisions:
    FULL (k, d, d), DIAGONAL (k, d), SPHERICAL (k,) or FACTOR (k, d, 1 + r).
    """

    @property
    def name(self) -> str:
        """The family whose structure it is."""

    @property
    def k(self) -> int: ...
    @property
    def d(self) -> int: ...
    @property
    def shape(self) -> int: ...
    @property
    def shared(self) -> bool:
        """Whether all components have one and the same matrix by construction."""

    @property
    def log_det(self) -> Array:
        """(k,) log-determinants of the covariances."""

    @property
    def factors(self) -> Array:
        """Whiteners W with ``W Wᵀ = Σ⁻¹`` in the layout of `shape`: ``y = (z - μ) @ W``."""

    @property
    def precisions(self) -> Array:
        """Inverse covariances in the layout of `shape`."""

    @property
    def variances_by_column(self) -> Array:
        """(k, d) diagonals."""

    def dense(self) -> Array:
        """(k, d, d) matrices."""

    def array(self) -> Array:
        """The numbers as scikit-learn lays out ``covariances_`` for this structure."""

    def colorize(self, noise: Array, component: int) -> Array:
        """Standard normal rows (n, d) -> rows with the component's covariance."""

    def marginal(self, dims: Any) -> Covariances:
        """The structure of some coordinates."""

    def take(self, components: Any) -> Covariances:
        """The structure of some components."""

    def scaled(self, factors: Array) -> Covariances:
        """``S Σ S`` for S = diag(factors)."""

    def eigenvalues(self) -> Array:
        """(k, d) eigenvalues in rising order."""


class Family(Protocol):
    """The rule: which structure, estimated how, with how many parameters."""

    @property
    def name(self) -> str: ...
    @property
    def moments(self) -> Moments: ...
    @property
    def one_scale(self) -> bool:
        """Whether the family survives only a common scaling of all columns."""

    @property
    def averages(self) -> bool:
        """Whether `maximize` is the scatter over its divisor, held to `form`.

        Whole climbs can then be compiled.
        """

    @property
    def form(self) -> int:
        """What the components have in common, by the codes of `mixtura.kernels.forms`."""

    def n_parameters(self, k: int, d: int) -> int:
        """Free parameters of k covariances of d features."""

    def maximize(
        self, data: Statistics, guard: Guard, before: Covariances | None = None
    ) -> Covariances:
        """The structure that maximises the expected log-likelihood given the statistics.

        Where that takes iterations, they begin at the structure `before` and never end lower.
        """

    def from_array(self, array: Array, k: int, d: int) -> Covariances:
        """The structure from numbers as scikit-learn lays them out."""
