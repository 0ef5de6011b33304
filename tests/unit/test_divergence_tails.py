"""Divergences where components are Student's t or noise stands beside them."""

from math import gamma

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from mixtura import InputError, Mixture, Noise, StudentT
from mixtura import divergence as between


def on_the_line(weights, means, deviations, **options):
    means = np.array(means)[:, None]
    return Mixture(weights, means, np.square(deviations), covariance_type="spherical", **options)


# ---- Student's t and noise


def tails(dof, means=(0.0, 2.0)):
    return on_the_line([0.4, 0.6], means, [1.0, 0.5], law=StudentT(np.array(dof)))


def t_density(x, dof, means=(0.0, 2.0)):
    parts = zip([0.4, 0.6], means, dof, [1.0, 0.5], strict=True)
    return sum(w * one_t((x - m) / s, nu) / s for w, m, nu, s in parts)


def one_t(t, dof):
    norm_ = gamma((dof + 1) / 2) / gamma(dof / 2) / np.sqrt(dof * np.pi)
    return norm_ * (1 + t * t / dof) ** (-(dof + 1) / 2)


def test_heavy_tails_by_quadrature():
    p, q = tails([3.0, 1.0]), tails([3.0, 5.0], (0.5, 3.0))
    a, b = (lambda x: t_density(x, [3, 1])), (lambda x: t_density(x, [3, 5], (0.5, 3.0)))
    pieces = [(-np.inf, -9), (-9, 0), (0, 2), (2, 9), (9, np.inf)]

    def over(function):
        return sum(quad(function, *piece, limit=400, epsabs=1e-12)[0] for piece in pieces)

    # quad itself is good to about 1e-8 on the infinite pieces
    assert between.kl(p, q).value == pytest.approx(
        over(lambda x: a(x) * np.log(a(x) / b(x))), abs=1e-7
    )
    assert between.total_variation(p, q).value == pytest.approx(
        over(lambda x: 0.5 * abs(a(x) - b(x))), abs=1e-7
    )


def test_heavy_tails_against_gaussian_ones():
    q = on_the_line([1.0], [0.0], [1.0])
    assert between.kl(tails([1.5, 9.0]), q).value == np.inf
    assert np.isfinite(between.kl(q, tails([1.5, 9.0])).value)
    three = tails([3.0, 3.0])
    second = quad(lambda x: t_density(x, [3, 3]) * x * x, -np.inf, np.inf, limit=400)[0]
    own = quad(lambda x: t_density(x, [3, 3]) * np.log(t_density(x, [3, 3])), -50, 50, limit=400)[0]
    exact = own + 0.5 * second + 0.5 * np.log(2 * np.pi)
    assert between.kl(three, q).value == pytest.approx(exact, abs=2e-3)  # own is cut at 50
    with pytest.raises(InputError, match=r"jensen_shannon or hellinger"):
        between.kl(tails([2.05, 9.0]), q)
    flat = Mixture([1.0], [[0.0, 0.0]], [np.eye(2)])
    heavy = Mixture([1.0], [[0.0, 0.0]], [np.eye(2)], law=StudentT(np.array([3.0])))
    with pytest.raises(InputError, match="over 4 are needed"):
        between.kl(heavy, flat)
    assert 0 < between.jensen_shannon(heavy, flat).value < 0.1


def test_noise_is_within_its_box():
    p = on_the_line([1.0], [0.0], [1.0], noise=Noise(0.2, np.array([-5.0]), np.array([15.0])))
    q = on_the_line([1.0], [0.0], [1.0])
    # p - q = 0.2 (1/20 - q) within the box, and below zero in between where q is above 1/20
    edge = np.sqrt(-2 * np.log(0.05 * np.sqrt(2 * np.pi)))
    exact = 0.2 * (norm.cdf(edge) - norm.cdf(-edge) - 0.05 * 2 * edge)
    outside = 0.2 * (norm.cdf(-5) + norm.sf(15))
    assert between.total_variation(p, q).value == pytest.approx(exact + outside, abs=1e-14)


def test_noise_in_a_rotated_box():
    """Every row of p's noise lies in the box, and q's rows are in it with its share of the area."""
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    box = Noise(0.999999, np.array([-50.0] * 2), np.array([50.0] * 2), np.zeros(2), 10 * turn)
    p = Mixture([1.0], [[5.0, 5.0]], [np.eye(2)], noise=box)
    wide = Noise(0.999999, np.array([-20.0] * 2), np.array([20.0] * 2))
    q = Mixture([1.0], [[5.0, 5.0]], [np.eye(2)], noise=wide)
    assert between.kl(p, q).value == pytest.approx(np.log(16), abs=1e-3)
    with pytest.raises(InputError, match="rotated box"):
        between.mutual_information(p, 0, 1)


def test_information_with_noise():
    """Noise over a box is independent within itself, but tells which rows are noise."""
    box = Noise(0.3, np.full(2, -9.0), np.full(2, 11.0))
    p = Mixture([1.0], [[0.0, 0.0]], [np.eye(2)], noise=box)
    x = np.linspace(-9, 11, 801)
    x = 0.5 * (x[1:] + x[:-1])  # cells within the box: what lies outside is below 1e-18
    bell = np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
    joint = 0.7 * np.outer(bell, bell) + 0.3 / 400
    side = 0.7 * bell + 0.3 / 20
    exact = (joint * np.log(joint / np.outer(side, side))).sum() * (x[1] - x[0]) ** 2
    found = between.mutual_information(p, 0, 1)
    assert abs(found.value - exact) < 4 * found.error + 1e-5 and found.error < 0.01


def test_many_components_on_the_line():
    """A fine comb is close to the broad Gaussian that it imitates; memory and time stay small."""
    x = np.linspace(-6, 6, 400)
    comb = on_the_line(norm.pdf(x) / norm.pdf(x).sum(), x, np.full(400, 0.2))
    one = on_the_line([1.0], [0.0], [np.sqrt(1.04)])
    assert between.kl(comb, one).value == pytest.approx(0.0, abs=1e-6)


def test_closed_forms_refuse_what_they_do_not_hold_for():
    p = on_the_line([1.0], [0.0], [1.0])
    for other in (
        tails([3.0, 3.0]),
        on_the_line([1.0], [0.0], [1.0], noise=Noise(0.1, -np.ones(1), np.ones(1))),
    ):
        for function in (
            between.l2,
            between.cauchy_schwarz,
            between.mw2,
            between.kl_variational,
            between.kl_product,
            between.kl_matching,
            between.kl_bounds,
        ):
            with pytest.raises(InputError, match="Gaussian components without noise"):
                function(other, p)
