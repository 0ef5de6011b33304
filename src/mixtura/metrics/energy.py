"""The energy score: the CRPS of several features together."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.metrics.columns import mean_or_rows
from mixtura.metrics.densities import gaussian_crps
from mixtura.metrics.predicted import Components, blocks, complete_rows, distributions, many, plain
from mixtura.mixture import Mixture
from mixtura.operations.estimate import Estimate

_STEP = 0.3
_BELOW, _ABOVE = 24.0, 36.0
"""How far the nodes reach around -log E Q, in log t."""

_ROUNDING = 64.0 * float(np.finfo(float).eps)
_LOG_LEFT = -36.0
"""Beyond the last node less than this is left, by logarithm."""

_TINY = 1e-300
_CELLS = 1 << 10
"""Lengths at a time: some hundred nodes of each stay in the cache."""

_LEAST_DRAWS = 100


def energy_score(
    y_true: Any,
    predicted: Any,
    *,
    sample_weight: Any = None,
    average: bool = True,
    draws: int = 10_000,
    rng: Any = 0,
) -> Estimate:
    """Energy score ``E|X - y| - ½ E|X - X'|``, X and X' as predicted: smaller is better.

    In the units of the data, which must be comparable between columns. For Gaussian mixtures by
    quadrature, ``E√Q = √q + (4π)^-½ ∫ (e^{-tq} - E e^{-tQ}) t^{-3/2} dt`` with ``q = E Q``, Q the
    squared length of a Gaussian and its Laplace transform in closed form; the trapezoidal rule in
    log t is accurate to about 1e-13. One feature is the CRPS. Student's t and noise are drawn.

    Parameters
    ----------
    y_true : (n, d) array_like or data frame
    predicted : Mixture, fitted estimator, or a mixture for each row
    sample_weight : (n,) array_like, optional
    average : bool, default=True
        False for the score of each row.
    draws : int, default=10_000
        Used for Student's t and noise.
    rng : numpy.random.Generator, int or None, default=0

    Returns
    -------
    Estimate
        The error is numerical: what draws or quadrature leave, not how the score varies over rows.

    Raises
    ------
    InputError
        NaN; or a mixture with Student's t or noise for each row.

    References
    ----------
    Gneiting & Raftery (2007), "Strictly proper scoring rules, prediction, and estimation", J. Am.
    Statist. Assoc. 102, 359-378, equation 22.

    Examples
    --------
    >>> from mixtura import Mixture, metrics
    >>> normal = Mixture([1.0], [[0.0, 0.0]], [[[1.0, 0.0], [0.0, 1.0]]])
    >>> metrics.energy_score([[0.0, 0.0]], normal)  # √(π/2) - ½ √π
    0.367087211863 (quadrature)
    """
    predicted = distributions(predicted)
    rows = complete_rows(y_true, predicted)
    if not plain(predicted):
        return _drawn(rows, predicted, sample_weight, average, draws=draws, rng=rng)
    d = rows.shape[1]
    found = np.zeros((2, len(rows)))
    for some, parts in blocks(predicted, len(rows), d * d):
        if d == 1:
            found[0, some] = gaussian_crps(rows[some, 0], parts)
        else:
            found[:, some] = _gaussian(rows[some], parts)
    values, errors = (mean_or_rows(one, sample_weight, average) for one in found)
    return Estimate(values, errors, "closed form" if d == 1 else "quadrature")


def _gaussian(rows: Array, parts: Components) -> Array:
    """(2, n) scores and their errors."""
    weights = parts.weights
    m, k, d = parts.means.shape
    offsets = np.moveaxis(rows[:, None] - parts.means, 0, 1)  # (k, n, d)
    if m == 1:
        near = _mean_length(offsets, parts.covariances[0])
    else:
        single = offsets.swapaxes(0, 1).reshape(-1, 1, d)
        near = _mean_length(single, parts.covariances.reshape(-1, d, d))
        near = near.reshape(2, -1, k).swapaxes(1, 2)
    i, j = np.triu_indices(k)
    between = (parts.means[:, i] - parts.means[:, j]).reshape(-1, 1, d)
    joined = (parts.covariances[:, i] + parts.covariances[:, j]).reshape(-1, d, d)
    apart = _mean_length(between, joined).reshape(2, m, len(i))
    first = np.einsum("mk,ekn->en" if m == 1 else "nk,ekn->en", weights, near)
    pairs = weights[:, i] * weights[:, j] * np.where(i == j, 0.5, 1.0)
    second = np.sum(pairs * apart, axis=2)
    return np.asarray(np.stack([first[0] - second[0], first[1] + second[1]]))


def _mean_length(offsets: Array, covariances: Array) -> Array:
    """(2, b, r): E|x| for Gaussians x of mean (b, r, d) and covariance (b, d, d), and its error."""
    variances, axes = np.linalg.eigh(covariances)
    variances = np.maximum(variances, 0.0)
    squares = (offsets @ axes) ** 2
    b, r, d = squares.shape
    out = np.empty((2, b, r))
    several = max(1, _CELLS // max(r, d))
    for start in range(0, b, several):
        some = slice(start, start + several)
        for first in range(0, r, _CELLS):
            rows = slice(first, first + _CELLS)
            out[:, some, rows] = _mean_root(squares[some, rows], variances[some])
    return out


def _mean_root(squares: Array, variances: Array) -> Array:
    """(2, b, r): E√Q, ``Q = Σ_j (s_j + √v_j Z_j)²`` with squares s² (b, r, d), v (b, d).

    With ``E e^{-tQ} = Π (1 + 2tv)^-½ exp(-t s²/(1 + 2tv))``; halving the step squares the error of
    the trapezoidal rule (Trefethen & Weideman 2014), which every second node tells.
    """
    expected = squares.sum(axis=2) + variances.sum(axis=1)[:, None]
    root = np.sqrt(expected)
    t = _nodes(expected, variances)
    tv = variances[:, :, None] * t
    less = squares @ (2.0 * tv * t / (1.0 + 2.0 * tv))  # tq + log E e^{-tQ}, without cancellation
    less += np.sum(tv - 0.5 * np.log1p(2.0 * tv), axis=1)[:, None]
    grown = expected[:, :, None] * t
    near = int(np.searchsorted(t * expected.max(), 1.0))
    gain = np.exp(-grown)
    gain[..., :near] *= -np.expm1(less[..., :near])
    gain[..., near:] -= np.exp(less[..., near:] - grown[..., near:])
    scale = _STEP / np.sqrt(4.0 * np.pi * t)
    value = root + gain @ scale
    coarse = root + gain[..., ::2] @ (2.0 * scale[::2])
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(root > 0, 10.0 * (value - coarse) ** 2 / root, 0.0)
    return np.stack([value, error + _ROUNDING * root.max()])


def _nodes(expected: Array, variances: Array) -> Array:
    """t, evenly spaced in log t, over all that counts beside q^½: from e^-24 / q upwards."""
    least, most = max(float(expected.min()), _TINY), max(float(expected.max()), _TINY)
    t = np.exp(np.arange(-np.log(most) - _BELOW, -np.log(least) + _ABOVE, _STEP))
    least_spread = variances.min(axis=0)  # sorted, so that no product of (1 + 2tv) is smaller
    log_left = -0.5 * np.log1p(2.0 * least_spread[:, None] * t).sum(axis=0)
    log_left = np.maximum(log_left, -least * t) - 0.5 * np.log(t)
    return t[log_left > _LOG_LEFT + 0.5 * np.log(least)]


def _drawn(
    rows: Array, predicted: Any, sample_weight: Any, average: bool, *, draws: int, rng: Any
) -> Estimate:
    """By pairs of draws from one mixture: ``½ (|x - y| + |x' - y| - |x - x'|)`` of each pair."""
    if many(predicted):
        raise InputError(
            "energy_score by draws takes one mixture: with Student's t or noise for each row, "
            "score row by row, energy_score(y_true[[i]], predicted[i])"
        )
    if draws < _LEAST_DRAWS:
        raise InputError(f"draws={draws}: at least {_LEAST_DRAWS} are needed")
    if isinstance(predicted, Mixture) and not np.isfinite(predicted.covariance()).all():
        raise InputError(
            "a component has at most two degrees of freedom: draws of its distances have no finite "
            "error; take log_score, or pit for one feature"
        )
    pairs = predicted.sample(2 * (draws // 2), rng).reshape(-1, 2, rows.shape[1])
    half = 0.5 * np.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=1)
    weights = _checks.row_weights(sample_weight, len(rows))
    shares = np.full(len(rows), 1.0) if weights is None else weights
    mean_over_rows = np.zeros(len(pairs))
    found = np.empty((2, len(rows)))
    for row, y in enumerate(rows):
        each = 0.5 * np.linalg.norm(pairs - y, axis=2).sum(axis=1) - half
        mean_over_rows += shares[row] * each
        found[:, row] = each.mean(), each.std(ddof=1) / np.sqrt(len(each))
    if not average:
        return Estimate(mean_or_rows(found[0], sample_weight, False), found[1], "Monte Carlo")
    mean_over_rows /= shares.sum()
    error = float(mean_over_rows.std(ddof=1) / np.sqrt(len(pairs)))
    return Estimate(float(mean_over_rows.mean()), error, "Monte Carlo")
