"""Mixtures of many groups at once, against ordinary fits, SciPy, and themselves."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from mixtura import DegenerateWarning, GaussianMixture, InputError, fit_groups, kernels
from mixtura.fit import group_fits

ARRAYS = ("weights", "location", "structure", "pivot", "scale", "log_likelihood", "n_iter")


def drawn(groups: int, n: int = 80, d: int = 2, seed: int = 0) -> tuple[Any, Any]:
    """Rows of two clusters in every group, each group of its own scale, and their keys."""
    rng = np.random.default_rng(seed)
    far = rng.choice([-4.0, 4.0], size=(groups, 1, d)) * (rng.random((groups, n, 1)) < 0.4)
    scale = 10.0 ** rng.uniform(-3, 3, (groups, 1, d))
    rows = (rng.normal(size=(groups, n, d)) + far) * scale + rng.normal(size=(groups, 1, d)) * scale
    return rows.reshape(-1, d), np.repeat(np.arange(groups), n)


@pytest.fixture
def batch(monkeypatch):
    """The compiled batch, however few groups there are."""
    pytest.importorskip("numba")
    before = kernels.active()
    kernels.use("compiled")
    monkeypatch.setattr(group_fits, "COMPILING", 0.0)
    yield
    kernels.use("plain" if before is kernels.plain else "compiled")
    kernels.use("auto") if before is kernels.plain else None


@pytest.mark.usefixtures("batch")
class TestBatch:
    def test_each_group_is_as_good_as_its_ordinary_fit(self):
        X, by = drawn(12)
        groups = fit_groups(X, by, 2)
        assert not groups.alone.any() and groups.converged.all()
        for key in groups:
            model = GaussianMixture(2, random_state=0).fit(X[by == key])
            own = model.score(X[by == key]) * 80
            # both climbs end within 1e-6 nats a row of the one optimum of clusters this far apart
            assert groups.log_likelihood[key] == pytest.approx(own, abs=2e-4)

    def test_the_likelihood_is_scipys(self):
        X, by = drawn(5)
        weights = np.random.default_rng(1).uniform(0.2, 3.0, len(X))
        groups = fit_groups(X, by, 2, sample_weight=weights)
        density = np.empty(len(X))
        for key in groups:
            own = by == key
            parts = zip(
                groups.weights[key], groups.means[key], groups.covariances[key], strict=True
            )
            density[own] = sum(w * multivariate_normal(m, c).pdf(X[own]) for w, m, c in parts)
        np.testing.assert_allclose(groups.logpdf(X, by), np.log(density), rtol=1e-9, atol=1e-9)
        total = np.bincount(by, weights * np.log(density))
        np.testing.assert_allclose(groups.log_likelihood, total, rtol=1e-8)
        bic = -2 * total + 11 * np.log(np.bincount(by, weights))
        np.testing.assert_allclose(groups.bic, bic, rtol=1e-8)

    def test_no_group_depends_on_the_others_or_on_threads(self, monkeypatch):
        X, by = drawn(7)
        whole = fit_groups(X, by, 2, n_jobs=1)
        order = np.random.default_rng(0).permutation(7)
        moved = np.concatenate([np.flatnonzero(by == key) for key in order])
        monkeypatch.setattr(group_fits, "CHUNK", 2)
        for other in (fit_groups(X[moved], by[moved], 2, n_jobs=3), fit_groups(X, by, 2, n_jobs=2)):
            for name in ARRAYS:
                np.testing.assert_array_equal(getattr(other, name), getattr(whole, name))
        one = fit_groups(X[by == 3], by[by == 3], 2)
        np.testing.assert_array_equal(one.means[0], whole.means[3])

    def test_powers_of_two_change_no_digit(self):
        X, by = drawn(4)
        plain, scaled = fit_groups(X, by, 2), fit_groups(X * [2.0**30, 2.0**-30], by, 2)
        np.testing.assert_array_equal(plain.location, scaled.location)
        np.testing.assert_array_equal(plain.means * [2.0**30, 2.0**-30], scaled.means)

    def test_a_weight_counts_as_repetitions_and_zero_as_absence(self):
        X, by = drawn(3)
        weights = np.random.default_rng(2).integers(0, 3, len(X)).astype(float)
        times = np.repeat(np.arange(len(X)), weights.astype(int))
        a = fit_groups(X, by, 2, sample_weight=weights, tol=1e-12)
        b = fit_groups(X[times], by[times], 2, tol=1e-12)
        # the same optimum, reached from other starts
        np.testing.assert_allclose(a.log_likelihood, b.log_likelihood, rtol=1e-7)
        np.testing.assert_allclose(a.means, b.means, rtol=1e-3)

    @pytest.mark.parametrize("family", ["tied", "diag", "spherical", "equal-spherical", "VEI"])
    def test_families(self, family):
        X, by = drawn(3)
        X = X / np.array([X[by == key].std() for key in range(3)])[by][:, None]
        groups = fit_groups(X, by, 2, family)
        assert not groups.alone.any()
        for key in groups:
            model = GaussianMixture(2, covariance_type=family, random_state=0).fit(X[by == key])
            np.testing.assert_allclose(groups[key].means, model.mixture_.means, atol=2e-3)
            assert groups.log_likelihood[key] == pytest.approx(
                model.score(X[by == key]) * 80, abs=1e-3
            )

    def test_odd_groups_are_told_and_fitted_alone(self):
        X, by = drawn(8)
        X[by == 1, 0] = 7.0
        X[np.flatnonzero(by == 2)[:5], 1] = np.nan
        X[np.flatnonzero(by == 4)[:79]] = X[np.flatnonzero(by == 4)[0]]
        kept = (by != 6) | (np.arange(len(X)) == 480)
        X, by = X[kept], by[kept]
        with pytest.warns(DegenerateWarning, match=r"of 8 groups 1 are 'no fit' \(6\); 2 are 'deg"):
            groups = fit_groups(X, by, 2)
        assert groups.alone.tolist() == [key in (1, 2, 4, 6) for key in range(8)]
        odd = {1: "degenerate", 4: "degenerate", 6: "no fit"}
        assert groups.status.tolist() == [odd.get(key, "converged") for key in range(8)]
        assert set(groups.notes) == {1, 4, 6} and "constant" in groups.notes[1]
        own = GaussianMixture(2, random_state=0).fit(X[by == 2])
        np.testing.assert_array_equal(groups[2].means, own.mixture_.means)
        np.testing.assert_allclose(groups.logpdf(X, by)[by == 2], own.score_samples(X[by == 2]))
        np.testing.assert_array_equal(groups.predict(X, by)[by == 2], own.predict(X[by == 2]))
        with pytest.raises(InputError, match="1 row for 2 components"):
            groups[6]
        assert np.isnan(groups.logpdf(X, by)[by == 6]).all()
        assert groups.predict(X, by)[by == 6].tolist() == [-1]

    def test_each_group_chooses_its_number_of_components(self):
        X, by = drawn(6)
        rng = np.random.default_rng(0)
        X[by == 2] = rng.normal(size=(80, 2))
        groups = fit_groups(X, by, [1, 2])
        ones, twos = fit_groups(X, by, 1), fit_groups(X, by, 2)
        assert groups.n_components[2] == 1 and (groups.n_components == 2).sum() == 5
        np.testing.assert_array_equal(groups.bic, np.minimum(ones.bic, twos.bic))
        assert np.isnan(groups.means[2, 1]).all() and groups.weights[2].tolist() == [1.0, 0.0]
        assert groups[2].n_components == 1
        shares = groups.responsibilities(X, by)
        assert (shares[by == 2] == [1.0, 0.0]).all()
        np.testing.assert_allclose(shares.sum(axis=1), 1.0)


class TestKeys:
    def test_columns_of_a_data_frame(self):
        X, by = drawn(2, 30)
        frame = pd.DataFrame(
            {"x": X[:, 0], "shop": np.where(by, "b", "a"), "day": by, "y": X[:, 1]}
        )
        two = fit_groups(frame, ["shop", "day"], 1)
        one = fit_groups(frame.assign(day=X[:, 0] - X[:, 1] ** 2), "shop", 1)
        assert one.keys == ("a", "b") and two.keys == (("a", 0), ("b", 1))
        assert two.feature_names == ("x", "y") and one.feature_names == ("x", "day", "y")
        beside = fit_groups(frame[["x", "y"]], frame["shop"], 1)
        np.testing.assert_array_equal(beside.means, two.means)
        np.testing.assert_allclose(two.means[1], [X[by == 1].mean(axis=0)], rtol=1e-12)
        swapped = frame[["y", "day", "shop", "x"]]
        np.testing.assert_array_equal(
            two.logpdf(swapped, ["shop", "day"]), two.logpdf(frame, ["shop", "day"])
        )
        assert two.to_frame()["key"].tolist() == ["('a', 0)", "('b', 1)"]

    def test_few_groups_are_ordinary_fits(self):
        kernels.use("auto")  # not loaded, whatever ran before
        X, by = drawn(2)
        groups = fit_groups(X, by, 2)
        own = GaussianMixture(2, random_state=0).fit(X[by == 1]).mixture_
        assert groups.alone.all()
        np.testing.assert_array_equal(groups[1].covariances, own.covariances)

    @pytest.mark.parametrize(
        ("by", "said"),
        [
            (["a"] * 3, "one key for each row"),
            ("shop", "names a column"),
            (["a", None, "b", "b"], "row 1 has no group"),
            ([1.0, 2.0, np.nan, 2.0], "row 2 has no group"),
        ],
    )
    def test_keys_that_cannot_be_used(self, by, said):
        with pytest.raises(InputError, match=said):
            fit_groups(np.eye(4)[:, :2], by, 1)

    def test_parameters_and_groups_that_cannot_be_used(self):
        X, by = drawn(2, 20)
        with pytest.raises(InputError, match="no factor"):
            fit_groups(X, by, 1, "factor:1")
        with pytest.raises(InputError, match="reg_covar"):
            fit_groups(X, by, 1, reg_covar=-1.0)
        with pytest.raises(InputError, match="n_init=0"):
            fit_groups(X, by, 1, n_init=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            groups = fit_groups(X, by, 1)
        with pytest.raises(InputError, match="1 groups were not fitted"):
            groups.predict(X[:2], [0, 5])
        with pytest.raises(KeyError):
            groups[9]
        assert 1 in groups and 9 not in groups and len(groups) == 2
