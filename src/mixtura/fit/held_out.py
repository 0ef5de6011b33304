"""Cross-validation: what a model says of rows it was not fitted to, and how surely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mixtura._types import Array
from mixtura.block import Block
from mixtura.covariance import Family
from mixtura.fit.fitting import fitted
from mixtura.fit.given import given_start
from mixtura.fit.problem import Problem
from mixtura.mixture import Mixture
from mixtura.source import Source
from mixtura.source.views import fold, numbered
from mixtura.trimming import Cut

if TYPE_CHECKING:
    from mixtura.fit.second_chance import Cell
    from mixtura.fit.selection import Candidate
    from mixtura.fit.task import Task

CELLS = 2000
"""Sums of rows kept of each candidate, one row each where there are not more."""


def cross_validated(
    task: Task, cells: Sequence[Cell], candidates: Sequence[Candidate], pool: Executor
) -> list[Candidate]:
    """The candidates with what they say of rows held out, and its standard errors."""
    able = [i for i, cell in enumerate(cells) if cell.outcome is not None]
    summed = pool.map(lambda i: held_out(task, cells[i].k, cells[i].rule), able)
    values = dict(zip(able, summed, strict=True))
    sound = [i for i in able if candidates[i].sound] or able
    if not able:
        return list(candidates)
    best = max(sound, key=lambda i: float(values[i].sum()))
    weights = _total(task.source.viewed(numbered), _weights)
    out = list(candidates)
    for i in able:
        n = candidates[i].n_rows
        error = total_error(values[i], weights, task.source.n)
        behind = total_error(values[i] - values[best], weights, task.source.n)
        out[i] = replace(
            out[i], cv=float(values[i].sum()) / n, cv_error=error / n, score_error=2.0 * behind
        )
    return out


def held_out(task: Task, k: int, rule: Family) -> Array:
    """Weight times log-density of rows under the fit to the other folds, summed in groups (g,).

    Zero for rows that the fit would have trimmed. The folds are the same for all candidates.
    """
    n, out, told = task.source.n, np.zeros(CELLS), task.told(k)
    folds = min(task.folds, n)
    for part in range(folds):
        view = partial(fold, n=n, seed=task.seed, folds=folds, part=part)
        test = task.source.viewed(partial(view, inside=True))
        if not test.n:  # none of its rows counts
            continue
        problem = task.problem(rule, k, told.viewed(partial(view, inside=False)))
        start = given_start(problem, k, replace(task.start, how=task.start.name()), task.rng(k))
        mixture = fitted(problem, k, task.rng(k), start=start, stop=task.stop).fit.mixture
        cut = problem.on(test).cut(mixture)
        out += _total(test, partial(_densities, problem.travelling, mixture, cut))
    return out


def _total(source: Source, function: Callable[[Block], Array]) -> Array:
    """Sums over `CELLS` groups of rows, by the rows' numbers."""
    return np.asarray(np.sum(source.map(partial(_grouped, function)), axis=0))


def _grouped(function: Callable[[Block], Array], block: Block) -> Array:
    return np.bincount(block.aside % CELLS, function(block), CELLS)


def _weights(block: Block) -> Array:
    return block.weight()


def _densities(problem: Problem, mixture: Mixture, cut: Cut | None, block: Block) -> Array:
    return problem.kept(block, mixture, cut) * problem.log_density(mixture, block)


def total_error(sums: Array, weights: Array, rows: int) -> float:
    """Standard error of the sum of independent rows, pooled in groups.

    ``√(W σ²)`` with σ² from the groups' means about the common mean, weighted; a weight counts as
    so many rows.

    Examples
    --------
    >>> values = np.array([1.0, 2.0, 4.0, 9.0])
    >>> bool(np.isclose(total_error(values, np.ones(4), 4), 2.0 * values.std(ddof=1)))
    True
    """
    kept = weights > 0
    sums, weights = sums[kept], weights[kept]
    whole, groups = float(weights.sum()), len(weights)
    if groups < 2:
        return float("nan")
    spread = float((((sums - weights * sums.sum() / whole) ** 2) / weights).sum())
    return float(np.sqrt(whole * spread / ((groups - 1) * whole / rows)))
