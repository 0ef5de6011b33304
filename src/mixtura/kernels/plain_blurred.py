"""Rows that were measured with errors of their own, in NumPy: the definition.

``y = A x + e`` with ``e ~ N(0, R)`` makes ``y ~ N(A μ_k, T_k)``, ``T_k = A Σ_k Aᵀ + R``, in
component k (Bovy, Hogg & Roweis 2011). All that a row tells of the component is in the derivatives
of its log-density by ``A μ`` and ``A Σ Aᵀ``: ``v = Aᵀ T⁻¹ (y - A μ)`` and ``v vᵀ - Aᵀ T⁻¹ A``,
twice the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["accumulate_blurred", "joint_blurred", "posterior_blurred"]

Array = NDArray[Any]
Units = tuple[Array, Array]
Errors = tuple[Array, Array | None]
Groups = tuple[Array, Array, Array]
Component = tuple[Array, Array, Array]

_NUMBERS = 1 << 19
_LOG_2PI = float(np.log(2.0 * np.pi))


def accumulate_blurred(
    rows: Array,
    units: Units,
    errors: Errors,
    groups: Groups,
    component: Component,
    *,
    weights: Array | None = None,
    plausibility: Array | None = None,
    hard: bool = False,
) -> tuple[float, tuple[Array, Array, Array]]:
    """Log-likelihood, ``Σ r``, ``Σ r v`` and ``Σ r (v vᵀ - Aᵀ T⁻¹ A)`` of rows with errors.

    Parameters
    ----------
    rows : (n, p), what was not observed is not read
    units : (pivot, scale), (d,) each, of x: frame coordinates are ``(x - pivot) * scale``
    errors : (noise, projections)
        Noise (1 or n, p, 1) where it is diagonal, else (1 or n, p, p), and A (1 or n, p, d), both
        in the units of the data. Without projections y is read in frame coordinates, too.
    groups : (order, ends, masks)
        The rows by pattern, as in `plain.accumulate_observed`.
    component : log-weights (k,), means (k, d) and covariances (k, d, d)
    weights : (n,) or None
    plausibility : (n, k) or None
        Added to the log joint.
    hard : bool

    Returns
    -------
    float, (counts (k,), first (k, d), second (k, d, d))

    Examples
    --------
    One row at 4, measured with variance 3, under a standard normal: v = 4 / 4, T⁻¹ = 1 / 4.

    >>> import numpy as np
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> groups = np.array([0]), np.array([1]), np.array([[True]])
    >>> component = zero, np.zeros((1, 1)), np.ones((1, 1, 1))
    >>> errors = np.full((1, 1, 1), 3.0), None
    >>> given = np.array([[4.0]]), (zero, one), errors, groups, component
    >>> [sums.ravel().tolist() for sums in accumulate_blurred(*given)[1]]
    [[1.0], [1.0], [0.75]]
    """
    k, d = component[1].shape
    counts, first, second = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
    value = 0.0
    for part, o, across, _, logs, v, inverse in _parts(rows, units, errors, groups, component):
        if plausibility is not None:
            logs = logs + plausibility[part]
        shares, norm = _assigned(logs, hard)
        weight = np.ones(len(part)) if weights is None else weights[part]
        value += float(norm @ weight)
        shares = shares * weight[:, None]
        counts += shares.sum(axis=0)
        some = o if across is None else np.arange(d)
        first[:, some] += np.einsum("nk,nki->ki", shares, v)
        outer = np.einsum("nk,nki,nkj->kij", shares, v, v)
        second[:, some[:, None], some] += outer - np.einsum("nk,nkij->kij", shares, inverse)
    return value, (counts, first, second)


def joint_blurred(
    rows: Array, units: Units, errors: Errors, groups: Groups, component: Component
) -> Array:
    """Log joint ``log π_k + log N(y | A μ_k, T_k)``, (n, k)."""
    out = np.empty((len(rows), len(component[0])))
    for part, _, _, _, logs, _, _ in _parts(rows, units, errors, groups, component):
        out[part] = logs
    return out


def posterior_blurred(
    rows: Array, units: Units, errors: tuple[Array, Array], groups: Groups, component: Component
) -> tuple[Array, Array, Array]:
    """Log joint (n, k), and means (n, k, d) and covariances (n, k, d, d) of x given y.

    ``μ + Σ v`` and ``L (I + Lᵀ Aᵀ R⁻¹ A L)⁻¹ Lᵀ`` with ``Σ = L Lᵀ``, which stays positive definite
    however small R is; R must not be singular.
    """
    (k, d), n = component[1].shape, len(rows)
    logs, location, spread = np.empty((n, k)), np.empty((n, k, d)), np.empty((n, k, d, d))
    root = np.linalg.cholesky(component[2])
    for part, _, across, noise, *found in _parts(rows, units, errors, groups, component):
        logs[part] = found[0]
        location[part] = component[1] + np.einsum("kij,nkj->nki", component[2], found[1])
        sharp = np.linalg.solve(np.linalg.cholesky(noise), across)[:, None] @ root
        inner = np.eye(d) + sharp.swapaxes(-1, -2) @ sharp
        lower, upper = np.linalg.cholesky(inner), root.swapaxes(1, 2)
        half = np.linalg.solve(lower, np.broadcast_to(upper, inner.shape))
        spread[part] = half.swapaxes(-1, -2) @ half
    return logs, location, spread


def _assigned(logs: Array, hard: bool) -> tuple[Array, Array]:
    top = logs.max(axis=1)
    if hard:
        shares = np.zeros_like(logs)
        shares[np.arange(len(logs)), logs.argmax(axis=1)] = 1.0
        return shares, top
    shares = np.exp(logs - top[:, None])
    norm = shares.sum(axis=1)
    return shares / norm[:, None], top + np.log(norm)


def _parts(
    rows: Array, units: Units, errors: Errors, groups: Groups, component: Component
) -> Iterator[tuple[Any, ...]]:
    """Rows (m,), what they observe, A, R, log joint (m, k), v (m, k, d), Aᵀ T⁻¹ A (m, k, d, d).

    A and R are those of what was observed, in frame coordinates.
    """
    (pivot, scale), (noise, projections) = units, errors
    order, ends, masks = groups
    k, d = component[1].shape
    size = max(_NUMBERS // (k * max(d, rows.shape[1]) ** 2), 1)
    for start, end, mask in zip([0, *ends[:-1]], ends, masks, strict=True):
        o = np.flatnonzero(mask)
        for at in range(start, end, size):
            part = order[at : min(at + size, end)]
            R = _dense(noise if len(noise) == 1 else noise[part], o)
            y = rows[part][:, o]
            if projections is None:
                y = (y - pivot[o]) * scale[o]
                R = R * scale[o] * scale[o][:, None]
                some, A = (component[0], component[1][:, o], component[2][:, o][:, :, o]), None
            else:
                A = (projections if len(projections) == 1 else projections[part])[:, o]
                y, A, some = y - A @ pivot, A / scale, component
            yield part, o, A, R, *_scores(y, R, A, some)


def _dense(noise: Array, o: Array) -> Array:
    if noise.shape[2] == noise.shape[1] > 1:
        return noise[:, o][:, :, o]
    return noise[:, o] * np.eye(len(o))


def _scores(y: Array, R: Array, A: Array | None, component: Component) -> tuple[Array, ...]:
    log_weights, means, covariances = component
    if A is None:
        off = y[:, None] - means
        T = covariances + R[:, None]
        across: Any = np.eye(y.shape[1])
    else:
        off = y[:, None] - np.einsum("nij,kj->nki", A, means)
        across = A[:, None]
        T = across @ covariances @ across.swapaxes(-1, -2) + R[:, None]
    lower = np.linalg.cholesky(T)
    white = np.linalg.solve(lower, np.broadcast_to(across, (*T.shape[:3], across.shape[-1])))
    u = np.linalg.solve(lower, off[..., None])
    v = (white.swapaxes(-1, -2) @ u)[..., 0]
    log_det = 2.0 * np.log(lower.diagonal(axis1=-2, axis2=-1)).sum(axis=-1)
    squared = (u[..., 0] ** 2).sum(axis=-1)
    logs = log_weights - 0.5 * (squared + log_det + y.shape[1] * _LOG_2PI)
    return logs, v, white.swapaxes(-1, -2) @ white
