"""Peak extra memory of a fit on 1 000 000 x 8 with 10 components, and of predict_proba.

Each measurement runs in a fresh process: load the rows from a file, do the same on 70 000 of them
so that all code is loaded, give free memory back to the system, then measure how far the resident
memory rises above that during one call. The peak is the kernel's (VmHWM, set back just before the
call; where the system cannot set it back, ru_maxrss). From predict_proba the size of its result is
taken off. All full covariances, one thread and two for ours; ours is a whole default fit with its
tournament of starts, the others climb a few iterations from a given start.

    python benchmarks/memory.py [--size 1000000x8x10]
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from machine import describe, peak, reset
from peers import OURS, PEERS, Task, daal, made

WARM_UP = 70_000
LIBRARIES = {library.name: library for library in (OURS, *PEERS)}
JOBS = (
    ("mixtura", "fit", 1),
    ("mixtura", "fit", 2),
    ("scikit-learn", "fit", 1),
    ("daal4py", "fit", 1),
    ("mixtura", "predict_proba", 1),
    ("mixtura", "predict_proba", 2),
    ("scikit-learn", "predict_proba", 1),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="1000000x8x10", help="NxDxK")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = tuple(map(int, options.size.split("x")))
    if options.worker:
        name, job, threads, path = options.worker
        print(json.dumps(measured(name, job, int(threads), size, Path(path))))
        return
    describe()
    taken = 8e-6 * size[0] * size[1]
    print(f"extra MB at the peak, {options.size} (the rows take {taken:.0f} MB)\n")
    print(f"| {'library':12s} | {'call':13s} | threads | extra MB |\n|---|---|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        np.save(path, made(*size).X)
        for name, job, threads in JOBS:
            if not LIBRARIES[name].installed:
                print(f"{name} is not installed: skipped")
                continue
            extra = launched(name, job, threads, options.size, path)
            print(f"| {name:12s} | {job:13s} | {threads:7d} | {extra:8.1f} |", flush=True)


def launched(name: str, job: str, threads: int, size: str, path: Path) -> float:
    """Megabytes, from a fresh process that may use so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | {variable: str(threads) for variable in names}
    command = [sys.executable, __file__, "--size", size, "--worker", name, job, str(threads), path]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def measured(name: str, job: str, threads: int, size: tuple[int, ...], path: Path) -> float:
    """Megabytes by which the resident memory rises during one call."""
    warnings.simplefilter("ignore")
    task = replace(made(1000, *size[1:]), X=np.load(path), threads=threads)
    few = replace(task, X=task.X[:WARM_UP].copy())
    call = {"fit": fit, "predict_proba": predict_proba}[job]
    call(name, few, few)()
    del few
    ready = call(name, task, replace(task, X=task.X[:WARM_UP]))
    gc.collect()
    trimmed()
    before = reset()
    result = ready()
    extra = peak() - before
    if job == "predict_proba":
        extra -= result.nbytes
    return extra / 1e6


def fit(name: str, task: Task, small: Task) -> Callable[[], Any]:
    """A whole fit of ours; five iterations of theirs."""
    if name == "daal4py":
        import daal4py

        daal4py.daalinit(task.threads)
        climb = daal(task)
        return lambda: climb(5)
    model = estimator(name, task)
    return lambda: model.fit(task.X)


def predict_proba(name: str, task: Task, small: Task) -> Callable[[], Any]:
    """Responsibilities of all rows by a model fitted to some."""
    model = estimator(name, small).fit(small.X)
    return lambda: model.predict_proba(task.X)


def estimator(name: str, task: Task) -> Any:
    """The estimator of ours or of scikit-learn."""
    k = len(task.weights)
    if name == "mixtura":
        from mixtura import GaussianMixture, kernels

        kernels.use("compiled")
        return GaussianMixture(k, random_state=0, n_jobs=task.threads)
    from sklearn.mixture import GaussianMixture as Theirs

    start = {"weights_init": task.weights, "means_init": task.means}
    return Theirs(k, max_iter=5, precisions_init=task.precisions, **start)


def trimmed() -> None:
    """Give freed memory back to the system, where the C library can."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return


if __name__ == "__main__":
    main()
