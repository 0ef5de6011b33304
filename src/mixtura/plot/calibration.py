"""Does the density describe the values? Probability integral transforms and Q-Q."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.stats import binom

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.fit.truncation import Truncation
from mixtura.fitted import fitted_mixture
from mixtura.operations.calibration import Calibration, Distribution, calibration
from mixtura.plot.canvas import caption, ink, label_axes, legend_beside, open_axes
from mixtura.plot.marks import RASTER
from mixtura.plot.palette import BANDS, COLORS

BARS = (5, 40)
LIMIT = 20_000


class PITDisplay:
    """Histogram of probability integral transforms: flat where the density fits.

    A hump in the middle says that the density is too wide, a valley that it is too narrow, a
    slope that it lies to one side. The band is where the height of a bar of uniform draws falls
    with the probability of the level.

    Parameters
    ----------
    compared : Calibration

    Attributes
    ----------
    heights_ : height of each bar; 1 is uniform
    band_ : lower and upper end of the band
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from mixtura import Mixture
    >>> from mixtura.plot import PITDisplay
    >>> mixture = Mixture([0.4, 0.6], [[0.0], [5.0]], [[[1.0]], [[2.0]]])
    >>> bool(PITDisplay.from_mixture(mixture, mixture.sample(400, 0)).compared.distance < 0.1)
    True
    """

    ax_: Axes
    figure_: Any
    heights_: Array
    band_: tuple[float, float]

    def __init__(self, compared: Calibration) -> None:
        self.compared = compared

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, **options: Any) -> Self:
        """Plot a fitted estimator of one feature; see `from_mixture`."""
        return cls.from_mixture(distribution_of(estimator), X, **options)

    @classmethod
    def from_mixture(
        cls,
        mixture: Any,
        X: Any,
        *,
        sample_weight: Any = None,
        level: float = 0.95,
        ax: Axes | None = None,
        **options: Any,
    ) -> Self:
        """Plot values beside a mixture.

        Parameters
        ----------
        mixture : Mixture, BoundedMixture or fitted estimator of one feature
        X : (n, 1) array or data frame; NaN is left out
        sample_weight : (n,) array_like, optional
        level : probability of the band
        ax : Axes to draw on; by default those of a new figure
        **options : see `plot`
        """
        return cls(calibration(mixture, X, sample_weight, level)).plot(ax, **options)

    def plot(self, ax: Axes | None = None, *, bins: int | None = None, legend: bool = True) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes to draw on; by default those of a new figure
        bins : number of bars; by default by the number of rows, 5 to 40
        legend : say beside the axes, and in the caption below, what is what
        """
        ax = open_axes(ax, (5.6, 3.8))
        one = self.compared
        total = float(one.weights.sum())
        count = int(np.clip(round(2.0 * total**0.4), *BARS)) if bins is None else bins
        held, edges = np.histogram(one.pit, count, (0.0, 1.0), weights=one.weights)
        self.heights_ = held * count / total
        tail = 0.5 * (1.0 - one.level)
        low, high = binom.ppf([tail, 1.0 - tail], round(total), 1.0 / count) * count / total
        self.band_ = float(low), float(high)
        ax.axhspan(low, high, color=BANDS[1], zorder=0)
        ax.axhline(1.0, color=ink(ax), linewidth=1.0, linestyle=(0, (4, 2)), zorder=3)
        ax.stairs(self.heights_, edges, fill=True, color=COLORS[0], alpha=0.45, zorder=1)
        ax.stairs(self.heights_, edges, color=COLORS[0], linewidth=1.2, zorder=2)
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1.08 * max(float(self.heights_.max()), high))
        label_axes(ax, "probability integral transform F(x)", "density")
        if legend:
            band = Patch(color=BANDS[1], label=f"{100 * one.level:g} % of uniform draws")
            legend_beside(ax, [band])
            caption(ax, [one.sentence().rstrip(".")])
        self.ax_, self.figure_ = ax, ax.figure
        return self


class QQDisplay:
    """Quantiles of the data over those of the density, with a pointwise envelope.

    In units of the data, or, with ``uniform=True``, on the scale of probability, where the middle
    is seen best; the tails are seen best in units of the data.

    Parameters
    ----------
    compared : Calibration

    Attributes
    ----------
    points_ : (n, 2) expected and observed
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from mixtura import Mixture
    >>> from mixtura.plot import QQDisplay
    >>> mixture = Mixture([0.4, 0.6], [[0.0], [5.0]], [[[1.0]], [[2.0]]])
    >>> QQDisplay.from_mixture(mixture, mixture.sample(400, 0)).points_.shape
    (400, 2)
    """

    ax_: Axes
    figure_: Any
    points_: Array

    def __init__(self, compared: Calibration) -> None:
        self.compared = compared

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, **options: Any) -> Self:
        """Plot a fitted estimator of one feature; see `from_mixture`."""
        return cls.from_mixture(distribution_of(estimator), X, **options)

    @classmethod
    def from_mixture(
        cls,
        mixture: Any,
        X: Any,
        *,
        sample_weight: Any = None,
        level: float = 0.95,
        ax: Axes | None = None,
        **options: Any,
    ) -> Self:
        """Plot values beside a mixture.

        Parameters
        ----------
        mixture : Mixture, BoundedMixture or fitted estimator of one feature
        X : (n, 1) array or data frame; NaN is left out
        sample_weight : (n,) array_like, optional
        level : probability of the envelope
        ax : Axes to draw on; by default those of a new figure
        **options : see `plot`
        """
        return cls(calibration(mixture, X, sample_weight, level)).plot(ax, **options)

    def plot(self, ax: Axes | None = None, *, uniform: bool = False, legend: bool = True) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes to draw on; by default those of a new figure
        uniform : on the scale of probability instead of the data's
        legend : say beside the axes, and in the caption below, what is what
        """
        ax = open_axes(ax, (5.6, 4.6))
        one = self.compared
        if uniform:
            x, y, low, high = one.positions, one.pit, one.lower, one.upper
        else:
            x, y, low, high = one.expected, one.values, one.expected_lower, one.expected_upper
        self.points_ = np.column_stack([x, y])
        some = _thinned(len(x))
        ax.fill_between(x[some], low[some], high[some], color=BANDS[1], linewidth=0, zorder=0)
        ends = [float(x[0]), float(x[-1])]
        ax.plot(ends, ends, color=ink(ax), linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
        out = (y < low) | (y > high)
        color = np.where(out, COLORS[5], COLORS[0])[some]
        ax.scatter(
            x[some], y[some], s=9, c=color, linewidths=0, zorder=2, rasterized=len(some) > RASTER
        )
        if uniform:
            label_axes(ax, "expected of uniform draws", "F(x) of the values")
        else:
            label_axes(ax, "quantile of the density", "value")
        if legend:
            legend_beside(ax, self._handles())
            caption(ax, [one.sentence().rstrip(".")])
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _handles(self) -> list[Any]:
        dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4}
        return [
            Patch(color=BANDS[1], label=f"{100 * self.compared.level:g} % pointwise envelope"),
            Line2D([], [], color=COLORS[0], label="value within", **dot),
            Line2D([], [], color=COLORS[5], label="value outside", **dot),
        ]


def distribution_of(estimator: Any) -> Distribution:
    """The fitted distribution of an estimator of one feature; after truncation, within the box."""
    if getattr(estimator, "n_censored_", 0) > 0:
        raise InputError(
            "some values were fitted by their limits alone, and have no place among the others: "
            "give mixture_ to from_mixture, with values that were all observed"
        )
    density: Distribution | None = getattr(estimator, "density_", None)
    found: Distribution = fitted_mixture(estimator) if density is None else density
    if found.n_features != 1:
        raise InputError(
            f"{found.n_features} features: take mixture_.marginal(feature), "
            "and hand it to from_mixture with that column"
        )
    box = Truncation.of(getattr(estimator, "truncation", None), 1)
    return found if box is None else box.of_mixture(estimator.mixture_)


def _thinned(n: int) -> Array:
    """At most so many of n sorted points, the tails whole."""
    if n <= LIMIT:
        return np.arange(n)
    middle = np.linspace(1_000, n - 1_000, LIMIT - 2_000).astype(int)
    return np.unique(np.concatenate([np.arange(1_000), middle, np.arange(n - 1_000, n)]))
