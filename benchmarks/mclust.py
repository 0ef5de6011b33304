"""Beside mclust in R: the grid of models, and the bootstrap of a fit.

Needs `Rscript` with the package mclust (Debian: r-base-core, r-cran-mclust). The data are made
here, written as CSV, and read by both; each side is timed inside its own process, after one
unmeasured run on fewer models or replicates, and the two take turns. mclust works on one thread;
ours is shown on one and on two.

    python benchmarks/mclust.py [--rounds 3] [--large] [--replicates 999]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris

from machine import describe
from mixtura import GaussianMixture, bootstrap, kernels, select

GRID = """
suppressMessages(library(mclust))
X <- as.matrix(read.csv("{path}", header = FALSE))
invisible(Mclust(X[1:100, ], G = 2, verbose = FALSE))
seconds <- system.time(fit <- Mclust(X, G = 1:9, verbose = FALSE))[["elapsed"]]
cat(sprintf('{{"seconds": %.4f, "bic": %.6f, "model": "%s", "k": %d}}',
            seconds, -fit$bic, fit$modelName, fit$G))
"""

BOOTSTRAP = """
suppressMessages(library(mclust))
X <- as.matrix(read.csv("{path}", header = FALSE))
fit <- Mclust(X, G = 3, modelNames = "VVV", verbose = FALSE)
set.seed(1)
seconds <- system.time(b <- MclustBootstrap(fit, nboot = {replicates}, type = "bs",
                                            verbose = FALSE))[["elapsed"]]
se <- summary(b, what = "se")
cat(sprintf('{{"seconds": %.4f, "weights": [%s]}}', seconds,
            paste(sprintf("%.6f", se$pro), collapse = ", ")))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--replicates", type=int, default=999)
    parser.add_argument("--large", action="store_true", help="the grid on 10 000 x 5 too")
    options = parser.parse_args()
    if shutil.which("Rscript") is None:
        raise SystemExit("Rscript was not found: install R and its package mclust")
    describe()
    kernels.use("compiled", optional=True)
    for n in (500, 10_000) if options.large else (500,):
        grid(n, options.rounds)
    replicates("blobs", blobs(150, 3, k=3), options)
    replicates("iris without its last column", load_iris().data[:, :3], options)


def grid(n: int, rounds: int) -> None:
    """All fourteen families, one to nine components."""
    X = blobs(n, 5)
    select(X[:100], range(1, 3), "all")
    with tempfile.TemporaryDirectory() as folder:
        path = written(X, Path(folder))
        theirs, one, two = [], [], []
        for _ in range(rounds):
            theirs.append(r(GRID.format(path=path)))
            one.append(timed(lambda: select(X, range(1, 10), "all", n_jobs=1)))
            two.append(timed(lambda: select(X, range(1, 10), "all", n_jobs=2)))
    report(f"grid 1..9 x 14 on {n} x 5", theirs, {"one thread": one, "two threads": two})
    best = one[0][1].best
    print(
        f"  BIC {best.bic:.3f} ({best.covariance_type}, {best.n_components}); "
        f"mclust's {theirs[0]['bic']:.3f} ({theirs[0]['model']}, {theirs[0]['k']})"
    )


def replicates(name: str, X: np.ndarray, options: argparse.Namespace) -> None:
    """Standard errors of three components by the bootstrap, where they are apart and where not."""
    rounds, count = options.rounds, options.replicates
    model = GaussianMixture(3, random_state=0).fit(X)
    bootstrap(model, X, n_replicates=9)
    with tempfile.TemporaryDirectory() as folder:
        path = written(X, Path(folder))
        theirs, one, two = [], [], []
        for _ in range(rounds):
            theirs.append(r(BOOTSTRAP.format(path=path, replicates=count)))
            one.append(timed(lambda: bootstrap(model, X, n_replicates=count, n_jobs=1)))
            two.append(timed(lambda: bootstrap(model, X, n_replicates=count, n_jobs=2)))
    report(
        f"bootstrap of {name}, {count} replicates", theirs, {"one thread": one, "two threads": two}
    )
    print(f"  standard errors of the weights {np.sort(one[0][1].standard_errors.weights).round(4)}")
    print(f"  mclust's                       {np.sort(theirs[0]['weights']).round(4)}")


def blobs(n: int, d: int, k: int = 4) -> np.ndarray:
    """Blobs of unequal shapes that overlap a little."""
    rng = np.random.default_rng(n + d)
    labels = rng.integers(k, size=n)
    centres = 4.0 * rng.normal(size=(k, d))
    shapes = np.linalg.qr(rng.normal(size=(k, d, d)))[0] * rng.uniform(0.4, 1.8, (k, 1, d))
    return centres[labels] + np.einsum("nij,nj->ni", shapes[labels], rng.normal(size=(n, d)))


def written(X: np.ndarray, folder: Path) -> Path:
    """The rows as CSV, to all digits."""
    path = folder / "rows.csv"
    np.savetxt(path, X, delimiter=",", fmt="%.17g")
    return path


def r(program: str) -> dict:
    """What an R program prints as JSON."""
    end = subprocess.run(["Rscript", "-e", program], capture_output=True, text=True, check=True)
    return json.loads(end.stdout[end.stdout.index("{") :])


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    value = work()
    return time.perf_counter() - start, value


def report(name: str, theirs: list[dict], ours: dict[str, list]) -> None:
    base = statistics.median(run["seconds"] for run in theirs)
    print(f"\n{name}: mclust {base:.3f} s")
    for label, runs in ours.items():
        seconds = statistics.median(run[0] for run in runs)
        print(f"  mixtura, {label}: {seconds:.3f} s, {base / seconds:.1f} times as fast")


if __name__ == "__main__":
    main()
