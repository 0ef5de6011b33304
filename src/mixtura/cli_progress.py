"""The line on a terminal that tells how far a command is, how fast, and how long it will take."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mixtura.cli_facts import Facts
from mixtura.fit.em import State, Stop
from mixtura.fit.watching import Watch
from mixtura.report import console_on

SEEN = 5
"""Rounds of a climb from which the rest of it is foretold."""


@dataclass(frozen=True)
class Seen:
    """A climb at some time: E-steps taken, and the estimated gain that remains, nats a row."""

    at: float
    steps: int
    remaining: float


class Pace:
    """How fast rows go by in the fits of some models, and how long these still take.

    Parameters
    ----------
    rows : int
        Of each pass.
    sizes : sequence of int
        Components of each model; what a model takes is guessed to be in proportion.
    stop : Stop
        When a climb ends.
    clock : function
        Seconds.
    """

    def __init__(
        self,
        rows: int,
        sizes: Sequence[int],
        stop: Stop = Stop(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows, self._sizes, self._stop, self._clock = rows, sizes, stop, clock
        self._begun, self._lock = clock(), threading.Lock()
        self._climbs: dict[tuple[int, str], list[Seen]] = {}
        self._steps, self._first, self._last = 0, math.nan, math.nan
        self.over: list[int] = []

    def tell(self, k: int, name: str, state: State | None) -> None:
        """Take note of where a climb stands, or that a fit is over (`mixtura.fit.watching`)."""
        with self._lock:
            now = self._clock()
            if state is None:
                self.over.append(k)
                return
            seen = self._climbs.setdefault((k, name), [])
            if seen and state.n_iter <= seen[-1].steps:
                seen.clear()  # a rescue or a second opinion: another climb
            before = seen[-1].steps if seen else None
            if before is None and len(self._sizes) > 1:
                before = 0  # many a climb of a grid is over with its first round
            if math.isnan(self._first):
                self._first = now if before is None else self._begun
            if before is not None:
                self._steps += state.n_iter - before
                self._last = now
            seen.append(Seen(now, state.n_iter, state.remaining))
            del seen[:-SEEN]

    @property
    def seconds(self) -> float:
        """Of one pass over the rows, by all fits that go on side by side; NaN when unknown."""
        return (self._last - self._first) / self._steps if self._steps else math.nan

    def left(self) -> tuple[str, float]:
        """ "about" or "at most", and seconds; NaN when nothing can be said."""
        if len(self._sizes) > 1:
            done = sum(self.over) / sum(self._sizes)
            spent = self._clock() - self._begun
            return "about", spent * (1.0 - done) / done if done else math.nan
        seen = next(iter(self._climbs.values()), [])
        if len(seen) < 2 or math.isnan(self.seconds):
            return "at most", math.nan
        most = max(self._stop.max_iter - seen[-1].steps, 0)
        steps = _steps_left(seen, self._stop.tol)
        word, steps = ("about", steps) if steps < most else ("at most", most)
        return word, steps * self.seconds

    def text(self) -> str:
        """What is known, in words."""
        with self._lock:
            said = []
            if len(self._sizes) > 1:
                said.append(f"{len(self.over)} of {len(self._sizes)} models")
            else:
                said += _where(next(iter(self._climbs.values()), []))
            if self._steps:
                said.append(f"{_short(self._rows / self.seconds)} rows/s")
            word, left = self.left()
            return ", ".join([*said, *([] if math.isnan(left) else [f"{word} {_time(left)} left"])])


def _where(seen: Sequence[Seen]) -> list[str]:
    if not seen:
        return []
    gain = seen[-1].remaining
    return [f"step {seen[-1].steps}", *([f"gain {gain:.0e}"] if gain < math.inf else [])]


def _steps_left(seen: Sequence[Seen], tol: float) -> float:
    """E-steps until a gain that shrinks as it has in these rounds is below the tolerance.

    Infinite where it does not shrink.
    """
    known = [one for one in seen if 0.0 < one.remaining < math.inf]
    if len(known) < 3 or not known[-1].remaining < known[0].remaining:
        return math.inf
    first, last = known[0], known[-1]
    rate = math.log(first.remaining / last.remaining) / (last.steps - first.steps)
    return max(math.log(last.remaining / tol), 0.0) / rate if tol > 0 else math.inf


class Line:
    """One line on a terminal; on nothing where nobody looks."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._task = None if progress is None else progress.add_task("", total=None, said="")

    def begin(self, what: str, total: int | None = None) -> None:
        """Another thing is being done, of which there are so many."""
        if self._progress is not None and self._task is not None:
            self._progress.reset(self._task, description=what, total=total, said="")

    def tell(self, done: int, said: str = "") -> None:
        """So much is done."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, said=said)

    def following(self, pace: Pace) -> Watch:
        """What fits tell their states to."""

        def watch(k: int, name: str, state: State | None) -> None:
            pace.tell(k, name, state)
            self.tell(len(pace.over), pace.text())

        return watch

    def counting(self, write: Callable[[Facts], object]) -> Callable[[Facts], None]:
        """What counts the rows that it writes."""
        done = 0

        def counted(columns: Facts) -> None:
            nonlocal done
            write(columns)
            done += len(columns["label"])
            self.tell(done, f"{done:,} rows")

        return counted


@contextmanager
def line(*, quiet: bool) -> Iterator[Line]:
    """A line that is there while the block lasts, if standard error is a terminal."""
    console = console_on(sys.stderr)
    if quiet or not console.is_terminal:
        yield Line(None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=6),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Line(progress)


def _short(number: float) -> str:
    """Two or three digits with a letter.

    Examples
    --------
    >>> _short(1234567.0), _short(950.0)
    ('1.2 M', '950')
    """
    for letter, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.{1 if number < 10 * size else 0}f} {letter}"
    return f"{number:.0f}"


def _time(seconds: float) -> str:
    """Seconds, minutes or hours.

    Examples
    --------
    >>> _time(12.3), _time(300.0), _time(9000.0)
    ('12 s', '5 min', '2.5 h')
    """
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400.0 else f"{seconds / 3600:.1f} h"
