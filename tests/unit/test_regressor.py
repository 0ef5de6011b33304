"""The regressor: predictions beside SciPy's densities."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score

from mixtura import GaussianMixture, MixtureOfLinearExperts, MixtureRegressor, Mixtures
from mixtura._errors import InputError, InputTypeError


@pytest.fixture(scope="module")
def fork():
    """A fork: two branches for x > 0, and a second outcome that is straight."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    branch = np.where(rng.random(400) < 0.7, 1.0, -1.0)
    first = branch * (2 + x[:, 0]) + 0.3 * rng.normal(size=400)
    second = x @ [1.0, -1.0] + 0.5 * rng.normal(size=400)
    return x, np.column_stack([first, second])


@pytest.fixture(scope="module")
def fitted(fork):
    return MixtureRegressor(2, random_state=0).fit(*fork)


def joint_density(mixture, rows):
    """(n,) by SciPy, of what is observed in all rows alike."""
    rows = np.atleast_2d(rows)
    seen = ~np.isnan(rows[0])
    parts = zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
    return sum(
        w * stats.multivariate_normal(m[seen], c[np.ix_(seen, seen)]).pdf(rows[:, seen])
        for w, m, c in parts
    )


# ---- predictions beside a second implementation


@pytest.mark.parametrize("row", [[0.5, -1.0], [np.nan, 0.3]])
def test_mean_and_deviation_by_quadrature(row, fitted):
    """``∫ y p(x, y) dy / p(x)`` by the trapezoidal rule: exact to rounding for Gaussians."""
    means, deviations = fitted.predict([row], return_std=True)
    y = np.linspace(-25, 25, 4001)
    for output in range(2):
        whole = np.tile([*row, np.nan, np.nan], (len(y), 1))
        whole[:, 2 + output] = y
        density = joint_density(fitted.mixture_, whole) * (y[1] - y[0])
        assert density.sum() == pytest.approx(np.exp(fitted.score_samples([row])[0]), rel=1e-10)
        mean = density @ y / density.sum()
        assert means[0, output] == pytest.approx(mean, abs=1e-10)
        spread = density @ (y - mean) ** 2 / density.sum()
        assert deviations[0, output] == pytest.approx(np.sqrt(spread), abs=1e-10)


def test_log_score_is_the_ratio_of_densities(fork, fitted):
    X, y = fork[0][:5].copy(), fork[1][:5].copy()
    X[1, 0], y[2, 1] = np.nan, np.nan
    expected = [
        np.log(joint_density(fitted.mixture_, np.append(a, b)))
        - np.log(joint_density(fitted.mixture_, np.append(a, [np.nan, np.nan])))
        for a, b in zip(X, y, strict=True)
    ]
    np.testing.assert_allclose(fitted.log_score(X, y, average=False), expected, atol=1e-11)
    weights = np.arange(5.0)
    assert fitted.log_score(X, y, sample_weight=weights) == pytest.approx(
        np.average(expected, weights=weights), abs=1e-11
    )
    inputs = [joint_density(fitted.mixture_, np.append(a, [np.nan, np.nan])) for a in X]
    np.testing.assert_allclose(fitted.score_samples(X), np.log(np.ravel(inputs)), atol=1e-11)


def test_one_component_is_least_squares(fork):
    X, y = fork
    ours, theirs = MixtureRegressor(1).fit(X, y), LinearRegression().fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-12)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-12)
    _, cov = ours.predict(X[:2], return_cov=True)
    left = y - theirs.predict(X)
    np.testing.assert_allclose(cov[0], left.T @ left / 400, rtol=1e-10)


def test_quantiles_and_intervals(fork, fitted):
    X = fork[0][:4]
    found = fitted.predict_quantile(X, [0.05, 0.5, 0.95])
    assert found.shape == (4, 2, 3)
    for row in range(4):
        given = fitted.mixture_.condition({0: X[row, 0], 1: X[row, 1]})
        for output in range(2):
            one = given.marginal(output)
            np.testing.assert_allclose(one.cdf(found[row, output]), [0.05, 0.5, 0.95], atol=1e-12)
    np.testing.assert_array_equal(fitted.predict_interval(X, 0.9), found[:, :, [0, 2]])
    np.testing.assert_array_equal(fitted.predict_quantile(X), found[:, :, 1])


def test_points(fork):
    """The mode of a fork is on the likelier branch, where the mean is between them."""
    X, y = fork[0], fork[1][:, 0]
    at = [[1.0, 0.0]]
    guesses = {
        kind: MixtureRegressor(2, point=kind, random_state=0).fit(X, y)
        for kind in ("mean", "median", "mode")
    }
    assert guesses["mode"].predict(at)[0] == pytest.approx(3.0, abs=0.2)
    assert abs(guesses["mean"].predict(at)[0] - 0.4 * 3.0) < 0.4
    assert guesses["median"].predict(at) == guesses["mean"].predict_quantile(at)
    found = guesses["mean"].predict_modes(at)
    assert found.counts.tolist() == [2]
    np.testing.assert_allclose(found.points[0, :, 0], [3.0, -3.0], atol=0.2)
    np.testing.assert_allclose(found.weights[0], [0.7, 0.3], atol=0.08)
    region = guesses["mean"].predict_region(at, 0.9)
    assert region.shape == (1, 2, 2) and region[0, 0, 1] < 0 < region[0, 1, 0]
    assert np.diff(guesses["mean"].predict_interval(at, 0.9)) > np.diff(region[0]).sum()


def test_draws(fork, fitted):
    """Each outcome by Kolmogorov-Smirnov against its conditional."""
    drawn = fitted.sample(fork[0][:2], 4000, random_state=0)
    assert drawn.shape == (2, 4000, 2)
    given = fitted.predict_dist(fork[0][:2])
    for output in range(2):
        one = given[1].marginal(output)
        assert stats.kstest(one.cdf(drawn[1, :, output]), "uniform").pvalue > 0.005
    again = fitted.sample(fork[0][:2], 4000, random_state=0)
    np.testing.assert_array_equal(again, drawn)
    flat = MixtureRegressor(1, random_state=0).fit(fork[0], fork[1][:, 0])
    assert flat.sample(fork[0][:3], 5).shape == (3, 5)


# ---- fitting


def test_the_fit_is_that_of_the_joint(fork):
    """With gaps in X and in y, weights and a prior."""
    X, y = fork[0].copy(), fork[1].copy()
    X[::5, 1], y[::7, 0], y[3] = np.nan, np.nan, np.nan
    weights = np.random.default_rng(0).uniform(0.5, 2.0, 400)
    options = {"prior": "fraley-raftery", "tol": 1e-3, "random_state": 0}
    ours = MixtureRegressor(2, **options).fit(X, y, sample_weight=weights)
    joint = GaussianMixture(2, **options)
    joint.fit(np.column_stack([X, y]), sample_weight=weights)
    assert ours.mixture_ == joint.mixture_


def test_units_do_not_matter(fork):
    """Powers of two cost no rounding."""
    X, y, unit = fork[0], fork[1][:, 0], 2.0**27
    one = MixtureRegressor(2, random_state=0).fit(X, y)
    other = MixtureRegressor(2, random_state=0).fit(unit * X, y / unit)
    np.testing.assert_allclose(unit * other.predict(unit * X), one.predict(X), rtol=1e-12)


@pytest.mark.filterwarnings("ignore::mixtura.DegenerateWarning")
def test_more_inputs_than_rows():
    """Slopes are those of least length (NumPy's pseudo-inverse), not what the floor makes up."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(8, 20)), rng.normal(size=8)
    slopes = np.linalg.pinv(X - X.mean(axis=0)) @ (y - y.mean())
    scales = np.exp2(1 - np.frexp(X.std(axis=0))[1])  # least in the coordinates of the fit
    slopes = scales * (np.linalg.pinv((X - X.mean(axis=0)) * scales) @ (y - y.mean()))
    new = rng.normal(size=(5, 20))
    expected = y.mean() + (new - X.mean(axis=0)) @ slopes
    np.testing.assert_allclose(MixtureRegressor(1).fit(X, y).predict(new), expected, atol=1e-6)


@pytest.mark.parametrize("kind", [MixtureRegressor, MixtureOfLinearExperts])
@pytest.mark.parametrize("far", [1e155, 1e200, 1e300])
def test_rows_whose_squares_are_no_numbers(kind, far, fork):
    """On the line of one component, far beyond which everything else is rounding."""
    X, y = fork[0][:, :1], fork[1][:, 0]
    model = kind(2, random_state=0).fit(X, y)
    at = model.predict([[far]])
    np.testing.assert_allclose(model.predict_interval([[far]]), [[at[0], at[0]]], rtol=1e-12)
    np.testing.assert_allclose(model.predict_quantile([[far]], 0.3).ravel(), at, rtol=1e-12)
    assert np.isfinite(model.predict_modes([[far]]).points).all()
    assert -np.inf < model.log_score([[far]], -3.0 * at) < -1e250


def test_rows_of_which_nothing_follows_are_refused():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2))
    model = MixtureRegressor(1).fit(X, 3.0 * X[:, 0] + 2.0 * X[:, 1] + rng.normal(size=50))
    with pytest.raises(InputError, match=r"1\.7e\+308, too far off"):
        model.predict([[1.7e308, -1.7e308]])


def test_the_number_of_components_is_chosen(fork):
    found = MixtureRegressor([1, 2], random_state=0).fit(fork[0], fork[1][:, 0])
    assert found.n_components_ == 2
    assert cross_val_score(MixtureRegressor(1), fork[0], fork[1][:, 1], cv=3).min() > 0.8


# ---- tables, names, refusals


def test_shapes_follow_y(fork):
    X, y = fork
    flat = MixtureRegressor(1).fit(X, y[:, 0])
    column = MixtureRegressor(1).fit(X, y[:, :1])
    assert flat.predict(X).shape == (400,) and column.predict(X).shape == (400, 1)
    assert flat.predict_interval(X).shape == (400, 2)
    assert column.predict_interval(X).shape == (400, 1, 2)
    assert flat.predict_quantile(X, [0.1, 0.9]).shape == (400, 2)
    assert isinstance(flat.predict_dist(X), Mixtures)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames(library, fork):
    frames = pytest.importorskip(library)
    X = frames.DataFrame(dict(zip("ab", fork[0].T, strict=True)))
    y = frames.DataFrame({"up": fork[1][:, 0], "b2": fork[1][:, 1]})
    found = MixtureRegressor(1).fit(X, y)
    assert found.feature_names_in_.tolist() == ["a", "b"] and found.n_features_in_ == 2
    assert found.mixture_.feature_names == ("a", "b", "up", "b2")
    np.testing.assert_allclose(found.predict(X), MixtureRegressor(1).fit(*fork).predict(fork[0]))
    single = MixtureRegressor(1).fit(X, y["up"])
    assert single.mixture_.feature_names == ("a", "b", "up") and single.predict(X).ndim == 1
    with pytest.raises(InputError, match="in X and in y"):
        MixtureRegressor(1).fit(X, X["a"])


def test_what_cannot_be_used(fork):
    X, y = fork
    with pytest.raises(InputError, match="point='peak'"):
        MixtureRegressor(1, point="peak").fit(X, y)
    with pytest.raises(InputError, match="infinity, first in row 2"):
        MixtureRegressor(1).fit(X, np.where(np.arange(400) == 2, np.inf, y[:, 0]))
    with pytest.raises(InputError, match="inconsistent"):
        MixtureRegressor(1).fit(X, y[:-1])
    with pytest.raises(InputTypeError):
        MixtureRegressor(1).fit(X, np.array([object()] * 400))
    fitted = MixtureRegressor(1).fit(X, y)
    with pytest.raises(InputError, match="ask for one"):
        fitted.predict(X, return_std=True, return_cov=True)
    with pytest.raises(InputError, match="coverage"):
        fitted.predict_interval(X, 90)
    with pytest.raises(InputError, match="one feature"):
        fitted.predict_region(X)


# ---- the fan


def test_bands_hold_their_share_of_the_rows(fork):
    """Also those of one input of two: the other is averaged over. Four standard errors."""
    pytest.importorskip("matplotlib")
    from mixtura.plot import FanDisplay

    model = MixtureRegressor(2, random_state=0).fit(*fork)
    display = FanDisplay.from_estimator(
        model, *fork, feature=1, output=1, coverage=[0.5, 0.9], modes=True
    )
    x, y = fork[0][:, 1], fork[1][:, 1]
    for index, level in enumerate((0.5, 0.9)):
        low, high = (np.interp(x, display.x, display.bands_[:, index, end]) for end in (0, 1))
        held = np.mean((low <= y) & (y <= high))
        assert held == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 400))
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["50 %", "90 %", "mean", "mode", "rows"]


def test_regions_part_where_there_are_two_modes(fork):
    """The painted areas at a place are those of `predict_region`, to the fineness of the grid."""
    pytest.importorskip("matplotlib")
    from mixtura.plot import FanDisplay

    X, y = fork[0], fork[1][:, 0]
    model = MixtureRegressor(2, random_state=0).fit(X, y)
    display = FanDisplay.from_estimator(
        model, X, y, at={1: 0.0}, kind="highest", coverage=[0.8], mean=False
    )
    assert display.bands_ is None and "feature 1 = 0" in display.ax_.texts[0].get_text()
    place = display.x[np.abs(display.x - 1.0).argmin()]
    (region,) = model.predict_region([[place, 0.0]], 0.8)
    assert len(region) == 2
    grid = np.linspace(*display.ax_.get_ylim(), 801)
    area = display.ax_.collections[0].get_paths()[0]
    painted = area.contains_points(np.column_stack([np.full(801, place), grid]))
    inside = ((region[:, :1] <= grid) & (grid <= region[:, 1:])).any(axis=0)
    assert np.mean(painted != inside) < 0.02
    with pytest.raises(InputError, match="kind='wide'"):
        FanDisplay.from_estimator(model, kind="wide")
    with pytest.raises(InputError, match="is drawn"):
        FanDisplay.from_estimator(model, at={0: 1.0})
