"""What gaps cost: steps of EM, densities and filled cells of rows with gaps beside complete ones.

Rows in three groups, full covariances, one thread, seconds of processor time: a step of EM (the
difference of climbs of 4 and of 14 steps), `score_samples`, `predict_proba` and `impute`. "one
column" has half of its cells missing there and none elsewhere: rows of two patterns. With "cells",
that share of all cells is missing at random: rows of very many patterns, each of which needs
factorizations of its own. Then the same with 5 % of the cells missing under heavy tails, with noise
and with trimming; "beside" is their step over that of plain components.

    python benchmarks/gaps.py
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from machine import describe
from mixtura import GaussianMixture, kernels

MODES = {
    "plain": {},
    "t, ν given": {"distribution": "t", "dof": 4.0},
    "t, ν estimated": {"distribution": "t"},
    "noise": {"noise": True},
    "trim": {"trim": 0.05},
}
SIZES = ((100_000, 4, 5), (100_000, 8, 10), (100_000, 16, 16))


def main() -> None:
    """Measure and print a table."""
    warnings.simplefilter("ignore")
    describe()
    kernels.use("compiled")
    print("| n | d | k | missing | step, ms | score | predict_proba | impute |")
    print("|--:|--:|--:|---|--:|--:|--:|--:|")
    for n, d, k in SIZES:
        for name, X in tables(n, d):
            line = [seconds_of_a_step(X, k), *seconds_to_answer(X, k)]
            cells = " | ".join(f"{1e3 * one:.1f}" for one in line)
            print(f"| {n} | {d} | {k} | {name} | {cells} |", flush=True)
    print()
    in_other_modes()


def in_other_modes() -> None:
    """The second table."""
    print("| n | d | k | mode | step, ms | beside | score | predict_proba | impute |")
    print("|--:|--:|--:|---|--:|--:|--:|--:|--:|")
    for n, d, k in SIZES:
        X, plain = dict(tables(n, d))["5% of cells"], 0.0
        for name, mode in MODES.items():
            step, *others = seconds_of_a_step(X, k, mode), *seconds_to_answer(X, k, mode)
            plain = plain or step
            cells = " | ".join(f"{1e3 * one:.1f}" for one in others)
            line = f"{1e3 * step:.1f} | {step / plain:.1f} | {cells}"
            print(f"| {n} | {d} | {k} | {name} | {line} |", flush=True)


def tables(n: int, d: int) -> Iterator[tuple[str, np.ndarray]]:
    """Rows with more and more gaps."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) + 4 * rng.integers(0, 3, size=(n, 1))
    yield "none", X
    one = X.copy()
    one[rng.random(n) < 0.5, 0] = np.nan
    yield "one column", one
    for share in (0.05, 0.3):
        yield f"{share:.0%} of cells", np.where(rng.random(X.shape) < share, np.nan, X)


def seconds_of_a_step(X: np.ndarray, k: int, mode: Mapping[str, object] = MODES["plain"]) -> float:
    """Of a plain step of EM from given means."""
    means = X[~np.isnan(X).any(axis=1)][:k]

    def climb(steps: int) -> float:
        given = {"means_init": means, "max_iter": steps, "tol": 0, "n_jobs": 1, **mode}
        return seconds(lambda: GaussianMixture(k, random_state=0, **given).fit(X))

    climb(2)
    return (min(climb(14) for _ in range(2)) - min(climb(4) for _ in range(2))) / 10


def seconds_to_answer(
    X: np.ndarray, k: int, mode: Mapping[str, object] = MODES["plain"]
) -> list[float]:
    """Of what a fitted model says of all rows."""
    model = GaussianMixture(k, random_state=0, max_iter=5, n_jobs=1, **mode).fit(X[:5000])
    asked = model.score_samples, model.predict_proba, model.impute
    for ask in asked:
        ask(X[:1000])
    return [seconds(lambda ask=ask: ask(X)) for ask in asked]  # type: ignore[misc]


def seconds(call: Callable[[], object]) -> float:
    """Processor time of a call."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


if __name__ == "__main__":
    main()
