"""How sure the assignment of rows to components is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mixtura._errors import InputError
from mixtura._types import Array, Indices, Mask
from mixtura.fitted import fitted_mixture
from mixtura.plot.canvas import (
    caption,
    counted,
    grouped,
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
    lone_handle,
    shades,
)
from mixtura.plot.palette import QUIET
from mixtura.plot.region import spans
from mixtura.plot.shown import Shown, component_labels, cut_of

if TYPE_CHECKING:
    from mixtura.mixture import Mixture
    from mixtura.trimming import Cut

DOUBTFUL = 0.2  # a row is doubtful where 1 - its largest responsibility is above this
CERTAIN = 0.005  # below this, rows leave the sorted curve
FEWEST = 20  # rows on the curve in any case
STEMS = 80  # rows that still have room for a stem each
LIMIT = 100_000  # rows of the sorted curve


class UncertaintyDisplay:
    """Uncertainty of each row, 1 - its largest responsibility: sorted, or on the map.

    The sorted curve reads in any number of features: it falls from the most doubtful row to the
    first certain one. With two `features`, rows lie at their place and grow with doubt.

    Parameters
    ----------
    responsibilities : (n, k)
    shown : Shown, the rows of two features, for the map
    marginal : Mixture over those two features, for the map
    total : number of rows from which these were drawn; by default these are all
    trimmed : (n,), rows that the fit left out

    Attributes
    ----------
    uncertainty_ : (n,), of noise 1 - its probability; 0 for trimmed rows, which nobody assigns
    labels_ : (n,), the likeliest component, -1 for noise and what was trimmed
    doubtful_ : number of rows whose uncertainty is above 0.2
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
    labels_: Indices

    def __init__(
        self,
        responsibilities: Array,
        shown: Shown | None = None,
        marginal: Mixture | None = None,
        *,
        total: int | None = None,
        trimmed: Mask | None = None,
    ) -> None:
        self.responsibilities = np.asarray(responsibilities, dtype=np.float64)
        self.shown = shown
        self.marginal = marginal
        self.total = len(self.responsibilities) if total is None else total
        self.trimmed = trimmed
        self.noise = np.clip(1.0 - self.responsibilities.sum(axis=1), 0.0, 1.0)
        largest = np.maximum(self.responsibilities.max(axis=1), self.noise)
        self.uncertainty_ = np.clip(1.0 - largest, 0.0, 1.0)
        if trimmed is not None:
            self.uncertainty_[trimmed] = 0.0
        self.labels_ = component_labels(self.responsibilities, trimmed)
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
        return cls.from_mixture(
            fitted_mixture(estimator), X, features=features, ax=ax, cut=cut_of(estimator), **options
        )

    @classmethod
    def from_mixture(
        cls,
        mixture: Any,
        X: Any,
        *,
        features: Sequence[int | str] | None = None,
        ax: Axes | None = None,
        cut: Cut | None = None,
        **options: Any,
    ) -> UncertaintyDisplay:
        """Plot a mixture and rows.

        Parameters
        ----------
        mixture : Mixture or fitted estimator
        X : (n, d) array or data frame, NaN where unobserved
        features : two names or numbers for the map; by default the sorted curve is drawn
        ax : Axes to draw on; by default those of a new figure
        cut : where the fit trimmed rows, `cut_` of an estimator
        **options : see `plot`
        """
        mixture = fitted_mixture(mixture)
        whole = Shown.of(X, mixture, cut)
        if features is None:
            shown = whole.thin(LIMIT)
            display = cls(
                mixture.responsibilities(shown.rows), total=whole.total, trimmed=shown.trimmed
            )
            return display.plot(ax, **options)
        shown, chosen = whole.thin(), whole.positions(features)
        if len(chosen) != 2:
            raise InputError(f"the map shows two features, not {len(chosen)}: name two, or none")
        display = cls(
            mixture.responsibilities(shown.rows),
            shown.take(chosen),
            mixture.marginal(chosen),
            total=whole.total,
            trimmed=shown.trimmed,
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
        if self.shown is None or self.marginal is None:
            said = self._draw_curve(ax)
        else:
            said = self._draw_map(ax, self.shown, self.marginal)
        if legend:
            caption(ax, [self._summary(), *said])
            k = self.responsibilities.shape[1]
            handles = [component_handle(i, str(i)) for i in range(min(k, 40))]
            handles += self._lone_handles()
            legend_beside(ax, handles, "likeliest\ncomponent")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _summary(self) -> str:
        n, total = len(self.uncertainty_), self.total
        sample = "a random " if n < total else ""
        if not self.doubtful_:
            return f"none of {sample}{counted(n)} has an uncertainty above {DOUBTFUL:g}"
        verb = "has" if self.doubtful_ == 1 else "have"
        return (
            f"{grouped(self.doubtful_)} of {sample}{counted(n)} ({percent(self.doubtful_ / n)}) "
            f"{verb} an uncertainty above {DOUBTFUL:g}"
        )

    def _lone_handles(self) -> list[Any]:
        """Marks of noise, a grey dot on the curve, and of trimmed rows, which are not on it."""
        kept = self.labels_ if self.trimmed is None else self.labels_[~self.trimmed]
        marker = "o" if self.shown is None else "x"
        handles = [lone_handle("noise", marker)] if (kept < 0).any() else []
        if self.shown is not None and self.trimmed is not None and self.trimmed.any():
            handles.append(lone_handle("trimmed"))
        return handles

    def _draw_curve(self, ax: Axes) -> list[str]:
        order = np.argsort(-self.uncertainty_, kind="stable")
        drawn = max(int(np.sum(self.uncertainty_ > CERTAIN)), min(len(order), FEWEST))
        order = order[:drawn]
        heights = self.uncertainty_[order]
        colors = shades(self.labels_[order], 0.9)
        ranks = np.arange(1, drawn + 1)
        if drawn <= STEMS:
            ax.vlines(ranks, 0, heights, colors=colors, linewidth=1.0, zorder=1)
        size = 2 * dot_size(drawn) if drawn <= STEMS else dot_size(drawn)
        ax.scatter(
            ranks,
            heights,
            s=size,
            c=colors,
            linewidths=0,
            rasterized=drawn > RASTER,
            clip_on=False,
            zorder=2,
        )
        ax.axhline(DOUBTFUL, color=QUIET, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
        ax.set_xlim(0, max(drawn, 1) + 0.5)
        ax.set_ylim(0, max(1.06 * heights.max(initial=0.0), 1.4 * DOUBTFUL))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        label_axes(ax, "rows, the most doubtful first", "uncertainty (1 − largest responsibility)")
        rest = len(self.uncertainty_) - drawn
        return [f"{counted(rest, 'more row')}, below {CERTAIN:g}, not shown"] if rest else []

    def _draw_map(self, ax: Axes, shown: Shown, marginal: Mixture) -> list[str]:
        labels = self.labels_
        size = dot_size(len(labels))
        choices = self.responsibilities.shape[1] + (marginal.noise is not None)
        doubt = self.uncertainty_ / (1 - 1 / max(choices, 2))
        colors = shades(labels, np.where(labels < 0, 0.8, 0.3 + 0.55 * np.sqrt(doubt)))
        draw_points(ax, shown.rows, labels, colors, 0.6 * size + 5.0 * size * doubt)
        draw_centres(ax, marginal.means)
        limits = spans(shown.rows, marginal)
        ax.set_xlim(*limits[0])
        ax.set_ylim(*limits[1])
        label_axes(ax, *shown.names)
        return ["larger points: less certain", *shown.sentences()]
