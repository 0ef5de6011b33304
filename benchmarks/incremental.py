"""Passes over the rows to a likelihood: plain EM, accelerated EM, and incremental EM.

Rows are drawn from mixtures whose means lie `apart` standard deviations from each other, about.
All climb from the same start: the winner of a tournament on a sample, as every fit, or ("rows")
unit covariances at rows drawn at random. Given is how many passes over the rows each takes to come
within 1e-3 and 1e-6 nats a row of the highest likelihood it reaches in 2000, and the time of a pass
in CPU milliseconds. "*" ended elsewhere, more than 1e-5 nats a row from plain EM.

    python benchmarks/incremental.py           # 100 000 rows, some minutes
    python benchmarks/incremental.py --n 1000000 --parts 16
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mixtura import kernels
from mixtura.covariance import FAMILIES
from mixtura.fit import em, incremental
from mixtura.fit.em import Stop
from mixtura.fit.problem import Problem, state
from mixtura.fit.sample import sample
from mixtura.fit.start import tournament
from mixtura.mixture import Mixture
from mixtura.source import MemorySource

NEAR = (1e-3, 1e-6)


@dataclass(frozen=True)
class Case:
    """A mixture to draw rows from, and how they lie."""

    d: int
    k: int
    apart: float
    start: str = "tournament"
    order: str = "mixed"


CASES = (
    *(Case(4, 8, apart) for apart in (6.0, 4.0, 3.0, 2.0)),
    *(Case(4, 8, apart, "rows") for apart in (6.0, 4.0, 3.0, 2.0)),
    *(Case(16, 8, apart) for apart in (4.0, 2.0)),
    *(Case(16, 8, apart, "rows") for apart in (4.0, 2.0)),
    *(Case(4, 8, apart, "rows", "sorted") for apart in (4.0, 3.0)),
)


def drawn(case: Case, n: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of components of unequal weights and covariances."""
    means = rng.normal(size=(case.k, case.d)) * case.apart / np.sqrt(2.0 * case.d)
    labels = rng.choice(case.k, n, p=rng.dirichlet(np.full(case.k, 4.0)))
    if case.order == "sorted":
        labels = np.sort(labels)
    turns = rng.normal(size=(case.k, case.d, case.d)) / np.sqrt(case.d) + np.eye(case.d)
    noise = rng.normal(size=(n, case.d))
    return np.asarray(means[labels] + np.einsum("nd,nde->ne", noise, turns[labels] / 1.4))


def started(problem: Problem, case: Case, rng: np.random.Generator) -> Mixture:
    """The mixture that all climb from."""
    if case.start == "tournament":
        return tournament(sample(problem, case.k, rng), case.k, rng, Stop(), 1)[0].fit.mixture
    rows = problem.source.take(np.sort(rng.choice(problem.source.n, case.k, replace=False))).rows
    return problem.isotropic(problem.frame.read(rows))


def climbs(problem: Problem, start: Mixture, parts: list[int]) -> Iterator[tuple[str, list, float]]:
    """The likelihood after so many passes, and the time of a pass."""
    ways = [("plain", Stop(1e-10, 2000, accelerate=False)), ("accelerated", Stop(1e-10, 2000))]
    ways += [(f"{count} parts", Stop(1e-10, 2000, parts=count)) for count in parts]
    for name, stop in ways:
        seen: list[tuple[int, float]] = []
        begun = time.process_time()
        run = em.run if stop.parts == 1 else incremental.run
        fit = run(problem, start, stop, lambda *at, seen=seen: seen.append(at[:2]) and None)
        spent = (time.process_time() - begun) / (fit.n_iter + 1)
        yield name, [*seen, (fit.n_iter, fit.value)], spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--parts", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    kernels.use("compiled")
    for case in CASES:
        for seed in range(given.seeds):
            rng = np.random.default_rng([seed, case.k, case.d])
            source = MemorySource(drawn(case, given.n, rng))
            problem = state(source, FAMILIES["full"])
            start, plain = started(problem, case, rng), None
            cells = []
            for name, seen, spent in climbs(problem, start, given.parts):
                best = max(value for _, value in seen)
                plain = best if plain is None else plain
                found = [next(at for at, value in seen if value >= best - near) for near in NEAR]
                mark = "*" if abs(best - plain) > 1e-5 else ""
                cells.append(f"{name} {found[0]}/{found[1]}{mark} ({1e3 * spent:.0f})")
            print(case, seed, "  ".join(cells), flush=True)


if __name__ == "__main__":
    main()
