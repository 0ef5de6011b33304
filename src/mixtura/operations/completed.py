"""Log-densities that rows with different gaps can be ranked by."""

from __future__ import annotations

import numpy as np

from mixtura._types import Array
from mixtura.block import Block, Pattern
from mixtura.conditioning import log_sums, shares
from mixtura.mixture import Mixture
from mixtura.scoring import joint_with


def completed_log_density(mixture: Mixture, block: Block) -> Array:
    """Log-density of the rows (n,), what was not observed counted as what is usual there.

    Densities of rows with different gaps are in different units. Here every gap takes from the
    row what it would on average: ``log p(x_o) - Σ_k r_k (h_k - h_k,o)`` with the responsibilities r
    by what was observed and the entropies h of component k over all and over the observed
    coordinates, which is ``E[log p(x_m | x_o, k)]`` over rows of that component. Rows without gaps
    have their log-density.
    """
    out = np.empty(len(block))
    for pattern, squared, log_det in mixture.measured(block):
        joint = joint_with(mixture, squared, log_det, pattern)
        logs = log_sums(joint) + mixture.frame.log_volume
        if not pattern.complete:
            logs -= _hidden(mixture, shares(joint), log_det, pattern)
        out[pattern.rows] = logs
    return out


def _hidden(mixture: Mixture, share: Array, log_det: Array, pattern: Pattern) -> Array:
    """Nats (m,) that the coordinates not observed take on average, for shares (m, k or k + 1)."""
    law, (k, d), noise = mixture.law, mixture.location.shape, mixture.noise
    part = law.entropies(log_det, pattern.features)
    taken = np.sum(share[:, :k] * (law.entropies(mixture.structure.log_det, d) - part), axis=1)
    if noise is not None:
        even = noise.log_density(pattern.observed) - noise.log_density(np.ones(d, dtype=bool))
        taken += share[:, k] * even
    return np.asarray(taken)
