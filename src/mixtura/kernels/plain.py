"""The kernels in NumPy: the definition that the compiled ones must meet.

Everything works through tiles of rows, so that memory stays bounded whatever n is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.kernels.layout import DIAGONAL, FULL, LINEAR, SPHERICAL, triangle, width
from mixtura.kernels.plain_blurred import accumulate_blurred, joint_blurred, posterior_blurred
from mixtura.kernels.plain_forms import constrain
from mixtura.kernels.plain_hierarchy import agglomerate
from mixtura.kernels.plain_shares import best, log_sums, soft

__all__ = [
    "accumulate",
    "accumulate_blurred",
    "accumulate_centred",
    "agglomerate",
    "assign",
    "best",
    "cancellation",
    "constrain",
    "features",
    "joint_blurred",
    "lloyd",
    "log_joint",
    "log_sums",
    "posterior_blurred",
    "soft",
    "spread",
    "weighted_sums",
]

Array = NDArray[Any]

_FEW = 1 << 15  # numbers of which a second copy costs less than a loop
_NARROW = 32  # features above which the table of their products costs more than it spares
_TILE_NUMBERS = 1 << 18  # float64 numbers in the largest array of a tile: 2 MiB


def accumulate(
    rows: Array,
    pivot: Array,
    scale: Array,
    weights: Array,
    theta: Array,
    shape: int,
    hard: bool,
) -> tuple[float, Array]:
    """Log-likelihood and weighted sums of T(z) per component, in the log-linear form.

    Parameters
    ----------
    rows : (n, d) float64 or float32
        Complete rows in the user's units; ``z = (rows - pivot) * scale``.
    pivot, scale : (d,)
        The frame.
    weights : (n,) or (0,)
        Weight of each row; empty means one for each.
    theta : (k, p)
        Coefficients on T(z): ``log weight_k + log density_k(z) = theta_k . T(z)``, up to a term
        that is common to all components.
    shape : int
        A shape code of `mixtura.kernels.layout`.
    hard : bool
        Assign each row wholly to its first best component instead of in proportion.

    Returns
    -------
    log_likelihood : float
        ``sum_i w_i log sum_k exp(logit_ik)``; with `hard`, of the largest logit alone.
    sums : (k, p)
        ``sum_i w_i R_ik T(z_i)``.

    Examples
    --------
    One standard normal component on two rows in one dimension:

    >>> import numpy as np
    >>> theta = np.array([[-0.5, 0.0, -0.5 * np.log(2 * np.pi)]])
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> total, sums = accumulate(np.array([[1.0], [3.0]]), zero, one, np.empty(0), theta, 0, False)
    >>> round(total, 6), sums.tolist()
    (-6.837877, [[10.0, 4.0, 2.0]])
    """
    log_likelihood, sums = 0.0, np.zeros(theta.shape)
    for z, w in _tiles(rows, pivot, scale, weights, theta.shape[1] + theta.shape[0]):
        table = features(z, shape)
        gained, shares = assign(theta @ table, w, hard)
        log_likelihood += gained
        sums += shares @ table.T
    return log_likelihood, sums


def accumulate_centred(
    rows: Array,
    pivot: Array,
    scale: Array,
    weights: Array,
    log_weights: Array,
    means: Array,
    factors: Array,
    log_norms: Array,
    shape: int,
    hard: bool,
) -> tuple[float, Array]:
    """Log-likelihood and sums of ``T(z - mean_k)``: each component about its own mean.

    Slower than `accumulate` for few features and accurate for any conditioning.

    Parameters
    ----------
    rows, pivot, scale, weights, shape, hard
        As in `accumulate`.
    log_weights, log_norms : (k,)
        ``log joint = log_weights + log_norms - |y|^2 / 2``.
    means : (k, d)
        In frame coordinates.
    factors : (k, d, d), (k, d) or (k,)
        Whiteners by shape: ``y = (z - mean_k) @ factors[k]``, or times it. Matrices are upper
        triangles, as ``L⁻ᵀ`` of a Cholesky factor L.

    Returns
    -------
    log_likelihood : float
    sums : (k, p)
        ``sum_i w_i R_ik T(z_i - mean_k)``.

    Examples
    --------
    >>> import numpy as np
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> rows, means, factors = np.array([[1.0], [3.0]]), np.array([[2.0]]), np.ones((1, 1, 1))
    >>> accumulate_centred(rows, zero, one, zero[:0], zero, means, factors, zero, 0, False)[1]
    array([[2., 0., 2.]])
    """
    k, d = means.shape
    log_likelihood, sums = 0.0, np.zeros((k, width(shape, d)))
    for z, w in _tiles(rows, pivot, scale, weights, width(shape, d) + k):
        logits = _log_joint(z, log_weights, means, factors, log_norms, shape)
        gained, shares = assign(logits, w, hard)
        log_likelihood += gained
        for component, share in enumerate(shares):
            sums[component] += features(z - means[component], shape) @ share
    return log_likelihood, sums


def log_joint(
    rows: Array,
    pivot: Array,
    scale: Array,
    log_weights: Array,
    means: Array,
    factors: Array,
    log_norms: Array,
    shape: int,
) -> Array:
    """``log weight_k + log density_k`` (n, k) of complete rows, accurate for any conditioning.

    The parameters are those of `accumulate_centred`; the density is in frame coordinates.

    Examples
    --------
    >>> import numpy as np
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> rows, means = np.array([[1.0], [3.0]]), np.array([[2.0], [3.0]])
    >>> log_joint(rows, zero, one, np.zeros(2), means, np.ones(2), np.zeros(2), 2).tolist()
    [[-0.5, -2.0], [-0.5, 0.0]]
    """
    n, k = len(rows), len(means)
    out = np.empty((n, k))
    start = 0
    for z, _ in _tiles(rows, pivot, scale, np.empty(0), 2 * means.shape[1] + k):
        stop = start + len(z)
        out[start:stop] = _log_joint(z, log_weights, means, factors, log_norms, shape).T
        start = stop
    return out


def weighted_sums(rows: Array, pivot: Array, scale: Array, shares: Array, shape: int) -> Array:
    """``sum_i shares_ik T(z_i)`` (k, p) of complete rows for given shares (n, k).

    Examples
    --------
    >>> import numpy as np
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> weighted_sums(np.array([[1.0], [3.0]]), zero, one, np.eye(2), 0).tolist()
    [[1.0, 1.0, 1.0], [9.0, 3.0, 1.0]]
    """
    if shape == FULL and rows.shape[1] > _NARROW:
        return _weighted_products(rows, pivot, scale, shares)
    sums, start = np.zeros((shares.shape[1], width(shape, rows.shape[1]))), 0
    for z, _ in _tiles(rows, pivot, scale, np.empty(0), sums.shape[1] + sums.shape[0]):
        sums += (features(z, shape) @ shares[start : start + len(z)]).T
        start += len(z)
    return sums


def _weighted_products(rows: Array, pivot: Array, scale: Array, shares: Array) -> Array:
    """`weighted_sums` with full second moments of many features, whose table would be huge.

    A component is spared the rows that it has no share of.
    """
    d, k = rows.shape[1], shares.shape[1]
    first, second = np.zeros((k, d + 1)), np.zeros((k, d, d))
    start = 0
    for z, ones in _tiles(rows, pivot, scale, np.empty(0), 2 * d):
        part = shares[start : start + len(z)]
        start += len(z)
        first += part.T @ np.column_stack([z, ones])
        for component in range(k):
            own = np.flatnonzero(part[:, component])
            near = z if len(own) == len(z) else z[own]
            second[component] += (near * part[own, component, None]).T @ near
    row, column = triangle(d)
    return np.hstack([second[:, row, column], first])


def spread(columns: Array, weights: Array, draws: Array) -> Array:
    """k-means++: rows (k,), each next one drawn by weighted squared distance from those so far.

    Parameters
    ----------
    columns : (d, n)
        The rows, feature-major.
    weights : (n,)
    draws : (k,)
        Uniform numbers; a row is where the running sum of the chances passes its draw's share.

    Examples
    --------
    >>> import numpy as np
    >>> spread(np.array([[0.0, 1.0, 9.0]]), np.ones(3), np.array([0.1, 0.9])).tolist()
    [0, 2]
    """
    chosen = np.empty(len(draws), np.intp)
    nearest = np.ones(columns.shape[1])
    for place, draw in enumerate(draws):
        running = np.cumsum(weights * nearest)
        whole = running[-1]
        spot = np.searchsorted(running, draw * whole, "right") if whole > 0 else draw * len(nearest)
        chosen[place] = min(int(spot), len(nearest) - 1)
        squared = ((columns - columns[:, chosen[place], None]) ** 2).sum(axis=0)
        nearest = squared if place == 0 else np.minimum(nearest, squared)
    return chosen


def lloyd(columns: Array, weights: Array, seeds: Array, rounds: int) -> Array:
    """Labels (n,) after so many of Lloyd's steps at most; an empty cluster keeps its seed.

    Parameters
    ----------
    columns : (d, n)
        The rows, feature-major.
    weights : (n,)
    seeds : (k, d)
    rounds : int
        At least 1.

    Examples
    --------
    >>> import numpy as np
    >>> seeds = np.array([[0.0], [1.0]])
    >>> lloyd(np.array([[0.0, 1.0, 9.0]]), np.ones(3), seeds, 5).tolist()
    [0, 0, 1]
    """
    k, last = len(seeds), np.empty(0)
    for _ in range(rounds):
        labels = ((seeds**2).sum(axis=1)[:, None] - 2.0 * seeds @ columns).argmin(axis=0)
        if np.array_equal(labels, last):
            break
        last = labels
        mass = np.bincount(labels, weights, k)
        sums = np.stack([np.bincount(labels, weights * column, k) for column in columns], axis=1)
        means = sums / np.maximum(mass, 1e-300)[:, None]
        seeds = np.where(mass[:, None] > 0, means, seeds)
    return labels


def cancellation(means: Array, precisions: Array, deviations: Array, unit: float = 2**-53) -> float:
    """Bound on the nats that the log-linear form loses to rounding.

    The logit of a row is a sum of terms ``P_ij z_i z_j`` and so on that cancel down to a squared
    distance; the largest of them, for rows within three deviations of a mean, times the unit
    roundoff bounds what is lost.

    Parameters
    ----------
    means, deviations : (k, d)
        Means and standard deviations in frame coordinates.
    precisions : (k, d, d), (k, d) or (k,)
        Inverse covariances, by shape.
    unit : float
        Unit roundoff of the kernel's products: ``2**-53``, or ``2**-24`` for float32 rows.

    Examples
    --------
    >>> import numpy as np
    >>> cancellation(np.full((1, 1), 1e6), np.ones((1, 1)), np.ones((1, 1))) > 1e-5
    True
    """
    reach = np.abs(means) + 3.0 * deviations
    if precisions.ndim == 3 and precisions.size <= _FEW:
        terms = ((np.abs(precisions) @ reach[:, :, None])[:, :, 0] * reach).sum(axis=1)
    elif precisions.ndim == 3:
        # one by one: no second copy of them all
        each = np.broadcast_to(precisions, (len(reach), *precisions.shape[1:]))
        pairs = zip(each, reach, strict=True)
        terms = np.array([far @ (np.abs(one) @ far) for one, far in pairs])
    else:
        terms = (np.abs(precisions).reshape(len(means), -1) * reach**2).sum(axis=1)
    return unit * float(terms.max())


def features(z: Array, shape: int) -> Array:
    """T(z) of each row, feature-major: (p, n).

    >>> import numpy as np
    >>> features(np.array([[2.0, 3.0]]), 0).ravel().tolist()
    [4.0, 6.0, 9.0, 2.0, 3.0, 1.0]
    """
    columns = np.ascontiguousarray(z.T)
    d, n = columns.shape
    out = np.empty((width(shape, d), n))
    second = out[: len(out) - d - 1]
    if shape == FULL:
        start = 0
        for i in range(d):
            np.multiply(columns[i], columns[i:], out=second[start : start + d - i])
            start += d - i
    elif shape == DIAGONAL:
        np.multiply(columns, columns, out=second)
    elif shape == SPHERICAL:
        np.einsum("in,in->n", columns, columns, out=second[0])
    else:
        assert shape == LINEAR
    out[-d - 1 : -1] = columns
    out[-1] = 1.0
    return out


def _tiles(
    rows: Array, pivot: Array, scale: Array, weights: Array, numbers: int
) -> Iterator[tuple[Array, Array]]:
    """Framed rows with their weights, tile by tile; `numbers` are held for each row."""
    size = min(max(_TILE_NUMBERS // numbers, 64), 4096)
    for start in range(0, len(rows), size):
        z = np.subtract(rows[start : start + size], pivot, dtype=np.float64, order="C")
        z *= scale
        yield z, weights[start : start + size] if len(weights) else np.ones(len(z))


def assign(logits: Array, weights: Array, hard: bool) -> tuple[float, Array]:
    """The log-likelihood of a tile and its weighted responsibilities (k, b)."""
    top = logits.max(axis=0)
    if hard:
        shares = np.zeros_like(logits)
        shares[logits.argmax(axis=0), np.arange(len(weights))] = weights
        return float(top @ weights), shares
    shares = np.exp(logits - top)
    norm = shares.sum(axis=0)
    shares *= weights / norm
    return float((top + np.log(norm)) @ weights), shares


def _log_joint(
    z: Array, log_weights: Array, means: Array, factors: Array, log_norms: Array, shape: int
) -> Array:
    """Log joint (k, b) of framed rows by whitening."""
    out = np.empty((len(means), len(z)))
    for component, (mean, factor) in enumerate(zip(means, factors, strict=True)):
        centred = z - mean
        y = centred @ factor if shape == FULL else centred * factor
        out[component] = -0.5 * np.einsum("ni,ni->n", y, y)
    return out + (log_weights + log_norms)[:, None]
