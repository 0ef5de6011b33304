"""A Gaussian within a box: its probability to relative accuracy, and exact draws, far out too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import root
from scipy.special import logsumexp

from mixtura._errors import InputError
from mixtura._types import Array, Indices
from mixtura.integrals.interval import log_probability, within
from mixtura.integrals.sobol import averaged, scrambled
from mixtura.law import LOG_2PI

_TRIES = 1_000
_MOST = 1 << 21
_NEWTON, _FLAT, _NEAR = 50, 1e-6, 1e-1
"""Newton steps at most, the gradient at which they end, and that at which a tilt is taken."""


@dataclass(frozen=True, eq=False)
class Tilted:
    """Draws of one coordinate after another within the box, from tilted normal variables.

    The tilt μ solves the saddle point ``min_μ max_x ψ(x, μ)`` of ``ψ = Σ_j μ_j²/2 - x_j μ_j +
    log P(l_j - μ_j < Z < u_j - μ_j)`` with the conditional bounds l_j, u_j given x_1..x_(j-1). The
    mean of exp(ψ) over the draws is the probability of the box, with a small relative error even
    where it underflows, and ψ at the saddle point bounds it, so that draws can be accepted or
    rejected exactly.

    Attributes
    ----------
    order : (d,)
        The coordinates, the least probable first.
    factor : (d, d)
        Cholesky factor of the covariance in that order.
    rest : (d, d)
        The factor divided by its diagonal by rows, less the identity.
    low, high : (d,)
        The box divided by that diagonal.
    tilt : (d,)
        μ.
    bound : float
        The largest ψ.

    References
    ----------
    Botev (2017), "The normal law under linear restrictions: simulation and estimation via minimax
    tilting", Journal of the Royal Statistical Society B 79, 125-148.
    """

    order: Indices
    factor: Array
    rest: Array
    low: Array
    high: Array
    tilt: Array
    bound: float

    @classmethod
    def of(cls, covariance: Array, low: Array, high: Array) -> Tilted:
        """For a centred Gaussian; low (d,) below high (d,), infinite where there is no bound."""
        order, factor = _ordered(covariance, low, high)
        diagonal = factor.diagonal()
        rest = factor / diagonal[:, None] - np.eye(len(factor))
        low, high = low[order] / diagonal, high[order] / diagonal
        flat = cls(order, factor, rest, low, high, np.zeros(len(order)), 0.0)
        return flat._saddle()

    def _saddle(self) -> Tilted:
        d = len(self.order)
        if d == 1:
            return self._with(self.tilt, float(log_probability(self.low, self.high)[0]))
        with np.errstate(all="ignore"):
            found = root(self._slopes, np.zeros(2 * d - 2), jac=True, method="hybr")
        x, tilt = (np.append(half, 0.0) for half in np.split(found.x, 2))
        value = self._value(x, tilt)
        if not found.success or not np.isfinite(value):
            return self  # untilted: a bound of one, and draws from the conditionals as they are
        return self._with(tilt, value)

    def _with(self, tilt: Array, bound: float) -> Tilted:
        return Tilted(self.order, self.factor, self.rest, self.low, self.high, tilt, bound)

    def _value(self, x: Array, tilt: Array) -> float:
        shift = tilt + self.rest @ x
        logs = log_probability(self.low - shift, self.high - shift)
        return float((0.5 * tilt**2 - x * tilt + logs).sum())

    def _slopes(self, both: Array) -> tuple[Array, Array]:
        return slopes(self.rest, self.low, self.high, both)

    def log_probability(self, points: int, seed: int) -> tuple[float, float]:
        """log P(low <= z <= high) and its standard error, by randomised Sobol' points."""
        d = len(self.order)
        if d == 1:
            return self.bound, 0.0
        grid = scrambled(d - 1, points, seed)
        logs = [logsumexp(self._drawn(shares)[1]) - np.log(len(shares)) for shares in grid]
        middle = float(logsumexp(logs) - np.log(len(logs)))
        if middle == -np.inf:
            return middle, 0.0
        return middle, float(averaged(np.exp(np.array(logs) - middle))[1])

    def _drawn(self, shares: Array) -> tuple[Array, Array]:
        """x (n, d or d - 1) at shares of the conditional quantiles, and ψ (n,)."""
        n, many = shares.shape
        x, value = np.zeros((n, len(self.order))), np.zeros(n)
        for j, mu in enumerate(self.tilt):
            shift = mu + x @ self.rest[j]
            a, b = self.low[j] - shift, self.high[j] - shift
            value += log_probability(a, b) + 0.5 * mu * mu
            if j < many:
                x[:, j] = mu + within(a, b, shares[:, j])
                value -= x[:, j] * mu
        return x, value

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """(n, d) exact draws; a proposal is accepted with probability exp(ψ - bound)."""
        kept: list[Array] = []
        lack, rate = n, 1.0
        for _ in range(_TRIES):
            tries = min(int(1.1 * lack / rate) + 8, _MOST // len(self.order) + 1)
            x, value = self._drawn(rng.random((tries, len(self.order))))
            some = np.log(rng.random(len(x))) < value - self.bound
            kept.append(x[some][:lack])
            lack, rate = lack - len(kept[-1]), float(np.clip(some.mean(), 1e-3, 1.0))
            if not lack:
                break
        else:
            raise InputError(
                "the box is so narrow a part of its correlated normal variables that hardly any "
                "proposal is accepted: truncate fewer columns, or ask for fewer rows"
            )
        rows = np.empty((n, len(self.order)))
        rows[:, self.order] = np.concatenate(kept) @ self.factor.T
        return rows


def slopes(rest: Array, low: Array, high: Array, both: Array) -> tuple[Array, Array]:
    """The gradient of ψ over (x, μ) without their last, (..., 2d - 2), and its derivatives."""
    d = low.shape[-1]
    last = np.zeros((*both.shape[:-1], 1))
    x, tilt = (np.concatenate([half, last], axis=-1) for half in np.split(both, 2, axis=-1))
    shift = tilt + x @ rest.T
    a, b = low - shift, high - shift
    logs = log_probability(a, b)
    at_low, at_high = (np.exp(-0.5 * (end * end + LOG_2PI) - logs) for end in (a, b))
    pull = at_low - at_high
    ends = [np.where(np.isinf(end), 0.0, end) for end in (a, b)]
    bend = ends[0] * at_low - ends[1] * at_high - pull**2
    lead = rest[:, :-1]
    gradient = np.concatenate([pull @ lead - tilt[..., :-1], (tilt - x + pull)[..., :-1]], axis=-1)
    moved = bend[..., None] * lead
    cross = moved[..., :-1, :] - np.eye(d - 1)
    slack = (1.0 + bend[..., :-1, None]) * np.eye(d - 1)
    upper = np.concatenate([lead.T @ moved, cross.swapaxes(-1, -2)], axis=-1)
    return gradient, np.concatenate([upper, np.concatenate([cross, slack], axis=-1)], axis=-2)


def saddles(rest: Array, low: Array, high: Array) -> Array:
    """The tilts (n, d) of many boxes (n, d) that share a covariance; zero where none is found.

    By damped Newton steps on the gradient. Any tilt is right, a good one makes the sum precise.
    """
    n, d = low.shape
    both = np.zeros((n, 2 * d - 2))
    with np.errstate(all="ignore"):
        gradient, bends = slopes(rest, low, high, both)
        size = np.linalg.norm(gradient, axis=1)
        for _ in range(_NEWTON):
            step = _solved(bends, gradient)
            for length in (1.0, 0.5, 0.1, 0.01):
                there = slopes(rest, low, high, both - length * step)
                better = np.linalg.norm(there[0], axis=1) < size
                both = np.where(better[:, None], both - length * step, both)
                if better.all():
                    break
                step = np.where(better[:, None], 0.0, step)
            gradient, bends = slopes(rest, low, high, both)
            before, size = size, np.linalg.norm(gradient, axis=1)
            if (size < _FLAT).all() or not (size < before).any():
                break
    found = np.hstack([both[:, d - 1 :], np.zeros((n, 1))])
    return np.where((size < _NEAR)[:, None], found, 0.0)


def _solved(bends: Array, gradient: Array) -> Array:
    sound = np.isfinite(bends).all(axis=(1, 2)) & np.isfinite(gradient).all(axis=1)
    step = np.zeros_like(gradient)
    step[sound] = np.linalg.solve(bends[sound], gradient[sound, :, None])[:, :, 0]
    return step


def _ordered(covariance: Array, low: Array, high: Array) -> tuple[Indices, Array]:
    """The coordinates, the least probable first given the expected ones before; the factor.

    Gibson, Glasbey & Elston (1994), as in Genz & Bretz (2009), section 4.1.3.
    """
    d = len(covariance)
    order, lower, expected = np.arange(d), np.zeros((d, d)), np.zeros(d)
    for j in range(d):
        left = order[j:]
        shift = lower[j:, :j] @ expected[:j]
        spare = covariance[left, left] - (lower[j:, :j] ** 2).sum(axis=1)
        deviations = np.sqrt(np.maximum(spare, np.finfo(float).tiny))
        a, b = (low[left] - shift) / deviations, (high[left] - shift) / deviations
        best = int(log_probability(a, b).argmin())
        order[[j, j + best]], lower[[j, j + best]] = order[[j + best, j]], lower[[j + best, j]]
        lower[j, j] = deviations[best]
        after = covariance[order[j + 1 :], order[j]] - lower[j + 1 :, :j] @ lower[j, :j]
        lower[j + 1 :, j] = after / lower[j, j]
        expected[j] = within(a[best], b[best], 0.5)
    return order, lower
