"""Faults on the way: what was done before stays right, and nothing is left behind."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from mixtura import GaussianMixture, InputError, kernels, scan
from mixtura.block import cuts
from mixtura.fit.problem import Problem
from mixtura.reading import cache
from mixtura.source import RemoteSource
from strategies import later

N = 60_000  # several blocks


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, 3)) + 6.0 * (rng.random(N) < 0.4)[:, None]


@pytest.fixture
def on_disk(tmp_path, monkeypatch):
    """A folder that all decoded rows go to, however few."""
    monkeypatch.setattr(cache, "IN_MEMORY", 1000)
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def brief(**more):
    """Some steps with an end that all fits have in common."""
    return GaussianMixture(2, random_state=0, max_iter=3, tol=0, n_jobs=1, **more)


pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Blocks:
    """Blocks that can be read again; reading one of them may fail."""

    def __init__(self, rows, at=None, fault=None):
        self.parts, self.at, self.fault = np.array_split(rows, 6), at, fault

    def __iter__(self):
        for number, part in enumerate(self.parts):
            if number == self.at:
                raise self.fault
            yield part


@pytest.mark.parametrize("fault", [RuntimeError("gone"), OSError(5, "io"), KeyboardInterrupt()])
@pytest.mark.parametrize("at", [1, 4])
def test_a_block_that_cannot_be_read(rows, on_disk, fault, at):
    """The fault itself arrives, and the same scan is read when it is over."""
    blocks = Blocks(rows[:3000], at, fault)
    asked = scan(blocks, cache=on_disk)
    with pytest.raises(type(fault)):
        brief().fit(asked)
    assert not list(on_disk.iterdir())
    blocks.at = None
    assert brief().fit(asked).mixture_ == brief().fit(rows[:3000]).mixture_
    assert not list(on_disk.iterdir())


def test_a_batch_of_the_wrong_kind_amid_blocks(rows, on_disk):
    parts = np.array_split(rows[:3000], 3)
    for wrong, text in ((np.ones((2, 2)), "block 2"), (np.full((2, 3), np.inf), "block 2")):
        with pytest.raises(InputError, match=text):
            brief().fit(scan([*parts[:2], wrong], cache=on_disk))
        assert not list(on_disk.iterdir())


@pytest.mark.parametrize("step", [1, 3])
def test_an_interrupt_amid_a_fit_from_a_scan(rows, on_disk, step, monkeypatch):
    asked, at, steps = scan(Blocks(rows), cache=on_disk), Problem.at, []

    def interrupted(self, mixture, after=None):
        steps.append(mixture)
        if len(steps) == step:
            raise KeyboardInterrupt
        return at(self, mixture, after)

    with monkeypatch.context() as patch:
        patch.setattr(Problem, "at", interrupted)
        kernels.use("plain")
        with pytest.raises(KeyboardInterrupt):
            brief().fit(asked)
    assert not list(on_disk.iterdir())
    assert brief().fit(asked).mixture_ == brief().fit(rows).mixture_


def test_an_interrupt_leaves_named_files_alone(rows, tmp_path, monkeypatch):
    np.save(tmp_path / "rows.npy", rows[:3000])
    before = (tmp_path / "rows.npy").read_bytes()

    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(Problem, "at", interrupted)
    with pytest.raises(KeyboardInterrupt):
        brief().fit(scan(tmp_path / "rows.npy"))
    assert (tmp_path / "rows.npy").read_bytes() == before
    assert os.listdir(tmp_path) == ["rows.npy"]


def test_fits_of_one_scan_side_by_side(rows, on_disk):
    """Four threads, one scan and one folder: the bits of a fit alone."""
    asked, found = scan(Blocks(rows), cache=on_disk), [None] * 4

    def fit(index):
        found[index] = brief().fit(asked).mixture_

    threads = [threading.Thread(target=fit, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    known = brief().fit(rows).mixture_
    assert all(one == known for one in found)
    assert not list(on_disk.iterdir())


# ---- processes

FIT = """
import sys, warnings
import numpy as np
from mixtura import GaussianMixture, kernels, scan
from mixtura.reading import cache
warnings.simplefilter("ignore")
cache.IN_MEMORY = 1000
kernels.use(sys.argv[3])
rows = scan(list(np.array_split(np.load(sys.argv[1]), 6)), cache=sys.argv[2])
model = GaussianMixture(2, random_state=0, max_iter=3, tol=0, n_jobs=1).fit(rows)
print(model.means_.tobytes().hex(), model.covariances_.tobytes().hex(), model.lower_bounds_)
"""


@pytest.mark.parametrize(
    ("kernel", "cold"),
    [
        pytest.param("plain", False, marks=pytest.mark.slow),
        pytest.param("compiled", False, marks=pytest.mark.engines),
        pytest.param("compiled", True, marks=pytest.mark.slow),  # each compiles them
    ],
)
def test_fits_in_four_processes_at_once(rows, tmp_path, kernel, cold):
    """One folder for decoded rows, and one for compiled kernels, which may be empty at first."""
    np.save(tmp_path / "rows.npy", rows)
    folders = [tmp_path / name for name in ("cache", "kernels")]
    for folder in folders:
        folder.mkdir()
    paths = os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))
    told = os.environ | {"PYTHONPATH": paths}
    told |= {"NUMBA_CACHE_DIR": str(folders[1])} if cold else {}
    command = [sys.executable, "-c", FIT, str(tmp_path / "rows.npy"), str(folders[0]), kernel]
    running = [
        subprocess.Popen(command, env=told, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    ends = [one.communicate(timeout=500)[0] for one in running]
    assert [one.returncode for one in running] == [0] * 4
    assert len(set(ends)) == 1 and len(ends[0]) > 100
    assert not list(folders[0].iterdir())
    assert not [path for path in folders[1].rglob("*") if ".tmp" in path.name]


# ---- workers of Dask


@pytest.fixture
def lazily(rows, tmp_path):
    """Chunks that are made anew in each pass; whoever finds the file "kill" first is killed."""
    da = pytest.importorskip("dask.array")
    np.save(tmp_path / "rows.npy", rows)
    file, kill = str(tmp_path / "rows.npy"), str(tmp_path / "kill")

    def chunk(block_info=None):
        low, high = block_info[None]["array-location"][0]
        try:
            os.unlink(kill)
        except FileNotFoundError:
            return np.load(file, mmap_mode="r")[low:high].copy()
        os.kill(os.getpid(), signal.SIGKILL)

    lengths = tuple(cut.stop - cut.start for cut in cuts(N, 3))
    return da.map_blocks(chunk, chunks=(lengths, (3,)), dtype=float)


def clustered(workers):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=50
    )
    return cluster, distributed.Client(cluster)


@pytest.mark.engines
@pytest.mark.filterwarnings("ignore")
def test_a_worker_killed_in_any_phase_changes_no_bit(rows, lazily, tmp_path, monkeypatch):
    known = brief().fit(rows)
    armed, total = tmp_path / "kill", RemoteSource.sum

    def first_sum(self, function):
        armed.touch()
        monkeypatch.undo()
        return total(self, function)

    def amid(step, value, mixture):
        if step == 2:
            armed.touch()

    cluster, client = clustered(2)
    with cluster, client:
        armed.touch()  # counting
        found = brief().fit(lazily)
        assert not armed.exists() and found.mixture_ == known.mixture_
        monkeypatch.setattr(RemoteSource, "sum", first_sum)
        assert brief().fit(lazily).mixture_ == known.mixture_
        assert not armed.exists() and RemoteSource.sum is total
        assert brief(callback=amid).fit(lazily).mixture_ == known.mixture_
        assert not armed.exists()
        armed.touch()
        np.testing.assert_array_equal(found.predict(lazily).compute(), known.predict(rows))
        assert not armed.exists()


@pytest.mark.engines
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("workers", [3, *later(1, 2)])
def test_any_number_of_workers_gives_the_same_bits(rows, lazily, workers, monkeypatch):
    """And so does one that is killed with the rows it holds: they and their sums are made again.

    A worker has one task, for all chunks that it holds.
    """
    from mixtura.source.dask import DaskPartitions

    known, together = brief().fit(rows).mixture_, []
    parted = DaskPartitions._runs

    def noted(self, asked):
        runs = parted(self, asked)
        together.append(max(map(len, runs)))
        return runs

    cluster, client = clustered(workers)
    monkeypatch.setattr("mixtura.source.dask.SHARE", 1)
    monkeypatch.setattr(DaskPartitions, "_runs", noted)
    with cluster, client:
        X = lazily.persist()
        assert brief().fit(X).mixture_ == known
        victims, steps = list(client.run(os.getpid).values()), []

        def kill(step, value, mixture):
            steps.append(step)
            if len(steps) == 2 and workers > 1:
                os.kill(victims[0], signal.SIGKILL)

        assert brief(callback=kill).fit(X).mixture_ == known
        assert len(steps) > 2 and max(together) >= len(cuts(N, 3)) / workers
