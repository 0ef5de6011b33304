"""The bound on the ratio of eigenvalues, through the estimator."""

import numpy as np
import pytest

from mixtura import GaussianMixture, InputError
from mixtura.covariance import RATIO
from strategies import spread


@pytest.mark.parametrize(
    ("options", "name"), spread([{}, {"trim": 0.05}, {"noise": True}], RATIO, every=2)
)
def test_the_ratio_is_kept_in_the_units_of_the_data(name, options, faithful):
    model = GaussianMixture(3, covariance_type=name, max_ratio=20.0, random_state=0, **options)
    values = np.linalg.eigvalsh(model.fit(faithful).mixture_.covariances)
    assert values.max() / values.min() <= 20.0 * (1 + 1e-9)
    assert (np.diff(model.trace_) >= -1e-12).all()


def test_a_wide_ratio_changes_nothing(faithful):
    free = GaussianMixture(2, random_state=0).fit(faithful)
    held = GaussianMixture(2, max_ratio=1e9, random_state=0).fit(faithful)
    assert held.lower_bound_ == pytest.approx(free.lower_bound_, abs=1e-8)


def test_what_cannot_be_kept_is_refused(faithful):
    with pytest.raises(InputError, match="VEE covariances"):
        GaussianMixture(2, covariance_type="VEE", max_ratio=5.0).fit(faithful)
    with pytest.raises(InputError, match="at least 1"):
        GaussianMixture(2, max_ratio=0.5).fit(faithful)
