"""Measurement errors at the door: what is read, what is refused, and who passes them on."""

import numpy as np
import pytest

import mixtura
from mixtura import GaussianMixture, InputError, Mixture, kernels, select
from mixtura.source.shuffle import shuffled

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(0, 1, (60, 2)), RNG.normal(5, 1, (60, 2))])
V = RNG.uniform(0.1, 0.5, X.shape)


def matrices(variances):
    return np.array([np.diag(row) for row in variances])


def fit(**given):
    model = GaussianMixture(2, init_params=np.repeat([0, 1], 60), max_iter=20)
    return model.fit(X, **given)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (0.3, np.full(X.shape, 0.3)),
        ([0.3, 0.1], np.tile([0.3, 0.1], (120, 1))),
        ([[0.3, 0.1], [0.1, 0.2]], np.tile([[0.3, 0.1], [0.1, 0.2]], (120, 1, 1))),
        (V, matrices(V)),
    ],
)
def test_every_way_to_write_noise_means_the_same(short, long):
    one, other = fit(noise_cov=short), fit(noise_cov=long)
    np.testing.assert_allclose(one.means_, other.means_, rtol=1e-7)
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, rel=1e-10)


BAD = np.where(np.arange(120)[:, None] == 7, -0.1, V)
SKEW = matrices(V)
SKEW[9, 0, 1] = 0.2
INDEFINITE = matrices(V)
INDEFINITE[4] = [[1.0, 2.0], [2.0, 1.0]]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"noise_cov": np.ones(3)}, "a variance, "),
        ({"noise_cov": BAD}, "row 7 has variance -0.1 in column 0"),
        ({"noise_cov": np.where(BAD < 0, np.nan, V)}, "row 7 has variance nan"),
        ({"noise_cov": -1.0}, "variances are at least 0"),
        ({"noise_cov": SKEW}, "row 9 is not symmetric"),
        ({"noise_cov": INDEFINITE}, "row 4 is below zero"),
        ({"noise_cov": np.full((120, 2, 2), np.inf)}, "row 0 is not finite"),
        ({"noise_cov": "much"}, "noise_cov must be numbers"),
        ({"projection": np.ones((3, 2))}, r"\(2, d\) or \(120, 2, d\)"),
        ({"projection": [[1.0, np.nan], [0.0, 1.0]]}, "NaN or infinite"),
        ({"projection": np.ones((2, 1))}, "row 0 measures the same thing twice"),
        ({"projection": [[1.0, 0.0], [1.0, 0.0]], "noise_cov": 1.0}, "coordinate 1 of x"),
    ],
)
def test_what_is_refused_and_where(given, told):
    with pytest.raises(InputError, match=told):
        fit(**given)


def test_as_many_rows_as_columns_can_be_read_in_two_ways():
    model = fit(noise_cov=V)
    with pytest.raises(InputError, match="could be variances of 2 rows or one"):
        model.score_samples(X[:2], noise_cov=np.full((2, 2), 0.1))
    rows = model.score_samples(X[:2], noise_cov=V[:2])
    np.testing.assert_allclose(rows, model.score_samples(X, noise_cov=V)[:2], rtol=1e-12)


@pytest.mark.parametrize("option", [{"distribution": "t"}, {"noise": True}, {"trim": 0.1}])
def test_outliers_beside_errors_are_refused(option):
    with pytest.raises(InputError, match="leave out noise_cov"):
        GaussianMixture(2, **option).fit(X, noise_cov=V)
    plain = GaussianMixture(1, random_state=0, **option).fit(X)
    with pytest.raises(InputError, match="leave out noise_cov"):
        plain.predict(X, noise_cov=V)


def test_inference_is_refused_and_says_why():
    model = fit(noise_cov=V)
    assert model.deconvolved_ and not fit().deconvolved_
    for ask in (mixtura.standard_errors, mixtura.bootstrap, mixtura.summary):
        with pytest.raises(InputError, match="fitted to rows with measurement errors"):
            ask(model, X)
    with pytest.raises(InputError, match="pass the same noise_cov"):
        model.validate(X)


def test_fit_predict_and_criteria_see_the_errors():
    start = np.repeat([0, 1], 60)
    model = GaussianMixture(2, init_params=start)
    labels = model.fit_predict(X, noise_cov=V)
    np.testing.assert_array_equal(labels, model.predict(X, noise_cov=V))
    logs = model.score_samples(X, noise_cov=V)
    wide = model.covariances_ + np.diag(V[3])
    one = Mixture(model.weights_, model.means_, wide)
    assert logs[3] == pytest.approx(one.logpdf(X[3:4])[0], rel=1e-12)
    assert model.aic(X, noise_cov=V) == pytest.approx(-2.0 * logs.sum() + 2.0 * 11)
    assert model.bic(X, noise_cov=V) == pytest.approx(-2.0 * logs.sum() + 11 * np.log(120))
    sharp = np.log(model.predict_proba(X, noise_cov=V).max(axis=1)).sum()
    assert model.icl(X, noise_cov=V) == pytest.approx(model.bic(X, noise_cov=V) - 2.0 * sharp)


def test_selection_scores_held_out_rows_with_their_errors():
    """By BIC and by cross-validation; the latter against folds that are scored by hand."""
    chosen = select(X, [1, 2], "full", noise_cov=V, criterion="bic")
    assert chosen.best.n_components == 2
    again = GaussianMixture(2, random_state=0).fit(X, noise_cov=V)
    assert chosen.best.bic == pytest.approx(again.bic(X, noise_cov=V), abs=1e-2)
    crossed = select(X, [1], "full", noise_cov=V, criterion="cv", folds=3)
    fold = shuffled(np.arange(120), 120, 0) % 3
    total = 0.0
    for part in range(3):
        inside = fold != part
        model = GaussianMixture(1).fit(X[inside], noise_cov=V[inside])
        total += model.score_samples(X[~inside], noise_cov=V[~inside]).sum()
    assert crossed.best.cv == pytest.approx(total / 120, rel=1e-5)


def test_columns_of_a_projection_are_those_of_x():
    pd = pytest.importorskip("pandas")
    A = RNG.normal(size=(120, 2, 3))
    model = GaussianMixture(1).fit(pd.DataFrame(X, columns=["u", "v"]), noise_cov=V, projection=A)
    assert model.n_features_in_ == 3 and not hasattr(model, "feature_names_in_")
    assert model.predict_proba(X, noise_cov=V, projection=A).shape == (120, 1)
    with pytest.raises(InputError, match="its last axis must have that length"):
        model.predict(X, projection=A[:, :, :2])
    assert fit(noise_cov=V).n_features_in_ == 2


def test_a_failed_fit_leaves_the_last_one():
    model = fit(noise_cov=V)
    before = model.mixture_
    with pytest.raises(InputError):
        model.fit(X, noise_cov=BAD)
    assert model.mixture_ is before and model.deconvolved_


def test_posteriors_of_rows_with_their_own_noise_and_maps(kernel):
    """Variances are matrices; a map of its own for each row is one call a row."""
    mixture = fit(noise_cov=V).mixture_
    np.testing.assert_allclose(
        mixture.posterior(X, V).mean(), mixture.posterior(X, matrices(V)).mean(), rtol=1e-9
    )
    A = RNG.normal(size=(5, 3, 2))
    Y = RNG.normal(size=(5, 3))
    many = mixture.posterior(Y, V[:5, :1] * np.ones(3), A)
    for row in range(5):
        alone = mixture.posterior(Y[row], V[row, 0], A[row])
        np.testing.assert_allclose(many[row].means, alone.means, rtol=1e-9)
        np.testing.assert_allclose(many[row].covariances, alone.covariances, rtol=1e-9)
    assert kernels.active().__name__.endswith(kernel)
