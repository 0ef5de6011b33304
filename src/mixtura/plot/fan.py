"""What a mixture predicts of one column along another: a fan of bands, the mean, the modes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.fitted import fitted_mixture
from mixtura.operations.predictions import central_intervals, proper_coverage
from mixtura.plot.canvas import caption, ink, label_axes, legend_beside, open_axes
from mixtura.plot.marks import density_of_ink, dot_size, draw_points, shades
from mixtura.plot.palette import COLORS, bands
from mixtura.plot.region import grid_lines, spans
from mixtura.plot.shown import Shown

if TYPE_CHECKING:
    from mixtura.operations.mixtures import Mixtures

_KINDS = ("central", "highest")
_FINE = 400
_FAINT = 0.05
"""Modes of less probability are left out."""


class FanDisplay:
    """The distribution of one column along another: bands, mean or modes, and the rows.

    Columns other than these two are averaged over as they vary together with the first, so that
    the bands hold the rows' share; or held at values, and the rows are then only a backdrop.

    Parameters
    ----------
    x : (g,) values of the column along the axis, in rising order
    predicted : Mixtures, g of one feature
    shown : Shown, rows of the two columns, NaN where unobserved
    held : names and values of other columns that are held

    Attributes
    ----------
    bands_ : (g, c, 2) for central bands, from the narrowest to the widest; None for others
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from mixtura import Mixture
    >>> from mixtura.plot import FanDisplay
    >>> mixture = Mixture([0.5, 0.5], [[0, 0], [4, 8]], [[[1, 0.8], [0.8, 1]]] * 2)
    >>> display = FanDisplay.from_mixture(mixture, feature=0, outcome=1, coverage=[0.9])
    >>> display.bands_.shape[1:]
    (1, 2)
    """

    ax_: Axes
    figure_: Any
    bands_: Array | None

    def __init__(
        self, x: Array, predicted: Mixtures, shown: Shown, held: Mapping[str, float] | None = None
    ) -> None:
        self.x, self.predicted, self.shown, self.held = x, predicted, shown, dict(held or {})

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        feature: int | str = 0,
        output: int = 0,
        at: Mapping[Any, float] | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> FanDisplay:
        """Plot a fitted regressor.

        Parameters
        ----------
        estimator : MixtureRegressor or MixtureOfLinearExperts
        X : (n, d) array or data frame
        y : (n,) or (n, m) array, series or data frame
            With X: the rows to draw.
        feature : name or number of the input along the axis
        output : number of the outcome
        at : mapping of other inputs to the values at which they are held, optional
        ax : Axes to draw on; by default those of a new figure
        **options : see `plot`
        """
        mixture = fitted_mixture(estimator)
        rows = None
        if X is not None and y is not None:
            inputs = _checks.rows_like(X, estimator.n_features_in_)
            outcomes = np.asarray(y, dtype=np.float64).reshape(len(inputs), -1)
            rows = np.column_stack([inputs, outcomes])
        outcome = estimator.n_features_in_ + output
        return cls.from_mixture(
            mixture, rows, feature=feature, outcome=outcome, at=at, ax=ax, **options
        )

    @classmethod
    def from_mixture(
        cls,
        mixture: Any,
        X: Any = None,
        *,
        feature: int | str,
        outcome: int | str,
        at: Mapping[Any, float] | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> FanDisplay:
        """Plot what a mixture says of one of its columns given another.

        Parameters
        ----------
        mixture : Mixture or fitted estimator
        X : (n, d) array or data frame, NaN where unobserved
        feature, outcome : names or numbers of two columns
        at : mapping of other columns to the values at which they are held, optional
        ax : Axes to draw on; by default those of a new figure
        **options : see `plot`
        """
        mixture = fitted_mixture(mixture)
        shown = Shown.of(X, mixture).thin()
        first, second = shown.positions([feature, outcome])
        told = {} if at is None else dict(zip(shown.positions(list(at)), at.values(), strict=True))
        if first in told or second in told:
            raise InputError("at holds a column that is drawn: hold others, or leave at out")
        pair = shown.take([first, second])
        along = mixture.marginal([first])
        deviation = np.sqrt(along.covariances[:, 0, 0])
        span = spans(pair.rows[:, :1], along)[0]
        x = grid_lines(span, along.means[:, 0], deviation, 300)
        given = np.tile([np.nan, *told.values()], (len(x), 1))
        given[:, 0] = x
        predicted = mixture.marginal([first, *told, second]).conditionals(
            given, range(given.shape[1])
        )
        held = {shown.names[column]: float(value) for column, value in told.items()}
        return cls(x, predicted, pair, held).plot(ax, **options)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        coverage: Sequence[float] = (0.5, 0.8, 0.95),
        kind: str = "central",
        mean: bool = True,
        modes: bool = False,
        legend: bool = True,
    ) -> FanDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes to draw on; by default those of a new figure
        coverage : probabilities that the bands hold
        kind : "central" for quantiles on either side, "highest" for regions of highest density,
            which part where there are several modes
        mean : draw the mean
        modes : draw the modes as points, larger where they are likelier
        legend : say beside the axes, and in the caption below, what is what
        """
        if kind not in _KINDS:
            raise InputError(f"kind={kind!r}: use one of {_KINDS}")
        ax = open_axes(ax)
        levels = sorted(proper_coverage(one) for one in coverage)
        colors = bands(len(levels))[::-1]
        each = [central_intervals(self.predicted, level)[:, 0] for level in levels]
        ends = self._ends(each[-1])
        self.bands_ = np.stack(each, axis=1) if kind == "central" else None
        if kind == "central":
            for edges, color in zip(each[::-1], colors[::-1], strict=True):
                ax.fill_between(self.x, *edges.T, color=color, linewidth=0, zorder=1)
        else:
            self._draw_regions(ax, levels, colors, ends)
        self._draw_rows(ax)
        if mean:
            ax.plot(self.x, self.predicted.mean()[:, 0], color=ink(ax), linewidth=1.6, zorder=4)
        if modes:
            self._draw_modes(ax)
        ax.set_xlim(self.x[0], self.x[-1])
        ax.set_ylim(*ends)
        label_axes(ax, *self.shown.names)
        if legend:
            legend_beside(ax, self._handles(ink(ax), levels, colors, mean, modes))
            caption(ax, self._sentences())
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _ends(self, widest: Array) -> tuple[float, float]:
        """The rows and most of the widest band; a band may open far beyond the rows."""
        low, high = np.quantile(widest[:, 0], 0.02), np.quantile(widest[:, 1], 0.98)
        values = self.shown.rows[:, 1]
        if np.isfinite(values).any():
            first, last = np.nanmin(values), np.nanmax(values)
            width = last - first
            low, high = max(low, first - width / 4), min(high, last + width / 4)
            low, high = min(low, first), max(high, last)
        pad = 0.04 * (high - low)
        return float(low - pad), float(high + pad)

    def _draw_regions(
        self, ax: Axes, levels: list[float], colors: list[str], ends: tuple[float, float]
    ) -> None:
        """Areas of highest density at each x: where what is denser holds less than a level."""
        y = np.linspace(*ends, _FINE)
        logs = np.column_stack(
            [self.predicted.logpdf(np.full((len(self.x), 1), value)) for value in y]
        )
        cells = np.exp(logs) * (y[1] - y[0])
        order = np.argsort(-cells, axis=1)
        held = np.cumsum(np.take_along_axis(cells, order, axis=1), axis=1)
        content = np.empty_like(held)
        np.put_along_axis(content, order, held, axis=1)
        ax.contourf(self.x, y, content.T, levels=[0.0, *levels], colors=colors, zorder=1)

    def _draw_rows(self, ax: Axes) -> None:
        rows = self.shown.rows
        labels = np.zeros(len(rows), dtype=np.intp)
        draw_points(
            ax, rows, labels, shades(labels, density_of_ink(len(rows))), dot_size(len(rows))
        )

    def _draw_modes(self, ax: Axes) -> None:
        found = self.predicted.modes()
        kept = found.weights > _FAINT
        place = np.broadcast_to(self.x[:, None], kept.shape)[kept]
        ax.scatter(
            place, found.points[:, :, 0][kept], s=9 * found.weights[kept], color=COLORS[5],
            linewidths=0, zorder=5,
        )  # fmt: skip

    def _handles(
        self, color: str, levels: list[float], colors: list[str], mean: bool, modes: bool
    ) -> list[Any]:
        handles: list[Any] = [
            Patch(color=shade, label=f"{100 * level:g} %")
            for level, shade in zip(levels, colors, strict=True)
        ]
        if mean:
            handles.append(Line2D([], [], color=color, linewidth=1.6, label="mean"))
        if modes:
            handles.append(_dot(COLORS[5], "mode"))
        if len(self.shown.rows):
            handles.append(_dot(COLORS[0], "rows"))
        return handles

    def _sentences(self) -> list[str]:
        held = [f"{name} = {value:.4g}" for name, value in self.held.items()]
        return ([f"at {', '.join(held)}"] if held else []) + self.shown.sentences()


def _dot(color: str, label: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker="o", color=color, markersize=4.5, label=label)
