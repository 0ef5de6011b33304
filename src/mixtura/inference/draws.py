"""Replicates of the data: rows drawn again, weighted anew, left out, or simulated."""

from __future__ import annotations

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.inference.refit import Drawn
from mixtura.inference.subject import Subject

METHODS = {
    "nonparametric": "nonparametric bootstrap",
    "parametric": "parametric bootstrap",
    "weighted": "weighted-likelihood bootstrap",
    "jackknife": "jackknife",
}


def draw(about: Subject, method: str, rng: np.random.Generator, first: int, count: int) -> Drawn:
    """The replicates from number `first` on."""
    block = about.source.whole
    if method == "parametric":
        return simulated(about, rng, count)
    weights = block.weight()
    if method == "nonparametric":
        total = max(round(float(weights.sum())), 1)
        drawn = rng.multinomial(total, weights / weights.sum(), size=count).astype(np.float64)
    elif method == "weighted":
        drawn = rng.standard_gamma(weights, size=(count, len(weights)))
        drawn *= weights.sum() / drawn.sum(axis=1, keepdims=True)
    else:
        drawn = np.tile(weights, (count, 1))
        drawn[np.arange(count), np.flatnonzero(weights)[first : first + count]] -= 1.0
    return Drawn(np.asarray(block.rows, np.float64)[None], drawn, block.plausibility)


def simulated(about: Subject, rng: np.random.Generator, count: int) -> Drawn:
    """Rows drawn from the fit, as many as there are, with gaps and labels where these have them."""
    mixture, block = about.mixture, about.source.whole
    times = whole_weights(about, "the parametric bootstrap").astype(np.intp)
    told = None if block.plausibility is None else np.repeat(block.plausibility, times, axis=0)
    gaps = np.repeat(np.isnan(block.rows), times, axis=0)
    n, d = gaps.shape
    if told is not None and not mixture.plain:
        raise InputError(
            "the parametric bootstrap knows labels of Gaussian components only: "
            'use method="nonparametric" or "weighted"'
        )
    if told is None:
        rows = mixture.sample(count * n, rng).reshape(count, n, d)
    else:
        rows = _labelled(about, rng, np.tile(told, (count, 1))).reshape(count, n, d)
    if gaps.any():
        rows[:, gaps] = np.nan
    return Drawn(rows, np.empty((0, n)), told)


def _labelled(about: Subject, rng: np.random.Generator, told: Array) -> Array:
    """Rows drawn from components as likely as their labels leave these."""
    mixture = about.mixture
    chances = np.exp(told) * mixture.weights
    edges = np.cumsum(chances / chances.sum(axis=1, keepdims=True), axis=1)
    labels = np.minimum((rng.random((len(told), 1)) > edges).sum(axis=1), len(mixture.weights) - 1)
    rows = rng.standard_normal((len(told), mixture.n_features))
    for component in range(mixture.n_components):
        mine = labels == component
        shaped = mixture.structure.colorize(rows[mine], component)
        rows[mine] = shaped + mixture.location[component]
    return mixture.frame.unread(rows)


def jackknife_counts(about: Subject) -> Array:
    """How often each row that counts stands in the data."""
    weights = whole_weights(about, "the jackknife")
    return weights[weights > 0]


def whole_weights(about: Subject, what: str) -> Array:
    """The row weights as whole numbers of repetitions.

    Raises
    ------
    InputError
        They are not whole.
    """
    weights = about.source.whole.weight()
    if (weights != np.round(weights)).any():
        raise InputError(
            f"{what} needs weights that are whole numbers of repetitions: round them, or use "
            'mixtura.bootstrap with method="weighted", which takes any'
        )
    return weights
