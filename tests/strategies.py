"""Cases for the laws: random mixtures of every family with data in every mode."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.linalg import expm

from mixtura import Conjugate, Mixture
from mixtura.covariance import FAMILIES as RULES
from mixtura.fit.priors import with_prior
from mixtura.fit.problem import state
from mixtura.source import MemorySource
from oracle import DIAGONAL, ELLIPSOIDAL, FAMILIES, LETTERS, Prior, plausibility_of

MODES = ("complete", "gaps", "weights", "labels", "soft labels", "prior", "all")


@dataclass
class Case:
    """Rows with all that is known of them, and a mixture of the family to start from."""

    family: str
    X: np.ndarray
    w: np.ndarray | None
    plausibility: np.ndarray | None
    prior: Prior | None
    weights: np.ndarray
    means: np.ndarray
    array: np.ndarray  # covariances as scikit-learn lays them out

    @property
    def k(self):
        return len(self.weights)

    @property
    def mixture(self):
        return Mixture(self.weights, self.means, self.array, covariance_type=self.family)

    @property
    def covariances(self):
        return dense(self.family, self.array, self.k, self.means.shape[1])

    def source(self, **options):
        return MemorySource(self.X, self.w, self.plausibility, **options)

    def problem(self, **options):
        """The fitting problem, with the prior handed over in the units of the data."""
        stated = state(self.source(), RULES[self.family], **options)
        return with_prior(stated, conjugate(self.prior), self.k)


def conjugate(prior):
    """An oracle's prior as the library takes it."""
    if prior is None:
        return None
    return Conjugate(prior.shrinkage, prior.mean, prior.dof, prior.matrix, prior.variance)


def dense(family, array, k, d):
    """(k, d, d) from scikit-learn's layout."""
    if family in ELLIPSOIDAL:
        return np.stack([array] * k) if family == "tied" else array
    if family in DIAGONAL:
        return np.stack([np.diag(row) for row in np.broadcast_to(array, (k, d))])
    return np.stack([np.eye(d) * value for value in np.broadcast_to(array, (k,))])


def layout(family, covariances):
    """The inverse of `dense`."""
    if family in ELLIPSOIDAL:
        return covariances[0] if family == "tied" else covariances
    if family in DIAGONAL:
        variances = covariances.diagonal(axis1=1, axis2=2).copy()
        return variances[0] if family == "EEI" else variances
    return covariances[:, 0, 0].copy()


def covariance_array(family, k, d, rng):
    """Covariances well inside the cone, in scikit-learn's layout."""
    if family in ("full", "tied"):
        root = rng.normal(size=(k, d, d + 2))
        matrices = root @ root.swapaxes(1, 2) / d + 0.2 * np.eye(d)
        return matrices if family == "full" else matrices[0]
    if family == "diag":
        return rng.uniform(0.3, 3.0, (k, d))
    if family not in ("spherical", "equal-spherical"):
        round_ones = np.stack([np.eye(d)] * k)
        return layout(family, changed(family, round_ones, 0.8, rng))
    values = rng.uniform(0.3, 3.0, k)
    return values if family == "spherical" else np.full(k, values[0])


def changed(family, covariances, size, rng):
    """Another member (k, d, d) of the family, away by about `size` in volume, shape and axes."""
    k, d, _ = covariances.shape
    times = [{"E": 1, "V": k, "I": 0}[letter] for letter in LETTERS[family]]
    axes = _axes(family, covariances, rng)
    values = np.einsum("kia,kij,kja->ka", axes, covariances, axes)
    values = values * np.exp(size * rng.normal(size=(times[0], 1)))
    if times[1]:
        shape = size * rng.normal(size=(times[1], d))
        values = values * np.exp(shape - shape.mean(axis=1, keepdims=True))
    if times[2]:
        skew = np.triu(size * rng.normal(size=(times[2], d, d)), 1)
        axes = expm(skew - skew.swapaxes(1, 2)) @ axes
    out = np.einsum("kia,ka,kja->kij", axes, values, axes)
    return (out + out.swapaxes(1, 2)) / 2


def _axes(family, covariances, rng):
    """Eigenvectors (k, d, d) of the components, those they have in common where they have any."""
    k, d, _ = covariances.shape
    if LETTERS[family][2] == "I":
        return np.stack([np.eye(d)] * k)
    if LETTERS[family][2] == "E":
        together = np.einsum("k,kij->ij", rng.uniform(1.0, 2.0, k), covariances)
        return np.stack([np.linalg.eigh(together)[1]] * k)
    return np.linalg.eigh(covariances)[1]


def make(family, mode, seed, n=60, k=3, d=3, spread=2.0):
    """A case from a seed; every component holds rows."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(k, 5.0))
    means = rng.normal(scale=spread, size=(k, d))
    array = covariance_array(family, k, d, rng)
    truth = Mixture(weights, means, array, covariance_type=family)
    X, labels = truth.sample(n, rng, return_labels=True)
    w = plausibility = prior = None
    if mode in ("gaps", "all"):
        X = np.where(rng.random(X.shape) < 0.2, np.nan, X)
        X[0] = np.nan  # a row that tells nothing
    if mode in ("weights", "all"):
        w = np.where(rng.random(n) < 0.1, 0.0, rng.uniform(0.2, 3.0, n))
    if mode in ("labels", "all"):
        plausibility = plausibility_of(np.where(rng.random(n) < 0.3, labels, -1), k)
    if mode == "soft labels":
        soft = rng.uniform(0.1, 1.0, (n, k))
        plausibility = plausibility_of(soft, k)
    if mode in ("prior", "all"):
        root = rng.normal(size=(d, d + 2))
        prior = Prior(
            float(rng.uniform(0.05, 2.0)),
            rng.normal(size=d),
            d + float(rng.uniform(1.0, 4.0)),
            root @ root.T,
            float(rng.uniform(0.1, 2.0)),
        )
    start = means + 0.5 * rng.normal(size=means.shape)
    return Case(family, X, w, plausibility, prior, weights, start, array)


def later(*values):
    """More values of a parameter, for `make test-all`."""
    listed = [value if isinstance(value, tuple) else (value,) for value in values]
    return [pytest.param(*one, marks=pytest.mark.slow) for one in listed]


def spread(*axes, every):
    """The product of the axes: each `every`-th case now, the others in `make test-all`.

    Cases are told by the sum of their places, so that any two values meet in some of those now.
    """
    cases = product(*map(enumerate, axes))
    return [
        pytest.param(
            *(value for _, value in case),
            marks=[pytest.mark.slow] if sum(place for place, _ in case) % every else [],
        )
        for case in cases
    ]


def seeds():
    return st.integers(0, 2**32 - 1)


def cases(families=FAMILIES, modes=MODES, **sizes):
    """Cases over the product of families and modes."""
    return st.builds(
        make,
        st.sampled_from(families),
        st.sampled_from(modes),
        seeds(),
        **{name: st.just(value) for name, value in sizes.items()},
    )


def from_labels(problem, labels, k, rows=None):
    """One M-step from a partition (n,) or responsibilities (n, k), with the rows' own weights."""
    block = problem.source.take(np.arange(problem.source.n))
    shares = np.eye(k)[labels] if np.ndim(labels) == 1 else np.asarray(labels)
    with np.errstate(divide="ignore"):
        told = np.log(shares)
    source = MemorySource(block.rows if rows is None else rows, block.weights, told)
    flat = problem.isotropic(np.zeros((k, problem.source.d)))
    return problem.maximized(problem.on(source).at(flat).data, flat)
