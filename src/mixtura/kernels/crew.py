"""Threads that work on one compiled job together, and watch a little while for the next one."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from threading import Lock
from typing import Any, TypeVar

import numpy as np

__all__ = ["Crew"]

T = TypeVar("T")

WORDS = 64
STATE, NEXT, ROUND, HELPED = 0, 16, 32, 48
CODE, GIVEN, YIELD, PASS, SWEEP, BLOCKS = 33, 34, 35, 36, 37, 38
"""Control words, in which threads tell each other: how many helpers are inside and whether there is
a job, the next piece, the number of the job and of the last one that had a helper; its code, what
it is given, how to let other processes run; the code of a pass over rows, that of one over a block,
and the number of blocks."""

_PATIENCE = 1000
"""Waits of a microsecond or two after which a helper goes to sleep."""


class Crew:
    """The thread that calls and others that help it; one job at a time.

    Parameters
    ----------
    threads : int
        Of all.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._control = np.zeros(WORDS, np.int64)
        self._control[YIELD] = ctypes.cast(_give_way(), ctypes.c_void_p).value or 0
        self._helping: list[Future[None]] = []
        self._busy = Lock()

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads - 1)

    def does(self, job: Callable[[Any], T]) -> T | None:
        """What a job returns that lets helpers in by the control words; None while busy."""
        from mixtura.kernels.compiled_crew import helper

        if not self._busy.acquire(blocking=False):
            return None
        try:
            attend = helper()
            self._helping = [one for one in self._helping if not one.done()]
            for _ in range(self.threads - 1 - len(self._helping)):
                self._helping.append(self._pool.submit(attend, self._control, _PATIENCE))
            return job(self._control)
        finally:
            self._busy.release()

    @property
    def helped(self) -> int:
        """The number of the last job that had a helper."""
        return int(self._control[HELPED])


def _give_way() -> Any:
    """The C function that lets other threads run."""
    if os.name == "nt":
        return ctypes.WinDLL("kernel32").SwitchToThread  # type: ignore[attr-defined]
    return ctypes.CDLL(None).sched_yield
