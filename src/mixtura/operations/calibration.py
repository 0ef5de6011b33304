"""How well a one-dimensional distribution describes values: PIT, Q-Q, largest gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.stats import beta

from mixtura import _checks, _frames
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.fitted import fitted_distribution


class Distribution(Protocol):
    """A distribution on the line: a `Mixture` or a `BoundedMixture` of one feature."""

    @property
    def n_features(self) -> int: ...
    def cdf(self, X: Any) -> Array: ...
    def quantile(self, probability: Any) -> Array: ...


@dataclass(frozen=True, eq=False)
class Calibration:
    """Values in rising order beside what the distribution says of them.

    Attributes
    ----------
    values : (n,)
        The data in rising order.
    pit : (n,)
        Probability integral transforms F(x): uniform if F is the distribution of the data.
    weights : (n,)
    positions : (n,)
        Mean of each order statistic of uniform draws, ``i / (n + 1)``.
    lower, upper : (n,)
        Pointwise envelope of the order statistics of n uniform draws, by their Beta distributions.
    expected, expected_lower, expected_upper : (n,)
        Quantiles of the distribution at `positions`, `lower` and `upper`.
    level : float
        Probability of the envelope.
    distance : float
        Largest gap between the distribution functions of the data and of the model.
    worst : float
        The value at which the gap is largest.
    """

    values: Array
    pit: Array
    weights: Array
    positions: Array
    lower: Array
    upper: Array
    expected: Array
    expected_lower: Array
    expected_upper: Array
    level: float
    distance: float
    worst: float

    @property
    def outside(self) -> float:
        """Share of the values, by weight, that lie outside the envelope."""
        out = (self.pit < self.lower) | (self.pit > self.upper)
        return float(self.weights @ out / self.weights.sum())

    def _place(self) -> str:
        """`worst`, to a thousandth of what the values span however far from zero they are."""
        span = float(self.values[-1] - self.values[0])
        ahead = np.log10(abs(self.worst) / span) if span and self.worst else 0.0
        return f"{self.worst:.{int(np.clip(np.ceil(ahead) + 3, 4, 17))}g}"

    def sentence(self) -> str:
        """The largest gap in words: a description, not a test, as the model saw the data."""
        return (
            f"The distribution functions of data and model differ by at most {self.distance:.3f}, "
            f"at {self._place()}; {100 * self.outside:.1f} % of the values lie outside the "
            f"pointwise {100 * self.level:g} % envelope."
        )

    __repr__ = sentence


def calibration(
    distribution: Any, X: Any, sample_weight: Any = None, level: float = 0.95
) -> Calibration:
    """Compare values with a distribution.

    The i-th of n uniform order statistics is Beta(i, n + 1 - i); a weight counts as so many equal
    values, of which the middle one is shown.

    Parameters
    ----------
    distribution : Mixture, BoundedMixture or fitted estimator of one feature
    X : (n, 1) or (n,) array_like, or data frame
        NaN is left out.
    sample_weight : (n,) array_like, optional
    level : float, default=0.95

    Returns
    -------
    Calibration

    References
    ----------
    Dawid (1984), "Statistical theory: the prequential approach", J. R. Statist. Soc. A 147,
    278-292 (PIT).

    Examples
    --------
    >>> from mixtura import Mixture, calibration
    >>> mixture = Mixture([1.0], [[0.0]], [[[1.0]]])
    >>> calibration(mixture, [-1.0, 0.0, 1.0]).pit.round(3)
    array([0.159, 0.5  , 0.841])
    """
    if not 0 < level < 1:
        raise InputError(f"level={level}: a number above 0 and below 1 is needed")
    known: Distribution = fitted_distribution(distribution)
    values = _column(X)
    weights = _checks.row_weights(_checks.weights_beside(X, sample_weight), len(values))
    weights = np.ones(len(values)) if weights is None else weights
    seen = ~np.isnan(values) & (weights > 0)
    if not seen.any():
        raise InputError("no value is observed: there is nothing to compare")
    order = np.flatnonzero(seen)[np.argsort(values[seen], kind="stable")]
    values, weights = values[order], weights[order]
    ends = np.cumsum(weights)
    total = float(ends[-1])
    pit = np.asarray(known.cdf(values[:, None]), dtype=np.float64)
    rank = ends - 0.5 * (weights - 1.0)
    tail = 0.5 * (1.0 - level)
    lower, upper = (beta.ppf(q, rank, total + 1.0 - rank) for q in (tail, 1.0 - tail))
    positions = rank / (total + 1.0)
    expected, low, high = (known.quantile(p) for p in (positions, lower, upper))
    gaps = np.maximum(np.abs(ends / total - pit), np.abs(pit - (ends - weights) / total))
    at = int(gaps.argmax())
    return Calibration(
        values, pit, weights, positions, lower, upper, expected, low, high, level,
        float(gaps[at]), float(values[at]),
    )  # fmt: skip


def _column(X: Any) -> Array:
    """Values (n,) in float64."""
    X = _frames.eager(X)
    if not hasattr(X, "columns") and np.ndim(X) < 2:
        return np.atleast_1d(_checks.numbers(X, "the values"))
    rows = _checks.table(X).rows
    if rows.shape[1] != 1:
        raise InputError(f"{rows.shape[1]} columns: this compares one with its distribution")
    return np.asarray(rows[:, 0], dtype=np.float64)
