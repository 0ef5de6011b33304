"""Log-densities against 50-digit arithmetic and SciPy."""

import mpmath
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mixtura import GaussianMixture, Mixture
from mixtura.covariance import FAMILIES
from oracle import log_density_50, mixture_log_density_50
from strategies import covariance_array, dense

U = np.finfo(float).eps


def matrix_of(condition, d, rng):
    """A covariance of the condition number, in random directions."""
    q, _ = np.linalg.qr(rng.normal(size=(d, d)))
    values = np.geomspace(1.0, 1.0 / condition, d)
    matrix = (q * values) @ q.T
    return (matrix + matrix.T) / 2


def allowed(x, mean, covariance):
    """What a backward stable evaluation may lose.

    The Cholesky factor is that of a matrix off by d·u·|Σ|, which moves log det by d²·u·κ and the
    squared distance by d²·u·κ·δ²; the whitened vector itself is good to d·u·κ^½ per coordinate.
    """
    d = len(x)
    kappa = np.linalg.cond(covariance)
    squared = float((x - mean) @ np.linalg.solve(covariance, x - mean))
    return 4 * d**2 * U * (kappa * (1.0 + squared) + abs(d * np.log(2 * np.pi)))


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8, 1e12])
@pytest.mark.parametrize("d", [2, 5])
def test_log_density_at_any_conditioning(condition, d, kernel):
    rng = np.random.default_rng(int(np.log10(condition)) * 10 + d)
    covariances = np.stack([matrix_of(condition, d, rng) for _ in range(2)])
    mixture = Mixture([0.4, 0.6], rng.normal(size=(2, d)), covariances)
    X = mixture.sample(20, rng)
    ours = mixture.component_logpdf(X)
    for i, x in enumerate(X):
        for k in range(2):
            exact = log_density_50(x, mixture.means[k], covariances[k])
            # A row drawn from the other component may be far off: then δ² is large, and so is the
            # bound. In their own component κ = 1e12 allows about 0.01 nats.
            assert abs(float(ours[i, k] - exact)) <= allowed(x, mixture.means[k], covariances[k])


@pytest.mark.parametrize("condition", [1e4, 1e8, 1e12])
def test_axis_parallel_conditioning_costs_nothing(condition, kernel):
    """Columns in very different units: the matrix is graded, and no digit is lost."""
    rng = np.random.default_rng(3)
    d = 4
    root = rng.normal(size=(d, d + 3))
    well = root @ root.T / d
    units = np.geomspace(1.0, condition**0.5, d)
    covariance = units[:, None] * well * units
    mixture = Mixture([1.0], [np.zeros(d)], [covariance])
    X = rng.normal(size=(20, d)) * units
    exact = [float(log_density_50(x, np.zeros(d), covariance)) for x in X]
    np.testing.assert_allclose(mixture.logpdf(X), exact, rtol=100 * U * np.linalg.cond(well))


@pytest.mark.parametrize("separation", [1.0, 1e3, 1e6])
def test_log_density_at_any_separation(separation, kernel):
    """Components up to 1e6 σ apart: each row is exact to rounding in its own component."""
    rng = np.random.default_rng(5)
    covariances = np.stack([matrix_of(10.0, 3, rng) for _ in range(3)])
    means = separation * rng.normal(size=(3, 3))
    mixture = Mixture([0.2, 0.3, 0.5], means, covariances)
    X = mixture.sample(25, rng)
    exact = [float(mixture_log_density_50(x, mixture.weights, means, covariances)) for x in X]
    # x - μ is exact up to a rounding of x itself; κ = 10, δ² about 3: a few hundred u.
    np.testing.assert_allclose(mixture.logpdf(X), exact, rtol=1e-12, atol=1e-12)


def test_far_from_every_component(kernel):
    """A row 1e6 σ out: log-density near -5e11, with its relative accuracy."""
    mixture = Mixture([0.5, 0.5], [[0.0, 0.0], [5.0, 5.0]], [np.eye(2), 2 * np.eye(2)])
    x = np.array([[1e6, -1e6]])
    exact = float(mixture_log_density_50(x[0], [0.5, 0.5], mixture.means, mixture.covariances))
    assert mixture.logpdf(x)[0] == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("condition", [1e8, 1e12])
def test_a_fit_keeps_the_accuracy(condition):
    """The likelihood that a fit reports is that of its parameters, also when ill-conditioned.

    This is where an absolute floor, or moments about a far pivot, lose tenths of nats.
    """
    rng = np.random.default_rng(0)
    d = 3
    true = matrix_of(condition, d, rng)
    values, vectors = np.linalg.eigh(true)
    X = (rng.normal(size=(300, d)) * np.sqrt(values)) @ vectors.T + 10.0
    model = GaussianMixture(1, tol=1e-10).fit(X)
    with mpmath.workdps(50):
        # The maximum likelihood has a closed form: -n/2 (d log 2π + log |S| + d).
        rows = mpmath.matrix(X.tolist())
        n = len(X)
        mean = [mpmath.fsum(rows[i, j] for i in range(n)) / n for j in range(d)]
        S = mpmath.matrix(d, d)
        for a in range(d):
            for b in range(d):
                S[a, b] = (
                    mpmath.fsum((rows[i, a] - mean[a]) * (rows[i, b] - mean[b]) for i in range(n))
                    / n
                )
        exact = -(d * mpmath.log(2 * mpmath.pi) + mpmath.log(mpmath.det(S)) + d) / 2
    # Per row: log |S| is good to κu, and the default floor lies at 1e-12 of the variances.
    slack = 1e-6 if condition < 1e10 else 0.05
    assert model.score(X) == pytest.approx(float(exact), abs=slack)
    assert model.lower_bound_ == pytest.approx(model.score(X), abs=slack)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_scipy_agrees(family, kernel):
    rng = np.random.default_rng(11)
    k, d = 3, 4
    array = covariance_array(family, k, d, rng)
    means = rng.normal(size=(k, d))
    mixture = Mixture(np.full(k, 1 / k), means, array, covariance_type=family)
    X = rng.normal(scale=3.0, size=(50, d))
    for index, covariance in enumerate(dense(family, array, k, d)):
        expected = multivariate_normal.logpdf(X, means[index], covariance)
        # SciPy inverts by eigenvectors: κu with κ < 1e3, and a magnitude of up to 1e3.
        np.testing.assert_allclose(mixture.component_logpdf(X)[:, index], expected, rtol=1e-10)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_mahalanobis_near_a_mean(family):
    """Distances are computed from the offset, not from the difference of two logs."""
    rng = np.random.default_rng(2)
    array = covariance_array(family, 2, 3, rng)
    means = rng.normal(size=(2, 3))
    mixture = Mixture([0.5, 0.5], means, array, covariance_type=family)
    step = 2.0**-20 * rng.normal(size=3)
    sigma = dense(family, array, 2, 3)
    for k in range(2):
        x = means[k] + step
        off = x - means[k]
        exact = np.sqrt(off @ np.linalg.solve(sigma[k], off))
        assert mixture.mahalanobis(x[None])[0, k] == pytest.approx(exact, rel=1e-9)
        assert mixture.mahalanobis(means[k][None])[0, k] == 0.0
