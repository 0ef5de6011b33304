"""Rows and the components they belong to, as the command line tells and writes them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtura._types import Array, Indices, Mask
from mixtura.assignment import soft
from mixtura.io.inputs import Input, Piece
from mixtura.mixture import Mixture
from mixtura.trimming import Cut


@dataclass(frozen=True, eq=False)
class Assignment:
    """Rows by a mixture, and by the cut of a fit that trimmed rows.

    Attributes
    ----------
    responsibilities : (n, k)
    noise : (n,) or None
        Probability that the row is noise, where the mixture has noise.
    log_density : (n,)
    trimmed : (n,) or None
        Rows that the fit would have left out, where it trimmed.
    """

    responsibilities: Array
    noise: Array | None
    log_density: Array
    trimmed: Mask | None

    @classmethod
    def of(cls, mixture: Mixture, rows: Array, cut: Cut | None = None) -> Assignment:
        """What the mixture says of rows (n, d)."""
        k, noisy = mixture.n_components, mixture.noise is not None
        found = mixture.by_rows(rows, lambda joint: np.column_stack(soft(joint)), (k + noisy + 1,))
        log_density = found[:, -1].copy()
        trimmed = None if cut is None else cut.trims(log_density, rows)
        return cls(found[:, :k], found[:, k].copy() if noisy else None, log_density, trimmed)

    @cached_property
    def kept(self) -> Mask:
        """Which rows are not trimmed."""
        everything = np.ones(len(self.log_density), dtype=bool)
        return everything if self.trimmed is None else ~self.trimmed

    @cached_property
    def largest(self) -> Array:
        """The largest of each row's responsibilities, that of the noise among them."""
        largest = self.responsibilities.max(axis=1)
        return largest if self.noise is None else np.maximum(largest, self.noise)

    @cached_property
    def labels(self) -> Indices:
        """The most probable component; -1 for noise and for what is trimmed."""
        labels = self.responsibilities.argmax(axis=1)
        if self.noise is not None:
            labels[self.noise > self.responsibilities.max(axis=1)] = -1
        labels[~self.kept] = -1
        return labels

    def columns(self, start: int, identifier: str | None, ids: Any) -> dict[str, Any]:
        """Columns by name: row, label, responsibilities, uncertainty and log-density.

        Rows are named by `ids`, or counted from `start`.
        """
        columns: dict[str, Any] = {
            "label": self.labels,
            **{f"responsibility_{k}": one for k, one in enumerate(self.responsibilities.T)},
            **({} if self.noise is None else {"responsibility_noise": self.noise}),
            "uncertainty": 1.0 - self.largest,
            "log_density": self.log_density,
        }
        if identifier is None:
            return {"row": np.arange(start, start + len(self.log_density)), **columns}
        return {"id" if identifier in columns else identifier: ids, **columns}


DOUBT = 0.8
"""A row is doubtful when its largest responsibility is below this."""

LEAST = 5
"""Least likely rows that are named."""


@dataclass(frozen=True, eq=False)
class Tally:
    """What is told of assigned rows as a whole; tallies of parts add up.

    Attributes
    ----------
    rows : int
    kept : int
        That are not trimmed.
    missing : (d,)
        Cells of each column.
    sizes : (k,)
        Rows of each component.
    lone : int or None
        Rows that are most probably noise, where there is noise.
    trimmed : int or None
    largest, log_likelihood : float
        Sums of largest responsibilities and of log-densities over the rows kept.
    doubtful : int
        Rows kept that are doubtful.
    least : tuple of (float, object)
        Log-densities and names of the rows of least density.
    """

    rows: int
    kept: int
    missing: Indices
    sizes: Indices
    lone: int | None
    trimmed: int | None
    largest: float
    log_likelihood: float
    doubtful: int
    least: tuple[tuple[float, Any], ...]

    @classmethod
    def of(cls, found: Assignment, piece: Piece, ids: Any) -> Tally:
        """Of the rows of one piece."""
        labels, kept = found.labels, found.kept
        surest, densities = found.largest[kept], found.log_density
        lowest = np.argsort(densities, kind="stable")[:LEAST].tolist()
        names = [piece.start + row if ids is None else ids[row].as_py() for row in lowest]
        return cls(
            rows=len(kept),
            kept=int(kept.sum()),
            missing=np.isnan(piece.rows).sum(axis=0),
            sizes=np.bincount(labels[labels >= 0], minlength=found.responsibilities.shape[1]),
            lone=None if found.noise is None else int((kept & (labels < 0)).sum()),
            trimmed=None if found.trimmed is None else int(found.trimmed.sum()),
            largest=float(surest.sum()),
            log_likelihood=float(densities[kept].sum()),
            doubtful=int((surest < DOUBT).sum()),
            least=tuple(zip(densities[lowest].tolist(), names, strict=True)),
        )

    def __add__(self, other: Tally) -> Tally:
        least = sorted((*self.least, *other.least), key=operator.itemgetter(0))[:LEAST]
        return Tally(
            self.rows + other.rows,
            self.kept + other.kept,
            self.missing + other.missing,
            self.sizes + other.sizes,
            None if self.lone is None or other.lone is None else self.lone + other.lone,
            None if self.trimmed is None or other.trimmed is None else self.trimmed + other.trimmed,
            self.largest + other.largest,
            self.log_likelihood + other.log_likelihood,
            self.doubtful + other.doubtful,
            tuple(least),
        )

    @property
    def aside(self) -> dict[str, int]:
        """How many rows are noise, and how many trimmed, where a row can be that."""
        counts = {"noise_rows": self.lone, "trimmed_rows": self.trimmed}
        return {name: count for name, count in counts.items() if count is not None}


@dataclass(frozen=True, eq=False)
class ModelRows:
    """A model and the rows that it is applied to, however many.

    Attributes
    ----------
    mixture : Mixture
    cut : Cut or None
        Where its fit trimmed rows.
    input : Input
    columns : tuple of str
        Of the input, in the order of the model's features.
    identifier : str or None
        The column that names the rows.
    """

    mixture: Mixture
    cut: Cut | None
    input: Input
    columns: tuple[str, ...]
    identifier: str | None = None

    def assigned(self) -> Iterator[tuple[Piece, Assignment, Any]]:
        """Pieces of the rows with what the mixture says of them, and their names if any."""
        carried = () if self.identifier is None else (self.identifier,)
        for piece in self.input.pieces(self.columns, carried):
            ids = None if self.identifier is None else piece.arrow[self.identifier]
            yield piece, Assignment.of(self.mixture, piece.rows, self.cut), ids

    def labelled(self, write: Callable[[dict[str, Any]], object] | None = None) -> Tally:
        """What is told of all rows, whose assignments are written piece by piece."""
        tally: Tally | None = None
        for piece, found, ids in self.assigned():
            if write is not None:
                write(found.columns(piece.start, self.identifier, ids))
            here = Tally.of(found, piece, ids)
            tally = here if tally is None else tally + here
        assert tally is not None
        return tally
