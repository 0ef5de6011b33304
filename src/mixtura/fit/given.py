"""Starts that the user asks for: parameters, labels, responsibilities, a function, a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.covariance import Covariances, Factor, Family, structure
from mixtura.fit import seeds
from mixtura.fit.problem import Problem
from mixtura.fit.sample import Sample, from_labels, from_shares, partitioned, sample
from mixtura.fit.start import Seeder, hierarchical_labels
from mixtura.held import Held
from mixtura.mixture import Mixture

LEAVES = 500
"""Rows at most in the tree of a hierarchical start."""

_NAMED: dict[str, Seeder] = {
    "auto": seeds.plus_plus,
    "kmeans": seeds.plus_plus,
    "k-means++": seeds.plus_plus,
    "random_from_data": seeds.random,
    "random": seeds.random,
}


@dataclass(frozen=True, eq=False)
class Start:
    """What the user said of the start.

    Attributes
    ----------
    how : str, callable or array_like
        "auto", a start by name, a callable that gives labels or responsibilities, or these.
    weights, means, precisions : array_like or None
        Parameters to start from, laid out as in scikit-learn.
    """

    how: Any = "auto"
    weights: Any = None
    means: Any = None
    precisions: Any = None

    @property
    def open(self) -> bool:
        """Whether the means of some components are not given."""
        return self.means is None or _has_gaps(self.means)

    @property
    def parameters(self) -> bool:
        """Whether any parameter is given."""
        return any(value is not None for value in (self.weights, self.means, self.precisions))

    def without_gaps(self) -> Start:
        """The same but for arrays that state held components alone."""
        listed = (self.weights, self.means, self.precisions)
        return Start(self.how, *(None if _has_gaps(array) else array for array in listed))

    def name(self) -> str:
        """The start's name; "auto" for an array, which fits only the rows it was made for."""
        return self.how if isinstance(self.how, str) else "auto"


def given_start(problem: Problem, k: int, given: Start, rng: np.random.Generator) -> Mixture | None:
    """The start that the user asked for, or None where a tournament is to find one.

    Raises
    ------
    InputError
        An unknown name, or numbers that do not fit.
    """
    auto = isinstance(given.how, str) and given.how == "auto"
    if auto and not given.parameters:
        return None
    if problem.held is not None:
        if auto and given.open:
            _check_all_held(problem.held, given)
            return None
        given = given.without_gaps()
    if given.means is not None:
        means = _shaped(given.means, (k, problem.source.d), "means_init")
        start = _near(sample(problem, k, rng), _read(problem, means), 20)
    else:
        start = _asked(problem, k, given.how, rng)
    return _overridden(problem, start, given) if given.parameters else start


def _check_all_held(held: Held, given: Start) -> None:
    """Refuse parameters to start from, beside means that are still to be found."""
    for name, array, mask in (
        ("weights_init", given.weights, held.weights),
        ("precisions_init", given.precisions, held.covariances),
    ):
        if array is not None and not mask.all() and not _has_gaps(array):
            raise InputError(
                f"{name} starts all components, and means_init leaves some open: write NaN for "
                "the components that are not held, or give all means"
            )


def _has_gaps(array: Any) -> bool:
    return array is not None and bool(np.isnan(np.asarray(array, dtype=np.float64)).any())


def _asked(problem: Problem, k: int, how: Any, rng: np.random.Generator) -> Mixture:
    n = problem.source.n
    if callable(how):
        seed = int(rng.integers(2**31 - 1))
        whole = problem.source.take(slice(None))
        found = how(whole.rows, k, np.random.RandomState(seed))
        shares = _checks.partition(found, n, k, "what init_params returned")
        return from_shares(problem, whole, shares)
    if not isinstance(how, str):
        whole = problem.source.take(slice(None))
        return from_shares(problem, whole, _checks.partition(how, n, k, "init_params"))
    if how == "hierarchical":
        small = sample(problem, k, rng)
        return from_labels(small, hierarchical_labels(small, k, rng, LEAVES), k)
    if how not in _NAMED:
        known = (*_NAMED, "hierarchical")
        raise InputError(
            f"init_params={how!r} is unknown: use one of {known}, a callable, "
            "labels or responsibilities"
        )
    if how == "random":
        whole = problem.source.take(slice(None))
        return from_shares(problem, whole, rng.dirichlet(np.ones(k), size=n))
    small = sample(problem, k, rng)
    places = _NAMED[how](small.spaces[0], small.weights, k, rng)
    return _near(small, places, 20 if how in ("auto", "kmeans") else 1)


def _near(small: Sample, places: Array, rounds: int) -> Mixture:
    return from_labels(small, partitioned(small, places, rounds=rounds), len(places))


def _overridden(problem: Problem, start: Mixture, given: Start) -> Mixture:
    """The start with the parameters that the user gave in place."""
    k, d = start.location.shape
    weights, location, shape = start.weights, start.location, start.structure
    if given.weights is not None:
        weights = _shaped(given.weights, (k,), "weights_init")
        if (weights < 0).any() or abs(weights.sum() - 1.0) > 1e-6:
            raise InputError(f"weights_init must be at least 0 and sum to one: {weights}")
    if given.means is not None:
        location = _read(problem, _shaped(given.means, (k, d), "means_init"))
    if given.precisions is not None:
        name = problem.family.name
        if isinstance(problem.family, Factor):
            raise InputError(
                f"precisions_init does not fit {name} covariances: start from means_init, or give "
                "labels or responsibilities as init_params"
            )
        shape = inverted(given.precisions, problem.family, k, d).scaled(problem.frame.scale)
    return problem.with_held(start.changed(weights=weights, location=location, structure=shape))


def _read(problem: Problem, means: Array) -> Array:
    """Means (k, d) in the units of the data, in the frame.

    Raises
    ------
    InputError
        Means so far from the data that squares of the distance are no numbers.
    """
    location = problem.frame.read(means)
    if not (np.abs(location) < _REACH).all():
        raise InputError(
            f"means_init lies more than {_REACH:.0e} deviations away from the data: give means "
            "among the rows, in their units"
        )
    return location


_REACH = 1e100


def inverted(precisions: Any, family: Family, k: int, d: int) -> Covariances:
    """The covariances, in the units of the data, of precisions laid out as in scikit-learn."""
    inverse = structure(precisions, family.name, k, d, "precisions_init")
    array = inverse.precisions[0] if inverse.shape == 0 and inverse.shared else inverse.precisions
    return family.from_array(np.array(array), k, d)


def _shaped(values: Any, shape: tuple[int, ...], name: str) -> Array:
    array = _checks.numbers(values, name)
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}; {shape} is needed")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds NaN or infinite numbers")
    return array
