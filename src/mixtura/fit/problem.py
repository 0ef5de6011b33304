"""A fitting problem: rows, family, prior and bounds, in the coordinates the fit works in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from mixtura import kernels
from mixtura._errors import InputError
from mixtura._types import Array, Mask
from mixtura.assignment import Assign, ranked, soft
from mixtura.block import Block
from mixtura.conditioning import log_sums
from mixtura.covariance import RATIO, Experts, Factor, Family, Guard
from mixtura.expectation import EStep
from mixtura.fit.candidates import Candidates, Shortlist, among
from mixtura.fit.degrees import freed
from mixtura.fit.outliers import NONE, Outliers, bulk
from mixtura.fit.principal import nearest
from mixtura.fit.summary import Summary, summarize, weight_of
from mixtura.fit.truncation import Truncation
from mixtura.frame import Frame
from mixtura.held import Held
from mixtura.kernels.layout import FACTOR, second_width, width
from mixtura.log_linear import LOSS_SINGLE, cancellation
from mixtura.maximization import log_prior, maximization
from mixtura.mixture import Mixture
from mixtura.prior import Flat, Prior
from mixtura.source import MemorySource, Source
from mixtura.source.ranks import place
from mixtura.statistics import Statistics, packed
from mixtura.trimming import Cut


@dataclass(frozen=True, eq=False)
class Point:
    """A mixture, the statistics of the data under it, and the objective in nats a row.

    The objective is the log-likelihood plus the log-prior, over the rows' total weight, in the
    units of the data; with candidates a lower bound of the log-likelihood stands in its place.
    """

    mixture: Mixture
    data: Statistics
    value: float
    candidates: Candidates | None = None


@dataclass(frozen=True, eq=False)
class Problem:
    """What to climb: everything of a fit but the number of components and the start."""

    source: Source
    family: Family
    summary: Summary
    frame: Frame
    guard: Guard
    prior: Prior = Flat()
    assign: Assign = soft
    equal_weights: bool = False
    names: tuple[str, ...] | None = None
    outliers: Outliers = NONE
    held: Held | None = None
    shortlist: Shortlist | None = None
    truncation: Truncation | None = None

    def at(self, mixture: Mixture, after: Point | None = None) -> Point:
        """The E-step: the statistics and the objective at a mixture.

        Where rows count for few candidates, these are better ones than those of the point before.
        """
        if self.shortlist is not None:
            return self._among(self.shortlist, mixture, None if after is None else after.candidates)
        moments = self.family.moments
        cut = self.cut(mixture)
        data = EStep(mixture, moments, self.assign, cut).over(self.source)
        if self.truncation is not None:
            unseen = self.truncation.unseen(mixture, moments, self.summary.weight)
            data = data + unseen.about(data.pivot)
        value = data.log_likelihood + self.log_prior(mixture)
        if cut is None:
            return Point(mixture, data, value / self.summary.weight + self.volume)
        return Point(mixture, data, value / (self.summary.weight * (1.0 - cut.trim.share)))

    def _among(self, shortlist: Shortlist, mixture: Mixture, before: Candidates | None) -> Point:
        moments, is_hard = self.family.moments, self.assign is not soft
        found = among(self.source, mixture, moments, shortlist, before, is_hard=is_hard)
        value = found[0].log_likelihood + self.log_prior(mixture)
        return Point(mixture, found[0], value / self.summary.weight + self.volume, found[1])

    def log_prior(self, mixture: Mixture) -> float:
        """What is known before of a mixture: by the prior, and by a family that has a ridge."""
        value = log_prior(self.prior, mixture, self.family.moments)
        if isinstance(self.family, Experts):
            value += self.family.log_prior(mixture.structure)
        return value

    def cut(self, mixture: Mixture) -> Cut | None:
        """Where trimming cuts the rows under a mixture; None where nothing is trimmed."""
        trim = self.outliers.trimmed(self.frame, self.summary.deviation)
        if trim is None:
            return None
        keys = partial(ranked, mixture, assign=self.assign, trim=trim)
        found = place(self.source, keys, trim.below)
        return trim.cut(found)

    def log_density(self, mixture: Mixture, block: Block) -> Array:
        """log P (n,) of a block's rows, by what is known of them, in the units of the data."""
        out = np.empty(len(block))
        mixture.fill(block, log_sums, out)
        if self.truncation is None:
            return out
        return self.truncation.densities(mixture, block.rows, out)

    def kept(self, block: Block, mixture: Mixture, cut: Cut | None) -> Array:
        """The weights (n,) of a block's rows as far as a cut keeps them."""
        if cut is None:
            return block.weight()
        keys, weights = ranked(mixture, block, self.assign, cut.trim)
        return weights * cut.kept(keys)

    def noise(self, mixture: Mixture) -> float:
        """Nats a row by which rounding blurs the objective: for products in single precision.

        A share of the bound on what cancels; over many terms and rows roundings average out.
        """
        if (
            self.source.dtype != np.float32
            or kernels.active() is kernels.plain
            or self.family.moments.rank
        ):
            return 0.0
        return min(cancellation(mixture) * 2.0**29, LOSS_SINGLE) / (2.0 * self.source.d)

    def maximized(self, data: Statistics, mixture: Mixture) -> Mixture:
        """The M-step; `mixture` says where an empty component stays, and what law it has."""
        found = maximization(
            data,
            mixture,
            self.family,
            self.prior,
            self.guard,
            equal_weights=self.equal_weights,
            held=self.held,
        )
        return found if found.law.settled else freed(found, self.source, self.assign, self.cut)

    def with_held(self, mixture: Mixture) -> Mixture:
        """The mixture with what is held in its place, wherever it comes from."""
        return mixture if self.held is None else self.held.into(mixture, self.family)

    def estimated(self, k: int) -> Mask:
        """Whose covariances (k,) are estimated, and can be so badly."""
        return np.ones(k, dtype=bool) if self.held is None else ~self.held.covariances

    @cached_property
    def volume(self) -> float:
        """Nats a row from frame coordinates to the data's units: Σ_j log scale_j if observed."""
        return float(self.summary.observed / self.summary.weight @ np.log(self.frame.scale))

    def pseudo_sums(self, k: int, d: int) -> tuple[Array, Array, Array]:
        """The prior as the kernels take it: sums (k, p) of T(z), and what dof and counts gain."""
        shape = self.family.moments.shape
        if self.prior.flat:
            return np.zeros((k, width(shape, d))), np.zeros(k), np.zeros(k)
        pseudo = self.prior.statistics(self.family.moments, np.zeros((k, d)))
        second = np.zeros((k, second_width(shape, d)))
        second[: len(pseudo.second)] = packed(pseudo.second, shape)
        return np.column_stack([second, pseudo.first, pseudo.mass]), pseudo.dof, pseudo.counts

    def isotropic(self, location: Array) -> Mixture:
        """Equal weights and unit covariances of the family, at means (k, d) in the frame."""
        k, d = location.shape
        moments = self.family.moments
        unit = np.full((k, d), 1.0)
        second = np.tile(np.eye(d), (k, 1, 1)) if moments.shape == 0 else moments.outer(unit, unit)
        one = np.ones(k)
        data = Statistics(moments, location, one, one, one, np.zeros((k, d)), moments.total(second))
        structure = self.family.maximize(data, Guard.of(d))
        return Mixture.of(np.full(k, 1.0 / k), location, structure, self.frame)

    def adopted(self, mixture: Mixture) -> Mixture:
        """A mixture from elsewhere, in this problem's frame; a low-rank family makes it its own."""
        if mixture.frame == self.frame and self.family.moments.shape != FACTOR:
            return mixture
        noise, shape = mixture.noise, mixture.shaped(self.frame)
        if isinstance(self.family, Factor):
            shape = nearest(self.family, shape, mixture.weights)
        return mixture.changed(
            location=self.frame.read(mixture.means),
            structure=shape,
            frame=self.frame,
            feature_names=None,
            noise=None if noise is None else noise.reframed(mixture.frame, self.frame),
        )

    @property
    def ordinary(self) -> Problem:
        """The same problem without a thought for outliers, or for rows that were not seen."""
        if self.outliers.none and self.truncation is None:
            return self
        return replace(self, outliers=NONE, truncation=None)

    @property
    def travelling(self) -> Problem:
        """The same problem without its rows, to be asked of blocks wherever they are."""
        return replace(self, source=MemorySource(np.empty((0, self.source.d))))

    def on(self, source: Source) -> Problem:
        """The same problem over other rows, for instance a sample."""
        return replace(self, source=source, summary=replace(self.summary, weight=weight_of(source)))


def state(
    source: Source,
    family: Family,
    *,
    reg_covar: float | None = None,
    max_ratio: float | None = None,
    assign: Assign = soft,
    names: tuple[str, ...] | None = None,
    summary: Summary | None = None,
) -> Problem:
    """State the problem of fitting `family` to the rows of `source`.

    Parameters
    ----------
    source : Source
    family : Family
    reg_covar : float or None
        Added to variances, in squared units of the data; None bounds eigenvalues from below at
        `mixtura.covariance.FLOOR` of the columns' variances instead.
    max_ratio : float or None
        Bound on the largest eigenvalue of all components' covariances over the smallest, in the
        units of the data (Fritz, García-Escudero & Mayo-Iscar 2013); for the families of
        `mixtura.covariance.RATIO`.
    assign : soft or hard
    names : column names, for messages
    summary : of the rows, where it is known already

    Raises
    ------
    InputError
        A column without a single observed value; a ratio below one, or for another family.
    """
    _check_ratio(max_ratio, family)
    summary = summarize(source) if summary is None else summary
    if not summary.weight > 0:
        raise InputError(UNFELT)
    empty = np.flatnonzero(summary.observed == 0)
    if len(empty):
        named = [names[i] if names else int(i) for i in empty]
        raise InputError(f"columns {named} have no observed value at all: drop them")
    frame = Frame(summary.mean, _scales(summary.deviation, family, max_ratio is not None))
    family = _measured(family, summary.deviation, frame)
    ridge = _ridge(np.full(source.d, reg_covar or 0.0), frame.scale)
    guard = Guard(ridge, ratio=max_ratio)
    return Problem(source, family, summary, frame, guard, assign=assign, names=names)


UNFELT = (
    "none of the rows to be fitted has a weight above zero, as where rows are held out: give more "
    "rows that count"
)


def _check_ratio(ratio: float | None, family: Family) -> None:
    if ratio is None:
        return
    if not ratio >= 1.0:
        raise InputError(f"max_ratio={ratio!r}: the largest eigenvalue is at least the smallest")
    if family.name not in RATIO:
        raise InputError(
            f"max_ratio cannot be kept by {family.name} covariances, whose components are tied to "
            f"one another: use one of {RATIO}, or the floor or a prior instead"
        )


def holding(problem: Problem, held: Held | None) -> Problem:
    """The problem with some parameters held, in a frame that gives held means back exactly."""
    if held is None:
        return problem
    return replace(problem, held=held, frame=problem.frame.coarse(problem.summary.deviation))


def shortlisted(problem: Problem, shortlist: Shortlist | None) -> Problem:
    """The problem with rows that count for few candidates each.

    Raises
    ------
    InputError
        Heavy tails, noise, trimming, truncation or factor analyzers: rows need all components.
    """
    if shortlist is None:
        return problem
    moments = problem.family.moments
    apart = problem.truncation is not None or isinstance(problem.family, Experts)
    if apart or not problem.outliers.none or moments.shape == FACTOR:
        raise InputError(
            "candidates are for Gaussian components of full, tied, diagonal and spherical "
            "covariances: leave out distribution, noise, trim and truncation, choose another "
            "covariance_type, or set candidates=None"
        )
    return replace(problem, shortlist=shortlist)


def with_outliers(problem: Problem, outliers: Outliers) -> Problem:
    """The problem with heavy tails, noise or trimming, framed by the bulk of the rows."""
    if outliers.none:
        return problem
    middle, deviation = bulk(problem.source, problem.summary.deviation)
    _check_reach(problem.summary.deviation, deviation)
    bound = problem.guard.ratio is not None
    frame = Frame(middle, _scales(deviation, problem.family, bound))
    frame = frame if problem.held is None else frame.coarse(deviation)
    return replace(
        problem,
        family=_measured(problem.family, deviation, frame),
        frame=frame,
        summary=replace(problem.summary, mean=middle, deviation=deviation),
        guard=replace(
            problem.guard, ridge=_ridge(problem.guard.ridge, frame.scale / problem.frame.scale)
        ),
        outliers=outliers.over(problem.source, frame),
    )


def _check_reach(deviation: Array, of_bulk: Array) -> None:
    """Refuse columns that reach so far beyond their bulk that squares are no numbers there."""
    far = np.flatnonzero(deviation / _REACH > np.where(of_bulk > 0, of_bulk, np.inf))
    if len(far):
        raise InputError(
            f"column {far[0]} reaches more than {_REACH:.0e} times as far as its bulk: such rows "
            "are errors to be left out, or their cells set to NaN"
        )


_REACH = 1e100
"""Deviations of the bulk within which all rows are to be."""


def _scales(deviation: Array, family: Family, bound: bool) -> Array:
    """The columns' scales, common to those that the family or a bound treats alike."""
    if isinstance(family, Experts):
        groups = family.groups(len(deviation))
        return np.concatenate([_powers(deviation[part], one) for part, one in groups])
    return _powers(deviation, family.one_scale or bound)


def _measured(family: Family, deviation: Array, frame: Frame) -> Family:
    """The family, told how its columns vary where that matters."""
    if not isinstance(family, Experts):
        return family
    return family.measured((deviation * frame.scale) ** 2)


def _powers(deviation: Array, one: bool) -> Array:
    """Powers of two that bring deviations into [1, 2); a constant column is scaled as the rest."""
    known = deviation[deviation > 0]
    if not len(known):
        return np.ones(len(deviation))
    usual = float(np.exp(np.log(known).mean()))
    filled = (
        np.full(len(deviation), known.max()) if one else np.where(deviation > 0, deviation, usual)
    )
    return np.asarray(np.ldexp(1.0, np.minimum(1 - np.frexp(filled)[1], _FINEST)))


_FINEST = 1023
"""Exponent of the largest power of two: deviations below the normal numbers have none of theirs."""


def _ridge(added: Array, scale: Array) -> Array:
    """What is added to variances (d,), in coordinates of another scale."""
    with np.errstate(over="ignore", under="ignore"):
        ridge = added * scale * scale  # not squared: the scale of tiny columns overflows
    if (ridge < _BEYOND).all():
        return np.asarray(ridge)
    column = int(np.argmax(ridge))
    raise InputError(
        f"reg_covar is too far above the variance of column {column}, by {ridge[column]:.0e}, to "
        'count with: set it in squared units of the data, or leave it at "auto"'
    )


_BEYOND = 1e150
"""Variances, in those of the columns, from which products of them are not numbers."""
