"""A fitted estimator serves wherever a mixture is wanted; what random numbers come from."""

import pickle
import traceback

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture as SklearnMixture

import mixtura
from mixtura import (
    DensityEstimator,
    GaussianMixture,
    InputError,
    InputTypeError,
    Mixture,
    MixtureClassifier,
    MixtureImputer,
    MixtureOfLinearExperts,
    MixtureOutlierDetector,
    MixtureRegressor,
    OpenSetClassifier,
    divergence,
    metrics,
    plot,
)
from mixtura.operations.contributions import contributions

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(60, 2)) + 4.0 * RNG.integers(0, 2, (60, 1))
LINE, LABELS = ROWS[:, :1], (ROWS.sum(axis=1) > 4).astype(int)
OTHER = Mixture([1.0], [[1.0, 1.0]], [np.eye(2)])

USES = {
    "merge": lambda m: mixtura.merge(m, ROWS).entropy,
    "modes": lambda m: mixtura.modes(m).points,
    "modal_clusters": lambda m: mixtura.modal_clusters(m, ROWS).labels,
    "separating_directions": lambda m: mixtura.separating_directions(m).basis,
    "overlap": lambda m: mixtura.overlap(m).misclassified,
    "reduce": lambda m: mixtura.reduce(m).mixture.means,
    "prune": lambda m: mixtura.prune(m, n_components=1).mixture.means,
    "highest_density_region": lambda m: mixtura.highest_density_region(m, 0.5).log_threshold,
    "level_set": lambda m: mixtura.level_set(m, 0.01).probability,
    "entropy_bounds": lambda m: mixtura.entropy_bounds(m).upper,
    "log_inner_product": lambda m: mixtura.log_inner_product(OTHER, m),
    "pool": lambda m: mixtura.pool([m, OTHER]).means,
    "product": lambda m: OTHER.product(m).means,
    "convolve": lambda m: OTHER.convolve(m).means,
    "align": lambda m: mixtura.align(m, m),
    "bootstrap": lambda m: mixtura.bootstrap(m, ROWS, 2, random_state=0).standard_errors.means,
    "standard_errors": lambda m: mixtura.standard_errors(m, ROWS).means,
    "compare": lambda m: mixtura.compare([m, OTHER], ROWS).log_scores,
    "contributions": lambda m: contributions(m, ROWS).values,
    "from_mixture": lambda m: GaussianMixture.from_mixture(m).means_,
    "log_score": lambda m: metrics.log_score(ROWS, m),
    "energy_score": lambda m: metrics.energy_score(ROWS[:3], m).value,
    "mutual_information": lambda m: divergence.mutual_information(m, 0, 1, draws=100).value,
    **{
        name: lambda m, f=getattr(divergence, name): np.asarray(f(m, OTHER), dtype=float)
        for name in sorted(set(divergence.__all__) - {"mutual_information"})
        if name.islower()
    },
    **{
        name: lambda m, show=getattr(plot, name): vars(show.from_mixture(m, ROWS)).keys()
        for name in ("ClusterDisplay", "DensityDisplay", "MergeDisplay", "PairsDisplay")
    },
}
OF_ONE_FEATURE = {
    "calibration": lambda m: mixtura.calibration(m, LINE).pit,
    "crps": lambda m: metrics.crps(LINE, m),
    "pit": lambda m: metrics.pit(LINE, m),
}


@pytest.fixture(scope="module")
def model():
    return GaussianMixture(2, random_state=0).fit(ROWS)


@pytest.fixture(scope="module")
def narrow():
    return GaussianMixture(2, random_state=0).fit(LINE)


@pytest.mark.parametrize("name", [*USES, *OF_ONE_FEATURE])
def test_an_estimator_serves_as_its_mixture(name, model, narrow):
    use, fitted = (USES[name], model) if name in USES else (OF_ONE_FEATURE[name], narrow)
    np.testing.assert_array_equal(use(fitted), use(fitted.mixture_))
    with pytest.raises(NotFittedError, match="GaussianMixture instance is not fitted"):
        use(GaussianMixture(2))
    with pytest.raises((InputError, InputTypeError), match="None"):
        use(None)
    with pytest.raises(InputTypeError, match="the class GaussianMixture"):
        use(GaussianMixture)


def test_what_holds_no_one_mixture_is_told_so(model):
    theirs = SklearnMixture(2, random_state=0).fit(ROWS)
    with pytest.raises(InputTypeError, match="from_sklearn"):
        mixtura.modes(theirs)
    with pytest.raises(NotFittedError):
        Mixture.from_sklearn(SklearnMixture(2))
    with pytest.raises(InputTypeError, match="not str"):
        Mixture.from_sklearn("model")
    with pytest.raises(NotFittedError):
        mixtura.modes(OpenSetClassifier())
    truncated = GaussianMixture(1, truncation=(-9.0, 9.0), random_state=0).fit(LINE)
    with pytest.raises(InputError, match="truncate"):
        metrics.log_score(LINE, truncated)
    assert len(mixtura.modes(truncated)) == 1


def test_density_estimators_are_scored_by_their_density():
    found = DensityEstimator([1, 2], random_state=0).fit(LINE)
    np.testing.assert_allclose(metrics.log_score(LINE, found), found.score(LINE), rtol=1e-12)
    assert metrics.pit(LINE, found) == pytest.approx(found.cdf(LINE))


def test_figures_name_what_an_estimator_lacks(model):
    with pytest.raises(NotFittedError):
        plot.TraceDisplay.from_estimator(GaussianMixture(2))
    with pytest.raises(InputTypeError, match="Mixture has no trace_"):
        plot.TraceDisplay.from_estimator(OTHER)
    with pytest.raises(InputTypeError, match="GaussianMixture has no p_values"):
        plot.PValueDisplay.from_estimator(model, ROWS)
    with pytest.raises(InputTypeError, match="str has no predict_proba"):
        plot.RiskCoverageDisplay.from_estimator("model", ROWS, LABELS)


def test_contributions_of_rows_whose_squares_are_no_numbers():
    values = contributions(OTHER, [[1e200, 1.0], [1e154, -1e300]]).values
    assert np.isfinite(values).all() and (values[:, 0] > 1e200).all()


@pytest.mark.parametrize("count", ["a", 1.5, -1])
def test_numbers_of_draws_are_refused_by_name(count):
    classifier = MixtureClassifier(random_state=0).fit(ROWS, LABELS)
    with pytest.raises((InputError, InputTypeError), match="n_samples="):
        classifier.sample(count)


def test_a_model_file_of_an_estimator(model, tmp_path):
    mixtura.save(model, tmp_path / "one.mixtura")
    assert mixtura.load(tmp_path / "one.mixtura") == model.mixture_
    trimmed = GaussianMixture(1, trim=0.1, random_state=0).fit(ROWS)
    with pytest.raises(InputError, match=r"model\.save"):
        mixtura.save(trimmed, tmp_path / "two.mixtura")


# ---- what random numbers come from

ESTIMATORS = {
    "GaussianMixture": lambda seed: GaussianMixture(2, random_state=seed).fit(ROWS),
    "DensityEstimator": lambda seed: DensityEstimator(random_state=seed).fit(LINE),
    "MixtureClassifier": lambda seed: MixtureClassifier(random_state=seed).fit(ROWS, LABELS),
    "OpenSetClassifier": lambda seed: OpenSetClassifier(random_state=seed).fit(ROWS, LABELS),
    "MixtureImputer": lambda seed: MixtureImputer(random_state=seed).fit(ROWS),
    "MixtureRegressor": lambda seed: MixtureRegressor(random_state=seed).fit(LINE, ROWS[:, 1]),
    "MixtureOfLinearExperts": lambda seed: MixtureOfLinearExperts(2, random_state=seed).fit(
        LINE, ROWS[:, 1]
    ),
    "MixtureOutlierDetector": lambda seed: MixtureOutlierDetector(random_state=seed).fit(ROWS),
    "select": lambda seed: mixtura.select(ROWS, [1], random_state=seed),
    "fit_groups": lambda seed: mixtura.fit_groups(ROWS, LABELS, 1, random_state=seed),
    "coreset": lambda seed: mixtura.coreset(ROWS, 10, random_state=seed),
    "hierarchical": lambda seed: mixtura.hierarchical(ROWS, max_rows=20, random_state=seed),
    "bootstrap": lambda seed: mixtura.bootstrap(OTHER, ROWS, 2, random_state=seed),
    "likelihood_ratio_test": lambda seed: mixtura.likelihood_ratio_test(
        ROWS, n_replicates=19, random_state=seed
    ),
    "GaussianMixture.sample": lambda seed: GaussianMixture.from_mixture(OTHER).sample(
        3, random_state=seed
    ),
}
DRAWS = {
    "sample": lambda rng: OTHER.sample(3, rng),
    "truncate": lambda rng: OTHER.truncate(lower=0.0).sample(3, rng=rng),
    "conditionals": lambda rng: OTHER.conditionals(LINE, given=[0]).sample(2, rng),
    "entropy": lambda rng: mixtura.pool([OTHER, OTHER]).entropy(rng=rng),
    "overlap": lambda rng: mixtura.overlap(mixtura.pool([OTHER, OTHER]), rng=rng),
    "region": lambda rng: mixtura.level_set(mixtura.pool([OTHER, OTHER]), 0.1, rng=rng),
    "kl": lambda rng: divergence.kl(OTHER, OTHER, rng=rng),
    "compare": lambda rng: mixtura.compare([OTHER, OTHER], ROWS, rng=rng),
}


@pytest.mark.parametrize("bad", ["a", 1.5, -1])
@pytest.mark.parametrize("name", [*ESTIMATORS, *DRAWS])
def test_seeds_are_refused_by_name(name, bad):
    what, use = ("random_state", ESTIMATORS) if name in ESTIMATORS else ("rng", DRAWS)
    with pytest.raises(InputError, match=rf"{what}={bad!r}: a whole number from 0"):
        use[name](bad)


# ---- targets

TARGETS = {
    "two columns": np.column_stack([LABELS, LABELS]),
    "continuous": LABELS + 0.5,
    "bytes": np.where(LABELS, b"a", b"b"),
    "complex": LABELS + 0j,
}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("kind", [MixtureClassifier, OpenSetClassifier])
def test_classes_that_scikit_learn_refuses_are_refused_with_advice(kind, name):
    with pytest.raises(InputError, match="y must be one column of classes"):
        kind().fit(ROWS, TARGETS[name])


@pytest.mark.parametrize("kind", [MixtureRegressor, MixtureOfLinearExperts])
def test_outcomes_are_not_named_as_inputs(kind):
    with pytest.raises(InputTypeError, match=r"y is not what is needed: .* not numbers"):
        kind().fit(ROWS, np.full(len(ROWS), "a"))


# ---- the names of errors

ERRORS = [
    name for name in mixtura.__all__ if name.endswith(("Error", "Warning", "MissingDependency"))
]


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_named_as_they_are_imported(name):
    kind = getattr(mixtura, name)
    assert f"{kind.__module__}.{kind.__qualname__}" == f"mixtura.{name}"
    copied = pickle.loads(pickle.dumps(kind("text")))
    assert type(copied) is kind and copied.args == ("text",)


def test_a_traceback_says_where_the_error_is_imported_from():
    with pytest.raises(InputTypeError) as caught:
        mixtura.modes("text")
    assert "mixtura.InputTypeError: " in "".join(traceback.format_exception_only(caught.value))
