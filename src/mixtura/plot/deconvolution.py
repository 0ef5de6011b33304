"""Rows as they were measured, where they more likely are, and the mixture behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.fitted import fitted_mixture
from mixtura.plot.canvas import caption, label_axes, legend_beside, open_axes, percent
from mixtura.plot.ellipse import outlines
from mixtura.plot.marks import (
    certainty,
    component_handle,
    density_of_ink,
    dot_size,
    draw_centres,
    draw_ellipses,
    draw_points,
    ellipse_handles,
    shades,
)
from mixtura.plot.palette import FAINT
from mixtura.plot.region import spans
from mixtura.plot.shown import Shown, component_labels, legend_title, most_telling

if TYPE_CHECKING:
    from mixtura.mixture import Mixture


class DeconvolutionDisplay:
    """Noisy rows drawn to their posterior means, with the components of the deconvolved mixture.

    A faint line runs from each row as it was measured to the mean of its `Mixture.posterior`, a
    dot in the colour of its most probable component. Ellipses belong to the mixture, without the
    noise.

    Parameters
    ----------
    measured : Shown
        The rows of the two features shown.
    restored : (n, 2)
        Their posterior means.
    responsibilities : (n, k)
        Given the rows, from all features.
    marginal : Mixture over the features shown

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture
    >>> from mixtura.plot import DeconvolutionDisplay
    >>> mixture = Mixture([0.4, 0.6], [[0, 0], [5, 1]], [np.eye(2), np.eye(2)])
    >>> rng = np.random.default_rng(0)
    >>> rows = mixture.sample(100, rng) + rng.normal(size=(100, 2))
    >>> display = DeconvolutionDisplay.from_mixture(mixture, rows, noise_cov=1.0)
    >>> display.figure_.savefig("deconvolution.png")  # doctest: +SKIP
    """

    ax_: Axes
    figure_: Any

    def __init__(
        self, measured: Shown, restored: Array, responsibilities: Array, marginal: Mixture
    ) -> None:
        self.measured = measured
        self.restored = restored
        self.responsibilities = responsibilities
        self.marginal = marginal

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, noise_cov: Any, **options: Any
    ) -> DeconvolutionDisplay:
        """Plot a fitted estimator; see `from_mixture`."""
        return cls.from_mixture(fitted_mixture(estimator), X, noise_cov, **options)

    @classmethod
    def from_mixture(
        cls,
        mixture: Any,
        X: Any,
        noise_cov: Any,
        *,
        features: Sequence[int | str] | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> DeconvolutionDisplay:
        """Plot a mixture of what was measured.

        Parameters
        ----------
        mixture : Mixture or fitted estimator
        X : (n, d) array or data frame
            Rows with errors, NaN where unobserved.
        noise_cov : array_like
            Covariances of the errors, positive definite, as `Mixture.posterior` takes them.
        features : two names or numbers
            By default those in which the components differ most.
        ax : Axes to draw on; by default those of a new figure
        **options : see `plot`

        Raises
        ------
        InputError
            Not two features; noise that `Mixture.posterior` refuses.
        """
        mixture = fitted_mixture(mixture)
        shown = Shown.of(X, mixture)
        chosen = most_telling(mixture, 2) if features is None else shown.positions(features)
        if len(chosen) != 2:
            raise InputError(
                f"lines are drawn in a plane: two features are needed, not {len(chosen)}"
            )
        rows = _checks.table(X).rows if mixture.feature_names is None else shown.rows
        found = mixture.posterior(rows, noise_cov)
        restored = found.mean()[:, chosen]
        display = cls(shown.take(chosen), restored, found.weights, mixture.marginal(chosen))
        return display.plot(ax, **options)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        probabilities: Sequence[float] = (0.5, 0.95),
        legend: bool = True,
    ) -> DeconvolutionDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes to draw on; by default those of a new figure
        probabilities : what the ellipses hold, each between 0 and 1
        legend : say beside the axes, and in the caption below, what is what
        """
        ax = open_axes(ax)
        rows, labels = self.measured.rows, component_labels(self.responsibilities)
        complete = ~np.isnan(rows).any(axis=1)
        ways = np.stack([rows, self.restored], axis=1)[complete]
        ax.add_collection(LineCollection(list(ways), colors=FAINT, linewidths=0.6, zorder=1.5))
        opacity = density_of_ink(len(rows)) * (0.25 + 0.75 * certainty(self.responsibilities) ** 2)
        draw_points(ax, self.restored, labels, shades(labels, opacity), dot_size(len(rows)))
        draw_ellipses(ax, [outlines(self.marginal, p) for p in sorted(probabilities)])
        draw_centres(ax, self.marginal.means)
        limits = spans(rows, self.marginal, max(probabilities))
        ax.set_xlim(*limits[0])
        ax.set_ylim(*limits[1])
        label_axes(ax, *self.measured.names)
        if legend:
            legend_beside(ax, self._handles(probabilities), legend_title(self.marginal))
            caption(ax, ["paler points: less certain"])
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _handles(self, probabilities: Sequence[float]) -> list[Any]:
        components = [
            component_handle(component, f"{component}   {percent(weight)}")
            for component, weight in enumerate(self.marginal.weights[:40])
        ]
        way = Line2D([], [], color=FAINT, linewidth=1.0, label="from measured to restored")
        return [*components, *ellipse_handles(probabilities, 2), way]
