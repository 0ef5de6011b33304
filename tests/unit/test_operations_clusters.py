"""From components to clusters: entropy-based merging and modal clustering."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import xlogy

from mixtura import Mixture
from mixtura._errors import InputError
from mixtura.operations.ascent import Hill, climb
from mixtura.operations.elbow import elbow
from mixtura.operations.merge import merge
from mixtura.operations.modes import modal_clusters, modes
from strategies import seeds

MCLUST = json.loads((Path(__file__).parents[1] / "against" / "mclust_combi.json").read_text())


def some(seed, k=4, d=2, spread=3.0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, d, d))
    covariances = root @ root.swapaxes(1, 2) / d + 0.05 * np.eye(d)
    return Mixture(rng.dirichlet(np.full(k, 3.0)), rng.normal(0, spread, (k, d)), covariances)


def stored(case):
    k = case["k"]
    means = np.reshape(case["means"], (k, -1))
    d = means.shape[1]
    return Mixture(case["weights"], means, np.reshape(case["covariances"], (k, d, d)))


# ---- merging


@pytest.mark.parametrize("case", MCLUST, ids=lambda case: f"{case['data']}-{case['model']}")
def test_the_merges_of_mclust(case, faithful, iris):
    """Parameters, merges, entropies and suggestion of mclust 6.0.0; see mclust_combi.R."""
    merging = merge(stored(case), {"faithful": faithful, "iris": iris[0]}[case["data"]])
    assert merging.entropy == pytest.approx(np.array(case["entropy"]), abs=1e-9)
    assert merging.suggested == case["suggested"]
    groups = [(component,) for component in range(case["k"])]
    for step, pair in zip(merging.steps, np.reshape(case["steps"], (-1, 2)), strict=True):
        first, second = (groups[index - 1] for index in sorted(pair))
        assert {step.first, step.second} == {first, second}
        groups[min(pair) - 1] = tuple(sorted(first + second))
        del groups[max(pair) - 1]


@given(seed=seeds(), k=st.integers(2, 6))
def test_every_merge_is_the_best_of_all_pairs(seed, k):
    mixture = some(seed, k)
    rows = mixture.sample(60, seed)
    weights = np.random.default_rng(seed).integers(0, 4, 60) + 1
    merging = merge(mixture, rows, weights)
    for clusters in range(k, 1, -1):
        shares = merging.responsibilities(clusters)
        assert -xlogy(shares, shares).sum(axis=1) @ weights == pytest.approx(
            merging.entropy[clusters - 1], abs=1e-9
        )
        best = min(_entropy_after(shares, weights, a, b) for a in range(clusters) for b in range(a))
        assert merging.entropy[clusters - 2] == pytest.approx(best, abs=1e-9)


def _entropy_after(shares, weights, a, b):
    rest = np.delete(shares, [a, b], axis=1)
    after = np.column_stack([rest, shares[:, a] + shares[:, b]])
    return float(-xlogy(after, after).sum(axis=1) @ weights)


def test_a_weight_is_a_repetition():
    mixture = some(3)
    rows = mixture.sample(50, 0)
    weights = np.random.default_rng(0).integers(0, 4, 50)
    once, again = merge(mixture, rows, weights), merge(mixture, np.repeat(rows, weights, axis=0))
    assert once.entropy == pytest.approx(again.entropy, rel=1e-12)
    assert once.steps[0].rows == again.steps[0].rows


def test_labels_and_groups_agree_for_every_number():
    mixture = some(5, 5)
    rows = mixture.sample(80, 1)
    rows[::7, 0] = np.nan
    merging = merge(mixture, rows)
    for clusters in range(1, 6):
        groups = merging.groups(clusters)
        assert sorted(component for group in groups for component in group) == list(range(5))
        shares = merging.responsibilities(clusters)
        assert shares.sum(axis=1) == pytest.approx(np.ones(80), abs=1e-12)
        np.testing.assert_array_equal(merging.labels(clusters), shares.argmax(axis=1))
        np.testing.assert_array_equal(merging.labels(clusters, rows), merging.labels(clusters))
    np.testing.assert_array_equal(merging.labels(5), mixture.predict(rows))


def test_overlapping_halves_become_one_cluster():
    means = [[0, 0], [1, 0], [20, 0], [0, 20]]
    mixture = Mixture([0.3, 0.3, 0.2, 0.2], means, [np.eye(2)] * 4)
    merging = merge(mixture, mixture.sample(1_000, 0))
    assert merging.groups() == ((0, 1), (2,), (3,))
    assert merging.suggested_by_rows == 3
    assert "3 clusters from 4 components" in merging.sentence()


def test_components_that_do_not_overlap_stay_apart():
    means = np.array([[0, 0], [50, 0], [0, 50], [50, 50]], float)
    mixture = Mixture([0.25] * 4, means, [np.eye(2)] * 4)
    merging = merge(mixture, mixture.sample(200, 0))
    assert merging.suggested == 4 and "each is a cluster" in merging.sentence()


@pytest.mark.parametrize("k", [1, 2])
def test_few_components(k):
    merging = merge(some(0, k), some(0, k).sample(30, 0))
    assert merging.suggested == k and merging.elbow is None and "component" in merging.sentence()


@pytest.mark.parametrize("clusters", [0, 5, 2.5, True])
def test_a_number_of_clusters_that_cannot_be(clusters):
    with pytest.raises(InputError, match=r"1\.\.4"):
        merge(some(1), some(1).sample(20, 0)).groups(clusters)


def test_an_elbow_against_all_pairs_of_lines():
    x = np.array([1.0, 2.0, 3.5, 4.0, 6.0, 7.0])
    y = np.array([0.0, 0.3, 0.2, 1.0, 5.0, 8.0])

    def error(at):
        sides = (slice(0, at + 1), slice(at, None))
        return sum(
            np.sum((y[side] - np.polyval(np.polyfit(x[side], y[side], 1), x[side])) ** 2)
            for side in sides
        )

    found = elbow(x, y)
    assert found.at == min(range(1, 5), key=error) and found.bends_up
    assert found.y[1] == pytest.approx(
        np.polyval(np.polyfit(x[found.at :], y[found.at :], 1), x[[found.at, -1]])
    )
    assert elbow(x[:2], y[:2]) is None
    assert not elbow(x, -y).bends_up


# ---- modes


def test_derivatives_against_differences():
    mixture = some(2, 3, 3)
    hill, z = Hill(mixture), np.random.default_rng(0).normal(0, 2, (20, 3))
    here, step = hill.local(z), 1e-5
    assert here.log_density == pytest.approx(mixture.logpdf(z), abs=1e-12)
    for i in range(3):
        off = step * np.eye(3)[i]
        up, down = hill.local(z + off), hill.local(z - off)
        slope = (up.log_density - down.log_density) / (2 * step)
        bend = (up.gradient - down.gradient) / (2 * step)
        # central differences: step² times third derivatives, and rounding over the step
        assert here.gradient[:, i] == pytest.approx(slope, rel=1e-6, abs=1e-6)
        assert here.hessian[:, i] == pytest.approx(bend, rel=1e-5, abs=1e-5)


def test_two_modes_of_three_components():
    mixture = Mixture([0.2, 0.5, 0.3], [[-2.0], [0.0], [3.0]], [[[0.25]], [[1.0]], [[2.25]]])
    found = modes(mixture)
    want = [0.076851583520025829134, -1.8988199550963504042]
    assert found.points[:, 0] == pytest.approx(want, abs=1e-14)
    np.testing.assert_array_equal(found.of_components, [1, 0, 0])
    climbed = climb(Hill(mixture), np.linspace(-8, 12, 301)[:, None])
    assert np.abs(climbed - np.array(want)).min(axis=1).max() < 1e-14


def test_three_modes_of_two_components():
    """Ray & Lindsay (2005): unequal covariances; the third mode is where the ridges cross."""
    mixture = Mixture(
        [0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], [np.diag([1.0, 0.05]), np.diag([0.05, 1.0])]
    )
    found = modes(mixture)
    assert len(found) == 3 and "3 modes from 2 components" in found.sentence()
    assert found.points[0] == pytest.approx([1 / 1.05, 0.05 / 1.05], abs=1e-6)
    for point in found.points:
        free = minimize(lambda x: -mixture.logpdf(x[None])[0], point, method="Nelder-Mead",
                        options={"xatol": 1e-10, "fatol": 1e-14})  # fmt: skip
        assert point == pytest.approx(free.x, abs=1e-6)  # the square root of rounding
    clusters = modal_clusters(mixture, mixture.sample(500, 0))
    assert set(clusters.labels) == {0, 1, 2}


@given(seed=seeds(), k=st.integers(2, 5))
def test_modes_in_the_plane_against_a_dense_grid(seed, k):
    mixture = some(seed, k, spread=2.0)
    found = modes(mixture)
    low, high = mixture.means.min(axis=0) - 1.0, mixture.means.max(axis=0) + 1.0
    x, y = (np.linspace(low[j], high[j], 241) for j in (0, 1))
    grid = np.column_stack([np.tile(x, 241), np.repeat(y, 241)])
    f = mixture.logpdf(grid).reshape(241, 241)
    here = f[1:-1, 1:-1]
    peak = np.ones_like(here, dtype=bool)
    for i, j in ((0, 1), (1, 0), (1, 2), (2, 1), (0, 0), (0, 2), (2, 0), (2, 2)):
        peak &= here >= f[i : i + 239, j : j + 239]
    tops = grid.reshape(241, 241, 2)[1:-1, 1:-1][peak]
    climbed = climb(Hill(mixture), tops)
    gaps = np.linalg.norm(climbed[:, None] - found.points[None], axis=2).min(axis=1)
    assert gaps.max() < 1e-5  # every peak of the grid climbs to a mode that was found
    here = Hill(mixture).local(mixture.frame.read(found.points))
    assert (np.linalg.eigvalsh(here.hessian)[:, -1] < 0).all()
    scale = np.sqrt(np.trace(here.metric, axis1=1, axis2=2))
    assert (np.linalg.norm(here.gradient, axis=1) < 1e-9 * scale).all()


def test_a_row_on_a_saddle_comes_down_on_one_side():
    mixture = Mixture([0.5, 0.5], [[-3.0, 0.0], [3.0, 0.0]], [np.eye(2)] * 2)
    ends = climb(Hill(mixture), np.array([[0.0, 0.0], [0.0, 2.0]]))
    assert np.abs(ends[:, 0]) == pytest.approx([3.0, 3.0], abs=1e-6)


def test_a_flat_top_is_one_mode():
    """Two equal components exactly two deviations apart: the fourth derivative decides."""
    mixture = Mixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], [np.eye(2)] * 2)
    found = modal_clusters(mixture, mixture.sample(100, 0))
    assert len(found) == 1 and np.abs(found.modes.points).max() < 1e-4
    assert (found.labels == 0).all()


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_units_do_not_change_the_clusters(scale):
    mixture = some(4)
    rows = mixture.sample(200, 0)
    moved = Mixture(mixture.weights, mixture.means * scale, mixture.covariances * scale**2)
    np.testing.assert_array_equal(
        modal_clusters(mixture, rows).labels, modal_clusters(moved, rows * scale).labels
    )


def test_gaps_start_at_the_conditional_mean():
    mixture = Mixture([0.5, 0.5], [[0.0, 0.0], [9.0, 9.0]], [np.eye(2)] * 2)
    labels = modal_clusters(mixture, [[0.5, np.nan], [np.nan, 8.0], [0.0, 0.0], [9.0, 9.0]]).labels
    assert labels[0] == labels[2] != labels[1] == labels[3]
