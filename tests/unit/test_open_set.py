"""The open-set classifier: scikit-learn's contract, densities, guarantees."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from mixtura import OpenSetClassifier

CHECKED = [
    OpenSetClassifier(),
    OpenSetClassifier(2, shrinkage=0.2, pooling=3.0, sets="by class", calibration=0.4),
]


@parametrize_with_checks(CHECKED)
def test_scikit_learns_contract(estimator, check):
    """Zero expected failures."""
    check(estimator)
