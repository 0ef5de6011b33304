"""Linear experts behind a gate: an EM step by loops, special cases, laws."""

import numpy as np
import pytest
from scipy import stats

from mixtura import Mixture, MixtureOfLinearExperts, MixtureRegressor
from mixtura._errors import InputError, InputTypeError
from mixtura.covariance import Experts, family
from mixtura.fit.priors import with_prior
from mixtura.fit.problem import state
from mixtura.operations.experts import linear_experts
from mixtura.source import MemorySource


@pytest.fixture(scope="module")
def bent():
    """Two planes that meet at an edge; the second outcome has another slope in each."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.uniform(-3, 3, 300), 50 + 10 * rng.normal(size=300)])
    y = np.column_stack([np.abs(X[:, 0]), 0.1 * X[:, 1] * np.sign(X[:, 0])])
    return X, y + rng.normal(0, [0.1, 0.5], (300, 2))


def start(problem, k=2):
    """Some mixture of the family, from responsibilities at random."""
    rng = np.random.default_rng(1)
    return problem.maximized(
        problem.at(problem.isotropic(rng.normal(size=(k, problem.source.d)))).data,
        problem.isotropic(np.zeros((k, problem.source.d))),
    )


def step_by_loops(experts, X, y, weights, ridge):
    """One EM step and the objective before it, row by row: diagonal gate, one noise for all."""
    k, n = len(experts.slopes), len(X)
    joint = np.empty((n, k))
    for i in range(n):
        for j in range(k):
            gate = stats.multivariate_normal(experts.gate.means[j], experts.gate.covariances[j])
            line = experts.intercepts[j] + experts.slopes[j] @ X[i]
            expert = stats.multivariate_normal(line, experts.noise[j])
            joint[i, j] = experts.gate.weights[j] * gate.pdf(X[i]) * expert.pdf(y[i])
    total = weights.sum()
    spread = np.average((X - np.average(X, axis=0, weights=weights)) ** 2, axis=0, weights=weights)
    value = weights @ np.log(joint.sum(axis=1))
    for slope, noise in zip(experts.slopes, experts.noise, strict=True):
        value -= 0.5 * ridge * np.trace(np.linalg.inv(noise) @ slope @ np.diag(spread) @ slope.T)
    shares = weights[:, None] * joint / joint.sum(axis=1, keepdims=True)
    means, variances, slopes, left = [], [], [], np.zeros((y.shape[1], y.shape[1]))
    for j in range(k):
        r = shares[:, j]
        mean, middle = r @ X / r.sum(), r @ y / r.sum()
        means.append(mean)
        variances.append(r @ (X - mean) ** 2 / r.sum())
        rows = np.vstack(
            [np.sqrt(r)[:, None] * (X - mean), np.sqrt(ridge) * np.diag(np.sqrt(spread))]
        )
        wanted = np.vstack([np.sqrt(r)[:, None] * (y - middle), np.zeros((X.shape[1], y.shape[1]))])
        slope = np.linalg.lstsq(rows, wanted, rcond=None)[0]
        left += (wanted - rows @ slope).T @ (wanted - rows @ slope)
        slopes.append(slope.T)
    return value / total, shares.sum(axis=0) / total, means, variances, slopes, left / total


@pytest.mark.parametrize("ridge", [0.0, 5.0])
def test_a_step_by_loops(ridge, bent):
    X, y = bent[0][:60], bent[1][:60]
    weights = np.random.default_rng(0).uniform(0.2, 3.0, 60)
    rule = Experts(family("diag"), family("tied"), 2, ridge)
    problem = state(MemorySource(np.column_stack([X, y]), weights), rule)
    here = problem.at(start(problem))
    before = linear_experts(here.mixture, 2)
    value, shares, means, variances, slopes, noise = step_by_loops(before, X, y, weights, ridge)
    after = problem.maximized(here.data, here.mixture)
    found = linear_experts(after, 2)
    assert here.value == pytest.approx(value, abs=1e-10)
    np.testing.assert_allclose(after.weights, shares, rtol=1e-10)
    np.testing.assert_allclose(found.gate.means, means, rtol=1e-10)
    np.testing.assert_allclose(
        found.gate.structure.scaled(1 / after.frame.scale[:2]).array(), variances, rtol=1e-9
    )
    np.testing.assert_allclose(found.slopes, slopes, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(found.noise, [noise, noise], rtol=1e-8)


@pytest.mark.parametrize("prior", [None, "fraley-raftery"])
def test_full_families_are_the_full_covariance(prior, bent):
    """One step, with gaps in inputs and outcomes, weights and a prior; to rounding."""
    rows = np.column_stack(bent)
    rows[::4, 1], rows[::5, 2], rows[::3, 3] = np.nan, np.nan, np.nan
    source = MemorySource(rows, np.random.default_rng(0).uniform(0.2, 3.0, 300))
    full = with_prior(state(source, family("full")), prior, 2)
    split = with_prior(state(source, Experts(family("full"), family("full"), 2)), prior, 2)
    begun = start(split)
    one, other = full.at(begun), split.at(begun)
    assert one.value == pytest.approx(other.value, abs=1e-12)
    plain, told = full.maximized(one.data, begun), split.maximized(other.data, begun)
    np.testing.assert_allclose(told.means, plain.means, rtol=1e-12)
    np.testing.assert_allclose(told.covariances, plain.covariances, rtol=1e-9, atol=1e-12)


def test_with_full_families_it_is_the_regressor(bent):
    X, y = bent
    ours = MixtureOfLinearExperts(2, random_state=0, tol=1e-9).fit(X, y)
    joint = MixtureRegressor(2, random_state=0, tol=1e-9).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), joint.predict(X), atol=1e-4)
    assert ours.log_score(X, y) == pytest.approx(joint.log_score(X, y), abs=1e-7)
    candidates = ours.set_params(n_components=[1, 2]).fit(X, y).selection_.candidates
    assert [c.n_parameters for c in candidates] == [14, 29]  # k D (D + 3) / 2 + k - 1


def test_the_density_is_gate_times_experts(bent):
    """And the value through [A, S] is that of the written-out covariances."""
    X, y = bent
    found = MixtureOfLinearExperts(2, covariance_type="factor:1", random_state=0).fit(X, y)
    assert found.covariance_type_ == "factor:1"
    given = found.predict_dist(X[:9])
    gate = found.gate_.responsibilities(X[:9])
    np.testing.assert_allclose(given.weights, gate, rtol=1e-9, atol=1e-12)
    lines = np.einsum("kmd,nd->nkm", found.slopes_, X[:9]) + found.intercepts_
    np.testing.assert_allclose(given.means, lines, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(given[0].covariances, found.noise_covariances_, rtol=1e-9)
    dense = Mixture(found.mixture_.weights, found.mixture_.means, found.mixture_.covariances)
    np.testing.assert_allclose(
        found.mixture_.logpdf(np.column_stack([X, y])),
        dense.logpdf(np.column_stack([X, y])),
        atol=1e-7,
    )
    some = np.array([[1.0, np.nan], [np.nan, 45.0]])
    np.testing.assert_allclose(
        found.predict(some), dense.conditionals(some, [0, 1]).mean(), rtol=1e-8
    )


@pytest.mark.parametrize(
    ("gate", "noise", "options"),
    [
        ("diag", "full", {"ridge": 10.0}),
        ("spherical", "diag", {}),
        ("tied", "spherical", {"prior": "fraley-raftery"}),
        ("VEI", "tied", {}),
        ("ppca:1", "full", {"ridge": 1.0}),
        ("factor-common:1", "diag", {}),
    ],
)
def test_climbs_never_fall(gate, noise, options, bent):
    """With gaps and weights, to the rounding of a mean."""
    X, y = bent[0][:120].copy(), bent[1][:120].copy()
    X[::6, 0], y[::7, 1] = np.nan, np.nan
    weights = np.random.default_rng(0).uniform(0.5, 2.0, 120)
    model = MixtureOfLinearExperts(
        2, covariance_type=gate, noise_type=noise, random_state=0, **{"tol": 1e-4, **options}
    ).fit(X, y, sample_weight=weights)
    assert model.converged_ and model.covariance_type_ == gate and len(model.trace_) > 3
    assert np.diff(model.trace_).min() > -1e-11


def test_structures_hold(bent):
    found = MixtureOfLinearExperts(
        2, covariance_type="diag", noise_type="tied", random_state=0
    ).fit(*bent)
    assert found.gate_.structure.name == "diag"
    np.testing.assert_array_equal(*found.noise_covariances_)
    assert np.count_nonzero(found.gate_.covariances[0]) == 2
    assert sorted(np.round(found.slopes_[:, 0, 0], 1)) == [-1.0, 1.0]


def test_units_of_inputs_and_outcomes_do_not_matter(bent):
    """A spherical gate has one unit for the inputs; the outcomes have their own. Powers of two."""
    X, y = bent
    settings = {"covariance_type": "spherical", "ridge": 3.0, "random_state": 0}
    one = MixtureOfLinearExperts(2, **settings).fit(X, y)
    other = MixtureOfLinearExperts(2, **settings).fit(X * 2.0**30, y * 2.0**-30)
    np.testing.assert_allclose(2.0**30 * other.predict(X * 2.0**30), one.predict(X), rtol=1e-5)


@pytest.mark.parametrize(
    ("of_inputs", "of_outcomes"),
    [(2.0**-1030, 1.0), (2.0**664, 2.0**-664), (1.0, 2.0**664)],
)
def test_sizes_whose_squares_or_quotients_are_no_numbers(of_inputs, of_outcomes, bent):
    """Slopes and variances may be infinite or zero in the data's units; nothing else is."""
    X, y = bent[0][:, :1], bent[1][:, :1]
    model = MixtureOfLinearExperts(2, random_state=0).fit(X, y)
    other = MixtureOfLinearExperts(2, random_state=0).fit(X * of_inputs, y * of_outcomes)
    wanted = model.predict(X) * of_outcomes
    np.testing.assert_allclose(
        other.predict(X * of_inputs), wanted, rtol=1e-8, atol=1e-9 * of_outcomes
    )
    np.testing.assert_allclose(other.intercepts_, model.intercepts_ * of_outcomes, rtol=1e-4)
    gate = other.gate_.logpdf(X * of_inputs) + np.log(of_inputs)
    np.testing.assert_allclose(gate, model.gate_.logpdf(X), rtol=1e-6)
    with np.errstate(over="ignore", divide="ignore"):
        slopes = model.slopes_ * of_outcomes / of_inputs
    np.testing.assert_allclose(other.slopes_, slopes, rtol=1e-4)


def test_predictions_beyond_all_numbers_are_infinite(bent):
    model = MixtureOfLinearExperts(1, random_state=0).fit(
        bent[0][:, :1], 9.0 * bent[0][:, 0] + bent[1][:, 0]
    )
    assert model.predict([[1e308]]) == np.inf


def test_a_strong_ridge_leaves_constants(bent):
    """Slopes fall as 1 / ridge; the outcome's mean stays."""
    X, y = bent[0], bent[1][:, 0]
    found = MixtureOfLinearExperts(1, ridge=3e8).fit(X, y)
    np.testing.assert_allclose(found.predict(X), y.mean(), atol=1e-4)


def test_gates_are_compared(bent):
    found = MixtureOfLinearExperts(
        [1, 2, 3], covariance_type=["full", "diag", "spherical"], random_state=0
    ).fit(*bent)
    assert (found.n_components_, found.covariance_type_) == (2, "diag")
    assert len(found.selection_.candidates) == 9


def test_what_cannot_be_used(bent):
    for options, kind, what in (
        ({"ridge": -1}, InputError, "ridge=-1"),
        ({"ridge": "some"}, InputTypeError, "ridge='some'"),
        ({"noise_type": "all"}, InputError, "give one"),
        ({"covariance_type": "factor:2"}, InputError, "at most 1 factors"),
    ):
        with pytest.raises(kind, match=what):
            MixtureOfLinearExperts(1, **options).fit(*bent)
    with pytest.raises(AttributeError, match="call fit first"):
        _ = MixtureOfLinearExperts().slopes_
