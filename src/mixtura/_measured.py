"""The door for measurement errors: covariances of the noise and projections, checked once."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array, Mask, Rows

_ROUNDING = 1e-8
"""How far from symmetric, or below zero, rounding may leave a covariance of unit size."""


def noise(given: Any, rows: Rows) -> tuple[Rows, Array]:
    """Rows (n, p), and the covariances (1 or n, p, p) of their errors or variances (…, p, 1).

    A variance that is infinite leaves the coordinate unobserved, and one of what was not observed
    may be anything.

    Raises
    ------
    InputError
        A shape that does not fit or could be read in two ways, or what is no covariance; names the
        row.
    """
    n, p = rows.shape
    values = _checks.numbers(given, "noise_cov")
    _check_shape(values, n, p)
    if values.ndim == 3 or _is_matrix(values, n, p):
        return rows, _matrices(values.reshape(-1, p, p), rows)
    return _variances(np.broadcast_to(np.atleast_2d(values), (max(values.size // p, 1), p)), rows)


def projections(given: Any, n: int, p: int) -> Array | None:
    """(1 or n, p, d), or None.

    Raises
    ------
    InputError
        Shapes that do not fit; NaN or infinite numbers.
    """
    if given is None:
        return None
    values = _checks.numbers(given, "projection")
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[:2] not in ((1, p), (n, p)) or not values.shape[2]:
        raise InputError(
            f"projection has shape {np.shape(given)}: ({p}, d) or ({n}, {p}, d) is needed for {p} "
            f"columns in {n} rows"
        )
    bad = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))
    if len(bad):
        raise InputError(
            f"projection{_of(bad[0], values)} holds NaN or infinite numbers: write NaN in X for "
            "what was not observed, and anything finite here"
        )
    return values


def check_definite(covariances: Array, across: Array, rows: Rows) -> None:
    """Refuse exact measurements (A) that contradict one another: what has no density.

    Raises
    ------
    InputError
        ``A Aᵀ + R`` is singular; names the row.
    """
    size = np.abs(across).max(axis=(1, 2), keepdims=True)
    safe = np.where(size > 0, size, 1.0)
    whole = (across / safe) @ (across / safe).swapaxes(1, 2)
    dense = covariances
    if covariances.shape[2] < covariances.shape[1]:
        dense = covariances * np.eye(covariances.shape[1])
    whole = whole + dense / np.maximum(np.abs(dense).max(axis=(1, 2), keepdims=True), 1e-300)
    whole = _unobserved(whole, rows, 1.0)
    bad = np.flatnonzero(np.linalg.eigvalsh(whole)[:, 0] < 1e-12)
    if len(bad):
        raise InputError(
            f"row {bad[0]} measures the same thing twice, or nothing, without noise: give its "
            f"noise_cov a positive variance, or leave the coordinate out ({len(bad)} such rows)"
        )


def _check_shape(values: Array, n: int, p: int) -> None:
    if values.shape not in ((), (p,), (n, p), (p, p), (n, p, p), (1, p, p)):
        raise InputError(
            f"noise_cov has shape {values.shape}: a variance, ({p},) or ({n}, {p}) variances, "
            f"({p}, {p}) or ({n}, {p}, {p}) covariances are needed for {n} rows of {p} columns"
        )
    two_ways = values.shape == (n, p) == (p, p) and p > 1
    if two_ways and _symmetric(values) and (values >= 0).all() and not _is_diagonal(values):
        raise InputError(
            f"noise_cov of shape ({p}, {p}) could be variances of {n} rows or one covariance "
            f"matrix: write ({n}, {p}, {p}) matrices, as np.array([np.diag(v) for v in noise_cov]) "
            "or np.array([noise_cov] * len(X))"
        )


def _is_matrix(values: Array, n: int, p: int) -> bool:
    """Whether two-dimensional values are one covariance for all rows."""
    if values.ndim != 2 or values.shape != (p, p):
        return False
    return n != p or p == 1 or (_symmetric(values) and not np.isnan(values).any())


def _symmetric(values: Array) -> bool:
    return bool(np.array_equal(values, values.T))


def _is_diagonal(values: Array) -> bool:
    return not (values - np.diag(values.diagonal())).any()


def _variances(values: Array, rows: Rows) -> tuple[Rows, Array]:
    absent = np.isnan(rows)
    if len(values) > 1:
        values = np.where(absent, 0.0, values)
    bad = np.argwhere(~(values >= 0))
    if len(bad):
        row, column = bad[0]
        raise InputError(
            f"noise_cov{_of(row, values)} has variance {values[row, column]} in column {column}: "
            f"variances are at least 0, and np.inf for what was not observed"
        )
    infinite = np.isinf(values)
    if infinite.any():
        rows = np.where(infinite, np.nan, rows)
    return rows, np.ascontiguousarray(np.where(infinite, 0.0, values)[:, :, None])


def _matrices(values: Array, rows: Rows) -> Array:
    if len(values) > 1:
        values = _unobserved(values, rows, 0.0)
    finite = np.asarray(np.isfinite(values).all(axis=(1, 2)))
    known = np.where(finite[:, None, None], values, 0.0)
    unit = known / np.maximum(np.abs(known).max(axis=(1, 2), keepdims=True), 1e-300)
    skew = np.abs(unit - unit.swapaxes(1, 2)).max(axis=(1, 2)) > _ROUNDING
    bad = np.flatnonzero(~finite | skew | _below_zero(unit))
    if len(bad):
        row = int(bad[0])
        why = "not finite" if not finite[row] else "not symmetric" if skew[row] else "below zero"
        raise InputError(
            f"noise_cov{_of(row, values)} is {why}: a symmetric, positive semi-definite matrix is "
            f"needed, with NaN in X for what was not observed ({len(bad)} such)"
        )
    return np.ascontiguousarray((values + values.swapaxes(1, 2)) / 2)


def _below_zero(unit: Array) -> Mask:
    """Which matrices (m, p, p) of unit size have a negative eigenvalue."""
    try:  # takes a tenth of the time
        np.linalg.cholesky(unit + _ROUNDING * np.eye(unit.shape[1]))
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.eigvalsh(unit)[:, 0] < -_ROUNDING)
    return np.zeros(len(unit), dtype=bool)


def _unobserved(values: Array, rows: Rows, diagonal: float) -> Array:
    """Matrices (1 or n, p, p) with nothing, or a diagonal, where a coordinate was not observed."""
    absent = np.isnan(rows)
    if not absent.any():
        return values
    either = absent[:, :, None] | absent[:, None, :]
    return np.where(either, diagonal * np.eye(rows.shape[1]), values)


def _of(row: Any, values: Array) -> str:
    return f" of row {row}" if len(values) > 1 else ""
