"""The E-step on low-rank covariances: projected moments are the dense ones, projected."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factor_cases import KINDS, MODES, ROUNDING, dense_of, draw, planted, rows
from mixtura import GaussianMixture
from mixtura.assignment import hard, soft
from mixtura.block import Block
from mixtura.covariance import Factor, FactorCovariances, FullCovariances, family
from mixtura.expectation import expectation
from mixtura.fit.outliers import asked
from mixtura.fit.problem import state, with_outliers
from mixtura.kernels import low_rank
from mixtura.kernels.low_rank_gaps import Gaps
from mixtura.source import MemorySource
from oracle import expectation as oracle_expectation
from strategies import seeds, spread


def projected_oracle(mixture, X, w, told, is_hard):
    sums = oracle_expectation(
        X, mixture.weights, mixture.means, mixture.covariances, mixture.means, w, told, hard=is_hard
    )
    onto = np.linalg.solve(mixture.covariances, mixture.structure.loadings)
    second = np.concatenate(
        [sums.second.diagonal(axis1=1, axis2=2)[:, :, None], sums.second @ onto], axis=2
    )
    return sums, second


@pytest.mark.parametrize(("kind", "mode", "is_hard"), spread(KINDS, MODES, [False, True], every=2))
def test_projected_moments_are_the_dense_ones_projected(kind, mode, is_hard):
    seed = 8 * KINDS.index(kind) + MODES.index(mode)
    mixture = draw(kind, seed)
    X, w, told = rows(mixture, mode, seed)
    moments = family(f"{kind}:2").moments
    ours = expectation(
        mixture, Block(X, w, told), moments=moments, assign=hard if is_hard else soft
    )
    theirs, second = projected_oracle(mixture, X, w, told, is_hard)
    if moments.pooled:
        second = second.sum(axis=0, keepdims=True)
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood, rel=1e-11)
    for mine, yours in (
        (ours.mass, theirs.mass),
        (ours.first, theirs.first),
        (ours.second, second),
    ):
        np.testing.assert_allclose(mine, yours, rtol=1e-9, atol=1e-9 * np.abs(yours).max())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("outliers", ["t", "noise", "trim", "t and noise and trim"])
def test_outliers_count_as_under_dense_covariances(outliers, mode):
    """The oracle is the same E-step with full moments, which the laws of robust fits hold to."""
    mixture = draw("factor", 17)
    X, w, told = rows(mixture, mode, 17)
    X[-3:] += 8.0
    asked_for = asked(
        "t" if "t and" in outliers or outliers == "t" else "gaussian",
        "own",
        0.1 if "noise" in outliers else 0.0,
        0.1 if "trim" in outliers else 0.0,
    )
    points = []
    for name, start in (("factor:2", mixture), ("full", dense_of(mixture))):
        problem = with_outliers(state(MemorySource(X, w, told), family(name)), asked_for)
        points.append(problem.at(problem.outliers.fitted_out(problem.adopted(start))))
    ours, theirs = points[0].data, points[1].data.about(points[0].data.pivot)
    assert points[0].value == pytest.approx(points[1].value, rel=1e-10)
    onto = points[0].mixture.structure.regressions
    pairs = [(getattr(ours, x), getattr(theirs, x)) for x in ("counts", "mass", "dof", "first")]
    pairs += [(ours.second[:, :, 0], theirs.second.diagonal(axis1=1, axis2=2))]
    pairs += [(ours.second[:, :, 1:], theirs.second @ onto), (ours.noise, theirs.noise)]
    for mine, yours in pairs:
        size = float(np.abs(yours).max())
        np.testing.assert_allclose(mine, yours, rtol=1e-8, atol=1e-8 * max(size, 1e-3))


@pytest.mark.parametrize("kind", ["factor", "ppca-common"])
@pytest.mark.parametrize("gaps", [False, True])
def test_robust_climbs_never_fall(kind, gaps):
    X, labels = planted(12)
    X[:6] += 40.0
    if gaps:
        X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    model = GaussianMixture(
        3, covariance_type=f"{kind}:2", distribution="t", noise=True, init_params=labels
    ).fit(X)
    assert np.diff(model.trace_).min() >= ROUNDING
    assert model.outlier_probability(X)[:6].min() > 0.5 or model.outlier_weights(X)[:6].max() < 0.2
    dense = model.mixture_.changed(structure=FullCovariances(model.mixture_.structure.dense()))
    np.testing.assert_allclose(model.mixture_.logpdf(X), dense.logpdf(X), rtol=1e-9)
    ours, theirs = (one.condition({2: 0.5, 5: 1.0}) for one in (model.mixture_, dense))
    np.testing.assert_allclose(ours.covariances, theirs.covariances, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-9)
    np.testing.assert_allclose(model.mixture_.impute(X[6:20]), dense.impute(X[6:20]), atol=1e-7)


def test_moments_move_between_pivots():
    mixture = draw("factor", 2)
    X, w, told = rows(mixture, "weights", 2)
    here = expectation(mixture, Block(X, w, told), moments=Factor(2).moments)
    pivot = np.random.default_rng(0).normal(size=mixture.means.shape)
    sums = oracle_expectation(X, mixture.weights, mixture.means, mixture.covariances, pivot, w)
    there = here.about(pivot)
    np.testing.assert_allclose(there.first, sums.first, rtol=1e-10, atol=1e-10)
    onto = mixture.structure.regressions
    np.testing.assert_allclose(there.second[:, :, 1:], sums.second @ onto, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(there.scatter(), here.scatter(), rtol=1e-9, atol=1e-9)


@given(seed=seeds(), offset=st.sampled_from([0.0, 30.0]))
def test_products_about_zero_and_about_the_means_agree(seed, offset):
    mixture = draw("factor", seed)
    z, shares = mixture.sample(20, seed) + offset, np.random.default_rng(seed).random((20, 3))
    terms = mixture.structure.terms(mixture.means + offset)
    far, near = low_rank.distances(z, terms), low_rank.distances_centred(z, terms)
    for ours, theirs in zip(far, near, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-7)
    pairs = zip(
        low_rank.sums(z, shares, near[1], terms),
        low_rank.sums_centred(z, shares, near[1], terms),
        strict=True,
    )
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@given(seed=seeds(), share=st.sampled_from([0.05, 0.3, 0.8]))
def test_gaps_by_products_and_about_the_means_agree(seed, share):
    """Sparse masks, dense ones, and patterns that hide so much that N is summed anew."""
    mixture, rng = draw("factor", seed, d=12), np.random.default_rng(seed)
    rows_ = np.where(rng.random((30, 12)) < share, np.nan, mixture.sample(30, seed))
    shares = rng.random((30, 3))
    terms = mixture.structure.terms(mixture.means)
    one, other = (Gaps(rows_, *Block(rows_).masks, terms, centred) for centred in (True, False))
    for ours, theirs in zip(one.distances(), other.distances(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)
    scores = one.distances()[2]
    pairs = zip(one.sums(shares, shares, scores), other.sums(shares, shares, scores), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)


def test_almost_no_noise_loses_no_digits():
    """Woodbury's difference would cancel: noise 1e-10 of the variance the factors explain."""
    loadings = np.random.default_rng(0).normal(size=(1, 4, 2))
    value = FactorCovariances(loadings, np.full((1, 4), 1e-10))
    x = np.array([[0.3, -0.2, 0.5, 0.1]]) * 1e-5
    import mpmath

    with mpmath.workdps(60):
        sigma = mpmath.matrix(loadings[0].tolist()) * mpmath.matrix(loadings[0].T.tolist())
        sigma += mpmath.mpf(1e-10) * mpmath.eye(4)
        row = mpmath.matrix(x[0].tolist())
        exact = float((row.T * mpmath.lu_solve(sigma, row))[0])
    ours = low_rank.distances_centred(x, value.terms(np.zeros((1, 4))))[0][0, 0]
    assert ours == pytest.approx(exact, rel=1e-6)  # the conditioning of Σ is 1e10
