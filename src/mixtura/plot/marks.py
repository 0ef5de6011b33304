"""Points, ticks at the edge, ellipses and numbered centres on given axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba_array
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from matplotlib.patheffects import AbstractPathEffect, Normal, Stroke

from mixtura._types import Array, Indices
from mixtura.plot.palette import (
    ASIDE,
    MARKERS,
    QUIET,
    component_color,
    component_marker,
    text_on,
)

RASTER = 2_000  # vector files with more points than this open slowly
LONE = 14  # area of the cross of a row of no component
NUMBERED = 30  # more centres than this are dots without a number


def shades(labels: Indices, opacity: Array | float) -> Array:
    """Colours (n, 4) of rows with these components, grey for -1."""
    colors = to_rgba_array(
        [ASIDE if label < 0 else component_color(int(label)) for label in labels]
    )
    colors = colors.reshape(len(labels), 4)
    colors[:, 3] = opacity
    return colors


def certainty(responsibilities: Array) -> Array:
    """0 where a row could belong anywhere, 1 where its component is certain: (n,)."""
    k = responsibilities.shape[1]
    if k == 1:
        return np.ones(len(responsibilities))
    return np.clip((responsibilities.max(axis=1) - 1 / k) / (1 - 1 / k), 0.0, 1.0)


def dot_size(rows: int) -> float:
    """Area of a point, in square points: fewer rows, larger dots."""
    return float(np.clip(80.0 * max(rows, 1) ** -0.3, 4.0, 26.0))


def density_of_ink(rows: int) -> float:
    """Opacity of a point: crowds are drawn thinner."""
    return float(np.clip(0.85 * (max(rows, 1) / 1500) ** -0.35, 0.4, 0.85))


def draw_points(
    ax: Axes,
    points: Array,
    labels: Indices,
    colors: Array,
    size: float | Array,
) -> None:
    """Complete points as dots, half-seen ones as ticks at the edge of the feature that is seen.

    Rows of no component, with label -1, are small crosses.
    """
    seen = ~np.isnan(points)
    order = np.random.default_rng(0).permutation(len(points))  # no component lies on top
    sizes = np.broadcast_to(size, len(points))
    lone = order[(seen.all(axis=1) & (labels < 0))[order]]
    if len(lone):
        x, y = points[lone].T
        ax.scatter(x, y, s=LONE, c=colors[lone], marker="x", linewidths=0.8, zorder=1.9)
    shapes = np.where(labels < 0, -1, labels // 9 % len(MARKERS))
    for shape in np.unique(shapes[labels >= 0]):
        chosen = order[(seen.all(axis=1) & (shapes == shape))[order]]
        ax.scatter(
            points[chosen, 0],
            points[chosen, 1],
            s=sizes[chosen],
            c=colors[chosen],
            marker=MARKERS[shape],
            linewidths=0,
            rasterized=len(points) > RASTER,
            zorder=2,
        )
    for axis in (0, 1):
        half = seen[:, axis] & ~seen[:, 1 - axis]
        draw_ticks(ax, points[half, axis], colors[half], axis)


def draw_ticks(ax: Axes, values: Array, colors: Array, axis: int) -> None:
    """Ticks just inside the lower (axis 0) or left (axis 1) edge."""
    if not len(values):
        return
    edge = np.full(len(values), 0.018)
    ax.scatter(
        values if axis == 0 else edge,
        edge if axis == 0 else values,
        s=42,
        c=colors,
        marker="|" if axis == 0 else "_",
        linewidths=1.1,
        transform=ax.get_xaxis_transform() if axis == 0 else ax.get_yaxis_transform(),
        zorder=3,
    )


def pen(index: int) -> dict[str, Any]:
    """Line of the ellipse of the index-th probability: the innermost is the strongest."""
    return {
        "linewidth": (1.6, 1.1, 0.8)[min(index, 2)],
        "linestyle": ("-", (0, (5, 2.5)), (0, (1.5, 2)))[min(index, 2)],
    }


def halo(index: int, paper: Any) -> list[AbstractPathEffect]:
    """A thin edge of paper: lines stay visible in a crowd of points of their own colour."""
    width = pen(index)["linewidth"] + 1.4
    return [Stroke(linewidth=width, foreground=paper, alpha=0.75), Normal()]


def draw_ellipses(ax: Axes, curves: Sequence[Array], owners: Sequence[int] | None = None) -> None:
    """Closed curves, for each probability (k, c, 2), the innermost first and filled.

    Each has its component's colour, or that of its owner.
    """
    for index, components in enumerate(curves):
        for component, corners in enumerate(components):
            color = component_color(component if owners is None else int(owners[component]))
            if index == 0:
                ax.add_patch(Polygon(corners, facecolor=color, alpha=0.10, linewidth=0, zorder=1))
            line = ax.plot(*corners.T, color=color, zorder=3 - 0.1 * index, **pen(index))
            line[0].set_path_effects(halo(index, ax.get_facecolor()))


def draw_centres(ax: Axes, means: Array, *, scale: float = 1.0) -> None:
    """A numbered disc at each centre."""
    numbered = len(means) <= NUMBERED
    area = (120.0 if numbered else 30.0) * scale**2
    for component, (x, y) in enumerate(means):
        color = component_color(component)
        ax.scatter(
            [x],
            [y],
            s=area,
            color=color,
            marker="o" if numbered else component_marker(component),
            edgecolors="white",
            linewidths=1.2 * scale,
            zorder=5,
        )
        if numbered:
            ax.annotate(
                str(component),
                (x, y),
                color=text_on(color),
                size=8.5 * scale,
                ha="center",
                va="center_baseline",
                zorder=6,
                annotation_clip=True,
            )


def component_handle(component: int, label: str) -> Line2D:
    """The legend's mark of a component."""
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=component_marker(component),
        color=component_color(component),
        markersize=6.5,
        label=label,
    )


def lone_handle(name: str, marker: str = "x") -> Line2D:
    """The legend's mark of rows of no component."""
    return Line2D(
        [], [], linestyle="none", marker=marker, color=ASIDE, markersize=4.5, markeredgewidth=0.9,
        label=name,
    )  # fmt: skip


def ellipse_handles(probabilities: Sequence[float], d: int) -> list[Line2D]:
    """The legend's lines for the ellipses (intervals where d is 1)."""
    shape = "ellipse" if d > 1 else "interval"
    return [
        Line2D([], [], color=QUIET, label=f"{shape} holds {100 * p:g} %", **pen(i))
        for i, p in enumerate(sorted(probabilities))
    ]
