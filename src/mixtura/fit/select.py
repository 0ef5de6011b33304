"""How many components, and which family: a grid of fits and a criterion."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixtura import _checks, kernels
from mixtura._errors import InputError, InputTypeError, MixturaError, MixturaWarning
from mixtura._types import Array, Indices
from mixtura.block import Block
from mixtura.covariance import FAMILIES, Factor, Family, named
from mixtura.expectation import hard, soft
from mixtura.fit.em import Fit, Stop
from mixtura.fit.fitting import Note, fitted, renamed, seconds
from mixtura.fit.given import Start, given_start
from mixtura.fit.problem import Problem, state, with_prior
from mixtura.mixture import Mixture
from mixtura.source import MemorySource

CRITERIA = ("bic", "aic", "icl", "cv")
FOLDS = 5


@dataclass(frozen=True)
class Candidate:
    """One cell of the grid. All criteria are signed so that smaller is better.

    Attributes
    ----------
    n_components : int
    covariance_type : str
    log_likelihood : float
        Total over the rows, by weight.
    n_parameters : int
    bic, aic, icl : float
        ``-2 log L + p log n``, ``-2 log L + 2 p``, and BIC plus twice the entropy of the
        classification, ``-2 Σ log max_k r_ik`` (Biernacki et al. 2000).
    score : float
        The criterion asked for; for "cv" minus twice the held-out log-likelihood.
    converged, degenerate : bool
        A degenerate candidate has a component on the floor of the covariances; its likelihood
        says nothing.
    n_iter : int
    failure : str or None
        Why there is no fit.
    """

    n_components: int
    covariance_type: str
    log_likelihood: float = float("nan")
    n_parameters: int = 0
    bic: float = float("inf")
    aic: float = float("inf")
    icl: float = float("inf")
    score: float = float("inf")
    converged: bool = False
    degenerate: bool = False
    n_iter: int = 0
    failure: str | None = None

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Sound candidates first, then by score."""
        return (self.failure is not None, self.degenerate, self.score)


@dataclass(frozen=True, eq=False)
class Selection:
    """The grid of candidates and the fit of the best.

    Attributes
    ----------
    candidates : tuple of Candidate, in the order of the grid
    best : Candidate
    fit : Fit
        Of the best.
    criterion : str
    notes : tuple of Note
        What the user should know of the best fit.
    """

    candidates: tuple[Candidate, ...]
    best: Candidate
    fit: Fit
    criterion: str
    notes: tuple[Note, ...] = ()

    def ranked(self) -> tuple[Candidate, ...]:
        """The candidates, best first."""
        return tuple(sorted(self.candidates, key=lambda candidate: candidate.rank))

    def __repr__(self) -> str:
        lines = [self.sentence()]
        for c in self.ranked()[:5]:
            lines.append(
                f"  {c.n_components:3d} {c.covariance_type:16s}"
                f"{_NAMES[self.criterion]} {c.score:.2f}  +{c.score - self.best.score:.2f}"
            )
        return "\n".join(lines)

    def sentence(self) -> str:
        """The choice in words."""
        best = self.best
        noun = "component" if best.n_components == 1 else "components"
        tried = {candidate.n_components for candidate in self.candidates}
        text = (
            f"{best.n_components} {noun} with {best.covariance_type} covariance "
            f"{'has' if best.n_components == 1 else 'have'} the best {_NAMES[self.criterion]}"
        )
        others = [c for c in self.ranked() if c is not best and c.failure is None]
        if others:
            other = others[0]
            text += (
                f", ahead of {other.n_components} with {other.covariance_type} covariance "
                f"by {other.score - best.score:.1f}"
            )
        if best.n_components == max(tried) and len(tried) > 1:
            text += "; that is the most that was tried: try more"
        return text + "."


_NAMES = {"bic": "BIC", "aic": "AIC", "icl": "ICL", "cv": "cross-validated log-likelihood"}


@dataclass(frozen=True)
class Task:
    """What all cells of a grid share."""

    source: MemorySource
    criterion: str
    seed: int
    stop: Stop
    prior: Any = None
    reg_covar: float | None = None
    assign: Any = soft
    equal_weights: Any = False
    fields: int = 1
    names: tuple[str, ...] | None = None
    labels: Any = None
    start: Start = Start()

    def problem(self, rule: Family, k: int, source: MemorySource) -> Problem:
        """The problem of one cell."""
        stated = state(source, rule, reg_covar=self.reg_covar, assign=self.assign, names=self.names)
        stated = replace(stated, equal_weights=self.equally(rule))
        return with_prior(stated, self.prior, k)

    def equally(self, rule: Family) -> bool:
        """Whether the family's components weigh the same; "auto" where that makes k-means."""
        if self.equal_weights == "auto":
            return self.assign is hard and rule.name == "equal-spherical"
        return bool(self.equal_weights)

    def told(self, k: int, rows: Indices | slice = slice(None)) -> MemorySource:
        """The rows with their labels spelled out for k components."""
        whole = self.source.whole
        plausibility = _checks.plausibility(self.labels, len(whole), k)
        block = Block(whole.rows, whole.weights, plausibility).take(rows)
        return MemorySource(block.rows, block.weights, block.plausibility, self.source.threads)

    def rng(self, k: int) -> np.random.Generator:
        """The same starts for every family of k components."""
        return np.random.default_rng([self.seed, k])


def select(
    X: Any,
    components: Any = range(1, 10),
    families: Any = "all",
    *,
    criterion: str = "bic",
    sample_weight: Any = None,
    labels: Any = None,
    prior: Any = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    random_state: int = 0,
    n_jobs: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Selection:
    """Choose the number of components and the covariance family by a criterion.

    Parameters
    ----------
    X : (n, d) array_like or data frame
        NaN where unobserved.
    components : int or iterable of int, default=1..9
    families : str or sequence of str, default="all"
        Names of covariance families.
    criterion : {"bic", "aic", "icl", "cv"}, default="bic"
        Smaller is better; "cv" is minus twice the log-likelihood held out in 5 folds.
    sample_weight : (n,) array_like, optional
    labels : (n,) or (n, k) array_like, optional
        Known components, -1 for unknown.
    prior : None, "fraley-raftery" or Conjugate
    tol, max_iter
        As in `GaussianMixture`.
    random_state : int, default=0
    n_jobs : int, optional
        Fits side by side; all cores by default.
    progress : callable, optional
        Called with (done, total) after each fit.

    Returns
    -------
    Selection

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import select
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (80, 2)), rng.normal(8, 1, (80, 2))])
    >>> select(X, range(1, 4), "spherical").best.n_components
    2
    """
    read = _checks.table(X)
    task = Task(
        MemorySource(*_checks.weighted(read.rows, sample_weight)),
        criterion,
        random_state,
        Stop(tol, max_iter),
        prior,
        names=read.names,
        labels=labels,
    )
    return grid(task, counts(components), rules(families), n_jobs, progress)


def grid(
    task: Task,
    components: Sequence[int],
    families: Sequence[Family],
    n_jobs: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Selection:
    """Fit every cell, side by side, and keep the best."""
    if task.criterion not in CRITERIA:
        raise InputError(f"criterion={task.criterion!r} is unknown: use one of {CRITERIA}")
    cells = [(k, rule) for k in components for rule in families]
    whole = task.problem(families[0], 1, task.source)
    kernels.prepare(sum(seconds(whole, k) for k, _ in cells))
    done, lock = [0], threading.Lock()

    def one(cell: tuple[int, Family]) -> tuple[Candidate, Fit | None, tuple[Note, ...]]:
        result = _cell(task, *cell)
        with lock:
            done[0] += 1
            if progress is not None:
                progress(done[0], len(cells))
        return result

    with ThreadPoolExecutor(threads(n_jobs)) as pool:
        found = list(pool.map(one, cells))
    candidate, fit, notes = min(found, key=lambda result: result[0].rank)
    notes = (*notes, *_weight_notes(task))
    if fit is None:
        raise InputError(f"no fit succeeded; the first failure: {found[0][0].failure}")
    table = tuple(result[0] for result in found)
    return Selection(table, candidate, renamed(fit, task.names), task.criterion, notes)


def _weight_notes(task: Task) -> list[Note]:
    """Weights that are shares instead of repetitions leave BIC without a penalty."""
    weights = task.source.whole.weights
    if weights is None or task.criterion not in ("bic", "icl"):
        return []
    total, rows = float(weights.sum()), int(np.count_nonzero(weights))
    if total >= 0.1 * rows:
        return []
    text = (
        f"the weights sum to {total:.3g} over {rows} rows: {_NAMES[task.criterion]} takes the sum "
        "as the number of rows; multiply the weights so that they count repetitions"
    )
    return [Note(MixturaWarning, text)]


def counts(components: Any) -> list[int]:
    """Numbers of components from an int, "auto" for 1..9, or an iterable.

    Raises
    ------
    InputError, InputTypeError
        Empty, below one, or not whole numbers.
    """
    if isinstance(components, str) and components == "auto":
        return list(range(1, 10))
    whole = isinstance(components, (int, np.integer))
    if not whole and (isinstance(components, (str, float)) or not hasattr(components, "__iter__")):
        raise InputTypeError(f'n_components={components!r}: use a number, numbers or "auto"')
    listed = [components] if whole else list(components)
    if not listed or any(int(k) != k or k < 1 for k in listed):
        raise InputError(f"n_components={components!r}: numbers must be whole and at least 1")
    return sorted({int(k) for k in listed})


def rules(families: Any) -> list[Family]:
    """Families from "all", a name, or names."""
    if isinstance(families, (str, Factor)):
        return list(FAMILIES.values()) if families == "all" else named(families)
    if families is None or not hasattr(families, "__iter__") or not list(families):
        raise InputTypeError(f'covariance_type={families!r}: use a name, names or "all"')
    return [rule for name in families for rule in named(name)]


def threads(n_jobs: int | None) -> int:
    """How many threads to use: all cores by default, one inside a worker process."""
    import multiprocessing

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if n_jobs is None:
        return 1 if multiprocessing.parent_process() is not None else int(cores or 1)
    if n_jobs == 0:
        raise InputError("n_jobs=0 means nothing: use a number of threads, or -1 for all cores")
    return n_jobs if n_jobs > 0 else max(int(cores or 1) + 1 + n_jobs, 1)


def _cell(task: Task, k: int, rule: Family) -> tuple[Candidate, Fit | None, tuple[Note, ...]]:
    try:
        problem = task.problem(rule, k, task.told(k))
        start = given_start(problem, k, task.start, task.rng(k))
        outcome = fitted(problem, k, task.rng(k), start=start, stop=task.stop, fields=task.fields)
        candidate = judged(task, problem, outcome.fit, rule, outcome.degenerate)
    except MixturaError as error:
        return Candidate(k, rule.name, failure=str(error)), None, ()
    return candidate, outcome.fit, outcome.notes


def judged(task: Task, problem: Problem, fit: Fit, rule: Family, degenerate: bool) -> Candidate:
    """The criteria of a fit."""
    k, d = fit.mixture.location.shape
    likelihood, sharpness = totals(fit.mixture, problem)
    p = n_parameters(rule, k, d, task.equally(rule))
    n = problem.summary.weight
    bic = -2.0 * likelihood + p * float(np.log(n))
    scores = {
        "bic": bic,
        "aic": -2.0 * likelihood + 2.0 * p,
        "icl": bic - 2.0 * sharpness,
    }
    if task.criterion == "cv":
        scores["cv"] = -2.0 * held_out(task, k, rule)
    return Candidate(
        k,
        rule.name,
        likelihood,
        p,
        scores["bic"],
        scores["aic"],
        scores["icl"],
        scores[task.criterion],
        fit.converged,
        degenerate,
        fit.n_iter,
    )


def n_parameters(rule: Family, k: int, d: int, equal_weights: bool = False) -> int:
    """Free parameters: covariances, means, and weights unless they are equal."""
    return rule.n_parameters(k, d) + k * d + (0 if equal_weights else k - 1)


def totals(mixture: Mixture, problem: Problem) -> tuple[float, float]:
    """``Σ w log P(x)`` and ``Σ w log max_k r`` over the rows, in the data's units."""

    def both(block: Block) -> Array:
        out = np.empty((len(block), 2))
        mixture.fill(block, _value_and_sharpness, out)
        return block.weight() @ out

    value, sharpness = sum(problem.source.map(both))
    return float(value), float(sharpness)


def _value_and_sharpness(joint: Array) -> Array:
    top = joint.max(axis=1)
    norm = top + np.log(np.exp(joint - top[:, None]).sum(axis=1))
    return np.column_stack([norm, top - norm])


def held_out(task: Task, k: int, rule: Family) -> float:
    """Cross-validated log-likelihood: the sum over folds of what the other folds predict."""
    n = task.source.n
    fold = np.random.default_rng(task.seed).permutation(n) % FOLDS
    total = 0.0
    for part in range(min(FOLDS, n)):
        train = task.told(k, np.flatnonzero(fold != part))
        problem = task.problem(rule, k, train)
        start = given_start(problem, k, replace(task.start, how=task.start.name()), task.rng(k))
        mixture = fitted(problem, k, task.rng(k), start=start, stop=task.stop).fit.mixture
        test = task.source.take(np.flatnonzero(fold == part))
        total += float(mixture.logpdf(test.rows) @ test.weight())
    return total
