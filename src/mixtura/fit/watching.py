"""What the fits of a grid tell while they are at work, and how they are interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mixtura.fit.em import Keep, State
from mixtura.fit.second_chance import Cell

__all__ = ["Progress", "Watch", "Watched"]

Progress = Callable[[int, int], object]
"""Called with how many models are fitted, and of how many."""

Watch = Callable[[int, str, State | None], object]
"""Called with a model's number of components, its family, and where its climb stands after each
round of steps; with None when its fit is over."""


class Watched:
    """The followers of a grid; once it is interrupted no climb goes on to another round.

    Threads cannot be interrupted from outside.
    """

    def __init__(
        self, total: int, progress: Progress | None = None, watch: Watch | None = None
    ) -> None:
        self._total, self._progress, self._watch = total, progress, watch
        self._done, self._lock = 0, threading.Lock()
        self._interrupted = threading.Event()

    def climb(self, k: int, name: str) -> Keep:
        """What is called with the state of a climb."""

        def keep(state: State) -> None:
            if self._interrupted.is_set():
                raise KeyboardInterrupt
            if self._watch is not None:
                self._watch(k, name, state)

        return keep

    def over(self, cell: Cell) -> Cell:
        """Passes a fitted cell through."""
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total)
            if self._watch is not None:
                self._watch(cell.k, cell.rule.name, None)
        return cell

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Whatever ends the block ends the climbs."""
        try:
            yield
        except BaseException:
            self._interrupted.set()
            raise
