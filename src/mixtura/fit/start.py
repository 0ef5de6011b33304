"""Where a climb begins: a tournament of cheap starts on a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np

from mixtura._types import Array, Mask
from mixtura.fit import seeds
from mixtura.fit.em import Fit, Stop, run
from mixtura.fit.sample import Sample, on_floor, partitioned
from mixtura.kernels.layout import FULL
from mixtura.mixture import Mixture

Seeder = Callable[[Array, Array, int, np.random.Generator], Array]
"""Rows (m, d), weights (m,), k -> k seeds (k, d)."""

_ROUNDS = (10, 20, 40)
_BUDGET = 0.15
"""Seconds for the first round, about."""

_MANY = 6
"""So many components call for twice the entrants: optima multiply."""

_AGREED = 3
"""So many starts at the same optimum end the tournament."""

_FIELD: tuple[tuple[str, Seeder, int], ...] = (
    ("k-means++", seeds.plus_plus, 0),
    ("k-means++, whitened", seeds.plus_plus, 1),
    ("k-means++", seeds.plus_plus, 0),
    ("Ward", seeds.ward, 0),
    ("farthest point, whitened", seeds.farthest, 1),
    ("random rows", seeds.random, 0),
    ("k-means++", seeds.plus_plus, 0),
    ("k-means++, whitened", seeds.plus_plus, 1),
    ("Ward, whitened", seeds.ward, 1),
    ("random rows, whitened", seeds.random, 1),
)
"""The entrants: a name, a seeder, and the space it draws in (0 the frame, 1 whitened)."""


@dataclass(frozen=True, eq=False)
class Finalist:
    """A start that survived, by name, with the climb it made on the sample."""

    name: str
    fit: Fit
    degenerate: bool
    small: Sample

    @cached_property
    def labels(self) -> Array:
        """The partition of the sample (m,)."""
        return partition(self.fit.mixture, self.small)

    @property
    def rank(self) -> tuple[bool, float]:
        """Sound ones first, then by objective."""
        return (self.degenerate, -self.fit.value)


def tournament(
    small: Sample, k: int, rng: np.random.Generator, stop: Stop = Stop(), fields: int = 1
) -> list[Finalist]:
    """Let starts climb a few steps on the sample, keep the better half, and repeat; best first.

    Halving after short runs is emEM (Biernacki et al. 2003); seeds are drawn by squared distance
    (Arthur & Vassilvitskii 2007), farthest point first, at random, and by Ward's tree. Where the
    first starts agree on an optimum, the rest need not run, unless more `fields` are asked for.
    """
    field, rounds = _affordable(small, k), fields * (2 if k >= _MANY else 1)
    standing: list[Finalist] = []
    steps = 0 if field * rounds == 1 else min(_ROUNDS[0], stop.max_iter)
    for name, start in islice(_entrants(small, k, rng, rounds), field * rounds):
        standing.append(_climbed(small, name, start, steps))
        if fields == 1 and _agreed(standing):
            break
    standing = _better_half(standing)
    for steps in _ROUNDS[1:] if field == len(_FIELD) else ():
        if len(standing) > 1:
            onward = [
                _climbed(small, one.name, one.fit, min(steps, stop.max_iter - one.fit.n_iter))
                for one in standing
            ]
            standing = _better_half(onward)
    return standing


def _affordable(small: Sample, k: int) -> int:
    """How many entrants to let climb: fewer where a step is dear, so that starts stay cheap."""
    m, d = small.spaces[0].shape
    numbers = d * d if small.problem.family.moments.shape == FULL else d
    step = 1.3e-10 * m * k * (numbers + 20)  # seconds, at some thirty GFlop/s
    return int(np.clip(_BUDGET / (_ROUNDS[0] * step), 3 if step < 0.1 else 1, len(_FIELD)))


def _climbed(small: Sample, name: str, start: Mixture | Fit, steps: int) -> Finalist:
    """Climb some steps from a mixture, or go on from a climb."""
    if isinstance(start, Fit):
        if start.converged or steps <= 0:
            return Finalist(name, start, bool(collapsed(start, small).any()), small)
        fit = run(small.problem, start.mixture, Stop(1e-7, steps)).after(start)
    else:
        fit = run(small.problem, start, Stop(1e-7, steps))
    return Finalist(name, fit, bool(collapsed(fit, small).any()), small)


def _agreed(standing: list[Finalist]) -> bool:
    """Whether enough starts share the best objective and partition, all of them sound."""
    best = min(standing, key=lambda one: one.rank)
    near = [
        one for one in standing if not one.degenerate and abs(best.fit.value - one.fit.value) < 1e-4
    ]
    if len(near) < _AGREED:
        return False
    met = [agree(best.labels, one.labels, best.small.weights) > 0.95 for one in near]
    return sum(met) >= _AGREED


def _better_half(standing: list[Finalist]) -> list[Finalist]:
    """The better half, best first; climbs that have met count once."""
    kept: list[Finalist] = []
    for one in sorted(standing, key=lambda one: one.rank):
        close = [other for other in kept if abs(one.fit.value - other.fit.value) <= 1e-6]
        if all(agree(one.labels, other.labels, one.small.weights) < 0.99 for other in close):
            kept.append(one)
    return kept[: max((len(standing) + 1) // 2, 2)]


def partition(mixture: Mixture, small: Sample) -> Array:
    """The most probable component of each row of the sample."""
    return mixture.predict(small.problem.source.take(slice(None)).rows)


def agree(a: Array, b: Array, weights: Array) -> float:
    """Adjusted Rand index of two weighted partitions (Hubert & Arabie 1985)."""
    table = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(table, (a, b), weights)
    pairs = [float((part**2).sum()) for part in (table, table.sum(axis=1), table.sum(axis=0))]
    expected = pairs[1] * pairs[2] / max(float(table.sum()) ** 2, 1e-300)
    most = (pairs[1] + pairs[2]) / 2
    return 1.0 if most == expected else (pairs[0] - expected) / (most - expected)


def collapsed(fit: Fit, small: Sample) -> Mask:
    """Which components (k,) lie on the floor in more directions than the data, or hold no row."""
    rows = fit.counts / fit.counts.sum() * small.problem.source.n
    return np.asarray((on_floor(fit.mixture, small.problem.guard) > small.flat) | (rows < 1e-6))


def _entrants(
    small: Sample, k: int, rng: np.random.Generator, fields: int
) -> Iterator[tuple[str, Mixture]]:
    if k == 1:
        yield "mean", partitioned(small, small.spaces[0][:1])
        return
    if small.told is not None:
        places = seeds.labelled(small.spaces[0], small.weights, small.told, rng)
        yield "labels", partitioned(small, places)
    for _ in range(fields):
        for name, seeder, space in _FIELD:
            places = seeder(small.spaces[space], small.weights, k, rng)
            yield name, partitioned(small, places, space)
