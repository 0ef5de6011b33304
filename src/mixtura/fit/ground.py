"""What the cells of a grid share: the rows read once, samples of them, and the starts."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import TYPE_CHECKING, Any

from mixtura.covariance import Family
from mixtura.fit.fitting import Field
from mixtura.fit.problem import Problem
from mixtura.fit.sample import draw, sample_size, viewed
from mixtura.fit.start import Partitions, entrants
from mixtura.fit.summary import Summary, summarize
from mixtura.kernels.layout import FACTOR
from mixtura.source import Source

if TYPE_CHECKING:
    from mixtura.fit.task import Task


class Ground:
    """The shared part of a grid's fits, each piece made when first asked for.

    The starts of k components are the same partitions for all families that see the rows in the
    same coordinates, so one family can be compared with another.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._kept: dict[Hashable, _Once] = {}
        self._lock = Lock()

    def problem(self, rule: Family, k: int) -> Problem:
        """The problem of one cell."""
        return self._task.problem(rule, k, self._source(k), self._summary())

    def field(self, problem: Problem, k: int) -> Field:
        """Where the tournament of one cell runs."""
        size = sample_size(problem, k)
        rows = (size if size < problem.source.n else 0, self._told(k))
        place = (problem.frame.scale.tobytes(), *rows)
        drawn = self._keep(("draw", *place), lambda: draw(problem, k, self._task.rng(0)))
        flat = ("flat", problem.family.name, *place)
        sample = viewed(problem, drawn, self._keep(flat, lambda: viewed(problem, drawn).flat))
        fields, rng = 2 * self._task.fields, self._task.rng(k)  # as many as can be afforded
        low_rank = problem.family.moments.shape == FACTOR  # has an entrant of its own
        made = ("starts", k, low_rank, *place)
        starts = self._keep(made, lambda: Partitions(entrants(sample, k, rng, fields)))
        return Field(sample, starts, rows)

    def _source(self, k: int) -> Source:
        made: Source = self._keep(("source", self._told(k)), lambda: self._task.told(k))
        return made

    def _summary(self) -> Summary:
        made: Summary = self._keep("summary", lambda: summarize(self._task.source))
        return made

    def _told(self, k: int) -> int:
        """Labels are spelled out for each k anew."""
        return 0 if not self._task.labelled else k

    def _keep(self, key: Hashable, make: Callable[[], Any]) -> Any:
        with self._lock:
            once = self._kept.setdefault(key, _Once())
        return once.get(make)


class _Once:
    """A value made by whoever asks first, while the others wait."""

    def __init__(self) -> None:
        self._lock, self._made, self._value = Lock(), False, None

    def get(self, make: Callable[[], Any]) -> Any:
        with self._lock:
            if not self._made:
                self._value, self._made = make(), True
        return self._value
