"""The outlier detector: lines, p-values that hold, and reasons."""

import numpy as np
import pytest
from scipy import linalg, stats
from sklearn.metrics import roc_auc_score

from mixtura import GaussianMixture, Mixture, MixtureOutlierDetector, StudentT
from mixtura._errors import InputError
from mixtura.inference.conformal import Conformal, selected
from mixtura.law import GAUSSIAN
from mixtura.operations.contributions import contributions
from mixtura.source.shuffle import shuffled


@pytest.fixture(scope="module")
def groups():
    """Two groups in three columns, 300 rows."""
    rng = np.random.default_rng(0)
    factor = np.array([[1.0, 0, 0], [0.8, 0.6, 0], [0.2, 0.1, 0.5]])
    return np.concatenate([rng.normal(size=(150, 3)) @ factor.T + m for m in (0.0, 7.0)])


@pytest.fixture(scope="module")
def detector(groups):
    return MixtureOutlierDetector((1, 2, 3), covariance_type="full", random_state=0).fit(groups)


def torn(rows, seed=1):
    out = rows.copy()
    out[np.random.default_rng(seed).random(rows.shape) < 0.3] = np.nan
    return out


# ---- scores


def test_the_score_of_a_whole_row_is_its_log_density(detector, groups):
    assert detector.n_components_ == 2
    np.testing.assert_allclose(
        detector.score_samples(groups), detector.mixture_.logpdf(groups), rtol=1e-12
    )


@pytest.mark.parametrize("dof", [None, 3.7])
def test_a_gap_counts_as_what_is_usual(dof):
    """Of one component: log p(x_o) less the entropies' difference, here as SciPy has them."""
    mean, covariance = np.array([1.0, -2.0, 0.5]), np.diag([1.0, 4.0, 0.25]) + 0.3
    law = GAUSSIAN if dof is None else StudentT(np.array([dof]))
    model = MixtureOutlierDetector(1, covariance_type="diag", trim=0.0).fit(
        np.random.default_rng(0).normal(size=(40, 3))
    )
    model.mixture_ = Mixture([1.0], [mean], [covariance], law=law)

    def of(dims):
        where = mean[dims], covariance[np.ix_(dims, dims)]
        if dof is None:
            return stats.multivariate_normal(*where)
        return stats.multivariate_t(*where, df=dof)

    row = np.array([0.3, np.nan, 2.0])
    expected = of([0, 2]).logpdf(row[[0, 2]]) - (of([0, 1, 2]).entropy() - of([0, 2]).entropy())
    assert model.score_samples([row])[0] == pytest.approx(float(expected), rel=1e-9)
    nothing = model.score_samples([[np.nan] * 3])[0]
    assert nothing == pytest.approx(-float(of([0, 1, 2]).entropy()), rel=1e-9)


def test_rows_with_gaps_rank_among_the_others(detector, groups):
    """Over rows of the mixture, gaps change the score by nothing on average."""
    rows = detector.mixture_.changed(law=GAUSSIAN).sample(4000, 0)
    difference = detector.score_samples(torn(rows)) - detector.score_samples(rows)
    assert abs(difference.mean()) < 0.15
    far = groups[:5].copy()
    far[:, 0], far[:, 2] = 30.0, np.nan
    assert (detector.predict(far) == -1).all()
    assert detector.predict([[np.nan] * 3]).tolist() == [1]


def test_a_few_rows_together_do_not_vouch_for_each_other(groups):
    """Ten equal rows far away: of highest density where a component may take them."""
    clump = np.random.default_rng(0).normal(30.0, 0.01, (10, 3))
    X = np.concatenate([groups, clump])
    settings = {"covariance_type": "diag", "trim": 0.0, "random_state": 0}
    naive = MixtureOutlierDetector(3, smallest=0.0, **settings).fit(X)
    assert naive.n_components_ == 3 and (naive.predict(clump) == 1).all()
    found = MixtureOutlierDetector(3, **settings).fit(X)
    assert found.n_components_ == 2 and (found.predict(clump) == -1).all()


# ---- the line


def test_auto_calls_one_in_a_hundred_ordinary_rows_odd(groups, detector):
    """Ordinary: Gaussian about their component. 20 000 rows, fitted to 300: within 0.4 to 2.5 %."""
    truth = GaussianMixture(2, random_state=0).fit(groups).mixture_
    share = np.mean(detector.predict(truth.sample(20_000, 1)) == -1)
    assert 0.004 < share < 0.025


def test_outliers_in_the_data_bend_the_fit_little(groups):
    rng = np.random.default_rng(3)
    odd = rng.uniform(-25, 30, (45, 3))  # 13 %
    X, y = np.concatenate([groups, odd]), np.repeat([0, 1], [300, 45])
    found = MixtureOutlierDetector(covariance_type="full", random_state=0).fit(X)
    assert roc_auc_score(y, -found.score_samples(X)) > 0.99
    called = found.predict(X) == -1
    assert called[y == 1].mean() > 0.85 and called[y == 0].mean() < 0.05


def test_contamination_is_the_share_of_rows_called_odd(groups):
    found = MixtureOutlierDetector(2, covariance_type="full", contamination=0.1, random_state=0)
    assert np.sum(found.fit_predict(groups) == -1) == 30
    scores = found.score_samples(groups)
    assert found.offset_ == pytest.approx(np.percentile(scores, 10), rel=1e-12)
    np.testing.assert_allclose(found.decision_function(groups), scores - found.offset_)


def test_weights_repeat_and_zero_is_absence(groups):
    weights = np.random.default_rng(0).integers(0, 3, len(groups))
    settings = {"covariance_type": "full", "random_state": 0, "tol": 1e-10}
    for contamination in ("auto", 0.1):
        one = MixtureOutlierDetector(2, contamination=contamination, **settings)
        one.fit(groups, sample_weight=weights)
        other = MixtureOutlierDetector(2, contamination=contamination, **settings)
        other.fit(np.repeat(groups, weights, axis=0))
        np.testing.assert_allclose(
            one.decision_function(groups), other.decision_function(groups), atol=1e-3
        )


# ---- p-values


def test_a_p_value_is_a_count():
    rng = np.random.default_rng(0)
    held, scores = rng.integers(0, 9, 40).astype(float), rng.integers(-1, 10, 30).astype(float)
    weights = rng.integers(0, 3, 40).astype(float)
    for w in (None, weights):
        counted = np.ones(40) if w is None else w
        expected = [(1 + counted[held <= s].sum()) / (1 + counted.sum()) for s in scores]
        np.testing.assert_allclose(Conformal.of(held, w).p_values(scores), expected, rtol=1e-14)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.07, 0.1, 0.29, 0.5])
def test_the_line_is_where_the_p_value_is_alpha(alpha):
    rng = np.random.default_rng(1)
    held = Conformal.of(rng.normal(size=99).round(1))
    scores = np.concatenate([rng.normal(size=500).round(1), held.scores])
    np.testing.assert_array_equal(
        scores < held.threshold(alpha), held.p_values(scores) <= alpha + 1e-12
    )


def test_the_detector_draws_the_line_at_alpha(groups):
    found = MixtureOutlierDetector(2, covariance_type="full", alpha=0.1, random_state=0).fit(groups)
    assert found.conformal_.total == 90
    new = np.random.default_rng(5).normal(3, 5, (400, 3))
    np.testing.assert_array_equal(found.predict(new) == -1, found.p_values(new) <= 0.1)


def test_rows_held_out_do_not_touch_the_fit(groups):
    """A value that would wreck any fit is held out in one seed of some."""
    settings = {"covariance_type": "full", "calibration": 0.4}
    whole = MixtureOutlierDetector(2, random_state=4, **settings).fit(groups)
    seed = np.random.RandomState(4).randint(2**31 - 1)
    held = shuffled(np.arange(300), 300, seed) < 120
    spoiled = groups.copy()
    spoiled[held] = 1e6
    again = MixtureOutlierDetector(2, random_state=4, **settings).fit(spoiled)
    np.testing.assert_allclose(again.mixture_.means, whole.mixture_.means, rtol=1e-9)


def test_p_values_are_exact_for_exchangeable_rows():
    """Whole procedure, 300 times: 60 rows of a skewed law, 20 held out, one new row.

    p is then uniform on 1/21 ... 21/21. Tolerance: four standard errors of a share, at five places.
    """
    rng = np.random.default_rng(0)
    settings = {"covariance_type": "diag", "trim": 0.0, "n_jobs": 1}
    found = []
    for seed in range(300):
        rows = rng.gamma(1.5, size=(61, 2))
        one = MixtureOutlierDetector(1, calibration=1 / 3, random_state=seed, **settings)
        found.append(one.fit(rows[:-1]).p_values(rows[-1:])[0])
    assert one.conformal_.total == 20
    for rank in (1, 2, 4, 10, 17):
        truth = rank / 21
        error = np.sqrt(truth * (1 - truth) / 300)
        assert abs(np.mean(np.array(found) <= truth + 1e-12) - truth) < 4 * error


def test_benjamini_hochberg():
    """By the definition: reject the k smallest, k the last with p_(k) <= k fdr / n."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = np.concatenate([rng.random(20), rng.random(10) ** 6])
        fdr = rng.choice([0.05, 0.1, 0.3])
        ordered = np.sort(p)
        passing = [k for k in range(30) if ordered[k] <= (k + 1) * fdr / 30]
        expected = p <= ordered[passing[-1]] if passing else np.zeros(30, dtype=bool)
        np.testing.assert_array_equal(selected(p, fdr), expected)


def test_the_share_of_false_ones_is_held(detector, groups):
    """300 times: 200 rows held out, 40 typical rows and 10 outliers tested at fdr 0.2.

    The expected share of false ones is at most 0.2 * 40/50; tolerance: three standard errors.
    """
    truth = GaussianMixture(2, random_state=0).fit(groups).mixture_
    rng = np.random.default_rng(2)
    scores = detector.score_samples(truth.sample(300 * 240, rng)).reshape(300, 240)
    odd = detector.score_samples(rng.uniform(-9, 16, (3000, 3))).reshape(300, 10)
    false, power = [], []
    for typical, strange in zip(scores, odd, strict=True):
        held = Conformal.of(typical[:200])
        chosen = selected(held.p_values(np.concatenate([typical[200:], strange])), 0.2)
        false.append(chosen[:40].sum() / max(chosen.sum(), 1))
        power.append(chosen[40:].mean())
    error = np.std(false) / np.sqrt(300)
    assert np.mean(false) < 0.16 + 3 * error
    assert np.mean(power) > 0.7


def test_calibrate_takes_other_rows(groups):
    found = MixtureOutlierDetector(2, covariance_type="full", random_state=0).fit(groups)
    with pytest.raises(InputError, match="no rows were held out"):
        found.p_values(groups)
    new = found.mixture_.sample(199, 0)
    found.calibrate(new)
    assert found.p_values([[30.0, 0, 0]])[0] == pytest.approx(1 / 200)
    assert found.select(np.vstack([[30.0, 0, 0], new[:3]]), 0.1).tolist() == [True] + [False] * 3
    with pytest.raises(InputError, match="a share between 0 and 1"):
        found.select(new, 1.5)


# ---- reasons


@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical", "factor:1"])
def test_contributions_sum_to_the_squared_distance(family, groups):
    mixture = GaussianMixture(2, covariance_type=family, random_state=0).fit(groups).mixture_
    rows = torn(np.concatenate([groups[:40], groups[:10] * 40]))
    rows[0], rows[1:, 2] = np.nan, 3.0
    found = contributions(mixture, rows)
    of_component = mixture.mahalanobis(rows)[np.arange(50), found.component]
    np.testing.assert_allclose(found.values.sum(axis=1), of_component**2, rtol=1e-9)
    assert (found.values >= 0).all() and (found.values[np.isnan(rows)] == 0).all()
    np.testing.assert_allclose(found.shares.sum(axis=1)[1:], 1.0, rtol=1e-12)
    assert found.shares[0].tolist() == [0.0] * 3


def test_contributions_are_those_of_the_corr_max_transformation():
    """``w = (D Σ D)^(-1/2) D (x - μ)`` with SciPy's matrix root."""
    covariance = np.array([[4.0, 1.5, 0.2], [1.5, 1.0, 0.1], [0.2, 0.1, 9.0]])
    mixture = Mixture([1.0], [[1.0, 2.0, 3.0]], [covariance])
    rows = np.random.default_rng(0).normal(2, 4, (20, 3))
    scale = np.diag(1 / np.sqrt(np.diag(covariance)))
    root = np.real(linalg.inv(linalg.sqrtm(scale @ covariance @ scale)))
    expected = ((rows - [1.0, 2.0, 3.0]) @ scale @ root) ** 2
    np.testing.assert_allclose(contributions(mixture, rows).values, expected, rtol=1e-9)


def test_a_reason_names_the_column():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(rng.normal(size=(200, 3)), columns=["width", "height", "weight"])
    found = MixtureOutlierDetector(1, covariance_type="full", random_state=0).fit(frame)
    row = pandas.DataFrame([[0.1, 9.0, -0.2]], columns=frame.columns)
    reason = found.explain(row)
    name, share = reason.ranked(0)[0]
    assert name == "height" and share > 0.95
    assert found.feature_names_in_.tolist() == ["width", "height", "weight"]


# ---- what cannot be used


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"contamination": 0.7}, "contamination=0.7"),
        ({"contamination": "all"}, "contamination='all'"),
        ({"alpha": 0.0}, "alpha=0.0"),
        ({"alpha": 0.1, "contamination": 0.1}, "both draw the line"),
        ({"calibration": 1.0}, "calibration=1.0"),
        ({"alpha": 0.001}, "999 rows held out"),
        ({"smallest": 1.0}, "smallest=1.0"),
        ({"calibration": 0.001}, "leaves none"),
    ],
)
def test_lines_that_cannot_be_drawn(options, said, groups):
    with pytest.raises(InputError, match=said):
        MixtureOutlierDetector(1, covariance_type="diag", **options).fit(groups)


# ---- the figure


def test_the_figure_shows_calibration_and_its_band(groups):
    pytest.importorskip("matplotlib")
    from mixtura.plot import PValueDisplay

    found = MixtureOutlierDetector(2, covariance_type="full", alpha=0.1, random_state=0).fit(groups)
    truth = GaussianMixture(2, random_state=0).fit(groups).mixture_
    rows = np.concatenate([truth.sample(300, 1), np.random.default_rng(0).uniform(-9, 16, (30, 3))])
    odd = np.arange(330) >= 300
    display = PValueDisplay.from_estimator(found, rows, outliers=odd)
    assert display.outside_ < 0.3
    assert "300 typical rows and 30 outliers, beside 90 held out" in display.ax_.texts[0].get_text()
    # The band by simulation: 90 rows held out and 300 tested, all alike.
    rng = np.random.default_rng(0)
    place = int(np.argmin(abs(display.band_[:, 0] - 0.2)))
    alpha, low, high = display.band_[place]
    shares = [
        np.mean(Conformal.of(rng.random(90)).p_values(rng.random(300)) <= alpha + 1e-12)
        for _ in range(3000)
    ]
    np.testing.assert_allclose([low, high], np.quantile(shares, [0.025, 0.975]), atol=0.012)
    wrong = PValueDisplay(np.random.default_rng(0).random(300) ** 3, 90).plot(most=0.5)
    assert wrong.outside_ > 0.9
    with pytest.raises(InputError, match="one bool a row"):
        PValueDisplay([0.1, 0.2], 9, [True])


def test_held_out_rows_that_weigh_nothing():
    """A split or fold may take all rows that count; that once ended in an index out of bounds."""
    X = np.random.default_rng(0).normal(size=(60, 2))
    weights = np.r_[1.0, np.zeros(59)]
    with pytest.raises(InputError, match="none of the rows to be fitted has a weight"):
        MixtureOutlierDetector(1, alpha=0.1, random_state=0).fit(X, sample_weight=weights)
