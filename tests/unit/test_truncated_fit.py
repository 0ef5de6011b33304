"""Rows that never got into the data: the likelihood within a box, and what composes with it."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, truncnorm

from mixtura import (
    DegenerateWarning,
    GaussianMixture,
    InputError,
    Mixture,
    bootstrap,
    select,
    standard_errors,
)
from mixtura.covariance import FAMILIES
from mixtura.fit.truncation import Truncation

INF = np.inf
TRUE = Mixture(
    [0.4, 0.6], [[0.0, 0.0], [3.0, 2.0]], [[[1, 0.5], [0.5, 1]], [[1, -0.4], [-0.4, 1.5]]]
)
LOW, HIGH = np.array([0.0, -INF]), np.array([INF, 4.0])


def kept(n, seed=0):
    """Rows of the truth, of which those outside the box are gone."""
    rows = TRUE.sample(n, seed)
    return rows[((rows >= LOW) & (rows <= HIGH)).all(axis=1)]


@pytest.fixture(scope="module")
def rows():
    return kept(600)


@pytest.fixture(scope="module")
def model(rows):
    return GaussianMixture(2, truncation=(LOW, HIGH), tol=1e-9, random_state=0).fit(rows)


def share(mixture):
    """P(box), by SciPy's distribution function."""
    turned = [
        multivariate_normal(mu * [-1, 1], cov * [[1, -1], [-1, 1]]).cdf([0.0, 4.0])
        for mu, cov in zip(mixture.means, mixture.covariances, strict=True)
    ]
    return float(mixture.weights @ turned)


@pytest.mark.parametrize(("low", "high"), [(0.0, 4.0), (0.5, INF)])
def test_one_column_is_the_maximum_of_the_likelihood(low, high):
    x = np.random.default_rng(1).normal(1.0, 2.0, 3000)
    x = x[(x > low) & (x < high)]

    def loss(at):
        mu, sigma = at[0], np.exp(at[1])
        return -truncnorm.logpdf(x, (low - mu) / sigma, (high - mu) / sigma, mu, sigma).mean()

    best = minimize(loss, [1.0, 0.5], method="BFGS", options={"gtol": 1e-9})
    model = GaussianMixture(1, truncation=(low, high), tol=1e-13).fit(x[:, None])
    assert model.lower_bound_ == pytest.approx(-best.fun, abs=1e-10)
    assert model.means_[0, 0] == pytest.approx(best.x[0], abs=1e-4)
    assert np.sqrt(model.covariances_[0, 0, 0]) == pytest.approx(np.exp(best.x[1]), abs=1e-4)
    assert model.score(x[:, None]) == pytest.approx(-best.fun, abs=1e-10)


def test_unseen_rows_are_the_moments_outside():
    draws = TRUE.sample(400_000, 5)
    labels = TRUE.sample(400_000, 5, return_labels=True)[1]
    out = ((draws < LOW) | (draws > HIGH)).any(axis=1)
    data = Truncation(LOW, HIGH).unseen(TRUE, FAMILIES["full"].moments, 100.0)
    data = data.about(np.zeros((2, 2)))
    seen = 100.0 / (~out).sum()  # unseen rows for each that is drawn
    for k in range(2):
        mine = draws[out & (labels == k)]
        assert data.counts[k] == pytest.approx(seen * len(mine), rel=0.02)  # of 50 000 draws
        np.testing.assert_allclose(data.first[k], seen * mine.sum(axis=0), rtol=0.02, atol=0.5)
        np.testing.assert_allclose(data.second[k], seen * mine.T @ mine, rtol=0.02, atol=1.0)
    assert data.log_likelihood == pytest.approx(-100 * np.log(share(TRUE)), abs=1e-3)
    diagonal = Truncation(LOW, HIGH).unseen(TRUE, FAMILIES["diag"].moments, 100.0)
    whole = data.about(TRUE.location).second.diagonal(axis1=1, axis2=2)
    np.testing.assert_allclose(diagonal.second, whole, rtol=1e-10)


def test_two_components_climb_to_a_maximum(rows, model):
    whole = model.mixture_
    here = whole.logpdf(rows).mean() - np.log(share(whole))
    assert model.lower_bound_ == pytest.approx(here, abs=1e-5)  # SciPy's cdf is good to 1e-5
    assert (np.diff(model.trace_) > -1e-12).all()
    assert model.validate(rows)["the gradient vanishes"].figure < 1e-3
    # the truth is within reach of the likelihood, and the careless fit is not
    truth = TRUE.logpdf(rows).mean() - np.log(share(TRUE))
    assert 0.0 < (model.lower_bound_ - truth) * len(rows) < 12.0  # χ² of 11 parameters, halved
    careless = GaussianMixture(2, random_state=0).fit(rows).mixture_
    worse = careless.logpdf(rows).mean() - np.log(share(careless))
    assert (model.lower_bound_ - worse) * len(rows) > 5.0


@pytest.mark.parametrize("family", ["tied", "diag", "spherical", "EEV"])
def test_every_family_climbs(rows, family):
    model = GaussianMixture(2, covariance_type=family, truncation=(LOW, HIGH), random_state=0)
    model.fit(rows[:250])
    assert model.converged_ and (np.diff(model.trace_) > -1e-12).all()
    assert model.validate(rows[:250])["the gradient vanishes"].figure < 0.02


def test_densities_and_criteria_are_those_within_the_box(rows, model):
    inside = model.mixture_.truncate(LOW, HIGH)
    np.testing.assert_allclose(model.score_samples(rows), inside.logpdf(rows), atol=1e-10)
    assert model.score_samples([[-1.0, 0.0]])[0] == -INF
    p = 11
    likelihood = inside.logpdf(rows).sum()
    assert model.bic(rows) == pytest.approx(-2 * likelihood + p * np.log(len(rows)), abs=1e-8)
    assert model.aic(rows) == pytest.approx(-2 * likelihood + 2 * p, abs=1e-8)
    drawn, labels = model.sample(500, 0)
    assert ((drawn >= LOW) & (drawn <= HIGH)).all() and set(labels) == {0, 1}
    gappy = rows[:5].copy()
    gappy[:, 0] = np.nan  # what was not seen still lies within the box
    np.testing.assert_allclose(model.score_samples(gappy), inside.logpdf(gappy), atol=1e-10)
    assert (model.impute(gappy)[:, 0] > 0).all()


def test_moments_of_what_is_kept():
    inside = TRUE.truncate(LOW, HIGH)
    draws = kept(400_000, 9)
    np.testing.assert_allclose(inside.mean(), draws.mean(axis=0), atol=0.01)  # five errors
    np.testing.assert_allclose(inside.covariance(), np.cov(draws.T), atol=0.02)
    free = TRUE.truncate(-INF, INF)
    np.testing.assert_allclose(free.covariance(), TRUE.covariance())


def test_no_bounds_are_a_plain_fit_and_units_do_not_matter(rows, model):
    plain = GaussianMixture(2, random_state=0).fit(rows)
    open_ = GaussianMixture(2, truncation=(-INF, INF), random_state=0).fit(rows)
    assert np.array_equal(open_.means_, plain.means_)
    scale, shift = np.array([1e-5, 1e3]), np.array([2.0, -1e4])
    moved = (LOW * scale + shift, HIGH * scale + shift)
    there = GaussianMixture(2, truncation=moved, tol=1e-9, random_state=0).fit(rows * scale + shift)
    np.testing.assert_allclose((there.means_ - shift) / scale, model.means_, atol=1e-3)


def test_weights_gaps_priors_and_censored_cells_compose(rows):
    some = rows[:150].copy()
    some[::6, 1] = np.nan
    weights = np.arange(150) % 3
    options = {"truncation": (LOW, HIGH), "means_init": TRUE.means}
    options |= {"random_state": 0, "max_iter": 20, "tol": 0}
    short = GaussianMixture(2, **options).fit(some, sample_weight=weights)
    spelled = GaussianMixture(2, **options).fit(np.repeat(some, weights, axis=0))
    np.testing.assert_allclose(short.means_, spelled.means_, atol=1e-8)
    assert short.score(some, sample_weight=weights) == pytest.approx(short.lower_bound_, abs=1e-10)
    pulled = GaussianMixture(2, prior="fraley-raftery", **options).fit(some)
    assert (np.diff(pulled.trace_) > -1e-12).all()
    upper = np.full(some.shape, INF)
    cut = some[:, 0] < 1.0
    some[cut, 0], upper[cut, 0] = np.nan, 1.0  # between the box and a detection limit
    both = GaussianMixture(2, **options).fit(some, upper=upper)
    assert both.n_censored_ == cut.sum() + np.isnan(some[:, 1]).sum()
    assert (np.diff(both.trace_) > -1e-12).all()


def test_figures_show_what_was_kept_out():
    plot = pytest.importorskip("mixtura.plot")
    x = np.random.default_rng(1).normal(1.0, 2.0, (800, 1))
    seen = x[x[:, 0] > 0]
    model = GaussianMixture(1, truncation=(0.0, INF)).fit(seen)
    shown = plot.HistogramDisplay.from_estimator(model, seen)
    inside = shown.x_ > 0
    density = np.exp(model.score_samples(shown.x_[inside, None]))
    np.testing.assert_allclose(shown.curves_[inside, 0], density, rtol=1e-10)
    assert plot.PITDisplay.from_estimator(model, seen).compared.distance < 0.06  # 1.36 / √550
    censored = GaussianMixture(1).fit(np.where(x < 0, np.nan, x), upper=0.0)
    with pytest.raises(InputError, match="limits"):
        plot.PITDisplay.from_estimator(censored, x)
    shown = plot.HistogramDisplay.from_estimator(censored, np.where(x < 0, np.nan, x))
    bars = shown.ax_.patches[0].get_data()
    assert bars.values @ np.diff(bars.edges) == pytest.approx((x > 0).mean())


def test_a_grid_and_held_out_folds_know_of_the_box(rows):
    grid = GaussianMixture([1, 2], truncation=(LOW, HIGH), random_state=0).fit(rows[:250])
    assert grid.bic(rows[:250]) == pytest.approx(grid.selection_.best.bic, abs=1e-6)
    chosen = select(
        rows[:250], [1, 2], "diag", criterion="cv", folds=2, truncation=(LOW, HIGH)
    ).best
    assert chosen.n_components == 2


def test_a_component_outside_the_box_is_named():
    tail = np.random.default_rng(0).exponential(1.0, (400, 1)) ** 2  # climbs ever farther away
    with pytest.warns(DegenerateWarning, match="component 0 gives the box"):
        GaussianMixture(1, truncation=(0.0, INF), tol=0, max_iter=100).fit(tail)


def test_what_cannot_be_used_is_refused(rows, model):
    spoiled = rows.copy()
    spoiled[7, 0] = -1.0
    with pytest.raises(InputError, match="the first in row 7"):
        GaussianMixture(2, truncation=(LOW, HIGH)).fit(spoiled)
    for given in (3.0, (1.0, 0.0), ([0.0, 0.0, 0.0], INF)):
        with pytest.raises(InputError):
            GaussianMixture(2, truncation=given).fit(rows)
    for options in ({"distribution": "t"}, {"noise": True}, {"trim": 0.1}):
        with pytest.raises(InputError, match="truncation"):
            GaussianMixture(2, truncation=(LOW, HIGH), **options).fit(rows)
    with pytest.raises(InputError, match="low-rank"):
        GaussianMixture(2, covariance_type="factor:1", truncation=(LOW, HIGH)).fit(rows)
    for inference in (bootstrap, standard_errors):
        with pytest.raises(InputError, match="truncation"):
            inference(model, rows)
