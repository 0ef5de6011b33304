"""Degrees of freedom: the maximum of the expected log-likelihood, all else held."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy.special import digamma, gammaln, polygamma

from mixtura._types import Array, Indices
from mixtura.assignment import Assign, assigned
from mixtura.block import Block
from mixtura.kernels.layout import FACTOR
from mixtura.law import LEAST, MOST, StudentT
from mixtura.mixture import Mixture
from mixtura.projected import told_by_factors
from mixtura.source import RemoteSource, Source
from mixtura.tree import tree_sum
from mixtura.trimming import Cut

_ROUNDS, _LONGEST, _NEAR = 60, 2.0, 1e-3
"""Newton's steps at most; the longest, in log ν; and the last, whose square is about the error."""


_TILE = 1 << 14
"""Squared distances that are looked at together, so that they stay in the cache."""

_HERE = 1 << 24
"""Squared distances that are kept between Newton's steps; of more rows they are made anew."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the rows tell of one ν: squared distances, observed coordinates, weights; (m,) each."""

    squared: Array
    features: Indices
    weights: Array

    def curve(self, log_dof: float) -> tuple[float, float, float]:
        """Expected log-likelihood up to a constant, and its first two derivatives by log ν.

        ``Σ r [log Γ((ν+p)/2) - log Γ(ν/2) - ½ p log ν - ½ (ν+p) log(1 + δ²/ν)]``.
        """
        dof = float(np.exp(log_dof))
        p, weights = self._patterns
        half = 0.5 * (dof + p)
        (logs, far, square), by = self._sums(dof), np.array([1.0, 1.0 / dof])
        near = far @ by
        constant = gammaln(half) - gammaln(0.5 * dof) - 0.5 * p * log_dof
        value = weights @ constant - 0.5 * dof * (logs @ by)
        slope = weights @ (digamma(half) - digamma(0.5 * dof) - p / dof) + near - logs[0]
        bend = weights @ (0.5 * polygamma(1, half) - 0.5 * polygamma(1, 0.5 * dof) + p / dof**2)
        bend += (2.0 * (far[0] - near) + square @ by) / dof
        first = 0.5 * dof * slope
        return float(value), float(first), float(first + 0.5 * dof**2 * bend)

    def _sums(self, dof: float) -> Array:
        """``Σ r f`` and ``Σ r p f``, (3, 2), for f = log(1 + δ²/ν), q = δ²/(ν + δ²) and q²."""
        total, room = np.zeros((3, 2)), np.empty((3, min(_TILE, len(self.squared))))
        for at in range(0, len(self.squared), _TILE):
            squared = self.squared[at : at + _TILE]
            logs, far, square = several = room[:, : len(squared)]
            np.divide(squared, dof, out=logs)
            logs += 1.0
            np.divide(squared, logs, out=far)
            far /= dof
            np.multiply(far, far, out=square)
            np.log(logs, out=logs)  # not log1p, thrice as slow: ν is bounded
            total += several @ self._weighed[:, at : at + _TILE].T
        return total

    @cached_property
    def _weighed(self) -> Array:
        """Weights, and weights times coordinates, (2, m)."""
        return np.stack([self.weights, self.weights * self.features])

    @cached_property
    def _patterns(self) -> tuple[Array, Array]:
        """How many coordinates rows have, and the weight of the rows that have so many."""
        weights = np.bincount(self.features, self.weights)
        p = np.flatnonzero(weights)
        return p, weights[p]


def freed(
    mixture: Mixture, source: Source, assign: Assign, cutting: Callable[[Mixture], Cut | None]
) -> Mixture:
    """The mixture with the degrees of freedom that its law leaves to the data.

    The responsibilities are those of the mixture as it comes, so the log-likelihood cannot fall
    (ECME; Liu & Rubin 1994). Bounded to [1, 500].
    """
    law, tell = mixture.law, partial(_told, mixture, assign, cutting(mixture))
    assert isinstance(law, StudentT)
    k, common = len(law.dof), law.tie == "common"
    starts = law.dof[:1] if common else law.dof
    if isinstance(source, RemoteSource) or source.n * k > _HERE:

        def curves(log_dof: Array) -> Array:
            return source.sum(partial(_curves_of, tell, common, log_dof))

    else:
        curves = partial(_curves, _evidence(source.map(tell), common))
    return mixture.changed(law=StudentT(np.resize(solved(curves, starts), k), law.tie))


def solved(curves: Callable[[Array], Array], starts: Array) -> Array:
    """The ν (m,) in [1, 500] that maximise; never worse than the `starts`.

    Parameters
    ----------
    curves : values and first two derivatives (m, 3) by log ν, at log ν (m,)
    """
    searches = [_search(float(start)) for start in starts]
    at, best = np.array([next(one) for one in searches]), np.full(len(starts), np.nan)
    while np.isnan(best).any():
        found = curves(at)
        for i in np.flatnonzero(np.isnan(best)):
            try:
                at[i] = searches[i].send(found[i])
            except StopIteration as end:
                best[i] = end.value
    return best


def _search(start: float) -> Generator[float, Array, float]:
    """Newton's method on log ν inside a bracket that every slope narrows."""
    ends, known = [float(np.log(LEAST)), float(np.log(MOST))], [False, False]
    first = at = min(max(float(np.log(start)), ends[0]), ends[1])
    value, slope, bend = yield at
    begun = value
    for _ in range(_ROUNDS):
        side = 0 if slope > 0 else 1
        ends[side], known[side] = at, True
        step = -slope / bend if bend < 0 else float(np.copysign(_LONGEST, slope))
        last, at = at, at + min(max(step, -_LONGEST), _LONGEST)
        at = min(max(at, ends[0]), ends[1])
        if at != last and at == ends[1 - side] and known[1 - side]:
            at = (ends[0] + ends[1]) / 2
        value, slope, bend = yield at
        if abs(at - last) < _NEAR:
            break
    return float(np.exp(at if value >= begun else first))


def _evidence(parts: Sequence[list[tuple[Array, Array, Array]]], common: bool) -> list[Evidence]:
    """What the rows tell of each ν, or of the one that is common to all components."""
    found = [one for part in parts for one in part]
    squared, features, shares = (np.concatenate([one[i] for one in found]) for i in range(3))
    if common:
        spread = np.repeat(features, shares.shape[1])
        return [Evidence(squared.ravel(), spread, shares.ravel())]
    each = zip(*(np.ascontiguousarray(one.T) for one in (squared, shares)), strict=True)
    return [Evidence(distances, features, weights) for distances, weights in each]


def _curves(evidence: Sequence[Evidence], log_dof: Array) -> Array:
    return np.array([one.curve(at) for one, at in zip(evidence, log_dof, strict=True)])


def _curves_of(
    tell: Callable[[Block], list[tuple[Array, Array, Array]]],
    common: bool,
    log_dof: Array,
    run: Sequence[Block],
) -> Array:
    """The sum over a run of blocks, nothing of whose rows is kept."""
    total: Array = tree_sum(_curves(_evidence([tell(one)], common), log_dof) for one in run)
    return total


def _told(
    mixture: Mixture, assign: Assign, cut: Cut | None, block: Block
) -> list[tuple[Array, Array, Array]]:
    """Squared distances (m, k), coordinates (m,) and weighted shares (m, k), by pattern."""
    if mixture.structure.shape == FACTOR:
        return told_by_factors(mixture, block, assign, cut)
    out = []
    for one in assigned(mixture, block, assign, cut):
        features = np.broadcast_to(one.pattern.features.ravel(), len(one.squared))
        out.append((one.squared, features, one.shares))
    return out
