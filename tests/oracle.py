"""A slow second implementation: loops over rows, `scipy.stats`, and 50-digit arithmetic.

Nothing here imports the arithmetic of the library; everything is in the units of the data.
"""

from dataclasses import dataclass

import mpmath
import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

FAMILIES = ("full", "tied", "diag", "spherical", "equal-spherical")


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


_FORMULAS = {
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
    free = covariances[:1] if family in ("tied", "equal-spherical") else covariances
    for sigma in free:
        if family in ("full", "tied"):
            total -= 0.5 * (prior.dof + d + 1) * np.linalg.slogdet(sigma)[1]
            total -= 0.5 * np.trace(np.linalg.solve(sigma, prior.matrix))
        else:
            variances = np.diag(sigma) if family == "diag" else sigma[:1, 0]
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
    covariances = {
        "full": k * d * (d + 1) // 2,
        "tied": d * (d + 1) // 2,
        "diag": k * d,
        "spherical": k,
        "equal-spherical": 1,
    }[family]
    return covariances + k * d + k - 1
