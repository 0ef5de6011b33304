"""Conditionals and posteriors of many rows at once beside a loop over the rows.

    python benchmarks/rowwise.py

k = 10 components in d = 10 dimensions; 100 000 rows, the loop over some of them and scaled up.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from mixtura import Mixture

K, D, ROWS, LOOPED = 10, 10, 100_000, 300


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """The least of a few times."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(K, D, D))
    covariances = roots @ roots.swapaxes(1, 2) + np.eye(D)
    mixture = Mixture(np.full(K, 1 / K), rng.normal(0, 3, (K, D)), covariances)
    X = mixture.sample(ROWS, 0)
    half, noise = D // 2, 0.5 * np.eye(D)
    tasks = {
        "conditional on half": (
            lambda: mixture.conditionals(X[:, :half], range(half)),
            lambda row: mixture.condition(dict(enumerate(row[:half]))),
        ),
        "posterior under noise": (
            lambda: mixture.posterior(X, noise),
            lambda row: mixture.posterior(row, noise),
        ),
    }
    print("| task | at once, s | a loop, s | ratio |\n|---|---|---|---|")
    for name, (whole, single) in tasks.items():
        together = seconds(whole)
        alone = seconds(lambda one=single: [one(row) for row in X[:LOOPED]]) * ROWS / LOOPED
        print(f"| {name} | {together:.2f} | {alone:.0f} | {alone / together:.0f} |")


if __name__ == "__main__":
    main()
