"""Rows in partitions: the fit of the array they make up, wherever sums are made."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from mixtura import (
    GaussianMixture,
    InputError,
    InputTypeError,
    MixturaError,
    Mixture,
    assign,
    select,
)
from mixtura.block import Block, cuts
from mixtura.covariance import FAMILIES
from mixtura.fit.em import Stop
from mixtura.fit.fitting import fitted
from mixtura.fit.problem import state
from mixtura.source import MemorySource, RemoteSource
from mixtura.source.partition import places
from mixtura.tree import joined, nodes, tree_sum, united

COLUMNS = ["a", "b", "c"]
N = 60_000  # several blocks


class Lists:
    """Partitions that are a list of blocks; some can be lost, doubled or changed on the way.

    Rows arrive in batches of so many, as Spark's do.
    """

    batch = 1 << 30

    def __init__(self, blocks, harm=None, order=None):
        self.blocks, self.harm, self.order = blocks, harm, order
        self.d, self.names = blocks[0].rows.shape[1], None

    def each(self, visit, told=None):
        listed = [None] * len(self.blocks) if told is None else told
        skip = told is not None
        return [
            None if skip and one is None else visit(self._batches(block), one)
            for one, block in zip(listed, self.blocks, strict=True)
        ]

    def _batches(self, block):
        return (block.take(slice(i, i + self.batch)) for i in range(0, len(block), self.batch))

    def merged(self, visit, told, merge):
        found = [one for one in self.each(visit, told) if one is not None]
        if self.harm == "lost":
            found = found[1:]
        if self.harm == "light":
            found[0][0][1].__dict__["weight"] *= 0.5
        if self.order is not None:
            found = [found[i] for i in self.order.permutation(len(found))]
        return merge([merge(found[:2]), merge(found[2:])])


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(N // 2, 3)), rng.normal(size=(N // 2, 3)) + 6.0])
    return X[rng.permutation(N)]


@pytest.fixture(scope="module")
def model(rows):
    return GaussianMixture(2, random_state=0, n_jobs=1).fit(rows)


def aligned(n, d):
    return tuple(cut.stop - cut.start for cut in cuts(n, d))


def same(one, other):
    return one.mixture_ == other.mixture_


def test_united_sums_are_those_of_the_tree_in_any_order():
    rng = np.random.default_rng(1)
    for n in (1, 2, 5, 8, 13, 100):
        leaves = rng.normal(size=n) * 10.0 ** rng.integers(-8, 8, n)
        edges = np.unique([0, n, *rng.integers(0, n + 1, 4)]).tolist()
        parts = [
            [(node, tree_sum(leaves[node])) for node in nodes(start, stop)]
            for start, stop in pairwise(edges)
        ]
        for _ in range(5):
            mixed = [parts[i] for i in rng.permutation(len(parts))]
            ((whole, total),) = united([united(mixed[:2], n), united(mixed[2:], n)], n)
            assert (whole.start, whole.stop) == (0, n)
            assert total == tree_sum(leaves) == joined([total], [whole])


def test_places_follow_the_cuts_in_memory_where_partitions_do():
    whole = aligned(N, 3)
    edges = np.cumsum([0, whole[0], 0, *whole[1:]])
    found = places(edges, 3)
    assert found[1] is None
    starts = [edges[p.index] + cut.start for p in found if p is not None for cut in p.cuts]
    assert starts == [cut.start for cut in cuts(N, 3)]
    other = [p for p in places(np.array([0, 7, N]), 3) if p is not None]
    assert [p.rows for p in other] == [7, N - 7] and other[1].first == 1
    assert sum(cut.stop - cut.start for cut in other[1].cuts) == N - 7


def test_few_passes_come_before_the_climb(rows):
    """What is there, and what the columns are like; a fit adds a sample, and one for each step."""
    parts = Lists([Block(part) for part in np.array_split(rows, 3)])
    passes, each = [], parts.each
    parts.each = lambda visit, told=None: passes.append(1) or each(visit, told)
    source = RemoteSource(parts)
    problem = state(source, FAMILIES["full"])
    begun = [sum(passes)]
    for steps in (1, 4):
        start = problem.isotropic(np.array([[-1.0] * 3, [1.0] * 3]))
        stop = Stop(0.0, steps, accelerate=False)
        fitted(problem, 2, np.random.default_rng(0), start=start, stop=stop)
        begun.append(sum(passes))
    assert begun[0] == 2 and begun[1] <= 2 + 1 + 2
    assert begun[2] - begun[1] == begun[1] - begun[0] + 3


@pytest.mark.parametrize("harm", ["lost", "light"])
def test_a_missing_block_is_an_error(rows, harm):
    source = RemoteSource(Lists([Block(part) for part in np.array_split(rows, 5)], harm))
    with pytest.raises(MixturaError, match="came back" if harm == "lost" else "a pass saw"):
        source.sum(lambda run: len(run))


def test_partitions_that_change_are_an_error(rows):
    parts = Lists([Block(part) for part in np.array_split(rows, 3)])
    source = RemoteSource(parts)
    parts.blocks[1] = Block(rows[:5])
    with pytest.raises(InputError, match=r"partition 1 had 20000 rows at first and has 5 now"):
        source.map(len)


def test_rows_are_taken_by_their_numbers_among_all(rows):
    weights = np.arange(1.0, N + 1)
    parts = [slice(0, 100), slice(100, 100), slice(100, 40_000), slice(40_000, N)]
    source = RemoteSource(Lists([Block(rows[part], weights[part]) for part in parts]))
    for wanted in (np.array([50_000, 3, 99, 100, 3]), slice(90, 110), slice(None)):
        found = source.take(wanted)
        np.testing.assert_array_equal(found.rows, rows[wanted])
        np.testing.assert_array_equal(found.weights, weights[wanted])


@pytest.mark.parametrize("batch", [999, 20_000])
def test_batches_of_any_size_are_the_blocks_of_memory(rows, batch):
    """Of a partition no more is held than the batches that make up some of its blocks."""
    whole, weights = MemorySource(rows), np.linspace(0.5, 2.0, N)
    edges = np.cumsum([0, *aligned(N, 3)])[[0, 1, -1]]
    parts = Lists([Block(rows[a:b], weights[a:b]) for a, b in pairwise(edges)])
    parts.batch = batch
    source = RemoteSource(parts)

    def squares(run):
        return tree_sum([(one.rows**2).sum(axis=0) for one in run])

    np.testing.assert_array_equal(source.sum(squares), whole.sum(squares))
    assert source.map(len) == whole.map(len)
    assert source.weight == pytest.approx(weights.sum(), rel=1e-12)
    wanted = np.array([50_000, 3, 998, 999, 3])
    np.testing.assert_array_equal(source.take(wanted).rows, rows[wanted])
    np.testing.assert_array_equal(source.take(wanted).weights, weights[wanted])
    parts.blocks[0] = parts.blocks[0].take(slice(0, 1500))
    with pytest.raises(InputError, match=r"partition 0 had \d+ rows at first and has 1500 now"):
        source.sum(squares)


# ---- Dask


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_dask_chunks_at_the_cuts_give_the_same_bits(rows, model, scheduler):
    dask = pytest.importorskip("dask")
    da = pytest.importorskip("dask.array")
    with dask.config.set(scheduler=scheduler):
        X = da.from_array(rows, chunks=(aligned(N, 3), (2, 1)))
        found = GaussianMixture(2, random_state=0).fit(X)
        assert same(found, model) and found.lower_bounds_ == model.lower_bounds_
        np.testing.assert_array_equal(found.predict(X).compute(), model.predict(rows))
        np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(rows))
        np.testing.assert_array_equal(found.score_samples(X), model.score_samples(rows))
        assert found.score(X) == pytest.approx(model.score(rows), rel=1e-12)
        assert found.bic(X) == pytest.approx(model.bic(rows), rel=1e-12)


class Cluster:
    """What a client tells of who holds which chunks."""

    def __init__(self, places, sizes, threads):
        self.places, self.sizes, self.threads = places, sizes, threads

    def futures_of(self, X):
        return ["some"]

    def who_has(self, futures):
        return self.places

    def nbytes(self, keys, summary):
        return {key: self.sizes[key] for key in keys}

    def nthreads(self):
        return self.threads


def runs_of(monkeypatch, places, sizes, threads):
    """How many bytes the chunks of a run have, and who holds them all."""
    da = pytest.importorskip("dask.array")
    from mixtura.source import dask as engine

    X = da.zeros((len(places), 1), chunks=(1, 1))
    keys = [one.key for one in np.ravel(X.to_delayed())]
    told = (dict(zip(keys, given, strict=True)) for given in (places, sizes))
    cluster = Cluster(*told, threads)
    monkeypatch.setattr(engine, "_client", lambda: cluster)
    runs = engine.DaskPartitions(X)._runs([(i, str(i)) for i in range(len(keys))])
    assert sorted(one for run in runs for one in run) == sorted(
        (i, str(i)) for i in range(len(keys))
    )
    indices = [[i for i, _ in run] for run in runs]
    common = [set.intersection(*(set(places[i]) or {i} for i in run)) for run in indices]
    return [sum(sizes[i] for i in run) for run in indices], common


def test_one_task_visits_chunks_of_the_same_worker_few_at_a_time(monkeypatch):
    mega = 1 << 20
    places = [["a"] if i % 3 else ["b"] for i in range(90)]
    bytes_, common = runs_of(monkeypatch, places, [32 * mega] * 90, {"a": 1, "b": 1})
    assert all(common) and 120 * mega <= max(bytes_) <= 128 * mega
    assert len(bytes_) == 15 + 8
    # threads have tasks of their own, also where there is little
    bytes_, common = runs_of(monkeypatch, places, [1000] * 90, {"a": 2, "b": 1})
    assert all(common) and len(bytes_) == 4 + 2 and max(bytes_) <= 15_000
    # what is large, or nowhere, is visited alone; what is everywhere is shared out
    places = [["a"], ["a"], [], [], *[["a", "b"]] * 8]
    sizes = [200 * mega, 200 * mega, 1, 1, *[mega] * 8]
    bytes_, common = runs_of(monkeypatch, places, sizes, {"a": 1, "b": 1})
    assert all(common) and sorted(bytes_)[-2:] == [200 * mega] * 2 and bytes_.count(1) == 2


def close(found, model, tolerance=1e-10):
    """Other cuts round otherwise: 1e-10 of the spread of the rows."""
    np.testing.assert_allclose(found.means_, model.means_, rtol=0, atol=10 * tolerance)
    covariances = found.covariances_, model.covariances_
    np.testing.assert_allclose(*covariances, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found.weights_, model.weights_, rtol=tolerance)


@pytest.fixture(scope="module")
def torn(rows):
    X = rows[: N // 2].copy()
    X[::7, 1] = np.nan
    return X


def test_dask_frames_with_gaps_and_weights(torn):
    dd = pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame(torn, columns=COLUMNS).assign(w=np.arange(len(torn)) % 3.0)
    ours = dd.from_pandas(frame, npartitions=4)
    whole = GaussianMixture(2, random_state=0, n_jobs=1).fit(
        frame[COLUMNS][frame.w > 0], sample_weight=frame.w[frame.w > 0]
    )
    by_name = GaussianMixture(2, random_state=0).fit(ours, sample_weight="w")
    # Rounding decides, too, whether the last leap, of no gain, is taken.
    close(by_name, whole, 1e-8)
    assert list(by_name.feature_names_in_) == COLUMNS
    series = GaussianMixture(2, random_state=0).fit(ours[COLUMNS], sample_weight=ours.w)
    assert same(series, by_name)
    out = assign(by_name, ours).compute()
    np.testing.assert_array_equal(out.label, by_name.predict(frame[COLUMNS]))
    np.testing.assert_array_equal(out.log_density, by_name.score_samples(frame[COLUMNS]))
    shares = by_name.predict_proba(ours[["c", "a", "b"]]).compute()
    np.testing.assert_array_equal(shares, by_name.predict_proba(frame[COLUMNS]))


@pytest.mark.parametrize(
    "options",
    [
        {"covariance_type": "tied", "noise": True},
        {"covariance_type": "factor:1"},
        {"covariance_type": "VEI", "prior": "fraley-raftery", "assignment": "hard"},
        {"covariance_type": "diag", "distribution": "t", "dof": 5.0, "init_params": "kmeans"},
    ],
    ids=lambda options: options["covariance_type"],
)
def test_families_and_modes_on_float32(rows, options):
    da = pytest.importorskip("dask.array")
    few = rows[:20_000].astype(np.float32)
    model = GaussianMixture(2, random_state=0, n_jobs=1, max_iter=5, tol=0, **options).fit(few)
    X = da.from_array(few, chunks=(aligned(*few.shape), 3))
    found = GaussianMixture(2, random_state=0, max_iter=5, tol=0, **options).fit(X)
    # the sum of squares of shared covariances is kept per block in memory and made anew here
    np.testing.assert_allclose(found.means_, model.means_, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.covariances_, model.covariances_, rtol=1e-10, atol=1e-12)


def test_models_are_selected_over_chunks(rows):
    da = pytest.importorskip("dask.array")
    few = rows[::4]
    found = select(da.from_array(few, chunks=(4000, 3)), [1, 2], ["diag", "spherical"])
    known = select(few, [1, 2], ["diag", "spherical"], n_jobs=1)
    assert (found.best.n_components, found.best.covariance_type) == (2, "spherical")
    for one, other in zip(found.candidates, known.candidates, strict=True):
        assert one.bic == pytest.approx(other.bic, rel=1e-9)


def test_what_chunks_cannot_do_is_refused_with_advice(rows):
    da = pytest.importorskip("dask.array")
    X, endless = da.from_array(rows[:500], chunks=(100, 3)), rows[:500].copy()
    endless[-1, -1] = np.inf
    for options, told, text in (
        ({"init_params": np.zeros(500, int)}, {}, "use one of"),
        ({}, {"lower": 0.0}, "all rows at hand"),
        ({}, {"labels": da.ones(400)}, "one a row"),
        ({}, {"labels": da.full(500, 7)}, "row .* has 7"),
        ({}, {"sample_weight": da.ones(400)}, "one a row"),
        ({}, {"sample_weight": -da.ones(500)}, "partition 0: sample_weight must be"),
        ({}, {"sample_weight": "w"}, "no column of X"),
    ):
        with pytest.raises(InputError, match=text):
            GaussianMixture(**{"n_components": 2, **options}).fit(X, **told)
    with pytest.raises(InputTypeError, match="Dask array or series"):
        GaussianMixture(2).fit(X, sample_weight=np.ones(500))
    with pytest.raises(InputError, match=r"partition 4: .*infinity.* row 99, column 2"):
        GaussianMixture(2).fit(da.from_array(endless, chunks=(100, 3)))
    with pytest.raises(InputTypeError, match="use predict"):
        assign(Mixture([1.0], [[0.0]], [[[1.0]]]), rows)
