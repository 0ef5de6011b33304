"""All benchmarks in their quick versions, one after the other, in about six minutes.

    python benchmarks/run.py

`iterations.py --full` measures all sizes of the published table, `fits.py --seeds 3` more seeds.
Nothing else should run meanwhile. The first run on a machine also compiles the kernels.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

PARTS = (
    ("Time per EM iteration", ["iterations.py", "--quick"]),
    ("Whole fits beside scikit-learn", ["fits.py", "--seeds", "1"]),
    ("Memory", ["memory.py"]),
    ("Grid of models, import, help", ["grid.py"]),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    folder = Path(__file__).parent
    failed = []
    for title, (script, *arguments) in PARTS:
        print(f"\n## {title}: python benchmarks/{' '.join([script, *arguments])}\n", flush=True)
        start = time.perf_counter()
        done = subprocess.run([sys.executable, str(folder / script), *arguments])
        print(f"\n({time.perf_counter() - start:.0f} s)", flush=True)
        if done.returncode:
            failed.append(script)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
