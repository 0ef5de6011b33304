"""Coresets: sensitivities as they are defined, unbiased sums, the same rows for any cut."""

import numpy as np
import pytest

from mixtura import GaussianMixture, InputError, InputTypeError, Mixture, coreset, scan
from mixtura.block import Block
from mixtura.fit.importance import Clusters, Race, Sensitivity, Sums
from mixtura.fit.principal import whitening
from mixtura.frame import Frame


def uneven(n=3000, seed=0):
    """Rows (n, 2), a hundredth of them far from the others."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) + 12.0 * (rng.random(n) < 0.01)[:, None]


def brute(rows, weights, places):
    """``w (α d²/φ + 2 α φ_c/φ + 4 W/W_c)`` row by row."""
    alpha = 16.0 * (np.log(len(places)) + 2.0)
    squared = [[sum((x - p) ** 2 for x, p in zip(row, at, strict=True)) for at in places]
               for row in rows]  # fmt: skip
    label, distance = [one.index(min(one)) for one in squared], [min(one) for one in squared]
    total = sum(weights)
    mean = sum(w * d for w, d in zip(weights, distance, strict=True)) / total
    found = []
    for i, w in enumerate(weights):
        mine = [j for j in range(len(rows)) if label[j] == label[i]]
        heavy = sum(weights[j] for j in mine)
        own = sum(weights[j] * distance[j] for j in mine) / heavy
        found.append(
            w * (alpha * distance[i] / mean + 2.0 * alpha * own / mean + 4.0 * total / heavy)
        )
    return found


def test_sensitivities_are_those_of_the_definition():
    rng = np.random.default_rng(1)
    rows, weights = uneven(60), rng.random(60) + 0.1
    places = np.array([[0.0, 0.0], [1.0, -1.0], [11.0, 12.0]])
    clusters = Clusters(Frame.identity(2), np.zeros(2), np.eye(2), places)
    block = Block(rows, weights)
    race = Race(clusters, Sensitivity.of(Sums.of(clusters, [block])), 0)
    found = race.entered(0.0, block, slice(0, 60))
    np.testing.assert_allclose(found.sensitivities, brute(rows, weights, places), rtol=1e-12)


def test_rows_with_a_label_matter_by_how_many_have_the_same():
    rng = np.random.default_rng(7)
    rows, weights = uneven(50), rng.random(50) + 0.1
    told = np.zeros((50, 2))
    told[:4, 1] = told[4:5, 0] = -np.inf  # four rows of the first component, one of the second
    clusters = Clusters(Frame.identity(2), np.zeros(2), np.eye(2), np.zeros((1, 2)))
    plain, labelled = Block(rows, weights), Block(rows, weights, told)
    without, with_labels = (
        Sensitivity.of(Sums.of(clusters, [block]))(clusters, block) for block in (plain, labelled)
    )
    expected = np.zeros(50)
    expected[:4] = 4.0 * weights[:4] * weights.sum() / weights[:4].sum()
    expected[4] = 4.0 * weights.sum()
    np.testing.assert_allclose(with_labels - without, expected, rtol=1e-9, atol=1e-9)


def test_distances_are_those_of_whitened_columns():
    rng = np.random.default_rng(2)
    z, weights = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 3)) + 5.0, rng.random(500)
    centre, matrix, _ = whitening(z, weights)
    at = (z - centre) @ matrix
    covariance = (at * weights[:, None]).T @ at / weights.sum()
    np.testing.assert_allclose(covariance, np.eye(3), atol=1e-12)


def bias(estimates, truth):
    """How many standard errors the mean of estimates is from the truth."""
    error = np.std(estimates, ddof=1) / np.sqrt(len(estimates))
    return abs(np.mean(estimates) - truth) / error


@pytest.mark.parametrize("mode", ["plain", "weights", "gaps"])
def test_sums_are_unbiased(mode):
    """Within four standard errors; chance exceeds these once in 16 000 times."""
    rng = np.random.default_rng(3)
    X, weights = uneven(1500), None
    if mode == "weights":
        weights = rng.exponential(size=1500) ** 2 * (rng.random(1500) < 0.8)
    if mode == "gaps":
        X[rng.random(X.shape) < 0.2] = np.nan
    truth = np.ones(1500) if weights is None else weights
    law = Mixture([0.7, 0.3], [[0.5, 0.0], [9.0, 9.0]], [np.eye(2), 3.0 * np.eye(2)])
    found = [
        coreset(X, 60, n_components=2, sample_weight=weights, random_state=seed)
        for seed in range(150)
    ]
    assert all(len(one) == 60 for one in found)
    assert bias([one.weights.sum() for one in found], truth.sum()) < 4.0
    scores = [one.weights @ law.logpdf(one.rows) for one in found]
    assert bias(scores, truth @ law.logpdf(X)) < 4.0
    if weights is not None:
        assert all((weights[one.indices] > 0).all() for one in found)
        assert all((one.weights >= weights[one.indices]).all() for one in found)


@pytest.fixture(scope="module")
def many():
    return uneven(60_000, seed=5)


def test_cuts_and_threads_do_not_matter(many):
    """Totals differ in their last digits, and so do weights."""
    da = pytest.importorskip("dask.array")
    whole = coreset(many, 300, n_jobs=1)
    assert (np.diff(whole.indices) > 0).all()
    np.testing.assert_array_equal(many[whole.indices], whole.rows)
    blocks = [many[:7000], many[7000:7001], many[7001:]]
    lazy = da.from_array(many, chunks=((17_001, 30_000, 12_999), 2))
    for other in (coreset(many, 300, n_jobs=3), coreset(scan(blocks), 300), coreset(lazy, 300)):
        np.testing.assert_array_equal(other.indices, whole.indices)
        np.testing.assert_array_equal(other.rows, whole.rows)
        np.testing.assert_allclose(other.weights, whole.weights, rtol=1e-11)
    assert (coreset(many, 300, random_state=1).indices != whole.indices).any()


def test_units_do_not_matter(many):
    units = np.ldexp(1.0, [-30, 40])
    here, there = coreset(many, 200), coreset(many * units, 200)
    np.testing.assert_array_equal(here.indices, there.indices)
    np.testing.assert_array_equal(here.weights, there.weights)


def test_what_is_rare_and_far_is_drawn_often():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(50_000, 3)) * [1.0, 5.0, 0.2]
    X[rng.choice(50_000, 50, replace=False)] += [15.0, 0.0, 3.0]
    few = coreset(X, 500, n_components=2)
    far = few.rows[:, 0] > 8.0
    assert far.sum() >= 10  # a uniform draw has one in two
    assert few.weights[far].sum() == pytest.approx(50.0, rel=0.5)
    model = GaussianMixture(2, random_state=0).fit(few.rows, sample_weight=few.weights)
    assert model.weights_.min() == pytest.approx(1e-3, rel=1.0)
    full = GaussianMixture(2, means_init=model.means_, random_state=0).fit(X)
    assert model.score(X) > full.score(X) - 0.05


def test_a_row_that_outweighs_all_is_drawn_for_certain():
    X = uneven(2000)
    X[7] = 1e5
    for seed in range(3):
        few = coreset(X, 100, random_state=seed)
        assert len(few) == 100
        assert few.weights[few.indices == 7] == [1.0]


def test_few_rows_come_back_as_they_are():
    X = uneven(100)
    weights = np.arange(100.0) % 4
    for size in (75, 100, 5000):
        few = coreset(X, size, sample_weight=weights)
        np.testing.assert_array_equal(few.indices, np.flatnonzero(weights))
        np.testing.assert_array_equal(few.weights, weights[weights > 0])
    assert len(coreset(X, 74, sample_weight=weights)) == 74
    equal = coreset(np.ones((50, 2)), 10)
    assert equal.weights.sum() == pytest.approx(50.0, rel=0.5)


def test_names_and_weights_of_a_file_come_along(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(uneven(500), columns=["a", "b"]).assign(w=np.arange(1.0, 501.0))
    frame.to_csv(path := tmp_path / "rows.csv", index=False)
    few = coreset(scan(path, weights="w"), 40)
    assert few.columns == ("a", "b")
    given = coreset(frame[["a", "b"]], 40, sample_weight=frame["w"])
    np.testing.assert_array_equal(few.indices, given.indices)
    np.testing.assert_allclose(few.weights, given.weights, rtol=1e-12)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"size": 0}, InputError),
        ({"size": True}, InputError),
        ({"size": 2.5}, InputError),
        ({"size": 10, "n_components": 0}, InputError),
        ({"size": 10, "sample_weight": -np.ones(30)}, InputError),
        ({"X": [["a", "b"]], "size": 1}, InputTypeError),
        ({"X": np.full((30, 2), np.nan), "size": 1}, InputError),
    ],
)
def test_what_cannot_be_drawn_is_refused(given, error):
    with pytest.raises(error):
        coreset(**{"X": uneven(30)} | given)
