"""Checkpoints: a fit that goes on ends as if nothing had happened, to the last bit."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from mixtura import CheckpointError, GaussianMixture, InputError, InputTypeError, atomic, kernels
from mixtura.covariance import FullCovariances
from mixtura.fit import fitting
from mixtura.fit.accelerate import Stride
from mixtura.fit.checkpoint import Checkpoint
from mixtura.fit.problem import Problem
from mixtura.fit.values import decoded, encoded


@pytest.fixture
def rows():
    """Overlapping groups (600, 3), so that climbs take many rounds."""
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 3, 600)
    return rng.normal(size=(600, 3)) + np.array([0.0, 1.5, 3.0])[groups][:, None]


def bits(model):
    """All that a fit ends with, as bytes."""
    mixture = model.mixture_
    arrays = [mixture.weights, mixture.location, mixture.structure.array(), model.trace_]
    law = np.asarray(getattr(mixture.law, "dof", 0.0))
    noise = np.array(0.0 if mixture.noise is None else mixture.noise.share)
    told = [np.asarray(one).tobytes() for one in (*arrays, law, noise)]
    return (*told, model.n_iter_, model.converged_)


def struck(monkeypatch, every, fit):
    """Call `fit` until it ends, every so many E-steps of its climbs interrupted."""
    at, climb, steps, climbing = Problem.at, Checkpoint.climb, [0], [False]

    def interrupted(self, mixture, after=None):
        steps[0] += climbing[0]
        if climbing[0] and steps[0] % every == 0:
            climbing[0] = False
            raise KeyboardInterrupt
        return at(self, mixture, after)

    def climbed(*args, **options):
        climbing[0] = True
        fit = climb(*args, **options)
        climbing[0] = False
        return fit

    monkeypatch.setattr(Problem, "at", interrupted)
    monkeypatch.setattr(Checkpoint, "climb", climbed)
    for runs in range(1, 99):
        with contextlib.suppress(KeyboardInterrupt):
            return fit(), runs
    raise AssertionError("never through")


def begun(monkeypatch, fit):
    """A fit interrupted before its first climb."""

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(fitting, "tournament", interrupted)
        fit()


MODES = {
    "full, by a tournament": ({"init_params": "auto", "tol": 1e-9}, 5),
    "axes in common": ({"covariance_type": "EVE", "max_iter": 12}, 5),
    "gaps, t and noise": ({"covariance_type": "diag", "distribution": "t", "noise": 0.1}, 5),
    "low rank": ({"covariance_type": "factor:1"}, 14),
    "tied, prior": ({"covariance_type": "tied", "prior": "fraley-raftery"}, 5),
    "float32, trimmed": ({"covariance_type": "spherical", "trim": 0.1}, 5),
}
"""Parameters, and after how many E-steps a fit is struck: more than a round has."""


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("mode", MODES)
def test_struck_again_and_again_a_fit_ends_with_the_same_bits(rows, mode, tmp_path, monkeypatch):
    kernels.use("plain")
    weights = None
    if "gaps" in mode:
        rows = np.where(np.random.default_rng(0).random(rows.shape) < 0.05, np.nan, rows)
        weights = np.random.default_rng(1).uniform(0.5, 2.0, len(rows))
    rows = rows.astype(np.float32) if "float32" in mode else rows
    path, (parameters, every) = tmp_path / "fit.checkpoint", MODES[mode]
    given = {"init_params": "random", "max_iter": 25, "random_state": 0} | parameters

    def fit(**options):
        return GaussianMixture(3, **given).fit(rows, sample_weight=weights, **options)

    whole = fit()
    model, runs = struck(monkeypatch, every, lambda: fit(checkpoint=path))
    assert runs > 2
    assert bits(model) == bits(whole)
    assert os.listdir(tmp_path) == ["fit.checkpoint"]
    assert path.stat().st_size < 16_000


def test_compiled_climbs_are_the_same_with_a_checkpoint(rows, kernel, tmp_path):
    models = [
        GaussianMixture(3, random_state=0).fit(rows, **options)
        for options in ({}, {"checkpoint": tmp_path / "c"})
    ]
    assert bits(models[0]) == bits(models[1])


def test_a_fit_that_is_over_comes_back_at_once(rows, tmp_path, monkeypatch):
    rows = np.column_stack([rows, np.ones(len(rows))])
    path = tmp_path / "c"
    with pytest.warns(UserWarning, match="constant") as first:
        model = GaussianMixture(2, random_state=0).fit(rows, checkpoint=path)
    monkeypatch.setattr(fitting, "sample", None)  # nothing is started again
    with pytest.warns(UserWarning, match="constant") as again:
        assert bits(GaussianMixture(2, random_state=0).fit(rows, checkpoint=path)) == bits(model)
    assert [str(one.message) for one in first] == [str(one.message) for one in again]


KILLED = """
import os, signal, sys
import numpy as np
from mixtura import GaussianMixture
path, after, where = sys.argv[1], int(sys.argv[2]), sys.argv[3]
writes, replace = [0], os.replace
def killed(*paths):
    writes[0] += 1
    if writes[0] == after and where == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*paths)
    if writes[0] == after:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = killed
model = GaussianMixture(3, random_state=0, max_iter=40, tol=0.0, init_params="random")
model.fit(np.load(path + ".npy"), checkpoint=path)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(
    "kills",
    [
        [(4, "before")],
        pytest.param([(6, "after"), (3, "before"), (1, "after")], marks=pytest.mark.slow),
    ],
)
def test_killed_amid_steps_and_amid_writing(rows, kills, tmp_path):
    path = str(tmp_path / "c")
    np.save(path + ".npy", rows)

    def child(after, place):
        code = [sys.executable, "-c", KILLED, path, str(after), place]
        return subprocess.run(code, capture_output=True, text=True, timeout=120)

    for after, place in kills:
        assert child(after, place).returncode == -signal.SIGKILL
        left = [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
        assert len(left) == (place == "before")
    kernels.use("plain")
    model = GaussianMixture(3, random_state=0, max_iter=40, tol=0.0, init_params="random")
    whole = bits(model.fit(rows))
    assert bits(model.fit(rows, checkpoint=path)) == whole
    assert sorted(os.listdir(tmp_path)) == ["c", "c.npy"]


def test_a_damaged_file_is_refused_and_stays(rows, tmp_path, monkeypatch):
    path, model = tmp_path / "c", GaussianMixture(3, random_state=0, tol=1e-9)
    kernels.use("plain")
    model.fit(rows, checkpoint=path)
    whole = path.read_bytes()
    damaged = [whole[:length] for length in (0, 5, 60, 500, len(whole) - 1)]
    damaged += [
        whole.replace(b'"seed": ', b'"seed":  '),
        whole.replace(b"checkpoint 1", b"checkpoint 2"),
    ]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="delete it to start anew"):
            model.fit(rows, checkpoint=path)
        assert path.read_bytes() == content
    path.write_bytes(b"someone's letters")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        model.fit(rows, checkpoint=path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        model.fit(rows, checkpoint=tmp_path)
    with pytest.raises(InputError, match="cannot write"):
        model.fit(rows, checkpoint=tmp_path / "nowhere" / "c")
    with pytest.raises(InputTypeError, match="path"):
        model.fit(rows, checkpoint=True)


@pytest.mark.parametrize(
    ("named", "parameters"),
    [
        ("n_components", {"n_components": 2}),
        ("covariance_type", {"covariance_type": "diag"}),
        ("max_iter", {"max_iter": 7}),
        ("reg_covar", {"reg_covar": 1e-3}),
        ("prior", {"prior": "fraley-raftery"}),
        ("noise", {"noise": True}),
        ("random_state", {"random_state": 1}),
        ("where it starts", {"init_params": "kmeans"}),
    ],
)
def test_a_checkpoint_of_another_fit_is_refused(rows, named, parameters, tmp_path):
    given = {"n_components": 3, "random_state": 0}
    GaussianMixture(**given).fit(rows, checkpoint=tmp_path / "c")
    with pytest.raises(CheckpointError, match=named):
        GaussianMixture(**given | parameters).fit(rows, checkpoint=tmp_path / "c")


def test_a_checkpoint_of_other_rows_is_refused(rows, tmp_path):
    model, path = GaussianMixture(2, random_state=0), tmp_path / "c"
    model.fit(rows, checkpoint=path)
    changed = rows.copy()
    changed[7, 1] += 1e-9
    labels = np.where(np.arange(len(rows)) < 4, 0, -1)
    for other, options in (
        (changed, {}),
        (rows[::-1], {}),
        (rows.astype(np.float32), {}),
        (rows, {"labels": labels}),
        (rows, {"sample_weight": np.linspace(1, 2, len(rows))}),
        (rows, {"noise_cov": 0.1}),
    ):
        with pytest.raises(CheckpointError, match="the rows"):
            model.fit(other, checkpoint=path, **options)


def test_several_models_are_refused(rows, tmp_path):
    with pytest.raises(InputError, match="one fit"):
        GaussianMixture([1, 2]).fit(rows, checkpoint=tmp_path / "c")


def test_without_a_seed_the_one_that_was_drawn_is_kept(rows, tmp_path, monkeypatch):
    kernels.use("plain")
    ends = []
    begun(monkeypatch, lambda: GaussianMixture(3).fit(rows, checkpoint=tmp_path / "a"))
    shutil.copy(tmp_path / "a", tmp_path / "b")
    for name in "ab":
        ends.append(bits(GaussianMixture(3).fit(rows, checkpoint=tmp_path / name)))
    assert ends[0] == ends[1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_a_callback_stopped_goes_on(rows, tmp_path):
    kernels.use("plain")  # the compiled ones take small fits to their end before anyone is called

    def fit(last, **options):
        model = GaussianMixture(
            3, random_state=0, tol=0.0, max_iter=120, callback=lambda step, *_: step >= last
        )
        return model.fit(rows, **options)

    path = tmp_path / "c"
    assert fit(80, checkpoint=path).n_iter_ == 80
    assert bits(fit(999, checkpoint=path)) == bits(fit(999))


def test_no_room_leaves_what_was_there(rows, tmp_path, monkeypatch):
    path, model = tmp_path / "c", GaussianMixture(3, random_state=0)
    kernels.use("plain")
    whole, writes = model.fit(rows), [0]

    def full(descriptor):
        writes[0] += 1
        if writes[0] == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(CheckpointError, match="make room"):
        model.fit(rows, checkpoint=path)
    assert os.listdir(tmp_path) == ["c"]
    assert bits(model.fit(rows, checkpoint=path)) == bits(whole)


def test_fits_side_by_side_keep_apart(rows, tmp_path):
    models = [GaussianMixture(3, random_state=seed) for seed in range(2)]
    alone = [bits(model.fit(rows)) for model in models]
    threads = [
        threading.Thread(target=model.fit, args=(rows,), kwargs={"checkpoint": tmp_path / str(i)})
        for i, model in enumerate(models)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [bits(model) for model in models] == alone
    assert sorted(os.listdir(tmp_path)) == ["0", "1"]


def test_other_kernels_are_refused_or_loaded(rows, tmp_path, monkeypatch):
    pytest.importorskip("numba")
    kernels.use("plain")
    model = GaussianMixture(3, random_state=0, tol=1e-9)
    begun(monkeypatch, lambda: model.fit(rows, checkpoint=tmp_path / "c"))
    kernels.use("compiled")
    with pytest.raises(CheckpointError, match=r'kernels.use\("plain"\)'):
        model.fit(rows, checkpoint=tmp_path / "c")


def test_values_come_back_with_their_layout():
    numbers = np.arange(24.0).reshape(2, 3, 4)
    for array in (numbers, np.asfortranarray(numbers), numbers.swapaxes(1, 2), numbers[0, 0]):
        back = decoded(encoded(array))
        assert np.array_equal(back, array) and back.strides == array.strides
    odd = (float("inf"), -0.0, 5e-324, 0.1)
    assert [one.hex() for one in decoded(encoded(odd))] == [one.hex() for one in odd]
    stride = Stride(2.0, ((np.ones(2), np.zeros(2)),), np.inf)
    assert decoded(encoded(stride)).memory[0][1].tolist() == [0.0, 0.0]
    structure = FullCovariances(np.eye(2)[None], "VVE", np.eye(2))
    assert decoded(encoded(structure)).axes.tolist() == np.eye(2).tolist()
    with pytest.raises(TypeError, match="cannot be kept"):
        encoded(object())
    with pytest.raises(KeyError):
        decoded({"kind": "Path", "path": "x"})


def test_what_still_writes_is_not_swept(tmp_path):
    path = tmp_path / "c"
    with atomic.written_whole(path) as stream:
        stream.write(b"1")
        atomic.swept(path)
        assert len(os.listdir(tmp_path)) == 1
    (tmp_path / ".c.xyz.tmp").write_bytes(b"left")
    (tmp_path / ".other.xyz.tmp").write_bytes(b"another's")
    atomic.swept(path)
    assert sorted(os.listdir(tmp_path)) == [".other.xyz.tmp", "c"]


def test_warnings_are_none_without_cause(rows, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(2, random_state=0).fit(rows, checkpoint=tmp_path / "c")
