"""Standard errors, bootstrap, alignment, likelihood-ratio tests and summaries, as used."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import mixtura
from mixtura import GaussianMixture, InputError, InputTypeError, Mixture, kernels
from mixtura.covariance import FAMILIES
from mixtura.fit.em import Stop, run
from mixtura.fit.problem import state
from mixtura.inference.draws import METHODS, draw
from mixtura.inference.ratio_test import _statistics
from mixtura.inference.refit import Drawn, _one_by_one, refitted
from mixtura.inference.splits import doubled, splits
from mixtura.inference.subject import Subject, subject
from mixtura.source import MemorySource
from strategies import spread


@pytest.fixture(scope="module")
def rows():
    truth = Mixture([0.4, 0.6], [[0.0, 0.0], [3.0, 3.0]], [np.eye(2), [[1.0, 0.5], [0.5, 1.0]]])
    return truth.sample(120, 0)


@pytest.fixture(scope="module")
def model(rows):
    return GaussianMixture(2, random_state=0, tol=1e-12).fit(rows)


@pytest.fixture
def compiled():
    pytest.importorskip("numba")
    kernels.use("compiled")


# ---- standard errors


@pytest.mark.parametrize("method", ["information", "opg", "sandwich"])
def test_standard_errors_do_not_depend_on_units(rows, model, method):
    scale, shift = np.array([1e-6, 1e5]), np.array([1e3, -1e7])
    here = mixtura.standard_errors(model, rows, method=method)
    moved = GaussianMixture(2, init_params=model.predict(rows), tol=1e-12).fit(rows * scale + shift)
    there = mixtura.standard_errors(moved, rows * scale + shift, method=method)
    np.testing.assert_allclose(there.weights, here.weights, rtol=1e-4)
    np.testing.assert_allclose(there.means, here.means * scale, rtol=1e-4)
    np.testing.assert_allclose(
        there.covariances, here.covariances * np.outer(scale, scale), rtol=1e-4
    )


def test_a_weight_counts_as_repetitions(rows, model):
    w = np.random.default_rng(1).integers(0, 4, len(rows))
    some, twice = rows, np.repeat(rows, w, axis=0)
    fit = GaussianMixture(2, init_params=model.predict(rows), tol=1e-13).fit(some, sample_weight=w)
    for method in ("information", "opg", "sandwich"):
        a = mixtura.standard_errors(fit, some, method=method, sample_weight=w)
        b = mixtura.standard_errors(fit, twice, method=method)
        np.testing.assert_allclose(a.vcov, b.vcov, rtol=1e-6, atol=1e-12)


def test_vcov_is_named_and_holds_the_standard_errors(rows, model):
    errors = mixtura.standard_errors(model, rows)
    by_name = dict(zip(errors.names, np.sqrt(np.diag(errors.vcov)), strict=True))
    assert by_name["weight[1]"] == errors.weights[1]
    assert by_name["mean[0,x1]"] == errors.means[0, 1]
    assert by_name["covariance[1,x0,x1]"] == errors.covariances[1, 0, 1]
    assert abs(errors.vcov[0, 0] + errors.vcov[0, 1]) < 1e-12  # weights sum to one


def test_the_estimator_is_always_named(rows, model):
    for method, words in (("opg", "outer product"), ("sandwich", "sandwich")):
        assert words in str(mixtura.standard_errors(model, rows, method=method))
        assert words in str(mixtura.confidence_intervals(model, rows, method=method))


def test_delta_method_agrees_with_the_parameters_own_errors(rows, model):
    errors = mixtura.standard_errors(model, rows)
    low, high = errors.interval(lambda mixture: mixture.means)
    np.testing.assert_allclose((high - low) / 2, 1.959963984540054 * errors.means, rtol=1e-7)
    low, high = errors.interval(lambda mixture: mixture.covariances)
    np.testing.assert_allclose((high - low) / 2, 1.959963984540054 * errors.covariances, rtol=1e-7)
    low, high = errors.interval(lambda mixture: mixture.weights[0], level=0.5)
    assert isinstance(low, float)
    np.testing.assert_allclose((high - low) / 2, 0.6744897501960817 * errors.weights[0], rtol=1e-7)


def test_delta_method_of_a_nonlinear_function(rows, model):
    errors = mixtura.standard_errors(model, rows)
    i, j = (errors.names.index(name) for name in ("mean[0,x0]", "mean[1,x0]"))
    m = model.mixture_.means
    gradient = np.array([2 * m[0, 0] * m[1, 0], m[0, 0] ** 2])
    wanted = np.sqrt(gradient @ errors.vcov[np.ix_([i, j], [i, j])] @ gradient)
    low, high = errors.interval(lambda mixture: mixture.means[0, 0] ** 2 * mixture.means[1, 0])
    np.testing.assert_allclose((high - low) / 2, 1.959963984540054 * wanted, rtol=1e-6)


def test_intervals_stay_in_range(rows):
    few = rows[:25]
    fit = GaussianMixture(2, random_state=0, tol=1e-10).fit(few)
    found = mixtura.confidence_intervals(fit, few, level=0.999)
    assert (found.weights > 0).all() and (found.weights < 1).all()
    variances = found.covariances.diagonal(axis1=1, axis2=2)
    assert (variances > 0).all()
    assert (found.means[..., 0] < fit.means_).all() and (fit.means_ < found.means[..., 1]).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_missing_cells_cost_precision(rows, name):
    gappy = np.where(np.random.default_rng(2).random(rows.shape) < 0.2, np.nan, rows)
    start = GaussianMixture(2, covariance_type=name, random_state=0).fit_predict(rows)
    fit = GaussianMixture(2, covariance_type=name, init_params=start, tol=1e-10)
    whole = mixtura.standard_errors(fit.fit(rows), rows)
    less = mixtura.standard_errors(fit.fit(gappy), gappy)
    assert less.means.mean() > whole.means.mean()


def test_equal_weights_have_no_error(rows):
    fit = GaussianMixture(2, equal_weights=True, random_state=0, tol=1e-10).fit(rows)
    errors = mixtura.standard_errors(fit, rows)
    assert (errors.weights == 0).all() and (errors.means > 0).all()


def test_hard_assignment_is_refused_with_advice(rows):
    fit = GaussianMixture(2, assignment="hard", random_state=0).fit(rows)
    with pytest.raises(InputError, match="bootstrap"):
        mixtura.standard_errors(fit, rows)


@pytest.mark.parametrize("how", [{"max_ratio": 1.2}, {"reg_covar": 0.03}])
def test_a_fit_off_the_maximum_by_its_bounds_is_refused_with_advice(rows, how):
    fit = GaussianMixture(2, random_state=0, tol=1e-10, **how).fit(rows)
    with pytest.raises(InputError, match=rf"{next(iter(how))}.*mixtura\.bootstrap"):
        mixtura.standard_errors(fit, rows)
    assert len(mixtura.bootstrap(fit, rows, 4, random_state=0)) == 4


def test_bounds_that_hold_nothing_change_nothing(rows, model):
    plain = mixtura.standard_errors(model, rows)
    loose = GaussianMixture(2, random_state=0, max_ratio=1e6, reg_covar=1e-12, tol=1e-10).fit(rows)
    found = mixtura.standard_errors(loose, rows)
    np.testing.assert_allclose(sorted(found.weights), sorted(plain.weights), rtol=1e-3)


def test_wrong_things_are_refused_by_name(rows, model):
    with pytest.raises(NotFittedError, match="not fitted"):
        mixtura.standard_errors(GaussianMixture(2), rows)
    with pytest.raises(InputError, match="method='hessian'"):
        mixtura.standard_errors(model, rows, method="hessian")
    with pytest.raises(InputError, match="level"):
        mixtura.confidence_intervals(model, rows, level=95)


def test_a_fit_short_of_the_maximum_is_told(rows, model):
    fit = model.mixture_
    off = Mixture(fit.weights, fit.means + 0.05, fit.covariances)
    with pytest.warns(mixtura.MixturaWarning, match="short of the maximum"):
        mixtura.standard_errors(off, rows)


# ---- alignment


def test_alignment_undoes_a_permutation():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 3, 3))
    mixture = Mixture(
        rng.dirichlet(np.ones(5)), rng.normal(size=(5, 3)) * 3, root @ root.swapaxes(1, 2)
    )
    order = rng.permutation(5)
    shuffled = mixture.take(order)
    found = mixtura.align(shuffled, mixture)
    np.testing.assert_array_equal(order[found], np.arange(5))
    rows = mixture.sample(200, 1)
    np.testing.assert_array_equal(mixtura.align(shuffled, mixture, rows), found)


def test_alignment_does_not_depend_on_units():
    rng = np.random.default_rng(3)
    one = Mixture(np.ones(3) / 3, rng.normal(size=(3, 2)), np.tile(np.eye(2), (3, 1, 1)))
    two = Mixture(np.ones(3) / 3, rng.normal(size=(3, 2)), 2 * np.tile(np.eye(2), (3, 1, 1)))
    move = np.array([[1e4, 3.0], [0.0, 1e-3]])
    moved = [
        Mixture(m.weights, m.means @ move.T + 7, move @ m.covariances @ move.T) for m in (one, two)
    ]
    np.testing.assert_array_equal(mixtura.align(*moved), mixtura.align(one, two))


def test_alignment_needs_equal_sizes(model):
    with pytest.raises(InputError, match="cannot be matched"):
        mixtura.align(model, model.mixture_.take([0]))


# ---- bootstrap


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("method", METHODS)
def test_batches_end_where_single_climbs_do(rows, name, method, compiled):
    fit = GaussianMixture(2, covariance_type=name, random_state=0).fit(rows)
    about = subject(fit, rows)
    tight = Subject(about.mixture, about.problem, Stop(1e-12, 2000))
    drawn = draw(tight, method, np.random.default_rng(0), 0, 5)
    together, single = refitted(tight, drawn, True), _one_by_one(tight, drawn)
    for part in ("weights", "location", "covariances", "values"):
        found = getattr(together, part)
        np.testing.assert_allclose(found, getattr(single, part), rtol=1e-4, atol=1e-5)
        in_turn = getattr(refitted(tight, drawn, False), part)
        # within 1e-12 nats a row of the same maximum: parameters agree to about its root
        np.testing.assert_allclose(found, in_turn, rtol=1e-6, atol=1e-6)
    assert together.sound.all() and single.sound.all()


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_decides_whatever_the_number_of_threads(rows, model, method, kernel):
    count = 300 if kernel == "compiled" else 20
    found = [
        mixtura.bootstrap(model, rows, count, method=method, n_jobs=jobs, random_state=3)
        for jobs in (1, 3)
    ]
    for part in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(found[0], part), getattr(found[1], part))


def test_a_bootstrap_of_gaps_and_labels_refits_them(rows, model):
    gappy = np.where(np.random.default_rng(4).random(rows.shape) < 0.1, np.nan, rows)
    labels = np.where(np.arange(len(rows)) % 10 == 0, model.predict(rows), -1)
    for method in ("nonparametric", "parametric", "weighted"):
        found = mixtura.bootstrap(model, gappy, 20, method=method, labels=labels, random_state=0)
        assert len(found) == 20
        assert (np.abs(found.means.mean(axis=0) - model.means_) < 0.5).all()


def test_replicates_keep_the_labels_of_the_fit(rows, model):
    found = mixtura.bootstrap(model, rows, 50, random_state=0)
    gaps = np.linalg.norm(found.means[:, :, None] - model.means_, axis=-1)
    assert (gaps.argmin(axis=2) == [0, 1]).all()


def test_exchanged_components_are_put_back(rows, model):
    about = subject(model, rows)
    weights = np.ones((3, len(rows)))
    swapped = Subject(about.mixture.take([1, 0]), about.problem, about.stop)
    found = refitted(swapped, Drawn(rows[None], weights))
    np.testing.assert_allclose(found.location[1], swapped.mixture.location, atol=1e-3)


def test_jackknife_of_a_mean_is_exact():
    X = np.random.default_rng(0).normal(size=(30, 1))
    found = mixtura.bootstrap(GaussianMixture(1).fit(X), X, method="jackknife")
    assert len(found) == 30
    np.testing.assert_allclose(
        found.standard_errors.means[0, 0], X.std(ddof=1) / np.sqrt(30), rtol=1e-9
    )


def test_jackknife_agrees_with_leaving_rows_out():
    labels = np.repeat([0, 1], 20)
    few = np.random.default_rng(0).normal(size=(40, 2)) + 3.5 * labels[:, None]
    fits = [
        GaussianMixture(2, init_params=np.delete(labels, i), tol=1e-13).fit(np.delete(few, i, 0))
        for i in range(40)
    ]
    means = np.stack([fit.means_ for fit in fits])
    whole = GaussianMixture(2, init_params=labels, tol=1e-13).fit(few)
    found = mixtura.bootstrap(whole, few, method="jackknife").standard_errors.means
    np.testing.assert_allclose(found, means.std(axis=0) * np.sqrt(39.0), rtol=1e-3)


def test_jackknife_weights_count_as_repetitions():
    X = np.random.default_rng(0).normal(size=(20, 1))
    w = np.random.default_rng(1).integers(0, 3, 20)
    fit = GaussianMixture(1).fit(X, sample_weight=w)
    a = mixtura.bootstrap(fit, X, method="jackknife", sample_weight=w)
    b = mixtura.bootstrap(fit, np.repeat(X, w, axis=0), method="jackknife")
    np.testing.assert_allclose(a.standard_errors.means, b.standard_errors.means, rtol=1e-9)
    np.testing.assert_allclose(
        a.standard_errors.covariances, b.standard_errors.covariances, rtol=1e-9
    )


@pytest.mark.parametrize("method", ["nonparametric", "parametric", "weighted"])
def test_bootstrap_of_one_gaussian_has_the_known_error(method):
    X = np.random.default_rng(0).normal(size=(400, 1))
    found = mixtura.bootstrap(GaussianMixture(1).fit(X), X, 400, method=method, random_state=0)
    # a standard deviation from 400 replicates is off by 3.5 %: four times that
    np.testing.assert_allclose(found.standard_errors.means[0, 0], X.std() / 20.0, rtol=0.15)
    wanted = X.var() * np.sqrt(2.0 / 400.0)
    loose = 0.15 if method == "parametric" else 0.25  # the others see the sample's own kurtosis
    np.testing.assert_allclose(found.standard_errors.covariances[0, 0, 0], wanted, rtol=loose)


def test_functions_of_the_mixture(rows, model):
    found = mixtura.bootstrap(model, rows, 60, random_state=0)
    np.testing.assert_allclose(found.of(lambda m: m.weights), found.weights)
    np.testing.assert_allclose(found.of(lambda m: m.covariances), found.covariances, rtol=1e-12)
    wanted = np.quantile(found.means, [0.05, 0.95], axis=0)
    low, high = found.interval(lambda m: m.means, level=0.9)
    np.testing.assert_allclose([low, high], wanted)
    intervals = found.confidence_intervals(0.9)
    np.testing.assert_allclose(intervals.means, np.moveaxis(wanted, 0, -1))
    low, high = found.interval(lambda m: m.means, level=0.9, kind="normal")
    np.testing.assert_allclose((low + high) / 2, model.means_)
    assert found.standard_error(lambda m: m.weights[0]) == pytest.approx(
        found.standard_errors.weights[0]
    )


def test_collapsed_replicates_are_left_out_and_counted(compiled):
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 2)), rng.normal(size=(4, 2)) * 0.1 + 8.0])
    fit = GaussianMixture(2, random_state=0).fit(X)
    found = mixtura.bootstrap(fit, X, 200, random_state=0)
    assert found.n_left_out > 10
    assert len(found) + found.n_left_out == 200
    assert "left out" in str(found)
    assert np.isfinite(found.covariances).all()


@pytest.mark.parametrize(
    "outliers", [{"distribution": "t", "dof": 5.0}, {"noise": 0.05}, {"trim": 0.05}]
)
def test_robust_fits_are_bootstrapped_as_what_they_are(rows, outliers):
    fit = GaussianMixture(2, random_state=0, **outliers).fit(rows)
    found = mixtura.bootstrap(fit, rows, 8, random_state=0)
    assert len(found) + found.n_left_out == 8
    mixture = found[0]
    assert mixture.law == fit.mixture_.law
    assert (mixture.noise is None) == (fit.mixture_.noise is None)
    np.testing.assert_array_equal(found.of(lambda m: m.means)[0], mixture.means)
    assert (np.abs(found.means - fit.means_).max(axis=(1, 2)) < 2.0).all()
    assert f"{fit.bic(rows):.6f}" in str(fit.summary(rows))
    with pytest.raises(InputError, match=r"mixtura\.bootstrap"):
        mixtura.standard_errors(fit, rows)
    with pytest.raises(InputError, match=r"mixtura\.bootstrap"):
        mixtura.confidence_intervals(fit, rows)


def test_low_rank_fits_are_bootstrapped_and_summed_up():
    X = np.random.default_rng(0).normal(size=(80, 8)) @ np.diag([4.0, 2, 1, 1, 1, 1, 1, 1])
    fit = GaussianMixture(1, covariance_type="factor:1", random_state=0).fit(X)
    found = mixtura.bootstrap(fit, X, 6, random_state=0)
    np.testing.assert_allclose(found.standard_errors.means, X.std(axis=0)[None] / 9, rtol=0.9)
    assert "factor:1" in str(fit.summary(X))
    with pytest.raises(InputError, match=r"mixtura\.bootstrap"):
        mixtura.standard_errors(fit, X)
    with pytest.raises(InputError, match="ask for at most"):
        mixtura.bootstrap(fit, X, 10**8)


def test_what_a_bootstrap_refuses(rows, model):
    with pytest.raises(InputError, match="method='bayes'"):
        mixtura.bootstrap(model, rows, method="bayes")
    with pytest.raises(InputError, match="at least 2"):
        mixtura.bootstrap(model, rows, 1)
    with pytest.raises(InputError, match="whole numbers"):
        mixtura.bootstrap(model, rows, method="jackknife", sample_weight=np.full(len(rows), 0.5))
    with pytest.raises(InputError, match="percentile"):
        mixtura.bootstrap(model, rows, method="jackknife").confidence_intervals(kind="percentile")


# ---- likelihood-ratio test


@pytest.mark.parametrize("name", spread(FAMILIES, every=2))
def test_splits_are_in_the_family_and_a_double_changes_nothing(rows, name):
    problem = state(MemorySource(rows), FAMILIES[name])
    fit = GaussianMixture(2, covariance_type=name, random_state=0).fit(rows)
    mixture = problem.adopted(fit.mixture_)
    np.testing.assert_allclose(
        doubled(problem, mixture).logpdf(rows), mixture.logpdf(rows), rtol=1e-12
    )
    for start in splits(problem, mixture):
        assert type(start.structure) is type(mixture.structure)
        assert start.n_components == 3
        assert run(problem, start, Stop(1e-6, 50)).value > problem.at(mixture).value - 1e-6


def test_batched_statistics_are_not_biased_low(rows, compiled):
    problem = state(MemorySource(rows), FAMILIES["tied"])
    fit = GaussianMixture(2, covariance_type="tied", random_state=0).fit(rows)
    about = Subject(problem.adopted(fit.mixture_), problem, Stop())
    drawn = draw(about, "parametric", np.random.default_rng(0), 0, 15)
    together = _statistics(about, 3, drawn, np.random.default_rng(0), True)
    single = _statistics(about, 3, drawn, np.random.default_rng(0), False)
    assert (together >= 0).all() and (single >= 0).all()
    assert (together > single - 0.05).mean() > 0.8


def test_the_test_finds_the_components_and_its_p_value_counts(rows):
    test = mixtura.likelihood_ratio_test(
        rows, 1, up_to=4, covariance_type="tied", n_replicates=39, random_state=0
    )
    assert test.n_components == 2
    assert [one.k0 for one in test.comparisons] == [1, 2]
    for one in test.comparisons:
        above = (one.replicates >= one.statistic).sum()
        assert one.p_value == (1 + above) / (len(one.replicates) + 1)
    assert test.p_value == 1 / 40
    assert "1 against 2" in str(test)


def test_the_test_takes_gaps_and_weights(rows):
    gappy = np.where(np.random.default_rng(4).random(rows.shape) < 0.1, np.nan, rows)[::4]
    test = mixtura.likelihood_ratio_test(
        gappy, covariance_type="spherical", n_replicates=4, sample_weight=np.full(30, 2)
    )
    assert test.p_value == 0.2
    with pytest.raises(InputError, match="whole numbers"):
        mixtura.likelihood_ratio_test(rows, n_replicates=9, sample_weight=np.full(120, 0.5))


def test_the_test_takes_rows_and_no_fit_with_a_prior(rows):
    fit = GaussianMixture(2, prior="fraley-raftery", random_state=0).fit(rows)
    with pytest.raises(InputTypeError, match=r"with a prior.*mixtura\.select"):
        mixtura.likelihood_ratio_test(fit, 1)


@pytest.mark.parametrize("numbers", [{"k0": 0}, {"k0": 2, "k1": 2}, {"k0": 3, "up_to": 2}])
def test_numbers_that_make_no_test_are_refused(rows, numbers):
    with pytest.raises(InputError, match="is needed"):
        mixtura.likelihood_ratio_test(rows, **numbers)


# ---- summary


def test_summaries_of_everything(rows, model):
    text = str(model.summary(rows, errors="sandwich"))
    assert f"{model.score_samples(rows).sum():.6f}" in text
    assert f"{model.bic(rows):.6f}" in text and f"{model.icl(rows):.6f}" in text
    assert "smaller is better" in text and "sandwich" in text
    sizes = np.bincount(model.predict(rows))
    line = next(line for line in text.splitlines() if line.startswith("rows  "))
    assert line.split()[1:] == [str(size) for size in sizes]
    for thing in (
        model.mixture_,
        mixtura.select(rows, [1, 2], "tied"),
        mixtura.bootstrap(model, rows, 9),
        mixtura.standard_errors(model, rows),
    ):
        found = mixtura.summary(thing)
        assert "mean x1" in str(found)
        assert found._repr_html_().count("<table>") >= 1
    with pytest.raises(InputTypeError, match="fitted"):
        mixtura.summary(3)


def test_summaries_escape_names_of_columns():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"<b>": np.random.default_rng(0).normal(size=20)})
    fit = GaussianMixture(1).fit(frame)
    assert "&lt;b&gt;" in fit.summary(frame)._repr_html_()


# ---- coverage


@pytest.mark.slow
@pytest.mark.parametrize("method", ["information", "sandwich"])
def test_intervals_cover_as_often_as_they_say(method):
    truth = Mixture([0.4, 0.6], [[0.0], [4.0]], [[[1.0]], [[1.5]]])
    inside, count = np.zeros(3), 400
    for seed in range(count):
        X = truth.sample(300, seed)
        fit = GaussianMixture(2, init_params=(X[:, 0] > 2).astype(int), tol=1e-10).fit(X)
        found = mixtura.confidence_intervals(fit, X, level=0.9, method=method)
        pairs = (
            (found.weights[0], truth.weights[0]),
            (found.means[0, 0], 0.0),
            (found.covariances[1, 0, 0], 1.5),
        )
        inside += [low <= value <= high for (low, high), value in pairs]
    # three deviations of a binomial share, and two points for the asymptotics
    assert (np.abs(inside / count - 0.9) < 3 * np.sqrt(0.09 / count) + 0.02).all()
