"""How a text table is written, guessed from its first bytes."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["HEAD", "MISSING", "Dialect", "guess_dialect"]

MISSING = (
    *("", "NA", "N/A", "n/a", "na", "NaN", "nan", "NAN", "-nan", "-NaN", "null", "NULL", "Null"),
    *("None", "none", "<NA>", "#N/A", "#NA", "?", ".", "-", "--"),
)
HEAD = 1 << 16  # bytes looked at to guess how the text is written
_NUMBER = re.compile(r"\s*[+-]?((\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?|inf(inity)?)\s*", re.IGNORECASE)
_FRACTION = re.compile("[.,ei]", re.IGNORECASE)
_ROWS = 3  # so many below whole numbers tell that these are names


@dataclass(frozen=True)
class Dialect:
    """How a text table is written."""

    delimiter: str  # a space stands for any run of spaces and tabs
    names: tuple[str, ...]
    header: bool  # whether `names` are the first row of the text
    decimal_point: str = "."
    encoding: str = "utf-8"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was guessed of the first row, where that may be wrong."""
        if not self.header:
            first = ", ".join(self.names[:3]) + (", …" if len(self.names) > 3 else "")
            return (f"the first row holds numbers: columns named {first}",)
        odd = next((name for name in self.names if _NUMBER.fullmatch(name)), None)
        if odd is None:
            return ()
        return (
            f"the first row is taken for names, though {odd} is a number: if it is data, put a row "
            "of names above it",
        )


def guess_dialect(head: bytes) -> Dialect:
    r"""Delimiter, header, decimal point and encoding, from the first bytes of a text.

    Examples
    --------
    >>> guess_dialect(b"a;b\n1,5;2\n")
    Dialect(delimiter=';', names=('a', 'b'), header=True, decimal_point=',', encoding='utf-8')
    >>> guess_dialect(b"5.1\t3.5\n4.9\t3.0\n").names
    ('x1', 'x2')
    """
    encoding = _encoding(head)
    lines = _whole_lines(head.decode(encoding, errors="replace").lstrip("\ufeff"))
    delimiter = _delimiter(lines)
    rows = _split(lines, delimiter)
    header = not rows or not _starts_with_data(rows)
    first = rows[0] if rows else []
    names = [cell.strip() for cell in first] if header else [f"x{i + 1}" for i in range(len(first))]
    comma = delimiter != "," and _has_decimal_comma(rows[header:])
    return Dialect(delimiter, tuple(names), header, "," if comma else ".", encoding)


def _encoding(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        head[: head.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _whole_lines(text: str) -> list[str]:
    """The lines of a text that may be cut off in its last one; blank ones left out."""
    lines = text.splitlines(keepends=True)
    if len(text) >= HEAD // 4 and len(lines) > 1:
        lines = lines[:-1]
    return [line for line in lines if line.strip()]


def _split(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    if delimiter == " ":
        return [line.split() for line in lines]
    try:
        return [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return [line.split(delimiter) for line in lines]


def _delimiter(lines: Sequence[str]) -> str:
    """The sign that cuts every line alike, else the one most seen in the first line."""
    for candidate in ";\t|,":
        if len({len(row) for row in _split(lines, candidate)} - {1}) == 1 and all(
            len(row) > 1 for row in _split(lines, candidate)
        ):
            return candidate
    first = lines[0] if lines else ""
    likely = max(",;\t|", key=first.count)
    if first.count(likely):
        return likely
    widths = {len(line.split()) for line in lines}
    return " " if len(widths) == 1 and widths.pop() > 1 else ","


def _starts_with_data(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row holds data rather than names.

    It does when all its cells are numbers or missing, unless they count up above fractions, or when
    it has a number with a decimal point and a number in every column that has one in the second
    row.
    """
    first = rows[0]
    numbers = [bool(_NUMBER.fullmatch(cell)) for cell in first]
    if not any(numbers):
        return False
    if all(number or cell.strip() in MISSING for number, cell in zip(numbers, first, strict=True)):
        return not _counts_up(rows)
    fractional = any(n and "." in cell for n, cell in zip(numbers, first, strict=True))
    second = rows[1] if len(rows) > 1 else []
    return fractional and all(
        number or not _NUMBER.fullmatch(cell) for number, cell in zip(numbers, second, strict=False)
    )


def _counts_up(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row is like 0, 1, 2 or 2019, 2020 above fractions alone.

    The first cell may be empty, above row numbers.
    """
    named = range(not rows[0][0].strip(), len(rows[0]))
    whole = [rows[0][i].strip() for i in named]
    if len(whole) < 2 or len(rows) <= _ROWS or not all(map(str.isdecimal, whole)):
        return False
    if not all(int(a) < int(b) for a, b in pairwise(whole)):
        return False
    below = [row[i] for row in rows[1:] for i in named if i < len(row)]
    numbers = [cell for cell in below if cell.strip() not in MISSING]
    return bool(numbers) and all(map(_FRACTION.search, numbers))


def _has_decimal_comma(rows: Sequence[Sequence[str]]) -> bool:
    numbers = [cell for row in rows for cell in row if _NUMBER.fullmatch(cell)]
    return any("," in cell for cell in numbers) and not any("." in cell for cell in numbers)
