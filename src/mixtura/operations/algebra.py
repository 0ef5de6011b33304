"""Two mixtures made one: the sum of independent draws, the product of densities, a pool."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.special import logsumexp

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.covariance.full import FullCovariances
from mixtura.fitted import fitted_mixture
from mixtura.frame import Frame
from mixtura.law import Gaussian, Law, StudentT, log_norms
from mixtura.mixture import Mixture
from mixtura.operations.frames import gaussian_only, in_one_frame, names_of


def convolve(mixture: Any, other: Any) -> Mixture:
    """The mixture of x + y for independent x and y: ``Σ π_i ρ_j N(μ_i + ν_j, Σ_i + T_j)``.

    Parameters
    ----------
    mixture, other : Mixture or fitted estimator
        Gaussian, over the same features, of k and l components.

    Returns
    -------
    Mixture
        Of k l components, those of `other` running fastest.

    Raises
    ------
    InputError
        Other features; Student's t or noise, whose sums are no mixtures of the kind.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> steps = Mixture([0.5, 0.5], [[-1.0], [1.0]], [[[0.1]], [[0.1]]])
    >>> two = steps.convolve(steps)
    >>> two.means.ravel().tolist(), two.covariances.ravel().round(3).tolist()
    ([-2.0, 0.0, 0.0, 2.0], [0.2, 0.2, 0.2, 0.2])
    """
    mixture, other = fitted_mixture(mixture), fitted_mixture(other)
    for one in (mixture, other):
        gaussian_only(one, "a sum", "draw from both and add the rows")
    f, g = in_one_frame([mixture, other])
    covariances = f.structure.dense()[:, None] + g.structure.dense()
    d = f.n_features
    return Mixture.of(
        np.outer(f.weights, g.weights).ravel(),
        (f.location[:, None] + g.location).reshape(-1, d),
        FullCovariances(covariances.reshape(-1, d, d)),
        Frame(f.frame.pivot + g.frame.pivot, f.frame.scale),
        names_of([f, g]),
    )


def product(mixture: Any, other: Any) -> Mixture:
    """The density ``f(x) g(x) / ∫ f g``, again a mixture.

    ``N(x | a, A) N(x | b, B) = N(a | b, A + B) N(x | c, C)`` with ``C = A (A + B)⁻¹ B`` and
    ``c = a + A (A + B)⁻¹ (b - a)``.

    Parameters
    ----------
    mixture, other : Mixture or fitted estimator
        Gaussian, over the same features, of k and l components.

    Returns
    -------
    Mixture
        Of k l components, those of `other` running fastest.

    Raises
    ------
    InputError
        Other features; Student's t or noise.

    See Also
    --------
    log_inner_product : log ∫ f g.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> prior = Mixture([1.0], [[0.0]], [[[1.0]]])
    >>> both = prior.product(Mixture([0.5, 0.5], [[-3.0], [1.0]], [[[1.0]], [[1.0]]]))
    >>> both.means.ravel().round(4).tolist(), both.weights.round(4).tolist()
    ([-1.5, 0.5], [0.1192, 0.8808])
    """
    f, g = _pair(mixture, other)
    A, B = f.structure.dense()[:, None], g.structure.dense()[None]
    logs, lower, off = _log_overlaps(f, g)
    gain = np.linalg.solve(lower, np.broadcast_to(A, lower.shape))  # L⁻¹ A
    white = np.linalg.solve(lower, np.broadcast_to(B, lower.shape))  # L⁻¹ B
    covariances = gain.swapaxes(-1, -2) @ white
    lead = gain.swapaxes(-1, -2) @ np.linalg.solve(lower, off[..., None])
    d = f.n_features
    weights = np.exp(logs - logsumexp(logs)).ravel()
    return Mixture.of(
        weights / weights.sum(),
        (f.location[:, None] + lead[..., 0]).reshape(-1, d),
        FullCovariances(0.5 * (covariances + covariances.swapaxes(-1, -2)).reshape(-1, d, d)),
        f.frame,
        names_of([f, g]),
    )


def log_inner_product(mixture: Any, other: Any) -> float:
    """``log ∫ f g = log Σ π_i ρ_j N(μ_i | ν_j, Σ_i + T_j)``: what `product` divides by.

    Parameters
    ----------
    mixture, other : Mixture or fitted estimator
        Gaussian, over the same features.

    Examples
    --------
    >>> from mixtura import Mixture, log_inner_product
    >>> one = Mixture([1.0], [[0.0]], [[[1.0]]])
    >>> round(log_inner_product(one, one), 6)  # log 1/√(4π)
    -1.265512
    """
    f, g = _pair(mixture, other)
    return float(logsumexp(_log_overlaps(f, g)[0]) + f.frame.log_volume)


def pool(mixtures: Iterable[Any], weights: Any = None) -> Mixture:
    """One mixture of several: ``Σ_m w_m f_m``, the linear opinion pool.

    Parameters
    ----------
    mixtures : iterable of Mixture or fitted estimator
        Over the same features; all Gaussian, or all of Student's t, and without noise.
    weights : array_like, optional
        At least 0, not all 0; made to sum to one. Equal by default.

    Returns
    -------
    Mixture
        With the components of all, in their order. The structure is full unless all are one.

    Raises
    ------
    InputError
        No mixtures, other features, laws that differ, noise, or bad weights.

    References
    ----------
    Stone (1961), "The opinion pool", Annals of Mathematical Statistics 32, 1339-1342.

    Examples
    --------
    >>> from mixtura import Mixture, pool
    >>> ours, theirs = (Mixture([1.0], [[m]], [[[1.0]]]) for m in (0.0, 4.0))
    >>> pool([ours, theirs], [3, 1]).weights.tolist()
    [0.75, 0.25]
    """
    listed = [fitted_mixture(one) for one in mixtures]
    if not listed:
        raise InputError("there is nothing to pool: give at least one mixture")
    shares = _shares(weights, len(listed))
    if len(listed) == 1:
        return listed[0]
    if any(one.noise is not None for one in listed):
        raise InputError(
            "mixtures with noise do not pool, as a mixture has one region of noise: "
            "pool the mixture.changed(noise=None), and weigh the noise apart"
        )
    law = _common_law(listed)
    moved = in_one_frame(listed)
    return Mixture.of(
        np.concatenate([share * one.weights for share, one in zip(shares, moved, strict=True)]),
        np.concatenate([one.location for one in moved]),
        FullCovariances(np.concatenate([one.structure.dense() for one in moved])),
        moved[0].frame,
        names_of(moved),
        law,
    )


def _shares(weights: Any, count: int) -> Array:
    given = np.ones(count) if weights is None else _checks.numbers(weights, "weights")
    sound = given.shape == (count,) and np.isfinite(given).all() and (given >= 0).all()
    if not sound or not given.any():
        raise InputError(f"weights={weights}: {count} mixtures need {count} numbers of at least 0")
    return np.asarray(given / given.sum())


def _common_law(mixtures: list[Mixture]) -> Law:
    laws = [one.law for one in mixtures]
    if all(isinstance(law, Gaussian) for law in laws):
        return laws[0]
    dofs = [law.dof for law in laws if isinstance(law, StudentT)]
    if len(dofs) < len(laws):
        raise InputError(
            "Gaussian components and Student's t do not pool into one mixture: give the Gaussian "
            "ones law=StudentT with many degrees of freedom (1e6)"
        )
    return StudentT(np.concatenate(dofs), "own")


def _pair(mixture: Any, other: Any) -> tuple[Mixture, Mixture]:
    mixture, other = fitted_mixture(mixture), fitted_mixture(other)
    for one in (mixture, other):
        gaussian_only(one, "a product of densities", "add the two logpdf instead")
    f, g = in_one_frame([mixture, other])
    return f, g


def _log_overlaps(f: Mixture, g: Mixture) -> tuple[Array, Array, Array]:
    """log π_i ρ_j N(μ_i | ν_j, Σ_i + T_j) (k, l) in the frame, Cholesky factors, ν_j - μ_i."""
    lower = np.linalg.cholesky(f.structure.dense()[:, None] + g.structure.dense())
    off = g.location - f.location[:, None]
    white = np.linalg.solve(lower, off[..., None])[..., 0]
    log_det = 2.0 * np.log(lower.diagonal(axis1=-2, axis2=-1)).sum(axis=-1)
    logs = log_norms(log_det, f.n_features) - 0.5 * (white * white).sum(axis=-1)
    return logs + f.log_weights[:, None] + g.log_weights, lower, off
