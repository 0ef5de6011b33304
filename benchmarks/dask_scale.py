"""Dask with two workers over one, and one worker over the same fit in memory.

Rows are drawn from a mixture, chunk by chunk where they are summed, and kept there. Every fit takes
the same number of steps from the same start; workers have one thread each, and so has the fit in
memory. Each time is the least of several, and all fits must have the same numbers.

    python benchmarks/dask_scale.py [--rows 400000] [--repeat 3]
    python benchmarks/dask_scale.py --full          # 10 000 000 rows

Needs two processors with nothing else on them; says what it ran on.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait

from machine import describe
from mixtura import GaussianMixture, Mixture
from mixtura.block import cuts
from problems import scene

STEPS = 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--full", action="store_true", help="10 000 000 rows")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    n = 10_000_000 if options.full else options.rows
    describe()
    warnings.filterwarnings("ignore", message="the fit did not converge")
    truth = scene()
    edges = chunk_edges(n, truth.n_features)
    alone, model = timed(together(truth, edges), truth, options.repeat, n_jobs=1)
    size = f"{n} x {truth.n_features}, k={truth.n_components}"
    print(f"{size}, {STEPS} steps, {len(edges)} chunks")
    print(f"in memory, one thread   {alone:8.2f} s", flush=True)
    one = clustered(1, truth, edges, options.repeat, model)
    print(f"one worker              {one:8.2f} s   {one / alone - 1:+.1%} over memory")
    two = clustered(2, truth, edges, options.repeat, model)
    print(f"two workers             {two:8.2f} s   {one / two:.2f} times one")


def chunk_edges(n: int, d: int) -> list[int]:
    """Chunks of 16 blocks, so that rows are cut as in memory."""
    blocks = [cut.stop - cut.start for cut in cuts(n, d)]
    return [sum(blocks[at : at + 16]) for at in range(0, len(blocks), 16)]


def drawn(truth: Mixture, number: int, size: int) -> np.ndarray:
    return np.ascontiguousarray(truth.sample(size, number))


def together(truth: Mixture, edges: list[int]) -> np.ndarray:
    """All chunks in one array, which is filled one by one: rows are held once."""
    X, start = np.empty((sum(edges), truth.n_features)), 0
    for number, size in enumerate(edges):
        X[start : start + size] = drawn(truth, number, size)
        start += size
    return X


def clustered(workers: int, truth: Mixture, edges: list[int], repeat: int, like: Any) -> float:
    def chunk(block_info: Any = None) -> np.ndarray:
        number = block_info[None]["chunk-location"][0]
        return drawn(truth, number, edges[number])

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        X = da.map_blocks(chunk, chunks=(tuple(edges), (truth.n_features,)), dtype=float)
        X = X.persist()
        wait(X)
        seconds, model = timed(X, truth, repeat)
    if not np.allclose(model.means_, like.means_, rtol=0, atol=1e-8):
        raise SystemExit(f"{workers} workers gave other numbers")
    return seconds


def timed(X: Any, truth: Mixture, repeat: int, **options: Any) -> tuple[float, GaussianMixture]:
    """The least time of some fits after one that loads all code."""
    model = GaussianMixture(
        truth.n_components,
        means_init=truth.means + 0.3,
        max_iter=STEPS,
        tol=0,
        random_state=0,
        **options,
    )
    model.fit(X)
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        model.fit(X)
        times.append(time.perf_counter() - start)
    return min(times), model


if __name__ == "__main__":
    main()
