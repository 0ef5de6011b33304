"""Rows along the directions that separate components or classes best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from mixtura._errors import InputError
from mixtura._types import Array, Indices
from mixtura.fitted import fitted_mixture
from mixtura.inference.directions import Directions, separating_directions
from mixtura.mixture import Mixture
from mixtura.plot.canvas import (
    caption,
    counted,
    grouped,
    label_axes,
    legend_beside,
    open_axes,
    percent,
    shorten,
)
from mixtura.plot.ellipse import outlines
from mixtura.plot.marks import (
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
from mixtura.plot.shown import LIMIT, Shown, cut_of, legend_title, lone_names, portions

if TYPE_CHECKING:
    from mixtura.trimming import Cut

CLASS = "class"
"""The legend's title where labels are classes."""


class DirectionsDisplay:
    """Scatter along two separating directions, coloured by component or class, with ellipses.

    Parameters
    ----------
    directions : Directions
    points : (n, r), rows along all directions
    labels : (n,), the component or class of each row
    names : what the labels stand for
    owners : (k,), the label of each component
    title : what the labels are, for the legend
    lone : what rows with label -1 are, for the legend

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture
    >>> from mixtura.plot import DirectionsDisplay
    >>> mixture = Mixture([0.4, 0.6], [[0, 0, 0], [5, 1, 2]], [np.eye(3), 2 * np.eye(3)])
    >>> rows = mixture.sample(100, np.random.default_rng(0))
    >>> display = DirectionsDisplay.from_mixture(mixture, rows)
    >>> display.figure_.savefig("directions.png")  # doctest: +SKIP
    """

    ax_: Axes
    figure_: Any

    def __init__(
        self,
        directions: Directions,
        points: Array,
        labels: Indices,
        names: Sequence[str],
        owners: Indices,
        title: str = "component, weight",
        lone: Sequence[str] = (),
    ) -> None:
        self.directions = directions
        self.points = points
        self.labels = labels
        self.names = tuple(names)
        self.owners = owners
        self.title = title
        self.lone = lone

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        weight: float = 0.5,
        ax: Axes | None = None,
        **options: Any,
    ) -> DirectionsDisplay:
        """Plot a fitted estimator; of a classifier, along the directions that separate classes.

        Parameters
        ----------
        estimator : GaussianMixture or MixtureClassifier
        X : (n, d) array or data frame, NaN where unobserved
        y : (n,) classes of the rows, for a classifier; by default those it foretells
        weight : see `mixtura.separating_directions`
        ax : Axes to draw on; by default those of a new figure
        **options : see `plot`
        """
        classes = getattr(estimator, "classes_", None)
        if classes is None:
            mixture, cut = fitted_mixture(estimator), cut_of(estimator)
            return cls.from_mixture(mixture, X, weight=weight, ax=ax, cut=cut, **options)
        owners = estimator.model_.owners
        directions = separating_directions(fitted_mixture(estimator), weight=weight, groups=owners)
        told = [] if X is None else estimator.predict(X) if y is None else np.asarray(y)
        labels = np.searchsorted(classes, told)
        names = [str(one) for one in classes]
        points = _projected(directions, X)
        return cls(directions, points, labels, names, owners, CLASS).plot(ax, **options)

    @classmethod
    def from_mixture(
        cls,
        mixture: Any,
        X: Any = None,
        *,
        weight: float = 0.5,
        ax: Axes | None = None,
        cut: Cut | None = None,
        **options: Any,
    ) -> DirectionsDisplay:
        """Plot a mixture, with rows if given; the parameters are those of `from_estimator`."""
        mixture = fitted_mixture(mixture)
        directions = separating_directions(mixture, weight=weight)
        shown = Shown.of(X, mixture, cut)
        owners = np.arange(mixture.n_components)
        labels = shown.labels(shown.responsibilities(mixture))
        names = [f"{one}   {percent(share)}" for one, share in enumerate(portions(mixture))]
        points = _projected(directions, X)
        titles = legend_title(mixture), lone_names(mixture, shown.trimmed)
        return cls(directions, points, labels, names, owners, *titles).plot(ax, **options)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        directions: tuple[int, int] = (0, 1),
        probabilities: Sequence[float] = (0.5, 0.95),
        legend: bool = True,
    ) -> DirectionsDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes to draw on; by default those of a new figure
        directions : which two, by number; where there is one alone, rows lie in lanes by label
        probabilities : what the ellipses hold, each between 0 and 1
        legend : say beside the axes, and in the caption below, what is what
        """
        pair = self._pair(directions)
        ax = open_axes(ax)
        marginal = self.directions.mixture.marginal(pair)
        curves = [self._curves(marginal, p) for p in sorted(probabilities)]
        some = _thinned(len(self.points))
        points, labels = self._plane(pair)[some], self.labels[some]
        colors = shades(labels, density_of_ink(len(some)))
        draw_points(ax, points, labels, colors, dot_size(len(some)))
        draw_ellipses(ax, curves, self.owners.tolist())
        if len(pair) == 2 and self.title != CLASS:
            draw_centres(ax, marginal.means)
        self._frame(ax, pair, spans(self.points[:, pair], marginal, max(probabilities)))
        if legend:
            handles = [component_handle(i, name) for i, name in enumerate(self.names[:40])]
            handles += [lone_handle(name) for name in self.lone]
            handles += ellipse_handles(probabilities, len(pair))
            legend_beside(ax, handles, self.title)
            caption(ax, self._sentences(pair, len(some)))
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _pair(self, directions: tuple[int, int]) -> list[int]:
        """The directions to draw: one where there is no second."""
        there = self.directions.basis.shape[1]
        pair = [one for one in directions if 0 <= one < there]
        if not pair or len(set(directions)) != 2:
            raise InputError(f"directions={directions}: two different ones of 0..{there - 1}")
        return pair

    def _plane(self, pair: list[int]) -> Array:
        """Rows (n, 2); in lanes by label where there is one direction."""
        points = self.points[:, pair]
        if len(pair) == 2:
            return points
        jitter = np.random.default_rng(0).uniform(-0.28, 0.28, len(points))
        lanes = np.where(self.labels < 0, len(self.names), self.labels)
        return np.column_stack([points, lanes + jitter])

    def _curves(self, marginal: Mixture, probability: float) -> Array:
        """Ellipses (k, c, 2); intervals in lanes where there is one direction."""
        curves = outlines(marginal, probability)
        if marginal.n_features == 2:
            return curves
        curves = curves[:, : curves.shape[1] // 2 + 1]
        lanes = np.broadcast_to(np.asarray(self.owners)[:, None, None], curves.shape)
        return np.concatenate([curves, lanes], axis=2)

    def _frame(self, ax: Axes, pair: list[int], limits: Array) -> None:
        """Limits and names of the axes."""
        shares = self.directions.shares
        names = [f"direction {j + 1} ({percent(shares[j])} of the separation)" for j in pair]
        ax.set_xlim(*limits[0])
        if len(pair) == 2:
            ax.set_ylim(*limits[1])
            label_axes(ax, *names)
        else:
            size = len(self.names)
            ax.set_ylim(size - 0.5 + bool((self.labels < 0).any()), -0.5)
            ax.set_yticks(range(size), self.names)
            label_axes(ax, names[0])

    def _sentences(self, pair: list[int], drawn: int) -> list[str]:
        """What each direction is made of, and what is left out."""
        basis, original = self.directions.basis, self.directions.original
        deviations = np.sqrt(np.diagonal(original.covariance()))
        names = original.feature_names or [f"feature {j}" for j in range(len(basis))]
        said = [
            f"direction {j + 1}: " + _recipe(basis[:, j] * deviations, list(names)) for j in pair
        ]
        if drawn < len(self.points):
            said.append(f"a random {grouped(drawn)} of {counted(len(self.points))}")
        return said


def _recipe(coefficients: Array, names: Sequence[str], most: int = 3) -> str:
    """The features that count most in a direction, in their standard deviations."""
    order = np.argsort(-np.abs(coefficients), kind="stable")[:most]
    terms = [f"{coefficients[j]:+.2g} {shorten(names[j], 24)}" for j in order]
    return " ".join(terms) + ("\u00a0…" if len(coefficients) > most else "")


def _projected(directions: Directions, X: Any) -> Array:
    if X is None:
        return np.empty((0, directions.basis.shape[1]))
    return directions.project(X)


def _thinned(rows: int) -> Indices:
    """At most so many rows that they can be told apart, always the same."""
    if rows <= LIMIT:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, LIMIT, replace=False))
