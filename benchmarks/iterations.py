"""Time per EM iteration beside other libraries, from the same start, in one run.

For each size (n, d, k), family and number of threads, every library climbs from the same given
parameters for a small and for a larger number of iterations, never stopping early; the difference
of the two times over the difference of the iterations is the time of one iteration, without what
a fit needs before and after. Libraries take turns, round after round (ours, theirs, ours,
theirs, ...), and the median over the rounds counts. `peers.py` shows what exactly is called; ours
is `mixtura.fit.em.run` with ``tol=0`` and without acceleration on the compiled kernels, which is
the loop of every fit.

"GEMM" is the share of the speed of a 2000 x 2000 float64 matrix product on one thread (times the
number of threads), counting 2 n k d (d + 1) operations an iteration. Columns of other libraries
are their time over ours: above 1 we are faster. Marks: "~" measured on a tenth of the rows because
the whole takes too long; "*" does not reach our parameters after three iterations; "-" failed or
not installed.

    python benchmarks/iterations.py                          # a few sizes, under three minutes
    python benchmarks/iterations.py --full --json all.json   # all of them
    python benchmarks/iterations.py --cases 100000x8x10 --threads 1 --families full
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from machine import Company, describe, gemm_peak, limited, timed
from peers import OURS, PEERS, SINGLE, Climber, EarlyStop, Library, Task, made

QUICK = ("500x2x3", "10000x2x5", "100000x2x8", "100000x16x16", "100000x32x32")
FULL = (
    *("500x2x3", "10000x2x5", "100000x2x8", "1000000x2x8", "1000000x8x10", "100000x16x16"),
    *("100000x32x32", "100000x64x16", "20000x128x16", "10000x784x10", "100000x16x256"),
)
BOUNDS = 6, 32  # iterations of a climb: some libraries stop where the likelihood stands still
AGREE = {"mixtura float32": 1e-3}  # of standard deviations about one; else 1e-4


@dataclass(frozen=True)
class Effort:
    """Seconds of a turn, turns, and seconds of all turns of a library in one cell.

    A peer of which two iterations are expected to take longer than `slow`, times its patience, gets
    a tenth of the rows.
    """

    climb: float
    rounds: int
    budget: float
    slow: float


@dataclass
class Runner:
    """A library at work in one cell of the table."""

    library: Library
    climb: Climber
    scale: float = 1.0
    few: int = 1
    many: int = 3
    turns: list[float] = field(default_factory=list)
    spent: float = 0.0
    processors: float = 0.0
    agrees: bool = True

    def calibrate(self, effort: Effort, expected: np.ndarray | None) -> np.ndarray | None:
        """Choose the numbers of iterations; return the means after three."""
        elapsed, means = self._once(3)
        tolerance = AGREE.get(self.library.name, 1e-4)
        if means is not None and expected is not None and self.scale == 1:
            self.agrees = float(abs(means - expected).max()) <= tolerance
        self.many = int(np.clip(3 * effort.climb / elapsed, *BOUNDS))
        self.few = max(self.many // 8, 1)
        return means

    def turn(self, effort: Effort) -> None:
        """Both climbs, again and again if they are short."""
        try:
            self._turn(effort)
        except EarlyStop:  # it has converged to the last digit
            self.few, self.many = 1, 3
            self._turn(effort)

    def _turn(self, effort: Effort) -> None:
        short, long, start = [], [], time.perf_counter()
        while not long or time.perf_counter() < start + effort.climb:
            short.append(self._once(self.few)[0])
            long.append(self._once(self.many, watch=True)[0])
        self.spent += time.perf_counter() - start
        self.turns.append(self.scale * (min(long) - min(short)) / (self.many - self.few))

    def _once(self, iterations: int, watch: bool = False) -> tuple[float, np.ndarray | None]:
        wall, cpu = time.perf_counter(), time.process_time()
        means = self.climb(iterations)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if watch and wall > 0.05:
            self.processors = max(self.processors, cpu / wall)
        return wall, means

    @property
    def seconds(self) -> float:
        """Of one iteration on all rows: the median over turns."""
        return float(np.median(self.turns))

    @property
    def mark(self) -> str:
        return ("~" if self.scale != 1 else "") + ("" if self.agrees else "*")


def main() -> None:
    options = parse()
    effort = Effort(0.3, 5, 4.0, 6.0) if options.full else Effort(0.1, 3, 0.7, 2.0)
    describe()
    libraries = [library for library in (OURS, SINGLE, *PEERS) if wanted(library, options.only)]
    for library in libraries:
        library.load()
    peak = gemm_peak()
    print(f"matrix product: {peak:.1f} GFlop/s on one thread (2000 x 2000, float64)\n")
    cells = []
    for family in options.families:
        print(f"### {family}\n\n" + heading(libraries))
        for case in options.cases:
            cells += rows(case, family, options.threads, libraries, effort, peak)
        print(flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps({"gemm": peak, "cells": cells}, indent=1))


def parse() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", help="sizes as NxDxK")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--families", nargs="+", default=["full", "diag"])
    parser.add_argument("--only", nargs="+", help="peers to compare with, by name")
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--quick", action="store_true", help="a few sizes (the default)")
    effort.add_argument("--full", action="store_true", help="all sizes, and more rounds")
    parser.add_argument("--json", help="write all numbers to a file")
    options = parser.parse_args()
    options.cases = options.cases or (FULL if options.full else QUICK)
    return options


def wanted(library: Library, only: Sequence[str] | None) -> bool:
    """Whether a library takes part; say so where it is missing."""
    ours = library.module == "mixtura"
    if only is not None and not ours and library.name not in only:
        return False
    if not library.installed:
        print(f"{library.name} is not installed: skipped")
    return library.installed


def rows(
    case: str,
    family: str,
    threads: Sequence[int],
    libraries: Sequence[Library],
    effort: Effort,
    peak: float,
) -> Iterator[dict[str, Any]]:
    """Measure one size for each number of threads, print its rows, yield the numbers."""
    task = made(*map(int, case.split("x")), family)
    single = None
    for number in threads:
        company = Company()
        with limited(number):
            runners = measured(replace(task, threads=number), libraries, effort)
        others = company.processors()
        found = {runner.library.name: runner for runner in runners}
        seconds = {name: runner.seconds for name, runner in found.items()}
        single = seconds["mixtura"] if number == 1 else single
        print(line(task, number, found, libraries, peak, single), flush=True)
        if others > 0.1:
            print(f"    disturbed: other programs kept {others:.1f} processors busy")
        for runner in runners:
            if runner.processors > number + 0.2:
                print(f"    {runner.library.name} used {runner.processors:.1f} processors")
        n, d, k = task.size
        cell = {"n": n, "d": d, "k": k, "family": family, "threads": number}
        yield cell | {
            "seconds": seconds,
            "marks": {name: runner.mark for name, runner in found.items()},
            "gemm": share(task, seconds["mixtura"], number, peak),
            "speedup": single / seconds["mixtura"] if single else None,
            "others": others,
        }


def measured(task: Task, libraries: Sequence[Library], effort: Effort) -> list[Runner]:
    """Calibrate all libraries, then let them take turns."""
    runners, expected = [], None
    for library in libraries:
        try:
            runner = prepared(library, task, effort)
            means = runner.calibrate(effort, expected)
        except Exception as error:  # a peer that fails must not end the run
            if library.module == "mixtura":
                raise
            print(f"    {library.name}: {type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        expected = means if expected is None else expected
        runners.append(runner)
    for _ in range(effort.rounds):
        for runner in runners:
            if runner.spent < effort.budget:
                runner.turn(effort)
    return runners


def prepared(library: Library, task: Task, effort: Effort) -> Runner:
    """On all rows; for a peer that would take too long on a tenth of them, or not at all."""
    n, d, k = task.size
    if library.module == "mixtura" or n < 10_000:
        return Runner(library, library.make(task))
    climb = library.make(replace(task, X=task.X[: n // 10]))
    try:
        climb(1)
        expected = 10 * timed(lambda: climb(2))[0] / library.patience
    except Exception:  # a tenth may be too few rows for it
        expected = 0.0
    if expected > effort.slow and n // 10 >= 3 * k * d:
        return Runner(library, climb, 10.0)
    if expected > 8 * effort.slow:
        raise TimeoutError("too slow to wait for")
    return Runner(library, library.make(task))


def share(task: Task, seconds: float, threads: int, peak: float) -> float | None:
    """Of the speed of a matrix product; full covariances only."""
    n, d, k = task.size
    flops = 2e-9 * n * k * d * (d + 1)
    return flops / seconds / (threads * peak) if task.family == "full" else None


def heading(libraries: Sequence[Library]) -> str:
    """The first two lines of a table."""
    peers = [library.name for library in libraries if library.module != "mixtura"]
    names = ["n", "d", "k", "threads", "ms", "GEMM", "two/one", "float32", *peers]
    widths = [len(cell) for cell in aligned(names, peers)]
    rule = "|".join("-" * (width + 1) + ":" for width in widths)
    return "| " + " | ".join(aligned(names, peers)) + " |\n|" + rule + "|"


def aligned(cells: Sequence[str], peers: Sequence[str]) -> list[str]:
    widths = [7, 3, 3, 7, 8, 4, 7, 7, *(max(len(name), 7) for name in peers)]
    return [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]


def line(
    task: Task,
    threads: int,
    found: dict[str, Runner],
    libraries: Sequence[Library],
    peak: float,
    single: float | None,
) -> str:
    """One row of the table."""
    ours = found["mixtura"].seconds
    gemm = share(task, ours, threads, peak)
    half = found[SINGLE.name]
    cells = [
        *map(str, (*task.size, threads)),
        f"{1e3 * ours:.4g}",
        "" if gemm is None else f"{gemm:.0%}",
        f"{single / ours:.2f}" if single and threads > 1 else "",
        f"{ours / half.seconds:.2f}{half.mark}",
    ]
    peers = [library.name for library in libraries if library.module != "mixtura"]
    for name in peers:
        peer = found.get(name)
        cells.append("-" if peer is None else f"{peer.seconds / ours:.3g}{peer.mark}")
    return "| " + " | ".join(aligned(cells, peers)) + " |"


if __name__ == "__main__":
    main()
