"""Calibration of predicted distributions and intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.metrics.columns import column, mean, mean_or_rows
from mixtura.metrics.predicted import distributions, values_of


def pit(y_true: Any, predicted: Any) -> Array:
    """Probability integral transforms F(y), (n,): uniform where the predictions are calibrated.

    Parameters
    ----------
    y_true : (n,) or (n, 1) array_like or data frame
    predicted : Mixture, fitted estimator, a mixture for each row, or anything with `cdf`
        Of one feature. Student's t and noise are taken as they are.

    Returns
    -------
    (n,)

    References
    ----------
    Dawid (1984), "Statistical theory: the prequential approach", J. R. Statist. Soc. A 147,
    278-292.

    Examples
    --------
    >>> from mixtura import Mixture, metrics
    >>> normal = Mixture([1.0], [[0.0]], [[[1.0]]])
    >>> metrics.pit([-1.96, 0.0, 1.96], normal).round(3)
    array([0.025, 0.5  , 0.975])
    """
    predicted = distributions(predicted)
    values = values_of(y_true, predicted, "pit")
    if isinstance(predicted, Sequence):
        return np.array([one.cdf(value) for one, value in zip(predicted, values, strict=True)])
    return np.asarray(predicted.cdf(values))


@dataclass(frozen=True, eq=False)
class CoverageCurve:
    """How often central intervals hold what was observed, by their level.

    Attributes
    ----------
    levels : (q,)
    coverage : (q,)
        Share of the rows, by weight, within the central interval of each level.
    error : (q,)
        Standard error of a calibrated prediction's coverage, ``√(p (1 - p) / n)`` with the
        effective number of rows.
    """

    levels: Array
    coverage: Array
    error: Array

    @property
    def distance(self) -> float:
        """The largest gap between coverage and level."""
        return float(np.abs(self.coverage - self.levels).max())

    def __iter__(self) -> Iterator[Array]:
        return iter((self.levels, self.coverage))


def coverage_curve(
    y_true: Any, predicted: Any, *, levels: Any = None, sample_weight: Any = None
) -> CoverageCurve:
    """Coverage of the central prediction intervals of each level.

    Parameters
    ----------
    y_true, predicted
        As for `pit`.
    levels : (q,) array_like, optional
        Within 0..1; by default 0.05, 0.10 ... 0.95.
    sample_weight : (n,) array_like, optional

    Returns
    -------
    CoverageCurve
        Unpacks into levels and coverage.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture, metrics
    >>> normal = Mixture([1.0], [[0.0]], [[[1.0]]])
    >>> rows = normal.sample(2000, 0)
    >>> levels, coverage = metrics.coverage_curve(rows, normal, levels=[0.5, 0.9])
    >>> bool(np.abs(coverage - levels).max() < 0.03)
    True
    """
    wanted = np.linspace(0.05, 0.95, 19) if levels is None else column(levels, "levels")
    if not ((wanted >= 0) & (wanted <= 1)).all():
        raise InputError(f"levels must be within 0..1: {wanted}")
    central = np.abs(2.0 * pit(y_true, predicted) - 1.0)
    weights = _checks.row_weights(sample_weight, len(central))
    weights = np.ones(len(central)) if weights is None else weights
    held = weights @ (central[:, None] <= wanted) / weights.sum()
    error = np.sqrt(wanted * (1.0 - wanted) * np.sum(weights**2)) / weights.sum()
    return CoverageCurve(wanted, held, error)


def coverage(y_true: Any, lower: Any, upper: Any, *, sample_weight: Any = None) -> float:
    """Share of the rows whose value lies within its interval, ends included.

    Parameters
    ----------
    y_true, lower, upper : (n,) array_like
    sample_weight : (n,) array_like, optional

    Returns
    -------
    float

    Examples
    --------
    >>> from mixtura import metrics
    >>> metrics.coverage([1.0, 2.0], [0.0, 3.0], [2.0, 4.0])
    0.5
    """
    y, low, high = _interval(y_true, lower, upper)
    return mean((low <= y) & (y <= high), sample_weight)


def interval_score(
    y_true: Any,
    lower: Any,
    upper: Any,
    *,
    level: float = 0.95,
    sample_weight: Any = None,
    average: bool = True,
) -> Any:
    """Interval score of central intervals: width and penalty for a miss; smaller is better.

    ``(u - l) + 2/α [(l - y)⁺ + (y - u)⁺]`` with α = 1 - level.

    Parameters
    ----------
    y_true, lower, upper : (n,) array_like
    level : float, default=0.95
        The probability that the intervals are to hold.
    sample_weight : (n,) array_like, optional
    average : bool, default=True
        False for the score of each row.

    Returns
    -------
    float, or (n,)

    References
    ----------
    Gneiting & Raftery (2007), J. Am. Statist. Assoc. 102, 359-378, equation 43.

    Examples
    --------
    >>> from mixtura import metrics
    >>> metrics.interval_score([1.0, 5.0], [0.0, 0.0], [2.0, 4.0], level=0.5)
    5.0
    """
    if not 0 < level < 1:
        raise InputError(f"level={level}: a number above 0 and below 1 is needed")
    y, low, high = _interval(y_true, lower, upper)
    missed = np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0)
    return mean_or_rows(high - low + 2.0 / (1.0 - level) * missed, sample_weight, average)


def _interval(y_true: Any, lower: Any, upper: Any) -> tuple[Array, Array, Array]:
    y = column(y_true, "y_true")
    low, high = column(lower, "lower", len(y)), column(upper, "upper", len(y))
    bad = np.flatnonzero(low > high)
    if len(bad):
        raise InputError(
            f"row {bad[0]}: lower {low[bad[0]]} is above upper {high[bad[0]]}: are they exchanged?"
        )
    return y, low, high
