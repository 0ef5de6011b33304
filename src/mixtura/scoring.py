"""Rows against a mixture: squared distances, log joint densities, conditional means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mixtura import kernels
from mixtura._types import Array, Mask, Rows
from mixtura.block import Block, Pattern
from mixtura.conditioning import shares
from mixtura.covariance import FactorCovariances
from mixtura.frame import Frame
from mixtura.kernels.layout import DIAGONAL, SPHERICAL
from mixtura.kernels.low_rank import tiled
from mixtura.kernels.low_rank_gaps import Gaps
from mixtura.parts import Parts

_FAR = 1e140
"""Where coordinates are clipped if the squared distance would overflow."""


def ahead(mixture: Parts, rows: Rows) -> None:
    """These rows are to be scored: load the compiled kernels if that pays.

    The plain ones take about 50 + d²/16 nanoseconds a row and component, and 50 microseconds for
    each pattern of gaps and component.
    """
    if kernels.active() is not kernels.plain or not isinstance(rows, np.ndarray):
        return
    if isinstance(mixture.structure, FactorCovariances):
        return  # its products are the same on all kernels
    k, d = mixture.location.shape
    some = np.isnan(rows[:_SOME])
    patterns = len(np.unique(np.packbits(some, axis=1), axis=0)) if some.any() else 0
    kernels.spend(len(rows) * k * ((50.0 + d * d / 16.0) * 1e-9 + patterns * 5e-5 / len(some)))


_SOME = 1000
"""Rows by which patterns of gaps are estimated."""


def squared_distances(mixture: Parts, rows: Rows, observed: Mask) -> Array:
    """Squared Mahalanobis distances (m, k) over the observed coordinates."""
    nothing = np.zeros(len(mixture.weights))
    return np.asarray(-2.0 * gaussian_joint(mixture, rows, observed, nothing, nothing))


def component_joint(mixture: Parts, squared: Array, observed: Mask) -> Array:
    """``log π_k + log p(z | k)``, (m, k), of rows at squared distances (m, k)."""
    log_det = mixture.observed(observed).structure.log_det
    logs = mixture.law.log_densities(squared, log_det, int(observed.sum()))
    return np.asarray(logs + mixture.log_weights)


def joint_at(mixture: Parts, squared: Array, observed: Mask) -> Array:
    """Log joint of rows at squared distances (m, k), a last column for noise if there is any."""
    log_det = mixture.observed(observed).structure.log_det
    return joint_with(mixture, squared, log_det, Pattern(observed, slice(None)))


def joint_with(mixture: Parts, squared: Array, log_det: Array, pattern: Pattern) -> Array:
    """The same for known log-determinants (k,) or (m, k) of the observed coordinates."""
    logs = mixture.law.log_densities(squared, log_det, pattern.features)
    logs += mixture.log_weights
    noise = mixture.noise
    if noise is None:
        return logs
    m, k = logs.shape
    joint = np.empty((m, k + 1))
    with np.errstate(divide="ignore"):
        np.add(logs, np.log1p(-noise.share), out=joint[:, :k])
        joint[:, k] = np.log(noise.share) + noise.log_density(pattern.observed)
    return joint


def under_labels(mixture: Parts, joint: Array, told: Array | None) -> Array:
    """Log joint under the rows' labels, log plausibilities (m, k); noise as the least plausible."""
    if told is None:
        return joint
    if mixture.noise is not None:
        told = np.column_stack([told, told.min(axis=1)])
    return np.asarray(joint + told)


def gaussian_joint(
    mixture: Parts, rows: Rows, observed: Mask, log_weights: Array, log_norms: Array
) -> Array:
    """``log_weights + log_norms - δ²/2`` (m, k) for the squared Mahalanobis distance δ²."""
    if not observed.any():
        return np.broadcast_to(log_weights, (len(rows), len(log_weights)))
    some = slice(None) if observed.all() else observed
    frame = mixture.frame.take(some)
    measured = _measured(mixture, observed, frame, (log_weights, log_norms))
    with np.errstate(over="ignore", invalid="ignore"):
        logs = measured(rows[:, some])
        if np.isfinite(logs.sum()):
            return np.asarray(logs)
    lost = np.flatnonzero(~np.isfinite(logs.max(axis=1)))
    if len(lost):  # so far away that the square overflows: move in along the ray
        with np.errstate(over="ignore"):
            near = frame.unread(np.clip(frame.read(rows[lost][:, some]), -_FAR, _FAR))
        logs[lost] = measured(near)
    return np.asarray(logs)


def _measured(
    mixture: Parts, observed: Mask, frame: Frame, logs: tuple[Array, Array]
) -> Callable[[Rows], Array]:
    """How rows of the observed coordinates are measured: by the kernels, or through factors."""
    structure, (log_weights, log_norms) = mixture.observed(observed).structure, logs
    means = mixture.location[:, observed]
    if isinstance(structure, FactorCovariances):
        constant, terms = log_weights + log_norms, structure.terms(means)
        return lambda rows: constant - 0.5 * tiled(frame.read, rows, terms)
    numbers = (log_weights, means, structure.factors, log_norms, structure.shape)

    def measured(rows: Rows) -> Array:
        found = kernels.of(rows).log_joint(rows, frame.pivot, frame.scale, *numbers)
        return np.asarray(
            found if isinstance(rows, np.ndarray) else kernels.of(rows).to_host(found)
        )

    return measured


def at_once() -> bool:
    """Whether there are kernels that take rows of many patterns of gaps at once."""
    return hasattr(kernels.active(), "distances_observed")


def distances_with_gaps(mixture: Parts, block: Block) -> tuple[Array, Array] | None:
    """Squared distances (n, k) and log-determinants (n, k) of rows with many patterns, at once.

    For low-rank covariances, whose rows of loadings make a pattern cheap, and by compiled kernels;
    else None.
    """
    able = at_once() or isinstance(mixture.structure, FactorCovariances)
    return distances_at_once(mixture, block) if able else None


def distances_at_once(mixture: Parts, block: Block) -> tuple[Array, Array]:
    """The same where it is known that they can be had at once."""
    structure = mixture.structure
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(structure, FactorCovariances):
            z, terms = mixture.frame.read(block.rows), structure.terms(mixture.location)
            squared, log_det, _ = Gaps(z, *block.masks, terms).distances()
        else:
            squared, log_det = kernels.active().distances_observed(*seen_by_kernel(mixture, block))
    for row in np.flatnonzero(~np.isfinite(squared.min(axis=1))):
        squared[row] = squared_distances(mixture, block.rows[[row]], ~np.isnan(block.rows[row]))[0]
    return squared, log_det


def seen_by_kernel(mixture: Parts, block: Block) -> tuple[Any, ...]:
    """Rows with gaps, and the components that they are seen by, as kernels take them."""
    structure, frame = mixture.structure, mixture.frame
    apart = structure.shape in (DIAGONAL, SPHERICAL)
    spread = structure.variances_by_column if apart else structure.dense()
    return block.rows, frame.pivot, frame.scale, block.groups, mixture.location, spread


def filled_with_gaps(mixture: Parts, block: Block, joint: Array) -> Array | None:
    """Rows (n, d) with gaps filled as their log joint tells, at once; None without a kernel."""
    if not at_once() or isinstance(mixture.structure, FactorCovariances):
        return None
    share, k, noise = shares(joint), len(mixture.weights), mixture.noise
    guess = kernels.active().means_observed(*seen_by_kernel(mixture, block), share[:, :k])
    if noise is not None:
        guess += share[:, [k]] * noise.marginal(slice(None)).mean()
    guess = mixture.frame.unread(guess)
    return np.where(np.isnan(block.rows), guess, block.rows)


def conditioned(mixture: Parts, row: Rows) -> dict[str, Any]:
    """The fields of the mixture of a row's (1, d) missing coordinates given the others."""
    observed = ~np.isnan(row[0])
    rest, seen = np.flatnonzero(~observed), mixture.observed(observed)
    squared = squared_distances(mixture, row, observed)
    law, factor = mixture.law.given(squared[0], int(observed.sum()))
    off = mixture.frame.read(row)[0, observed] - mixture.location[:, observed]
    noise = mixture.noise
    if noise is not None:
        lost = shares(joint_at(mixture, squared, observed))[0, -1]
        noise = noise.marginal(rest).sharing(lost)
    return {
        "weights": shares(component_joint(mixture, squared, observed))[0],
        "location": mixture.location[:, rest] + seen.lead(off),
        "structure": seen.rest(factor),
        "frame": mixture.frame.take(rest),
        "law": law,
        "noise": noise,
    }


def filled(mixture: Parts, rows: Rows, observed: Mask, joint: Array) -> Array:
    """Rows (m, d) with what is not observed replaced by its conditional mean."""
    seen, missing = mixture.observed(observed), ~observed
    z, share = mixture.frame.read(rows), shares(joint)
    guess = np.zeros((len(rows), int(missing.sum())))
    for index, centre in enumerate(mixture.location):
        off = z[:, observed] - centre[observed]
        conditional = centre[missing] + seen.missing(off, index)
        guess += share[:, [index]] * conditional
    if mixture.noise is not None:
        guess += share[:, [-1]] * mixture.noise.marginal(missing).mean()
    whole = np.array(rows, dtype=np.float64)
    whole[:, missing] = mixture.frame.take(missing).unread(guess)
    return whole
