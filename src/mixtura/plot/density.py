"""Highest-density regions of two features, with the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from mixtura._errors import InputError
from mixtura.fitted import fitted_mixture
from mixtura.plot.canvas import (
    POINTS_PER_INCH,
    caption,
    ink,
    label_axes,
    legend_beside,
    open_axes,
)
from mixtura.plot.marks import RASTER, dot_size, draw_ticks
from mixtura.plot.palette import bands
from mixtura.plot.region import Landscape, spans
from mixtura.plot.shown import Shown, most_telling

if TYPE_CHECKING:
    from mixtura.mixture import Mixture


WIDE = 0.999

INKED = 0.5
"""Of a region, that dots may cover together; where they would cover more they are smaller."""
"""What the view holds of each component where a region would be cut off; beside noise it is wider
than its component's share of the same probability."""


class DensityDisplay:
    """The regions of highest density that hold 50, 80 and 95 % of a mixture.

    A region is the smallest one that holds its probability, so that it falls apart into
    islands where the density has several modes.

    Parameters
    ----------
    shown : Shown, the rows of the two features shown, NaN where unobserved
    marginal : Mixture over the two features shown

    Attributes
    ----------
    landscape_ : Landscape, the log-density on its grid and the thresholds of the regions
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture
    >>> from mixtura.plot import DensityDisplay
    >>> mixture = Mixture([0.4, 0.6], [[0, 0], [5, 1]], [np.eye(2), np.eye(2)])
    >>> DensityDisplay.from_mixture(mixture).landscape_.probabilities
    (0.5, 0.8, 0.95)
    """

    ax_: Axes
    figure_: Any
    landscape_: Landscape

    def __init__(self, shown: Shown, marginal: Mixture) -> None:
        self.shown = shown
        self.marginal = marginal

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        features: Sequence[int | str] | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> DensityDisplay:
        """Plot a fitted estimator; see `from_mixture`."""
        return cls.from_mixture(fitted_mixture(estimator), X, features=features, ax=ax, **options)

    @classmethod
    def from_mixture(
        cls,
        mixture: Any,
        X: Any = None,
        *,
        features: Sequence[int | str] | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> DensityDisplay:
        """Plot a mixture, with rows if given.

        Parameters
        ----------
        mixture : Mixture or fitted estimator, of at least two features
        X : (n, d) array or data frame, NaN where unobserved; more than 10 000 rows are thinned
        features : two names or numbers; by default those in which the components differ most
        ax : Axes to draw on; by default those of a new figure
        **options : see `plot`
        """
        mixture = fitted_mixture(mixture)
        shown = Shown.of(X, mixture).thin()
        chosen = most_telling(mixture, 2) if features is None else shown.positions(features)
        if len(chosen) != 2:
            raise InputError(
                f"regions need two features, not {len(chosen)}: HistogramDisplay shows one"
            )
        return cls(shown.take(chosen), mixture.marginal(chosen)).plot(ax, **options)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        probabilities: Sequence[float] = (0.5, 0.8, 0.95),
        resolution: int = 160,
        legend: bool = True,
    ) -> DensityDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes to draw on; by default those of a new figure
        probabilities : what the regions hold, each between 0 and 1
        resolution : grid lines per feature, besides those around the components
        legend : say beside the axes, and in the caption below, what is what
        """
        ax = open_axes(ax)
        for within in (max(probabilities), WIDE):
            span = spans(self.shown.rows, self.marginal, within)
            self.landscape_ = Landscape.of(self.marginal, span, probabilities, resolution)
            if not self.landscape_.cut:
                break
        self._draw_regions(ax, lines=legend)
        self._draw_rows(ax)
        ax.set_xlim(*span[0])
        ax.set_ylim(*span[1])
        label_axes(ax, *self.shown.names)
        if legend:
            legend_beside(ax, self._handles(), "highest density")
            caption(ax, self.shown.sentences())
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_regions(self, ax: Axes, *, lines: bool) -> None:
        land = self.landscape_
        levels = np.unique(land.thresholds)  # ascending: the largest region first
        colors = bands(len(land.thresholds))[: len(levels)]
        summit = max(float(land.log_density.max()), float(levels[-1])) + 1.0
        ax.contourf(land.x, land.y, land.log_density, [*levels, summit], colors=colors, zorder=0.5)
        if lines:
            ax.contour(
                land.x,
                land.y,
                land.log_density,
                levels,
                colors=[ax.get_facecolor()],
                linewidths=0.8,
                linestyles="solid",
                zorder=0.6,
            )

    def _draw_rows(self, ax: Axes) -> None:
        rows = self.shown.rows
        seen = ~np.isnan(rows)
        complete = rows[seen.all(axis=1)]
        opacity = float(np.clip(60 / max(len(rows), 1) ** 0.75, 0.15, 0.55))
        ax.scatter(
            complete[:, 0],
            complete[:, 1],
            s=min(0.6 * dot_size(len(rows)), self._room(ax, len(complete), opacity)),
            color=ink(ax),
            alpha=opacity,
            linewidths=0,
            rasterized=len(rows) > RASTER,
            zorder=2,
        )
        for axis in (0, 1):
            half = rows[seen[:, axis] & ~seen[:, 1 - axis], axis]
            draw_ticks(ax, half, np.array([[0.35, 0.35, 0.35, 0.8]] * len(half)), axis)

    def _room(self, ax: Axes, rows: int, opacity: float) -> float:
        """Area of a dot, in square points, with which rows leave the regions to be seen."""
        land = self.landscape_
        cells = np.outer(np.gradient(land.y), np.gradient(land.x))
        shares = [
            cells[land.log_density >= threshold].sum() / (cells.sum() * within)
            for threshold, within in zip(land.thresholds, land.probabilities, strict=True)
        ]
        points = ax.bbox.width * ax.bbox.height * (POINTS_PER_INCH / ax.figure.dpi) ** 2
        return max(INKED * min(shares) * points / (max(rows, 1) * opacity), 1.0)

    def _handles(self) -> list[Patch]:
        """The legend, densest region first."""
        probabilities = self.landscape_.probabilities
        colors = bands(len(probabilities))[::-1]
        return [
            Patch(facecolor=color, label=f"{100 * p:g} % inside")
            for color, p in zip(colors, probabilities, strict=True)
        ]
