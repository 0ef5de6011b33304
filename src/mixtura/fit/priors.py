"""Priors as a user names them, in the coordinates of a fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.assignment import soft
from mixtura.covariance import FAMILIES, Guard
from mixtura.fit.problem import Problem
from mixtura.fit.summary import gappy
from mixtura.frame import Frame
from mixtura.kernels.layout import FACTOR, FULL
from mixtura.prior import Conjugate, Flat, fraley_raftery
from mixtura.source.views import without_labels

_BEYOND = 1e150
"""Variances, in those of the columns, from which products of them are not numbers."""


def with_prior(problem: Problem, prior: object, k: int) -> Problem:
    """The problem with a prior: None, "fraley-raftery", or a dict of its parameters.

    Raises
    ------
    InputError
        An unknown prior.
    """
    if prior is None:
        return problem
    if prior == "fraley-raftery":
        framed = fraley_raftery(*_total(problem), k, problem.frame.scale)
    elif isinstance(prior, Conjugate):
        framed = _framed(prior, problem.frame)
    else:
        raise InputError(
            f'prior={prior!r} is unknown: use None, "fraley-raftery" or mixtura.Conjugate(...)'
        )
    known = framed.matrix if problem.family.moments.shape == FULL else framed.variance
    if not (np.abs(known) < _BEYOND).all():
        raise InputError(
            f"prior={prior!r}: its variances are too far above those of the columns to count with; "
            "bring the columns to like units, or pass mixtura.Conjugate(...) with those that suit"
        )
    return replace(problem, prior=framed)


def _total(problem: Problem) -> tuple[Array, Array]:
    """Mean and covariance (n - 1) of all rows; only variances where a family needs no more.

    In the coordinates of the frame, in which no square overflows.
    """
    d, weight, summary = problem.source.d, problem.summary.weight, problem.summary
    unbiased = weight / max(weight - 1.0, 1.0)
    if problem.family.moments.shape == FACTOR:
        frame = problem.frame
        return frame.read(summary.mean), (summary.deviation * frame.scale) ** 2 * unbiased
    whole = replace(problem.ordinary, family=FAMILIES["full"], prior=Flat(), assign=soft, held=None)
    whole = replace(whole, guard=Guard.of(d))  # what bounds components is not known of the whole
    whole = replace(whole, source=without_labels(problem.source))  # here is one component
    one = whole.isotropic(np.zeros((1, d)))
    for _ in range(1 if not gappy(problem.source) else 50):
        one = whole.maximized(whole.at(one).data, one)
    return one.location[0], one.structure.dense()[0] * unbiased


def _framed(prior: Conjugate, frame: Frame) -> Conjugate:
    """A prior given in the data's units, in frame coordinates."""
    scale, d = frame.scale, len(frame.scale)
    sizes = np.shape(prior.mean), np.shape(prior.matrix), np.shape(prior.variance)
    if sizes[0] != (d,) or sizes[1] not in ((d, d), (d,)) or sizes[2] not in ((), (d,)):
        raise InputError(
            f"the prior's mean, matrix and variance have shapes {sizes}; for {d} columns they are "
            f"({d},), ({d}, {d}) and () or ({d},)"
        )
    with np.errstate(over="ignore", under="ignore"):
        matrix = (scale[:, None] if np.ndim(prior.matrix) == 2 else scale) * prior.matrix * scale
        variance = prior.variance * scale * scale
    mean = frame.read(prior.mean)
    return Conjugate(prior.shrinkage, mean, prior.dof, matrix, variance, prior.concentration)
