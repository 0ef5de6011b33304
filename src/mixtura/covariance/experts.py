"""Covariances of inputs and outcomes: a gate's, regressions on the inputs, and a noise's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from mixtura._types import Array
from mixtura.covariance.factor import FactorCovariances
from mixtura.covariance.factor_rule import Factor
from mixtura.covariance.full import FullCovariances
from mixtura.covariance.guard import FLOOR, Guard
from mixtura.covariance.protocol import Covariances, Family
from mixtura.kernels.forms import FREE
from mixtura.kernels.layout import FULL
from mixtura.statistics import Moments, Statistics

_FACTOR_STEPS = 4
"""EM steps of a low-rank gate in each M-step: the scatter is at hand, so they are cheap."""


@dataclass(frozen=True, eq=False)
class ExpertCovariances:
    """k covariances of d inputs and m outcomes that are linear in the inputs but for a noise.

    ``Σ_xx = G``, ``Σ_yx = A G``, ``Σ_yy = S + A G Aᵀ``: full matrices, with the Cholesky factor
    ``[[L_G, 0], [A L_G, L_S]]`` from those of the parts.

    Attributes
    ----------
    gate : Covariances
        G, of the inputs.
    slopes : (k, m, d)
        A.
    noise : Covariances
        S, of the outcomes given the inputs.
    """

    gate: Covariances
    slopes: Array
    noise: Covariances

    shape = FULL
    shared = False
    name = "full"

    @property
    def k(self) -> int:
        return len(self.slopes)

    @property
    def d(self) -> int:
        return self.inputs + self.slopes.shape[1]

    @property
    def inputs(self) -> int:
        """How many of the features are inputs."""
        return self.slopes.shape[2]

    @cached_property
    def joint(self) -> FullCovariances:
        """The matrices, written out."""
        d, lower = self.inputs, np.zeros((self.k, self.d, self.d))
        lower[:, :d, :d] = np.linalg.cholesky(self.gate.dense())
        lower[:, d:, :d] = self.slopes @ lower[:, :d, :d]
        lower[:, d:, d:] = np.linalg.cholesky(self.noise.dense())
        return FullCovariances(lower @ lower.swapaxes(1, 2), lower=lower)

    @cached_property
    def log_det(self) -> Array:
        return np.asarray(self.gate.log_det + self.noise.log_det)

    @property
    def factors(self) -> Array:
        return self.joint.factors

    @property
    def precisions(self) -> Array:
        return self.joint.precisions

    @property
    def variances_by_column(self) -> Array:
        return self.joint.variances_by_column

    def dense(self) -> Array:
        return self.joint.dense()

    def array(self) -> Array:
        return self.joint.array()

    def colorize(self, noise: Array, component: int) -> Array:
        return self.joint.colorize(noise, component)

    def eigenvalues(self) -> Array:
        return self.joint.eigenvalues()

    def marginal(self, dims: Any) -> Covariances:
        some = np.arange(self.d)[dims]
        inside = bool((some < self.inputs).all())
        return self.gate.marginal(some) if inside else self.joint.marginal(some)

    def take(self, components: Any) -> ExpertCovariances:
        gate, noise = self.gate.take(components), self.noise.take(components)
        return ExpertCovariances(gate, self.slopes[components], noise)

    def scaled(self, factors: Array) -> ExpertCovariances:
        of_inputs, of_outcomes = factors[: self.inputs], factors[self.inputs :]
        slopes = of_outcomes[:, None] * self.slopes / of_inputs
        return ExpertCovariances(
            self.gate.scaled(of_inputs), slopes, self.noise.scaled(of_outcomes)
        )


@dataclass(frozen=True)
class Experts:
    """Linear experts behind a Gaussian gate: any family for the inputs, another for the noise.

    The likelihood of a component falls apart into that of its inputs and that of its outcomes
    given these, so that the M-step is the gate's own, weighted least squares for the slopes,
    ``A = S_yx (S_xx + λ U)⁻¹``, and the noise's own on the scatter that they leave
    (Xu, Jordan & Hinton 1995, equations 28-32). Directions in which the inputs do not vary have
    no slope.

    Parameters
    ----------
    gate : Family
        Of the inputs, the first columns.
    noise : Family
        Of the outcomes given the inputs.
    inputs : int
        d
    ridge : float
        λ: how many rows the belief is worth that slopes are zero, in each component. It adds
        ``-½ λ Σ_k tr(S_k⁻¹ A_k U A_kᵀ)`` to the log-likelihood.
    unit : tuple of float
        U: the variances of the inputs, in frame coordinates; ones where not given.
    """

    gate: Family
    noise: Family
    inputs: int
    ridge: float = 0.0
    unit: tuple[float, ...] = ()

    moments = Moments(FULL)
    averages = False
    form = FREE

    @property
    def name(self) -> str:
        return f"experts({self.gate.name}, {self.noise.name})"

    @property
    def one_scale(self) -> bool:
        """Of all columns never: see `groups`."""
        return False

    def groups(self, features: int) -> list[tuple[slice, bool]]:
        """Columns, and whether they survive a common scaling alone."""
        parts = slice(0, self.inputs), slice(self.inputs, features)
        return [(parts[0], self.gate.one_scale), (parts[1], self.noise.one_scale)]

    def measured(self, variances: Array) -> Experts:
        """The rule for inputs of these variances (d,), in frame coordinates."""
        return replace(self, unit=tuple(float(v) for v in variances[: self.inputs]))

    def n_parameters(self, k: int, d: int) -> int:
        outcomes = d - self.inputs
        slopes = k * outcomes * self.inputs
        return (
            self.gate.n_parameters(k, self.inputs) + slopes + self.noise.n_parameters(k, outcomes)
        )

    def maximize(
        self, data: Statistics, guard: Guard, before: Covariances | None = None
    ) -> ExpertCovariances:
        known = before if isinstance(before, ExpertCovariances) else None
        d, scatter = self.inputs, data.scatter()
        within = replace(guard, ridge=guard.ridge[:d])
        gate = self._gate(data, scatter[:, :d, :d], within, known)
        slopes, rest = regressed(scatter, d, self._penalty(), data.dof)
        beyond = replace(guard, ridge=guard.ridge[d:])
        last = None if known is None else known.noise
        noise = self.noise.maximize(_told(self.noise, data, rest, last), beyond, last)
        return ExpertCovariances(gate, slopes, noise)

    def log_prior(self, structure: Covariances) -> float:
        """``-½ λ Σ_k tr(S_k⁻¹ A_k U A_kᵀ)``, of what `maximize` gives."""
        if not self.ridge or not isinstance(structure, ExpertCovariances):
            return 0.0
        spread = (structure.slopes * self._penalty()) @ structure.slopes.swapaxes(1, 2)
        inside = np.linalg.solve(structure.noise.dense(), spread)
        return -0.5 * float(inside.trace(axis1=1, axis2=2).sum())

    def from_array(self, array: Array, k: int, d: int) -> ExpertCovariances:
        return split(array.reshape(k, d, d), self.inputs)

    def _penalty(self) -> Array:
        return self.ridge * np.array(self.unit or np.ones(self.inputs))

    def _gate(
        self, data: Statistics, scatter: Array, guard: Guard, known: ExpertCovariances | None
    ) -> Covariances:
        last = None if known is None else known.gate
        if not isinstance(self.gate, Factor):
            return self.gate.maximize(_told(self.gate, data, scatter, last), guard, last)
        if not isinstance(last, FactorCovariances) or not last.loadings.any():
            last = _principal(self.gate, scatter / data.dof[:, None, None])
        for _ in range(_FACTOR_STEPS):
            last = self.gate.maximize(_told(self.gate, data, scatter, last), guard, last)
        return last


def regressed(
    scatter: Array, inputs: int, penalty: Array | None = None, dof: Array | None = None
) -> tuple[Array, Array]:
    """Slopes (k, m, d) of the outcomes on the inputs, and the scatter (k, m, m) they leave.

    ``A = S_yx (S_xx + diag(penalty))⁺``, and ``S_yy - A S_xy - S_yx Aᵀ + A (S_xx + …) Aᵀ``. What
    varies by no more than the floor, in units of `dof`, is left out of the inverse.
    """
    d = inputs
    within = scatter[:, :d, :d] + np.diag(np.zeros(d) if penalty is None else penalty)
    cross, own = scatter[:, d:, :d], scatter[:, d:, d:]
    values, vectors = np.linalg.eigh(within)
    size = np.ones(len(scatter)) if dof is None else dof
    least = np.maximum(16.0 * FLOOR * size, 16.0 * d * np.finfo(float).eps * values[:, -1])
    inverse = np.where(values > least[:, None], 1.0 / np.where(values > 0, values, 1.0), 0.0)
    slopes = ((cross @ vectors) * inverse[:, None, :]) @ vectors.swapaxes(1, 2)
    lead = slopes @ cross.swapaxes(1, 2)
    rest = own - lead - lead.swapaxes(1, 2) + slopes @ within @ slopes.swapaxes(1, 2)
    return slopes, np.asarray((rest + rest.swapaxes(1, 2)) / 2)


def split(covariances: Array, inputs: int) -> ExpertCovariances:
    """Matrices (k, D, D) in frame coordinates as a gate, slopes and a noise, all of them full."""
    slopes, rest = regressed(covariances, inputs)
    guard = Guard.of(covariances.shape[1] - inputs)
    noise, lower = guard.definite(rest)
    gate = FullCovariances(covariances[:, :inputs, :inputs])
    return ExpertCovariances(gate, slopes, FullCovariances(noise, lower=lower))


def _told(rule: Family, data: Statistics, scatter: Array, last: Covariances | None) -> Statistics:
    """The scatter (k, d, d) of some of the columns as the statistics a rule asks for."""
    moments = rule.moments if last is None else rule.moments.at(last)
    k, d = scatter.shape[:2]
    nothing = np.zeros((k, d))
    second = moments.total(moments.part(scatter))
    return Statistics(moments, nothing, data.counts, data.mass, data.dof, nothing, second)


def _principal(rule: Factor, covariances: Array) -> FactorCovariances:
    """Where a low-rank gate starts: the leading axes of the covariances (k, d, d)."""
    k, d = covariances.shape[:2]
    rule.check(d)
    if rule.common:
        covariances = covariances.mean(axis=0, keepdims=True)
    values, vectors = np.linalg.eigh(covariances)
    rest = values[:, : d - rule.rank].mean(axis=1)
    excess = np.sqrt(np.maximum(values[:, d - rule.rank :] - rest[:, None], 0.0))
    loadings = vectors[:, :, d - rule.rank :] * excess[:, None, :]
    noise = covariances.diagonal(axis1=1, axis2=2)
    noise = np.maximum(noise - (loadings**2).sum(axis=2), 1e-3 * noise + FLOOR)
    if rule.noise_common:
        noise = noise.mean(axis=0, keepdims=True)
    if rule.one_scale:
        noise = np.repeat(noise.mean(axis=1, keepdims=True), d, axis=1)
    return rule.made(loadings, noise, k)
