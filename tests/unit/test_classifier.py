"""The classifier: discriminant analysis, gaps, weights, missing labels."""

import warnings

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import brier_score_loss
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB

from mixtura import GaussianMixture, MixtureClassifier
from mixtura._errors import DegenerateWarning, InputError, InputTypeError
from mixtura.inference.assessment import brier, stratified


def posterior(X, priors, means, covariances):
    """P(c | x) by SciPy's normal density."""
    joint = np.column_stack(
        [
            np.log(p) + multivariate_normal(m, c).logpdf(X)
            for p, m, c in zip(priors, means, covariances, strict=True)
        ]
    )
    likely = np.exp(joint - joint.max(axis=1, keepdims=True))
    return likely / likely.sum(axis=1, keepdims=True)


# ---- what is known under other names


def test_quadratic_discriminant_analysis(iris):
    X, y = iris
    moments = [(X[y == c].mean(axis=0), np.cov(X[y == c].T, bias=True)) for c in range(3)]
    truth = posterior(X, np.ones(3) / 3, *zip(*moments, strict=True))
    for shared in (False, True):
        model = MixtureClassifier(shared=shared).fit(X, y)
        np.testing.assert_allclose(model.predict_proba(X), truth, atol=1e-9)
        np.testing.assert_allclose(model.priors_, 1 / 3, rtol=1e-12)
        for mixture, (mean, covariance) in zip(model.mixtures_, moments, strict=True):
            np.testing.assert_allclose(mixture.means[0], mean, rtol=1e-10)
            np.testing.assert_allclose(mixture.covariances[0], covariance, rtol=1e-9)


def test_linear_discriminant_analysis(iris):
    X, y = iris
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(X, y)
    ours = MixtureClassifier(covariance_type="EEE", shared=True).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-8)
    assert ours.fit_.n_parameters == 3 * 4 + 10


def test_naive_bayes(iris):
    X, y = iris
    theirs = GaussianNB(var_smoothing=0).fit(X, y)
    ours = MixtureClassifier(covariance_type="diag").fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-9)
    np.testing.assert_allclose(
        ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-9, atol=1e-9
    )


def test_several_components_a_class():
    """Classes that no quadric parts: one lies inside the other, which is in two pieces."""
    rng = np.random.default_rng(0)
    sides = np.concatenate([rng.normal(-5, 1, (150, 2)), rng.normal(5, 1, (150, 2))])
    X, y = np.concatenate([sides, rng.normal(0, 1, (300, 2))]), np.repeat(["out", "in"], 300)
    model = MixtureClassifier({"out": [1, 2, 3], "in": 1}, random_state=0).fit(X, y)
    assert [m.n_components for m in model.mixtures_] == [1, 2]  # classes_ are sorted
    assert model.score(X, y) == 1.0
    # Bayes' rule over the mixtures, by hand.
    density = np.column_stack([m.pdf(X) for m in model.mixtures_]) * model.priors_
    np.testing.assert_allclose(
        model.predict_proba(X), density / density.sum(axis=1, keepdims=True), atol=1e-12
    )
    np.testing.assert_allclose(model.score_samples(X), np.log(density.sum(axis=1)), rtol=1e-10)
    np.testing.assert_allclose(model.mixture_.logpdf(X), model.score_samples(X), rtol=1e-10)
    assert model.model_.owners.tolist() == [0, 1, 1]


def test_a_family_for_all_is_chosen_by_bic(iris):
    X, y = iris
    model = MixtureClassifier(covariance_type=["tied", "full", "spherical"], shared=True).fit(X, y)
    (table,) = model.fit_.tables
    assert [c.covariance_type for c in table] == ["tied", "full", "spherical"]
    scores = []
    for kind, p in (("tied", 22), ("full", 42), ("spherical", 15)):
        alone = MixtureClassifier(covariance_type=kind, shared=True).fit(X, y)
        joint = np.log(alone.priors_)[y] + np.choose(y, [m.logpdf(X) for m in alone.mixtures_])
        scores.append(-2 * joint.sum() + p * np.log(150))
    np.testing.assert_allclose([c.bic for c in table], scores, rtol=1e-10)
    assert model.fit_.best[0].bic == pytest.approx(min(scores), rel=1e-12)
    assert model.fit_.bic == pytest.approx(min(scores), rel=1e-12)


# ---- gaps, weights, priors, units


def test_missing_values(iris):
    X, y = iris[0].copy(), iris[1]
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    model = MixtureClassifier(tol=1e-10).fit(X, y)
    for c, mixture in enumerate(model.mixtures_):
        alone = GaussianMixture(tol=1e-10).fit(X[y == c]).mixture_
        np.testing.assert_allclose(mixture.means, alone.means, rtol=1e-9)
    assert model.score(X, y) > 0.9
    row = np.array([[5.0, np.nan, np.nan, 1.0]])
    parts = [m.marginal([0, 3]).pdf([[5.0, 1.0]])[0] for m in model.mixtures_]
    np.testing.assert_allclose(model.predict_proba(row)[0], parts / np.sum(parts), rtol=1e-9)
    nothing = np.full((1, 4), np.nan)
    np.testing.assert_allclose(model.predict_proba(nothing)[0], model.priors_, rtol=1e-12)


@pytest.mark.parametrize("shared", [False, True])
def test_a_weight_counts_as_repetition(iris, shared):
    X, y = iris
    w = np.random.default_rng(0).integers(0, 4, 150)
    weighted = MixtureClassifier(shared=shared).fit(X, y, sample_weight=w)
    repeated = MixtureClassifier(shared=shared).fit(X.repeat(w, axis=0), y.repeat(w))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-9)
    np.testing.assert_allclose(weighted.priors_, np.bincount(y, w) / w.sum(), rtol=1e-12)
    assert weighted.fit_.bic == pytest.approx(repeated.fit_.bic, rel=1e-10)


def test_a_class_without_weight_does_not_count(iris):
    X, y = iris
    model = MixtureClassifier().fit(X, y, sample_weight=(y > 0).astype(float))
    assert model.classes_.tolist() == [1, 2] and model.predict_proba(X).shape == (150, 2)


def test_priors(iris):
    X, y = iris[0][:120], iris[1][:120]
    free = MixtureClassifier().fit(X, y)
    np.testing.assert_allclose(free.priors_, [50 / 120, 50 / 120, 20 / 120], rtol=1e-12)
    given = np.array([0.2, 0.3, 0.5])
    for priors in (given, {0: 0.2, 1: 0.3, 2: 0.5}):
        for shared in (False, True):
            model = MixtureClassifier(priors=priors, shared=shared).fit(X, y)
            moved = free.predict_proba(X) * given / free.priors_
            moved /= moved.sum(axis=1, keepdims=True)
            np.testing.assert_allclose(model.predict_proba(X), moved, atol=1e-9)
    assert MixtureClassifier(priors="uniform").fit(X, y).priors_.tolist() == [1 / 3] * 3


@pytest.mark.parametrize(("scale", "shift"), [(1e-8, 0.0), (1e8, 0.0), (1.0, 1e8)])
@pytest.mark.parametrize("shared", [False, True])
def test_units_do_not_matter(iris, scale, shift, shared):
    X, y = iris
    plain = MixtureClassifier(shared=shared).fit(X, y)
    moved = MixtureClassifier(shared=shared).fit(X * scale + shift, y)
    # A shift of 1e8 leaves eight digits of the rows.
    atol = 1e-5 if shift else 1e-9
    np.testing.assert_allclose(
        moved.predict_proba(X * scale + shift), plain.predict_proba(X), atol=atol
    )


def test_the_number_of_threads_does_not_matter(iris):
    X, y = iris
    a, b = (MixtureClassifier(2, random_state=3, n_jobs=jobs).fit(X, y) for jobs in (1, 3))
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))


def test_a_point_far_away(iris):
    model = MixtureClassifier().fit(*iris)
    found = model.predict_proba(np.full((1, 4), 1e200))
    assert np.isfinite(found).all() and found.sum() == pytest.approx(1.0)


# ---- rows without a label


def em_by_hand(X, codes, w, priors, size, steps=300):
    """EM over labelled and unlabelled rows with one full covariance a class, in loops."""
    shares = np.full((len(X), size), 1.0 / size)
    known = codes >= 0
    shares[known] = np.eye(size)[codes[known]]
    moments = [
        (X[codes == c].mean(axis=0), np.cov(X[codes == c].T, bias=True)) for c in range(size)
    ]
    chances = np.bincount(codes[known], w[known]) / w[known].sum() if priors is None else priors
    for _ in range(steps):
        shares[~known] = posterior(X[~known], chances, *zip(*moments, strict=True))
        mass = shares * w[:, None]
        if priors is None:
            chances = mass.sum(axis=0) / mass.sum()
        moments = []
        for c in range(size):
            mean = mass[:, c] @ X / mass[:, c].sum()
            off = X - mean
            moments.append((mean, (off * mass[:, [c]]).T @ off / mass[:, c].sum()))
    return chances, moments


@pytest.fixture(scope="module")
def sparse(iris):
    """Iris with the species of most rows unknown, and weights."""
    rng = np.random.default_rng(4)
    codes = np.where(rng.random(150) < 0.25, iris[1], -1)
    return iris[0], codes, rng.uniform(0.5, 2.0, 150)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("priors", [None, np.array([0.3, 0.3, 0.4])])
def test_semi_supervised_is_em_over_classes(sparse, shared, priors):
    X, codes, w = sparse
    model = MixtureClassifier(
        shared=shared, semi_supervised=True, priors=priors, tol=1e-13, max_iter=5000
    ).fit(X, codes, sample_weight=w)
    chances, moments = em_by_hand(X, codes, w, priors, 3)
    np.testing.assert_allclose(model.priors_, chances, atol=1e-6)
    for mixture, (mean, covariance) in zip(model.mixtures_, moments, strict=True):
        np.testing.assert_allclose(mixture.means[0], mean, atol=1e-5)
        np.testing.assert_allclose(mixture.covariances[0], covariance, atol=1e-5)


def test_the_climb_never_falls(sparse):
    X, codes, w = sparse
    model = MixtureClassifier(
        2, covariance_type="diag", semi_supervised=True, random_state=0, tol=1e-9
    ).fit(X, codes, sample_weight=w)
    trace = np.array(model.fit_.trace)
    assert len(trace) > 3 and (np.diff(trace) >= -1e-12).all() and model.converged_
    # The last entry belongs to the model that is returned.
    joint = np.log(model.priors_) + np.column_stack([m.logpdf(X) for m in model.mixtures_])
    known = codes >= 0
    value = w[known] @ joint[known, codes[known]] + w[~known] @ model.score_samples(X[~known])
    assert trace[-1] == pytest.approx(value / w.sum(), rel=1e-10)
    assert model.fit_.log_likelihood == pytest.approx(value, rel=1e-10)


def test_unlabelled_rows_help():
    """Six labels among four hundred rows: the shapes come from the rows without one."""
    rng = np.random.default_rng(1)
    shapes = [np.diag([9.0, 0.1]), np.diag([0.1, 9.0])]
    X = np.concatenate([rng.multivariate_normal([4 * c, 2 * c], shapes[c], 200) for c in (0, 1)])
    y = np.repeat([0, 1], 200)
    told = np.full(400, -1)
    told[[0, 1, 2, 200, 201, 202]] = y[[0, 1, 2, 200, 201, 202]]
    with_them = MixtureClassifier(semi_supervised=True, random_state=0).fit(X, told)
    full = MixtureClassifier().fit(X, y)
    assert with_them.score(X, y) > full.score(X, y) - 0.02 > 0.9


def test_all_rows_labelled_is_supervised(iris):
    a = MixtureClassifier(semi_supervised=True).fit(*iris)
    b = MixtureClassifier().fit(*iris)
    np.testing.assert_array_equal(a.predict_proba(iris[0]), b.predict_proba(iris[0]))


def test_ways_to_say_that_a_label_is_unknown(iris):
    X, y = iris
    known = np.random.default_rng(0).random(150) < 0.4
    first = MixtureClassifier(semi_supervised=True).fit(X, np.where(known, y, -1))
    truth = first.predict_proba(X)
    names = np.array(["a", "b", "c"])[y]
    for told in (
        np.where(known, y, np.nan),
        np.where(known, y.astype(object), None),
        np.where(known, names.astype(object), None),
        np.where(known, names.astype(object), np.nan),
        np.where(known, names.astype(object), -1),
        pytest.importorskip("pandas").Series(np.where(known, y, np.nan)),
    ):
        model = MixtureClassifier(semi_supervised=True).fit(X, told)
        np.testing.assert_array_equal(model.predict_proba(X), truth)
    one = MixtureClassifier(semi_supervised="missing").fit(X, np.where(known, y, -1))
    assert one.classes_.tolist() == [-1, 0, 1, 2]  # -1 is a class like any other


def test_choosing_with_rows_without_labels(sparse):
    X, codes, _ = sparse
    model = MixtureClassifier(
        [1, 2], covariance_type=["spherical", "full"], semi_supervised=True, random_state=0
    ).fit(X, codes)
    assert model.score(X, np.repeat([0, 1, 2], 50)) > 0.93
    assert len(model.fit_.tables) == 3 and len(model.fit_.tables[0]) == 4
    fixed = MixtureClassifier(
        {c: one.n_components for c, one in enumerate(model.fit_.best)},
        covariance_type={c: one.covariance_type for c, one in enumerate(model.fit_.best)},
        semi_supervised=True,
        random_state=0,
    ).fit(X, codes)
    assert model.fit_.bic <= fixed.fit_.bic + 0.5  # within a local optimum's reach


# ---- how well it foretells


def test_brier_score(iris):
    X, y = iris[0][50:], iris[1][50:]
    w = np.random.default_rng(0).uniform(0.1, 2.0, 100)
    model = MixtureClassifier(covariance_type="diag").fit(X, y)
    theirs = brier_score_loss(y == 2, model.predict_proba(X)[:, 1], sample_weight=w)
    assert model.brier_score(X, y, sample_weight=w) == pytest.approx(theirs, rel=1e-12)
    assert brier(np.eye(3), np.array([0, 1, 2]), np.ones(3)) == 0.0
    assert brier(np.eye(3), np.array([1, 2, 0]), np.ones(3)) == 1.0


def test_cross_validation_leaves_rows_out(iris):
    X, y = iris
    found = MixtureClassifier(covariance_type="diag", random_state=0).cross_validate(X, y, 5)
    assert sorted(np.bincount(found.folds)) == [30] * 5
    assert (np.bincount(found.folds[y == 0]) == 10).all()
    errors, scores = np.empty(5), np.empty(5)
    for part in range(5):
        test = found.folds == part
        model = MixtureClassifier(covariance_type="diag").fit(X[~test], y[~test])
        np.testing.assert_allclose(
            found.probabilities[test], model.predict_proba(X[test]), atol=1e-10
        )
        errors[part] = 1 - model.score(X[test], y[test])
        scores[part] = model.brier_score(X[test], y[test])
    assert found.error == pytest.approx(errors.mean(), abs=1e-12)
    assert found.error_se == pytest.approx(errors.std(ddof=1) / np.sqrt(5), rel=1e-9)
    assert found.brier == pytest.approx(scores.mean(), rel=1e-9)
    assert found.brier_se == pytest.approx(scores.std(ddof=1) / np.sqrt(5), rel=1e-9)
    assert found.log_loss == pytest.approx(
        -np.log(found.probabilities[np.arange(150), y]).mean(), rel=1e-9
    )
    assert "error" in str(found) and "±" in str(found)


def test_cross_validation_without_all_labels(sparse):
    X, codes, w = sparse
    model = MixtureClassifier(covariance_type="tied", shared=True, semi_supervised=True)
    found = model.cross_validate(X, codes, 4, sample_weight=w)
    assert ((found.folds < 0) == (codes < 0)).all()
    assert np.isnan(found.probabilities[codes < 0]).all()
    wrong = found.probabilities[codes >= 0].argmax(axis=1) != codes[codes >= 0]
    assert found.error == pytest.approx(np.average(wrong, weights=w[codes >= 0]), abs=1e-12)
    assert not hasattr(model, "classes_")


def test_folds_are_even_in_every_class():
    codes = np.repeat([0, 1, -1, 2], [11, 7, 5, 9])
    folds = stratified(codes, 4, 0)
    for c in range(3):
        sizes = np.bincount(folds[codes == c], minlength=4)
        assert sizes.max() - sizes.min() <= 1
    assert (folds[codes < 0] == -1).all()
    with pytest.raises(InputError, match="two rows a class"):
        stratified(np.array([0, 0, 1]), 2, 0)


# ---- what is said, and what is refused


def test_summary_and_report(iris):
    X, y = iris[0], np.array(["setosa", "versicolor", "virginica"])[iris[1]]
    model = MixtureClassifier(shared=True, covariance_type="tied").fit(X, y)
    text = model.summary()
    for part in ("one family", "setosa", "0.333", "tied", "22 parameters", f"{model.fit_.bic:.3f}"):
        assert part in text
    report = model.report(X, y)
    assert report.confusion.tolist() == [[50, 0, 0], [0, 48, 2], [0, 1, 49]]
    assert report.error == pytest.approx(0.02) and report.brier == model.brier_score(X, y)
    assert "versicolor" in str(report)


def test_data_frames(iris):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(iris[0], columns=["a", "b", "c", "d"])
    model = MixtureClassifier().fit(frame, pd.Series(iris[1]))
    assert list(model.feature_names_in_) == ["a", "b", "c", "d"]
    assert model.mixtures_[0].feature_names == ("a", "b", "c", "d")
    np.testing.assert_array_equal(
        model.predict_proba(frame), MixtureClassifier().fit(*iris).predict_proba(iris[0])
    )
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["b", "a", "c", "d"]])


def test_grid_search(iris):
    grid = {"covariance_type": ["tied", "diag"]}
    search = GridSearchCV(MixtureClassifier(shared=True), grid, cv=3)
    assert search.fit(*iris).best_params_ == {"covariance_type": "tied"}


def test_sampling(iris):
    model = MixtureClassifier(random_state=0).fit(*iris)
    X, y = model.sample(3000)
    assert X.shape == (3000, 4) and set(y) == {0, 1, 2}
    assert model.score(X, y) > 0.95
    # Standard error of a mean of 1000 rows with deviation 0.35: 0.011.
    assert np.abs(X[y == 0].mean(axis=0) - iris[0][:50].mean(axis=0)).max() < 0.06


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 2, "shared": True}, "one component a class"),
        ({"n_components": {0: 1, 1: 2}}, "lacks"),
        ({"n_components": {0: 1, 1: 2, 2: 1, 7: 1}}, "unknown classes"),
        ({"covariance_type": "round"}, "unknown"),
        ({"priors": [0.5, 0.5]}, "3 probabilities"),
        ({"priors": [0.5, 0.6, 0.2]}, "sum to one"),
        ({"priors": "flat"}, "uniform"),
        ({"semi_supervised": "yes"}, "semi_supervised"),
        ({"criterion": "cv", "shared": True}, "criterion"),
        ({"criterion": "best"}, "criterion"),
        ({"reg_covar": -1.0}, "reg_covar"),
        ({"tol": -1.0}, "tol"),
    ],
)
def test_parameters_that_cannot_be_used(iris, parameters, message):
    with pytest.raises(InputError, match=message):
        MixtureClassifier(**parameters).fit(*iris)


def test_what_else_is_refused(iris):
    X, y = iris
    with pytest.raises(InputTypeError, match="max_iter"):
        MixtureClassifier(max_iter=1.5).fit(X, y)
    with pytest.raises(InputError, match=r"row 3.*semi_supervised"):
        MixtureClassifier().fit(X, np.where(np.arange(150) == 3, np.nan, y))
    with pytest.raises(InputError, match="no row has a class"):
        MixtureClassifier(semi_supervised=True).fit(X, np.full(150, -1))
    with pytest.raises(InputError, match="inconsistent"):
        MixtureClassifier().fit(X, y[:-1])
    with pytest.warns(DataConversionWarning):
        model = MixtureClassifier().fit(X, y[:, None])
    with pytest.raises(InputError, match=r"\[7\].*not there"):
        model.brier_score(X, np.full(150, 7))
    with pytest.raises(NotFittedError):
        MixtureClassifier().predict(X)
    before = vars(model).copy()
    with pytest.raises(InputError):
        model.fit(X, y[:-1])
    assert vars(model) == before  # a failed fit leaves everything as it was


@pytest.mark.filterwarnings("ignore::mixtura.MixturaWarning")
def test_a_warning_names_the_class(iris):
    X, y = iris[0][:103], iris[1][:103]  # three rows of the last species
    with pytest.warns(DegenerateWarning, match="class '2'"):
        MixtureClassifier(5, covariance_type="spherical", random_state=0).fit(X, y)


def test_more_parameters_than_rows_are_not_tried(iris):
    """Three full covariances for the 25 rows of a class win by BIC, and foretell badly."""
    X, y = iris
    options = {"covariance_type": ["full", "diag"], "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MixtureClassifier([1, 2, 3], **options).fit(X[::2], y[::2])
        asked = MixtureClassifier(3, covariance_type="full", random_state=0).fit(X[::2], y[::2])
        free = MixtureClassifier([1, 2, 3], prior="fraley-raftery", **options).fit(X[::2], y[::2])
        doubled = MixtureClassifier([1, 2, 3], **options)
        doubled.fit(X[::2], y[::2], sample_weight=np.full(75, 2.0))
    for table, best in zip(model.fit_.tables, model.fit_.best, strict=True):
        # full with 1, 2, 3 components: 14, 29, 44; diag: 8, 17, 26.
        refused = {(c.n_components, c.covariance_type) for c in table if c.failure}
        assert refused == {(2, "full"), (3, "full"), (3, "diag")}
        assert best.n_parameters <= 25 and len(table) == 6
        assert all("for 25 rows" in c.failure for c in table if c.failure)
    assert model.score(X[1::2], y[1::2]) > asked.score(X[1::2], y[1::2])
    assert asked.fit_.best[0].n_parameters == 44  # what is asked for alone is fitted
    assert not any(c.failure for table in free.fit_.tables for c in table)
    assert [c.failure is None for c in doubled.fit_.tables[0]].count(True) == 6  # 50 rows


def test_few_rows_a_class_with_a_prior(iris):
    """A prior lets larger models compete without spurious maxima."""
    X, y = iris
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MixtureClassifier(
            [1, 2, 3],
            covariance_type=["full", "diag"],
            prior="fraley-raftery",
            random_state=0,
        ).fit(X[::2], y[::2])
    assert model.score(X[1::2], y[1::2]) >= 0.94
