"""The mixture of ``A x + b``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.covariance import Covariances
from mixtura.covariance.full import FullCovariances
from mixtura.frame import Frame
from mixtura.mixture import Mixture
from mixtura.noise import Noise
from mixtura.operations.frames import powers_of_two


def affine(
    mixture: Mixture,
    matrix: Any,
    shift: Any = 0.0,
    *,
    feature_names: Sequence[str] | None = None,
) -> Mixture:
    """The mixture of ``A x + b``: ``Σ_k π_k N(A μ_k + b, A Σ_k Aᵀ)``.

    Student's t keeps its degrees of freedom. A matrix that only picks and scales columns keeps the
    structure of the covariances. Noise goes along where A is square.

    Parameters
    ----------
    mixture : Mixture
    matrix : (m, d) array_like
        A, with independent rows.
    shift : (m,) array_like or number, default=0
        b.
    feature_names : sequence of str, optional
        Names of the m new features.

    Returns
    -------
    Mixture
        In m dimensions.

    Raises
    ------
    InputError
        Shapes that do not fit; rows of A that depend on each other, so that there is no density;
        noise and an A that is not square.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> mixture = Mixture([0.5, 0.5], [[0, 0], [1, 3]], [[1, 1], [1, 4]], covariance_type="diag")
    >>> total = mixture.affine([[1, 1]], 10)
    >>> total.means.ravel().tolist(), total.covariances.ravel().tolist()
    ([10.0, 14.0], [2.0, 5.0])
    """
    A, b = _checked(mixture, matrix, shift)
    frame = mixture.frame
    across = A / frame.scale
    size = powers_of_two(np.abs(across).max(axis=1))
    across = across / size[:, None]
    return Mixture.of(
        mixture.weights,
        mixture.location @ across.T,
        _image(mixture.structure, across),
        Frame(A @ frame.pivot + b, 1.0 / size),
        feature_names,
        mixture.law,
        None if mixture.noise is None else _noise(mixture.noise, across),
    )


def _checked(mixture: Mixture, matrix: Any, shift: Any) -> tuple[Array, Array]:
    A, d = _checks.numbers(matrix, "the matrix"), mixture.n_features
    if A.ndim != 2 or A.shape[1] != d or not len(A):
        raise InputError(f"the matrix has shape {A.shape}; (m, {d}) is needed for {d} features")
    b = _checks.numbers(shift, "the shift")
    if b.shape not in ((), (len(A),)):
        raise InputError(f"the shift has shape {b.shape}; ({len(A)},) or a number is needed")
    if not (np.isfinite(A).all() and np.isfinite(b).all()):
        raise InputError("the matrix or the shift holds NaN or infinite numbers")
    across = A / mixture.frame.scale
    rank = np.linalg.matrix_rank(across / powers_of_two(np.abs(across).max(axis=1))[:, None])
    if rank < len(A):
        raise InputError(
            f"the {len(A)} rows of the matrix span {rank} dimensions, so that A x + b has no "
            "density: leave out the rows that depend on others"
        )
    if mixture.noise is not None and len(A) != d:
        raise InputError(
            f"noise spread evenly over {d} dimensions is not even over {len(A)} of their sums: "
            "use a square matrix and then a marginal, or mixture.changed(noise=None)"
        )
    return A, b


def _image(structure: Covariances, across: Array) -> Covariances:
    """``A Σ_k Aᵀ``, of the same structure where A picks and scales."""
    if (np.count_nonzero(across, axis=1) == 1).all():
        dims = np.abs(across).argmax(axis=1)
        return structure.marginal(dims).scaled(across[np.arange(len(across)), dims])
    image = across @ structure.dense() @ across.T
    return FullCovariances(0.5 * (image + image.swapaxes(1, 2)))


def _noise(noise: Noise, across: Array) -> Noise:
    """The image of the region, and the box around it."""
    plain = noise.corner is None or noise.edges is None
    corner = across @ (noise.low if plain else noise.corner)
    edges = across @ (np.diag(noise.high - noise.low) if plain else noise.edges)
    low = corner + np.minimum(edges, 0.0).sum(axis=1)
    high = corner + np.maximum(edges, 0.0).sum(axis=1)
    if plain and (np.count_nonzero(across, axis=1) == 1).all():
        return Noise(noise.share, low, high)
    return Noise(noise.share, low, high, corner, edges)
