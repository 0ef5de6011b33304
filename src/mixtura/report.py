"""What the command line says to a person: sections of text and tables, 80 columns wide or more."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mixtura.cli_facts import count

Facts = dict[str, Any]
Section = tuple[str, RenderableType | tuple[Text, ...]]
"""A name in the margin and what stands beside it: a renderable, or lines that are never broken."""

CRITERIA = {
    **{name: name.upper() for name in ("bic", "aic", "icl", "cv", "sabic", "caic", "hqc")},
    "slope": "slope",
}
BEST = 5  # models shown of those tried
SHOWN = 12  # columns of the data shown, unless all are asked for
FEW = 6  # columns with gaps that are named, and columns left out whose reason is told
GUTTER = 12
NAME = 30  # characters of a column's name on a line
WIDE = 42  # characters of a name beside which there is room for a remark


def console_on(stream: Any) -> Console:
    """A console that writes plain text unless the stream is a terminal that takes colour."""
    plain = "NO_COLOR" in os.environ
    return Console(
        file=stream,
        color_system=None if plain else "auto",
        highlight=False,
        markup=False,
        emoji=False,
    )


def tell(sections: Iterable[Section], *, stream: Any = None) -> None:
    """Print sections, each under its name in the margin."""
    console = console_on(stream or sys.stderr)
    with console.capture() as text:
        for name, body in sections:
            margin = Text(name.ljust(GUTTER), style="bold")
            if isinstance(body, tuple):
                for line in body:
                    console.print(Text.assemble(margin, line), soft_wrap=True)
                    margin = Text(" " * GUTTER)
            else:
                grid = Table.grid(padding=0)
                grid.add_column(width=GUTTER, no_wrap=True)
                grid.add_column()
                grid.add_row(margin, body)
                console.print(grid)
            console.print()
    lines = (line.rstrip() for line in text.get().splitlines())
    console.file.write("\n" + "\n".join(lines))
    console.file.flush()


# ---- sections


def data(facts: Facts) -> Section:
    """What was read."""
    columns = facts["columns"]
    rows, missing = facts["rows"], facts["missing"]
    text = f"{facts['file']}: {count(rows, 'row')} of {count(len(columns), 'column')} "
    lines = [text + f"({listed(columns, SHOWN)})"]
    if facts.get("where"):
        lines.append(f"only rows with {' and '.join(facts['where'])}")
    gaps = {name: number for name, number in missing.items() if number}
    if gaps:
        told = listed([f"{name} {number}" for name, number in gaps.items()], FEW)
        total, cells = sum(gaps.values()), rows * len(columns)
        are = "is" if total == 1 else "are"
        lines.append(f"{total} of {cells} cells {are} missing ({told}): used as missing")
    for name, what in (("id", "names the rows"), ("weights", "weighs the rows")):
        if facts.get(name):
            lines.append(f"{facts[name]} {what}")
    skipped = facts["skipped"]
    lines += [f"left out: {one['column']} ({one['reason']})" for one in skipped[:FEW]]
    if len(skipped) > FEW:
        others = listed([one["column"] for one in skipped[FEW:]], FEW)
        lines.append(f"left out, {len(skipped) - FEW} more: {others}")
    lines += [_sentence(note) for note in facts["notes"]]
    return "Read", paragraphs(lines)


def choice(facts: Facts) -> Section:
    """The choice in one sentence, and the best models."""
    criterion = CRITERIA.get(facts["choice"]["criterion"], "score")
    table = _table("components", "covariance", "parameters", criterion, f"Δ{criterion}", "")
    for column, justify in enumerate(("right", "left", "right", "right", "right", "left")):
        table.columns[column].justify = justify  # type: ignore[assignment]
    fitted = [one for one in facts["candidates"] if not one["failure"]]
    for candidate in [one for one in fitted if not one.get("same_as")][:BEST]:
        remark = "" if candidate["converged"] else "not converged"
        table.add_row(
            str(candidate["components"]),
            candidate["covariance"],
            str(candidate["n_parameters"]),
            f"{candidate['score']:.2f}",
            f"{candidate['behind']:.2f}",
            "degenerate" if candidate["degenerate"] else remark,
        )
    sentence = Text(" ".join([facts["choice"]["sentence"], *facts["choice"].get("reasons", [])]))
    if len(facts["candidates"]) < 2:
        return "Chosen", sentence
    failures = [one["failure"] for one in facts["candidates"] if one["failure"]]
    if not failures:
        return "Chosen", Group(sentence, Text(), table)
    remark = f"{len(failures)} of {count(len(facts['candidates']), 'model')} failed: {failures[0]}"
    return "Chosen", Group(sentence, Text(), table, Text(remark, style="dim"))


def components(facts: Sequence[Facts], *, width: int, everything: bool = False) -> Section:
    """Weight, size, and mean ± standard deviation by column."""
    names = list(facts[0]["mean"])
    shown = names if everything else names[:SHOWN]
    body: list[RenderableType] = list(_component_tables(facts, shown, width - GUTTER))
    if len(shown) < len(names):
        more = count(len(names) - len(shown), "more column")
        body.append(Text(f"{more}: mixtura show MODEL tells all", style="dim"))
    return "Components", Group(*body)


def outliers(facts: Facts) -> Section:
    """Degrees of freedom, noise and trimming, and how many rows have label -1."""
    lines = []
    if "dof" in facts:
        kind = {"common": ", common to all components", "fixed": ", held"}.get(facts["dof_tie"], "")
        shown = dict.fromkeys(f"{dof:.3g}" for dof in facts["dof"])
        degrees = listed(list(shown), SHOWN)
        lines.append(f"Student's t with {degrees} degrees of freedom{kind}; ± is its scale")
    if "noise" in facts:
        lines.append(
            f"noise is {100 * facts['noise']:.1f} % of the mixture, spread evenly; the weights "
            "above are those among the components"
        )
    if "trim" in facts:
        share = 100 * facts["trim"]["share"]
        lines.append(f"{share:.3g} % of the rows, those of least density, are left out of the fit")
    told = {"noise_rows": "most probably noise", "trimmed_rows": "trimmed"}
    for name, what in told.items():
        if name in facts:
            are = "is" if facts[name] == 1 else "are"
            lines.append(f"{count(facts[name], 'row')} {are} {what}: label -1")
    return "Outliers", paragraphs(lines)


def certainty(facts: Facts, rows: int) -> Section:
    """How sure the assignment is."""
    doubtful, mean = facts["doubtful"], facts["mean_maximum_responsibility"]
    are = "is" if doubtful <= 1 else "are"
    percent = 100 * doubtful / rows
    shown = f"{percent:.1f}" if percent >= 0.05 else "less than 0.1"
    share = f" ({shown} %)" if doubtful else ""
    who = count(doubtful, "row") if doubtful else "no row"
    return "Certainty", paragraphs(
        [
            f"mean largest responsibility {mean:.3f} (1 is sure)",
            f"{who}{share} {are} doubtful: largest responsibility below {facts['threshold']}",
        ]
    )


def cautions(messages: Sequence[str]) -> Section:
    """Warnings, each once."""
    body = Table.grid(padding=(0, 1))
    for message in messages:
        body.add_row(Text("!", style="yellow"), Text(_sentence(message)))
    return "Warnings", body


def written(files: Sequence[tuple[str, str]]) -> Section:
    """Files and what is in them."""
    return "Written", _pairs(files)


def following(commands: Sequence[tuple[str, str]]) -> Section:
    """Commands to copy, each whole on a line of its own, under what it does."""
    lines: list[Text] = []
    for what, command in commands:
        lines += [Text(f"# {what}", style="dim"), *map(Text, command.splitlines())]
    return "Next", tuple(lines)


def scores(facts: Facts) -> Section:
    """How well a model describes rows."""
    trimmed = facts.get("trimmed_rows")
    numbers = [
        ("rows", str(facts["rows"])),
        *([] if trimmed is None else [("left out, trimmed", str(trimmed))]),
        ("mean log-density", f"{facts['mean_log_density']:.6g}"),
        ("log-likelihood", f"{facts['log_likelihood']:.6f}"),
        ("parameters", str(facts["n_parameters"])),
        ("BIC", f"{facts['bic']:.4f}"),
        ("AIC", f"{facts['aic']:.4f}"),
    ]
    return figures_of(numbers, "Score")


def figures_of(pairs: Sequence[tuple[str, str]], name: str) -> Section:
    """Names and numbers."""
    return name, _pairs(pairs)


# ---- pieces


def paragraphs(lines: Iterable[str]) -> Group:
    return Group(*(Text(line) for line in lines))


def listed(names: Sequence[str], most: int) -> str:
    """Names with commas, at most so many."""
    more = f", … {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def plus_minus(mean: float, sd: float) -> str:
    """A mean to the digits that its standard deviation supports.

    Examples
    --------
    >>> plus_minus(80.7213, 5.6241), plus_minus(1234567.0, 2345.0), plus_minus(3e-9, 1e-10)
    ('80.7 ± 5.6', '1234567 ± 2345', '3e-09 ± 1.0e-10')
    >>> plus_minus(6e-17, 2.5e-7)
    '0 ± 2.5e-07'
    """
    largest = max(abs(mean), sd)
    if not math.isfinite(largest) or sd == 0.0:
        return f"{mean:.4g} ± {sd:.2g}"
    decimals = 1 - math.floor(math.log10(sd))
    if largest >= 1e7 or largest < 1e-3 or decimals > 5:
        digits = 2 + math.floor(math.log10(abs(mean) or sd)) - math.floor(math.log10(sd))
        shown = f"{mean:.{min(max(digits, 2), 7)}g}" if digits > 0 else "0"
        return f"{shown} ± {sd:.1e}"
    decimals = max(decimals, 0)
    return f"{round(mean, decimals) + 0.0:.{decimals}f} ± {sd:.{decimals}f}"


def _component_tables(
    facts: Sequence[Facts], names: Sequence[str], width: int
) -> Iterator[RenderableType]:
    """One table with a row a component if that fits, else tables with a row a column."""
    table = _table("label", "weight", *(["rows"] if _sized(facts) else []), *names)
    for one in facts:
        table.add_row(*_head(one), *(plus_minus(one["mean"][n], _spread(one)[n]) for n in names))
    console = Console(width=10_000)
    if console.measure(table).maximum <= width:
        yield table
        return
    cells = max(len(plus_minus(one["mean"][n], _spread(one)[n])) for one in facts for n in names)
    label = min(max(map(len, names)), NAME)
    at_once = max((width - label - 2) // (max(cells, 6) + 2), 1)
    for start in range(0, len(facts), at_once):
        if start:
            yield Text()
        yield _turned(facts[start : start + at_once], names)


def _turned(facts: Sequence[Facts], names: Sequence[str]) -> Table:
    table = _table("label", *(str(one["label"]) for one in facts), first="left")
    table.columns[0].max_width, table.columns[0].no_wrap = NAME, False
    heads = [_head(one) for one in facts]
    table.add_row("weight", *(head[1] for head in heads))
    if _sized(facts):
        table.add_row("rows", *(head[2] for head in heads))
    for name in names:
        cells = (plus_minus(one["mean"][name], _spread(one)[name]) for one in facts)
        table.add_row(Text(name), *cells)
    return table


def _spread(one: Facts) -> Facts:
    """The scale where the law has one, as its standard deviation may be infinite."""
    spread: Facts = one["scale"] if "scale" in one else one["sd"]
    return spread


def _sized(facts: Sequence[Facts]) -> bool:
    return facts[0].get("size") is not None


def _head(one: Facts) -> list[str]:
    size = [] if one.get("size") is None else [str(one["size"])]
    return [str(one["label"]), f"{one['weight']:.3f}", *size]


def _table(*names: str, first: str = "right") -> Table:
    """A calm table: no lines, dim names, numbers to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for place, name in enumerate(names):
        justify = first if place == 0 else "right"
        table.add_column(Text(name), justify=justify, no_wrap=True)  # type: ignore[arg-type]
    return table


def _pairs(pairs: Sequence[tuple[str, str]]) -> RenderableType:
    """Names with what is said of them beside, or below where the names are long."""
    if max(len(left) for left, _ in pairs) > WIDE:
        return Group(*(Text.assemble(left, "\n  ", (right, "dim")) for left, right in pairs))
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for left, right in pairs:
        table.add_row(Text(left), Text(right, style="dim"))
    return table


def _sentence(text: str) -> str:
    return " ".join(text.split())
