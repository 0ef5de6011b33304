"""Rows that never got into the data because they lay outside a box."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from mixtura import _limits
from mixtura._errors import InputError
from mixtura._types import Array, Mask, Rows
from mixtura.block import Block
from mixtura.censoring import Hidden, hidden, log_probabilities
from mixtura.covariance import Family
from mixtura.fit.outliers import Outliers
from mixtura.kernels.layout import DIAGONAL, FACTOR, FULL
from mixtura.mixture import Mixture
from mixtura.operations.truncation import TruncatedMixture, truncate
from mixtura.source import MemorySource, Source
from mixtura.statistics import Moments, Statistics

POINTS = 8192
"""Points for each component where three and more correlated columns are truncated."""

SCARCE = 0.01
"""Share of a component within the box below which its fit is a guess."""

_LEAST = 1e-12
"""Share of the mixture within the box below which unseen rows are no longer counted in full."""


@dataclass(frozen=True, eq=False)
class Truncation:
    """A box outside of which rows were never recorded.

    With α = P(box) and W rows seen, the likelihood is ``Σ w log P(x) - W log α``, and the unseen
    rows are missing data: ``W / α π_k`` times the moments of component k outside the box, in
    expectation (Dempster, Laird & Rubin 1977, section 4.2.2; Lee & Scott 2012).

    Attributes
    ----------
    lower, upper : (d,)
        In the units of the data; infinite where there is no bound.

    References
    ----------
    Dempster, Laird & Rubin (1977), "Maximum likelihood from incomplete data via the EM algorithm",
    Journal of the Royal Statistical Society B 39, 1-38; Lee & Scott (2012), "EM algorithms for
    multivariate Gaussian mixture models with truncated and censored data", Computational
    Statistics & Data Analysis 56, 2816-2829.
    """

    lower: Array
    upper: Array

    @classmethod
    def of(cls, given: Any, features: int) -> Truncation | None:
        """The box of a pair of bounds; None where there is none.

        Raises
        ------
        InputError
            Not a pair, bounds that do not fit the columns, or a lower one that is not below.
        """
        if given is None:
            return None
        try:
            low, high = given
        except (TypeError, ValueError):
            raise InputError(
                f"truncation={given!r}: use (lower, upper), numbers or one for each column, "
                "infinite where there is no bound"
            ) from None
        lower, upper = _limits.limits(low, high, (features,))
        if not (lower < upper).all():
            column = int(np.argmin(lower < upper))
            raise InputError(
                f"truncation: column {column} has lower {lower[column]:g} and upper "
                f"{upper[column]:g}; the lower bound must be below the upper"
            )
        box = cls(lower, upper)
        return box if box.tight.any() else None

    @cached_property
    def tight(self) -> Mask:
        """(d,) which columns have a bound."""
        return np.asarray(np.isfinite(self.lower) | np.isfinite(self.upper))

    def outside(self, rows: Rows) -> Mask:
        """Which rows (n,) have an observed value outside."""
        return np.asarray(((rows < self.lower) | (rows > self.upper)).any(axis=1))

    def check(self, rows: Rows) -> None:
        """Refuse rows outside the box.

        Raises
        ------
        InputError
            Names the first row.
        """
        out = self.outside(rows)
        if out.any():
            raise InputError(
                f"{int(out.sum())} rows lie outside truncation, the first in row "
                f"{int(out.argmax())}: rows that the box keeps out cannot be in the data; widen "
                "it, or drop them"
            )

    def around(self, block: Block) -> Block:
        """The block with its missing cells within the box.

        Raises
        ------
        InputError
            A cell whose limits lie outside.
        """
        gaps = np.isnan(block.rows) & self.tight
        if not gaps.any():
            return block
        shape = block.rows.shape
        low, high = block.limits or (np.full(shape, -np.inf), np.full(shape, np.inf))
        low = np.where(gaps, np.maximum(low, self.lower), low)
        high = np.where(gaps, np.minimum(high, self.upper), high)
        bad = np.argwhere(low >= high)
        if len(bad):
            row, column = bad[0]
            raise InputError(
                f"row {row}, column {column} is censored to where truncation keeps rows out: "
                "its limits must reach into the box"
            )
        return replace(block, limits=(low, high))

    def within(self, mixture: Mixture) -> tuple[Hidden, ...]:
        """The components within the box, as rows of which this is all that is known."""
        nothing = np.full((1, mixture.n_features), np.nan)
        block = Block(nothing, limits=(self.lower[None], self.upper[None]))
        return hidden(mixture, block, block.patterns[0], POINTS)

    def log_components(self, mixture: Mixture) -> Array:
        """(k,) log of what each component gives to the box."""
        return log_probabilities(self.within(mixture))[0]

    def log_probability(self, mixture: Mixture) -> float:
        """log α."""
        logs = self.log_components(mixture) + mixture.log_weights
        return float(np.logaddexp.reduce(logs))

    def densities(self, mixture: Mixture, rows: Rows, logs: Array) -> Array:
        """Log-densities (n,) of rows within the box, for those of the whole mixture."""
        kept = logs - self.log_probability(mixture)
        return np.where(self.outside(rows), -np.inf, kept)

    def of_mixture(self, mixture: Mixture) -> TruncatedMixture:
        """The density within the box as a value."""
        return truncate(mixture, self.lower, self.upper)

    def scarce(self, mixture: Mixture) -> Array:
        """The components that give the box nearly nothing, so that it says little of them."""
        logs = self.log_components(mixture)
        return np.flatnonzero((logs < np.log(SCARCE)) & (mixture.weights > 0))

    def unseen(self, mixture: Mixture, moments: Moments, weight: float) -> Statistics:
        """The expected statistics of the rows outside the box, for rows of this weight within.

        Their log-likelihood is what the box takes from the objective, ``-W log α``.
        """
        found = self.within(mixture)
        logs = log_probabilities(found)[0]
        total = float(np.logaddexp.reduce(logs + mixture.log_weights))
        rows = weight * mixture.weights / max(np.exp(total), _LEAST)
        inside, counts = np.exp(logs), -rows * np.expm1(np.minimum(logs, 0.0))
        off = np.concatenate([one.off for one in found])
        one = np.ones(1)
        dense = mixture.structure.dense() - np.array(
            [
                share * (part.doubt(one) + np.outer(middle, middle))
                for share, part, middle in zip(inside, found, off, strict=True)
            ]
        )
        second = moments.total(_kept(rows[:, None, None] * dense, moments))
        first = -(rows * inside)[:, None] * off
        return Statistics(
            moments, mixture.location, counts, counts, counts, first, second, -weight * total
        )


def check(
    truncation: Truncation | None, source: Source, family: Family, outliers: Outliers
) -> None:
    """Refuse what goes neither with truncation nor with cells within limits.

    Raises
    ------
    InputError
        Says what to leave out.
    """
    limited = isinstance(source, MemorySource) and source.whole.limits is not None
    if truncation is None and not limited:
        return
    what = "lower and upper" if truncation is None else "truncation"
    if truncation is not None:
        source.map(lambda block: truncation.check(block.rows))
    if not outliers.none:
        raise InputError(
            f"{what} need Gaussian components without noise or trimming: leave out distribution, "
            f"noise and trim, or {what}"
        )
    if family.moments.shape == FACTOR:
        raise InputError(
            f"{family.name} covariances cannot be fitted with {what}: use one of the families "
            'that are not low-rank, such as "diag" or "full"'
        )


def _kept(second: Array, moments: Moments) -> Array:
    """What a shape keeps of second moments (k, d, d)."""
    if moments.shape == FULL:
        return second
    diagonal = second.diagonal(axis1=1, axis2=2)
    return np.asarray(diagonal if moments.shape == DIAGONAL else diagonal.sum(axis=1))
