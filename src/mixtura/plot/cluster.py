"""Rows coloured by component, with the ellipses and centres of the components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from mixtura._errors import InputError
from mixtura._types import Array, Indices
from mixtura.fitted import fitted_mixture
from mixtura.plot.canvas import caption, label_axes, legend_beside, open_axes, percent
from mixtura.plot.ellipse import outlines
from mixtura.plot.marks import (
    NUMBERED,
    certainty,
    component_handle,
    density_of_ink,
    dot_size,
    draw_centres,
    draw_ellipses,
    draw_points,
    ellipse_handles,
    lone_handle,
    shades,
)
from mixtura.plot.region import spans
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


class ClusterDisplay:
    """Scatter of two features, coloured by component, with covariance ellipses.

    The ellipse of probability p belongs to the marginal of a component over the features shown
    and holds the share p of that component. With a single feature each component gets a lane of
    its own, and intervals take the place of the ellipses.

    Parameters
    ----------
    shown : Shown, the rows of the one or two features shown, NaN where unobserved
    responsibilities : (n, k), from all features of the mixture
    marginal : Mixture over the features shown

    Attributes
    ----------
    labels_ : (n,), the likeliest component of each row, -1 for noise and what was trimmed
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture
    >>> from mixtura.plot import ClusterDisplay
    >>> mixture = Mixture([0.4, 0.6], [[0, 0], [5, 1]], [np.eye(2), np.eye(2)])
    >>> rows = mixture.sample(100, np.random.default_rng(0))
    >>> display = ClusterDisplay.from_mixture(mixture, rows)
    >>> display.figure_.savefig("clusters.png")  # doctest: +SKIP
    """

    ax_: Axes
    figure_: Any
    labels_: Indices

    def __init__(self, shown: Shown, responsibilities: Array, marginal: Mixture) -> None:
        self.shown = shown
        self.responsibilities = responsibilities
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
    ) -> ClusterDisplay:
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
        ax: Axes | None = None,
        cut: Cut | None = None,
        **options: Any,
    ) -> ClusterDisplay:
        """Plot a mixture, with rows if given.

        Parameters
        ----------
        mixture : Mixture or fitted estimator
        X : (n, d) array or data frame, NaN where unobserved; more than 10 000 rows are thinned
        features : one or two names or numbers; by default the two in which the components
            differ most
        ax : Axes to draw on; by default those of a new figure
        cut : where the fit trimmed rows, `cut_` of an estimator
        **options : see `plot`
        """
        mixture = fitted_mixture(mixture)
        shown = Shown.of(X, mixture, cut).thin()
        chosen = most_telling(mixture, 2) if features is None else shown.positions(features)
        if len(chosen) > 2:
            raise InputError(f"{len(chosen)} features: name one or two, or use PairsDisplay")
        display = cls(
            shown.take(chosen),
            shown.responsibilities(mixture),
            mixture.marginal(chosen),
        )
        return display.plot(ax, **options)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        probabilities: Sequence[float] = (0.5, 0.95),
        fade: bool = True,
        legend: bool = True,
    ) -> ClusterDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes to draw on; by default those of a new figure
        probabilities : what the ellipses hold, each between 0 and 1
        fade : paler points where the component is doubtful
        legend : say beside the axes, and in the caption below, what is what
        """
        own = ax is None
        ax = open_axes(ax)
        points, means = self._plane()
        labels = self.labels_ = self.shown.labels(self.responsibilities)
        opacity = density_of_ink(len(points)) * np.ones(len(points))
        if fade:
            belongs = labels >= 0
            opacity[belongs] *= 0.25 + 0.75 * certainty(self.responsibilities[belongs]) ** 2
        draw_points(ax, points, labels, shades(labels, opacity), dot_size(len(points)))
        draw_ellipses(ax, [self._curves(p) for p in sorted(probabilities)])
        draw_centres(ax, means, scale=1.0 if own or legend else 0.75)
        self._frame(ax, max(probabilities))
        if legend:
            legend_beside(ax, self._handles(probabilities), legend_title(self.marginal))
            doubt = ["paler points: less certain"] if fade and means.shape[0] > 1 else []
            caption(ax, doubt + self.shown.sentences())
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _plane(self) -> tuple[Array, Array]:
        """Points and means in two dimensions: lanes where one feature is shown."""
        points, means = self.shown.rows, self.marginal.means
        if self.marginal.n_features == 2:
            return points, means
        jitter = np.random.default_rng(0).uniform(-0.28, 0.28, len(points))
        labels = self.shown.labels(self.responsibilities)
        lanes = np.where(labels < 0, len(means), labels) + jitter
        lanes[np.isnan(points[:, 0])] = np.nan
        return np.column_stack([points, lanes]), np.column_stack([means, np.arange(len(means))])

    def _curves(self, probability: float) -> Array:
        """Ellipses (k, c, 2): intervals in their lanes where one feature is shown."""
        curves = outlines(self.marginal, probability)
        if self.marginal.n_features == 2:
            return curves
        curves = curves[:, : curves.shape[1] // 2 + 1]  # there, and not back over the dashes
        lanes = np.broadcast_to(np.arange(len(curves))[:, None, None], curves.shape)
        return np.concatenate([curves, lanes], axis=2)

    def _frame(self, ax: Axes, probability: float) -> None:
        """Limits and names of the axes."""
        names = self.shown.names
        limits = spans(self.shown.rows, self.marginal, probability)
        ax.set_xlim(*limits[0])
        if len(names) == 2:
            ax.set_ylim(*limits[1])
            label_axes(ax, names[0], names[1])
        else:
            k = self.marginal.n_components
            lone = bool((self.labels_ < 0).any())  # a lane of their own
            ax.set_ylim(k - 0.5 + lone, -0.5)
            ax.set_yticks(range(k) if k <= NUMBERED else [])
            label_axes(ax, names[0], "component")

    def _handles(self, probabilities: Sequence[float]) -> list[Any]:
        """The legend: components with their weights, then what the ellipses hold."""
        components = [
            component_handle(component, f"{component}   {percent(weight)}")
            for component, weight in enumerate(portions(self.marginal)[:40])
        ]
        lone = lone_names(self.marginal, self.shown.trimmed)
        components += [lone_handle(name) for name in lone]
        return components + ellipse_handles(probabilities, self.marginal.n_features)
