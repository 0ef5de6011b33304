"""The frozen value: built by hand, its densities, draws and closed operations."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import dblquad, quad
from scipy.special import logsumexp
from scipy.stats import kstest, multivariate_normal, norm

from mixtura import GaussianMixture, Mixture
from mixtura._errors import InputError, InputTypeError, MixturaError
from oracle import FAMILIES, conditional, log_joint
from strategies import covariance_array, dense, make, seeds

families = st.sampled_from(FAMILIES)


def some(family="full", k=3, d=3, seed=0, names=None):
    rng = np.random.default_rng(seed)
    return Mixture(
        rng.dirichlet(np.full(k, 3.0)),
        rng.normal(scale=2.0, size=(k, d)),
        covariance_array(family, k, d, rng),
        covariance_type=family,
        feature_names=names,
    )


# ---- building


@given(family=families, k=st.integers(1, 4), d=st.integers(1, 4), seed=seeds())
def test_it_holds_what_it_was_given(family, k, d, seed):
    rng = np.random.default_rng(seed)
    array, means = covariance_array(family, k, d, rng), rng.normal(size=(k, d))
    weights = rng.dirichlet(np.ones(k))
    mixture = Mixture(weights, means, array, covariance_type=family)
    np.testing.assert_array_equal(mixture.weights, weights)
    np.testing.assert_array_equal(mixture.means, means)
    np.testing.assert_array_equal(mixture.covariances, dense(family, array, k, d))
    assert (mixture.n_components, mixture.n_features) == (k, d)


WRONG = {
    "weights do not sum": (([0.5, 0.6], np.zeros((2, 1)), np.ones((2, 1, 1))), "sum to"),
    "negative weight": (([1.5, -0.5], np.zeros((2, 1)), np.ones((2, 1, 1))), "negative"),
    "NaN weight": (([np.nan, 1.0], np.zeros((2, 1)), np.ones((2, 1, 1))), "weights"),
    "too few weights": (([1.0], np.zeros((2, 1)), np.ones((2, 1, 1))), "weights"),
    "means of one dimension": (([1.0], np.zeros(2), np.ones((1, 2, 2))), "means"),
    "NaN mean": (([1.0], [[np.nan]], np.ones((1, 1, 1))), "means"),
    "no components": (([], np.zeros((0, 2)), np.zeros((0, 2, 2))), "means"),
    "covariances of the wrong shape": (([1.0], np.zeros((1, 2)), np.eye(2)), "shape"),
    "infinite covariance": (([1.0], np.zeros((1, 1)), [[[np.inf]]]), "infinite"),
    "not symmetric": (([1.0], np.zeros((1, 2)), [[[1.0, 0.5], [0.0, 1.0]]]), "symmetric"),
    "not positive definite": (
        ([0.5, 0.5], np.zeros((2, 2)), [np.eye(2), [[1.0, 2.0], [2.0, 1.0]]]),
        "component 1",
    ),
    "singular": (([1.0], np.zeros((1, 2)), [[[1.0, 1.0], [1.0, 1.0]]]), "positive"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_mixture_is_refused(name):
    arguments, message = WRONG[name]
    with pytest.raises(InputError, match=message):
        Mixture(*arguments)


def test_more_that_is_refused():
    with pytest.raises(InputError, match="names"):
        Mixture([1.0], [[0.0, 0.0]], [np.eye(2)], feature_names=["a"])
    with pytest.raises(InputError, match="unknown"):
        Mixture([1.0], [[0.0]], [[[1.0]]], covariance_type="round")
    for family, array in (("diag", [[1.0, 0.0]]), ("spherical", [-1.0]), ("EII", [0.0])):
        with pytest.raises(InputError, match="not positive"):
            Mixture([1.0], [[0.0, 0.0]], array, covariance_type=family)
    with pytest.raises((InputError, InputTypeError)):
        Mixture(["a"], [[0.0]], [[[1.0]]])


def test_kinds_that_are_refused():
    """By what was asked, not by whatever first trips over it."""
    one = Mixture([1.0], [[0.0, 0.0]], [np.eye(2)])
    for ask, said in (
        (lambda: one.condition([1]), "a mapping of dimensions"),
        (lambda: one.marginal(None), "by number or name, not as None"),
        (lambda: one.sample(2.5), "n=2.5: a whole number"),
        (lambda: one.sample("3"), "n='3': a whole number"),
        (lambda: GaussianMixture.from_mixture(one).sample(2.5), "n_samples=2.5: a whole number"),
    ):
        with pytest.raises(InputTypeError, match=said):
            ask()


def test_it_is_frozen():
    mixture = some()
    for name in ("weights", "structure", "frame", "means", "anything"):
        with pytest.raises(AttributeError):
            setattr(mixture, name, None)
    with pytest.raises(AttributeError):
        del mixture.weights


def test_equality():
    assert some() == some()
    assert some() != some(seed=1)
    assert some() != some(names=["a", "b", "c"])
    assert some("spherical") != some("equal-spherical")
    assert some() != "mixture"
    assert pickle.loads(pickle.dumps(some())) == some()
    with pytest.raises(TypeError):
        hash(some())


def test_equality_does_not_depend_on_what_was_asked_before():
    a, b = some(), some()
    a.logpdf([[0.0, np.nan, 1.0]]), a.covariances, a.means
    assert a == b and pickle.loads(pickle.dumps(a)) == b


def test_repr():
    text = repr(some(names=["length", "width", "depth"]))
    assert "3 components" in text and "3 dimensions" in text and "full" in text and "width" in text
    assert "… and 8 more" in repr(some("diag", k=20))
    assert "…" in repr(some("diag", d=9))
    assert "1 component " in repr(some(k=1)) or "1 components" in repr(some(k=1))


# ---- densities


@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("k", [3, 9])
def test_rows_with_many_patterns_of_gaps_are_as_row_by_row(kernel, family, k):
    """By SciPy on the observed coordinates; 40 rows of 32 patterns, one of them far away."""
    mixture = some(family, k, 5)
    rng = np.random.default_rng(1)
    X = mixture.sample(40, 0)
    X[rng.random(X.shape) < 0.4] = np.nan
    X[0, 0], X[1], X[2, 1:] = 1e160, np.nan, 1e6
    logs, shares, filled = mixture.logpdf(X), mixture.responsibilities(X), mixture.impute(X)
    assert logs[0] < -1e270 and np.isfinite(filled[0]).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    covariances = mixture.covariances
    joint = log_joint(X[1:], mixture.weights, mixture.means, covariances)
    norm_ = logsumexp(joint, axis=1)
    expected = np.exp(joint - norm_[:, None])
    np.testing.assert_allclose(logs[1:], norm_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(shares[1:], expected, rtol=1e-8, atol=1e-12)
    far = [mixture.mahalanobis(row[None])[0] for row in X]
    np.testing.assert_allclose(mixture.mahalanobis(X), far, rtol=1e-9)
    for row, share, whole in zip(X[1:], expected, filled[1:], strict=True):
        parts = zip(mixture.means, covariances, strict=True)
        guesses = [conditional(row, ~np.isnan(row), mean, cov)[0] for mean, cov in parts]
        np.testing.assert_allclose(whole, share @ np.array(guesses), rtol=1e-9, atol=1e-9)


def test_what_patterns_show_is_kept_for_a_few_alone():
    mixture, rng = some(d=12), np.random.default_rng(0)
    X = np.where(rng.random((400, 12)) < 0.5, np.nan, rng.normal(size=(400, 12)))
    for row in X:
        mixture.logpdf([row])
    assert len(mixture._seen) == 256


@given(family=families, seed=seeds(), gaps=st.booleans())
def test_densities_are_the_oracle(family, seed, gaps):
    case = make(family, "gaps" if gaps else "complete", seed, n=12)
    joint = log_joint(case.X, case.weights, case.means, case.covariances)
    norm_ = logsumexp(joint, axis=1)
    m = case.mixture
    np.testing.assert_allclose(m.logpdf(case.X), norm_, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(m.pdf(case.X), np.exp(norm_), rtol=1e-9)
    np.testing.assert_allclose(
        m.component_logpdf(case.X), joint - np.log(case.weights), rtol=1e-10, atol=1e-10
    )
    np.testing.assert_allclose(
        m.responsibilities(case.X), np.exp(joint - norm_[:, None]), rtol=1e-8, atol=1e-14
    )
    np.testing.assert_array_equal(m.predict(case.X), joint.argmax(axis=1))
    for i, x in enumerate(case.X):
        o = ~np.isnan(x)
        for k in range(3):
            off = x[o] - case.means[k][o]
            sigma = case.covariances[k][np.ix_(o, o)]
            expected = np.sqrt(off @ np.linalg.solve(sigma, off)) if o.any() else 0.0
            assert m.mahalanobis(case.X)[i, k] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_density_integrates_to_one():
    one = some(k=3, d=1)
    total, _ = quad(lambda x: one.pdf([[x]])[0], -40, 40, limit=200, points=one.means.ravel())
    assert total == pytest.approx(1.0, abs=1e-7)
    two = Mixture([0.4, 0.6], [[0.0, 0.0], [1.0, 2.0]], [np.eye(2), [[1.0, 0.6], [0.6, 0.8]]])
    total, _ = dblquad(lambda y, x: two.pdf([[x, y]])[0], -7, 7, -7, 9, epsabs=1e-6)
    assert total == pytest.approx(1.0, abs=1e-5)


def test_a_component_of_weight_zero():
    mixture = Mixture([0.0, 1.0], [[0.0], [3.0]], np.ones((2, 1, 1)))
    x = np.array([[0.0], [3.0], [np.nan]])
    np.testing.assert_array_equal(mixture.responsibilities(x), [[0.0, 1.0]] * 3)
    np.testing.assert_allclose(mixture.logpdf(x[:2]), norm.logpdf([0.0, 3.0], 3.0), rtol=1e-14)
    np.testing.assert_allclose(
        mixture.mahalanobis(x), [[0.0, 3.0], [3.0, 0.0], [0.0, 0.0]], atol=1e-12
    )
    np.testing.assert_allclose(mixture.component_logpdf(x[:1])[0, 0], norm.logpdf(0.0), rtol=1e-14)
    assert set(mixture.sample(100, 0, return_labels=True)[1]) == {1}


@pytest.mark.parametrize("method", ["logpdf", "responsibilities", "predict", "component_logpdf"])
def test_many_rows_are_the_same_as_one_at_a_time(method):
    mixture = some()
    X = mixture.sample(70_000, 0)
    X[::9, 1] = np.nan
    picked = [0, 9, 32_767, 32_768, 69_999]
    whole = getattr(mixture, method)(X)
    for row in picked:
        np.testing.assert_allclose(whole[row], getattr(mixture, method)(X[[row]])[0], rtol=1e-12)


# ---- moments


def test_mean_and_covariance_of_algorithms_page():
    """Mean .5, variance 4.475 of the three-component density of the reference values."""
    f = Mixture([0.2, 0.5, 0.3], [[-2.0], [0.0], [3.0]], [[[0.25]], [[1.0]], [[2.25]]])
    assert f.mean()[0] == pytest.approx(0.5, abs=1e-15)
    assert f.covariance()[0, 0] == pytest.approx(4.475, rel=1e-15)


@given(family=families, seed=seeds())
def test_mean_and_covariance(family, seed):
    m = some(family, seed=seed)
    mean = sum(w * mu for w, mu in zip(m.weights, m.means, strict=True))
    second = sum(
        w * (c + np.outer(mu - mean, mu - mean))
        for w, mu, c in zip(m.weights, m.means, m.covariances, strict=True)
    )
    np.testing.assert_allclose(m.mean(), mean, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(m.covariance(), second, rtol=1e-11, atol=1e-12)


# ---- drawing


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_have_the_moments(family):
    m = some(family)
    X, labels = m.sample(40_000, 1, return_labels=True)
    # Standard errors are below 0.02 (deviations below 4, 40 000 draws); five of them.
    np.testing.assert_allclose(X.mean(axis=0), m.mean(), atol=0.1)
    np.testing.assert_allclose(np.cov(X.T), m.covariance(), atol=0.45)
    np.testing.assert_allclose(np.bincount(labels) / 40_000, m.weights, atol=0.0125)
    for c in range(3):
        mine = X[labels == c]
        spread = 5 / np.sqrt(len(mine))
        np.testing.assert_allclose(mine.mean(axis=0), m.means[c], atol=2.5 * spread)
        np.testing.assert_allclose(np.cov(mine.T), m.covariances[c], atol=8 * spread)


def test_draws_have_the_distribution():
    """Kolmogorov and Smirnov on one coordinate; at p = 1e-4 a false alarm is fixed by the seed."""
    m = some(d=2)
    one = m.marginal([1])

    def cdf(x):
        scale = np.sqrt(one.covariances[:, 0, 0])
        return (one.weights * norm.cdf(np.asarray(x)[:, None], one.means[:, 0], scale)).sum(axis=1)

    assert kstest(m.sample(20_000, 7)[:, 1], cdf).pvalue > 1e-4


def test_sampling_options():
    m = some()
    np.testing.assert_array_equal(m.sample(5, 3), m.sample(5, np.random.default_rng(3)))
    rng = np.random.default_rng(0)
    assert not np.array_equal(m.sample(5, rng), m.sample(5, rng))
    assert m.sample().shape == (1, 3)
    X, labels = m.sample(20_000, 0, component=2, return_labels=True)
    assert set(labels) == {2}
    np.testing.assert_allclose(X.mean(axis=0), m.means[2], atol=0.1)
    for options in ({"n": 0}, {"n": -1}, {"component": 3}, {"component": -1}):
        with pytest.raises(InputError):
            m.sample(**options)


# ---- closed operations


@given(family=families, seed=seeds())
def test_marginal(family, seed):
    m = some(family, seed=seed, names=["a", "b", "c"])
    rng = np.random.default_rng(seed)
    dims = list(rng.permutation(3)[: rng.integers(1, 4)])
    part = m.marginal(dims)
    x = rng.normal(size=(6, 3))
    hidden = np.full((6, 3), np.nan)
    hidden[:, dims] = x[:, dims]
    np.testing.assert_allclose(part.logpdf(x[:, dims]), m.logpdf(hidden), rtol=1e-10)
    np.testing.assert_allclose(part.mean(), m.mean()[dims], rtol=1e-12)
    np.testing.assert_allclose(part.covariance(), m.covariance()[np.ix_(dims, dims)], rtol=1e-11)
    assert part.feature_names == tuple("abc"[j] for j in dims)
    assert m.marginal([part.feature_names[0]]) == m.marginal([dims[0]])


@given(family=families, seed=seeds(), seen=st.sampled_from([(0,), (1,), (2,), (0, 2), (1, 2)]))
def test_condition(family, seed, seen):
    """Bayes: log p(x_m | x_o) = log p(x) - log p(x_o), for any x_m."""
    m = some(family, seed=seed, names=["a", "b", "c"])
    x = m.sample(1, seed % 1000)[0]
    o = np.isin(np.arange(3), seen)
    conditioned = m.condition({int(j): x[j] for j in seen})
    rest = np.random.default_rng(seed).normal(scale=2.0, size=(5, int((~o).sum())))
    whole = np.tile(x, (5, 1))
    whole[:, ~o] = rest
    hidden = np.where(o, x, np.nan)[None]
    expected = m.logpdf(whole) - m.logpdf(hidden)
    np.testing.assert_allclose(conditioned.logpdf(rest), expected, rtol=1e-8, atol=1e-8)
    for k in range(3):
        filled, spread = conditional(hidden[0], o, m.means[k], m.covariances[k])
        np.testing.assert_allclose(conditioned.means[k], filled[~o], rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(
            conditioned.covariances[k], spread[np.ix_(~o, ~o)], rtol=1e-9, atol=1e-11
        )
    np.testing.assert_allclose(conditioned.weights, m.responsibilities(hidden)[0], rtol=1e-10)
    np.testing.assert_allclose(m.impute(hidden)[0][~o], conditioned.mean(), rtol=1e-9, atol=1e-10)
    names = {"abc"[j]: x[j] for j in seen}
    assert m.condition(names) == conditioned


def test_condition_twice_is_condition_on_both():
    m = some(d=4)
    both = m.condition({0: 0.5, 2: -1.0})
    twice = m.condition({0: 0.5}).condition({1: -1.0})  # what was 2 is now 1
    X = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_allclose(both.logpdf(X), twice.logpdf(X), rtol=1e-11)


def test_condition_far_from_all_components():
    m = Mixture([0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], [np.eye(2), [[1.0, 0.5], [0.5, 1.0]]])
    far = m.condition({0: 1e6})
    assert np.isfinite(far.weights).all() and far.weights.sum() == pytest.approx(1.0)
    assert np.isfinite(far.means).all()


@pytest.mark.parametrize(
    "asked",
    [
        lambda m: m.marginal([3]),
        lambda m: m.marginal([-4]),
        lambda m: m.marginal([0, 0]),
        lambda m: m.marginal([0, -3]),
        lambda m: m.marginal("z"),
        lambda m: m.marginal([]),
        lambda m: m.marginal([0.5]),
        lambda m: m.condition({}),
        lambda m: m.condition({0: np.nan}),
        lambda m: m.condition({0: np.inf}),
        lambda m: m.condition({0: 0.0, 1: 0.0, 2: 0.0}),
        lambda m: m.condition({5: 0.0}),
        lambda m: m.condition({"z": 0.0}),
        lambda m: m.condition({0: "high"}),
        lambda m: m.condition({0: 0.0, "a": 0.0}),
    ],
)
def test_dimensions_that_are_not_there(asked):
    with pytest.raises(MixturaError):
        asked(some(names=["a", "b", "c"]))


def test_impute_leaves_what_was_seen():
    m = some()
    X = m.sample(50, 0)
    np.testing.assert_array_equal(m.impute(X), X)
    X[::2, 0] = np.nan
    filled = m.impute(X)
    np.testing.assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])
    assert np.isfinite(filled).all() and np.isnan(X[0, 0])


def test_frames_are_matched_by_name():
    pd = pytest.importorskip("pandas")
    m = some(names=["a", "b", "c"])
    X = m.sample(6, 0)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    wide = frame.assign(more=1.0)[["c", "more", "a", "b"]]
    np.testing.assert_array_equal(m.logpdf(wide), m.logpdf(X))
    np.testing.assert_array_equal(m.logpdf(frame.rename(columns=str.lower)), m.logpdf(X))
    with pytest.raises(InputError, match="b"):
        m.logpdf(frame[["a", "c"]])


def test_scipy_frozen_distribution_agrees():
    """One component is SciPy's multivariate normal."""
    m = some(k=1)
    theirs = multivariate_normal(m.means[0], m.covariances[0])
    X = np.random.default_rng(0).normal(size=(20, 3))
    np.testing.assert_allclose(m.logpdf(X), theirs.logpdf(X), rtol=1e-11)
