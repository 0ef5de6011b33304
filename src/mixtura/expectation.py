"""The E-step: assign every row to the components, then sum its moments.

The only file that knows of gaps, limits, weights, labels and measurement errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from mixtura import kernels
from mixtura._types import Array, Rows
from mixtura.block import Block, Pattern
from mixtura.censoring import Hidden, hidden, log_probabilities
from mixtura.deconvolution import Scores, blurred, lost_volume, steady
from mixtura.frame import Frame
from mixtura.kernels.layout import DIAGONAL, FACTOR, FULL, LINEAR, doubled, width
from mixtura.law import log_norms
from mixtura.mixture import Mixture
from mixtura.projected import LOSS, projected, ranked_by_factors
from mixtura.projected import cancellation as low_rank_cancellation
from mixtura.scoring import joint_at, squared_distances, under_labels
from mixtura.statistics import Moments, Statistics, packed
from mixtura.tree import tree_sum
from mixtura.trimming import Cut, Trim

Assign = Callable[[Array], tuple[Array, Array]]
"""Log joint (n, k) -> responsibilities (n, k) and the log-likelihood of each row (n,)."""

LOSS_SINGLE = 1e-2
"""The same bound for float32 rows, whose products run in single precision; what is really lost is
far below, as roundings average out."""


def soft(log_joint: Array) -> tuple[Array, Array]:
    """Responsibilities ``r_ik = P(k | x_i)``: expectation-maximization."""
    top = log_joint.max(axis=1)
    shares = np.exp(log_joint - top[:, None])
    norm = shares.sum(axis=1)
    return shares / norm[:, None], top + np.log(norm)


def hard(log_joint: Array) -> tuple[Array, Array]:
    """All to the best component: classification EM (Celeux & Govaert 1992)."""
    best = log_joint.argmax(axis=1)
    rows = np.arange(len(best))
    shares = np.zeros_like(log_joint)
    shares[rows, best] = 1.0
    return shares, log_joint[rows, best]


def summed(
    mixture: Mixture,
    blocks: Sequence[Block],
    *,
    moments: Moments,
    assign: Assign = soft,
    cut: Cut | None = None,
) -> Statistics:
    """`expectation` of each block of a run, added up in their tree."""
    kernel = getattr(kernels.of(blocks[0].rows), "accumulate_run", None)
    alike = len(blocks) > 1 and cut is None and moments.shape != FACTOR and not moments.pooled
    theta = _log_linear(mixture) if alike and _able(mixture, moments, assign) else None
    if theta is None or kernel is None or any(block.halves[1] is not None for block in blocks):
        step = partial(expectation, mixture, moments=moments, assign=assign, cut=cut)
        return tree_sum([step(block) for block in blocks])
    frame = mixture.frame
    given = (_rows_and_weights(block, mixture) for block in blocks)
    value, sums = kernel(given, frame.pivot, frame.scale, theta, moments.shape, assign is hard)
    return Statistics.from_sums(sums, moments, mixture.kept("origin", _origin), value)


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
    if _log_linear(mixture) is not None:
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
    lost = float(block.weight().sum()) * lost_volume(mixture, errors)
    return replace(data, log_likelihood=data.log_likelihood - lost)


def _origin(mixture: Mixture) -> Array:
    return np.zeros_like(mixture.location)


def _rows_and_weights(block: Block, mixture: Mixture) -> tuple[Rows, Array]:
    """A block as the kernels take it: in float64 where single precision would lose too much."""
    rows = block.rows
    if str(rows.dtype).endswith("float32") and cancellation(mixture) * 2.0**29 > LOSS_SINGLE:
        here = isinstance(rows, np.ndarray)
        rows = rows.astype(np.float64) if here else kernels.of(rows).doubled(rows)
    return rows, np.empty(0) if block.weights is None else block.weights


def _others(
    mixture: Mixture, block: Block, moments: Moments, assign: Assign, cut: Cut | None
) -> Iterator[Statistics]:
    """Rows with gaps or labels, or under any law, assignment or cut."""
    kernel = getattr(kernels.active(), "accumulate_observed", None)
    known = cut is None and block.limits is None
    if kernel is None or not known or not _able(mixture, moments, assign):
        for pattern, part in block.parts:
            yield _by_row(mixture, moments, assigned(mixture, part, pattern, assign, cut))
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


def _able(mixture: Mixture, moments: Moments, assign: Assign) -> bool:
    """Whether the kernels know how to sum under this mixture."""
    return mixture.plain and assign in (soft, hard) and fits(mixture, moments)


def cancellation(mixture: Mixture) -> float:
    """Nats a row that the log-linear form may lose for this mixture, in float64."""
    return float(mixture.kept("cancellation", _cancellation))


def _cancellation(mixture: Mixture) -> float:
    structure = mixture.structure
    if structure.shape == FACTOR:
        return low_rank_cancellation(mixture)
    deviations = np.sqrt(structure.variances_by_column)
    return kernels.plain.cancellation(mixture.location, structure.precisions, deviations)


def fits(mixture: Mixture, moments: Moments) -> bool:
    """Whether the mixture's structure has the shape of the moments asked for."""
    structure = mixture.structure
    return structure.shape == moments.shape and structure.shared == moments.pooled


def _by_kernel(
    mixture: Mixture, block: Block, moments: Moments, is_hard: bool, pivot: Array
) -> Statistics:
    """Complete rows without labels."""
    frame, theta = mixture.frame, _log_linear(mixture)
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
    value += _common(mixture, second, sums[:, -1].sum())
    return Statistics.from_sums(sums, moments, pivot, value, second)


def _second_of_all(block: Block, given: tuple[Any, ...], frame: Frame, moments: Moments) -> Array:
    """``Σ w z zᵀ`` (1, ...) of complete rows about zero."""
    if isinstance(block.rows, np.ndarray):
        return block.second(frame, moments)
    nothing = np.zeros((1, width(moments.shape, len(frame.scale))))
    _, sums = kernels.of(block.rows).accumulate(*given, nothing, moments.shape, True)
    return Statistics.from_sums(sums, moments, np.zeros((1, len(frame.scale))), 0.0).second


def _log_linear(mixture: Mixture) -> Array | None:
    """The coefficients of the log-linear form; None where it may lose more than LOSS."""
    known: Array | None = mixture.kept("coefficients", _coefficients_if_accurate)
    return known


def _coefficients_if_accurate(mixture: Mixture) -> Array | None:
    structure = mixture.structure
    compiled = getattr(kernels.active(), "coefficients", None)
    if compiled is not None and not structure.shared and structure.d <= _NARROW:
        given = mixture.weights, mixture.location, structure.array()
        found: Array | None = compiled(*given, structure.shape, LOSS)
        if found is not None:
            return found
    return coefficients(mixture) if cancellation(mixture) <= LOSS else None


_NARROW = 32
"""Features up to which loops over small matrices take less time than calls of a library."""


def coefficients(mixture: Mixture) -> Array:
    """Θ (k, p) with ``log π_k N(z | k) = Θ_k · T(z)``; without the common part where shared.

    ``-½ (z-μ)ᵀP(z-μ) = -½ zᵀPz + (Pμ)ᵀz - ½ μᵀPμ``.
    """
    structure, means = mixture.structure, mixture.location
    precisions = structure.precisions
    if structure.shape == FULL:
        first = np.einsum("kij,kj->ki", precisions, means)
    else:
        first = precisions.reshape(len(means), -1) * means
    constant = mixture.log_weights - 0.5 * (first * means).sum(axis=1)
    if structure.shared:
        return np.column_stack([first, constant])
    constant = constant + log_norms(structure.log_det, structure.d)
    second = -0.5 * packed(precisions, structure.shape)
    if structure.shape == FULL:
        second *= doubled(structure.d)
    return np.column_stack([second, first, constant])


def _common(mixture: Mixture, second: Array, mass: float) -> float:
    """``Σ_i w_i (-½ zᵀPz + log norm)``: what a shared covariance adds for every component."""
    structure = mixture.structure
    norm = log_norms(structure.log_det[:1], structure.d)[0]
    return float(mass * norm - 0.5 * np.vdot(structure.precisions[0], second[0]))


@dataclass(frozen=True, eq=False)
class Assigned:
    """Rows of one pattern, assigned to the components.

    Attributes
    ----------
    block : Block
    pattern : Pattern
    squared : (m, k)
        Squared distances over the observed coordinates; nothing where they are not needed.
    shares : (m, k)
        Responsibilities times the rows' weights, as far as a cut keeps the rows.
    keys : (m,)
        Log-likelihood of each row, or what the cut ranks it by.
    weights : (m,)
        The rows' weights, as far as a cut keeps them.
    noise : float
        Weight of the rows that are noise.
    hidden : tuple of Hidden or None
        What each component makes of cells within limits.
    """

    block: Block
    pattern: Pattern
    squared: Array
    shares: Array
    keys: Array
    weights: Array
    noise: float
    hidden: tuple[Hidden, ...] | None = None


def assigned(
    mixture: Mixture, block: Block, pattern: Pattern, assign: Assign, cut: Cut | None = None
) -> Assigned:
    """Assign the rows of a block that all have one pattern."""
    squared, joint = _joint(mixture, block, pattern, mixture.plain and cut is None)
    within = None if pattern.bounded is None else hidden(mixture, block, pattern)
    if within is not None:
        joint = joint + log_probabilities(within)
    shares, keys = assign(joint)
    weights = block.weight()
    if cut is not None:
        keys = cut.trim.keys(keys, pattern.observed)
        weights = weights * cut.kept(keys)
    shares = shares * weights[:, None]
    k = mixture.n_components
    noise = float(shares[:, k:].sum())
    return Assigned(block, pattern, squared, shares[:, :k], keys, weights, noise, within)


def ranked(mixture: Mixture, block: Block, assign: Assign, trim: Trim) -> tuple[Array, Array]:
    """What trimming ranks the rows of a block by, and their weights, (n,) each."""
    if mixture.structure.shape == FACTOR:
        return ranked_by_factors(mixture, block, assign, trim), block.weight()
    keys = np.empty(len(block))
    for pattern, part in block.parts:
        _, joint = _joint(mixture, part, pattern, False)
        keys[pattern.rows] = trim.keys(assign(joint)[1], pattern.observed)
    return keys, block.weight()


def _joint(mixture: Mixture, block: Block, pattern: Pattern, direct: bool) -> tuple[Array, Array]:
    """Squared distances and log joint under the rows' labels; `direct` leaves out the distances.

    The block remembers the distances, as a step may need them for its cut, for the degrees of
    freedom and for its sums.
    """
    observed = pattern.observed
    if direct:
        squared, joint = np.empty((0, 0)), mixture.joint(block.rows, observed)
    else:
        of = (mixture.location, mixture.structure)
        squared = block.once(of, lambda: squared_distances(mixture, block.rows, observed))
        joint = joint_at(mixture, squared, observed)
    return squared, under_labels(mixture, joint, block.plausibility)


def _by_row(mixture: Mixture, moments: Moments, found: Assigned) -> Statistics:
    """The sums over assigned rows."""
    shares, pattern = found.shares, found.pattern
    counts = shares.sum(axis=0)
    scaled, mass = shares, counts
    if not mixture.plain:
        scaled = shares * mixture.law.row_weights(found.squared, int(pattern.observed.sum()))
        mass = scaled.sum(axis=0)
    pivot = mixture.location
    if found.squared.size and pattern.complete and _log_linear(mixture) is not None:
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
