"""What some observed coordinates tell of the components and of the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtura._types import Array, Mask
from mixtura.covariance import Covariances
from mixtura.law import log_norms


@dataclass(frozen=True)
class Observed:
    """A mixture seen through a pattern: what is observed, and what that tells of the rest.

    Attributes
    ----------
    structure : the covariances of the observed coordinates
    log_norms : (k,)
    coefficients : (k, m, o) regressions Σ_mo Σ_oo⁻¹ of the missing on the observed
    residual : (k, m, m) conditional covariances Σ_mm - Σ_mo Σ_oo⁻¹ Σ_om
    """

    structure: Covariances
    log_norms: Array
    coefficients: Array
    residual: Array


def seen_through(whole: Covariances, observed: Mask) -> Observed:
    """Regress the missing on the observed coordinates in every component."""
    some, rest = np.flatnonzero(observed), np.flatnonzero(~observed)
    structure = whole if not len(rest) else whole.marginal(some)
    norms = log_norms(structure.log_det, len(some))
    if not len(rest):
        empty = np.empty((whole.k, 0, 0))
        return Observed(structure, norms, empty, empty)
    dense = whole.dense()
    within = dense[:, rest][:, :, rest]
    cross = dense[:, some][:, :, rest]
    if not cross.any():
        return Observed(structure, norms, cross.swapaxes(1, 2), within)
    lower = np.linalg.cholesky(dense[:, some][:, :, some])
    white = np.linalg.solve(lower, cross)
    coefficients = np.linalg.solve(lower.swapaxes(1, 2), white).swapaxes(1, 2)
    residual = within - white.swapaxes(1, 2) @ white
    return Observed(structure, norms, coefficients, (residual + residual.swapaxes(1, 2)) / 2)


def log_sums(joint: Array) -> Array:
    """log Σ_k exp(joint) of each row."""
    top = joint.max(axis=1)
    return np.asarray(top + np.log(np.exp(joint - top[:, None]).sum(axis=1)))


def shares(joint: Array) -> Array:
    """exp(joint) normalised to sum to one in each row."""
    likely = np.exp(joint - joint.max(axis=1, keepdims=True))
    return np.asarray(likely / likely.sum(axis=1, keepdims=True))


def labels(joint: Array, k: int) -> Array:
    """The first best component of each row; -1 where that is the noise's column."""
    best = joint.argmax(axis=1)
    return np.where(best < k, best, -1)
