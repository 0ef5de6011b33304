"""Dask with two workers over one, and one worker over the same fit in memory.

Rows are drawn from a mixture, chunk by chunk where they are summed, and kept there. Every fit takes
the same number of steps from the same start; workers have one thread each, and so has the fit in
memory. The three take turns, as machines drift: ratios are of the same round, and the medians over
the rounds count. All fits must have the same numbers.

    python benchmarks/dask_scale.py [--rows 400000] [--repeat 5]
    python benchmarks/dask_scale.py --full          # 10 000 000 rows, held three times: 2 GB

Needs two processors with nothing else on them; says what it ran on.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait

from machine import describe, timed
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
    parser.add_argument("--repeat", type=int, default=5, help="rounds")
    options = parser.parse_args()
    n = 10_000_000 if options.full else options.rows
    describe()
    warnings.filterwarnings("ignore", message="the fit did not converge")
    truth = scene()
    edges = chunk_edges(n, truth.n_features)
    size = f"{n} x {truth.n_features}, k={truth.n_components}"
    print(f"{size}, {STEPS} steps, {len(edges)} chunks; medians of {options.repeat} rounds")
    with ExitStack() as stack:
        X = together(truth, edges)
        fits = [lambda: fitted(X, truth, n_jobs=1)]
        fits += [stack.enter_context(clustered(number, truth, edges)) for number in (1, 2)]
        rounds = measured(fits, options.repeat)
    memory, one, two = np.median(rounds, axis=0)
    more, faster = rounds[:, 1] / rounds[:, 0] - 1, rounds[:, 1] / rounds[:, 2]
    print(f"in memory, one thread   {memory:8.2f} s")
    print(f"one worker              {one:8.2f} s   {spread(more, '+.0%')} over memory")
    print(f"two workers             {two:8.2f} s   {spread(faster, '.2f')} times one")


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


Fit = Callable[[], GaussianMixture]


@contextmanager
def clustered(workers: int, truth: Mixture, edges: list[int]) -> Iterator[Fit]:
    """Fits on a cluster that holds the rows."""

    def chunk(block_info: Any = None) -> np.ndarray:
        number = block_info[None]["chunk-location"][0]
        return drawn(truth, number, edges[number])

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        with client.as_current():
            X = da.map_blocks(chunk, chunks=(tuple(edges), (truth.n_features,)), dtype=float)
            X = client.persist(X)
            wait(X)

        def fit() -> GaussianMixture:
            with client.as_current():
                return fitted(X, truth)

        yield fit


def fitted(X: Any, truth: Mixture, **options: Any) -> GaussianMixture:
    given = {"means_init": truth.means + 0.3, "max_iter": STEPS, "tol": 0, "random_state": 0}
    return GaussianMixture(truth.n_components, **given, **options).fit(X)


def measured(fits: list[Fit], repeat: int) -> np.ndarray:
    """Seconds (rounds, fits), in turn, after fits that load all code."""
    models = [fit() for fit in fits]
    for model in models[1:]:
        if not np.allclose(model.means_, models[0].means_, rtol=0, atol=1e-8):
            raise SystemExit("workers gave other numbers")
    return np.array([[timed(fit)[0] for fit in fits] for _ in range(repeat)])


def spread(values: np.ndarray, form: str) -> str:
    """The median, and from the least to the most."""
    return f"{np.median(values):{form}} ({values.min():{form}} to {values.max():{form}})"


if __name__ == "__main__":
    main()
