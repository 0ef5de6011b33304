"""What the parsimonious families promise: maxima within the family, nesting, bounds, units."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from mixtura import GaussianMixture, Mixture
from mixtura._errors import InputError
from mixtura.covariance import ALIASES, LAYOUTS, RATIO, UNIVARIATE, Guard, family, structure
from mixtura.covariance import FAMILIES as RULES
from mixtura.fit.em import Stop, run
from mixtura.fit.problem import state
from mixtura.fit.select import rules
from mixtura.kernels import forms, plain
from mixtura.kernels.plain_forms import Bounds, truncated
from mixtura.source import MemorySource
from mixtura.statistics import Moments, Statistics
from oracle import BOUND_TO_UNITS, ELLIPSOIDAL, FAMILIES, LETTERS, POOLED
from strategies import changed, covariance_array, dense, from_labels, layout, make, seeds

FORMS = ("EVV", "VEV", "EEV", "VVE", "EVE", "VEE", "EVI", "VEI")
NESTED = [
    ("EVV", "full"), ("VEV", "full"), ("VVE", "full"), ("EEV", "EVV"), ("EEV", "VEV"),
    ("EVE", "EVV"), ("EVE", "VVE"), ("VEE", "VEV"), ("VEE", "VVE"), ("tied", "EEV"),
    ("tied", "EVE"), ("tied", "VEE"), ("diag", "VVE"), ("EVI", "EVE"), ("VEI", "VEE"),
    ("EEI", "tied"), ("EVI", "diag"), ("VEI", "diag"), ("EEI", "EVI"), ("EEI", "VEI"),
    ("spherical", "VEI"), ("equal-spherical", "EEI"), ("equal-spherical", "spherical"),
]  # fmt: skip
"""Each family with one that contains it."""


def averages(name, k, d, seed, rows=None):
    """Averages of scatters in the shape a form takes, and divisors that differ."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, d, rows or d + 2)) * np.exp(rng.normal(size=(k, d, 1)))
    matrices = root @ root.swapaxes(1, 2) / d
    given = matrices.diagonal(axis1=1, axis2=2).copy() if name.endswith("I") else matrices
    return given, rng.uniform(3.0, 60.0, k)


def explained(covariances, given, dof):
    """``-½ Σ ν [log|Σ| + tr(Σ⁻¹C)]``."""
    if given.ndim == 2:
        return -0.5 * float(dof @ (np.log(covariances) + given / covariances).sum(axis=1))
    log_det = np.linalg.slogdet(covariances)[1]
    quadratic = np.trace(np.linalg.solve(covariances, given), axis1=1, axis2=2)
    return -0.5 * float(dof @ (log_det + quadratic))


def data_of(matrices, dof, name):
    """Statistics (k, d, d) of centred rows, in the shape and pooling of a family."""
    k, d, _ = matrices.shape
    moments = RULES[name].moments
    second = matrices * dof[:, None, None]
    second = {0: second, 1: second.diagonal(axis1=1, axis2=2), 2: second.trace(axis1=1, axis2=2)}
    zero = np.zeros((k, d))
    kept = moments.total(np.array(second[moments.shape]))
    return Statistics(moments, zero, dof, dof, dof, zero, kept)


def maximized(name, matrices, dof, guard=None, before=None):
    guard = Guard.of(matrices.shape[1]) if guard is None else guard
    return RULES[name].maximize(data_of(matrices, dof, name), guard, before)


# ---- the forms


@given(name=st.sampled_from(FORMS), k=st.integers(1, 4), d=st.integers(1, 5), seed=seeds())
def test_a_form_is_a_maximum_within_the_family(name, k, d, seed):
    given, dof = averages(name, k, d, seed)
    best, _ = plain.constrain(given, dof, getattr(forms, name))
    top = explained(best, given, dof)
    rng = np.random.default_rng(seed)
    matrices = np.stack([np.diag(row) for row in best]) if given.ndim == 2 else best
    for size in (1e-4, 1e-2, 0.5):
        other = changed(name, matrices, size, rng)
        other = other.diagonal(axis1=1, axis2=2) if given.ndim == 2 else other
        # Rotations that gain less than 1e-13 a row are left out; the rest is rounding.
        assert explained(other, given, dof) <= top + 1e-11 * max(abs(top), dof.sum())


@given(name=st.sampled_from(FORMS), k=st.integers(1, 4), d=st.integers(1, 5), seed=seeds())
def test_a_form_has_what_its_name_says(name, k, d, seed):
    given, dof = averages(name, k, d, seed)
    best, axes = plain.constrain(given, dof, getattr(forms, name))
    matrices = np.stack([np.diag(row) for row in best]) if given.ndim == 2 else best
    volumes = np.linalg.slogdet(matrices)[1] / d
    if name[0] == "E":
        np.testing.assert_allclose(volumes, volumes[0], atol=1e-9)
    if name[1] == "E":
        shapes = np.linalg.eigvalsh(matrices) / np.exp(volumes)[:, None]
        np.testing.assert_allclose(shapes, np.tile(shapes[0], (k, 1)), rtol=1e-8)
    if axes is not None:
        turned = axes.T @ matrices @ axes
        off = turned - np.stack([np.diag(np.diag(t)) for t in turned])
        assert np.abs(off).max(initial=0.0) <= 1e-10 * np.abs(matrices).max()
        np.testing.assert_allclose(axes @ axes.T, np.eye(d), atol=1e-12)
    assert family(name).holds(best)


@given(name=st.sampled_from(FORMS), k=st.integers(1, 4), d=st.integers(1, 5), seed=seeds())
def test_the_compiled_forms_are_the_plain_ones(name, k, d, seed):
    compiled = pytest.importorskip("mixtura.kernels.compiled")
    given, dof = averages(name, k, d, seed)
    form, kept = getattr(forms, name), given.copy()
    ours, _ = compiled.constrain(given, dof, form)
    theirs, _ = plain.constrain(given, dof, form)
    np.testing.assert_array_equal(given, kept)
    if name in ("VVE", "EVE"):  # they may end at different axes, or 1e-13 a row apart
        start = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
        for kernel in (compiled, plain):
            ends, _ = kernel.constrain(given, dof, form, axes=start)
            along = np.einsum("ia,kij,ja->ka", start, given, start)
            held, _ = plain.constrain(
                np.stack([np.diag(row) for row in along]), dof, form, axes=np.eye(d)
            )
            least = explained(start @ held @ start.T, given, dof)
            assert explained(ends, given, dof) >= least - 1e-10 * abs(least)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10 * np.abs(theirs).max())


@given(seed=seeds(), k=st.integers(2, 4), d=st.integers(2, 4), name=st.sampled_from(["VVE", "EVE"]))
def test_common_axes_never_lead_below_where_they_begin(seed, k, d, name):
    """From the structure of the step before: at least as good as that, and as it with its own
    eigenvalues."""
    given, dof = averages(name, k, d, seed)
    rng = np.random.default_rng(seed + 1)
    round_ones = np.stack([np.eye(d)] * k)
    before = structure(changed(name, round_ones, 1.0, rng), name, k, d)
    after = maximized(name, given, dof, before=before)
    least = explained(before.dense(), given, dof)
    assert explained(after.dense(), given, dof) >= least - 1e-10 * abs(least)
    again = maximized(name, given, dof, before=after)
    top = explained(after.dense(), given, dof)
    assert explained(again.dense(), given, dof) >= top - 1e-11 * abs(top)


@given(pair=st.sampled_from(NESTED), seed=seeds(), k=st.integers(2, 4), d=st.integers(2, 4))
def test_a_wider_family_explains_more(pair, seed, k, d):
    narrow, wide = pair
    given, dof = averages("full", k, d, seed)
    less = maximized(narrow, given, dof).dense()
    # Common axes may end in another optimum: they begin at those of the narrower family.
    before = structure(layout(wide, less), wide, k, d) if wide in ("VVE", "EVE") else None
    more = maximized(wide, given, dof, before=before).dense()
    floor = explained(less, given, dof)
    assert explained(more, given, dof) >= floor - 1e-10 * abs(floor)


@pytest.mark.parametrize(("narrow", "wide"), NESTED)
@pytest.mark.parametrize("data", ["faithful", "iris"])
def test_nested_optima_from_the_same_labels(narrow, wide, data, faithful, iris):
    X, labels = (faithful, (faithful[:, 0] > 3).astype(int)) if data == "faithful" else iris
    values = []
    for name in (narrow, wide):
        problem = state(MemorySource(X), RULES[name])
        fit = run(problem, from_labels(problem, labels, labels.max() + 1), Stop(1e-10, 5000))
        values.append(fit.value)
    assert values[0] <= values[1] + 1e-8


# ---- units, and one dimension


@pytest.mark.parametrize("name", FAMILIES)
def test_units_leave_just_the_families_that_say_so(name):
    """Other units in each column: the maximum is rescaled, or there is another."""
    assert RULES[name].one_scale == (name in BOUND_TO_UNITS)
    given, dof = averages("full", 3, 3, seed=5)
    scale = np.array([0.01, 1.0, 30.0])
    plainly = maximized(name, given, dof).dense()
    scaled = maximized(name, scale[:, None] * given * scale, dof).dense()
    back = scaled / scale[:, None] / scale
    if name in BOUND_TO_UNITS:
        assert np.abs(back - plainly).max() > 0.1
    else:
        np.testing.assert_allclose(back, plainly, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", FAMILIES)
def test_structures_know_whether_they_stay_in_their_family(name):
    value = structure(covariance_array(name, 3, 3, np.random.default_rng(0)), name, 3, 3)
    assert value.name == name
    for other in (
        value.scaled(np.full(3, 0.5)),
        value.scaled(np.array([1.0, 2.0, 0.5])),
        value.marginal([2, 0]),
        value.take([2, 0]),
    ):
        structure(other.array(), other.name, other.k, other.d)  # refuses what is not of the family
    assert value.scaled(np.full(3, 0.5)).name == value.take([1]).name == name
    kept = value.scaled(np.array([1.0, 2.0, 0.5])).name == name
    assert kept == (name not in BOUND_TO_UNITS)


@pytest.mark.parametrize("name", FAMILIES)
def test_in_one_dimension_there_are_two_families(name, faithful):
    """V of the volume: a variance each, as full; E: one variance, as equal-spherical."""
    X, labels = faithful[:, :1], (faithful[:, 0] > 3).astype(int)
    values = []
    for which in (name, UNIVARIATE[LETTERS[name][0]]):
        problem = state(MemorySource(X), RULES[which])
        fit = run(problem, from_labels(problem, labels, 2), Stop(1e-12, 5000))
        values.append((fit.value, *fit.mixture.means.ravel(), *fit.mixture.covariances.ravel()))
    np.testing.assert_allclose(values[0], values[1], rtol=1e-6)
    assert RULES[name].n_parameters(5, 1) == (5 if LETTERS[name][0] == "V" else 1)


def test_names_for_one_dimension():
    X = np.random.default_rng(0).normal(size=(50, 1))
    for letter, name in UNIVARIATE.items():
        assert family(letter) is family(letter, 1) is RULES[name]
        model = GaussianMixture(2, covariance_type=letter, random_state=0).fit(X)
        assert model.covariance_type_ == name
        with pytest.raises(InputError, match=f"{letter}.*one column.*2"):
            GaussianMixture(2, covariance_type=letter).fit(np.hstack([X, X]))
    assert [rule.name for rule in rules("all", 1)] == ["full", "equal-spherical"]
    assert len(rules("all", 2)) == len(rules("all")) == 14
    assert Mixture([1.0], [[0.0]], [[[2.0]]], covariance_type="V").covariances[0, 0, 0] == 2.0


# ---- from numbers


@pytest.mark.parametrize("name", FAMILIES)
def test_numbers_of_a_family_and_others(name):
    rng = np.random.default_rng(1)
    k, d = 3, 3
    array = covariance_array(name, k, d, rng)
    assert array.shape == LAYOUTS[name](k, d)
    mixture = Mixture(np.full(k, 1 / k), rng.normal(size=(k, d)), array, covariance_type=name)
    np.testing.assert_array_equal(mixture.covariances, dense(name, array, k, d))
    assert GaussianMixture.from_mixture(mixture).covariance_type_ == name
    assert f"({name})" in repr(mixture)
    if name in FORMS:
        wide = "full" if name in ELLIPSOIDAL else "diag"
        other = covariance_array(wide, k, d, rng)
        with pytest.raises(InputError, match=f"not of the family {name}.*{wide}"):
            Mixture(np.full(k, 1 / k), np.zeros((k, d)), other, covariance_type=name)


@pytest.mark.parametrize("name", FAMILIES)
def test_attributes_have_the_layout_of_the_family(name, iris):
    X, species = iris
    model = GaussianMixture(3, covariance_type=name, init_params=species).fit(X)
    shape = LAYOUTS[name](3, 4)
    assert model.covariances_.shape == model.precisions_.shape == shape
    assert model.precisions_cholesky_.shape == shape
    precisions = dense(name, model.precisions_, 3, 4)
    roots = dense(name, model.precisions_cholesky_, 3, 4)
    np.testing.assert_allclose(precisions @ model.mixture_.covariances, [np.eye(4)] * 3, atol=1e-9)
    np.testing.assert_allclose(roots @ roots.swapaxes(1, 2), precisions, rtol=1e-9, atol=1e-9)
    again = GaussianMixture(3, covariance_type=name, init_params=species, max_iter=1, tol=0.0)
    again.set_params(weights_init=model.weights_, means_init=model.means_)
    again.set_params(precisions_init=model.precisions_)
    assert again.fit(X).score(X) == pytest.approx(model.score(X), abs=1e-6)
    assert model.mixture_.to_sklearn().score(X) == pytest.approx(model.score(X), abs=1e-9)


# ---- floors


@given(name=st.sampled_from(FAMILIES), seed=seeds(), what=st.sampled_from(["line", "point", "all"]))
def test_collapsing_directions_are_held_at_the_floor(name, seed, what):
    """Inside the family: finite, not below the floor, and never worse than a step before."""
    k, d, floor = 3, 3, 1e-9
    given, dof = averages("full", k, d, seed)
    rng = np.random.default_rng(seed)
    flat = np.eye(d) - (0.0 if what == "point" else 1.0) * np.outer(*[np.eye(d)[0]] * 2)
    flat = np.zeros((d, d)) if what == "point" else flat
    for index in range(k) if what == "all" else [1]:
        given[index] = flat @ given[index] @ flat
    guard = Guard(np.zeros(d), floor)
    before = None
    start = changed(name, np.stack([np.eye(d)] * k), 0.5, rng)
    before = structure(layout(name, start), name, k, d)
    least = explained(before.dense(), given, dof)
    for _ in range(3):
        after = maximized(name, given, dof, guard, before)
        values = after.eigenvalues()
        assert np.isfinite(after.dense()).all()
        # Eigenvalues of a matrix of size 100 are known to 1e-14, as are those of its factors.
        assert values.min() >= floor * (1 - 1e-4)
        assert RULES[name].n_parameters(k, d) >= 1
        value = explained(after.dense(), given, dof)
        # Quadratic forms of 1e9 times what rounds at 1e-15.
        assert value >= least - 1e-4 * (1 + abs(least)) * 1e-2
        before, least = after, value


@given(seed=seeds())
def test_equal_volumes_on_the_floor_are_the_best(seed):
    """Against a general optimiser over logarithms, with bounds and the constraint."""
    rng = np.random.default_rng(seed)
    values, dof = np.exp(rng.normal(size=(2, 3))), rng.uniform(1.0, 5.0, 2)
    values[0, :2] = [1e-9, 1e-6]
    floor = 1e-2
    best, _ = plain.constrain(values, dof, forms.EVI, Bounds(floor))
    assert best.min() >= floor * (1 - 1e-12)
    assert np.ptp(np.log(best).sum(axis=1)) < 1e-9

    def loss(logs):
        return -explained(np.exp(logs.reshape(2, 3)), values, dof)

    equal = {"type": "eq", "fun": lambda logs: logs[:3].sum() - logs[3:].sum()}
    found = minimize(
        loss, np.zeros(6), bounds=[(np.log(floor), None)] * 6, constraints=[equal], tol=1e-10,
        options={"maxiter": 500},
    )  # fmt: skip
    assert explained(best, values, dof) >= -found.fun - 1e-6


@pytest.mark.parametrize("name", FAMILIES)
def test_a_climb_into_the_floor_does_not_fall(name):
    """One of three clusters is a point, one lies on a line."""
    rng = np.random.default_rng(0)
    line = np.column_stack([np.linspace(0, 4, 20), np.zeros(20)])
    X = np.concatenate([rng.normal(size=(40, 2)) + 9.0, line, np.full((15, 2), -7.0)])
    labels = np.repeat([0, 1, 2], [40, 20, 15])
    problem = state(MemorySource(X), RULES[name])
    fit = run(problem, from_labels(problem, labels, 3), Stop(1e-9, 60))
    assert np.isfinite(fit.trace).all()
    # On the floor, 1e12 times the rounding of 1e-16 enters the log-density.
    assert (np.diff(fit.trace) >= -1e-5 * np.abs(fit.trace[-1])).all()
    assert np.isfinite(fit.mixture.logpdf(X)).all()
    assert fit.mixture.structure.eigenvalues().min() >= 0.99 * problem.guard.floor


# ---- a bound on the ratio of eigenvalues


@given(seed=seeds(), ratio=st.sampled_from([1.0, 3.0, 50.0, 1e4]))
def test_truncation_is_the_best_there_is(seed, ratio):
    """Against a fine search over the lower bound."""
    rng = np.random.default_rng(seed)
    values, dof = np.exp(3.0 * rng.normal(size=(3, 2))), rng.uniform(1.0, 9.0, 3)
    best = truncated(values, dof, Bounds(0.0, ratio))
    assert best.max() <= best.min() * ratio * (1 + 1e-12)
    top = explained(best, values, dof)
    for lowest in np.exp(np.linspace(-15.0, 12.0, 2000)):
        other = np.clip(values, lowest, ratio * lowest)
        assert explained(other, values, dof) <= top + 1e-9 * abs(top)
    if values.max() <= ratio * values.min():
        np.testing.assert_allclose(best, values, rtol=1e-14)


def test_truncation_of_nothing_rests_on_the_floor():
    best = truncated(np.array([[0.0, 0.0], [0.0, 4.0]]), np.ones(2), Bounds(1e-6, 100.0))
    assert best.min() >= 1e-6 and best.max() <= 100.0 * best.min() * (1 + 1e-12)
    assert (truncated(np.zeros((2, 2)), np.ones(2), Bounds(1e-6, 5.0)) == 1e-6).all()


def ratio_of(mixture):
    values = np.linalg.eigvalsh(mixture.covariances)
    return values.max() / values.min()


@pytest.mark.parametrize("name", RATIO)
@pytest.mark.parametrize("ratio", [1.0, 4.0, 1e9])
def test_fits_keep_the_ratio(name, ratio, iris, kernel):
    """In the units of the data; one is a common sphere, and a large one binds nothing."""
    X, species = iris
    scaled = X * np.array([1.0, 2.0, 1.0, 10.0])
    problem = state(MemorySource(scaled), RULES[name], max_ratio=ratio)
    fit = run(problem, from_labels(problem, species, 3), Stop(1e-9, 2000))
    assert ratio_of(fit.mixture) <= ratio * (1 + 1e-9)
    assert (np.diff(fit.trace) >= -1e-12 * abs(fit.trace[-1])).all()
    assert RULES[name].name == fit.mixture.structure.name
    others = {1.0: "equal-spherical", 1e9: name}
    if ratio in others and name != "spherical":
        free = state(MemorySource(scaled), RULES[others[ratio]])
        freely = run(free, from_labels(free, species, 3), Stop(1e-9, 2000))
        assert fit.value == pytest.approx(freely.value, abs=1e-6)


@pytest.mark.parametrize("name", RATIO)
def test_a_maximum_under_the_ratio(name):
    """No neighbour in the family that keeps the ratio explains more."""
    given, dof = averages("full", 3, 3, seed=2)
    guard = Guard(np.zeros(3), ratio=6.0)
    best = maximized(name, given, dof, guard).dense()
    top = explained(best, given, dof)
    rng, tried = np.random.default_rng(0), 0
    for size in np.repeat([1e-4, 1e-3, 1e-2, 0.1], 200):
        other = changed(name, best, size, rng)
        values = np.linalg.eigvalsh(other)
        if values.max() <= 6.0 * values.min():
            tried += 1
            assert explained(other, given, dof) <= top + 1e-10 * abs(top)
    assert tried > 5


def test_who_cannot_keep_a_ratio_says_so(iris):
    for name in set(FAMILIES) - set(RATIO):
        with pytest.raises(InputError, match=f"{name}.*full.*VVE"):
            state(MemorySource(iris[0]), RULES[name], max_ratio=10.0)
    for wrong in (0.5, 0.0, float("nan")):
        with pytest.raises(InputError, match="max_ratio"):
            state(MemorySource(iris[0]), RULES["full"], max_ratio=wrong)


def test_aliases_and_letters():
    assert {ALIASES.get(LETTERS[name], LETTERS[name]) for name in FAMILIES} == set(RULES)
    assert tuple(RULES) == FAMILIES
    for name, rule in RULES.items():
        assert rule.moments == Moments(rule.moments.shape, name in POOLED)


def test_an_empty_component_leaves_what_is_in_common_alone():
    """Its old shape weighs nothing beside those of the others."""
    for name in FORMS:
        case = make(name, "complete", seed=4)
        problem = case.problem()
        here = problem.adopted(case.mixture)
        data = problem.at(here).data
        gone = np.array([1.0, 1.0, 0.0])
        parts = {part: getattr(data, part) * gone for part in ("counts", "mass", "dof")}
        second = data.second * gone.reshape(3, *[1] * (data.second.ndim - 1))
        first = data.first * gone[:, None]
        empty = Statistics(data.moments, data.pivot, first=first, second=second, **parts)
        after = problem.maximized(empty, here)
        assert after.weights[2] == 0.0
        two = Statistics(
            data.moments, data.pivot[:2], *(parts[part][:2] for part in ("counts", "mass", "dof")),
            first[:2], second[:2],
        )  # fmt: skip
        alone = RULES[name].maximize(two, problem.guard, here.structure.take([0, 1]))
        np.testing.assert_allclose(after.structure.dense()[:2], alone.dense(), rtol=1e-6, atol=1e-8)
