"""Rows that were measured with errors: what they tell of the components that lie behind them.

Deconvolution needs no moments but those of the derivatives of each row's log-density by the mean
and the covariance of a component. With ``T = A Σ Aᵀ + R`` and ``v = Aᵀ T⁻¹ (y - A μ)``, the row's x
has in that component the mean ``μ + Σ v`` and the covariance ``Σ - Σ Aᵀ T⁻¹ A Σ`` (Bovy, Hogg &
Roweis 2011, equations 12 to 15), so all rows together add

    Σ r (x - μ) = Σ g        with g = Σ_i r v
    Σ r (x - μ)(x - μ)ᵀ = N Σ + Σ G Σ        with G = Σ_i r (v vᵀ - Aᵀ T⁻¹ A)

and no matrix of a row is ever multiplied by Σ. Where all rows were measured alike, g and G come
from the moments of an ordinary E-step under the mixture of y.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixtura import kernels
from mixtura._types import Array
from mixtura.block import Block
from mixtura.covariance import FullCovariances
from mixtura.frame import Frame
from mixtura.measurement import Errors
from mixtura.parts import Parts
from mixtura.statistics import Moments, Statistics


@dataclass(frozen=True, eq=False)
class Scores:
    """What rows tell of each component: ``Σ r``, ``g`` and ``G``, and their log-likelihood."""

    counts: Array
    first: Array
    second: Array
    log_likelihood: float

    @classmethod
    def by_row(cls, mixture: Parts, block: Block, hard: bool) -> Scores:
        """From rows with errors of their own."""
        value, sums = kernels.active().accumulate_blurred(
            *_given(mixture, block),
            weights=block.weights,
            plausibility=block.plausibility,
            hard=hard,
        )
        counts, first, second = sums
        return cls(counts, first, second, value)

    @classmethod
    def alike(cls, seen: Parts, found: Statistics) -> Scores:
        """From the full moments about the means of the mixture of y, as `blurred` gives it."""
        inverse = seen.structure.precisions
        first = np.einsum("kij,kj->ki", inverse, found.first)
        mass = found.counts[:, None, None]
        second = inverse @ found.second @ inverse - mass * inverse
        return cls(found.counts, first, second, found.log_likelihood)

    def through(self, across: Array | None) -> Scores:
        """Scores of A μ and A Σ Aᵀ as those of μ and Σ."""
        if across is None:
            return self
        return replace(self, first=self.first @ across, second=across.T @ self.second @ across)

    def statistics(self, mixture: Parts, moments: Moments) -> Statistics:
        """The expected moments of x about the components' means."""
        dense, counts = mixture.structure.dense(), self.counts
        first = np.einsum("kij,kj->ki", dense, self.first)
        second = counts[:, None, None] * dense + dense @ self.second @ dense
        kept = moments.total(moments.reduced(second))
        value = self.log_likelihood
        return Statistics(moments, mixture.location, counts, counts, counts, first, kept, value)


def blurred(mixture: Any, errors: Errors) -> Any:
    """The mixture of y where all rows were measured alike."""
    noise, across = _dense(errors.covariances[0]), steady(mixture, errors)
    dense = mixture.structure.dense()
    if across is None:
        scale = mixture.frame.scale
        wide = FullCovariances(dense + noise * scale * scale[:, None])
        return mixture.changed(structure=wide, feature_names=None)
    return mixture.changed(
        location=mixture.location @ across.T,
        structure=FullCovariances(across @ dense @ across.T + noise),
        frame=_seen_frame(mixture, errors),
        feature_names=None,
    )


def steady(mixture: Parts, errors: Errors) -> Array | None:
    """A common projection (p, d) in frame coordinates; None for the identity or many."""
    if errors.projections is None or not errors.steady:
        return None
    return np.asarray(errors.projections[0] / mixture.frame.scale)


def joint(mixture: Any, block: Block) -> Array:
    """Log joint (n, k), in frame coordinates as far as the block's rows are observed."""
    errors = block.errors
    assert errors is not None
    if not errors.shared:
        out = kernels.active().joint_blurred(*_given(mixture, block))
    else:
        out = blurred(mixture, errors).joint_of(block.readings)
    return np.asarray(out - lost_volume(mixture, errors))


def lost_volume(mixture: Parts, errors: Errors) -> float:
    """Nats a row that make the density of a projected y one in frame coordinates of x."""
    return 0.0 if errors.projections is None else mixture.frame.log_volume


def _given(mixture: Parts, block: Block) -> tuple[Any, ...]:
    """What the kernels take: rows, units, errors, groups and components."""
    errors, readings = block.errors, block.readings
    assert errors is not None
    across, dense, frame = steady(mixture, errors), mixture.structure.dense(), mixture.frame
    location, projections = mixture.location, errors.projections
    if across is not None:
        location, dense = location @ across.T, across @ dense @ across.T
        frame, projections = _seen_frame(mixture, errors), None
    component = mixture.log_weights, location, dense
    units = frame.pivot, frame.scale
    return readings.rows, units, (errors.covariances, projections), readings.groups, component


def _seen_frame(mixture: Parts, errors: Errors) -> Frame:
    """The frame of y, in its own units, where the pivot of x comes to lie."""
    assert errors.projections is not None
    one = errors.projections[0]
    return Frame(one @ mixture.frame.pivot, np.ones(len(one)))


def _dense(covariance: Array) -> Array:
    """(p, p) of variances (p, 1), or a covariance (p, p)."""
    p = len(covariance)
    return covariance if covariance.shape == (p, p) and p > 1 else np.diag(covariance[:, 0])
