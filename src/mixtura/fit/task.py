"""What is asked of a fit or of all fits of a grid, whatever their size and family."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura.assignment import hard, soft
from mixtura.block import Block
from mixtura.covariance import Family
from mixtura.fit.candidates import Shortlist
from mixtura.fit.criteria import Formula
from mixtura.fit.em import Stop
from mixtura.fit.fixed import Fixed
from mixtura.fit.given import Start
from mixtura.fit.outliers import NONE, Outliers
from mixtura.fit.priors import with_prior
from mixtura.fit.problem import (
    Problem,
    Summary,
    holding,
    shortlisted,
    state,
    with_outliers,
)
from mixtura.fit.robust import distinct
from mixtura.fit.truncation import Truncation, check
from mixtura.held import Held
from mixtura.source import Source


def _spelled(k: int, block: Block, first: int) -> Block:
    """A view of rows with their labels spelled out for k components."""
    told = _checks.plausibility(block.aside, len(block), k, first)
    return replace(block, plausibility=told, aside=None)


@dataclass(frozen=True)
class Task:
    """What all cells of a grid share; `labelled` where labels lie aside in the source."""

    source: Source
    criterion: str | Formula
    seed: int
    stop: Stop
    prior: Any = None
    reg_covar: float | None = None
    assign: Any = soft
    equal_weights: Any = False
    fields: int = 1
    names: tuple[str, ...] | None = None
    labelled: bool = False
    start: Start = Start()
    outliers: Outliers = NONE
    folds: int = 5
    max_ratio: float | None = None
    fixed: Fixed = Fixed()
    shortlist: Shortlist | None = None
    truncation: Truncation | None = None

    def problem(
        self, rule: Family, k: int, source: Source, summary: Summary | None = None
    ) -> Problem:
        """The problem of one cell; a `summary` of the rows is made unless it is there."""
        check(self.truncation, source, rule, self.outliers)
        if not self.outliers.none and isinstance(self.start.how, str):
            source, summary = distinct(source, k), None
        stated = state(
            source,
            rule,
            reg_covar=self.reg_covar,
            max_ratio=self.max_ratio,
            assign=self.assign,
            names=self.names,
            summary=summary,
        )
        stated = replace(stated, equal_weights=self.equally(rule), truncation=self.truncation)
        held = holding(stated, self.held(rule, k))
        stated = with_prior(with_outliers(held, self.outliers), self.prior, k)
        return shortlisted(stated, self.shortlist)

    def held(self, rule: Family, k: int) -> Held | None:
        """What a fit of k components holds."""
        return self.fixed.held(self.start, rule, k, self.source.d)

    def equally(self, rule: Family) -> bool:
        """Whether the family's components weigh the same; "auto" where that makes k-means."""
        if self.equal_weights == "auto":
            free = "weights" not in self.fixed.names
            return free and self.assign is hard and rule.name == "equal-spherical"
        return bool(self.equal_weights)

    def told(self, k: int) -> Source:
        """The rows with their labels spelled out for k components.

        Raises
        ------
        InputError
            Labels that cannot be used.
        """
        return self.source.viewed(partial(_spelled, k)) if self.labelled else self.source

    def rng(self, k: int) -> np.random.Generator:
        """The same starts for every family of k components."""
        return np.random.default_rng([self.seed, k])
