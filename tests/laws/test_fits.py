"""What holds for whole fits, of every family in every data mode."""

import warnings
from itertools import product

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from mixtura import GaussianMixture, Mixture, kernels
from mixtura._errors import StartsDisagreeWarning
from mixtura.assignment import hard
from mixtura.covariance import FAMILIES as RULES
from mixtura.fit import at_once
from mixtura.fit.em import Stop, run
from mixtura.fit.problem import state
from mixtura.source import MemorySource
from oracle import BOUND_TO_UNITS, DIAGONAL, ELLIPSOIDAL, FAMILIES
from strategies import MODES, conjugate, from_labels, later, make, spread

PRODUCT = [(family, mode) for family in FAMILIES for mode in MODES]


def climb(case, **stop):
    problem = case.problem()
    return run(problem, problem.adopted(case.mixture), Stop(**stop)), problem


@pytest.mark.parametrize(
    ("family", "mode", "accelerate"), spread(FAMILIES, MODES, [True, False], every=4)
)
def test_the_trace_never_falls(family, mode, accelerate, kernel):
    case = make(family, mode, seed=31, n=120)
    fit, problem = climb(case, tol=1e-10, max_iter=300, accelerate=accelerate)
    falls = -np.diff(fit.trace)
    # One objective is a sum of 120 terms: rounding of some 1e-14 of its size.
    assert falls.max() <= 1e-12 * max(1.0, abs(fit.trace[-1]))
    assert len(fit.trace) > 2
    assert fit.trace[-1] == pytest.approx(problem.at(fit.mixture).value, rel=1e-13)


@pytest.mark.parametrize(("family", "mode"), spread(FAMILIES, MODES, every=6))
def test_acceleration_ends_where_plain_steps_end_or_higher(family, mode):
    case = make(family, mode, seed=32, n=150, spread=4.0)
    fast, _problem = climb(case, tol=1e-12, max_iter=5000)
    slow, _ = climb(case, tol=1e-12, max_iter=5000, accelerate=False)
    assert fast.converged and slow.converged
    assert fast.value >= slow.value - 1e-8
    if abs(fast.value - slow.value) < 1e-8:
        np.testing.assert_allclose(fast.mixture.means, slow.mixture.means, atol=2e-3)


@pytest.mark.parametrize(
    ("family", "mode"), spread(FAMILIES, ["complete", "weights", "prior"], every=3)
)
def test_compiled_climbs_take_the_steps_of_the_loop(family, mode):
    """Leaps and all; rounding grows from step to step, so that the first twenty are compared."""
    pytest.importorskip("numba")
    kernels.use("compiled")
    case = make(family, mode, seed=34, n=200, spread=2.0)
    problem = case.problem()
    start, stop = problem.adopted(case.mixture), Stop(tol=1e-9, max_iter=20)
    assert at_once.able(problem, case.k)
    ours = run(problem, start, stop)
    loop = run(problem, start, stop, lambda *_: None)
    assert (ours.n_iter, len(ours.trace)) == (loop.n_iter, len(loop.trace))
    np.testing.assert_allclose(ours.trace, loop.trace, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.mixture.means, loop.mixture.means, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("family", "mode"), spread(FAMILIES, MODES, every=3))
def test_the_end_of_a_climb_is_a_fixed_point(family, mode):
    case = make(family, mode, seed=33, n=150, spread=4.0)
    fit, problem = climb(case, tol=1e-13, max_iter=10000)
    after = problem.maximized(problem.at(fit.mixture).data, fit.mixture)
    # A remaining gain of 1e-13 a row leaves about sqrt(1e-13) = 3e-7 deviations.
    np.testing.assert_allclose(after.location, fit.mixture.location, atol=1e-5)
    np.testing.assert_allclose(after.weights, fit.mixture.weights, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_hard_assignment_never_falls_either(family):
    case = make(family, "all", seed=34, n=120)
    problem = case.problem(assign=hard)
    fit = run(problem, problem.adopted(case.mixture), Stop(1e-10, 200))
    assert (np.diff(fit.trace) >= -1e-12 * abs(fit.trace[-1])).all()


def test_the_plateau(kernel):
    """Two crossed elongated clusters, diagonal families: plain EM needs hundreds to thousands of
    steps along the plateau, the accelerated climb far fewer."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(300, 2)) * [3, 1], rng.normal(size=(300, 2)) * [1, 3]])
    problem = state(MemorySource(X), RULES["equal-spherical"])
    start = Mixture([0.5, 0.5], [[0.1, 0.05], [-0.1, 0.0]], 4.0 * np.ones(2), covariance_type="EII")
    slow = run(problem, problem.adopted(start), Stop(1e-9, 20000, accelerate=False))
    fast = run(problem, problem.adopted(start), Stop(1e-9, 20000))
    assert fast.value >= slow.value - 1e-7
    assert fast.n_iter <= max(slow.n_iter // 2, 100)


# ---- weights


def fitted(case_X, k, family, start=None, steps=3000, **fit):
    options = {"covariance_type": family, "random_state": 0, "tol": 1e-10, "max_iter": steps}
    if start is not None:
        options["init_params"] = start
    with warnings.catch_warnings():
        # Three diagonal components on iris have two optima a third of a nat apart: it says so.
        warnings.simplefilter("ignore", StartsDisagreeWarning)
        if steps < 100:
            warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(k, **options).fit(case_X, **fit)


def aligned(a, b):
    """For each component of a the number of the same component in b: the nearest mean."""
    return ((a.means_[:, None] - b.means_) ** 2).sum(axis=2).argmin(axis=1)


def same_mixture(a, b, rtol=1e-4):
    """Equal parameters up to numbering: a gain of 1e-10 a row left is some 1e-5 deviations."""
    order = aligned(a, b)
    assert len(set(order)) == len(order)
    one, two = a.mixture_, b.mixture_
    sigma = one.covariances
    np.testing.assert_allclose(two.weights[order], one.weights, atol=rtol)
    np.testing.assert_allclose(two.means[order], one.means, atol=rtol * np.abs(one.means).max())
    np.testing.assert_allclose(two.covariances[order], sigma, atol=rtol * np.abs(sigma).max())


def same_partition(a, b):
    """Labels equal up to numbering."""
    np.testing.assert_array_equal(matched(a, b), a)


@pytest.mark.parametrize(("family", "given_start"), spread(FAMILIES, [True, False], every=2))
def test_weight_two_is_the_row_twice(family, given_start, iris):
    X, species = iris
    rng = np.random.default_rng(0)
    w = rng.integers(0, 4, len(X))
    repeated = np.repeat(np.arange(len(X)), w)
    a = fitted(X, 3, family, species if given_start else None, sample_weight=w.astype(float))
    b = fitted(X[repeated], 3, family, species[repeated] if given_start else None)
    same_mixture(a, b)
    total = a.score(X, sample_weight=w)
    assert total == pytest.approx(b.score(X[repeated]), rel=1e-12)
    assert a.bic(X, sample_weight=w) == pytest.approx(b.bic(X[repeated]), rel=1e-9)
    # The sharpness is not at its maximum: it moves with the little that both climbs have left.
    assert a.icl(X, sample_weight=w) == pytest.approx(b.icl(X[repeated]), rel=1e-7)


@pytest.mark.parametrize(("family", "given_start"), spread(FAMILIES, [False, True], every=2))
@pytest.mark.parametrize("outlandish", [1e200, *later(1e3, np.nan)])
def test_weight_zero_is_the_row_absent(family, outlandish, given_start, iris):
    X, species = iris
    gone = np.random.default_rng(1).random(len(X)) < 0.2
    Y = np.where(gone[:, None], outlandish, X)
    a = fitted(Y, 3, family, species if given_start else None, sample_weight=(~gone).astype(float))
    b = fitted(X[~gone], 3, family, species[~gone] if given_start else None)
    same_mixture(a, b)


@pytest.mark.parametrize("family", spread(FAMILIES[::-1], every=2))
@pytest.mark.parametrize("size", [1.0 / 150, *later(1e9, 1e-12)])
def test_only_the_ratios_of_weights_matter(family, size, iris):
    """Survey weights that sum to one, or to a million, are the same weights."""
    X, _ = iris
    w = np.random.default_rng(2).uniform(0.5, 2.0, len(X))
    a = fitted(X, 3, family, sample_weight=w)
    b = fitted(X, 3, family, sample_weight=size * w)
    same_mixture(a, b)


# ---- labels


@pytest.mark.parametrize("family", FAMILIES)
def test_all_labels_known_is_the_supervised_fit(family, iris):
    X, species = iris
    model = GaussianMixture(3, covariance_type=family, random_state=0).fit(X, labels=species)
    np.testing.assert_allclose(model.weights_, 1 / 3, rtol=1e-10)
    expected = np.stack([X[species == label].mean(axis=0) for label in range(3)])
    np.testing.assert_allclose(model.means_, expected, rtol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [0, 1, *later(2, 3)])
def test_few_labels_name_the_components(family, seed):
    """Five labelled rows of each of four clear clusters: components get the labels' numbers,
    whichever start wins."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), 100)
    centres = np.array([[0, 0], [9, 0], [0, 9], [9, 9]])[rng.permutation(4)]
    X = centres[labels] + rng.normal(size=(400, 2))
    told = np.full(400, -1)
    for label in range(4):
        told[rng.choice(np.flatnonzero(labels == label), 5, replace=False)] = label
    model = GaussianMixture(4, covariance_type=family, random_state=seed).fit(X, labels=told)
    assert (model.predict(X) == labels).mean() > 0.98


@pytest.mark.parametrize("family", FAMILIES)
def test_uniform_soft_labels_are_no_labels(family, faithful):
    told = np.full((len(faithful), 2), 0.5)
    a = fitted(faithful, 2, family)
    b = fitted(faithful, 2, family, labels=told)
    order = np.argsort(a.means_[:, 0]), np.argsort(b.means_[:, 0])
    np.testing.assert_allclose(a.means_[order[0]], b.means_[order[1]], rtol=1e-5)
    c = fitted(faithful, 2, family, labels=np.full(len(faithful), -1))
    assert c.lower_bound_ == pytest.approx(a.lower_bound_, abs=1e-8)


def test_known_rows_keep_their_component(faithful):
    """A label is evidence for the fit; predict looks at the row alone."""
    told = np.full(len(faithful), -1)
    told[:20] = (faithful[:20, 0] < 3).astype(int)
    model = GaussianMixture(2, random_state=0).fit(faithful, labels=told)
    assert model.means_[1, 0] < model.means_[0, 0]


# ---- the prior


@pytest.mark.parametrize("family", spread(FAMILIES[::-1], every=2))
def test_a_huge_shrinkage_gives_the_prior_mean(family):
    case = make(family, "prior", seed=40, n=100)
    case.prior.shrinkage = 1e10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # components that coincide may empty or disagree
        model = GaussianMixture(
            2, covariance_type=family, prior=conjugate(case.prior), init_params="kmeans"
        ).fit(case.X)
    np.testing.assert_allclose(model.means_, np.tile(case.prior.mean, (2, 1)), atol=1e-5)


@pytest.mark.parametrize("family", spread(FAMILIES, every=2))
def test_the_default_prior_keeps_thin_components_sound(family):
    """k = n/4: without a prior components collapse; with it every covariance is well above 0."""
    X = np.random.default_rng(0).normal(size=(40, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(
            10, covariance_type=family, prior="fraley-raftery", random_state=0, max_iter=2000
        ).fit(X)
    low = model.mixture_.structure.eigenvalues()
    # Λ / (ν + n + d + 2) with Λ about Cov/10 and n at most 40.
    assert low.min() > 1e-3


# ---- equivariance


def matched(a, b):
    """Labels of b renamed to those of a where they overlap most."""
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    return table.argmax(axis=0)[b]


def transform(family, rng, d):
    """An invertible map that carries the family into itself."""
    if family in ELLIPSOIDAL and family not in BOUND_TO_UNITS:
        return rng.normal(size=(d, d)) + 2 * np.eye(d)
    if family in DIAGONAL:
        return np.diag(rng.uniform(0.3, 4.0, d) * rng.choice([-1, 1], d))
    q, _ = np.linalg.qr(rng.normal(size=(d, d)))
    return 3.7 * q


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [0, *later(1, 2)])
def test_equivariant_from_a_given_start(family, seed, iris):
    X, species = iris
    rng = np.random.default_rng(seed)
    A, b = transform(family, rng, 4), 10 * rng.normal(size=4)
    plain = fitted(X, 3, family, species)
    moved = fitted(X @ A + b, 3, family, species)
    np.testing.assert_allclose(moved.means_, plain.means_ @ A + b, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(moved.predict(X @ A + b), plain.predict(X))
    jacobian = np.linalg.slogdet(A)[1]
    assert moved.score(X @ A + b) == pytest.approx(plain.score(X) - jacobian, abs=1e-8)
    assert moved.lower_bound_ == pytest.approx(plain.lower_bound_ - jacobian, abs=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [0, *later(1, 2)])
def test_equivariant_from_scratch(family, seed, faithful):
    """The tournament too ends in the same partition."""
    rng = np.random.default_rng(seed)
    A, b = transform(family, rng, 2), 10 * rng.normal(size=2)
    plain, moved = fitted(faithful, 2, family), fitted(faithful @ A + b, 2, family)
    same_partition(plain.predict(faithful), moved.predict(faithful @ A + b))
    jacobian = np.linalg.slogdet(A)[1]
    assert moved.score(faithful @ A + b) == pytest.approx(
        plain.score(faithful) - jacobian, abs=1e-7
    )


SCALES = [
    np.full(4, 1e-8),
    np.full(4, 1e8),
    np.full(4, 2.0**60),
    np.array([1e-8, 1e8, 1.0, 2.0**-20]),
]


@pytest.mark.parametrize(
    ("which", "mode", "family"),
    [
        *product([0], ["complete"], FAMILIES[::2]),
        *product([0], ["gaps"], ["full", "EEI"]),
        *later(*product([0], ["complete"], FAMILIES[1::2])),
        *later(*product([1, 2, 3], ["complete"], FAMILIES)),
        *later(*product([0], ["gaps"], sorted(set(FAMILIES) - {"full", "EEI"}))),
    ],
)
def test_units_do_not_matter(family, which, mode, iris):
    """Spherical families, and those with orientations but not all free, allow a common unit."""
    X, _ = iris
    if mode == "gaps":
        X = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    scale = SCALES[which]
    if family in BOUND_TO_UNITS and len(set(scale)) > 1:
        pytest.skip("the family does not survive different units")
    plain, scaled = fitted(X, 3, family), fitted(X * scale, 3, family)
    same_partition(plain.predict(X), scaled.predict(X * scale))
    jacobian = (~np.isnan(X)).mean(axis=0) @ np.log(scale)
    assert scaled.score(X * scale) == pytest.approx(plain.score(X) - jacobian, abs=1e-6)
    assert scaled.converged_


def test_powers_of_two_are_exact(iris):
    """From the same start: only where the climb stops can differ, as its objective is shifted."""
    X, species = iris
    scale = 2.0 ** np.array([-30, 12, 3, 40])
    for family in ("full", "tied", "diag"):
        plain, scaled = fitted(X, 3, family, species), fitted(X * scale, 3, family, species)
        np.testing.assert_allclose(scaled.means_, plain.means_ * scale, rtol=1e-10)
        start = from_labels(state(MemorySource(X), RULES[family]), species, 3)
        moved = from_labels(state(MemorySource(X * scale), RULES[family]), species, 3)
        np.testing.assert_array_equal(moved.means, start.means * scale)
        # The log-density is shifted by a constant of size 30: 4e-15 in what is exponentiated.
        np.testing.assert_allclose(
            moved.responsibilities(X * scale), start.responsibilities(X), rtol=1e-12
        )


@pytest.mark.parametrize("family", spread(FAMILIES[::-1], every=2))
@pytest.mark.parametrize("offset", [1e8, *later(-1e8, 1e12)])
def test_offsets_do_not_matter(family, offset, iris):
    """Rows on a grid of 2^-12, so that the offset itself rounds nothing away."""
    X = np.round(iris[0] * 2**12) / 2**12
    plain, moved = fitted(X, 3, family), fitted(X + offset, 3, family)
    same_partition(plain.predict(X), moved.predict(X + offset))
    # Means are rounded to the spacing of numbers near the offset: 1e-4 at 1e12.
    slack = 1e-7 if abs(offset) < 1e10 else 1e-3
    assert moved.score(X + offset) == pytest.approx(plain.score(X), abs=slack)
    gaps = plain.means_[:, None] - (moved.means_ - offset)
    order = (gaps**2).sum(axis=2).argmin(axis=1)
    sigma = plain.mixture_.covariances
    np.testing.assert_allclose(moved.mixture_.covariances[order], sigma, rtol=1e-2, atol=1e-3)


# ---- permutations


@pytest.mark.parametrize("family", spread(FAMILIES, every=2))
def test_order_of_rows(family, iris):
    X, _ = iris
    order = np.random.default_rng(0).permutation(len(X))
    plain, shuffled = fitted(X, 3, family), fitted(X[order], 3, family)
    same_mixture(shuffled, plain)
    same_partition(plain.predict(X)[order], shuffled.predict(X[order]))


@pytest.mark.parametrize("family", FAMILIES)
def test_order_of_columns(family, iris):
    X, species = iris
    order = [2, 0, 3, 1]
    plain, shuffled = fitted(X, 3, family, species), fitted(X[:, order], 3, family, species)
    np.testing.assert_allclose(shuffled.means_, plain.means_[:, order], rtol=1e-6)
    np.testing.assert_array_equal(shuffled.predict(X[:, order]), plain.predict(X))


@pytest.mark.parametrize("family", FAMILIES)
def test_order_of_components(family, iris):
    X, species = iris
    order = np.array([2, 0, 1])
    plain, renamed = fitted(X, 3, family, species), fitted(X, 3, family, order[species])
    np.testing.assert_allclose(renamed.means_[order], plain.means_, rtol=1e-6)
    np.testing.assert_array_equal(renamed.predict(X), order[plain.predict(X)])


# ---- the same numbers, however they are stored


def layouts(X, tmp_path):
    strided = np.zeros((2 * len(X), 2 * X.shape[1]))
    strided[::2, ::2] = X
    reverse = X[::-1].copy()[::-1]
    frozen = X.copy()
    frozen.setflags(write=False)
    mapped = np.memmap(tmp_path / "rows", dtype=float, mode="w+", shape=X.shape)
    mapped[:] = X
    mapped.flush()
    return {
        "Fortran": np.asfortranarray(X),
        "strided": strided[::2, ::2],
        "negative strides": reverse,
        "read-only": frozen,
        "memory-mapped": np.memmap(tmp_path / "rows", dtype=float, mode="r", shape=X.shape),
        "big-endian": X.astype(">f8"),
        "unaligned": np.frombuffer(b"x" + X.tobytes(), dtype=np.uint8)[1:]
        .view(float)
        .reshape(X.shape),
        "list": X.tolist(),
        "object": X.astype(object),
        "long double": X.astype(np.longdouble),
        "subclass": X.view(type("Rows", (np.ndarray,), {})),
    }


@pytest.mark.parametrize(
    ("family", "mode"),
    [
        *product(["full", "diag"], ["complete", "gaps"]),
        *spread([*FAMILIES[1:8], *FAMILIES[9:]], ["complete", "gaps"], every=3),
    ],
)
def test_storage_changes_no_bit(family, mode, tmp_path, iris, kernel):
    X, start = iris[0], None  # None: through the tournament, which knows of few families
    if mode == "gaps":
        X = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
        start = iris[1] > 0
    if start is None and family not in ("full", "diag"):
        start = iris[1] > 0
    plain = fitted(X, 2, family, start, steps=4)
    densities, shares = plain.score_samples(X), plain.predict_proba(X)
    for name, stored in layouts(X, tmp_path).items():
        if family not in ("full", "diag") and name not in ("Fortran", "big-endian", "unaligned"):
            continue
        model = fitted(stored, 2, family, start, steps=4)
        assert np.array_equal(model.means_, plain.means_), name
        assert np.array_equal(model.score_samples(stored), densities), name
        assert np.array_equal(model.predict_proba(stored), shares), name


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, np.float16, bool])
def test_small_types_are_the_same_numbers(dtype):
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.integers(0, 2, (60, 3)), rng.integers(0, 2, (60, 3)) * [1, 1, 0]])
    X = X.astype(dtype)
    if dtype is not bool:
        X[:60] += dtype(20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a, b = fitted(X, 1, "full"), fitted(X.astype(float), 1, "full")
    np.testing.assert_array_equal(a.means_, b.means_)
    np.testing.assert_array_equal(a.score_samples(X), b.score_samples(X.astype(float)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_float32_is_nearly_float64(family, offset, iris, kernel):
    """The same rounded numbers in either type: float32 rows, float64 sums; default settings."""
    X, species = iris
    rows = (X + offset).astype(np.float32)
    assert rows.dtype == np.float32

    def fit(values):
        return GaussianMixture(3, covariance_type=family, init_params=species).fit(values)

    single, double = fit(rows), fit(rows.astype(float))
    assert single.converged_
    # Products may run in single precision: 6e-8 of terms of size 10, and the climb's last gains
    # of 1e-6 a row drown in that noise.
    assert single.score(rows) == pytest.approx(double.score(rows.astype(float)), abs=1e-4)
    assert (single.predict(rows) == double.predict(rows.astype(float))).mean() > 0.98
    # What is computed from a given mixture does not depend on the type of equal numbers.
    np.testing.assert_allclose(
        double.score_samples(rows), double.score_samples(rows.astype(float)), rtol=1e-12
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("family", spread(FAMILIES, every=3))
def test_threads_do_not_matter(family, kernel):
    """41 000 rows in several blocks: one or three threads give the same bits."""
    case = make(family, "weights", seed=3, n=41_000, spread=5.0)
    X = case.X.copy()
    X[::7, 0] = np.nan
    start = "auto" if family == "full" else "kmeans"  # the tournament knows of few families
    given = {"random_state": 0, "max_iter": 4, "tol": 1e-2, "init_params": start}
    models = [
        GaussianMixture(3, covariance_type=family, n_jobs=jobs, **given).fit(
            X, sample_weight=case.w
        )
        for jobs in (1, 3)
    ]
    for model in models[1:]:
        assert np.array_equal(model.means_, models[0].means_)
        assert np.array_equal(model.covariances_, models[0].covariances_)
        assert model.lower_bounds_ == models[0].lower_bounds_
        assert np.array_equal(model.predict_proba(X), models[0].predict_proba(X))


@pytest.mark.parametrize("family", spread(FAMILIES[::-1], every=4))
def test_the_same_seed_is_the_same_fit(family, iris):
    a, b = fitted(iris[0], 3, family), fitted(iris[0], 3, family)
    assert a.mixture_ == b.mixture_
    assert a.lower_bounds_ == b.lower_bounds_


@pytest.mark.parametrize(("family", "mode"), PRODUCT)
def test_responsibilities_sum_to_one(family, mode, kernel):
    case = make(family, mode, seed=50)
    X = np.concatenate([case.X, [[1e8, -1e8, 1e8], [1e-300, 0.0, -0.0]]])
    shares = case.mixture.responsibilities(X)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=4e-16 * 8)
    assert (shares >= 0).all() and (shares <= 1).all()


# ---- k-means


def unbalanced(seed):
    """Overlapping clusters of 300, 60 and 20 rows."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.normal(0, 1, (300, 2)), rng.normal(2.5, 1, (60, 2)), rng.normal((0, 4), 1, (20, 2))]
    )


@pytest.mark.parametrize("seed", range(5))
def test_hard_equal_spheres_are_k_means(seed):
    """Lloyd's algorithm from the same start: the same partition and inertia.

    Hard assignment by ``log π_k - |x - μ_k|²/2σ²`` is k-means only if all π_k are equal; so in this
    mode the weights must not be free, or unbalanced clusters are cut elsewhere.
    """
    from sklearn.cluster import KMeans

    X = unbalanced(seed)
    start = X[np.random.default_rng(seed).choice(len(X), 3, replace=False)]
    means = KMeans(3, init=start, n_init=1, tol=0.0, max_iter=1000).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(
            3,
            covariance_type="equal-spherical",
            assignment="hard",
            weights_init=np.full(3, 1 / 3),
            means_init=start,
            precisions_init=np.ones(3),
            tol=0.0,
            max_iter=300,
        ).fit(X)
    np.testing.assert_array_equal(model.predict(X), means.labels_)
    np.testing.assert_allclose(model.means_, means.cluster_centers_, rtol=1e-9)
    inertia = ((X - model.means_[model.predict(X)]) ** 2).sum()
    assert inertia == pytest.approx(means.inertia_, rel=1e-10)


def test_hard_steps_with_equal_weights_are_lloyds_steps():
    """The seam itself: hard responsibilities, then means, from a mixture of equal weights."""
    X = unbalanced(0)
    problem = state(MemorySource(X), RULES["equal-spherical"], assign=hard)
    centres = X[[0, 310, 370]]
    mixture = Mixture([1 / 3] * 3, centres, np.ones(3), covariance_type="EII")
    for _ in range(5):
        here = problem.adopted(
            Mixture([1 / 3] * 3, mixture.means, np.ones(3), covariance_type="EII")
        )
        mixture = problem.maximized(problem.at(here).data, here)
        nearest = ((X[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        centres = np.stack([X[nearest == c].mean(axis=0) for c in range(3)])
        np.testing.assert_allclose(mixture.means, centres, rtol=1e-11, atol=1e-12)
    spread = ((X - centres[nearest]) ** 2).sum() / (2 * len(X))
    np.testing.assert_allclose(mixture.covariances[0], spread * np.eye(2), rtol=1e-10)


def test_a_start_is_inside_its_family():
    """Hard responsibilities -> statistics -> maximization, for every family."""
    X = np.random.default_rng(0).normal(size=(90, 3))
    labels = np.arange(90) % 3
    for family in FAMILIES:
        problem = state(MemorySource(X), RULES[family])
        start = from_labels(problem, labels, 3)
        rule = RULES[family]
        assert start.structure.shape == rule.moments.shape
        assert start.structure.shared == rule.moments.pooled
