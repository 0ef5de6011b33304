"""What a measurement ran on, and helpers to measure with.

    python benchmarks/machine.py

prints the processor, its caches, the versions of all libraries that take part, and the speed of a
matrix product on one thread.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

PACKAGES = (
    "mixtura",
    "numpy",
    "scipy",
    "numba",
    "scikit-learn",
    "scikit-learn-intelex",
    "mlpack",
    "torch",
    "tgmm",
    "gmr",
)


def main() -> None:
    """Print it all."""
    describe()
    print(f"matrix product, one thread: {gemm_peak():.1f} GFlop/s (2000 x 2000, float64)")


def describe() -> None:
    """Print the processor and the versions; warn of settings that spoil a measurement."""
    print(processor())
    print(f"Python {platform.python_version()}; " + ", ".join(versions()))
    if os.environ.get("OPENBLAS_CORETYPE"):
        name = os.environ["OPENBLAS_CORETYPE"]
        print(f"WARNING: OPENBLAS_CORETYPE={name} is set: NumPy may be slower than it can be")
    print(flush=True)


def processor() -> str:
    """Model, number of processors and caches, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    known = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    known = {name.strip(): value.strip() for name, value in known.items()}
    name = known.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in known:
        name += f" (family {known['cpu family']}, model {known.get('model', '?')})"
    return ", ".join([name, f"{os.cpu_count()} processors", *_caches()])


def _caches() -> Iterator[str]:
    for place in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((place / n).read_text().strip() for n in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            yield f"L{level} {size}"


def versions() -> Iterator[str]:
    """Name and version of every library that is installed."""
    for name in PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


def gemm_peak(size: int = 2000, repeats: int = 5) -> float:
    """GFlop/s of NumPy's float64 matrix product on one thread: the best of some."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, size, size))
    with limited(1):
        best = min(timed(lambda: a @ b)[0] for _ in range(repeats))
    return 2e-9 * size**3 / best


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Hold every library that is loaded to so many threads."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "daal4py" in sys.modules:
        sys.modules["daal4py"].daalinit(threads)
    with threadpool_limits(threads):
        yield


def timed(function: Callable[[], object]) -> tuple[float, object]:
    """Seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


class Company:
    """How many processors other programs kept busy since this was made, where it can be told."""

    def __init__(self) -> None:
        self.start = self._now()

    def processors(self) -> float:
        """On average; zero where the system does not say."""
        busy, own, wall = (now - then for now, then in zip(self._now(), self.start, strict=True))
        return max(busy - own, 0.0) / wall if busy else 0.0

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Seconds: all processors busy, this program, the clock."""
        times = os.times()
        stat = Path("/proc/stat")
        ticks = list(map(int, stat.read_text().split()[1:9])) if stat.exists() else [0] * 8
        busy = sum(ticks) - ticks[3] - ticks[4]  # without idle and waiting for disks
        return busy / os.sysconf("SC_CLK_TCK"), sum(times[:4]), time.perf_counter()


def reset() -> float:
    """Set the peak back to what is resident now, if the system can; return the peak in bytes."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> float:
    """Bytes resident at the peak so far."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024.0 * float(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    main()
