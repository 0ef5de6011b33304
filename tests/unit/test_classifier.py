"""The classifier: scikit-learn's contract, discriminant analysis as known, gaps, weights, no labels."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from mixtura import MixtureClassifier

CHECKED = [
    MixtureClassifier(),
    MixtureClassifier(2, covariance_type="diag", random_state=0),
    MixtureClassifier((1, 2), covariance_type="spherical", random_state=0),
    MixtureClassifier(covariance_type="tied", shared=True),
    MixtureClassifier(covariance_type="all", shared=True, priors="uniform"),
    MixtureClassifier(prior="fraley-raftery", semi_supervised="missing"),
    MixtureClassifier(covariance_type="diag", shared=True, semi_supervised="missing"),
]


@pytest.mark.filterwarnings("ignore::mixtura._errors.MixturaWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(CHECKED)
def test_scikit_learns_contract(estimator, check):
    """Zero expected failures."""
    check(estimator)
