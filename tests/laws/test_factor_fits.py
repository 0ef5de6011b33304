"""Whole fits with low-rank covariances, at a cost linear in the columns."""

import tracemalloc

import numpy as np
import pytest

import mixtura
from factor_cases import KINDS, planted
from mixtura import GaussianMixture, InputError
from mixtura.covariance.factor_rule import AUTO


@pytest.mark.parametrize("kind", ["factor", "ppca"])
def test_planted_components_are_found_with_gaps(kind):
    X, labels = planted(0)
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    model = GaussianMixture(3, covariance_type=f"{kind}:2", random_state=0).fit(X)
    found = model.predict(X)
    table = np.array([[np.sum((found == i) & (labels == j)) for j in range(3)] for i in range(3)])
    assert table.max(axis=0).sum() >= 0.97 * len(X)
    assert model.converged_ and model.validate(X)


def test_bic_finds_the_rank_and_the_number():
    X, _ = planted(2, n=300)
    model = GaussianMixture([2, 3], covariance_type="factor:1-3", random_state=0).fit(X)
    assert (model.n_components_, model.covariance_type_) == (3, "factor:2")


def test_full_rank_is_the_full_family():
    X, labels = planted(3, d=4)
    start = {"init_params": labels, "tol": 1e-10, "max_iter": 20_000}
    low = GaussianMixture(3, covariance_type="factor:3", **start).fit(X)
    full = GaussianMixture(3, covariance_type="full", **start).fit(X)
    assert low.lower_bound_ == pytest.approx(full.lower_bound_, abs=1e-5)


@pytest.mark.parametrize("rank", [[1, 2], "auto"])
def test_ranks_are_compared_by_the_criterion(rank):
    X, _ = planted(2, n=300)
    model = GaussianMixture(3, covariance_type="factor", rank=rank, random_state=0).fit(X)
    assert model.covariance_type_ == "factor:2"
    tried = [one.covariance_type for one in model.selection_.candidates]
    assert tried == [f"factor:{one}" for one in (AUTO[:5] if rank == "auto" else rank)]  # 6 < d = 8


def test_a_rank_is_that_of_the_name_also_for_inference():
    X, _ = planted(2, n=300)
    named, given = (
        GaussianMixture(3, random_state=0, **how).fit(X)
        for how in ({"covariance_type": "ppca:2"}, {"covariance_type": "ppca", "rank": 2})
    )
    assert named.mixture_ == given.mixture_
    assert named.bic(X) == given.bic(X)
    assert given.validate(X)
    draws = [mixtura.bootstrap(one, X, n_replicates=3, random_state=0) for one in (named, given)]
    np.testing.assert_array_equal(draws[0].means, draws[1].means)
    best = mixtura.select(X, 3, ["diag", "ppca"], rank=[1, 2]).best
    assert best.covariance_type == "ppca:2"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"covariance_type": "full", "rank": 2}, 'use covariance_type="factor"'),
        ({"covariance_type": "factor:2", "rank": 2}, "leave one out"),
        ({"covariance_type": "factor"}, 'write "factor:3"'),
        ({"covariance_type": "factor", "rank": []}, "rank=.. is empty"),
        ({"covariance_type": "factor", "rank": 8}, "at most 7 factors"),
    ],
)
def test_a_rank_that_fits_nothing_is_refused(how, message):
    with pytest.raises(InputError, match=message):
        GaussianMixture(2, **how).fit(planted(0)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_is_a_repetition(kind):
    X, labels = planted(4, n=90)
    counts = np.random.default_rng(0).integers(1, 4, len(X))
    options = {"covariance_type": f"{kind}:2", "tol": 0.0, "max_iter": 12}
    weighted = GaussianMixture(3, init_params=labels, **options).fit(X, sample_weight=counts)
    repeated = GaussianMixture(3, init_params=np.repeat(labels, counts), **options)
    repeated.fit(np.repeat(X, counts, axis=0))
    # Two steps and a burst of eight leave as many digits as the steps' differences have.
    np.testing.assert_allclose(weighted.trace_, repeated.trace_, rtol=1e-6)
    np.testing.assert_allclose(weighted.trace_[:3], repeated.trace_[:3], rtol=1e-12)


@pytest.mark.parametrize("kind", ["factor", "factor-common", "factor-equal-noise"])
@pytest.mark.parametrize("steps", [2, 500])
def test_units_do_not_matter(kind, steps):
    X, labels = planted(5)
    scale = np.array([1.0, 1e-8, 1e8, 3.0, 1e3, 1e-3, 7.0, 1.0])
    options = {"covariance_type": f"{kind}:2", "init_params": labels, "max_iter": steps}
    options["tol"] = 0.0 if steps == 2 else 1e-6
    plain = GaussianMixture(3, **options).fit(X)
    moved = GaussianMixture(3, **options).fit((X + 5.0) * scale)
    volume = np.log(scale).sum()
    # Plain steps agree to rounding: 5e8 of offset in a column leaves eight digits.
    near = 1e-7 if steps == 2 else 1e-3
    assert moved.lower_bound_ == pytest.approx(plain.lower_bound_ - volume, abs=near)
    if steps > 2:
        np.testing.assert_array_equal(moved.predict((X + 5.0) * scale), plain.predict(X))


def test_hard_assignment_labels_and_equal_weights_compose():
    X, labels = planted(6)
    known = np.where(np.arange(len(X)) % 4 == 0, labels, -1)
    X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    model = GaussianMixture(
        3,
        covariance_type="factor:2",
        assignment="hard",
        equal_weights=True,
        prior="fraley-raftery",
        random_state=0,
    ).fit(X, labels=known, sample_weight=np.full(len(X), 2.0))
    np.testing.assert_array_equal(model.weights_, np.full(3, 1 / 3))
    assert (model.predict(X) == labels).mean() > 0.95


def test_a_noiseless_column_rests_on_the_floor_and_the_climb_is_sound():
    """A Heywood case: a column that is a factor. The likelihood stays finite and never falls."""
    X, _ = planted(7, k=1, rank=1)
    X[:, 1] = X[:, 0] * 2.0
    with pytest.warns(mixtura.DegenerateWarning, match="collinear"):
        model = GaussianMixture(1, covariance_type="factor:1", max_iter=3000).fit(X)
    assert np.isfinite(model.lower_bound_)
    assert np.diff(model.trace_).min() >= -1e-9 * abs(model.lower_bound_)


def test_another_family_warms_a_low_rank_one():
    X, labels = planted(8)
    for other in ("full", "diag", "ppca:1"):
        model = GaussianMixture(3, covariance_type=other, init_params=labels, warm_start=True)
        model.fit(X)
        model.set_params(covariance_type="factor:2").fit(X)
        fresh = GaussianMixture(3, covariance_type="factor:2", init_params=labels).fit(X)
        assert model.lower_bound_ == pytest.approx(fresh.lower_bound_, abs=1e-3)


@pytest.mark.parametrize("gaps", [False, True])
def test_nothing_of_size_d_by_d_is_formed(gaps):
    """A fit of 90 rows in 3 000 columns, 2 MB, stays below the 72 MB of one d × d matrix."""
    X, labels = planted(9, n=90, d=3000, rank=1)
    if gaps:
        X[np.random.default_rng(0).random(X.shape) < 0.01] = np.nan
    GaussianMixture(3, covariance_type="factor:1", max_iter=2, tol=0).fit(X[:, :10])
    tracemalloc.start()
    model = GaussianMixture(3, covariance_type="factor:1", random_state=0).fit(X)
    model.score(X), model.mixture_.condition({0: 1.0}), model.impute(X[:2])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6
    assert (model.predict(X)[:, None] == model.predict(X)).mean() == pytest.approx(1 / 3, abs=0.01)
    assert len(np.unique(model.predict(X) * 3 + labels)) == 3
