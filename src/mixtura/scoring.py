"""Rows against a mixture: squared distances, log joint densities, conditional means."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura import kernels
from mixtura._types import Array, Mask, Rows
from mixtura.conditioning import shares
from mixtura.covariance import structure
from mixtura.parts import Parts

_FAR = 1e140
"""Where coordinates are clipped if the squared distance would overflow."""


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
    logs, noise = component_joint(mixture, squared, observed), mixture.noise
    if noise is None:
        return logs
    with np.errstate(divide="ignore"):
        beside, within = np.log1p(-noise.share), np.log(noise.share)
    even = np.full((len(logs), 1), within + noise.log_density(observed))
    return np.hstack([logs + beside, even])


def gaussian_joint(
    mixture: Parts, rows: Rows, observed: Mask, log_weights: Array, log_norms: Array
) -> Array:
    """``log_weights + log_norms - δ²/2`` (m, k) for the squared Mahalanobis distance δ²."""
    if not observed.any():
        return np.broadcast_to(log_weights, (len(rows), len(log_weights)))
    structure = mixture.observed(observed).structure
    some = slice(None) if observed.all() else observed
    frame = mixture.frame.take(some)
    numbers = (log_weights, mixture.location[:, some], structure.factors, log_norms)
    kernel = kernels.active().log_joint
    with np.errstate(over="ignore", invalid="ignore"):
        logs = kernel(rows[:, some], frame.pivot, frame.scale, *numbers, structure.shape)
    lost = np.flatnonzero(~np.isfinite(logs.max(axis=1)))
    if len(lost):  # so far away that the square overflows: move in along the ray
        with np.errstate(over="ignore"):
            near = frame.unread(np.clip(frame.read(rows[lost][:, some]), -_FAR, _FAR))
        logs[lost] = kernel(near, frame.pivot, frame.scale, *numbers, structure.shape)
    return np.asarray(logs)


def conditioned(mixture: Parts, row: Rows) -> dict[str, Any]:
    """The fields of the mixture of a row's (1, d) missing coordinates given the others."""
    observed = ~np.isnan(row[0])
    rest, seen, k = np.flatnonzero(~observed), mixture.observed(observed), len(mixture.weights)
    squared = squared_distances(mixture, row, observed)
    law, factor = mixture.law.given(squared[0], int(observed.sum()))
    off = mixture.frame.read(row)[0, observed] - mixture.location[:, observed]
    residual = seen.residual * factor[:, None, None]
    noise = mixture.noise
    if noise is not None:
        lost = shares(joint_at(mixture, squared, observed))[0, -1]
        noise = noise.marginal(rest).sharing(lost)
    return {
        "weights": shares(component_joint(mixture, squared, observed))[0],
        "location": mixture.location[:, rest] + np.einsum("kmo,ko->km", seen.coefficients, off),
        "structure": structure(residual, "full", k, len(rest)),
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
        conditional = centre[missing] + off @ seen.coefficients[index].T
        guess += share[:, [index]] * conditional
    if mixture.noise is not None:
        guess += share[:, [-1]] * mixture.noise.marginal(missing).mean()
    whole = np.array(rows, dtype=np.float64)
    whole[:, missing] = mixture.frame.take(missing).unread(guess)
    return whole
