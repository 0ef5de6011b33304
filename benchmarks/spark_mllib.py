"""A fit to a Spark data frame beside Spark MLlib's GaussianMixture, in one local session.

Both get the same cached rows in two partitions (ours as columns, theirs assembled into vectors) and
take a fixed number of steps, each from the start that it chooses. What a step takes is the
difference between a longer climb and a short one, divided by their difference in steps, so that
starts, compiling and the first job count for neither. Then both climb to their end by their own
rules, and the log-likelihoods a row of all rows are compared.

    python benchmarks/spark_mllib.py [--rows 50000] [--repeat 2]
    python benchmarks/spark_mllib.py --full         # 1 000 000 x 8, k=10

Needs Java and pyspark: pip install "mixtura[spark]". Says what it ran on.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from machine import describe
from mixtura import GaussianMixture, Mixture, kernels
from problems import scene

D, K = 8, 10
FEW, MORE, MOST = 2, 12, 200


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--full", action="store_true", help="1 000 000 rows")
    parser.add_argument("--repeat", type=int, default=2)
    options = parser.parse_args()
    n = 1_000_000 if options.full else options.rows
    warnings.simplefilter("ignore")
    describe()
    kernels.use("compiled")  # and so do the workers
    X = scene(D, K).sample(n, 0)
    session = started()
    try:
        beside(session, X, options.repeat)
    finally:
        session.stop()


def started() -> Any:
    """A session of two threads, with Python workers that import what this process does."""
    for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"):
        os.environ.setdefault(name, sys.executable)
    os.environ["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.memory": "4g",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def beside(session: Any, X: np.ndarray, repeat: int) -> None:
    """Measure and print both."""
    from pyspark.ml.feature import VectorAssembler

    names = [f"x{column}" for column in range(D)]
    rows = session.createDataFrame(pd.DataFrame(X, columns=names)).coalesce(2).cache()
    vectors = VectorAssembler(inputCols=names, outputCol="features").transform(rows)
    vectors = vectors.select("features").cache()
    parts = (rows.rdd.getNumPartitions(), rows.count(), vectors.count())
    print(f"{len(X)} x {D}, k={K}, {parts[0]} partitions, steps {FEW} and {MORE}\n")
    ours = a_step(lambda steps: own(rows, steps), repeat)
    theirs = a_step(lambda steps: mllib(vectors, steps), repeat)
    print(f"| {'':8s} | seconds a step | to the end | nats a row |\n|---|--:|--:|--:|")
    for name, step, fit, scored in (
        ("mixtura", ours, lambda: own(rows, MOST, 1e-3), lambda model: model.score(X)),
        ("MLlib", theirs, lambda: mllib(vectors, MOST, 0.01), lambda model: likelihood(model, X)),
    ):
        start = time.perf_counter()
        model = fit()
        seconds = time.perf_counter() - start
        print(
            f"| {name:8s} | {step:14.3f} | {seconds:8.1f} s | {scored(model):10.4f} |", flush=True
        )
    print(f"\na step of MLlib takes {theirs / ours:.1f} times as long")


def a_step(fit: Callable[[int], Any], repeat: int) -> float:
    """Seconds a step: of some pairs of climbs the fastest short and the fastest long one."""
    fit(FEW)
    least = [float("inf")] * 2
    for _ in range(repeat):
        for index, steps in enumerate((FEW, MORE)):
            start = time.perf_counter()
            fit(steps)
            least[index] = min(least[index], time.perf_counter() - start)
    return (least[1] - least[0]) / (MORE - FEW)


def own(rows: Any, steps: int, tol: float = 0.0) -> GaussianMixture:
    return GaussianMixture(K, random_state=0, max_iter=steps, tol=tol).fit(rows)


def mllib(vectors: Any, steps: int, tol: float = 0.0) -> Any:
    from pyspark.ml.clustering import GaussianMixture as Theirs

    return Theirs(k=K, maxIter=steps, tol=tol, seed=0).fit(vectors)


def likelihood(model: Any, X: np.ndarray) -> float:
    """Nats a row, worked out as for ours: MLlib's own summary is of its last step but one."""
    found = model.gaussians
    means = np.array([one.mean.toArray() for one in found])
    covariances = np.array([one.cov.toArray() for one in found])
    return float(Mixture(np.array(model.weights), means, covariances).logpdf(X).mean())


if __name__ == "__main__":
    main()
