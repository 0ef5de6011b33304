"""The kernels compiled by Numba: the same names, arguments and results as `plain`, and `race`.

Importing this module compiles nothing. The first call for a type of rows compiles, or loads what
an earlier process compiled. Several threads may run the functions at once, each on its own rows:
they share nothing but what they compile to, and call no library that starts threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.kernels.calling import call, frozen
from mixtura.kernels.calling_blurred import accumulate_blurred, joint_blurred, posterior_blurred
from mixtura.kernels.calling_observed import (
    accumulate_observed,
    distances_observed,
    means_observed,
    moments_observed,
)
from mixtura.kernels.compiled_climb import CARE, CONVERGED, EXHAUSTED
from mixtura.kernels.compiled_forms import constrain
from mixtura.kernels.compiled_hierarchy import agglomerate as _agglomerate
from mixtura.kernels.compiled_linear import coefficients
from mixtura.kernels.compiled_race import Climb, race
from mixtura.kernels.compiled_seeds import lloyd as _lloyd
from mixtura.kernels.compiled_seeds import spread as _spread
from mixtura.kernels.compiled_shares import best, log_sums, soft
from mixtura.kernels.compiled_sums import (
    accumulate,
    accumulate_blocks,
    accumulate_centred,
    accumulate_run,
    is_wide,
    log_joint,
)
from mixtura.kernels.truncated import accumulate_truncated

__all__ = [
    "CARE",
    "CONVERGED",
    "EXHAUSTED",
    "Climb",
    "accumulate",
    "accumulate_blocks",
    "accumulate_blurred",
    "accumulate_centred",
    "accumulate_observed",
    "accumulate_run",
    "accumulate_truncated",
    "agglomerate",
    "best",
    "coefficients",
    "constrain",
    "distances_observed",
    "is_wide",
    "joint_blurred",
    "lloyd",
    "log_joint",
    "log_sums",
    "means_observed",
    "moments_observed",
    "posterior_blurred",
    "race",
    "soft",
    "spread",
]

Array = NDArray[Any]


def spread(columns: Array, weights: Array, draws: Array) -> Array:
    """As `plain.spread`."""
    chosen = np.empty(len(draws), np.intp)
    call(_spread, np.ascontiguousarray(columns), frozen(weights), frozen(draws), chosen, layout="C")
    return chosen


def lloyd(columns: Array, weights: Array, seeds: Array, rounds: int) -> Array:
    """As `plain.lloyd`."""
    labels = np.full(columns.shape[1], -1, np.int32)
    moving = np.array(seeds, order="C")
    given = frozen(weights), moving, int(rounds), labels
    call(_lloyd, np.ascontiguousarray(columns), *given, layout="C")
    return labels


def agglomerate(rows: Array, weights: Array, ridge: float, model: int) -> tuple[Array, Array]:
    """As `plain.agglomerate`."""
    merges = np.empty((max(len(rows) - 1, 0), 2), np.int64)
    costs = np.empty(len(merges))
    given = frozen(weights), float(ridge), int(model), merges, costs
    call(_agglomerate, np.ascontiguousarray(rows, np.float64), *given, layout="C")
    return merges, costs
