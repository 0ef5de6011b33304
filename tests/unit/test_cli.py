"""The command line as a user meets it: exit codes, what goes where, and what is said."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("pyarrow")

import pyarrow as pa
import pyarrow.parquet as pq

from mixtura import GaussianMixture, cli, report
from mixtura.fit.criteria import CRITERIA
from mixtura.io.model_file import load, load_metadata, save
from mixtura.io.tables import read_raw
from mixtura.mixture import Mixture

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
COMMANDS = ("fit", "assign", "score", "sample", "show", "impute")


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty folder with a small table: two groups, a gap, an identifier, a text."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    group = rng.integers(2, size=60)
    width, height = rng.normal([0, 50], [1, 2], (60, 2)).T + np.outer([9, 30], group)
    lines = ["name,width,kind,height"]
    for i in range(60):
        cell = "" if i == 4 else f"{height[i]:.4f}"
        lines.append(f"n{i},{width[i]:.4f},{'ab'[group[i]]},{cell}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    mixture = Mixture(
        [0.4, 0.6],
        [[0.0, 50.0], [9.0, 80.0]],
        [[1.0, 4.0], [1.0, 4.0]],
        covariance_type="diag",
        feature_names=["width", "height"],
    )
    save(mixture, tmp_path / "m.mixtura")
    return tmp_path


@pytest.fixture
def run(work, capsys):
    """Run a command in this process: (exit code, standard output, standard error)."""

    def run(*arguments):
        try:
            cli.main(arguments)
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    before = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, before)


def python(*arguments, **options):
    """Run Python in a process of its own, with this mixtura whatever the working folder."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=ENVIRONMENT, **options
    )


FIT = ("fit", "t.csv", "--id", "name", "-k", "1:3", "--covariance", "diag,tied", "--no-figures")


@pytest.mark.parametrize("arguments", [("--help",), ("fit", "--help"), ("show", "-h")])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys; from mixtura import cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = 'numpy scipy sklearn numba pyarrow matplotlib pandas narwhals'.split()\n"
        "assert not [name for name in heavy if name in sys.modules]"
    )
    done = python("-c", code, *arguments)
    assert done.returncode == 0, done.stderr
    assert "Usage: mixtura" in done.stdout


def test_overview_names_every_command_within_80_columns(run):
    code, out, _ = run("--help")
    assert code == 0
    assert all(f"\n  {name} " in out for name in COMMANDS)
    assert max(map(len, out.splitlines())) <= 80


def test_version(run):
    assert run("--version")[1].startswith("mixtura ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Usage: mixtura COMMAND"),
        (("fti", "t.csv"), "did you mean 'mixtura fit'"),
        (("fit",), "Missing argument 'FILE'"),
        (("fit", "t.csv", "-k", "three"), "say 3, 1:9 or 2,4,6"),
        (("fit", "t.csv", "-k", "0:3"), "say 3, 1:9 or 2,4,6"),
        (("fit", "t.csv", "-k", "3:1"), "say 3, 1:9 or 2,4,6"),
        (("fit", "t.csv", "--covariance", "round"), "'round' is none of all, full"),
        (("fit", "t.csv", "--covariance", "factor"), 'write "factor:3"'),
        (("fit", "t.csv", "--dof", "4"), "add --distribution t"),
        (("fit", "t.csv", "--distribution", "t", "--dof", "few"), 'use "common", "own" or'),
        (("fit", "t.csv", "--trim", "1.5"), "at least 0, below 1"),
        (("fit", "t.csv", "--max-ratio", "0.5"), "a number of at least 1"),
        (("fit", "t.csv", "--prior", "flat"), "--prior"),
        (("fit", "t.csv", "--criterion", "best"), "--criterion"),
        (("fit", "t.csv", "--json", "--output", "-"), "both want standard output"),
        (("fit", "t.csv", "--seed", "-1"), "--seed"),
        (("sample", "m.mixtura"), "-n"),
        (("sample", "m.mixtura", "-n", "1", "--seed", "-1"), "--seed"),
        (("show", "m.mixtura", "--loud"), "--loud"),
    ],
)
def test_wrong_usage_exits_with_2(run, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit", "none.csv"), "there is no file none.csv"),
        (("fit", "t.csv", "--columns", "widht"), 'did you mean "width"'),
        (("fit", "t.csv", "--columns", "kind"), '"kind" is not numeric'),
        (("fit", "t.csv", "--output", "t.csv"), "t.csv is a file: name a folder with --output"),
        (("fit", "t.csv", "--output", "t.csv/in"), "t.csv is a file: name a folder with"),
        (("show", "none.mixtura"), "there is no model file"),
        (("show", "t.csv"), "not a model file"),
        (("sample", "m.mixtura", "-n", "1", "--component", "2"), "the model has 0 to 1"),
        (("sample", "m.mixtura", "-n", "1", "-o", "x.xls"), "use one of .csv"),
        (("sample", "m.mixtura", "-n", "1", "-o", "no/x.csv"), "cannot write no/x.csv"),
    ],
)
def test_problem_exits_with_1_and_one_line(run, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("mixtura: ")
    assert err.count("\n") == 1
    assert message in err


def test_own_error_shows_no_traceback_unless_asked(run, monkeypatch):
    monkeypatch.setattr("mixtura.io.model_file.load", lambda _: 1 / 0)
    code, _, err = run("show", "m.mixtura")
    assert code == 1
    assert "ZeroDivisionError" in err
    assert "Traceback" not in err
    monkeypatch.setenv("MIXTURA_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run("show", "m.mixtura")


def test_fit_tells_the_story_on_standard_error(run, work):
    code, out, err = run(*FIT)
    assert (code, out) == (0, "")
    for told in (
        "t.csv: 60 rows of 2 columns (width, height)",
        "1 of 120 cells is missing (height 1): used as missing",
        "left out: kind (text, ",
        "2 components with",
        "ΔBIC",
        "±",
        "mean largest responsibility",
        "below 0.8",
        "mixtura assign t-mixture/model.mixtura t.csv",
        "mixtura impute t-mixture/model.mixtura t.csv > filled.csv",
    ):
        assert told in err
    assert max(map(len, err.splitlines())) <= 80
    assert "\x1b" not in err
    assert sorted(os.listdir(work / "t-mixture")) == ["assignments.csv", "model.mixtura"]


def test_one_model_has_one_line_whatever_its_names(run, work):
    """With one component all families are three models."""
    _, out, err = run("fit", "t.csv", "-k", "1", "--no-figures", "--output", "out")
    lines = err[err.index("ΔBIC") :].split("\n\n")[0].splitlines()[1:]
    assert (out, sorted(line.split()[2] for line in lines)) == ("", ["3", "4", "5"])
    told = load_metadata("out/model.mixtura")["candidates"]
    assert len(told) == 14
    assert sum(one["same_as"] is None for one in told) == 3


def test_long_names_leave_the_numbers_whole():
    names = [f"a long name of a column, number {i} (mg per day)" for i in range(2)]
    one = {"weight": 0.1, "size": 3, "sd": dict.fromkeys(names, 0.5)}
    facts = [one | {"label": k, "mean": dict.fromkeys(names, -10.0 - k)} for k in range(9)]
    console = report.Console(file=io.StringIO(), width=80)
    _, body = report.components(facts, width=80)
    console.print(body)
    text = console.file.getvalue()
    assert all(text.count(f"{-10.0 - k:.2f} ± 0.50") == 2 for k in range(9))
    assert "…" not in text
    assert text.count("number 1 (mg") == text.count("label") == text.count("\n\n") + 1


def test_columns_left_out_are_told_in_a_few_lines():
    skipped = [{"column": f"c{i}", "reason": "dates or times"} for i in range(9)]
    facts = {"file": "t.csv", "rows": 2, "columns": ["a"], "missing": {}, "notes": []}
    _, body = report.data(facts | {"skipped": skipped})
    told = [str(line) for line in body.renderables]
    assert told[1] == "left out: c0 (dates or times)"
    assert told[7:] == ["left out, 3 more: c6, c7, c8"]


def test_commands_to_copy_are_never_broken(run):
    folder = "a folder with a name that is longer than would fit beside a margin, by far"
    _, _, err = run(*FIT, "--output", folder)
    assert f"mixtura assign '{folder}/model.mixtura' t.csv\n" in err


def test_fit_writes_model_and_assignments(run, work):
    assert run(*FIT, "--quiet", "--output", "deep/out")[1:] == ("", "")
    mixture = load("deep/out/model.mixtura")
    assert mixture.feature_names == ("width", "height")
    told = load_metadata("deep/out/model.mixtura")
    assert told["choice"]["components"] == mixture.n_components == 2
    assert len(told["candidates"]) == 6
    table = read_raw("deep/out/assignments.csv").arrow
    assert table.column_names == [
        *("name", "label", "responsibility_0", "responsibility_1", "uncertainty", "log_density"),
    ]
    assert table["name"].to_pylist() == [f"n{i}" for i in range(60)]
    shares = np.column_stack([table["responsibility_0"], table["responsibility_1"]])
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(shares.argmax(axis=1), table["label"].to_numpy())


@pytest.fixture
def scattered(work):
    """Two groups of 60, and 20 rows far from both, the last."""
    rng = np.random.default_rng(0)
    groups = [rng.normal(m, 1, (60, 2)) for m in (0, 9)]
    rows = np.concatenate([*groups, rng.uniform(-40, 40, (20, 2))])
    (work / "s.csv").write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in rows))
    return rows


FIT_SCATTERED = ("fit", "s.csv", "-k", "2", "--covariance", "full", "--no-figures", "-o", "out")


def test_noise_has_its_column_and_label(run, scattered):
    model = GaussianMixture(2, noise=True, random_state=0).fit(scattered)
    code, _, err = run(*FIT_SCATTERED, "--noise")
    lone = int((model.predict(scattered) == -1).sum())
    assert code == 0
    assert f"noise is {100 * model.noise_share_:.1f} % of the mixture" in err
    assert f"{lone} rows are most probably noise: label -1" in err
    table = read_raw("out/assignments.csv").arrow
    assert (table["label"].to_numpy() == -1).sum() == lone
    parts = ("responsibility_0", "responsibility_1", "responsibility_noise")
    np.testing.assert_allclose(sum(table[one].to_numpy() for one in parts), 1.0, atol=1e-12)
    mixture = load("out/model.mixtura")
    np.testing.assert_array_equal(table["label"].to_numpy(), mixture.predict(scattered))
    told = json.loads(run("assign", "out/model.mixtura", "s.csv", "--json")[1])
    assert told["noise_rows"] == lone
    assert sum(told["sizes"]) + lone == 140
    _, out, _ = run("show", "out/model.mixtura")
    assert f"{lone} rows are most probably noise" in " ".join(out.split())
    told = json.loads(run("score", "out/model.mixtura", "s.csv", "--json")[1])
    assert told["bic"] == pytest.approx(mixture_bic(model, scattered), rel=1e-9)
    drawn = run("sample", "out/model.mixtura", "-n", "200", "--labels", "--seed", "0")[1]
    assert any(line.endswith(",-1") for line in drawn.splitlines())


def mixture_bic(model, rows):
    p = 2 * 2 + 2 * 3 + 1 + 2  # means, covariances, a weight; share and volume of the noise
    return -2 * model.score_samples(rows).sum() + p * np.log(len(rows))


def test_trimmed_rows_stay_trimmed_with_the_model(run, scattered):
    code, _, err = run(*FIT_SCATTERED, "--trim", "0.15", "--max-ratio", "50")
    assert code == 0
    assert "15 % of the rows, those of least density, are left out of the fit" in err
    assert "21 rows are trimmed: label -1" in err
    model = GaussianMixture(2, trim=0.15, max_ratio=50, random_state=0).fit(scattered)
    labels = read_raw("out/assignments.csv").arrow["label"].to_numpy()
    np.testing.assert_array_equal(labels == -1, model.predict(scattered) == -1)
    run("assign", "out/model.mixtura", "s.csv", "-o", "again.csv")
    np.testing.assert_array_equal(read_raw("again.csv").arrow["label"].to_numpy(), labels)
    told = json.loads(run("score", "out/model.mixtura", "s.csv", "--json")[1])
    assert (told["rows"], told["trimmed_rows"]) == (119, 21)
    assert told["bic"] == pytest.approx(model.bic(scattered), rel=1e-6)
    model.save("python.mixtura")
    told = json.loads(run("assign", "python.mixtura", "s.csv", "--json")[1])
    assert told["trimmed_rows"] == 21


def test_students_t_is_told_with_its_scale(run, scattered):
    how = ("--distribution", "t", "--dof", "3", "--prior", "fraley-raftery", "--json")
    told = json.loads(run(*FIT_SCATTERED, *how)[1])
    assert (told["outliers"]["dof"], told["outliers"]["dof_tie"]) == ([3.0, 3.0], "fixed")
    assert told["asked"] == {"distribution": "t", "dof": 3.0, "prior": "fraley-raftery"}
    one = told["components"][0]
    assert one["sd"]["a"] == pytest.approx(one["scale"]["a"] * np.sqrt(3))
    _, out, _ = run("show", "out/model.mixtura")
    assert "Student's t with 3 degrees of freedom, held" in out


def test_criteria_and_families_are_those_of_select(run, scattered):
    assert [one.value for one in cli.Criterion] == list(CRITERIA)
    assert list(report.CRITERIA) == list(CRITERIA)
    _, out, _ = run(*FIT_SCATTERED, "--covariance", "factor:1,ppca:1", "--json", "-k", "1")
    told = json.loads(out)
    assert {one["covariance"] for one in told["candidates"]} == {"factor:1", "ppca:1"}


@pytest.mark.parametrize("more", [(), ("-k", "1:3", "--max-iter", "2"), ("--tol", "1e-3")])
def test_warnings_advise_what_the_command_line_has(run, work, more):
    rng = np.random.default_rng(0)
    rows = np.r_[rng.normal(size=(60, 2)), np.tile([3.0, 3.0], (12, 1))]
    for name, table in (("flat", np.c_[rows, np.ones(72)]), ("spike", rows)):
        header = ",".join("abc"[: table.shape[1]])
        np.savetxt(f"{name}.csv", table, delimiter=",", header=header, comments="")
        how = ("-k", "2", "--covariance", "full", "--no-figures", *more)
        _, _, err = run("fit", f"{name}.csv", *how)
        said = " ".join(err[err.index("Warnings") : err.index("Written")].split())
        assert not re.search(r"(?<!-)\b(reg_covar|max_iter|tol|n_init|prior)\b", said)
        told = set(re.findall(r"--[a-z-]+", said))
        assert told
        assert all(option in run("fit", "--help")[1] for option in told)


def test_figures_of_an_earlier_model_go_and_that_is_said(run, work):
    pytest.importorskip("matplotlib")
    how = ("fit", "t.csv", "--covariance", "diag", "-o", "out")
    run(*how, "-k", "2")
    assert Path("out/figures/uncertainty.png").exists()
    _, _, err = run(*how, "-k", "1")
    assert "removed, of an earlier model: uncertainty" in " ".join(err.split())
    assert not Path("out/figures/uncertainty.png").exists()


def test_fit_is_the_same_for_the_same_seed(run, work):
    for name in ("a", "b"):
        run(*FIT, "--quiet", "--output", name)
    for file in ("model.mixtura", "assignments.csv"):
        assert (work / "a" / file).read_bytes() == (work / "b" / file).read_bytes()


def test_json_is_one_object_and_all_there_is(run):
    code, out, err = run(*FIT, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["data"]["rows"] == 60
    assert told["data"]["missing"] == {"width": 0, "height": 1}
    assert told["choice"]["components"] == 2
    assert told["candidates"][0]["behind"] == 0
    assert sum(one["size"] for one in told["components"]) == 60
    assert told["certainty"]["threshold"] == 0.8
    assert told["written"] == ["t-mixture/model.mixtura", "t-mixture/assignments.csv"]


def test_fit_to_standard_output_writes_no_file(run, work):
    before = sorted(os.listdir(work))
    code, out, _ = run(*FIT, "--output", "-")
    assert code == 0
    assert out.startswith("name,label,")
    assert len(out.splitlines()) == 61
    assert sorted(os.listdir(work)) == before


def test_fit_warns_once_of_each_thing(run, monkeypatch, work):
    (work / "c.csv").write_text("a,c\n" + "".join(f"{i * i % 17},5\n" for i in range(40)))
    code, _, err = run("fit", "c.csv", "-k", "1:2", "--no-figures")
    assert code == 0
    assert err.count('column "c" is constant') == 1


def test_fit_without_matplotlib_says_what_to_install(run, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("mixtura.plot")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = run(*FIT[:-1])
    assert code == 0
    assert 'pip install "mixtura[plot]"' in " ".join(err.split())


@pytest.mark.parametrize("package", ["typer", "rich", "pyarrow"])
def test_missing_package_names_the_extra(work, package):
    code = (
        f"import sys; sys.modules['{package}'] = None; sys.argv = ['mixtura', 'fit', 't.csv']\n"
        "from mixtura.__main__ import main; main()"
    )
    done = python("-c", code)
    assert done.returncode == 1
    assert f"'{package}'" in done.stderr
    assert 'pip install "mixtura[' in done.stderr
    assert done.stderr.count("\n") == 1


def test_assign_matches_columns_by_name(run, work):
    (work / "new.csv").write_text("height,width\n50,0\n80,9\n,9\n")
    code, out, err = run("assign", "m.mixtura", "new.csv")
    assert code == 0
    head, *lines = out.splitlines()
    assert head == "row,label,responsibility_0,responsibility_1,uncertainty,log_density"
    assert [line.split(",")[:2] for line in lines] == [["0", "0"], ["1", "1"], ["2", "1"]]
    assert "3 rows assigned (1 to 0, 2 to 1)" in err
    mixture = load("m.mixtura")
    expected = mixture.logpdf([[0, 50], [9, 80], [9, np.nan]])
    found = [float(line.split(",")[-1]) for line in lines]
    np.testing.assert_array_equal(found, expected)


def test_absent_column_only_when_allowed(run, work):
    (work / "new.csv").write_text("width\n0\n9\n")
    code, out, err = run("assign", "m.mixtura", "new.csv")
    assert (code, out) == (1, "")
    assert 'needs a column "height"' in err
    code, out, err = run("assign", "m.mixtura", "new.csv", "--allow-missing-columns")
    assert code == 0
    assert 'no values in "height"' in err


def test_assign_to_a_file_and_as_json(run, work):
    code, out, _ = run("assign", "m.mixtura", "t.csv", "--id", "name", "-o", "a.parquet", "--json")
    assert code == 0
    assert json.loads(out)["written"] == ["a.parquet"]
    assert read_raw("a.parquet").arrow["name"][0].as_py() == "n0"
    told = json.loads(run("assign", "m.mixtura", "t.csv", "--json")[1])
    assert len(told["table"]["label"]) == 60


def test_score(run):
    told = json.loads(run("score", "m.mixtura", "t.csv", "--id", "name", "--json")[1])
    rows = np.column_stack([read_raw("t.csv").arrow[c].to_numpy() for c in ("width", "height")])
    expected = load("m.mixtura").logpdf(rows)
    assert told["log_likelihood"] == pytest.approx(expected.sum(), rel=1e-14)
    assert told["n_parameters"] == 9  # 4 variances, 4 means, 1 weight
    assert told["bic"] == pytest.approx(-2 * expected.sum() + 9 * np.log(60), rel=1e-14)
    assert told["least_likely"][0]["row"] == f"n{expected.argmin()}"
    _, out, err = run("score", "m.mixtura", "t.csv")
    assert "log-likelihood" in out
    assert err == ""


def test_sample(run):
    code, out, err = run("sample", "m.mixtura", "-n", "5", "--seed", "1", "--labels")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "width,height,label"
    assert len(out.splitlines()) == 6
    assert run("sample", "m.mixtura", "-n", "5", "--seed", "1", "--labels")[1] == out
    _, out, _ = run("sample", "m.mixtura", "-n", "200", "--component", "1")
    widths = [float(line.split(",")[0]) for line in out.splitlines()[1:]]
    assert np.mean(widths) == pytest.approx(9, abs=0.5)  # 7 standard errors


def test_show(run):
    code, out, err = run("show", "m.mixtura")
    assert (code, err) == (0, "")
    assert "2 components in 2 dimensions, diag covariance, 9 parameters" in " ".join(out.split())
    run(*FIT, "--quiet")
    _, out, _ = run("show", "t-mixture/model.mixtura")
    assert "ΔBIC" in out
    assert "t.csv: 60 rows" in out
    told = json.loads(run("show", "m.mixtura", "--json")[1])
    np.testing.assert_array_equal(told["means"], load("m.mixtura").means)


@pytest.mark.parametrize(
    "told", [{"data": 1}, {"data": {}, "choice": []}, {"components": [{"size": "x"}, 2]}]
)
def test_show_survives_odd_metadata(run, told):
    save(load("m.mixtura"), "odd.mixtura", told)
    code, out, _ = run("show", "odd.mixtura")
    assert code == 0
    assert "weight" in out


def test_impute_fills_gaps_and_keeps_the_rest(run, work):
    (work / "gaps.csv").write_text("kind,height,n,width\na,50,1,\nb,,2,9\nNA,80,3,9\n")
    code, out, err = run("impute", "m.mixtura", "gaps.csv")
    assert code == 0
    filled = load("m.mixtura").impute([[np.nan, 50], [9, np.nan]])
    lines = out.splitlines()
    assert lines[0] == "kind,height,n,width"
    assert lines[1].startswith("a,50,1,")
    assert float(lines[1].split(",")[3]) == filled[0, 0]
    assert float(lines[2].split(",")[1]) == filled[1, 1]
    assert lines[3] == "NA,80,3,9"
    assert "2 cells filled" in err


def test_cells_of_any_kind_go_through(run, work):
    """Dates, decimals, bytes and lists beside the numbers, as names of rows or carried along."""
    kinds = {
        "when": [date(2024, 1, day) for day in (1, 2, 3)],
        "price": [Decimal("1.50"), Decimal("2.25"), None],
        "raw": [b"x", b"y", b"z"],
        "took": [timedelta(hours=1)] * 3,
    }
    numbers = {"width": [0.0, 9.0, None], "height": [50.0, 80.0, 80.0]}
    pq.write_table(pa.table(numbers | kinds), "k.parquet")
    for name, first in (("when", "2024-01-01"), ("price", "1.50"), ("raw", "x")):
        told = json.loads(run("assign", "m.mixtura", "k.parquet", "--id", name, "--json")[1])
        assert told["table"][name][0] == first
        told = json.loads(run("score", "m.mixtura", "k.parquet", "--id", name, "--json")[1])
        assert first in {one["row"] for one in told["least_likely"]}
    assert run("impute", "m.mixtura", "k.parquet")[1].startswith("width,height,when,")
    pq.write_table(pa.table(numbers | {"list": [[1], [2, 3], []]}), "l.parquet")
    code, out, err = run("impute", "m.mixtura", "l.parquet")
    assert (code, out) == (1, "")
    assert '"list" of type list<' in err and "write Parquet or Arrow" in err
    assert run("impute", "m.mixtura", "l.parquet", "-o", "f.parquet")[0] == 0
    assert pq.read_table("f.parquet")["list"].to_pylist() == [[1], [2, 3], []]


def test_standard_input_and_output_in_a_pipe(work):
    drawn = python("-m", "mixtura", "sample", "m.mixtura", "-n", "20", "--seed", "0")
    done = python("-m", "mixtura", "assign", "m.mixtura", "-", "-q", input=drawn.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 21


def test_reader_that_stops_early_is_no_error(work):
    command = f"{sys.executable} -m mixtura sample m.mixtura -n 200000 | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.stdout, done.stderr) == ("width,height\n", "")


@pytest.mark.parametrize("arguments", ["--help", "--version"])
def test_reader_that_is_gone_is_no_error(work, arguments):
    command = f"{sys.executable} -m mixtura {arguments} | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.stdout, done.stderr) == ("", "")


def test_interrupt_exits_with_130_and_leaves_no_file(work):
    before = sorted(os.listdir(work))
    arguments = [sys.executable, "-m", "mixtura", "fit", "-", "-o", "out"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        arguments, stdin=pipe, stderr=pipe, text=True, env=ENVIRONMENT
    ) as process:
        process.stdin.write("a,b\n" + "1,2\n" * 100_000)  # more than a pipe holds: it is reading
        while process.poll() is None:  # a signal between two system calls waits for the next
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=2)
        err = process.stderr.read()
    assert process.returncode == 130
    assert err.startswith("mixtura: interrupted")
    assert sorted(os.listdir(work)) == before
