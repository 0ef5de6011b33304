"""E-steps in which each row counts for few of many components: variational EM.

The responsibilities of row i are those of the posterior over a set ``K_i`` of C' components. For
any such sets the free energy ``F = Σ_i w_i log Σ_{c in K_i} π_c N(z_i | c)`` is a lower bound of
the log-likelihood that the M-step raises; the E-step raises it by better sets (Hirschberger,
Forster & Lücke 2022, eqs. 6 and 12). They are searched among the neighbours of each row's best
component, all that it held, and a few of all components in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mixtura import kernels
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.assignment import hard, soft
from mixtura.block import Block
from mixtura.expectation import expectation
from mixtura.kernels.layout import FULL, SPHERICAL
from mixtura.kernels.plain_truncated import accumulate_truncated
from mixtura.law import log_norms
from mixtura.log_linear import coefficients
from mixtura.mixture import Mixture
from mixtura.source import Source
from mixtura.statistics import Moments, Statistics, packed

_PER_COMPONENT, _LEAST, _MOST = 32, 1 << 13, 1 << 17
"""Rows of a component that share a search, about, and bounds on the rows of a block."""

_CHUNK = 1 << 22
"""Pairs of components that are compared at once."""

_TURNS = 32
"""Steps in which rows of one best component are compared with all others."""

AUDITED = 2000
"""Rows of which the exact log-likelihood is computed in the end."""


@dataclass(frozen=True)
class Shortlist:
    """How many components a row counts for, and among how many they are searched.

    Parameters
    ----------
    size : int, default=5
        Components that each row keeps, C'. With C' = k the fit is exact EM.
    search : int, default=10
        Neighbours of its best component among which better ones are searched in each step. Added
        are a thirty-second of all components in turn, and all that rows of the same best component
        have kept.

    Raises
    ------
    InputError
        A number below one.

    Examples
    --------
    >>> from mixtura import Shortlist
    >>> Shortlist(8).size
    8
    """

    size: int = 5
    search: int = 10

    def __post_init__(self) -> None:
        for name in ("size", "search"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise InputError(f"a Shortlist's {name}={value!r} must be a whole number from 1 on")


@dataclass(frozen=True, eq=False)
class Candidates:
    """The components (n, C') that each row counts for, best first, -1 for none.

    They belong to a point of a climb; `turn` is how many E-steps have searched for them.
    """

    held: Array
    turn: int


@dataclass(frozen=True)
class Audit:
    """The exact log-likelihood of some rows beside their share of the lower bound.

    Attributes
    ----------
    rows : int
        How many were drawn at random.
    loss : float
        Nats a row by which the bound lies below the log-likelihood, by these rows.
    error : float
        Standard error of the loss.
    """

    rows: int
    loss: float
    error: float


@dataclass(frozen=True, eq=False)
class _Step:
    """One E-step: the mixture, what it asks for, and the candidates before and after."""

    mixture: Mixture
    moments: Moments
    is_hard: bool
    near: Array
    before: Array
    after: Array

    def __call__(self, block: Block, place: slice) -> Statistics:
        plain, rest = block.halves
        mixture = self.mixture
        total = Statistics.zero(self.moments, mixture.location)
        if plain is not None:
            rows = np.arange(place.start, place.stop)[block.patterns[0].rows]
            total = self._among(plain, rows)
        if rest is not None:  # gaps and labels: exactly
            assign = hard if self.is_hard else soft
            others = expectation(mixture, rest, moments=self.moments, assign=assign)
            total = total + others.about(mixture.location)
        return total

    def _among(self, block: Block, rows: Array) -> Statistics:
        mixture, structure = self.mixture, self.mixture.structure
        kernel = getattr(kernels.active(), "accumulate_truncated", accumulate_truncated)
        value, sums, self.after[rows] = kernel(
            block.rows,
            mixture.frame.pivot,
            mixture.frame.scale,
            np.empty(0) if block.weights is None else block.weights,
            mixture.log_weights,
            mixture.location,
            structure.factors,
            log_norms(structure.log_det, structure.d),
            self.moments.shape,
            self.is_hard,
            self.before[rows],
            self.near,
        )
        return Statistics.from_sums(sums, self.moments, mixture.location, value)


def among(
    source: Source,
    mixture: Mixture,
    moments: Moments,
    shortlist: Shortlist,
    before: Candidates | None,
    *,
    is_hard: bool = False,
) -> tuple[Statistics, Candidates]:
    """The statistics and free energy under better candidates than those `before`.

    Without any before, all components are searched: the first step costs about as much as an exact
    one, and begun with less a climb ends lower.
    """
    k, turn = mixture.n_components, 0 if before is None else before.turn + 1
    size = min(shortlist.size, k)
    near: Array = np.empty((k, 0), np.int32)
    if before is not None and size < k:
        near = searched(mixture, min(shortlist.search, k), turn)
    kept: Array = np.full((source.n, size), -1, np.int32)
    held = kept if before is None else before.held
    step = _Step(mixture, moments, is_hard, near, held, kept)
    return source.sum_over(_places(source.n, k), step), Candidates(kept, turn)


def _places(n: int, k: int) -> list[slice]:
    """Where the rows are cut: longer blocks for more components."""
    size = min(max(_PER_COMPONENT * k, _LEAST), _MOST)
    count = max(-(-n // size), 1)
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def searched(mixture: Mixture, size: int, turn: int) -> Array:
    """Among which components rows of a best one search: the nearest, and a few of all in turn."""
    k = mixture.n_components
    few = -(-k // _TURNS)
    others = np.arange(k)[:, None] + few * turn + np.arange(few)
    return np.hstack([neighbours(mixture, size), (others % k).astype(np.int32)])


def neighbours(mixture: Mixture, size: int) -> Array:
    """The components nearest to each, itself among them: (k, size).

    Components i and j are as near as the less divergent way between them,
    ``max(E_i[l_j - l_i], E_j[l_i - l_j])`` with ``l_c = log π_c N(z | c)``: a narrow one within a
    broad one is a neighbour though most rows of the broad one are far from it. Expectations of
    log-densities are products of coefficients and expected features, so that all pairs are two
    matrix products.
    """
    k = mixture.n_components
    theta, expected = coefficients(mixture), _expected_features(mixture)
    with np.errstate(invalid="ignore"):
        own = np.einsum("kp,kp->k", theta, expected)
    near: Array = np.empty((k, size), np.int32)
    rows = max(_CHUNK // k, 1)
    for start in range(0, k, rows):
        some = slice(start, min(start + rows, k))
        with np.errstate(invalid="ignore"):
            out = expected[some] @ theta.T - own[some, None]
            back = theta[some] @ expected.T - own
        closeness = np.fmax(out, back)
        closeness[np.isnan(closeness)] = -np.inf
        index = np.arange(some.stop - some.start)
        closeness[index, index + start] = np.inf
        near[some] = np.argpartition(-closeness, size - 1, axis=1)[:, :size]
    return near


def _expected_features(mixture: Mixture) -> Array:
    """``E[T(z)]`` under each component, (k, p), as `coefficients` are laid out."""
    structure, means = mixture.structure, mixture.location
    first = np.column_stack([means, np.ones(len(means))])
    if structure.shared:
        return first
    if structure.shape == FULL:
        second = packed(structure.dense() + means[:, :, None] * means[:, None, :], FULL)
    else:
        second = structure.variances_by_column + means**2
        if structure.shape == SPHERICAL:
            second = second.sum(axis=1, keepdims=True)
    return np.column_stack([second, first])


def audited(source: Source, mixture: Mixture, candidates: Candidates) -> Audit:
    """Compare the bound with the exact log-likelihood on rows drawn at random.

    Rows with gaps or labels, whose responsibilities are exact, lose nothing.
    """
    rng = np.random.default_rng(len(candidates.held))
    rows = np.sort(rng.choice(source.n, size=min(AUDITED, source.n), replace=False))
    block = source.take(rows)
    losses = np.concatenate([*_losses(mixture, block, candidates.held[rows])])
    weights = block.weight()
    mean = float(np.average(losses, weights=weights))
    spread = float(weights @ (weights * (losses - mean) ** 2))
    return Audit(len(rows), mean, float(np.sqrt(spread) / weights.sum()))


def _losses(mixture: Mixture, block: Block, held: Array) -> Iterator[Array]:
    step = max(_CHUNK // mixture.n_components, 1)
    for start in range(0, len(block), step):
        kept = held[start : start + step]
        short = np.flatnonzero(kept[:, 0] >= 0)
        kept, lost = kept[short], np.zeros(len(kept))
        joint = mixture.joint(block.rows[start + short], np.ones(block.rows.shape[1], dtype=bool))
        own = np.where(kept >= 0, np.take_along_axis(joint, np.maximum(kept, 0), 1), -np.inf)
        lost[short] = np.logaddexp.reduce(joint, axis=1) - np.logaddexp.reduce(own, axis=1)
        yield lost
