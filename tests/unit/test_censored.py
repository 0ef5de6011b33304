"""Cells known to lie within limits: the likelihood, the E-step, and what composes with them."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, norm

from mixtura import GaussianMixture, InputError, Mixture, bootstrap, select, standard_errors
from mixtura.block import Block
from mixtura.covariance import FAMILIES
from mixtura.expectation import expectation

INF = np.inf
TRUE = Mixture(
    [0.4, 0.6],
    [[0.0, 0.0, 0.0], [3.0, 2.0, 1.0]],
    [[[1, 0.5, 0.2], [0.5, 1, -0.3], [0.2, -0.3, 0.8]],
     [[1, -0.4, 0], [-0.4, 1.5, 0.3], [0, 0.3, 1]]],
)  # fmt: skip


def detected(n, limits=(0.0, -INF, -INF), seed=0):
    """Rows of which values below the limits are NaN, and these limits."""
    rows = TRUE.sample(n, seed)
    return np.where(rows < np.array(limits), np.nan, rows), np.array(limits)


def brute(mixture, row, low, high):
    """Sums of one row over the components by Gauss points over its hidden cells, up to two."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    gaps = np.flatnonzero(np.isnan(row))
    grids, mass = np.meshgrid(*[nodes] * len(gaps)), np.ones(len(nodes) ** len(gaps))
    points = np.tile(row, (len(mass), 1))
    for j, grid, share in zip(gaps, grids, np.meshgrid(*[weights] * len(gaps)), strict=True):
        a, b = max(low[j], -9.0), min(high[j], 12.0)
        points[:, j] = a + (b - a) * (grid.ravel() + 1) / 2
        mass = mass * share.ravel() * (b - a) / 2
    joint = [
        pi * mass * multivariate_normal(mu, cov).pdf(points)
        for pi, mu, cov in zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
    ]
    total = sum(one.sum() for one in joint)
    return np.log(total), [
        (one.sum() / total, one @ points / total, points.T @ (points * one[:, None]) / total)
        for one in joint
    ]


def test_one_step_by_brute_force():
    rows = np.array(
        [[np.nan, 0.5, 1.0], [np.nan, np.nan, 0.3], [2.0, np.nan, np.nan], [1.0, 0.0, 0.5],
         [np.nan, 1.5, np.nan]]
    )  # fmt: skip
    low = np.full(rows.shape, -INF)
    high = np.full(rows.shape, INF)
    low[0, 0], high[0, 0] = 0.2, 0.9
    high[1, :2] = 0.0
    low[2, 1] = 1.0  # the last column of this row is missing altogether
    high[4, [0, 2]] = [-1.0, 0.5]
    weights = np.array([1.0, 2.0, 0.5, 1.0, 3.0])
    block = Block(rows, weights, limits=(low, high))
    data = expectation(TRUE, block, moments=FAMILIES["full"].moments).about(np.zeros((2, 3)))
    value, counts, first, second = 0.0, np.zeros(2), np.zeros((2, 3)), np.zeros((2, 3, 3))
    for row, a, b, weight in zip(rows, low, high, weights, strict=True):
        logs, sums = brute(TRUE, row, a, b)
        value += weight * logs
        for k, (n, s, t) in enumerate(sums):
            counts[k] += weight * n
            first[k] += weight * s
            second[k] += weight * t
    # the brute force cuts at 9 deviations; 200 points are exact there to 1e-10
    assert data.log_likelihood == pytest.approx(value, abs=1e-8)
    np.testing.assert_allclose(data.counts, counts, atol=1e-8)
    np.testing.assert_allclose(data.first, first, atol=1e-8)
    np.testing.assert_allclose(data.second, second, atol=1e-8)


def test_detection_limit_in_one_column_is_the_maximum_of_the_likelihood():
    rng = np.random.default_rng(3)
    x = rng.normal(1.0, 2.0, 600)
    low = np.full(600, -INF)
    high = np.where(rng.random(600) < 0.5, 0.0, -1.0)  # two instruments
    cut = x < high
    ends = (x > 3.0) & (x < 4.5)  # and one that tells the interval alone
    low[ends], high[ends] = 3.0, 4.5
    hidden = cut | ends
    rows = np.where(hidden, np.nan, x)[:, None]

    def loss(at):
        mu, sigma = at[0], np.exp(at[1])
        seen = norm.logpdf(x[~hidden], mu, sigma).sum()
        a, b = (low[hidden] - mu) / sigma, (high[hidden] - mu) / sigma
        return -(seen + np.log(norm.cdf(b) - norm.cdf(a)).sum()) / 600

    best = minimize(loss, [1.0, 0.7], method="BFGS", options={"gtol": 1e-9})
    model = GaussianMixture(1, tol=1e-12).fit(rows, lower=low[:, None], upper=high[:, None])
    assert model.n_censored_ == hidden.sum() > 150
    assert model.lower_bound_ == pytest.approx(-best.fun, abs=1e-9)
    assert model.means_[0, 0] == pytest.approx(best.x[0], abs=1e-4)
    assert np.sqrt(model.covariances_[0, 0, 0]) == pytest.approx(np.exp(best.x[1]), abs=1e-4)
    value = model.score(rows, lower=low[:, None], upper=high[:, None])
    assert value == pytest.approx(-best.fun, abs=1e-9)


def likelihood(mixture, rows, limit):
    """``Σ log P`` of rows whose missing cells lie below a limit, by SciPy."""
    total = 0.0
    for row in rows:
        seen, hidden = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
        density = 0.0
        for pi, mu, cov in zip(mixture.weights, mixture.means, mixture.covariances, strict=True):
            part, middle, spread = pi, mu[hidden], cov[np.ix_(hidden, hidden)]
            if len(seen):
                own = cov[np.ix_(seen, seen)]
                part *= multivariate_normal(mu[seen], own).pdf(row[seen])
                slope = np.linalg.solve(own, cov[np.ix_(seen, hidden)]).T
                middle = middle + slope @ (row[seen] - mu[seen])
                spread = spread - slope @ cov[np.ix_(seen, hidden)]
            if len(hidden):
                part *= multivariate_normal(middle, spread).cdf(limit[hidden])
            density += part
        total += np.log(density)
    return total


@pytest.fixture(scope="module")
def limited():
    """Two components, up to two cells of a row below their limits."""
    rows, limits = detected(300, (0.0, 0.5, -INF))
    return rows, np.where(np.isfinite(limits), limits, INF)


@pytest.mark.parametrize("family", ["full", "diag", "VEI"])
def test_two_components_climb_to_a_maximum(limited, family):
    rows, upper = limited
    model = GaussianMixture(2, covariance_type=family, tol=1e-9, random_state=0)
    model.fit(rows, upper=upper)
    found = model.mixture_
    here = likelihood(found, rows, upper)
    assert model.lower_bound_ * len(rows) == pytest.approx(here, abs=1e-3)  # SciPy's cdf: 1e-5 each
    assert (np.diff(model.trace_) > -1e-12).all()
    assert model.validate(rows, upper=upper)["the gradient vanishes"].figure < 1e-3
    gap = model.bic(rows, upper=upper) - model.aic(rows, upper=upper)
    p = gap / (np.log(len(rows)) - 2)  # the number of parameters, whole
    assert p == pytest.approx(round(p), abs=1e-6)
    assert model.aic(rows, upper=upper) == pytest.approx(-2 * here + 2 * p, abs=2e-3)


def test_truth_is_recovered_where_plain_gaps_are_not():
    rows, limits = detected(2000, (0.0, 0.5, -INF))
    upper = np.where(np.isfinite(limits), limits, INF)
    model = GaussianMixture(2, random_state=0).fit(rows, upper=upper)
    np.testing.assert_allclose(model.means_, TRUE.means, atol=0.2)  # three standard errors
    np.testing.assert_allclose(model.weights_, TRUE.weights, atol=0.04)
    careless = GaussianMixture(2, random_state=0).fit(rows)
    assert np.abs(careless.means_ - TRUE.means).max() > 0.3


def same(one, two, tol):
    np.testing.assert_allclose(one.weights_, two.weights_, atol=tol)
    np.testing.assert_allclose(one.means_, two.means_, atol=tol)
    np.testing.assert_allclose(one.covariances_, two.covariances_, atol=tol)


def test_no_limits_are_missing_values_and_equal_limits_are_observed():
    rows, _ = detected(300)
    model = GaussianMixture(2, random_state=0)
    plain = GaussianMixture(2, random_state=0).fit(rows)
    same(model.fit(rows, lower=-INF, upper=INF), plain, 1e-10)
    assert model.n_censored_ == 0
    whole = TRUE.sample(300, 0)
    known = GaussianMixture(2, random_state=0).fit(whole)
    same(GaussianMixture(2, random_state=0).fit(rows, lower=whole, upper=whole), known, 1e-12)
    # an interval that shrinks to a point: its middle is off by the square of its width
    near = model.set_params(tol=1e-10).fit(rows, lower=whole - 1e-4, upper=whole + 1e-4)
    same(near, GaussianMixture(2, random_state=0, tol=1e-10).fit(whole), 2e-4)


@pytest.mark.parametrize("width", [1e-300, 1e-17, 1e-12, 1e-8, 1e-4])
@pytest.mark.parametrize("hidden", [[0], [0, 2]])
def test_narrow_intervals_are_as_probable_as_their_density_says(width, hidden):
    """To second order in the width, also where rounding would eat it; the ends need not differ."""
    row, model = np.array([[0.3, 0.5, 1.0]]), GaussianMixture.from_mixture(TRUE)
    gaps, low, high = row.copy(), np.full((1, 3), -INF), np.full((1, 3), INF)
    row[0, 0] = 0.0 if width < 1e-16 else 0.3  # a float has room for such widths about zero alone
    gaps[0, hidden], low[0, hidden], high[0, hidden] = np.nan, row[0, hidden], row[0, hidden]
    low[0, 0], high[0, 0] = row[0, 0] - width / 2, row[0, 0] + width / 2
    wanted = model.score_samples(row) + np.log(high[0, 0] - low[0, 0])
    found = model.score_samples(gaps, lower=low, upper=high)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    filled = model.impute(gaps, lower=low, upper=high)
    np.testing.assert_allclose(filled, row, atol=1e-4)
    shares = model.predict_proba(gaps, lower=low, upper=high)
    np.testing.assert_allclose(shares, model.predict_proba(row), atol=1e-6)


def test_a_fit_to_cells_between_neighbouring_numbers():
    rows, _ = detected(200)
    gaps = np.isnan(rows)
    low = np.where(gaps, 0.1, -INF)
    told = {"lower": low, "upper": np.where(gaps, np.nextafter(0.1, 1.0), INF)}
    model = GaussianMixture(2, random_state=0).fit(rows, **told)
    exact = GaussianMixture(2, random_state=0).fit(np.where(gaps, 0.1, rows))
    np.testing.assert_allclose(model.means_, exact.means_, atol=1e-3)


def test_limits_whose_squares_are_no_numbers_are_none():
    rows, _ = detected(200)
    found, wanted = (
        GaussianMixture(2, random_state=0, tol=1e-10).fit(rows, lower=-end, upper=end)
        for end in (1e308, INF)
    )
    np.testing.assert_allclose(found.means_, wanted.means_, atol=1e-4)
    whole, box = TRUE.sample(200, 0), (-1e308, 1e300)
    boxed = GaussianMixture(2, truncation=box, random_state=0, tol=1e-10).fit(whole)
    plain = GaussianMixture(2, random_state=0, tol=1e-10).fit(whole)
    np.testing.assert_allclose(boxed.means_, plain.means_, atol=2e-3)  # the error of its points


def test_units_do_not_matter(limited):
    rows, upper = limited
    scale, shift = np.array([1e-6, 1e4, 1.0]), np.array([5.0, -1e5, 1e3])
    rows = rows[:120]
    here = GaussianMixture(2, random_state=0, tol=1e-10).fit(rows, upper=upper)
    moved = upper * scale + shift
    there = GaussianMixture(2, random_state=0, tol=1e-10).fit(rows * scale + shift, upper=moved)
    np.testing.assert_allclose((there.means_ - shift) / scale, here.means_, atol=1e-4)
    np.testing.assert_allclose(there.weights_, here.weights_, atol=1e-5)


def test_weights_repeat_rows_and_zero_leaves_them_out(limited):
    rows, upper = limited[0][:200], limited[1]
    weights = np.arange(200) % 3
    options = {"random_state": 0, "tol": 1e-11, "means_init": TRUE.means}
    spelled = GaussianMixture(2, **options).fit(np.repeat(rows, weights, axis=0), upper=upper)
    short = GaussianMixture(2, **options).fit(rows, upper=upper, sample_weight=weights)
    same(short, spelled, 1e-5)
    limits = np.where(np.isnan(rows), upper, INF)
    limits[weights == 0] = -50.0  # what is said of rows that do not count does not count
    again = GaussianMixture(2, **options).fit(rows, upper=limits, sample_weight=weights)
    same(again, short, 1e-12)


def test_labels_priors_and_hard_assignment_compose(limited):
    rows, upper = limited[0][:150], limited[1]
    labels = np.full(len(rows), -1)
    labels[:50] = TRUE.predict(TRUE.sample(300, 0)[:50])
    known = GaussianMixture(2, random_state=0).fit(rows, upper=upper, labels=labels)
    np.testing.assert_allclose(known.means_, TRUE.means, atol=0.7)
    pulled = GaussianMixture(2, prior="fraley-raftery", random_state=0).fit(rows, upper=upper)
    assert (np.diff(pulled.trace_) > -1e-12).all()
    hard = GaussianMixture(2, assignment="hard", random_state=0).fit(rows, upper=upper)
    assert (np.diff(hard.trace_) > -1e-12).all()


def test_rows_are_scored_labelled_and_filled_by_their_limits(limited):
    rows, upper = limited
    model = GaussianMixture(2, random_state=0)
    labels = model.fit_predict(rows, upper=upper)
    assert np.array_equal(labels, model.predict(rows, upper=upper))
    proba = model.predict_proba(rows, upper=upper)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-12)
    assert np.array_equal(proba.argmax(axis=1), labels)
    assert model.score(rows, upper=upper) == pytest.approx(model.lower_bound_, abs=1e-10)
    filled = model.impute(rows, upper=upper)
    gaps = np.isnan(rows)
    assert (filled[gaps] < np.broadcast_to(upper, rows.shape)[gaps]).all()
    assert np.array_equal(filled[~gaps], rows[~gaps])
    draws = model.mixture_.sample(200_000, 1)
    below = draws[draws[:, 0] < 0.0]
    lone = model.impute([[np.nan, np.nan, np.nan]], upper=[0.0, INF, INF])[0]
    np.testing.assert_allclose(lone, below.mean(axis=0), atol=0.03)  # of some 70 000 draws


def test_a_grid_and_held_out_folds_know_of_limits(limited):
    rows, upper = limited
    grid = GaussianMixture([1, 2], covariance_type=["full", "diag"], random_state=0)
    grid.fit(rows[:120], upper=upper)
    best = grid.selection_.best
    assert grid.bic(rows[:120], upper=upper) == pytest.approx(best.bic, abs=1e-6)
    chosen = select(rows[:120], [1, 2], "diag", criterion="cv", folds=2, upper=upper)
    assert chosen.best.n_components == 2


def test_three_cells_of_a_row_are_summed_over_fixed_points():
    rows, limits = detected(60, (0.0, 0.0, 0.0), seed=4)
    options = {"random_state": 0, "means_init": TRUE.means, "max_iter": 15, "tol": 0}
    one = GaussianMixture(2, **options).fit(rows, upper=limits)
    two = GaussianMixture(2, **options).fit(rows, upper=limits)
    assert np.array_equal(one.means_, two.means_)
    assert (np.isnan(rows).all(axis=1)).any()
    assert (np.diff(one.trace_) > -1e-4).all()  # the points' error, not rounding


def test_what_does_not_compose_is_refused(limited):
    rows, upper = limited
    for options in ({"distribution": "t"}, {"noise": True}, {"trim": 0.1}):
        with pytest.raises(InputError, match="leave out"):
            GaussianMixture(2, **options).fit(rows, upper=upper)
    with pytest.raises(InputError, match="low-rank"):
        GaussianMixture(2, covariance_type="factor:1").fit(rows, upper=upper)
    with pytest.raises(InputError, match="row 0, column 0: lower 1 is above upper 0"):
        GaussianMixture(2).fit(rows, lower=1.0, upper=0.0)
    with pytest.raises(InputError, match="upper has shape"):
        GaussianMixture(2).fit(rows, upper=[0.0, 1.0])
    with pytest.raises(InputError, match="lower holds inf"):
        GaussianMixture(2).fit(rows, lower=INF)
    model = GaussianMixture(2, random_state=0).fit(rows, upper=upper)
    for inference in (bootstrap, standard_errors):
        with pytest.raises(InputError, match="cells within limits"):
            inference(model, rows)
