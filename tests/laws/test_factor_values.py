"""Low-rank covariances as values: the same numbers as dense formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mixtura
from factor_cases import KINDS, covariances, dense_of, draw, rows
from mixtura import GaussianMixture, InputError, Mixture
from mixtura.covariance import Factor, FactorCovariances, family, named
from mixtura.covariance.factor_rule import NAMES
from oracle import log_joint
from strategies import seeds


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
