"""The main job's waiting times: the grid of models on Old Faithful, the import, the help.

The grid is k = 1..9 for four covariance families, chosen by BIC, as `mixtura.select` does it: the
first call in a fresh process (which runs on the plain kernels unless compiled ones pay), and once
more in the same process. `import mixtura` and `mixtura --help` are timed in fresh processes, as
the rise over a Python that starts and ends. Medians of several.

    python benchmarks/grid.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from machine import describe

FAITHFUL = Path(__file__).parent.parent / "examples" / "data" / "faithful.csv"
FAMILIES = ["full", "tied", "diag", "spherical"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        grid()
        return
    describe()
    process("-m", "mixtura", "--help")  # so that compiled bytecode is there
    rounds = [launched() for _ in range(options.rounds)]
    print(f"choice on Old Faithful: {rounds[0][2]}")
    print("| what                                  | seconds |\n|---|--:|")
    tell("grid, 36 models, first call", [float(first) for first, _, _ in rounds])
    tell("grid, 36 models, again", [float(again) for _, again, _ in rounds])
    nothing = statistics.median(process("-c", "") for _ in range(options.rounds))
    numpy = [process("-c", "import numpy") - nothing for _ in range(options.rounds)]
    tell("import numpy (for comparison)", numpy)
    for name, arguments in (
        ("import mixtura", ["-c", "import mixtura"]),
        ("from mixtura import GaussianMixture", ["-c", "from mixtura import GaussianMixture"]),
        ("mixtura --help", ["-m", "mixtura", "--help"]),
    ):
        tell(name, [process(*arguments) - nothing for _ in range(options.rounds)])
    print(f"(an empty Python takes {nothing:.3f} s, which is taken off the last four)")


def tell(what: str, seconds: list[float]) -> None:
    print(f"| {what:37s} | {statistics.median(seconds):7.3f} |", flush=True)


def launched() -> list[str]:
    """Seconds of the first and the second grid in a fresh process, and the choice."""
    command = [sys.executable, __file__, "--worker"]
    done = subprocess.run(command, env=ordinary(), stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout.strip().split("\t")


def grid() -> None:
    """Time the grid twice."""
    from mixtura import select

    rows = np.loadtxt(FAITHFUL, delimiter=",", skiprows=1)[:, -2:]
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        selection = select(rows, components=range(1, 10), families=FAMILIES, random_state=0)
        seconds.append(time.perf_counter() - start)
    print(*seconds, selection.sentence(), sep="\t")


def process(*arguments: str) -> float:
    """Seconds of a Python from start to end."""
    start = time.perf_counter()
    command = [sys.executable, *arguments]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, env=ordinary(), check=True, **quiet)
    return time.perf_counter() - start


def ordinary() -> dict[str, str]:
    """The environment, without a setting under which Python would parse every file each time."""
    kept = set(os.environ) - {"PYTHONDONTWRITEBYTECODE"}
    return {name: os.environ[name] for name in kept}


if __name__ == "__main__":
    main()
