"""The slope heuristic: the penalty is learnt from how the likelihood grows where models are large.

Where a model is large enough to hold all that is to be found, each further parameter fits noise,
and the maximised log-likelihood grows linearly in their number D with some slope κ. The best
penalty is twice the smallest that works at all: choose the least ``-log L + 2 κ D`` (Birgé &
Massart 2007; Baudry, Maugis & Michel 2012). The slope is estimated in two ways: by a
robust regression over the largest models (data-driven slope estimation), and as the κ at which the
chosen D falls most steeply (dimension jump).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array

if TYPE_CHECKING:
    from mixtura.fit.selection import Candidate

SIZES = 10
"""Model sizes below which no slope can be told from a curve."""

PLATEAU = 0.15
"""Share of the regressions that must choose the same model for their slope to be believed."""

_FEWEST = 3  # models in a regression


@dataclass(frozen=True, eq=False)
class Slope:
    """What the likelihoods say of the penalty.

    Attributes
    ----------
    kappa : float
        Nats a parameter, by regression; the penalty is twice that.
    used : int
        The largest models in the regression.
    plateau : float
        Share of the regressions that choose the same model.
    jump : float
        κ by the dimension jump.
    sizes : (m,) rising
        D, one for each size.
    likelihood : (m,)
        The highest log-likelihood of each size.
    """

    kappa: float
    used: int
    plateau: float
    jump: float
    sizes: Array
    likelihood: Array

    def chosen(self, kappa: float) -> int:
        """The index of the size with the least ``-log L + 2 κ D``."""
        return int((2.0 * kappa * self.sizes - self.likelihood).argmin())


def estimated(sizes: Array, likelihood: Array) -> Slope:
    """The slope of maximised log-likelihoods over model sizes; several of a size count by the best.

    Examples
    --------
    Ten sizes beyond the truth, each parameter worth half a nat:

    >>> sizes = np.arange(1.0, 16.0)
    >>> found = estimated(sizes, 0.5 * sizes - 40.0 * np.maximum(4.0 - sizes, 0.0))
    >>> found.kappa, float(found.sizes[found.chosen(found.kappa)])
    (0.5, 4.0)
    """
    distinct = np.unique(sizes)
    highest = np.array([likelihood[sizes == size].max() for size in distinct])
    bare = Slope(0.0, 0, 0.0, _jump(distinct, highest), distinct, highest)
    most = len(distinct)
    used = list(range(most, min(_FEWEST, most) - 1, -1))  # all of them, then ever larger ones alone
    kappas = [max(_steepness(distinct[-m:], highest[-m:]), 0.0) for m in used]
    runs = [list(run) for _, run in groupby(range(len(used)), lambda i: bare.chosen(kappas[i]))]
    long = [run for run in runs if len(run) >= PLATEAU * len(used)]
    run = long[-1] if long else max(runs, key=len)
    middle = run[len(run) // 2]
    share = len(run) / len(used)
    return Slope(kappas[middle], used[middle], share, bare.jump, distinct, highest)


def scores(candidates: Sequence[Candidate]) -> list[float]:
    """``-2 log L + 4 κ D`` of each candidate.

    Raises
    ------
    InputError
        Too few model sizes.
    """
    found = _of(candidates)
    return [-2.0 * c.log_likelihood + 4.0 * found.kappa * c.n_parameters for c in candidates]


def remarks(candidates: Sequence[Candidate]) -> list[str]:
    """How the slope was found, and whether its two estimates agree."""
    found = _of(candidates)
    said = [
        f"Among the {found.used} largest of {len(found.sizes)} model sizes the log-likelihood "
        f"grows by {found.kappa:.3g} nats a parameter, so a parameter costs "
        f"{4 * found.kappa:.3g} here (BIC: {np.log(candidates[0].n_rows):.3g})."
    ]
    if found.plateau < PLATEAU:
        said.append("The slope does not settle: compare more and larger models.")
    by_slope, by_jump = found.chosen(found.kappa), found.chosen(found.jump)
    if by_slope == by_jump:
        said.append(f"The dimension jump, at {found.jump:.3g} nats, chooses the same size.")
    else:
        said.append(
            f"The dimension jump, at {found.jump:.3g} nats, chooses {found.sizes[by_jump]:.0f} "
            f"parameters instead of {found.sizes[by_slope]:.0f}: the data do not fix the penalty."
        )
    if by_slope == len(found.sizes) - 1:
        said.append("The largest model is chosen: compare larger ones.")
    return said


def _of(candidates: Sequence[Candidate]) -> Slope:
    sound = [c for c in candidates if c.sound]
    sizes = np.array([float(c.n_parameters) for c in sound])
    if len(np.unique(sizes)) < SIZES:
        raise InputError(
            f'criterion="slope" needs sound models of at least {SIZES} sizes and has '
            f"{len(np.unique(sizes))}: compare more numbers of components or families"
        )
    return estimated(sizes, np.array([c.log_likelihood for c in sound]))


def _steepness(sizes: Array, likelihood: Array) -> float:
    """The median of all slopes between two points (Sen 1968): a climb that failed does not tell."""
    left, right = np.triu_indices(len(sizes), 1)
    rise = likelihood[right] - likelihood[left]
    return float(np.median(rise / (sizes[right] - sizes[left]))) if len(left) else 0.0


def _jump(sizes: Array, likelihood: Array) -> float:
    """The κ at which the size with the least ``-log L + κ D`` falls most.

    Walks down the upper convex hull of the likelihood over the sizes, from the largest model.
    """
    here, best, kappa = int(likelihood.argmax()), 0.0, 0.0
    while here > 0:
        rises = (likelihood[here] - likelihood[:here]) / (sizes[here] - sizes[:here])
        following = int(rises.argmin())
        fall = sizes[here] - sizes[following]
        if fall > best:
            best, kappa = fall, float(rises[following])
        here = following
    return kappa
