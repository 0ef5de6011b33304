"""scikit-learn's contract, for every estimator and with zero expected failures."""

import pytest
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from mixtura import (
    DensityEstimator,
    GaussianMixture,
    MixtureClassifier,
    MixtureImputer,
    MixtureOfLinearExperts,
    MixtureOutlierDetector,
    MixtureRegressor,
    OpenSetClassifier,
)
from oracle import FAMILIES

pytestmark = [
    pytest.mark.filterwarnings("ignore::mixtura.MixturaWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

PRIOR, HARD = {"prior": "fraley-raftery"}, {"assignment": "hard"}
SOME = ("full", "tied", "diag", "spherical", "VEV", "EVE")
OPTIONS = (("full", PRIOR), ("VEV", PRIOR), ("tied", HARD), ("diag", HARD))

CHECKED = [
    *[GaussianMixture(covariance_type=family) for family in SOME],
    *[GaussianMixture(covariance_type=family, **more) for family, more in OPTIONS],
    GaussianMixture(2, covariance_type="full", random_state=0),
    GaussianMixture(n_components=(1, 2), covariance_type=("full", "diag")),
    GaussianMixture(distribution="t"),
    GaussianMixture(noise=True, trim=0.1, covariance_type="diag"),
    DensityEstimator((1, 2)),
    MixtureClassifier(),
    MixtureClassifier(covariance_type=("tied", "diag"), shared=True, priors="uniform"),
    MixtureClassifier(prior="fraley-raftery", semi_supervised="missing"),
    MixtureImputer(1, add_indicator=True, distribution="t", random_state=0),
    MixtureImputer((1, 2), covariance_type="diag", method="draw", random_state=0),
    MixtureOfLinearExperts(1, noise_type="diag", ridge=1.0),
    MixtureOutlierDetector((1, 2), covariance_type="diag", trim=0.0, contamination=0.2),
    MixtureRegressor(1, point="median", random_state=0),
    OpenSetClassifier(),
    OpenSetClassifier(2, shrinkage=0.2, pooling=3.0, sets="by class", calibration=0.4),
]

SLOW = [
    *[GaussianMixture(covariance_type=family) for family in FAMILIES if family not in SOME],
    *[
        GaussianMixture(covariance_type=family, **more)
        for family in FAMILIES
        for more in (PRIOR, HARD)
        if (family, more) not in OPTIONS
    ],
    GaussianMixture(2, distribution="t", dof="own", noise=True, trim=0.1, random_state=0),
    GaussianMixture(trim=0.1, covariance_type="tied"),
    DensityEstimator(n_components=2),
    MixtureClassifier((1, 2), covariance_type="spherical", random_state=0, n_jobs=1),
    MixtureImputer(),
    MixtureOfLinearExperts(),
    MixtureOfLinearExperts(2, covariance_type="diag", ridge=1.0),
    MixtureOutlierDetector(),
    MixtureOutlierDetector(1, covariance_type="full", distribution="t", contamination=0.2),
    MixtureOutlierDetector(3, covariance_type="diag"),  # the checks' rows are three blobs
    MixtureRegressor(),
    MixtureRegressor((1, 2), covariance_type=("full", "tied"), point="mode"),
]
"""Several numbers of components to choose from, or every family with every option."""


@parametrize_with_checks(CHECKED)
def test_scikit_learns_contract(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", SLOW, ids=str)  # in one go: their names take seconds
def test_scikit_learns_contract_of_slow_estimators(estimator):
    check_estimator(estimator, on_skip=None)
