"""Selective prediction: the risk of what is answered when the least confident rows are left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.metrics.columns import column

Loss = Callable[[Array, Array], Any]


@dataclass(frozen=True, eq=False)
class RiskCoverageCurve:
    """Risk by the share of rows answered, most confident first.

    Attributes
    ----------
    coverage : (n,)
        1/n, 2/n ... 1.
    risk : (n,)
        Selective risk: the mean loss of the rows answered.
    generalized_risk : (n,)
        Risk times coverage: the loss of the rows answered, over all rows; for a loss of 0 and 1 the
        probability that a row is answered, and wrongly.

    Notes
    -----
    Rows of equal confidence are taken in random order, in expectation: their losses are averaged.
    """

    coverage: Array
    risk: Array
    generalized_risk: Array

    @property
    def aurc(self) -> float:
        """Area under the risk over coverage, the mean over the n coverages."""
        return float(self.risk.mean())

    @property
    def augrc(self) -> float:
        """Area under the generalized risk over coverage, by trapezoids from 0."""
        ends = self.generalized_risk
        return float((ends.sum() - 0.5 * ends[-1]) / len(ends))


def risk_coverage_curve(
    y_true: Any, y_pred: Any, confidence: Any, *, loss: Loss | None = None
) -> RiskCoverageCurve:
    """Risk by coverage of predictions that may be withheld.

    Parameters
    ----------
    y_true, y_pred : (n,) array_like
    confidence : (n,) array_like
        Larger for rows that are answered first.
    loss : callable, optional
        ``loss(y_true, y_pred)`` gives the loss of each row, (n,); by default 1 where they differ.

    Returns
    -------
    RiskCoverageCurve

    Examples
    --------
    >>> from mixtura import metrics
    >>> curve = metrics.risk_coverage_curve([0, 0, 1, 1], [0, 0, 1, 0], [0.9, 0.8, 0.7, 0.6])
    >>> curve.risk.tolist(), curve.generalized_risk.tolist()
    ([0.0, 0.0, 0.0, 0.25], [0.0, 0.0, 0.0, 0.25])
    """
    losses = _losses(y_true, y_pred, loss)
    sure = column(confidence, "confidence", len(losses))
    _, ranks, counts = np.unique(-sure, return_inverse=True, return_counts=True)
    tied = np.repeat(np.bincount(ranks, losses) / counts, counts)
    answered = np.arange(1, len(losses) + 1)
    total = np.cumsum(tied)
    return RiskCoverageCurve(answered / len(losses), total / answered, total / len(losses))


def aurc(y_true: Any, y_pred: Any, confidence: Any, *, loss: Loss | None = None) -> float:
    """Area under the risk-coverage curve; smaller is better.

    Parameters
    ----------
    y_true, y_pred, confidence, loss
        As for `risk_coverage_curve`.

    Returns
    -------
    float

    References
    ----------
    Geifman & El-Yaniv (2017), "Selective classification for deep neural networks", NeurIPS 30.

    Examples
    --------
    >>> from mixtura import metrics
    >>> metrics.aurc([0, 0, 1, 1], [0, 0, 1, 0], [0.9, 0.8, 0.7, 0.6])
    0.0625
    """
    return risk_coverage_curve(y_true, y_pred, confidence, loss=loss).aurc


def augrc(y_true: Any, y_pred: Any, confidence: Any, *, loss: Loss | None = None) -> float:
    """Area under the generalized risk-coverage curve; smaller is better.

    For a loss of 0 and 1 ``(1 - AUROC) acc (1 - acc) + ½ (1 - acc)²``, with the AUROC of the
    confidence for right against wrong rows: the mean risk that a row is answered and wrong. Unlike
    `aurc` it does not give the most confident mistakes the weight of many.

    Parameters
    ----------
    y_true, y_pred, confidence, loss
        As for `risk_coverage_curve`.

    Returns
    -------
    float

    References
    ----------
    Traub, Bungert, Lüth, Baumgartner, Maier-Hein, Maier-Hein & Jaeger (2024), "Overcoming common
    flaws in the evaluation of selective classification systems", NeurIPS 37.

    Examples
    --------
    >>> from mixtura import metrics
    >>> metrics.augrc([0, 0, 1, 1], [0, 0, 1, 0], [0.9, 0.8, 0.7, 0.6])
    0.03125
    """
    return risk_coverage_curve(y_true, y_pred, confidence, loss=loss).augrc


def _losses(y_true: Any, y_pred: Any, loss: Loss | None) -> Array:
    truth, guess = np.asarray(y_true), np.asarray(y_pred)
    if truth.shape != guess.shape or truth.ndim < 1:
        raise InputError(
            f"y_true and y_pred have shapes {truth.shape} and {guess.shape}: the same rows are "
            "needed in both"
        )
    if loss is None:
        if truth.ndim != 1:
            raise InputError("several outputs: say by `loss` what a wrong prediction costs")
        return np.asarray(truth != guess, dtype=np.float64)
    return column(_checks.numbers(loss(truth, guess), "the loss"), "the loss", len(truth))
