"""How the compiled truncated E-step is called."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.kernels.calling import call, frozen, native, packed
from mixtura.kernels.compiled_products import lanes
from mixtura.kernels.compiled_sums import components
from mixtura.kernels.compiled_truncated import truncated_sums
from mixtura.kernels.layout import FULL, SPHERICAL
from mixtura.kernels.plain_truncated import TILE, cut_by_best

__all__ = ["accumulate_truncated"]

Array = NDArray[Any]


def accumulate_truncated(
    rows: Array,
    pivot: Array,
    scale: Array,
    weights: Array,
    log_weights: Array,
    means: Array,
    factors: Array,
    log_norms: Array,
    shape: int,
    hard: bool,
    held: Array,
    near: Array,
) -> tuple[float, Array, Array]:
    """As `plain_truncated.accumulate_truncated`, in float64 throughout."""
    rows = native(rows)
    k, d = means.shape
    component = components(log_weights, means, factors, log_norms, shape)
    first = np.zeros((k, d + 1))
    second = np.zeros((k, component[2].shape[1], -(-d // 4) * 4))
    kept = np.array(held, np.int32, order="C")
    if near.shape[1]:
        order, edges = cut_by_best(held[:, 0])
    else:
        order, edges = np.arange(len(rows)), np.append(np.arange(0, len(rows), TILE), len(rows))
    energy = call(
        truncated_sums,
        rows,
        frozen(pivot),
        frozen(scale),
        frozen(weights),
        component,
        bool(hard),
        frozen(near, np.int32),
        frozen(order, np.int64),
        frozen(edges, np.int64),
        lanes(np.dtype(np.float64)),
        kept,
        first,
        second,
    )
    moments = second[:, :, :d] if shape == FULL else second[:, 0, :d]
    if shape == SPHERICAL:
        moments = moments.sum(axis=1)
    return energy, np.hstack([packed(moments, shape), first]), kept
