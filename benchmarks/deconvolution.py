"""Extreme deconvolution beside astroML's XDGMM: processor time an iteration, on the same rows.

    python benchmarks/deconvolution.py [--rows 10000] [--features 2 4 7]

k = 10 components, diagonal noise of its own for every row; what some iterations cost more than
fewer of them, so that starts and checks do not count. astroML 1.0.2 must be importable (it needs
NumPy before 2); without it, only our own times are shown. It takes minutes for 100 000 rows.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np

from mixtura import GaussianMixture, kernels

K = 10


def blurred(n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of K overlapping components, the variances of their errors, and their components."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0.0, 3.0, (K, d))
    variances = rng.uniform(0.1, 2.0, (n, d))
    labels = rng.integers(K, size=n)
    rows = centres[labels] + rng.normal(size=(n, d))
    return rows + rng.normal(size=(n, d)) * np.sqrt(variances), variances, labels


def a_step(fit: Callable[[int], object], few: int, many: int) -> float:
    """Seconds of the processor for one more iteration."""
    times = []
    for steps in (few, many):
        start = time.process_time()
        fit(steps)
        times.append(time.process_time() - start)
    return (times[1] - times[0]) / (many - few)


def ours(X: np.ndarray, V: np.ndarray, start: np.ndarray) -> float:
    """Seconds an iteration of `GaussianMixture`."""

    def fit(steps: int) -> object:
        model = GaussianMixture(K, init_params=start, tol=0.0, max_iter=steps, n_jobs=1)
        return model.fit(X, noise_cov=V)

    return a_step(fit, 5, 25)


def theirs(X: np.ndarray, V: np.ndarray) -> float:
    """Seconds an iteration of `XDGMM`, or NaN where it is not installed."""
    try:
        from astroML.density_estimation import XDGMM
    except ImportError:
        return float("nan")
    errors = V[:, :, None] * np.eye(X.shape[1])

    def fit(steps: int) -> object:
        return XDGMM(K, max_iter=steps, tol=-np.inf, random_state=0).fit(X, errors)

    return a_step(fit, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--features", type=int, nargs="+", default=[2, 4, 7])
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    kernels.use("compiled")
    print("| n | d | mixtura, ms | XDGMM, ms | ratio |\n|---|---|---|---|---|", flush=True)
    for d in asked.features:
        X, V, labels = blurred(asked.rows, d)
        ours(X[:2000], V[:2000], labels[:2000])  # compile, or load what was compiled
        a, b = ours(X, V, labels), theirs(X, V)
        print(f"| {asked.rows} | {d} | {1e3 * a:.1f} | {1e3 * b:.0f} | {b / a:.0f} |", flush=True)


if __name__ == "__main__":
    main()
