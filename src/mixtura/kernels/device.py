"""The kernels on arrays of a device: whatever follows the array API standard, torch first.

The rows stay where they are. Parameters go there and sums come back, both of a size that does not
depend on the number of rows. Products run in the precision of the rows, sums over tiles in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, to_device
from numpy.typing import NDArray

from mixtura.kernels.layout import DIAGONAL, FULL, SPHERICAL, triangle, width

__all__ = [
    "accumulate",
    "accumulate_centred",
    "brought",
    "doubled",
    "finite",
    "like",
    "log_joint",
    "to_host",
]

Array = NDArray[Any]

_TILE_NUMBERS = 1 << 22  # numbers in the largest array of a tile


def accumulate(
    rows: Any, pivot: Array, scale: Array, weights: Any, theta: Array, shape: int, hard: bool
) -> tuple[float, Array]:
    """As `plain.accumulate`; rows (n, d) and weights (n,) or (0,) on the device."""
    there = _There(rows)
    coefficients = there.sent(theta)
    total, sums = 0.0, np.zeros(theta.shape)
    for z, w in there.tiles(rows, pivot, scale, weights, sum(theta.shape)):
        table = there.features(z, shape)
        gained, shares = there.assigned(table @ coefficients.T, w, hard)
        total += gained
        sums += to_host(shares.T @ table)
    return total, sums


def accumulate_centred(
    rows: Any,
    pivot: Array,
    scale: Array,
    weights: Any,
    log_weights: Array,
    means: Array,
    factors: Array,
    log_norms: Array,
    shape: int,
    hard: bool,
) -> tuple[float, Array]:
    """As `plain.accumulate_centred`."""
    there = _There(rows)
    k, d = means.shape
    model = there.sent(means), there.sent(factors), there.sent(log_weights + log_norms)
    total, sums = 0.0, np.zeros((k, width(shape, d)))
    for z, w in there.tiles(rows, pivot, scale, weights, width(shape, d) + k):
        gained, shares = there.assigned(there.joint(z, *model, shape), w, hard)
        total += gained
        for index in range(k):
            table = there.features(z - model[0][index, :], shape)
            sums[index] += to_host(shares[:, index] @ table)
    return total, sums


def log_joint(
    rows: Any,
    pivot: Array,
    scale: Array,
    log_weights: Array,
    means: Array,
    factors: Array,
    log_norms: Array,
    shape: int,
) -> Any:
    """As `plain.log_joint`: (n, k), on the device."""
    there = _There(rows)
    model = there.sent(means), there.sent(factors), there.sent(log_weights + log_norms)
    none = there.sent(np.empty(0))
    parts = [
        there.joint(z, *model, shape)
        for z, _ in there.tiles(rows, pivot, scale, none, 2 * means.size)
    ]
    return there.xp.concat(parts)


def to_host(values: Any) -> Array:
    """As a NumPy array of float64."""
    return np.asarray(to_device(values, "cpu"), dtype=np.float64)


def brought(rows: Any, which: Any) -> Array:
    """Some rows as a NumPy array of their own precision."""
    xp = array_namespace(rows)
    if not isinstance(which, slice):
        which = xp.asarray(np.asarray(which, np.int64), device=device(rows))
        return np.asarray(to_device(xp.take(rows, which, axis=0), "cpu"))
    return np.asarray(to_device(rows[which, :], "cpu"))


def like(rows: Any, values: Array) -> Any:
    """Numbers beside the rows, in their precision; whole numbers stay whole."""
    there = _There(rows)
    if values.dtype.kind == "i":
        return there.xp.asarray(values, device=there.device)
    return there.sent(values)


def finite(rows: Any) -> bool:
    """Whether all numbers are."""
    xp = array_namespace(rows)
    return bool(xp.all(xp.isfinite(rows)))


def doubled(rows: Any) -> Any:
    """The rows in double precision, where the device has it."""
    return array_namespace(rows).astype(rows, _There(rows).exact)


class _There:
    """The namespace, device and precision of some rows."""

    def __init__(self, rows: Any) -> None:
        self.xp: Any = array_namespace(rows)
        self.device, self.dtype = device(rows), rows.dtype
        single = str(self.device).startswith("mps")  # which has no float64
        self.exact: Any = self.dtype if single else self.xp.float64

    def sent(self, values: Array) -> Any:
        """Numbers in the rows' precision, on their device."""
        values = np.array(values, dtype=np.float64, order="C")  # some want to own what they get
        return self.xp.astype(self.xp.asarray(values, device=self.device), self.dtype)

    def tiles(
        self, rows: Any, pivot: Array, scale: Array, weights: Any, width: int
    ) -> Iterator[tuple[Any, Any]]:
        """Framed rows and their weights, or None, so many that their features fit."""
        centre, factor = self.sent(pivot), self.sent(scale)
        size = max(_TILE_NUMBERS // width, 256)
        for at in range(0, rows.shape[0], size):
            w = weights[at : at + size] if weights.shape[0] else None
            yield (rows[at : at + size, :] - centre) * factor, w

    def features(self, z: Any, shape: int) -> Any:
        """T(z), (n, p)."""
        xp = self.xp
        one = xp.ones((z.shape[0], 1), dtype=self.dtype, device=self.device)
        if shape == FULL:
            left, right = (xp.asarray(part, device=self.device) for part in triangle(z.shape[1]))
            return xp.concat([xp.take(z, left, axis=1) * xp.take(z, right, axis=1), z, one], axis=1)
        if shape == DIAGONAL:
            return xp.concat([z * z, z, one], axis=1)
        if shape == SPHERICAL:
            return xp.concat([xp.sum(z * z, axis=1, keepdims=True), z, one], axis=1)
        return xp.concat([z, one], axis=1)

    def joint(self, z: Any, means: Any, factors: Any, constants: Any, shape: int) -> Any:
        """Log joint (n, k) by whitening."""
        columns = []
        for index in range(means.shape[0]):
            off = z - means[index, :]
            white = off @ factors[index, :, :] if shape == FULL else off * factors[index, ...]
            columns.append(constants[index] - 0.5 * self.xp.sum(white * white, axis=1))
        return self.xp.stack(columns, axis=1)

    def assigned(self, logits: Any, weights: Any, hard: bool) -> tuple[float, Any]:
        """The log-likelihood, and responsibilities (n, k) times the rows' weights."""
        xp = self.xp
        top = xp.max(logits, axis=1, keepdims=True)
        if hard:
            best = xp.argmax(logits, axis=1, keepdims=True)
            places = xp.arange(logits.shape[1], device=self.device)
            shares, level = xp.astype(places == best, self.dtype), top[:, 0]
        else:
            shares = xp.exp(logits - top)
            norm = xp.sum(shares, axis=1, keepdims=True)
            shares, level = shares / norm, (top + xp.log(norm))[:, 0]
        if weights is not None:
            shares, level = shares * weights[:, None], level * weights
        return float(xp.sum(level, dtype=self.exact)), shares
