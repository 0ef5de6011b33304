"""The command line on files, folders, patterns, arrays and queries; and what strikes it there."""

import ast
import contextlib
import errno
import gzip
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("pyarrow")

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from mixtura import cli, cli_fit, cli_next
from mixtura.cli_progress import Pace
from mixtura.fit.accelerate import Stride
from mixtura.fit.checkpoint import Checkpoint
from mixtura.fit.em import State, Stop
from mixtura.io import inputs
from mixtura.io.model_file import load, load_metadata, save
from mixtura.io.row_filter import row_filter
from mixtura.io.tables import read_raw
from mixtura.mixture import Mixture
from mixtura.reading import cache, files, stored

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
N = 400
FIT = ("--columns", "width,height", "-k", "2", "--covariance", "full", "--no-figures", "-q")


@pytest.fixture(scope="module")
def rows():
    """Two groups in two columns, with gaps."""
    rng = np.random.default_rng(0)
    X = rng.normal([0, 50], [1, 2], (N, 2)) + np.outer(rng.integers(2, size=N), [4, 9])
    X[::50, 1] = np.nan
    return X


@pytest.fixture(scope="module")
def folder(tmp_path_factory, rows):
    """The same table in many forms, and the fit to it as it is held in memory."""
    table = pa.table(
        {
            "name": [f"n{i}" for i in range(N)],
            "width": rows[:, 0],
            "kind": ["ab"[i % 2] for i in range(N)],
            "height": pa.array(rows[:, 1], from_pandas=True),
            "year": [2000 + i // 100 for i in range(N)],
        }
    )
    place = tmp_path_factory.mktemp("rows")
    pyarrow.csv.write_csv(table, place / "t.csv")
    pyarrow.feather.write_feather(table, place / "t.feather")
    (place / "parts").mkdir()
    for part in range(3):
        pyarrow.parquet.write_table(table.slice(150 * part, 150), place / f"parts/{part}.parquet")
    np.save(place / "t.npy", rows)
    with contextlib.chdir(place), contextlib.suppress(SystemExit):
        cli.main(("fit", "t.csv", *FIT, "--id", "name", "-o", "held"))
    return place


@pytest.fixture
def work(tmp_path, monkeypatch, folder):
    """A copy of the folder to work in, and blocks that are small."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for module in (inputs, files, stored):
        monkeypatch.setattr(module, "BATCH", 64)
    return tmp_path


@pytest.fixture
def run(work, capsys):
    """Run a command in this process: (exit code, standard output, standard error)."""

    def run(*arguments):
        code = 0
        try:
            cli.main(arguments)
        except SystemExit as stop:
            code = stop.code or 0
        return (code, *capsys.readouterr())

    before = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, before)


WAYS = ("t.csv", "parts", "parts/*.parquet", "t.feather", "URI", "select * from 'parts/*.parquet'")


def given(way, work):
    return f"file://{work}/parts" if way == "URI" else way


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_told_and_written_as_a_small_file_is(run, work, monkeypatch, way):
    """One path: what is held and what is read block by block differ in nothing."""
    monkeypatch.setattr(inputs, "HELD", 0)
    found = run("fit", given(way, work), *FIT, "--id", "name", "-o", "far", "--format", "csv")
    assert found == (0, "", "")
    assert Path("far/assignments.csv").read_bytes() == Path("held/assignments.csv").read_bytes()
    assert load("far/model.mixtura") == load("held/model.mixtura")
    far, held = (load_metadata(f"{name}/model.mixtura") for name in ("far", "held"))
    assert {**far["data"], "file": "t.csv"} == held["data"]
    assert far["components"] == held["components"]
    # sums over parts round otherwise
    assert far["certainty"] == pytest.approx(held["certainty"], rel=1e-14)
    asked = ("held/model.mixtura", given(way, work), "--id", "name", "--json")
    told = json.loads(run("score", *asked)[1])
    written = read_raw("held/assignments.csv").arrow
    densities = written["log_density"].to_numpy()
    assert told["log_likelihood"] == pytest.approx(densities.sum(), rel=1e-13)
    least = [written["name"][int(row)].as_py() for row in np.argsort(densities)[:5]]
    assert [one["row"] for one in told["least_likely"]] == least


def test_an_array_has_columns_by_place(run, work, rows, monkeypatch):
    run("fit", "t.npy", *FIT[2:], "-o", "array")
    mixture = load("array/model.mixtura")
    assert mixture.feature_names == ("x1", "x2")
    table = read_raw("array/assignments.csv").arrow
    np.testing.assert_array_equal(table["label"], mixture.predict(rows))
    np.testing.assert_array_equal(table["row"], np.arange(N))
    assert run("score", "array/model.mixtura", "t.npy")[0] == 0
    code, _, err = run("fit", "t.npy", "--columns", "x1", *FIT[2:])
    assert code == 1
    assert "have no names" in err


def test_gaps_of_a_far_table_are_filled_as_those_of_a_small_one(run, work, monkeypatch):
    model = "held/model.mixtura"
    run("impute", model, "t.csv", "-o", "held.csv")
    monkeypatch.setattr(inputs, "HELD", 0)
    code, _, err = run("impute", model, "t.csv", "-o", "far.csv")
    assert (code, err) == (0, "t.csv: 8 cells filled\n")
    assert Path("far.csv").read_bytes() == Path("held.csv").read_bytes()
    for form in ("parquet", "arrow", "tsv"):
        run("impute", model, "parts", "-o", f"far.{form}")
        ours, theirs = read_raw(f"far.{form}").arrow, read_raw("held.csv").arrow
        assert ours.column_names == theirs.column_names
        np.testing.assert_array_equal(ours["height"], theirs["height"])


def test_weights_by_column_may_be_zero(run, work, rows, monkeypatch):
    weights = np.where(np.arange(N) % 3 == 0, 0.0, 2.0)
    table = pa.table({"width": rows[:, 0], "height": rows[:, 1], "w": weights})
    pyarrow.parquet.write_table(table, "w.parquet")
    monkeypatch.setattr(inputs, "HELD", 0)
    run("fit", "w.parquet", *FIT[2:], "--weights", "w", "-o", "out")
    kept = rows[weights > 0]
    mean = load("out/model.mixtura").mean()
    np.testing.assert_allclose(mean[0], kept[:, 0].mean(), rtol=1e-9)  # the M-step's identity
    assert read_raw("out/assignments.parquet").arrow.num_rows == N
    assert load_metadata("out/model.mixtura")["data"]["rows"] == N


@pytest.mark.parametrize("held", [True, False])
def test_conditions_on_rows(run, work, rows, monkeypatch, held):
    monkeypatch.setattr(inputs, "HELD", inputs.HELD if held else 0)
    some = ("--where", "year >= 2002", "--where", "kind = 'a'")
    told = json.loads(run("score", "held/model.mixtura", "t.csv", *some, "--json")[1])
    expected = load("held/model.mixtura").logpdf(rows[200::2])
    assert told["log_likelihood"] == pytest.approx(expected.sum(), rel=1e-13)
    code, out, _ = run("assign", "held/model.mixtura", "t.csv", *some, "--id", "name")
    assert [line.split(",")[0] for line in out.splitlines()[1:4]] == ["n200", "n202", "n204"]
    _, _, err = run("fit", "t.csv", *FIT[:-1], *some, "-o", "some")
    assert "only rows with year >= 2002 and kind = 'a'" in err
    assert "--where 'year >= 2002'" in err
    for wrong, said in (
        ("year is 3", "write COLUMN"),
        ("age > 3", 'no column "age"'),
        ("year > often", "'often' is none"),
        ("year > 3000", "no row meets"),
    ):
        code, _, err = run("score", "held/model.mixtura", "t.csv", "--where", wrong)
        assert code == 1
        assert said in err
    code, _, err = run("score", "held/model.mixtura", WAYS[-1], "--where", "year > 2001")
    assert code == 1
    assert "say it in the query" in err


def test_conditions_read_values_as_columns_hold_them():
    schema = pa.schema([("day", pa.timestamp("s")), ("n", pa.int32()), ("odd name", pa.string())])
    days = np.array(["2020-01-01", "2020-03-01"], dtype="datetime64[s]")
    table = pa.table({"day": days, "n": [1, 2], "odd name": ["=", "x"]}).cast(schema)
    for condition, expected in (
        ("day < 2020-02-01", [1]),
        ("n > 1.5", [2]),
        ("odd name != x", [1]),
        ("n == 2", [2]),
    ):
        rule = row_filter([condition], schema, "t")
        assert table.filter(rule)["n"].to_pylist() == expected


def test_text_is_read_by_its_dialect_however_large(work, rows, monkeypatch):
    lines = [f"{a:.3f};{'?' if b != b else f'{b:.3f}'}".replace(".", ",") for a, b in rows]
    Path("comma.csv").write_text("\n".join(["width;height", *lines]) + "\n")
    Path("bare.csv").write_text("\n".join(lines).replace(",", ".").replace(";", ",") + "\n")
    with gzip.open("zipped.csv.gz", "wt") as stream:
        stream.write(Path("comma.csv").read_text())
    expected = np.round(rows, 3)
    for file in ("comma.csv", "bare.csv", "zipped.csv.gz"):
        held = inputs.opened(file)
        with monkeypatch.context() as patch:
            patch.setattr(inputs, "HELD", 0)
            far = inputs.opened(file)
        assert (held.stored is None, far.stored is None) == (True, False)
        assert held.head.notes == far.head.notes
        for read in (held, far):
            np.testing.assert_array_equal(read.table().rows, expected)
            assert read.table().missing == (0, 8)


# ---- what cannot be read


def files_left(work):
    """All files beneath the working folder, temporary ones too."""
    return sorted(str(path.relative_to(work)) for path in work.rglob("*"))


def cut(path, share=0.6):
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: int(share * len(data))])


@pytest.mark.parametrize("name", ["parts/2.parquet", "t.feather", "t.csv", "far.csv.gz", "t.npy"])
def test_a_file_cut_short_is_named_and_nothing_is_left(run, work, monkeypatch, name):
    monkeypatch.setattr(inputs, "HELD", 0)
    monkeypatch.setattr(cache, "IN_MEMORY", 100)
    if name.endswith("gz"):
        Path(name).write_bytes(gzip.compress(Path("t.csv").read_bytes()))
    cut(name)
    if name == "t.csv":
        Path(name).write_text(Path(name).read_text().rsplit(",", 2)[0])
    (work / "cache").mkdir()
    before = files_left(work)
    asked = "parts" if name.startswith("parts") else name
    code, out, err = run("fit", asked, *FIT[2:], "--cache", "cache")
    assert (code, out) == (1, "")
    assert name in err
    assert err.count("\n") == 1
    assert files_left(work) == before


def test_a_cell_below_that_is_no_number_is_named(run, work, monkeypatch):
    monkeypatch.setattr(inputs, "HELD", 0)
    monkeypatch.setattr("mixtura.reading.delimited._BLOCK", 4096)
    lines = Path("t.csv").read_text().splitlines()
    lines[300] = '"n299",broken,"b",3,2002'
    Path("t.csv").write_text("\n".join(lines) + "\n")
    code, _, err = run("fit", "t.csv", *FIT)
    assert code == 1
    assert "column \"width\" holds 'broken' in row 301" in err
    assert run("fit", "t.csv", "--columns", "height", *FIT[2:])[0] == 0


def test_files_that_do_not_go_together_are_refused(run, work):
    Path("parts/notes.txt").write_text("read me")
    assert "say which by a pattern" in run("fit", "parts", *FIT)[2]
    os.remove("parts/notes.txt")
    pyarrow.parquet.write_table(pa.table({"width": [1.0]}), "parts/9.parquet")
    assert "parts/9.parquet lacks the columns ['height']" in run("fit", "parts", *FIT)[2]
    assert "there is no such file" in run("fit", "nothing/*.csv", *FIT)[2]


def test_a_disk_that_is_full_or_a_quota_leaves_nothing(run, work, monkeypatch):
    monkeypatch.setattr(cache, "IN_MEMORY", 100)
    before = files_left(work)
    with monkeypatch.context() as patch:
        usage = shutil.disk_usage(work)._replace(free=10)
        patch.setattr(shutil, "disk_usage", lambda place: usage)
        code, _, err = run("fit", "parts", *FIT)
        assert code == 1
        assert "do not fit into" in err
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        quota = run("fit", "parts", *FIT)
        full = run("assign", "held/model.mixtura", "parts", "-o", "labels.csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert quota[0] == full[0] == 1
    assert "do not fit into" in quota[2]
    assert os.strerror(errno.EFBIG) in full[2]
    assert files_left(work) == before


# ---- interrupted


HARD = ("fit", "parts", "--columns", "width,height", "-k", "3", "--covariance", "diag")
HARD = (*HARD, "--no-figures", "-q", "--checkpoint", "fit.checkpoint", "-o", "out")


def test_a_fit_goes_on_from_its_checkpoint_to_the_same_bits(run, work, monkeypatch):
    plain = run(*HARD[:-4], "-o", "plain")
    assert plain[0] == 0
    write, writes = Checkpoint._write, [0]

    def struck(self, kept):
        write(self, kept)
        writes[0] += 1
        if writes[0] in (3, 6):
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "_write", struck)
    code, out, err = run(*HARD)
    assert (code, out) == (130, "")
    assert "fit.checkpoint keeps the fit" in err
    assert err.splitlines()[-1] == "mixtura " + " ".join(HARD)
    assert not Path("out").exists()
    assert run(*HARD)[0] == 130
    assert run(*HARD)[0] == 0
    assert Path("out/model.mixtura").read_bytes() == Path("plain/model.mixtura").read_bytes()
    monkeypatch.undo()
    assert run(*HARD, "--seed", "1")[0] == 1


def test_a_checkpoint_is_for_one_model(run, work):
    code, _, err = run("fit", "t.csv", "-k", "1:3", "--checkpoint", "x")
    assert code == 2
    assert "the fit of one model" in err
    assert not Path("x").exists()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks at what is mapped")
def test_an_interrupted_grid_ends_soon_and_leaves_nothing(work):
    """In a process of its own: threads are at work, on rows in a file."""
    rng = np.random.default_rng(0)
    np.save("large.npy", rng.normal(size=(400_000, 4)).astype(np.float32))
    os.mkdir("cache")
    before = files_left(work)
    command = [sys.executable, "-m", "mixtura", "fit", "large.npy", "-k", "4:9", "--cache", "cache"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        maps = Path(f"/proc/{process.pid}/maps")
        while process.poll() is None and "large.npy" not in maps.read_text():
            time.sleep(0.1)
        time.sleep(1.0)  # into the fits
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.startswith("mixtura: interrupted")
    assert files_left(work) == before


# ---- how long it takes, and where else it could be done


def state(steps, remaining):
    mixture = Mixture([1.0], [[0.0]], [[1.0]], covariance_type="diag")
    return State(mixture, (0.0,), steps, remaining, Stride(), 0.0)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_time_left_is_that_of_a_geometric_series():
    """Each step takes 2 s and halves the gain: from 2^-12 to 2^-20 there are 8 steps."""
    clock = Clock()
    pace = Pace(1000, [3], Stop(tol=2.0**-20), clock)
    for steps in range(4, 13, 2):
        clock.now = 2.0 * steps
        pace.tell(3, "full", state(steps, 2.0**-steps))
    word, left = pace.left()
    assert (word, left) == ("about", pytest.approx(16.0))
    assert pace.text() == "step 12, gain 2e-04, 500 rows/s, about 16 s left"
    clock.now += 999.0  # what comes after the fit does not count
    assert pace.seconds == pytest.approx(2.0)
    pace.tell(3, "full", state(2, 2.0**-3))  # a second climb knows nothing of the first
    assert pace.left()[0] == "at most"


def test_time_left_is_bounded_where_gains_do_not_shrink():
    clock = Clock()
    pace = Pace(1000, [3], Stop(max_iter=100), clock)
    for steps in (2, 4, 6):
        clock.now = float(steps)
        pace.tell(3, "full", state(steps, np.inf))
    assert pace.left() == ("at most", pytest.approx(94.0))
    assert "gain" not in pace.text()


def test_time_left_of_many_models_is_by_their_components():
    clock = Clock()
    pace = Pace(1000, [1, 2, 3, 4], clock=clock)
    assert pace.text() == "0 of 4 models"
    clock.now = 30.0
    for k in (1, 2):
        pace.tell(k, "full", None)
    assert pace.left() == ("about", pytest.approx(70.0))  # 3 tenths took 30 s
    assert pace.text() == "2 of 4 models, about 70 s left"


def test_steps_of_many_models_count_from_the_first():
    """Models that are over with a round or two are most of what a grid does."""
    clock = Clock()
    pace = Pace(1000, [1, 2, 3], clock=clock)
    for k in (1, 2, 3):
        clock.now += 5.0
        pace.tell(k, "full", state(10, 1e-9))
    assert pace.seconds == pytest.approx(0.5)
    assert pace.text() == "0 of 3 models, 2.0 k rows/s"


def test_large_fits_are_told_the_way_to_a_cluster(run, work, monkeypatch):
    monkeypatch.setattr(cli_next, "MANY", N)
    *_, err = run("fit", "parts/*.parquet", *FIT[:-1], "--noise", "-o", "out")
    lines = [line.strip() for line in err.splitlines()]
    place = next(i for i, line in enumerate(lines) if "on many machines" in line)
    code = "\n".join(lines[place + 1 : place + 4])
    ast.parse(code)
    assert "dd.read_parquet('parts/*.parquet')[['width', 'height']]" in code
    assert "GaussianMixture(2, covariance_type='full', noise=True, random_state=0)" in code


def test_figures_of_many_rows_show_some(run, work, monkeypatch):
    pytest.importorskip("matplotlib")
    seen = []
    monkeypatch.setattr(cli_fit, "FIGURE_ROWS", 50)
    monkeypatch.setattr(
        "mixtura.plot.save_figures", lambda *given, **more: seen.append(given[1]) or []
    )
    *_, err = run("fit", "parts", *FIT[:4], "--covariance", "full")
    assert "of 50 rows at random" in err
    assert (len(seen[0].rows), seen[0].total) == (50, N)


@pytest.mark.slow
def test_memory_of_a_command_does_not_grow_with_the_rows(tmp_path, monkeypatch):
    """Labelling 1.5 million rows takes no more than 40 MB beyond labelling a tenth of them."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    columns = {f"x{i + 1}": rng.normal(size=1_500_000) for i in range(4)}
    pyarrow.parquet.write_table(pa.table(columns), "all.parquet")
    pyarrow.parquet.write_table(pa.table(columns).slice(0, 150_000), "some.parquet")
    save(Mixture([0.5, 0.5], np.eye(2, 4), [np.eye(4)] * 2), "m.mixtura")
    script = (
        "import resource, sys; from mixtura import cli; from mixtura.io import inputs\n"
        "inputs.HELD = 0\n"
        "try: cli.main(sys.argv[1:])\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    peaks = []
    for file in ("some.parquet", "all.parquet"):
        asked = ("assign", "m.mixtura", file, "-q", "-o", "labels.parquet")
        command = [sys.executable, "-c", script, *asked]
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + 40
