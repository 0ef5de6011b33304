"""Several threads on one compiled pass: the bits of one thread, whoever helps and whenever."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from mixtura import Mixture, kernels
from mixtura.assignment import hard, soft
from mixtura.expectation import EStep
from mixtura.fit import at_once
from mixtura.fit.em import Stop, run
from mixtura.source import MemorySource
from mixtura.statistics import Moments
from strategies import make

pytest.importorskip("numba")
N, D, K = 90_000, 3, 4


@pytest.fixture(autouse=True)
def compiled():
    kernels.use("compiled")


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(N, D))


def step(shape=0, assign=soft, seed=1):
    means = np.random.default_rng(seed).normal(size=(K, D))
    covariances = [np.eye(D), np.ones((K, D)), np.ones(K)][shape]
    covariances = np.stack([covariances] * K) if shape == 0 else covariances
    kind = ("full", "diag", "spherical")[shape]
    mixture = Mixture(np.full(K, 1 / K), means, covariances, covariance_type=kind)
    return EStep(mixture, Moments(shape), assign)


def same(one, other):
    numbers = "first", "second", "counts", "log_likelihood"
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in numbers)


@pytest.mark.parametrize("shape", [0, 1, 2])
@pytest.mark.parametrize("assign", [soft, hard])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_any_number_of_threads_gives_the_bits_of_one(rows, shape, assign, weighted, dtype):
    weights = np.random.default_rng(2).uniform(size=N) if weighted else None
    given = rows.astype(dtype), weights
    one = step(shape, assign).over(MemorySource(*given))
    for threads in (2, 5):
        assert same(step(shape, assign).over(MemorySource(*given, threads=threads)), one)


def test_rows_of_any_strides(rows):
    backwards = np.asfortranarray(rows)[::-1]
    one = step().over(MemorySource(backwards))
    assert same(step().over(MemorySource(backwards, threads=2)), one)


def test_helpers_that_have_gone_to_sleep_come_back(rows):
    source, one = MemorySource(rows, threads=2), step().over(MemorySource(rows))
    for pause in (0.0, 0.0, 0.05, 0.0, 0.2):
        time.sleep(pause)
        assert same(step().over(source), one)


def test_helpers_do_part_of_the_work(rows):
    """The caller waits for nobody, so that a helper that never came would go unnoticed."""
    source = MemorySource(rows, threads=2)
    for _ in range(50):
        step().over(source)
        taken = source._crew.helped
        if taken:
            break
    assert taken > 0


def test_a_crew_that_is_busy_leaves_the_work_to_others(rows):
    """Passes of several threads over one source at once, each with other parameters."""
    source = MemorySource(rows, threads=2)
    wanted = [step(seed=seed).over(MemorySource(rows)) for seed in range(4)]

    def passes(seed):
        return [same(step(seed=seed).over(source), wanted[seed]) for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        assert all(map(all, pool.map(passes, range(4))))


def test_a_job_that_fails_leaves_the_crew_free(rows):
    source = MemorySource(rows, threads=2)

    def failing(control):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        source._crew.does(failing)
    assert same(step().over(source), step().over(MemorySource(rows)))


def climb(case, threads, stop, follow=None):
    task = replace(case.problem(), source=case.source(threads=threads))
    return task, run(task, task.adopted(case.mixture), stop, follow)


@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical", "VVE", "VEI"])
@pytest.mark.parametrize("mode", ["weights", "prior"])
def test_climbs_over_many_blocks_are_those_of_the_loop(family, mode):
    """The same steps as one by one in the interpreter, for any number of threads."""
    case = make(family, mode, seed=5, n=N, k=K, d=D, spread=3.0)
    stop = Stop(tol=0.0, max_iter=5, accelerate=False)
    task, one = climb(case, 1, stop)
    assert len(task.source.blocks) > 1 and at_once.steps(task, K, 5) == 5
    _, three = climb(case, 3, stop)
    assert one.trace == three.trace and one.mixture == three.mixture
    steps = []
    _, slow = climb(case, 1, stop, lambda step, value, mixture: steps.append(step))
    assert len(steps) == 5
    # The pooled second moments of all rows are one sum here and a sum over blocks there.
    np.testing.assert_allclose(one.trace, slow.trace, rtol=1e-12)
    np.testing.assert_allclose(one.mixture.means, slow.mixture.means, atol=1e-9)
    covariances = one.mixture.covariances, slow.mixture.covariances
    np.testing.assert_allclose(*covariances, rtol=1e-8, atol=1e-10)


def test_long_climbs_come_back_to_the_interpreter(monkeypatch):
    """And go on from there to the same end."""
    case = make("full", "complete", seed=6, n=N, k=K, d=D, spread=2.0)
    stop = Stop(tol=1e-9, max_iter=500)
    task, whole = climb(case, 2, stop)
    assert whole.converged and whole.n_iter > 15
    monkeypatch.setattr(at_once, "_LONGEST", at_once._LONGEST * 12 / at_once.steps(task, K, 1e9))
    assert 10 <= at_once.steps(task, K, 500) < 15
    _, parts = climb(case, 2, stop)
    assert parts.converged and parts.n_iter > 15
    assert np.diff(parts.trace).min() >= -1e-13
    assert parts.value == pytest.approx(whole.value, abs=1e-8)


def test_climbs_of_many_rows_are_not_compiled(monkeypatch):
    """Where a few steps take a second already."""
    case = make("full", "complete", seed=6, n=N, k=K, d=D)
    monkeypatch.setattr(at_once, "_LONGEST", 0.01)
    assert at_once.steps(case.problem(), K, 500) == 0


@pytest.mark.parametrize("mode", ["gaps", "labels", "soft labels"])
def test_what_kernels_cannot_sum_is_left_to_the_loop(mode):
    case = make("full", mode, seed=6, n=N, k=K, d=D)
    kernels.use("compiled")
    assert at_once.steps(case.problem(), K, 500) == 0


def test_two_climbs_over_one_source_at_once():
    """One has the crew, the other goes alone."""
    case = make("full", "complete", seed=7, n=N, k=K, d=D)
    stop = Stop(tol=0.0, max_iter=30)
    task, wanted = climb(case, 2, stop)
    start = task.adopted(case.mixture)
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda _: run(task, start, stop), range(4)))
    assert all(end.trace == wanted.trace and end.mixture == wanted.mixture for end in ends)
