"""Whole climbs in one compiled call: for rows in memory, where the kernels know the M-step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mixtura import kernels
from mixtura._types import Array, Indices
from mixtura.assignment import hard, soft
from mixtura.covariance import common_axes, with_axes
from mixtura.expectation import fits
from mixtura.fit.problem import Problem
from mixtura.kernels.layout import DIAGONAL, FULL, width
from mixtura.log_linear import LOSS_SINGLE
from mixtura.mixture import Mixture
from mixtura.projected import LOSS

_LONGEST, _LEAST = 1.0, 10
"""Seconds of a call that nobody can interrupt, and the steps in it that make it worth while."""

_SHORT, _FEW = 1e-4, 4
"""Seconds from which a pass is worth being shared, and the parts of it."""


def able(problem: Problem, k: int) -> bool:
    """Whether climbs can be compiled, of any length: the rows are few enough for that."""
    return steps(problem, k, np.inf) == np.inf


def steps(problem: Problem, k: int, most: float) -> float:
    """How many of `most` steps may be taken in one call.

    That takes complete rows in memory without labels, not too many features, and a family whose
    M-step is an average. Rows of many blocks take so long that the interpreter is to have a say
    after a second.
    """
    whole = problem.source.in_memory() if _known(problem, k) else None
    if whole is None or not all(one.halves[1] is None for one in whole.blocks):
        return 0
    if len(whole.blocks) == 1:
        return most
    enough = int(_LONGEST / _seconds(problem, k))
    return min(most, enough) if enough >= _LEAST else 0


def _parts(problem: Problem, blocks: int, k: int) -> int:
    """Into how many parts the rows are cut: few rows, too, if a pass is long beside their sums."""
    return _FEW if blocks == 1 and _seconds(problem, k) > _SHORT else blocks


def _seconds(problem: Problem, k: int) -> float:
    """A pass over the rows, about."""
    shape, source = problem.family.moments.shape, problem.source
    return 1e-9 * source.n * k * (2.0 + width(shape, source.d) / 6.0)


def _known(problem: Problem, k: int) -> bool:
    """Whether the kernels know all that the problem asks for."""
    kernel, family = kernels.active(), problem.family
    if not hasattr(kernel, "race") or not family.averages or problem.equal_weights:
        return False
    if problem.assign not in (soft, hard) or not problem.outliers.none:
        return False
    if problem.guard.ratio is not None or problem.held is not None:
        return False
    if problem.shortlist is not None or problem.truncation is not None:
        return False
    return not kernel.is_wide(family.moments.shape, problem.source.d, k)


def from_mixtures(
    problem: Problem, starts: Sequence[Mixture], most: int, tol: float, accelerate: bool
) -> list[Any]:
    """The ends of climbs from mixtures, as `kernels.compiled.Climb`; empty where not all can."""
    if not all(one.plain and fits(one, problem.family.moments) for one in starts):
        return []
    return _race(
        problem,
        stacked(starts),
        most,
        tol,
        accelerate,
        noise=max(problem.noise(start) for start in starts),
        axes=[common_axes(start.structure) for start in starts],
    )


def stacked(starts: Sequence[Mixture]) -> tuple[Array, Array, Array]:
    """Weights (E, k), means (E, k, d) and covariances of starts, as the kernels take them."""
    weights = np.stack([start.weights for start in starts])
    location = np.stack([start.location for start in starts])
    return weights, location, np.stack([_numbers(start) for start in starts])


def from_labels(
    problem: Problem, labels: Indices, k: int, most: int, tol: float, accelerate: bool
) -> list[Any]:
    """The same from the M-steps of partitions (E, n)."""
    field, d, shape = len(labels), problem.source.d, problem.family.moments.shape
    sizes = (k, d, d) if shape == FULL else (k, d) if shape == DIAGONAL else (k,)
    nothing = np.empty((field, k)), np.empty((field, k, d)), np.empty((field, *sizes))
    return _race(problem, nothing, most, tol, accelerate, labels=labels)


def _race(
    problem: Problem,
    starts: tuple[Array, Array, Array],
    most: int,
    tol: float,
    accelerate: bool,
    *,
    noise: float = 0.0,
    labels: Indices | None = None,
    axes: Sequence[Array | None] = (),
) -> list[Any]:
    whole, moments = problem.source.in_memory(), problem.family.moments
    assert whole is not None
    block = whole.rows
    found: list[Any] = kernels.active().race(
        block.rows,
        problem.frame.pivot,
        problem.frame.scale,
        np.empty(0) if block.weights is None else block.weights,
        starts,
        moments.shape,
        moments.pooled,
        problem.assign is hard,
        prior=problem.pseudo_sums(*starts[1].shape[1:]),
        ridge=problem.guard.ridge,
        floor=4.0 * problem.guard.floor,
        loss=LOSS_SINGLE if block.rows.dtype == np.float32 else LOSS,
        noise=noise,
        most=np.full(len(starts[0]), most),
        tol=tol,
        accelerate=accelerate and problem.assign is soft,
        labels=labels,
        form=problem.family.form,
        axes=axes,
        blocks=_parts(problem, len(whole.blocks), starts[0].shape[1]),
        crew=whole.crew,
    )
    return found


def mixture(problem: Problem, end: Any) -> Mixture:
    """Where a climb ended."""
    moments = problem.family.moments
    first = end.covariances[0] if moments.pooled and moments.shape == FULL else end.covariances
    structure = with_axes(problem.family.from_array(first, *end.means.shape), end.axes)
    return Mixture.of(end.weights, end.means, structure, problem.frame)


def _numbers(mixture: Mixture) -> Array:
    """Covariances as the kernels lay them out: (k, d, d), (k, d) or (k,)."""
    structure = mixture.structure
    if structure.shape == FULL:
        return structure.dense()
    columns = structure.variances_by_column
    return columns if structure.shape == DIAGONAL else columns[:, 0]
