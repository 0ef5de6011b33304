"""Rows with measurement errors: read, and given a place where they were only seen projected.

Starts, summaries and frames need a place for every row. Where y lives in other coordinates than x,
that is the mean of x given y under a single Gaussian.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mixtura import _checks, _measured
from mixtura._errors import InputError
from mixtura._types import Array, Rows
from mixtura.block import Block
from mixtura.covariance import FAMILIES
from mixtura.fit.em import Stop, run
from mixtura.fit.outliers import NONE, Outliers
from mixtura.fit.problem import state
from mixtura.measurement import Errors
from mixtura.source import MemorySource

UNABLE = (
    "measurement errors go with Gaussian components alone: use distribution='gaussian', "
    "noise=False and trim=0, or leave out noise_cov and projection"
)

_STOP = Stop(1e-4, 100)
_BLIND = 1e-10
"""Share of what the projections see best below which a direction counts as never seen."""


def with_errors(
    rows: Rows, sample_weight: Any, noise_cov: Any, projection: Any, outliers: Outliers = NONE
) -> Block:
    """The rows of a fit with their weights and measurement errors, each in its place.

    Raises
    ------
    InputError
        Errors beside heavy tails, noise or trimming, or that cannot be used.
    """
    if noise_cov is None and projection is None:
        return Block(*_checks.weighted(rows, sample_weight))
    if not outliers.none:
        raise InputError(UNABLE)
    weights = _checks.row_weights(sample_weight, len(rows))
    return placed(measured(rows, weights, noise_cov, projection))


def measured(rows: Rows, weights: Array | None, noise_cov: Any, projection: Any) -> Block:
    """Rows (n, p) with their errors; projected ones all stand at zero (n, d).

    Raises
    ------
    InputError
        Noise or projections that cannot be used; says of which row.
    """
    if noise_cov is None and projection is None:
        return Block(rows, weights)
    n, p = rows.shape
    across = _measured.projections(projection, n, p)
    y = np.asarray(rows, dtype=np.float64)
    y, covariances = _measured.noise(0.0 if noise_cov is None else noise_cov, y)
    if across is None:
        block = Block(y, weights, errors=Errors(covariances))
    else:
        _measured.check_definite(covariances, across, y)
        nowhere = np.zeros((n, across.shape[2]))
        block = Block(nowhere, weights, errors=Errors(covariances, across, y))
    return block if weights is None or weights.all() else _without_absent(block)


def placed(block: Block) -> Block:
    """The block, its rows where x may be expected to lie if they were projected.

    Raises
    ------
    InputError
        A direction that no projection sees.
    """
    if block.errors is None or block.errors.projections is None:
        return block
    y, across, noise = _filled(block.errors)
    centre = _centre(y, across, block.weight())
    rough = centre + (np.linalg.pinv(across) @ (y - across @ centre)[:, :, None])[:, :, 0]
    block = replace(block, rows=rough)
    problem = state(MemorySource.of(block), FAMILIES["full"])
    one = run(problem, problem.isotropic(problem.frame.read(centre[None])), _STOP).mixture
    mean, covariance = one.means[0], one.covariances[0]
    total = across @ covariance @ across.swapaxes(1, 2) + noise
    scores = np.linalg.solve(total, (y - across @ mean)[:, :, None])
    return replace(block, rows=mean + (across.swapaxes(1, 2) @ scores)[:, :, 0] @ covariance)


def _without_absent(block: Block) -> Block:
    """Rows of weight zero become copies of one that counts, whatever stood there."""
    assert block.weights is not None and block.errors is not None
    rows = np.arange(len(block))
    rows[block.weights == 0] = np.flatnonzero(block.weights)[0]
    return replace(block.take(rows), weights=block.weights)


def _filled(errors: Errors) -> tuple[Array, Array, Array]:
    """Readings, projections and noise (1 or n, ...), so that what is absent tells nothing."""
    assert errors.projections is not None and errors.observations is not None
    y, across, noise = errors.observations, errors.projections, errors.covariances
    p = y.shape[1]
    if noise.shape[2] < p:
        noise = noise * np.eye(p)
    absent = np.isnan(y)
    if not absent.any():
        return y, across, noise
    either = absent[:, :, None] | absent[:, None, :]
    noise = np.where(either, np.eye(p), noise)
    return np.where(absent, 0.0, y), np.where(absent[:, :, None], 0.0, across), noise


def _centre(y: Array, across: Array, weights: Array) -> Array:
    """The mean of x by least squares: ``Σ w AᵀA m = Σ w Aᵀ y``."""
    every = np.broadcast_to(across, (len(y), *across.shape[1:]))
    normal = np.einsum("n,nij,nik->jk", weights, every, every)
    unit = np.sqrt(np.where(normal.diagonal() > 0, normal.diagonal(), 1.0))
    values, vectors = np.linalg.eigh(normal / unit / unit[:, None])
    if values[0] <= _BLIND * values[-1] * len(unit):
        blind = np.abs(vectors[:, 0] / unit)
        raise InputError(
            f"no projection sees coordinate {int(blind.argmax())} of x, or some direction along "
            "it: fit a mixture of fewer coordinates, or add rows that were measured otherwise"
        )
    right = np.einsum("n,nij,ni->j", weights, every, y)
    return np.asarray(vectors @ ((vectors.T @ (right / unit)) / values) / unit)
