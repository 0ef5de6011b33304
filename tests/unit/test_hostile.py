"""Every kind of hostile input: a valid model with a warning, or an error that says what to do."""

import contextlib
import copy
import io
import multiprocessing
import os
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import clone

from mixtura import GaussianMixture, Mixture, select
from mixtura._errors import DegenerateWarning, InputError, InputTypeError, MixturaWarning
from oracle import ELLIPSOIDAL, FAMILIES, POOLED, SPHERICAL
from strategies import later, spread

ERRORS = (InputError, InputTypeError)


def blobs(n=100, d=2, k=2, gap=20.0, seed=0):
    """k clear clusters of n rows, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(k), n)
    return gap * labels[:, None] + rng.normal(size=(n * k, d)), labels


def check(model, X):
    """A valid model: finite, positive definite, weights that sum to one, proper probabilities."""
    m = model.mixture_
    assert np.isfinite(m.weights).all() and abs(m.weights.sum() - 1) < 1e-12
    assert (m.weights >= 0).all()
    assert np.isfinite(m.means).all()
    for matrix in m.structure.dense():
        np.linalg.cholesky(matrix)
    shares = model.predict_proba(X)
    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-12)
    assert np.isfinite(model.score_samples(X)).all()
    assert np.isfinite(model.lower_bounds_).all()


def told(X, k, family="full", kind=DegenerateWarning, **options):
    """A fit that must warn: the model and the warnings' texts."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = GaussianMixture(k, covariance_type=family, random_state=0, **options).fit(X)
    texts = [str(w.message) for w in caught if issubclass(w.category, kind)]
    others = [w for w in caught if not issubclass(w.category, (MixturaWarning, UserWarning))]
    assert others == [], [str(w.message) for w in others]
    assert texts, f"no {kind.__name__}"
    return model, texts


# ---- missing


@pytest.mark.parametrize("family", FAMILIES)
def test_nan_is_missing(family):
    X, labels = blobs()
    X[::3, 0] = np.nan
    X[1::7, 1] = np.nan
    model = GaussianMixture(2, covariance_type=family, random_state=0).fit(X)
    check(model, X)
    seen = ~np.isnan(X).all(axis=1)
    agreement = (model.predict(X) == labels)[seen].mean()
    assert agreement in (0.0, 1.0)
    filled = model.impute(X)
    assert np.isfinite(filled).all()
    assert np.array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])
    assert np.abs(filled - 20 * labels[:, None])[seen].max() < 6


def test_the_mask_of_a_masked_array_counts():
    X, _ = blobs()
    hidden = np.random.default_rng(0).random(X.shape) < 0.2
    masked = np.ma.MaskedArray(np.where(hidden, 1e6, X), hidden)
    a = GaussianMixture(2, random_state=0).fit(masked)
    b = GaussianMixture(2, random_state=0).fit(np.where(hidden, np.nan, X))
    assert np.array_equal(a.means_, b.means_)
    assert np.array_equal(a.score_samples(masked), b.score_samples(np.where(hidden, np.nan, X)))
    integers = np.ma.MaskedArray(np.round(X).astype(int), hidden)
    c = GaussianMixture(2, random_state=0).fit(integers)
    assert np.abs(c.means_).max() < 1000
    nothing = np.ma.MaskedArray(X, np.zeros(X.shape, bool))
    d, e = (
        GaussianMixture(2, random_state=0).fit(nothing),
        GaussianMixture(2, random_state=0).fit(X),
    )
    assert np.array_equal(d.means_, e.means_)


def frames(X, hidden):
    """The same rows with nulls, in every kind of frame."""
    cells = [
        [None if h else float(v) for v, h in zip(*c, strict=True)]
        for c in zip(X.T, hidden.T, strict=True)
    ]
    columns = {"length": cells[0], "width": cells[1]}
    pd = pytest.importorskip("pandas")
    pl = pytest.importorskip("polars")
    pa = pytest.importorskip("pyarrow")
    yield "pandas NaN", pd.DataFrame(columns, dtype=float)
    yield "pandas nullable", pd.DataFrame(columns).astype("Float64")
    yield "pandas object", pd.DataFrame(columns, dtype=object)
    yield "pandas arrow", pd.DataFrame(columns).astype("float64[pyarrow]")
    yield "polars", pl.DataFrame(columns)
    yield "polars lazy", pl.LazyFrame(columns)
    yield "arrow", pa.table(columns)


def test_nulls_of_data_frames():
    X, _ = blobs()
    hidden = np.random.default_rng(0).random(X.shape) < 0.1
    Y = np.where(hidden, np.nan, X)
    expected = GaussianMixture(2, random_state=0).fit(Y)
    for name, frame in frames(X, hidden):
        model = GaussianMixture(2, random_state=0).fit(frame)
        assert np.array_equal(model.means_, expected.means_), name
        assert list(model.feature_names_in_) == ["length", "width"], name
        assert model.mixture_.feature_names == ("length", "width"), name
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert np.array_equal(model.predict_proba(frame), expected.predict_proba(Y)), name
        assert [str(w.message) for w in caught] == [], name


def test_an_all_missing_column_is_named():
    X, _ = blobs(d=3)
    X[:, 1] = np.nan
    with pytest.raises(InputError, match="1"):
        GaussianMixture(2).fit(X)
    pd = pytest.importorskip("pandas")
    with pytest.raises(InputError, match="pressure"):
        GaussianMixture(2).fit(pd.DataFrame(X, columns=["depth", "pressure", "salt"]))
    with pytest.raises(InputError, match="pressure"):
        select(pd.DataFrame(X, columns=["depth", "pressure", "salt"]), [1, 2])
    # Observed only where the weight is zero is not observed.
    X[0, 1] = 5.0
    w = np.ones(len(X))
    w[0] = 0.0
    with pytest.raises(InputError):
        GaussianMixture(2).fit(X, sample_weight=w)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_cells_are_named(value):
    X, _ = blobs()
    X[17, 1] = value
    with pytest.raises(InputError, match=r"row 17, column 1"):
        GaussianMixture(2).fit(X)
    pd = pytest.importorskip("pandas")
    with pytest.raises(InputError, match=r"row 17, column 'b'"):
        GaussianMixture(2).fit(pd.DataFrame(X, columns=["a", "b"]))
    clean, _ = blobs()
    with pytest.raises(InputError, match="row 17"):
        GaussianMixture(2, random_state=0).fit(clean).predict(X)
    Y = X.copy()
    Y[3, 0] = np.nan
    with pytest.raises(InputError, match="row 17"):
        GaussianMixture(2).fit(Y)


# ---- degenerate


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("constant", [5.0, *later(0.0, 1e10)])
def test_constant_column(family, constant):
    X, labels = blobs(d=3)
    X[:, 1] = constant
    if family in SPHERICAL:
        model = GaussianMixture(2, covariance_type=family, random_state=0).fit(X)
    else:
        model, texts = told(X, 2, family)
        assert any("constant" in text or "1" in text for text in texts)
    check(model, X)
    assert (model.predict(X) == labels).mean() in (0.0, 1.0)
    np.testing.assert_allclose(model.means_[:, 1], constant, atol=1e-9 * max(constant, 1))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("k", [1, 2, *later(4)])
@pytest.mark.parametrize("value", [-1e8, *later(0.0, 3.7)])
def test_all_rows_equal(family, k, value):
    X = np.full((30, 2), value)
    model, _ = told(X, k, family)
    check(model, X)
    np.testing.assert_allclose(model.mixture_.mean(), [value] * 2, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_fewer_distinct_rows_than_components(family):
    X = np.repeat([[0.0, 1.0], [5.0, 2.0], [1.0, 7.0]], 10, axis=0)
    model, texts = told(X, 5, family)
    check(model, X)
    assert any("distinct" in text for text in texts)


@pytest.mark.parametrize("family", FAMILIES)
def test_fewer_rows_than_components_is_an_error(family):
    with pytest.raises(InputError, match=r"4.*3|3.*4"):
        GaussianMixture(4, covariance_type=family).fit(np.eye(3))


def brief(family):
    """Few steps, and one start where axes in common make each step slow."""
    slow = family in ("EVE", "VVE")
    start = "kmeans" if slow else "auto"
    return {"random_state": 0, "max_iter": 5 if slow else 100, "init_params": start}


@pytest.mark.parametrize("family", spread(FAMILIES[::-1], every=2))
def test_as_many_components_as_a_third_of_the_rows(family):
    X = np.random.default_rng(0).normal(size=(60, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(20, covariance_type=family, **brief(family)).fit(X)
    check(model, X)
    if family == "full":  # three rows cannot carry a covariance in three dimensions
        _, texts = told(X, 20, family)
        assert any("component" in text and "fewer components" in text for text in texts)


@pytest.mark.parametrize("family", spread(FAMILIES[::-1], every=2))
def test_more_columns_than_rows(family):
    X = np.random.default_rng(0).normal(size=(20, 50))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = GaussianMixture(2, covariance_type=family, **brief(family)).fit(X)
    check(model, X)
    if family in ELLIPSOIDAL:
        texts = [str(w.message) for w in caught if issubclass(w.category, DegenerateWarning)]
        assert texts and any("prior" in text for text in texts)


@pytest.mark.parametrize("family", FAMILIES)
def test_collinear_columns(family):
    X, labels = blobs(d=2)
    X = np.column_stack([X, X[:, 0] - 2 * X[:, 1]])
    if family in ELLIPSOIDAL:
        model, texts = told(X, 2, family)
        assert any("collinear" in text for text in texts)
    else:
        model = GaussianMixture(2, covariance_type=family, random_state=0).fit(X)
    check(model, X)
    assert (model.predict(X) == labels).mean() in (0.0, 1.0)


@pytest.mark.parametrize("family", spread(FAMILIES[::-1], every=2))
@pytest.mark.parametrize("far", [1e6, *later(1e3, 1e12)])
def test_far_outlier(family, far):
    X, _labels = blobs()
    X = np.concatenate([X, [[far, -far]]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = GaussianMixture(3, covariance_type=family, random_state=0).fit(X)
    check(model, X)
    texts = [str(w.message) for w in caught if issubclass(w.category, DegenerateWarning)]
    alone = (model.predict(X) == model.predict(X)[-1]).sum() == 1
    if alone and family in ("full", "diag", "spherical"):
        assert any("component" in text for text in texts)  # it stands on one row: say so


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("far", [1e4, *later(1e12)])
def test_empty_component_by_means_init(family, far):
    """Re-seeded or dropped, and said."""
    X, _labels = blobs()
    start = np.array([[0.0, 0.0], [20.0, 20.0], [far, far]])
    model, texts = told(X, 3, family, means_init=start)
    check(model, X)
    assert any("component" in text for text in texts)
    inside = np.abs(model.means_).max(axis=1) < 100
    assert (inside | (model.weights_ < 1e-8)).all()


SLOW_ON_MANY_COLUMNS = {"VVE", "EVE", "EVV"}  # rotations of all pairs of axes


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW_ON_MANY_COLUMNS else name
        for name in FAMILIES
    ],
)
def test_relu_like_data(family):
    """pycave #20, small: many exact zeros, d close to n."""
    X = np.maximum(np.random.default_rng(0).normal(size=(120, 60)) - 0.5, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(4, covariance_type=family, random_state=0).fit(X)
    check(model, X)


@pytest.mark.slow
def test_relu_like_data_at_full_size():
    """pycave #20: n = 5000, d = 2000, k = 10, full covariances."""
    X = np.maximum(np.random.default_rng(0).normal(size=(5000, 2000)), 0.0).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(10, random_state=0, max_iter=3).fit(X)
    assert np.isfinite(model.lower_bounds_).all()
    assert np.isfinite(model.score_samples(X[:50])).all()
    for matrix in model.mixture_.structure.dense():
        np.linalg.cholesky(matrix)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_row(family):
    model, _ = told(np.array([[1.0, 2.0]]), 1, family)
    check(model, np.array([[1.0, 2.0]]))


@pytest.mark.parametrize("family", ["full", "diag", "tied"])
@pytest.mark.parametrize(
    ("scale", "ridge", "text"),
    [
        (1.0, 1e-6, None),
        (1e-5, 1e-14, None),  # 1e-4 of the variances
        (1e-5, 1e-3, "reg_covar is above the variances"),
        (1e5, 1e-6, "column 1 is constant.*set a larger reg_covar"),  # 1e-16 of the variances
        (1.0, 0.0, "column 1 is constant.*set reg_covar"),
    ],
)
def test_a_ridge_that_holds_a_constant_column_is_enough(family, scale, ridge, text):
    X = np.column_stack([blobs()[0], np.full(200, 5.0)])[:, [0, 2, 1]] * scale
    expected = contextlib.nullcontext()
    if text is not None:
        expected = pytest.warns(DegenerateWarning, match=text)
    with expected:
        model = GaussianMixture(2, covariance_type=family, reg_covar=ridge, random_state=0).fit(X)
    check(model, X)


# ---- scales


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scale", [1e-300, 1e-8, 1e300, *later(1e-150, 1e8, 1e150)])
def test_any_scale(family, scale):
    X, labels = blobs(gap=6.0)
    X = X * (scale / np.abs(X).max())
    model = GaussianMixture(2, covariance_type=family, random_state=0).fit(X)
    check(model, X)
    assert (model.predict(X) == labels).mean() in (0.0, 1.0)
    np.testing.assert_allclose(np.sort(model.means_[:, 0]) / scale, [0, 0.7], atol=0.15)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
@pytest.mark.parametrize("family", FAMILIES)
def test_everything_works_at_any_scale(family, scale):
    """Attributes, sampling and texts too; what no float64 can hold is inf or 0, unwarned."""
    X, _ = blobs(gap=6.0)
    X = X * (scale / np.abs(X).max())
    model = GaussianMixture(2, covariance_type=family, random_state=0).fit(X)
    drawn, _ = model.sample(50)
    assert np.isfinite(drawn).all() and 0 < np.abs(drawn).max() <= 2 * np.abs(X).max()
    X[0, 0] = np.nan
    assert np.isfinite(model.impute(X)).all()
    assert np.isfinite(model.bic(model.impute(X)))
    for name in ("covariances_", "precisions_", "precisions_cholesky_", "weights_", "means_"):
        assert not np.isnan(getattr(model, name)).any(), name
    assert "component" in repr(model.mixture_)
    assert bool(model.validate(np.nan_to_num(X))) in (True, False)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
@pytest.mark.parametrize("family", ["full", "diag", "spherical", "factor:1"])
def test_a_prior_at_any_scale(family, scale):
    """The usual prior is made of variances, which 1e300 squared does not have."""
    X, _ = blobs(d=3)
    fits = [
        GaussianMixture(2, covariance_type=family, prior="fraley-raftery", random_state=0).fit(rows)
        for rows in (X, scale * X)
    ]
    check(fits[1], scale * X)
    np.testing.assert_allclose(fits[1].means_ / scale, fits[0].means_, rtol=1e-8)
    assert fits[1].validate(scale * X).holds and str(fits[1].summary(scale * X))


def test_a_prior_of_columns_too_far_apart_is_refused():
    X = blobs()[0] * [1e-150, 1.0]
    with pytest.raises(InputError, match="bring the columns to like units"):
        GaussianMixture(2, covariance_type="diag", prior="fraley-raftery").fit(X)


def test_a_ridge_far_above_the_variances_is_refused():
    with pytest.raises(InputError, match="reg_covar is too far above the variance of column 0"):
        GaussianMixture(2, reg_covar=1.0).fit(blobs()[0] * 1e-150)


@pytest.mark.parametrize("options", [{"noise": True}, {"trim": 0.1}, {"distribution": "t"}])
def test_a_row_beyond_all_squares_is_refused(options):
    X, _ = blobs()
    X[0] = 1e200
    with pytest.raises(InputError, match="times as far as its bulk"):
        GaussianMixture(2, **options).fit(X)


@pytest.mark.filterwarnings("ignore::mixtura.DegenerateWarning")
@pytest.mark.parametrize("family", [*POOLED, "full"])
def test_all_rows_may_be_noise(family):
    """Components that hold no row keep the shape they had."""
    X = blobs(n=30, d=3)[0] * [1e-150, 1.0, 1e150]
    model = GaussianMixture(2, covariance_type=family, noise=0.9, random_state=0).fit(X)
    m = model.mixture_
    assert np.isfinite(m.means).all() and np.isfinite(m.structure.dense()).all()
    assert abs(m.weights.sum() - 1) < 1e-12 and np.isfinite(model.score_samples(X)).all()


def test_subnormal_columns():
    X = blobs()[0] * 1e-310
    model = GaussianMixture(2, random_state=0).fit(X)
    assert np.isfinite(model.score(X)) and np.ptp(model.means_, axis=0).min() > 1e-309


def test_emptied_factor_analyzers_do_not_warn_of_numpy():
    """Their log weights are minus infinity in the memory of accelerated steps."""
    with pytest.warns(DegenerateWarning):
        GaussianMixture(6, covariance_type="factor:1", random_state=0).fit(np.full((20, 3), 3.5))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("offset", [1e12, *later(1e8)])
def test_any_offset(family, offset):
    X, labels = blobs()
    model = GaussianMixture(2, covariance_type=family, random_state=0).fit(X + offset)
    check(model, X + offset)
    assert (model.predict(X + offset) == labels).mean() in (0.0, 1.0)


@pytest.mark.parametrize("family", ["full", "tied", "diag"])
def test_mixed_units(family):
    X, labels = blobs(d=4)
    X = X * [1e-9, 1.0, 1e9, 1e30] + [1.0, 0.0, -1e12, 0.0]
    model = GaussianMixture(2, covariance_type=family, random_state=0).fit(X)
    check(model, X)
    assert (model.predict(X) == labels).mean() in (0.0, 1.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_float32_at_an_offset(family):
    X, labels = blobs()
    model = GaussianMixture(2, covariance_type=family, random_state=0)
    X = (X + 1e4).astype(np.float32)
    model.fit(X)
    check(model, X)
    assert (model.predict(X) == labels).mean() in (0.0, 1.0)


CHANGES = (lambda X: 1e-8 * X, lambda X: 1e8 * X, lambda X: X + 1e8, lambda X: X[::-1])


@pytest.mark.parametrize(("family", "change"), spread(FAMILIES, CHANGES, every=2))
def test_labels_do_not_depend_on_units(family, change):
    """Not only the same clusters: the same numbers for them."""
    X, _ = blobs(k=3, n=60)
    plain = GaussianMixture(3, covariance_type=family, random_state=0).fit(X)
    moved = GaussianMixture(3, covariance_type=family, random_state=0).fit(change(X))
    same = plain.predict(X)
    same = same[::-1] if np.array_equal(change(X), X[::-1]) else same
    np.testing.assert_array_equal(moved.predict(change(X)), same)


# ---- at prediction


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [1e10, 1.7e308, *later(1e100, 1e154, 1e200, -1e200)])
def test_a_point_far_beyond_has_finite_probabilities(family, value):
    X, _ = blobs()
    model = GaussianMixture(2, covariance_type=family, random_state=0).fit(X)
    for row in ([value, 0.0], [value, value], [value, np.nan], [value, -value]):
        shares = model.predict_proba([row])
        assert np.isfinite(shares).all(), row
        assert shares.sum() == pytest.approx(1.0, abs=1e-12)
        assert model.predict([row])[0] in (0, 1)
        density = model.score_samples([row])[0]
        assert density < -1e3 and not np.isnan(density)
        assert not np.isnan(model.mixture_.mahalanobis([row])).any()


def test_a_point_far_beyond_does_not_disturb_its_neighbours():
    X, _ = blobs()
    model = GaussianMixture(2, random_state=0).fit(X)
    with_it = np.concatenate([X[:5], [[1e200, 1e200]], X[5:10]])
    shares = model.predict_proba(with_it)
    np.testing.assert_array_equal(np.delete(shares, 5, axis=0), model.predict_proba(X[:10]))


# ---- the wrong kind of thing


def wrong_things():
    pd = pytest.importorskip("pandas")
    pl = pytest.importorskip("polars")
    pa = pytest.importorskip("pyarrow")
    sparse = pytest.importorskip("scipy.sparse")
    good = {"a": [1.0, 2.0, 3.0, 4.0]}
    days = np.array(["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04"], dtype="M8[D]")
    return {
        "strings": (np.array([["a", "b"], ["c", "d"]]), "U1|not a number"),
        "object strings": (np.array([[1.0, "b"], [2.0, "d"]], dtype=object), "column 1"),
        "datetimes": (days.reshape(-1, 1), "datetime"),
        "complex": (np.ones((4, 2)) * 1j, "[Cc]omplex"),
        "sparse": (sparse.csr_matrix(np.eye(4)), "[Ss]parse.*toarray"),
        "sparse array": (sparse.coo_array(np.eye(4)), "[Ss]parse.*toarray"),
        "one dimension": (np.ones(4), "2D"),
        "three dimensions": (np.ones((4, 2, 2)), "2D"),
        "a number": (3.0, "2D"),
        "no rows": (np.ones((0, 3)), "0 sample"),
        "no columns": (np.ones((3, 0)), "0 feature"),
        "None": (None, "."),
        "a string": ("data.csv", "."),
        "a dict": ({"a": 1}, "."),
        "ragged": ([[1.0, 2.0], [3.0]], "."),
        "pandas strings": (pd.DataFrame(good | {"name": list("wxyz")}), "name"),
        "pandas categorical": (pd.DataFrame(good | {"kind": pd.Categorical(list("wxyz"))}), "kind"),
        "pandas dates": (pd.DataFrame(good | {"day": days}), "day"),
        "pandas series": (pd.Series(good["a"], name="a"), "a"),
        "pandas no rows": (pd.DataFrame({"a": []}, dtype=float), "0 sample"),
        "pandas no columns": (pd.DataFrame(index=range(4)), "0 feature"),
        "polars strings": (pl.DataFrame(good | {"name": list("wxyz")}), "name"),
        "polars categorical": (
            pl.DataFrame(good | {"kind": list("wxyz")}).cast({"kind": pl.Categorical}),
            "kind",
        ),
        "polars dates": (pl.DataFrame(good | {"day": list(days.astype(object))}), "day"),
        "polars lists": (pl.DataFrame(good | {"list": [[1]] * 4}), "list"),
        "arrow strings": (pa.table(good | {"name": list("wxyz")}), "name"),
        "arrow dates": (pa.table(good | {"day": list(days.astype(object))}), "day"),
        "all null": (pa.table({"a": pa.nulls(4), "b": [1.0, 2.0, 3.0, 4.0]}), "a"),
    }


NAMES = [
    "strings", "object strings", "datetimes", "complex", "sparse", "sparse array", "one dimension",
    "three dimensions", "a number", "no rows", "no columns", "None", "a string", "a dict", "ragged",
    "pandas strings", "pandas categorical", "pandas dates", "pandas series", "pandas no rows",
    "pandas no columns", "polars strings", "polars categorical", "polars dates", "polars lists",
    "arrow strings", "arrow dates", "all null",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_wrong_things_are_refused_by_name(name):
    thing, message = wrong_things()[name]
    model = GaussianMixture(1)
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        model.fit(thing)
    assert isinstance(caught.value, ERRORS), f"not one of ours: {caught.value!r}"
    assert not hasattr(model, "mixture_")
    fitted = GaussianMixture(1).fit(np.random.default_rng(0).normal(size=(9, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # names at prediction, none at the fit
        with pytest.raises((TypeError, ValueError)):
            fitted.predict(thing)
        with pytest.raises((TypeError, ValueError)):
            fitted.mixture_.logpdf(thing)


def test_wrong_number_of_columns():
    X, _ = blobs(d=3)
    model = GaussianMixture(2, random_state=0).fit(X)
    for method in ("predict", "predict_proba", "score_samples", "score", "bic", "impute"):
        with pytest.raises(ValueError, match=r"2 features.*3 features"):
            getattr(model, method)(X[:, :2])
    with pytest.raises(InputError, match=r"2 features.*3"):
        model.mixture_.logpdf(X[:, :2])


def test_bad_weights_and_labels_are_refused():
    X, _labels = blobs(n=5)
    bad = np.ones(10)
    bad[3] = -1.0
    nan = np.ones(10)
    nan[3] = np.nan
    endless = np.ones(10)
    endless[3] = np.inf
    for weights, message in (
        (bad, "row 3"),
        (nan, "row 3"),
        (endless, "row 3"),
        (np.ones(9), "(10,)"),
        (np.ones((10, 2)), "(10,)"),
        (np.zeros(10), "zero"),
        (["a"] * 10, ""),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            GaussianMixture(2).fit(X, sample_weight=weights)
        assert message in str(caught.value)
        assert isinstance(caught.value, ERRORS)
    for given, message in (
        (np.full(10, 2), "row 0"),
        (np.full(10, -2), "row 0"),
        (np.full(10, 0.5), "row 0"),
        (np.zeros(9), "(10,)"),
        (np.zeros((10, 3)), "(10, 2)"),
        (np.zeros((10, 2)), "row 0"),
        (-np.ones((10, 2)), "row 0"),
        (np.full((10, 2), np.inf), "row 0"),
        (["a"] * 10, ""),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            GaussianMixture(2).fit(X, labels=given)
        assert message in str(caught.value)
        assert isinstance(caught.value, ERRORS)


# ---- interruption, threads, processes, copies


class Interrupted(KeyboardInterrupt):
    pass


def interrupt(step, value, mixture):
    raise Interrupted


def test_an_interrupted_fit_leaves_the_estimator_unfitted():
    X, _ = blobs()
    model = GaussianMixture(2, random_state=0, callback=interrupt)
    with pytest.raises(Interrupted):
        model.fit(X)
    assert [name for name in vars(model) if name.endswith("_")] == []


def test_an_interrupted_fit_leaves_the_estimator_as_before():
    pd = pytest.importorskip("pandas")
    X, _ = blobs()
    model = GaussianMixture(2, random_state=0).fit(X)
    before = {name: copy.copy(value) for name, value in vars(model).items()}
    shares = model.predict_proba(X)
    model.set_params(callback=interrupt)
    with pytest.raises(Interrupted):
        model.fit(pd.DataFrame(np.ones((40, 3)) + np.eye(40, 3), columns=list("abc")))
    model.set_params(callback=None)
    assert vars(model).keys() == before.keys()
    assert model.n_features_in_ == 2
    assert np.array_equal(model.predict_proba(X), shares)


@pytest.mark.parametrize("broken", ["rows", "weights", "labels", "parameters"])
def test_a_failed_fit_leaves_the_estimator_as_before(broken):
    X, _ = blobs()
    model = GaussianMixture(2, random_state=0).fit(X)
    shares, before = model.predict_proba(X), set(vars(model))
    three = np.column_stack([X, X[:, 0] ** 2])
    options = {}
    if broken == "rows":
        three[:, 2] = np.nan
    elif broken == "weights":
        options["sample_weight"] = np.zeros(len(X))
    elif broken == "labels":
        options["labels"] = np.full(len(X), 9)
    else:
        model.set_params(means_init=np.zeros((5, 5)))
    with pytest.raises(ERRORS):
        model.fit(three, **options)
    assert set(vars(model)) == before
    assert model.n_features_in_ == 2
    assert np.array_equal(model.predict_proba(X), shares)


def blas_threads():
    from threadpoolctl import threadpool_info

    return [info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"]


def test_eight_threads_at_once_are_serial():
    sets = [blobs(n=150, d=3, k=3, gap=2.0, seed=seed)[0] for seed in range(8)]

    def fit(X):
        with warnings.catch_warnings():
            return GaussianMixture(3, random_state=0, n_jobs=2).fit(X).mixture_

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = blas_threads()
        serial = [fit(X) for X in sets]
        with ThreadPoolExecutor(8) as pool:
            at_once = list(pool.map(fit, sets))
    assert all(a == b for a, b in zip(serial, at_once, strict=True))
    assert blas_threads() == before  # what each held down, all gave back


def test_blas_threads_are_given_back_whoever_ends_first():
    """Two fits that overlap: the first to begin ends first."""
    from mixtura.source.memory import one_blas_thread

    before = blas_threads()
    if not before or max(before) < 2:
        pytest.skip("BLAS has one thread here: nothing to hold down")
    entered, leave = threading.Event(), threading.Event()

    def outer():
        with one_blas_thread():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=outer)
    thread.start()
    assert entered.wait(10)
    with one_blas_thread():
        leave.set()
        thread.join(10)
        assert set(blas_threads()) == {1}  # we still hold them
    assert blas_threads() == before


def _fit_in_child(queue):
    X, _ = blobs(n=200, d=3)
    queue.put(GaussianMixture(2, random_state=0, n_jobs=2).fit(X).means_)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fit_after_fork():
    X, _ = blobs(n=200, d=3)
    expected = GaussianMixture(2, random_state=0, n_jobs=2).fit(X).means_
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_fit_in_child, args=(queue,))
    process.start()
    found = queue.get(timeout=60)
    process.join(60)
    assert process.exitcode == 0
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_copies_are_the_same_model(family, tmp_path):
    joblib = pytest.importorskip("joblib")
    X, _ = blobs()
    X[0, 0] = np.nan
    model = GaussianMixture(2, covariance_type=family, random_state=0).fit(X)
    joblib.dump(model, tmp_path / "model.joblib")
    for other in (
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
        copy.copy(model),
        joblib.load(tmp_path / "model.joblib"),
    ):
        assert other.mixture_ == model.mixture_
        assert np.array_equal(other.score_samples(X), model.score_samples(X))
        assert other.get_params().keys() == model.get_params().keys()
    again = clone(model)
    assert not hasattr(again, "mixture_")
    assert again.fit(X).mixture_ == model.mixture_


def test_a_pickled_model_is_small():
    """Not the rows, nor what was kept of them on the way."""
    X, _ = blobs(n=20_000)
    model = GaussianMixture(2, random_state=0).fit(X)
    model.predict_proba(X)
    stream = io.BytesIO()
    pickle.dump(model, stream)
    assert stream.tell() < 50_000


def test_html_repr():
    X, _ = blobs()
    for model in (
        GaussianMixture(2),
        GaussianMixture(2, means_init=np.zeros((2, 2)), init_params=np.zeros(200, int)),
        GaussianMixture(2, random_state=0).fit(X),
    ):
        assert "GaussianMixture" in model._repr_html_()
        assert "GaussianMixture" in repr(model)


def test_parallel_joblib_workers():
    joblib = pytest.importorskip("joblib")
    X, _ = blobs()

    def fit(seed):
        return GaussianMixture(2, random_state=seed).fit(X).lower_bound_

    serial = [fit(seed) for seed in range(4)]
    threads = joblib.Parallel(2, backend="threading")(joblib.delayed(fit)(s) for s in range(4))
    assert threads == serial


def test_the_data_are_never_written_to():
    X, _ = blobs()
    X[3, 1] = np.nan
    w = np.ones(len(X))
    kept, kept_w = X.copy(), w.copy()
    labels = np.full(len(X), -1)
    model = GaussianMixture(2, random_state=0).fit(X, sample_weight=w, labels=labels)
    model.predict_proba(X), model.impute(X), model.score(X, sample_weight=w)
    np.testing.assert_array_equal(X, kept)
    np.testing.assert_array_equal(w, kept_w)
    assert (labels == -1).all()


def test_a_mixture_does_not_share_memory_with_what_it_was_built_from():
    means = np.zeros((1, 2))
    mixture = Mixture([1.0], means, [np.eye(2)])
    means[0, 0] = 7.0
    assert mixture.means[0, 0] == 0.0
