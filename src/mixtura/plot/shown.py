"""The rows a figure shows: which features, how many rows, what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputTypeError
from mixtura._types import Array, Indices, Mask, Rows
from mixtura.fit.truncation import Truncation
from mixtura.fitted import fitted_mixture
from mixtura.plot.canvas import counted, grouped, percent

if TYPE_CHECKING:
    from mixtura.mixture import Mixture
    from mixtura.trimming import Cut

LIMIT = 10_000  # points drawn: more only blacken the paper


@dataclass(frozen=True, eq=False)
class Drawn(_checks.Elsewhere):
    """Rows that were drawn at random from more, to be plotted for all of them.

    Attributes
    ----------
    rows : (m, d)
    names : tuple of str
    total : how many there are
    """

    rows: Rows
    names: tuple[str, ...]
    total: int

    @property
    def table(self) -> _checks.Table:
        """The rows drawn."""
        return _checks.Table(self.rows, self.names)


@dataclass(frozen=True)
class Shown:
    """Rows to draw.

    Attributes
    ----------
    rows : (n, d), NaN where unobserved
    names : d names of features
    total : how many rows there were before `thin`
    trimmed : (n,) or None, rows that the fit left out
    """

    rows: Rows
    names: tuple[str, ...]
    total: int
    trimmed: Mask | None = None

    @classmethod
    def of(cls, X: Any, mixture: Mixture, cut: Cut | None = None) -> Shown:
        """Read a table or an array; None is no rows at all."""
        d, names = mixture.n_features, mixture.feature_names
        rows: Rows = np.empty((0, d))
        if X is not None and names is not None:
            rows = _checks.rows_like(X, d, names)
        elif X is not None:
            read = _checks.table(X)
            rows, names = _checks.rows_like(read.rows, d), read.names
        trimmed = None if cut is None else cut.trims(mixture.logpdf(rows), rows)
        total = X.total if isinstance(X, Drawn) else len(rows)
        return cls(rows, names or tuple(f"feature {j}" for j in range(d)), total, trimmed)

    def thin(self, limit: int = LIMIT) -> Shown:
        """At most `limit` rows, drawn at random but always the same."""
        if len(self.rows) <= limit:
            return self
        chosen = np.sort(np.random.default_rng(0).choice(len(self.rows), limit, replace=False))
        trimmed = None if self.trimmed is None else self.trimmed[chosen]
        return replace(self, rows=self.rows[chosen], trimmed=trimmed)

    def positions(self, features: Sequence[int | str]) -> list[int]:
        """Names or numbers of features -> their columns."""
        return _checks.positions(features, len(self.names), self.names)

    def take(self, dims: Sequence[int]) -> Shown:
        """Some of the features, in float64."""
        rows = np.asarray(self.rows[:, dims], dtype=np.float64)
        return replace(self, rows=rows, names=tuple(self.names[j] for j in dims))

    def responsibilities(self, mixture: Mixture) -> Array:
        """(n, k), from all features of the mixture: ask before `take`."""
        if not len(self.rows):
            return np.empty((0, mixture.n_components))
        return mixture.responsibilities(self.rows)

    def labels(self, responsibilities: Array) -> Indices:
        """The likeliest component of each row, (n,); -1 for noise and what was trimmed."""
        return component_labels(responsibilities, self.trimmed)

    def sentences(self) -> list[str]:
        """What the figure leaves out, or shows at its margin."""
        said = []
        if len(self.rows) < self.total:
            said.append(f"a random {grouped(len(self.rows))} of {counted(self.total)}")
        unseen = np.isnan(self.rows)
        nothing = unseen.all(axis=1)
        if len(self.names) > 1:
            for j, name in enumerate(self.names):
                gaps = int(np.sum(unseen[:, j] & ~nothing))
                if gaps:
                    said.append(f"{counted(gaps)} without {name}: ticks at the edge")
        if nothing.any():
            what = " and ".join(self.names) if len(self.names) < 3 else "any of these"
            said.append(f"{counted(int(nothing.sum()))} without {what}: not shown")
        return said


@dataclass(frozen=True)
class Unseen:
    """What rows do not show of a mixture that was fitted to them.

    Attributes
    ----------
    share : of the mixture within the box that rows come from
    lower, upper : (d,) or None, the box
    censored : whether rows without a value are those of certain values
    """

    share: float = 1.0
    lower: Array | None = None
    upper: Array | None = None
    censored: bool = False

    @classmethod
    def of(cls, estimator: Any) -> Unseen:
        """By an estimator's truncation and limits."""
        censored = getattr(estimator, "n_censored_", 0) > 0
        given = getattr(estimator, "truncation", None)
        mixture = fitted_mixture(estimator)
        box = Truncation.of(given, mixture.n_features)
        if box is None:
            return cls(censored=censored)
        share = float(np.exp(box.log_probability(mixture)))
        return cls(share, box.lower, box.upper, censored)

    def take(self, dims: Sequence[int]) -> Unseen:
        """Bounds of some columns."""
        if self.lower is None or self.upper is None:
            return self
        return replace(self, lower=self.lower[list(dims)], upper=self.upper[list(dims)])

    @property
    def bounds(self) -> list[float]:
        """Finite bounds."""
        if self.lower is None or self.upper is None:
            return []
        return [float(end) for end in (*self.lower, *self.upper) if np.isfinite(end)]

    def sentences(self) -> list[str]:
        """What the curves show beyond the rows."""
        said = []
        if self.lower is not None:
            said.append(f"rows are {percent(self.share)} of the mixture, the rest was kept out")
        if self.censored:
            said.append("bars are the rows with a value, curves all rows")
        return said


def component_labels(responsibilities: Array, trimmed: Mask | None = None) -> Indices:
    """The likeliest component of each row; -1 where what is left to noise is more, or trimmed."""
    if not len(responsibilities):
        return np.empty(0, dtype=np.intp)
    labels = responsibilities.argmax(axis=1)
    labels[1.0 - responsibilities.sum(axis=1) > responsibilities.max(axis=1)] = -1
    if trimmed is not None:
        labels[trimmed] = -1
    return labels


def portions(mixture: Mixture) -> Array:
    """Shares (k,) of the components in the whole mixture, beside which there may be noise."""
    return mixture.weights * (1.0 - (0.0 if mixture.noise is None else mixture.noise.share))


def legend_title(mixture: Mixture) -> str:
    """What a legend lists."""
    return "component, weight" if mixture.noise is None else "component, share"


def lone_names(mixture: Mixture, trimmed: Mask | None) -> list[str]:
    """What rows of no component are, and their share."""
    said = [] if mixture.noise is None else [f"noise   {percent(mixture.noise.share)}"]
    if trimmed is not None and trimmed.any():
        said.append(f"trimmed   {percent(float(trimmed.mean()))}")
    return said


def asked_for(estimator: Any, name: str) -> None:
    """Refuse what lacks the attribute that a figure is made of."""
    if not hasattr(estimator, name):
        raise InputTypeError(
            f"{type(estimator).__name__} has no {name}, which the figure shows: pass an estimator "
            "that has"
        )


def cut_of(estimator: Any) -> Cut | None:
    """Where a fitted estimator trimmed rows."""
    cut: Cut | None = getattr(estimator, "cut_", None)
    return cut


def most_telling(mixture: Mixture, count: int) -> list[int]:
    """The features in which the components differ most, in the order of the columns.

    Measured by the share of a feature's variance that lies between the components' means.
    """
    variance = mixture.structure.variances_by_column  # (k, d), in the frame as the means
    offset = mixture.location - mixture.weights @ mixture.location
    between = mixture.weights @ offset**2
    within = mixture.weights @ variance
    ranked = np.argsort(-between / (between + within), kind="stable")
    return sorted(int(j) for j in ranked[:count])
