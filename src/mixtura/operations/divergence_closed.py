"""Divergences of Gaussian mixtures in closed form, and approximations and bounds of KL."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logsumexp

from mixtura._types import Array
from mixtura.mixture import Mixture
from mixtura.operations.algebra import log_inner_product
from mixtura.operations.gaussian_pairs import (
    Gaussians,
    gaussian_pair,
    gaussians,
    kl_pairs,
    log_products,
)

_ROUNDS = 1000
_STILL = 1e-13


def l2(p: Any, q: Any) -> float:
    """L2 distance ``(∫ (p - q)²)^½`` of the densities, in closed form.

    ``∫ N(x | a, A) N(x | b, B) dx = N(a | b, A + B)``. In units of the density: in many features it
    is tiny or vast by its nature, and `cauchy_schwarz` is what to compare by.

    Parameters
    ----------
    p, q : Mixture or fitted estimator
        Gaussian, of the same features.

    Returns
    -------
    float

    Raises
    ------
    InputError
        Student's t or noise, or other features.

    Examples
    --------
    >>> from mixtura import Mixture, divergence
    >>> p, q = (Mixture([1.0], [[m]], [[[1.0]]]) for m in (0.0, 100.0))
    >>> round(divergence.l2(p, q) ** 2, 6)  # 1/√π, as nothing overlaps
    0.56419
    """
    logs = _inner_products(*gaussian_pair(p, q, "the closed form of l2"))
    top = logs.max()
    square = max(float(np.exp(logs - top) @ [1.0, -2.0, 1.0]), 0.0)
    return float(np.exp(0.5 * top) * np.sqrt(square))


def cauchy_schwarz(p: Any, q: Any) -> float:
    """Cauchy-Schwarz divergence ``-log ∫pq / √(∫p² ∫q²)``, in closed form, free of units.

    Parameters
    ----------
    p, q : Mixture or fitted estimator
        Gaussian, of the same features.

    Returns
    -------
    float
        At least 0, and 0 for equal densities alone.

    Raises
    ------
    InputError
        Student's t or noise, or other features.

    Examples
    --------
    >>> from mixtura import Mixture, divergence
    >>> p, q = (Mixture([1.0], [[m]], [[[1.0]]]) for m in (0.0, 2.0))
    >>> round(divergence.cauchy_schwarz(p, q), 12)
    1.0
    """
    logs = _inner_products(*gaussian_pair(p, q, "the closed form of cauchy_schwarz"))
    return max(float(0.5 * (logs[0] + logs[2]) - logs[1]), 0.0)


def _inner_products(p: Mixture, q: Mixture) -> Array:
    """``log ∫ p²``, ``log ∫ p q`` and ``log ∫ q²``."""
    return np.array([log_inner_product(*two) for two in ((p, p), (p, q), (q, q))])


def kl_variational(p: Any, q: Any) -> float:
    """The variational approximation of KL(p‖q), in nats.

    ``Σ_a π_a log [ Σ_a' π_a' exp(-KL(p_a‖p_a')) / Σ_b ω_b exp(-KL(p_a‖q_b)) ]``: the difference of
    two lower bounds, and no bound itself. Hershey & Olsen (2007) found it the best of those that
    need no draws.

    Parameters
    ----------
    p, q : Mixture or fitted estimator
        Gaussian, of the same features.

    Returns
    -------
    float

    References
    ----------
    Hershey & Olsen (2007), ICASSP 4, 317-320, equation 20.

    Examples
    --------
    >>> from mixtura import Mixture, divergence
    >>> p, q = (Mixture([1.0], [[m]], [[[1.0]]]) for m in (0.0, 2.0))
    >>> divergence.kl_variational(p, q)
    2.0
    """
    first, second = gaussians(p, q, "the variational approximation")
    return float(np.exp(first.log_weights) @ (_nearness(first, first) - _nearness(first, second)))


def kl_product(p: Any, q: Any) -> float:
    """The product-of-Gaussians approximation of KL(p‖q), in nats; it may be negative.

    ``Σ_a π_a log [ Σ_a' π_a' ∫p_a p_a' / Σ_b ω_b ∫p_a q_b ]``: Jensen's inequality on both terms
    (Hershey & Olsen 2007, section 5).

    Parameters
    ----------
    p, q : Mixture or fitted estimator
        Gaussian, of the same features.

    Returns
    -------
    float
    """
    first, second = gaussians(p, q, "the product approximation")
    return float(np.exp(first.log_weights) @ (_products(first, first) - _products(first, second)))


def kl_matching(p: Any, q: Any) -> float:
    """The matching approximation of KL(p‖q), in nats.

    Each component of p is held against the one of q that is nearest:
    ``Σ_a π_a (KL(p_a‖q_b) + log π_a/ω_b)`` at ``b = argmin KL(p_a‖q_b) - log ω_b`` (Goldberger,
    Gordon & Greenspan 2003; Hershey & Olsen 2007, section 6).

    Parameters
    ----------
    p, q : Mixture or fitted estimator
        Gaussian, of the same features.

    Returns
    -------
    float
    """
    first, second = gaussians(p, q, "the matching approximation")
    nearest = (kl_pairs(first, second) - second.log_weights).min(axis=1)
    return float(np.exp(first.log_weights) @ (nearest + first.log_weights))


def kl_bounds(p: Any, q: Any) -> tuple[float, float]:
    """A lower and an upper bound of KL(p‖q), in nats, without draws.

    With ``H_a`` the entropy of p_a, the lower is
    ``Σ_a π_a (log Σ_a' π_a' exp(-KL(p_a‖p_a')) - H_a - log Σ_b ω_b ∫p_a q_b)`` or 0 (Durrieu,
    Thiran & Kelly 2012); the upper is the smaller of its counterpart
    ``Σ_a π_a (log Σ_a' π_a' ∫p_a p_a' + H_a - log Σ_b ω_b exp(-KL(p_a‖q_b)))`` and of the
    variational upper bound of Hershey & Olsen (2007, section 8).

    Parameters
    ----------
    p, q : Mixture or fitted estimator
        Gaussian, of the same features.

    Returns
    -------
    lower, upper : float

    References
    ----------
    Durrieu, Thiran & Kelly (2012), "Lower and upper bounds for approximation of the
    Kullback-Leibler divergence between Gaussian mixture models", ICASSP, 4833-4836.

    Examples
    --------
    >>> from mixtura import Mixture, divergence
    >>> p = Mixture([0.4, 0.6], [[-1.0], [1.0]], [[[1.0]], [[1.0]]])
    >>> q = Mixture([1.0], [[0.0]], [[[2.0]]])
    >>> lower, upper = divergence.kl_bounds(p, q)
    >>> bool(lower <= divergence.kl(p, q).value <= upper)
    True
    """
    first, second = gaussians(p, q, "kl_bounds")
    weights, entropies = np.exp(first.log_weights), first.entropies
    lower = weights @ (_nearness(first, first) - entropies - _products(first, second))
    upper = weights @ (_products(first, first) + entropies - _nearness(first, second))
    least = max(float(lower), 0.0)
    return least, max(least, min(float(upper), _split(first, second)))  # but for rounding


def _nearness(p: Gaussians, q: Gaussians) -> Array:
    """(k,) ``log Σ_b ω_b exp(-KL(p_a‖q_b))``."""
    return np.asarray(logsumexp(q.log_weights - kl_pairs(p, q), axis=1))


def _products(p: Gaussians, q: Gaussians) -> Array:
    """(k,) ``log Σ_b ω_b ∫ p_a q_b``."""
    return np.asarray(logsumexp(q.log_weights + log_products(p, q), axis=1))


def _split(p: Gaussians, q: Gaussians) -> float:
    """The variational upper bound ``min Σ_ab φ_ab (log φ_ab/ψ_ab + KL(p_a‖q_b))``.

    φ splits the weights of p, ψ those of q; each is optimal given the other, in turn.
    """
    costs = kl_pairs(p, q)
    psi = q.log_weights - np.log(len(p.means)) + np.zeros_like(costs)
    value = np.inf
    for _ in range(_ROUNDS):
        phi = psi - costs
        phi = phi + (p.log_weights - logsumexp(phi, axis=1))[:, None]
        share = np.exp(phi)
        before, value = value, float(np.sum(share * (np.where(share > 0, phi - psi, 0.0) + costs)))
        if before - value <= _STILL * max(1.0, abs(value)):
            break
        psi = phi + (q.log_weights - logsumexp(phi, axis=0))
    return value
