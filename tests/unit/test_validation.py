"""model.validate(X): facts with figures, each able to fail."""

import warnings

import numpy as np
import pytest

from mixtura import GaussianMixture, Mixture
from mixtura._errors import MixturaWarning
from oracle import FAMILIES

NAMES = {
    "weights sum to one",
    "covariance times precision is the identity",
    "covariances are positive definite",
    "the objective never falls",
    "the gradient vanishes",
    "responsibilities sum to one",
    "components are large enough",
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("options", [{}, {"prior": "fraley-raftery"}, {"reg_covar": 1e-4}])
def test_a_sound_fit_holds(family, options, faithful):
    model = GaussianMixture(2, covariance_type=family, random_state=0, **options).fit(faithful)
    found = model.validate(faithful)
    assert {fact.name for fact in found.facts} == NAMES
    assert found.holds and bool(found), str(found)
    for fact in found.facts:
        assert np.isfinite(fact.figure) and fact.bound and fact.meaning
    assert str(found).count("\n") + 1 == 2 * len(found.facts)


def test_with_gaps_and_weights(faithful):
    X = faithful.copy()
    X[::3, 1] = np.nan
    w = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
    model = GaussianMixture(2, random_state=0).fit(X, sample_weight=w)
    assert model.validate(X, sample_weight=w).holds


def sizes(X, weights, model):
    return model.validate(X, sample_weight=weights)["components are large enough"]


@pytest.mark.parametrize("scale", [1e-120, 1.0, 1e6])
def test_sizes_are_those_of_effective_rows(faithful, scale):
    """Shares of a whole; against Kish's number by hand."""
    X, rng = faithful, np.random.default_rng(0)
    shares = rng.uniform(0.5, 2.0, len(X))
    shares *= scale / shares.sum()
    model = GaussianMixture(2, random_state=0).fit(X, sample_weight=shares)
    r = model.predict_proba(X)
    unit = shares / shares.max()
    kish = (unit @ r) ** 2 / (unit**2 @ r)
    found = sizes(X, shares, model)
    assert found.holds
    assert found.figure == pytest.approx(np.maximum(kish, shares @ r).min(), rel=1e-9)


def test_sizes_of_repetitions_are_those_of_the_repeated_rows(faithful):
    counts = 1 + np.arange(len(faithful)) % 4
    model = GaussianMixture(2, random_state=0).fit(faithful, sample_weight=counts)
    repeated = np.repeat(faithful, counts, axis=0)
    found, wanted = sizes(faithful, counts, model), sizes(repeated, None, model)
    assert found.figure == pytest.approx(wanted.figure, rel=1e-9)


def test_a_component_of_one_row_is_seen_whatever_shares_add_up_to(faithful):
    X = np.vstack([faithful, [[50.0, 500.0]]])
    shares = np.full(len(X), 1.0 / len(X))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(3, init_params="k-means++", random_state=0, means_init=[
            [2.0, 55.0], [4.3, 80.0], [50.0, 500.0]]).fit(X, sample_weight=shares)  # fmt: skip
        assert not sizes(X, shares, model).holds
    assert sizes(X, shares, model).figure == pytest.approx(1.0, rel=1e-6)


def test_a_climb_cut_short_is_seen(iris):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(3, init_params="random", max_iter=1, random_state=0).fit(iris[0])
    found = model.validate(iris[0])
    assert not found["the gradient vanishes"].holds
    assert not found.holds and "LOOK" in str(found)
    assert "lower tol" in found["the gradient vanishes"].meaning


def test_other_data_are_seen(faithful):
    model = GaussianMixture(2, random_state=0).fit(faithful)
    assert not model.validate(faithful + np.array([0.5, 5.0]))["the gradient vanishes"].holds


def test_a_falling_trace_is_seen(faithful):
    model = GaussianMixture(2, random_state=0).fit(faithful)
    model.lower_bounds_ = [-5.0, -4.0, -4.5, -4.1]
    fact = model.validate(faithful)["the objective never falls"]
    assert not fact.holds
    assert fact.figure == pytest.approx(0.5)


def test_weights_that_do_not_sum_to_one_are_seen(faithful):
    model = GaussianMixture(2, random_state=0).fit(faithful)
    m = model.mixture_
    model.mixture_ = Mixture.of(m.weights * 1.01, m.location, m.structure, m.frame)
    fact = model.validate(faithful)["weights sum to one"]
    assert not fact.holds
    assert fact.figure == pytest.approx(0.01)


def test_a_tiny_component_is_seen():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(50, 3)), rng.normal(30, 1, (2, 3))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixturaWarning)
        model = GaussianMixture(2, covariance_type="tied", random_state=0).fit(X)
    fact = model.validate(X)["components are large enough"]
    assert not fact.holds
    assert fact.figure == pytest.approx(2.0, abs=1e-6)


def test_a_collapsed_component_is_seen():
    rng = np.random.default_rng(0)
    line = rng.normal(size=(50, 1))
    X = np.column_stack([line, line * 2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixturaWarning)
        model = GaussianMixture(1, random_state=0).fit(X)
    fact = model.validate(X)["covariances are positive definite"]
    assert not fact.holds
    assert fact.figure > 1e10


def test_lookup_by_name(faithful):
    found = GaussianMixture(1).fit(faithful).validate(faithful)
    assert found["weights sum to one"].figure == 0.0
    with pytest.raises(KeyError, match="no such"):
        found["no such fact"]
