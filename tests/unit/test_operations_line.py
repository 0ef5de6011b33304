"""One feature: distribution function, quantiles, turning points, highest-density regions."""

import json
from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, norm

from mixtura import GaussianMixture, Mixture
from mixtura._errors import InputError
from mixtura.operations import univariate
from mixtura.operations.line import Line
from mixtura.operations.region import highest_density_region
from strategies import seeds

# .2 N(-2, .5²) + .5 N(0, 1) + .3 N(3, 1.5²)
WEIGHTS, MEANS, DEVIATIONS = (0.2, 0.5, 0.3), (-2.0, 0.0, 3.0), (0.5, 1.0, 1.5)


def line_of(weights, means, deviations):
    return Mixture(
        weights, np.array(means)[:, None], np.square(deviations), covariance_type="spherical"
    )


@pytest.fixture(scope="module")
def three():
    return line_of(WEIGHTS, MEANS, DEVIATIONS)


def exact(x, tail=1):
    """The lower (1) or upper (-1) tail at 40 digits."""
    with mpmath.workdps(40):
        terms = zip(WEIGHTS, MEANS, DEVIATIONS, strict=True)
        return mpmath.fsum(
            mpmath.mpf(str(w)) * mpmath.ncdf(tail * (mpmath.mpf(x) - m) / s) for w, m, s in terms
        )


def some(seed, k=4, spread=4.0):
    rng = np.random.default_rng(seed)
    return line_of(
        rng.dirichlet(np.ones(k)), rng.normal(0, spread, k), np.exp(rng.normal(0, 0.7, k))
    )


# ---- distribution function


def test_tails_agree_with_fifty_digits(three):
    x = np.array([-60.0, -12.0, -3.3, -1.0, 0.2, 2.5, 7.0, 15.0, 40.0])
    for function, tail in ((three.cdf, 1), (three.sf, -1)):
        want = np.array([float(exact(value, tail)) for value in x])
        assert function(x) == pytest.approx(want, rel=1e-12, abs=0)  # ndtr's own error far out


def test_log_tails_do_not_underflow(three):
    x = np.array([-200.0, -40.0, -1.0, 0.3, 5.0, 60.0, 300.0])
    for function, tail in ((univariate.logcdf, 1), (univariate.logsf, -1)):
        other = [mpmath.log1p(-exact(value, -tail)) for value in x]
        whole = [exact(value, tail) for value in x]
        want = [near if p > 0.5 else mpmath.log(p) for p, near in zip(whole, other, strict=True)]
        want = np.array([float(value) for value in want])
        assert np.isfinite(want).all()
        assert function(three, x) == pytest.approx(want, rel=1e-12, abs=1e-300)


def test_shapes_gaps_and_ends(three):
    assert three.cdf(0.0).shape == () and three.cdf([[0.0], [1.0]]).shape == (2,)
    np.testing.assert_array_equal(three.cdf([-np.inf, np.inf]), [0.0, 1.0])
    np.testing.assert_array_equal(three.sf([-np.inf, np.inf]), [1.0, 0.0])
    assert np.isnan(three.cdf(np.nan))
    assert three.quantile([[0.1, 0.2, 0.3]]).shape == (1, 3)
    np.testing.assert_array_equal(three.quantile([0.0, 1.0]), [-np.inf, np.inf])


def test_several_features_are_refused():
    flat = Mixture([1.0], [[0.0, 0.0]], [np.eye(2)])
    for call in (flat.sf, flat.quantile, flat.logsf):
        with pytest.raises(InputError, match="one feature"):
            call([0.5])


@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan])
def test_what_is_no_probability_is_refused(three, p):
    with pytest.raises(InputError, match=r"within 0\.\.1"):
        three.quantile([0.5, p])


# ---- quantiles

# Twelve decimals, made with mpmath; the last is the quantile at the double nearest to 1 - 1e-6.
QUANTILES = {
    1e-12: -7.311551549259,
    0.01: -2.850499306034,
    0.1: -2.062242959580,
    0.25: -1.181390165172,
    0.5: 0.205151665342,
    0.75: 1.845673130832,
    0.9: 3.647003186181,
    0.99: 5.750872103229,
    1 - 1e-6: 9.756093363457,
}


def test_quantiles_to_the_digits(three):
    got = three.quantile(list(QUANTILES))
    assert got == pytest.approx(np.array(list(QUANTILES.values())), rel=0, abs=6e-13)


def test_quantiles_from_above(three):
    with mpmath.workdps(40):
        want = float(mpmath.findroot(lambda x: mpmath.log(exact(x, -1) / mpmath.mpf("1e-6")), 9.76))
    assert univariate.isf(three, 1e-6) == pytest.approx(want, rel=1e-14)
    deep = univariate.isf(three, [1e-300, 5e-324])
    assert univariate.logsf(three, deep) == pytest.approx(np.log([1e-300, 5e-324]), rel=1e-13)


@given(seed=seeds(), log_p=st.floats(-300, -0.31))
def test_quantiles_invert_both_tails(seed, log_p):
    mixture, p = some(seed), 10.0**log_p
    assert univariate.logcdf(mixture, mixture.quantile(p)) == pytest.approx(np.log(p), rel=1e-11)
    assert univariate.logsf(mixture, univariate.isf(mixture, p)) == pytest.approx(
        np.log(p), rel=1e-11
    )


def test_quantiles_in_a_gap_far_wider_than_the_components():
    far = line_of([0.5, 0.5], [0.0, 1e9], [1.0, 1.0])
    p = [0.1, 0.5 - 1e-12, 0.5 + 1e-12, 0.9]
    want = [norm.ppf(0.2), norm.ppf(1 - 2e-12), 1e9 + norm.ppf(2e-12), 1e9 + norm.ppf(0.8)]
    assert far.quantile(p) == pytest.approx(want, rel=1e-6)  # 2e-12 itself has five digits
    assert far.cdf(far.quantile(0.5)) == 0.5


@pytest.mark.parametrize(("scale", "shift"), [(1e-8, 0.0), (1e8, 0.0), (1.0, 1e6)])
def test_units_do_not_matter(three, scale, shift):
    moved = line_of(WEIGHTS, np.array(MEANS) * scale + shift, np.array(DEVIATIONS) * scale)
    p = [1e-9, 0.3, 0.999]
    assert moved.quantile(p) == pytest.approx(three.quantile(p) * scale + shift, rel=1e-13)


def test_a_fitted_mixture_in_its_frame():
    rows = np.random.default_rng(0).normal(1e8, 1.0, (200, 1))
    fitted = GaussianMixture(1).fit(rows).mixture_
    assert fitted.quantile(0.5) == pytest.approx(fitted.mean()[0], rel=1e-15)


def test_quantiles_of_a_fit_by_another_program():
    """Parameters fitted by mclust, quantiles solved to full precision from them."""
    path = Path(__file__).parents[1] / "against" / "density1d.json"
    for stored in json.loads(path.read_text()).values():
        parameters = stored["parameters"]
        k = len(parameters["mean"])
        variances = np.broadcast_to(parameters["sigmasq"], k)
        weights = np.array(parameters["pro"])
        mixture = line_of(weights / weights.sum(), parameters["mean"], np.sqrt(variances))
        assert mixture.quantile(stored["probs"]) == pytest.approx(
            np.array(stored["quantile_exact"]), rel=1e-12
        )
        assert mixture.cdf(stored["points"]) == pytest.approx(
            np.array(stored["cdf_exact"]), rel=1e-12, abs=0
        )


# ---- turning points


def test_modes_to_the_digits(three):
    found = Line.of(three).modes
    want = [-1.8988199550963504042, 0.076851583520025829134]
    assert found == pytest.approx(want, abs=1e-14)


@given(seed=seeds(), k=st.integers(1, 7))
def test_turning_points_against_a_dense_grid(seed, k):
    mixture = some(seed, k)
    line = Line.of(mixture)
    x = np.linspace(-25, 25, 50_001)
    f = mixture.logpdf(x[:, None])
    peaks = x[1:-1][(f[1:-1] > f[:-2]) & (f[1:-1] >= f[2:])]
    assert len(line.turns) % 2 == 1
    assert line.unread(line.modes) == pytest.approx(peaks, abs=1e-3)  # the step of the grid


@pytest.mark.parametrize(("distance", "count"), [(2.0, 1), (2.0 - 1e-9, 1), (2.0 + 1e-3, 2)])
def test_where_two_modes_become_one(distance, count):
    """Two equal components have two modes when more than two deviations apart."""
    mixture = line_of([0.5, 0.5], [0.0, distance], [1.0, 1.0])
    assert len(Line.of(mixture).modes) == count


# ---- highest-density regions


@pytest.mark.parametrize("p", [0.01, 0.25, 0.5, 0.9, 0.99, 1 - 1e-9])
def test_a_region_holds_its_probability(three, p):
    region = highest_density_region(three, p)

    def density(x):
        terms = zip(WEIGHTS, MEANS, DEVIATIONS, strict=True)
        return mpmath.fsum(w * mpmath.npdf(x, m, s) for w, m, s in terms)

    held = mpmath.fsum(
        mpmath.quad(density, np.linspace(low, high, 9).tolist()) for low, high in region.intervals
    )
    assert float(held) == pytest.approx(p, abs=1e-13)
    edges = three.pdf(region.intervals.reshape(-1, 1))
    assert edges == pytest.approx(np.full(len(edges), region.threshold), rel=1e-9)
    assert (region.threshold_error, region.probability_error) == (0.0, 0.0)


@settings(max_examples=8)
@given(seed=seeds(), p=st.floats(0.001, 0.999))
def test_no_smaller_set_holds_the_probability(seed, p):
    """Against a sorted grid: the region is the union of the highest cells (Hyndman 1996)."""
    mixture = some(seed, 3)
    region = highest_density_region(mixture, p)
    x, step = np.linspace(-40, 40, 100_001, retstep=True)
    f = np.sort(mixture.pdf(x[:, None]))[::-1]
    length = step * (np.searchsorted(np.cumsum(f) * step, p) + 1)
    assert np.diff(region.intervals).sum() == pytest.approx(length, abs=20 * step)


def test_a_region_knows_what_it_contains(three):
    region = highest_density_region(three, 0.5)
    assert len(region.intervals) == 2
    inside = region.intervals.mean(axis=1)
    assert region.contains(inside[:, None]).all()
    assert not region.contains([[-1.1], [9.0]]).any()
    assert "50 %" in region.sentence()


def test_the_region_of_one_gaussian_is_its_ellipsoid():
    covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    mixture = Mixture([1.0], [[1.0, 2.0]], [covariance])
    region = highest_density_region(mixture, 0.9)
    want = mixture.logpdf([[1.0, 2.0]])[0] - chi2.ppf(0.9, 2) / 2
    assert region.log_threshold == pytest.approx(want, abs=1e-13)
    assert region.intervals is None and region.threshold_error == 0.0


def test_a_region_in_the_plane_says_its_error():
    means = [[0.0, 0.0], [5.0, 1.0]]
    mixture = Mixture([0.4, 0.6], means, [np.eye(2), np.diag([2.0, 0.5])])
    region = highest_density_region(mixture, 0.8, draws=20_000)
    x = np.linspace(-6, 12, 901)
    grid = np.column_stack([np.tile(x, len(x)), np.repeat(x - 3.0, len(x))])
    f = mixture.pdf(grid)
    held = f[region.contains(grid)].sum() * (x[1] - x[0]) ** 2
    assert held == pytest.approx(0.8, abs=4 * region.probability_error + 1e-3)  # 4 sd, the grid
    f = np.sort(f)[::-1]
    threshold = f[np.searchsorted(np.cumsum(f) * (x[1] - x[0]) ** 2, 0.8)]
    assert region.log_threshold == pytest.approx(
        np.log(threshold), abs=4 * region.threshold_error + 1e-3
    )
    assert 0 < region.threshold_error < 0.1


@pytest.mark.parametrize("p", [0.0, 1.0, -1.0, np.nan])
def test_a_region_needs_a_probability(three, p):
    with pytest.raises(InputError, match="above 0 and below 1"):
        highest_density_region(three, p)
