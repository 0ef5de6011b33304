"""The estimator: a drop-in for scikit-learn's, and what it offers beyond."""

import warnings

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mixtura
from mixtura import Conjugate, GaussianMixture, Mixture, Selection
from mixtura._errors import InputError, InputTypeError, MixturaWarning
from oracle import FAMILIES

# ---- drop-in


def test_parameters_and_methods_of_scikit_learn_are_there():
    from sklearn.mixture import GaussianMixture as Sklearn

    assert set(Sklearn().get_params()) <= set(GaussianMixture().get_params())
    public = {name for name in dir(Sklearn) if not name.startswith("_")}
    assert public <= set(dir(GaussianMixture)) | {"set_callbacks"}


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_a_script_written_for_scikit_learn(kind, iris):
    """The same code, line by line, with either class: the same shapes, an equal or better fit."""
    from sklearn.mixture import GaussianMixture as Sklearn

    def script(cls):
        model = cls(n_components=3, covariance_type=kind, random_state=0, n_init=2, max_iter=200)
        labels = model.fit_predict(iris[0], iris[1])  # y is ignored
        sampled, components = model.sample(10)
        shapes = [
            np.shape(value)
            for value in (
                labels, sampled, components, model.weights_, model.means_, model.covariances_,
                model.precisions_, model.precisions_cholesky_, model.predict_proba(iris[0]),
                model.score_samples(iris[0]),
            )
        ]  # fmt: skip
        assert model.converged_ and model.n_iter_ > 0 and model.n_features_in_ == 4
        assert model.lower_bounds_[-1] == model.lower_bound_
        assert model.aic(iris[0]) < model.bic(iris[0])
        return shapes, model.score(iris[0])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixturaWarning)
        ours = script(GaussianMixture)
    theirs = script(Sklearn)
    assert ours[0] == theirs[0]
    assert ours[1] >= theirs[1] - 1e-3


def test_y_is_ignored(faithful):
    a = GaussianMixture(2, random_state=0).fit(faithful)
    b = GaussianMixture(2, random_state=0).fit(faithful, np.arange(len(faithful)) % 2)
    assert a.mixture_ == b.mixture_


@pytest.mark.parametrize(
    "method",
    [
        "predict",
        "predict_proba",
        "score_samples",
        "score",
        "bic",
        "aic",
        "icl",
        "impute",
        "validate",
    ],
)
def test_methods_need_a_fit(method, faithful):
    with pytest.raises(NotFittedError):
        getattr(GaussianMixture(), method)(faithful)


def test_sampling_and_saving_need_a_fit(tmp_path):
    with pytest.raises(NotFittedError):
        GaussianMixture().sample()
    with pytest.raises(NotFittedError):
        GaussianMixture().save(tmp_path / "m.mixtura")


def test_unfitted_has_no_attributes():
    model = GaussianMixture()
    assert not hasattr(model, "means_")
    assert not hasattr(model, "covariances_")


def test_sample(faithful):
    model = GaussianMixture(2, random_state=3).fit(faithful)
    X, labels = model.sample(5000)
    again, _ = model.sample(5000)
    assert X.shape == (5000, 2) and set(labels) == {0, 1}
    np.testing.assert_array_equal(X, again)  # an integer random_state draws the same each time
    other, _ = model.sample(5000, random_state=4)
    assert not np.array_equal(X, other)
    # Standard errors at 5000 draws: 0.016 and 0.19 minutes.
    assert (np.abs(X.mean(axis=0) - faithful.mean(axis=0)) < [0.08, 0.95]).all()
    np.testing.assert_allclose(np.bincount(labels) / 5000, model.weights_, atol=0.035)
    for n in (0, -1):
        with pytest.raises(ValueError, match="n_samples"):
            model.sample(n)


# ---- pipelines, searches, routing


def test_pipeline_and_grid_search(faithful):
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(random_state=0))
    search = GridSearchCV(
        pipeline, {"gaussianmixture__n_components": [1, 2, 3]}, cv=3, error_score="raise"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixturaWarning)
        search.fit(faithful)
    assert search.best_params_["gaussianmixture__n_components"] >= 2
    assert search.best_estimator_.predict(faithful).shape == (272,)
    scores = cross_val_score(GaussianMixture(2, random_state=0), faithful, cv=3)
    assert np.isfinite(scores).all()


def test_grid_search_with_gaps(faithful):
    X = faithful.copy()
    X[::5, 0] = np.nan
    search = GridSearchCV(
        GaussianMixture(2, random_state=0), {"covariance_type": ["full", "diag"]}, cv=3
    )
    assert np.isfinite(search.fit(X).cv_results_["mean_test_score"]).all()


def test_metadata_routing(faithful):
    w = np.random.default_rng(0).uniform(0.5, 2.0, len(faithful))
    with sklearn.config_context(enable_metadata_routing=True):
        model = GaussianMixture(2, random_state=0)
        model.set_fit_request(sample_weight=True, labels=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
        told = np.full(len(faithful), -1)
        told[0], told[1] = 0, 1
        pipeline.fit(faithful, sample_weight=w, labels=told)
        weighted = pipeline.score(faithful, sample_weight=w)
        search = GridSearchCV(model, {"n_components": [2]}, cv=2)
        search.fit(faithful, sample_weight=w, labels=told)
        unweighted = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False), clone(model)
        ).fit(faithful)
    plain = GaussianMixture(2, random_state=0).fit(
        StandardScaler().fit_transform(faithful), sample_weight=w, labels=told
    )
    np.testing.assert_allclose(pipeline[-1].means_, plain.means_, rtol=1e-12)
    assert weighted != pytest.approx(pipeline.score(faithful), rel=1e-6)
    assert not np.allclose(unweighted[-1].means_, pipeline[-1].means_)


def named_frames(X):
    pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    columns = {"eruptions": X[:, 0], "waiting": X[:, 1]}
    yield pd.DataFrame(columns)
    yield pl.DataFrame(columns)
    yield pa.table(columns)


def test_feature_names(faithful):
    plain = GaussianMixture(2, random_state=0).fit(faithful)
    assert not hasattr(plain, "feature_names_in_")
    for frame in named_frames(faithful):
        model = GaussianMixture(2, random_state=0).fit(frame)
        assert list(model.feature_names_in_) == ["eruptions", "waiting"]
        assert model.feature_names_in_.dtype == object
        assert np.array_equal(model.means_, plain.means_)
        assert np.array_equal(model.predict(frame), plain.predict(faithful))
        with pytest.warns(UserWarning, match="feature names"):
            model.predict(faithful)
        swapped = (
            frame[["waiting", "eruptions"]]
            if not hasattr(frame, "select")
            else frame.select(["waiting", "eruptions"])
        )
        with pytest.raises(ValueError, match="feature names"):
            model.predict(swapped)
        # The frozen value goes by name.
        np.testing.assert_array_equal(model.mixture_.logpdf(swapped), model.mixture_.logpdf(frame))
        model.fit(faithful)
        assert not hasattr(model, "feature_names_in_")
        assert model.mixture_.feature_names is None


def test_integer_column_names_are_no_names(faithful):
    pd = pytest.importorskip("pandas")
    model = GaussianMixture(2, random_state=0).fit(pd.DataFrame(faithful))
    assert not hasattr(model, "feature_names_in_")
    assert model.predict(pd.DataFrame(faithful)).shape == (272,)


# ---- choosing


def test_auto_components(faithful):
    model = GaussianMixture("auto", covariance_type="all", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixturaWarning)
        model.fit(faithful)
    assert isinstance(model.selection_, Selection)
    assert (model.n_components_, model.covariance_type_) == (3, "tied")
    assert model.bic(faithful) == pytest.approx(model.selection_.best.bic, rel=1e-12)
    assert len(model.selection_.candidates) == 9 * 14
    assert clone(model).n_components == "auto"


@pytest.mark.parametrize("components", [range(1, 4), [1, 2, 3], (3, 2, 1), np.array([1, 2, 3])])
def test_a_range_of_components(components, faithful):
    model = GaussianMixture(components, random_state=0).fit(faithful)
    assert model.n_components_ == 2
    assert model.predict_proba(faithful).shape == (272, 2)
    assert {c.n_components for c in model.selection_.candidates} == {1, 2, 3}
    alone = GaussianMixture(2, random_state=0).fit(faithful)
    assert alone.selection_ is None
    assert model.score(faithful) == pytest.approx(alone.score(faithful), abs=1e-5)


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl", "cv"])
def test_criteria(criterion, faithful):
    model = GaussianMixture(
        [1, 2, 3], covariance_type=["diag", "EEE"], criterion=criterion, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixturaWarning)
        model.fit(faithful)
    found = model.selection_
    assert found.criterion == criterion
    assert len(found.candidates) == 6
    assert found.best.score == min(c.score for c in found.candidates if not c.degenerate)
    assert model.covariance_type_ in ("diag", "tied")
    if criterion != "cv":
        assert getattr(model, criterion)(faithful) == pytest.approx(found.best.score, rel=1e-10)


def test_a_choice_keeps_weights_gaps_labels_and_prior(faithful):
    X = faithful.copy()
    X[::4, 1] = np.nan
    told = np.full(len(X), -1)
    told[X[:, 0] < 2.2] = 0
    told[X[:, 0] > 4.2] = 1
    w = np.random.default_rng(0).uniform(0.5, 1.5, len(X))
    model = GaussianMixture(
        [2, 3], covariance_type=["full", "diag"], prior="fraley-raftery", random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixturaWarning)
        model.fit(X, sample_weight=w, labels=told)
    assert model.means_[0, 0] < model.means_[1, 0]
    names = [c.failure for c in model.selection_.candidates]
    assert names == [None] * 4


# ---- starts


def halves(X, k, random_state):
    return (X[:, 0] > np.median(X[:, 0])).astype(int)


@pytest.mark.parametrize(
    "how", ["auto", "kmeans", "k-means++", "random", "random_from_data", halves]
)
def test_init_params(how, faithful):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixturaWarning)
        model = GaussianMixture(2, init_params=how, random_state=0).fit(faithful)
    assert model.score(faithful) * 272 == pytest.approx(-1130.26396, abs=1e-2)
    again = clone(model).fit(faithful)
    assert again.mixture_ == model.mixture_


def test_init_params_as_labels_or_responsibilities(faithful):
    labels = (faithful[:, 0] > 3).astype(int)
    shares = np.eye(2)[labels] * 0.9 + 0.05
    for how in (labels, shares, labels.tolist(), lambda X, k, rng: shares):
        model = GaussianMixture(2, init_params=how, tol=1e-10).fit(faithful)
        assert model.score(faithful) * 272 == pytest.approx(-1130.263960, abs=1e-5)
        assert model.means_[1, 0] > model.means_[0, 0]  # the labels' own numbers


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("k-medoids", "k-medoids"),
        (np.zeros(5, int), r"\(5,\)"),
        (np.full(272, 7), "row 0"),
        (np.zeros((272, 2)), "responsibilities"),
        (np.full((272, 2), np.nan), "responsibilities"),
        (lambda X, k, rng: np.zeros(3), r"\(3,\)"),
        (lambda X, k, rng: np.full(len(X), 0.5), "row 0"),
    ],
)
def test_bad_init_params(how, message, faithful):
    with pytest.raises(InputError, match=message):
        GaussianMixture(2, init_params=how).fit(faithful)


def test_given_parameters_are_where_it_starts(faithful):
    """Read off the first step: `callback` sees the mixture after one M-step from the start."""
    means = np.array([[2.0, 54.0], [4.3, 80.0]])
    seen = []

    def follow(step, value, mixture):
        seen.append((step, value, mixture))
        return True

    model = GaussianMixture(
        2,
        weights_init=[0.3, 0.7],
        means_init=means,
        precisions_init=np.stack([np.diag([4.0, 0.03])] * 2),
        callback=follow,
    ).fit(faithful)
    assert len(seen) == 1 and seen[0][0] == 1
    start = Mixture([0.3, 0.7], means, np.stack([np.diag([0.25, 1 / 0.03])] * 2))
    assert model.lower_bounds_[0] == pytest.approx(start.logpdf(faithful).mean(), rel=1e-11)
    assert model.lower_bounds_[1] == seen[0][1]
    assert model.mixture_ == seen[0][2]


@pytest.mark.parametrize(
    "given",
    [
        {"means_init": np.zeros((3, 2))},
        {"means_init": np.full((2, 2), np.nan)},
        {"weights_init": [0.5, 0.6]},
        {"weights_init": [-0.5, 1.5]},
        {"weights_init": [1.0]},
        {"precisions_init": np.stack([-np.eye(2)] * 2)},
        {"precisions_init": np.eye(2)},
        {"precisions_init": np.stack([[[1.0, 5.0], [0.0, 1.0]]] * 2)},
    ],
)
def test_bad_given_parameters(given, faithful):
    with pytest.raises(InputError, match=next(iter(given))):
        GaussianMixture(2, **given).fit(faithful)


@pytest.mark.parametrize(
    "given",
    [{"weights_init": [0.5, 0.5]}, {"precisions_init": np.stack([np.eye(2)] * 2)}],
)
@pytest.mark.parametrize("how", ["auto", "kmeans"])
def test_some_given_parameters(given, how, faithful):
    """What is not given comes from the start asked for, as in scikit-learn."""
    model = GaussianMixture(2, init_params=how, random_state=0, **given).fit(faithful)
    assert model.score(faithful) * 272 == pytest.approx(-1130.26396, abs=1e-2)


def test_warm_start(faithful):
    model = GaussianMixture(2, warm_start=True, random_state=0, tol=1e-9).fit(faithful)
    first, reached = model.n_iter_, model.lower_bound_
    model.fit(faithful)
    assert model.n_iter_ <= first
    # It starts where it ended.
    assert model.lower_bounds_[0] == pytest.approx(reached, rel=1e-13)
    model.fit(faithful + np.array([0.1, 1.0]))
    assert model.lower_bounds_[0] < reached
    model.set_params(n_components=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixturaWarning)
        model.fit(faithful)
    assert model.means_.shape == (3, 2)
    model.set_params(n_components=2).fit(np.column_stack([faithful, faithful[:, 0] ** 2]))
    assert model.means_.shape == (2, 3)


@pytest.mark.parametrize("family", FAMILIES)
def test_warm_start_of_another_family(family, faithful):
    model = GaussianMixture(2, warm_start=True, random_state=0).fit(faithful)
    model.set_params(covariance_type=family).fit(faithful)
    fresh = GaussianMixture(2, covariance_type=family, random_state=0, tol=1e-9).fit(faithful)
    assert model.covariances_.shape == fresh.covariances_.shape
    assert model.score(faithful) == pytest.approx(fresh.score(faithful), abs=1e-4)


# ---- following


def test_the_callback_sees_every_step(faithful):
    seen = []
    model = GaussianMixture(
        2, init_params="random", random_state=0, callback=lambda *step: seen.append(step)
    ).fit(faithful)
    assert seen and all(isinstance(mixture, Mixture) for *_, mixture in seen)
    steps = [step for step, *_ in seen]
    assert steps == sorted(set(steps)) and steps[-1] <= model.n_iter_
    values = [value for _, value, _ in seen]
    assert values == model.lower_bounds_[1:]  # leaps too
    for _, value, mixture in seen[:3]:
        assert mixture.logpdf(faithful).mean() == pytest.approx(value, rel=1e-10)


def test_true_stops_the_climb(faithful):
    model = GaussianMixture(
        2, init_params="random", random_state=0, callback=lambda step, *_: step >= 2
    ).fit(faithful)
    assert not model.converged_
    assert model.n_iter_ == 2


def test_verbose_prints(faithful, capsys):
    GaussianMixture(2, init_params="random", random_state=0, verbose=1, verbose_interval=1).fit(
        faithful
    )
    printed = capsys.readouterr().out
    assert "step 1:" in printed and "nats" in printed
    GaussianMixture(2, random_state=0).fit(faithful)
    assert capsys.readouterr().out == ""


def test_scikit_learns_callbacks(faithful):
    """scikit-learn 1.9: ``set_callbacks``; each step is a task."""
    pytest.importorskip("sklearn.callback")
    from sklearn.callback import ScoringMonitor  # noqa: F401  the API is there

    steps = []

    class Count:
        def setup(self, estimator, context):
            steps.append("setup")

        def on_fit_task_begin(self, estimator, context, **kwargs):
            steps.append("begin")

        def on_fit_task_end(self, estimator, context, **kwargs):
            steps.append("end")
            return False

        def teardown(self, estimator, context):
            steps.append("teardown")

    model = GaussianMixture(2, random_state=0)
    model.set_callbacks(Count())
    model.fit(faithful)
    assert steps[0] == "setup" and steps[-1] == "teardown"
    assert steps.count("end") >= 2
    assert steps.count("begin") == steps.count("end")
    # A climb that is followed may run on other kernels than one that is not: a rounding apart.
    plain = GaussianMixture(2, random_state=0).fit(faithful)
    np.testing.assert_allclose(plain.means_, model.means_, rtol=1e-6)
    assert plain.lower_bound_ == pytest.approx(model.lower_bound_, abs=1e-9)


def test_not_converged_warns_and_says_what_is_left(iris):
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model = GaussianMixture(3, init_params="random", max_iter=2, random_state=0).fit(iris[0])
    assert not model.converged_ and model.n_iter_ == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(1).fit(iris[0])


@pytest.mark.parametrize("covariance_type", ["full", "tied", "VVE", "factor:1"])
def test_no_steps_leave_the_start_and_warn_of_nothing(iris, covariance_type):
    """As scikit-learn's example of initialisations has it (plot_gmm_init)."""
    X = np.where(iris[0] == 3.0, np.nan, iris[0]) if covariance_type == "tied" else iris[0]
    hard = np.repeat([0, 1, 2], 50)
    model = GaussianMixture(3, covariance_type=covariance_type, init_params=hard, max_iter=0).fit(X)
    assert (model.n_iter_, model.converged_) == (0, False)
    assert model.lower_bound_ == pytest.approx(model.score(X), rel=1e-12)
    if covariance_type == "full":
        means = [iris[0][hard == k].mean(axis=0) for k in range(3)]
        np.testing.assert_allclose(model.means_, means, rtol=1e-12)


def test_the_first_step_does_not_know_how_much_remains(iris):
    with pytest.warns(ConvergenceWarning, match="1 steps: much may remain to be gained"):
        GaussianMixture(3, init_params="random", max_iter=1, random_state=0).fit(iris[0])


def test_max_iter_is_kept(iris):
    for steps in (1, 2, 3, 4, 5, 10):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = GaussianMixture(
                3, init_params="random", max_iter=steps, tol=0.0, random_state=0
            ).fit(iris[0])
        assert model.n_iter_ == steps
        assert len(model.lower_bounds_) <= steps + 1


# ---- parameters


@pytest.mark.parametrize(
    "wrong",
    [
        {"tol": -1.0}, {"tol": "small"}, {"tol": np.nan}, {"max_iter": -1}, {"max_iter": 1.5},
        {"n_init": 0}, {"n_components": 0}, {"n_components": -1}, {"n_components": 1.5},
        {"n_components": "many"}, {"n_components": []}, {"n_components": None},
        {"covariance_type": "round"}, {"covariance_type": []}, {"covariance_type": None},
        {"reg_covar": -1.0}, {"reg_covar": "some"}, {"reg_covar": np.nan}, {"assignment": "fuzzy"},
        {"criterion": "gut"}, {"prior": "strong"}, {"n_jobs": 0}, {"random_state": "seed"},
        {"equal_weights": "yes"}, {"callback": 3}, {"means_init": [["a", "b"]]},
        {"weights_init": ["a"]}, {"means_init": [[1e300, 0.0]]},
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused(wrong, faithful):
    name = next(iter(wrong))
    with pytest.raises((TypeError, ValueError), match=f"{name}|numbers of components|seed"):
        GaussianMixture(**wrong).fit(faithful)


def test_a_wrong_criterion_is_refused_even_without_a_choice(faithful):
    with pytest.raises(InputError, match="criterion"):
        GaussianMixture(2, criterion="gut").fit(faithful)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("reg", [0.0, 0.1, 10.0])
@pytest.mark.filterwarnings("ignore::mixtura.DegenerateWarning")  # a ridge may be all there is
def test_a_number_for_reg_covar_bounds_variances(family, reg, faithful):
    model = GaussianMixture(2, covariance_type=family, reg_covar=reg, random_state=0).fit(faithful)
    least = np.linalg.eigvalsh(model.mixture_.covariances).min()
    assert least >= reg * (1 - 1e-12)


def test_constructor_does_nothing_but_keep():
    marker = object()
    assert GaussianMixture(marker, tol=marker, prior=marker).get_params()["tol"] is marker


# ---- to and from


@pytest.mark.parametrize("family", FAMILIES)
def test_from_mixture(family, faithful):
    fitted = GaussianMixture(2, covariance_type=family, random_state=0).fit(faithful)
    model = GaussianMixture.from_mixture(fitted.mixture_)
    assert model.mixture_ is fitted.mixture_
    assert model.covariance_type_ == family
    assert np.array_equal(model.predict_proba(faithful), fitted.predict_proba(faithful))
    for name in ("bic", "aic", "icl", "score"):
        assert getattr(model, name)(faithful) == getattr(fitted, name)(faithful), name
    assert clone(model).get_params() == model.get_params()
    assert model.sample(3)[0].shape == (3, 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_to_sklearn_and_back(family, faithful):
    fitted = GaussianMixture(2, covariance_type=family, random_state=0).fit(faithful)
    theirs = fitted.mixture_.to_sklearn()
    np.testing.assert_allclose(
        theirs.score_samples(faithful), fitted.score_samples(faithful), rtol=1e-11
    )
    assert theirs.n_features_in_ == 2
    back = Mixture.from_sklearn(theirs)
    np.testing.assert_allclose(back.logpdf(faithful), fitted.score_samples(faithful), rtol=1e-11)
    np.testing.assert_allclose(back.covariances, fitted.mixture_.covariances, rtol=1e-12)
    drawn, _ = theirs.sample(5)
    assert drawn.shape == (5, 2)


def test_to_sklearn_keeps_names(faithful):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(faithful, columns=["eruptions", "waiting"])
    theirs = GaussianMixture(2, random_state=0).fit(frame).mixture_.to_sklearn()
    assert list(theirs.feature_names_in_) == ["eruptions", "waiting"]
    theirs.predict(frame)


def test_from_sklearn_bayesian(faithful):
    from sklearn.mixture import BayesianGaussianMixture

    theirs = BayesianGaussianMixture(n_components=2, random_state=0).fit(faithful)
    mixture = Mixture.from_sklearn(theirs)
    np.testing.assert_allclose(mixture.means, theirs.means_)
    with pytest.raises(NotFittedError, match="not fitted"):
        Mixture.from_sklearn(BayesianGaussianMixture())


def test_a_prior_given_by_hand(faithful):
    prior = Conjugate(5.0, faithful.mean(axis=0), 6.0, np.cov(faithful.T), 10.0)
    free = GaussianMixture(2, random_state=0).fit(faithful)
    held = GaussianMixture(2, random_state=0, prior=prior).fit(faithful)
    centre = faithful.mean(axis=0)
    pulled = np.abs(held.means_ - centre) < np.abs(free.means_ - centre)
    assert pulled.all()
    assert clone(held).prior is not None
    with pytest.raises((InputError, InputTypeError)):
        GaussianMixture(2, prior={"shrinkage": 1.0}).fit(faithful)


def test_a_prior_of_the_wrong_size_is_refused(faithful):
    for prior in (
        Conjugate(1.0, np.zeros(3), 5.0, np.eye(3), 1.0),
        Conjugate(1.0, np.zeros(2), 5.0, np.eye(3), 1.0),
    ):
        with pytest.raises(InputError, match="prior"):
            GaussianMixture(2, prior=prior).fit(faithful)


def test_score_takes_weights(faithful):
    model = GaussianMixture(2, random_state=0).fit(faithful)
    w = np.zeros(272)
    w[7] = 3.0
    expected = model.score_samples(faithful)[7]
    assert model.score(faithful, sample_weight=w) == pytest.approx(expected, rel=1e-14)
    with pytest.raises(InputError):
        model.score(faithful, sample_weight=-w)


def test_tags():
    tags = GaussianMixture().__sklearn_tags__()
    assert tags.input_tags.allow_nan
    assert tags.estimator_type == "density_estimator"


def test_save_and_load(faithful, tmp_path):
    model = GaussianMixture(2, random_state=0).fit(faithful)
    model.save(tmp_path / "m.mixtura")
    again = mixtura.load(tmp_path / "m.mixtura")
    assert np.array_equal(again.logpdf(faithful), model.score_samples(faithful))
    assert again == model.mixture_
