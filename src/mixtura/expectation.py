"""The E-step: assign every row to the components, then sum its moments.

The only file that knows of gaps, limits, weights, labels and measurement errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixtura import kernels
from mixtura._types import Array, Rows
from mixtura.assignment import Assign, Assigned, assigned, hard, soft
from mixtura.block import Block
from mixtura.deconvolution import Scores, blurred, lost_volume, steady
from mixtura.frame import Frame
from mixtura.kernels.crew import Crew
from mixtura.kernels.layout import DIAGONAL, FACTOR, FULL, LINEAR, width
from mixtura.law import log_norms
from mixtura.log_linear import common_part, log_linear, single
from mixtura.mixture import Mixture
from mixtura.projected import projected
from mixtura.scoring import seen_by_kernel
from mixtura.source import Source
from mixtura.statistics import Moments, Packed, Statistics
from mixtura.tree import tree_sum
from mixtura.trimming import Cut


@dataclass(frozen=True, eq=False)
class EStep:
    """The `expectation` of each block of a run, added up in their tree.

    Attributes
    ----------
    mixture, moments, assign, cut
        As there.
    """

    mixture: Mixture
    moments: Moments
    assign: Assign = soft
    cut: Cut | None = None

    def over(self, source: Source) -> Statistics:
        """The expected statistics of all rows of a source."""
        return source.sum(self).unpacked()

    def __call__(self, blocks: Sequence[Block]) -> Statistics | Packed:
        kernel = getattr(kernels.of(blocks[0].rows), "accumulate_run", None)
        theta = self._alike(blocks)
        if theta is None or kernel is None:
            return tree_sum([self._of(block) for block in blocks])
        rows = (_rows_and_weights(block, self.mixture) for block in blocks)
        return self._found(*kernel(rows, *self._model(theta)))

    def together(self, blocks: Sequence[Block], whole: Block, crew: Crew) -> Packed | None:
        """The same of all blocks of rows in memory, by several threads in compiled code.

        None where blocks are better visited one by one.
        """
        kernel = getattr(kernels.of(whole.rows), "accumulate_blocks", None)
        theta = self._alike(blocks) if len(blocks) > 1 else None
        if theta is None or kernel is None or _coarse(whole, self.mixture):
            return None
        found = kernel(*_rows_and_weights(whole, self.mixture), blocks, *self._model(theta), crew)
        return None if found is None else self._found(*found)

    def _of(self, block: Block) -> Statistics:
        given: dict[str, Any] = {"moments": self.moments, "assign": self.assign, "cut": self.cut}
        return expectation(self.mixture, block, **given)

    def _alike(self, blocks: Sequence[Block]) -> Array | None:
        """Coefficients by which a kernel can sum all of the blocks, else None."""
        moments = self.moments
        if self.cut is not None or moments.shape == FACTOR or moments.pooled:
            return None
        theta = log_linear(self.mixture) if _able(self.mixture, moments, self.assign) else None
        whole = theta is not None and all(block.halves[1] is None for block in blocks)
        return theta if whole else None

    def _model(self, theta: Array) -> tuple[Array, Array, Array, int, bool]:
        frame = self.mixture.frame
        return frame.pivot, frame.scale, theta, self.moments.shape, self.assign is hard

    def _found(self, value: float, sums: Array) -> Packed:
        return Packed(self.moments, self.mixture.kept("origin", _origin), sums, value)


def expectation(
    mixture: Mixture,
    block: Block,
    *,
    moments: Moments,
    assign: Assign = soft,
    cut: Cut | None = None,
) -> Statistics:
    """The expected statistics of a block given the mixture, and its log-likelihood.

    Both are in frame coordinates. A missing coordinate enters by its conditional mean, and its
    conditional covariance enters the second moments (Ghahramani & Jordan 1994); for cells within
    limits, the moments are those of the normal law truncated to them. Rows below a cut are left
    out; the log-likelihood is then that of the rows kept, in the units of the data.

    Returns
    -------
    Statistics
        About zero where the log-linear form is accurate enough, else about the mixture's means;
        the choice depends on the mixture alone, so that blocks can be added.
    """
    if block.errors is not None:
        return _deconvolved(mixture, block, moments, assign)
    if moments.shape == FACTOR:
        return projected(mixture, block, moments, assign, cut)
    pivot = mixture.location
    if log_linear(mixture) is not None:
        pivot = mixture.kept("origin", _origin)
    fast = cut is None and _able(mixture, moments, assign)
    block = block if fast else block.here
    plain, rest = block.halves if fast else (None, block)
    total = (
        Statistics.zero(moments, pivot)
        if plain is None
        else _by_kernel(mixture, plain, moments, assign is hard, pivot)
    )
    if rest is None:
        return total
    for found in _others(mixture, rest, moments, assign, cut):
        total = total + found.about(pivot)
    return total


def _deconvolved(mixture: Mixture, block: Block, moments: Moments, assign: Assign) -> Statistics:
    """Rows with measurement errors."""
    errors = block.errors
    assert errors is not None
    if errors.shared:
        seen = blurred(mixture, errors)
        found = expectation(seen, block.readings, moments=Moments(FULL), assign=assign)
        scores = Scores.alike(seen, found.about(seen.location))
    else:
        scores = Scores.by_row(mixture, block, assign is hard)
    scores = scores.through(steady(mixture, errors))
    data = scores.statistics(mixture, moments.at(mixture.structure))
    lost = block.total_weight * lost_volume(mixture, errors)
    return replace(data, log_likelihood=data.log_likelihood - lost)


def _origin(mixture: Mixture) -> Array:
    return np.zeros_like(mixture.location)


def _rows_and_weights(block: Block, mixture: Mixture) -> tuple[Rows, Array]:
    """A block as the kernels take it: in float64 where single precision would lose too much."""
    rows = block.rows
    if _coarse(block, mixture):
        here = isinstance(rows, np.ndarray)
        rows = rows.astype(np.float64) if here else kernels.of(rows).doubled(rows)
    return rows, np.empty(0) if block.weights is None else block.weights


def _coarse(block: Block, mixture: Mixture) -> bool:
    """Whether rows are in single precision, and would lose too much by it."""
    return block.rows.dtype.itemsize == 4 and not single(mixture, kernels.of(block.rows))


def _others(
    mixture: Mixture, block: Block, moments: Moments, assign: Assign, cut: Cut | None
) -> Iterator[Statistics]:
    """Rows with gaps or labels, or under any law, assignment or cut."""
    kernel = getattr(kernels.active(), "accumulate_observed", None)
    known = cut is None and block.limits is None
    if kernel is None or not known or not _able(mixture, moments, assign):
        for one in assigned(mixture, block, assign, cut):
            yield (_at_once if one.pattern.mixed else _by_row)(mixture, moments, one)
        return
    structure = mixture.structure
    value, sums = kernel(
        block.rows,
        mixture.frame.pivot,
        mixture.frame.scale,
        np.empty(0) if block.weights is None else block.weights,
        block.plausibility,
        block.groups,
        mixture.log_weights,
        mixture.location,
        structure.dense() if structure.shape == FULL else structure.variances_by_column,
        moments.shape,
        assign is hard,
    )
    yield Statistics.from_sums(sums, moments, mixture.location, value)


def _at_once(mixture: Mixture, moments: Moments, found: Assigned) -> Statistics:
    """The sums over assigned rows of many patterns of gaps."""
    shares = scaled = found.shares
    if not mixture.plain:
        scaled = shares * mixture.law.row_weights(found.squared, found.pattern.features)
    sums = kernels.active().moments_observed(
        *seen_by_kernel(mixture, found.block), scaled, shares, moments.shape
    )
    value, counts = float(found.keys @ found.weights), shares.sum(axis=0)
    data = Statistics.from_sums(sums, moments, mixture.location, value)
    return replace(data, counts=counts, dof=counts, noise=found.noise)


def _able(mixture: Mixture, moments: Moments, assign: Assign) -> bool:
    """Whether the kernels know how to sum under this mixture."""
    return mixture.plain and assign in (soft, hard) and fits(mixture, moments)


def fits(mixture: Mixture, moments: Moments) -> bool:
    """Whether the mixture's structure has the shape of the moments asked for."""
    structure = mixture.structure
    return structure.shape == moments.shape and structure.shared == moments.pooled


def _by_kernel(
    mixture: Mixture, block: Block, moments: Moments, is_hard: bool, pivot: Array
) -> Statistics:
    """Complete rows without labels."""
    frame, theta = mixture.frame, log_linear(mixture)
    rows, weights = _rows_and_weights(block, mixture)
    given = (rows, frame.pivot, frame.scale, weights)
    if theta is None:
        structure = mixture.structure
        norms = log_norms(structure.log_det, structure.d)
        value, sums = kernels.of(rows).accumulate_centred(
            *given,
            mixture.log_weights,
            mixture.location,
            structure.factors,
            norms,
            moments.shape,
            is_hard,
        )
        return Statistics.from_sums(sums, moments, pivot, value)
    shape = LINEAR if moments.pooled else moments.shape
    value, sums = kernels.of(rows).accumulate(*given, theta, shape, is_hard)
    if not moments.pooled:
        return Statistics.from_sums(sums, moments, pivot, value)
    second = _second_of_all(block, given, frame, moments)
    value += common_part(mixture, second, sums[:, -1].sum())
    return Statistics.from_sums(sums, moments, pivot, value, second)


def _second_of_all(block: Block, given: tuple[Any, ...], frame: Frame, moments: Moments) -> Array:
    """``Σ w z zᵀ`` (1, ...) of complete rows about zero."""
    if isinstance(block.rows, np.ndarray):
        return block.second(frame, moments)
    nothing = np.zeros((1, width(moments.shape, len(frame.scale))))
    _, sums = kernels.of(block.rows).accumulate(*given, nothing, moments.shape, True)
    return Statistics.from_sums(sums, moments, np.zeros((1, len(frame.scale))), 0.0).second


def _by_row(mixture: Mixture, moments: Moments, found: Assigned) -> Statistics:
    """The sums over assigned rows."""
    shares, pattern = found.shares, found.pattern
    counts = shares.sum(axis=0)
    scaled, mass = shares, counts
    if not mixture.plain:
        scaled = shares * mixture.law.row_weights(found.squared, pattern.features)
        mass = scaled.sum(axis=0)
    pivot = mixture.location
    if found.squared.size and pattern.complete and log_linear(mixture) is not None:
        frame, pivot = mixture.frame, np.zeros_like(pivot)
        rows = found.block.rows
        sums = kernels.plain.weighted_sums(rows, frame.pivot, frame.scale, scaled, moments.shape)
        data = Statistics.from_sums(sums, moments, pivot, 0.0)
        first, second = data.first, data.second
    else:
        first, second = _moments(mixture, found, moments, scaled)
    value = float(found.keys @ found.weights)
    return Statistics(moments, pivot, counts, mass, counts, first, second, value, noise=found.noise)


def _moments(
    mixture: Mixture, found: Assigned, moments: Moments, scaled: Array
) -> tuple[Array, Array]:
    """Σ ru E[z - μ] and Σ r E[u (z - μ)(z - μ)ᵀ] given the observed coordinates.

    `scaled` holds r u. The conditional covariance given u is that of u = 1 over u: it enters by r.
    """
    block, pattern, shares, within = found.block, found.pattern, found.shares, found.hidden
    k, d = mixture.location.shape
    o, m = pattern.observed, ~pattern.observed
    z = mixture.frame.take(o).read(block.rows[:, o])
    seen = mixture.observed(o)
    first, second = np.empty((k, d)), moments.zeros(k, d)
    for component in range(k):
        off = np.empty((len(z), d))
        off[:, o] = z - mixture.location[component, o]
        if within is not None:
            off[:, m] = within[component].off
        elif not pattern.complete:
            off[:, m] = off[:, o] @ seen.coefficients[component].T
        weighted = scaled[:, [component]] * off
        first[component] = weighted.sum(axis=0)
        spread = _second(off, weighted, moments)
        if within is not None:
            _add_residual(spread, within[component].doubt(shares[:, component]), m, moments)
        elif not pattern.complete:
            _add_residual(spread, shares[:, component].sum() * seen.residual[component], m, moments)
        second[0 if moments.pooled else component] += spread
    return first, second


def _second(off: Array, weighted: Array, moments: Moments) -> Array:
    if moments.shape == FULL:
        return off.T @ weighted
    columns = np.einsum("ij,ij->j", off, weighted)
    return columns if moments.shape == DIAGONAL else np.array(columns.sum())


def _add_residual(spread: Array, residual: Array, missing: Array, moments: Moments) -> None:
    """Add the conditional covariance of the missing coordinates, in place."""
    if moments.shape == FULL:
        spread[np.ix_(missing, missing)] += residual
    elif moments.shape == DIAGONAL:
        spread[missing] += residual.diagonal()
    else:
        spread += residual.trace()
