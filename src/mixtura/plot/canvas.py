"""Axes, captions and legends: the quiet frame around every figure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend

from mixtura.plot.palette import FAINT, INK, QUIET

SMALL = 8.5
POINTS_PER_INCH = 72


def open_figure(size: tuple[float, float]) -> Figure:
    """A figure that belongs to nobody's pyplot state."""
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    return Figure(figsize=size, layout=layout, facecolor="white")


def open_axes(ax: Axes | None, size: tuple[float, float] = (6.4, 4.4)) -> Axes:
    """The caller's axes untouched, or quiet axes in a new figure."""
    if ax is not None:
        return ax
    ax = open_figure(size).add_subplot()
    quieten(ax)
    return ax


def quieten(ax: Axes) -> None:
    """Leave the two spines that carry a scale, in grey."""
    ax.set_facecolor("white")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(FAINT)
    ax.tick_params(color=FAINT, labelcolor=INK, labelsize=SMALL, length=3)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_color(INK)
        axis.get_offset_text().set(size=SMALL, color=INK)


def ink(ax: Axes) -> str:
    """The colour of writing on these axes: dark styles stay readable."""
    return str(ax.xaxis.label.get_color())


def label_axes(ax: Axes, x: str | None = None, y: str | None = None, *, width: int = 48) -> None:
    """Name the axes; a name is text, never mathematics, and keeps its unit."""
    names = shortened([name for name in (x, y) if name is not None], width)
    if x is not None:
        ax.set_xlabel(names[0], parse_math=False)
    if y is not None:
        ax.set_ylabel(names[-1], parse_math=False)


def shortened(names: Sequence[str], width: int) -> list[str]:
    """Names of at most `width` characters; where two would look alike, what sets them apart.

    Examples
    --------
    >>> from mixtura.plot.canvas import shortened
    >>> shortened(["petal length (cm)", "age"], 12)
    ['petal l…(cm)', 'age']
    >>> shortened(["concentration of iron (mg/l)", "concentration of zinc (mg/l)"], 16)
    ['…n of iron (mg/…', '…n of zinc (mg/…']
    """
    short = {name: shorten(name, width) for name in names}
    for look in set(short.values()):
        alike = [name for name in short if short[name] == look]
        if len(alike) > 1:
            common = max(_parting(alike) - width // 3, 0)
            short |= {
                name: _from(name, min(common, len(name) - width + 1), width) for name in alike
            }
    return [short[name] for name in names]


def _parting(names: Sequence[str]) -> int:
    """How many letters they have in common at the beginning."""
    letters = enumerate(zip(*names, strict=False))
    return next((i for i, one in letters if len(set(one)) > 1), min(map(len, names)))


def _from(name: str, start: int, width: int) -> str:
    head = "…" if start else ""
    end = start + width - len(head)
    return head + (name[start:] if end >= len(name) else f"{name[start : end - 1]}…")


def shorten(name: str, width: int) -> str:
    """A name of at most `width` characters; the middle goes first, as units stand at the end."""
    if len(name) <= width:
        return name
    tail = width // 3
    return f"{name[: width - tail - 1].rstrip()}…{name[-tail:].lstrip()}"


def caption(ax: Axes, sentences: Sequence[str]) -> None:
    """Small grey sentences under the x label: what a reader must know to trust the picture."""
    if not sentences:
        return
    inches = ax.bbox.width / ax.figure.dpi
    text = textwrap.fill("; ".join(sentences), max(30, int(inches * 17)))
    ax.annotate(
        text,
        xy=(0, 0),
        xycoords=("axes fraction", ax.xaxis.label),
        xytext=(0, -5),
        textcoords="offset points",
        va="top",
        ha="left",
        size=SMALL - 0.5,
        color=QUIET,
        annotation_clip=False,
        parse_math=False,
    )


def legend_beside(ax: Axes, handles: Sequence[Artist], title: str | None = None) -> Legend:
    """A legend to the right of the axes, where there is no data."""
    legend = ax.legend(
        handles=handles,
        title=title,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0,
        frameon=False,
        fontsize=SMALL,
        title_fontsize=SMALL,
        alignment="left",
        ncols=1 + len(handles) // 20,
        labelcolor=ink(ax),
        handletextpad=0.6,
    )
    legend.get_title().set_color(QUIET)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return legend


def percent(share: float) -> str:
    """A share as readers write it: `36 %`, `<1 %`; all is 100 %, and nothing less.

    Examples
    --------
    >>> from mixtura.plot.canvas import percent
    >>> percent(0.3558), percent(0.001), percent(0.998)
    ('36 %', '<1 %', '>99 %')
    """
    if 0.995 <= share < 1 - 1e-12:  # weights sum to one but for rounding
        return ">99 %"
    return "<1 %" if 0 < share <= 0.005 else f"{100 * share:.0f} %"


def counted(number: int, noun: str = "row") -> str:
    """`1 row`, `12 rows`, `20 000 rows`."""
    return f"{grouped(number)} {noun}" + ("" if number == 1 else "s")


def grouped(number: int) -> str:
    """`20 000`: digits in groups of three, held together by thin spaces."""
    return f"{number:,}".replace(",", "\u2009")
