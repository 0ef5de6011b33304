"""Files of any size: peak memory and seconds a pass, as the rows grow.

Rows are drawn from a mixture and written as float32 to a .npy file, in chunks. A fresh process fits
ten full covariances to each file with a short and a longer climb from a given start; what a pass
takes is the difference between them, divided by that in passes over the rows. Beside it stand the
time of reading the file alone, block by block, and that of a pass over rows in memory (the first
million, per row): their sum is what a pass would take that lost nothing. The peak is the
whole process's, Python, NumPy, SciPy and the compiled kernels among it ("before" the fit).

    python benchmarks/any_size.py [FOLDER]              # 1e5, 3e5, 1e6 rows
    python benchmarks/any_size.py FOLDER --full         # to 1e8: 3.2 GB in FOLDER, then removed

FOLDER, where the files are written and the figure any_size.png stays, is by default a temporary
one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from machine import describe, peak, reset
from mixtura import GaussianMixture, kernels, scan
from mixtura.reading.cache import released
from mixtura.source import MemorySource

D, K = 8, 10
SIZES, ALL = (100_000, 300_000, 1_000_000), (3_000_000, 10_000_000, 30_000_000, 100_000_000)
CHUNK = 500_000
HELD = 1_000_000
"""Rows in memory that a pass without files is timed on."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--full", action="store_true", help="to 100 000 000 rows")
    parser.add_argument("--steps", type=int, nargs=2, default=(2, 6))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measured(options.worker, options.steps, options.threads)))
        return
    describe()
    folder = options.folder or Path(tempfile.mkdtemp())
    sizes = (*SIZES, *ALL) if options.full else SIZES
    found = series(folder, sizes, options)
    drawn(found, folder / "any_size.png")
    print(f"\n{folder / 'any_size.png'}")


def series(folder: Path, sizes: tuple[int, ...], options: argparse.Namespace) -> list[dict]:
    """Write, measure and remove one file after the other."""
    steps, threads = options.steps, options.threads
    print(f"x {D} float32, k={K}, full, {steps[0]} and {steps[1]} steps, {threads} thread(s)\n")
    print("|      rows | peak MB | before | s a pass | reading | kernel | ratio |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    found = []
    for n in sizes:
        path = folder / f"rows-{n}.npy"
        written(path, n)
        one = launched(path, steps, threads)
        path.unlink()
        found.append({"rows": n, **one})
        ratio = one["pass"] / (one["reading"] + one["kernel"])
        print(
            f"| {n:9d} | {one['peak']:7.0f} | {one['before']:6.0f} | {one['pass']:8.3f} | "
            f"{one['reading']:7.3f} | {one['kernel']:6.3f} | {ratio:5.2f} |",
            flush=True,
        )
    return found


def written(path: Path, n: int) -> None:
    """A .npy file of so many rows, of which one chunk is in memory at a time."""
    from problems import scene

    truth = scene(D, K)
    header = {"descr": "<f4", "fortran_order": False, "shape": (n, D)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for number, start in enumerate(range(0, n, CHUNK)):
            rows = truth.sample(min(CHUNK, n - start), number)
            file.write(np.ascontiguousarray(rows, dtype=np.float32).data)
    np.savez(
        path.parent / "start.npz",
        weights_init=truth.weights,
        means_init=truth.means + 0.3,
        precisions_init=np.linalg.inv(truth.covariances),
    )


def launched(path: Path, steps: tuple[int, int], threads: int) -> dict[str, float]:
    """What a fresh process measures."""
    command = [sys.executable, __file__, "--worker", str(path), "--threads", str(threads)]
    command += ["--steps", *map(str, steps)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(path: Path, steps: tuple[int, int], threads: int) -> dict[str, float]:
    """Megabytes at the peak and before it; seconds of a pass, of reading, and of the kernel."""
    warnings.simplefilter("ignore")
    kernels.use("compiled")
    start = dict(np.load(path.parent / "start.npz"))

    def fit(rows: Any, most: int) -> GaussianMixture:
        model = GaussianMixture(K, max_iter=most, tol=0, random_state=0, n_jobs=threads, **start)
        return model.fit(rows)

    fit(np.load(path, mmap_mode="r")[:70_000].copy(), 2)
    before = reset()
    a_pass = between(lambda most: fit(scan(path), most), steps)
    most = peak()
    held = np.array(np.load(path, mmap_mode="r")[:HELD])
    kernel = between(lambda most: fit(held, most), steps) / len(held)
    n = len(np.load(path, mmap_mode="r"))
    seconds = {"pass": a_pass, "reading": reading(path), "kernel": kernel * n}
    return {"peak": most / 1e6, "before": before / 1e6, **seconds}


def between(fit: Callable[[int], Any], steps: tuple[int, int]) -> float:
    """Seconds a pass, from two climbs that differ in nothing but their length."""
    times, passes, total = [], [], MemorySource.sum
    for most in steps:
        seen = [0]

        def counted(self: Any, function: Any, seen: list[int] = seen) -> Any:
            seen[0] += 1
            return total(self, function)

        MemorySource.sum = counted  # type: ignore[method-assign]
        start = time.perf_counter()
        fit(most)
        times.append(time.perf_counter() - start)
        passes.append(seen[0])
    MemorySource.sum = total  # type: ignore[method-assign]
    return (times[1] - times[0]) / (passes[1] - passes[0])


def reading(path: Path, blocks: int = 1 << 14) -> float:
    """Seconds to bring every row of the mapped file to memory once, and let it go."""
    mapped = np.load(path, mmap_mode="r")
    buffer = np.empty((blocks, D), mapped.dtype)
    start = time.perf_counter()
    for at in range(0, len(mapped), blocks):
        part = mapped[at : at + blocks]
        np.copyto(buffer[: len(part)], part)
        released(part)
    return time.perf_counter() - start


def drawn(found: list[dict[str, float]], path: Path) -> None:
    """Time and memory over the number of rows, both axes by powers of ten."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    n = np.array([one["rows"] for one in found])
    seconds = np.array([one["pass"] for one in found])
    least = np.array([one["reading"] + one["kernel"] for one in found])
    left.loglog(n, seconds, "o-", label="a pass over the file")
    left.loglog(n, least, "s--", label="reading + kernel alone")
    left.loglog(n, seconds[-1] * n / n[-1], ":", color="grey", label="in proportion to the rows")
    left.set(xlabel="rows", ylabel="seconds")
    right.loglog(n, [one["peak"] for one in found], "o-", label="peak of the process")
    right.loglog(n, 4e-6 * D * n, "--", color="grey", label="the rows themselves")
    right.set(xlabel="rows", ylabel="megabytes")
    for axes in (left, right):
        axes.legend(frameon=False, fontsize="small")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
