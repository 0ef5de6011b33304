"""What the rows that are answered cost, as the least confident ones are withheld."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.metrics.selective import RiskCoverageCurve, risk_coverage_curve
from mixtura.plot.canvas import caption, counted, label_axes, legend_beside, open_axes
from mixtura.plot.palette import component_color
from mixtura.plot.shown import asked_for

_POINTS = 500
"""Coverages drawn, at most."""


class RiskCoverageDisplay:
    """Risk of the rows answered by their share, most confident first: low and late is good.

    The dashed line is the risk where rows are withheld at random.

    Parameters
    ----------
    curves : mapping of name to RiskCoverageCurve

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from mixtura.metrics import risk_coverage_curve
    >>> from mixtura.plot import RiskCoverageDisplay
    >>> curve = risk_coverage_curve([0, 0, 1, 1], [0, 0, 1, 0], [0.9, 0.8, 0.7, 0.6])
    >>> display = RiskCoverageDisplay({"a classifier": curve}).plot()
    >>> display.ax_.get_xlabel()
    'share of rows answered'
    """

    ax_: Axes
    figure_: Any

    def __init__(self, curves: Mapping[str, RiskCoverageCurve]) -> None:
        if not curves:
            raise InputError("no curves: give one at least, as {name: RiskCoverageCurve}")
        self.curves = dict(curves)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        others: Mapping[str, tuple[Any, Any]] | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> Self:
        """Plot a fitted classifier's curve by its probability, and by its novelty if it has one.

        Parameters
        ----------
        estimator : classifier with `predict_proba`, such as OpenSetClassifier
        X : (n, d) array or data frame
        y : (n,) array_like
            What is right; a value that is none of the classes for rows that are of none.
        others : mapping of name to (y_pred, confidence), optional
            Predictions of other classifiers for the same rows.
        ax : Axes to draw on; by default those of a new figure
        **options : see `plot`
        """
        asked_for(estimator, "predict_proba")
        probability = estimator.predict_proba(X)
        label = estimator.classes_[probability.argmax(axis=1)]
        given = {"probability": (label, probability.max(axis=1))}
        if hasattr(estimator, "novelty"):
            given["density ratio"] = (label, -estimator.novelty(X))
        return cls.from_predictions(y, {**given, **(others or {})}, ax=ax, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        predictions: Mapping[str, tuple[Any, Any]],
        *,
        ax: Axes | None = None,
        **options: Any,
    ) -> Self:
        """Plot predictions with their confidence.

        Parameters
        ----------
        y_true : (n,) array_like
        predictions : mapping of name to (y_pred, confidence)
        ax : Axes to draw on; by default those of a new figure
        **options : see `plot`
        """
        curves = {name: risk_coverage_curve(y_true, *one) for name, one in predictions.items()}
        return cls(curves).plot(ax, **options)

    def plot(
        self, ax: Axes | None = None, *, generalized: bool = False, legend: bool = True
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes to draw on; by default those of a new figure
        generalized : risk times coverage: the probability of an answer that is wrong
        legend : say beside the axes, and in the caption below, what is what
        """
        ax = open_axes(ax, (6.0, 4.2))
        for place, curve in enumerate(self.curves.values()):
            (x, risk), color = _thinned(curve, generalized), component_color(place)
            ax.plot(x, risk, color=color, linewidth=1.5, zorder=2)
            ends = [0.0 if generalized else risk[-1], risk[-1]]
            ax.plot([0.0, 1.0], ends, color=color, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
        ax.set_xlim(0.0, 1.0)
        ax.set_ylim(bottom=0.0)
        risk_name = "share of rows answered wrongly" if generalized else "risk of rows answered"
        label_axes(ax, "share of rows answered", risk_name)
        if legend:
            legend_beside(ax, self._handles(generalized))
            rows = len(next(iter(self.curves.values())).coverage)
            caption(ax, [counted(rows), "dashed: withheld at random"])
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _handles(self, generalized: bool) -> list[Any]:
        handles = []
        for place, (name, curve) in enumerate(self.curves.items()):
            area = f"AUGRC {curve.augrc:.4f}" if generalized else f"AURC {curve.aurc:.4f}"
            line = Line2D([], [], color=component_color(place), linewidth=1.5)
            line.set_label(f"{name}\n{area}")
            handles.append(line)
        return handles


def _thinned(curve: RiskCoverageCurve, generalized: bool) -> tuple[Array, Array]:
    """Coverage and risk at no more places than can be seen."""
    risk = curve.generalized_risk if generalized else curve.risk
    some = np.unique(np.linspace(0, len(risk) - 1, min(len(risk), _POINTS)).astype(int))
    return curve.coverage[some], risk[some]
