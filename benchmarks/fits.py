"""Whole default fits beside scikit-learn: the likelihood reached, and the time.

For each trial of `problems.py`: our default fit, scikit-learn's with ``n_init=10`` for the
likelihood to reach, and scikit-learn's default single start for the time. Families of equal
meaning; a trial is reached if our mean log-likelihood is at least scikit-learn's minus 1e-3 nats.

    python benchmarks/fits.py [--seeds 3]
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.mixture import GaussianMixture as Theirs

from mixtura import GaussianMixture as Ours
from mixtura import kernels
from problems import Trial, trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kernels", default="compiled")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    kernels.use(options.kernels, optional=True)
    warnings.simplefilter("ignore")
    warm = np.random.default_rng(0).normal(size=(100, 2))
    for family in ("full", "tied", "diag", "spherical"):
        Ours(2, covariance_type=family, random_state=0).fit(warm)
    print("data                 family      k   ours  target   ours ms  theirs ms  ratio")
    rows = [line(trial, options.seeds) for trial in trials() if options.only in trial.name]
    reached = np.mean([row[0] for row in rows])
    ratios = np.array([row[1] for row in rows])
    print(f"\nreached {reached:.1%} of {len(rows)} trials x {options.seeds} seeds")
    print(
        f"time over scikit-learn's single start: median {np.median(ratios):.2f}, "
        f"total {sum(row[2] for row in rows) / sum(row[3] for row in rows):.2f}, "
        f"at most as long in {np.mean(ratios <= 1):.0%}"
    )


def line(trial: Trial, seeds: int) -> tuple[float, float, float, float]:
    """Print one trial; the share of seeds reached, the time ratio, and both times."""
    kind = {"covariance_type": trial.family}
    target = max(
        Theirs(trial.k, n_init=10, random_state=seed, **kind).fit(trial.X).score(trial.X)
        for seed in range(1)
    )
    ours, mine = timed(lambda seed: Ours(trial.k, random_state=seed, **kind), trial.X, seeds)
    _, theirs = timed(lambda seed: Theirs(trial.k, random_state=seed, **kind), trial.X, seeds)
    reached = float(np.mean([score >= target - 1e-3 for score in ours]))
    mark = "" if reached == 1 else f"  missed {1 - reached:.0%} by {target - min(ours):.3g}"
    print(
        f"{trial.name:20s} {trial.family:10s} {trial.k:2d} {min(ours):7.3f} {target:7.3f} "
        f"{mine:9.1f} {theirs:9.1f} {mine / theirs:7.2f}{mark}",
        flush=True,
    )
    return reached, mine / theirs, mine, theirs


def timed(make: Callable[[int], Any], X: np.ndarray, seeds: int) -> tuple[list[float], float]:
    """Scores over seeds and the median time of a fit in milliseconds."""
    scores, times = [], []
    for seed in range(seeds):
        start = time.perf_counter()
        model = make(seed).fit(X)
        times.append(1e3 * (time.perf_counter() - start))
        scores.append(float(model.score(X)))
    return scores, float(np.median(times))


if __name__ == "__main__":
    main()
