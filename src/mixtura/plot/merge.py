"""Components merged into clusters: the clusters, and the entropy that suggests how many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.fitted import fitted_mixture
from mixtura.operations.merge import Merging, merge
from mixtura.plot.canvas import (
    caption,
    label_axes,
    legend_beside,
    open_figure,
    percent,
    quieten,
)
from mixtura.plot.ellipse import outlines
from mixtura.plot.marks import (
    certainty,
    component_handle,
    density_of_ink,
    dot_size,
    draw_points,
    halo,
    shades,
)
from mixtura.plot.palette import COLORS, QUIET, component_color
from mixtura.plot.region import spans
from mixtura.plot.shown import Shown, component_labels, most_telling

if TYPE_CHECKING:
    from mixtura.mixture import Mixture
    from mixtura.operations.elbow import Elbow

LIMIT = 10_000
HOLDS = 0.5


class MergeDisplay:
    """The rows by merged cluster, and the entropy over the number of clusters and of rows merged.

    Left: the clusters, with the ellipses of the components they are made of. Middle: the entropy
    of each number of clusters. Right: the same over the rows that the merges involved, which
    keeps small clusters from counting as much as large ones (Baudry et al. 2010, section 4). The
    two lines of the piecewise regression are drawn through both; a ring marks the elbow.

    Parameters
    ----------
    merging : Merging
    shown : Shown, the rows of the one or two features shown, NaN where unobserved
    marginal : Mixture over the features shown
    responsibilities : (n, k) of the components, from all features

    Attributes
    ----------
    clusters_ : number of clusters shown
    axes_ : (3,) array of matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture
    >>> from mixtura.plot import MergeDisplay
    >>> means = [[0, 0], [1, 0], [9, 0], [0, 9]]
    >>> mixture = Mixture([0.3, 0.3, 0.2, 0.2], means, [np.eye(2)] * 4)
    >>> MergeDisplay.from_mixture(mixture, mixture.sample(300, 0)).clusters_
    3
    """

    axes_: Any
    figure_: Any
    clusters_: int

    def __init__(
        self, merging: Merging, shown: Shown, marginal: Mixture, responsibilities: Array
    ) -> None:
        self.merging = merging
        self.shown = shown
        self.marginal = marginal
        self.responsibilities = responsibilities

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, **options: Any) -> MergeDisplay:
        """Merge the components of a fitted estimator by rows; see `from_mixture`."""
        return cls.from_mixture(fitted_mixture(estimator), X, **options)

    @classmethod
    def from_mixture(
        cls, mixture: Any, X: Any, *, sample_weight: Any = None, **options: Any
    ) -> MergeDisplay:
        """Merge the components of a mixture by rows.

        Parameters
        ----------
        mixture : Mixture or fitted estimator
        X : (n, d) array or data frame, NaN where unobserved
        sample_weight : (n,) array_like, optional
        **options : see `from_merging`
        """
        return cls.from_merging(merge(mixture, X, sample_weight), X, **options)

    @classmethod
    def from_merging(
        cls,
        merging: Merging,
        X: Any,
        *,
        features: Sequence[int | str] | None = None,
        ax: Any = None,
        **options: Any,
    ) -> MergeDisplay:
        """Plot a merging.

        Parameters
        ----------
        merging : Merging
        X : (n, d) array or data frame; more than 10 000 rows are thinned
        features : one or two names or numbers; by default those in which the components differ
            most
        ax : (3,) sequence of Axes to draw on; by default those of a new figure
        **options : see `plot`
        """
        mixture = merging.mixture
        shown = Shown.of(X, mixture).thin(LIMIT)
        chosen = most_telling(mixture, 2) if features is None else shown.positions(features)
        if len(chosen) > 2:
            raise InputError(f"{len(chosen)} features: name one or two")
        rows = shown.responsibilities(mixture)
        display = cls(merging, shown.take(chosen), mixture.marginal(chosen), rows)
        return display.plot(ax, **options)

    def plot(self, ax: Any = None, *, clusters: int | None = None) -> MergeDisplay:
        """Draw.

        Parameters
        ----------
        ax : (3,) sequence of Axes to draw on; by default those of a new figure
        clusters : how many to show; by default the number suggested
        """
        axes = _row() if ax is None else np.asarray(ax)
        if axes.shape != (3,):
            raise InputError(f"three axes are needed, not an array of shape {axes.shape}")
        groups = self.merging.groups(clusters)
        self.clusters_ = len(groups)
        self._draw_clusters(axes[0], groups)
        counts = np.arange(1.0, self.merging.n_components + 1.0)
        merging = self.merging
        some = merging.suggested if merging.suggested < merging.n_components else None
        self._draw_entropy(axes[1], counts, merging.elbow, some)
        axes[1].xaxis.set_major_locator(MaxNLocator(integer=True))
        by_rows = merging.suggested_by_rows
        self._draw_entropy(axes[2], merging.merged_rows, merging.elbow_by_rows, by_rows)
        axes[0].xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes[2].xaxis.set_major_locator(MaxNLocator(4))
        label_axes(axes[1], "clusters", "entropy of the clusters (nats)")
        label_axes(axes[2], "rows merged, in total", "entropy of the clusters (nats)")
        caption(axes[1], [merging.sentence().rstrip(".")])
        self.axes_, self.figure_ = axes, axes[0].figure
        return self

    def _draw_clusters(self, ax: Axes, groups: Sequence[tuple[int, ...]]) -> None:
        rows = np.column_stack([self.responsibilities[:, list(g)].sum(axis=1) for g in groups])
        labels = component_labels(rows)
        opacity = density_of_ink(len(rows)) * (0.25 + 0.75 * certainty(rows) ** 2)
        points = self._points(self.shown.rows, labels)
        draw_points(ax, points, labels, shades(labels, opacity), dot_size(len(rows)))
        for cluster, group in enumerate(groups):
            for curve in outlines(self.marginal.take(list(group)), HOLDS):
                line = ax.plot(
                    *self._points(curve, np.full(len(curve), cluster), 0.0).T,
                    color=component_color(cluster),
                    linewidth=1.4,
                    zorder=3,
                )
                line[0].set_path_effects(halo(0, ax.get_facecolor()))
        self._frame(ax, len(groups))
        weights = [self.merging.mixture.weights[list(group)].sum() for group in groups]
        handles = [
            component_handle(cluster, f"{', '.join(map(str, group))}   {percent(weight)}")
            for cluster, (group, weight) in enumerate(zip(groups, weights, strict=True))
        ]
        legend_beside(ax, handles[:40], "components, weight")
        caption(ax, [f"ellipses hold {100 * HOLDS:g} % of a component", *self.shown.sentences()])

    def _points(self, points: Array, labels: Array, jitter: float = 0.28) -> Array:
        """Points in two dimensions: lanes where one feature is shown."""
        if self.marginal.n_features == 2:
            return points
        lanes = labels + np.random.default_rng(0).uniform(-jitter, jitter, len(points))
        lanes[np.isnan(points[:, 0])] = np.nan
        return np.column_stack([points, lanes])

    def _frame(self, ax: Axes, clusters: int) -> None:
        limits = spans(self.shown.rows, self.marginal, 0.95)
        ax.set_xlim(*limits[0])
        if self.marginal.n_features == 2:
            ax.set_ylim(*limits[1])
            label_axes(ax, *self.shown.names)
            return
        ax.set_ylim(clusters - 0.5, -0.5)
        ax.set_yticks(range(clusters))
        label_axes(ax, self.shown.names[0], "cluster")

    def _draw_entropy(self, ax: Axes, x: Array, bend: Elbow | None, suggested: int | None) -> None:
        y = self.merging.entropy
        if bend is not None:
            for ends, heights in zip(bend.x, bend.y, strict=True):
                ax.plot(ends, heights, color=QUIET, linewidth=1.1, linestyle=(0, (4, 2)), zorder=1)
        ax.plot(x, y, color=COLORS[0], marker="o", markersize=4.5, linewidth=0, zorder=3)
        if suggested is not None:
            here = suggested - 1
            ring: dict[str, Any] = {"facecolors": "none", "edgecolors": COLORS[5]}
            ax.scatter(x[here], y[here], s=110, linewidths=1.6, zorder=4, **ring)
        ax.margins(x=0.06, y=0.08)
        ax.ticklabel_format(axis="y", scilimits=(-3, 5))


def _row() -> Any:
    """Three axes side by side in a new figure."""
    axes = open_figure((12.4, 4.2)).subplots(1, 3, width_ratios=(1.25, 1, 1))
    for ax in axes:
        quieten(ax)
    return np.asarray(axes)
