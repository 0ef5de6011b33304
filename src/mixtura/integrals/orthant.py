"""Distribution functions of two and three correlated standard normal variables (Genz 2004)."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from mixtura._types import Array

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_TWO_PI = 2.0 * np.pi
_STEEP = 0.925
_FAR = 40.0
"""Beyond, a tail is zero in double precision."""
_MOST_PANELS = 1 << 9
_GOOD = 1e-15


def bivariate(h: Array, k: Array, correlation: float) -> Array:
    """P(X <= h, Y <= k), (m,), for standard normal variables of a correlation, to 1e-15.

    ``Φ(h) Φ(k) + 1/2π ∫_0^{asin ρ} exp(-(h² + k² - 2 h k sin θ) / (2 cos² θ)) dθ`` by 20 Gauss
    points; for |ρ| above 0.925 the integral from |ρ| to 1, whose singular part is taken off in
    closed form.

    References
    ----------
    Drezner & Wesolowsky (1990), "On the computation of the bivariate normal integral", Journal of
    Statistical Computation and Simulation 35, 101-107; Genz (2004), "Numerical computation of
    rectangular bivariate and trivariate normal and t probabilities", Statistics and Computing 14,
    251-260, section 2.

    Examples
    --------
    >>> bivariate(np.zeros(1), np.zeros(1), 0.5).round(8)  # 1/4 + asin(1/2) / 2π
    array([0.33333333])
    """
    h, k = np.clip(h, -_FAR, _FAR), np.clip(k, -_FAR, _FAR)
    found = _gentle(h, k, correlation) if abs(correlation) < _STEEP else _steep(h, k, correlation)
    return np.asarray(np.clip(found, 0.0, np.minimum(ndtr(h), ndtr(k))))


def _gentle(h: Array, k: Array, correlation: float) -> Array:
    angle = np.arcsin(correlation)
    sine = np.sin(0.5 * angle * (1.0 + _NODES))
    squares, cross = 0.5 * (h * h + k * k)[:, None], (h * k)[:, None]
    inner = np.exp((sine * cross - squares) / (1.0 - sine * sine)) @ _WEIGHTS
    return np.asarray(ndtr(h) * ndtr(k) + inner * angle / (2.0 * _TWO_PI))


def _steep(h: Array, k: Array, correlation: float) -> Array:
    """From the comonotone limit: min(Φ(h), Φ(k)) for ρ = 1, max(Φ(h) + Φ(k) - 1, 0) for -1."""
    turned = -k if correlation < 0 else k
    lost = _from_one(h, turned, abs(correlation))
    if correlation > 0:
        return np.asarray(ndtr(np.minimum(h, k)) - lost)
    return np.asarray(np.maximum(_difference(h, turned), 0.0) + lost)


def _difference(h: Array, low: Array) -> Array:
    """Φ(h) - Φ(low), from the thinner tails."""
    return np.where(low > 0, ndtr(-low) - ndtr(-h), ndtr(h) - ndtr(low))


def _from_one(h: Array, k: Array, correlation: float) -> Array:
    """``1/2π ∫_ρ^1 exp(-(h² + k² - 2 h k r) / (2 (1 - r²))) / √(1 - r²) dr``, ρ >= 0.

    With ``r = √(1 - x²)`` the integrand is ``exp(-(h - k)²/2x²) exp(-h k / (1 + r)) / r``; the
    first terms of the second factor in x² are integrated in closed form.
    """
    end = np.sqrt((1.0 - correlation) * (1.0 + correlation))
    gap, cross = (h - k) ** 2, h * k
    first = (4.0 - cross) / 8.0  # of exp(hk/2) exp(-hk/(1+r)) / r = 1 + first x² (1 + second x²)
    second = (12.0 - cross) / 16.0
    edge = np.sqrt(gap)
    a2, bend = end * end, gap * (1.0 - second * gap / 5.0) / 3.0
    with np.errstate(under="ignore"):
        closed = (
            end
            * np.exp(-0.5 * (gap / max(a2, 1e-300) + cross))
            * (
                1.0
                - first * (gap - a2) * (1.0 - second * gap / 5.0) / 3.0
                + first * second * a2**2 / 5
            )
        )
        tail = ndtr(-edge / max(end, 1e-300)) * np.sqrt(_TWO_PI) * edge
        closed -= np.exp(np.minimum(-0.5 * cross, 700.0)) * tail * (1.0 - first * bend)
        x2 = (0.5 * end * (1.0 + _NODES)) ** 2
        root = np.sqrt(1.0 - x2)
        near = np.exp(-0.5 * (gap[:, None] / x2 + cross[:, None]))
        ratio = np.exp(-cross[:, None] * x2 / (2.0 * (1.0 + root) ** 2)) / root
        series = 1.0 + first[:, None] * x2 * (1.0 + second[:, None] * x2)
        rest = np.where(near > 0, near * (ratio - series), 0.0) @ _WEIGHTS * 0.5 * end
    return np.asarray((closed + rest) / _TWO_PI)


def trivariate(bounds: Array, correlation: Array) -> tuple[Array, Array]:
    """P(X <= b), (m,), for three standard normal variables (m, 3), and the error made.

    Plackett's identity along the path on which two correlations grow from zero as ``sin(t θ)``:
    ``Φ_3(b; R) = Φ(b_1) Φ_2(b_2, b_3; ρ_32) + 1/2π ∫_0^1 Σ_j θ_j1 exp(-(b_1² + b_j² -
    2 s_j b_1 b_j) / (2 (1 - s_j²))) Φ(u_i(t)) dt``, with ρ_32 the largest, by Gauss points on
    panels that are halved until nothing changes.

    References
    ----------
    Plackett (1954), "A reduction formula for normal multivariate integrals", Biometrika 41,
    351-360; Genz (2004), section 3.

    Examples
    --------
    >>> half = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    >>> trivariate(np.zeros((1, 3)), half)[0].round(12)
    array([0.25])
    """
    sizes = np.abs(correlation[[1, 2, 2], [0, 0, 1]])
    first = [2, 1, 0][int(sizes.argmax())]
    order = [first, *(i for i in range(3) if i != first)]
    b = np.clip(bounds[:, order], -_FAR, _FAR)
    R = correlation[np.ix_(order, order)]
    base = ndtr(b[:, 0]) * bivariate(b[:, 1], b[:, 2], float(R[2, 1]))
    panels, open_ = 1, np.arange(len(b))
    found, error = _along(b, R, panels), np.full(len(b), np.inf)
    while len(open_) and panels < _MOST_PANELS:
        panels *= 2
        finer = _along(b[open_], R, panels)
        error[open_] = np.abs(finer - found[open_])
        found[open_] = finer
        open_ = open_[error[open_] > _GOOD]
    least = ndtr(b.min(axis=1))
    return np.clip(base + found, 0.0, least), error + _GOOD


def _along(b: Array, R: Array, panels: int) -> Array:
    """The integral along the path, by Gauss points on so many panels."""
    t = ((np.arange(panels)[:, None] + 0.5 * (1.0 + _NODES)) / panels).ravel()
    weights = np.tile(0.5 * _WEIGHTS / panels, panels)
    angle = np.arcsin(R[1:, 0])
    sine, cosine = np.sin(np.outer(angle, t)), np.cos(np.outer(angle, t)) ** 2
    rho = R[2, 1]
    det = np.maximum(1.0 - rho**2 - sine[0] ** 2 - sine[1] ** 2 + 2 * rho * sine[0] * sine[1], 0)
    total = np.zeros(len(b))
    for j, i in ((0, 1), (1, 0)):
        if angle[j] == 0:
            continue
        own, other = b[:, [1 + j]], b[:, [1 + i]]
        power = -0.5 * (b[:, :1] ** 2 + own**2 - 2.0 * sine[j] * b[:, :1] * own) / cosine[j]
        lead = b[:, :1] * (sine[i] - rho * sine[j]) + own * (rho - sine[0] * sine[1])
        with np.errstate(divide="ignore", invalid="ignore"):
            u = (other * cosine[j] - lead) / np.sqrt(cosine[j] * det)
        total += angle[j] * ((np.exp(power) * ndtr(np.nan_to_num(u, nan=0.0))) @ weights)
    return np.asarray(total / _TWO_PI)
