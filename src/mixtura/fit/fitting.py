"""A whole fit: a start, the climb, a rescue of collapsed components, and notes for the user."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mixtura import kernels
from mixtura._errors import (
    DegenerateWarning,
    InputError,
    MixturaWarning,
    StartsDisagreeWarning,
    warn,
)
from mixtura._types import Array, Mask, Rows
from mixtura.conditioning import log_sums
from mixtura.fit import brisk
from mixtura.fit.candidates import audited
from mixtura.fit.em import Fit, Follow, Keep, Stop
from mixtura.fit.incremental import way
from mixtura.fit.problem import Problem
from mixtura.fit.robust import hardened
from mixtura.fit.sample import SIZE, Sample, from_shares, sample
from mixtura.fit.start import (
    Entrant,
    Finalist,
    agree,
    collapsed,
    met,
    partition,
    rows_in,
    tournament,
)
from mixtura.fit.truncation import SCARCE
from mixtura.kernels.forms import COMMON_AXES
from mixtura.kernels.layout import FACTOR
from mixtura.mixture import Mixture
from mixtura.source import MemorySource
from mixtura.source.memory import one_blas_thread

if TYPE_CHECKING:
    from mixtura.fit.checkpoint import Checkpoint

LOSS = 0.01
"""Nats a row that a fit with candidates may lose without a warning."""

Climb = Callable[[Problem, Mixture, Stop, Follow | None], Fit]
"""What climbs from a start: `mixtura.fit.em.run`, or step by step, or with a checkpoint."""

_FREE, _MOST = 50, 4
"""A field more for every so many times the rows of the sample, and no more than so many."""

NAMED = 6
"""Columns named at most in one remark."""

RESCUES = 2
"""How often a collapsed component is re-seeded before the fit is kept as it is."""


@dataclass(frozen=True)
class Note:
    """Something the user should know: a warning, kept until the whole fit is done."""

    kind: type[MixturaWarning]
    text: str

    def warn(self) -> None:
        """Give the warning, pointing at the caller's line."""
        warn(self.text, self.kind)


@dataclass(frozen=True, eq=False)
class Field:
    """What a tournament runs on: rows to try starts on, and partitions where they are shared.

    Fields with the same `rows` have the same sample of rows.
    """

    small: Sample
    entrants: Iterable[Entrant] | None = None
    rows: Hashable = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """A fit with its standing among the starts and the notes for the user."""

    fit: Fit
    finalists: tuple[Finalist, ...]
    degenerate: bool
    notes: tuple[Note, ...]


def fitted(
    problem: Problem,
    k: int,
    rng: np.random.Generator,
    *,
    start: Mixture | None = None,
    stop: Stop = Stop(),
    fields: int = 1,
    follow: Follow | None = None,
    field: Field | None = None,
    checkpoint: Checkpoint | None = None,
    keep: Keep | None = None,
) -> Outcome:
    """Fit k components, from `start` or from the winner of a tournament on `field`.

    Raises
    ------
    InputError
        Fewer rows than components.
    CheckpointError
        The checkpoint is that of another fit.
    """
    _check_rows(problem, k)
    kernels.prepare(seconds(problem, k))
    known = checkpoint and checkpoint.begin(problem, k, start, stop, fields)
    if known:
        return known
    begin = way(problem, stop)[0] if checkpoint is None else checkpoint.climb
    climb: Climb = partial(begin, keep=keep)
    with one_blas_thread():
        field = field or Field(sample(problem.ordinary, k, rng))
        small = field.small
        finalists: list[Finalist] = []
        if start is None:
            shared = partial(tournament, given=field.entrants)
            enter = shared if problem.outliers.none else partial(hardened, problem)
            finalists = enter(small, k, rng, stop, max(fields, _fields(problem, field)))
            fit = _onward(problem, finalists[0].fit, small.whole, stop, follow, climb)
        else:
            fit = climb(problem, problem.outliers.fitted_out(start), stop, follow)
        fit, rescued = _rescued(problem, small, fit, stop, follow, climb)
        fit, disagreement = _second_opinion(problem, small, fit, finalists, stop, climb)
    told = [] if start is None else rescued
    outcome = finished(problem, small, fit, finalists, [*told, *disagreement])
    if checkpoint is not None:
        checkpoint.end(outcome)
    return outcome


def _fields(problem: Problem, field: Field) -> int:
    """How many fields of starts cost little beside a climb over all rows, which they shorten."""
    if field.entrants is not None:
        return 1
    times = problem.source.n // field.small.problem.source.n
    return int(np.clip(1 + times // _FREE, 1, _MOST))


def finished(
    problem: Problem,
    small: Sample,
    fit: Fit,
    finalists: Sequence[Finalist] = (),
    notes: Sequence[Note] = (),
) -> Outcome:
    """A fit with its standing, its components in order unless labels or the user named them."""
    fit, told = _audited(problem, fit)
    if finalists and small.told is None and problem.held is None:
        fit = ordered(fit)
    bad = collapsed(fit, small)
    every = [*_column_notes(problem, small), *notes, *_notes(fit, bad, small), *told]
    every += _unseen_notes(problem, fit)
    return Outcome(fit, tuple(finalists), bool(bad.any()), tuple(every))


def _audited(problem: Problem, fit: Fit) -> tuple[Fit, list[Note]]:
    """The fit without what its rows counted for, but with what that cost."""
    if fit.candidates is None:
        return fit, []
    audit = audited(problem.source, fit.mixture, fit.candidates)
    text = (
        f"rows count for {problem.shortlist.size if problem.shortlist else 0} components each, "
        f"which loses {audit.loss:.2g} nats a row of the log-likelihood: raise candidates, or set "
        "candidates=None for exact steps"
    )
    notes = [Note(DegenerateWarning, text)] if audit.loss > LOSS else []
    return replace(fit, candidates=None, audit=audit), notes


def seconds(problem: Problem, k: int) -> float:
    """About how long a fit takes on the plain kernels: some steps on a sample, some on all."""
    n, d = problem.source.n, problem.source.d
    if problem.family.moments.shape == FACTOR:
        return 0.0  # its products are the same on all kernels
    step = k * (d * d + 20) * 1e-9
    patterns = problem.summary.patterns
    turns = 1e-4 * d * d if problem.family.form in COMMON_AXES else 0.0
    if problem.summary.measured:
        step = k * (d**3 + 500) * 1e-8
    each = 5e-4 + (patterns > 1) * patterns * k * 2e-4 + turns
    return 150 * (each + min(n, SIZE) * step) + 30 * n * step


def _onward(
    problem: Problem, begun: Fit, whole: bool, stop: Stop, follow: Follow | None, climb: Climb
) -> Fit:
    """Go on from the winner over all rows; where it climbed on these already, its steps count.

    Where it has arrived, too, there is nowhere to go.
    """
    if not whole:
        return climb(problem, begun.mixture, stop, follow)
    same = problem.ordinary is problem and problem.shortlist is None
    if same and follow is None and begun.converged and begun.remaining < stop.tol:
        return begun
    rest = replace(stop, max_iter=max(stop.max_iter - begun.n_iter, 0))
    counted = follow and (lambda step, value, at: follow(step + begun.n_iter, value, at))
    return climb(problem, begun.mixture, rest, counted).after(begun)


def _rescued(
    problem: Problem, small: Sample, fit: Fit, stop: Stop, follow: Follow | None, climb: Climb
) -> tuple[Fit, list[Note]]:
    """Re-seed collapsed components where the data are explained worst; keep what is better."""
    notes: list[Note] = []
    for _ in range(RESCUES):
        bad = collapsed(fit, small)
        if not bad.any() or bad.all():
            break
        again = climb(problem, _reseeded(small, fit, bad), stop, follow)
        if collapsed(again, small).any() and again.value <= fit.value:
            break
        text = f"components {np.flatnonzero(bad).tolist()} were empty or collapsed; re-seeded"
        fit, notes = again, [*notes, Note(DegenerateWarning, text)]
    return fit, notes


def _reseeded(small: Sample, fit: Fit, bad: Array) -> Mixture:
    """Put collapsed components on badly explained rows, broad, with a fair weight."""
    mixture, problem = fit.mixture, small.problem
    k = mixture.n_components
    if problem.shortlist is not None:
        problem = _thinned(problem, k)
    block = problem.source.take(slice(None))
    density = np.empty(len(block))
    mixture.fill(block, log_sums, density)
    order = np.argsort(density, kind="stable")
    spots = order[np.linspace(0, len(order) // 10, int(bad.sum())).astype(int)]
    location = mixture.location.copy()
    location[bad] = np.nan_to_num(mixture.frame.read(block.rows[spots]), nan=0.0)
    flat, easy = problem.isotropic(location), problem.ordinary
    if problem.family.moments.shape == FACTOR:
        start = from_shares(problem, block, flat.responsibilities(block.rows))
    else:
        start = easy.maximized(easy.at(flat).data, flat)
    weights = np.where(bad, 1.0 / k, mixture.weights)
    moved = mixture.changed(
        weights=weights / weights.sum(), location=location, structure=start.structure
    )
    return problem.with_held(moved)


def _thinned(problem: Problem, k: int) -> Problem:
    """The problem over evenly spaced rows, enough for k components to be compared on."""
    rows = slice(None, None, max(problem.source.n // (brisk.ROWS * k), 1))
    return problem.on(MemorySource.of(problem.source.take(rows)))


def _second_opinion(
    problem: Problem,
    small: Sample,
    fit: Fit,
    finalists: list[Finalist],
    stop: Stop,
    climb: Climb,
) -> tuple[Fit, list[Note]]:
    """Climb from the runner-up where it came close; warn if two partitions explain alike."""
    weight = max(problem.summary.weight, problem.source.n)
    if len(finalists) < 2 or finalists[1].degenerate:
        return fit, []
    gap = (finalists[0].fit.value - finalists[1].fit.value) * weight
    if gap > 1.0:
        return fit, []
    other = climb(problem, finalists[1].fit.mixture, stop, None)
    if met(fit, other, 1e-6) or collapsed(other, small).any():
        return fit, []
    best, second = (fit, other) if fit.value >= other.value else (other, fit)
    agreement = agree(
        partition(best.mixture, small), partition(second.mixture, small), small.weights
    )
    lost = (best.value - second.value) * weight
    if lost > 1.0 or agreement > 0.8:
        return best, []
    text = (
        f"two starts ended {lost:.2g} nats apart in different partitions "
        f"(adjusted Rand index {agreement:.2f}): the data do not decide between them; "
        "fewer components or a simpler covariance family would be firmer"
    )
    return best, [Note(StartsDisagreeWarning, text)]


def _check_rows(problem: Problem, k: int) -> None:
    n = problem.source.n
    if n < k:
        raise InputError(
            f"Expected n_samples >= n_components but got n_components = {k}, "
            f"n_samples = {n}: ask for at most {n}"
        )


def _column_notes(problem: Problem, small: Sample) -> list[Note]:
    """Constant or collinear columns that no ridge holds up, or a ridge that hides all columns."""
    ridge, floor = float(problem.guard.ridge.min(initial=np.inf)), problem.guard.floor
    if not small.flat or 4.0 * floor < ridge <= 1.0:
        return []
    if ridge > 1.0:
        text = (
            "reg_covar is above the variances of the columns, and little but it is left of the "
            'covariances: set a smaller number, or "auto", which goes by the columns\' own scale'
        )
        return [Note(DegenerateWarning, text)]
    flat = np.flatnonzero(problem.summary.deviation == 0).tolist()
    what = _constant(problem, flat) if flat else "the columns are collinear"
    text = (
        f"{what}: the covariances are singular and rest on the floor; drop columns, choose a "
        f"simpler covariance family, or set {'a larger ' * (ridge > 0)}reg_covar or a prior"
    )
    return [Note(DegenerateWarning, text)]


def _constant(problem: Problem, flat: list[int]) -> str:
    """Columns that never change, by name or number."""
    named = [f'"{problem.names[i]}"' if problem.names else str(i) for i in flat[:NAMED]]
    more = f" and {len(flat) - NAMED} more" if len(flat) > NAMED else ""
    what = "column {} is constant" if len(flat) == 1 else "columns {} are constant"
    return what.format(", ".join(named) + more)


def _notes(fit: Fit, bad: Mask, small: Sample) -> list[Note]:
    """Too few distinct rows, collapsed components, components of a single row."""
    distinct, k = len(small.weights), len(bad)
    rows = rows_in(fit, small)
    texts = []
    if distinct < k:
        rows_there = "1 distinct row" if distinct == 1 else f"{distinct} distinct rows"
        texts.append(f"{k} components for {rows_there}: use at most {distinct}")
    for index in np.flatnonzero(bad)[:3]:
        texts.append(
            f"component {index}, of weight {fit.counts[index]:.3g}, has collapsed "
            "onto a point or a line: use fewer components, a simpler covariance family, "
            "reg_covar or a prior"
        )
    alone = (rows < 1.5) & ~bad & small.problem.estimated(k)
    if alone.any():  # by weight, and a rare component may be many rows of little weight
        alone &= fit.mixture.responsibilities(_rows(small)).sum(axis=0) < 1.5
    for index in np.flatnonzero(alone)[:3]:
        texts.append(
            f"component {index} explains a single row, perhaps an outlier: look at it, "
            "or use fewer components"
        )
    return [Note(DegenerateWarning, text) for text in texts]


def _rows(small: Sample) -> Rows:
    return small.problem.source.take(slice(None)).rows


def _unseen_notes(problem: Problem, fit: Fit) -> list[Note]:
    """Components of which the box of a truncation shows nearly nothing."""
    if problem.truncation is None:
        return []
    texts = [
        f"component {index} gives the box of truncation less than {SCARCE:g} of its weight: its "
        "mean, covariance and share are extrapolated from its tail; use fewer components, a "
        "simpler covariance family or a prior, or widen the box"
        for index in problem.truncation.scarce(fit.mixture)[:3]
    ]
    return [Note(DegenerateWarning, text) for text in texts]


def ordered(fit: Fit) -> Fit:
    """The components in the order of their means, first column first."""
    m = fit.mixture
    order = np.lexsort(m.location.T[::-1])
    return replace(fit, mixture=m.take(order), counts=fit.counts[order])


def renamed(fit: Fit, names: tuple[str, ...] | None) -> Fit:
    """The fit with its mixture's columns named."""
    return replace(fit, mixture=fit.mixture.changed(feature_names=names))
