"""A density for each of many classes, and one broad one for all, in many dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mixtura._types import Array, Indices, Rows
from mixtura.conditioning import log_sums
from mixtura.kernels.projections import Projections, distances, projections
from mixtura.law import log_norms

_NUMBERS = 1 << 21
"""Numbers that a tile of rows is worth: 16 MiB."""

_FAR = 1e120
"""Deviations whose squares, and the products of these with variances, are numbers."""

_FAINT = 0.01
"""Share of the wide part of the background."""


@dataclass(frozen=True, eq=False)
class Whitening:
    """Coordinates ``z = (x - location) matrix`` in which a Gaussian is standard normal.

    Attributes
    ----------
    location : (d,)
    matrix : (d, q)
        Rows of zeros for columns that do not count.
    log_volume : float
        ``log |det matrix|`` over the columns that count.
    """

    location: Array
    matrix: Array
    log_volume: float

    def read(self, rows: Rows) -> Array:
        """Rows (n, d) as (n, q); those farther than 1e120 stand there, in the same direction."""
        with np.errstate(over="ignore", invalid="ignore"):
            z = np.asarray((rows - self.location) @ self.matrix)
        far = np.flatnonzero(~(np.abs(z) < _FAR).all(axis=1))
        if len(far):
            halves = rows[far] / 2.0 - self.location / 2.0  # their difference may be no number
            ahead = (halves / np.abs(halves).max(axis=1, keepdims=True)) @ self.matrix
            length = np.abs(ahead).max(axis=1, keepdims=True)
            z[far] = ahead * (_FAR / np.where(length > 0.0, length, 1.0))
        return z


@dataclass(frozen=True, eq=False)
class Background:
    """A broad density for the rows of all classes: one Gaussian, and a faint one far wider.

    ``p_0 = (1 - ε) N(m, T) + ε N(m, width T)`` with ε = 0.01. The wide one counts only far from all
    rows, where a class that is wide in some direction would otherwise outlast the common Gaussian.

    Attributes
    ----------
    whitening : Whitening
        By m and T.
    width : float
    """

    whitening: Whitening
    width: float

    def log_density(self, rows: Rows) -> Array:
        """``log p_0(x)`` of each row, (n,)."""
        z = self.whitening.read(rows)
        squared, q = np.einsum("nq,nq->n", z, z), z.shape[1]
        norms = log_norms(q * np.log([1.0, self.width]), q) + self.whitening.log_volume
        logs = norms - 0.5 * squared[:, None] / [1.0, self.width]
        return log_sums(logs + np.log([1.0 - _FAINT, _FAINT]))


@dataclass(frozen=True, eq=False)
class ClassDensities:
    """Gaussians, one a class or several, in coordinates where their pooled covariance is about I.

    ``Σ_k = across_k I + V_k diag(along_k - across_k) V_kᵀ`` in these coordinates.

    Attributes
    ----------
    log_priors : (C,)
        Of the classes.
    whitening : Whitening
    log_shares : (K,)
        What each Gaussian has of its class.
    owners : (K,), rising
        The class of each Gaussian; every class has one at least.
    means : (K, q)
    directions : (K, r, q)
        V, orthonormal rows.
    along : (K, r)
    across : (K,)
    background : Background or None
    """

    log_priors: Array
    whitening: Whitening
    log_shares: Array
    owners: Indices
    means: Array
    directions: Array
    along: Array
    across: Array
    background: Background | None = None

    def with_variances(self, along: Array, across: Array) -> ClassDensities:
        """The same means and directions with other variances."""
        return replace(self, along=along, across=across)

    def log_densities(self, rows: Rows) -> Array:
        """``log p(x | c)`` of each row in each class, (n, C)."""
        out = np.empty((len(rows), len(self.log_priors)))
        for part in self._tiles(len(rows)):
            z = self.whitening.read(rows[part])
            out[part] = self.of_projections(projections(z, self.means, self.directions))
        return out

    def projected(self, rows: Rows) -> Projections:
        """What the rows say whatever the variances are."""
        return projections(self.whitening.read(rows), self.means, self.directions)

    def of_projections(self, found: Projections) -> Array:
        """`log_densities` of rows that are projected already."""
        logs = self._log_norms - 0.5 * distances(found, self.along, self.across)
        if len(self.owners) == len(self.log_priors):
            return np.asarray(logs)
        starts = np.flatnonzero(np.diff(self.owners, prepend=-1))
        return np.asarray(np.logaddexp.reduceat(logs, starts, axis=1))

    def log_ratio(self, rows: Rows, log_densities: Array) -> Array:
        """``log Σ_c π_c p(x | c) - log p_0(x)`` (n,): low where no class explains a row.

        Without a background the numerator alone.
        """
        known = log_sums(log_densities + self.log_priors)
        if self.background is None:
            return known
        return np.asarray(known - self.background.log_density(rows))

    @cached_property
    def _log_norms(self) -> Array:
        (_, rank), q = self.along.shape, self.means.shape[1]
        log_det = np.log(self.along).sum(axis=1) + (q - rank) * np.log(self.across)
        return np.asarray(log_norms(log_det, q) + self.log_shares + self.whitening.log_volume)

    def _tiles(self, n: int) -> Iterator[slice]:
        numbers = self.means.shape[1] + self.directions.shape[0] * (3 + self.directions.shape[1])
        size = max(_NUMBERS // numbers, 64)
        return (slice(start, start + size) for start in range(0, n, size))
