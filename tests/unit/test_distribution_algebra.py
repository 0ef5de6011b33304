"""Closed operations on mixtures: images, sums, products, pools, conditionals, posteriors."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from mixtura import InputError, Mixture, Mixtures, Noise, StudentT, log_inner_product, pool
from mixtura.frame import Frame
from mixtura.operations.frames import in_frame


def drawn(seed, k, d, **more):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(k, d, d))
    covariances = roots @ roots.swapaxes(1, 2) + 0.2 * np.eye(d)
    return Mixture(rng.dirichlet(np.ones(k)), rng.normal(0, 2, (k, d)), covariances, **more)


def framed(mixture, seed=9):
    """The same mixture kept in other coordinates."""
    rng = np.random.default_rng(seed)
    d = mixture.n_features
    return in_frame(mixture, Frame(rng.normal(size=d), np.exp2(rng.integers(-5, 6, d))))


def gaussian_sum(x, weights, means, covariances):
    parts = zip(weights, means, covariances, strict=True)
    return sum(w * stats.multivariate_normal(m, c).pdf(x) for w, m, c in parts)


F = Mixture([0.2, 0.5, 0.3], [[-2.0], [0.0], [3.0]], [[[0.25]], [[1.0]], [[2.25]]])
G = Mixture([0.6, 0.4], [[-1.0], [2.0]], [[[1.0]], [[1.0]]])


# ---- affine images


def test_an_image_has_the_density_of_the_transformed_rows():
    mixture = framed(drawn(0, 3, 3))
    A, b = np.random.default_rng(1).normal(size=(3, 3)), np.array([1.0, -2.0, 50.0])
    X = mixture.sample(20, 2)
    image = mixture.affine(A, b, feature_names=["p", "q", "r"])
    want = mixture.logpdf(X) - np.log(abs(np.linalg.det(A)))
    np.testing.assert_allclose(image.logpdf(X @ A.T + b), want, rtol=1e-10)
    assert image.feature_names == ("p", "q", "r")
    wide = mixture.affine(A[:2], b[:2])
    np.testing.assert_allclose(wide.covariances, A[:2] @ mixture.covariances @ A[:2].T, rtol=1e-11)
    np.testing.assert_allclose(wide.means, mixture.means @ A[:2].T + b[:2], rtol=1e-11)


def test_an_image_keeps_the_structure_where_it_only_picks_and_scales():
    mixture = Mixture([1.0], [[1.0, 2.0]], [[1.0, 4.0]], covariance_type="diag")
    image = mixture.affine([[0.0, -3.0], [1.0, 0.0]])
    assert image.structure.name == "diag"
    np.testing.assert_array_equal(image.covariances[0], [[36.0, 0.0], [0.0, 1.0]])


def test_students_t_and_noise_go_along_with_an_image():
    noise = Noise(0.2, np.array([-9.0, -9.0]), np.array([9.0, 9.0]))
    mixture = drawn(3, 2, 2, law=StudentT(np.array([3.0, 8.0])), noise=noise)
    A = np.array([[1.0, 2.0], [-1.0, 1.0]])
    image, X = mixture.affine(A, 1.0), mixture.sample(9, 0)
    want = mixture.logpdf(X) - np.log(3.0)
    np.testing.assert_allclose(image.logpdf(X @ A.T + 1.0), want, rtol=1e-11)
    np.testing.assert_allclose(image.covariance(), A @ mixture.covariance() @ A.T, rtol=1e-11)
    with pytest.raises(InputError, match="noise spread evenly"):
        mixture.affine(A[:1])


@pytest.mark.parametrize(
    ("matrix", "shift", "told"),
    [
        ([[1.0, 1.0], [2.0, 2.0]], 0.0, "span 1 dim"),
        ([[1.0]], 0.0, r"\(m, 2\)"),
        ([[1.0, np.nan]], 0.0, "NaN"),
        ([[1.0, 0.0]], [1.0, 2.0], "shift has shape"),
        ([[0.0, 0.0]], 0.0, "span 0"),
    ],
)
def test_images_without_a_density_are_refused(matrix, shift, told):
    with pytest.raises(InputError, match=told):
        drawn(0, 2, 2).affine(matrix, shift)


# ---- sums and products


def test_a_sum_is_the_convolution_of_the_densities():
    for x in (-2.0, 0.7):
        want, _ = quad(lambda t, x=x: (F.pdf([[t]]) * G.pdf([[x - t]]))[0], -15, 15, limit=200)
        assert F.convolve(G).pdf([[x]])[0] == pytest.approx(want, rel=1e-8)


def test_a_sum_adds_means_and_covariances():
    one, two = framed(drawn(1, 3, 2), 5), framed(drawn(2, 2, 2), 6)
    total = one.convolve(two)
    np.testing.assert_allclose(total.mean(), one.mean() + two.mean(), rtol=1e-11)
    np.testing.assert_allclose(total.covariance(), one.covariance() + two.covariance(), rtol=1e-11)


def test_a_product_is_the_renormalised_product():
    one, two = framed(drawn(1, 3, 2), 5), framed(drawn(2, 2, 2), 6)
    X = one.sample(9, 0)
    got = one.product(two).logpdf(X) + log_inner_product(one, two)
    np.testing.assert_allclose(got, one.logpdf(X) + two.logpdf(X), rtol=1e-9)


def test_the_integral_of_a_product_to_the_digits():
    """30 digits by mpmath quadrature of the three and the two components."""
    assert np.exp(log_inner_product(F, G)) == pytest.approx(0.14158033654663195529, rel=1e-14)


def test_sums_and_products_need_gaussians_of_the_same_features():
    heavy = Mixture([1.0], [[0.0]], [[[1.0]]], law=StudentT(np.array([3.0])))
    for call in (F.convolve, F.product):
        with pytest.raises(InputError, match="Student"):
            call(heavy)
        with pytest.raises(InputError, match="1 and 2 features"):
            call(drawn(0, 1, 2))
    a, b = (drawn(0, 1, 2, feature_names=names) for names in (["a", "b"], ["b", "a"]))
    with pytest.raises(InputError, match="in the order of the other"):
        a.product(b)


# ---- pools


def test_a_pool_weighs_the_densities():
    one, two = framed(drawn(1, 3, 2)), drawn(2, 1, 2)
    X = one.sample(9, 0)
    got = pool([one, two], [3, 1]).pdf(X)
    np.testing.assert_allclose(got, 0.75 * one.pdf(X) + 0.25 * two.pdf(X), rtol=1e-11)
    assert pool([one]) is one


def test_pools_that_are_refused():
    heavy = Mixture([1.0], [[0.0]], [[[1.0]]], law=StudentT(np.array([3.0])))
    noisy = F.changed(noise=Noise(0.1, np.array([-5.0]), np.array([5.0])))
    for mixtures, told in [([], "nothing"), ([F, heavy], "Student's t"), ([F, noisy], "noise")]:
        with pytest.raises(InputError, match=told):
            pool(mixtures)
    with pytest.raises(InputError, match="2 mixtures need 2"):
        pool([F, G], [0.0, 0.0])
    assert pool([heavy, heavy]).law == StudentT(np.array([3.0, 3.0]))


# ---- conditionals of many rows


NOISE = Noise(0.15, np.full(4, -9.0), np.full(4, 9.0))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"law": StudentT(np.array([3.0, 6.0, 20.0]))},
        {"noise": NOISE},
        {"law": StudentT(np.array([3.0, 6.0, 20.0])), "noise": NOISE},
    ],
)
def test_conditionals_are_the_conditionals_of_each_row(more):
    mixture = drawn(4, 3, 4, feature_names=list("abcd"), **more)
    mixture = framed(mixture)
    X = mixture.sample(12, 0)
    X[3, 0], X[5, 2], X[7, [0, 2]] = np.nan, np.nan, np.nan
    many = mixture.conditionals(X[:, [2, 0]], ["c", "a"])
    assert isinstance(many, Mixtures) and len(many) == 12 and many.feature_names == ("b", "d")
    assert len(many.spread) == 4
    means, covariances = many.mean(), many.covariance()
    logs, at = many.logpdf(X[:, [1, 3]]), np.column_stack([X[:, 1], np.full(12, np.nan)])
    partial = many.logpdf(at)
    for row, one in enumerate(many):
        seen = {name: X[row, i] for i, name in enumerate("abcd") if i in (0, 2)}
        given = {name: value for name, value in seen.items() if not np.isnan(value)}
        want = mixture.condition(given) if given else mixture
        want = want.marginal(["b", "d"])
        np.testing.assert_allclose(one.weights, want.weights, rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(one.means, want.means, rtol=1e-9)
        np.testing.assert_allclose(one.covariances, want.covariances, rtol=1e-9)
        np.testing.assert_allclose(means[row], want.mean(), rtol=1e-9)
        np.testing.assert_allclose(covariances[row], want.covariance(), rtol=1e-9)
        np.testing.assert_allclose(logs[row], want.logpdf(X[[row]][:, [1, 3]])[0], rtol=1e-9)
        np.testing.assert_allclose(partial[row], want.logpdf(at[[row]])[0], rtol=1e-9)
        sub = np.where(np.isin(range(4), [0, 2]), X[row], np.nan)[None]
        if given:
            np.testing.assert_allclose(many.log_evidence[row], mixture.logpdf(sub)[0], rtol=1e-9)


@pytest.mark.parametrize("law", [None, StudentT(np.array([3.0, 6.0, 20.0]))])
def test_quantiles_of_many_rows(law):
    mixture = framed(drawn(4, 3, 2, **({} if law is None else {"law": law})))
    X = mixture.sample(40, 0)
    many = mixture.conditionals(X[:, :1], 0)
    p = np.array([1e-12, 0.05, 0.5, 0.999])
    found = many.quantile(p)
    want = np.stack([one.quantile(p) for one in many])
    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(many.cdf(found[:, 1]), 0.05, rtol=1e-9)
    np.testing.assert_allclose(many.quantile(0.5), found[:, 2], rtol=1e-14)
    with pytest.raises(InputError, match="one value each"):
        many.cdf([1.0, 2.0])


def test_draws_from_many_rows_have_their_moments():
    mixture = drawn(4, 3, 3)
    many = mixture.conditionals([[0.0], [2.0]], 1)
    drawn_ = many.sample(40_000, 0)
    deviations = many.std()
    assert drawn_.mean(axis=1) == pytest.approx(many.mean(), abs=5 * deviations.max() / 200)
    assert drawn_.std(axis=1) == pytest.approx(deviations, rel=0.03)  # 5 sd at this kurtosis


def test_many_rows_can_be_cut():
    many = drawn(4, 3, 3).conditionals(np.linspace(0, 1, 9)[:, None], 1)
    some = many[2:4]
    assert isinstance(some, Mixtures) and len(some) == 2 and some[0] == many[2]
    assert many[-1] == many[8] and "9 mixtures of 3" in repr(many)
    assert many.marginal([1]).mean() == pytest.approx(many.mean()[:, [1]])


def test_conditionals_that_are_refused():
    mixture = drawn(4, 2, 2)
    with pytest.raises(InputError, match="all dimensions"):
        mixture.conditionals([[0.0, 1.0]], [0, 1])
    with pytest.raises(InputError, match="expecting 1 features"):
        mixture.conditionals([[0.0, 1.0]], [0])
    many = mixture.conditionals([[0.0]], [0])
    with pytest.raises(InputError, match="one row each"):
        many.logpdf([[0.0], [1.0]])


# ---- posteriors


def joint_of(mixture, A, R):
    """The mixture of (x, A x + e), by its definition."""
    lift = np.vstack([np.eye(A.shape[1]), A])
    covariances = lift @ mixture.covariances @ lift.T
    covariances[:, -len(A) :, -len(A) :] += R
    return Mixture(mixture.weights, mixture.means @ lift.T, covariances)


def same(one, want):
    np.testing.assert_allclose(one.weights, want.weights, rtol=1e-9)
    np.testing.assert_allclose(one.means, want.means, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(one.covariances, want.covariances, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("own", [False, True])
def test_a_posterior_is_the_conditional_of_the_joint(own):
    rng = np.random.default_rng(0)
    mixture, A = framed(drawn(5, 3, 3)), rng.normal(size=(2, 3))
    R = np.array([[0.5, 0.2], [0.2, 0.3]])
    Y = rng.normal(size=(6, 2))
    Y[2, 0], Y[4] = np.nan, np.nan
    each = np.array([R * (1 + i) for i in range(6)]) if own else np.array([R] * 6)
    many = mixture.posterior(Y, each if own else R, A)
    assert len(many.spread) == (6 if own else 3)
    for row, one in enumerate(many):
        joint = joint_of(mixture, A, each[row])
        given = {3 + j: value for j, value in enumerate(Y[row]) if not np.isnan(value)}
        same(one, (joint.condition(given) if given else joint).marginal([0, 1, 2]))
        if given:
            seen = joint.marginal(list(given)).logpdf([list(given.values())])[0]
            assert many.log_evidence[row] == pytest.approx(seen, rel=1e-9)
        else:
            assert many.log_evidence[row] == pytest.approx(0.0, abs=1e-12)
    alone = mixture.posterior(Y[1], each[1], A)
    assert isinstance(alone, Mixture)
    same(alone, many[1])


def test_a_posterior_under_hardly_any_noise_is_sound():
    mixture = drawn(5, 3, 3)
    found = mixture.posterior(mixture.means[0], noise_cov=1e-18)
    assert found.covariances.diagonal(axis1=1, axis2=2) == pytest.approx(1e-18, rel=1e-6)
    assert found.means == pytest.approx(np.tile(mixture.means[0], (3, 1)), abs=1e-9)


def test_a_posterior_under_much_noise_is_the_prior():
    mixture = drawn(5, 3, 3)
    same(mixture.posterior(np.zeros(3), noise_cov=1e12), mixture)


@pytest.mark.parametrize(
    ("y", "R", "A", "told"),
    [
        ([0.0, 0.0], 0.0, None, "positive-definite"),
        ([0.0, 0.0], np.ones(3), None, "a variance"),
        ([0.0], 1.0, None, "y has 1 columns"),
        ([0.0, 0.0], np.full((2, 2), np.inf), None, "NaN in X"),
        ([0.0], 1.0, [[1.0, 0.0, 0.0]], r"\(p, 2\)"),
    ],
)
def test_posteriors_that_are_refused(y, R, A, told):
    with pytest.raises(InputError, match=told):
        drawn(0, 2, 2).posterior(y, R, A)


def test_a_posterior_of_students_t_is_refused():
    heavy = Mixture([1.0], [[0.0]], [[[1.0]]], law=StudentT(np.array([3.0])))
    with pytest.raises(InputError, match="condition on exact values"):
        heavy.posterior([0.0], 1.0)


def test_law_of_total_probability_over_many_rows():
    """Averaged over observations, posteriors give back the prior's moments."""
    mixture = framed(drawn(5, 3, 2))
    Y = mixture.sample(100_000, 0) + np.random.default_rng(1).normal(0, 0.7, (100_000, 2))
    many = mixture.posterior(Y, 0.49)
    assert many.mean().mean(axis=0) == pytest.approx(mixture.mean(), abs=0.05)
    total = many.covariance().mean(axis=0) + np.cov(many.mean().T)
    np.testing.assert_allclose(total, mixture.covariance(), rtol=0.03)
