"""All pairs of features in one matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.fitted import fitted_mixture
from mixtura.plot.canvas import SMALL, counted, grouped, open_figure, percent, quieten, shortened
from mixtura.plot.cluster import ClusterDisplay
from mixtura.plot.density import DensityDisplay
from mixtura.plot.histogram import HistogramDisplay
from mixtura.plot.marks import component_handle, ellipse_handles, lone_handle
from mixtura.plot.palette import QUIET, bands
from mixtura.plot.shown import (
    Shown,
    cut_of,
    legend_title,
    lone_names,
    most_telling,
    portions,
)

if TYPE_CHECKING:
    from mixtura.mixture import Mixture
    from mixtura.trimming import Cut

MOST = 6
ROWS = 2_000

LETTERS = 12
"""Of a name, to an inch of a panel."""

LEGEND = 1.7
"""Inches of a column of the legend."""

ENTRIES = 4.5
"""Of a column of the legend, to an inch of the figure."""


class PairsDisplay:
    """Matrix of features: histograms, scatters with ellipses, density regions.

    Diagonal: histogram with the curves of the components. Below: rows by component, with
    ellipses. Above: highest-density regions of the bivariate marginal.

    Parameters
    ----------
    shown : Shown, the rows of the features shown, NaN where unobserved
    responsibilities : (n, k), from all features of the mixture
    marginal : Mixture over the features shown
    omitted : number of features left out

    Attributes
    ----------
    axes_ : (d, d) array of matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture
    >>> from mixtura.plot import PairsDisplay
    >>> mixture = Mixture([0.4, 0.6], [[0, 0, 0], [5, 1, 3]], [np.eye(3), np.eye(3)])
    >>> rows = mixture.sample(100, np.random.default_rng(0))
    >>> PairsDisplay.from_mixture(mixture, rows).axes_.shape
    (3, 3)
    """

    axes_: Any
    figure_: Any

    def __init__(
        self,
        shown: Shown,
        responsibilities: Array,
        marginal: Mixture,
        omitted: int = 0,
    ) -> None:
        self.shown = shown
        self.responsibilities = responsibilities
        self.marginal = marginal
        self.omitted = omitted

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        features: Sequence[int | str] | None = None,
        ax: Any = None,
        **options: Any,
    ) -> PairsDisplay:
        """Plot a fitted estimator; see `from_mixture`."""
        return cls.from_mixture(
            fitted_mixture(estimator), X, features=features, ax=ax, cut=cut_of(estimator), **options
        )

    @classmethod
    def from_mixture(
        cls,
        mixture: Any,
        X: Any = None,
        *,
        features: Sequence[int | str] | None = None,
        ax: Any = None,
        cut: Cut | None = None,
        **options: Any,
    ) -> PairsDisplay:
        """Plot a mixture, with rows if given.

        Parameters
        ----------
        mixture : Mixture or fitted estimator
        X : (n, d) array or data frame, NaN where unobserved; more than 2 000 rows are thinned
        features : names or numbers; by default all, or the six in which the components differ
            most
        ax : (d, d) array of Axes to draw on; by default those of a new figure
        cut : where the fit trimmed rows, `cut_` of an estimator
        **options : see `plot`
        """
        mixture = fitted_mixture(mixture)
        shown = Shown.of(X, mixture, cut)
        chosen = most_telling(mixture, MOST) if features is None else shown.positions(features)
        omitted = mixture.n_features - len(chosen) if features is None else 0
        shown = shown.thin(ROWS)
        display = cls(
            shown.take(chosen),
            shown.responsibilities(mixture),
            mixture.marginal(chosen),
            omitted,
        )
        return display.plot(ax, **options)

    def plot(
        self,
        ax: Any = None,
        *,
        ellipses: Sequence[float] = (0.5, 0.95),
        regions: Sequence[float] = (0.5, 0.8, 0.95),
        legend: bool = True,
    ) -> PairsDisplay:
        """Draw.

        Parameters
        ----------
        ax : (d, d) array of Axes to draw on; by default those of a new figure
        ellipses : probabilities of the ellipses below the diagonal
        regions : probabilities of the regions above the diagonal
        legend : say beside the matrix, and below it, what is what (in a new figure only)
        """
        d = self.marginal.n_features
        axes = _matrix(d) if ax is None else np.asarray(ax)
        if axes.shape != (d, d):
            raise InputError(f"{d} features need a ({d}, {d}) array of axes, not {axes.shape}")
        for row in range(d):
            for column in range(d):
                self._draw_cell(axes[row, column], row, column, ellipses, regions)
        _share_limits(axes)
        self._name(axes)
        self.axes_, self.figure_ = axes, axes[0, 0].figure
        if legend and ax is None:
            self._explain(ellipses, regions)
        return self

    def _draw_cell(
        self,
        ax: Axes,
        row: int,
        column: int,
        ellipses: Sequence[float],
        regions: Sequence[float],
    ) -> None:
        dims = [row] if row == column else [column, row]
        seen, marginal = self.shown.take(dims), self.marginal.marginal(dims)
        if row == column:
            labels = self.shown.labels(self.responsibilities)
            HistogramDisplay(seen, marginal, labels).plot(ax, kernel=False, legend=False)
        elif row > column:
            clusters = ClusterDisplay(seen, self.responsibilities, marginal)
            clusters.plot(ax, probabilities=ellipses, legend=False)
        else:
            DensityDisplay(seen, marginal).plot(
                ax, probabilities=regions, resolution=70, legend=False
            )

    def _name(self, axes: Any) -> None:
        """Names and scales at the outer edge only."""
        d = len(axes)
        names = shortened(self.shown.names, int(LETTERS * _side(d) / d))
        for row in range(d):
            for column in range(d):
                ax = axes[row, column]
                last, first = row == d - 1, column == 0
                ax.set_xlabel(names[column] if last else "", parse_math=False)
                ax.set_ylabel(names[row] if first else "", parse_math=False)
                ax.tick_params(labelbottom=last, labelleft=first and row != column)
                for axis in (ax.xaxis, ax.yaxis):
                    axis.label.set_size(SMALL)
                    axis.get_offset_text().set_visible(
                        last if axis is ax.xaxis else first and row != column
                    )
                if row == column:
                    ax.spines["left"].set_visible(False)
                    ax.set_yticks([])

    def _explain(self, ellipses: Sequence[float], regions: Sequence[float]) -> None:
        weights = portions(self.marginal)[:40]
        handles: list[Any] = [
            component_handle(i, f"{i}   {percent(weight)}") for i, weight in enumerate(weights)
        ]
        lone = lone_names(self.marginal, self.shown.trimmed)
        handles += [lone_handle(name) for name in lone]
        handles += ellipse_handles(ellipses, 2)
        shades = bands(len(regions))[::-1]
        handles += [
            Patch(facecolor=color, label=f"densest {100 * p:g} %")
            for color, p in zip(shades, sorted(regions), strict=True)
        ]
        width, height = self.figure_.get_size_inches()
        columns = 1 + len(handles) // int(ENTRIES * height)
        self.figure_.set_size_inches(width + LEGEND * (columns - 1), height)
        legend = self.figure_.legend(
            handles=handles,
            ncols=columns,
            title=legend_title(self.marginal),
            loc="outside right upper",
            frameon=False,
            fontsize=SMALL,
            title_fontsize=SMALL,
            alignment="left",
        )
        legend.get_title().set_color(QUIET)
        said = self._sentences()
        if said:
            self.figure_.supxlabel(
                "; ".join(said), x=0.01, ha="left", size=SMALL - 0.5, color=QUIET
            )

    def _sentences(self) -> list[str]:
        said = []
        if self.omitted:
            d = self.marginal.n_features
            said.append(
                f"the {d} of {d + self.omitted} features in which the components differ most"
            )
        seen = self.shown
        if len(seen.rows) < seen.total:
            said.append(f"a random {grouped(len(seen.rows))} of {counted(seen.total)}")
        gaps = int(np.isnan(seen.rows).any(axis=1).sum())
        if gaps:
            said.append(f"{counted(gaps)} with gaps, shown as far as observed (ticks at the edges)")
        return said


def _matrix(d: int) -> Any:
    side = _side(d)
    axes = open_figure((side + LEGEND, side)).subplots(d, d, squeeze=False)
    for ax in axes.flat:
        quieten(ax)
        ax.tick_params(labelsize=SMALL - 1.5)
    return axes


def _side(d: int) -> float:
    """Inches of the matrix."""
    return float(np.clip(1.75 * d, 4.6, 11.0))


def _share_limits(axes: Any) -> None:
    """The limits of a feature are the widest of its panels, in its column and in its row."""
    for j in range(len(axes)):
        column = [axes[i, j] for i in range(len(axes))]
        row = [axes[j, i] for i in range(len(axes)) if i != j]
        limits = [ax.get_xlim() for ax in column] + [ax.get_ylim() for ax in row]
        low, high = min(low for low, _ in limits), max(high for _, high in limits)
        for ax in column:
            ax.set_xlim(low, high)
        for ax in row:
            ax.set_ylim(low, high)
