"""The objective after each iteration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mixtura._types import Array
from mixtura.fitted import fitted_mixture
from mixtura.plot.canvas import caption, counted, label_axes, open_axes
from mixtura.plot.palette import COLORS
from mixtura.plot.shown import asked_for

CLOSE = 1e-3  # a relative spread below this leaves no digits for the scale
ROUNDING = 1e-9  # a relative fall below this is arithmetic, not a defect


class TraceDisplay:
    """The objective of a fit per iteration, and every step on which it fell.

    Parameters
    ----------
    trace : objective after each iteration
    converged : whether the fit met its tolerance; None where unknown

    Attributes
    ----------
    falls_ : iterations on which the objective fell by more than rounding
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from mixtura.plot import TraceDisplay
    >>> TraceDisplay([-4.2, -4.0, -4.1], converged=False).plot().falls_
    [3]
    """

    ax_: Axes
    figure_: Any

    def __init__(self, trace: Sequence[float], converged: bool | None = None) -> None:
        self.trace = np.asarray(trace, dtype=np.float64)
        self.converged = converged
        steps = np.diff(self.trace)
        self.falls_ = [int(i) + 2 for i in np.flatnonzero(steps < -ROUNDING * self._size())]

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any = None, *, ax: Axes | None = None, **options: Any
    ) -> TraceDisplay:
        """Plot the trace of a fitted estimator; X is ignored."""
        fitted_mixture(estimator)
        asked_for(estimator, "trace_")
        return cls(estimator.trace_, estimator.converged_).plot(ax, **options)

    @classmethod
    def from_fit(cls, fit: Any, *, ax: Axes | None = None, **options: Any) -> TraceDisplay:
        """Plot the trace of a Fit."""
        return cls(fit.trace, fit.converged).plot(ax, **options)

    def plot(self, ax: Axes | None = None, *, label: str = "objective") -> TraceDisplay:
        """Draw; where the values differ little, as differences from the last one.

        Parameters
        ----------
        ax : Axes to draw on; by default those of a new figure
        label : name of the objective
        """
        ax = open_axes(ax, (5.6, 3.6))
        iterations = np.arange(1, len(self.trace) + 1)
        spread = float(np.ptp(self.trace)) if len(self.trace) else 0.0
        close = len(self.trace) > 0 and spread < CLOSE * self._size()
        heights = self.trace - self.trace[-1] if close else self.trace
        few = len(self.trace) <= 60
        marks: dict[str, Any] = {"marker": "o" if few else "", "markersize": 3.5}
        ax.plot(iterations, heights, color=COLORS[0], linewidth=1.5, **marks)
        self._draw_falls(ax, heights)
        if close and spread < ROUNDING * self._size():
            ax.set_ylim(-10 * ROUNDING * self._size(), 10 * ROUNDING * self._size())
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.margins(x=0.03, y=0.08)
        label_axes(ax, "iteration", f"{label} − its last value" if close else label)
        caption(ax, self._sentences())
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_falls(self, ax: Axes, heights: Array) -> None:
        """A ring around each value that is below the one before."""
        fallen = np.array(self.falls_, dtype=int)
        ax.scatter(
            fallen,
            heights[fallen - 1],
            s=70,
            facecolors="none",
            edgecolors=COLORS[5],
            linewidths=1.4,
            zorder=4,
        )

    def _size(self) -> float:
        finite = np.abs(self.trace[np.isfinite(self.trace)])
        return float(finite.max()) if len(finite) else 1.0

    def _sentences(self) -> list[str]:
        count = counted(len(self.trace), "iteration")
        ends = {None: "", True: "converged after ", False: "not converged after "}
        sentences = [ends[self.converged] + count]
        if len(self.trace):
            sentences.append(f"last value {self.trace[-1]:.6g}".replace("-", "−"))
        if self.falls_:
            sentences.append(f"the objective fell on {counted(len(self.falls_), 'step')} (rings)")
        return sentences
