"""How many components, and which family: a grid of fits and a criterion."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from mixtura import _checks, kernels
from mixtura._errors import (
    CheckpointError,
    InputError,
    InputTypeError,
    MixturaError,
    MixturaWarning,
)
from mixtura._random import whole_seed
from mixtura.block import Block
from mixtura.covariance import FAMILIES, UNIVARIATE, Experts, Factor, Family, named
from mixtura.covariance.factor_rule import NAMES
from mixtura.fit import verdict
from mixtura.fit.apart import refuse_apart, refuse_told
from mixtura.fit.averaging import FAR
from mixtura.fit.checkpoint import Checkpoint, with_checkpoint
from mixtura.fit.criteria import Criterion, Formula, criterion
from mixtura.fit.em import Stop
from mixtura.fit.exchange import exchanged
from mixtura.fit.fitting import Note, fitted, renamed, seconds
from mixtura.fit.given import given_start
from mixtura.fit.ground import Ground
from mixtura.fit.held_out import cross_validated
from mixtura.fit.judgement import judged, n_parameters
from mixtura.fit.outliers import Outliers, asked
from mixtura.fit.second_chance import Cell, settled
from mixtura.fit.selection import Candidate, Selection
from mixtura.fit.summary import weight_of
from mixtura.fit.task import Task
from mixtura.fit.told import Told, known
from mixtura.fit.truncation import Truncation
from mixtura.fit.watching import Progress, Watch, Watched
from mixtura.reading.naming import taken
from mixtura.reading.scan import opened
from mixtura.source import MemorySource, Source
from mixtura.source.memory import one_blas_thread
from mixtura.source.opening import remote


def select(
    X: Any,
    components: Any = range(1, 10),
    families: Any = "all",
    *,
    rank: Any = None,
    criterion: str | Formula = "bic",
    folds: int = 5,
    sample_weight: Any = None,
    labels: Any = None,
    noise_cov: Any = None,
    projection: Any = None,
    prior: Any = None,
    distribution: str = "gaussian",
    dof: Any = "common",
    noise: Any = False,
    trim: float = 0.0,
    max_ratio: float | None = None,
    truncation: Any = None,
    lower: Any = None,
    upper: Any = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    random_state: int = 0,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
    checkpoint: Any = None,
) -> Selection:
    """Choose the number of components and the covariance family by a criterion.

    Parameters
    ----------
    X : (n, d) array_like, data frame, or Dask or Spark collection
        NaN where unobserved.
    components : int or iterable of int, default=1..9
    families : str or sequence of str, default="all"
        Names of covariance families.
    rank : int, iterable of int or "auto", optional
        Numbers of factors to compare, for "factor", "ppca" and their kin.
    criterion : str or callable, default="bic"
        Smaller is better. "bic", "aic", "icl", "sabic" (sample-size adjusted), "caic", "hqc"; "cv",
        minus twice the log-likelihood held out; "slope", whose penalty is learnt from how the
        likelihood grows over at least ten model sizes; or a function of a `Candidate`.
    folds : int, default=5
        For "cv": parts that are held out in turn.
    sample_weight : (n,) array_like, or str, optional
        As in `GaussianMixture.fit`, and so are labels.
    labels : (n,) or (n, k) array_like, or str, optional
        Known components, -1 for unknown.
    noise_cov, projection : array_like, optional
        Measurement errors of the rows, as in `GaussianMixture.fit`.
    prior : None, "fraley-raftery" or Conjugate
    distribution, dof, noise, trim, max_ratio, truncation, tol, max_iter
        As in `GaussianMixture`.
    lower, upper : optional
        What missing cells lie between, as in `GaussianMixture.fit`.
    random_state : int, default=0
    n_jobs : int, optional
        Fits side by side; all cores by default.
    progress : callable, optional
        Called with (done, total) after each fit.
    watch : callable, optional
        Called after each round of steps of each fit with its number of components, its family and
        where it stands (`mixtura.fit.em.State`), and with None for the latter when it is over.
    checkpoint : path, optional
        As in `GaussianMixture.fit`; for a single model.

    Returns
    -------
    Selection

    Raises
    ------
    InputError, InputTypeError
        Data or parameters that cannot be used.
    CheckpointError
        The checkpoint is damaged, or that of a fit of other data or parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import select
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (80, 2)), rng.normal(8, 1, (80, 2))])
    >>> select(X, range(1, 4), "spherical").best.n_components
    2
    """
    outliers = asked(distribution, dof, noise, trim)
    said = {"noise_cov": noise_cov, "projection": projection, "lower": lower, "upper": upper}
    source, names, box = _source(X, sample_weight, said, truncation, outliers, labels)
    task = Task(
        source,
        criterion,
        whole_seed(random_state, "random_state"),
        Stop(tol, max_iter),
        prior,
        names=names,
        labelled=labels is not None,
        outliers=outliers,
        folds=_folds(folds),
        max_ratio=max_ratio,
        truncation=box,
    )
    refuse_apart(task)
    asked_for = rules(families, source.d, rank)
    sizes = counts(components)
    models = len(sizes) * len(asked_for)
    if models == 1 and isinstance(source, MemorySource):
        task = replace(task, source=MemorySource.of(source.whole, threads(n_jobs)))
    task, saved = with_checkpoint(task, checkpoint, models)
    told = Watched(models, progress, watch)
    return grid(task, sizes, asked_for, n_jobs, told, saved)


def _source(
    X: Any,
    sample_weight: Any,
    said: dict[str, Any],
    truncation: Any,
    outliers: Outliers,
    labels: Any,
) -> tuple[Source, tuple[str, ...] | None, Truncation | None]:
    """The rows wherever they are, the names of their columns, and the box they are within."""
    apart = remote(X, sample_weight, labels)
    if apart is not None:
        refuse_told(Told(**said, box=Truncation.of(truncation, apart.d)))
        return apart, apart.names, None
    X, weights, labels = taken(opened(X), sample_weight, labels)
    read = _checks.table(X)
    weights = read.weights if weights is None else weights
    labels = read.aside if labels is None else labels
    told = Told(**said, box=Truncation.of(truncation, read.rows.shape[1]))
    source = MemorySource.of(known(read.rows, weights, told, outliers, labels))
    return source, None if told.projection is not None else read.names, told.box


def grid(
    task: Task,
    components: Sequence[int],
    families: Sequence[Family],
    n_jobs: int | None = None,
    told: Watched | None = None,
    saved: Checkpoint | None = None,
) -> Selection:
    """Fit every cell, side by side, raise those below a nested one, score, and keep the best.

    A single fit may have a checkpoint; then it is not tried from other partitions, as what those
    lead to would not be in the file.
    """
    rule = criterion(task.criterion)
    cells = [(k, family) for k in components for family in families]
    _check_sizes(rule, cells, task)
    ground = Ground(task)
    whole = task.problem(families[0], components[0], task.source)
    kernels.prepare(sum(seconds(whole, k) for k, _ in cells))
    told = told or Watched(len(cells))

    def fitted_cell(cell: tuple[int, Family]) -> Cell:
        return told.over(_cell(task, ground, *cell, told, saved))

    pool = ThreadPoolExecutor(threads(n_jobs))
    with pool, one_blas_thread(), told.interruptible():
        begun = list((map if len(cells) == 1 else pool.map)(fitted_cell, cells))
        # neighbours' partitions know nothing of what is held
        apart = bool(task.fixed.names) or saved is not None
        found = begun if apart else settled(task, exchanged(begun, task.stop, pool))
        judgements = list(pool.map(partial(_judgement, task), found))
        candidates = cross_validated(task, found, judgements, pool) if rule.held_out else judgements
    return _selection(task, rule, found, candidates)


def _selection(
    task: Task, rule: Criterion, cells: Sequence[Cell], candidates: Sequence[Candidate]
) -> Selection:
    """Score the candidates and keep the fits that matter."""
    fitted_ones = [i for i, cell in enumerate(cells) if cell.outcome is not None]
    if not fitted_ones:
        raise InputError(f"no fit succeeded; the first failure: {cells[0].failure}")
    scores = rule.scores([candidates[i] for i in fitted_ones])
    table = list(candidates)
    for i, score in zip(fitted_ones, scores, strict=True):
        table[i] = replace(table[i], score=score)
    place = min(range(len(table)), key=lambda i: table[i].rank)
    best, outcome = table[place], cells[place].outcome
    assert outcome is not None
    likely = min(c.bic for c in table if c.sound == best.sound)
    fits = {
        cell.key: renamed(cell.outcome.fit, task.names)
        for cell, c in zip(cells, table, strict=True)
        if cell.outcome is not None and c.sound == best.sound and c.bic <= likely + FAR
    }
    fit = renamed(outcome.fit, task.names)
    problem = cells[place].problem
    cut = None if problem is None else problem.cut(outcome.fit.mixture)
    chosen = Selection(tuple(table), best, fit, rule.name, (), fits, cut)
    said = (*outcome.notes, *_weight_notes(task, rule), *verdict.notes(chosen))
    return replace(chosen, notes=said)


def _check_sizes(rule: Criterion, cells: Sequence[tuple[int, Family]], task: Task) -> None:
    """Refuse a criterion for which there are too few models, before fitting them."""
    d = task.source.d
    sizes = {n_parameters(family, k, d, task.equally(family)) for k, family in cells}
    if len(sizes) < rule.sizes:
        raise InputError(
            f"criterion={rule.name!r} needs models of at least {rule.sizes} sizes and has "
            f"{len(sizes)}: compare more numbers of components or families"
        )


def _weight_notes(task: Task, rule: Criterion) -> list[Note]:
    """Weights that are shares instead of repetitions leave BIC without a penalty."""
    if not rule.by_rows:
        return []
    total, rows = weight_of(task.source), sum(task.source.map(_counting))
    if total >= 0.1 * rows:
        return []
    text = (
        f"the weights sum to {total:.3g} over {rows} rows: {rule.title} takes the sum "
        "as the number of rows; multiply the weights so that they count repetitions"
    )
    return [Note(MixturaWarning, text)]


def _counting(block: Block) -> int:
    """How many rows weigh something."""
    return int(np.count_nonzero(block.weight()))


def _folds(folds: Any) -> int:
    if not isinstance(folds, (int, np.integer)) or isinstance(folds, bool) or folds < 2:
        raise InputError(f"folds={folds!r}: use a whole number, at least 2")
    return int(folds)


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


def rules(families: Any, d: int | None = None, rank: Any = None) -> list[Family]:
    """Families from "all", a name, or names; for one column, "all" are the two that differ.

    Raises
    ------
    InputError, InputTypeError
        Names that are none; a rank where there are no factor analyzers.
    """
    names = [families] if isinstance(families, (str, Factor, Experts)) else families
    if names is None or not hasattr(names, "__iter__") or not list(names):
        raise InputTypeError(f'covariance_type={families!r}: use a name, names or "all"')
    names = list(FAMILIES) if isinstance(families, str) and families == "all" else list(names)
    if d == 1 and names == list(FAMILIES):
        names = list(UNIVARIATE)
    found = [rule for name in names for rule in named(name, d, rank)]
    if rank is not None and not any(isinstance(rule, Factor) for rule in found):
        raise InputError(
            f"rank={rank!r} is a number of factors, and covariance_type={families!r} has none: "
            f'use covariance_type="factor", or one of {sorted(NAMES)}, or leave rank out'
        )
    return found


def threads(n_jobs: int | None) -> int:
    """How many threads to use: all cores by default, one inside a worker process."""
    import multiprocessing

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if n_jobs is None:
        return 1 if multiprocessing.parent_process() is not None else int(cores or 1)
    if n_jobs == 0:
        raise InputError("n_jobs=0 means nothing: use a number of threads, or -1 for all cores")
    return n_jobs if n_jobs > 0 else max(int(cores or 1) + 1 + n_jobs, 1)


def _cell(
    task: Task, ground: Ground, k: int, rule: Family, told: Watched, saved: Checkpoint | None
) -> Cell:
    try:
        problem = ground.problem(rule, k)
        field = ground.field(problem, k)
        start = given_start(problem, k, task.start, task.rng(k))
        stop = replace(task.stop, flat=field.small.flat)
        outcome = fitted(
            problem,
            k,
            task.rng(k),
            start=start,
            stop=stop,
            fields=task.fields,
            field=field,
            checkpoint=saved,
            keep=told.climb(k, rule.name),
        )
    except CheckpointError:
        raise
    except MixturaError as error:
        return Cell(k, rule, failure=str(error))
    return Cell(k, rule, problem, field, outcome)


def _judgement(task: Task, cell: Cell) -> Candidate:
    if cell.problem is None or cell.outcome is None:
        return Candidate(cell.k, cell.rule.name, failure=cell.failure)
    return judged(task, cell.problem, cell.outcome.fit, cell.rule, cell.outcome.degenerate)
