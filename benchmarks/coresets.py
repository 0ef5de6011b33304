"""What a fit to a coreset loses beside one to as many rows drawn alike.

Rows are drawn from mixtures of eight components in four columns. "balanced" have weights that are
much the same; of "unbalanced" each is half as heavy as the one before; "rare" are balanced but for
one component of weight 1e-3 that lies 15 standard deviations away. To a share of the rows drawn as
`mixtura.coreset` does, and to as many drawn uniformly, the same `GaussianMixture` is fitted. Given
are the median and the largest loss of nats a row on all rows, beside the fit to all of them, over
the seeds; and CPU seconds to draw and to fit, beside those of the fit to all.

    python benchmarks/coresets.py                 # 200 000 rows, a few minutes
    python benchmarks/coresets.py --n 2000000 --seeds 5
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np

from mixtura import GaussianMixture, coreset, kernels

SHARES = (0.01, 0.02, 0.05)
K, D = 8, 4


def drawn(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of one kind of mixture."""
    weights = rng.dirichlet(np.full(K, 20.0))
    if kind == "unbalanced":
        weights = 0.5 ** np.arange(K)
    means = rng.normal(size=(K, D)) * 2.5
    if kind == "rare":
        weights[0], means[0] = 1e-3 / (1.0 - 1e-3) * weights[1:].sum(), 15.0
    labels = rng.choice(K, n, p=weights / weights.sum())
    turns = rng.normal(size=(K, D, D)) / np.sqrt(D) + np.eye(D)
    return np.asarray(means[labels] + np.einsum("nd,nde->ne", rng.normal(size=(n, D)), turns[labels]))


def fitted(rows: np.ndarray, weights: np.ndarray | None, seed: int) -> GaussianMixture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return GaussianMixture(K, random_state=seed, n_jobs=1).fit(rows, sample_weight=weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args()
    kernels.use("compiled")
    for kind in ("balanced", "unbalanced", "rare"):
        X = drawn(kind, given.n, np.random.default_rng(1))
        begun = time.process_time()
        best = fitted(X, None, 0).score(X)
        whole = time.process_time() - begun
        for share in SHARES:
            size, losses, spent = int(share * given.n), {"coreset": [], "uniform": []}, [0.0, 0.0]
            for seed in range(given.seeds):
                begun = time.process_time()
                few = coreset(X, size, n_components=K, random_state=seed, n_jobs=1)
                between = time.process_time()
                model = fitted(few.rows, few.weights, seed)
                spent = [spent[0] + between - begun, spent[1] + time.process_time() - between]
                losses["coreset"].append(best - model.score(X))
                alike = np.random.default_rng(seed).choice(given.n, size, replace=False)
                losses["uniform"].append(best - fitted(X[alike], None, seed).score(X))
            cells = [f"{name} {np.median(v):.5f} {max(v):.5f}" for name, v in losses.items()]
            times = " ".join(f"{one / given.seeds:.2f}" for one in spent)
            print(kind, size, "  ".join(cells), f" seconds {times} of {whole:.2f}", flush=True)


if __name__ == "__main__":
    main()
