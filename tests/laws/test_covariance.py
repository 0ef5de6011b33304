"""What every covariance structure promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixtura.covariance import ALIASES, Guard, family, structure
from mixtura.covariance import FAMILIES as RULES
from oracle import FAMILIES
from strategies import covariance_array, dense, seeds

families = st.sampled_from(FAMILIES)


def value(name, k, d, seed):
    return structure(covariance_array(name, k, d, np.random.default_rng(seed)), name, k, d)


def whiteners(s):
    """The factors as (k, d, d), whatever their layout."""
    return {
        0: lambda: s.factors,
        1: lambda: np.stack([np.diag(row) for row in s.factors]),
        2: lambda: np.stack([np.eye(s.d) * f for f in s.factors]),
    }[s.shape]()


@given(name=families, k=st.integers(1, 4), d=st.integers(1, 6), seed=seeds())
def test_whiten_undoes_colorize(name, k, d, seed):
    s = value(name, k, d, seed)
    noise = np.random.default_rng(seed).normal(size=(10, d))
    for component in range(k):
        back = s.colorize(noise, component) @ whiteners(s)[component]
        # The factor is the inverse transpose of the root that colours, so the noise itself is back.
        np.testing.assert_allclose(back, noise, rtol=1e-9, atol=1e-10)


@given(name=families, k=st.integers(1, 4), d=st.integers(1, 6), seed=seeds())
def test_factors_precisions_and_determinants_belong_to_the_matrix(name, k, d, seed):
    s = value(name, k, d, seed)
    matrices = s.dense()
    expected = dense(name, covariance_array(name, k, d, np.random.default_rng(seed)), k, d)
    np.testing.assert_array_equal(matrices, expected)
    np.testing.assert_allclose(s.log_det, np.linalg.slogdet(matrices)[1], rtol=1e-11, atol=1e-12)
    for matrix, factor in zip(matrices, whiteners(s), strict=True):
        np.testing.assert_allclose(factor.T @ matrix @ factor, np.eye(d), atol=1e-10)
    np.testing.assert_array_equal(s.variances_by_column, matrices.diagonal(axis1=1, axis2=2))
    np.testing.assert_allclose(s.eigenvalues(), np.linalg.eigvalsh(matrices), rtol=1e-10)
    assert (s.k, s.d) == (k, d)


@given(name=families, seed=seeds())
def test_marginal_take_and_scaled_are_those_of_the_matrix(name, seed):
    s = value(name, 3, 4, seed)
    rng = np.random.default_rng(seed)
    dims = list(rng.permutation(4)[: rng.integers(1, 5)])
    np.testing.assert_array_equal(s.marginal(dims).dense(), s.dense()[:, dims][:, :, dims])
    chosen = [2, 0]
    np.testing.assert_array_equal(s.take(chosen).dense(), s.dense()[chosen])
    factors = rng.uniform(0.5, 2.0, 4)
    np.testing.assert_allclose(
        s.scaled(factors).dense(), factors[:, None] * s.dense() * factors, rtol=1e-13
    )
    common = np.full(4, 2.0)
    assert type(s.scaled(common)) is type(s)
    assert s.scaled(common).shared == s.shared


@given(name=families, k=st.integers(1, 3), d=st.integers(1, 4), seed=seeds())
def test_array_and_structure_are_inverse(name, k, d, seed):
    s = value(name, k, d, seed)
    again = structure(s.array(), name, k, d)
    np.testing.assert_array_equal(again.dense(), s.dense())
    assert type(again) is type(s)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases_are_the_same_rule(alias, name):
    assert family(alias) is family(name) is RULES[name]


@given(seed=seeds(), floor=st.sampled_from([1e-12, 1e-6, 0.1]))
def test_the_guard_bounds_eigenvalues_and_leaves_the_rest(seed, floor):
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    values = np.array([-1e-18, 1e-14, 0.5, 2.0])
    thin = (q * values) @ q.T
    sound = (q * np.array([0.3, 0.5, 1.0, 2.0])) @ q.T
    matrices = np.stack([(thin + thin.T) / 2, (sound + sound.T) / 2])
    guarded, lower = Guard(np.zeros(4), floor).matrices(matrices, np.ones(2))
    assert lower is None
    low = np.linalg.eigvalsh(guarded)[:, 0]
    # An eigenvalue of a matrix of size 2 is known to 2u; the guard keeps that distance too.
    assert (low >= floor - 1e-14).all() and (low > 0).all()
    np.linalg.cholesky(guarded)
    np.testing.assert_allclose(guarded[1], matrices[1], atol=1e-14)
    np.testing.assert_allclose(np.linalg.eigvalsh(guarded)[0, 2:], [0.5, 2.0], rtol=1e-10)
    untouched, lower = Guard(np.zeros(4)).matrices(matrices[1:], np.ones(1))
    np.testing.assert_allclose(lower @ lower.swapaxes(1, 2), untouched, atol=1e-15)
    assert (
        Guard(np.zeros(3), floor).variances(np.array([[0.0, -1.0, 5.0]]), np.ones(1)) >= floor
    ).all()


def test_a_ridge_is_added_to_the_diagonal():
    guard = Guard(np.array([0.5, 2.0]))
    np.testing.assert_array_equal(
        guard.matrices(np.eye(2)[None], np.ones(1))[0][0], np.diag([1.5, 3.0])
    )
    np.testing.assert_array_equal(guard.variances(np.ones((1, 2)), np.ones(1)), [[1.5, 3.0]])
