"""Every library behind one form: a number of EM iterations from a given start.

A climber is ``climb(iterations) -> means (k, d), or None``, made once for a task; all that can be
prepared is prepared when it is made. No climber stops early. What each library is called with is
below.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np

Climber = Callable[[int], np.ndarray | None]

REG_COVAR = 1e-6  # scikit-learn's default; data have variances of about one
NEVER = 1e-300  # for libraries that want a tolerance above zero


class EarlyStop(RuntimeError):
    """A library took fewer iterations than it was asked for."""


@dataclass(frozen=True)
class Task:
    """Rows, a start, a family ("full" or "diag") and a number of threads.

    Attributes
    ----------
    X : (n, d)
    weights, means : (k,), (k, d)
    variances : (k, d)
        The start's covariances are diagonal, as full matrices where the family is full.
    """

    X: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray
    family: str = "full"
    threads: int = 1

    @property
    def covariances(self) -> np.ndarray:
        """(k, d, d) or (k, d)."""
        return self.variances if self.family == "diag" else _matrices(self.variances)

    @property
    def precisions(self) -> np.ndarray:
        """(k, d, d) or (k, d)."""
        return 1 / self.variances if self.family == "diag" else _matrices(1 / self.variances)

    @property
    def size(self) -> tuple[int, int, int]:
        """(n, d, k)."""
        return len(self.X), self.X.shape[1], len(self.weights)


@dataclass(frozen=True)
class Library:
    """A library, the module it needs, and how long to wait for it, relative to others."""

    name: str
    module: str
    make: Callable[[Task], Climber]
    patience: float = 1.0

    @property
    def installed(self) -> bool:
        return find_spec(self.module) is not None

    def load(self) -> None:
        """Import and warm up, so that no measurement pays for it; its threads are known then."""
        for family in ("full", "diag"):
            self.make(made(200, 3, 2, family))(2)


def made(n: int, d: int, k: int, family: str = "full", seed: int = 0) -> Task:
    """Overlapping components of all shapes, in equal numbers, and a start near the truth.

    Components are about three standard deviations from their neighbours. The start is near enough
    that no component starves, so every iteration is one that a fit would really take.
    """
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(k, d)) * (3.0 / np.sqrt(2.0 * min(d, 16)))
    X = rng.standard_normal((n, d))
    for component in range(k):
        mixing = np.eye(d) + 0.3 / np.sqrt(d) * rng.normal(size=(d, d))
        rows = slice(component, None, k)
        X[rows] = X[rows] @ mixing + means[component]
    off = means + 0.2 * rng.normal(size=(k, d))
    return Task(X, np.full(k, 1.0 / k), off, np.full((k, d), 1.3), family)


def mixtura(task: Task) -> Climber:
    """The loop of every fit, `mixtura.fit.em.run`, without leaps, on the compiled kernels."""
    from mixtura import Mixture, kernels
    from mixtura.covariance import FAMILIES
    from mixtura.fit.em import Stop, run
    from mixtura.fit.problem import state
    from mixtura.source import MemorySource
    from mixtura.source.memory import one_blas_thread

    kernels.use("compiled")
    source = MemorySource(task.X, threads=task.threads)
    problem = state(source, FAMILIES[task.family], reg_covar=REG_COVAR)
    given = Mixture(task.weights, task.means, task.covariances, covariance_type=task.family)
    start = problem.adopted(given)

    def climb(iterations: int) -> np.ndarray:
        stop = Stop(tol=0.0, max_iter=iterations, accelerate=False)
        with one_blas_thread():  # as in every fit
            return run(problem, start, stop).mixture.means

    return climb


def mixtura_single(task: Task) -> Climber:
    """The same on float32 rows."""
    return mixtura(replace(task, X=task.X.astype(np.float32)))


def scikit_learn(task: Task) -> Climber:
    """`GaussianMixture.fit` with weights, means and precisions given and ``tol=0``."""
    from sklearn.mixture import GaussianMixture

    def climb(iterations: int) -> np.ndarray:
        model = GaussianMixture(
            len(task.weights),
            covariance_type=task.family,
            tol=0.0,
            reg_covar=REG_COVAR,
            max_iter=iterations,
            weights_init=task.weights,
            means_init=task.means,
            precisions_init=task.precisions,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            means = model.fit(task.X).means_
        _check(model.n_iter_, iterations)
        return means

    return climb


def daal(task: Task) -> Climber:
    """`daal4py.em_gmm` with ``accuracyThreshold=0``."""
    import daal4py

    storage = "diagonal" if task.family == "diag" else "full"
    tables = [table.reshape(-1, task.X.shape[1]).copy() for table in task.covariances]
    weights = task.weights[None].copy()

    def climb(iterations: int) -> np.ndarray:
        algorithm = daal4py.em_gmm(
            len(task.weights),
            maxIterations=iterations,
            accuracyThreshold=0.0,
            covarianceStorage=storage,
        )
        result = algorithm.compute(task.X, weights, task.means, tables)
        _check(int(result.nIterations[0, 0]), iterations)
        return result.means

    return climb


def tgmm(task: Task) -> Climber:
    """`tgmm.GaussianMixture.fit` on float64 tensors, with a tolerance that is never met."""
    import torch
    from tgmm import GaussianMixture

    X = torch.from_numpy(task.X)
    start = [torch.from_numpy(a.copy()) for a in (task.weights, task.means, task.covariances)]

    def climb(iterations: int) -> np.ndarray:
        model = GaussianMixture(
            len(task.weights),
            task.X.shape[1],
            task.family,
            max_iter=iterations,
            tol=NEVER,
            reg_covar=REG_COVAR,
            init_weights=start[0],
            init_means=start[1],
            init_covariances=start[2],
            device="cpu",
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            means = model.fit(X).means_.numpy()
        _check(model.n_iter_ + 1, iterations)
        return means

    return climb


def mlpack(task: Task) -> Climber:
    """`mlpack.gmm_train` from one round of its own k-means: it starts there whatever it is given.

    An iteration takes the same time from any start, so the difference quotient still compares.
    """
    from mlpack import gmm_train

    def climb(iterations: int) -> None:
        gmm_train(
            gaussians=len(task.weights),
            input_=task.X,
            diagonal_covariance=task.family == "diag",
            kmeans_max_iterations=1,
            max_iterations=iterations,
            tolerance=NEVER,
            seed=1,
        )

    return climb


def _check(taken: int, asked: int) -> None:
    if taken != asked:
        raise EarlyStop(f"stopped after {taken} of {asked} iterations")


def _matrices(variances: np.ndarray) -> np.ndarray:
    return variances[:, :, None] * np.eye(variances.shape[1])


OURS = Library("mixtura", "mixtura", mixtura)
SINGLE = Library("mixtura float32", "mixtura", mixtura_single)
PEERS = (
    Library("scikit-learn", "sklearn", scikit_learn),
    Library("daal4py", "daal4py", daal),
    Library("tgmm", "tgmm", tgmm, patience=0.3),
    Library("mlpack", "mlpack", mlpack, patience=0.3),
)
