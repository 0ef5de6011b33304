"""Student's t against SciPy, and what a law does to rows, conditionals and samples."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import kstest, multivariate_t
from scipy.stats import t as student

from mixtura import InputError, Mixture, StudentT
from mixtura.fit.degrees import Evidence, solved
from mixtura.law import GAUSSIAN


def mixture(dof, k=2, d=3, seed=0, **extra):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, d, d + 2))
    covariances = root @ root.swapaxes(1, 2) / d + 0.2 * np.eye(d)
    means = rng.normal(scale=2.0, size=(k, d))
    law = StudentT(np.asarray(dof, dtype=float), "own")
    return Mixture(rng.dirichlet(np.ones(k)), means, covariances, law=law, **extra)


@pytest.mark.parametrize("dof", [(0.7, 3.0), (12.0, 500.0), (1e4, 1e7)])
@pytest.mark.parametrize("d", [1, 3, 6])
def test_log_density_is_scipys(dof, d):
    one = mixture(dof, d=d)
    X = np.random.default_rng(1).normal(scale=4.0, size=(40, d))
    X[:10] *= 50.0
    for index in range(2):
        law = multivariate_t(one.means[index], one.covariances[index], df=dof[index])
        # SciPy subtracts two log-gammas of size ν log ν: some 1e-16 of 1e8 nats.
        np.testing.assert_allclose(
            one.component_logpdf(X)[:, index], law.logpdf(X), rtol=1e-11, atol=1e-14 * dof[1]
        )


def test_gaps_are_dropped_columns():
    one = mixture((3.0, 8.0))
    X = one.sample(30, 0)
    gappy = X.copy()
    gappy[:, 1] = np.nan
    rest = one.marginal([0, 2])
    np.testing.assert_allclose(one.logpdf(gappy), rest.logpdf(X[:, [0, 2]]), rtol=1e-13)
    np.testing.assert_allclose(
        one.outlier_weights(gappy), rest.outlier_weights(X[:, [0, 2]]), rtol=1e-12
    )
    np.testing.assert_allclose(one.logpdf(np.full((1, 3), np.nan)), 0.0, atol=1e-15)


def test_many_degrees_of_freedom_are_a_gaussian():
    one = mixture((1e9, 1e9))
    X = one.sample(50, 0)
    # t differs from the Gaussian by δ⁴/4ν, some 1e-7.
    np.testing.assert_allclose(one.logpdf(X), one.changed(law=GAUSSIAN).logpdf(X), atol=1e-6)


def test_a_conditional_is_the_joint_over_the_marginal():
    one = mixture((3.0, 8.0))
    given = {0: 0.3, 2: -1.2}
    rest = one.condition(given)
    grid = np.linspace(-5, 5, 11)
    rows = np.column_stack([np.full(11, 0.3), grid, np.full(11, -1.2)])
    expected = one.logpdf(rows) - one.marginal([0, 2]).logpdf([[0.3, -1.2]])
    np.testing.assert_allclose(rest.logpdf(grid[:, None]), expected, atol=1e-12)
    np.testing.assert_array_equal(rest.law.dof, [5.0, 10.0])


def test_weights_of_rows():
    one = mixture((3.0, 8.0))
    X = one.sample(20, 0)
    u = (one.law.dof + 3) / (one.law.dof + one.mahalanobis(X) ** 2)
    expected = (one.responsibilities(X) * u).sum(axis=1)
    np.testing.assert_allclose(one.outlier_weights(X), expected, rtol=1e-12)
    assert one.outlier_weights(one.means[:1] + 1e6) < 1e-9
    assert one.outlier_weights(np.full((1, 3), 1e300)) >= 0.0


def test_samples_have_the_law():
    one = Mixture([1.0], [[2.0]], [[[9.0]]], law=StudentT(np.array([4.0])))
    X = one.sample(20000, 0)[:, 0]
    assert kstest(X, student(4.0, 2.0, 3.0).cdf).pvalue > 1e-3
    np.testing.assert_allclose(one.covariance(), [[18.0]])  # ν/(ν - 2) Σ
    np.testing.assert_allclose(one.covariances, [[[9.0]]])
    heavy = one.changed(law=StudentT(np.array([2.0])))
    assert np.isinf(heavy.covariance()).all()


def test_as_a_value():
    one = mixture((3.0, 8.0))
    assert one == one.changed() and one != one.changed(law=GAUSSIAN)
    assert one != one.changed(law=StudentT(np.array([3.0, 9.0]), "own"))
    assert one.take([1, 0]).law == StudentT(np.array([8.0, 3.0]), "own")
    assert "Student's t with 3, 8 degrees" in repr(one)
    with pytest.raises(InputError, match="2 finite numbers above 0"):
        mixture((3.0, -1.0))
    with pytest.raises(InputError, match="Gaussian components alone"):
        one.to_sklearn()


@pytest.mark.parametrize("truth", [1.2, 4.0, 30.0, 1e9])
@pytest.mark.parametrize("start", [1.0, 20.0, 500.0])
def test_degrees_of_freedom_are_the_maximum(truth, start):
    """Against a bounded search; rows with different numbers of observed coordinates."""
    rng = np.random.default_rng(int(truth))
    features = rng.integers(0, 5, 400)
    squared = np.where(features > 0, rng.chisquare(np.maximum(features, 1)), 0.0)
    squared *= truth / rng.chisquare(truth, 400)
    evidence = Evidence(squared, features, rng.random(400))
    best = minimize_scalar(
        lambda at: -evidence.curve(at)[0],
        bounds=(0.0, np.log(500.0)),
        method="bounded",
        options={"xatol": 1e-10},
    )
    found = solved(lambda at: np.array([evidence.curve(at[0])]), np.array([start]))[0]
    assert evidence.curve(np.log(found))[0] >= -best.fun - 1e-11 * abs(best.fun)
    # Values are off by 5e-12 here, as log Γ is, over a bend of 0.07: so the search by values alone
    # may stop 1.2e-5 away.
    assert np.log(found) == pytest.approx(best.x, abs=3e-5)


def test_the_curve_and_its_derivatives():
    rng = np.random.default_rng(0)
    evidence = Evidence(rng.chisquare(3, 50), np.full(50, 3), rng.random(50))
    for at in (0.1, 2.0, 5.0):
        step = 1e-4
        low, here, high = (evidence.curve(at + shift) for shift in (-step, 0.0, step))
        assert here[1] == pytest.approx((high[0] - low[0]) / (2 * step), rel=1e-5)
        assert here[2] == pytest.approx((high[1] - low[1]) / (2 * step), rel=1e-5)
