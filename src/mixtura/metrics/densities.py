"""Proper scores of predicted densities in closed form: the log score and the CRPS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.metrics.columns import mean_or_rows
from mixtura.metrics.predicted import Components, blocks, distributions, plain, rows_of, values_of

_ROOT_TWO_PI = float(np.sqrt(2.0 * np.pi))


def log_score(
    y_true: Any, predicted: Any, *, sample_weight: Any = None, average: bool = True
) -> Any:
    """Mean log-density of what was observed, in nats a row: larger is better.

    As scikit-learn's ``score`` of a density; rows with NaN count by what is observed of them.

    Parameters
    ----------
    y_true : (n,) or (n, d) array_like or data frame
    predicted : Mixture, fitted estimator, a mixture for each row, or anything with `logpdf`
    sample_weight : (n,) array_like, optional
    average : bool, default=True
        False for the score of each row.

    Returns
    -------
    float, or (n,)

    References
    ----------
    Good (1952), "Rational decisions", J. R. Statist. Soc. B 14, 107-114.

    Examples
    --------
    >>> from mixtura import Mixture, metrics
    >>> normal = Mixture([1.0], [[0.0]], [[[1.0]]])
    >>> round(metrics.log_score([0.0, 1.0], normal), 6)
    -1.168939
    """
    predicted = distributions(predicted)
    rows = rows_of(y_true, predicted)
    if isinstance(predicted, Sequence):
        found = [one.logpdf(row[None])[0] for one, row in zip(predicted, rows, strict=True)]
        return mean_or_rows(np.array(found), sample_weight, average)
    return mean_or_rows(np.asarray(predicted.logpdf(rows)), sample_weight, average)


def crps(y_true: Any, predicted: Any, *, sample_weight: Any = None, average: bool = True) -> Any:
    """Continuous ranked probability score ``∫ (F(x) - [y <= x])² dx``: smaller is better.

    In the units of the data; of a point prediction it is the absolute error. For a mixture of
    Gaussians in closed form, ``Σ π_i A(y - μ_i, σ_i) - ½ ΣΣ π_i π_j A(μ_i - μ_j, √(σ_i² + σ_j²))``
    with ``A(u, s) = E|u + s Z| = u (2Φ(u/s) - 1) + 2 s φ(u/s)``.

    Parameters
    ----------
    y_true : (n,) or (n, 1) array_like or data frame
    predicted : Mixture, fitted estimator, or a mixture for each row
        Gaussian, of one feature.
    sample_weight : (n,) array_like, optional
    average : bool, default=True
        False for the score of each row.

    Returns
    -------
    float, or (n,)

    Raises
    ------
    InputError
        More than one feature, Student's t or noise, or NaN.

    References
    ----------
    Grimit, Gneiting, Berrocal & Johnson (2006), "The continuous ranked probability score for
    circular variables and its application to mesoscale forecast ensemble verification", Q. J. R.
    Meteorol. Soc. 132, 2925-2942, equation 5.

    Examples
    --------
    >>> from mixtura import Mixture, metrics
    >>> normal = Mixture([1.0], [[0.0]], [[[1.0]]])
    >>> round(metrics.crps([0.0, 1.0], normal), 6)
    0.418068
    """
    predicted = distributions(predicted)
    values = values_of(y_true, predicted, "crps")
    if not plain(predicted):
        raise InputError(
            "the closed form of crps holds for Gaussian mixtures without noise: energy_score "
            "estimates the same number by draws for Student's t and noise"
        )
    out = np.empty(len(values))
    for rows, parts in blocks(predicted, len(values), 1):
        out[rows] = gaussian_crps(values[rows], parts)
    return mean_or_rows(out, sample_weight, average)


def gaussian_crps(values: Array, parts: Components) -> Array:
    """(n,) the CRPS of values in mixtures of one feature, one for all or one each."""
    weights, means = parts.weights, parts.means[:, :, 0]
    variances = parts.covariances[:, :, 0, 0]
    near = np.sum(weights * _distance(values[:, None] - means, np.sqrt(variances)), axis=1)
    spread = np.sqrt(variances[:, :, None] + variances[:, None, :])
    between = _distance(means[:, :, None] - means[:, None, :], spread)
    return np.asarray(near - 0.5 * np.einsum("mi,mij,mj->m", weights, between, weights))


def _distance(u: Array, s: Array) -> Array:
    """``E|u + s Z|`` for standard normal Z."""
    t = u / s
    return np.asarray(u * (2.0 * ndtr(t) - 1.0) + 2.0 * s * np.exp(-0.5 * t * t) / _ROOT_TWO_PI)
