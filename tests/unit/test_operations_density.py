"""Densities on bounded columns, the estimator, and how a density is held against the data."""

from itertools import pairwise

import mpmath
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from mixtura import DensityEstimator, GaussianMixture, Mixture
from mixtura._errors import InputError, InputTypeError
from mixtura.integrals.box import box
from mixtura.operations.bounded import BoundedMixture
from mixtura.operations.calibration import calibration
from mixtura.operations.transformation import Transformation
from strategies import seeds

INF = np.inf
BOUNDS = [(0.0, INF), (-INF, 5.0), (2.0, 3.0)]
POWERS = [-0.5, 0.0, 0.3, 1.0, 2.0]


def transformation(lower, upper, power, unit=2.0):
    ends = [np.atleast_1d(np.asarray(value, float)) for value in (lower, upper, power)]
    return Transformation(*ends, np.full(len(ends[0]), unit))


def bounded(bounds, power):
    mixture = Mixture([0.2, 0.5, 0.3], [[-2], [0], [3]], [[[0.25]], [[1.0]], [[2.25]]])
    return BoundedMixture(mixture, transformation(*bounds, power))


# ---- the transformation


@given(bounds=st.sampled_from(BOUNDS), power=st.integers(-3000, 3000), share=st.floats(0.02, 0.98))
def test_there_and_back_and_the_jacobian(bounds, power, share):
    power = power / 1000
    one = transformation(*bounds, power)
    low, high = np.clip(bounds, -10.0, 10.0)
    x = np.array([[low + share * (high - low)]])
    assert one.unread(one.read(x)) == pytest.approx(x, rel=1e-9)
    a, b = one.limits
    assert a[0] < one.read(x)[0, 0] < b[0]

    def formula(value):
        if np.isinf(bounds[1]):
            y = (value - bounds[0]) / 2
        elif np.isinf(bounds[0]):
            y = (bounds[1] - value) / 2
        else:
            y = (value - bounds[0]) / (bounds[1] - value)
        sign = -1 if np.isinf(bounds[0]) else 1
        return sign * (mpmath.log(y) if power == 0 else (y**power - 1) / power)

    with mpmath.workdps(30):
        value = mpmath.mpf(float(x[0, 0]))
        slope = mpmath.log(mpmath.diff(formula, value))
        assert one.read(x)[0, 0] == pytest.approx(float(formula(value)), rel=1e-9, abs=1e-12)
    assert one.log_jacobian(x)[0] == pytest.approx(float(slope), rel=1e-9, abs=1e-9)


def test_columns_without_bounds_stay_as_they_are():
    rows = np.array([[1.0, np.nan, -3.0], [2.0, 0.5, np.nan]])
    one = transformation([0, 0, -INF], [INF, 1, INF], [0, 0, 0], 1.0)
    z = one.read(rows)
    np.testing.assert_array_equal(z[:, 2], rows[:, 2])
    np.testing.assert_array_equal(np.isnan(z), np.isnan(rows))
    assert one.unread(z)[:, :2] == pytest.approx(rows[:, :2], nan_ok=True)
    assert one.log_jacobian(rows) == pytest.approx([0.0, -np.log(2.0) - np.log(0.25)])


# ---- the density


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("power", POWERS)
def test_a_bounded_density_integrates_to_one(bounds, power):
    """Over quantiles, so that each part is smooth: the parts must be what the cdf says."""
    density = bounded(bounds, power)
    ends = density.quantile([0.02, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.99])
    parts = [
        quad(lambda x: density.pdf([[x]])[0], a, b, epsabs=1e-11)[0] for a, b in pairwise(ends)
    ]
    assert parts == pytest.approx(np.diff(density.cdf(ends)), abs=1e-10)
    assert density.cdf(ends) + density.sf(ends) == pytest.approx(np.ones(len(ends)), abs=1e-14)
    np.testing.assert_array_equal(density.cdf([bounds[0], bounds[1]]), [0.0, 1.0])


@given(bounds=st.sampled_from(BOUNDS), power=st.sampled_from(POWERS), p=st.floats(1e-9, 1 - 1e-9))
def test_quantiles_invert_the_cdf(bounds, power, p):
    density = bounded(bounds, power)
    x = density.quantile(p)
    assert bounds[0] <= x <= bounds[1]
    below, above = density.cdf([np.nextafter(x, -INF), np.nextafter(x, INF)])
    assert below - 1e-12 <= p <= above + 1e-12  # near a bound other than 0, x itself is coarse


def test_the_lognormal():
    density = BoundedMixture(
        Mixture([1.0], [[0.5]], [[[0.49]]]), transformation(0.0, INF, 0.0, 1.0)
    )
    known = stats.lognorm(0.7, scale=np.exp(0.5))
    x = np.array([1e-5, 0.3, 1.0, 40.0])
    assert density.logpdf(x[:, None]) == pytest.approx(known.logpdf(x), rel=1e-12)
    assert density.cdf(x) == pytest.approx(known.cdf(x), rel=1e-12)
    assert density.quantile([0.01, 0.9]) == pytest.approx(known.ppf([0.01, 0.9]), rel=1e-12)


def test_the_truncated_normal():
    density = BoundedMixture(
        Mixture([1.0], [[-0.5]], [[[4.0]]]), transformation(1.0, INF, 1.0, 1.0)
    )
    known = stats.truncnorm(-0.25, INF, loc=0.5 + 1.0, scale=2.0)  # z = x - 1 - 1, above -1
    assert density.transformation.limits[0][0] == -1.0
    x = np.array([1.0, 1.3, 4.0, 9.0])
    assert density.logpdf(x[:, None]) == pytest.approx(known.logpdf(x), rel=1e-12)
    assert density.cdf(x) == pytest.approx(known.cdf(x), abs=1e-14)


def test_outside_and_on_the_bounds():
    x = [[-0.1], [0.0]]
    assert bounded((0.0, INF), 0.0).logpdf(x).tolist() == [-INF, -INF]
    on = bounded((0.0, INF), 1.0).logpdf(x)
    assert on[0] == -INF and np.isfinite(on[1])
    assert bounded((0.0, INF), 0.5).logpdf(x).tolist() == [-INF, INF]  # as y^(-1/2)
    assert bounded((2.0, 3.0), -1.0).logpdf([[3.0], [3.1]])[1] == -INF
    assert np.isfinite(bounded((2.0, 3.0), -1.0).logpdf([[3.0]])[0])


@pytest.fixture(scope="module")
def plane():
    mixture = Mixture(
        [0.5, 0.5], [[0, 0], [1, 1]], [[[1, 0.5], [0.5, 0.9]], [[0.5, 0.0], [0.0, 1.0]]]
    )
    return BoundedMixture(mixture, transformation([0, 0], [INF, 1], [0.7, -0.4], 1.0))


def test_gaps_leave_the_marginal_of_a_truncated_density(plane):
    """What was not observed is integrated over its range, not over the whole line."""
    for row, free, ends in (([1.0, np.nan], 1, (0, 1)), ([np.nan, 0.3], 0, (0, INF))):

        def along(value, row=row, free=free):
            whole = np.array(row)
            whole[free] = value
            return plane.pdf(whole[None])[0]

        # 1e-4: the mass of the rectangle is a sum over 4 096 points
        assert plane.pdf([row])[0] == pytest.approx(quad(along, *ends)[0], rel=1e-4)
    assert plane.logpdf([[np.nan, np.nan]])[0] == pytest.approx(0.0, abs=1e-4)


def test_draws_follow_the_density(plane):
    drawn = plane.sample(40_000, 0)
    assert drawn.shape == (40_000, 2) and plane.transformation.inside(drawn).all()
    for x in (0.5, 1.5):
        want = quad(lambda value: plane.pdf([[value, np.nan]])[0], 0, x)[0]
        assert np.mean(drawn[:, 0] < x) == pytest.approx(want, abs=0.011)  # 4 sd
    one = bounded((0.0, INF), 1.0)
    assert stats.kstest(one.sample(2_000, 1)[:, 0], one.cdf).pvalue > 1e-3


@given(seed=seeds(), d=st.integers(1, 4))
@settings(max_examples=10)
def test_the_probability_of_a_box(seed, d):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d))
    covariance = root @ root.T + 0.3 * np.eye(d)
    means, low = rng.normal(size=(3, d)), rng.normal(-1, 1, d)
    high = np.where(rng.random(d) < 0.5, INF, low + 1.0 + rng.random(d))
    want = [
        stats.multivariate_normal(mean, covariance, maxpts=200_000, abseps=1e-7).cdf(
            high, lower_limit=low
        )
        for mean in means
    ]
    got, error = box(covariance, low - means, high - means)
    assert got == pytest.approx(np.array(want), abs=1e-12 if d == 1 else 5e-4)  # SciPy sums points
    assert (error < 5e-4).all()


# ---- the estimator


KNOWN = {
    "exponential": (stats.expon(scale=2.0), (0, None)),
    "beta": (stats.beta(2.0, 5.0), (0, 1)),
    "mirrored lognormal": (stats.lognorm(0.7), (None, 0)),
}


@pytest.mark.filterwarnings("ignore:.*edge of the range")
@pytest.mark.parametrize("name", KNOWN)
def test_bounds_bring_the_density_closer(name):
    """Divergence to the truth over new draws: a fraction of what it is without bounds."""
    truth, bounds = KNOWN[name]
    sign = -1.0 if bounds[0] is None else 1.0
    rows = sign * truth.rvs((300, 1), random_state=1)
    test = sign * truth.rvs((4_000, 1), random_state=2)
    best = truth.logpdf(sign * test).mean()
    options = {"n_components": range(1, 4), "random_state": 0, "covariance_type": "full"}
    with_bounds = DensityEstimator(bounds=bounds, **options).fit(rows)
    without = DensityEstimator(**options).fit(rows)
    assert 0 < best - with_bounds.score(test) < 0.02
    assert best - with_bounds.score(test) < 0.5 * (best - without.score(test))
    assert with_bounds.log_likelihood_ == pytest.approx(with_bounds.score_samples(rows).sum())
    assert with_bounds.n_parameters_ == 3 * with_bounds.n_components_ - 1 + 1


def test_the_power_is_at_a_maximum_of_the_likelihood():
    rows = stats.gamma(3.0).rvs((300, 1), random_state=0)
    best = DensityEstimator(1, bounds=(0, None), random_state=0).fit(rows)
    for off in (-0.05, 0.05):
        near = DensityEstimator(1, bounds=(0, None), power=best.power_ + off, random_state=0)
        assert near.fit(rows).log_likelihood_ < best.log_likelihood_
    assert best.power_[0] == pytest.approx(1 / 3, abs=0.15)  # Wilson & Hilferty (1931)


def test_without_bounds_it_is_the_mixture():
    rows = np.random.default_rng(0).normal(size=(150, 2))
    density = DensityEstimator(2, covariance_type="full", random_state=0).fit(rows)
    mixture = GaussianMixture(2, random_state=0).fit(rows)
    assert density.score(rows) == pytest.approx(mixture.score(rows), abs=1e-5)
    assert np.isnan(density.power_).all() and np.isinf(density.bounds_).all()


def test_weights_repeat_and_units_do_not_matter():
    rows = stats.gamma(2.0).rvs((80, 1), random_state=0)
    weights = np.random.default_rng(0).integers(0, 3, 80)
    model = DensityEstimator(1, bounds=(0, None), random_state=0)
    once = clone(model).fit(rows, sample_weight=weights)
    again = clone(model).fit(np.repeat(rows, weights, axis=0))
    assert once.log_likelihood_ == pytest.approx(again.log_likelihood_, abs=1e-3)
    far = clone(model).fit(rows * 1e-7, sample_weight=weights)
    assert far.quantile(0.3) == pytest.approx(once.quantile(0.3) * 1e-7, rel=1e-3)
    assert far.log_likelihood_ == pytest.approx(
        once.log_likelihood_ + weights.sum() * np.log(1e7), abs=1e-3
    )


def test_two_columns_with_gaps_by_name():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"length": rng.gamma(2.0, size=200), "share": rng.beta(2, 3, 200)})
    table.loc[::9, "share"] = np.nan
    model = DensityEstimator(1, bounds={"length": (0, None), "share": (0, 1)}, random_state=0).fit(
        table
    )
    assert np.isfinite(model.score(table)) and model.power_.shape == (2,)
    np.testing.assert_array_equal(model.bounds_, [[0, INF], [0, 1]])
    drawn = model.sample(500, random_state=0)
    assert (drawn[:, 0] > 0).all() and (drawn[:, 1] > 0).all() and (drawn[:, 1] < 1).all()
    with pytest.raises(InputError, match="one feature"):
        model.cdf(table)


WRONG_BOUNDS = {
    "turned about": ((1, 0), InputError, "below high"),
    "no pair": (3.0, InputTypeError, "pair"),
    "too many": ([(0, 1), (0, 1)], InputError, "2 bounds for 1"),
    "no number": ((0, "a"), InputError, "numbers"),
    "an unknown column": ({"b": (0, 1)}, InputError, "no feature"),
    "outside": ((0.5, None), InputError, "outside its bounds"),
    "on the bound": ((0, None), InputError, "on its bounds"),
}


@pytest.mark.parametrize("name", WRONG_BOUNDS)
def test_bounds_that_cannot_be(name):
    bounds, kind, message = WRONG_BOUNDS[name]
    with pytest.raises(kind, match=message):
        DensityEstimator(1, bounds=bounds).fit([[0.0], [1.0], [2.0], [3.0]])


def test_parameters_that_cannot_be():
    rows = [[1.0], [2.0], [3.0]]
    for options, message in (
        ({"power": "best"}, "power"),
        ({"power": [1.0, 2.0]}, "power"),
        ({"criterion": "icl"}, "criterion"),
    ):
        with pytest.raises(InputError, match=message):
            DensityEstimator(1, **options).fit(rows)
    with pytest.raises(NotFittedError):
        DensityEstimator().quantile(0.5)


# ---- calibration


def test_calibration_against_its_definitions():
    mixture = Mixture([0.4, 0.6], [[0.0], [5.0]], [[[1.0]], [[2.0]]])
    rows = mixture.sample(60, 0)
    rows[7] = np.nan
    found = calibration(mixture, rows)
    values = np.sort(rows[~np.isnan(rows)])
    np.testing.assert_array_equal(found.values, values)
    assert found.pit == pytest.approx(mixture.cdf(values))
    assert found.distance == pytest.approx(stats.kstest(values, mixture.cdf).statistic)
    i, n = np.arange(1, 60), 59
    assert found.lower == pytest.approx(stats.beta.ppf(0.025, i, n + 1 - i))
    assert found.positions == pytest.approx(i / (n + 1))
    assert mixture.cdf(found.expected) == pytest.approx(found.positions)
    assert "lie outside" in found.sentence()


def test_a_weight_in_calibration_is_a_repetition():
    mixture = Mixture([1.0], [[0.0]], [[[1.0]]])
    rows, weights = np.array([-1.0, 0.2, 0.3, 2.0]), np.array([3.0, 1.0, 0.0, 5.0])
    once = calibration(mixture, rows, weights)
    again = calibration(mixture, np.repeat(rows, weights.astype(int)))
    assert once.distance == pytest.approx(again.distance)
    middle = [1, 3, 6]  # of three, the only one, of five
    for name in ("values", "positions", "lower", "upper"):
        assert getattr(once, name) == pytest.approx(getattr(again, name)[middle])


def test_envelopes_hold_what_they_say():
    mixture = Mixture([0.4, 0.6], [[0.0], [5.0]], [[[1.0]], [[2.0]]])
    out = [calibration(mixture, mixture.sample(100, seed), level=0.9).outside for seed in range(60)]
    spread = np.std(out) / np.sqrt(len(out))
    assert np.mean(out) == pytest.approx(0.1, abs=4 * spread)


def test_nothing_to_compare():
    mixture = Mixture([1.0], [[0.0]], [[[1.0]]])
    with pytest.raises(InputError, match="no value"):
        calibration(mixture, [[np.nan]])
    with pytest.raises(InputError, match="level"):
        calibration(mixture, [1.0], level=1.0)
    with pytest.raises(InputError, match="2 columns"):
        calibration(mixture, [[1.0, 2.0]])
