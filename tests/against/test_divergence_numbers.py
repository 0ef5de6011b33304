"""Divergences and the CRPS of stated mixtures, against stored 30-digit values."""

import json
from pathlib import Path

import numpy as np
import pytest

from mixtura import Mixture, divergence, metrics

STORED = json.loads((Path(__file__).parent / "divergence.json").read_text())


def line_of(weights, means, deviations):
    means = np.array(means)[:, None]
    return Mixture(weights, means, np.square(deviations), covariance_type="spherical")


F = line_of([0.2, 0.5, 0.3], [-2.0, 0.0, 3.0], [0.5, 1.0, 1.5])
G = line_of([0.6, 0.4], [-1.0, 2.0], [1.0, 1.0])


def embedded(line):
    """The line in the plane, beside an independent coordinate: all divergences stay."""
    means = np.column_stack([line.means[:, 0], np.full(len(line.means), 7.0)])
    return Mixture(line.weights, means, [np.diag([c[0, 0], 4.0]) for c in line.covariances])


ESTIMATED = {
    "kl": lambda p, q: divergence.kl(p, q),
    "kl_reverse": lambda p, q: divergence.kl(q, p),
    "jensen_shannon": lambda p, q: divergence.jensen_shannon(p, q),
    "total_variation": lambda p, q: divergence.total_variation(p, q),
}


@pytest.mark.parametrize("name", list(ESTIMATED))
def test_by_quadrature(name):
    found, exact = ESTIMATED[name](F, G), float(STORED[name])
    assert found.method == "quadrature"
    assert found.value == pytest.approx(exact, rel=0, abs=1e-15)
    assert abs(found.value - exact) <= found.error + 5e-17 < 2e-15


def test_hellinger_by_quadrature():
    found = divergence.hellinger(F, G)
    assert found.value**2 == pytest.approx(float(STORED["squared_hellinger"]), rel=1e-14)
    assert found.error < 1e-14


@pytest.mark.parametrize("name", list(ESTIMATED))
def test_by_draws(name):
    found, exact = ESTIMATED[name](embedded(F), embedded(G)), float(STORED[name])
    assert found.method == "Monte Carlo"
    assert abs(found.value - exact) < 4 * found.error
    assert 0 < found.error < 0.01 * exact + 1e-4


def test_hellinger_by_draws():
    found = divergence.hellinger(embedded(F), embedded(G))
    exact = float(STORED["squared_hellinger"]) ** 0.5
    assert abs(found.value - exact) < 4 * found.error < 0.004


CLOSED = {
    "squared_l2": lambda: divergence.l2(F, G) ** 2,
    "cauchy_schwarz": lambda: divergence.cauchy_schwarz(F, G),
    "kl_variational": lambda: divergence.kl_variational(F, G),
    "kl_product": lambda: divergence.kl_product(F, G),
    "kl_matching": lambda: divergence.kl_matching(F, G),
    "squared_mw2": lambda: divergence.mw2(F, G).value ** 2,
}


@pytest.mark.parametrize("name", list(CLOSED))
def test_in_closed_form(name):
    assert CLOSED[name]() == pytest.approx(float(STORED[name]), rel=0, abs=1e-15)


def test_bounds():
    lower, upper = divergence.kl_bounds(F, G)
    assert lower == max(0.0, float(STORED["durrieu_lower"]))
    assert float(STORED["kl"]) < upper <= float(STORED["durrieu_upper"]) + 1e-15


def test_crps():
    y = np.array([float(value) for value in STORED["crps"]])
    exact = np.array([float(value) for value in STORED["crps"].values()])
    assert metrics.crps(y, F, average=False) == pytest.approx(exact, rel=0, abs=2e-15)
