"""Predicted probabilities of classes, and scores that tell two kinds of rows apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array, Indices, Mask
from mixtura.inference.assessment import squared_errors
from mixtura.metrics.columns import column, mean


def brier_score_loss(
    y_true: Any,
    y_proba: Any,
    *,
    sample_weight: Any = None,
    labels: Any = None,
    scale_by_half: Any = "auto",
) -> float:
    """Brier score: the mean squared error of the probabilities of the classes; smaller is better.

    As `sklearn.metrics.brier_score_loss`.

    Parameters
    ----------
    y_true : (n,) array_like of labels
    y_proba : (n,) or (n, C) array_like
        Probability of the greater of two labels, or of each label in sorted order.
    sample_weight : (n,) array_like, optional
    labels : sequence, optional
        All labels, where `y_true` may lack some.
    scale_by_half : bool or "auto"
        Whether the sum over the classes is halved, so that the score is within 0..1; "auto" halves
        it for two classes, where it then is the squared error of the probability of either.

    Returns
    -------
    float

    References
    ----------
    Brier (1950), "Verification of forecasts expressed in terms of probability", Monthly Weather
    Review 78, 1-3.

    Examples
    --------
    >>> from mixtura import metrics
    >>> round(metrics.brier_score_loss([0, 1, 1, 0], [0.1, 0.9, 0.8, 0.3]), 12)
    0.0375
    """
    if not (scale_by_half == "auto" or isinstance(scale_by_half, bool | np.bool_)):
        raise InputError(f'scale_by_half={scale_by_half!r}: use True, False or "auto"')
    probabilities, codes = _classes(y_true, y_proba, labels)
    rows = squared_errors(probabilities, codes)
    half = probabilities.shape[1] == 2 if scale_by_half == "auto" else bool(scale_by_half)
    return mean(rows if half else 2.0 * rows, sample_weight)


def _classes(y_true: Any, y_proba: Any, labels: Any) -> tuple[Array, Indices]:
    """Probabilities (n, C) and the number of each row's class."""
    truth = np.asarray(y_true)
    known = np.unique(truth if labels is None else np.asarray(labels))
    given = _checks.numbers(y_proba, "y_proba")
    if given.ndim == 1:
        if len(known) > 2:
            raise InputError(f"{len(known)} classes need probabilities (n, {len(known)}), not (n,)")
        if len(known) == 1 and known[0] not in (0, 1):
            raise InputError(
                f"y_true holds {known[0]} alone: name both classes, labels=[...], so that it is "
                "known which of them the probabilities are of"
            )
        known = known if len(known) == 2 else np.array([0, 1])
        given = np.column_stack([1.0 - given, given])
    if truth.ndim != 1 or given.shape != (len(truth), len(known)):
        raise InputError(
            f"y_proba has shape {given.shape} for {truth.shape} labels of {len(known)} classes: "
            "give a column for each class in sorted order, and `labels` where y_true lacks some"
        )
    bad = np.flatnonzero(
        ~(((given >= 0) & (given <= 1)).all(axis=1) & (np.abs(given.sum(axis=1) - 1.0) < 1e-6))
    )
    if len(bad):
        raise InputError(
            f"y_proba must be within 0..1 and sum to one; row {bad[0]} is {given[bad[0]]}"
        )
    codes = np.minimum(np.searchsorted(known, truth), len(known) - 1)
    lost = np.flatnonzero(known[codes] != truth)
    if len(lost):
        raise InputError(f"row {lost[0]} has the label {truth[lost[0]]}, not in {known.tolist()}")
    return given, codes


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """Frequencies beside the probabilities predicted, bin by bin.

    Attributes
    ----------
    prob_true : (b,)
        Share of the positive class in each bin that holds rows, by weight.
    prob_pred : (b,)
        Mean probability predicted there.
    weight : (b,)
        Share of the rows in the bin.
    error : (b,)
        Standard error of `prob_true`, were the predictions right.
    """

    prob_true: Array
    prob_pred: Array
    weight: Array
    error: Array

    @property
    def expected_error(self) -> float:
        """Expected calibration error: the mean gap of both over the rows."""
        return float(self.weight @ np.abs(self.prob_true - self.prob_pred))

    def __iter__(self) -> Iterator[Array]:
        return iter((self.prob_true, self.prob_pred))


def calibration_curve(
    y_true: Any,
    y_prob: Any,
    *,
    pos_label: Any = None,
    n_bins: int = 5,
    strategy: str = "uniform",
    sample_weight: Any = None,
) -> CalibrationCurve:
    """How often the positive class comes where it was predicted with some probability.

    As `sklearn.calibration.calibration_curve`, with the weight and error of each bin.

    Parameters
    ----------
    y_true : (n,) array_like of two labels
    y_prob : (n,) array_like
        Probability of the positive class.
    pos_label : label, optional
        By default 1 or True.
    n_bins : int, default=5
    strategy : {"uniform", "quantile"}
        Bins of equal width, or of equally many rows.
    sample_weight : (n,) array_like, optional

    Returns
    -------
    CalibrationCurve
        Unpacks into ``prob_true, prob_pred``, as scikit-learn's does.

    Examples
    --------
    >>> from mixtura import metrics
    >>> found = metrics.calibration_curve([0, 0, 1, 1], [0.1, 0.3, 0.7, 0.9], n_bins=2)
    >>> found.prob_true.tolist(), round(found.expected_error, 6)
    ([0.0, 1.0], 0.2)
    """
    p = column(y_prob, "y_prob")
    positive = _positive(y_true, pos_label, len(p))
    weights = _checks.row_weights(sample_weight, len(p))
    weights = np.ones(len(p)) if weights is None else weights
    if p.min() < 0 or p.max() > 1:
        raise InputError(f"y_prob must be within 0..1, and reaches from {p.min()} to {p.max()}")
    if n_bins < 1 or strategy not in ("uniform", "quantile"):
        raise InputError(
            f'n_bins={n_bins}, strategy={strategy!r}: at least one bin, "uniform" or "quantile"'
        )
    grid = np.linspace(0.0, 1.0, n_bins + 1)
    edges = grid if strategy == "uniform" else np.percentile(p, 100.0 * grid)
    bins = np.searchsorted(edges[1:-1], p)

    def sums(values: Array) -> Array:
        return np.bincount(bins, values, minlength=n_bins)

    total = sums(weights)
    some = total > 0
    total = total[some]
    predicted = sums(weights * p)[some] / total
    error = np.sqrt(sums(weights**2 * p * (1.0 - p))[some]) / total
    return CalibrationCurve(
        sums(weights * positive)[some] / total, predicted, total / total.sum(), error
    )


def fpr_at_tpr(
    y_true: Any,
    y_score: Any,
    *,
    tpr: float = 0.95,
    pos_label: Any = None,
    sample_weight: Any = None,
) -> float:
    """The least false-positive rate at which at least `tpr` of the positives are found.

    Rows are called positive from a threshold of the score upwards; rows of equal scores together.

    Parameters
    ----------
    y_true : (n,) array_like of two labels
    y_score : (n,) array_like
        Larger for the positive.
    tpr : float, default=0.95
    pos_label : label, optional
        By default 1 or True.
    sample_weight : (n,) array_like, optional

    Returns
    -------
    float

    Examples
    --------
    >>> from mixtura import metrics
    >>> metrics.fpr_at_tpr([0, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.5], tpr=0.9)
    0.333...
    """
    if not 0 < tpr <= 1:
        raise InputError(f"tpr={tpr}: a number above 0 and at most 1 is needed")
    scores = column(y_score, "y_score")
    positive = _positive(y_true, pos_label, len(scores))
    weights = _checks.row_weights(sample_weight, len(scores))
    weights = np.ones(len(scores)) if weights is None else weights
    found, missed = weights * positive, weights * ~positive
    if not (found.any() and missed.any()):
        raise InputError("y_true holds one kind alone: both positive and negative rows are needed")
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # the last of those that tie
    true = np.cumsum(found[order])[last] / found.sum()
    false = np.cumsum(missed[order])[last] / missed.sum()
    return float(false[np.argmax(true >= tpr - 1e-12)])


def _positive(y_true: Any, pos_label: Any, n: int) -> Mask:
    """Which rows are of the positive class."""
    truth = np.asarray(y_true)
    if truth.shape != (n,):
        raise InputError(f"y_true has shape {truth.shape}, and there are {n} scores: (n,) each")
    known = np.unique(truth)
    if len(known) > 2:
        raise InputError(f"y_true holds {len(known)} labels: two kinds of rows are told apart here")
    if pos_label is None and not set(known.tolist()) <= {0, 1, -1}:
        raise InputError(f"y_true holds {known.tolist()}: say which is positive, pos_label=...")
    return np.asarray(truth == (1 if pos_label is None else pos_label))
