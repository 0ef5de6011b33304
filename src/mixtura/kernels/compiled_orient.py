"""Axes of symmetric matrices, compiled: each matrix's own, or the best in common.

Few small matrices at a time, for which a library call costs more than the work.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart
from mixtura.kernels.plain_forms import GAIN, SWEEPS, THIN, TURNS

__all__ = ["along", "axes_in_common", "composed", "diagonalize", "equal_volumes", "total"]

_GAIN, _SWEEPS, _TURNS, _THIN = GAIN, SWEEPS, TURNS, THIN
_JACOBI = 40  # sweeps at most; from five to ten are usual
_NOTHING = 2.0 * float(np.finfo(float).eps)


@njit(**OPTIONS)
def diagonalize(matrix, axes):  # type: ignore[no-untyped-def]
    """Turn a symmetric matrix to diagonal form in place, values rising; and `axes` along with it.

    Jacobi's rotations: cheap where the matrix is nearly diagonal, and none where it is to
    rounding, so that a climb that stands still does so to the last bit.
    """
    keep_apart()
    d, largest = len(matrix), 0.0
    for p in range(d):
        largest = max(largest, abs(matrix[p, p]))
    for _ in range(_JACOBI):
        done = True
        for p in range(d - 1):
            for q in range(p + 1, d):
                b = matrix[p, q]
                if abs(b) <= _NOTHING * d * largest:
                    continue
                done = False
                slope = (matrix[q, q] - matrix[p, p]) / (2.0 * b)
                tangent = 1.0 / (abs(slope) + np.sqrt(1.0 + slope * slope))
                cosine = 1.0 / np.sqrt(1.0 + tangent * tangent)
                sine = -cosine * tangent if slope >= 0.0 else cosine * tangent
                turn(matrix, axes, p, q, cosine, sine)
                matrix[p, q] = matrix[q, p] = 0.0
        if done:
            break
    for p in range(d - 1):
        least = p
        for q in range(p + 1, d):
            if matrix[q, q] < matrix[least, least]:
                least = q
        if least != p:
            matrix[p, p], matrix[least, least] = matrix[least, least], matrix[p, p]
            for i in range(d):
                axes[i, p], axes[i, least] = axes[i, least], axes[i, p]


@njit(**OPTIONS)
def turn(matrix, axes, p, q, cosine, sine):  # type: ignore[no-untyped-def]
    """Rotate the axes p and q: ``p' = cos p + sin q``, ``q' = cos q - sin p``."""
    keep_apart()
    d = len(matrix)
    for i in range(d):
        a, b = matrix[i, p], matrix[i, q]
        matrix[i, p], matrix[i, q] = cosine * a + sine * b, cosine * b - sine * a
    for i in range(d):
        a, b = matrix[p, i], matrix[q, i]
        matrix[p, i], matrix[q, i] = cosine * a + sine * b, cosine * b - sine * a
    if len(axes):
        for i in range(d):
            a, b = axes[i, p], axes[i, q]
            axes[i, p], axes[i, q] = cosine * a + sine * b, cosine * b - sine * a


@njit(**OPTIONS)
def along(matrix, axes, out):  # type: ignore[no-untyped-def]
    """``out = axes' matrix axes``."""
    keep_apart()
    d = len(matrix)
    half = np.zeros((d, d))
    for i in range(d):
        for m in range(d):
            for j in range(d):
                half[i, j] += matrix[i, m] * axes[m, j]
    for i in range(d):
        for j in range(d):
            out[i, j] = 0.0
    for m in range(d):
        for i in range(d):
            for j in range(d):
                out[i, j] += axes[m, i] * half[m, j]


@njit(**OPTIONS)
def composed(values, axes, packed):  # type: ignore[no-untyped-def]
    """Write ``axes diag(values) axes'`` as a packed upper triangle."""
    keep_apart()
    d = len(values)
    f = 0
    for i in range(d):
        for j in range(i, d):
            total = 0.0
            for m in range(d):
                total += axes[i, m] * values[m] * axes[j, m]
            packed[f] = total
            f += 1


@njit(**OPTIONS)
def equal_volumes(values, dof):  # type: ignore[no-untyped-def]
    """Give eigenvalues (k, d) the same product in every row, in place; False if one may be zero."""
    keep_apart()
    k, d = values.shape
    volume, all_dof = 0.0, total(dof)
    sizes = np.empty(k)
    for c in range(k):
        logs, most = 0.0, 0.0
        for j in range(d):
            most = max(most, values[c, j])
        for j in range(d):
            if not values[c, j] > _THIN * most:
                return False
            logs += np.log(values[c, j])
        sizes[c] = np.exp(logs / d)
        volume += dof[c] / all_dof * sizes[c]
    for c in range(k):
        for j in range(d):
            values[c, j] *= volume / sizes[c]
    return True


@njit(**OPTIONS)
def total(numbers):  # type: ignore[no-untyped-def]
    """The sum of a vector."""
    out = 0.0
    for number in numbers:
        out += number
    return out


@njit(**OPTIONS)
def _held(turned, dof, equal, values):  # type: ignore[no-untyped-def]
    """The best eigenvalues (k, d) along given axes; False if one is zero."""
    keep_apart()
    k, d = values.shape
    for c in range(k):
        for j in range(d):
            values[c, j] = turned[c, j, j]
            if not values[c, j] > 0.0:
                return False
    return equal_volumes(values, dof) if equal else True


@njit(**OPTIONS)
def _begin(averages, dof, equal, axes, values):  # type: ignore[no-untyped-def]
    """Write the best of the axes of each average and of all together; False if one is singular."""
    keep_apart()
    k, d = values.shape
    matrix, candidate, turned = np.empty((d, d)), np.empty((d, d)), np.empty((k, d, d))
    least, all_dof = np.inf, total(dof)
    for c in range(k + 1):
        for i in range(d):
            for j in range(d):
                candidate[i, j] = 1.0 if i == j else 0.0
                matrix[i, j] = averages[c, i, j] if c < k else 0.0
                if c == k:
                    for m in range(k):
                        matrix[i, j] += dof[m] / all_dof * averages[m, i, j]
        diagonalize(matrix, candidate)
        for m in range(k):
            along(averages[m], candidate, turned[m])
        if not _held(turned, dof, equal, values):
            return False
        cost = 0.0
        for m in range(k):
            for j in range(d):
                cost += dof[m] * (np.log(values[m, j]) + turned[m, j, j] / values[m, j])
        if cost < least:
            least = cost
            for i in range(d):
                for j in range(d):
                    axes[i, j] = candidate[i, j]
    return least < np.inf


@njit(**OPTIONS)
def _best_turn(turned, dof, values, p, q, least):  # type: ignore[no-untyped-def]
    """Cosine and sine of the best rotation of two axes given the eigenvalues; 1, 0 if no gain."""
    keep_apart()
    x, y = 0.0, 0.0
    for c in range(len(values)):
        pull = dof[c] / values[c, p] - dof[c] / values[c, q]
        x += pull * (turned[c, p, p] - turned[c, q, q]) / 2.0
        y += pull * turned[c, p, q]
    length = np.sqrt(x * x + y * y)
    gain = y * y / (length - x) if x < 0.0 else length + x
    if not gain > least:
        return 1.0, 0.0
    cosine = np.sqrt((1.0 - x / length) / 2.0)
    return cosine, -y / length / (2.0 * cosine) if cosine > 1e-8 else 1.0


@njit(**OPTIONS)
def axes_in_common(averages, dof, equal, axes, values):  # type: ignore[no-untyped-def]
    """Climb to the best common axes from `axes`; or from a good start where these begin with NaN.

    Writes axes (d, d) and eigenvalues (k, d); see `plain_forms`. False where one is zero.
    """
    keep_apart()
    k, d = values.shape
    if np.isnan(axes[0, 0]) and not _begin(averages, dof, equal, axes, values):
        return False
    turned, nothing = np.empty((k, d, d)), np.empty((0, 0))
    for c in range(k):
        along(averages[c], axes, turned[c])
    if not _held(turned, dof, equal, values):
        return False
    least, even = _GAIN * total(dof), d + d % 2
    for _ in range(max(_SWEEPS, _TURNS // d)):
        moved = False
        for turning in range(even - 1):
            any_moved = False
            for pair in range(even // 2):
                # Everyone plays everyone: the last stays, the others move round the table.
                a = even - 1 if pair == 0 else (turning + pair) % (even - 1)
                b = (turning - pair) % (even - 1)
                p, q = min(a, b), max(a, b)
                if q >= d:
                    continue
                cosine, sine = _best_turn(turned, dof, values, p, q, least)
                if sine == 0.0:
                    continue
                any_moved = True
                turn(turned[0], axes, p, q, cosine, sine)
                for c in range(1, k):
                    turn(turned[c], nothing, p, q, cosine, sine)
            if any_moved:
                moved = True
                if not _held(turned, dof, equal, values):
                    return False
        if not moved:
            break
    return True
