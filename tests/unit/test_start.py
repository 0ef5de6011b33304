"""Seeds, the tournament, rescue, and what a fit says of its starts."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixtura import GaussianMixture
from mixtura._errors import DegenerateWarning, MixturaWarning, StartsDisagreeWarning
from mixtura.block import Block
from mixtura.covariance import FAMILIES as RULES
from mixtura.fit import seeds
from mixtura.fit.em import Stop
from mixtura.fit.problem import state
from mixtura.fit.sample import from_shares, merged, on_floor, sample
from mixtura.fit.start import canonical, tournament
from mixtura.source import MemorySource
from oracle import FAMILIES
from strategies import seeds as numbers

SEEDERS = [seeds.plus_plus, seeds.farthest, seeds.random]


def blobs(k=3, n=60, gap=30.0, seed=0, d=2):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(k), n)
    return gap * np.eye(max(k, d))[labels][:, :d] * (1 + labels[:, None]) + rng.normal(
        size=(k * n, d)
    ), labels


# ---- samples


@given(seed=numbers(), d=st.integers(1, 9), levels=st.integers(1, 4))
def test_equal_rows_are_merged_in_the_order_of_all_columns(seed, d, levels):
    """Few levels leave ties in many columns; scattered ones in none."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, levels, (60, d)) * 0.5
    rows[rng.random(rows.shape) < 0.1] = np.nan
    weights = rng.integers(0, 4, 60).astype(float)
    told = np.where(rng.random((60, 2)) < 0.3, -np.inf, 0.0)
    key = np.hstack([np.where(np.isnan(rows), np.inf, rows), told])
    total = {}
    for row, weight in zip(key.tolist(), weights, strict=True):
        if weight:
            total[tuple(row)] = total.get(tuple(row), 0.0) + weight
    found = merged(Block(rows, weights, told))
    seen = np.hstack([np.where(np.isnan(found.rows), np.inf, found.rows), found.plausibility])
    assert seen.tolist() == list(map(list, sorted(total)))
    np.testing.assert_array_equal(found.weights, [total[row] for row in sorted(total)])


# ---- seeds


@pytest.mark.parametrize("seeder", SEEDERS)
@given(seed=numbers(), k=st.integers(1, 6))
def test_seeds_are_finite_and_inside(seeder, seed, k):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(40, 3))
    weights = rng.uniform(0.1, 2.0, 40)
    places = seeder(rows, weights, k, np.random.default_rng(seed))
    assert places.shape == (k, 3)
    assert (places >= rows.min(axis=0) - 1e-12).all() and (places <= rows.max(axis=0) + 1e-12).all()
    again = seeder(rows, weights, k, np.random.default_rng(seed))
    np.testing.assert_array_equal(places, again)


@pytest.mark.parametrize("seeder", [seeds.plus_plus])
@pytest.mark.parametrize("seed", range(10))
def test_clear_blobs_get_a_seed_each(seeder, seed):
    """k-means++ misses a blob 30 deviations off with probability of some 1e-3."""
    X, labels = blobs(seed=seed)
    places = seeder(X, np.ones(len(X)), 3, np.random.default_rng(seed))
    nearest = ((places[:, None] - X) ** 2).sum(axis=2).argmin(axis=1)
    assert sorted(labels[nearest]) == [0, 1, 2]


@pytest.mark.parametrize("seeder", [seeds.plus_plus, seeds.random])
def test_seeds_are_drawn_by_weight(seeder):
    rows = np.array([[0.0], [1.0], [2.0], [3.0]])
    weights = np.array([1.0, 0.0, 3.0, 0.0])
    rng = np.random.default_rng(0)
    first = np.array([seeder(rows, weights, 1, rng)[0, 0] for _ in range(400)])
    assert set(first) == {0.0, 2.0}
    # 300 of 400 expected, deviation 8.7.
    assert abs((first == 2.0).sum() - 300) < 44


@pytest.mark.parametrize("seeder", SEEDERS)
def test_more_seeds_than_distinct_rows(seeder):
    rows = np.array([[0.0, 0.0], [1.0, 1.0]])
    assert np.isfinite(seeder(rows, np.ones(2), 5, np.random.default_rng(0))).all()


# ---- the sample


def test_the_sample_merges_equal_rows_and_forgets_their_order():
    X, _ = blobs(n=20)
    order = np.random.default_rng(0).permutation(2 * len(X))
    twice = np.concatenate([X, X])[order]
    rule = RULES["full"]
    once = sample(state(MemorySource(X), rule), 3, np.random.default_rng(0))
    both = sample(state(MemorySource(twice), rule), 3, np.random.default_rng(0))
    assert len(both.weights) == len(X)
    np.testing.assert_array_equal(both.weights, 2.0)
    np.testing.assert_array_equal(
        both.problem.source.take(np.arange(60)).rows, once.problem.source.take(np.arange(60)).rows
    )


@pytest.mark.parametrize("family", ["full", "diag", "tied", "VEE"])
def test_flat_directions_are_those_of_one_component(family):
    """However thin the last direction is, on either side of the floor."""
    rng = np.random.default_rng(3)
    for thin in 10.0 ** np.arange(-9.0, 1.0):
        X = rng.normal(size=(80, 3)) * np.array([1.0, 1.0, thin])
        X[:, 2] += X[:, 0]
        problem = state(MemorySource(X), RULES[family])
        small = sample(problem, 2, rng)
        one = from_shares(problem, problem.source.take(slice(None)), np.ones((80, 1)))
        assert small.flat == on_floor(one, problem.guard)[0]


def test_clusters_are_numbered_as_they_appear():
    problem = state(MemorySource(np.arange(5.0)[:, None]), RULES["full"])
    small = sample(problem, 4, np.random.default_rng(0))
    assert canonical(np.array([3, 0, 3, 2, 0]), small).tolist() == [0, 1, 0, 2, 1]


def test_a_sample_of_many_rows_is_small_and_of_the_rows():
    X = np.random.default_rng(0).normal(size=(30_000, 2))
    small = sample(state(MemorySource(X), RULES["diag"]), 4, np.random.default_rng(0))
    assert len(small.weights) <= 4000
    rows = small.problem.source.take(np.arange(len(small.weights))).rows
    assert {tuple(row) for row in rows} <= {tuple(row) for row in X}


# ---- the tournament


@pytest.mark.parametrize("family", FAMILIES)
def test_finalists_are_ranked_and_distinct(family, iris):
    problem = state(MemorySource(iris[0]), RULES[family])
    small = sample(problem, 4, np.random.default_rng(0))
    standing = tournament(small, 4, np.random.default_rng(0), Stop())
    values = [one.fit.value for one in standing if not one.degenerate]
    assert values == sorted(values, reverse=True)
    assert all(a - b > 1e-7 for a, b in itertools.pairwise(values))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(5))
def test_clear_clusters_are_found_from_any_seed(family, seed):
    X, labels = blobs(k=5, d=5, n=40, seed=seed)
    model = GaussianMixture(5, covariance_type=family, random_state=seed).fit(X)
    table = np.zeros((5, 5))
    np.add.at(table, (labels, model.predict(X)), 1)
    assert (table.max(axis=1) == 40).all()


def test_more_starts_are_never_worse(iris):
    for k in (3, 5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MixturaWarning)
            one = GaussianMixture(k, covariance_type="diag", random_state=0).fit(iris[0])
            ten = GaussianMixture(k, covariance_type="diag", random_state=0, n_init=5).fit(iris[0])
        assert ten.lower_bound_ >= one.lower_bound_ - 1e-4


def test_the_best_of_twelve_random_starts_is_matched(faithful, iris):
    """On data of one to four dimensions, with optima that a single start misses."""
    rng = np.random.default_rng(0)
    problems = [
        (np.concatenate([rng.normal(4.3, 0.4, 90), rng.normal(6.3, 0.5, 65)])[:, None], 2, "full"),
        (faithful, 4, "diag"),
        (iris[0], 3, "full"),
        (iris[0], 4, "tied"),
    ]
    for X, k, family in problems:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours = GaussianMixture(k, covariance_type=family, random_state=0).fit(X)
            others = [
                GaussianMixture(
                    k, covariance_type=family, init_params="random_from_data", random_state=seed
                ).fit(X)
                for seed in range(12)
            ]
        sound = [
            other.lower_bound_
            for other in others
            if (other.weights_ * len(X)).min() > 5
            and np.linalg.eigvalsh(other.mixture_.structure.dense()).min() > 1e-4
        ]
        assert ours.lower_bound_ >= max(sound) - 1e-4, (X.shape, k, family)


def test_disagreeing_starts_are_told():
    """Four blobs on a square, two components: a cut either way explains alike."""
    rng = np.random.default_rng(1)
    corners = np.array([[0, 0], [0, 10], [10, 0], [10, 10]])
    X = (corners[:, None] + rng.normal(size=(4, 100, 2))).reshape(-1, 2)
    X = np.concatenate([X, X[:, ::-1]])  # exactly symmetric
    with pytest.warns(StartsDisagreeWarning, match="nats apart"):
        GaussianMixture(2, covariance_type="equal-spherical", random_state=0, n_init=3).fit(X)


def test_starts_that_agree_are_quiet():
    X, _ = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for family in FAMILIES:
            GaussianMixture(3, covariance_type=family, random_state=0).fit(X)


# ---- rescue


@pytest.mark.parametrize("family", ["full", "diag", "spherical"])
def test_a_collapsing_component_is_rescued(family):
    """A start on one row collapses onto it; a sound solution with as many components exists."""
    X, _labels = blobs(k=2, n=100, d=2)
    start = np.zeros(len(X), int)
    start[5] = 1  # one row alone
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = GaussianMixture(2, covariance_type=family, init_params=start, random_state=0).fit(X)
    assert np.linalg.eigvalsh(model.mixture_.structure.dense()).min() > 1e-6
    assert (model.weights_ * len(X)).min() > 3
    assert all(issubclass(w.category, MixturaWarning) for w in caught)


def test_a_warning_names_the_component_and_the_remedy():
    X = np.concatenate([np.random.default_rng(0).normal(size=(30, 2)), np.full((3, 2), 9.0)])
    start = np.repeat([0, 1], [30, 3])
    with pytest.warns(DegenerateWarning, match=r"component \d.*(fewer components|prior)"):
        GaussianMixture(2, init_params=start).fit(X)


def test_the_default_choice_avoids_a_spike():
    """Three equal rows away from the rest: the unbounded likelihood does not win."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(200, 2)), np.full((3, 2), 1.0)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixturaWarning)
        model = GaussianMixture(2, random_state=0).fit(X)
    assert np.linalg.eigvalsh(model.mixture_.structure.dense()).min() > 1e-6


# ---- samples


def test_a_rare_component_far_away_is_found_among_many_rows():
    """Of its 60 rows two are among as many rows drawn alike as a sample has."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(60_000, 2)) + np.repeat([[0, 0], [6, 0], [0, 6]], 20_000, axis=0)
    X[::1000] = 25.0 + rng.normal(size=(60, 2))
    for seed in range(4):
        model = GaussianMixture(4, random_state=seed).fit(X)
        assert model.weights_.min() == pytest.approx(1e-3, rel=0.01)


@pytest.mark.parametrize("family", ["full", "spherical"])
def test_few_labels_among_many_rows_name_the_components(family):
    rng = np.random.default_rng(6)
    means = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    X = rng.normal(size=(60_000, 2)) + np.repeat(means, 20_000, axis=0)
    for first in range(3):
        order = np.roll(np.arange(3), first)
        labels = np.full(60_000, -1)
        labels[[5, 6, 20_007, 40_008]] = order[[0, 0, 1, 2]]
        model = GaussianMixture(3, covariance_type=family, random_state=0).fit(X, labels=labels)
        np.testing.assert_allclose(model.means_[order], means, atol=0.1)


def test_few_rows_that_weigh_most_are_looked_at():
    """Forty rows of half the weight: of as many rows drawn alike as a pool has, twenty or fewer."""
    rng = np.random.default_rng(8)
    X, weights = rng.normal(size=(70_000, 2)), np.ones(70_000)
    X[:40] += 9.0
    weights[:40] = 70_000 / 40
    model = GaussianMixture(2, random_state=0).fit(X, sample_weight=weights)
    np.testing.assert_allclose(model.weights_, 0.5, atol=0.01)
    few = sample(state(MemorySource(X, weights), RULES["full"]), 2, np.random.default_rng(0))
    assert (few.problem.source.whole.rows[:, 0] > 4.0).sum() == 40
