"""One component beside SciPy's distributions, under the names the two share."""

import numpy as np
import pytest
from scipy import stats

from mixtura import Mixture, StudentT

X = np.array([-9.0, -2.0, 0.3, 1.7, 12.0])
P = np.array([1e-13, 0.02, 0.5, 0.97])
PAIRS = [
    (Mixture([1.0], [[1.5]], [[[4.0]]]), stats.norm(1.5, 2.0)),
    (Mixture([1.0], [[1.5]], [[[4.0]]], law=StudentT(np.array([6.0]))), stats.t(6, 1.5, 2.0)),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_one_component_is_scipys(ours, theirs):
    for name in ("cdf", "sf", "logcdf", "logsf"):
        np.testing.assert_allclose(getattr(ours, name)(X), getattr(theirs, name)(X), rtol=1e-11)
    for name in ("ppf", "isf"):
        np.testing.assert_allclose(getattr(ours, name)(P), getattr(theirs, name)(P), rtol=1e-9)
    for name in ("mean", "var", "std"):
        assert getattr(ours, name)()[0] == pytest.approx(getattr(theirs, name)(), rel=1e-14)
    assert ours.entropy() == pytest.approx(float(theirs.entropy()), abs=1e-10)
    for order in (1, 2, 3, 4):
        assert ours.moment(order)[0] == pytest.approx(theirs.moment(order), rel=1e-12)
    skew, kurtosis = theirs.stats("sk")
    assert ours.skewness()[0] == pytest.approx(skew, abs=1e-14)
    assert ours.kurtosis()[0] == pytest.approx(kurtosis, abs=1e-12)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.5), (9.0, np.inf), (-np.inf, -5.0)])
def test_a_truncated_component_is_scipys(low, high):
    ours = PAIRS[0][0].truncate(low, high)
    theirs = stats.truncnorm((low - 1.5) / 2, (high - 1.5) / 2, 1.5, 2.0)
    x = np.clip(np.linspace(low, high, 7)[1:-1] if high < np.inf > -low else X, low, high)
    for name in ("pdf", "logpdf"):
        mine = getattr(ours, name)(x[:, None])
        np.testing.assert_allclose(mine, getattr(theirs, name)(x), rtol=1e-9)
    for name in ("cdf", "sf"):
        np.testing.assert_allclose(
            getattr(ours, name)(x), getattr(theirs, name)(x), rtol=1e-8, atol=1e-14
        )
    np.testing.assert_allclose(ours.ppf(P[1:]), theirs.ppf(P[1:]), rtol=1e-9)
    assert ours.mean() == pytest.approx(theirs.mean(), rel=1e-9)
    assert ours.var() == pytest.approx(theirs.var(), rel=1e-6)  # SciPy's loses digits in the tail


def test_boxes_of_one_component_are_scipys():
    """SciPy integrates to 1e-5 by default; asked for more here."""
    rng = np.random.default_rng(0)
    for d in (2, 3, 4):
        root = rng.normal(size=(d, d))
        mean, covariance = rng.normal(size=d), root @ root.T + 0.3 * np.eye(d)
        low, high = mean - rng.exponential(size=d), mean + rng.exponential(size=d)
        theirs = stats.multivariate_normal(mean, covariance, abseps=1e-8, maxpts=500_000, seed=1)
        got, error = Mixture([1.0], [mean], [covariance]).box_probability(
            low, high, return_error=True
        )
        assert got == pytest.approx(theirs.cdf(high, lower_limit=low), abs=5 * error + 1e-6)
