"""Divergences between two mixtures by quadrature or by draws, each with its error."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, xlog1py

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.law import Gaussian, StudentT
from mixtura.mixture import Mixture
from mixtura.operations.density_ratio import (
    DRAWS,
    Side,
    bounded,
    drawn,
    integrated,
    pair,
    quadratic_controls,
)
from mixtura.operations.estimate import Estimate

_BARELY = 2.1
"""Degrees of freedom from which the tails of a KL divergence are summed."""


def kl(p: Any, q: Any, *, draws: int = DRAWS, rng: Any = 0) -> Estimate:
    """Kullback-Leibler divergence ``KL(p‖q) = E_p[log p(x)/q(x)]``, in nats.

    With one feature by quadrature, to about 1e-14. With more by draws from p and from q, more from
    where more varies, with control variates: the difference of the densities, and for Gaussian
    components the squared distances from the means of p and q, whose expectations are known. For
    two single Gaussians these leave rounding alone.

    Parameters
    ----------
    p, q : Mixture or fitted estimator
        Of the same features. Student's t is allowed, and noise, which counts within its region
        alone.
    draws : int, default=100_000
        Used with several features.
    rng : numpy.random.Generator, int or None, default=0

    Returns
    -------
    Estimate
        With `value`, `error` and `method`. Infinite where a t component of p has at most two
        degrees of freedom and q has Gaussian tails.

    Raises
    ------
    InputError
        Other features; or tails of p against Gaussian ones so heavy that the draws would have no
        finite error.

    See Also
    --------
    kl_bounds : what it lies between, without draws.
    kl_variational, kl_product, kl_matching : approximations in closed form.

    References
    ----------
    Hershey & Olsen (2007), "Approximating the Kullback Leibler divergence between Gaussian mixture
    models", ICASSP 4, 317-320.

    Examples
    --------
    >>> from mixtura import Mixture, divergence
    >>> p = Mixture([0.4, 0.6], [[-1.0], [1.0]], [[[1.0]], [[1.0]]])
    >>> q = Mixture([1.0], [[0.0]], [[[2.0]]])
    >>> divergence.kl(p, q)
    0.0208071768638 (quadrature)
    """
    p, q = pair(p, q)
    if _heavier(p, q):
        return Estimate(float("inf"), 0.0, "closed form")
    if p.n_features == 1:
        return integrated(p, q, _kl_excess)
    first, second = Side.of(p), Side.of(q)
    controls = None
    if first.moments is not None and second.moments is not None:
        controls = quadratic_controls(first.moments, second.moments)
    return drawn(first, second, kl_term, draws=draws, rng=rng, controls=controls)


def _heavier(p: Mixture, q: Mixture) -> bool:
    """Whether E_p of a Gaussian's squared distance is infinite; refuse what cannot be summed."""
    if not (isinstance(p.law, StudentT) and isinstance(q.law, Gaussian)):
        return False
    least = float(p.law.dof[p.weights > 0].min())
    enough = _BARELY if p.n_features == 1 else 4.0
    if 2.0 < least <= enough:
        raise InputError(
            f"p has tails of {least:.3g} degrees of freedom against Gaussian ones of q: over "
            f"{enough:g} are needed here; take jensen_shannon or hellinger, which are bounded, or "
            "kl(q, p)"
        )
    return least <= 2.0


def kl_term(log_ratio: Array) -> Array:
    """``(p/m) log p/q``."""
    return np.asarray(2.0 * expit(log_ratio) * log_ratio)


def _kl_excess(log_ratio: Array) -> Array:
    """``(p log p/q - p + q) / m``: nowhere negative, so that nothing cancels in its integral."""
    return kl_term(log_ratio) - 2.0 * np.tanh(0.5 * log_ratio)


def jensen_shannon(p: Any, q: Any, *, draws: int = DRAWS, rng: Any = 0) -> Estimate:
    """Jensen-Shannon divergence ``½ KL(p‖m) + ½ KL(q‖m)``, m = (p + q)/2, in nats.

    Within 0..log 2. Its square root is a metric, which is what
    `scipy.spatial.distance.jensenshannon` gives for vectors. By quadrature with one feature, by
    draws with more; for any components.

    Parameters
    ----------
    p, q, draws, rng
        As for `kl`.

    Returns
    -------
    Estimate

    References
    ----------
    Lin (1991), "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37.

    Examples
    --------
    >>> from mixtura import Mixture, divergence
    >>> p, q = (Mixture([1.0], [[m]], [[[1.0]]]) for m in (0.0, 100.0))
    >>> divergence.jensen_shannon(p, q)
    0.69314718056 (quadrature)
    """
    return bounded(p, q, _jensen_shannon, float(np.log(2.0)), draws=draws, rng=rng)


def _jensen_shannon(log_ratio: Array) -> Array:
    s = np.tanh(0.5 * log_ratio)
    return np.asarray(0.5 * (xlog1py(1.0 + s, s) + xlog1py(1.0 - s, -s)))


def hellinger(p: Any, q: Any, *, draws: int = DRAWS, rng: Any = 0) -> Estimate:
    """Hellinger distance H, ``H² = 1 - ∫ √(p q) = ½ ∫ (√p - √q)²``, within 0..1.

    By quadrature with one feature, by draws with more; for any components. ``1 - H²`` is the
    Bhattacharyya coefficient.

    Parameters
    ----------
    p, q, draws, rng
        As for `kl`.

    Returns
    -------
    Estimate

    Examples
    --------
    >>> from mixtura import Mixture, divergence
    >>> p, q = (Mixture([1.0], [[m]], [[[1.0]]]) for m in (0.0, 2.0))
    >>> float(1 - divergence.hellinger(p, q).value ** 2)  # exp(-1/2)
    0.6065306597126...
    """
    found = bounded(p, q, _hellinger, 1.0, draws=draws, rng=rng)
    value = float(np.sqrt(found.value))
    return Estimate(value, float(np.sqrt(found.value + found.error)) - value, found.method)


def _hellinger(log_ratio: Array) -> Array:
    """``1 - √(p q)/m = 1 - 1/cosh(½ log p/q)``, without cancellation."""
    t = np.tanh(0.5 * log_ratio)
    with np.errstate(over="ignore"):
        return np.asarray(t * t / (1.0 + 1.0 / np.cosh(0.5 * log_ratio)))


def total_variation(p: Any, q: Any, *, draws: int = DRAWS, rng: Any = 0) -> Estimate:
    """Total variation ``½ ∫ |p - q|``: the most that probabilities of one event differ, 0..1.

    By quadrature with one feature, by draws with more; for any components. A row that comes from p
    or q with equal chances is told apart wrongly with probability ``½ (1 - TV)`` at best.

    Parameters
    ----------
    p, q, draws, rng
        As for `kl`.

    Returns
    -------
    Estimate

    Examples
    --------
    >>> from mixtura import Mixture, divergence
    >>> p, q = (Mixture([1.0], [[m]], [[[1.0]]]) for m in (0.0, 2.0))
    >>> round(float(divergence.total_variation(p, q)), 12)  # 2 Φ(1) - 1
    0.682689492137
    """
    return bounded(p, q, _total_variation, 1.0, draws=draws, rng=rng)


def _total_variation(log_ratio: Array) -> Array:
    return np.abs(np.tanh(0.5 * log_ratio))
