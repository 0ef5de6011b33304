"""Several threads on one compiled pass: the bits of one thread, whoever helps and whenever."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mixtura import Mixture, kernels
from mixtura.assignment import hard, soft
from mixtura.expectation import EStep
from mixtura.source import MemorySource
from mixtura.statistics import Moments

pytest.importorskip("numba")
N, D, K = 90_000, 3, 4


@pytest.fixture(autouse=True)
def compiled():
    kernels.use("compiled")
    yield
    kernels.use("auto")


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
    one = MemorySource(*given).sum(step(shape, assign))
    for threads in (2, 5):
        assert same(MemorySource(*given, threads=threads).sum(step(shape, assign)), one)


def test_rows_of_any_strides(rows):
    backwards = np.asfortranarray(rows)[::-1]
    one = MemorySource(backwards).sum(step())
    assert same(MemorySource(backwards, threads=2).sum(step()), one)


def test_helpers_that_have_gone_to_sleep_come_back(rows):
    source, one = MemorySource(rows, threads=2), MemorySource(rows).sum(step())
    for pause in (0.0, 0.0, 0.05, 0.0, 0.2):
        time.sleep(pause)
        assert same(source.sum(step()), one)


def test_helpers_do_part_of_the_work(rows):
    """The caller waits for nobody, so that a helper that never came would go unnoticed."""
    source = MemorySource(rows, threads=2)
    for _ in range(50):
        source.sum(step())
        taken = source._crew.helped
        if taken:
            break
    assert taken > 0


def test_a_crew_that_is_busy_leaves_the_work_to_others(rows):
    """Passes of several threads over one source at once, each with other parameters."""
    source = MemorySource(rows, threads=2)
    wanted = [MemorySource(rows).sum(step(seed=seed)) for seed in range(4)]

    def passes(seed):
        return [same(source.sum(step(seed=seed)), wanted[seed]) for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        assert all(map(all, pool.map(passes, range(4))))


def test_a_job_that_fails_leaves_the_crew_free(rows):
    source = MemorySource(rows, threads=2)

    def failing(control):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        source._crew.does(failing)
    assert same(source.sum(step()), MemorySource(rows).sum(step()))
