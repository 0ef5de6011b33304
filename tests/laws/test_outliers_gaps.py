"""Rows with many patterns of gaps under heavy tails, noise and trimming, beside SciPy by row."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, multivariate_t

from mixtura import Mixture, Noise, StudentT
from mixtura.assignment import ranked, soft
from mixtura.block import Block
from mixtura.covariance import FAMILIES as RULES
from mixtura.expectation import expectation
from mixtura.fit.outliers import Outliers
from mixtura.fit.problem import state, with_outliers
from mixtura.operations.completed import completed_log_density
from mixtura.source import MemorySource
from oracle import conditional
from strategies import covariance_array, dense

D, K = 5, 3
WEIGHTS, DOF, SHARE = np.array([0.5, 0.3, 0.2]), np.array([1.5, 4.0, 30.0]), 0.2
LOW, HIGH = np.full(D, -9.0), np.linspace(6.0, 10.0, D)
KINDS = {"gaussian": (False, False), "t": (True, False), "noise": (False, True), "t noise": (1, 1)}


def rows_with_gaps(n=120):
    """Rows of up to 32 patterns, some complete, some far away, one without any cell."""
    rng = np.random.default_rng(4)
    X = 3.0 * rng.normal(size=(n, D)) * np.linspace(0.1, 30.0, D)
    X[:5] *= 20.0
    X[rng.random(X.shape) < 0.25] = np.nan
    X[7] = np.nan
    return X


def mixture_of(family, kind, X):
    """A mixture in the frame of the rows; its means and dense covariances in their units."""
    rng, (heavy, noisy) = np.random.default_rng(5), KINDS[kind]
    means, array = rng.normal(size=(K, D)), covariance_array(family, K, D, rng)
    options = {"law": StudentT(DOF)} if heavy else {}
    if noisy:
        options["noise"] = Noise(SHARE, LOW, HIGH)
    one = Mixture(WEIGHTS, means, array, covariance_type=family, **options)
    framed = state(MemorySource(X), RULES["full"]).adopted(one)
    return framed, means, np.broadcast_to(dense(family, array, K, D), (K, D, D))


def frozen(kind, means, covariances, o):
    """SciPy's distributions of the observed coordinates, a component each."""
    for component, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
        part = mean[o], covariance[np.ix_(o, o)]
        heavy = KINDS[kind][0]
        yield multivariate_t(*part, df=DOF[component]) if heavy else multivariate_normal(*part)


def joint_by_row(kind, means, covariances, x):
    """Log joint (k,), or (k + 1,) with noise, of one row."""
    o, noisy = ~np.isnan(x), KINDS[kind][1]
    ones = frozen(kind, means, covariances, o) if o.any() else ()
    logs = np.log(WEIGHTS) + (np.array([one.logpdf(x[o]) for one in ones]) if o.any() else 0.0)
    if not noisy:
        return logs
    even = np.log(SHARE) - np.log(HIGH - LOW)[o].sum()
    return np.append(logs + np.log1p(-SHARE), even)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical"])
def test_densities_and_filled_cells(family, kind, each_kernel):
    """SciPy's t loses up to some 1e-12 of a log-density to its eigenvalues."""
    X = rows_with_gaps()
    mixture, means, covariances = mixture_of(family, kind, X)
    joint = np.array([joint_by_row(kind, means, covariances, x) for x in X])
    norm = logsumexp(joint, axis=1)
    share = np.exp(joint - norm[:, None])
    filled = np.array([whole_row(x, r, means, covariances) for x, r in zip(X, share, strict=True)])
    for _ in each_kernel():
        np.testing.assert_allclose(mixture.logpdf(X), norm, rtol=1e-10)
        np.testing.assert_allclose(mixture.responsibilities(X), share[:, :K], atol=1e-10)
        lost = share[:, K:].sum(axis=1)
        np.testing.assert_allclose(mixture.outlier_probability(X), lost, atol=1e-10)
        np.testing.assert_allclose(mixture.impute(X), filled, rtol=1e-9, atol=1e-9)


def whole_row(x, share, means, covariances):
    """A row filled by its expectation, by shares (k,) or (k + 1,)."""
    o = ~np.isnan(x)
    ones = [conditional(x, o, *one)[0] for one in zip(means, covariances, strict=True)]
    if len(share) > K:
        ones.append((LOW + HIGH) / 2.0)
    return np.where(o, x, share @ np.array(ones))


@pytest.mark.parametrize("kind", KINDS)
def test_completed_densities_take_what_a_gap_would(kind, each_kernel):
    X = rows_with_gaps()
    mixture, means, covariances = mixture_of("full", kind, X)
    expected = []
    for x in X:
        o, joint = ~np.isnan(x), joint_by_row(kind, means, covariances, x)
        part = [one.entropy() for one in frozen(kind, means, covariances, o)] if o.any() else 0.0
        every = np.ones(D, dtype=bool)
        taken = np.array([one.entropy() for one in frozen(kind, means, covariances, every)]) - part
        if KINDS[kind][1]:
            taken = np.append(taken, np.log(HIGH - LOW)[~o].sum())
        expected.append(logsumexp(joint) - np.exp(joint - logsumexp(joint)) @ taken)
    for _ in each_kernel():
        found = completed_log_density(mixture, Block(X))
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_equal_rows_are_trimmed_alike(each_kernel):
    """Rows that lie at the cut together are kept by the same part, wherever they stand."""
    X = np.tile(rows_with_gaps(60), (3, 1))
    for _ in each_kernel():
        problem = with_outliers(state(MemorySource(X), RULES["full"]), Outliers(trim=0.25))
        mixture = problem.adopted(mixture_of("full", "gaussian", X)[0])
        block, cut = problem.source.whole, problem.cut(mixture)
        keys, weights = ranked(mixture, block, soft, cut.trim)
        np.testing.assert_array_equal(keys.reshape(3, -1), np.tile(keys[:60], (3, 1)))
        kept = float(weights @ cut.kept(keys))
        assert kept == pytest.approx(0.75 * len(X), rel=1e-12)
        data = expectation(mixture, block, moments=problem.family.moments, cut=cut)
        assert data.counts.sum() == pytest.approx(kept, rel=1e-12)
