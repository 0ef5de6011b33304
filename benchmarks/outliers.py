"""Outlier detection beside other methods: AUROC and average precision on labelled sets.

    python benchmarks/outliers.py FOLDER [--most 20000] [--widest 200] [--rounds 3]
    python benchmarks/outliers.py --planted

FOLDER holds `.npz` files with `X` and `y` (1 for outliers) as ADBench has them: its "Classical"
sets, https://github.com/Minqi824/ADBench, folder `adbench/datasets/Classical` (Han, Hu, Huang,
Jiang & Zhao 2022, "ADBench: Anomaly detection benchmark", NeurIPS). With --planted, stand-ins made
here of scikit-learn's data: one class, or the whole set, is typical, and rows are planted in it.
These are no substitute for the public sets.

Each detector is fitted without labels to all rows, columns standardised, and its scores are
compared with the labels. Random methods are run with several seeds, and the mean is shown. Larger
sets are sampled down to --most rows; those with more columns than --widest are left out.

Besides: what becomes of the fit under contamination (--robust), for which the detector's default
was chosen.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata, skew
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from machine import describe
from mixtura import MixtureOutlierDetector

Labelled = tuple[str, np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--planted", action="store_true")
    parser.add_argument("--robust", action="store_true")
    parser.add_argument("--most", type=int, default=20_000)
    parser.add_argument("--widest", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.folder is None and not (options.planted or options.robust):
        parser.error("give a FOLDER of .npz files, --planted or --robust")
    warnings.simplefilter("ignore")
    describe()
    if options.folder is not None:
        compare(stored(options.folder, options.most, options.widest), METHODS, options.rounds)
    if options.planted:
        compare(planted(), METHODS, options.rounds)
    if options.robust:
        compare(contaminated(), GUARDS, options.rounds)


def compare(sets: Iterator[Labelled], methods: dict[str, Any], rounds: int) -> None:
    """A line for each set: AUROC / average precision of each method, and the time of all."""
    names = list(methods)
    print("| set | rows | columns | outliers | " + " | ".join(names) + " |")
    print("|---|--:|--:|--:|" + "--:|" * len(names))
    found, seconds = [], np.zeros(len(names))
    for title, X, y in sets:
        line = []
        for place, name in enumerate(names):
            start = time.perf_counter()
            scores = [methods[name](X, seed) for seed in range(rounds)]
            seconds[place] += (time.perf_counter() - start) / rounds
            line.append(
                [
                    np.mean([roc_auc_score(y, one) for one in scores]),
                    np.mean([average_precision_score(y, one) for one in scores]),
                ]
            )
        found.append(line)
        told = " | ".join(f"{auroc:.3f} / {precision:.3f}" for auroc, precision in line)
        print(f"| {title} | {len(X)} | {X.shape[1]} | {y.mean():.3f} | {told} |", flush=True)
    means = np.mean(found, axis=0)
    ranks = np.mean([rankdata([-auroc for auroc, _ in line]) for line in found], axis=0)
    told = " | ".join(f"{auroc:.3f} / {precision:.3f}" for auroc, precision in means)
    print(f"| mean | | | | {told} |")
    print("| mean rank by AUROC | | | | " + " | ".join(f"{rank:.2f}" for rank in ranks) + " |")
    print("| seconds, all sets | | | | " + " | ".join(f"{one:.1f}" for one in seconds) + " |")
    print()


# ---- methods: rows and a seed -> scores, high for outliers


def mixture(**options: Any) -> Callable[[np.ndarray, int], np.ndarray]:
    def score(X: np.ndarray, seed: int) -> np.ndarray:
        detector = MixtureOutlierDetector(random_state=seed, **options)
        return -detector.fit(X).score_samples(X)

    return score


def forest(X: np.ndarray, seed: int) -> np.ndarray:
    return -IsolationForest(random_state=seed).fit(X).score_samples(X)


def local(X: np.ndarray, seed: int) -> np.ndarray:
    """Local outlier factor with 20 neighbours, as is usual."""
    found = LocalOutlierFactor(n_neighbors=min(20, len(X) - 1)).fit(X)
    return -found.negative_outlier_factor_


def neighbours(X: np.ndarray, seed: int) -> np.ndarray:
    """Distance to the fifth nearest neighbour (Ramaswamy, Rastogi & Shim 2000)."""
    return NearestNeighbors(n_neighbors=5).fit(X).kneighbors()[0][:, -1]


def ecod(X: np.ndarray, seed: int) -> np.ndarray:
    """Empirical cumulative distributions of the columns (Li, Zhao, Hu, Botta, Ionescu & Chen 2022).

    The largest of the summed ``-log`` left tails, right tails, and of each column the tail on the
    side to which it is skewed.
    """
    left = -np.log(rankdata(X, method="max", axis=0) / len(X))
    right = -np.log(rankdata(-X, method="max", axis=0) / len(X))
    chosen = np.where(skew(X, axis=0) < 0, left, right)
    return np.max([left.sum(axis=1), right.sum(axis=1), chosen.sum(axis=1)], axis=0)


METHODS = {
    "mixtura": mixture(),
    "mixtura, t": mixture(trim=0.0, distribution="t"),
    "IsolationForest": forest,
    "LOF": local,
    "kNN": neighbours,
    "ECOD": ecod,
}

FULL = {"covariance_type": "full"}
GUARDS = {
    "trim 0.2": mixture(**FULL, trim=0.2),
    "trim 0.05": mixture(**FULL, trim=0.05),
    "Student's t": mixture(**FULL, trim=0.0, distribution="t"),
    "plain": mixture(**FULL, trim=0.0),
}


# ---- sets


def stored(folder: Path, most: int, widest: int) -> Iterator[Labelled]:
    """The sets of a folder, by name; constant columns are left out."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as held:
            X, y = held["X"].astype(float), held["y"].astype(int).ravel()
        if len(X) > most:
            some = np.random.default_rng(0).choice(len(X), most, replace=False)
            X, y = X[some], y[some]
        if 0 < y.sum() < len(y) and X.shape[1] <= widest:
            yield path.stem, standardised(X), y


def standardised(X: np.ndarray) -> np.ndarray:
    X = X[:, X.std(axis=0) > 0]
    return (X - X.mean(axis=0)) / X.std(axis=0)


def planted() -> Iterator[Labelled]:
    """Stand-ins: typical rows of scikit-learn's data, and others planted among them."""
    rng = np.random.default_rng(0)
    cancer, wine, digits = load_breast_cancer(), load_wine(), load_digits()
    benign, malignant = cancer.data[cancer.target == 1], cancer.data[cancer.target == 0]
    yield among("cancer: 20 malignant", benign, rng.permutation(malignant)[:20])
    first = wine.target == 0
    yield among("wine: class 0 planted", wine.data[~first], rng.permutation(wine.data[first])[:10])
    pixels = digits.data[:, digits.data.std(axis=0) > 1.0]
    fours = digits.target == 4
    yield among("digits: fours planted", pixels[~fours], rng.permutation(pixels[fours])[:40])
    yield among("cancer: columns shuffled", benign, shuffled(benign, 20, rng))
    yield among("digits: columns shuffled", pixels, shuffled(pixels, 60, rng))
    ranges = benign.min(axis=0), benign.max(axis=0)
    yield among("cancer: uniform in the ranges", benign, rng.uniform(*ranges, (20, len(ranges[0]))))


def among(title: str, typical: np.ndarray, odd: np.ndarray) -> Labelled:
    y = np.repeat([0, 1], [len(typical), len(odd)])
    return title, standardised(np.concatenate([typical, odd])), y


def shuffled(X: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Rows whose every column is that of another row: usual values that do not go together."""
    return np.column_stack([rng.choice(column, n) for column in X.T])


def contaminated() -> Iterator[Labelled]:
    """Three groups in five columns with a share of rows of another kind."""
    for kind in ("wide", "uniform", "cluster", "loose cluster"):
        for share in (0.02, 0.2):
            rng = np.random.default_rng(0)
            d, n = 5, 600
            centres = rng.normal(0, 4, (3, d))
            factors = rng.normal(0, 0.5, (3, d, d)) + np.eye(d)
            rows = [
                rng.normal(size=(n // 3, d)) @ f.T + c
                for f, c in zip(factors, centres, strict=True)
            ]
            typical, count = np.concatenate(rows), round(share * n)
            yield among(f"{kind}, {share:g}", typical, odd_rows(kind, typical, count, rng))


def odd_rows(kind: str, X: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    middle, spread = X.mean(axis=0), X.std(axis=0)
    if kind == "wide":
        return middle + 2.5 * spread * rng.normal(size=(n, len(middle)))
    if kind == "uniform":
        return rng.uniform(X.min(axis=0), X.max(axis=0), (n, len(middle)))
    width = 0.05 if kind == "cluster" else 1.0
    return middle + 3.0 * spread + width * spread * rng.normal(size=(n, len(middle)))


if __name__ == "__main__":
    main()
