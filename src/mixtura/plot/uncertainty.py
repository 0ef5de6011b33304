"""How sure the assignment of rows to components is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.plot.canvas import (
    caption,
    counted,
    ink,
    label_axes,
    legend_beside,
    open_axes,
    percent,
)
from mixtura.plot.marks import (
    RASTER,
    component_handle,
    dot_size,
    draw_centres,
    draw_points,
    shades,
)
from mixtura.plot.observed import Observed, fitted
from mixtura.plot.palette import FAINT, QUIET
from mixtura.plot.region import spans

if TYPE_CHECKING:
    from mixtura.mixture import Mixture

DOUBTFUL = 0.05  # a row is doubtful where 1 - its largest responsibility is above this


class UncertaintyDisplay:
    """Uncertainty of each row, 1 - its largest responsibility: sorted, or on the map.

    The sorted curve reads in any number of features: where it leaves the floor, that share of
    the rows is doubtful. With two `features`, rows lie at their place and grow with doubt.

    Parameters
    ----------
    responsibilities : (n, k)
    observed : Observed, the rows of two features, for the map
    marginal : Mixture over those two features, for the map

    Attributes
    ----------
    uncertainty_ : (n,)
    doubtful_ : number of rows whose uncertainty is above 0.05
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.plot import UncertaintyDisplay
    >>> UncertaintyDisplay(np.array([[0.99, 0.01], [0.6, 0.4]])).plot().doubtful_
    1
    """

    ax_: Axes
    figure_: Any

    def __init__(
        self,
        responsibilities: Array,
        observed: Observed | None = None,
        marginal: Mixture | None = None,
    ) -> None:
        self.responsibilities = np.asarray(responsibilities, dtype=np.float64)
        self.observed = observed
        self.marginal = marginal
        self.uncertainty_ = np.clip(1.0 - self.responsibilities.max(axis=1), 0.0, 1.0)
        self.doubtful_ = int(np.sum(self.uncertainty_ > DOUBTFUL))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        features: Sequence[int | str] | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> UncertaintyDisplay:
        """Plot a fitted estimator; see `from_mixture`."""
        return cls.from_mixture(fitted(estimator), X, features=features, ax=ax, **options)

    @classmethod
    def from_mixture(
        cls,
        mixture: Mixture,
        X: Any,
        *,
        features: Sequence[int | str] | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> UncertaintyDisplay:
        """Plot a mixture and rows.

        Parameters
        ----------
        mixture : Mixture
        X : (n, d) array or data frame, NaN where unobserved
        features : two names or numbers for the map; by default the sorted curve is drawn
        ax : Axes to draw on; by default those of a new figure
        **options : see `plot`
        """
        observed = Observed.of(X, mixture)
        if features is None:
            return cls(mixture.responsibilities(observed.rows)).plot(ax, **options)
        observed, chosen = observed.thin(), observed.positions(features)
        if len(chosen) != 2:
            raise InputError(f"the map shows two features, not {len(chosen)}: name two, or none")
        display = cls(
            mixture.responsibilities(observed.rows),
            observed.take(chosen),
            mixture.marginal(chosen),
        )
        return display.plot(ax, **options)

    def plot(self, ax: Axes | None = None, *, legend: bool = True) -> UncertaintyDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes to draw on; by default those of a new figure
        legend : say beside the axes, and in the caption below, what is what
        """
        ax = open_axes(ax)
        if self.observed is None or self.marginal is None:
            said = self._draw_curve(ax)
        else:
            said = self._draw_map(ax, self.observed, self.marginal)
        if legend:
            caption(ax, [self._summary(), *said])
            k = self.responsibilities.shape[1]
            handles = [component_handle(i, str(i)) for i in range(min(k, 40))]
            legend_beside(ax, handles, "likeliest\ncomponent")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _summary(self) -> str:
        n = len(self.uncertainty_)
        share = percent(self.doubtful_ / n) if n else "0 %"
        return f"{counted(self.doubtful_)} of {counted(n, '')[:-2]} ({share}) are doubtful: uncertainty above {DOUBTFUL:g}"

    def _draw_curve(self, ax: Axes) -> list[str]:
        n, k = self.responsibilities.shape
        order = np.argsort(-self.uncertainty_, kind="stable")
        share = (np.arange(n) + 0.5) / n
        labels = self.responsibilities.argmax(axis=1)[order]
        ax.plot(share, self.uncertainty_[order], color=FAINT, linewidth=1.0, zorder=1)
        ax.scatter(
            share,
            self.uncertainty_[order],
            s=dot_size(n),
            c=shades(labels, 0.9),
            linewidths=0,
            rasterized=n > RASTER,
            clip_on=False,
            zorder=2,
        )
        ax.axhline(DOUBTFUL, color=QUIET, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
        ax.set_xlim(0, 1)
        ax.set_ylim(0, max(1 - 1 / k, 0.1))
        ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        label_axes(ax, "rows, from the most doubtful", "1 − largest responsibility")
        return []

    def _draw_map(self, ax: Axes, observed: Observed, marginal: Mixture) -> list[str]:
        labels = self.responsibilities.argmax(axis=1)
        size = dot_size(len(labels))
        doubt = self.uncertainty_ / (1 - 1 / max(self.responsibilities.shape[1], 2))
        colors = shades(labels, 0.3 + 0.55 * np.sqrt(doubt))
        draw_points(ax, observed.rows, labels, colors, 0.6 * size + 5.0 * size * doubt)
        draw_centres(ax, marginal.means)
        limits = spans(observed.rows, marginal)
        ax.set_xlim(*limits[0])
        ax.set_ylim(*limits[1])
        label_axes(ax, *observed.names)
        return ["larger points: less certain", *observed.sentences()]
