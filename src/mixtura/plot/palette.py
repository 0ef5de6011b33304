"""Colours and marks: component i looks the same in every figure.

The nine colours keep a distance of at least 15 in CIE Lab under normal, protan, deutan and
tritan vision, and neighbours differ in lightness so that the first ones stay apart in grey.
From the tenth component on the colours return with another marker.
"""

from __future__ import annotations

COLORS = (
    "#0072B2",
    "#E69F00",
    "#882255",
    "#56B4E9",
    "#332288",
    "#D55E00",
    "#7A4A1E",
    "#C9B458",
    "#009E73",
)
MARKERS = ("o", "^", "s", "D", "v", "P")
LIGHT = frozenset({"#E69F00", "#56B4E9", "#C9B458"})

INK = "#262626"
QUIET = "#6B6B6B"
FAINT = "#B8B8B8"
ASIDE = "#8A8A8A"  # rows of no component
BANDS = ("#E9EDF1", "#D0D8E0", "#ABB9C6", "#8598AA", "#5F768C")  # density, sparse to dense


def component_color(component: int) -> str:
    """The colour of a component.

    Examples
    --------
    >>> from mixtura.plot.palette import component_color
    >>> component_color(0) == component_color(9)
    True
    """
    return COLORS[component % len(COLORS)]


def component_marker(component: int) -> str:
    """The marker of a component: a circle for the first nine, then other shapes."""
    return MARKERS[component // len(COLORS) % len(MARKERS)]


def text_on(color: str) -> str:
    """The colour in which a number is readable on a disc of `color`."""
    return INK if color in LIGHT else "white"


def bands(count: int) -> list[str]:
    """`count` shades from sparse to dense."""
    if count == 1:
        return [BANDS[1]]
    return [BANDS[round(i * (len(BANDS) - 2) / (count - 1))] for i in range(count)]
