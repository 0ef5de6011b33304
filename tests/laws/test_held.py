"""What holds where weights, means or covariances are held, of every family in every data mode."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.base import clone

from mixtura import GaussianMixture, bootstrap, standard_errors, summary
from mixtura._errors import DegenerateWarning, InputError, InputTypeError
from mixtura.covariance import FAMILIES as RULES
from mixtura.covariance import structure
from mixtura.fit.em import Stop, run
from mixtura.fit.fixed import SEPARATE
from mixtura.fit.outliers import Outliers
from mixtura.fit.priors import with_prior
from mixtura.fit.problem import holding, state
from mixtura.held import Held
from oracle import FAMILIES
from strategies import MODES, changed, conjugate, layout, make, spread

FIRST, SECOND, THIRD = np.eye(3, dtype=bool)
NONE, ALL = np.zeros(3, dtype=bool), np.ones(3, dtype=bool)


def held_problem(case, weights, means, covariances):
    """The case's problem with the values of its mixture held."""
    held = Held(weights, means, covariances, case.mixture)
    stated = holding(state(case.source(), RULES[case.family]), held)
    return with_prior(stated, conjugate(case.prior), case.k)


def perturbed(mixture, held, family, rng, size=1e-3):
    """Another mixture nearby with the same held parameters."""
    k, d = mixture.location.shape
    weights = mixture.weights.copy()
    free = ~held.weights
    moved = weights[free] * np.exp(size * rng.normal(size=free.sum()))
    weights[free] = moved * (weights[free].sum() / moved.sum())
    location = mixture.location + size * rng.normal(size=(k, d)) * ~held.means[:, None]
    covariances = mixture.structure.dense().copy()
    if not held.covariances.all():
        other = changed(family, covariances, size, rng)
        covariances = np.where(held.covariances[:, None, None], covariances, other)
    shape = structure(layout(family, covariances), family, k, d)
    return mixture.changed(weights=weights, location=location, structure=shape)


@pytest.mark.parametrize(("family", "mode"), spread(FAMILIES, MODES, every=3))
def test_a_climb_keeps_what_is_held_and_ends_at_the_best_of_the_rest(family, mode):
    case = make(family, mode, seed=7, n=150, spread=3.0)
    problem = held_problem(case, SECOND, FIRST, THIRD if family in SEPARATE else NONE)
    fit = run(problem, problem.adopted(case.mixture), Stop(1e-13, 5000))
    found = fit.mixture
    assert np.diff(fit.trace).min() >= -1e-12 * max(1.0, abs(fit.trace[-1]))
    assert found.weights[1] == case.weights[1] and abs(found.weights.sum() - 1.0) < 1e-14
    np.testing.assert_array_equal(found.means[0], case.means[0])
    if family in SEPARATE:
        np.testing.assert_array_equal(found.covariances[2], case.covariances[2])
        assert (found.covariances[0] != case.covariances[0]).any()
    assert (found.means[1:] != case.means[1:]).all()
    rng = np.random.default_rng(0)
    for _ in range(20):
        there = perturbed(found, problem.held, family, rng)
        assert problem.at(there).value < fit.value


@pytest.mark.parametrize("family", spread(FAMILIES, every=2))
def test_all_covariances_can_be_held_in_every_family(family):
    case = make(family, "all", seed=8, n=120, spread=3.0)
    problem = held_problem(case, NONE, NONE, ALL)
    fit = run(problem, problem.adopted(case.mixture), Stop(1e-12, 3000))
    assert np.diff(fit.trace).min() >= -1e-12 * max(1.0, abs(fit.trace[-1]))
    np.testing.assert_array_equal(fit.mixture.covariances, case.covariances)
    assert fit.mixture.structure.name == family
    rng = np.random.default_rng(0)
    assert all(
        problem.at(perturbed(fit.mixture, problem.held, family, rng)).value < fit.value
        for _ in range(20)
    )


@pytest.mark.parametrize("family", ["full", "tied"])
def test_climbs_that_could_be_compiled_hold_it_too(family, kernel):
    case = make(family, "complete", seed=8, n=150, spread=3.0)
    problem = held_problem(case, SECOND, FIRST, NONE)
    fit = run(problem, problem.adopted(case.mixture), Stop(1e-9))
    np.testing.assert_array_equal(fit.mixture.means[0], case.means[0])
    assert fit.mixture.weights[1] == case.weights[1]


@pytest.mark.parametrize("family", ["full", "tied", "VEE", "diag"])
def test_heavy_tails_end_at_the_best_of_the_rest(family):
    """Where a covariance is held, Student's t has no scale to spare for a faster step."""
    case = make(family, "gaps", seed=9, n=200, spread=3.0)
    one = THIRD if family in SEPARATE else ALL
    problem = replace(held_problem(case, NONE, FIRST, one), outliers=Outliers(dof=4.0))
    start = problem.outliers.fitted_out(problem.adopted(case.mixture))
    fit = run(problem, start, Stop(1e-13, 5000))
    assert np.diff(fit.trace).min() >= -1e-12 * max(1.0, abs(fit.trace[-1]))
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert problem.at(perturbed(fit.mixture, problem.held, family, rng)).value < fit.value


@pytest.mark.parametrize("family", ["factor:2", "ppca:1", "factor-common:1"])
def test_low_rank_leaps_move_nothing_that_is_held(family):
    X = np.random.default_rng(0).normal(size=(300, 8)) @ np.triu(np.ones((8, 8)))
    X[150:] += 4.0
    given = {"means_init": np.array([[1 / 3] * 8, [4.1] * 8]), "weights_init": [0.37, 0.63]}
    fixed = {"means": [0], "weights": True}
    model = GaussianMixture(2, covariance_type=family, fixed=fixed, tol=1e-12, **given)

    def check(step, objective, mixture):
        np.testing.assert_array_equal(mixture.means[0], given["means_init"][0])
        assert mixture.weights.tolist() == [0.37, 0.63]

    model.set_params(callback=check).fit(X)
    assert np.diff(model.trace_).min() >= -1e-12 and model.n_iter_ > 5


# ---- against a general optimiser


def rows(n=200, seed=1):
    rng = np.random.default_rng(seed)
    one = rng.normal(size=(n // 2, 2)) @ [[1.0, 0.4], [0.0, 0.8]]
    return np.concatenate([one, rng.normal([2.5, 1.0], 0.7, (n - n // 2, 2))])


HERE = np.array([[0.2, -0.1], [2.2, 1.3]])


def covariances_at(family, theta):
    def square(part):
        lower = np.array([[np.exp(part[0]), 0.0], [part[1], np.exp(part[2])]])
        return lower @ lower.T

    one = square(theta[:3])
    return {
        "full": lambda: (one, square(theta[3:])),
        "tied": lambda: (one, one),
        "VEE": lambda: (one, np.exp(theta[3]) * one),
    }[family]()


def negative(theta, X, family):
    weights = np.array([theta[0], 0.0]) - logsumexp([theta[0], 0.0])
    both = zip(weights, HERE, covariances_at(family, theta[1:]), strict=True)
    logs = [log + multivariate_normal(mean, cov).logpdf(X) for log, mean, cov in both]
    return -logsumexp(logs, axis=0).mean()


@pytest.mark.parametrize(("family", "size"), [("full", 7), ("tied", 4), ("VEE", 5)])
def test_with_means_held_scipy_finds_the_same(family, size):
    X = rows()
    model = GaussianMixture(
        2, covariance_type=family, fixed="means", means_init=HERE, tol=1e-13, max_iter=5000
    ).fit(X)
    best = minimize(negative, np.zeros(size), args=(X, family), options={"gtol": 1e-9})
    assert model.lower_bound_ == pytest.approx(-best.fun, abs=1e-9)
    np.testing.assert_array_equal(model.means_, HERE)
    found = np.broadcast_to(model.covariances_, (2, 2, 2))
    np.testing.assert_allclose(found, covariances_at(family, best.x[1:]), atol=2e-5)
    assert model.validate(X)


def test_standard_errors_are_those_of_the_free_parameters():
    """Against second differences in weight and variances of two components of known means."""
    X = np.concatenate([rows(400)[:, :1], rows(400, seed=2)[:, :1]])
    centres = np.array([[0.1], [2.4]])
    model = GaussianMixture(2, fixed={"means": True}, means_init=centres, tol=1e-13).fit(X)
    errors = standard_errors(model, X)
    at = np.array([model.weights_[0], *model.covariances_.ravel()])

    def value(theta):
        weights = np.array([theta[0], 1.0 - theta[0]])
        squares = (X - centres.T) ** 2 / theta[1:]
        logs = np.log(weights) - 0.5 * (np.log(2 * np.pi * theta[1:]) + squares)
        return -logsumexp(logs, axis=1).sum()

    step, eye = 1e-3, np.eye(3)
    hessian = [
        [
            sum(
                a * b * value(at + step * (a * eye[i] + b * eye[j]))
                for a in (1, -1)
                for b in (1, -1)
            )
            / (4 * step**2)
            for j in range(3)
        ]
        for i in range(3)
    ]
    expected = np.sqrt(np.linalg.inv(hessian).diagonal())
    assert (errors.means == 0).all()
    found = [errors.weights[0], *errors.covariances.ravel()]
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    low, high = errors.interval(lambda mixture: mixture.means[0, 0] + mixture.weights[0])
    assert high - low == pytest.approx(2 * 1.959964 * expected[0], rel=1e-3)


def test_standard_errors_with_weights_and_a_covariance_held():
    X = rows(600)
    full = GaussianMixture(2, tol=1e-13, random_state=0).fit(X)
    held = GaussianMixture.from_mixture(
        full.mixture_, fixed={"weights": True, "covariances": [1]}, warm_start=True, tol=1e-13
    ).fit(X)
    errors, free = standard_errors(held, X), standard_errors(full, X)
    assert (errors.weights == 0).all() and (errors.covariances[1] == 0).all()
    # At the same optimum, fewer parameters are known the better.
    np.testing.assert_allclose(held.means_, full.means_, atol=1e-4)
    assert (errors.means < free.means).all() and (errors.means > 0.5 * free.means).all()
    everything = {"fixed": ("weights", "means", "covariances"), "warm_start": True}
    same = GaussianMixture.from_mixture(full.mixture_, **everything).fit(X)
    np.testing.assert_array_equal(same.covariances_, full.covariances_)
    with pytest.raises(InputError, match="everything is held"):
        standard_errors(same, X)


# ---- through the estimator


def open_start(fixed):
    """Values of a background, component 1, and NaN for what is to be found."""
    nan = np.nan
    given = {
        "weights_init": [nan, 0.6, nan],
        "means_init": [[nan, nan], [0.3, -0.7], [nan, nan]],
        "precisions_init": [np.full((2, 2), nan), np.diag([0.1, 0.3]), np.full((2, 2), nan)],
    }
    names = {"weights": "weights_init", "means": "means_init", "covariances": "precisions_init"}
    kept = {names[name]: given[names[name]] for name in fixed}
    return {"fixed": {name: [1] for name in fixed}, **kept}


def scene(offset=0.0):
    rng = np.random.default_rng(5)
    X = np.concatenate(
        [
            rng.multivariate_normal([0.3, -0.7], np.diag([10.0, 10 / 3]), 300),
            rng.normal([2.0, 1.5], 0.3, (120, 2)),
            rng.normal([-3.0, 0.5], 0.4, (80, 2)),
        ]
    )
    return X + offset


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"distribution": "t", "dof": "own"},
        {"noise": True},
        {"trim": 0.05},
        {"assignment": "hard"},
        {"prior": "fraley-raftery"},
        {"distribution": "t", "prior": "fraley-raftery", "trim": 0.02},
    ],
)
def test_a_known_background_stays_while_new_components_are_found(options):
    X = scene()
    X[::9, 0] = np.nan
    model = GaussianMixture(
        3, random_state=0, **open_start(("weights", "means", "covariances")), **options
    ).fit(X, sample_weight=np.where(np.arange(len(X)) % 7, 1.0, 2.0))
    assert model.weights_[1] == 0.6 and model.means_[1].tolist() == [0.3, -0.7]
    np.testing.assert_allclose(model.covariances_[1], np.diag([10.0, 10 / 3]), rtol=1e-15)
    found = model.means_[[0, 2]][np.argsort(model.means_[[0, 2], 0])]
    np.testing.assert_allclose(found, [[-3.0, 0.5], [2.0, 1.5]], atol=0.2)
    assert np.diff(model.trace_).min() >= -1e-9
    rows = model.validate(X, sample_weight=np.where(np.arange(len(X)) % 7, 1.0, 2.0))
    assert rows["the gradient vanishes"].holds


@pytest.mark.parametrize("offset", [0.0, 3.7, -5e3, 1e8])
@pytest.mark.parametrize("family", ["full", "EVI", "equal-spherical", "factor:1"])
def test_means_come_back_to_the_last_bit_wherever_the_data_are(family, offset):
    X = scene(offset) / 3.0
    given = np.array([[-1.1, 0.1], [0.1, -0.2], [0.7, 0.55]]) + offset / 3.0
    model = GaussianMixture(
        3, covariance_type=family, fixed={"means": [0, 2]}, means_init=given, noise=0.01
    ).fit(X)
    np.testing.assert_array_equal(model.means_[[0, 2]], given[[0, 2]])
    assert (model.means_[1] != given[1]).all()


def test_labels_name_the_components_beside_what_is_held():
    X = scene()
    labels = np.full(len(X), -1)
    labels[300:310], labels[420:430] = 2, 0
    model = GaussianMixture(3, random_state=0, **open_start(("means",))).fit(X, labels=labels)
    assert model.means_[1].tolist() == [0.3, -0.7]
    np.testing.assert_allclose(model.means_[[0, 2]], [[-3.0, 0.5], [2.0, 1.5]], atol=0.2)


def test_what_is_held_counts_as_no_parameter():
    X = scene()
    fixed = ("weights", "means", "covariances")
    model = GaussianMixture(3, random_state=0, **open_start(fixed)).fit(X)
    # Of 17: a weight, a mean and a covariance less.
    likelihood = len(X) * model.score(X)
    assert model.bic(X) == pytest.approx(-2 * likelihood + 11 * np.log(len(X)))
    assert model.aic(X) == pytest.approx(-2 * likelihood + 22)
    assert "11" in dict(summary(model, X).facts)["parameters, df"]
    tied = {"covariance_type": "tied", "precisions_init": np.eye(2), "fixed": "covariances"}
    whole = GaussianMixture(3, random_state=0, **tied).fit(X)
    assert whole.aic(X) + 2 * len(X) * whole.score(X) == pytest.approx(2 * (2 + 6))
    np.testing.assert_array_equal(whole.covariances_, np.eye(2))


def test_weights_that_are_all_held_but_one_leave_none_free():
    options = {"fixed": {"weights": [0, 1]}, "weights_init": [0.2, 0.3, np.nan]}
    model = GaussianMixture(3, random_state=0, **options).fit(scene())
    assert model.weights_[:2].tolist() == [0.2, 0.3]
    likelihood = len(scene()) * model.score(scene())
    assert model.aic(scene()) + 2 * likelihood == pytest.approx(2 * 15)


def test_families_are_compared_with_means_held():
    X = scene()
    given = open_start(("means", "weights"))
    model = GaussianMixture(3, covariance_type="all", random_state=0, **given).fit(X)
    for fit in model.selection_.fits.values():
        assert fit.mixture.means[1].tolist() == [0.3, -0.7] and fit.mixture.weights[1] == 0.6
    sizes = {one.covariance_type: one.n_parameters for one in model.selection_.candidates}
    assert (sizes["full"], sizes["equal-spherical"]) == (17 - 3, 9 - 3)
    assert model.bic(X) == pytest.approx(model.selection_.best.bic)


def test_refits_hold_it_too():
    X = scene()
    model = GaussianMixture(3, random_state=0, **open_start(("means", "covariances"))).fit(X)
    for method in ("nonparametric", "parametric"):
        found = bootstrap(model, X, 5, method=method, random_state=0)
        assert (found.means[:, 1] == model.means_[1]).all()
        assert (found.covariances[:, 1] == model.covariances_[1]).all()
        assert (found.means[:, [0, 2]].std(axis=0) > 0).all()


def test_refits_do_not_exchange_components_that_look_alike():
    X = np.random.default_rng(0).normal(size=(80, 1))
    model = GaussianMixture(2, fixed={"means": [0]}, means_init=[[0.0], [0.3]]).fit(X)
    found = bootstrap(model, X, 30, random_state=0)
    assert (found.means[:, 0] == 0.0).all()


def test_a_last_fit_is_held_by_warm_start():
    X = scene()
    model = GaussianMixture(3, covariance_type="VEE", random_state=0, warm_start=True).fit(X)
    covariances, means = model.covariances_, model.means_
    model.set_params(fixed="covariances").fit(X[:450] + 0.1)
    np.testing.assert_array_equal(model.covariances_, covariances)
    assert (model.means_ != means).all()
    again = pickle.loads(pickle.dumps(clone(model)))
    assert again.fixed == "covariances"


def test_one_component_about_a_known_mean():
    X = scene()
    model = GaussianMixture(1, fixed="means", means_init=[[1.0, 2.0]]).fit(X)
    np.testing.assert_allclose(model.covariances_[0], (X - [1.0, 2.0]).T @ (X - [1.0, 2.0]) / 500)


def test_a_collapsed_component_is_seeded_again_and_the_held_one_stays():
    """Component 0 begins on a few equal rows, where its likelihood has no bound."""
    X = np.concatenate([scene(), np.full((5, 2), 30.0)])
    start = [[30.0, 30.0], [0.3, -0.7], [2.0, 1.5]]
    fixed = {"means": [1], "weights": [1]}
    options = {"fixed": fixed, "means_init": start, "weights_init": [0.1, 0.6, 0.3]}
    with pytest.warns(DegenerateWarning, match="re-seeded"):
        model = GaussianMixture(3, **options).fit(X)
    assert model.means_[1].tolist() == [0.3, -0.7] and model.weights_[1] == 0.6


def test_a_held_component_may_be_as_thin_and_as_empty_as_it_likes():
    given = {
        "means_init": [[90.0, 90.0], [0.0, 0.0]],
        "precisions_init": [np.diag([1e14, 1e14]), np.full((2, 2), np.nan)],
        "weights_init": [0.1, np.nan],
    }
    fixed = {"means": [0], "covariances": [0], "weights": [0]}
    model = GaussianMixture(2, fixed=fixed, **given).fit(scene())  # warnings are errors
    assert model.means_[0].tolist() == [90.0, 90.0] and model.weights_[0] == 0.1
    np.testing.assert_allclose(model.means_[1], scene().mean(axis=0))


# ---- what cannot be held

EYES = np.stack([np.eye(2)] * 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fixed": "means"}, "means_init is not given"),
        ({"fixed": "mean"}, "use some of"),
        ({"fixed": {"means": [3]}, "means_init": np.zeros((3, 2))}, "numbered 0 to 2"),
        ({"fixed": {"means": [-1]}, "means_init": np.zeros((3, 2))}, "numbered 0 to 2"),
        ({"fixed": "means", "means_init": np.zeros((2, 2))}, "has shape"),
        ({"fixed": "means", "means_init": np.full((3, 2), np.nan)}, "holds NaN"),
        (
            {"fixed": {"means": [0]}, "means_init": [[0, 0], [1, 1], [np.nan, np.nan]]},
            "state all, or those held alone",
        ),
        (
            {"fixed": {"weights": [0, 1]}, "weights_init": [0.7, 0.6, np.nan]},
            "leave nothing for the others",
        ),
        ({"fixed": "weights", "weights_init": [0.3, 0.3, 0.3]}, "divide them by their sum"),
        ({"fixed": {"weights": [0]}, "weights_init": [0.0, np.nan, np.nan]}, "above 0"),
        (
            {"fixed": "weights", "weights_init": [0.2, 0.3, 0.5], "equal_weights": True},
            "drop",
        ),
        (
            {
                "fixed": {"covariances": [0]},
                "covariance_type": "VEV",
                "precisions_init": EYES,
            },
            "hold all, or use one of",
        ),
        (
            {
                "fixed": "covariances",
                "covariance_type": "EVI",
                "precisions_init": [[1.0, 1.0], [1.0, 2.0], [1.0, 1.0]],
            },
            "not of the family",
        ),
        (
            {
                "fixed": "covariances",
                "covariance_type": "equal-spherical",
                "precisions_init": [1.0, 2.0, 1.0],
            },
            "one number",
        ),
        ({"fixed": "covariances", "covariance_type": "factor:1"}, "hold means or weights"),
        (
            {"fixed": "covariances", "precisions_init": EYES, "max_ratio": 5.0},
            "drop max_ratio",
        ),
        (
            {
                "fixed": {"means": [0]},
                "means_init": [[0, 0], [np.nan] * 2, [np.nan] * 2],
                "weights_init": [0.2, 0.3, 0.5],
            },
            "weights_init starts all components",
        ),
        (
            {"fixed": "means", "means_init": np.zeros((3, 2)), "n_components": (2, 3)},
            "one number of components",
        ),
        (
            {
                "fixed": "covariances",
                "precisions_init": EYES,
                "covariance_type": ("full", "VEE"),
            },
            "held in one family",
        ),
    ],
)
def test_errors_tell_what_to_do(options, words):
    with pytest.raises(InputError, match=words):
        GaussianMixture(**{"n_components": 3, **options}).fit(scene())


@pytest.mark.parametrize("fixed", [3, {"means": "first"}, {"means": 1.0}, {"means": [True]}])
def test_types_that_are_no_components(fixed):
    with pytest.raises(InputTypeError):
        GaussianMixture(3, fixed=fixed, means_init=np.zeros((3, 2))).fit(scene())


def test_a_last_fit_of_another_family_cannot_be_held():
    model = GaussianMixture(3, random_state=0, warm_start=True).fit(scene())
    with pytest.raises(InputError, match="are full, and diag ones"):
        model.set_params(covariance_type="diag", fixed="covariances").fit(scene())


def test_statistics_about_a_held_mean():
    case = make("full", "complete", seed=3)
    problem = held_problem(case, NONE, FIRST, NONE)
    data = problem.at(problem.adopted(case.mixture)).data
    off = data.means()[0] - problem.frame.read(case.means)[0]
    moved = problem.held.about(replace(data), problem.frame)
    expected = data.scatter()[0] + data.mass[0] * np.outer(off, off)
    np.testing.assert_allclose(moved.scatter()[0], expected, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(moved.scatter()[1:], data.scatter()[1:], rtol=1e-12, atol=1e-9)
