"""Cases for the laws of low-rank covariances: mixtures of every kind, rows in every mode."""

import numpy as np

from mixtura import Mixture
from mixtura.covariance import family
from mixtura.covariance.factor_rule import NAMES
from mixtura.fit.problem import state
from mixtura.source import MemorySource
from oracle import plausibility_of

KINDS = tuple(NAMES)
ROUNDING = -1e-9
"""Nats a row that the products about zero may lose; at the end of a climb steps gain less."""

MODES = ("complete", "gaps", "weights", "labels", "all")


def covariances(kind, k, d, rank, rng):
    """Loadings and noise well inside the cone, with what the kind holds common."""
    rule = family(f"{kind}:{rank}")
    loadings = rng.normal(size=(1 if rule.common else k, d, rank))
    noise = rng.uniform(0.2, 1.5, (1 if rule.noise_common else k, 1 if rule.one_scale else d))
    return rule.made(loadings, np.broadcast_to(noise, (len(noise), d)), k)


def draw(kind, seed, k=3, d=5, rank=2, spread=1.5):
    rng = np.random.default_rng(seed)
    weights, means = rng.dirichlet(np.full(k, 5.0)), rng.normal(scale=spread, size=(k, d))
    value = covariances(kind, k, d, rank, rng)
    return Mixture(weights, means, value, covariance_type=f"{kind}:{rank}")


def rows(mixture, mode, seed, n=60):
    """Rows of the mixture with weights and plausibilities, as the mode has them."""
    rng = np.random.default_rng(seed)
    X, labels = mixture.sample(n, rng, return_labels=True)
    w = told = None
    if mode in ("gaps", "all"):
        X = np.where(rng.random(X.shape) < 0.25, np.nan, X)
        X[0] = np.nan
        X[1:9, 2] = np.nan  # a pattern that many rows share
    if mode in ("weights", "all"):
        w = np.where(rng.random(n) < 0.1, 0.0, rng.uniform(0.2, 3.0, n))
    if mode in ("labels", "all"):
        told = plausibility_of(np.where(rng.random(n) < 0.3, labels, -1), mixture.n_components)
    return X, w, told


def dense_of(mixture):
    """The same mixture with full covariances."""
    return Mixture(mixture.weights, mixture.means, mixture.covariances)


def problem_of(kind, X, w=None, told=None, rank=2):
    return state(MemorySource(X, w, told), family(f"{kind}:{rank}"))


def planted(seed, n=240, d=8, k=3, rank=2):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    means = rng.normal(scale=3.0, size=(k, d))
    loadings, noise = rng.normal(size=(k, d, rank)), rng.uniform(0.2, 0.8, (k, d))
    factors = rng.normal(size=(n, rank))
    X = means[labels] + np.einsum("nr,ndr->nd", factors, loadings[labels])
    return X + rng.normal(size=X.shape) * np.sqrt(noise[labels]), labels
