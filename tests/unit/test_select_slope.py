"""The slope heuristic, and cross-validation with its errors."""

import numpy as np
import pytest

from mixtura import select
from mixtura._errors import InputError
from mixtura.fit.held_out import total_error
from mixtura.fit.slope import estimated
from mixtura.source.shuffle import shuffled

pytestmark = pytest.mark.filterwarnings("ignore::mixtura.MixturaWarning")


def curve(truth=6, slope=0.7, sizes=30, noise=0.0, seed=0):
    """Log-likelihoods that rise steeply up to the truth and then by a slope."""
    D = np.arange(1.0, sizes + 1)
    steps = np.random.default_rng(seed).exponential(1.0, sizes) if noise else np.ones(sizes)
    return D, slope * np.cumsum(steps) - 30.0 * np.maximum(truth - D, 0.0)


def blobs(k, d=2, n=80, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(8.0 * c, 1, (n, d)) for c in range(k)])


# ---- the slope


@pytest.mark.parametrize("truth", [2, 6, 12])
@pytest.mark.parametrize("slope", [0.2, 0.7, 3.0])
def test_a_clean_slope_is_found_and_the_truth_chosen(truth, slope):
    D, L = curve(truth, slope)
    found = estimated(D, L)
    assert found.kappa == pytest.approx(slope, rel=1e-10)
    assert found.sizes[found.chosen(found.kappa)] == truth
    # The dimension falls from the largest to the truth exactly at the slope.
    assert found.jump == pytest.approx(slope, rel=1e-10)


def test_a_noisy_slope_chooses_the_truth():
    """Gains of each further parameter exponential with mean 0.7, a sum of squares' tail."""
    chosen = []
    for seed in range(20):
        found = estimated(*curve(noise=1.0, seed=seed))
        assert 0.3 < found.kappa < 1.3
        chosen.append(found.sizes[found.chosen(found.kappa)])
    assert min(chosen) == 6.0 and np.median(chosen) <= 7.0


def test_failed_climbs_do_not_bend_the_slope():
    D, L = curve()
    L[[14, 21, 26]] -= 25.0
    assert estimated(D, L).kappa == pytest.approx(0.7, rel=0.15)


def test_several_models_of_a_size_count_by_the_best():
    D, L = curve()
    found = estimated(np.tile(D, 2), np.concatenate([L, L - 7.0]))
    np.testing.assert_array_equal(found.likelihood, L)


def test_select_by_slope():
    found = select(blobs(3), range(1, 13), "spherical", criterion="slope")
    assert found.best.n_components == 3
    kappa = (found.best.score + 2 * found.best.log_likelihood) / (4 * found.best.n_parameters)
    for c in found.candidates:
        if c.sound:
            by_hand = -2 * c.log_likelihood + 4 * kappa * c.n_parameters
            assert c.score == pytest.approx(by_hand, rel=1e-12)
    text = found.verdict()
    assert "nats a parameter" in text and "dimension jump" in text


def test_too_few_sizes_are_refused_before_the_work():
    calls = []
    with pytest.raises(InputError, match="10 sizes and has 4"):
        select(
            blobs(2), range(1, 5), "full", criterion="slope", progress=lambda *at: calls.append(at)
        )
    assert calls == []


# ---- cross-validation


@pytest.fixture(scope="module")
def held(faithful):
    return select(faithful, [1, 2, 3], ["full", "tied"], criterion="cv")


def test_the_score_is_the_total_and_its_errors_are_over_rows(held):
    for c in held.candidates:
        assert c.score == pytest.approx(-2 * c.cv * 272, rel=1e-12)
        assert 0 < c.cv_error < 0.2
    assert held.best.score_error == 0.0
    # Paired: one model's rows against the other's, which vary together.
    rival = held.ranked()[1]
    assert rival.score_error < 2 * 272 * np.hypot(rival.cv_error, held.best.cv_error)


def test_errors_are_those_of_a_sum(faithful):
    """Against n Var(mean) of the paired differences, from densities held out by hand."""
    from mixtura import GaussianMixture

    n, folds = 272, 5
    fold = shuffled(np.arange(n), n, 0) % folds
    values = {}
    for name in ("full", "tied"):
        values[name] = np.empty(n)
        for part in range(folds):
            inside = fold == part
            model = GaussianMixture(2, covariance_type=name, random_state=1).fit(faithful[~inside])
            values[name][inside] = model.score_samples(faithful[inside])
    found = select(faithful, [2], ["full", "tied"], criterion="cv", random_state=0)
    by_name = {c.covariance_type: c for c in found.candidates}
    for name, c in by_name.items():
        assert c.cv == pytest.approx(values[name].mean(), rel=1e-5)
        assert c.cv_error == pytest.approx(values[name].std(ddof=1) / np.sqrt(n), rel=1e-4)
    apart = values["full"] - values["tied"]
    behind = max(c.score_error for c in found.candidates)
    assert behind == pytest.approx(2 * np.sqrt(n) * apart.std(ddof=1), rel=1e-3)


def test_a_weight_counts_as_repetitions_in_errors():
    values, w = np.array([1.0, 2.0, 4.0, 9.0, 3.0]), np.array([1.0, 3.0, 2.0, 1.0, 2.0])
    long = np.repeat(values, w.astype(int))
    by_hand = np.sqrt(len(long)) * long.std()
    ours = total_error(w * values, w, 5) * np.sqrt(4 / 5)  # n - 1 of n, by rows
    assert ours == pytest.approx(by_hand, rel=1e-12)
    assert np.isnan(total_error(np.ones(1), np.ones(1), 1))


def test_folds(faithful):
    one, other = (
        select(faithful, [2], "tied", criterion="cv", folds=folds).best for folds in (2, 10)
    )
    assert one.cv != other.cv
    for wrong in (1, 0, 2.5, True):
        with pytest.raises(InputError, match="folds"):
            select(faithful, [2], "tied", criterion="cv", folds=wrong)


def test_the_one_error_rule_is_told(faithful):
    text = select(faithful, [1, 2, 3, 4], "full", criterion="cv").verdict()
    assert "within one standard error" in text and "standard errors" in text


def test_the_table_of_cross_validation(held):
    table = held.table()
    assert {"cv", "cv_error", "delta_error"} <= set(table)
    assert table["delta_error"][0] == 0.0


def test_trimmed_rows_are_not_held_against_a_model():
    """An outlier as far as it likes: what is trimmed does not count when held out."""
    X = np.concatenate([blobs(2), [[1e4, -1e4], [3e4, 1e4]]])
    found = select(X, [1, 2], "full", criterion="cv", trim=0.05)
    assert found.best.n_components == 2 and found.best.cv > -10.0
