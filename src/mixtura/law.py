"""How a squared Mahalanobis distance becomes a log-density, and what weight it leaves a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import (
    betaln,
    digamma,
    fdtri,
    gammaincinv,
    gammaln,
    hyp2f1,
    log_ndtr,
    ndtr,
    stdtr,
)

from mixtura._errors import InputError
from mixtura._types import Array

FARTHEST = 1e150
"""Deviations farther off count as so many: their squares would be no numbers."""

LOG_2PI = float(np.log(2.0 * np.pi))

LEAST, MOST = 1.0, 500.0
"""Bounds of degrees of freedom that are estimated."""

_THIN = -650.0
"""Log-probability below which a tail is summed as a series."""


def log_norms(log_det: Array, features: int | Array) -> Array:
    """The Gaussian's log normaliser: ``log N = log_norm - δ²/2`` for squared distance δ².

    ``log_norm_k = -½ (d log 2π + log |Σ_k|)``.
    """
    return np.asarray(-0.5 * (features * LOG_2PI + log_det))


def of_each_count(function: Callable[[Array], Array], features: int | Array) -> Array:
    """``function(features)``, (k,) or (m, k), worked out once for rows with as many features."""
    counts = np.asarray(features)
    if counts.size == 1:
        return function(counts)
    least, most = int(counts.min()), int(counts.max())
    return function(np.arange(least, most + 1)[:, None])[counts[:, 0] - least]


class Law(Protocol):
    """The shape of every component, given its squared distances (m, k)."""

    @property
    def n_parameters(self) -> int:
        """Parameters that a fit estimates."""

    @property
    def settled(self) -> bool:
        """Whether there is nothing to estimate."""

    @property
    def wording(self) -> str:
        """What follows the structure's name in a description."""

    @property
    def inflation(self) -> Array:
        """What turns Σ_k into the covariance of component k, () or (k,)."""

    def log_densities(self, squared: Array, log_det: Array, features: int | Array) -> Array:
        """log p(z | k), (m, k), for squared distances (m, k) over so many features.

        Features are as many for all rows, or (m, 1) for each; so are they below.
        """

    def entropies(self, log_det: Array, features: int | Array) -> Array:
        """``-E[log p(z | k)]`` of each component, (k,), over so many features."""

    def row_weights(self, squared: Array, features: int | Array) -> Array:
        """Expected weight u (m, k) with which a row enters the moments of each component."""

    def weight_falls(self, squared: Array, features: int) -> Array:
        """How u falls with the squared distance, ``-2 ∂u/∂δ²``, (m, k)."""

    def tail(self, t: Array, component: int) -> Array:
        """P(T <= t) in one dimension, for a component of mean zero and scale one."""

    def log_tail(self, t: Array, component: int) -> Array:
        """log P(T <= t), also where the probability underflows."""

    def squared_radius(self, probability: float, features: int) -> Array:
        """The squared distance, () or (k,), within which a component has this probability."""

    def check(self, k: int) -> None:
        """Refuse a law that is not one of k components."""

    def expanded(self, counts: Array, mass: Array) -> Array:
        """What divides the scatter (k,), given ``Σ r`` and ``Σ r u``."""

    def take(self, components: Any) -> Law:
        """The law of some components."""

    def given(self, squared: Array, features: int) -> tuple[Law, Array]:
        """The law given coordinates at squared distance (k,), and what Σ_k is multiplied by."""

    def shrunk(self, rng: np.random.Generator, n: int, component: int) -> Array:
        """What n standard normal rows of a component are divided by, () or (n, 1)."""


@dataclass(frozen=True)
class Gaussian:
    """``log p = -½ (d log 2π + log |Σ| + δ²)``; every row has weight one."""

    n_parameters = 0
    settled = True
    wording = ""
    inflation = np.ones(())

    def log_densities(self, squared: Array, log_det: Array, features: int | Array) -> Array:
        return log_norms(log_det, features) - 0.5 * squared

    def entropies(self, log_det: Array, features: int | Array) -> Array:
        return 0.5 * features - log_norms(log_det, features)

    def row_weights(self, squared: Array, features: int | Array) -> Array:
        return np.ones_like(squared)

    def weight_falls(self, squared: Array, features: int) -> Array:
        return np.zeros_like(squared)

    def tail(self, t: Array, component: int) -> Array:
        return np.asarray(ndtr(t))

    def log_tail(self, t: Array, component: int) -> Array:
        return np.asarray(log_ndtr(t))

    def squared_radius(self, probability: float, features: int) -> Array:
        return np.asarray(2.0 * gammaincinv(0.5 * features, probability))

    def check(self, k: int) -> None:
        return

    def expanded(self, counts: Array, mass: Array) -> Array:
        return counts

    def take(self, components: Any) -> Gaussian:
        return self

    def given(self, squared: Array, features: int) -> tuple[Gaussian, Array]:
        return self, np.ones_like(squared)

    def shrunk(self, rng: np.random.Generator, n: int, component: int) -> Array:
        return np.ones(())


GAUSSIAN = Gaussian()


@dataclass(frozen=True, eq=False)
class StudentT:
    """Student's t: a Gaussian whose covariance is divided by a gamma variable for each row.

    ``log p = log Γ((ν+d)/2) - log Γ(ν/2) - ½ d log(νπ) - ½ log |Σ| - ½ (ν+d) log(1 + δ²/ν)``; a
    row's expected weight is ``u = (ν + d)/(ν + δ²)``, with d the number of its observed
    coordinates (Peel & McLachlan 2000).

    Attributes
    ----------
    dof : (k,)
        ν, degrees of freedom, above zero.
    tie : {"own", "common", "fixed"}
        Whether a fit estimates one ν for each component, one for all, or none.

    Examples
    --------
    >>> law = StudentT(np.array([3.0, 3.0]), "common")
    >>> law.row_weights(np.array([[0.0, 9.0]]), 2).round(3).tolist()
    [[1.667, 0.417]]
    """

    dof: Array
    tie: str = "own"

    @property
    def n_parameters(self) -> int:
        return {"own": len(self.dof), "common": 1, "fixed": 0}[self.tie]

    @property
    def settled(self) -> bool:
        return self.tie == "fixed"

    @property
    def wording(self) -> str:
        shown = dict.fromkeys(f"{dof:.3g}" for dof in self.dof[:12])
        return f"; Student's t with {', '.join(shown)} degrees of freedom"

    @property
    def inflation(self) -> Array:
        heavy = self.dof <= 2.0
        return np.where(heavy, np.inf, self.dof / np.where(heavy, 1.0, self.dof - 2.0))

    def log_densities(self, squared: Array, log_det: Array, features: int | Array) -> Array:
        dof = self.dof
        logs = np.asarray(squared / dof)
        np.log1p(logs, out=logs)
        logs *= -0.5 * (dof + features)
        return logs + (of_each_count(self._log_heights, features) - 0.5 * log_det)

    def _log_heights(self, features: Array) -> Array:
        """``log Γ((ν+d)/2) - log Γ(ν/2) - ½ d log(νπ)`` without cancellation for large ν."""
        some = np.maximum(features, 1)
        lifted = gammaln(0.5 * some) - betaln(0.5 * self.dof, 0.5 * some)
        return np.where(features > 0, lifted - 0.5 * some * np.log(self.dof * np.pi), 0.0)

    def entropies(self, log_det: Array, features: int | Array) -> Array:
        """``-log p(0) + ½ (ν+d) (ψ((ν+d)/2) - ψ(ν/2))``: the mean of ``log(1 + δ²/ν)``."""
        return np.asarray(0.5 * log_det + of_each_count(self._spreads, features))

    def _spreads(self, features: Array) -> Array:
        """Entropies where the log-determinant is zero."""
        half, whole = 0.5 * self.dof, 0.5 * (self.dof + features)
        return np.asarray(whole * (digamma(whole) - digamma(half)) - self._log_heights(features))

    def row_weights(self, squared: Array, features: int | Array) -> Array:
        return np.asarray((self.dof + features) / (self.dof + squared))

    def weight_falls(self, squared: Array, features: int) -> Array:
        return np.asarray(2.0 * (self.dof + features) / (self.dof + squared) ** 2)

    def tail(self, t: Array, component: int) -> Array:
        return np.asarray(stdtr(self.dof[component], t))

    def log_tail(self, t: Array, component: int) -> Array:
        """``½ I_x(ν/2, ½)``, x = ν/(ν + t²), by its power series where it would underflow."""
        half = 0.5 * self.dof[component]
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            logs = np.array(np.log(self.tail(t, component)))
            thin = np.asarray((logs < _THIN) & np.isfinite(t))
            log_odds = 2.0 * np.log(np.abs(np.asarray(t)[thin])) - np.log(self.dof[component])
            share = np.logaddexp(0.0, log_odds)  # -log x
            series = np.log(hyp2f1(half + 0.5, 1.0, half + 1.0, np.exp(-share)))
        norm = np.log(2.0 * half) + betaln(half, 0.5)
        logs[thin] = series - half * share + 0.5 * (log_odds - share) - norm
        return logs

    def squared_radius(self, probability: float, features: int) -> Array:
        """``δ²/d`` has an F distribution with d and ν degrees of freedom."""
        return np.asarray(features * fdtri(features, self.dof, probability))

    def check(self, k: int) -> None:
        dof = np.asarray(self.dof)
        if dof.shape != (k,) or not (np.isfinite(dof) & (dof > 0)).all():
            raise InputError(f"dof={dof}: {k} components need {k} finite numbers above 0")

    def expanded(self, counts: Array, mass: Array) -> Array:
        """Counts times the estimate α of a scale common to all u: ``Σ ν r u / Σ ν r``.

        One scale for all components leaves every family of covariances as it is.
        """
        return np.asarray(counts * ((self.dof @ mass) / (self.dof @ counts)))

    def take(self, components: Any) -> StudentT:
        return StudentT(self.dof[components], self.tie)

    def given(self, squared: Array, features: int) -> tuple[StudentT, Array]:
        return StudentT(self.dof + features, self.tie), 1.0 / self.row_weights(squared, features)

    def shrunk(self, rng: np.random.Generator, n: int, component: int) -> Array:
        dof = self.dof[component]
        return np.sqrt(rng.chisquare(dof, size=(n, 1)) / dof)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StudentT):
            return NotImplemented
        return self.tie == other.tie and np.array_equal(self.dof, other.dof)

    __hash__ = None  # type: ignore[assignment]
