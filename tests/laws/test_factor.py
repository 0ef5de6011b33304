"""Low-rank covariances: the same numbers as dense formulas, at a cost linear in the columns."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

import mixtura
from mixtura import GaussianMixture, InputError, Mixture
from mixtura.block import Block
from mixtura.covariance import Factor, FactorCovariances, FullCovariances, family, named
from mixtura.covariance.factor_rule import NAMES
from mixtura.expectation import expectation, hard, soft
from mixtura.fit.em import Stop, run
from mixtura.fit.outliers import asked
from mixtura.fit.problem import state, with_outliers, with_prior
from mixtura.kernels import low_rank
from mixtura.kernels.low_rank_gaps import Gaps
from mixtura.source import MemorySource
from oracle import expectation as oracle_expectation
from oracle import log_joint, plausibility_of
from strategies import seeds

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


# ---- the value


@given(seed=seeds(), kind=st.sampled_from(KINDS), rank=st.integers(1, 6))
def test_the_value_is_the_matrix(seed, kind, rank):
    rng = np.random.default_rng(seed)
    s = covariances(kind, 3, 5, rank, rng)
    dense = s.loadings @ s.loadings.swapaxes(1, 2) + s.noise[:, :, None] * np.eye(5)
    np.testing.assert_allclose(s.dense(), dense, rtol=1e-13)
    np.testing.assert_allclose(s.log_det, np.linalg.slogdet(dense)[1], rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(s.eigenvalues(), np.linalg.eigvalsh(dense), rtol=1e-9)
    np.testing.assert_allclose(s.variances_by_column, dense.diagonal(axis1=1, axis2=2), rtol=1e-13)
    inverse = np.linalg.inv(dense)
    np.testing.assert_allclose(s.regressions, inverse @ s.loadings, rtol=1e-8, atol=1e-10)
    woodbury = (np.eye(5) / s.noise[:, :, None]) - s.factors @ s.factors.swapaxes(1, 2)
    np.testing.assert_allclose(woodbury, inverse, rtol=1e-8, atol=1e-9)
    weights = rng.dirichlet(np.ones(3))
    np.testing.assert_allclose(
        s.averaged(weights), np.einsum("k,kij", weights, dense), rtol=1e-12, atol=1e-13
    )
    assert (s.k, s.d, s.rank) == (3, 5, rank)


@given(seed=seeds(), kind=st.sampled_from(KINDS), rank=st.integers(1, 6))
def test_whiten_undoes_colorize_and_colours(seed, kind, rank):
    s = covariances(kind, 2, 5, rank, np.random.default_rng(seed))
    noise = np.random.default_rng(seed + 1).normal(size=(4, 5))
    np.testing.assert_allclose(s.whiten(s.colorize(noise, 1), 1), noise, rtol=1e-8, atol=1e-9)
    root = s.colorize(np.eye(5), 0)
    np.testing.assert_allclose(root.T @ root, s.dense()[0], rtol=1e-9, atol=1e-10)


@given(seed=seeds(), kind=st.sampled_from(KINDS))
def test_closed_operations_are_those_of_the_matrix(seed, kind):
    rng = np.random.default_rng(seed)
    s = covariances(kind, 3, 4, 2, rng)
    dims = list(rng.permutation(4)[: rng.integers(1, 5)])
    np.testing.assert_allclose(s.marginal(dims).dense(), s.dense()[:, dims][:, :, dims], rtol=1e-13)
    np.testing.assert_array_equal(s.take([2, 0]).dense(), s.dense()[[2, 0]])
    factors = rng.uniform(0.5, 2.0, 4)
    np.testing.assert_allclose(
        s.scaled(factors).dense(), factors[:, None] * s.dense() * factors, rtol=1e-12
    )
    assert not s.scaled(factors).isotropic
    assert s.scaled(np.full(4, 2.0)).isotropic == s.isotropic
    limits = np.quantile(s.eigenvalues(), [0.1, 0.5, 0.9]) * 1.0001
    for limit in limits:
        np.testing.assert_array_equal(s.below(limit), (s.eigenvalues() < limit).sum(axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_handed_over_come_back(kind):
    s = covariances(kind, 3, 4, 2, np.random.default_rng(0))
    again = Mixture(np.full(3, 1 / 3), np.zeros((3, 4)), s.array(), covariance_type=f"{kind}:2")
    np.testing.assert_array_equal(again.structure.array(), s.array())
    flags = (s.common, s.isotropic, s.noise_common)
    assert flags == tuple(
        getattr(again.structure, name) for name in ("common", "isotropic", "noise_common")
    )


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("factor:2", np.ones((2, 3, 2)), "shape"),
        ("factor:1", np.zeros((2, 3, 2)), "not positive"),
        ("factor:1", np.full((2, 3, 2), np.nan), "NaN"),
        ("factor-common:1", np.arange(12.0).reshape(2, 3, 2) + 1, "one Λ"),
        ("factor-equal-noise:1", np.arange(12.0).reshape(2, 3, 2) + 1, "one Ψ"),
        ("ppca:1", np.arange(12.0).reshape(2, 3, 2) + 1, "isotropic"),
    ],
)
def test_wrong_numbers_are_refused(name, array, message):
    with pytest.raises(InputError, match=message):
        Mixture([0.5, 0.5], np.zeros((2, 3)), array, covariance_type=name)


# ---- names, ranks, parameters


def test_names_and_codes():
    assert family("factor:3") == Factor(3)
    assert family("UCC:2") == Factor(2, noise="isotropic", noise_common=True)
    assert family(Factor(4, loadings="common")).name == "factor-common:4"
    for kind, code in NAMES.items():
        assert family(f"{code}:2").name == f"{kind}:2"
    assert [rule.rank for rule in named("ppca:1-3")] == [1, 2, 3]
    assert [rule.rank for rule in named("ppca:5,2")] == [2, 5]


@pytest.mark.parametrize(
    "name", ["factor", "factor:", "factor:x", "ppca:-1", "ppca:0", "factor:1-3"]
)
def test_a_name_without_one_rank_is_refused(name):
    with pytest.raises(InputError, match=r"factor"):
        family(name)


def test_too_many_factors_are_refused():
    X = np.random.default_rng(0).normal(size=(30, 3))
    with pytest.raises(InputError, match="rank=3 in 3 dimensions: at most 2 factors"):
        GaussianMixture(1, covariance_type="factor:3").fit(X)


@pytest.mark.parametrize(
    ("kind", "expected"),
    # McNicholas & Murphy (2008), table 1, for d = 10, r = 3, k = 4: dr - r(r-1)/2 = 27.
    [
        ("factor", 4 * 27 + 4 * 10),
        ("factor-equal-noise", 4 * 27 + 10),
        ("factor-common", 27 + 4 * 10),
        ("factor-common-equal-noise", 27 + 10),
        ("ppca", 4 * 27 + 4),
        ("ppca-equal-noise", 4 * 27 + 1),
        ("ppca-common", 27 + 4),
        ("ppca-common-equal-noise", 27 + 1),
    ],
)
def test_parameters_are_counted(kind, expected):
    assert family(f"{kind}:3").n_parameters(4, 10) == expected


def test_never_more_parameters_than_full():
    assert family("factor:4").n_parameters(3, 5) == family("full").n_parameters(3, 5)


# ---- densities and what a mixture offers


@given(seed=seeds(), kind=st.sampled_from(KINDS), mode=st.sampled_from(["complete", "gaps"]))
def test_densities_are_those_of_scipy(seed, kind, mode):
    mixture = draw(kind, seed)
    X, _, _ = rows(mixture, mode, seed, n=30)
    joint = log_joint(X, mixture.weights, mixture.means, mixture.covariances)
    expected = np.logaddexp.reduce(joint, axis=1)
    np.testing.assert_allclose(mixture.logpdf(X), expected, rtol=1e-10, atol=1e-10)
    few = mixture.logpdf(X[:1])  # patterns one by one, where many go together
    np.testing.assert_allclose(few, expected[:1], rtol=1e-10, atol=1e-10)


@given(seed=seeds(), kind=st.sampled_from(KINDS))
def test_operations_are_those_of_the_dense_mixture(seed, kind):
    mixture = draw(kind, seed)
    dense = dense_of(mixture)
    X, _, _ = rows(mixture, "gaps", seed, n=20)
    near = {"rtol": 1e-8, "atol": 1e-9}
    np.testing.assert_allclose(mixture.responsibilities(X), dense.responsibilities(X), **near)
    np.testing.assert_allclose(mixture.mahalanobis(X), dense.mahalanobis(X), **near)
    np.testing.assert_allclose(mixture.impute(X), dense.impute(X), **near)
    np.testing.assert_allclose(mixture.covariance(), dense.covariance(), **near)
    ours, theirs = mixture.marginal([3, 0]), dense.marginal([3, 0])
    np.testing.assert_allclose(ours.covariances, theirs.covariances, **near)
    ours, theirs = mixture.condition({1: 0.3, 4: -1.0}), dense.condition({1: 0.3, 4: -1.0})
    assert isinstance(ours.structure, FactorCovariances)
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), **near)
    np.testing.assert_allclose(mixture.to_sklearn().covariances_, mixture.covariances, **near)


def test_a_column_that_is_nan_is_a_column_dropped():
    mixture = draw("factor", 3)
    X, _, _ = rows(mixture, "complete", 3)
    kept = [0, 1, 3, 4]
    without = mixture.marginal(kept).logpdf(X[:, kept])
    X[:, 2] = np.nan
    np.testing.assert_allclose(mixture.logpdf(X), without, rtol=1e-12)


def test_rows_far_away_have_finite_distances():
    mixture = draw("factor", 5)
    far = np.full((1, 5), 1e200)
    assert np.isfinite(mixture.logpdf(far)).all()
    assert mixture.responsibilities(far).sum() == pytest.approx(1.0)


def test_drawn_rows_have_the_covariance():
    mixture = draw("factor", 7, k=1)
    X = mixture.sample(200_000, 0)
    # Relative error of a variance from n rows is about sqrt(2 / n) = 0.003.
    scale = np.sqrt(mixture.structure.variances_by_column[0])
    off = (np.cov(X.T) - mixture.covariances[0]) / np.outer(scale, scale)
    assert np.abs(off).max() < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_file_keeps_every_bit(kind, tmp_path):
    mixture = draw(kind, 11)
    mixtura.save(mixture, tmp_path / "model.mixtura")
    assert mixtura.load(tmp_path / "model.mixtura") == mixture
    narrow = mixture.marginal([1])  # of higher rank than dimension
    mixtura.save(narrow, tmp_path / "narrow.mixtura")
    assert mixtura.load(tmp_path / "narrow.mixtura") == narrow


# ---- the E-step


def projected_oracle(mixture, X, w, told, is_hard):
    sums = oracle_expectation(
        X, mixture.weights, mixture.means, mixture.covariances, mixture.means, w, told, hard=is_hard
    )
    onto = np.linalg.solve(mixture.covariances, mixture.structure.loadings)
    second = np.concatenate(
        [sums.second.diagonal(axis1=1, axis2=2)[:, :, None], sums.second @ onto], axis=2
    )
    return sums, second


@pytest.mark.parametrize("is_hard", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
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


# ---- the M-step and the climb


def expected(covariance, scatter, dof):
    """What an M-step raises: -½ Σ dof (log |Σ| + tr Σ⁻¹ S/dof)."""
    values = [
        -0.5 * (n * np.linalg.slogdet(c)[1] + np.trace(np.linalg.solve(c, s)))
        for c, s, n in zip(covariance, scatter, dof, strict=True)
    ]
    return sum(values)


@given(seed=seeds(), kind=st.sampled_from(KINDS), mode=st.sampled_from(MODES))
def test_a_step_raises_what_it_should(seed, kind, mode):
    """On the dense scatter about the new means, whatever the step did with its projections."""
    mixture = draw(kind, seed)
    X, w, told = rows(mixture, mode, seed)
    X[1:] += np.random.default_rng(seed).normal(size=X[1:].shape)
    problem = problem_of(kind, X, w, told)
    here = problem.adopted(mixture)
    after = problem.maximized(problem.at(here).data, here)
    sums = oracle_expectation(
        X, mixture.weights, mixture.means, mixture.covariances, after.means, w, told
    )
    before = expected(mixture.covariances, sums.second, sums.mass)
    now = expected(after.covariances, sums.second, sums.mass)
    assert now >= before - 1e-9 * abs(before)


@pytest.mark.parametrize("mode", [*MODES, "prior"])
@pytest.mark.parametrize("kind", KINDS)
def test_plain_steps_never_fall(kind, mode):
    mixture = draw(kind, 4)
    X, w, told = rows(mixture, mode, 4)
    problem = problem_of(kind, X, w, told)
    if mode == "prior":
        problem = with_prior(problem, "fraley-raftery", 3)
    start = problem.adopted(draw(kind, 5))
    fit = run(problem, start, Stop(0.0, 40, accelerate=False))
    assert len(fit.trace) == 41
    assert np.diff(fit.trace).min() >= ROUNDING
    assert fit.value > fit.trace[0]


@pytest.mark.parametrize("kind", KINDS)
def test_accelerated_steps_climb_higher_than_as_many_plain_ones(kind):
    mixture = draw(kind, 21)
    X, _, _ = rows(mixture, "complete", 21, n=300)
    problem = problem_of(kind, X)
    start = problem.adopted(draw(kind, 22))
    fast = run(problem, start, Stop(1e-8, 800))
    slow = run(problem, start, Stop(0.0, min(fast.n_iter, 200), accelerate=False))
    assert fast.converged
    assert np.diff(fast.trace).min() >= ROUNDING
    assert fast.value >= slow.value - 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_a_climb_is_stationary(kind):
    """No small change of any loading or noise raises the likelihood: against dense densities."""
    mixture = draw(kind, 31, k=2, d=4, rank=1)
    X, _, _ = rows(mixture, "complete", 31, n=200)
    problem = problem_of(kind, X, rank=1)
    end = run(problem, problem.adopted(mixture), Stop(1e-11, 1000)).mixture
    array, rule, rng = end.unframed().array(), family(f"{kind}:1"), np.random.default_rng(0)

    def value(numbers):
        dense = rule.from_array(numbers, 2, 4).dense()
        parts = [
            np.log(w) + multivariate_normal.logpdf(X, m, c)
            for w, m, c in zip(end.weights, end.means, dense, strict=True)
        ]
        return np.logaddexp.reduce(parts, axis=0).sum()

    best = value(array)
    for _ in range(10):
        step = rng.normal(size=array.shape)
        if rule.common:
            step[:, :, 1:] = step[0, :, 1:]
        if rule.noise_common:
            step[:, :, 0] = step[0, :, 0]
        if rule.one_scale:
            step[:, :, 0] = step[:, :1, 0]
        slope = (value(array * (1 + 1e-5 * step)) - value(array * (1 - 1e-5 * step))) / 2e-5
        assert abs(slope) < 1e-3 * len(X)
    assert np.isfinite(best)


def test_the_prior_is_pseudo_rows_on_the_covariance():
    """Without factors to speak of, the MAP step is that of diagonal covariances."""
    X = np.random.default_rng(0).normal(size=(40, 3)) * [1.0, 2.0, 3.0]
    low = with_prior(state(MemorySource(X), Factor(1)), "fraley-raftery", 1)
    diagonal = with_prior(state(MemorySource(X), family("diag")), "fraley-raftery", 1)
    steps = []
    for problem in (low, diagonal):
        flat = problem.isotropic(np.zeros((1, 3)))
        point = problem.at(flat)
        steps.append((point.value, problem.maximized(point.data, flat)))
    assert steps[0][0] == pytest.approx(steps[1][0], rel=1e-13)
    np.testing.assert_allclose(steps[0][1].means, steps[1][1].means, rtol=1e-12)
    ours = steps[0][1].structure.variances_by_column
    np.testing.assert_allclose(ours, steps[1][1].structure.variances_by_column, rtol=1e-12)


# ---- whole fits


def planted(seed, n=240, d=8, k=3, rank=2):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    means = rng.normal(scale=3.0, size=(k, d))
    loadings, noise = rng.normal(size=(k, d, rank)), rng.uniform(0.2, 0.8, (k, d))
    factors = rng.normal(size=(n, rank))
    X = means[labels] + np.einsum("nr,ndr->nd", factors, loadings[labels])
    return X + rng.normal(size=X.shape) * np.sqrt(noise[labels]), labels


@pytest.mark.parametrize("kind", ["factor", "ppca"])
def test_planted_components_are_found_with_gaps(kind):
    X, labels = planted(0)
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    model = GaussianMixture(3, covariance_type=f"{kind}:2", random_state=0).fit(X)
    found = model.predict(X)
    table = np.array([[np.sum((found == i) & (labels == j)) for j in range(3)] for i in range(3)])
    assert table.max(axis=0).sum() >= 0.97 * len(X)
    assert model.converged_ and model.validate(X)


def test_bic_finds_the_rank_and_the_number():
    X, _ = planted(2, n=300)
    model = GaussianMixture([2, 3], covariance_type="factor:1-3", random_state=0).fit(X)
    assert (model.n_components_, model.covariance_type_) == (3, "factor:2")


def test_full_rank_is_the_full_family():
    X, labels = planted(3, d=4)
    start = {"init_params": labels, "tol": 1e-10, "max_iter": 20_000}
    low = GaussianMixture(3, covariance_type="factor:3", **start).fit(X)
    full = GaussianMixture(3, covariance_type="full", **start).fit(X)
    assert low.lower_bound_ == pytest.approx(full.lower_bound_, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_is_a_repetition(kind):
    X, labels = planted(4, n=90)
    counts = np.random.default_rng(0).integers(1, 4, len(X))
    options = {"covariance_type": f"{kind}:2", "tol": 0.0, "max_iter": 12}
    weighted = GaussianMixture(3, init_params=labels, **options).fit(X, sample_weight=counts)
    repeated = GaussianMixture(3, init_params=np.repeat(labels, counts), **options)
    repeated.fit(np.repeat(X, counts, axis=0))
    # Two steps and a burst of eight leave as many digits as the steps' differences have.
    np.testing.assert_allclose(weighted.trace_, repeated.trace_, rtol=1e-6)
    np.testing.assert_allclose(weighted.trace_[:3], repeated.trace_[:3], rtol=1e-12)


@pytest.mark.parametrize("kind", ["factor", "factor-common", "factor-equal-noise"])
@pytest.mark.parametrize("steps", [2, 500])
def test_units_do_not_matter(kind, steps):
    X, labels = planted(5)
    scale = np.array([1.0, 1e-8, 1e8, 3.0, 1e3, 1e-3, 7.0, 1.0])
    options = {"covariance_type": f"{kind}:2", "init_params": labels, "max_iter": steps}
    options["tol"] = 0.0 if steps == 2 else 1e-6
    plain = GaussianMixture(3, **options).fit(X)
    moved = GaussianMixture(3, **options).fit((X + 5.0) * scale)
    volume = np.log(scale).sum()
    # Plain steps agree to rounding: 5e8 of offset in a column leaves eight digits.
    near = 1e-7 if steps == 2 else 1e-3
    assert moved.lower_bound_ == pytest.approx(plain.lower_bound_ - volume, abs=near)
    if steps > 2:
        np.testing.assert_array_equal(moved.predict((X + 5.0) * scale), plain.predict(X))


def test_hard_assignment_labels_and_equal_weights_compose():
    X, labels = planted(6)
    known = np.where(np.arange(len(X)) % 4 == 0, labels, -1)
    X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    model = GaussianMixture(
        3,
        covariance_type="factor:2",
        assignment="hard",
        equal_weights=True,
        prior="fraley-raftery",
        random_state=0,
    ).fit(X, labels=known, sample_weight=np.full(len(X), 2.0))
    np.testing.assert_array_equal(model.weights_, np.full(3, 1 / 3))
    assert (model.predict(X) == labels).mean() > 0.95


def test_a_noiseless_column_rests_on_the_floor_and_the_climb_is_sound():
    """A Heywood case: a column that is a factor. The likelihood stays finite and never falls."""
    X, _ = planted(7, k=1, rank=1)
    X[:, 1] = X[:, 0] * 2.0
    with pytest.warns(mixtura.DegenerateWarning, match="collinear"):
        model = GaussianMixture(1, covariance_type="factor:1", max_iter=3000).fit(X)
    assert np.isfinite(model.lower_bound_)
    assert np.diff(model.trace_).min() >= -1e-9 * abs(model.lower_bound_)


def test_another_family_warms_a_low_rank_one():
    X, labels = planted(8)
    for other in ("full", "diag", "ppca:1"):
        model = GaussianMixture(3, covariance_type=other, init_params=labels, warm_start=True)
        model.fit(X)
        model.set_params(covariance_type="factor:2").fit(X)
        fresh = GaussianMixture(3, covariance_type="factor:2", init_params=labels).fit(X)
        assert model.lower_bound_ == pytest.approx(fresh.lower_bound_, abs=1e-3)


@pytest.mark.parametrize("gaps", [False, True])
def test_nothing_of_size_d_by_d_is_formed(gaps):
    """A fit of 90 rows in 3 000 columns, 2 MB, stays below the 72 MB of one d × d matrix."""
    X, labels = planted(9, n=90, d=3000, rank=1)
    if gaps:
        X[np.random.default_rng(0).random(X.shape) < 0.01] = np.nan
    GaussianMixture(3, covariance_type="factor:1", max_iter=2, tol=0).fit(X[:, :10])
    tracemalloc.start()
    model = GaussianMixture(3, covariance_type="factor:1", random_state=0).fit(X)
    model.score(X), model.mixture_.condition({0: 1.0}), model.impute(X[:2])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6
    assert (model.predict(X)[:, None] == model.predict(X)).mean() == pytest.approx(1 / 3, abs=0.01)
    assert len(np.unique(model.predict(X) * 3 + labels)) == 3
