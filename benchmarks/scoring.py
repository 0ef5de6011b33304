"""Rows scored and assigned by a fitted mixture, beside scikit-learn with the same parameters.

    python benchmarks/scoring.py

One thread, full covariances, milliseconds of processor time, the least of seven calls in turn; the
results are compared before times are. "ratio" is scikit-learn's time over ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from machine import describe, limited
from mixtura import GaussianMixture, Mixture, kernels

SIZES = ((100_000, 2, 8), (100_000, 8, 10), (100_000, 16, 16), (20_000, 64, 16))
TASKS = ("score_samples", "predict_proba", "predict")


def main() -> None:
    """Measure and print a table."""
    describe()
    kernels.use("compiled")
    print("| n | d | k | task | mixtura, ms | scikit-learn, ms | ratio |")
    print("|--:|--:|--:|---|--:|--:|--:|")
    for n, d, k in SIZES:
        mixture = overlapping(d, k)
        X = mixture.sample(n, 0)
        ours = GaussianMixture.from_mixture(mixture, n_jobs=1)
        theirs = mixture.to_sklearn()
        for task in TASKS:
            calls = [getattr(ours, task), getattr(theirs, task)]
            np.testing.assert_allclose(calls[0](X), calls[1](X), rtol=1e-9, atol=1e-9)
            first, second = seconds(calls, X)
            spent = f"{1e3 * first:.1f} | {1e3 * second:.1f} | {second / first:.1f}"
            print(f"| {n} | {d} | {k} | {task} | {spent} |", flush=True)


def overlapping(d: int, k: int) -> Mixture:
    """Components of random shapes some deviations apart."""
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(k, d, d)) / np.sqrt(d)
    covariances = roots @ roots.swapaxes(1, 2) + 0.5 * np.eye(d)
    return Mixture(np.full(k, 1 / k), rng.normal(0, 2, (k, d)), covariances)


def seconds(calls: list[Callable[[np.ndarray], object]], X: np.ndarray) -> list[float]:
    """The least processor time of each call."""
    least = [np.inf] * len(calls)
    with limited(1):
        for _ in range(7):
            for index, call in enumerate(calls):
                start = time.process_time()
                call(X)
                least[index] = min(least[index], time.process_time() - start)
    return least


if __name__ == "__main__":
    main()
