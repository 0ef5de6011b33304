"""Conditionals and posteriors of many rows at once beside loops over the rows, ours and gmr's.

    pip install gmr
    python benchmarks/rowwise.py

k = 10 components in d = 10 dimensions; 100 000 rows, the loops over some of them and scaled up.
gmr conditions one row at a time, while its `predict`, which gives means alone, takes all rows at
once, as it does here. A posterior under noise is the conditional of (x, x + noise) given the second
half. Means are compared before times are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from machine import describe
from mixtura import Mixture

K, D, ROWS, LOOPED = 10, 10, 100_000, 300
TASKS = ("conditional on half", "prediction of half", "posterior under noise")


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """The least of a few times."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    describe()
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(K, D, D))
    covariances = roots @ roots.swapaxes(1, 2) + np.eye(D)
    mixture = Mixture(np.full(K, 1 / K), rng.normal(0, 3, (K, D)), covariances)
    X = mixture.sample(ROWS, 0)
    half, noise = D // 2, 0.5 * np.eye(D)
    whole = {
        TASKS[0]: lambda: mixture.conditionals(X[:, :half], range(half)),
        TASKS[1]: lambda: mixture.conditionals(X[:, :half], range(half)).mean(),
        TASKS[2]: lambda: mixture.posterior(X, noise),
    }
    single = {
        TASKS[0]: lambda: [mixture.condition(dict(enumerate(row[:half]))) for row in X[:LOOPED]],
        TASKS[1]: lambda: [
            mixture.condition(dict(enumerate(row[:half]))).mean() for row in X[:LOOPED]
        ],
        TASKS[2]: lambda: [mixture.posterior(row, noise) for row in X[:LOOPED]],
    }
    other = with_gmr(mixture, X, half, noise)
    if other:
        check(whole, other)
    print("| task | at once, s | our loop, s | gmr, s | ratio to gmr |\n|---|--:|--:|--:|--:|")
    for name in TASKS:
        together = seconds(whole[name])
        alone = seconds(single[name]) * ROWS / LOOPED
        share = 1.0 if name == TASKS[1] else ROWS / LOOPED
        theirs = seconds(other[name]) * share if other else float("nan")
        print(f"| {name} | {together:.3f} | {alone:.0f} | {theirs:.3g} | {theirs / together:.3g} |")


def with_gmr(mixture: Mixture, X: Any, half: int, noise: Any) -> dict[str, Callable[[], Any]]:
    """The same with gmr, nothing where it is not installed."""
    try:
        from gmr import GMM
    except ImportError:
        print("gmr is not installed: pip install gmr\n")
        return {}
    parts = np.array(mixture.means), np.array(mixture.covariances)
    joint = GMM(K, mixture.weights, *parts, random_state=0)
    seen = np.block([[parts[1], parts[1]], [parts[1], parts[1] + noise]])
    noisy = GMM(K, mixture.weights, np.hstack([parts[0], parts[0]]), seen, random_state=0)
    first, last = np.arange(half), np.arange(D, 2 * D)
    return {
        TASKS[0]: lambda: [joint.condition(first, row[:half]) for row in X[:LOOPED]],
        TASKS[1]: lambda: joint.predict(first, X[:, :half]),
        TASKS[2]: lambda: [noisy.condition(last, row) for row in X[:LOOPED]],
    }


def check(whole: dict[str, Callable[[], Any]], other: dict[str, Callable[[], Any]]) -> None:
    """Both libraries find the same means."""
    for name in TASKS:
        ours, theirs = whole[name](), other[name]()
        ours = ours if isinstance(ours, np.ndarray) else ours.mean()
        if not isinstance(theirs, np.ndarray):
            theirs = np.array([one.priors @ one.means for one in theirs])
        np.testing.assert_allclose(ours[: len(theirs)], theirs, rtol=1e-6, atol=1e-8)


if __name__ == "__main__":
    main()
