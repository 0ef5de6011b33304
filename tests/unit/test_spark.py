"""Spark data frames, classic and by Spark Connect: the fits and answers of memory."""

import os
import signal
import sys

import numpy as np
import pandas as pd
import pytest

from mixtura import GaussianMixture, InputError, InputTypeError, assign, assigned_column
from mixtura.block import cuts
from mixtura.source import RemoteSource
from mixtura.tree import tree_sum

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("ignore")]

COLUMNS = ["a", "b", "c"]
N = 60_000
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",  # small jobs would wait for a compiler
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "5000",  # a block is three batches
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@pytest.fixture(scope="module", params=["classic", "connect"])
def spark(request):
    sql = pytest.importorskip("pyspark.sql")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"):
            patch.setenv(name, sys.executable)
        # what is imported here is what workers import, from whatever folder they start in
        patch.setenv("PYTHONPATH", os.pathsep.join(map(os.path.abspath, filter(None, sys.path))))
        builder = sql.SparkSession.builder
        if request.param == "connect":
            pytest.importorskip("grpc")
            builder = builder.remote("local[2]")
        else:
            builder = builder.master("local[2,3]")  # a task is tried three times
        for name, value in SETTINGS.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        yield session
        session.stop()


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3)) + 6.0 * (rng.random(N) < 0.4)[:, None]
    X[::7, 1] = np.nan
    return pd.DataFrame(X, columns=COLUMNS).assign(w=rng.uniform(0.5, 2.0, N))


@pytest.fixture(scope="module")
def ours(spark, frame):
    return spark.createDataFrame(frame).cache()


def edges(X, weights="w"):
    from mixtura.source.spark import SparkPartitions

    return RemoteSource(SparkPartitions(X, weights)).edges.tolist()


@pytest.mark.parametrize("family", ["full", "diag"])
def test_the_same_blocks_give_the_same_bits(ours, frame, family):
    """Gaps and weights; partitions end where blocks do, and come in batches of a third of one."""
    assert {cut.start for cut in cuts(N, 3)} | {N} >= set(edges(ours))
    given = {"covariance_type": family, "random_state": 0, "max_iter": 2, "tol": 0}
    known = GaussianMixture(2, n_jobs=1, **given).fit(frame[COLUMNS], sample_weight=frame.w)
    found = GaussianMixture(2, **given).fit(ours, sample_weight="w")
    assert found.mixture_ == known.mixture_ and found.lower_bounds_ == known.lower_bounds_
    assert list(found.feature_names_in_) == COLUMNS


def test_other_cuts_are_added_up_in_two_levels(ours, frame, monkeypatch):
    from mixtura.source import spark as engine

    monkeypatch.setattr(engine, "FAN", 2)
    start = {
        "weights_init": [0.5, 0.5],
        "means_init": [[0.5] * 3, [5.0] * 3],
        "precisions_init": np.tile(np.eye(3), (2, 1, 1)),
        "max_iter": 3,
        "tol": 0,
    }
    known = GaussianMixture(2, n_jobs=1, **start).fit(frame[COLUMNS], sample_weight=frame.w)
    spread = ours.repartition(5).cache()
    assert len(edges(spread)) == 6
    found = GaussianMixture(2, **start).fit(spread, sample_weight="w")
    # 1e-10 of the spread of the rows
    np.testing.assert_allclose(found.means_, known.means_, rtol=0, atol=6e-10)
    np.testing.assert_allclose(found.covariances_, known.covariances_, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.weights_, known.weights_, rtol=1e-10)
    assert found.score(ours.drop("w")) == pytest.approx(found.score(frame[COLUMNS]), rel=1e-12)


def test_answers_are_columns(spark, frame, tmp_path):
    few = frame[COLUMNS][:2000].assign(name="x")
    few.to_parquet(tmp_path / "rows.parquet")
    wide = spark.read.parquet(str(tmp_path / "rows.parquet"))
    model = GaussianMixture(2, random_state=0).fit(few[COLUMNS])
    out = assign(model, wide, label="label", density="log_density", p="probabilities").toPandas()
    np.testing.assert_array_equal(out.label, model.predict(few[COLUMNS]))
    np.testing.assert_allclose(out.density, model.score_samples(few[COLUMNS]), rtol=1e-12)
    shares = model.predict_proba(few[COLUMNS])
    np.testing.assert_allclose(np.stack(out.p), shares, atol=1e-12)
    assert set(out.name) == {"x"}
    np.testing.assert_array_equal(model.predict(wide).toPandas().label, out.label)
    kinds = ("label", "log_density", "probabilities")
    columns = {kind: assigned_column(model, *COLUMNS, what=kind) for kind in kinds}
    told = wide.withColumns(columns).toPandas()
    np.testing.assert_array_equal(told.label, out.label)
    np.testing.assert_allclose(told.log_density, out.density, rtol=1e-12)
    np.testing.assert_allclose(np.stack(told.probabilities), shares, atol=1e-12)


def test_what_frames_cannot_do_is_refused_with_advice(spark, ours):
    with pytest.raises(InputTypeError, match=r"\['name'\] do not hold numbers"):
        GaussianMixture(2).fit(spark.createDataFrame([(1.0, "x")], "a double, name string"))
    with pytest.raises(InputError, match="the name of one of its columns"):
        GaussianMixture(2).fit(ours, sample_weight="v")
    endless = spark.createDataFrame([(1.0, 2.0), (3.0, float("inf"))], "a double, b double")
    with pytest.raises(InputError, match=r"partition \d: .*infinity"):
        GaussianMixture(1).fit(endless)


def test_a_worker_that_is_killed_changes_nothing(ours, tmp_path, request):
    from mixtura.source.spark import SparkPartitions

    if "connect" in request.node.name:
        pytest.skip("its server tries a task once")
    source, marker = RemoteSource(SparkPartitions(ours, "w")), str(tmp_path / "killed")

    def squares(run, killing=False):
        if killing and not os.path.exists(marker):
            with open(marker, "x"):
                os.kill(os.getpid(), signal.SIGKILL)
        return tree_sum([np.nansum(one.rows**2, axis=0) for one in run])

    known = source.sum(squares)
    np.testing.assert_array_equal(source.sum(lambda run: squares(run, killing=True)), known)
    assert os.path.exists(marker)
