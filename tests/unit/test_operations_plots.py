"""The figures of merging and calibration: what they claim is true."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure
from scipy import stats

from mixtura import DensityEstimator, GaussianMixture, Mixture
from mixtura._errors import InputError
from mixtura.operations.merge import merge
from mixtura.plot import MergeDisplay, PITDisplay, QQDisplay


@pytest.fixture(scope="module")
def mixture():
    means = [[0, 0], [1, 0], [9, 0], [0, 9]]
    return Mixture([0.3, 0.3, 0.2, 0.2], means, [np.eye(2)] * 4, feature_names=["width", "height"])


@pytest.fixture(scope="module")
def rows(mixture):
    out = mixture.sample(300, 0)
    out[:9, 0] = np.nan
    return out


@pytest.fixture(scope="module")
def line():
    return Mixture([0.4, 0.6], [[0.0], [5.0]], [[[1.0]], [[2.0]]])


def said(ax):
    return " ".join(text.get_text() for text in ax.texts).replace("\n", " ")


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# ---- merging


def test_a_merge_figure_shows_the_entropies_and_the_suggestion(mixture, rows):
    display = MergeDisplay.from_mixture(mixture, rows)
    merging = merge(mixture, rows)
    assert display.clusters_ == merging.suggested == 3
    for ax, x in ((display.axes_[1], [1, 2, 3, 4]), (display.axes_[2], merging.merged_rows)):
        dots = next(one for one in ax.lines if one.get_marker() == "o")
        np.testing.assert_allclose(dots.get_xdata(), x)
        np.testing.assert_allclose(dots.get_ydata(), merging.entropy)
        ring = ax.collections[-1].get_offsets()
        np.testing.assert_allclose(ring, [[x[2], merging.entropy[2]]])
    assert "3 clusters from 4 components" in said(display.axes_[1])
    assert legend_of(display.axes_[0])[0].startswith("0, 1")
    assert display.axes_[0].get_xlabel() == "width"


def test_a_number_of_clusters_and_a_single_feature(mixture, rows):
    display = MergeDisplay.from_mixture(mixture, rows, clusters=2, features=["height"])
    assert display.clusters_ == 2 and len(legend_of(display.axes_[0])) == 2
    assert display.axes_[0].get_ylabel() == "cluster"


def test_a_merge_figure_on_axes_of_ones_own(mixture, rows):
    axes = Figure().subplots(1, 3)
    merging = merge(mixture, rows)
    assert MergeDisplay.from_merging(merging, rows, ax=axes).figure_ is axes[0].figure
    with pytest.raises(InputError, match="three axes"):
        MergeDisplay.from_merging(merging, rows, ax=axes[:2])
    solid = Mixture([1.0], [[0.0, 0.0, 0.0]], [np.eye(3)])
    with pytest.raises(InputError, match="one or two"):
        MergeDisplay.from_mixture(solid, solid.sample(9, 0), features=[0, 1, 2])


def test_two_components_have_no_elbow_to_draw():
    two = Mixture([0.5, 0.5], [[0.0], [1.0]], [[[1.0]], [[1.0]]])
    display = MergeDisplay.from_mixture(two, two.sample(50, 0))
    assert not display.axes_[1].collections and display.clusters_ == 2


# ---- calibration


def test_the_bars_of_a_pit_figure(line):
    values = line.sample(500, 0)
    display = PITDisplay.from_mixture(line, values)
    bins = len(display.heights_)
    held, _ = np.histogram(line.cdf(values), bins, (0, 1))
    np.testing.assert_allclose(display.heights_, held * bins / 500)
    assert display.heights_.mean() == pytest.approx(1.0)
    low, high = stats.binom.ppf([0.025, 0.975], 500, 1 / bins) * bins / 500
    assert display.band_ == pytest.approx((low, high))
    assert "differ by at most" in said(display.ax_)


def test_the_points_of_a_qq_figure(line):
    values = line.sample(200, 0)
    display = QQDisplay.from_mixture(line, values)
    positions = np.arange(1, 201) / 201
    np.testing.assert_allclose(display.points_[:, 0], line.quantile(positions), rtol=1e-12)
    np.testing.assert_array_equal(display.points_[:, 1], np.sort(values[:, 0]))
    flat = QQDisplay(display.compared).plot(uniform=True)
    np.testing.assert_allclose(flat.points_, np.column_stack([positions, display.compared.pit]))
    assert display.ax_.get_xlabel() == "quantile of the density"


def test_a_density_too_wide_shows_as_a_hump(line):
    wide = Mixture([1.0], [[0.0]], [[[9.0]]])
    heights = PITDisplay.from_mixture(wide, np.random.default_rng(0).normal(size=400)).heights_
    third = len(heights) // 3
    assert heights[third:-third].mean() > 2 * heights[:third].mean()


def test_estimators_of_one_feature():
    values = np.random.default_rng(0).exponential(size=(80, 1))
    fits = [
        GaussianMixture(1).fit(values),
        DensityEstimator(1, bounds=(0, None), random_state=0).fit(values),
    ]
    for fit in fits:
        for display in (PITDisplay, QQDisplay):
            assert display.from_estimator(fit, values, ax=Figure().add_subplot()).ax_ is not None
    flat = GaussianMixture(1).fit(np.random.default_rng(0).normal(size=(30, 2)))
    with pytest.raises(InputError, match="2 features"):
        QQDisplay.from_estimator(flat, values)


def test_many_values_keep_their_tails(line):
    values = line.sample(60_000, 0)
    display = QQDisplay.from_mixture(line, values)
    drawn = display.ax_.collections[-1].get_offsets()
    assert len(drawn) <= 20_000
    assert drawn[:, 1].min() == values.min() and drawn[:, 1].max() == values.max()


def test_components_that_hardly_overlap_have_no_ring():
    apart = Mixture(np.full(3, 1 / 3), [[0, 0], [20, 0], [0, 20]], [np.eye(2)] * 3)
    rows = apart.sample(200, np.random.default_rng(0))
    display = MergeDisplay.from_mixture(apart, rows)
    assert display.clusters_ == 3
    assert display.merging.suggested_by_rows is None
    assert all(not ax.collections for ax in display.axes_[1:])  # dots are lines, the ring is not
