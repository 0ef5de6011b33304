"""float32 rows of many columns: when their products may run in single precision."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixtura import Mixture, kernels
from mixtura.block import Block
from mixtura.covariance import FAMILIES, Guard
from mixtura.expectation import expectation
from mixtura.log_linear import LOSS_SINGLE, cancellation, coefficients, single
from mixtura.statistics import Moments, packed, unpacked

D = 160


@pytest.fixture
def compiled():
    kernels.use("compiled")
    yield
    kernels.use("auto")


def smooth(width, noise):
    """Columns that vary together with their neighbours, as pixels do."""
    apart = np.subtract.outer(np.arange(D), np.arange(D)) / width
    return np.exp(-0.5 * apart**2) + noise * np.eye(D)


def mixture(covariance, offset):
    means = offset + np.random.default_rng(0).normal(size=(2, D))
    return Mixture([0.5, 0.5], means, np.stack([covariance, 1.5 * covariance]))


@pytest.mark.parametrize(
    ("covariance", "offset", "expected"),
    [
        (np.eye(D), 0.0, True),  # by the bound
        (smooth(3.0, 1e-2), 0.0, True),  # by draws alone
        (0.999 + 0.001 * np.eye(D), 0.0, False),  # equal coefficients are rounded alike
        (np.eye(D), 300.0, False),
    ],
)
def test_single_precision_loses_little_where_it_is_allowed(compiled, covariance, offset, expected):
    model = mixture(covariance, offset)
    assert single(model, kernels.active()) == expected
    rows = model.sample(400, 1).astype(np.float32)
    block, moments = Block(rows), Moments(0)
    found = expectation(model, block, moments=moments)
    exact = expectation(model, Block(rows.astype(np.float64)), moments=moments)
    off = abs(found.log_likelihood - exact.log_likelihood) / len(rows)
    assert off <= (LOSS_SINGLE if expected else 1e-9)
    assert_allclose(found.second, exact.second, atol=1e-5 * np.abs(exact.second).max())


def test_the_bound_alone_would_not_allow_columns_that_vary_together(compiled):
    assert cancellation(mixture(smooth(3.0, 1e-2), 0.0)) * 2.0**29 > LOSS_SINGLE


def test_kernels_that_add_up_in_single_precision_keep_to_the_bound():
    assert not single(mixture(smooth(3.0, 1e-2), 0.0), kernels.plain)


def test_coefficients_of_many_columns_are_those_of_dense_precisions():
    model = mixture(smooth(2.0, 0.1), 1.0)
    precisions = np.linalg.inv(model.covariances)
    first = np.einsum("kij,kj->ki", precisions, model.means)
    theta = coefficients(model)
    twice = 2.0 * precisions - precisions * np.eye(D)
    scale = np.abs(precisions).max()  # inverses of condition 1e2 agree to a few digits less
    assert_allclose(theta[:, : -D - 1], -0.5 * packed(twice, 0), atol=1e-12 * scale)
    assert_allclose(theta[:, -D - 1 : -1], first, atol=1e-11 * np.abs(first).max())
    reach = np.abs(model.means) + 3.0 * np.sqrt(model.covariances.diagonal(axis1=1, axis2=2))
    terms = np.einsum("ki,kij,kj->k", reach, np.abs(precisions), reach)
    assert_allclose(cancellation(model), 2.0**-53 * terms.max(), rtol=1e-10)


def test_many_columns_are_unpacked_as_few_are():
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(2, D, D))
    dense = dense + dense.swapaxes(1, 2)
    np.testing.assert_array_equal(unpacked(packed(dense, 0), 0, D), dense)


def test_a_ridge_is_added_once():
    rng = np.random.default_rng(0)
    data = expectation(
        mixture(np.eye(D), 0.0), Block(rng.normal(size=(500, D))), moments=Moments(0)
    )
    before = data.second.copy()
    plain = FAMILIES["full"].maximize(data, Guard(np.zeros(D)))
    ridged = FAMILIES["full"].maximize(data, Guard(np.full(D, 0.25)))
    assert_allclose(ridged.dense() - plain.dense(), np.stack([0.25 * np.eye(D)] * 2), atol=1e-12)
    np.testing.assert_array_equal(data.second, before)
