"""A one-dimensional mixture as plain arrays: its tails, its density, where that turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri_exp

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.frame import Frame
from mixtura.mixture import Mixture

_LOG_ROOT_TWO_PI = 0.5 * float(np.log(2.0 * np.pi))
_HALVINGS = 1100  # from the largest to the smallest double; all but a few dozen are rarely needed
_NEAR = np.linspace(-8.0, 8.0, 129)
_WIDE = np.concatenate([np.linspace(-40.0, -8.5, 64), _NEAR, np.linspace(8.5, 40.0, 64)])


@dataclass(frozen=True, eq=False)
class Line:
    """The components that weigh something, in coordinates z of the frame.

    Attributes
    ----------
    weights, means, deviations : (k,)
        The weights sum to one.
    frame : Frame
    """

    weights: Array
    means: Array
    deviations: Array
    frame: Frame

    @classmethod
    def of(cls, mixture: Mixture) -> Line:
        """A mixture of one feature.

        Raises
        ------
        InputError
            More than one feature.
        """
        if mixture.n_features != 1:
            raise InputError(
                f"this is defined for one feature, and the mixture has {mixture.n_features}: "
                "take mixture.marginal(feature) first"
            )
        some = mixture.weights > 0
        weights = mixture.weights[some]
        deviations = np.sqrt(mixture.structure.variances_by_column[some, 0])
        means = mixture.location[some, 0]
        return cls(weights / weights.sum(), means, np.asarray(deviations), mixture.frame)

    def read(self, x: Array) -> Array:
        """x in the data's units -> z."""
        return np.asarray(self.frame.read(x[..., None])[..., 0])

    def unread(self, z: Array) -> Array:
        """z -> x in the data's units."""
        return np.asarray(self.frame.unread(z[..., None])[..., 0])

    def lower(self, z: Array) -> Array:
        """P(Z <= z) = Σ π_k Φ((z - μ_k) / σ_k)."""
        return self._sum(z, ndtr)

    def upper(self, z: Array) -> Array:
        """P(Z > z) = Σ π_k Φ((μ_k - z) / σ_k)."""
        return self._sum(z, lambda t: ndtr(-t))

    def log_lower(self, z: Array) -> Array:
        """log P(Z <= z), exact where that underflows."""
        far = self._log_sum(z, log_ndtr, self._log_weights)
        return np.where(far < -0.7, far, np.log1p(-np.minimum(self.upper(z), 0.6)))

    def log_upper(self, z: Array) -> Array:
        """log P(Z > z), exact where that underflows."""
        far = self._log_sum(z, lambda t: log_ndtr(-t), self._log_weights)
        return np.where(far < -0.7, far, np.log1p(-np.minimum(self.lower(z), 0.6)))

    def log_density(self, z: Array) -> Array:
        """log f(z)."""
        peaks = self._log_weights - np.log(self.deviations) - _LOG_ROOT_TWO_PI
        return self._log_sum(z, lambda t: -0.5 * t * t, peaks)

    def normal_score(self, z: Array) -> Array:
        """Φ⁻¹(P(Z <= z)), from the thinner tail: (z - μ) / σ for a single component."""
        below, above = self.log_lower(z), self.log_upper(z)
        return np.where(below < above, ndtri_exp(below), -ndtri_exp(above))

    def slope(self, z: Array) -> Array:
        """f'(z) up to a positive factor: ``Σ r_k (μ_k - z) / σ_k²``."""
        return self._mean(z, lambda t, s: -t / s)

    def curvature(self, z: Array) -> Array:
        """f''(z) up to a positive factor: ``Σ r_k (t_k² - 1) / σ_k²``, t_k = (z - μ_k) / σ_k."""
        return self._mean(z, lambda t, s: (t * t - 1.0) / (s * s))

    @cached_property
    def turns(self) -> Array:
        """(2m - 1,) where f turns: modes and the antimodes between them, in rising order.

        The signs of f' on a grid laid around every component, refined by the zeros of f'', bracket
        the zeros.
        """
        grid = np.unique(self.means[:, None] + self.deviations[:, None] * _WIDE)
        grid = np.unique(np.concatenate([grid, self.means, zeros(self.curvature, grid)]))
        turns = zeros(self.slope, grid)
        return turns if len(turns) % 2 else np.append(turns, grid[-1:])

    @property
    def modes(self) -> Array:
        """(m,) modes, in rising order."""
        return self.turns[::2]

    @cached_property
    def _log_weights(self) -> Array:
        return np.asarray(np.log(self.weights))

    def _sum(self, z: Array, term: Callable[[Array], Array]) -> Array:
        total = np.zeros_like(z)
        for weight, mean, deviation in zip(self.weights, self.means, self.deviations, strict=True):
            total += weight * term((z - mean) / deviation)
        return np.minimum(total, 1.0)

    def _log_sum(self, z: Array, term: Callable[[Array], Array], logs: Array) -> Array:
        total = np.full_like(z, -np.inf)
        for log, mean, deviation in zip(logs, self.means, self.deviations, strict=True):
            total = np.logaddexp(total, log + term((z - mean) / deviation))
        return total

    def _mean(self, z: Array, term: Callable[[Array, Array], Array]) -> Array:
        """``Σ r_k term(t_k, σ_k)`` by the responsibilities r at z."""
        t = (z[..., None] - self.means) / self.deviations
        logs = self._log_weights - np.log(self.deviations) - 0.5 * t * t
        shares = np.exp(logs - logs.max(axis=-1, keepdims=True))
        return np.asarray((shares * term(t, self.deviations)).sum(axis=-1))


def zeros(function: Callable[[Array], Array], grid: Array) -> Array:
    """Where a function changes its sign between neighbours of a grid, by bisection."""
    signs = np.sign(function(grid))
    exact = grid[signs == 0]
    here = np.flatnonzero(signs[:-1] * signs[1:] < 0)
    found = bisected(function, grid[here], grid[here + 1], signs[here])
    return np.sort(np.concatenate([exact, found]))


def bisected(function: Callable[[Array], Array], low: Array, high: Array, sign: Array) -> Array:
    """Zeros between `low`, where the function has this sign, and `high`, to the last bit."""
    low, high = low.copy(), high.copy()
    for _ in range(_HALVINGS):
        middle = low + 0.5 * (high - low)
        if not ((low < middle) & (middle < high)).any():
            break
        left = np.sign(function(middle)) == sign
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return np.asarray(low + 0.5 * (high - low))
