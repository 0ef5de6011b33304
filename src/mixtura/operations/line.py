"""A one-dimensional mixture as plain arrays: its tails, its density, where that turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import ndtri_exp

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.frame import Frame
from mixtura.law import Gaussian, Law
from mixtura.mixture import Mixture
from mixtura.noise import Noise

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
    law : Law
    noise : Noise or None
    """

    weights: Array
    means: Array
    deviations: Array
    frame: Frame
    law: Law
    noise: Noise | None

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
        deviations = np.asarray(np.sqrt(mixture.structure.variances_by_column[some, 0]))
        means = mixture.location[some, 0]
        law = mixture.law.take(some)
        return cls(weights / weights.sum(), means, deviations, mixture.frame, law, mixture.noise)

    @property
    def plain(self) -> bool:
        """Whether all components are Gaussian and there is no noise."""
        return isinstance(self.law, Gaussian) and self.noise is None

    def read(self, x: Array) -> Array:
        """x in the data's units -> z."""
        return np.asarray(self.frame.read(x[..., None])[..., 0])

    def unread(self, z: Array) -> Array:
        """z -> x in the data's units."""
        return np.asarray(self.frame.unread(z[..., None])[..., 0])

    def lower(self, z: Array) -> Array:
        """P(Z <= z) = Σ π_k F_k((z - μ_k) / σ_k); noise is spread evenly over its box."""
        return self._with_noise(self._sum(z, 1.0), self._even(z))

    def upper(self, z: Array) -> Array:
        """P(Z > z) = Σ π_k F_k((μ_k - z) / σ_k)."""
        return self._with_noise(self._sum(z, -1.0), 1.0 - self._even(z))

    def log_lower(self, z: Array) -> Array:
        """log P(Z <= z), exact where that underflows."""
        far = self._log_with_noise(self._log_sum(z, 1.0), self._even(z))
        return np.where(far < -0.7, far, np.log1p(-np.minimum(self.upper(z), 0.6)))

    def log_upper(self, z: Array) -> Array:
        """log P(Z > z), exact where that underflows."""
        far = self._log_with_noise(self._log_sum(z, -1.0), 1.0 - self._even(z))
        return np.where(far < -0.7, far, np.log1p(-np.minimum(self.lower(z), 0.6)))

    def log_density(self, z: Array) -> Array:
        """log f(z); noise is within its box alone, as its distribution function is."""
        total = np.asarray(np.logaddexp.reduce(self._logs(z)[0], axis=-1))
        if self.noise is None:
            return total
        low, high = self.noise.low[0], self.noise.high[0]
        return self._log_with_noise(total, ((low <= z) & (z <= high)) / (high - low))

    def normal_score(self, z: Array) -> Array:
        """Φ⁻¹(P(Z <= z)), from the thinner tail: (z - μ) / σ for a single component."""
        below, above = self.log_lower(z), self.log_upper(z)
        return np.where(below < above, ndtri_exp(below), -ndtri_exp(above))

    def slope(self, z: Array) -> Array:
        """f'(z) up to a positive factor: ``Σ r_k u_k (μ_k - z) / σ_k²``."""
        shares, t = self._shares(z)
        pull = self.law.row_weights(t * t, 1) * t / self.deviations
        return np.asarray(-(shares * pull).sum(axis=-1))

    def curvature(self, z: Array) -> Array:
        """f''(z) up to a positive factor: ``Σ r_k ((u_k² - 2 u_k') t_k² - u_k) / σ_k²``.

        With t_k = (z - μ_k) / σ_k and u_k' the derivative by t_k²; u = 1 for a Gaussian.
        """
        shares, t = self._shares(z)
        u, falls = self.law.row_weights(t * t, 1), self.law.weight_falls(t * t, 1)
        bend = ((u * u + falls) * t * t - u) / self.deviations**2
        return np.asarray((shares * bend).sum(axis=-1))

    @cached_property
    def turns(self) -> Array:
        """(2m - 1,) where f turns: modes and the antimodes between them, in rising order.

        The signs of f' on a grid laid around every component, refined by the zeros of f'', bracket
        the zeros.
        """
        grid = np.unique(self.means[:, None] + self.deviations[:, None] * _WIDE)
        grid = np.unique(np.concatenate([grid, self.means, zeros(self.curvature, grid)]))
        return zeros(self.slope, grid)

    @property
    def modes(self) -> Array:
        """(m,) modes, in rising order."""
        return self.turns[::2]

    @cached_property
    def _log_weights(self) -> Array:
        return np.asarray(np.log(self.weights))

    def _sum(self, z: Array, sign: float) -> Array:
        total = np.zeros_like(z)
        for k, weight in enumerate(self.weights):
            t = sign * (z - self.means[k]) / self.deviations[k]
            total += weight * self.law.tail(t, k)
        return np.minimum(total, 1.0)

    def _log_sum(self, z: Array, sign: float) -> Array:
        total = np.full_like(z, -np.inf)
        for k, log in enumerate(self._log_weights):
            t = sign * (z - self.means[k]) / self.deviations[k]
            total = np.logaddexp(total, log + self.law.log_tail(t, k))
        return total

    def _even(self, z: Array) -> Array:
        """Distribution function of the noise."""
        if self.noise is None:
            return np.zeros_like(z)
        low, high = self.noise.low[0], self.noise.high[0]
        return np.asarray(np.clip((z - low) / (high - low), 0.0, 1.0))

    def _with_noise(self, value: Array, even: Array) -> Array:
        share = 0.0 if self.noise is None else self.noise.share
        return np.asarray((1.0 - share) * value + share * even) if share else value

    def _log_with_noise(self, logs: Array, even: Any) -> Array:
        share = 0.0 if self.noise is None else self.noise.share
        if not share:
            return logs
        with np.errstate(divide="ignore"):
            return np.asarray(np.logaddexp(np.log1p(-share) + logs, np.log(share * even)))

    def _logs(self, z: Array) -> tuple[Array, Array]:
        """log π_k f_k(z), (..., k), and (z - μ_k) / σ_k."""
        t = (z[..., None] - self.means) / self.deviations
        with np.errstate(over="ignore"):
            logs = self.law.log_densities(t * t, 2.0 * np.log(self.deviations), 1)
        return self._log_weights + logs, t

    def _shares(self, z: Array) -> tuple[Array, Array]:
        """Responsibilities (..., k) at z, and (z - μ_k) / σ_k."""
        logs, t = self._logs(z)
        shares = np.exp(logs - logs.max(axis=-1, keepdims=True))
        return shares / shares.sum(axis=-1, keepdims=True), t


def zeros(function: Callable[[Array], Array], grid: Array) -> Array:
    """Where a function changes its sign between neighbours of a grid, by bisection."""
    signs = np.sign(function(grid))
    grid, signs = grid[signs != 0], signs[signs != 0]
    here = np.flatnonzero(signs[:-1] != signs[1:])
    return bisected(function, grid[here], grid[here + 1], signs[here])


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
