"""What the cells of a grid learn from each other: each tries the partitions that others found.

A start that one family's tournament lacks, another's may have found; and where there are fewer
components than clusters, what matters is which clusters are joined, which the fit with one
component more can tell, and starts from seeds cannot.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from itertools import combinations, islice
from typing import NamedTuple

import numpy as np

from mixtura._types import Indices
from mixtura.fit.em import Fit, Stop, race_from_labels, smooth
from mixtura.fit.fitting import finished
from mixtura.fit.hierarchical import Tree, tree
from mixtura.fit.second_chance import Cell
from mixtura.fit.start import canonical, collapsed, partition

STEPS = 10
"""Steps that a neighbour's partition climbs before it is judged."""

BORROWED, JOINED = 8, 6
"""Partitions tried from other families, and pairs of components joined."""

TRIED = 2
"""Climbs that are gone on with."""

LEAVES = 600
"""Rows at most of a model-based tree, which costs their square."""

HOPE = 0.5
"""Nats over all rows, and as many times the gain it expects itself, that one may lie behind."""


class Known(NamedTuple):
    """A partition: labels as the components are numbered, as clusters appear, and as bytes."""

    labels: Indices
    ordered: Indices
    name: bytes


def exchanged(cells: Sequence[Cell], stop: Stop, pool: Executor) -> list[Cell]:
    """The cells, each from the best of its neighbours' partitions where that leads higher."""
    known, done = partitions(cells), {cell.key: cell for cell in cells}
    cuts = trees(cells)
    return list(pool.map(lambda cell: improved(cell, done, known, cuts, stop), cells))


def trees(cells: Iterable[Cell]) -> dict[Hashable, Tree]:
    """A model-based tree over the rows of each sample that is small enough, with rows as leaves.

    Cut at any number of clusters it is one more neighbour; mclust starts from such a tree.
    """
    found: dict[Hashable, Tree] = {}
    for cell in cells:
        if cell.field is None or cell.outcome is None or cell.field.rows in found:
            continue
        small = cell.field.small
        rows = np.ascontiguousarray(small.spaces[1])
        if cell.outcome.finalists and cell.k > 1 and small.told is None and len(rows) <= LEAVES:
            merges, costs = tree(rows, small.weights, "VVV")
            found[cell.field.rows] = Tree("VVV", merges, costs, np.arange(len(rows)))
    return found


def partitions(cells: Iterable[Cell]) -> dict[tuple[int, str], Known]:
    """The partition of the sample's rows by each sound fit that a tournament won."""
    found = {}
    for cell in cells:
        if np.isfinite(cell.value) and cell.outcome is not None and cell.outcome.finalists:
            assert cell.field is not None
            small = cell.field.small
            labels = partition(cell.outcome.fit.mixture, small)
            if small.told is None and len(np.unique(labels)) == cell.k:
                ordered = canonical(labels, small)
                found[cell.key] = Known(labels, ordered, ordered.tobytes())
    return found


def improved(
    cell: Cell,
    cells: Mapping[tuple[int, str], Cell],
    known: Mapping[tuple[int, str], Known],
    cuts: Mapping[Hashable, Tree],
    stop: Stop,
) -> Cell:
    """The cell, from the best of its neighbours' partitions if that leads higher."""
    if cell.problem is None or cell.field is None or cell.outcome is None or cell.k == 1:
        return cell
    if not cell.outcome.finalists:
        return cell
    small = cell.field.small
    starts = _starts(cell, cells, known, cuts.get(cell.field.rows))
    if not starts:
        return cell
    ends = race_from_labels(small.problem, np.stack(starts), cell.k, Stop(1e-7, STEPS))
    for begun in _hopeful([fit for fit in ends if fit is not None], cell):
        fit = smooth(cell.problem, begun.mixture, replace(stop, flat=small.flat))
        if fit is not None and not collapsed(fit, small).any():
            done = finished(cell.problem, small, fit, cell.outcome.finalists)
            found = replace(cell, outcome=done)
            cell = found if found.value > cell.value else cell
    return cell


def _hopeful(ends: Sequence[Fit], cell: Cell) -> list[Fit]:
    """The likeliest sound climbs so far that may end above the cell's own."""
    assert cell.problem is not None and cell.field is not None and cell.outcome is not None
    small, own = cell.field.small, cell.outcome.fit
    weight = cell.problem.summary.weight
    found: list[Fit] = []
    for fit in sorted(ends, key=lambda one: -one.value):
        reach = HOPE / weight + (10.0 * fit.remaining if np.isfinite(fit.remaining) else 0.01)
        known = small.whole and np.isfinite(cell.value)
        if len(found) == TRIED or (known and fit.value + reach <= own.value):
            break
        if not (known and _at(fit, own)) and not collapsed(fit, small).any():
            found.append(fit)
    return found


def _at(fit: Fit, own: Fit) -> bool:
    """Whether a climb has arrived where the cell is already."""
    return fit.converged and fit.value <= own.value + 1e-7


def _starts(
    cell: Cell,
    cells: Mapping[tuple[int, str], Cell],
    known: Mapping[tuple[int, str], Known],
    cut: Tree | None,
) -> list[Indices]:
    """Distinct partitions of the same rows into k clusters, not the cell's own."""
    assert cell.field is not None
    small, more = cell.field.small, (cell.k + 1, cell.rule.name)
    same = [key for key in known if _rows(cells[key]) == cell.field.rows]
    own = known[cell.key].name if cell.key in known else b""
    near = sorted((key for key in same if key[0] == cell.k), key=lambda key: -cells[key].value)
    found = {known[key].name: known[key].ordered for key in near}
    found.pop(own, None)
    borrowed = dict(islice(found.items(), BORROWED))
    if more in same:
        joined = (canonical(one, small) for one in _joined(cells[more], known[more].labels))
        borrowed |= {one.tobytes(): one for one in joined if one.tobytes() != own}
    if cut is not None and cell.k <= cut.n_leaves:
        grown = canonical(cut.cut(cell.k), small)
        borrowed |= {grown.tobytes(): grown} if grown.tobytes() != own else {}
    return [*borrowed.values()]


def _rows(cell: Cell) -> object:
    return None if cell.field is None else cell.field.rows


def _joined(cell: Cell, labels: Indices) -> Iterator[Indices]:
    """Partitions with two clusters made one, the nearest first by distance in deviations."""
    assert cell.outcome is not None
    mixture = cell.outcome.fit.mixture
    variances, place = mixture.structure.variances_by_column, mixture.location
    apart = ((place[:, None] - place) ** 2 / (variances[:, None] + variances)).sum(axis=2)
    pairs = combinations(range(mixture.n_components), 2)
    for i, j in sorted(pairs, key=lambda pair: float(apart[pair]))[:JOINED]:
        yield np.where(labels == j, i, labels)
