"""Averages held to a form, compiled: as `plain_forms`, away from the bounds on eigenvalues."""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_orient import (
    along,
    axes_in_common,
    composed,
    diagonalize,
    equal_volumes,
)
from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart
from mixtura.kernels.forms import EEV, EVE, EVI, EVV, VEE, VEI, VVE
from mixtura.kernels.plain_forms import ROUNDS, SETTLED

__all__ = ["hold", "holding"]

_VEI, _EVI, _VEE, _EVE, _VVE, _EEV, _EVV = VEI, EVI, VEE, EVE, VVE, EEV, EVV
_ROUNDS, _SETTLED = ROUNDS, SETTLED


@njit(**OPTIONS)
def holding(averages, dof, form, axes, values, packed):  # type: ignore[no-untyped-def]
    """`hold` a copy of the averages (k, s), in `packed`."""
    for c in range(averages.shape[0]):
        for f in range(averages.shape[1]):
            packed[c, f] = averages[c, f]
    return hold(packed, dof, form, axes, values)


@njit(**OPTIONS)
def hold(packed, dof, form, axes, values):  # type: ignore[no-untyped-def]
    """Hold averages (k, s), packed as second moments, to a form in place.

    `axes` (k or 1, d, d) are where to begin, unless they begin with NaN, and where it ends;
    `values` (k, d) gets the eigenvalues, or bounds below them. False where one is zero.
    """
    keep_apart()
    k, d = values.shape
    if form == _VEI or form == _EVI:
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
    if form == _EVE or form == _VVE:
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
    turned, total = np.empty((d, d)), dof.sum()
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
                shape += dof[c] * values[c, j] / total
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
    volumes, shape, total = np.empty(k), np.empty(d), dof.sum()
    for c in range(k):
        volumes[c] = values[c].sum() / d
        if not volumes[c] > 0.0:
            return False
    for _ in range(_ROUNDS + 1):
        for j in range(d):
            shape[j] = 0.0
            for c in range(k):
                shape[j] += dof[c] / total * values[c, j] / volumes[c]
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
    volumes, total = np.empty(k), dof.sum()
    shape, inverse = np.empty((d, d)), np.empty((d, d))
    for c in range(k):
        volumes[c] = np.trace(full[c]) / d
        if not volumes[c] > 0.0:
            return False
    for _ in range(_ROUNDS):
        for i in range(d):
            for j in range(d):
                shape[i, j] = 0.0
                for c in range(k):
                    shape[i, j] += dof[c] / total / volumes[c] * full[c, i, j]
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
    least = 1.0 / np.sqrt((inverse * inverse).sum())
    for c in range(k):
        f = 0
        for i in range(d):
            values[c, i] = volumes[c] * least
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
            total = 0.0
            for r in range(j, d):
                total += white[r, i] * white[r, j]
            inverse[i, j] = inverse[j, i] = total
    return True
