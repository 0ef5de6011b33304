"""A bootstrap of a three-component fit, and a test of the number of components, against mclust.

The rows are the first three columns of iris, 150 x 3, with full covariances (VVV) from the same
partition; 999 replicates drawn with replacement. mclust's `MclustBootstrap` and ours run in turns,
one process each, after a first round that does not count (it compiles, where that has not been
done on this machine). CPU seconds and elapsed seconds, medians; needs `Rscript` with mclust.

    python benchmarks/bootstrap.py [--rounds 5] [--jobs 1]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import time

import numpy as np
from sklearn.datasets import load_iris

import mixtura
from machine import describe
from mixtura import GaussianMixture, kernels

SCRIPT = """
suppressMessages(library(mclust))
rows <- as.matrix(iris[, 1:3])
fit <- Mclust(rows, G = 3, modelNames = "VVV", verbose = FALSE)
if ("{what}" == "partition") {{
  cat(fit$classification - 1)
}} else {{
  set.seed(1)
  time <- if ("{what}" == "bootstrap") {{
    system.time(MclustBootstrap(fit, nboot = 999, type = "bs", verbose = FALSE))
  }} else {{
    system.time(mclustBootstrapLRT(rows, "VVV", nboot = 199, maxG = 2, verbose = FALSE))
  }}
  cat(time[["user.self"]] + time[["sys.self"]], time[["elapsed"]])
}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    if shutil.which("Rscript") is None:
        raise SystemExit("Rscript is not installed: there is nothing to compare with")
    describe()
    rows = load_iris().data[:, :3]
    labels = np.array(theirs("partition"), int)
    fit = GaussianMixture(3, init_params=labels).fit(rows)
    print("| what | mclust CPU s | CPU s | ratio | mclust s | s | ratio |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    ours = {
        "bootstrap": lambda: mixtura.bootstrap(fit, rows, 999, random_state=0, n_jobs=options.jobs),
        "lrt": lambda: mixtura.likelihood_ratio_test(
            rows, 1, up_to=3, n_replicates=199, n_jobs=options.jobs
        ),
    }
    kernels.use("compiled")
    for what, call in ours.items():
        timed(call)
        turns = [(theirs(what), timed(call)) for _ in range(options.rounds)]
        cpu, elapsed = (
            [statistics.median(turn[who][part] for turn in turns) for who in (0, 1)]
            for part in (0, 1)
        )
        numbers = [*cpu, cpu[0] / cpu[1], *elapsed, elapsed[0] / elapsed[1]]
        print(f"| {what} | " + " | ".join(f"{number:.3g}" for number in numbers) + " |", flush=True)


def theirs(what: str) -> list[float]:
    """What mclust prints: the partition, or CPU and elapsed seconds."""
    script = SCRIPT.format(what=what)
    found = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=True)
    return [float(number) for number in found.stdout.split()]


def timed(call: object) -> tuple[float, float]:
    """CPU and elapsed seconds."""
    cpu, elapsed = time.process_time(), time.perf_counter()
    call()  # type: ignore[operator]
    return time.process_time() - cpu, time.perf_counter() - elapsed


if __name__ == "__main__":
    main()
