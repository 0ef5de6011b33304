"""Streams: stochastic EM on statistics that forget (Cappé & Moulines 2009).

``s ← (1 - γ) s + γ s̄`` with s̄ the statistics of the new rows under the mixture so far, and then the
M-step. Statistics are a vector space, so expectation and maximization are those of any fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np

from mixtura._errors import DriftWarning
from mixtura._types import Array, Rows
from mixtura.block import Block
from mixtura.covariance import Family
from mixtura.fit.drift import SHARE, Watch
from mixtura.fit.fitting import Note, Outcome, fitted
from mixtura.fit.given import given_start
from mixtura.fit.problem import Problem
from mixtura.fit.sample import SIZE
from mixtura.fit.task import Task
from mixtura.mixture import Mixture
from mixtura.source import MemorySource
from mixtura.source.memory import one_blas_thread
from mixtura.statistics import Statistics

__all__ = ["SCHEDULE", "Learnt", "Schedule", "Stream"]

KEPT = 10_000
"""Calls whose scores are kept."""

BETTER = 1.0
"""Nats by which another start must be better for components to lose their places after a drift."""


@dataclass(frozen=True)
class Schedule:
    """How fast a stream forgets: ``γ_t = (t + delay)^(-power)``.

    Time t runs in units of the rows that the stream began with, where it is one: a step over u
    units has the weight ``1 - (1 - γ_t)^u``, so it matters little how rows are cut. Powers between
    ½ and 1 converge on stationary rows; the smaller, the sooner is forgotten.

    Examples
    --------
    >>> [round(SCHEDULE.share(t, 1.0), 2) for t in (1.0, 10.0, 100.0)]
    [0.66, 0.24, 0.06]
    """

    power: float = 0.6
    delay: float = 1.0

    def share(self, time: float, units: float) -> float:
        """What rows of so many units weigh against all before them."""
        return float(1.0 - (1.0 - (time + self.delay) ** -self.power) ** units)


SCHEDULE = Schedule()
"""The schedule of every stream."""


@dataclass(frozen=True, eq=False)
class Learnt:
    """What a stream knows.

    Attributes
    ----------
    problem : Problem
        Over no rows, in the frame of the first ones.
    mixture : Mixture
    data : Statistics
        Averages of what is remembered: of weight one.
    unit : float
        Weight of the rows that the stream began with.
    time : float
        Of the schedule; one at the beginning.
    doubt : float
        ``Σ c²`` over the shares c that all units of weight have in the averages: one over the
        weight that is remembered, against which a prior counts.
    watch : Watch
    """

    problem: Problem
    mixture: Mixture
    data: Statistics
    unit: float
    time: float
    doubt: float
    watch: Watch

    @classmethod
    def of(cls, problem: Problem, mixture: Mixture) -> Learnt:
        """What the rows of a problem tell under the mixture that was fitted to them."""
        weight, block = problem.summary.weight, problem.source.take(slice(None))
        mean = float(np.average(scores := mixture.logpdf(block.rows), weights=block.weights))
        variance = float(np.average((scores - mean) ** 2, weights=block.weights))
        nothing = replace(problem, source=MemorySource(block.rows[:0]))
        data = (1.0 / weight) * problem.at(mixture).data
        watch = Watch(variance, SHARE * weight)
        return cls(nothing, mixture, data, weight, 1.0, 1.0 / weight, watch)

    def after(self, block: Block) -> tuple[Learnt, float, bool]:
        """After one step over rows: the mean log score that they had before, and if they drift.

        The statistics move to the means at each step, so that they lose no digits underway.
        """
        problem = _over(self.problem, block)
        weight, pivot = problem.summary.weight, self.mixture.location
        found = problem.at(self.mixture).data
        score = found.log_likelihood / weight + problem.volume
        watch, drifted = self.watch.after(score, weight)
        units = weight / self.unit
        share = SCHEDULE.share(self.time, units)
        data = (1.0 - share) * self.data.about(pivot) + (share / weight) * found.about(pivot)
        doubt = (1.0 - share) ** 2 * self.doubt + share**2 / weight
        mixture = problem.maximized((1.0 / doubt) * data, self.mixture)
        now = replace(
            self,
            mixture=mixture,
            data=data,
            time=self.time + units,
            doubt=doubt,
            watch=watch,
        )
        return now, score, drifted


def _over(problem: Problem, block: Block) -> Problem:
    """The problem over some rows, which may have gaps."""
    each = block.weight()
    observed = each @ ~np.isnan(block.rows)
    summary = replace(problem.summary, weight=float(each.sum()), observed=observed)
    return replace(problem, source=MemorySource(block.rows, block.weights), summary=summary)


Told = tuple[float, float]
"""The mean log score of some rows, and their weight."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows that come call by call: the first ones gathered, the others learnt and let go.

    After a drift rows are gathered again, as at the beginning.

    Attributes
    ----------
    task : Task
        Over no rows.
    rule : Family
    k : int
    gathered : Block
        Rows that are not learnt yet.
    mixture : Mixture or None
        What is known so far.
    last : Mixture or None
        What to start from in place of a tournament: a fit that the user goes on from, or what was
        known before a drift.
    tried : int
        Rows gathered when they were last fitted.
    learnt : Learnt or None
        None while rows are gathered.
    calls, rows, steps : int
        So far.
    scores : tuple of float
        Held-out log scores of the last calls, nats a row; NaN where there was no mixture yet.
    drifts : tuple of int
        The calls, counted from zero, in which a drift was seen.
    """

    task: Task
    rule: Family
    k: int
    gathered: Block
    mixture: Mixture | None = None
    last: Mixture | None = None
    tried: int = 0
    learnt: Learnt | None = None
    calls: int = 0
    rows: int = 0
    steps: int = 0
    scores: tuple[float, ...] = ()
    drifts: tuple[int, ...] = ()

    def after(self, rows: Rows, weights: Array | None) -> tuple[Stream, list[Note]]:
        """After one more call with rows (n, d); and what the user should know."""
        now, notes, told, at = self, list[Note](), list[Told](), 0
        with one_blas_thread():
            while at < len(rows):
                rest = rows[at:], None if weights is None else weights[at:]
                if now.learnt is None:
                    now, more, used, own = now._gathered(*rest)
                else:
                    now, more, used, own = now._stepped(now.learnt, *rest)
                told, notes, at = told + more, notes + own, at + used
        weight = sum(one for _, one in told)
        score = sum(one * each for one, each in told) / weight if weight > 0 else float("nan")
        scores = (*self.scores, score)[-KEPT:]
        return replace(now, calls=self.calls + 1, rows=self.rows + len(rows), scores=scores), notes

    def _gathered(
        self, rows: Rows, weights: Array | None
    ) -> tuple[Stream, list[Told], int, list[Note]]:
        """The first of some rows among those gathered, which are fitted once they are enough.

        Until the first fit to all, there is one whenever they have doubled.
        """
        k, d = self.k, rows.shape[1]
        enough = _enough(k, d)
        used = min(len(rows), enough - len(self.gathered))
        more = Block(rows, weights).take(slice(used))
        whole, told = _joined(self.gathered, more), _scored(self.mixture, more)
        now = replace(self, gathered=whole)
        if len(whole) < min(max(2 * self.tried, 2 * k * (d + 1)), enough):
            return now, told, used, []
        problem = self.task.problem(self.rule, k, MemorySource.of(whole))
        outcome = self._fitted(problem)
        now = replace(now, mixture=outcome.fit.mixture, tried=len(whole))
        if len(whole) < enough:
            return now, told, used, []
        learnt = Learnt.of(problem, outcome.fit.mixture)
        now = replace(now, gathered=whole.take(slice(0)), learnt=learnt)
        return now, told, used, list(outcome.notes)

    def _fitted(self, problem: Problem) -> Outcome:
        """The fit to the rows gathered.

        After a drift the components stay who they are unless another start finds something better.
        """
        task, k = self.task, self.k
        fit = partial(fitted, problem, k, stop=task.stop, fields=task.fields)
        last = None if self.last is None else problem.adopted(self.last)
        start = last or given_start(problem, k, task.start, task.rng(k))
        outcome = fit(task.rng(k), start=start)
        if not self.drifts:
            return outcome
        other = fit(task.rng(k))
        gain = (other.fit.value - outcome.fit.value) * problem.summary.weight
        return other if gain > BETTER else outcome

    def _stepped(
        self, learnt: Learnt, rows: Rows, weights: Array | None
    ) -> tuple[Stream, list[Told], int, list[Note]]:
        """Some rows learnt, a unit's worth at a time, as far as there is no drift."""
        block, told = Block(rows, weights), list[Told]()
        pieces = max(round(block.total_weight / learnt.unit), 1)
        for ends in pairwise(np.linspace(0, len(rows), pieces + 1).astype(int).tolist()):
            part = block.take(slice(*ends))
            if not part.weight().any():
                continue
            learnt, score, drifted = learnt.after(part)
            told.append((score, part.total_weight))
            if drifted:
                return self._drifted(learnt.mixture), told, ends[1], [_drift_note(self.calls)]
        now = replace(self, learnt=learnt, mixture=learnt.mixture, steps=self.steps + len(told))
        return now, told, len(rows), []

    def _drifted(self, mixture: Mixture) -> Stream:
        """With nothing but a mixture to go on from."""
        return replace(
            self,
            mixture=mixture,
            last=mixture,
            learnt=None,
            tried=_enough(self.k, mixture.n_features),
            drifts=(*self.drifts, self.calls),
        )


def _scored(mixture: Mixture | None, block: Block) -> list[Told]:
    """What a mixture says of rows, if there is one."""
    each = block.weight()
    if mixture is None or not each.any():
        return []
    return [(float(np.average(mixture.logpdf(block.rows), weights=each)), float(each.sum()))]


def _joined(one: Block, other: Block) -> Block:
    """The rows and weights of both."""
    rows = np.concatenate([one.rows, other.rows])
    if one.weights is None and other.weights is None:
        return Block(rows)
    return Block(rows, np.concatenate([one.weight(), other.weight()]))


def _enough(k: int, d: int) -> int:
    """Rows that a stream begins with."""
    return max(SIZE, 10 * k * d)


def _drift_note(call: int) -> Note:
    text = (
        f"the rows of call {call} of partial_fit (counted from 0) fall short of those before by "
        "more than chance: the stream has drifted, and what came before is forgotten; see "
        "stream_scores_"
    )
    return Note(DriftWarning, text)
