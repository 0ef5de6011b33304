"""Rows of a PostgreSQL database, through DuckDB: skipped where a server or the extension lacks."""

import os
import pwd
import shutil
import subprocess
import tempfile
from glob import glob
from pathlib import Path

import numpy as np
import pytest

from mixtura import GaussianMixture, InputError, InputTypeError, MixtureOutlierDetector, scan
from mixtura.cli import main
from mixtura.reading.sql import of_relation

duckdb = pytest.importorskip("duckdb")
pytestmark = pytest.mark.engines

PORT = 5471
ROWS = 150_000


def extension():
    """A statement that loads the extension."""
    try:
        import duckdb_ext  # a package that brings extensions along

        places = [*duckdb_ext.__path__]
    except ImportError:
        places = []
    found = [one for at in places for one in glob(f"{at}/**/postgres_scanner.*", recursive=True)]
    for load in (*(f"LOAD '{one}'" for one in found), "LOAD postgres"):
        try:
            duckdb.connect().execute(load)
        except duckdb.Error:
            continue
        return load
    pytest.skip("DuckDB's extension for PostgreSQL is not installed: INSTALL postgres")


class Server:
    """A server of its own, which listens on a socket in its folder alone."""

    def __init__(self, programs):
        self.programs, self.folder = programs, Path(tempfile.mkdtemp(prefix="pg"))
        self.user = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            self.user = {"user": "postgres"}
            os.chown(self.folder, pwd.getpwnam("postgres").pw_uid, -1)
        self.named = f"host={self.folder} port={PORT} user=owner dbname=postgres"
        self.run("initdb", "-A", "trust", "-U", "owner", "--no-sync")

    def run(self, program, *arguments):
        command = [f"{self.programs}/{program}", "-D", f"{self.folder}/data", *arguments]
        with open(os.devnull, "wb") as nowhere:
            subprocess.run(
                command, check=True, stdout=nowhere, stderr=nowhere, cwd=self.folder, **self.user
            )

    def start(self):
        options = f"-c listen_addresses= -c fsync=off -k {self.folder} -p {PORT}"
        self.run("pg_ctl", "-w", "-o", options, "-l", f"{self.folder}/log", "start")

    def stop(self):
        self.run("pg_ctl", "-m", "immediate", "stop")


@pytest.fixture(scope="module")
def load():
    return extension()


@pytest.fixture(scope="module")
def server(load):
    found = shutil.which("initdb") or max(glob("/usr/lib/postgresql/*/bin/initdb"), default=None)
    if found is None:
        pytest.skip("there is no PostgreSQL server here: initdb is not found")
    if os.geteuid() == 0 and "postgres" not in {one.pw_name for one in pwd.getpwall()}:
        pytest.skip("as root, PostgreSQL needs a user postgres to run as")
    server = Server(Path(found).parent)
    try:
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(server.folder, ignore_errors=True)


def attached(server, load):
    connection = duckdb.connect()
    connection.execute(load)
    connection.execute(f"ATTACH '{server.named}' AS pg (TYPE postgres)")
    return connection


@pytest.fixture(scope="module")
def connection(server, load):
    made = attached(server, load)
    made.execute(
        "create table pg.public.rows (id integer, x double, y decimal(12, 4), flag boolean, "
        "small real, w integer, kind text, since timestamp)"
    )
    made.execute(
        "insert into pg.public.rows select i, case when i % 10 = 3 then null else sin(i) end, "
        "round(cos(i * i) + 5 * (i % 2), 4), i % 2 = 0, sin(3 * i), 1 + i % 3, 'k' || i % 4, "
        f"timestamp '2024-01-01' from range({ROWS}) r(i)"
    )
    return made


COLUMNS = "x, y, flag, small"


@pytest.fixture(scope="module")
def parquet(connection, tmp_path_factory):
    """The same rows in the same order."""
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    connection.execute(f"copy (from pg.public.rows order by id) to '{path}' (format parquet)")
    return path


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_relation_of_an_attached_database_gives_the_fit_of_a_file(connection, parquet):
    ordered = connection.sql(f"select {COLUMNS}, w from pg.public.rows order by id")
    file = scan(parquet, columns=COLUMNS.split(", "), weights="w")
    rows = scan(ordered, weights="w")
    np.testing.assert_array_equal(rows.table.rows, file.table.rows)
    np.testing.assert_array_equal(rows.table.weights, file.table.weights)
    assert np.isnan(rows.table.rows).sum(axis=0).tolist() == [ROWS // 10, 0, 0, 0]
    ours, theirs = (GaussianMixture(2, random_state=0, max_iter=3).fit(one) for one in (rows, file))
    assert ours.mixture_ == theirs.mixture_
    assert ours.feature_names_in_.tolist() == COLUMNS.split(", ")


def test_columns_by_name_and_refusals(connection):
    table = connection.sql("from pg.public.rows limit 500")
    with pytest.raises(InputTypeError, match=r"columns \['kind', 'since'\] do not hold numbers"):
        GaussianMixture(2).fit(table)
    model = MixtureOutlierDetector(1).fit(scan(table, columns=["small", "y"]))
    turned = connection.sql("select y, kind, small from pg.public.rows order by id limit 500")
    assert model.predict(turned).shape == (500,)


def test_a_text_that_attaches_the_database(server, load, connection, parquet, tmp_path, capsys):
    attach = f"{load}; ATTACH '{server.named} password=hidden' AS other (TYPE postgres); "
    query = f"{attach}select id, {COLUMNS} from other.public.rows where id < 600 order by id"
    for _ in range(2):  # each time on a connection of its own
        rows = scan(query, columns=["x", "small"])
        assert rows.shape == (600, 2) and "hidden" not in rows.called
    out = tmp_path / "out"
    options = ["--id", "id", "-k", "2", "--covariance", "full", "--no-figures", "-o", str(out)]
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["fit", query, *options])
    told = "".join(capsys.readouterr())
    assert "600 rows of 4 columns" in " ".join(told.split()) and "hidden" not in told
    labels = np.genfromtxt(out / "assignments.csv", delimiter=",", names=True)
    assert labels["id"].tolist() == list(range(600))
    with pytest.raises(InputError, match=r"(?s)does not run the query.*password=….*ATTACH") as said:
        scan(query.replace("rows where", "nothing where")).table  # noqa: B018
    assert "hidden" not in str(said.value)


def test_a_server_that_is_gone_half_way(server, load, connection):
    """Never a smaller sum; and the same fit is there again once the server is."""
    mine = attached(server, load)
    rows = mine.sql("select x, y from pg.public.rows")
    found = of_relation(rows, "rows")
    batches = found.read(["x", "y"])
    assert next(batches).num_rows < ROWS
    server.stop()
    try:
        with pytest.raises(InputError, match=r"to its end, and nothing of it is kept: .*database"):
            list(batches)
        with pytest.raises(InputError, match="could not be read to its end"):
            GaussianMixture(2).fit(rows)
    finally:
        server.start()
    mine = attached(server, load)
    assert scan(mine.sql("from pg.public.rows"), columns=["x"]).shape == (ROWS, 1)
