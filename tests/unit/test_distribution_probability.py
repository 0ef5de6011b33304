"""Distribution functions and boxes in any dimension, truncation, moments."""

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import quad

from mixtura import InputError, Mixture, Noise, StudentT
from mixtura.frame import Frame
from mixtura.integrals.interval import log_probability, within
from mixtura.integrals.orthant import bivariate, trivariate
from mixtura.integrals.tilting import Tilted
from mixtura.operations.frames import in_frame
from mixtura.operations.probability import log_box_probability

INF = np.inf
F = Mixture([0.2, 0.5, 0.3], [[-2.0], [0.0], [3.0]], [[[0.25]], [[1.0]], [[2.25]]])


def drawn(seed, k, d, **more):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(k, d, d))
    covariances = roots @ roots.swapaxes(1, 2) + 0.2 * np.eye(d)
    return Mixture(rng.dirichlet(np.ones(k)), rng.normal(0, 1, (k, d)), covariances, **more)


def framed(mixture, seed=9):
    rng = np.random.default_rng(seed)
    d = mixture.n_features
    return in_frame(mixture, Frame(rng.normal(size=d), np.exp2(rng.integers(-5, 6, d))))


# ---- orthants


def bivariate_30(h, k, r):
    """P(X <= h, Y <= k) by 30-digit quadrature over x."""
    with mpmath.workdps(25):
        h, k, r = map(mpmath.mpf, (h, k, r))
        root = mpmath.sqrt(1 - r * r)
        turn, width = k / r, root / abs(r)
        marks = [turn + i * width for i in (-9, -3, 0, 3, 9)] + [-20, -8, -4, 0, 4]
        marks += [h - i / 4 for i in (1, 2, 4, 8)]
        marks = sorted({mpmath.mpf(-40), h, *(m for m in marks if -40 < m < h)})
        return mpmath.quad(lambda x: mpmath.npdf(x) * mpmath.ncdf((k - r * x) / root), marks)


@pytest.mark.parametrize("r", [0.1, -0.5, 0.99, -0.999])
def test_two_correlated_normals_to_the_digits(r):
    ends = np.array([[0.0, 0.0], [1, -1], [-2.3, 0.4], [-5, -6], [3, 2.9], [-8, -7.9], [1, -0.999]])
    got = bivariate(*ends.T, r)
    want = np.array([float(bivariate_30(h, k, r)) for h, k in ends])
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-16)
    if r > 0:
        np.testing.assert_allclose(got, want, rtol=1e-10)


def trivariate_by_lines(b, R):
    """P(X <= b) as the integral over x_1 of two correlated normals, by Gauss points."""
    slope = R[1:, 0]
    rest = R[1:, 1:] - np.outer(slope, slope)
    s = np.sqrt(rest.diagonal())
    nodes, weights = np.polynomial.legendre.leggauss(40)
    edges = np.linspace(-12, b[0], 300)
    half = 0.5 * np.diff(edges)[:, None]
    t = (edges[:-1, None] + half * (1 + nodes)).ravel()
    inner = bivariate(*((b[1:, None] - slope[:, None] * t) / s[:, None]), rest[0, 1] / s.prod())
    return float(np.sum((half * weights).ravel() * stats.norm.pdf(t) * inner))


def test_three_correlated_normals():
    rng = np.random.default_rng(0)
    for power in range(6):
        root = rng.normal(size=(3, 3))
        covariance = root @ root.T + 10.0**-power * np.eye(3)
        s = np.sqrt(covariance.diagonal())
        R, b = covariance / np.outer(s, s), rng.normal(0, 1.5, 3)
        got, error = trivariate(b[None], R)
        assert got[0] == pytest.approx(trivariate_by_lines(b, R), abs=3e-15)
        assert error[0] < 1e-13


def test_intervals_far_out_and_narrow():
    with mpmath.workdps(40):
        for a, b in [(-1, 2), (39, 40), (-41, -40), (5, INF), (3, 3 + 1e-9), (-INF, -50), (-9, 9)]:
            mass = mpmath.quad(mpmath.npdf, [a, b]) if b - a < 1e-3 else None
            if mass is None:
                tails = [mpmath.ncdf(-mpmath.mpf(abs(e))) if e == e else 0 for e in (a, b)]
                mass = (
                    abs(tails[0] - tails[1])
                    if a * b > 0 or INF in (b, -a)
                    else 1 - tails[0] - tails[1]
                )
            assert log_probability(a, b) == pytest.approx(float(mpmath.log(mass)), rel=1e-9)
    assert log_probability(-INF, INF) == 0.0
    x = within(40.0, INF, np.array([0.25, 0.5]))
    np.testing.assert_allclose(
        stats.norm.logsf(x) - stats.norm.logsf(40), np.log([0.75, 0.5]), rtol=1e-6
    )
    assert within(-1.0, 1.0, 0.5) == pytest.approx(0.0, abs=1e-15)


# ---- distribution functions


@pytest.mark.parametrize(("d", "atol"), [(2, 1e-5), (3, 1e-5), (5, 3e-4)])
def test_distribution_functions_agree_with_scipys(d, atol):
    """SciPy's own error is 1e-5 by default."""
    mixture = framed(drawn(d, 3, d))
    X = mixture.sample(3, 1)
    parts = zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
    want = sum(w * stats.multivariate_normal(m, c, seed=0).cdf(X) for w, m, c in parts)
    got, error = mixture.cdf(X, return_error=True)
    assert got == pytest.approx(want, abs=atol)
    assert (error < (1e-12 if d < 4 else 1e-4)).all()


def test_the_stated_error_holds():
    """Equicorrelated by 1/2: P(all below zero) = 1/(d + 1)."""
    for d in (4, 8, 16):
        half = Mixture([1.0], [np.zeros(d)], [np.full((d, d), 0.5) + 0.5 * np.eye(d)])
        got, error = half.cdf(np.zeros((1, d)), return_error=True)
        assert abs(got[0] - 1 / (d + 1)) < 5 * error[0] + 1e-12 and error[0] < 2e-4


def test_a_coordinate_that_is_free_does_not_matter():
    mixture = framed(drawn(0, 3, 4))
    X = mixture.sample(4, 0)
    X[0, 1], X[1, [0, 2, 3]], X[2, 0] = np.nan, INF, -INF
    got = mixture.cdf(X)
    assert got[0] == pytest.approx(
        mixture.marginal([0, 2, 3]).cdf(X[[0]][:, [0, 2, 3]])[0], abs=5e-5
    )
    assert got[1] == pytest.approx(mixture.marginal(1).cdf(X[1, 1]))
    assert got[2] == 0.0
    assert mixture.cdf(np.full((1, 4), INF))[0] == pytest.approx(1.0, abs=1e-15)


def test_students_t_in_several_dimensions():
    law = StudentT(np.array([4.0]))
    mixture = Mixture([1.0], [[1.0, 2.0, 0.0]], [np.eye(3) + 0.4], law=law)
    x = np.array([[1.5, 1.0, 0.3]])
    want = stats.multivariate_t(mixture.means[0], mixture.covariances[0], df=4).cdf(
        x, random_state=0, maxpts=1_000_000
    )
    got, error = mixture.cdf(x, return_error=True)
    assert got == pytest.approx(want, abs=3e-4) and error < 1e-4
    one = Mixture([1.0], [[0.0, 0.0]], [np.eye(2)], law=law)
    assert one.cdf([[0.7, INF]])[0] == pytest.approx(stats.t(4).cdf(0.7), rel=1e-14)


def test_boxes_add_up_and_hold_the_draws():
    noise = Noise(0.2, np.array([-9.0, -9.0]), np.array([9.0, 9.0]))
    mixture = framed(drawn(1, 2, 2, noise=noise))
    rows = mixture.sample(100_000, 0)
    low, high = np.array([-1.0, -2.0]), np.array([1.5, 0.5])
    got = mixture.box_probability(low, high)
    held = ((low <= rows) & (rows <= high)).all(axis=1).mean()
    assert got == pytest.approx(held, abs=5 * np.sqrt(0.25 / 100_000))
    signs = mixture.cdf([high, [low[0], high[1]], [high[0], low[1]], low]) @ [1, -1, -1, 1]
    assert got == pytest.approx(signs, abs=1e-13)
    turned = mixture.affine([[1.0, 1.0], [-1.0, 1.0]])
    ends = rows @ np.array([[1.0, 1.0], [-1.0, 1.0]]).T
    held = (ends <= 1.0).all(axis=1).mean()
    got, error = turned.cdf([[1.0, 1.0]], return_error=True)
    assert got[0] == pytest.approx(held, abs=5 * np.hypot(error[0], np.sqrt(0.25 / 100_000)))


def test_boxes_of_one_feature_and_of_many_rows():
    got = F.box_probability([-1.0, 0.0], [1.0, 40.0])
    assert got == pytest.approx(F.cdf([1.0, 40.0]) - F.cdf([-1.0, 0.0]), rel=1e-13)
    assert F.box_probability(30.0, 31.0) == pytest.approx(F.sf(30.0) - F.sf(31.0), rel=1e-9)
    table = pd.DataFrame({"b": [1.0], "a": [0.0]})
    named = drawn(1, 2, 2, feature_names=["a", "b"])
    assert named.cdf(table)[0] == named.cdf([[0.0, 1.0]])[0]


def test_logarithms_far_out():
    """Independent coordinates: the sum of the logarithms."""
    cube = Mixture([0.4, 0.6], [np.zeros(4), np.ones(4)], [np.eye(4)] * 2)
    want = np.logaddexp(
        np.log(0.4) + 4 * stats.norm.logsf(40), np.log(0.6) + 4 * stats.norm.logsf(39)
    )
    assert log_box_probability(cube, np.full(4, 40.0), np.full(4, INF)) == pytest.approx(
        want, rel=1e-10
    )
    flat = Mixture([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.5, 1.0]]])
    want = float(mpmath.log(bivariate_30(-12, -11, 0.5)))
    assert flat.logcdf([[-12.0, -11.0]])[0] == pytest.approx(want, abs=1e-3)
    assert flat.logcdf([[-INF, 0.0]])[0] == -INF
    noisy = flat.changed(noise=Noise(0.5, np.full(2, -100.0), np.full(2, 100.0)))
    assert noisy.logcdf([[-50.0, -50.0]])[0] == pytest.approx(np.log(0.5 / 16), rel=1e-12)


def test_boxes_that_are_refused():
    mixture = drawn(1, 2, 2)
    with pytest.raises(InputError, match="feature 1: lower 1"):
        mixture.box_probability([0.0, 1.0], [1.0, 0.0])
    with pytest.raises(InputError, match="2 lower corners and 3 upper"):
        mixture.box_probability(np.zeros((2, 2)), np.ones((3, 2)))
    with pytest.raises(InputError, match="expecting 2 features"):
        mixture.cdf([[0.0]])
    with pytest.raises(InputError, match="marginal"):
        mixture.sf([[0.0, 0.0]])


@pytest.mark.parametrize("end", [1e200, 1e308])
def test_bounds_whose_squares_are_no_numbers(end):
    pair = Mixture([0.4, 0.6], [[0, 0], [3, 1]], [[[1, 0.8], [0.8, 1]], [[2, -0.5], [-0.5, 1]]])
    assert pair.box_probability([-end] * 2, [end] * 2) == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_array_equal(pair.logcdf([[-end, -end], [-end, 0.0]]), -np.inf)
    within = pair.truncate(-end, end)
    np.testing.assert_allclose(within.mean(), pair.mean(), rtol=1e-9)
    assert np.isfinite(within.sample(3, rng=0)).all()


def test_a_component_that_a_narrow_box_holds_nothing_of():
    """Of the box, one number wide, rounding leaves the far component no width."""
    pair = Mixture([0.4, 0.6], [[0, 0], [3, 1]], [[[1, 0.8], [0.8, 1]], [[2, -0.5], [-0.5, 1]]])
    mean = pair.truncate([0.1, 0.1], [np.nextafter(0.1, 1.0), 0.3]).mean()
    assert mean[0] == pytest.approx(0.1) and 0.1 < mean[1] < 0.3


def test_scipys_names():
    p = np.array([1e-12, 0.3, 0.9])
    np.testing.assert_array_equal(F.ppf(p), F.quantile(p))
    np.testing.assert_array_equal(F.icdf(p), F.quantile(p))
    np.testing.assert_allclose(F.sf(F.isf(p)), p, rtol=1e-11)
    np.testing.assert_allclose(F.logsf([1.0]), np.log(F.sf([1.0])), rtol=1e-13)
    assert F.cdf(0.0).shape == () and F.cdf.__doc__ == Mixture.cdf.__doc__


# ---- truncation


def test_a_truncated_density_integrates_to_one():
    cut = F.truncate(-1.0, 2.0)
    assert cut.probability == pytest.approx(F.cdf(2.0) - F.cdf(-1.0), rel=1e-13)
    total, _ = quad(lambda x: cut.pdf([[x]])[0], -1, 2, epsabs=1e-12)
    assert total == pytest.approx(1.0, abs=1e-10)
    assert cut.pdf([[2.1]])[0] == 0.0 and cut.weights.sum() == pytest.approx(1.0)
    p = np.array([0.0, 0.2, 0.9, 1.0])
    np.testing.assert_allclose(cut.cdf(cut.ppf(p)), p, atol=1e-12)
    np.testing.assert_allclose(cut.sf(cut.ppf(p)), 1 - p, atol=1e-12)
    for order in (1, 2, 3, 4):
        want, _ = quad(lambda x, r=order: x**r * cut.pdf([[x]])[0], -1, 2, epsabs=1e-12)
        assert cut.moment(order) == pytest.approx(want, abs=1e-9)
    assert cut.var() == pytest.approx(cut.moment(2) - cut.mean() ** 2, rel=1e-10)


@pytest.mark.parametrize(
    ("low", "high"), [(40, INF), (-INF, -25), (3, 3.5), (-INF, INF), (-2, INF)]
)
def test_moments_of_a_truncated_normal_to_the_digits(low, high):
    cut = Mixture([1.0], [[0.0]], [[[1.0]]]).truncate(low, high)
    with mpmath.workdps(50):
        phi, tail = (
            (mpmath.npdf(e) if abs(e) < INF else mpmath.mpf(0) for e in (low, high)),
            mpmath.ncdf,
        )
        at_low, at_high = phi
        mass = (
            tail(-mpmath.mpf(low)) - tail(-mpmath.mpf(high)) if low > 0 else tail(high) - tail(low)
        )
        mean = (at_low - at_high) / mass
        ends = (low if abs(low) < INF else 0, high if abs(high) < INF else 0)
        var = 1 + (ends[0] * at_low - ends[1] * at_high) / mass - mean**2
    assert cut.mean() == pytest.approx(float(mean), rel=1e-13, abs=1e-14)
    assert cut.var() == pytest.approx(float(var), rel=1e-10)


@pytest.mark.parametrize(
    ("mixture", "low", "high"),
    [
        (drawn(2, 2, 3), [-0.5, -1.0, -INF], [1.0, INF, 0.5]),
        (
            Mixture([0.5, 0.5], [[0, 0], [2, 2]], [[1, 4], [2, 1]], covariance_type="diag"),
            [1, 1],
            [3, 2],
        ),
        (drawn(2, 2, 2, law=StudentT(np.array([4.0, 9.0]))), [-0.5, -1.0], [1.0, INF]),
        (drawn(2, 2, 1, law=StudentT(np.array([4.0, 9.0]))), [0.5], [1.0]),
    ],
)
def test_draws_from_a_truncated_mixture_are_those_within(mixture, low, high):
    cut = framed(mixture).truncate(low, high)
    rows = cut.sample(20_000, 0)
    assert ((rows >= cut.lower) & (rows <= cut.upper)).all()
    free = mixture.sample(400_000, 1)
    free = free[((free >= cut.lower) & (free <= cut.upper)).all(axis=1)][:20_000]
    assert cut.probability == pytest.approx(
        mixture.box_probability(low, high), abs=1e-12 if mixture.n_features < 4 else 1e-4
    )
    for column in range(mixture.n_features):
        assert stats.ks_2samp(rows[:, column], free[:, column]).pvalue > 1e-4
    assert stats.ks_2samp(rows.sum(axis=1), free.sum(axis=1)).pvalue > 1e-4


def test_draws_far_out_are_exact():
    """Above 20 standard deviations of two normals correlated by 1/2: rejection could not do it."""
    covariance = np.array([[1.0, 0.5], [0.5, 1.0]])
    cut = Mixture([1.0], [[0.0, 0.0]], [covariance]).truncate([20.0, 20.0])
    rows = cut.sample(4000, 0)
    grid = 20 + np.linspace(0, 2, 4001)

    def marginal(x):  # ∝ φ(x) P(Y > 20 | x)
        return np.exp(stats.norm.logpdf(x) + stats.norm.logsf((20 - x / 2) / np.sqrt(0.75)) + 270)

    area = np.cumsum(marginal(grid))
    assert stats.kstest(rows[:, 0], lambda x: np.interp(x, grid, area / area[-1])).pvalue > 1e-3
    tilted = Tilted.of(covariance, np.full(2, 20.0), np.full(2, INF))
    value, error = tilted.log_probability(4096, 0)
    with mpmath.workdps(30):
        want = mpmath.log(
            mpmath.quad(
                lambda x: mpmath.npdf(x) * mpmath.ncdf((x / 2 - 20) / mpmath.sqrt(0.75)),
                [20, 20.2, 20.5, 21, 23, 30],
            )
        )
    assert value == pytest.approx(float(want), abs=5 * error + 1e-9) and error < 1e-4


def test_a_row_with_gaps_has_the_marginal_of_the_truncated_density():
    cut = drawn(2, 2, 2).truncate([-1.0, -1.0], [1.0, 2.0])
    want, _ = quad(lambda y: cut.pdf([[0.3, y]])[0], -1, 2, epsabs=1e-12)
    assert cut.pdf([[0.3, np.nan]])[0] == pytest.approx(want, rel=1e-9)
    assert cut.pdf([[np.nan, np.nan]])[0] == pytest.approx(1.0, rel=1e-12)


def test_truncations_that_are_refused():
    noisy = F.changed(noise=Noise(0.1, np.array([-5.0]), np.array([5.0])))
    with pytest.raises(InputError, match="noise"):
        noisy.truncate(0.0)
    with pytest.raises(InputError, match="below the upper"):
        F.truncate(1.0, 1.0)
    heavy = drawn(2, 1, 2, law=StudentT(np.array([4.0])))
    with pytest.raises(InputError, match="less than"):
        heavy.truncate([30.0, 30.0]).sample(1)
    with pytest.raises(InputError, match="need Gaussian"):
        heavy.truncate([0.0, 0.0]).logpdf([[1.0, np.nan]])
    with pytest.raises(InputError, match="sample"):
        drawn(2, 1, 1, law=StudentT(np.array([4.0]))).truncate(0.0).mean()


# ---- moments


def test_moments_to_the_digits():
    """30 digits by mpmath, for the three components of the notes on mixture operations."""
    assert F.mean()[0] == pytest.approx(0.5, rel=1e-15)
    assert F.var()[0] == pytest.approx(4.475, rel=1e-15) and F.cov()[0, 0] == pytest.approx(4.475)
    assert F.skewness()[0] == pytest.approx(0.5743937563476912797, rel=1e-14)
    assert F.kurtosis()[0] == pytest.approx(-0.32374145625916794108, rel=1e-14)


@pytest.mark.parametrize("law", [None, StudentT(np.array([8.0, 9.0, 30.0]))])
@pytest.mark.parametrize("order", [0, 1, 4, 5])
def test_moments_agree_with_quadrature(law, order):
    noise = Noise(0.1, np.array([-3.0]), np.array([7.0]))
    mixture = framed(F.changed(law=F.law if law is None else law, noise=noise))
    plain = mixture.changed(noise=None)
    inner, _ = quad(lambda x: x**order * plain.pdf([[x]])[0], -INF, INF, limit=400)
    even = (7.0 ** (order + 1) - (-3.0) ** (order + 1)) / (order + 1) / 10
    assert mixture.moment(order)[0] == pytest.approx(0.9 * inner + 0.1 * even, rel=1e-7)
    central = mixture.moment(order, "central")[0]
    middle = mixture.mean()[0]
    inner, _ = quad(lambda x: (x - middle) ** order * plain.pdf([[x]])[0], -INF, INF, limit=400)
    even = ((7.0 - middle) ** (order + 1) - (-3.0 - middle) ** (order + 1)) / (order + 1) / 10
    assert central == pytest.approx(0.9 * inner + 0.1 * even, rel=1e-7, abs=1e-9)


def test_moments_that_do_not_exist():
    heavy = Mixture([1.0], [[0.0]], [[[1.0]]], law=StudentT(np.array([2.5])))
    assert np.isfinite(heavy.var()[0]) and np.isinf(heavy.moment(4)[0])
    assert np.isnan(heavy.moment(3)[0])
    with pytest.raises(InputError, match="whole number"):
        heavy.moment(1.5)
    with pytest.raises(InputError, match="raw, central"):
        heavy.moment(1, "median")


@pytest.mark.parametrize("noise", [None, Noise(0.3, np.full(3, -4.0), np.full(3, 8.0))])
def test_the_covariance_is_within_and_between(noise):
    mixture = framed(drawn(3, 4, 3, noise=noise))
    parts = mixture.covariance_parts()
    np.testing.assert_allclose(parts.within + parts.between, mixture.covariance(), rtol=1e-12)
    np.testing.assert_allclose(mixture.var(), mixture.covariance().diagonal(), rtol=1e-12)
    if noise is None:
        want = np.einsum("k,kij->ij", mixture.weights, mixture.covariances)
        np.testing.assert_allclose(parts.within, want, rtol=1e-12)
    assert ((parts.share_between >= 0) & (parts.share_between <= 1)).all()


def test_moments_of_a_turned_region_of_noise():
    noise = Noise(0.6, np.full(2, -4.0), np.full(2, 8.0))
    mixture = drawn(3, 2, 2, noise=noise).affine([[1.0, 2.0], [-1.0, 1.0]])
    np.testing.assert_allclose(mixture.var(), mixture.covariance().diagonal(), rtol=1e-12)
    rows = mixture.sample(200_000, 0)
    assert mixture.kurtosis() == pytest.approx(stats.kurtosis(rows), abs=0.03)
