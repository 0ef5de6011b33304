"""The imputer: conditional laws, multiple imputation, Rubin's rules."""

import numpy as np
import pytest
from scipy import stats
from sklearn.impute import SimpleImputer

from mixtura import Mixture, MixtureImputer, Noise, StudentT
from mixtura._errors import InputError, InputTypeError
from mixtura.inference.pooling import pool
from mixtura.operations.filling import drawn_into_gaps


@pytest.fixture(scope="module")
def truth():
    return Mixture(
        [0.4, 0.6],
        [[0, 0, 0], [5, 4, -3]],
        [[[1, 0.8, 0.3], [0.8, 1, 0.2], [0.3, 0.2, 1]], np.diag([2.0, 0.5, 1.0])],
    )


@pytest.fixture(scope="module")
def gappy(truth):
    rows, rng = truth.sample(400, 0), np.random.default_rng(0)
    rows[rng.random(rows.shape) < 0.15] = np.nan
    return rows


# ---- means


def test_a_gap_becomes_its_regression_on_the_rest():
    """Of one component fitted to whole rows: least squares, by NumPy."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3))
    design = np.column_stack([np.ones(200), X[:, [0, 2]]])
    slopes = np.linalg.lstsq(design, X[:, 1], rcond=None)[0]
    new = np.array([[0.3, np.nan, -1.0], [1.0, 2.0, 3.0]])
    filled = MixtureImputer(1).fit(X).transform(new)
    assert filled[0, 1] == pytest.approx(float(np.array([1, 0.3, -1.0]) @ slopes), rel=1e-9)
    np.testing.assert_array_equal(filled[1], new[1])


@pytest.mark.parametrize("method", ["mean", "draw"])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_what_was_observed_comes_back_to_the_last_bit(method, kind, gappy):
    rows = gappy.astype(kind)
    filled = MixtureImputer(2, method=method, random_state=0).fit(rows).transform(rows)
    seen = ~np.isnan(rows)
    assert filled.dtype == kind and not np.isnan(filled).any()
    np.testing.assert_array_equal(filled[seen], rows[seen])
    assert np.isnan(rows).sum() == (~seen).sum()  # the rows handed in are left alone


def test_the_number_of_components_is_chosen(gappy):
    assert MixtureImputer(range(1, 4), random_state=0).fit(gappy).n_components_ == 2


# ---- draws


@pytest.mark.parametrize("law", ["gaussian", "t", "noise"])
def test_draws_have_the_conditional_law(law, truth):
    """Each gap by Kolmogorov-Smirnov against the mixture conditioned on the rest, exact in 1-D."""
    if law == "t":
        truth = truth.changed(law=StudentT(np.array([3.0, 5.0])))
    if law == "noise":
        truth = truth.changed(noise=Noise(0.3, np.full(3, -9.0), np.full(3, 9.0)))
    row = np.array([2.0, 2.5, np.nan])
    drawn = drawn_into_gaps(truth, np.tile(row, (4000, 1)), 0)[:, [2]]
    conditional = truth.condition({0: 2.0, 1: 2.5})
    assert stats.kstest(conditional.cdf(drawn), "uniform").pvalue > 0.005


def test_what_is_missing_in_a_row_is_drawn_together(truth):
    rows = np.tile([1.0, np.nan, np.nan], (20_000, 1))
    drawn = drawn_into_gaps(truth, rows, 0)[:, 1:]
    conditional = truth.condition({0: 1.0})
    error = 6 * np.sqrt(np.diag(conditional.covariance()).max() / 20_000)
    np.testing.assert_allclose(drawn.mean(axis=0), conditional.mean(), atol=error)
    np.testing.assert_allclose(np.cov(drawn.T), conditional.covariance(), rtol=0.05, atol=0.08)
    nothing = drawn_into_gaps(truth, np.full((20_000, 3), np.nan), 0)
    np.testing.assert_allclose(np.cov(nothing.T), truth.covariance(), rtol=0.05, atol=0.1)


def test_draws_through_factors(gappy):
    imputer = MixtureImputer(2, covariance_type="factor:1", random_state=0).fit(gappy)
    drawn = drawn_into_gaps(imputer.mixture_, np.tile([1.0, np.nan, np.nan], (20_000, 1)), 0)
    conditional = imputer.mixture_.condition({0: 1.0})
    np.testing.assert_allclose(
        np.cov(drawn[:, 1:].T), conditional.covariance(), rtol=0.06, atol=0.1
    )


def test_a_seed_repeats_the_draws(gappy):
    one = MixtureImputer(2, method="draw", random_state=3).fit(gappy)
    np.testing.assert_array_equal(one.transform(gappy), one.transform(gappy))
    tables = one.impute_many(gappy, 3)
    assert len(tables) == 3 and not np.array_equal(tables[0], tables[1])
    np.testing.assert_array_equal(tables[2], one.impute_many(gappy, 3)[2])


# ---- multiple imputation


def test_rubins_rules_by_hand():
    rng = np.random.default_rng(0)
    estimates, variances, dof = rng.normal(size=5), rng.random(5), 30.0
    found = pool(estimates, variances, dof)
    mean = sum(estimates) / 5
    between = sum((q - mean) ** 2 for q in estimates) / 4
    within = sum(variances) / 5
    total = within + 1.2 * between
    share = 1.2 * between / total
    observed = (dof + 1) / (dof + 3) * dof * (1 - share)
    assert found.variance == pytest.approx(total, rel=1e-12)
    expected = 1 / (share**2 / 4 + 1 / observed)
    assert found.dof == pytest.approx(expected, rel=1e-12)
    r = 1.2 * between / within
    assert found.missing_information == pytest.approx((r + 2 / (expected + 3)) / (r + 1), rel=1e-12)
    low, high = found.confidence_interval(0.9)
    assert high - low == pytest.approx(2 * stats.t.ppf(0.95, expected) * np.sqrt(total), rel=1e-12)
    assert pool(estimates, variances).dof == pytest.approx(4 / share**2, rel=1e-12)  # Rubin 1987
    many = pool(rng.normal(size=(5, 2, 3)), rng.random((5, 2, 3)))
    assert many.estimate.shape == many.dof.shape == (2, 3)


def test_tables_that_agree_lose_nothing():
    found = pool([2.0, 2.0, 2.0], [0.1, 0.1, 0.1], dof=20)
    assert found.variance == pytest.approx(0.1) and found.missing_information == 0.0
    assert found.dof == pytest.approx(20 * 21 / 23)
    with pytest.raises(InputError, match="two tables"):
        pool([1.0], [1.0])
    with pytest.raises(InputError, match="not negative"):
        pool([1.0, 2.0], [1.0, -1.0])


def test_intervals_cover():
    """40 times: 40 rows, half of y missing where x is high; the 90 % interval of the mean of y.

    Whole-row means are far off; proper imputations cover within four standard errors.
    """
    rng = np.random.default_rng(0)
    covered, naive = 0, 0
    for seed in range(40):
        x = rng.normal(size=40)
        X = np.column_stack([x, x + rng.normal(size=40)])
        X[rng.random(40) < 1 / (1 + np.exp(-3 * x)), 1] = np.nan
        imputer = MixtureImputer(1, tol=1e-4, random_state=seed, n_jobs=1).fit(X)
        ys = [table[:, 1] for table in imputer.impute_many(X, 5)]
        pooled = pool([y.mean() for y in ys], [y.var(ddof=1) / 40 for y in ys], dof=39)
        low, high = pooled.confidence_interval(0.9)
        covered += low <= 0 <= high
        seen = X[~np.isnan(X[:, 1]), 1]
        naive += abs(seen.mean()) < 1.7 * seen.std(ddof=1) / np.sqrt(len(seen))
    error = np.sqrt(0.9 * 0.1 / 40)
    assert covered / 40 > 0.9 - 4 * error
    assert naive / 40 < 0.5


def test_proper_tables_differ_more(gappy):
    """What is not known of the mixture is in the spread."""
    imputer = MixtureImputer(2, random_state=0).fit(gappy[:60])
    spread = [
        np.var([table[:, 1].mean() for table in imputer.impute_many(gappy, 60, proper=proper)])
        for proper in (True, False)
    ]
    assert spread[0] > 1.3 * spread[1]


# ---- tables and names


def test_indicators_are_scikit_learns(gappy):
    rows = np.column_stack([gappy[:, :2], np.arange(len(gappy))])
    ours = MixtureImputer(1, add_indicator=True).fit(rows)
    theirs = SimpleImputer(add_indicator=True).fit(rows)
    np.testing.assert_array_equal(ours.transform(rows)[:, 3:], theirs.transform(rows)[:, 3:])
    names = ["width", "height", "number"]
    assert (
        ours.get_feature_names_out(names).tolist() == theirs.get_feature_names_out(names).tolist()
    )


def test_data_frames(gappy):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(gappy[:, :2], columns=["width", "height"], index=range(7, 407))
    frame["number"] = np.arange(400)
    imputer = MixtureImputer(2, random_state=0, add_indicator=True).fit(frame)
    plain = imputer.transform(frame)
    assert isinstance(plain, np.ndarray)
    kept = imputer.set_output(transform="pandas").transform(frame)
    assert kept.columns.tolist() == imputer.get_feature_names_out().tolist()
    assert kept.columns[-1] == "missingindicator_height" and kept.index[0] == 7
    np.testing.assert_array_equal(kept.to_numpy(), plain)
    (table,) = imputer.impute_many(frame, 1)
    assert table.columns.tolist() == frame.columns.tolist() and table.index[0] == 7
    assert table["number"].dtype == frame["number"].dtype and not table.isna().any().any()
    assert frame["width"].isna().any()  # what was handed in is left alone
    seen = frame["width"].notna()
    assert (table["width"][seen] == frame["width"][seen]).all()


def test_polars_frames(gappy):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(gappy, schema=["a", "b", "c"])
    imputer = MixtureImputer(1, random_state=0).fit(frame)
    (table,) = imputer.impute_many(frame, 1)
    assert isinstance(table, polars.DataFrame) and table.columns == ["a", "b", "c"]
    assert imputer.set_output(transform="polars").transform(frame).columns == ["a", "b", "c"]


def test_what_cannot_be_used(gappy):
    with pytest.raises(InputError, match="method='median'"):
        MixtureImputer(1, method="median").fit(gappy)
    fitted = MixtureImputer(1).fit(gappy)
    with pytest.raises(InputError, match="at least 1"):
        fitted.impute_many(gappy, 0)
    with pytest.raises(InputTypeError, match="whole number"):
        fitted.impute_many(gappy, 2.5)
    with pytest.raises(InputError, match="no observed value"):
        MixtureImputer(1).fit(np.column_stack([gappy, np.full(len(gappy), np.nan)]))
