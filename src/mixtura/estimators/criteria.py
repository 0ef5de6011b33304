"""What a fitted estimator says of rows: totals for the criteria, and trimming."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._types import Array, Rows
from mixtura.block import Block
from mixtura.covariance import Family
from mixtura.estimators import parameters
from mixtura.fit.judgement import n_parameters, value_and_sharpness
from mixtura.fit.select import rules
from mixtura.fit.task import Task
from mixtura.mixture import Mixture
from mixtura.operations.truncation import TruncatedMixture
from mixtura.source import MemorySource, RemoteSource, Source
from mixtura.source.ranks import place, place_of
from mixtura.trimming import Cut, Trim


def within_box(estimator: Any, source: Source, values: Array) -> Array:
    """Log-densities (n,) within the estimator's box, for those of the whole mixture."""
    box = parameters.truncation(estimator, source.d)
    if box is None:
        return values
    return box.densities(estimator.mixture_, source.take(slice(None)).rows, values)


def law(estimator: Any) -> Mixture | TruncatedMixture:
    """What rows like those of the fit are drawn from."""
    box = parameters.truncation(estimator, estimator.mixture_.n_features)
    return estimator.mixture_ if box is None else box.of_mixture(estimator.mixture_)


def totals(estimator: Any, source: Source, sample_weight: Any) -> tuple[float, float, float]:
    """``Σ w log P(x)``, ``Σ w log max_k r`` and Σ w over the rows, but for those to be trimmed."""
    both = estimator._map(source, value_and_sharpness, (2,))
    both[:, 0] = within_box(estimator, source, both[:, 0])
    weights = _checks.row_weights(sample_weight, len(both))
    weights = np.ones(len(both)) if weights is None else weights
    if estimator.cut_ is not None:
        trim = estimator.cut_.trim
        keys = trim.ranking(both[:, 0], source.take(slice(None)).rows)
        found = place_of(keys, weights, trim.below)
        weights = weights * trim.cut(found).kept(keys)
    value, sharpness = weights @ both
    return float(value), float(sharpness), float(weights.sum())


def totals_apart(
    estimator: Any, source: RemoteSource, *, whole: bool = False
) -> tuple[float, float, float]:
    """The same where the rows are in partitions, with their weights; of all with `whole`."""
    mixture, cut = estimator.mixture_, None if whole else estimator.cut_
    if cut is not None:
        found = place(source, partial(_ranking, mixture, cut.trim), cut.trim.below)
        cut = cut.trim.cut(found)
    value, sharpness, weight = sum(source.map(partial(_totals, mixture, cut)))
    return float(value), float(sharpness), float(weight)


def _totals(mixture: Mixture, cut: Cut | None, block: Block) -> Array:
    out = np.ones((len(block), 3))
    mixture.fill(block, value_and_sharpness, out[:, :2])
    if cut is None:
        return block.weight() @ out
    return (block.weight() * cut.kept(cut.trim.ranking(out[:, 0], block.rows))) @ out


def _ranking(mixture: Mixture, trim: Trim, block: Block) -> tuple[Array, Array]:
    """What rows are ranked by, and their weights."""
    out = np.empty((len(block), 2))
    mixture.fill(block, value_and_sharpness, out)
    return trim.ranking(out[:, 0], block.rows), block.weight()


def count(estimator: Any) -> int:
    """Free parameters of the fit."""
    k, d = estimator.mixture_.location.shape
    rule = rules(estimator.covariance_type_)[0]
    task = parameters.task(estimator, MemorySource(np.empty((0, d))), last=estimator.mixture_)
    held = task.held(rule, k)
    return n_parameters(rule, k, d, task.equally(rule), task.outliers, held)


def trimmed(estimator: Any, values: Array, rows: Rows) -> Array:
    """Which rows (n,) of these log-densities the fit would have trimmed."""
    if estimator.cut_ is None:
        return np.zeros(len(values), dtype=bool)
    return np.asarray(estimator.cut_.trims(values, rows))


def cut(estimator: Any, task: Task, rule: Family) -> Cut | None:
    """Where the fit trimmed the rows it was made from; None where it did not."""
    if task.outliers.trim == 0.0:
        return None
    k = estimator.mixture_.n_components
    return task.problem(rule, k, task.told(k)).cut(estimator.mixture_)
