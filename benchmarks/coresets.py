"""What a fit to a coreset loses beside one to as many rows drawn alike.

Rows are drawn from mixtures of eight components in four columns. "balanced" have weights that are
much the same; of "unbalanced" each is half as heavy as the one before; "rare" are balanced but for
one component of weight 1e-3 that lies 15 standard deviations away. To a share of the rows drawn as
`mixtura.coreset` does, and to as many drawn uniformly, the same `GaussianMixture` is fitted. Given
are the median and the largest loss over the seeds, in nats a row on all rows, and CPU seconds to
draw and to fit. Losses are those to the best of a fit to all rows from the true means and of five
fits of other seeds to all rows, whose own losses are given, too.

    python benchmarks/coresets.py                 # 200 000 rows, a few minutes
    python benchmarks/coresets.py --n 2000000 --seeds 5
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np

from mixtura import GaussianMixture, coreset, kernels

SHARES = (0.01, 0.02, 0.05)
K, D = 8, 4


def drawn(kind: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of one kind of mixture, and its means."""
    weights = rng.dirichlet(np.full(K, 20.0))
    if kind == "unbalanced":
        weights = 0.5 ** np.arange(K)
    means = rng.normal(size=(K, D)) * 2.5
    if kind == "rare":
        weights[0], means[0] = 1e-3 / (1.0 - 1e-3) * weights[1:].sum(), 15.0
    labels = rng.choice(K, n, p=weights / weights.sum())
    turns = rng.normal(size=(K, D, D)) / np.sqrt(D) + np.eye(D)
    noise = rng.normal(size=(n, D))
    return means[labels] + np.einsum("nd,nde->ne", noise, turns[labels]), means


def fitted(rows: np.ndarray, weights: np.ndarray | None = None, **given: Any) -> GaussianMixture:
    """The fit that is compared."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return GaussianMixture(K, n_jobs=1, **given).fit(rows, sample_weight=weights)


def losses(X: np.ndarray, size: int, best: float, seeds: int) -> tuple[dict[str, list], list]:
    """What fits lose, nats a row, by how rows were drawn; and seconds to draw and to fit."""
    found: dict[str, list[float]] = {"coreset": [], "uniform": []}
    spent = []
    for seed in range(seeds):
        begun = time.process_time()
        few = coreset(X, size, n_components=K, random_state=seed, n_jobs=1)
        between = time.process_time()
        model = fitted(few.rows, few.weights, random_state=seed)
        spent.append((between - begun, time.process_time() - between))
        found["coreset"].append(best - model.score(X))
        alike = np.random.default_rng(seed).choice(len(X), size, replace=False)
        found["uniform"].append(best - fitted(X[alike], random_state=seed).score(X))
    return found, spent


def main() -> None:
    """Draw, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args()
    kernels.use("compiled")
    for kind in ("balanced", "unbalanced", "rare"):
        X, means = drawn(kind, given.n, np.random.default_rng(1))
        begun = time.process_time()
        whole = [fitted(X, random_state=seed).score(X) for seed in range(5)]
        seconds = (time.process_time() - begun) / 5
        best = max(fitted(X, means_init=means).score(X), *whole)
        print(kind, "all rows", " ".join(f"{best - one:.5f}" for one in whole), f"{seconds:.2f} s")
        for share in SHARES:
            size = int(share * given.n)
            found, spent = losses(X, size, best, given.seeds)
            cells = [f"{name} {np.median(v):.5f} {max(v):.5f}" for name, v in found.items()]
            times = " + ".join(f"{one:.2f}" for one in np.mean(spent, axis=0))
            print(kind, size, "  ".join(cells), f" {times} s", flush=True)


if __name__ == "__main__":
    main()
