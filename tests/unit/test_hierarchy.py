"""The model-based tree: each merge is the best, by both kernels; cuts, starts, hostile rows."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from mixtura import GaussianMixture, hierarchical
from mixtura._errors import InputError
from mixtura.fit.hierarchical import MODELS, agglomerated
from mixtura.kernels import plain
from strategies import seeds

EVERY = tuple(MODELS)


def value(model, clusters, rows, weights, ridge):
    """The criterion of a partition by its definition."""
    d, total, common = rows.shape[1], 0.0, 0.0
    for members in clusters:
        w, x = weights[members], rows[members]
        n, off = w.sum(), x - w @ x / w.sum()
        scatter = (off * w[:, None]).T @ off
        common = common + scatter
        if model == "EII":
            total += np.trace(scatter)
        elif model == "VII":
            total += n * d * np.log((np.trace(scatter) / d + ridge) / n)
        elif model == "VVV":
            total += n * np.linalg.slogdet((scatter + ridge * np.eye(d)) / n)[1]
    if model == "EEE":
        return weights.sum() * np.linalg.slogdet(common + ridge * np.eye(d))[1]
    return total


def by_brute_force(model, rows, weights, ridge):
    """At each step try all pairs and keep the best partition."""
    clusters, merges, costs = [[i] for i in range(len(rows))], [], []
    while len(clusters) > 1:
        now = value(model, clusters, rows, weights, ridge)
        found = []
        for a, b in itertools.combinations(range(len(clusters)), 2):
            rest = [c for place, c in enumerate(clusters) if place not in (a, b)]
            after = [*rest, clusters[a] + clusters[b]]
            found.append((value(model, after, rows, weights, ridge) - now, a, b))
        cost, a, b = min(found)
        first, second = sorted((min(clusters[a]), min(clusters[b])))
        merges.append((first, second))
        costs.append(cost)
        clusters[a] = clusters[a] + clusters.pop(b)
    return np.array(merges), np.array(costs)


@pytest.mark.parametrize("model", EVERY)
@pytest.mark.parametrize("seed", range(3))
def test_each_merge_is_the_best(kernel, model, seed):
    from mixtura import kernels

    rng = np.random.default_rng(seed)
    rows, weights = rng.normal(size=(12, 3)), rng.uniform(0.5, 3.0, 12)
    merges, costs = kernels.active().agglomerate(rows, weights, 0.3, MODELS[model])
    truth = by_brute_force(model, rows, weights, 0.3)
    assert merges.tolist() == truth[0].tolist()
    np.testing.assert_allclose(costs, truth[1], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("model", EVERY)
@given(seed=seeds(), m=st.integers(1, 40), d=st.integers(1, 6))
def test_the_compiled_tree_is_the_plain_one(model, seed, m, d):
    compiled = pytest.importorskip("mixtura.kernels.compiled")
    rng = np.random.default_rng(seed)
    rows, weights = rng.normal(size=(m, d)), rng.uniform(0.1, 2.0, m)
    ours = compiled.agglomerate(rows, weights, 0.05, MODELS[model])
    theirs = plain.agglomerate(rows, weights, 0.05, MODELS[model])
    assert ours[0].tolist() == theirs[0].tolist()
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-7, atol=1e-8)


def same(a, b):
    """Whether two partitions are one."""
    return len(np.unique(a)) == len(np.unique(b)) == len(np.unique(np.column_stack([a, b]), axis=0))


@pytest.mark.parametrize("k", [2, 3, 5, 9])
def test_eii_is_ward(iris, k):
    rows = np.unique(iris[0], axis=0) + 1e-9 * np.random.default_rng(0).normal(size=(149, 4))
    ward = fcluster(linkage(rows, "ward"), k, "maxclust")
    assert same(hierarchical(rows, "EII", scale="data").cut(k), ward)


@pytest.mark.parametrize("model", EVERY)
def test_cuts_are_nested(iris, model):
    tree = hierarchical(iris[0], model)
    finer = tree.cut(12)
    assert sorted(set(finer)) == list(range(12))
    for k in range(11, 0, -1):
        coarser = tree.cut(k)
        assert len(set(coarser)) == k and coarser[0] == 0
        assert same(finer, finer * 100 + coarser)  # no cluster is torn apart
        finer = coarser
    assert len(set(tree.cut(tree.n_leaves))) == tree.n_leaves == len(np.unique(iris[0], axis=0))


@pytest.mark.parametrize("model", EVERY)
def test_a_weight_counts_as_repetition(model):
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(size=(30, 2)), rng.integers(0, 4, 30)
    weighted = hierarchical(rows, model, sample_weight=weights)
    kept = weights > 0
    repeated = hierarchical(rows.repeat(weights, axis=0), model)
    np.testing.assert_allclose(weighted.costs, repeated.costs, rtol=1e-8, atol=1e-8)
    assert same(weighted.cut(5)[kept].repeat(weights[kept]), repeated.cut(5))


@pytest.mark.parametrize("model", EVERY)
def test_units_do_not_matter(iris, model):
    rows = iris[0][::3]
    truth = hierarchical(rows, model).cut(4)
    assert same(hierarchical(rows * [1e-8, 1.0, 1e3, 1e9], model).cut(4), truth)
    turn = np.array([[1.0, 2, 0, 0], [0, 1, 1, 0], [0, 0, 1, 3], [1, 0, 0, 1]])
    white = hierarchical(rows, model, scale="whitened").cut(4)
    assert same(hierarchical(rows @ turn, model, scale="whitened").cut(4), white)


def test_clusters_that_ward_cannot_tell():
    """Two long parallel clusters of one shape: EEE and VVV see them, round models do not."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 100)
    rows = rng.normal(size=(200, 2)) * [8.0, 0.3] + np.outer(truth, [0.0, 4.0])
    for model, right in (("EII", False), ("EEE", True), ("VVV", True)):
        labels = hierarchical(rows, model, scale="data").cut(2)
        assert (abs((labels == truth).mean() - 0.5) > 0.45) == right


def test_many_rows_are_thinned():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 5000)
    rows = rng.normal(size=(5000, 2)) + 20.0 * np.eye(3)[truth][:, :2]
    tree = hierarchical(rows, "VII", max_rows=150)
    assert tree.n_leaves == 150 and len(tree.leaf) == 5000
    assert same(tree.cut(3), truth)
    again = hierarchical(rows, "VII", max_rows=150)
    np.testing.assert_array_equal(tree.merges, again.merges)


def test_gaps(iris):
    rows = iris[0].copy()
    rows[np.random.default_rng(0).random(rows.shape) < 0.05] = np.nan
    labels = hierarchical(rows, "VII").cut(2)
    assert (labels == (iris[1] > 0)).mean() > 0.97


@pytest.mark.parametrize("model", EVERY)
def test_hostile_rows(model):
    flat = np.column_stack([np.arange(6.0), np.ones(6)])
    assert len(set(hierarchical(flat, model).cut(3))) == 3
    assert hierarchical(np.zeros((5, 2)), model).cut(1).tolist() == [0] * 5
    big = hierarchical(np.array([[1e300], [1.1e300], [-1e300]]), model)
    assert big.cut(2).tolist() == [0, 0, 1]


def test_what_is_refused(iris):
    for options, message in (
        ({"model": "XXX"}, "XXX"),
        ({"scale": "rows"}, "rows"),
        ({"ridge": 0.0}, "ridge"),
        ({"max_rows": 1}, "max_rows"),
    ):
        with pytest.raises(InputError, match=message):
            hierarchical(iris[0], **options)
    tree = hierarchical(iris[0], "EII")
    for k in (0, 150):
        with pytest.raises(InputError, match=f"k={k}"):
            tree.cut(k)
    assert "149 leaves by EII" in repr(tree)


# ---- as a start


def test_a_start_by_name(iris, faithful):
    model = GaussianMixture(3, init_params="hierarchical", random_state=0).fit(iris[0])
    # The optimum from the species, to which the tree leads (mclust: -180.185477).
    assert model.score(iris[0]) * 150 == pytest.approx(-180.185477, abs=1e-3)
    model = GaussianMixture(2, init_params="hierarchical", random_state=0).fit(faithful)
    assert model.score(faithful) * 272 == pytest.approx(-1130.263960, abs=1e-3)


def test_all_rows_get_a_label():
    """From a tree on sixty rows; the clusters are long, so that nearest means would mislead."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 400)
    rows = rng.normal(size=(800, 2)) * [3.0, 0.1] + np.outer(truth, [4.0, 12.0])
    assert same(agglomerated(rows, np.ones(800), 2, rng, 60), truth)
    few = agglomerated(rows[:3], np.ones(3), 5, rng, 200)
    assert few.tolist() == [0, 1, 2]
    assert len(set(agglomerated(np.zeros((50, 2)), np.ones(50), 2, rng, 20))) == 2
