"""Compile all kernels at once, so that no fit waits for a compiler."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.kernels.forms import EEV
from mixtura.kernels.layout import FULL

Array = NDArray[Any]

_N, _D, _K = 64, 2, 2


def _rows(dtype: Any = np.float64, d: int = _D) -> Array:
    return np.random.default_rng(0).normal(size=(_N, d)).astype(dtype)


def _start(field: int) -> tuple[Array, Array, Array]:
    means = np.tile(np.array([[-1.0] * _D, [1.0] * _D]), (field, 1, 1))
    return np.full((field, _K), 0.5), means, np.tile(np.eye(_D), (field, _K, 1, 1))


def race(dtype: Any) -> None:
    """Whole climbs."""
    from mixtura.kernels.compiled import race

    frame = np.zeros(_D), np.ones(_D), np.empty(0)
    race(_rows(dtype), *frame, _start(1), FULL, False, False, most=np.array([3]))


def sums(dtype: Any) -> None:
    """Sums over complete rows, and densities."""
    from mixtura.kernels import compiled
    from mixtura.kernels.crew import Crew

    rows, none, zero, one = _rows(dtype), np.empty(0), np.zeros(_D), np.ones(_D)
    weights, means, roots = (part[0] for part in _start(1))
    logs, norms = np.log(weights), np.zeros(_K)
    compiled.coefficients(weights, means, roots, FULL, 1e-9)
    halves = rows[: _N // 2], rows[_N // 2 :]
    theta, crew = np.zeros((_K, 6)), Crew(1)
    compiled.accumulate_blocks(rows, none, halves, zero, one, theta, FULL, False, crew)
    compiled.accumulate_centred(rows, zero, one, none, logs, means, roots, norms, FULL, False)
    compiled.log_joint(rows, zero, one, logs, means, roots, norms, FULL)


def gaps(dtype: Any) -> None:
    """Sums over rows with gaps."""
    from mixtura.kernels import compiled

    rows, none, zero, one = _rows(dtype), np.empty(0), np.zeros(_D), np.ones(_D)
    weights, means, roots = (part[0] for part in _start(1))
    groups = np.arange(_N), np.array([_N]), np.array([[True, False]])
    given = groups, np.log(weights), means, roots
    compiled.accumulate_observed(rows, zero, one, none, None, *given, FULL, False)
    compiled.distances_observed(rows, zero, one, groups, means, roots)
    shares = np.zeros((_N, _K))
    compiled.means_observed(rows, zero, one, groups, means, roots, shares)
    compiled.moments_observed(rows, zero, one, groups, means, roots, shares, shares, FULL)


def wide(dtype: Any) -> None:
    """Sums over rows of many columns."""
    from mixtura.kernels import compiled

    d = 64
    theta = np.zeros((1, d * (d + 1) // 2 + d + 1))
    given = np.zeros(d), np.ones(d), np.empty(0), theta
    compiled.accumulate(_rows(dtype, d), *given, FULL, False)


def replicates() -> None:
    """Climbs over many replicates of the rows, which call those of `race`."""
    from mixtura.kernels.compiled_replicates import replicates

    frame = np.zeros(_D), np.ones(_D), np.ones((2, _N))
    nothing = np.zeros((_K, 6)), np.zeros(_K), np.zeros(_K)
    bounds: dict[str, Any] = {"ridge": np.zeros(_D), "floor": 1e-12, "loss": 1e-9}
    replicates(
        _rows()[None], *frame, _start(1), FULL, False, prior=nothing, most=3, tol=0.0, **bounds
    )


def starts() -> None:
    """Partitions to start from, what components have in common, and responsibilities."""
    from mixtura.kernels import compiled

    columns = np.asfortranarray(_rows()).T
    seeds = _rows()[:_K]
    compiled.soft(_rows())
    compiled.best(_rows())
    compiled.spread(columns, np.ones(_N), np.array([0.2, 0.7]))
    compiled.lloyd(columns, np.ones(_N), seeds, 2)
    compiled.agglomerate(_rows(), np.ones(_N), 1e-3, 0)
    compiled.constrain(np.tile(np.eye(_D), (_K, 1, 1)), np.ones(_K), EEV)


def blurred() -> None:
    """Rows with measurement errors, and the posteriors of what lies behind them."""
    from mixtura.kernels import calling_blurred

    weights, means, covariances = (part[0] for part in _start(1))
    groups = np.arange(_N), np.array([_N]), np.ones((1, _D), dtype=bool)
    units, component = (np.zeros(_D), np.ones(_D)), (np.log(weights), means, covariances)
    noise, across = np.ones((_N, _D, _D)) * np.eye(_D), np.tile(np.eye(_D), (1, 1, 1))
    calling_blurred.accumulate_blurred(_rows(), units, (noise, None), groups, component)
    calling_blurred.posterior_blurred(_rows(), units, (noise, across), groups, component)


def shortlisted(dtype: Any) -> None:
    """Sums over few of many components."""
    from mixtura.kernels.truncated import accumulate_truncated

    weights, means, factors = (part[0] for part in _start(1))
    logs, norms, none = np.log(weights), np.zeros(_K), np.empty(0)
    held, near = np.zeros((_N, 1), np.int32), np.zeros((_K, 2), np.int32)
    rows, zero, one = _rows(dtype), np.zeros(_D), np.ones(_D)
    accumulate_truncated(
        rows, zero, one, none, logs, means, factors, norms, FULL, False, held, near
    )


def groups() -> None:
    """Climbs over many groups of rows, which call those of `race`."""
    from mixtura.kernels.compiled_groups import groups

    bounds, draws = np.array([0, _N]), np.array([[0.2, 0.7]])
    steps: dict[str, Any] = {"short": 2, "most": 3, "tol": 1e-6}
    given = _rows(), bounds, np.empty(0), draws, FULL, False, False
    groups(*given, floor=1e-12, loss=1e-8, **steps)


SINGLE, DOUBLE = (np.float32,), (np.float64,)

JOBS: tuple[tuple[Callable[..., None], tuple[Any, ...]], ...] = (
    (race, (DOUBLE, SINGLE)),
    (gaps, (DOUBLE, SINGLE)),
    (starts, ((),)),
    (blurred, ((),)),
    (shortlisted, (DOUBLE, SINGLE)),
    (wide, (DOUBLE, SINGLE)),
)
"""What is compiled, the longest first, for some arguments in turn: each in a process of its own.

Two processes that compile one function at once may write into the same file of the cache.
"""

AFTER: tuple[tuple[Callable[..., None], tuple[Any, ...]], ...] = (
    (sums, (DOUBLE, SINGLE)),
    (groups, ((),)),
    (replicates, ((),)),
)
"""What uses some of these as they then are."""


def compile_all() -> None:
    """Compile everything, side by side, and say what is done."""
    began = time.perf_counter()
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for stage in (JOBS, AFTER):
            for done in as_completed([pool.submit(_in_turn, *job) for job in stage]):
                done.result()
    sys.stderr.write(f"the kernels are compiled ({time.perf_counter() - began:.0f} s)\n")


def _in_turn(job: Callable[..., None], each: tuple[Any, ...]) -> None:
    for given in each:
        job(*given)
