"""How far covariances of classes are shrunk, by how well rows held out are classified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from mixtura._types import Array, Indices
from mixtura.conditioning import log_sums
from mixtura.fit.class_gaussians import Shape, at_shrinkage, in_cells
from mixtura.fit.class_scatter import Labelled, Scatter

SHRINKAGES = (0.1, 0.5, 1.0)
POOLINGS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 32.0, np.inf)
"""Candidates; those of ν are multiples of the number of columns that vary."""

_ENOUGH = 2000
"""Rows held out from which no further fold is scored."""

_FOLDS = 5
_SHARPEST = 0.01
"""The inverse of the highest temperature."""


@dataclass(frozen=True)
class Chosen:
    """A shape, and the temperature of its posterior.

    Attributes
    ----------
    shape : Shape
    temperature : float
        T >= 1 of ``P(c | x) ∝ π_c p(x | c)^(1/T)``.
    log_score : float or None
        Mean ``log P(y | x)`` of rows held out; None where no class has two rows.
    """

    shape: Shape
    temperature: float
    log_score: float | None


def log_posterior(log_densities: Array, log_priors: Array, temperature: float) -> Array:
    """``log P(c | x)`` (n, C) of ``P(c | x) ∝ π_c p(x | c)^(1/T)``."""
    joint = log_densities / temperature + log_priors
    return np.asarray(joint - log_sums(joint)[:, None])


def chosen(
    data: Labelled,
    seed: int,
    *,
    shrinkage: float | None = None,
    pooling: float | None = None,
    common: bool | None = None,
    rank: int = 16,
    cells: int = 1,
) -> Chosen:
    """The units, λ and ν with the best log score of rows held out, each at its best temperature.

    What is given is kept. Folds are stratified by class; as many are scored as it takes for 2000
    rows. One temperature because class densities in many dimensions are too sure of themselves all
    alike: errors in thousands of entries of covariances add up in a log-density (cf. Guo, Pleiss,
    Sun & Weinberger 2017).
    """
    shrinkages = SHRINKAGES if shrinkage is None else (shrinkage,)
    columns = max(int(data.varying.sum()), 1)
    poolings = [columns * p for p in POOLINGS] if pooling is None else [pooling]
    units = (True, False) if common is None else (common,)
    grid = [Shape(s, p, rank, cells, c) for c in units for s in shrinkages for p in poolings]
    parts = _parts(data, seed)
    if not parts:
        return Chosen(grid[-1], 1.0, None)
    scored = [_grid(data, part, grid, seed) for part in parts]
    joined = [np.concatenate(some) for some in zip(*scored, strict=True)]
    rows = np.concatenate(parts)
    truth, weights = data.codes[rows], data.weights[rows]
    log_priors = np.log(data.counts / data.counts.sum())
    found = [_tempered(one, truth, weights, log_priors) for one in joined]
    best = int(np.argmax([score for _, score in found]))
    return Chosen(grid[best], *found[best])


def _parts(data: Labelled, seed: int) -> list[Indices]:
    """Rows to hold out, fold by fold, none of which is the only one of its class."""
    several = np.flatnonzero(np.bincount(data.codes, minlength=data.size)[data.codes] > 1)
    rng = np.random.default_rng(seed)
    order = several[np.lexsort((rng.random(len(several)), data.codes[several]))]
    count = max(_FOLDS, len(order) // _ENOUGH)
    folds = [order[start::count] for start in range(min(count, len(order)))]
    sizes = np.cumsum([0, *map(len, folds)])
    return [np.sort(fold) for fold, size in zip(folds, sizes, strict=False) if size < _ENOUGH]


def _grid(data: Labelled, held: Indices, grid: Sequence[Shape], seed: int) -> list[Array]:
    """``log p(x | c)`` (m, C) of the rows held out, for each shape."""
    kept = np.ones(len(data), dtype=bool)
    kept[held] = False
    rest = data.take(np.flatnonzero(kept))
    split, owners = in_cells(rest, grid[0].cells, seed)
    scatters = {common: Scatter.of(split, common) for common in {one.common for one in grid}}
    out = []
    for common, shrinkage in dict.fromkeys((one.common, one.shrinkage) for one in grid):
        mine = [one for one in grid if (one.common, one.shrinkage) == (common, shrinkage)]
        widest = max(mine, key=lambda one: np.isfinite(one.pooling))
        found, leading = at_shrinkage(split, owners, rest, scatters[common], widest)
        projected = found.projected(data.rows[held])
        for shape in mine:
            fitted = found.with_variances(*leading.variances(shape.pooling))
            out.append(fitted.of_projections(projected))
    return out


def _tempered(
    logs: Array, truth: Indices, weights: Array, log_priors: Array
) -> tuple[float, float]:
    """The best temperature, at least one, and the mean log score at it.

    The score is concave in 1/T.
    """

    def loss(sharpness: float) -> float:
        posterior = log_posterior(logs, log_priors, 1.0 / sharpness)
        return -float(weights @ posterior[np.arange(len(truth)), truth] / weights.sum())

    found = minimize_scalar(
        loss, bounds=(_SHARPEST, 1.0), method="bounded", options={"xatol": 1e-3}
    )
    return 1.0 / float(found.x), -float(found.fun)
