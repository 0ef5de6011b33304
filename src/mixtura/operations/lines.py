"""Many mixtures of one feature at once: distribution functions and quantiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri, ndtri_exp

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.conditioning import log_sums
from mixtura.law import FARTHEST, LOG_2PI
from mixtura.operations.mixtures import Mixtures
from mixtura.operations.univariate import probabilities

_STEPS = 200
_ROUNDING = 4.0 * float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class Lines:
    """n mixtures of one feature, in frame coordinates.

    Attributes
    ----------
    mixtures : Mixtures
    log_weights, means, deviations : (n, k)
    """

    mixtures: Mixtures
    log_weights: Array
    means: Array
    deviations: Array

    @classmethod
    def of(cls, mixtures: Mixtures) -> Lines:
        """Mixtures of one feature.

        Raises
        ------
        InputError
            More than one feature.
        """
        if mixtures.n_features != 1:
            raise InputError(
                f"this is defined for one feature, and the mixtures have {mixtures.n_features}: "
                "take mixtures.marginal(feature) first"
            )
        deviations = np.sqrt(mixtures.spread[mixtures.group][:, :, 0, 0])
        return cls(mixtures, mixtures.log_weights, mixtures.location[:, :, 0], deviations)

    @property
    def plain(self) -> bool:
        """Whether all components are Gaussian and there is no noise."""
        return self.mixtures.dof is None and self.mixtures.noise is None

    def take(self, rows: Any) -> Lines:
        """Some of the mixtures."""
        parts = (self.log_weights[rows], self.means[rows], self.deviations[rows])
        return Lines(self.mixtures[rows], *parts)

    def cdf(self, x: Any) -> Array:
        """(n,) P(x' <= x) for a number, (n,) or (n, 1) values."""
        values = _checks.numbers(x, "the values")
        values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
        if values.shape not in ((), (len(self.means),)):
            raise InputError(
                f"values of shape {values.shape} for {len(self.means)} mixtures: "
                "a number or one value each is needed"
            )
        values = np.broadcast_to(values, len(self.means))
        if not self.plain:
            each = zip(self.mixtures, values, strict=True)
            return np.array([float(one.cdf(value)) for one, value in each])
        z = self.mixtures.frame.read(values[:, None])
        return np.asarray((np.exp(self.log_weights) * ndtr(self._scores(z[:, 0]))).sum(axis=1))

    def quantile(self, probability: Any) -> Array:
        """(n,) for a probability, (n, q) for (q,) of them."""
        p = probabilities(probability)
        if p.ndim > 1:
            raise InputError(f"probabilities have shape {p.shape}: a number or (q,) is needed")
        if not self.plain:
            return np.stack([one.quantile(p) for one in self.mixtures])
        z = np.stack([self._solved(score) for score in ndtri(np.atleast_1d(p))], axis=1)
        found = self.mixtures.frame.unread(z[:, :, None])[:, :, 0]
        return found if p.ndim else found[:, 0]

    def solved_at(self, probability: float) -> Array:
        """(n,) the quantiles in frame coordinates, of Gaussian components."""
        return self._solved(float(ndtri(probability)))

    def _solved(self, score: float) -> Array:
        """z (n,) with Φ⁻¹(F_i(z)) = score, by Newton's method within a bracket."""
        if not np.isfinite(score):
            return np.full(len(self.means), score)
        ends = self.means + score * self.deviations
        low, high = ends.min(axis=1), ends.max(axis=1)
        z = np.clip((np.exp(self.log_weights) * ends).sum(axis=1), low, high)
        open_, part = np.flatnonzero(low < high), self
        last = np.full(len(z), np.inf)
        if len(open_) < len(z):
            part = self.take(open_)
        for _ in range(_STEPS):
            if not len(open_):
                break
            here = z[open_]
            found, log_slope = part._normal_score(here)
            gap = score - found
            low[open_] = np.where(gap > 0, here, low[open_])
            high[open_] = np.where(gap < 0, here, high[open_])
            with np.errstate(over="ignore", invalid="ignore"):
                step = gap * np.exp(-log_slope)
                noise = max(abs(score), 1.0) + np.abs(here) * np.exp(log_slope)
            done = np.abs(gap) <= _ROUNDING * noise
            then = here + step
            trusted = (then > low[open_]) & (then < high[open_])
            trusted &= np.abs(step) <= 0.5 * np.abs(last[open_])
            middle = low[open_] + 0.5 * (high[open_] - low[open_])
            then = np.where(done, here, np.where(trusted, then, middle))
            last[open_], z[open_] = then - here, then
            left = ~done & (then != here)
            if not left.all():
                open_, part = open_[left], part.take(left)
        return z

    def _scores(self, z: Array) -> Array:
        return np.clip((z[:, None] - self.means) / self.deviations, -FARTHEST, FARTHEST)

    def _normal_score(self, z: Array) -> tuple[Array, Array]:
        """Φ⁻¹(F_i(z)) from the thinner tail, and the logarithm of its derivative."""
        t = self._scores(z)
        below = np.minimum(log_sums(self.log_weights + log_ndtr(t)), 0.0)
        above = np.minimum(log_sums(self.log_weights + log_ndtr(-t)), 0.0)
        found = np.where(below < above, ndtri_exp(below), -ndtri_exp(above))
        logs = self.log_weights - np.log(self.deviations) - 0.5 * (t * t + LOG_2PI)
        return found, log_sums(logs) + 0.5 * (found * found + LOG_2PI)
