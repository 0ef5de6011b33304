"""What the columns of a source are like: weights, means and deviations of the observed cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from mixtura._types import Array
from mixtura.block import Block
from mixtura.source import Source

_LEAST = 0.01
"""Share of a column's variance, at least, that is not taken for measurement errors."""


@dataclass(frozen=True, eq=False)
class Summary:
    """The observed cells column by column: weight, mean, and deviation as a power of two's fit.

    Attributes
    ----------
    weight : float
        Total weight of the rows.
    observed : (d,)
        Weight of the rows in which the column was observed.
    mean : (d,)
    deviation : (d,)
        Zero for a constant column.
    """

    weight: float
    observed: Array
    mean: Array
    deviation: Array


def summarize(source: Source) -> Summary:
    """Weights, means and deviations of the observed cells, safe for any scale and offset."""
    spans = source.map(_span)
    low = np.min([span[0] for span in spans], axis=0)
    high = np.max([span[1] for span in spans], axis=0)
    known = np.isfinite(low)
    low, high = np.where(known, low, 0.0), np.where(known, high, 0.0)
    middle, half = low / 2 + high / 2, high / 2 - low / 2
    unit = np.where(half > 0, half, 1.0)
    parts = source.map(partial(_cells, middle=middle, unit=unit))
    observed, first, second, blur = (sum(part[i] for part in parts) for i in range(4))
    safe = np.where(observed > 0, observed, 1.0)
    mean = first / safe
    variance = np.maximum(second / safe - mean**2, 0.0)
    variance = np.maximum(variance - blur / safe, _LEAST * variance)
    deviation = np.where(half > 0, unit * np.sqrt(variance), 0.0)
    return Summary(weight_of(source), observed, middle + unit * mean, deviation)


def _span(block: Block) -> tuple[Array, Array]:
    kept = block.rows if block.weights is None else block.rows[block.weights > 0]
    rows = np.asarray(kept, dtype=np.float64)
    return (
        np.fmin.reduce(rows, axis=0, initial=np.inf),
        np.fmax.reduce(rows, axis=0, initial=-np.inf),
    )


def _cells(block: Block, middle: Array, unit: Array) -> tuple[Array, Array, Array, Array]:
    """Weight, first and second moments of the observed cells, and their variance by error."""
    u = np.subtract(block.rows, middle, dtype=np.float64, order="C") / unit
    weights = block.weight()
    if block.complete:
        blur = _blur(block, weights[:, None], unit)
        return np.full(u.shape[1], weights.sum()), weights @ u, weights @ u**2, blur
    seen = ~np.isnan(u)
    u = np.where(seen, u, 0.0)
    blur = _blur(block, weights[:, None] * seen, unit)
    return weights @ seen, weights @ u, weights @ u**2, blur


def _blur(block: Block, weights: Array, unit: Array) -> Array:
    """``Σ w R_jj / unit_j²`` (d,) of rows that are readings themselves."""
    if block.errors is None or block.errors.projections is not None:
        return np.zeros(block.rows.shape[1])
    return np.asarray((weights * (block.errors.variances / unit / unit)).sum(axis=0))


def weight_of(source: Source) -> float:
    return float(sum(source.map(lambda block: block.weight().sum())))


def gappy(source: Source) -> bool:
    return not all(source.map(lambda block: block.complete and block.errors is None))
