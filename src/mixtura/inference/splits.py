"""Starts with one component more: each component of a mixture split, or given a broad double."""

from __future__ import annotations

import numpy as np

from mixtura._types import Array
from mixtura.covariance import Guard
from mixtura.fit.problem import Problem
from mixtura.mixture import Mixture
from mixtura.statistics import Statistics

APART = 0.7
"""How far the halves lie from the old mean, in its standard deviations along the axis."""


def splits(problem: Problem, mixture: Mixture) -> list[Mixture]:
    """A start for each component and each of its two longest axes, and one with a broad double.

    The halves keep the component's mean and covariance together (Richardson & Green 1997, with
    equal halves); the double has the same mean, four times the covariance and a quarter of the
    weight. Each start is the family's M-step of these moments.
    """
    covariances = mixture.structure.dense()
    found = []
    for c, covariance in enumerate(covariances):
        values, vectors = np.linalg.eigh(covariance)
        for axis in range(-1, -1 - min(2, len(values)), -1):
            step = APART * np.sqrt(values[axis]) * vectors[:, axis]
            narrow = covariance - np.outer(step, step)
            centre = mixture.location[c]
            halves = (0.5, centre - step, narrow), (0.5, centre + step, narrow)
            found.append(_with(problem, mixture, c, halves))
        centre = mixture.location[c]
        double = (0.75, centre, covariance / 2.0), (0.25, centre, 2.5 * covariance)
        found.append(_with(problem, mixture, c, double))
    return found


def doubled(problem: Problem, mixture: Mixture) -> Mixture:
    """The same density with one component more: the heaviest twice, at half its weight."""
    c = int(mixture.weights.argmax())
    half = 0.5, mixture.location[c], mixture.structure.dense()[c]
    return _with(problem, mixture, c, (half, half))


def _with(
    problem: Problem, mixture: Mixture, c: int, two: tuple[tuple[float, Array, Array], ...]
) -> Mixture:
    """The family's M-step of a mixture's moments with two components in place of one."""
    keep = np.arange(mixture.n_components) != c
    weight = mixture.weights[c]
    weights = np.append(mixture.weights[keep], [weight * share for share, _, _ in two])
    location = np.vstack([mixture.location[keep], *(mean[None] for _, mean, _ in two)])
    covariances = np.concatenate(
        [mixture.structure.dense()[keep], *(within[None] for _, _, within in two)]
    )
    moments, d = problem.family.moments, location.shape[1]
    second = weights[:, None, None] * covariances
    if moments.shape != 0:
        second = second.diagonal(axis1=1, axis2=2)
        second = second if moments.shape == 1 else second.sum(axis=1)
    nothing = np.zeros_like(location)
    data = Statistics(moments, location, weights, weights, weights, nothing, moments.total(second))
    structure = problem.family.maximize(data, Guard.of(d))
    return Mixture.of(weights / weights.sum(), location, structure, mixture.frame)
