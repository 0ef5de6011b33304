"""Many components: E+M steps with candidates beside exact ones, from the same start.

Rows are drawn from k overlapping Gaussians in 16 columns. Both climbs take plain steps from the
same partition; a step is timed by the processor time of its E-step and M-step, the median over
the climb. "loss" is what the lower bound lacks of the log-likelihood at the same parameters, with
its standard error, and "behind" how far the log-likelihood at the end of the climb with candidates
lies behind that of the exact one, both in nats a row. The first step with candidates searches all
components and is given apart.

    python benchmarks/large_k.py                    # 50 000 rows, about two minutes
    python benchmarks/large_k.py --full             # 1 000 000 rows, k to 2000
    python benchmarks/large_k.py --full --components 1000 --sizes 5,10 --steps 60 --exact 3
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from machine import describe
from mixtura import Mixture, Shortlist, kernels
from mixtura.covariance import FAMILIES
from mixtura.fit import brisk
from mixtura.fit.candidates import audited
from mixtura.fit.problem import Point, Problem, shortlisted, state
from mixtura.fit.sample import from_labels, sample
from mixtura.source import MemorySource

D = 16


@dataclass(frozen=True)
class Climb:
    """Where a climb ended, the seconds of its first step, and of a step later."""

    last: Point
    first: float
    later: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="a million rows")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--components", nargs="+", type=int)
    parser.add_argument("--sizes", nargs="+", default=["3,10", "5,10", "8,16"], help="C',search")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--exact", type=int, help="steps of the exact climb, if fewer")
    options = parser.parse_args()
    describe()
    kernels.use("compiled")
    warm()
    n = options.rows or (1_000_000 if options.full else 50_000)
    print(f"{n} rows x {D}, full covariances, one thread, seconds of processor time\n")
    print("| k | C' | search | exact step | step | times | first | loss | error | behind |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    ks = options.components or ([250, 500, 1000, 2000] if options.full else [125, 250, 500, 1000])
    for k in ks:
        measure(n, k, [Shortlist(*map(int, one.split(","))) for one in options.sizes], options)


def warm() -> None:
    """Compile, or load, what is timed later."""
    for shortlist in (None, Shortlist(2, 2)):
        stated = shortlisted(state(MemorySource(rows(2000, 4)), FAMILIES["full"]), shortlist)
        climbed(stated, stated.isotropic(np.random.default_rng(0).normal(size=(4, D))), 3)


def rows(n: int, k: int) -> np.ndarray:
    """Rows (n, 16) of k Gaussians, each with its own elongated covariance."""
    rng = np.random.default_rng(k)
    means, labels = rng.normal(0.0, 1.5, (k, D)), np.sort(rng.integers(k, size=n))
    factors = rng.normal(0.0, 0.2, (k, D, D)) + 0.7 * np.eye(D)
    out = rng.normal(size=(n, D))
    for index, part in enumerate(np.split(out, np.cumsum(np.bincount(labels, minlength=k))[:-1])):
        part[:] = part @ factors[index].T + means[index]
    return rng.permutation(out)


def measure(n: int, k: int, shortlists: Sequence[Shortlist], options: Any) -> None:
    """Climb exactly, then with each shortlist; print a row for each."""
    exact = state(MemorySource(rows(n, k)), FAMILIES["full"])
    small = sample(shortlisted(exact, shortlists[0]), k, np.random.default_rng(0))
    labels = next(brisk.partitions(small, k, np.random.default_rng(1), 1))[1]
    start = from_labels(small, labels, k)
    alike = options.exact is None
    whole = climbed(exact, start, options.steps if alike else options.exact)
    for shortlist in shortlists:
        stated = shortlisted(exact, shortlist)
        found = climbed(stated, start, options.steps)
        loss = audited(stated.source, found.last.mixture, found.last.candidates)
        behind = f"{whole.last.value - exact.at(found.last.mixture).value:.4f}" if alike else "-"
        cells = [
            f"{k} | {shortlist.size} | {shortlist.search} | {whole.later:.2f} | {found.later:.3f}",
            f"{whole.later / found.later:.1f} | {found.first:.2f} | {loss.loss:.1g}",
            f"{loss.error:.1g} | {behind}",
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


def climbed(stated: Problem, start: Mixture, steps: int) -> Climb:
    """Plain steps from a start."""
    here, seconds = None, []
    mixture = start
    for _ in range(steps):
        begun = time.process_time()
        here = stated.at(mixture, here)
        mixture = stated.maximized(here.data, mixture)
        seconds.append(time.process_time() - begun)
    assert here is not None
    return Climb(here, seconds[0], float(np.median(seconds[1:])))


if __name__ == "__main__":
    main()
