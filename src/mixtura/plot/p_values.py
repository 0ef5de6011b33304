"""Are p-values calibrated? Their distribution beside the uniform one."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.stats import betabinom

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array, Mask
from mixtura.plot.canvas import caption, counted, ink, label_axes, legend_beside, open_axes
from mixtura.plot.palette import BANDS, COLORS
from mixtura.plot.shown import asked_for

_STEPS = 100
"""Places, at most, at which the band is worked out."""


class PValueDisplay:
    """Shares of rows with a p-value of at most α, over α: the diagonal where calibrated.

    For typical rows, the band is where their curve falls, at each α by itself, with the
    probability of the level: beta-binomial, as the rows held out are as random as the rows tested.
    Outliers, where they are known, have a curve of their own: the higher, the more are found.

    Parameters
    ----------
    p_values : (n,)
    calibrated_on : int
        Number of rows held out.
    outliers : (n,) bool, optional
        Rows known to be odd.

    Attributes
    ----------
    band_ : (j, 3) α, lower and upper end of the band
    outside_ : share of the places at which the curve of the typical rows is outside the band
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.plot import PValueDisplay
    >>> display = PValueDisplay(np.arange(1, 101) / 101, 200).plot()
    >>> display.outside_
    0.0
    """

    ax_: Axes
    figure_: Any
    band_: Array
    outside_: float

    def __init__(self, p_values: Any, calibrated_on: int, outliers: Any = None) -> None:
        self.p_values = _checks.numbers(p_values, "p_values")
        self.calibrated_on = int(calibrated_on)
        self.odd: Mask = np.zeros(len(self.p_values), dtype=bool)
        if outliers is not None:
            self.odd = np.asarray(outliers).astype(bool)
        if self.odd.shape != self.p_values.shape or self.odd.all():
            raise InputError("outliers: one bool a row is needed, False for some rows at least")

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        outliers: Any = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> Self:
        """Plot a fitted estimator's p-values of rows it has not seen.

        Parameters
        ----------
        estimator : MixtureOutlierDetector or OpenSetClassifier with rows held out
        X : (n, d) array or data frame
        outliers : (n,) bool, optional; rows known to be odd
        ax : Axes to draw on; by default those of a new figure
        **options : see `plot`
        """
        asked_for(estimator, "p_values")
        found = estimator.p_values(X)
        return cls(found, round(estimator.conformal_.total), outliers).plot(ax, **options)

    def plot(
        self, ax: Axes | None = None, *, level: float = 0.95, most: float = 1.0, legend: bool = True
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes to draw on; by default those of a new figure
        level : probability of the band
        most : largest α to show: 0.2 to see small p-values
        legend : say beside the axes, and in the caption below, what is what
        """
        ax = open_axes(ax, (5.6, 4.2))
        typical = np.sort(self.p_values[~self.odd])
        self.band_ = self._band(len(typical), level, most)
        at, low, high = self.band_.T
        shares = np.searchsorted(typical, at + 1e-12, side="right") / len(typical)
        self.outside_ = float(np.mean((shares < low) | (shares > high)))
        ax.fill_between(at, low, high, step="post", color=BANDS[1], linewidth=0, zorder=0)
        ax.plot([0, most], [0, most], color=ink(ax), linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
        _draw_curve(ax, typical, COLORS[0])
        if self.odd.any():
            _draw_curve(ax, np.sort(self.p_values[self.odd]), COLORS[5])
        ax.set_xlim(0, most)
        ax.set_ylim(0, None if self.odd.any() else max(float(high.max()), float(shares.max())))
        label_axes(ax, "α", "share of rows with p ≤ α")
        if legend:
            legend_beside(ax, self._handles(level))
            caption(ax, self._sentences())
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _band(self, rows: int, level: float, most: float) -> Array:
        """α, and the ends of the shares of calibrated rows with p <= α.

        ``#{p <= j/(n+1)} ~ BetaBinomial(m, j, n+1-j)`` for m rows tested and n held out.
        """
        n, tail = self.calibrated_on, 0.5 * (1.0 - level)
        last = max(int(most * (n + 1)), 1)
        ranks = np.unique(np.linspace(1, min(last, n), min(last, _STEPS)).astype(int))
        ends = [betabinom.ppf([tail, 1.0 - tail], rows, j, n + 1 - j) / rows for j in ranks]
        return np.column_stack([ranks / (n + 1), np.array(ends)])

    def _handles(self, level: float) -> list[Any]:
        handles = [
            Patch(color=BANDS[1], label=f"{100 * level:g} % where calibrated"),
            Line2D([], [], color=COLORS[0], linewidth=1.5, label="typical rows"),
        ]
        if self.odd.any():
            handles.append(Line2D([], [], color=COLORS[5], linewidth=1.5, label="outliers"))
        return handles

    def _sentences(self) -> list[str]:
        typical = int(np.sum(~self.odd))
        tested = counted(typical, "typical row")
        if self.odd.any():
            tested += f" and {counted(int(self.odd.sum()), 'outlier')}"
        return [f"{tested}, beside {self.calibrated_on} held out"]


def _draw_curve(ax: Axes, p_values: Array, color: str) -> None:
    """The empirical distribution function of sorted p-values."""
    heights = np.arange(len(p_values) + 2) / len(p_values)
    heights[-1] = 1.0
    places = np.concatenate([[0.0], p_values, [1.0]])
    ax.plot(places, heights, drawstyle="steps-post", color=color, linewidth=1.5, zorder=2)
