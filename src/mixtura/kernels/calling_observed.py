"""Rows with gaps against components: how the compiled kernels are called."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.kernels.calling import call, frozen, native
from mixtura.kernels.compiled_math import exp_constants
from mixtura.kernels.compiled_observed import (
    observed_distances,
    observed_means,
    observed_moments,
    observed_sums,
)
from mixtura.kernels.layout import width

__all__ = ["accumulate_observed", "distances_observed", "means_observed", "moments_observed"]

Array = NDArray[Any]


def accumulate_observed(
    rows: Array,
    pivot: Array,
    scale: Array,
    weights: Array,
    plausibility: Array | None,
    groups: tuple[Array, Array, Array],
    log_weights: Array,
    means: Array,
    covariances: Array,
    shape: int,
    hard: bool,
) -> tuple[float, Array]:
    """Log-likelihood and expected sums of ``T(z - mean_k)`` of rows with gaps or labels.

    Parameters
    ----------
    rows, pivot, scale, weights, shape, hard
        As in `mixtura.kernels.compiled.accumulate`; what was not observed is not read.
    plausibility : (n, k) or None
        Added to the log joint.
    groups : (order, ends, masks)
        The rows by pattern: their order (n,), where each pattern's end (P,), and what it observes
        (P, d).
    log_weights : (k,)
    means : (k, d)
    covariances : (k, d, d), or variances (k, d)

    Examples
    --------
    One standard normal; its second row saw nothing, so it adds the expected square, 1:

    >>> import numpy as np
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> groups = np.array([0, 1]), np.array([1, 2]), np.array([[True], [False]])
    >>> rows, means = np.array([[2.0], [np.nan]]), np.zeros((1, 1))
    >>> given = rows, zero, one, zero[:0], None, groups, zero, means, np.ones((1, 1, 1))
    >>> accumulate_observed(*given, 0, False)[1]
    array([[5., 2., 2.]])
    """
    rows = native(rows)
    sums = np.zeros((len(means), width(shape, means.shape[1])))
    told = np.empty((0, 0)) if plausibility is None else plausibility
    log_likelihood = call(
        observed_sums,
        rows,
        frozen(pivot),
        frozen(scale),
        frozen(weights),
        frozen(told),
        _groups(groups),
        _component(log_weights, means, covariances),
        int(shape),
        bool(hard),
        exp_constants(np.dtype(np.float64)),
        sums,
    )
    return log_likelihood, sums


def distances_observed(
    rows: Array,
    pivot: Array,
    scale: Array,
    groups: tuple[Array, Array, Array],
    means: Array,
    covariances: Array,
) -> tuple[Array, Array]:
    """Squared Mahalanobis distances (n, k) and log-determinants (n, k) of what was observed.

    Parameters
    ----------
    rows, pivot, scale, groups, means, covariances
        As in `accumulate_observed`.

    Examples
    --------
    >>> import numpy as np
    >>> groups = np.array([0, 1]), np.array([1, 2]), np.array([[True, True], [False, True]])
    >>> rows, zero, one = np.array([[3.0, 4.0], [np.nan, 4.0]]), np.zeros(2), np.ones(2)
    >>> found = distances_observed(rows, zero, one, groups, np.zeros((1, 2)), np.ones((1, 2)))
    >>> found[0].tolist(), abs(found[1]).tolist()
    ([[25.0], [16.0]], [[0.0], [0.0]])
    """
    squared, log_det = np.empty((2, len(rows), len(means)))
    given = _given(rows, pivot, scale, groups, means, covariances)
    call(observed_distances, *given, squared, log_det)
    return squared, log_det


def means_observed(
    rows: Array,
    pivot: Array,
    scale: Array,
    groups: tuple[Array, Array, Array],
    means: Array,
    covariances: Array,
    responsibilities: Array,
) -> Array:
    """Rows (n, d) in the frame, what is missing as expected by responsibilities (n, k).

    Parameters
    ----------
    rows, pivot, scale, groups, means, covariances
        As in `accumulate_observed`.

    Examples
    --------
    >>> import numpy as np
    >>> groups, covariances = (np.array([0]), np.array([1]), np.array([[True, False]])), np.eye(2)
    >>> covariances[0, 1] = covariances[1, 0] = 0.5
    >>> rows, zero, one = np.array([[3.0, np.nan]]), np.zeros(2), np.ones(2)
    >>> given = rows, zero, one, groups, np.zeros((1, 2)), covariances[None], np.ones((1, 1))
    >>> means_observed(*given).tolist()
    [[3.0, 1.5]]
    """
    out = np.empty(rows.shape)
    given = _given(rows, pivot, scale, groups, means, covariances)
    call(observed_means, *given, frozen(responsibilities), out)
    return out


def moments_observed(
    rows: Array,
    pivot: Array,
    scale: Array,
    groups: tuple[Array, Array, Array],
    means: Array,
    covariances: Array,
    scaled: Array,
    shares: Array,
    shape: int,
) -> Array:
    """Expected sums of ``T(z - mean_k)`` of rows with gaps whose shares are known.

    Parameters
    ----------
    rows, pivot, scale, groups, means, covariances, shape
        As in `accumulate_observed`.
    scaled : (n, k)
        What rows count by.
    shares : (n, k)
        What their conditional covariances count by.

    Examples
    --------
    >>> import numpy as np
    >>> groups = np.array([0, 1]), np.array([1, 2]), np.array([[True], [False]])
    >>> rows, zero, one = np.array([[2.0], [np.nan]]), np.zeros(1), np.ones(1)
    >>> scaled, shares = np.array([[0.5], [0.5]]), np.ones((2, 1))
    >>> given = rows, zero, one, groups, np.zeros((1, 1)), np.ones((1, 1, 1))
    >>> moments_observed(*given, scaled, shares, 0).tolist()
    [[3.0, 1.0, 1.0]]
    """
    sums = np.zeros((len(means), width(shape, means.shape[1])))
    given = _given(rows, pivot, scale, groups, means, covariances)
    call(observed_moments, *given, frozen(scaled), frozen(shares), int(shape), sums)
    return sums


def _given(
    rows: Array,
    pivot: Array,
    scale: Array,
    groups: tuple[Array, Array, Array],
    means: Array,
    covariances: Array,
) -> tuple[Any, ...]:
    """Rows and components as the kernels take them whose log-weights do not matter."""
    component = _component(np.zeros(len(means)), means, covariances)
    return native(rows), frozen(pivot), frozen(scale), _groups(groups), component


def _groups(groups: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    order, ends, masks = groups
    return frozen(order, np.intp), frozen(ends, np.intp), frozen(masks, np.bool_)


def _component(log_weights: Array, means: Array, covariances: Array) -> tuple[Array, Array, Array]:
    k, d = means.shape
    return frozen(log_weights), frozen(means), frozen(covariances.reshape(k, -1, d))
