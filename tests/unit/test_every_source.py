"""Every estimator on every source: the fit and the answers of the same rows in memory."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import mixtura.source.ranks as ranks
from mixtura import (
    DensityEstimator,
    GaussianMixture,
    InputError,
    MixtureClassifier,
    MixtureImputer,
    MixtureOfLinearExperts,
    MixtureOutlierDetector,
    MixtureRegressor,
    OpenSetClassifier,
    scan,
    select,
)
from mixtura.block import Block
from mixtura.reading import cache
from mixtura.reading.scan import Scan
from mixtura.source import MemorySource, RemoteSource
from mixtura.source.shuffle import shuffled
from strategies import spread

INPUTS = ["a", "b", "c"]
N = 500


@pytest.fixture(scope="module")
def wide():
    """Rows with gaps, weights, some labels, a class as text, and an outcome."""
    rng = np.random.default_rng(0)
    group = rng.integers(2, size=N)
    X = rng.normal(size=(N, 3)) * [1.0, 2.0, 0.5] + 5.0 * group[:, None]
    X[::11, 1] = np.nan
    frame = pd.DataFrame(X, columns=INPUTS)
    return frame.assign(
        w=rng.integers(1, 4, N).astype(float),
        known=np.where(rng.random(N) < 0.1, group, -1),
        species=np.array(["cat", "dog"])[group],
        y=2.0 * X[:, 0] + rng.normal(size=N),
    )


WAYS = ["scan", "blocks", "dask", "dask frame"]


@pytest.fixture(scope="module", params=WAYS)
def given(request, wide, tmp_path_factory):
    """``given(*columns)``: rows, and these columns beside them or by name."""
    dd, da = pytest.importorskip("dask.dataframe"), pytest.importorskip("dask.array")
    way, place = request.param, tmp_path_factory.mktemp("rows") / "x.parquet"
    wide.to_parquet(place)

    def of(*columns):
        rows = wide[INPUTS].to_numpy()
        beside = [wide[name].to_numpy() for name in columns]
        if way == "scan":
            return scan(place, columns=[*INPUTS, *columns]), *columns
        if way == "dask frame":
            return dd.from_pandas(wide[[*INPUTS, *columns]], npartitions=4), *columns
        if way == "blocks":
            return scan(np.array_split(rows, 3)), *beside
        cut = [da.from_array(one, chunks=(140, *one.shape[1:])) for one in (rows, *beside)]
        return tuple(cut)

    return of


def plain(values):
    values = values.compute() if hasattr(values, "compute") else values
    values = values.table.rows if isinstance(values, Scan) else values
    return np.asarray(values)


def same(found, known):
    """Sums over other blocks round otherwise, by 1e-13 or so; steps carry that on."""
    assert plain(found).shape == known.shape
    if known.dtype.kind in "fc":
        np.testing.assert_allclose(plain(found), known, rtol=1e-8, atol=1e-8)
    else:
        np.testing.assert_array_equal(plain(found), known)


MODES = {
    "labels": {"prior": "fraley-raftery", "covariance_type": "VEV"},
    "trim": {"trim": 0.05},
    "t": {"distribution": "t", "dof": "own", "noise": True},
}


KNOWN = {}
"""Fits of the rows in memory, one for all sources."""


@pytest.mark.parametrize(("mode", "given"), spread(MODES, WAYS, every=2), indirect=["given"])
@pytest.mark.filterwarnings("ignore:the fit did not converge")  # it is stopped early
def test_weights_gaps_and_modes_on_every_source(mode, given, wide):
    model = GaussianMixture(2, random_state=0, n_jobs=1, max_iter=10, tol=0, **MODES[mode])
    X, weights, *labels = given("w", *(["known"] if mode == "labels" else []))
    if mode not in KNOWN:
        told = {"labels": wide.known.to_numpy()} if mode == "labels" else {}
        rows = wide[INPUTS].to_numpy()
        KNOWN[mode] = clone(model).fit(rows, sample_weight=wide.w.to_numpy(), **told)
    found = model.fit(X, sample_weight=weights, **({"labels": labels[0]} if labels else {}))
    for name in ("means_", "covariances_", "weights_"):
        same(getattr(found, name), getattr(KNOWN[mode], name))
    if mode == "trim":
        assert found.cut_.level == pytest.approx(KNOWN[mode].cut_.level, rel=1e-9)


def test_models_are_cross_validated_on_every_source(given, wide):
    X, weights = given("w")
    settings = {"criterion": "cv", "n_jobs": 1, "tol": 1e-4, "folds": 3}
    found = select(X, [1, 2], "diag", sample_weight=weights, **settings)
    if "cv" not in KNOWN:
        rows = wide[INPUTS].to_numpy()
        KNOWN["cv"] = select(rows, [1, 2], "diag", sample_weight=wide.w, **settings)
    for one, other in zip(found.candidates, KNOWN["cv"].candidates, strict=True):
        assert one.score == pytest.approx(other.score, rel=1e-9)
        assert one.cv_error == pytest.approx(other.cv_error, rel=1e-9)


SETTINGS = {"random_state": 0, "n_jobs": 1, "tol": 1e-4}
ESTIMATORS = {
    "alpha": (
        MixtureOutlierDetector(1, covariance_type="full", alpha=0.1, **SETTINGS),
        None,
        ("predict", "score_samples", "p_values"),
    ),
    "contamination": (
        MixtureOutlierDetector(2, covariance_type="full", contamination=0.1, trim=0.0, **SETTINGS),
        None,
        ("decision_function",),
    ),
    "automatic": (
        MixtureOutlierDetector(1, covariance_type="full", **SETTINGS), None, ("predict",)
    ),
    "imputer": (MixtureImputer(2, add_indicator=True, **SETTINGS), None, ("transform",)),
    "classifier": (MixtureClassifier(**SETTINGS), "species", ("predict", "predict_proba")),
    "half labelled": (
        MixtureClassifier(semi_supervised=True, **SETTINGS), "known", ("predict", "score_samples")
    ),
    "density": (
        DensityEstimator(2, covariance_type="full", **SETTINGS), None, ("score_samples",)
    ),
    "regressor": (MixtureRegressor(2, **SETTINGS), "y", ("predict", "predict_interval")),
    "experts": (
        MixtureOfLinearExperts(2, noise_type="tied", **SETTINGS), "y", ("predict", "score_samples")
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "given"), spread(ESTIMATORS, WAYS, every=2), indirect=["given"])
def test_every_estimator_on_every_source(name, given, wide):
    estimator, target, methods = ESTIMATORS[name]
    X, weights, *y = given("w", *([] if target is None else [target]))
    if name not in KNOWN:
        rows = wide[INPUTS].to_numpy()
        told = [] if target is None else [wide[target].to_numpy()]
        one = clone(estimator).fit(rows, *told, sample_weight=wide.w.to_numpy())
        KNOWN[name] = [getattr(one, method)(rows) for method in methods]
    found, (new,) = clone(estimator).fit(X, *y, sample_weight=weights), given()
    for method, known in zip(methods, KNOWN[name], strict=True):
        answer = getattr(found, method)(new)
        assert hasattr(answer, "compute") == hasattr(new, "compute")  # lazily where rows are lazy
        same(answer, known)


def test_open_sets_on_every_source(given, wide):
    X, classes = given("species")
    fill = MixtureImputer(1).fit(given()[0])
    model = OpenSetClassifier(random_state=0)
    whole = MixtureImputer(1).fit(wide[INPUTS].to_numpy()).transform(wide[INPUTS].to_numpy())
    if isinstance(classes, str):
        with pytest.raises(InputError, match="fill gaps first"):
            model.fit(X, classes)
        return
    found = model.fit(fill.transform(X), classes).novelty(fill.transform(X))
    same(found, model.fit(whole, wide.species).novelty(whole))


def test_filled_scans_are_worked_out_when_they_are_read(wide, tmp_path):
    wide[INPUTS].to_parquet(tmp_path / "x.parquet")
    drawn = MixtureImputer(2, method="draw", random_state=0, n_jobs=1).fit(tmp_path / "x.parquet")
    filled = drawn.transform(tmp_path / "x.parquet")
    rows = wide[INPUTS].to_numpy()
    for name in ("y.parquet", "y.csv", "y.arrow", "y.npy"):
        filled.write(tmp_path / name)
        again = scan(tmp_path / name).table.rows
        np.testing.assert_array_equal(again[~np.isnan(rows)], rows[~np.isnan(rows)])
        np.testing.assert_allclose(again, filled.table.rows, rtol=1e-12)
    with pytest.raises(InputError, match="no format is known"):
        filled.write(tmp_path / "y.xyz")
    one, other = drawn.impute_many(tmp_path / "x.parquet", 2, proper=False)
    assert (one.table.rows != other.table.rows).any()
    assert GaussianMixture(1).fit(filled).feature_names_in_.tolist() == INPUTS


def test_names_that_are_not_there_are_refused(wide, tmp_path):
    np.save(tmp_path / "x.npy", wide[INPUTS].to_numpy())
    for fit, text in (
        (partial(GaussianMixture(1).fit, wide[INPUTS], sample_weight="v"), r"no columns \['v'\]"),
        (partial(GaussianMixture(1).fit, np.ones((5, 2)), labels="z"), r"no columns \['z'\]"),
        (partial(MixtureClassifier().fit, tmp_path / "x.npy", "z"), "have no names"),
        (partial(MixtureRegressor(1).fit, wide[INPUTS], "z"), r"y names columns \['z'\]"),
    ):
        with pytest.raises(InputError, match=text):
            fit()
    by_name = GaussianMixture(1).fit(wide[[*INPUTS, "w"]], sample_weight="w")
    assert by_name.feature_names_in_.tolist() == INPUTS


def test_tensors_with_gaps_are_worked_out_in_memory(wide):
    torch = pytest.importorskip("torch")
    rows = wide[INPUTS].to_numpy()
    model = GaussianMixture(2, random_state=0, n_jobs=1)
    means = model.fit(torch.as_tensor(rows.copy())).means_
    labels = model.predict(torch.as_tensor(rows.copy()))
    assert isinstance(labels, torch.Tensor)
    np.testing.assert_array_equal(means, model.fit(rows).means_)
    np.testing.assert_array_equal(labels.numpy(), model.predict(rows))


# ---- what sources share


@pytest.mark.parametrize("whole", [True, False])
def test_quantiles_by_weight_are_those_of_repeated_rows(whole, monkeypatch):
    """By NumPy's percentile of the rows repeated; many are bracketed in several passes."""
    if not whole:
        monkeypatch.setattr(ranks, "_HERE", 0)
        monkeypatch.setattr(ranks, "_KNOTS", 4)
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=3000), rng.integers(0, 40, 3000).astype(float), np.ones(50)):
        counts = rng.integers(0, 4, len(values))
        source = MemorySource(values[:, None], counts.astype(float))
        for share in (0.01, 0.1, 0.37, 0.5, 0.99, 1.0):
            found = ranks.quantile(source, lambda b: (b.rows[:, 0], b.weight()), share)
            expected = np.percentile(np.repeat(values, counts), 100 * share)
            assert found == pytest.approx(expected, abs=1e-12)


def test_shuffled_rows_are_a_permutation():
    for n in (1, 2, 5, 17, 1000):
        whole = shuffled(np.arange(n), n, 3)
        assert sorted(whole.tolist()) == list(range(n))
        np.testing.assert_array_equal(shuffled(np.arange(n)[::-1], n, 3), whole[::-1])
    order = shuffled(np.arange(10_000), 10_000, 0)
    assert abs(np.corrcoef(order, np.arange(10_000))[0, 1]) < 0.05  # five standard errors


def test_views_are_the_same_over_partitions(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(500, 2))

    class Lists:
        d, names = 2, None

        def each(self, visit, told=None):
            parts = [Block(part) for part in np.split(rows, [100, 100, 350])]
            told = [None] * 4 if told is None else [(one,) if one else None for one in told]
            pairs = zip(parts, told, strict=True)
            return [
                visit([b], t[0] if t else None) if t or not any(told) else None for b, t in pairs
            ]

    from dataclasses import replace

    def third(block, first):
        numbers = np.arange(first, first + len(block))
        return replace(block, weights=(numbers % 3).astype(float), aside=numbers)

    monkeypatch.setattr(cache, "IN_MEMORY", 1000)  # what is brought goes to a file
    here, there = MemorySource(rows).viewed(third).whole, RemoteSource(Lists()).viewed(third)
    found = there.brought(None)
    np.testing.assert_array_equal(found.rows, here.rows)
    np.testing.assert_array_equal(found.weights, here.weights)
    np.testing.assert_array_equal(found.aside, here.aside)
    assert cache.backing(found.rows) is not None


def test_columns_of_a_dask_frame_are_found_by_name(wide):
    dd = pytest.importorskip("dask.dataframe")
    model = GaussianMixture(1).fit(wide[INPUTS])
    turned = dd.from_pandas(wide[["w", *INPUTS[::-1]]], npartitions=2)
    for ask in (model.score, model.bic):
        known = ask(wide[INPUTS], sample_weight=wide.w)
        assert ask(turned, sample_weight="w") == pytest.approx(known, rel=1e-12)
    with pytest.raises(InputError, match="lack the model's columns"):
        model.score(turned[["a", "w"]])
    with pytest.raises(InputError, match="2 features"):
        model.bic(turned[["a", "w"]].to_dask_array(lengths=True))
