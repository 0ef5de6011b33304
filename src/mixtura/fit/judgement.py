"""What a fit of a grid is judged by: likelihood, parameters, criteria."""

from __future__ import annotations

import numpy as np

from mixtura._types import Array
from mixtura.block import Block
from mixtura.covariance import Family
from mixtura.fit.em import Fit
from mixtura.fit.outliers import NONE, Outliers
from mixtura.fit.problem import Problem
from mixtura.fit.second_chance import nested_apply
from mixtura.fit.selection import Candidate
from mixtura.fit.task import Task
from mixtura.held import Held
from mixtura.mixture import Mixture


def judged(task: Task, problem: Problem, fit: Fit, rule: Family, degenerate: bool) -> Candidate:
    """A fit's likelihood and what criteria are made of."""
    k, d = fit.mixture.location.shape
    likelihood, sharpness, n = totals(fit.mixture, problem)
    p = n_parameters(rule, k, d, task.equally(rule), task.outliers, problem.held)
    bic = -2.0 * likelihood + p * float(np.log(n))
    families, components = nested_apply(task, rule)
    return Candidate(
        k,
        rule.name,
        likelihood,
        p,
        bic,
        -2.0 * likelihood + 2.0 * p,
        bic - 2.0 * sharpness,
        converged=fit.converged,
        degenerate=degenerate,
        n_iter=fit.n_iter,
        n_rows=n,
        remaining=max(fit.remaining, 0.0) * n,
        nests="both" if components else "families" if families else "",
    )


def n_parameters(
    rule: Family,
    k: int,
    d: int,
    equal_weights: bool = False,
    outliers: Outliers = NONE,
    held: Held | None = None,
) -> int:
    """Free parameters: covariances, means, weights unless they are equal, and those of outliers."""
    weights = 0 if equal_weights else k - 1
    less = 0 if held is None else held.n_parameters(rule, d)
    return rule.n_parameters(k, d) + k * d + weights + outliers.n_parameters(k) - less


def totals(mixture: Mixture, problem: Problem) -> tuple[float, float, float]:
    """``Σ w log P(x)``, ``Σ w log max_k r`` and Σ w over the rows kept, in the data's units."""
    cut, there = problem.cut(mixture), problem.travelling

    def sums(block: Block) -> Array:
        out = np.ones((len(block), 3))
        mixture.fill(block, value_and_sharpness, out[:, :2])
        return there.kept(block, mixture, cut) @ out

    value, sharpness, weight = sum(problem.source.map(sums))
    if problem.truncation is not None:
        value -= weight * problem.truncation.log_probability(mixture)
    return float(value), float(sharpness), float(weight)


def value_and_sharpness(joint: Array) -> Array:
    """Log-density and the log of the largest responsibility of each row, (n, 2)."""
    top = joint.max(axis=1)
    norm = top + np.log(np.exp(joint - top[:, None]).sum(axis=1))
    return np.column_stack([norm, top - norm])
