"""What inference is about: a fitted mixture, and the problem it is the solution of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mixtura import _checks
from mixtura._errors import InputError
from mixtura.assignment import hard, soft
from mixtura.covariance import Family, family
from mixtura.fit.em import Stop
from mixtura.fit.fixed import Fixed
from mixtura.fit.given import Start
from mixtura.fit.outliers import Outliers
from mixtura.fit.priors import with_prior
from mixtura.fit.problem import Problem, holding, state, with_outliers
from mixtura.fitted import fitted_mixture
from mixtura.held import Held
from mixtura.law import StudentT
from mixtura.mixture import Mixture
from mixtura.reading.scan import opened
from mixtura.source import MemorySource


@dataclass(frozen=True, eq=False)
class Subject:
    """A fitted mixture with its data.

    Attributes
    ----------
    mixture : Mixture
        In the frame of the problem, columns named.
    problem : Problem
        Rows, weights, family, prior and bounds.
    stop : Stop
        When refits stop.
    """

    mixture: Mixture
    problem: Problem
    stop: Stop

    @property
    def source(self) -> MemorySource:
        """The rows in memory."""
        source = self.problem.source
        assert isinstance(source, MemorySource)
        return source

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, x0, x1, ... where they have none."""
        d = self.mixture.n_features
        return self.mixture.feature_names or tuple(f"x{i}" for i in range(d))


@dataclass(frozen=True, eq=False)
class Traits:
    """How a model was fitted, as far as the model tells.

    Attributes
    ----------
    rule : Family
    options : mapping
        The estimator's parameters; none for a mixture.
    equal_weights : bool
    hard : bool
        Whether rows were assigned to one component each.
    outliers : Outliers
    held : Held or None
        Parameters that the fit was told to leave as they are.
    """

    rule: Family
    options: Mapping[str, Any]
    equal_weights: bool
    hard: bool
    outliers: Outliers
    held: Held | None


def traits(model: Any) -> Traits:
    """How a mixture or a fitted estimator was fitted."""
    mixture = fitted_mixture(model)
    options: Mapping[str, Any] = {} if model is mixture else model.get_params(deep=False)
    rule = family(family_name(model), mixture.n_features)
    is_hard = options.get("assignment") == "hard"
    equal = options.get("equal_weights", False)
    if isinstance(equal, str):
        free = "weights" not in Fixed(options.get("fixed")).names
        equal = free and is_hard and rule.name == "equal-spherical"
    outliers = _outliers(mixture, float(options.get("trim", 0.0)))
    held = Fixed(options.get("fixed"), mixture).held(Start(), rule, *mixture.location.shape)
    return Traits(rule, options, bool(equal), is_hard, outliers, held)


def subject(model: Any, X: Any, sample_weight: Any = None, labels: Any = None) -> Subject:
    """The model and the data, weights and labels that it was fitted to.

    Of an estimator, its prior, bounds, assignment and treatment of outliers count as well.

    Raises
    ------
    InputError, InputTypeError
        Data that do not fit the model.
    """
    _refuse_unseen(model)
    mixture, known = fitted_mixture(model), traits(model)
    if getattr(model, "deconvolved_", False):
        raise InputError(
            "the model was fitted to rows with measurement errors, which inference does not know: "
            "fit samples of the rows with their noise_cov anew and compare, or leave out X"
        )
    (k, d), X = mixture.location.shape, opened(X)
    rows = _checks.rows_like(X, d, mixture.feature_names)
    rows, weights = _checks.weighted(rows, _checks.weights_beside(X, sample_weight))
    source = MemorySource(rows, weights, _checks.plausibility(labels, len(rows), k))
    ridge = known.options.get("reg_covar", "auto")
    stated = state(
        source,
        known.rule,
        reg_covar=None if isinstance(ridge, str) else float(ridge),
        max_ratio=known.options.get("max_ratio"),
        assign=hard if known.hard else soft,
        names=mixture.feature_names,
    )
    stated = holding(replace(stated, equal_weights=known.equal_weights), known.held)
    stated = with_prior(stated, known.options.get("prior"), k)
    problem = with_outliers(stated, known.outliers)
    return Subject(problem.adopted(mixture), problem, refits_stop(problem))


def _refuse_unseen(model: Any) -> None:
    """What follows takes rows as they are, and knows of no limits."""
    truncated = getattr(model, "truncation", None) is not None
    if truncated or getattr(model, "n_censored_", 0) > 0:
        what = "truncation" if truncated else "cells within limits"
        raise InputError(
            f"{what} counted in the fit, and inference does not know of it yet: pass "
            "model.mixture_ to treat the rows as if they were all there is, or refit on drawn rows"
        )


def _outliers(mixture: Mixture, trim: float) -> Outliers:
    """What a refit is to do about outliers: as the fit did."""
    law, dof = mixture.law, None
    if isinstance(law, StudentT):
        dof = float(law.dof[0]) if law.tie == "fixed" else law.tie
    return Outliers(dof, 0.0 if mixture.noise is None else mixture.noise.share, trim)


def refits_stop(problem: Problem, left: float = 3e-5) -> Stop:
    """When refits stop: with so many nats in all left to gain.

    From there each parameter would move by less than ``√(2 left)`` standard errors, less than one
    in a hundred by default, however many rows there are.
    """
    return Stop(min(1e-6, left / problem.summary.weight))


def family_name(model: Any) -> str:
    """The name of the family a model was fitted in."""
    mixture = fitted_mixture(model)
    if model is not mixture:
        return str(model.covariance_type_)
    return mixture.structure.name
