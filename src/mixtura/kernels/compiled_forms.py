"""Averages held to a form, compiled: as `plain_forms`, away from the bounds on eigenvalues."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numba import carray, cfunc, njit, types
from numpy.typing import NDArray

from mixtura.kernels.compiled_orient import (
    along,
    axes_in_common,
    composed,
    diagonalize,
    equal_volumes,
    total,
)
from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart
from mixtura.kernels.forms import COMMON_AXES, EEV, EVE, EVI, EVV, FREE, VEE, VEI, VEV, VVE
from mixtura.kernels.layout import triangle
from mixtura.kernels.plain_forms import ROUNDING, ROUNDS, SETTLED, Bounds
from mixtura.kernels.plain_forms import constrain as constrain_within

__all__ = ["address", "constrain", "first_axes"]

Array = NDArray[Any]

_VEI, _EVI, _VEE, _EVE, _VVE, _EEV, _EVV = VEI, EVI, VEE, EVE, VVE, EEV, EVV
_ROUNDS, _SETTLED = ROUNDS, SETTLED

_NUMBERS = types.CPointer(types.float64)
_SIGNATURE = types.int64(*[_NUMBERS] * 4, *[types.int64] * 5)
_POINTER = ctypes.POINTER(ctypes.c_double)
_compiling = Lock()


def constrain(
    averages: Array,
    dof: Array,
    form: int,
    bounds: Bounds = Bounds(),
    *,
    axes: Array | None = None,
    volumes: Array | None = None,
) -> tuple[Array, Array | None]:
    """As `plain.constrain`, which takes over where a bound holds."""
    k, d = averages.shape[:2]
    rows, columns = triangle(d)
    packed = np.array(averages[:, rows, columns] if averages.ndim == 3 else averages, order="C")
    begin, values = first_axes(form, k, d, [axes])[0], np.empty((k, d))
    arrays = packed, np.array(dof, np.float64), begin, values
    pointers = [part.ctypes.data_as(_POINTER) for part in arrays]
    sound = np.isinf(bounds.ratio) and _compiled().ctypes(
        *pointers, k, d, packed.shape[1], len(begin), int(form)
    )
    lowest = np.maximum(bounds.floor, ROUNDING * d * values.max(axis=1, keepdims=True))
    if not sound or not (values >= lowest).all():
        return constrain_within(averages, dof, form, bounds, axes=axes, volumes=volumes)
    if averages.ndim == 2:
        return packed, None
    out = np.empty_like(averages)
    out[:, rows, columns] = out[:, columns, rows] = packed
    return out, begin[0] if form in COMMON_AXES else None


def first_axes(form: int, k: int, d: int, given: Sequence[Array | None], field: int = 1) -> Array:
    """Axes to begin from (E, k or 1, d, d), NaN where unknown; as small as can be if unused."""
    own = form in (EEV, VEV, EVV)
    sizes = (k if own else 1, d, d) if own or form in COMMON_AXES else (1, 1, 1)
    axes = np.full((field, *sizes), np.nan)
    for begin, known in zip(axes, given, strict=False):
        if known is not None and form in COMMON_AXES:
            begin[0] = known
    return axes


def address(form: int) -> int:
    """Where climbs find the function that holds averages to the form; 0 if nothing is held."""
    return 0 if form == FREE else int(_compiled().address)


@cache
def _compiled() -> Any:
    """`_hold_at` as a function in C, compiled when a form is first asked for.

    Climbs call it by its address: linked into them, it would be compiled again with each.
    """
    with _compiling:
        try:
            return cfunc(_SIGNATURE, cache=True)(_hold_at)
        except RuntimeError:  # no folder may be written to: compile in every process
            return cfunc(_SIGNATURE)(_hold_at)


def _hold_at(packed, dof, axes, values, k, d, s, m, form):  # type: ignore[no-untyped-def]
    """`_hold` for a caller in C: pointers, and the sizes of the arrays; 0 for False."""
    p, v = carray(packed, (k, s)), carray(dof, (k,))
    sound = _hold(p, v, form, carray(axes, (m, d, d)), carray(values, (k, d)))
    return 1 if sound else 0


@njit(**OPTIONS)
def _hold(packed, dof, form, axes, values):  # type: ignore[no-untyped-def]
    """Hold averages (k, s), packed as second moments, to a form in place.

    `axes` (k or 1, d, d) are where to begin, unless they begin with NaN, and where it ends;
    `values` (k, d) gets the eigenvalues, or bounds below them. False where one is zero.
    """
    keep_apart()
    k, d = values.shape
    if form in (_VEI, _EVI):
        for c in range(k):
            for j in range(d):
                values[c, j] = packed[c, j]
        sound = equal_volumes(values, dof) if form == _EVI else _equal_shapes(values, dof)
        for c in range(k):
            for j in range(d):
                packed[c, j] = values[c, j]
        return sound
    full = np.empty((k, d, d))
    for c in range(k):
        _unpack(packed[c], full[c])
    if form == _VEE:
        return _proportional(packed, full, dof, values)
    if form in (_EVE, _VVE):
        if not axes_in_common(full, dof, form == _EVE, axes[0], values):
            return False
        for c in range(k):
            composed(values[c], axes[0], packed[c])
        return True
    return _own_axes(packed, full, dof, form, axes, values)


@njit(**OPTIONS)
def _unpack(packed, matrix):  # type: ignore[no-untyped-def]
    f = 0
    for i in range(len(matrix)):
        for j in range(i, len(matrix)):
            matrix[i, j] = matrix[j, i] = packed[f]
            f += 1


@njit(**OPTIONS)
def _own_axes(packed, full, dof, form, axes, values):  # type: ignore[no-untyped-def]
    """EEV, VEV and EVV: every component along the axes of its average."""
    keep_apart()
    k, d = values.shape
    turned, all_dof = np.empty((d, d)), total(dof)
    for c in range(k):
        if np.isnan(axes[c, 0, 0]):
            for i in range(d):
                for j in range(d):
                    axes[c, i, j] = 1.0 if i == j else 0.0
        along(full[c], axes[c], turned)
        diagonalize(turned, axes[c])
        for j in range(d):
            values[c, j] = turned[j, j]
    sound = True
    if form == _EEV:
        for j in range(d):
            shape = 0.0
            for c in range(k):
                shape += dof[c] / all_dof * values[c, j]
            for c in range(k):
                values[c, j] = shape
    elif form == _EVV:
        sound = equal_volumes(values, dof)
    else:
        sound = _equal_shapes(values, dof)
    for c in range(k):
        composed(values[c], axes[c], packed[c])
    return sound


@njit(**OPTIONS)
def _equal_shapes(values, dof):  # type: ignore[no-untyped-def]
    """Make eigenvalues (k, d) proportional from row to row, in place; False if one is zero."""
    keep_apart()
    k, d = values.shape
    volumes, shape, all_dof = np.empty(k), np.empty(d), total(dof)
    for c in range(k):
        volumes[c] = total(values[c]) / d
        if not volumes[c] > 0.0:
            return False
    for _ in range(_ROUNDS + 1):
        for j in range(d):
            shape[j] = 0.0
            for c in range(k):
                shape[j] += dof[c] / all_dof * values[c, j] / volumes[c]
            if not shape[j] > 0.0:
                return False
        settled = True
        for c in range(k):
            volume = 0.0
            for j in range(d):
                volume += values[c, j] / shape[j] / d
            settled = settled and abs(volume - volumes[c]) <= _SETTLED * volumes[c]
            volumes[c] = volume
            if not volume > 0.0:
                return False
        if settled:
            break
    for c in range(k):
        for j in range(d):
            values[c, j] = volumes[c] * shape[j]
    return True


@njit(**OPTIONS)
def _proportional(packed, full, dof, values):  # type: ignore[no-untyped-def]
    """Make matrices proportional (VEE); False if together they are singular."""
    keep_apart()
    k, d = values.shape
    volumes, all_dof = np.empty(k), total(dof)
    shape, inverse = np.empty((d, d)), np.empty((d, d))
    for c in range(k):
        volumes[c] = 0.0
        for i in range(d):
            volumes[c] += full[c, i, i] / d
        if not volumes[c] > 0.0:
            return False
    for _ in range(_ROUNDS):
        for i in range(d):
            for j in range(d):
                shape[i, j] = 0.0
                for c in range(k):
                    shape[i, j] += dof[c] / all_dof / volumes[c] * full[c, i, j]
        if not _inverted(shape, inverse):
            return False
        settled = True
        for c in range(k):
            volume = 0.0
            for i in range(d):
                for j in range(d):
                    volume += inverse[i, j] * full[c, i, j] / d
            settled = settled and abs(volume - volumes[c]) <= _SETTLED * volumes[c]
            if not volume > 0.0:
                return False
            volumes[c] = volume
        if settled:
            break
    square = 0.0
    for i in range(d):
        for j in range(d):
            square += inverse[i, j] ** 2
    for c in range(k):
        f = 0
        for i in range(d):
            values[c, i] = volumes[c] / np.sqrt(square)
            for j in range(i, d):
                packed[c, f] = volumes[c] * shape[i, j]
                f += 1
    return True


@njit(**OPTIONS)
def _inverted(matrix, inverse):  # type: ignore[no-untyped-def]
    """Write the inverse of a positive definite matrix; False if it is not."""
    keep_apart()
    d = len(matrix)
    lower, white = np.zeros((d, d)), np.zeros((d, d))
    for i in range(d):
        for j in range(i + 1):
            rest = matrix[i, j]
            for m in range(j):
                rest -= lower[i, m] * lower[j, m]
            if i == j:
                if not rest > 0.0:
                    return False
                lower[i, i] = np.sqrt(rest)
            else:
                lower[i, j] = rest / lower[j, j]
        for j in range(i):
            factor = lower[i, j] / lower[i, i]
            for m in range(j + 1):
                white[i, m] -= factor * white[j, m]
        white[i, i] = 1.0 / lower[i, i]
    for i in range(d):
        for j in range(i, d):
            product = 0.0
            for r in range(j, d):
                product += white[r, i] * white[r, j]
            inverse[i, j] = inverse[j, i] = product
    return True
