"""Which models contain which, and how a fit of the smaller starts a climb in the larger.

A family contains another if its volume, shape and orientation are each at least as free (Celeux &
Govaert 1995): "E" equal over components, "V" varying, "I" the identity. More components contain
fewer, as two components may coincide. The larger model's highest likelihood is never below the
smaller's, so a fit that falls short of a nested one was climbed from the wrong place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from mixtura._types import Array
from mixtura.covariance import ALIASES, Covariances, Factor, FactorCovariances, Family
from mixtura.covariance.factor_rule import factor_rules
from mixtura.fit.problem import Problem
from mixtura.mixture import Mixture

if TYPE_CHECKING:
    from mixtura.fit.selection import Candidate

_FREEDOM = {"I": 0, "E": 1, "V": 2}
_LETTERS = {name: letters for letters, name in ALIASES.items()}

SHORT = 0.01
"""Nats over all rows that a candidate may fall short of a nested one without remark."""

APART = 0.5
"""Deviations, along its longest axis, by which the halves of a split component move off."""


def letters(name: str) -> str:
    """The three letters of a family by any of its names.

    Examples
    --------
    >>> letters("tied"), letters("VEV")
    ('EEE', 'VEV')
    """
    return _LETTERS.get(name, name)


@cache
def contains(larger: str, smaller: str) -> bool:
    """Whether every mixture of the family `smaller` is one of another family, `larger`.

    Examples
    --------
    >>> contains("full", "tied"), contains("VEI", "VII"), contains("EVI", "VEI")
    (True, True, False)
    """
    wide, narrow = factor_rules(larger), factor_rules(smaller)
    if wide and narrow:
        return wide[0].contains(narrow[0])
    one, other = letters(larger), letters(smaller)
    known = {len(one), len(other)} == {3} and set(one + other) <= set(_FREEDOM)
    if one == other or not known:
        return False
    return all(_FREEDOM[a] >= _FREEDOM[b] for a, b in zip(one, other, strict=True))


def by_freedom(families: Iterable[Family]) -> list[Family]:
    """Families in an order in which none comes before one that it contains."""
    return sorted(families, key=_freedom)


def _freedom(rule: Family) -> tuple[int, ...]:
    if isinstance(rule, Factor):
        return (99, rule.rank, -rule.common - rule.one_scale - rule.noise_common)
    return (sum(_FREEDOM.get(x, 2) for x in letters(rule.name)),)


def embedded(problem: Problem, mixture: Mixture) -> Mixture:
    """A mixture of a nested family as a start for the problem's own.

    An E-step under the mixture and an M-step of the larger family, so that its likelihood is at
    least as high: the M-step maximises over a set that contains the mixture.
    """
    there = problem.adopted(mixture)
    return problem.maximized(problem.at(there).data, there)


def split(mixture: Mixture, component: int) -> Mixture:
    """The mixture with a component cut in two, half a deviation either way along its longest axis.

    Exact halves would be as likely as the whole, and stay so: a saddle of the likelihood.
    """
    off = APART * _longest(mixture.structure, component)
    index = np.append(np.arange(mixture.n_components), component)
    weights, location = mixture.weights[index], mixture.location[index]
    weights[[component, -1]] /= 2.0
    location[component] -= off
    location[-1] += off
    return mixture.take(index).changed(weights=weights, location=location, noise=mixture.noise)


def _longest(structure: Covariances, component: int) -> Array:
    """The longest half-axis (d,) of a component's ellipsoid."""
    if isinstance(structure, FactorCovariances):
        return structure.longest(component)
    values, vectors = np.linalg.eigh(structure.take([component]).dense()[0])
    return np.asarray(np.sqrt(values[-1]) * vectors[:, -1])


def splits(mixture: Mixture, k: int) -> list[Mixture]:
    """Starts of k components from a mixture of fewer: each component split in turn.

    Where several are missing, the heaviest are split first.
    """
    while mixture.n_components < k - 1:
        mixture = split(mixture, int(mixture.weights.argmax()))
    if mixture.n_components == k:
        return [mixture]
    return [split(mixture, int(index)) for index in np.flatnonzero(mixture.weights > 0)]


def shortfalls(
    candidates: Sequence[Candidate],
) -> Iterator[tuple[Candidate, Candidate, float]]:
    """Candidates less likely than a sound one nested in them, the likeliest such, and by how much.

    Only where nesting holds (`Candidate.nests`).
    """
    ranked = sorted((c for c in candidates if c.sound), key=lambda c: -c.log_likelihood)
    for place, candidate in enumerate(ranked):
        enough = candidate.log_likelihood + max(SHORT, 1e-5 * candidate.n_rows)
        likelier = (c for c in ranked[:place] if c.log_likelihood > enough)
        best = next((c for c in likelier if _within(c, candidate)), None)
        if best is not None:
            yield candidate, best, best.log_likelihood - candidate.log_likelihood


def _within(inner: Candidate, outer: Candidate) -> bool:
    """Whether a candidate is nested in another, where that bounds the other's likelihood."""
    fewer = outer.n_components - inner.n_components
    if fewer < 0 or not outer.nests or (fewer and outer.nests != "both"):
        return False
    if outer.covariance_type == inner.covariance_type:
        return fewer > 0
    return contains(outer.covariance_type, inner.covariance_type)
