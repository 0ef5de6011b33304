"""Modes and highest-density regions of many mixtures, beside those of one mixture at a time."""

import numpy as np
import pytest

from mixtura import Mixture, Noise, StudentT, highest_density_region, modes
from mixtura._errors import InputError


def crossing(law=None, noise=None, seed=0):
    """Components of very unequal widths and shares, in two features."""
    rng = np.random.default_rng(seed)
    shapes = [np.diag(rng.uniform(0.01, 2, 2)) for _ in range(5)]
    mixture = Mixture(rng.dirichlet(np.full(5, 0.7)), rng.normal(0, 3, (5, 2)), shapes)
    mixture = mixture.affine(np.array([[1.0, 0.0], [-2.0, 3.0]]), np.array([1e3, -20.0]))
    changes = {"law": law} if law else {}
    return mixture.changed(**changes, **({"noise": noise} if noise else {}))


@pytest.mark.parametrize("seed", [0, 1])
def test_modes_on_a_line(seed):
    """Places to 1e-7 (a maximum is flat: the root of the rounding), heights to the last digits."""
    mixture = crossing(seed=seed)
    many = mixture.conditionals(mixture.sample(20, 1)[:, :1], given=[0])
    found = many.modes()
    assert (found.counts > 1).any()
    for row, one in enumerate(many):
        alone, own = modes(one), slice(found.counts[row])
        assert len(alone) == found.counts[row]
        np.testing.assert_allclose(found.points[row, own], alone.points, rtol=1e-7, atol=1e-6)
        np.testing.assert_allclose(found.log_densities[row, own], alone.log_densities, atol=1e-9)
    assert (
        np.diff(np.where(np.isfinite(found.log_densities), found.log_densities, -1e3)) <= 0
    ).all()
    assert np.isnan(found.points[found.counts == 1, 1:]).all()


def test_the_weight_of_a_mode_is_the_share_of_draws_on_its_hill():
    mixture = Mixture([0.2, 0.5, 0.3], [[0.0, 0], [0, 4], [0, 4.5]], [np.eye(2) * 0.5] * 3)
    found = mixture.conditionals([[0.0]], given=[0]).modes()
    low = np.sort(found.points[0, :, 0])
    draws = mixture.condition({0: 0.0}).sample(100_000, 0)
    grid = np.linspace(*low, 2001)[:, None]
    valley = grid[mixture.condition({0: 0.0}).pdf(grid).argmin(), 0]
    assert found.weights[0] == pytest.approx(
        [(draws > valley).mean(), (draws < valley).mean()], abs=6e-3
    )
    assert found.weights.sum() == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize("kind", ["t", "noise", "two outcomes"])
def test_modes_one_by_one(kind):
    mixture = crossing(law=StudentT(np.full(5, 3.0)) if kind == "t" else None)
    if kind == "noise":
        mixture = mixture.changed(noise=Noise(0.2, np.full(2, -9.0), np.full(2, 9.0)))
    if kind == "two outcomes":
        shapes = [np.eye(3), np.diag([1.0, 0.2, 2.0])]
        mixture = Mixture([0.4, 0.6], [[0, 0, 0], [1, 5, -4]], shapes)
    many = mixture.conditionals(mixture.sample(3, 0)[:, :1], given=[0])
    found = many.modes()
    for row, one in enumerate(many):
        np.testing.assert_allclose(found.points[row, : found.counts[row]], modes(one).points)
    np.testing.assert_allclose(found.weights.sum(axis=1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("probability", [0.1, 0.9, 0.999])
def test_regions(probability):
    """Edges to 1e-6: the level is found to 1e-12 in probability, and the density there is not 0."""
    mixture = crossing()
    many = mixture.conditionals(mixture.sample(4, 0)[:, :1], given=[0])
    found = many.regions(probability)
    for row, one in enumerate(many):
        alone = highest_density_region(one, probability).intervals
        own = found[row, ~np.isnan(found[row, :, 0])]
        assert len(own) == len(alone)
        np.testing.assert_allclose(own, alone, rtol=1e-7, atol=1e-6)


def test_regions_of_other_laws():
    heavy = crossing(law=StudentT(np.full(5, 4.0)))
    many = heavy.conditionals(heavy.sample(2, 0)[:, :1], given=[0])
    alone = highest_density_region(many[1], 0.8).intervals
    np.testing.assert_array_equal(many.regions(0.8)[1, : len(alone)], alone)
    noisy = heavy.changed(noise=Noise(0.2, np.full(2, -9.0), np.full(2, 9.0)))
    with pytest.raises(InputError, match="central"):
        noisy.conditionals([[1e3]], given=[0]).regions(0.5)
    with pytest.raises(InputError, match="coverage"):
        many.regions(1.0)
