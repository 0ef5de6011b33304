"""Log-densities that rows with different gaps can be ranked by."""

from __future__ import annotations

import numpy as np

from mixtura._types import Array, Mask
from mixtura.block import Block
from mixtura.conditioning import log_sums, shares
from mixtura.mixture import Mixture


def completed_log_density(mixture: Mixture, block: Block) -> Array:
    """Log-density of the rows (n,), what was not observed counted as what is usual there.

    Densities of rows with different gaps are in different units. Here every gap takes from the
    row what it would on average: ``log p(x_o) - Σ_k r_k (h_k - h_k,o)`` with the responsibilities r
    by what was observed and the entropies h of component k over all and over the observed
    coordinates, which is ``E[log p(x_m | x_o, k)]`` over rows of that component. Rows without gaps
    have their log-density.
    """
    out = np.empty(len(block))
    for pattern, joint in mixture.log_joint(block):
        logs = log_sums(joint + mixture.frame.log_volume)
        if not pattern.complete:
            logs -= shares(joint) @ _hidden(mixture, pattern.observed)
        out[pattern.rows] = logs
    return out


def _hidden(mixture: Mixture, observed: Mask) -> Array:
    """Nats (k,) that the coordinates not observed take on average, a last one for noise."""
    law, everything = mixture.law, np.ones_like(observed)
    whole = law.entropies(mixture.structure.log_det, len(observed))
    part = law.entropies(mixture.observed(observed).structure.log_det, int(observed.sum()))
    if mixture.noise is None:
        return np.asarray(whole - part)
    even = mixture.noise.log_density(observed) - mixture.noise.log_density(everything)
    return np.append(whole - part, even)
