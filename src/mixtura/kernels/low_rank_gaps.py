"""The sums of `low_rank` over rows with gaps, each pattern by the observed rows of G and Ψ alone.

What a pattern hides is ``Q = G_mᵀ Ψ_m⁻¹ G_m`` (r, r). The scores' precision is ``N = I - Q``, they
are expected to be ``h = N⁻¹ (z - μ)_o H_o``, and the row so completed has the scores h itself. So
all that hidden coordinates add to the moments are sums of ``s h hᵀ + r N⁻¹`` over the rows that
hide them, for rows that count by s and responsibilities r.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mixtura.kernels.layout import triangle
from mixtura.kernels.low_rank import Terms

__all__ = ["Gaps"]

Array = NDArray[Any]

_SPARSE = 0.15
"""Share of cells hidden below which masks are kept sparse."""

_CANCELLED = 1e-4
"""Pivots of N below which ``I - Q`` has lost digits and is summed over what is seen instead."""


@dataclass(frozen=True, eq=False)
class Gaps:
    """Rows with gaps: the patterns of what is observed, and which row has which.

    Attributes
    ----------
    rows : (b, d)
        Anything, for instance NaN, where unobserved.
    seen : (p, d)
        1 where the pattern observes, else 0.
    which : (b,)
    terms : Terms
        The components.
    centred : bool
        Take each component about its own mean: slower, and accurate for any conditioning.
    """

    rows: Array
    seen: Array
    which: Array
    terms: Terms
    centred: bool = True

    @cached_property
    def z(self) -> Array:
        """The rows, zero where unobserved."""
        return np.where(self.seen[self.which] > 0, self.rows, 0.0)

    @cached_property
    def hidden(self) -> Any:
        """The complement of `seen`, sparse where that saves work."""
        hidden = 1.0 - self.seen
        return csr_matrix(hidden) if hidden.mean() < _SPARSE else hidden

    @cached_property
    def _by_pattern(self) -> csr_matrix:
        """(p, b): sums rows by pattern."""
        size = len(self.which)
        ones, places = np.ones(size), np.arange(size)
        return csr_matrix((ones, (self.which, places)), shape=(len(self.seen), size))

    def distances(self) -> tuple[Array, Array, Array]:
        """Squared distances (b, k), log-determinants (b, k), expected scores (b, k, r)."""
        squared, scores = self._centred() if self.centred else self._by_products()
        return np.maximum(squared, 0.0), self._doubt[1][self.which], scores

    @cached_property
    def _doubt(self) -> tuple[Array, Array]:
        """``N⁻¹`` (p, k, r, r), the covariance of the scores, and ``log |Σ_oo|`` (p, k)."""
        terms, rank = self.terms, self.terms.spread.shape[2]
        precision = np.eye(rank) - self._over(self.hidden)
        lower = _factored(precision)
        if lower is None:
            own = np.eye(rank) * terms.prior[:, None, :]
            lower = np.linalg.cholesky(own + self._over(self.seen))
        inverse = np.linalg.inv(lower)
        log_det = 2.0 * np.log(lower.diagonal(axis1=2, axis2=3)).sum(axis=2)
        log_det += self.seen @ np.log(terms.noise).T - np.log(terms.prior).sum(axis=1)
        return inverse.swapaxes(2, 3) @ inverse, log_det

    def _over(self, masks: Any) -> Array:
        """``Σ_j mask_pj G_j H_jᵀ`` (p, k, r, r), symmetric."""
        terms = self.terms
        k, d, rank = terms.spread.shape
        first, second = triangle(rank)
        products = terms.spread[:, :, first] * terms.directions[:, :, second]
        table = masks @ products.swapaxes(0, 1).reshape(d, -1)
        return _unfolded(np.asarray(table).reshape(-1, k, len(first)), rank)

    def _by_products(self) -> tuple[Array, Array]:
        """For all components at once, about zero."""
        terms = self.terms
        k, d, rank = terms.spread.shape
        precise = 1.0 / terms.noise
        directions = terms.directions.swapaxes(1, 2)
        slopes = np.concatenate([terms.means * precise, directions.reshape(k * rank, d)])
        shifts = (terms.means[:, None, :] * directions).reshape(k * rank, d)
        constant = self.seen @ np.concatenate([terms.means**2 * precise, shifts]).T
        products = self.z @ slopes.T
        squared = (self.z * self.z) @ precise.T - 2.0 * products[:, :k]
        squared += constant[self.which, :k]
        pulled = (products[:, k:] - constant[self.which, k:]).reshape(-1, k, rank)
        scores = np.einsum("bkrs,bks->bkr", self._doubt[0][self.which], pulled)
        return squared - np.einsum("bkr,bkr->bk", pulled, scores), scores

    def _centred(self) -> tuple[Array, Array]:
        """Each component about its own mean, distances as sums of squares."""
        terms, doubt = self.terms, self._doubt[0]
        k, _, rank = terms.spread.shape
        squared, scores = np.empty((len(self.z), k)), np.empty((len(self.z), k, rank))
        seen = self.seen[self.which]
        for index, spread in enumerate(terms.spread):
            off = (self.z - terms.means[index]) * seen
            pulled = off @ terms.directions[index]
            found = np.einsum("brs,bs->br", doubt[self.which, index], pulled)
            off -= (found @ spread.T) * seen
            squared[:, index] = (off * off) @ (1.0 / terms.noise[index])
            squared[:, index] += found**2 @ terms.prior[index]
            scores[:, index] = found
        return squared, scores

    def sums(self, shares: Array, scaled: Array, scores: Array) -> tuple[Array, Array]:
        """``Σ s E[z - μ]`` and ``[Σ s E[(z - μ)²], Σ s E[(z - μ)(z - μ)ᵀ] H]`` given what is seen.

        Rows count by `scaled` s; their conditional covariances by `shares` r, as in Student's t a
        row's weight divides these.
        """
        terms, size = self.terms, len(shares)
        k, d, rank = terms.spread.shape
        first, second = self._seen_sums(scaled, scores)
        pulled = scaled[:, :, None] * scores
        matrices = pulled[:, :, :, None] * scores[:, :, None, :]
        matrices += shares[:, :, None, None] * self._doubt[0][self.which]
        up, down = triangle(rank)
        folded = matrices[:, :, up, down].reshape(size, -1)
        parts = (shares, pulled.reshape(size, -1), folded)
        hidden = self._where_hidden(np.concatenate(parts, axis=1))
        lost, moved, folded = np.split(hidden, [k, k + k * rank], axis=1)
        within = _unfolded(folded.reshape(d, k, len(up)), rank).swapaxes(0, 1)
        first += np.einsum("kdr,dkr->kd", terms.spread, moved.reshape(d, k, rank))
        cross = np.einsum("kdr,kdrs->kds", terms.spread, within)
        second[:, :, 0] += np.einsum("kds,kds->kd", cross, terms.spread) + lost.T * terms.noise
        second[:, :, 1:] += cross
        return first, second

    def _seen_sums(self, scaled: Array, scores: Array) -> tuple[Array, Array]:
        """The same over the observed coordinates alone."""
        terms = self.terms
        k, d, rank = terms.spread.shape
        pulled = (scaled[:, :, None] * scores).reshape(len(scaled), -1)
        first, second = np.empty((k, d)), np.empty((k, d, 1 + rank))
        if self.centred:
            seen = self.seen[self.which]
            for index, mean in enumerate(terms.means):
                off, share = (self.z - mean) * seen, scaled[:, index]
                first[index] = share @ off
                second[index, :, 1:] = off.T @ pulled[:, index * rank : (index + 1) * rank]
                second[index, :, 0] = share @ (off * off)
            return first, second
        table = np.concatenate([scaled, pulled], axis=1)
        weights = (self.seen.T @ (self._by_pattern @ table)).T  # Σ over the rows that see it
        products = table.T @ self.z
        first[:] = products[:k] - terms.means * weights[:k]
        second[:, :, 0] = scaled.T @ (self.z * self.z)
        second[:, :, 0] -= terms.means * (2.0 * first + terms.means * weights[:k])
        shifted = weights[k:].reshape(k, rank, d) * terms.means[:, None, :]
        second[:, :, 1:] = (products[k:].reshape(k, rank, d) - shifted).swapaxes(1, 2)
        return first, second

    def _where_hidden(self, table: Array) -> Array:
        """Sums (d, m) of a table (b, m) over the rows that hide each coordinate."""
        return np.asarray(self.hidden.T @ (self._by_pattern @ table))


def _factored(precision: Array) -> Array | None:
    """Cholesky factors, None where a matrix has lost too many digits."""
    try:
        lower = np.linalg.cholesky(precision)
    except np.linalg.LinAlgError:
        return None
    pivots = lower.diagonal(axis1=2, axis2=3) ** 2
    return lower if pivots.min(initial=1.0) > _CANCELLED else None


def _unfolded(folded: Array, rank: int) -> Array:
    """Symmetric matrices (..., r, r) from their upper triangles."""
    up, down = triangle(rank)
    full = np.empty((*folded.shape[:-1], rank, rank))
    full[..., up, down] = folded
    full[..., down, up] = folded
    return full
