"""One feature: its histogram, each component's share, their sum and a kernel estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.stats import gaussian_kde

from mixtura._types import Array, Indices
from mixtura.fitted import fitted_mixture
from mixtura.plot.canvas import (
    caption,
    counted,
    ink,
    label_axes,
    legend_beside,
    open_axes,
    percent,
)
from mixtura.plot.ellipse import deviations
from mixtura.plot.kernel import bandwidth
from mixtura.plot.marks import draw_ticks, shades
from mixtura.plot.palette import ASIDE, QUIET, component_color
from mixtura.plot.region import grid_lines, spans
from mixtura.plot.shown import (
    Shown,
    Unseen,
    cut_of,
    legend_title,
    lone_names,
    most_telling,
    portions,
)

if TYPE_CHECKING:
    from mixtura.mixture import Mixture
    from mixtura.trimming import Cut

BARS = (8, 80)
ROOT = 24
SEPARATE = 40  # more bars than this grow together
KERNEL_ROWS = 5_000
HEADROOM = 2.5  # how far above the bars a curve may rise before it is cut off
BAR: dict[str, Any] = {"color": "#7D8896", "alpha": 0.27, "linewidth": 0}


class HistogramDisplay:
    """Histogram of one feature, the density of each component, their sum, a kernel estimate.

    Parameters
    ----------
    shown : Shown, the rows of the one feature, NaN where unobserved
    marginal : Mixture over that feature
    labels : (n,), the component of each row, -1 for noise and what was trimmed; by default no row
        is that
    unseen : Unseen, what the rows do not show of the mixture

    Attributes
    ----------
    x_ : (a,) where the curves are evaluated
    noise_ : density of the noise, the same everywhere
    curves_ : (a, k) weighted density of each component; their sum, and that of noise where there
        is any, is the density of the mixture; after truncation over the probability of the box,
        so that they fit the bars within and tell what was kept out
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture
    >>> from mixtura.plot import HistogramDisplay
    >>> mixture = Mixture([0.4, 0.6], [[0], [5]], [[[1]], [[2]]])
    >>> display = HistogramDisplay.from_mixture(mixture)
    >>> bool(np.allclose(display.curves_.sum(axis=1), mixture.pdf(display.x_[:, None])))
    True
    """

    ax_: Axes
    figure_: Any
    x_: Array
    curves_: Array
    noise_: float

    def __init__(
        self,
        shown: Shown,
        marginal: Mixture,
        labels: Indices | None = None,
        unseen: Unseen | None = None,
    ) -> None:
        self.shown = shown
        self.unseen = unseen or Unseen()
        self.marginal = marginal
        self.labels = np.zeros(len(shown.rows), dtype=np.intp) if labels is None else labels

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        feature: int | str | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> HistogramDisplay:
        """Plot a fitted estimator; see `from_mixture`."""
        cut, unseen = cut_of(estimator), Unseen.of(estimator)
        return cls.from_mixture(
            fitted_mixture(estimator), X, feature=feature, ax=ax, cut=cut, unseen=unseen, **options
        )

    @classmethod
    def from_mixture(
        cls,
        mixture: Any,
        X: Any = None,
        *,
        feature: int | str | None = None,
        ax: Axes | None = None,
        cut: Cut | None = None,
        unseen: Unseen | None = None,
        **options: Any,
    ) -> HistogramDisplay:
        """Plot a mixture, with the histogram of rows if given.

        Parameters
        ----------
        mixture : Mixture or fitted estimator
        X : (n, d) array or data frame, NaN where unobserved
        feature : name or number; by default the one in which the components differ most
        ax : Axes to draw on; by default those of a new figure
        cut : where the fit trimmed rows, `cut_` of an estimator
        unseen : what the rows do not show, `Unseen.of` an estimator
        **options : see `plot`
        """
        mixture = fitted_mixture(mixture)
        shown = Shown.of(X, mixture, cut)
        chosen = most_telling(mixture, 1) if feature is None else shown.positions([feature])
        plain = mixture.noise is None and cut is None
        labels = None if plain else shown.labels(shown.responsibilities(mixture))
        rest = None if unseen is None else unseen.take(chosen)
        return cls(shown.take(chosen), mixture.marginal(chosen), labels, rest).plot(ax, **options)

    def plot(
        self, ax: Axes | None = None, *, kernel: bool = True, legend: bool = True
    ) -> HistogramDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes to draw on; by default those of a new figure
        kernel : compare with a Gaussian kernel estimate
        legend : say beside the axes, and in the caption below, what is what
        """
        ax = open_axes(ax)
        span = spans(self.shown.rows, self.marginal, 0.99)[0]
        self._evaluate(span)
        values, seen = self.shown.rows[:, 0], ~np.isnan(self.shown.rows[:, 0])
        lone = values[seen & (self.labels < 0)]
        if self.shown.trimmed is not None:
            seen &= ~self.shown.trimmed
        values = values[seen]
        top = self._draw_bars(ax, values, span)
        drawn = kernel and self._draw_kernel(ax, values)
        for bound in self.unseen.bounds:
            ax.axvline(bound, color=QUIET, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1.5)
        peak = self._draw_curves(ax)
        draw_ticks(ax, lone, shades(np.full(len(lone), -1), 0.9), 0)
        cut = top > 0 and peak > HEADROOM * top
        ax.set_ylim(0, 1.05 * (HEADROOM * top if cut else max(peak, top)))
        ax.set_xlim(*span)
        label_axes(ax, self.shown.names[0], "density")
        if legend:
            handles = self._handles(ink(ax), len(values), drawn)
            legend_beside(ax, handles, legend_title(self.marginal))
            said = [f"the highest peak, {peak:.3g}, is cut off"] if cut else []
            caption(ax, said + self.unseen.sentences() + self.shown.sentences())
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _evaluate(self, span: Array) -> None:
        spread = deviations(self.marginal)[:, 0]
        self.x_ = grid_lines(span, self.marginal.means[:, 0], spread, 400)
        log_density = self.marginal.component_logpdf(self.x_[:, None])
        self.curves_ = portions(self.marginal) * np.exp(log_density) / self.unseen.share
        noise, everywhere = self.marginal.noise, np.ones(1, dtype=bool)
        even = 0.0 if noise is None else noise.share * np.exp(noise.log_density(everywhere))
        self.noise_ = float(even * self.marginal.frame.scale[0])

    def _draw_bars(self, ax: Axes, values: Array, span: Array) -> float:
        """Bars whose area is the share of rows they show; the height of the highest."""
        if not len(values):
            return 0.0
        heights, edges = np.histogram(values, edges_of(values, span), density=True)
        heights = heights * self._portion(values)
        ax.stairs(heights, edges, fill=True, **BAR, zorder=1)
        if len(heights) <= SEPARATE:
            ax.vlines(
                edges[1:-1], 0, heights[1:], color=ax.get_facecolor(), linewidth=0.6, zorder=1.1
            )
        return float(heights.max())

    def _draw_kernel(self, ax: Axes, values: Array) -> bool:
        """A kernel estimate, where the values allow one."""
        portion = self._portion(values)
        if len(values) > KERNEL_ROWS:
            values = np.random.default_rng(0).choice(values, KERNEL_ROWS, replace=False)
        spread = np.std(values) if len(values) > 2 else 0.0
        if not spread > 0:
            return False
        middle, scaled = np.mean(values), float(np.std(values / spread, ddof=1))
        smooth = gaussian_kde((values - middle) / spread, bandwidth(values) / spread / scaled)
        estimate = portion * smooth((self.x_ - middle) / spread) / spread
        ax.plot(self.x_, estimate, color=QUIET, linewidth=1.1, linestyle=(0, (3, 2)), zorder=3)
        return True

    def _portion(self, values: Array) -> float:
        """Share of the rows that have a value; one where those without are like the others."""
        return len(values) / len(self.shown.rows) if self.unseen.censored else 1.0

    def _draw_curves(self, ax: Axes) -> float:
        """The components and their sum; the height of the highest peak."""
        total = self.curves_.sum(axis=1) + self.noise_
        k = self.curves_.shape[1]
        ax.plot(self.x_, total, color=ink(ax), linewidth=1.6, zorder=4)
        for component in range(k):
            color, curve = component_color(component), self.curves_[:, component]
            ax.fill_between(self.x_, curve, color=color, alpha=0.10, linewidth=0, zorder=2)
            ax.plot(self.x_, curve, color=color, linewidth=1.5, zorder=5 if k > 1 else 3.5)
        if self.noise_:
            ax.axhline(self.noise_, color=ASIDE, linewidth=1.2, zorder=3)
        return float(total.max())

    def _handles(self, color: str, rows: int, kernel: bool) -> list[Any]:
        components = [
            Line2D([], [], color=component_color(i), linewidth=2, label=f"{i}   {percent(weight)}")
            for i, weight in enumerate(portions(self.marginal)[:40])
        ]
        for name in lone_names(self.marginal, self.shown.trimmed):
            line = 1.2 if name.startswith("noise") else 0.0
            components.append(Line2D([], [], color=ASIDE, linewidth=line, marker="|", label=name))
        handles: list[Any] = [*components, Line2D([], [], color=color, linewidth=1.6, label="sum")]
        if kernel:
            of = f", {counted(KERNEL_ROWS)}" if rows > KERNEL_ROWS else ""
            handles.append(
                Line2D([], [], color=QUIET, linewidth=1.1, linestyle=(0, (3, 2)),
                       label="kernel estimate" + of)
            )  # fmt: skip
        if rows:
            kept = "" if self.shown.trimmed is None else " kept"
            handles.append(Patch(**BAR, label=counted(rows) + kept))
        return handles


def edges_of(values: Array, span: Array) -> Array:
    """Edges of bars by the rule of Freedman and Diaconis, between 8 and 80 of them.

    That rule takes several modes for one wide one: up to 24 bars, it is √n where that is more.
    """
    low, high = float(values.min()), float(values.max())
    if not high > low:
        width = (span[1] - span[0]) / 20
        return np.array([low - width / 2, low + width / 2])
    quartiles = np.quantile(values, [0.25, 0.75])
    width = 2 * (quartiles[1] - quartiles[0]) * len(values) ** (-1 / 3)
    count = (high - low) / width if width > 0 else BARS[1]
    count = max(count, min(np.sqrt(len(values)), ROOT))
    return np.linspace(low, high, int(np.clip(np.ceil(count), *BARS)) + 1)
