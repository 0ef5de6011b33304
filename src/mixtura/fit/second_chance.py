"""A second climb for fits that fall short of a model nested in theirs, from that model's fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixtura.assignment import soft
from mixtura.covariance import Experts, Family
from mixtura.fit import nesting
from mixtura.fit.em import Stop, race, smooth
from mixtura.fit.fitting import Field, Outcome, finished
from mixtura.fit.problem import Problem
from mixtura.fit.sample import Sample
from mixtura.fit.start import collapsed
from mixtura.mixture import Mixture

if TYPE_CHECKING:
    from mixtura.fit.task import Task

TRIAL = 30
"""Steps after which the best of several split components is gone on with."""

TRIES = 2
"""Nested fits that a climb is tried from."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell of the grid with its fit, if there is one.

    Attributes
    ----------
    k : int
    rule : Family
    problem : Problem or None
    field : Field or None
        The rows and starts of its tournament.
    outcome : Outcome or None
    failure : str or None
        Why there is no fit.
    """

    k: int
    rule: Family
    problem: Problem | None = None
    field: Field | None = None
    outcome: Outcome | None = None
    failure: str | None = None

    @property
    def key(self) -> tuple[int, str]:
        return self.k, self.rule.name

    @property
    def value(self) -> float:
        """The objective over all rows, -inf without a sound fit."""
        if self.problem is None or self.outcome is None or self.outcome.degenerate:
            return -np.inf
        return self.outcome.fit.value * self.problem.summary.weight


def nested_apply(task: Task, rule: Family) -> tuple[bool, bool]:
    """Whether objectives must rise with the family, and with the number of components.

    A prior differs from family to family, and a ridge counts once for each expert. Hard
    assignments, equal weights and labels do not allow a component to be two, and nothing is
    compared where parameters are held.
    """
    ridge = isinstance(rule, Experts) and rule.ridge > 0
    families = task.prior is None and not task.fixed.names and not ridge
    return families, families and task.assign is soft and not task.labelled


def settled(task: Task, cells: Sequence[Cell]) -> list[Cell]:
    """The cells, each at least as likely as those nested in it where a climb from there helps."""
    done = {cell.key: cell for cell in cells}
    order = nesting.by_freedom({cell.rule.name: cell.rule for cell in cells}.values())
    for k in sorted({cell.k for cell in cells}):
        for rule in order:
            if (k, rule.name) in done:
                done[k, rule.name] = _raised(task, done[k, rule.name], done)
    return [done[cell.key] for cell in cells]


def _raised(task: Task, cell: Cell, done: Mapping[tuple[int, str], Cell]) -> Cell:
    """The cell, climbed again from the likeliest nested fit while that is likelier.

    Starts that the user asked for are kept.
    """
    if cell.problem is None or cell.outcome is None or not cell.outcome.finalists:
        return cell
    slack = max(cell.problem.summary.weight * task.stop.tol, 1e-9)
    for inner in sorted(_nested(task, cell, done), key=lambda other: -other.value)[:TRIES]:
        if inner.value <= cell.value + slack:
            break
        again = _again(cell, inner, task.stop)
        if again is not None and replace(cell, outcome=again).value > cell.value:
            cell = replace(cell, outcome=again)
    return cell


def _nested(task: Task, cell: Cell, done: Mapping[tuple[int, str], Cell]) -> list[Cell]:
    """The cells nested in this one: simpler families, and the next fewer components."""
    families, components = nested_apply(task, cell.rule)
    name = cell.rule.name
    found = []
    if families:
        found = [o for o in done.values() if o.k == cell.k and nesting.contains(name, o.rule.name)]
    fewer = [k for k, other in done if other == name and k < cell.k]
    if components and fewer and not task.equally(cell.rule):
        found.append(done[max(fewer), name])
    return [other for other in found if np.isfinite(other.value)]


def _again(cell: Cell, inner: Cell, stop: Stop) -> Outcome | None:
    """The fit from the best start that a nested fit gives, if it is sound."""
    assert cell.problem is not None and cell.field is not None
    assert cell.outcome is not None and inner.outcome is not None
    problem, small = cell.problem, cell.field.small
    mixture = inner.outcome.fit.mixture
    try:
        starts = [nesting.embedded(problem, one) for one in nesting.splits(mixture, cell.k)]
        start = _best(problem, small, starts, replace(stop, flat=small.flat))
        fit = None if start is None else smooth(problem, start, replace(stop, flat=small.flat))
    except np.linalg.LinAlgError:
        return None
    if fit is None or collapsed(fit, small).any():
        return None
    return finished(problem, small, fit, cell.outcome.finalists)


def _best(problem: Problem, small: Sample, starts: Sequence[Mixture], stop: Stop) -> Mixture | None:
    """The start that is the most likely after some steps, of those that are sound."""
    if len(starts) == 1:
        return starts[0]
    trial = replace(stop, max_iter=min(TRIAL, stop.max_iter))
    ends = race(problem, starts, trial, spare=True)
    sound = [fit for fit in ends if not collapsed(fit, small).any()]
    return max(sound, key=lambda fit: fit.value).mixture if sound else None
