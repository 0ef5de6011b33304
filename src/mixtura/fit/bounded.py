"""Fits on bounded columns: the mixture and the power of the transformation, by likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from mixtura import kernels
from mixtura._types import Array
from mixtura.covariance import Family, family
from mixtura.fit.em import Fit, Stop, run
from mixtura.fit.fitting import Note, renamed, seconds
from mixtura.fit.sample import from_shares
from mixtura.fit.select import grid
from mixtura.fit.task import Task
from mixtura.operations.bounded import BoundedMixture
from mixtura.operations.transformation import Transformation
from mixtura.source import MemorySource

POWERS = (-3.0, 3.0)
STARTS = (0.0, 0.5, 1.0)
_SWEEPS = 3
_CLOSE = 5e-3
"""How finely a power is searched for; the likelihood is flat around its maximum."""
_ROUGH = 1e-4
"""Tolerance, in nats a row, of the grids that only say where to begin."""
_GAIN = 1e-2
"""A gain of the criterion, in nats, below which a search has ended."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Rows within bounds and what is to be fitted to them.

    Attributes
    ----------
    rows : (n, d)
    weights : (n,) or None for ones
    components, families
        What is compared.
    criterion : "bic" or "aic"
    """

    rows: Array
    weights: Array | None
    components: Sequence[int]
    families: Sequence[Family]
    criterion: str = "bic"
    seed: int = 0
    stop: Stop = Stop()
    prior: Any = None
    fields: int = 1
    n_jobs: int | None = None
    names: tuple[str, ...] | None = None

    def task(self, transformation: Transformation) -> Task:
        """The grid of fits to the transformed rows."""
        return Task(
            source=MemorySource(transformation.read(self.rows), self.weights),
            criterion=self.criterion,
            seed=self.seed,
            stop=self.stop,
            prior=self.prior,
            fields=self.fields,
            names=self.names,
        )

    @cached_property
    def weight(self) -> Array:
        """(n,) weights of the rows."""
        return np.ones(len(self.rows)) if self.weights is None else self.weights

    @cached_property
    def price(self) -> float:
        """What the criterion asks for a parameter."""
        return float(np.log(self.weight.sum())) if self.criterion == "bic" else 2.0


@dataclass(frozen=True, eq=False)
class DensityFit:
    """A density and how it was come by.

    Attributes
    ----------
    density : BoundedMixture
    fit : Fit
        Of the mixture to the transformed rows.
    family : str
    log_likelihood : float
        ``Σ w log f(x)`` in the units of the data: the Jacobian is part of it.
    n_parameters : int
        The powers that were estimated are among them.
    score : float
        The criterion; smaller is better.
    notes : tuple of Note
    """

    density: BoundedMixture
    fit: Fit
    family: str
    log_likelihood: float
    n_parameters: int
    score: float
    notes: tuple[Note, ...]


def fitted(plan: Plan, start: Transformation, power: Array | None = None) -> DensityFit:
    """The density of best criterion over the number of components, the family and the powers.

    The grid is fitted at a few powers; from the best, the profile likelihood of the power is
    climbed column by column, each evaluation a climb of EM from the responsibilities of the best
    so far; then the grid is fitted once more at the powers found.

    Parameters
    ----------
    plan : Plan
    start : Transformation
        Bounds and units.
    power : (d,), optional
        Powers to hold.
    """
    if power is not None:
        return _chosen(plan, start.with_power(power), 0)
    free = int(start.bounded.sum())
    if not free:
        return _chosen(plan, start, 0)
    kernels.prepare((len(STARTS) + 2) * _seconds(plan, start))
    at = [start.with_power(np.full(len(start.power), power)) for power in STARTS]
    rough = replace(plan, stop=Stop(max(plan.stop.tol, _ROUGH), min(plan.stop.max_iter, 100)))
    tried = [_chosen(rough, transformation, free) for transformation in at]
    best = _tuned(plan, min(tried, key=lambda one: one.score))
    again = _chosen(plan, best.density.transformation, free)
    if again.score < best.score - _GAIN:
        return _tuned(plan, again)
    return replace(best, notes=again.notes)  # those of the rough grids are of fits cut short


def _seconds(plan: Plan, transformation: Transformation) -> float:
    """About how long one grid takes on the plain kernels."""
    task = plan.task(transformation)
    whole = task.problem(plan.families[0], 1, task.source)
    return len(plan.families) * sum(seconds(whole, k) for k in plan.components)


def _chosen(plan: Plan, transformation: Transformation, free: int) -> DensityFit:
    """The best of the grid at given powers."""
    found = grid(plan.task(transformation), plan.components, plan.families, plan.n_jobs)
    parameters = found.best.n_parameters + free
    name = found.best.covariance_type
    return _judged(plan, transformation, found.fit, name, parameters, found.notes)


def _judged(plan: Plan, transformation: Transformation, fit: Fit, *rest: Any) -> DensityFit:
    name, parameters, notes = rest
    density = BoundedMixture(fit.mixture, transformation)
    likelihood = float(plan.weight @ density.logpdf(plan.rows))
    score = plan.price * parameters - 2.0 * likelihood
    return DensityFit(density, fit, name, likelihood, parameters, score, notes)


def _tuned(plan: Plan, best: DensityFit) -> DensityFit:
    """The fit with its powers at a maximum of the likelihood."""
    columns = np.flatnonzero(best.density.transformation.bounded)
    best = _climbed(plan, best, best.density.transformation)
    for _ in range(_SWEEPS if len(columns) > 1 else 1):
        before = best.score
        for column in columns:
            best = _tuned_in(plan, best, int(column))
        if before - best.score < _GAIN:
            break
    return best


def _tuned_in(plan: Plan, best: DensityFit, column: int) -> DensityFit:
    """The best of the fits met in a search over the power of one column."""
    met = [best]

    def score(power: float) -> float:
        now = min(met, key=lambda one: one.score)
        powers = now.density.transformation.power.copy()
        powers[column] = power
        met.append(_climbed(plan, now, now.density.transformation.with_power(powers)))
        return met[-1].score

    here = float(best.density.transformation.power[column])
    near = max(here - 1.0, POWERS[0]), min(here + 1.0, POWERS[1])
    for low, high in (near, POWERS):
        minimize_scalar(score, bounds=(low, high), method="bounded", options={"xatol": _CLOSE})
        best = min(met, key=lambda one: one.score)
        if low + 0.05 < best.density.transformation.power[column] < high - 0.05:
            break
    return best


def _climbed(plan: Plan, now: DensityFit, transformation: Transformation) -> DensityFit:
    """The climb at other powers, from the responsibilities of a fit."""
    shares = now.density.mixture.responsibilities(now.density.transformation.read(plan.rows))
    task, k = plan.task(transformation), shares.shape[1]
    problem = task.problem(family(now.family), k, task.source)
    start = from_shares(problem, task.source.take(slice(None)), shares)
    fit = renamed(run(problem, start, plan.stop), plan.names)
    return _judged(plan, transformation, fit, now.family, now.n_parameters, now.notes)
