"""Rows that lie elsewhere: every way to them gives the fit of the array they hold."""

import errno
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow.compute import field
from pyarrow.dataset import dataset

import mixtura
from mixtura import GaussianMixture, InputError, InputTypeError, scan
from mixtura.reading import cache, stored
from mixtura.reading import scan as scanning
from mixtura.reading.cache import backing, kept, released
from mixtura.reading.sql import of_relation
from mixtura.reading.uri import shown
from mixtura.source import MemorySource

COLUMNS = ["a", "b", "c"]


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(300, 3)), rng.normal(size=(200, 3)) + 5.0])
    frame = pd.DataFrame(X[rng.permutation(500)], columns=COLUMNS)
    frame.loc[7, "b"] = np.nan
    return frame


@pytest.fixture(scope="module")
def model(frame):
    return GaussianMixture(2, random_state=0).fit(frame)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, frame):
    """The same rows in every format; a column of weights one stands beside them."""
    place = tmp_path_factory.mktemp("rows")
    wide = frame.assign(w=1.0)
    (place / "parts").mkdir()
    wide[:200].to_parquet(place / "parts" / "1.parquet")
    wide[200:].to_parquet(place / "parts" / "2.parquet")
    wide.to_feather(place / "rows.feather")
    wide.to_csv(place / "rows.csv", index=False)
    wide.to_csv(place / "rows.tsv", index=False, sep="\t")
    np.save(place / "rows.npy", frame.to_numpy())
    np.save(place / "whole.npy", np.arange(20).reshape(10, 2))
    return place


WAYS = {
    "parquet files": lambda at: scan(f"{at}/parts/*.parquet", columns=COLUMNS),
    "folder": lambda at: scan(at / "parts", weights="w"),
    "feather": lambda at: scan(at / "rows.feather", weights="w"),
    "csv": lambda at: scan(at / "rows.csv", columns=COLUMNS),
    "tsv": lambda at: scan(at / "rows.tsv", columns=COLUMNS),
    "npy": lambda at: scan(at / "rows.npy"),
    "uri": lambda at: scan(f"file://{at}/parts", columns=COLUMNS),
    "uri pattern": lambda at: scan(f"file://{at}/**/*.parquet", columns=COLUMNS),
    "filter": lambda at: scan(at / "parts", columns=COLUMNS, where=[("w", ">", 0.5)]),
    "query": lambda at: scan(f"select a, b, c from '{at}/parts/*.parquet'"),
    "lazy frame": lambda at: scan(pl.scan_parquet(f"{at}/parts/*.parquet").select(COLUMNS)),
    "blocks": lambda at: scan(np.array_split(np.load(at / "rows.npy"), 3)),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_fit_of_the_array(way, folder, frame, model):
    rows = WAYS[way](folder)
    np.testing.assert_array_equal(rows.table.rows, frame.to_numpy())
    ours = GaussianMixture(2, random_state=0).fit(rows)
    assert ours.mixture_.means.tolist() == model.mixture_.means.tolist()
    assert ours.bic(rows) == model.bic(frame)
    np.testing.assert_array_equal(ours.predict_proba(rows), model.predict_proba(frame))
    if rows.table.names is not None:
        assert ours.feature_names_in_.tolist() == COLUMNS


def test_paths_queries_and_relations_stand_for_their_rows(folder, frame, model):
    import duckdb

    query = f"select c, a, b from '{folder}/parts/*.parquet'"
    for rows in (str(folder / "rows.npy"), folder / "rows.npy", query, duckdb.sql(query)):
        ours = GaussianMixture(2, random_state=0).fit(rows)
        assert abs(ours.lower_bound_ - model.lower_bound_) < 1e-9
        assert ours.score(rows) == pytest.approx(ours.lower_bound_, abs=1e-9)
    chosen = mixtura.select(folder / "rows.npy", range(1, 3), ["full", "tied"])
    assert chosen.best.bic == mixtura.select(frame, range(1, 3), ["full", "tied"]).best.bic


def test_a_file_is_read_once_for_fit_and_labels(folder, monkeypatch):
    reads, read = [], scanning._array_file
    monkeypatch.setattr(scanning, "_array_file", lambda asked: reads.append(asked) or read(asked))
    GaussianMixture(2, trim=0.1, random_state=0).fit_predict(folder / "rows.npy")
    assert len(reads) == 1


def test_columns_are_found_by_name(folder, frame, model):
    other = scan(f"select c, a, b, w from '{folder}/parts/*.parquet'")
    np.testing.assert_array_equal(model.predict(other), model.predict(frame))


def test_a_column_of_weights(tmp_path, frame):
    w = np.where(frame["a"] > 2.0, 0.0, 2.0)
    frame.assign(w=w).to_parquet(tmp_path / "x.parquet")
    ours = GaussianMixture(1).fit(scan(tmp_path / "x.parquet", weights="w"))
    theirs = GaussianMixture(1).fit(frame, sample_weight=w)
    np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-12)


def test_single_precision_and_whole_numbers(folder):
    assert scan(folder / "rows.csv", columns=["a"], dtype="float32").table.rows.dtype == np.float32
    whole = scan(folder / "whole.npy").table.rows
    assert whole.dtype == np.float64 and whole[3, 1] == 7.0


# ---- what cannot be read


def refused(match, *given, kind=InputError, **more):
    with pytest.raises(kind, match=match):
        scan(*given, **more).table  # noqa: B018


@pytest.mark.parametrize("call", ["fit", "partial_fit", "score", "predict"])
def test_an_iterator_is_refused_with_what_to_do(call):
    rows = np.random.default_rng(0).normal(size=(50, 2))
    model = GaussianMixture(1).fit(rows)
    with pytest.raises(InputTypeError, match=r"read only once.*give scan a list of blocks"):
        getattr(model, call)(block for block in [rows])


def test_refusals_say_what_and_where(folder, tmp_path, frame):
    refused("no such file", "nothing-here.parquet")
    (tmp_path / "rows.xyz").write_text("a,b")
    refused("no format is known", tmp_path / "rows.xyz")
    refused("no columns \\['z'\\]", folder / "parts", columns=["a", "z"])
    refused("say it in the query", "select 1.0 as x", where=[("x", ">", 0)])
    refused("triples", folder / "parts", where="a > 3")
    refused("does not run the query", "select nonsense from nowhere")
    refused("no names", folder / "rows.npy", columns=["a"])
    refused("can be read only once", iter([np.ones((2, 2))]), kind=InputTypeError)
    refused("cannot be scanned", 3.0, kind=InputTypeError)
    refused("no blocks", [])
    refused("block 1", [np.ones((2, 2)), np.ones((2, 3))])
    frame.assign(s="text").to_parquet(tmp_path / "s.parquet")
    refused("columns \\['s'\\] do not hold numbers", tmp_path / "s.parquet", kind=InputTypeError)
    frame.assign(a=np.where(np.arange(500) == 321, np.inf, 1.0)).to_parquet(tmp_path / "i.parquet")
    refused("row 321, column 'a'", tmp_path / "i.parquet")
    frame.assign(w=-1.0).to_parquet(tmp_path / "w.parquet")
    refused("row 0 has -1", tmp_path / "w.parquet", weights="w")
    frame[:0].to_parquet(tmp_path / "e.parquet")
    refused("has no rows", tmp_path / "e.parquet")
    with pytest.raises(InputError, match="float32"):
        scan(folder / "rows.csv", dtype="int8")


@pytest.mark.parametrize("name", ["parts/1.parquet", "rows.feather"])
def test_a_file_cut_short_is_an_error(name, folder, tmp_path):
    data = (folder / name).read_bytes()
    cut = tmp_path / name.split("/")[-1]
    cut.write_bytes(data[: len(data) // 2])
    refused("damaged or cut short", cut)


def test_text_that_breaks_off_in_a_number(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1.0,2.0\n" * 1 + "3.0,4.0\n5.0,oops\n")
    refused("do not hold numbers|damaged", tmp_path / "x.csv", kind=(InputError, InputTypeError))


# ---- the decoded rows


def test_many_rows_go_to_a_file_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "IN_MEMORY", 1000)
    blocks = [np.full((40, 2), float(i)) for i in range(10)]
    rows = kept(iter(blocks), tmp_path)
    np.testing.assert_array_equal(rows, np.concatenate(blocks))
    assert backing(rows) is not None and backing(rows[80:]) is not None
    assert backing(np.ones((3, 2))) is None
    assert not list(tmp_path.iterdir())
    released(rows[13:300])  # what is let go is read again
    np.testing.assert_array_equal(rows, np.concatenate(blocks))


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "IN_MEMORY", 1000)
    with pytest.raises(InputError, match="GB are needed"):
        kept(iter([np.ones((400, 2))]), tmp_path, expected=10**18)
    with pytest.raises(InputError, match="is no folder"):
        kept(iter([np.ones((400, 2))]), tmp_path / "absent")

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: Full())
    with pytest.raises(InputError, match="No space left"):
        kept(iter([np.ones((400, 2))]), tmp_path)
    assert not list(tmp_path.iterdir())


def test_mapped_rows_have_the_bits_of_those_in_memory(tmp_path, monkeypatch, frame):
    """Blocks of mapped rows are read anew and let go; the tree of the sums stays as it is."""
    import mixtura.source.memory as memory

    rng = np.random.default_rng(0)
    X = rng.normal(size=(90_000, 3)) + 4.0 * rng.integers(2, size=(90_000, 1))
    X[::7, 1] = np.nan
    np.save(tmp_path / "x.npy", X)
    for threads in (1, 2):
        held = GaussianMixture(2, random_state=0, n_jobs=threads, max_iter=5, tol=0).fit(X)
        monkeypatch.setattr(memory, "IN_MEMORY", 1000)
        rows = scan(tmp_path / "x.npy")
        assert MemorySource(rows.table.rows)._elsewhere
        ours = GaussianMixture(2, random_state=0, n_jobs=threads, max_iter=5, tol=0).fit(rows)
        assert ours.mixture_ == held.mixture_
        monkeypatch.undo()


@pytest.mark.slow
def test_memory_stays_bounded(tmp_path):
    """A fit to 256 MB of Parquet that decode to as much takes under 150 MB beyond the imports."""
    rng = np.random.default_rng(0)
    for part in range(4):
        pd.DataFrame(rng.normal(size=(1_000_000, 8))).add_prefix("c").to_parquet(
            tmp_path / f"{part}.parquet"
        )
    script = f"""
import resource
from mixtura import GaussianMixture, kernels, scan
import numpy as np, pyarrow.dataset
kernels.use("compiled")
GaussianMixture(2, random_state=0).fit(np.random.default_rng(0).normal(size=(60000, 8)))
def peak(): return int([l for l in open("/proc/self/status") if "VmHWM" in l][0].split()[1]) * 1024
before = peak()
GaussianMixture(2, random_state=0, max_iter=5).fit(scan(r"{tmp_path}/*.parquet"))
print(peak() - before)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 150e6


@pytest.mark.parametrize("place", ["none.parquet", "none/*.parquet", "parts/*.arrow"])
def test_a_uri_of_nothing_is_no_damaged_file(folder, place):
    with pytest.raises(InputError, match="there is no such file"):
        GaussianMixture(2).fit(f"file://{folder}/{place}")


def test_keys_in_a_uri_are_not_shown():
    rows = scan("s3://someone:secret@bucket/rows.npy", columns=["a"])
    assert rows.called == "s3://bucket/rows.npy"


def test_weights_of_a_scan_count_wherever_they_count_beside_an_array(frame, tmp_path):
    X = frame[COLUMNS].fillna(0.0)
    weights = np.random.default_rng(0).integers(1, 5, len(X)).astype(float)
    X.assign(w=weights).to_parquet(tmp_path / "w.parquet")
    rows = scan(tmp_path / "w.parquet", weights="w")
    model = GaussianMixture(2, random_state=0).fit(rows)
    for ask in (model.score, model.bic, model.icl, model.validate, model.summary):
        assert str(ask(rows)) == str(ask(X, sample_weight=weights))
    for ask in (mixtura.standard_errors, mixtura.bootstrap):
        options = {} if ask is mixtura.standard_errors else {"n_replicates": 3, "random_state": 0}
        one, other = ask(model, rows, **options), ask(model, X, sample_weight=weights, **options)
        assert str(one) == str(other)


def test_blocks_of_frames_keep_their_names(frame, model):
    """Columns in another order once were taken for those of the fit."""
    again = scan([frame[COLUMNS][:200], frame[COLUMNS][::-1][200:][::-1]])
    assert again.table.names == tuple(COLUMNS)
    turned = scan([frame[["c", "a", "b"]]])
    with pytest.raises(InputError, match=r"\['c', 'a', 'b'\], and the model was fitted to"):
        model.score(turned)


def test_blocks_of_another_precision_are_refused():
    X = np.ones((4, 2))
    with pytest.raises(InputError, match="block 1 holds float64 and the first float32: say which"):
        _ = scan([X.astype(np.float32), X]).table
    assert scan([X.astype(np.float32), X], dtype="float32").table.rows.dtype == np.float32
    assert scan([X, X.astype(np.float32)]).table.rows.dtype == np.float64


# ---- queries, relations and what streams once


def test_a_relation_that_is_cut_short_is_an_error():
    """Another query on its connection ends it, in some versions without a word."""
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    relation = connection.sql("select i::double as a, 't' || i as t from range(200_000) r(i)")
    batches = of_relation(relation, "rows").read(["a"])
    rows = next(batches).num_rows
    assert rows <= stored.BATCH  # DuckDB's own are of a million
    try:
        connection.sql("select 1").fetchall()
    except duckdb.Error:  # newer versions refuse the other query
        rows += sum(batch.num_rows for batch in batches)
        assert rows == 200_000
    else:
        with pytest.raises(InputError, match="asked something else"):
            list(batches)
    assert scan(relation, columns=["a"]).shape == (200_000, 1)


def test_fits_side_by_side_read_all_their_rows():
    pytest.importorskip("duckdb")
    query = "select i::double as a from range(300_000) r(i)"
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: scan(query).shape, range(8))) == [(300_000, 1)] * 8


def test_statements_before_a_query(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(tmp_path / "rows.db") as connection:
        connection.sql('create table t as select i as a, -i as "b c" from range(5) r(i)')
    query = f"attach '{tmp_path}/rows.db' as other (read_only);\nselect * from other.t"
    for _ in range(2):  # on a connection of its own, so a name is free again
        assert scan(query, columns=["b c"]).table.rows.ravel().tolist() == [0, -1, -2, -3, -4]
    refused("(?s)run the query.*ATTACH", "select a from other.t")


def test_a_relation_without_its_connection():
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    relation = connection.sql("select 1.0 as a")
    connection.close()
    refused("Keep its connection open", relation)
    refused(r"connection.sql\(...\)", duckdb.connect(), kind=InputTypeError)


def test_passwords_are_not_shown():
    query = "attach 'host=h password=hidden' as pg (type postgres); select a from pg.t"
    assert "hidden" not in scan(query).called
    for one in ("create secret (type s3, secret 'hidden')", "PASSWORD = 'hid den'"):
        assert "hid" not in shown(one)


def test_readers_are_decoded_once_and_then_refused(frame, model):
    table = pa.Table.from_pandas(frame)
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(100))
    rows = scan(reader)
    ours = GaussianMixture(2, random_state=0).fit(rows)
    assert ours.bic(rows) == model.bic(frame)
    refused(r"used up: .* rows = scan\(\.\.\.\)", reader)

    class Once:
        def __init__(self):
            self.streams = [table]

        def __arrow_c_stream__(self, requested_schema=None):
            if not self.streams:
                raise ValueError("released")
            return self.streams.pop().__arrow_c_stream__(requested_schema)

    once = Once()
    assert scan(once).shape == (500, 3)
    refused("released.*can be read only once", once)

    class Cursor:
        fetch_record_batch = None

        def __iter__(self):
            return iter([])

    refused("what its fetch_record_batch", Cursor(), kind=InputTypeError)


def test_data_sets_of_pyarrow(folder, frame, model):
    data = dataset(folder / "parts")
    ours = GaussianMixture(2, random_state=0).fit(scan(data, weights="w"))
    assert ours.mixture_.means.tolist() == model.mixture_.means.tolist()
    np.testing.assert_array_equal(
        ours.predict(data.filter(field("a") > 2.0)), model.predict(frame[frame["a"] > 2.0])
    )
