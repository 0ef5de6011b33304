"""Impartial trimming: exactly a share of the weight, and the best subset of the rows."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mixtura import GaussianMixture, Mixture
from mixtura.covariance import FAMILIES
from mixtura.fit.em import Stop, run
from mixtura.fit.outliers import Outliers
from mixtura.fit.problem import state, with_outliers
from mixtura.source import MemorySource
from mixtura.source.ranks import place_of
from mixtura.trimming import Trim


def problem(X, share, family="full", **given):
    stated = state(MemorySource(X, **given), FAMILIES[family])
    return with_outliers(stated, Outliers(trim=share))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("tied", [False, True])
def test_exactly_the_share_is_left_out(share, tied):
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 5, 40).astype(float) if tied else rng.normal(size=40)
    weights = rng.uniform(0.0, 2.0, 40)
    weights[:3] = 0.0
    trim = Trim.of(share, np.ones(1), np.ones(1))
    cut = trim.cut(place_of(keys, weights, trim.below))
    kept = cut.kept(keys)
    assert kept @ weights == pytest.approx((1.0 - share) * weights.sum(), rel=1e-12)
    assert ((kept == 0) | (kept == 1) | (keys == cut.level)).all()
    assert keys[kept == 0].max(initial=-np.inf) <= keys[kept > 0].min()


def test_a_weight_is_a_repetition():
    rng = np.random.default_rng(1)
    keys, counts = rng.normal(size=20), rng.integers(1, 4, 20)
    trim = Trim.of(0.3, np.ones(1), np.ones(1))
    whole = trim.cut(place_of(keys, counts.astype(float), trim.below)).kept(keys) * counts
    twice = np.repeat(keys, counts)
    each = trim.cut(place_of(twice, np.ones(len(twice)), trim.below)).kept(twice)
    np.testing.assert_allclose(whole, [each[twice == key].sum() for key in keys], atol=1e-12)


def test_the_objective_is_that_of_the_best_subset():
    """For given parameters: 10 rows, 3 left out, all 120 subsets."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(10, 2)) * [1.0, 5.0]
    means, covariances = rng.normal(size=(2, 2)), np.stack([np.eye(2), np.diag([1.0, 30.0])])
    stated = problem(X, 0.3)
    mixture = stated.adopted(Mixture([0.4, 0.6], means, covariances))
    density = sum(
        weight * multivariate_normal.pdf(X, mean, covariance)
        for weight, mean, covariance in zip([0.4, 0.6], means, covariances, strict=True)
    )
    best = max(np.log(density)[list(rows)].sum() for rows in combinations(range(10), 7))
    assert stated.at(mixture).value * 7 == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_one_component_finds_the_best_subset(seed):
    """The maximum over all subsets of 8 of 11 rows: the minimum covariance determinant."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(11, 2)) @ [[1.0, 0.4], [0.0, 0.7]]
    X[:3] += rng.normal(size=(3, 2)) * 8.0
    determinants = {
        rows: np.linalg.det(np.cov(X[list(rows)].T, bias=True))
        for rows in combinations(range(11), 8)
    }
    best = min(determinants, key=determinants.get)
    model = GaussianMixture(1, trim=3 / 11, random_state=0).fit(X)
    np.testing.assert_array_equal(np.flatnonzero(model.predict(X) >= 0), best)
    value = -0.5 * (2 * np.log(2 * np.pi) + np.log(determinants[best]) + 2)
    assert model.lower_bound_ == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(model.means_[0], X[list(best)].mean(axis=0), rtol=1e-6)


def test_what_is_trimmed_has_no_say():
    """Rows far away, whatever their number below the share and wherever they are."""
    rng = np.random.default_rng(3)
    X = np.concatenate([rng.normal(size=(90, 2)), rng.normal(size=(90, 2)) + 9.0])
    fits = []
    for far in (1e3, 1e6, -1e9):
        Y = np.concatenate([X, far * rng.uniform(0.5, 2.0, (20, 2))])
        model = GaussianMixture(2, trim=0.1, random_state=0, tol=1e-12).fit(Y)
        np.testing.assert_array_equal(model.predict(Y)[180:], -1)
        assert (model.outlier_weights(Y)[180:] == 0).all()
        assert (model.predict(X) == -1).sum() == 0
        fits.append(model.means_[np.argsort(model.means_[:, 0])])
    np.testing.assert_allclose(fits[1], fits[0], atol=1e-5)
    np.testing.assert_allclose(fits[2], fits[0], atol=1e-5)
    alone = GaussianMixture(2, random_state=0, tol=1e-12).fit(X)
    np.testing.assert_allclose(fits[0], alone.means_[np.argsort(alone.means_[:, 0])], atol=1e-5)


def test_gaps_do_not_decide_by_themselves():
    """A row without a cell is ranked as if the cell were of average density: whatever the units."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(300, 3))
    X[np.arange(100), rng.integers(0, 3, 100)] = np.nan
    for units in (1.0, 1e-6, 1e6):
        model = GaussianMixture(1, trim=0.2, random_state=0).fit(X * units)
        lost = model.predict(X * units) == -1
        assert lost.sum() == pytest.approx(60, abs=1)
        # Were densities compared as they are, all or none of the rows with gaps would go.
        assert 5 <= lost[:100].sum() <= 40


def test_weights_of_trimmed_rows():
    rng = np.random.default_rng(5)
    X, w = rng.normal(size=(60, 2)), rng.integers(1, 4, 60).astype(float)
    stated = problem(X, 0.15, weights=w)
    start = stated.isotropic(np.zeros((1, 2)))
    fit = run(stated, start, Stop(1e-12, 200))
    again = problem(np.repeat(X, w.astype(int), axis=0), 0.15)
    other = run(again, again.adopted(start), Stop(1e-12, 200))
    assert fit.value == pytest.approx(other.value, rel=1e-10)
    assert fit.counts.sum() == pytest.approx(0.85 * w.sum())
