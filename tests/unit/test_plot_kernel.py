"""How wide the kernel of a density estimate is."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from mixtura.plot.kernel import bandwidth


def thumb(values):
    return 1.06 * np.std(values) * len(values) ** -0.2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_normal_sample_has_the_bandwidth_of_the_rule_of_thumb(seed):
    """Which is the best there (Silverman 1986, 3.28); the estimate varies by a fifth or so."""
    values = np.random.default_rng(seed).normal(size=2000)
    assert 0.75 * thumb(values) <= bandwidth(values) <= thumb(values) * (1 + 1e-12)


def test_modes_that_are_apart_keep_their_own_width():
    rng = np.random.default_rng(0)
    one, two = rng.normal(0, 1, 500), rng.normal(30, 1, 500)
    both = np.concatenate([one, two])
    alone = 1.06 * 1000**-0.2 * 2**0.2  # of each, from half of the values
    assert bandwidth(both) == pytest.approx(alone, rel=0.25)
    assert thumb(both) > 10 * alone


@pytest.mark.parametrize("scale", [1e-300, 1e-8, 1e300])
def test_units_do_not_matter(scale):
    values = np.random.default_rng(0).normal(size=300)
    assert bandwidth(scale * values) == pytest.approx(scale * bandwidth(values), rel=1e-3)


@pytest.mark.parametrize(
    "values",
    [[1, 2], [1, 1, 1, 2], [0] * 99 + [1], [*np.linspace(0, 1, 200), 1e6]],
    ids=["two", "ties", "one apart", "far"],
)
def test_odd_values_have_the_rule_of_thumb_or_less(values):
    values = np.array(values, dtype=float)
    assert 0 < bandwidth(values) <= thumb(values) * (1 + 1e-12)
