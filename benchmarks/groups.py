"""Thousands of small mixtures: `fit_groups` beside a loop over scikit-learn's GaussianMixture(2).

Each group is drawn from two Gaussians with random means, shapes and weights, so that some are far
apart and others overlap. scikit-learn fits the first groups only, one start each as by default, and
the time of all is its time for these in proportion. CPU seconds, in turns; the first round of ours
does not count (it compiles, where that has not been done on this machine).

    python benchmarks/groups.py                    # 2 000 groups of 200 x 3
    python benchmarks/groups.py --full             # 10 000
    python benchmarks/groups.py --jobs 2           # elapsed seconds matter then
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.mixture import GaussianMixture as Theirs

from machine import describe, limited
from mixtura import GaussianMixture, fit_groups

SIZE, FEATURES, COMPONENTS = 200, 3, 2
LOST = 0.1
"""Nats by which a group is behind."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--groups", type=int, default=2000)
    parser.add_argument("--full", action="store_true", help="10 000 groups")
    parser.add_argument("--beside", type=int, default=200, help="groups for scikit-learn")
    parser.add_argument("--apart", type=float, default=2.0, help="deviation of the means")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    describe()
    count = 10_000 if options.full else options.groups
    beside = min(options.beside, count)
    groups = drawn(count, options.apart)
    X, by = groups.reshape(-1, FEATURES), np.repeat(np.arange(count), SIZE)
    theirs, ours, elapsed = [], [], []
    with limited(1):
        fit_groups(X, by, COMPONENTS, n_jobs=options.jobs)
        for _ in range(options.rounds):
            cpu, wall, found = timed(lambda: fit_groups(X, by, COMPONENTS, n_jobs=options.jobs))
            ours.append(cpu / count)
            elapsed.append(wall)
            cpu, _, scores = timed(lambda: loop(groups[:beside], Theirs))
            theirs.append(cpu / beside)
        own = loop(groups[: beside // 2], GaussianMixture)
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"{count} groups of {SIZE} x {FEATURES}, k={COMPONENTS}, means {options.apart} apart")
    print(f"fit_groups    {1e6 * mine:8.0f} us a group, {statistics.median(elapsed):.2f} s in all")
    print(f"scikit-learn  {1e6 * other:8.0f} us a group: {other / mine:.0f} times as long")
    print(f"{int(found.alone.sum())} groups fitted alone; {int(found.converged.sum())} converged")
    told("scikit-learn", found.log_likelihood[:beside] - scores)
    told("GaussianMixture of mixtura", found.log_likelihood[: beside // 2] - own)


def drawn(count: int, apart: float) -> np.ndarray:
    """Rows (groups, n, d)."""
    rng = np.random.default_rng(0)
    means = rng.normal(0, apart, (count, 2, FEATURES))
    shapes = rng.normal(size=(count, 2, FEATURES, FEATURES))
    labels = (rng.random((count, SIZE)) < rng.beta(5, 5, (count, 1))).astype(int)
    noise, at = rng.normal(size=(count, SIZE, FEATURES)), np.arange(count)[:, None]
    return means[at, labels] + np.einsum("gni,gnij->gnj", noise, shapes[at, labels])


def loop(groups: np.ndarray, model: type) -> np.ndarray:
    """Log-likelihoods of fits one after the other."""
    fits = (model(COMPONENTS, random_state=0).fit(rows).score(rows) for rows in groups)
    return SIZE * np.array(list(fits))


def timed(call: Callable[[], object]) -> tuple[float, float, object]:
    """CPU and elapsed seconds, and what the call returns."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = call()
    return time.process_time() - cpu, time.perf_counter() - wall, found


def told(name: str, gain: np.ndarray) -> None:
    """How often ours is behind and ahead, in nats of a group's log-likelihood."""
    behind, ahead = gain[gain < -LOST], gain[gain > LOST]
    print(
        f"beside {name}: behind in {len(behind) / len(gain):.1%} of {len(gain)} groups "
        f"(mean {behind.mean() if len(behind) else 0.0:.3g}), ahead in "
        f"{len(ahead) / len(gain):.1%}, {gain.mean():+.3g} nats a group on average"
    )


if __name__ == "__main__":
    main()
