"""Where a climb begins: a tournament of cheap starts on a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice
from threading import Lock

import numpy as np

from mixtura._types import Array, Indices, Mask
from mixtura.conditioning import labels as likeliest
from mixtura.fit import brisk, seeds
from mixtura.fit.em import Fit, Stop, race, race_from_labels, run
from mixtura.fit.hierarchical import agglomerated
from mixtura.fit.principal import EXACT
from mixtura.fit.sample import Sample, from_labels, named, on_floor, partitioned
from mixtura.fit.subspaces import MOST, by_angle
from mixtura.held import Held
from mixtura.kernels.layout import FACTOR, FULL
from mixtura.mixture import Mixture

_NARROW = (0.25, 0.5)
"""Deviations, of one or two of the columns', of components sought within those that are held."""

Seeder = Callable[[Array, Array, int, np.random.Generator], Array]
"""Rows (m, d), weights (m,), k -> k seeds (k, d)."""

Entrant = tuple[str, Indices]
"""The name of a start and the partition (m,) of the sample that it climbs from."""

_FIRST, _LONG, _SHORT = 4, 10, 4
"""The first few entrants climb long enough to tell whether they agree, the others a little."""

_ROUNDS = (8, 16, 32)
"""Steps more for the better half, for the better half of that, and so on."""

_BRIEF = (16,)
"""Steps more for the better quarter where other models of a grid will be asked, too."""

_BUDGET = 0.01
"""Seconds for the first round, about."""

_ALONE, _SHARED = (8, 10), (10, 6)
"""How many enter, and from how many components on twice as many, as optima multiply: for one fit,
and for the models of a grid, which share the seeds and learn from each other."""

_HUNDREDS = 200
"""Components from which on seeds alone would take longer than a climb: few starts enter."""

_AGREED, _SETTLED = 3, 2
"""So many starts at the same optimum end the tournament; so many where the best stands still."""

_HOPE = 10.0
"""So many times the gain it expects itself a climb may lie behind the best."""

_LEAVES, _EACH, _MOST = 60, 15, 300
"""Rows in the tree of the hierarchical entrant: at least, for each component, and at most."""

_FIELD: tuple[tuple[str, Seeder | None, int], ...] = (
    ("k-means++", seeds.plus_plus, 0),
    ("k-means++, whitened", seeds.plus_plus, 1),
    ("k-means++", seeds.plus_plus, 0),
    ("k-means++, whitened", seeds.plus_plus, 1),
    ("hierarchical", None, 0),
    ("farthest point, whitened", seeds.farthest, 1),
    ("random rows", seeds.random, 0),
    ("random rows, whitened", seeds.random, 1),
    ("k-means++", seeds.plus_plus, 0),
    ("k-means++, whitened", seeds.plus_plus, 1),
)
"""The entrants: a name, a seeder (none: the tree), and its space (0 the frame, 1 whitened)."""


@dataclass(frozen=True, eq=False)
class Finalist:
    """A start that survived, by name, with the climb it made on the sample."""

    name: str
    fit: Fit
    small: Sample

    @cached_property
    def degenerate(self) -> bool:
        """Whether a component has collapsed."""
        return bool(collapsed(self.fit, self.small).any())


def tournament(
    small: Sample,
    k: int,
    rng: np.random.Generator,
    stop: Stop = Stop(),
    fields: int = 1,
    given: Iterable[Entrant] | None = None,
) -> list[Finalist]:
    """Let starts climb a few steps on the sample, keep the better half, and repeat; best first.

    Halving after short runs is emEM (Biernacki et al. 2003); seeds are drawn by squared distance
    (Arthur & Vassilvitskii 2007), farthest point first, at random, and by a tree of Gaussian
    clusters. Where the first starts agree on an optimum, the rest need not run, unless more
    `fields` are asked for. Partitions may be `given`, from `entrants`, where fits share them.
    """
    if k >= _HUNDREDS and given is None and _free(small):
        return _brisk(small, k, rng, stop, fields)
    most, many = _ALONE if given is None else _SHARED
    field = _affordable(small, k, most)
    rounds = 2 * fields if k >= many and field == most else fields
    entered = entrants(small, k, rng, rounds) if given is None else given
    entering = islice(entered, field * rounds)
    long, short = (min(steps, stop.max_iter) for steps in (_LONG, _SHORT))
    first = list(islice(entering, _FIRST))
    standing = _begun(small, k, first, long if field == most else short)
    if fields == 1 and _agreed(standing):
        return better_half(standing)
    standing = better_half([*standing, *_begun(small, k, list(entering), short)])
    if given is not None:
        standing = standing[: max(len(standing) // 2, 2)]
    for steps in (_ROUNDS if given is None else _BRIEF) if field == most else ():
        steps = min(steps, stop.max_iter - max(one.fit.n_iter for one in standing))
        if len(standing) > 1 and steps > 0:
            standing = better_half(_onward(small, standing, steps))
    return standing


def _free(small: Sample) -> bool:
    """Whether nothing is known of any component before."""
    known = small.told is not None or small.problem.held is not None
    return not known and small.problem.family.moments.shape != FACTOR


def _brisk(
    small: Sample, k: int, rng: np.random.Generator, stop: Stop, fields: int
) -> list[Finalist]:
    """The starts for many components after a few steps, best first."""
    few = Stop(1e-7, min(_SHORT, stop.max_iter), flat=small.flat)
    entering = brisk.partitions(small, k, rng, fields)
    standing = [
        Finalist(name, run(small.problem, from_labels(small, labels, k), few), small)
        for name, labels in entering
    ]
    return sorted(standing, key=lambda one: (one.degenerate, -one.fit.value))


def _affordable(small: Sample, k: int, most: int) -> int:
    """How many entrants to let climb: fewer where a step is dear, so that starts stay cheap."""
    m, d = small.spaces[0].shape
    moments = small.problem.family.moments
    numbers = d * d if moments.shape == FULL else d * (1 + moments.rank)
    step = 1.3e-10 * m * k * (numbers + 20)  # seconds, at some thirty GFlop/s
    return int(np.clip(_BUDGET / (10 * step), 3 if step < 0.1 else 1, most))


def _begun(small: Sample, k: int, entering: list[Entrant], steps: int) -> list[Finalist]:
    """Climb some steps from the M-steps of partitions; equal ones climb once and count each.

    Those that are at the edge to begin with drop out, if enough do not.
    """
    if not entering:
        return []
    problem, stop = small.problem, Stop(1e-7, steps, flat=small.flat)
    distinct = {labels.tobytes(): labels for _, labels in entering}
    fits = race_from_labels(problem, np.stack([*distinct.values()]), k, stop)
    enough = sum(fit is not None for fit in fits) > max(1, len(fits) // 2)
    climbed = {
        key: fit or run(problem, from_labels(small, labels, k), stop)
        for (key, labels), fit in zip(distinct.items(), fits, strict=True)
        if fit is not None or not enough
    }
    named = [(name, climbed.get(labels.tobytes())) for name, labels in entering]
    return [Finalist(name, fit, small) for name, fit in named if fit is not None]


def _onward(small: Sample, standing: list[Finalist], steps: int) -> list[Finalist]:
    """Climb some steps more where there is anything left to gain."""
    there = [one for one in standing if one.fit.converged]
    moving = [one for one in standing if not one.fit.converged]
    starts = [one.fit.mixture for one in moving]
    fits = race(small.problem, starts, Stop(1e-7, steps, flat=small.flat), spare=True)
    for one, fit in zip(moving, fits, strict=True):
        there.append(Finalist(one.name, fit.after(one.fit), small))
    return there


def _agreed(standing: list[Finalist]) -> bool:
    """Whether enough starts have met at the best optimum so far."""
    best = max(standing, key=lambda one: one.fit.value)
    together = sum(met(best.fit, one.fit, 1e-4) for one in standing)
    needed = _SETTLED if best.fit.converged else _AGREED
    return together >= needed and not best.degenerate


def better_half(standing: list[Finalist]) -> list[Finalist]:
    """The better half, best first, sound ones before others.

    Climbs that have met count once, and those too far behind the best do not count.
    """
    size = max((len(standing) + 1) // 2, 2)
    sound: list[Finalist] = []
    poor: list[Finalist] = []
    for one in sorted(standing, key=lambda one: -one.fit.value):
        if len(sound) < size and not any(met(one.fit, other.fit, 1e-6) for other in sound + poor):
            (poor if one.degenerate else sound).append(one)
    hopeful = [
        one for one in sound if one.fit.value + _HOPE * one.fit.remaining >= sound[0].fit.value
    ]
    return [*hopeful, *poor][:size]


def met(a: Fit, b: Fit, tol: float) -> bool:
    """Whether two climbs are at the same point: objective, and component for component.

    Means may differ by a tenth of a standard deviation and weights by a fiftieth.
    """
    if abs(a.value - b.value) > tol:
        return False
    deviations = np.sqrt(a.mixture.structure.variances_by_column)
    apart = (a.mixture.location[:, None] - b.mixture.location) / deviations[:, None]
    distance = np.abs(apart).max(axis=2) + 5.0 * np.abs(
        a.mixture.weights[:, None] - b.mixture.weights
    )
    return bool((distance.min(axis=1) < 0.1).all() and (distance.min(axis=0) < 0.1).all())


def partition(mixture: Mixture, small: Sample) -> Array:
    """The most probable component of each row of the sample."""
    block, k = small.problem.source.take(slice(None)), mixture.n_components
    found = np.empty(len(block))
    mixture.fill(block, lambda joint: likeliest(joint, k), found)
    return found.astype(np.intp)


def agree(a: Array, b: Array, weights: Array) -> float:
    """Adjusted Rand index of two weighted partitions (Hubert & Arabie 1985); -1 is noise."""
    table = np.zeros((int(a.max()) + 2, int(b.max()) + 2))
    np.add.at(table, (a + 1, b + 1), weights)
    pairs = [float((part**2).sum()) for part in (table, table.sum(axis=1), table.sum(axis=0))]
    expected = pairs[1] * pairs[2] / max(float(table.sum()) ** 2, 1e-300)
    most = (pairs[1] + pairs[2]) / 2
    return 1.0 if most == expected else (pairs[0] - expected) / (most - expected)


def rows_in(fit: Fit, small: Sample) -> Array:
    """About how many rows are in each component (k,); none where all are noise."""
    return np.asarray(fit.counts / max(fit.counts.sum(), 1e-300) * small.problem.source.n)


def collapsed(fit: Fit, small: Sample) -> Mask:
    """Which components (k,) lie on the floor in more directions than the data, or hold no row.

    Not those whose covariances are held, as the user wants them so.
    """
    rows = rows_in(fit, small)
    bad = rows < 1e-6
    if not fit.above_floor:
        bad |= on_floor(fit.mixture, small.problem.guard) > small.flat
    return np.asarray(bad & small.problem.estimated(len(rows)))


def entrants(small: Sample, k: int, rng: np.random.Generator, fields: int = 1) -> Iterator[Entrant]:
    """Starts by name, each a partition of the sample."""
    if k == 1:
        yield "mean", np.zeros(len(small.weights), dtype=np.intp)
        return
    if small.problem.held is not None:
        yield from _beside(small, small.problem.held, fields * len(_FIELD), rng)
        return
    if small.told is not None:
        places = seeds.labelled(small.spaces[0], small.weights, small.told, rng)
        yield "labels", partitioned(small, places)
    if small.problem.family.moments.shape == FACTOR and k < len(small.weights) <= MOST:
        angles = by_angle(small.spaces[0], small.weights, k, rng)
        yield "angles", canonical(named(small, angles, k), small)
    for _ in range(fields):
        for name, seeder, space in _FIELD:
            if seeder is None:
                leaves = min(max(_LEAVES, _EACH * k), _MOST)
                yield name, canonical(hierarchical_labels(small, k, rng, leaves), small)
                continue
            places = seeder(small.spaces[space], small.weights, k, rng)
            yield name, canonical(partitioned(small, places, space), small)


def _beside(small: Sample, held: Held, most: int, rng: np.random.Generator) -> Iterator[Entrant]:
    """Partitions beside what is held; their clusters are numbered as the components.

    Rows go to the likeliest of what is held and of narrow components on seeds, drawn at random or
    as by k-means++ in turn: what is sought may lie within a broad component that is held.
    """
    rows, weights, problem = small.spaces[0], small.weights, small.problem
    known = np.full(held.values.location.shape, np.nan)
    if small.told is not None:
        known = seeds.named(rows, weights, small.told)
    known = np.where(held.means[:, None], problem.frame.read(held.values.location), known)
    for index in range(most):
        spread = index % 2 == 1
        places = seeds.around(rows, weights, known, rng, spread=spread)
        seeded = problem.isotropic(places)
        width = np.full(rows.shape[1], rng.choice(_NARROW))
        narrow = seeded.changed(structure=seeded.structure.scaled(width))
        name = "k-means++" if spread else "random rows"
        yield f"{name} beside what is held", partition(problem.with_held(narrow), small)


def canonical(labels: Indices, small: Sample) -> Indices:
    """Clusters numbered as they appear, where no labels name them: equal partitions look equal."""
    if small.told is not None:
        return labels
    m = len(labels)
    first = np.full(int(labels.max(initial=0)) + 1, m)
    first[labels[::-1]] = np.arange(m)[::-1]  # of equal indices the last one stays
    number = np.empty(len(first), np.intp)
    number[np.argsort(first, kind="stable")] = np.arange(len(first))
    return np.asarray(number[labels])


def hierarchical_labels(small: Sample, k: int, rng: np.random.Generator, most: int) -> Indices:
    """Labels (m,) from a tree of `most` rows at most, named as the rows' own labels tell."""
    many = small.spaces[0].shape[1] > EXACT
    rows = small.spaces[1] if many else small.spaces[0]
    return named(small, agglomerated(rows, small.weights, k, rng, most), k)


class Partitions:
    """Starts that several tournaments share, each made when first asked for and then kept."""

    def __init__(self, made: Iterator[Entrant]) -> None:
        self._made, self._kept, self._lock = made, list[Entrant](), Lock()

    def __iter__(self) -> Iterator[Entrant]:
        for index in count():
            with self._lock:
                if index == len(self._kept):
                    following = next(self._made, None)
                    if following is None:
                        return
                    self._kept.append(following)
            yield self._kept[index]
