"""The figures: what they claim is true, and they leave no trace outside themselves."""

import itertools
import sys

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

import matplotlib
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline
from scipy.integrate import trapezoid
from sklearn.exceptions import NotFittedError

from mixtura import GaussianMixture, Mixture, OpenSetClassifier, StudentT, select
from mixtura._errors import InputError
from mixtura.fit.select import Candidate
from mixtura.metrics import risk_coverage_curve
from mixtura.plot import (
    ClusterDisplay,
    DensityDisplay,
    HistogramDisplay,
    PairsDisplay,
    PValueDisplay,
    RiskCoverageDisplay,
    SelectionDisplay,
    TraceDisplay,
    UncertaintyDisplay,
    remove_figures,
    save_figures,
)
from mixtura.plot.canvas import shortened
from mixtura.plot.ellipse import outline, outlines
from mixtura.plot.palette import ASIDE, COLORS, component_color, component_marker
from mixtura.plot.region import Landscape, spans
from mixtura.plot.shown import most_telling

NAMES = ["length (cm)", "weight_kg", "cost in $ or $$"]


@pytest.fixture(scope="module")
def mixture():
    """Three components in three named features, on very different scales."""
    scale = np.array([1.0, 1e-8, 1e9])
    bend = np.array([[1.0, 0.7, 0.0], [0.7, 1.0, -0.3], [0.0, -0.3, 2.0]])
    means = np.array([[0.0, 0, 0], [5, 1, 2], [-3, 6, -4]]) * scale
    covariances = np.stack([bend, 0.2 * bend, np.eye(3)]) * scale * scale[:, None]
    return Mixture([0.5, 0.3, 0.2], means, covariances, feature_names=NAMES)


@pytest.fixture(scope="module")
def rows(mixture):
    return mixture.sample(300, np.random.default_rng(0))


@pytest.fixture(scope="module")
def gaps(rows):
    """10 rows lack the first feature, 7 the second, 3 both of these."""
    out = rows.copy()
    out[:13, 0] = np.nan
    out[10:20, 1] = np.nan
    return out


def everything(mixture, rows, selection):
    """One display of each kind."""
    return [
        ClusterDisplay.from_mixture(mixture, rows),
        ClusterDisplay.from_mixture(mixture, rows, features=[1]),
        DensityDisplay.from_mixture(mixture, rows),
        HistogramDisplay.from_mixture(mixture, rows),
        PairsDisplay.from_mixture(mixture, rows),
        UncertaintyDisplay.from_mixture(mixture, rows),
        UncertaintyDisplay.from_mixture(mixture, rows, features=(0, 1)),
        SelectionDisplay.from_selection(selection),
        TraceDisplay([-3.0, -2.0, -1.9]).plot(),
    ]


@pytest.fixture(scope="module")
def selection(rows):
    return select(rows, [1, 2, 3], ["full", "diag"])


def said(display):
    """All captions of a figure in one string, with unbroken lines."""
    figure = display.figure_
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    return " ".join([*texts, figure.get_supxlabel()]).replace("\n", " ")


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("component", [0, 1, 2])
def test_an_ellipse_holds_its_probability(mixture, probability, component):
    dims = [0, 2]
    marginal = mixture.marginal(dims)
    covariance = marginal.covariances[component]
    curve = outlines(marginal, probability)[component]
    drawn = mixture.sample(20_000, np.random.default_rng(3), component=component)[:, dims]
    unit = np.sqrt(np.diagonal(covariance))  # Path.contains_points needs comparable scales
    inside = Outline(curve / unit).contains_points(drawn / unit).mean()
    assert inside == pytest.approx(probability, abs=5 * np.sqrt(0.25 / 20_000))


def test_an_ellipse_of_students_t_holds_its_probability():
    law = StudentT(np.array([1.5, 6.0]))
    heavy = Mixture([0.5, 0.5], [[0, 0], [9, 9]], [np.diag([1, 9]), np.eye(2)], law=law)
    for component, curve in enumerate(outlines(heavy, 0.9)):
        drawn = heavy.sample(20_000, np.random.default_rng(3), component=component)
        inside = Outline(curve).contains_points(drawn).mean()
        assert inside == pytest.approx(0.9, abs=5 * np.sqrt(0.09 / 20_000))


@pytest.fixture(scope="module")
def scattered():
    """Two groups and 20 rows far from both, the last, and a gap."""
    rng = np.random.default_rng(0)
    rows = np.concatenate(
        [rng.normal(0, 1, (60, 2)), rng.normal(9, 1, (60, 2)), rng.uniform(-40, 40, (20, 2))]
    )
    rows[3, 0] = np.nan
    return rows


@pytest.mark.parametrize("how", [{"noise": True}, {"trim": 0.1}])
def test_rows_of_no_component_are_grey_crosses_with_a_name(scattered, how):
    model = GaussianMixture(2, random_state=0, **how).fit(scattered)
    labels = model.predict(scattered)
    assert (labels == -1).sum() >= 10
    displays = [
        ClusterDisplay.from_estimator(model, scattered),
        UncertaintyDisplay.from_estimator(model, scattered, features=[0, 1]),
        ClusterDisplay.from_estimator(model, scattered, features=[0]),
    ]
    name = "noise" if "noise" in how else "trimmed"
    for display in displays:
        np.testing.assert_array_equal(display.labels_, labels)
        assert any(text.startswith(name) for text in legend_of(display.ax_))
        crosses = display.ax_.collections[0]  # drawn first, below the components' rows
        assert len(crosses.get_offsets()) == (labels == -1).sum()
        assert crosses.get_edgecolor()[0][:3] == pytest.approx(to_rgba(ASIDE)[:3])
    pairs = PairsDisplay.from_estimator(model, scattered)
    texts = [text.get_text() for text in pairs.figure_.legends[0].get_texts()]
    assert any(text.startswith(name) for text in texts)
    histogram = HistogramDisplay.from_estimator(model, scattered, feature=1)
    assert any(text.startswith(name) for text in legend_of(histogram.ax_))
    curves = histogram.curves_.sum(axis=1) + histogram.noise_
    density = model.mixture_.marginal([1]).pdf(histogram.x_[:, None])
    np.testing.assert_allclose(curves, density, rtol=1e-10)


@pytest.mark.parametrize(
    "covariance", [np.zeros((2, 2)), np.ones((2, 2)), np.diag([1e-300, 0]), np.diag([4.0, 0])]
)
def test_a_singular_covariance_gives_a_segment_or_a_point(covariance):
    curve = outline(np.array([1.0, 2.0]), covariance, 2.0)
    assert np.isfinite(curve).all()
    reach = np.ptp(curve, axis=0)
    assert reach == pytest.approx(4.0 * np.sqrt(np.diagonal(covariance)), rel=1e-3, abs=1e-15)


@pytest.mark.parametrize("features", [(0, 1), (1, 2)])
def test_a_highest_density_region_holds_its_probability(mixture, features):
    land = DensityDisplay.from_mixture(mixture, features=features).landscape_
    marginal = mixture.marginal(list(features))
    drawn = marginal.sample(40_000, np.random.default_rng(9))
    for probability, threshold in zip(land.probabilities, land.thresholds, strict=True):
        inside = np.mean(marginal.logpdf(drawn) >= threshold)
        assert inside == pytest.approx(probability, abs=0.02)  # 5 sd of both Monte Carlo sums
    held = np.exp(land.log_density) * (land.log_density >= land.thresholds[-1])
    mass = trapezoid(trapezoid(held, land.x, axis=1), land.y)
    assert mass == pytest.approx(max(land.probabilities), abs=0.03)  # steps of the grid besides


def test_the_drawn_contours_lie_on_their_thresholds(mixture):
    display = DensityDisplay.from_mixture(mixture, features=(0, 1))
    marginal, checked = mixture.marginal([0, 1]), 0
    for collection in display.ax_.collections:
        if collection.get_facecolor().size or not collection.get_edgecolor().size:
            continue
        for path, level in zip(
            collection.get_paths(), np.unique(display.landscape_.thresholds), strict=True
        ):
            assert marginal.logpdf(path.vertices) == pytest.approx(level, abs=0.05)
            checked += len(path.vertices)
    assert checked > 100


@pytest.mark.parametrize("feature", [0, 1, 2])
def test_the_curves_of_the_components_sum_to_the_density(mixture, rows, feature):
    display = HistogramDisplay.from_mixture(mixture, rows, feature=feature)
    density = mixture.marginal([feature]).pdf(display.x_[:, None])
    assert display.curves_.sum(axis=1) == pytest.approx(density, rel=1e-10)
    areas = trapezoid(display.curves_, display.x_, axis=0)
    assert areas == pytest.approx(mixture.weights, abs=0.02)  # the tails beyond the view
    bars = display.ax_.patches[0].get_data()
    assert np.sum(bars.values * np.diff(bars.edges)) == pytest.approx(1.0)


def test_a_narrow_component_keeps_its_peak():
    spike = Mixture([0.5, 0.5], [[0.0], [500.0]], [[[1e-4]], [[1e4]]])
    display = HistogramDisplay.from_mixture(spike)
    assert display.curves_.max() == pytest.approx(0.5 / np.sqrt(2 * np.pi * 1e-4), rel=1e-3)


def test_a_component_has_one_colour_everywhere(mixture, rows):
    found = []
    for display in (
        ClusterDisplay.from_mixture(mixture, rows),
        HistogramDisplay.from_mixture(mixture, rows),
        UncertaintyDisplay.from_mixture(mixture, rows),
    ):
        handles = display.ax_.get_legend().legend_handles[:3]
        found.append([to_rgba(handle.get_color()) for handle in handles])
    expected = [to_rgba(component_color(i)) for i in range(3)]
    assert found == [expected] * 3


def test_points_wear_the_colour_of_their_component(mixture, rows):
    ax = ClusterDisplay.from_mixture(mixture, rows, features=(0, 1), fade=False).ax_
    cloud = max(ax.collections, key=lambda collection: len(collection.get_offsets()))
    seen = {tuple(place): color for place, color in
            zip(cloud.get_offsets().data, cloud.get_facecolors()[:, :3], strict=True)}  # fmt: skip
    for row, label in zip(rows, mixture.predict(rows), strict=True):
        assert tuple(seen[tuple(row[:2])]) == to_rgba(component_color(label))[:3]


def test_fifty_components_are_told_apart():
    pairs = {(component_color(i), component_marker(i)) for i in range(50)}
    assert len(pairs) == 50
    assert len(set(COLORS)) == 9


def test_nothing_global_changes(mixture, gaps, selection):
    import matplotlib.pyplot as plt

    before, open_before = dict(matplotlib.rcParams), plt.get_fignums()
    for display in everything(mixture, gaps, selection):
        display.figure_.draw_without_rendering()
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == open_before


def test_the_axes_passed_in_are_used_and_keep_their_looks(mixture, rows, selection):
    axes = Figure(figsize=(12, 8)).subplots(2, 3).ravel()
    axes[0].set_title("mine")
    displays = [
        ClusterDisplay.from_mixture(mixture, rows, ax=axes[0]),
        DensityDisplay.from_mixture(mixture, rows, ax=axes[1]),
        HistogramDisplay.from_mixture(mixture, rows, ax=axes[2]),
        UncertaintyDisplay.from_mixture(mixture, rows, ax=axes[3]),
        SelectionDisplay.from_selection(selection, ax=axes[4]),
        TraceDisplay([-2.0, -1.0]).plot(ax=axes[5]),
    ]
    assert [display.ax_ for display in displays] == list(axes)
    assert all(display.figure_ is axes[0].figure for display in displays)
    assert axes[0].get_title() == "mine"
    assert all(ax.spines["top"].get_visible() for ax in axes)


def test_pairs_draw_on_a_matrix_of_axes(mixture, rows):
    axes = Figure().subplots(3, 3)
    assert PairsDisplay.from_mixture(mixture, rows, ax=axes).axes_[2, 0] is axes[2, 0]
    with pytest.raises(InputError, match=r"\(3, 3\) array of axes"):
        PairsDisplay.from_mixture(mixture, rows, ax=axes[:2])


def test_rows_with_gaps_are_counted_and_shown_at_the_edge(mixture, gaps):
    display = ClusterDisplay.from_mixture(mixture, gaps, features=(0, 1))
    words = said(display)
    assert "10 rows without length (cm): ticks at the edge" in words
    assert "7 rows without weight_kg: ticks at the edge" in words
    assert "3 rows without length (cm) and weight_kg: not shown" in words
    counts = sorted(len(c.get_offsets()) for c in display.ax_.collections)
    assert counts[-3:] == [7, 10, 280]
    assert "13 rows without length (cm)" in said(
        HistogramDisplay.from_mixture(mixture, gaps, feature=0)
    )
    assert "20 rows with gaps" in said(PairsDisplay.from_mixture(mixture, gaps))


def test_names_become_labels_and_are_never_mathematics(mixture, rows):
    frame = pd.DataFrame(rows, columns=NAMES)[NAMES[::-1]]  # matched by name, not by place
    display = ClusterDisplay.from_mixture(mixture, frame, features=("weight_kg", NAMES[2]))
    assert display.ax_.get_xlabel() == "weight_kg"
    assert display.ax_.get_ylabel() == NAMES[2]
    display.figure_.draw_without_rendering()
    lo, hi = display.ax_.get_xlim()
    assert lo < rows[:, 1].min() < rows[:, 1].max() < hi
    nameless = Mixture(mixture.weights, mixture.means, mixture.covariances)
    frame = pd.DataFrame(rows, columns=NAMES)
    assert HistogramDisplay.from_mixture(nameless, frame, feature=1).ax_.get_xlabel() == NAMES[1]
    assert HistogramDisplay.from_mixture(nameless, rows, feature=1).ax_.get_xlabel() == "feature 1"
    with pytest.raises(InputError, match="height"):
        ClusterDisplay.from_mixture(mixture, rows, features=("height", 0))


def test_many_rows_are_thinned_and_it_is_said(mixture):
    many = mixture.sample(12_000, np.random.default_rng(1))
    display = ClusterDisplay.from_mixture(mixture, many)
    assert "a random 10\u2009000 of 12\u2009000 rows" in said(display)
    cloud = max(display.ax_.collections, key=lambda collection: len(collection.get_offsets()))
    assert len(cloud.get_offsets()) == 10_000
    assert cloud.get_rasterized()


def test_the_legend_lies_beside_the_data(mixture, rows):
    display = ClusterDisplay.from_mixture(mixture, rows)
    display.figure_.draw_without_rendering()
    legend = display.ax_.get_legend().get_window_extent()
    assert legend.x0 >= display.ax_.get_window_extent().x1
    assert legend.x1 <= display.figure_.bbox.x1
    assert "ellipse holds 95 %" in legend_of(display.ax_)


def test_uncertainty_is_one_minus_the_largest_responsibility(mixture, gaps):
    display = UncertaintyDisplay.from_mixture(mixture, gaps)
    expected = 1 - mixture.responsibilities(gaps).max(axis=1)
    assert display.uncertainty_ == pytest.approx(expected, abs=1e-12)
    assert display.doubtful_ == np.sum(expected > 0.2)
    heights = display.ax_.collections[-1].get_offsets()[:, 1]
    assert np.all(np.diff(heights) <= 0)
    assert f"{display.doubtful_} of 300 rows" in said(display)


def candidates():
    scores = {("full", 1): 120.0, ("full", 2): 90.0, ("full", 3): 20.0, ("diag", 1): 130.0,
              ("diag", 2): 95.0}  # fmt: skip
    listed = [
        Candidate(k, name, score=score, degenerate=score == 20.0)
        for (name, k), score in scores.items()
    ]
    return [*listed, Candidate(3, "diag", failure="too few rows")]


def test_regions_are_whole_where_the_components_are_within_the_view():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal([0, 0], 1, (90, 2)), rng.normal([6, 0], 1, (90, 2)),
                           rng.uniform(-4, 10, (8, 2))])  # fmt: skip
    inside = rows[np.abs(rows - [3, 0]).max(axis=1) < 4.2]
    noisy = GaussianMixture(2, noise=True, random_state=0).fit(rows)
    display = DensityDisplay.from_estimator(noisy, inside, features=[0, 1])
    span = spans(inside, noisy.mixture_.marginal([0, 1]), 0.95)
    tight = Landscape.of(noisy.mixture_, span, (0.5, 0.8, 0.95), 60)
    assert tight.cut and not display.landscape_.cut


def test_selection_marks_the_best_and_empties_what_cannot_be_chosen():
    listed = candidates()
    display = SelectionDisplay(listed, listed[1], "bic").plot()
    assert display.ax_.get_ylabel() == "BIC (smaller is better)"
    words = said(display)
    assert "full, 2" in words and "5.0 behind" in words
    assert "1 degenerate model" in words and "1 model failed" in words
    hollow = [c for c in display.ax_.collections if not c.get_facecolor().size]
    assert sum(len(c.get_offsets()) for c in hollow) == 3  # two unsound, and the ring of the best
    low, high = display.ax_.get_ylim()
    assert low < 90 and high > 130
    assert all(low < y < high for c in hollow for _, y in c.get_offsets())


def test_selection_does_not_flatten_the_contest_for_one_hopeless_family():
    sound = [Candidate(k, name, score=1e6 + 7.0 * k + 20.0 * ("e" in name))
             for k in (1, 2, 3, 4) for name in ("full", "tied", "diag")]  # fmt: skip
    lost = [Candidate(k, "spherical", score=2e6 - k) for k in (1, 2, 3, 4)]
    display = SelectionDisplay([*sound, *lost], sound[0], "bic").plot()
    low, high = display.ax_.get_ylim()
    assert 1e6 + 48 < high < 1e6 + 200 and low < sound[0].score
    assert "altogether above: spherical" in said(display)
    display.figure_.canvas.draw()
    assert display.ax_.yaxis.get_offset_text().get_text() == ""
    near = [Candidate(k, "spherical", score=1e6 + 80.0 - k) for k in (1, 2, 3, 4)]
    display = SelectionDisplay([*sound, *near], sound[0], "bic").plot()
    assert display.ax_.get_ylim()[1] > near[-1].score
    assert "altogether" not in said(display)


def test_names_that_look_alike_when_short_show_what_sets_them_apart():
    names = [f"concentration of {one} in the water (mg/l)" for one in ("iron", "zinc")]
    short = shortened([*names, "age"], 20)
    assert short[2] == "age" and "iron" in short[0] and "zinc" in short[1]
    assert max(map(len, short)) <= 20
    assert shortened(names, 60) == names


def test_selection_shows_standard_errors_and_the_edge(rows):
    found = select(rows, [1, 2], ["full", "diag"], criterion="cv")
    display = SelectionDisplay.from_selection(found)
    bars = [c for c in display.ax_.collections if isinstance(c, LineCollection)]
    spans = sorted(s[1][1] - s[0][1] for bar in bars for s in bar.get_segments())
    errors = sorted(2 * c.score_error for c in found.candidates if c.score_error > 0)
    np.testing.assert_allclose(spans, errors, rtol=1e-12)
    assert "one standard error" in said(display)
    edge = select(rows, [1, 2], "full").best.n_components == 2
    assert ("edge of the range" in said(display)) is (found.best.n_components == 2)
    plain = SelectionDisplay.from_selection(select(rows, [1, 2], "full"))
    assert ("edge of the range" in said(plain)) is edge


def test_selection_draws_families_that_coincide_as_one(rows):
    one = select(rows[:, :1], [1, 2], ["full", "diag", "tied"])
    assert legend_of(SelectionDisplay.from_selection(one).ax_)[0] == "full = diag"


def test_selection_of_nothing_but_unsound_models_still_draws():
    lone = Candidate(2, "full", score=5.0, degenerate=True)
    failed = Candidate(3, "full", failure="no")
    SelectionDisplay([lone, failed], lone).plot().figure_.draw_without_rendering()


def test_trace_finds_the_steps_that_fall():
    display = TraceDisplay([-5.0, -4.0, -4.5, -3.0, -3.0 - 1e-12], converged=True).plot()
    assert display.falls_ == [3]
    assert "converged after 5 iterations" in said(display)


@pytest.mark.parametrize("trace", [[], [-2.0], [-2.0, -2.0], [-4e9, -4e9 + 1e-3]])
def test_trace_of_almost_nothing(trace):
    TraceDisplay(trace).plot().figure_.draw_without_rendering()


def test_from_estimator_is_from_mixture_of_its_mixture(rows):
    model = GaussianMixture([1, 2], random_state=0).fit(rows)
    for kind in (ClusterDisplay, DensityDisplay, HistogramDisplay, PairsDisplay):
        assert kind.from_estimator(model, rows).marginal.n_components == model.n_components_
    assert UncertaintyDisplay.from_estimator(model, rows).total == 300
    assert len(TraceDisplay.from_estimator(model).trace) == len(model.trace_)
    assert SelectionDisplay.from_estimator(model).best is model.selection_.best
    with pytest.raises(NotFittedError, match="not fitted"):
        ClusterDisplay.from_estimator(GaussianMixture(2), rows)
    with pytest.raises(InputError, match="compared no models"):
        SelectionDisplay.from_estimator(GaussianMixture(2, random_state=0).fit(rows))


def test_features_in_which_the_components_differ(mixture):
    far = Mixture([0.5, 0.5], [[0, 0, 0], [1, 9, 90]], [np.diag([1, 1, 1e6])] * 2)
    assert most_telling(far, 1) == [1]
    assert most_telling(far, 2) == [0, 1]


def test_one_component_one_row_one_value(mixture):
    plain = Mixture([1.0], [[0.0, 0.0]], [np.eye(2)])
    for X in ([[0.5, 0.5]], [[1.0, 1.0]] * 5, [[np.nan, 1.0], [np.nan, np.nan]], None):
        for kind in (ClusterDisplay, DensityDisplay, HistogramDisplay, PairsDisplay):
            kind.from_mixture(plain, X).figure_.draw_without_rendering()


def test_many_components_get_marks_without_numbers():
    means = np.random.default_rng(0).normal(0, 30, (45, 2))
    crowd = Mixture(np.full(45, 1 / 45), means, [np.eye(2)] * 45)
    display = ClusterDisplay.from_mixture(crowd, crowd.sample(300, np.random.default_rng(1)))
    display.figure_.draw_without_rendering()
    assert len(display.ax_.texts) == 1  # the caption


@pytest.mark.parametrize(
    ("dims", "expected"),
    [
        ([0], ["histogram", "uncertainty", "selection", "trace"]),
        ([0, 1], ["clusters", "density", "uncertainty", "selection", "trace"]),
        ([0, 1, 2], ["clusters", "density", "pairs", "uncertainty", "selection", "trace"]),
    ],
)
def test_saved_figures_fit_the_data(tmp_path, mixture, gaps, selection, dims, expected):
    X = gaps[:, dims]
    X = X[~np.isnan(X).all(axis=1)]
    folder = tmp_path / "deep" / "figures"
    paths = save_figures(mixture.marginal(dims), X, selection, folder, trace=[-2.0, -1.0])
    assert [path.stem for path in paths] == expected
    assert sorted(folder.iterdir()) == sorted(paths)  # no temporary file stays
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_only_figures_of_an_earlier_model_are_removed(tmp_path, mixture, gaps):
    line = save_figures(mixture.marginal([0]), gaps[:, :1], None, tmp_path)
    (tmp_path / "histogram.png").rename(tmp_path / "mine.png")
    Figure().savefig(tmp_path / "pairs.png")  # somebody else's, under our name
    (tmp_path / "trace.png").touch()
    save_figures(mixture.marginal([0]), gaps[:, :1], None, tmp_path)
    plane = save_figures(mixture.marginal([0, 1]), gaps[:, :2], None, tmp_path)
    assert remove_figures(tmp_path, but=plane) == [tmp_path / "histogram.png"]
    assert tmp_path / "histogram.png" in line
    kept = {path.name for path in tmp_path.iterdir()} - {path.name for path in plane}
    assert kept == {"mine.png", "pairs.png", "trace.png"}
    assert remove_figures(tmp_path / "absent") == []


def test_a_figure_that_cannot_be_written_leaves_no_file(tmp_path, mixture, rows, monkeypatch):
    def refuse(*_, **__):
        raise OSError("the disk is full")

    monkeypatch.setattr(Figure, "savefig", refuse)
    with pytest.raises(OSError, match="disk"):
        save_figures(mixture, rows, None, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_matplotlib_missing_is_said_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [name for name in sys.modules if name.startswith("mixtura.plot")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"mixtura\[plot\]"):
        __import__("mixtura.plot")


# ---- risk and coverage


def test_risk_coverage_lines_are_the_curves():
    """By a sorted cumulative mean; the areas stand in the legend."""
    rng = np.random.default_rng(0)
    right, sure = rng.integers(0, 2, 80), rng.permutation(80) / 80.0
    display = RiskCoverageDisplay.from_predictions(np.ones(80), {"one": (right, sure)})
    wrong = 1.0 - right[np.argsort(-sure)]
    risk = np.cumsum(wrong) / np.arange(1, 81)
    line, level = display.ax_.get_lines()
    np.testing.assert_allclose(line.get_ydata(), risk, rtol=1e-12)
    np.testing.assert_allclose(level.get_ydata(), wrong.mean(), rtol=1e-12)
    assert display.ax_.get_legend().get_texts()[0].get_text() == f"one\nAURC {risk.mean():.4f}"
    other = RiskCoverageDisplay(display.curves).plot(generalized=True).ax_.get_lines()[0]
    np.testing.assert_allclose(other.get_ydata(), np.cumsum(wrong) / 80.0, rtol=1e-12)
    with pytest.raises(InputError, match="no curves"):
        RiskCoverageDisplay({})


def test_an_open_set_classifier_shows_both_confidences_and_its_p_values():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 2)) + 4.0 * np.repeat([[0.0], [1.0]], 100, axis=0), np.arange(200)
    y = (y >= 100).astype(int)
    model = OpenSetClassifier(random_state=0).fit(X, y)
    display = RiskCoverageDisplay.from_estimator(model, X, y)
    assert list(display.curves) == ["probability", "density ratio"]
    wanted = risk_coverage_curve(y, model.predict(X), -model.novelty(X)).risk
    np.testing.assert_array_equal(display.curves["density ratio"].risk, wanted)
    assert PValueDisplay.from_estimator(model, X).calibrated_on == 40


def test_names_of_a_pairs_matrix_keep_apart():
    names = [f"{name} of a very long name, in centre A" for name in ("x", "y", "z")]
    plain = Mixture([1.0], [[0.0, 0.0, 0.0]], [np.eye(3)], feature_names=names)
    display = PairsDisplay.from_mixture(plain)
    display.figure_.draw_without_rendering()
    below = [ax.xaxis.label.get_window_extent() for ax in display.axes_[-1]]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(below))
    beside = [ax.yaxis.label.get_window_extent() for ax in display.axes_[:, 0]]
    assert all(upper.y0 > lower.y1 for upper, lower in itertools.pairwise(beside))


def test_the_legend_of_a_pairs_matrix_stays_in_the_figure():
    means = np.random.default_rng(0).normal(0, 30, (30, 1))
    crowd = Mixture(np.full(30, 1 / 30), means, np.ones((30, 1, 1)))
    figure = PairsDisplay.from_mixture(crowd).figure_
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert legend.y0 > 0
    assert legend.x1 <= figure.bbox.x1
