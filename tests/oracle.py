"""A slow second implementation: loops over rows, `scipy.stats`, and 50-digit arithmetic.

Nothing here imports the arithmetic of the library; everything is in the units of the data.
"""

from dataclasses import dataclass

import mpmath
import numpy as np
from scipy.linalg import expm
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

LETTERS = {
    "full": "VVV",
    **{name: name for name in ("EVV", "VEV", "EEV", "VVE", "EVE", "VEE")},
    "tied": "EEE",
    "diag": "VVI",
    **{name: name for name in ("EVI", "VEI", "EEI")},
    "spherical": "VII",
    "equal-spherical": "EII",
}
"""Families by volume, shape and orientation: equal, varying, or the identity."""

FAMILIES = tuple(LETTERS)
ELLIPSOIDAL = FAMILIES[: FAMILIES.index("diag")]
SPHERICAL = ("spherical", "equal-spherical")
DIAGONAL = ("diag", "EVI", "VEI", "EEI")
POOLED = ("tied", "EEI", "equal-spherical")
BOUND_TO_UNITS = ("VEV", "EEV", "VVE", "EVE", *SPHERICAL)
"""Families that other units in one column take out of themselves."""


# ---- densities


def log_density_50(x, mean, covariance):
    """log N(x | mean, covariance) in 50 digits, given the float64 numbers exactly."""
    with mpmath.workdps(50):
        d = len(x)
        off = mpmath.matrix(
            [mpmath.mpf(float(a)) - mpmath.mpf(float(b)) for a, b in zip(x, mean, strict=True)]
        )
        sigma = mpmath.matrix([[mpmath.mpf(float(v)) for v in row] for row in covariance])
        lower = mpmath.cholesky(sigma)
        y = mpmath.lu_solve(lower, off)
        squared = sum(y[i] ** 2 for i in range(d))
        log_det = 2 * sum(mpmath.log(lower[i, i]) for i in range(d))
        return -(d * mpmath.log(2 * mpmath.pi) + log_det + squared) / 2


def mixture_log_density_50(x, weights, means, covariances):
    """log Σ_k π_k N(x | k) in 50 digits."""
    with mpmath.workdps(50):
        parts = [
            mpmath.log(mpmath.mpf(float(w))) + log_density_50(x, m, c)
            for w, m, c in zip(weights, means, covariances, strict=True)
            if w > 0
        ]
        top = max(parts)
        return top + mpmath.log(sum(mpmath.exp(part - top) for part in parts))


def log_joint(X, weights, means, covariances):
    """log π_k + log N(x_o | k) (n, k) by the observed coordinates of each row."""
    out = np.empty((len(X), len(weights)))
    with np.errstate(divide="ignore"):
        logs = np.log(weights)
    for i, x in enumerate(X):
        o = ~np.isnan(x)
        for k in range(len(weights)):
            density = 0.0
            if o.any():
                sigma = covariances[k][np.ix_(o, o)]
                density = multivariate_normal.logpdf(x[o], means[k][o], sigma, allow_singular=False)
            out[i, k] = logs[k] + density
    return out


# ---- the E-step


@dataclass
class Sums:
    """Σ r, Σ r E[x - pivot_k], Σ r E[(x - pivot_k)(x - pivot_k)ᵀ], and the log-likelihood."""

    mass: np.ndarray
    first: np.ndarray
    second: np.ndarray
    log_likelihood: float
    responsibilities: np.ndarray


def expectation(X, weights, means, covariances, pivot, w=None, plausibility=None, hard=False):
    """The expected statistics, row by row and component by component."""
    n, d = X.shape
    k = len(weights)
    w = np.ones(n) if w is None else w
    joint = log_joint(X, weights, means, covariances)
    if plausibility is not None:
        joint = joint + plausibility
    mass, first, second = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
    shares, total = np.zeros((n, k)), 0.0
    for i in range(n):
        if hard:
            best = int(np.argmax(joint[i]))
            shares[i, best] = 1.0
            total += w[i] * joint[i, best]
        else:
            norm = logsumexp(joint[i])
            shares[i] = np.exp(joint[i] - norm)
            total += w[i] * norm
        o = ~np.isnan(X[i])
        for c in range(k):
            filled, spread = conditional(X[i], o, means[c], covariances[c])
            off = filled - pivot[c]
            r = w[i] * shares[i, c]
            mass[c] += r
            first[c] += r * off
            second[c] += r * (np.outer(off, off) + spread)
    return Sums(mass, first, second, total, shares)


def conditional(x, o, mean, covariance):
    """A row completed by its conditional mean, and the conditional covariance of the rest."""
    d = len(x)
    filled, spread = x.copy(), np.zeros((d, d))
    m = ~o
    if m.any() and o.any():
        solved = np.linalg.solve(covariance[np.ix_(o, o)], covariance[np.ix_(o, m)]).T
        filled[m] = mean[m] + solved @ (x[o] - mean[o])
        spread[np.ix_(m, m)] = covariance[np.ix_(m, m)] - solved @ covariance[np.ix_(o, m)]
    elif m.any():
        filled, spread = mean.copy(), covariance.copy()
    return filled, spread


def plausibility_of(labels, k):
    """log pl (n, k) of labels with -1 for unknown, or of soft labels."""
    labels = np.asarray(labels)
    if labels.ndim == 2:
        with np.errstate(divide="ignore"):
            return np.log(labels / labels.max(axis=1, keepdims=True))
    out = np.zeros((len(labels), k))
    for i, label in enumerate(labels):
        if label >= 0:
            out[i] = -np.inf
            out[i, label] = 0.0
    return out


# ---- the M-step, from the formulas of Celeux & Govaert (1995) and Fraley & Raftery (2007)


@dataclass
class Prior:
    """Normal-inverse-Wishart (or inverse gamma), in the units of the data."""

    shrinkage: float
    mean: np.ndarray
    dof: float
    matrix: np.ndarray
    variance: float


def maximization(family, sums, pivot, prior=None):
    """Weights, means (k, d) and covariances (k, d, d) that maximise what the sums expect."""
    k, d = sums.first.shape
    n = sums.mass
    bar = pivot + sums.first / n[:, None]
    scatter = np.stack(
        [sums.second[c] - np.outer(sums.first[c], sums.first[c]) / n[c] for c in range(k)]
    )
    if prior is None:
        means = bar
    else:
        kappa = prior.shrinkage
        means = (n[:, None] * bar + kappa * prior.mean) / (n[:, None] + kappa)
        for c in range(k):
            gap = bar[c] - prior.mean
            scatter[c] += kappa * n[c] / (kappa + n[c]) * np.outer(gap, gap)
    covariances = _FORMULAS[family](scatter, n, d, prior)
    return n / n.sum(), means, covariances


def _full(scatter, n, d, prior):
    if prior is None:
        return np.stack([s / m for s, m in zip(scatter, n, strict=True)])
    return np.stack(
        [(prior.matrix + s) / (prior.dof + m + d + 2) for s, m in zip(scatter, n, strict=True)]
    )


def _tied(scatter, n, d, prior):
    k = len(n)
    if prior is None:
        one = scatter.sum(axis=0) / n.sum()
    else:
        one = (prior.matrix + scatter.sum(axis=0)) / (prior.dof + n.sum() + d + k + 1)
    return np.stack([one] * k)


def _diag(scatter, n, d, prior):
    if prior is None:
        return np.stack([np.diag(np.diag(s)) / m for s, m in zip(scatter, n, strict=True)])
    return np.stack(
        [
            np.diag(prior.variance + np.diag(s)) / (prior.dof + m + 3)
            for s, m in zip(scatter, n, strict=True)
        ]
    )


def _spherical(scatter, n, d, prior):
    if prior is None:
        return np.stack(
            [np.eye(d) * np.trace(s) / (d * m) for s, m in zip(scatter, n, strict=True)]
        )
    return np.stack(
        [
            np.eye(d) * (prior.variance + np.trace(s)) / (prior.dof + (m + 1) * d + 2)
            for s, m in zip(scatter, n, strict=True)
        ]
    )


def _equal_spherical(scatter, n, d, prior):
    k, trace = len(n), np.trace(scatter.sum(axis=0))
    if prior is None:
        one = trace / (d * n.sum())
    else:
        one = (prior.variance + trace) / (prior.dof + (n.sum() + k) * d + 2)
    return np.stack([np.eye(d) * one] * k)


def _eei(scatter, n, d, prior):
    k, total = len(n), np.diag(scatter.sum(axis=0))
    if prior is None:
        one = total / n.sum()
    else:
        one = (prior.variance + total) / (prior.dof + n.sum() + k + 2)
    return np.stack([np.diag(one)] * k)


def _with_prior(scatter, n, d, prior, diagonal=False):
    """Scatters and divisors of the components, each with the pseudo-rows of its own covariance."""
    if prior is None:
        return scatter, n
    if diagonal:
        return scatter + prior.variance * np.eye(d), n + prior.dof + 3
    return scatter + prior.matrix, n + prior.dof + d + 2


def _proportional(values, n):
    """λ_k b_j for rows of values, one after the other until nothing changes."""
    volumes = values.sum(axis=1)
    for _ in range(2000):
        b = sum(v / volume for v, volume in zip(values, volumes, strict=True)) / n.sum()
        volumes = np.array([(v / b).mean() / m for v, m in zip(values, n, strict=True)])
    return volumes[:, None] * b


def _same_product(values, n):
    """Rows with one product: λ v_k / (Π v_k)^(1/d)."""
    sizes = np.array([np.prod(v) ** (1 / len(v)) for v in values])
    return sizes.sum() / n.sum() * values / sizes[:, None]


def _vei(scatter, n, d, prior):
    scatter, n = _with_prior(scatter, n, d, prior, diagonal=True)
    rows = _proportional(np.stack([np.diag(s) for s in scatter]), n)
    return np.stack([np.diag(row) for row in rows])


def _evi(scatter, n, d, prior):
    scatter, n = _with_prior(scatter, n, d, prior, diagonal=True)
    rows = _same_product(np.stack([np.diag(s) for s in scatter]), n)
    return np.stack([np.diag(row) for row in rows])


def _vee(scatter, n, d, prior):
    scatter, n = _with_prior(scatter, n, d, prior)
    volumes = np.array([np.trace(s) for s in scatter])
    for _ in range(2000):
        shape = sum(s / volume for s, volume in zip(scatter, volumes, strict=True)) / n.sum()
        inverse = np.linalg.inv(shape)
        volumes = np.array(
            [np.trace(s @ inverse) / (d * m) for s, m in zip(scatter, n, strict=True)]
        )
    return np.stack([volume * shape for volume in volumes])


def _own_axes(scatter, n, rule):
    pairs = [np.linalg.eigh(s) for s in scatter]
    rows = rule(np.stack([values for values, _ in pairs]), n)
    return np.stack([(v * row) @ v.T for row, (_, v) in zip(rows, pairs, strict=True)])


def _eev(scatter, n, d, prior):
    def pooled(values, n):
        return np.tile(values.sum(axis=0) / n.sum(), (len(n), 1))

    return _own_axes(*_with_prior(scatter, n, d, prior), pooled)


def _vev(scatter, n, d, prior):
    return _own_axes(*_with_prior(scatter, n, d, prior), _proportional)


def _evv(scatter, n, d, prior):
    return _own_axes(*_with_prior(scatter, n, d, prior), _same_product)


def _common_axes(scatter, n, d, rule):
    """The best of BFGS over rotations, from the axes of each scatter, of their sum, and others."""
    upper = np.triu_indices(d, 1)

    def rotation(angles):
        skew = np.zeros((d, d))
        skew[upper] = angles
        return expm(skew - skew.T)

    def held(axes):
        along = np.stack([np.diag(axes.T @ s @ axes) for s in scatter])
        return along, rule(along, n)

    def loss(angles, begin):
        along, rows = held(begin @ rotation(angles))
        return (n @ np.log(rows).sum(axis=1) + (along / rows).sum()) / n.sum()

    rng = np.random.default_rng(0)
    starts = [np.linalg.eigh(s)[1] for s in (*scatter, scatter.sum(axis=0))]
    starts += [np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(3)]
    found = [minimize(loss, np.zeros(len(upper[0])), (begin,)) for begin in starts]
    best = min(range(len(found)), key=lambda index: found[index].fun)
    axes = starts[best] @ rotation(found[best].x)
    return np.stack([(axes * row) @ axes.T for row in held(axes)[1]])


def _vve(scatter, n, d, prior):
    return _common_axes(
        *_with_prior(scatter, n, d, prior), d, lambda values, n: values / n[:, None]
    )


def _eve(scatter, n, d, prior):
    return _common_axes(*_with_prior(scatter, n, d, prior), d, _same_product)


_FORMULAS = {
    "EEI": _eei,
    "VEI": _vei,
    "EVI": _evi,
    "VEE": _vee,
    "EVE": _eve,
    "VVE": _vve,
    "EEV": _eev,
    "VEV": _vev,
    "EVV": _evv,
    "full": _full,
    "tied": _tied,
    "diag": _diag,
    "spherical": _spherical,
    "equal-spherical": _equal_spherical,
}


# ---- objectives


def log_likelihood(X, weights, means, covariances, w=None, plausibility=None):
    """Σ w log Σ_k pl_k π_k N(x_o | k)."""
    joint = log_joint(X, weights, means, covariances)
    if plausibility is not None:
        joint = joint + plausibility
    return float(np.sum(logsumexp(joint, axis=1) * (1.0 if w is None else w)))


def log_prior(family, prior, means, covariances):
    """The prior's log-density at a mixture, without its normalising constants."""
    if prior is None:
        return 0.0
    _k, d = means.shape
    total = 0.0
    for mean, sigma in zip(means, covariances, strict=True):
        off = mean - prior.mean
        total -= 0.5 * np.linalg.slogdet(sigma)[1]
        total -= 0.5 * prior.shrinkage * off @ np.linalg.solve(sigma, off)
    free = covariances[:1] if family in POOLED else covariances
    for sigma in free:
        if family in ELLIPSOIDAL:
            total -= 0.5 * (prior.dof + d + 1) * np.linalg.slogdet(sigma)[1]
            total -= 0.5 * np.trace(np.linalg.solve(sigma, prior.matrix))
        else:
            variances = np.diag(sigma) if family in DIAGONAL else sigma[:1, 0]
            total -= 0.5 * (prior.dof + 2) * np.log(variances).sum()
            total -= 0.5 * prior.variance * (1.0 / variances).sum()
    return float(total)


def expected_objective(family, sums, pivot, weights, means, covariances, prior=None):
    """Q: what the M-step maximises, from the sums, up to a constant."""
    total = float(sums.mass @ np.log(weights))
    for c, (mean, sigma) in enumerate(zip(means, covariances, strict=True)):
        shift = pivot[c] - mean
        cross = np.outer(sums.first[c], shift)
        about = sums.second[c] + cross + cross.T + sums.mass[c] * np.outer(shift, shift)
        total -= 0.5 * sums.mass[c] * np.linalg.slogdet(sigma)[1]
        total -= 0.5 * np.trace(np.linalg.solve(sigma, about))
    return total + log_prior(family, prior, means, covariances)


def n_parameters(family, k, d):
    """Free parameters of the whole mixture."""
    times = {"E": 1, "V": k, "I": 0}
    volume, shape, orientation = (times[letter] for letter in LETTERS[family])
    covariances = volume + shape * (d - 1) + orientation * d * (d - 1) // 2
    return covariances + k * d + k - 1
