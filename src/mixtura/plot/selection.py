"""A criterion over the number of components, one line per covariance family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mixtura._errors import InputError
from mixtura.fit.criteria import title
from mixtura.plot.canvas import caption, counted, ink, label_axes, legend_beside, open_axes
from mixtura.plot.palette import COLORS

if TYPE_CHECKING:
    from mixtura.fit.select import Candidate, Selection

SHAPES = ("o", "s", "D", "^", "v", "P", "X", "<", ">")
CV = "−2 × held-out log-likelihood"
APART = 0.07  # of one component, between families whose error bars would overlap
ZOOM = 2.5  # the view ends this many times as far from the best as half of the models
REACH = 2.0  # and as many times that far, where a family would be out of it altogether
HEADROOM = 0.6  # of the span of the sound candidates, kept for unsound ones below


class SelectionDisplay:
    """Criterion curves over the number of components, one per covariance family.

    The best candidate wears a ring, and a dotted line where it stands at the end of the range.
    Degenerate candidates are hollow; failed ones, which have no value, are hollow marks at the
    upper edge, on the side of the bad. Where some models are far worse than most, their lines run
    out of the view, and the caption says so; it names families none of whose models is in it. For
    cross-validation, bars span one standard error of the difference from the best, row by row.

    Parameters
    ----------
    candidates : the models compared
    best : the one chosen
    criterion : name of the criterion; smaller is better

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import select
    >>> from mixtura.plot import SelectionDisplay
    >>> rows = np.random.default_rng(0).normal(size=(60, 2))
    >>> selection = select(rows, [1, 2], ["diag", "spherical"])
    >>> SelectionDisplay.from_selection(selection).ax_.get_ylabel()
    'BIC (smaller is better)'
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
            self._draw_family(ax, family, COLORS[index % 9], _shape(index))
        self._draw_best(ax)
        self._frame(ax)
        if legend:
            legend_beside(ax, self._handles(ink(ax)), "covariance")
            caption(ax, self._sentences())
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _families(self) -> dict[str, str]:
        """Each family that is drawn -> its name, with those that coincide with it.

        In one dimension full, diagonal and spherical covariances are the same thing.
        """
        kept: dict[str, str] = {}
        curves = {c.covariance_type: self._curve(c.covariance_type) for c in self.candidates}
        for name, curve in curves.items():
            twin = next((other for other in kept if _coincide(curves[other], curve)), None)
            if twin is None:
                kept[name] = name
            else:
                kept[twin] += f" = {name}"
        return kept

    def _curve(self, family: str) -> dict[int, float]:
        """Number of components -> score, NaN where the model could not be chosen."""
        return {
            c.n_components: c.score if self._sound(c) else float("nan")
            for c in self.candidates
            if c.covariance_type == family
        }

    def _draw_family(self, ax: Axes, family: str, color: str, shape: str) -> None:
        members = sorted(
            (c for c in self.candidates if c.covariance_type == family),
            key=lambda c: c.n_components,
        )
        sound = [c for c in members if self._sound(c)]
        off = self._offset(family)
        places = [c.n_components + off for c in sound], [c.score for c in sound]
        ax.plot(*places, color=color, linewidth=1.3, zorder=2)
        ax.scatter(*places, s=26, marker=shape, color=color, linewidths=0, zorder=3)
        self._draw_errors(ax, sound, off, color)
        unsound = [c for c in members if not self._sound(c)]
        bottom, top = self._limits()
        inset = 0.015 * (top - bottom)
        ax.scatter(
            [c.n_components + off for c in unsound],
            [float(np.clip(_height(c), bottom + inset, top - inset)) for c in unsound],
            s=30,
            marker=shape,
            facecolors="none",
            edgecolors=color,
            linewidths=1.1,
            clip_on=False,
            zorder=3,
        )

    def _offset(self, family: str) -> float:
        """How far to the side a family is drawn, so that error bars stand beside each other."""
        if not any(np.isfinite(c.score_error) for c in self.candidates):
            return 0.0
        names = list(self._families())
        if family not in names:
            return 0.0
        return APART * (names.index(family) - (len(names) - 1) / 2)

    def _draw_errors(self, ax: Axes, sound: Sequence[Candidate], off: float, color: str) -> None:
        """One standard error either way of the difference from the best, where it is known."""
        known = [c for c in sound if np.isfinite(c.score_error) and c.score_error > 0]
        if not known:
            return
        ax.vlines(
            [c.n_components + off for c in known],
            [c.score - c.score_error for c in known],
            [c.score + c.score_error for c in known],
            color=color,
            linewidth=0.9,
            alpha=0.6,
            zorder=2,
        )

    def _at_edge(self) -> bool:
        """Whether the best has the most components tried, or the least and more than one."""
        tried = sorted({c.n_components for c in self.candidates})
        k = self.best.n_components
        return len(tried) > 1 and (k == tried[-1] or k == tried[0] > 1)

    def _draw_best(self, ax: Axes) -> None:
        k = self.best.n_components
        place = (k + self._offset(self.best.covariance_type), self.best.score)
        if self._at_edge():
            ax.axvline(k, color=ink(ax), linewidth=0.8, linestyle=":", zorder=1)
        ax.scatter(*place, s=130, facecolors="none", edgecolors=ink(ax), linewidths=1.3, zorder=5)
        ax.annotate(
            f"{self.best.covariance_type}, {self.best.n_components}",
            place,
            xytext=(0, -11),
            textcoords="offset points",
            ha=self._side(),
            va="top",
            size=9,
            color=ink(ax),
            zorder=6,
        )

    def _side(self) -> str:
        """Alignment that keeps the label of the best inside."""
        tried = [c.n_components for c in self.candidates]
        if len(set(tried)) == 1:
            return "center"
        return {max(tried): "right", min(tried): "left"}.get(self.best.n_components, "center")

    def _sound(self, candidate: Candidate) -> bool:
        """Whether the model could be chosen; the best counts, whatever is wrong with it."""
        return candidate is self.best or (_valued(candidate) and not candidate.degenerate)

    def _limits(self) -> tuple[float, float]:
        """Where the contest is: scores far worse than most would flatten all differences."""
        scores = np.array([c.score for c in self.candidates if self._sound(c)])
        low, high = float(scores.min()), float(scores.max())
        near = ZOOM * float(np.median(scores) - low)
        heads = [head - low for head in self._heads().values() if head - low <= REACH * near]
        near = low + max(near, *(1.05 * head for head in heads))
        if high > low + 2.0 * (near - low) > low:
            high = near
        height = high - low or max(abs(low), 1.0)
        odd = [c.score for c in self.candidates if _valued(c) and not self._sound(c)]
        bottom = max(min([low, *odd]), low - HEADROOM * height)
        return bottom - 0.14 * height, high + 0.07 * height

    def _heads(self) -> dict[str, float]:
        """The best score of each family that is drawn and has one."""
        best = {
            title: np.nanmin([np.inf, *self._curve(name).values()])
            for name, title in self._families().items()
        }
        return {title: float(score) for title, score in best.items() if np.isfinite(score)}

    def _frame(self, ax: Axes) -> None:
        """Limits and names; the room below holds the label of the best."""
        ax.set_ylim(*self._limits())
        ax.ticklabel_format(axis="y", style="plain", useOffset=False)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
        ax.margins(x=0.04)
        sizes = {candidate.n_components for candidate in self.candidates}
        if len(sizes) == 1:
            ax.set_xlim(min(sizes) - 1, max(sizes) + 1)
        name = CV if self.criterion == "cv" else title(self.criterion.lower())
        label_axes(ax, "number of components", f"{name} (smaller is better)")

    def _handles(self, color: str) -> list[Line2D]:
        handles = [
            Line2D([], [], color=COLORS[i % 9], marker=_shape(i), markersize=5, linewidth=1.3,
                   label=family)
            for i, family in enumerate(self._families().values())
        ]  # fmt: skip
        ring: dict[str, Any] = {"linestyle": "none", "marker": "o", "markerfacecolor": "none"}
        handles.append(Line2D([], [], color=color, markersize=9, label="best", **ring))
        if not all(self._sound(c) for c in self.candidates):
            handles.append(
                Line2D([], [], color=color, markersize=5, label="degenerate or failed", **ring)
            )
        return handles

    def _twins(self) -> list[Candidate]:
        """The best model under another name."""
        own = self._curve(self.best.covariance_type)
        return [
            c
            for c in self.candidates
            if c.n_components == self.best.n_components
            and _coincide(own, self._curve(c.covariance_type))
        ]

    def _sentences(self) -> list[str]:
        said = []
        sound = [c for c in self.candidates if self._sound(c)]
        twins = self._twins()
        rivals = sorted(c.score for c in sound if c is not self.best and c not in twins)
        if rivals:
            said.append(f"the next best is {rivals[0] - self.best.score:.1f} behind")
        if any(np.isfinite(c.score_error) for c in sound):
            said.append("bars are one standard error of the difference from the best")
        if self._at_edge():
            said.append("the best is at the edge of the range")
        top = self._limits()[1]
        if max(c.score for c in sound) > top:
            said.append(f"lines run on above {top:.{0 if abs(top) >= 1e4 else 1}f}")
        above = [title for title, score in self._heads().items() if score > top]
        if above:
            said.append(f"altogether above: {', '.join(above)}")
        degenerate = sum(_valued(c) and not self._sound(c) for c in self.candidates)
        failed = sum(not _valued(c) for c in self.candidates)
        if degenerate:
            said.append(f"{counted(degenerate, 'degenerate model')}, hollow, not eligible")
        if failed:
            said.append(f"{counted(failed, 'model')} failed, hollow at the upper edge")
        return said


def _valued(candidate: Candidate) -> bool:
    return candidate.failure is None and bool(np.isfinite(candidate.score))


def _height(candidate: Candidate) -> float:
    """Where a hollow mark belongs: failures at the upper edge, on the side of the bad."""
    return candidate.score if _valued(candidate) else float("inf")


def _coincide(one: dict[int, float], other: dict[int, float]) -> bool:
    """Whether two curves are one to the eye: the same model under two names."""
    if one.keys() != other.keys():
        return False
    pairs = np.array([[one[k], other[k]] for k in one])
    return bool(np.allclose(pairs[:, 0], pairs[:, 1], rtol=1e-5, atol=1e-2))


def _shape(index: int) -> str:
    """The mark of a family: with its color, different for each of 81."""
    return SHAPES[(index + index // 9) % 9]
