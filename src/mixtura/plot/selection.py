"""A criterion over the number of components, one line per covariance family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mixtura._errors import InputError
from mixtura.plot.canvas import caption, counted, ink, label_axes, legend_beside, open_axes
from mixtura.plot.palette import COLORS

if TYPE_CHECKING:
    from mixtura.fit.select import Candidate, Selection

SHAPES = ("o", "s", "D", "^", "v", "P", "X", "<", ">")
NAMES = {"bic": "BIC", "aic": "AIC", "icl": "ICL", "cv": "cross-validated deviance"}
HEADROOM = 0.6  # of the span of the sound candidates, kept for unsound ones below


class SelectionDisplay:
    """Criterion curves over the number of components, one per covariance family.

    The best candidate wears a ring. Degenerate candidates are hollow; failed ones, which have
    no value, are hollow marks at the upper edge, on the side of the bad.

    Parameters
    ----------
    candidates : the models compared
    best : the one chosen
    criterion : name of the criterion; smaller is better

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    """

    ax_: Axes
    figure_: Any

    def __init__(
        self, candidates: Sequence[Candidate], best: Candidate, criterion: str = "bic"
    ) -> None:
        self.candidates = tuple(candidates)
        self.best = best
        self.criterion = criterion

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any = None, *, ax: Axes | None = None, **options: Any
    ) -> SelectionDisplay:
        """Plot the selection of an estimator that chose its model; X is ignored."""
        selection = getattr(estimator, "selection_", None)
        if selection is None:
            raise InputError(
                f"{type(estimator).__name__} compared no models: fit it with "
                "n_components='auto', a range, or covariance_type='all'"
            )
        return cls.from_selection(selection, ax=ax, **options)

    @classmethod
    def from_selection(
        cls, selection: Selection, *, ax: Axes | None = None, **options: Any
    ) -> SelectionDisplay:
        """Plot a Selection."""
        display = cls(selection.candidates, selection.best, str(selection.criterion))
        return display.plot(ax, **options)

    def plot(self, ax: Axes | None = None, *, legend: bool = True) -> SelectionDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes to draw on; by default those of a new figure
        legend : say beside the axes, and in the caption below, what is what
        """
        ax = open_axes(ax)
        for index, family in enumerate(self._families()):
            self._draw_family(ax, family, COLORS[index % 9], SHAPES[index % 9])
        self._draw_best(ax)
        self._frame(ax)
        if legend:
            legend_beside(ax, self._handles(ink(ax)), "covariance")
            caption(ax, self._sentences())
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _families(self) -> list[str]:
        return list(dict.fromkeys(c.covariance_type for c in self.candidates))

    def _draw_family(self, ax: Axes, family: str, color: str, shape: str) -> None:
        members = sorted(
            (c for c in self.candidates if c.covariance_type == family),
            key=lambda c: c.n_components,
        )
        sound = [c for c in members if _sound(c)]
        ax.plot(*_coordinates(sound), color=color, linewidth=1.3, zorder=2)
        ax.scatter(*_coordinates(sound), s=26, marker=shape, color=color, linewidths=0, zorder=3)
        hollow = {
            "s": 30,
            "marker": shape,
            "facecolors": "none",
            "edgecolors": color,
            "linewidths": 1.1,
            "zorder": 3,
        }
        unsound = [c for c in members if _valued(c) and not _sound(c)]
        ax.scatter(*_coordinates(unsound), **hollow)
        failed = [c.n_components for c in members if not _valued(c)]
        ax.scatter(
            failed,
            np.full(len(failed), 0.985),
            transform=ax.get_xaxis_transform(),
            clip_on=False,
            **hollow,
        )

    def _draw_best(self, ax: Axes) -> None:
        place = (self.best.n_components, self.best.score)
        ax.scatter(*place, s=130, facecolors="none", edgecolors=ink(ax), linewidths=1.3, zorder=5)
        ax.annotate(
            f"{self.best.covariance_type}, {self.best.n_components}",
            place,
            xytext=(0, -11),
            textcoords="offset points",
            ha="center",
            va="top",
            size=9,
            color=ink(ax),
            zorder=6,
        )

    def _frame(self, ax: Axes) -> None:
        """Limits from the sound candidates; the room below holds the label of the best."""
        scores = np.array([c.score for c in self.candidates if _sound(c)])
        low, high = scores.min(), scores.max()
        height = high - low or max(abs(low), 1.0)
        unsound = [c.score for c in self.candidates if _valued(c) and not _sound(c)]
        bottom = max(min([low, *unsound]), low - HEADROOM * height)
        ax.set_ylim(bottom - 0.14 * height, high + 0.07 * height)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
        ax.margins(x=0.04)
        name = NAMES.get(self.criterion.lower(), self.criterion)
        label_axes(ax, "number of components", f"{name} (smaller is better)")

    def _handles(self, color: str) -> list[Line2D]:
        handles = [
            Line2D([], [], color=COLORS[i % 9], marker=SHAPES[i % 9], markersize=5, linewidth=1.3,
                   label=family)
            for i, family in enumerate(self._families())
        ]  # fmt: skip
        ring = {"linestyle": "none", "marker": "o", "markerfacecolor": "none"}
        handles.append(Line2D([], [], color=color, markersize=9, label="best", **ring))
        if not all(_sound(c) for c in self.candidates):
            handles.append(
                Line2D([], [], color=color, markersize=5, label="degenerate or failed", **ring)
            )
        return handles

    def _sentences(self) -> list[str]:
        said = []
        rivals = sorted(c.score for c in self.candidates if _sound(c) and c is not self.best)
        if rivals:
            said.append(f"next best: {rivals[0] - self.best.score:+.1f}")
        degenerate = sum(_valued(c) and not _sound(c) for c in self.candidates)
        failed = sum(not _valued(c) for c in self.candidates)
        if degenerate:
            said.append(f"{counted(degenerate, 'degenerate model')}, hollow, not eligible")
        if failed:
            said.append(f"{counted(failed, 'model')} failed, hollow at the upper edge")
        return said


def _valued(candidate: Candidate) -> bool:
    return candidate.failure is None and bool(np.isfinite(candidate.score))


def _sound(candidate: Candidate) -> bool:
    return _valued(candidate) and not candidate.degenerate


def _coordinates(candidates: Sequence[Candidate]) -> tuple[list[int], list[float]]:
    return [c.n_components for c in candidates], [c.score for c in candidates]
