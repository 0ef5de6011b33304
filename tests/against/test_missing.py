"""Against stored numbers for data with missing cells, from two independent programs."""

import json
from pathlib import Path

import numpy as np
import pytest

from mixtura import GaussianMixture, Mixture
from mixtura.covariance import FAMILIES
from mixtura.fit.em import Stop, run
from mixtura.fit.problem import state
from mixtura.source import MemorySource
from strategies import from_labels

STORED = json.loads((Path(__file__).parent / "missing.json").read_text())
CASES = [name for name in STORED if name != "source"]


def with_gaps(X):
    """Cell (i, j) missing iff (7i + 3j) mod 10 = 0, from 0: 60 cells of iris."""
    i, j = np.indices(X.shape)
    return np.where((7 * i + 3 * j) % 10 == 0, np.nan, X)


def rows_of(numbers):
    return np.array([[np.nan if cell is None else cell for cell in row] for row in numbers["X"]])


def test_iris_with_one_component(iris, kernel):
    X = with_gaps(iris[0])
    assert np.isnan(X).sum() == 60
    model = GaussianMixture(1, tol=1e-14, max_iter=20000).fit(X)
    # Ten decimals are known; at a maximum an error in parameters enters at second order.
    assert model.score(X) * 150 == pytest.approx(-373.2707626272, abs=2e-9, rel=0)
    expected = [5.84026815, 3.06717146, 3.75922456, 1.20073584]
    np.testing.assert_allclose(model.means_[0], expected, atol=2e-7)


def test_iris_with_three_components(iris, kernel):
    """Start: the moments of the complete data by species."""
    complete, species = iris
    X = with_gaps(complete)
    problem = state(MemorySource(X), FAMILIES["full"])
    whole = state(MemorySource(complete), FAMILIES["full"])
    start = problem.adopted(from_labels(whole, species, 3))
    fit = run(problem, start, Stop(1e-14, 20000))
    assert fit.mixture.logpdf(X).sum() == pytest.approx(-171.2602737944, abs=2e-9, rel=0)
    assert fit.value * 150 == pytest.approx(-171.2602737944, abs=2e-9, rel=0)


@pytest.mark.parametrize("name", CASES)
def test_converged_mixture(name, kernel):
    numbers = STORED[name]
    X, start, expected = rows_of(numbers), numbers["start"], numbers["parameters"]
    begin = Mixture(np.array(start["pro"]) / np.sum(start["pro"]), start["mean"], start["sigma"])
    # 15 digits of parameters are stored.
    assert begin.logpdf(X).sum() == pytest.approx(start["loglik"], rel=1e-12)
    model = GaussianMixture(
        numbers["G"],
        weights_init=begin.weights,
        means_init=begin.means,
        precisions_init=np.linalg.inv(begin.covariances),
        tol=1e-14,
        max_iter=20000,
    ).fit(X)
    assert model.score(X) * len(X) == pytest.approx(numbers["loglik"], abs=2e-9, rel=0)
    # The stored gradient is below 3e-8 where scaled; parameters follow to about 1e-6.
    np.testing.assert_allclose(model.weights_, expected["pro"], atol=2e-6)
    np.testing.assert_allclose(model.means_, expected["mean"], rtol=2e-6)
    np.testing.assert_allclose(model.covariances_, expected["sigma"], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(model.predict_proba(X), numbers["z"], atol=5e-6)


@pytest.mark.parametrize("name", CASES)
def test_stored_parameters_are_a_fixed_point(name, kernel):
    """One E and M step from them stays: the conditional covariance is in the scatter."""
    numbers = STORED[name]
    X, p = rows_of(numbers), numbers["parameters"]
    problem = state(MemorySource(X), FAMILIES["full"])
    there = problem.adopted(Mixture(np.array(p["pro"]) / np.sum(p["pro"]), p["mean"], p["sigma"]))
    after = problem.maximized(problem.at(there).data, there)
    np.testing.assert_allclose(after.means, there.means, rtol=1e-6)
    np.testing.assert_allclose(after.covariances, there.covariances, rtol=1e-5, atol=1e-7)
