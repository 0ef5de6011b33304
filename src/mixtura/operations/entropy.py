"""The differential entropy of a mixture, and bounds on it in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaln, chdtri, digamma, gammaln, ndtri, xlogy

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.conditioning import log_sums
from mixtura.fitted import fitted_mixture
from mixtura.integrals.sobol import averaged, scrambled
from mixtura.law import LOG_2PI, StudentT
from mixtura.mixture import Mixture
from mixtura.operations.frames import gaussian_only
from mixtura.operations.line import Line
from mixtura.operations.pairs import Pairs, log_average

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_REACH = 11.0
_DIGITS = 17.0


def entropy(
    mixture: Mixture, *, return_error: bool = False, points: int = 65536, rng: int = 0
) -> Any:
    """Differential entropy ``H = -∫ f log f`` in nats.

    One feature by Gauss points on panels around every component. More by randomised Sobol' points
    drawn from each component, ``H = -Σ π_k E_k[log f]``, with the component's own log-density, of
    known mean, as control variate: where components do not overlap the result is exact.

    Parameters
    ----------
    mixture : Mixture
        With noise only in one feature, where its region has a density of its own.
    return_error : bool, default=False
        Also give the standard error; of the quadrature, the change when its panels are halved.
    points : int, default=65536
        With several features, how many in all; a component has its share of them.
    rng : int, default=0
        Seed of the points.

    Returns
    -------
    entropy : float
    error : float, with `return_error`

    See Also
    --------
    entropy_bounds : closed forms around it.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> round(Mixture([1.0], [[0.0]], [[[1.0]]]).entropy(), 6)  # ½ log 2πe
    1.418939
    >>> apart = Mixture([0.5, 0.5], [[0, 0], [99, 0]], [1, 1], covariance_type="spherical")
    >>> round(apart.entropy(), 6)  # log 2 + log 2πe
    3.531024
    """
    if mixture.n_features == 1:
        value, error = _by_panels(Line.of(mixture))
    elif mixture.noise is not None:
        raise InputError(
            "the density of noise does not end at its region, so that there is no entropy in "
            "several features: use mixture.changed(noise=None)"
        )
    else:
        value, error = _by_points(mixture, points, rng)
    value -= mixture.frame.log_volume
    return (value, error) if return_error else value


def _by_panels(line: Line) -> tuple[float, float]:
    """``-∫ f log f`` in the frame: over panels, then over their halves."""
    edges = _edges(line)
    coarse = _panelled(line, edges)
    middles = 0.5 * (edges[1:] + edges[:-1])
    fine = _panelled(line, np.sort(np.concatenate([edges, middles])))
    return fine, abs(fine - coarse) + 4.0 * np.finfo(float).eps * abs(fine)


def _edges(line: Line) -> Array:
    """Edges of panels: as wide as the narrowest deviation near, or half as wide as it is far."""
    reach = _REACH
    if isinstance(line.law, StudentT):
        reach = 10.0 ** min(_DIGITS / float(line.law.dof.min()), 150.0)
    x = float((line.means - reach * line.deviations).min())
    end = float((line.means + reach * line.deviations).max())
    edges = [x]
    while x < end:
        x += float(np.maximum(line.deviations, 0.5 * np.abs(x - line.means)).min())
        edges.append(x)
    if line.noise is not None:
        edges += [float(line.noise.low[0]), float(line.noise.high[0])]
    return np.unique(edges)


def _panelled(line: Line, edges: Array) -> float:
    total, size = 0.0, max(1, (1 << 18) // len(line.means))
    for start in range(0, len(edges) - 1, size):
        part = edges[start : start + size + 1]
        half = 0.5 * np.diff(part)[:, None]
        logs = line.log_density(part[:-1, None] + half * (1.0 + _NODES))
        f = np.exp(logs)
        total -= float((half * _WEIGHTS * np.where(f > 0, f * logs, 0.0)).sum())
    return total


def _by_points(mixture: Mixture, points: int, seed: int) -> tuple[float, float]:
    known = _own_entropies(mixture)
    value, variance = 0.0, 0.0
    for index in np.flatnonzero(mixture.weights > 0):
        weight = float(mixture.weights[index])
        own, log_f = _drawn(mixture, int(index), points * weight, seed)  # (s, q) each
        spread = own - own.mean()
        slope = (spread * log_f).mean() / max(float((spread**2).mean()), 1e-300)
        each = -(log_f - slope * (own + known[index])).mean(axis=1)
        middle, error = averaged(each)
        value += weight * float(middle)
        variance += (weight * float(error)) ** 2
    rounding = 4.0 * np.finfo(float).eps * abs(value)
    return float(value), float(np.sqrt(variance)) + rounding


def _drawn(mixture: Mixture, component: int, points: float, seed: int) -> tuple[Array, Array]:
    """log p_k and log f in the frame at Sobol' points drawn from component k, by scramble."""
    d, law = mixture.n_features, mixture.law
    heavy = isinstance(law, StudentT)
    grid = scrambled(d + heavy, int(np.ceil(points)), seed)
    shares = grid.reshape(-1, d + heavy)
    z = mixture.structure.colorize(ndtri(shares[:, :d]), component)
    if isinstance(law, StudentT):
        dof = law.dof[component]
        z = z / np.sqrt(chdtri(dof, shares[:, d:]) / dof)
    rows = mixture.frame.unread(z + mixture.location[component])
    joint = mixture.joint(rows, np.ones(d, dtype=bool))
    own = joint[:, component] - mixture.log_weights[component]
    return own.reshape(len(grid), -1), log_sums(joint).reshape(len(grid), -1)


def _own_entropies(mixture: Mixture) -> Array:
    """(k,) in the frame."""
    d, log_det = mixture.n_features, mixture.structure.log_det
    if not isinstance(mixture.law, StudentT):
        return np.asarray(0.5 * (d * (1.0 + LOG_2PI) + log_det))
    dof = mixture.law.dof
    norm = 0.5 * (d * np.log(dof * np.pi) + log_det) - gammaln(0.5 * d) + betaln(0.5 * dof, 0.5 * d)
    return np.asarray(norm + 0.5 * (dof + d) * (digamma(0.5 * (dof + d)) - digamma(0.5 * dof)))


@dataclass(frozen=True)
class EntropyBounds:
    """Closed forms that the entropy of a Gaussian mixture lies between, in nats.

    Attributes
    ----------
    huber_lower, huber_upper : float
        ``-Σ π_a log Σ_b π_b ∫ N_a N_b`` and ``Σ π_a (h_a - log π_a)``.
    pairwise_lower, pairwise_upper : float
        ``Σ π_a h_a - Σ π_a log Σ_b π_b exp(-D_ab)`` with Bhattacharyya's distance, and with the
        Kullback-Leibler divergence.
    gaussian_upper : float
        Of the Gaussian of the same covariance.
    """

    huber_lower: float
    huber_upper: float
    pairwise_lower: float
    pairwise_upper: float
    gaussian_upper: float

    @property
    def lower(self) -> float:
        """The tightest of the lower bounds."""
        return max(self.huber_lower, self.pairwise_lower)

    @property
    def upper(self) -> float:
        """The tightest of the upper bounds."""
        return min(self.huber_upper, self.pairwise_upper, self.gaussian_upper)


def entropy_bounds(mixture: Any) -> EntropyBounds:
    """Bounds on the entropy of a Gaussian mixture, in closed form.

    Parameters
    ----------
    mixture : Mixture or fitted estimator
        Gaussian.

    Returns
    -------
    EntropyBounds

    Raises
    ------
    InputError
        Student's t or noise.

    References
    ----------
    Huber, Bailey, Durrant-Whyte & Hanebeck (2008), "On entropy approximation for Gaussian mixture
    random vectors", IEEE MFI, 181-188; Kolchinsky & Tracey (2017), "Estimating mixture entropy
    with pairwise distances", Entropy 19, 361.

    Examples
    --------
    >>> from mixtura import Mixture, entropy_bounds
    >>> mixture = Mixture([0.5, 0.5], [[-2.0], [2.0]], [[[1.0]], [[1.0]]])
    >>> bounds = entropy_bounds(mixture)
    >>> round(bounds.lower, 3), round(mixture.entropy(), 3), round(bounds.upper, 3)
    (1.985, 2.052, 2.112)
    """
    mixture = fitted_mixture(mixture)
    gaussian_only(mixture, "bounds on the entropy", "use mixture.entropy()")
    pairs, weights = Pairs.of(mixture), mixture.weights
    within = float(weights @ pairs.entropies)
    volume = mixture.frame.log_volume
    scale = mixture.frame.scale
    covariance = mixture.covariance() * scale[:, None] * scale
    log_det = float(np.linalg.slogdet(covariance)[1])
    whole = 0.5 * (mixture.n_features * (1.0 + LOG_2PI) + log_det)
    values = (
        -weights @ log_average(weights, pairs.log_products),
        within - float(xlogy(weights, weights).sum()),
        within - weights @ log_average(weights, -pairs.bhattacharyya),
        within - weights @ log_average(weights, -pairs.divergence),
        whole,
    )
    return EntropyBounds(*(float(value) - volume for value in values))
