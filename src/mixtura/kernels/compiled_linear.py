"""The coefficients of the log-linear form, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mixtura.kernels.calling import call, frozen, packed
from mixtura.kernels.compiled_solve import linearize
from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.layout import width

__all__ = ["coefficients"]

Array = NDArray[Any]


def coefficients(
    weights: Array, means: Array, covariances: Array, shape: int, loss: float
) -> Array | None:
    """Θ (k, p) with ``log π_k N(z | k) = Θ_k · T(z)``.

    None where rounding may take more than `loss` nats a row, or a weight is zero.

    Parameters
    ----------
    weights : (k,)
    means : (k, d)
    covariances : (k, d, d), (k, d) or (k,), by shape
    shape : int
    loss : float

    Examples
    --------
    >>> import numpy as np
    >>> coefficients(np.ones(1), np.ones((1, 1)), np.full((1, 1, 1), 4.0), 0, 1e-9).round(4)
    array([[-0.125 ,  0.25  , -1.7371]])
    """
    k, d = means.shape
    theta = np.empty((k, width(shape, d)))
    given = frozen(weights), frozen(packed(covariances, shape)), int(shape), loss * 2.0**53, theta
    return theta if call(_coefficients, means, *given) else None


@njit(**OPTIONS)
def _coefficients(means, weights, covariances, shape, limit, theta):  # type: ignore[no-untyped-def]
    k, p = theta.shape
    nothing = np.zeros((k, p)), np.zeros(k), np.zeros(k)
    found = linearize(
        weights, means, covariances, nothing, shape, False, (0.0, limit), theta, theta[0]
    )
    return not np.isnan(found)
