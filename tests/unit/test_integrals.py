"""Moments of normal variables within intervals, rectangles and boxes, far out too."""

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.stats import multivariate_normal, norm

from mixtura.integrals import interval, plane
from mixtura.integrals.box import box
from mixtura.integrals.tilting import Tilted, saddles, slopes
from mixtura.integrals.truncated import truncated

INF = np.inf
INTERVALS = [
    (-3, 2), (2, 3), (0, 1e-3), (1, 1.0001), (-0.2, 0.1), (3, 3.3), (-8, 8), (-1e-9, 1e-9),
    (5, INF), (8, INF), (40, INF), (40, 40.001), (30, 30 + 1e-6), (10, 11), (-INF, 2.5),
]  # fmt: skip


def exact(a, b):
    """log P, mean and variance with 60 digits, by the textbook formulas."""
    with mp.workdps(60):
        a, b = mp.mpf(a), mp.mpf(b)
        ends = [mp.npdf(end) if mp.isfinite(end) else mp.mpf(0) for end in (a, b)]
        pulls = [end * at if mp.isfinite(end) else 0 for end, at in zip((a, b), ends, strict=True)]
        tails = [mp.erfc(end / mp.sqrt(2)) / 2 for end in (a, b)]
        share = tails[0] - tails[1]
        mean = (ends[0] - ends[1]) / share
        return [
            float(x) for x in (mp.log(share), mean, 1 + (pulls[0] - pulls[1]) / share - mean**2)
        ]


@pytest.mark.parametrize(("low", "high"), INTERVALS)
def test_moments_of_an_interval(low, high):
    true = exact(low, high)
    found = interval.moments(low, high)
    # variances below 1e-3 of the squared mean are integrated; above, 1e-12 is what is left
    np.testing.assert_allclose(np.array(found), true, rtol=3e-12, atol=1e-24)
    mirrored = interval.moments(-high, -low)
    np.testing.assert_allclose(mirrored, [true[0], -true[1], true[2]], rtol=3e-12, atol=1e-24)


@pytest.mark.parametrize(
    ("rho", "low", "high"), [(0.5, (-1, 0.2), (2, 1.5)), (-0.8, (0, 1), (3, 2))]
)
def test_rectangle_by_quadrature(rho, low, high):
    density = multivariate_normal([0, 0], [[1, rho], [rho, 1]]).pdf

    def integral(f):
        return dblquad(
            lambda y, x: f(x, y) * density([x, y]), low[0], high[0], low[1], high[1], epsabs=1e-10
        )[0]

    share = integral(lambda x, y: 1.0)
    mean = [integral(lambda x, y: x) / share, integral(lambda x, y: y) / share]
    cross = integral(lambda x, y: x * y) / share - mean[0] * mean[1]
    square = integral(lambda x, y: y * y) / share - mean[1] ** 2
    logs, middle, spread = plane.moments(np.array([low]), np.array([high]), rho)
    np.testing.assert_allclose(logs[0], np.log(share), atol=1e-8)
    np.testing.assert_allclose(middle[0], mean, atol=1e-8)
    np.testing.assert_allclose([spread[0, 0, 1], spread[0, 1, 1]], [cross, square], atol=1e-8)


def by_grid(low, high, rho):
    """log P, means, covariances of a rectangle by 1200² Gauss points."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    sides = []
    for a, b in zip(np.maximum(low, -12.0), np.minimum(high, 12.0), strict=True):
        edges = np.linspace(a, b, 21)
        half = np.diff(edges)[:, None] / 2
        sides.append(((edges[:-1, None] + half * (1 + nodes)).ravel(), (half * weights).ravel()))
    (x, wx), (y, wy) = sides
    power = -(x[:, None] ** 2 - 2 * rho * x[:, None] * y + y**2) / (2 * (1 - rho**2))
    mass = np.exp(power - power.max()) * wx[:, None] * wy
    total = mass.sum()
    logs = power.max() + np.log(total) - np.log(2 * np.pi) - 0.5 * np.log(1 - rho**2)
    mx, my = mass.sum(axis=1) @ x / total, mass.sum(axis=0) @ y / total
    dx, dy = x - mx, y - my
    return (
        logs,
        mx,
        my,
        mass.sum(axis=1) @ dx**2 / total,
        dx @ mass @ dy / total,
        (mass.sum(axis=0) @ dy**2 / total),
    )


@pytest.mark.parametrize("rho", [0.3, -0.95, 0.99])
@pytest.mark.parametrize(
    ("low", "high"),
    [((3, 4), (5, INF)), ((-INF, 2), (-2, INF)), ((0, 0), (0.01, 5)), ((5, -7), (9, -5))],
)
def test_rectangle_in_the_tails(rho, low, high):
    low, high = np.array(low, dtype=float), np.array(high, dtype=float)
    logs, mean, spread = plane.moments(low[None], high[None], rho)
    found = [logs[0], *mean[0], spread[0, 0, 0], spread[0, 0, 1], spread[0, 1, 1]]
    true = np.array(by_grid(low, high, rho))
    # the cross moment may be a small part of the product of deviations
    scale = np.abs(true)
    scale[4] = np.sqrt(true[3] * true[5])
    assert np.max(np.abs(found - true) / scale) < 1e-11


def test_corner_forty_deviations_out():
    rho, low = 0.3, 40.0
    spare = np.sqrt(1 - rho**2)
    with mp.workdps(30):

        def both(x):
            return mp.npdf(x) * mp.erfc((low - rho * x) / spare / mp.sqrt(2)) / 2

        ends = [40 + mp.mpf(i) / 20 for i in range(60)]
        share, first = mp.quad(both, ends), mp.quad(lambda x: x * both(x), ends)
    logs, mean, _ = plane.moments(np.full((1, 2), low), np.full((1, 2), INF), rho)
    assert logs[0] == pytest.approx(float(mp.log(share)), rel=1e-13)
    np.testing.assert_allclose(mean[0], float(first / share), rtol=1e-13)  # by symmetry, both


SPACE = np.array([[2.0, 0.6, -0.5], [0.6, 1.0, 0.4], [-0.5, 0.4, 1.5]])


def tallis_mean(covariance, low, high):
    """E[z] by boundary densities (Tallis 1961), with exact probabilities of the conditionals."""
    share = box(covariance, low[None], high[None])[0][0]
    flows = np.zeros(len(low))
    for j in range(len(low)):
        rest = np.arange(len(low)) != j
        slope = covariance[rest, j] / covariance[j, j]
        given = covariance[np.ix_(rest, rest)] - np.outer(slope, covariance[rest, j])
        for end, sign in ((low[j], 1.0), (high[j], -1.0)):
            if np.isfinite(end):
                inner = box(given, *((b[rest] - slope * end)[None] for b in (low, high)))[0][0]
                flows[j] += sign * norm.pdf(end, scale=np.sqrt(covariance[j, j])) * inner
    return covariance @ flows / share


@pytest.mark.parametrize(
    ("low", "high"), [((-1, -0.5, 0), (1, 2, INF)), ((1, 0, -INF), (INF, INF, -1.0))]
)
def test_three_coordinates(low, high):
    low, high = np.array(low, dtype=float), np.array(high, dtype=float)
    found = truncated(SPACE, low[None], high[None], points=8192)
    # randomised points: eight scrambles of 1024 leave errors of about 1e-4
    assert found.log_probability[0] == pytest.approx(
        np.log(box(SPACE, low[None], high[None])[0][0]), abs=1e-4
    )
    np.testing.assert_allclose(found.mean[0], tallis_mean(SPACE, low, high), atol=1e-3)
    draws = Tilted.of(SPACE, low, high).sample(20_000, np.random.default_rng(0))
    np.testing.assert_allclose(found.covariance[0], np.cov(draws.T), atol=0.03)  # of 20 000 draws


def test_far_boxes_keep_relative_accuracy():
    low, high = np.full((1, 3), 9.0), np.full((1, 3), INF)
    found = truncated(SPACE, low, high)
    true = Tilted.of(SPACE, low[0], high[0]).log_probability(1 << 14, 1)[0]
    assert true < -50 and found.log_probability[0] == pytest.approx(true, abs=0.01)
    assert (found.mean > 9.0).all() and (np.linalg.eigvalsh(found.covariance[0]) > 0).all()


def test_points_are_fixed_and_independent_coordinates_are_exact():
    low, high = np.full((2, 3), -1.0), np.array([[0.5, 1.0, 2.0], [0.0, INF, 1.0]])
    once, again = truncated(SPACE, low, high), truncated(SPACE, low, high)
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    scale = np.array([2.0, 1.0, 0.5])
    apart = truncated(np.diag(scale**2), low, high)
    each = [interval.moments(low[:, j] / scale[j], high[:, j] / scale[j]) for j in range(3)]
    np.testing.assert_allclose(apart.log_probability, sum(one[0] for one in each), rtol=1e-14)
    np.testing.assert_allclose(apart.mean, np.stack([one[1] for one in each], axis=1) * scale)


def test_saddles_of_many_boxes_are_stationary():
    factor = np.linalg.cholesky(SPACE)
    rest = factor / factor.diagonal()[:, None] - np.eye(3)
    low = np.array([[1.0, 2.0, -1.0], [5.0, 6.0, 7.0], [-INF, -INF, -INF]])
    high = np.array([[2.0, INF, 3.0], [INF, INF, INF], [-3.0, -2.0, 0.0]])
    tilts = saddles(rest, low, high)
    for row, tilt in enumerate(tilts):  # where x solves its half of the equations
        a, b = low[row], high[row]
        x = np.zeros(2)
        for _ in range(200):
            shift = tilt + np.append(x, 0.0) @ rest.T
            x = tilt[:2] + interval.moments(a - shift, b - shift)[1][:2]
        gradient, _ = slopes(rest, a, b, np.append(x, tilt[:2]))
        np.testing.assert_allclose(gradient, 0.0, atol=1e-4)
