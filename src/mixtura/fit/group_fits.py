"""The fits of all groups with the same number of components, and the choice of that number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from mixtura import kernels
from mixtura._errors import DegenerateWarning, MixturaError
from mixtura._types import Array, Indices, Mask, Rows
from mixtura.covariance import Family
from mixtura.covariance.guard import FLOOR
from mixtura.fit.em import Stop
from mixtura.fit.fitting import fitted
from mixtura.fit.grouped import CONVERGED, DEGENERATE, NO_FIT, UNCONVERGED, GroupedMixtures
from mixtura.fit.judgement import totals
from mixtura.fit.task import Task
from mixtura.kernels.layout import DIAGONAL, FULL
from mixtura.source import MemorySource

CHUNK = 128
"""Groups that are fitted in one compiled call; the results do not depend on it."""

LARGE = 20_000
"""Rows from which a group is fitted by itself: starts on a sample are cheaper then."""

ALONE = 0.02
"""Seconds, about, that a group takes by itself."""

COMPILING = 20.0
"""Seconds of fits one by one for which the batch is compiled, once on a machine."""

SHORT = 5
"""E+M steps of each start before the best goes on."""

LOSS = 1e-6
"""Nats a row that rounding may take at most, by a bound a thousand times what is really lost."""

_SINGLE = 1.5
"""A component of fewer rows explains a single one, perhaps an outlier."""


@dataclass(frozen=True, eq=False)
class GroupedRows:
    """Rows of positive weight, group after group: group g lies between two of the bounds.

    Attributes
    ----------
    rows : (n, d) float64
    weights : (n,), or (0,) for ones
    bounds : (G + 1,)
    names : column names
    """

    rows: Rows
    weights: Array
    bounds: Indices
    names: tuple[str, ...] | None

    @property
    def sizes(self) -> Indices:
        """(G,) rows."""
        return np.diff(self.bounds)

    @property
    def weight(self) -> Array:
        """(G,) total weights."""
        if not len(self.weights):
            return self.sizes.astype(float)
        places = np.repeat(np.arange(len(self.sizes)), self.sizes)
        return np.bincount(places, self.weights, len(self.sizes))

    @property
    def gappy(self) -> Mask:
        """(G,) whether a row of the group has a gap."""
        with np.errstate(over="ignore", invalid="ignore"):
            if not np.isnan(self.rows.sum()):
                return np.zeros(len(self.sizes), bool)
        rows = np.concatenate([[0], np.cumsum(np.isnan(self.rows).any(axis=1))])
        return np.asarray(np.diff(rows[self.bounds]) > 0)

    def source(self, place: int) -> MemorySource:
        """The rows of one group."""
        own = slice(self.bounds[place], self.bounds[place + 1])
        return MemorySource(self.rows[own], self.weights[own] if len(self.weights) else None)


@dataclass(frozen=True, eq=False)
class Model:
    """What every group is fitted with; `reg_covar` None for none, `n_init` None for the usual."""

    family: Family
    stop: Stop
    reg_covar: float | None
    n_init: int | None
    seed: int

    def draws(self, k: int) -> Array:
        """Uniform numbers (R, k): the same for every group, so that none depends on another."""
        starts = max(3, 2 * k - 1) if self.n_init is None else self.n_init
        return np.random.default_rng([self.seed, k]).random((1 if k == 1 else starts, k))


def of_size(
    data: GroupedRows, keys: tuple[Any, ...], model: Model, k: int, pool: Executor
) -> GroupedMixtures:
    """Fit k components to every group: in batches where that is possible, the others alone."""
    found = _blank(data, keys, model, k)
    able = np.flatnonzero(~data.gappy & (data.sizes >= k) & (data.sizes <= LARGE))
    if _prepared(model.family, data.rows.shape[1], k, len(able)):
        chunks = np.split(able, np.arange(CHUNK, len(able), CHUNK))
        for _ in pool.map(partial(_climb, data, model, found), chunks):
            pass
    found.alone[:] = found.status == NO_FIT
    rest: list[int] = np.flatnonzero(found.alone & (data.sizes >= k)).tolist()
    notes = dict(pool.map(partial(_by_itself, data, model, found), rest))
    for place in np.flatnonzero(data.sizes < k):
        rows = "1 row" if data.sizes[place] == 1 else f"{data.sizes[place]} rows"
        notes[keys[place]] = f"{rows} for {k} components: ask for fewer"
    found.n_components[found.status == NO_FIT] = 0
    return replace(found, notes={key: text for key, text in notes.items() if text})


def _prepared(family: Family, d: int, k: int, size: int) -> bool:
    """Load the compiled kernels if so many groups make that pay; whether to fit in batches."""
    work = ALONE * size
    kernels.prepare(work)
    active = kernels.active()
    if not hasattr(active, "race") or active.is_wide(family.moments.shape, d, k):
        return False
    folder = Path(kernels.__file__).parent / "__pycache__"
    return work > COMPILING or any(folder.glob("compiled_groups*.nbi"))


def _blank(data: GroupedRows, keys: tuple[Any, ...], model: Model, k: int) -> GroupedMixtures:
    """No group fitted so far."""
    size, d = len(keys), data.rows.shape[1]
    return GroupedMixtures(
        keys=keys,
        covariance_type=model.family.name,
        feature_names=data.names,
        n_components=np.full(size, k),
        weights=np.zeros((size, k)),
        location=np.full((size, k, d), np.nan),
        structure=np.full((size, k, d, d), np.nan),
        pivot=np.zeros((size, d)),
        scale=np.ones((size, d)),
        n_rows=data.sizes,
        weight=data.weight,
        log_likelihood=np.full(size, np.nan),
        n_iter=np.zeros(size, np.intp),
        status=np.full(size, NO_FIT, dtype=f"<U{len(UNCONVERGED)}"),
        alone=np.zeros(size, bool),
        notes={},
    )


def _climb(data: GroupedRows, model: Model, found: GroupedMixtures, places: Indices) -> None:
    """Fit some groups in one compiled call; those that need care are left as they are."""
    if not len(places):
        return
    compiled = import_module("mixtura.kernels.compiled_groups")
    rows, weights, bounds = _together(data, places)
    moments, k = model.family.moments, found.weights.shape[1]
    ends = compiled.groups(
        rows,
        bounds,
        weights,
        model.draws(k),
        moments.shape,
        moments.pooled,
        model.family.one_scale,
        form=model.family.form,
        reg_covar=model.reg_covar or 0.0,
        floor=4.0 * FLOOR,
        loss=min(LOSS, max(model.stop.tol, 1e-9)),
        short=min(SHORT, model.stop.max_iter),
        most=model.stop.max_iter,
        tol=model.stop.tol,
    )
    with np.errstate(invalid="ignore"):
        least = ends.weights.min(axis=1) * np.diff(bounds)
    good = np.flatnonzero((ends.status != compiled.CARE) & (least >= _SINGLE))
    here, volume = places[good], np.log(ends.scale[good]).sum(axis=1)
    order = np.lexsort(np.moveaxis(ends.means[good][..., ::-1], -1, 0), axis=-1)
    found.weights[here] = np.take_along_axis(ends.weights[good], order, axis=1)
    found.location[here] = np.take_along_axis(ends.means[good], order[..., None], axis=1)
    dense = _dense(ends.covariances[good], moments.shape, data.rows.shape[1])
    found.structure[here] = np.take_along_axis(dense, order[..., None, None], axis=1)
    found.pivot[here], found.scale[here] = ends.pivot[good], ends.scale[good]
    found.log_likelihood[here] = (ends.values[good] + volume) * found.weight[here]
    found.n_iter[here] = ends.n_iter[good]
    done = ends.status[good] == compiled.CONVERGED
    found.status[here] = np.where(done, CONVERGED, UNCONVERGED)


def _together(data: GroupedRows, places: Indices) -> tuple[Rows, Array, Indices]:
    """Rows, weights and bounds of some groups; the rows as they lie where no group is between."""
    first, last = places[0], places[-1]
    bounds = np.concatenate([[0], np.cumsum(data.sizes[places])])
    some: Any = slice(data.bounds[first], data.bounds[last + 1])
    if last - first + 1 > len(places):
        ends = zip(data.bounds[places], data.bounds[places + 1], strict=True)
        some = np.concatenate([np.arange(*pair) for pair in ends])
    return data.rows[some], data.weights[some] if len(data.weights) else data.weights, bounds


def _dense(covariances: Array, shape: int, d: int) -> Array:
    """(G, k, d, d) from matrices, variances by column, or one each."""
    if shape == FULL:
        return covariances
    columns = covariances if shape == DIAGONAL else covariances[..., None]
    return np.asarray(columns[..., None] * np.eye(d))


def _by_itself(
    data: GroupedRows, model: Model, found: GroupedMixtures, place: int
) -> tuple[Any, str]:
    """Fit one group as `GaussianMixture` does; its key, and what there is to say."""
    source, k = data.source(place), found.weights.shape[1]
    task = Task(source, "bic", model.seed, model.stop, reg_covar=model.reg_covar, names=data.names)
    try:
        problem = task.problem(model.family, k, source)
        outcome = fitted(problem, k, task.rng(k), stop=task.stop)
    except MixturaError as error:
        return found.keys[place], str(error)
    fit, mixture = outcome.fit, outcome.fit.mixture
    found.weights[place], found.location[place] = mixture.weights, mixture.location
    found.structure[place] = mixture.structure.dense()
    found.pivot[place], found.scale[place] = mixture.frame.pivot, mixture.frame.scale
    found.log_likelihood[place], found.n_iter[place] = totals(mixture, problem)[0], fit.n_iter
    bad = outcome.degenerate or any(note.kind is DegenerateWarning for note in outcome.notes)
    end = CONVERGED if fit.converged else UNCONVERGED
    found.status[place] = DEGENERATE if bad else end
    return found.keys[place], "; ".join(note.text for note in outcome.notes)


def chosen(tried: Sequence[GroupedMixtures]) -> GroupedMixtures:
    """Each group's fit with the smallest BIC, degenerate ones last."""
    if len(tried) == 1:
        return tried[0]
    rank = np.stack([np.where(one.status == DEGENERATE, 1.0, 0.0) for one in tried])
    rank[np.stack([one.status == NO_FIT for one in tried])] = 2.0
    order = np.lexsort([np.stack([one.bic for one in tried]), rank], axis=0)
    best = order[0]
    most = max(one.weights.shape[1] for one in tried)
    wide = [_padded(one, most) for one in tried]
    places = np.arange(len(best))
    names = (
        *("n_components", "weights", "location", "structure", "pivot", "scale"),
        *("log_likelihood", "n_iter", "status", "alone"),
    )
    fields = {name: np.stack([getattr(one, name) for one in wide])[best, places] for name in names}
    return replace(tried[0], **fields, notes=dict(_notes(tried, best)))


def _padded(one: GroupedMixtures, most: int) -> GroupedMixtures:
    """The same with room for `most` components."""
    spare = most - one.weights.shape[1]
    return replace(
        one,
        weights=np.pad(one.weights, [(0, 0), (0, spare)]),
        location=_with_nan(one.location, spare),
        structure=_with_nan(one.structure, spare),
    )


def _with_nan(stack: Array, spare: int) -> Array:
    widths = [(0, 0), (0, spare)] + [(0, 0)] * (stack.ndim - 2)
    return np.pad(stack, widths, constant_values=np.nan)


def _notes(tried: Sequence[GroupedMixtures], best: Indices) -> Iterator[tuple[Any, str]]:
    for place, key in enumerate(tried[0].keys):
        text = tried[best[place]].notes.get(key)
        if text:
            yield key, text
