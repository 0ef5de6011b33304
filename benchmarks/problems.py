"""The problem set of the whole-fit benchmark: real data and blobs of every kind, all seeded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn import datasets

from mixtura import Mixture

FAITHFUL = Path(__file__).parent.parent / "examples" / "data" / "faithful.csv"


@dataclass(frozen=True)
class Trial:
    """A data set, a number of components and a covariance family."""

    name: str
    X: np.ndarray
    k: int
    family: str


def trials() -> Iterator[Trial]:
    """Every trial of the set."""
    for name, X, k in [*real(), *made()]:
        families = ["full", "tied", "diag", "spherical"] if X.shape[1] <= 30 else ["full", "diag"]
        for family in families:
            yield Trial(name, X, k, family)


def real() -> Iterator[tuple[str, np.ndarray, int]]:
    """Data sets that scikit-learn ships, and Old Faithful."""
    faithful = np.loadtxt(FAITHFUL, delimiter=",", skiprows=1)[:, -2:]
    yield "faithful", faithful, 2
    yield "faithful", faithful, 3
    for name, k in (("iris", 3), ("wine", 3), ("breast_cancer", 2), ("digits", 10)):
        yield name, getattr(datasets, f"load_{name}")().data, k


def made() -> Iterator[tuple[str, np.ndarray, int]]:
    """Blobs: overlap from none to strong, anisotropic, unequal, many, high-dimensional."""
    for spread in (0.3, 1.0, 2.0, 3.0):
        X = datasets.make_blobs(500, 2, centers=4, cluster_std=spread, random_state=1)[0]
        yield f"blobs, spread {spread}", X, 4
    X = datasets.make_blobs(600, 2, centers=3, random_state=170)[0]
    yield "anisotropic", X @ np.array([[0.6, -0.64], [-0.4, 0.85]]), 3
    X = datasets.make_blobs(900, 2, centers=3, cluster_std=[1.0, 2.5, 0.5], random_state=170)[0]
    yield "unequal spreads", X, 3
    centers = np.random.default_rng(0).uniform(-8, 8, (3, 2))
    X = datasets.make_blobs([900, 90, 30], 2, centers=centers, random_state=2)[0]
    yield "unequal sizes", X, 3
    X = datasets.make_blobs(2000, 2, centers=12, cluster_std=0.7, random_state=3)[0]
    yield "twelve blobs", X, 12
    X = datasets.make_blobs(2000, 20, centers=6, cluster_std=4.0, random_state=4)[0]
    yield "20 dimensions", X, 6
    X = datasets.make_blobs(3000, 50, centers=5, cluster_std=5.0, random_state=5)[0]
    yield "50 dimensions", X, 5
    yield "crossed", crossed(), 2
    X = datasets.make_blobs(20000, 5, centers=8, cluster_std=2.0, random_state=6)[0]
    yield "20 000 rows", X, 8


def crossed() -> np.ndarray:
    """Two elongated clusters that cross."""
    rng = np.random.default_rng(7)
    wide = rng.normal(size=(300, 2)) * [5.0, 0.4]
    return np.concatenate([wide, (rng.normal(size=(300, 2)) * [5.0, 0.4])[:, ::-1]])


def scene(d: int = 8, k: int = 10) -> Mixture:
    """Overlapping components that many rows can be drawn from, for what is measured by size."""
    rng = np.random.default_rng(0)
    spread = rng.normal(size=(k, d, d)) / 3
    covariances = spread @ spread.swapaxes(1, 2) + np.eye(d) / 4
    return Mixture(np.full(k, 1.0 / k), rng.normal(0, 3, (k, d)), covariances)
