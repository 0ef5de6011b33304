"""Cross-validation: what a model says of rows it was not fitted to, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixtura._types import Array
from mixtura.covariance import Family
from mixtura.fit.fitting import fitted
from mixtura.fit.given import given_start
from mixtura.source import MemorySource

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
    values = dict(zip(able, pool.map(lambda i: _pooled_cell(task, cells[i]), able), strict=True))
    sound = [i for i in able if candidates[i].sound] or able
    if not able:
        return list(candidates)
    best = max(sound, key=lambda i: float(values[i].sum()))
    weights = _grouped(task.source.take(slice(None)).weight())
    out = list(candidates)
    for i in able:
        n = candidates[i].n_rows
        error = total_error(values[i], weights, task.source.n)
        behind = total_error(values[i] - values[best], weights, task.source.n)
        out[i] = replace(
            out[i], cv=float(values[i].sum()) / n, cv_error=error / n, score_error=2.0 * behind
        )
    return out


def _pooled_cell(task: Task, cell: Cell) -> Array:
    return _grouped(held_out(task, cell.k, cell.rule))


def held_out(task: Task, k: int, rule: Family) -> Array:
    """Weight times log-density of each row under the fit to the other folds, (n,).

    Zero for rows that the fit would have trimmed.
    """
    n = task.source.n
    fold = folded(task)
    out = np.zeros(n)
    for part in range(fold.max() + 1):
        train = task.part(k, np.flatnonzero(fold != part))
        problem = task.problem(rule, k, train)
        start = given_start(problem, k, replace(task.start, how=task.start.name()), task.rng(k))
        mixture = fitted(problem, k, task.rng(k), start=start, stop=task.stop).fit.mixture
        test = np.flatnonzero(fold == part)
        rows = task.source.take(test)
        held = problem.on(MemorySource.of(rows))
        kept = problem.kept(rows, mixture, held.cut(mixture))
        out[test] = kept * problem.log_density(mixture, rows)
    return out


def folded(task: Task) -> Array:
    """The fold of each row, (n,): the same for all candidates."""
    n = task.source.n
    return np.random.default_rng(task.seed).permutation(n) % min(task.folds, n)


def _grouped(values: Array) -> Array:
    """Sums over at most `CELLS` groups of rows."""
    return np.bincount(np.arange(len(values)) % CELLS, values)


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
