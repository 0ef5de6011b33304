"""Standard errors, bootstraps and likelihood-ratio tests against published and stored numbers.

`mclust_inference.json` was made by `mclust_inference.R` beside it.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import mixtura
from mixtura import GaussianMixture, kernels

STORED = json.loads((Path(__file__).parent / "mclust_inference.json").read_text())
DIABETES = np.array(STORED["diabetes"])

# Old Faithful, two full components: Hessian by differences of fourth order, at 1e-13 nats.
ERRORS = {
    "information": (0.029089, [[0.027108, 0.591874], [0.031403, 0.456186]]),
    "opg": (0.029083, [[0.034946, 0.628465], [0.033495, 0.471313]]),
    "sandwich": (0.029103, [[0.028428, 0.596649], [0.031942, 0.460848]]),
}


@pytest.fixture(scope="module")
def fit(faithful):
    return GaussianMixture(2, init_params=(faithful[:, 0] > 3).astype(int), tol=1e-13).fit(faithful)


@pytest.mark.parametrize("method", ERRORS)
def test_standard_errors_of_old_faithful_to_six_digits(faithful, fit, method):
    weight, means = ERRORS[method]
    found = mixtura.standard_errors(fit, faithful, method=method)
    half = 0.51e-6  # of the last digit printed
    np.testing.assert_allclose(found.weights, [weight, weight], atol=half, rtol=0)
    np.testing.assert_allclose(found.means, means, atol=half, rtol=0)
    np.testing.assert_allclose(fit.weights_[0], 0.3558729, atol=0.51e-7)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["nonparametric", "weighted", "parametric", "jackknife"])
def test_bootstraps_of_old_faithful(faithful, fit, method):
    pytest.importorskip("numba")
    kernels.use("compiled")
    theirs = STORED["faithful_bootstrap"][method]
    ours = mixtura.bootstrap(fit, faithful, 1999, method=method, random_state=0).standard_errors
    # standard deviations of 1999 and 4999 replicates differ by 1.9 % (more for variances, whose
    # tails are longer): four times that. The jackknife has no randomness, but their climbs end at a
    # relative gain of 1e-5, .01 nats, and leaving out one row moves the maximum by about as much;
    # ours agrees with whole fits to 1e-13 (test_jackknife_agrees_with_leaving_rows_out).
    bound = 0.05 if method == "jackknife" else 0.08
    np.testing.assert_allclose(ours.weights[::-1], theirs["weights"], rtol=bound)
    np.testing.assert_allclose(ours.means[::-1], theirs["means"], rtol=bound)
    variances = ours.covariances.diagonal(axis1=1, axis2=2)[::-1]
    np.testing.assert_allclose(variances, theirs["variances"], rtol=bound)


def test_likelihood_ratios_from_stored_partitions():
    values = [
        GaussianMixture(k + 1, init_params=np.array(labels, int), tol=1e-9)
        .fit(DIABETES)
        .score_samples(DIABETES)
        .sum()
        for k, labels in enumerate(STORED["diabetes_labels"])
    ]
    theirs = np.array(STORED["diabetes_log_likelihood"])
    assert (values > theirs - 1e-6).all()
    assert values[0] == pytest.approx(theirs[0], abs=1e-6)


@pytest.mark.slow
def test_bootstrap_test_of_the_diabetes_data():
    """The package's vignette prints 369.985, 121.107 and 19.901 with p = .001, .001 and .283."""
    np.testing.assert_allclose(STORED["lrt_statistic"], [369.985, 121.107, 19.901], atol=5e-4)
    pytest.importorskip("numba")
    kernels.use("compiled")
    found = mixtura.likelihood_ratio_test(DIABETES, 1, up_to=4, n_replicates=199, random_state=0)
    assert found.n_components == 3
    first, second, third = found.comparisons
    for one in (first, second):
        assert one.p_value == 1 / (1 + len(one.replicates))
    assert third.p_value > 0.05
    theirs = np.array(STORED["diabetes_log_likelihood"])
    for one in found.comparisons:  # ours are better optima of both models
        assert one.null.logpdf(DIABETES).sum() > theirs[one.k0 - 1] - 1e-4
        assert one.alternative.logpdf(DIABETES).sum() > theirs[one.k1 - 1] - 1e-4
