"""One feature and modes where components are Student's t, and where there is noise."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from mixtura import Mixture, highest_density_region, merge, modal_clusters, modes
from mixtura._errors import InputError
from mixtura.law import GAUSSIAN, StudentT
from mixtura.noise import Noise
from mixtura.operations import univariate
from mixtura.operations.ascent import Hill
from mixtura.operations.bounded import BoundedMixture
from mixtura.operations.line import Line
from mixtura.operations.transformation import Transformation

DOF = np.array([1.0, 3.0, 500.0])


def with_law(mixture, law=GAUSSIAN, noise=None):
    parts = mixture.weights, mixture.location, mixture.structure, mixture.frame
    return Mixture.of(*parts, law=law, noise=noise)


@pytest.fixture(scope="module")
def plain():
    return Mixture([0.2, 0.5, 0.3], [[-2.0], [0.0], [3.0]], [[[0.25]], [[1.0]], [[2.25]]])


@pytest.fixture(scope="module")
def heavy(plain):
    return with_law(plain, StudentT(DOF))


@pytest.fixture(scope="module")
def noisy(heavy):
    return with_law(heavy, heavy.law, Noise(0.1, np.array([-10.0]), np.array([10.0])))


def test_the_distribution_function_of_t_components(plain, heavy):
    x = np.array([-1e6, -5.0, 0.0, 2.0, 50.0])
    parts = list(zip(plain.weights, DOF, plain.means[:, 0], (0.5, 1.0, 1.5), strict=True))
    for function, of in ((heavy.cdf, stats.t.cdf), (heavy.sf, stats.t.sf)):
        want = sum(w * of(x, dof, mean, scale) for w, dof, mean, scale in parts)
        assert function(x) == pytest.approx(want, rel=1e-12, abs=0)


@pytest.mark.parametrize("t", [-1.0, -60.0, -200.0, -1e5])
@pytest.mark.parametrize("dof", [1.0, 3.0, 500.0])
def test_log_tails_of_t_against_fifty_digits(t, dof):
    with mpmath.workdps(50):
        x = mpmath.mpf(dof) / (mpmath.mpf(dof) + mpmath.mpf(t) ** 2)
        whole = mpmath.betainc(mpmath.mpf(dof) / 2, mpmath.mpf("0.5"), 0, x, regularized=True)
        want = float(mpmath.log(whole / 2))
    got = StudentT(np.array([dof])).log_tail(np.array([t]), 0)[0]
    assert got == pytest.approx(want, rel=1e-12)


@settings(max_examples=10)
@given(log_p=st.floats(-300, -0.31))
def test_quantiles_in_heavy_tails(log_p):
    plain = Mixture([0.2, 0.5, 0.3], [[-2.0], [0.0], [3.0]], [[[0.25]], [[1.0]], [[2.25]]])
    heavy, p = with_law(plain, StudentT(DOF)), 10.0**log_p
    for tail, inverse in (
        (univariate.logcdf, univariate.quantile),
        (univariate.logsf, univariate.isf),
    ):
        assert tail(heavy, inverse(heavy, p)) == pytest.approx(np.log(p), rel=1e-11)


def test_noise_is_spread_over_its_box(noisy):
    inside = quad(lambda x: noisy.pdf([[x]])[0], -1.0, 2.0, epsabs=1e-12)[0]
    assert noisy.cdf(2.0) - noisy.cdf(-1.0) == pytest.approx(inside, abs=1e-10)
    p = np.array([1e-12, 0.01, 0.5, 0.99, 1 - 1e-9])
    assert noisy.cdf(noisy.quantile(p)) == pytest.approx(p, rel=1e-12)
    assert stats.kstest(noisy.sample(2_000, 0)[:, 0], noisy.cdf).pvalue > 1e-3


@pytest.mark.parametrize("p", [0.3, 0.9, 0.99])
def test_the_region_of_t_components(heavy, p):
    region = highest_density_region(heavy, p)
    held = np.diff(heavy.cdf(region.intervals.ravel()).reshape(-1, 2), axis=1).sum()
    assert held == pytest.approx(p, abs=1e-13)
    edges = heavy.logpdf(region.intervals.reshape(-1, 1))
    assert edges == pytest.approx(np.full(len(edges), region.log_threshold), abs=1e-9)


def test_the_region_with_noise_is_drawn(noisy):
    region = highest_density_region(noisy, 0.5)
    assert region.intervals is None and region.probability_error > 0
    assert region.contains(noisy.sample(20_000, 5)).mean() == pytest.approx(0.5, abs=0.02)  # 4 sd


def test_turning_points_of_t_components(heavy):
    x = np.linspace(-20, 20, 200_001)
    f = heavy.logpdf(x[:, None])
    turns = np.diff(np.sign(np.diff(f)))
    assert Line.of(heavy).turns == pytest.approx(x[1:-1][turns != 0], abs=4e-4)


def test_derivatives_of_t_components_against_differences():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(2, 3, 3))
    mixture = with_law(
        Mixture([0.4, 0.6], rng.normal(size=(2, 3)), root @ root.swapaxes(1, 2) + 0.1 * np.eye(3)),
        StudentT(np.array([2.0, 7.0])),
    )
    hill, z, step = Hill(mixture), rng.normal(0, 2, (20, 3)), 1e-5
    here = hill.local(z)
    assert here.log_density == pytest.approx(mixture.logpdf(z), abs=1e-12)
    for i in range(3):
        up, down = (hill.local(z + sign * step * np.eye(3)[i]) for sign in (1, -1))
        slope = (up.log_density - down.log_density) / (2 * step)
        bend = (up.gradient - down.gradient) / (2 * step)
        assert here.gradient[:, i] == pytest.approx(slope, rel=1e-6, abs=1e-6)  # as step², 1/step
        assert here.hessian[:, i] == pytest.approx(bend, rel=1e-5, abs=1e-5)


def test_modes_of_t_components_with_noise():
    cross = [np.diag([1.0, 0.05]), np.diag([0.05, 1.0])]
    flat = Mixture([0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], cross)
    heavy = with_law(flat, StudentT(np.array([4.0, 9.0])))
    even = Noise(0.1, np.array([-3.0, -3.0]), np.array([4.0, 4.0]))
    noisy = with_law(flat, heavy.law, even)
    assert len(modes(heavy)) == 3
    np.testing.assert_allclose(modes(noisy).points, modes(heavy).points, atol=1e-12)
    assert modes(noisy).log_densities == pytest.approx(noisy.logpdf(modes(heavy).points))
    assert set(modal_clusters(noisy, noisy.sample(400, 0)).labels) == {0, 1, 2}
    assert merge(noisy, noisy.sample(200, 0)).responsibilities(1).max() <= 1.0


def test_bounds_are_for_gaussian_components(heavy):
    logarithm = Transformation(np.zeros(1), np.full(1, np.inf), np.zeros(1), np.ones(1))
    with pytest.raises(InputError, match="Gaussian"):
        BoundedMixture(heavy, logarithm)
