"""The uniform component: its region, and a mixture beside it."""

import json
from pathlib import Path

import numpy as np
import pytest

from mixtura import Mixture, Noise
from mixtura.fit.outliers import region
from mixtura.frame import Frame
from mixtura.source import MemorySource

STORED = json.loads((Path(__file__).parent.parent / "against" / "noise.json").read_text())


def volume(X, frame=None, **given):
    frame = Frame.identity(X.shape[1]) if frame is None else frame
    found = region(MemorySource(X, **given), frame)
    whole = np.ones(X.shape[1], dtype=bool)
    return np.exp(-found.log_density(whole)) / np.prod(frame.scale), found


@pytest.mark.parametrize("scale", [None, 2.0])
def test_the_volume_is_mclusts(scale, faithful, iris):
    """hypvol(): the smaller of the box and the box of the principal component scores."""
    for X, name in (
        (faithful, "faithful_hypvol"),
        (iris[0], "iris_hypvol"),
        (np.array(STORED["X"]), "hypvol"),
    ):
        d = X.shape[1]
        frame = None if scale is None else Frame(X.mean(axis=0), scale ** np.arange(d))
        assert volume(X, frame)[0] == pytest.approx(STORED[name], rel=1e-9)


def test_weights_count_and_zero_is_absence(faithful):
    w = np.random.default_rng(0).integers(0, 3, len(faithful)).astype(float)
    repeated = volume(np.repeat(faithful, w.astype(int), axis=0))[0]
    assert volume(faithful, weights=w)[0] == pytest.approx(repeated, rel=1e-12)


def test_gaps_use_the_box_and_odd_columns_do_no_harm(faithful):
    gappy = faithful.copy()
    gappy[3, 0] = np.nan
    assert volume(gappy)[0] == pytest.approx(185.5, rel=1e-12)
    seen = volume(gappy)[1]
    assert seen.log_density(np.array([False, True])) == pytest.approx(-np.log(53.0))
    assert seen.log_density(np.zeros(2, dtype=bool)) == 0.0
    constant = np.column_stack([faithful[:, 0], np.full(len(faithful), 7.0)])
    assert np.isfinite(volume(constant)[0])
    collinear = np.column_stack([faithful[:, 0], 2.0 * faithful[:, 0]])
    assert volume(collinear)[0] == pytest.approx(3.5 * 7.0)


def test_the_region_holds_the_rows_and_the_samples(iris):
    found = volume(iris[0])[1]
    assert found.edges is not None
    t = np.linalg.solve(found.edges, (iris[0] - found.corner).T)
    assert -1e-9 < t.min() < 1e-9 and 1 - 1e-9 < t.max() < 1 + 1e-9
    rows = found.sample(200_000, np.random.default_rng(0))
    t = np.linalg.solve(found.edges, (rows - found.corner).T)
    assert t.min() >= 0 and t.max() <= 1
    # The mean of 2e5 uniform rows is off by some 1e-3 of the region's deviation.
    deviation = np.sqrt(found.covariance().diagonal())
    np.testing.assert_allclose(rows.mean(axis=0), found.mean(), atol=5e-3 * deviation.max())
    np.testing.assert_allclose(np.cov(rows.T), found.covariance(), atol=1e-2 * deviation.max() ** 2)


def test_another_frame_is_the_same_region(iris):
    found = volume(iris[0])[1]
    frame = Frame(iris[0].mean(axis=0), np.array([1.0, 2.0, 4.0, 0.5]))
    there = found.reframed(Frame.identity(4), frame)
    whole = np.ones(4, dtype=bool)
    moved = there.log_density(whole) + frame.log_volume
    assert moved == pytest.approx(found.log_density(whole), rel=1e-12)
    np.testing.assert_allclose(frame.unread(there.mean()), found.mean(), rtol=1e-12)
    back = there.reframed(frame, Frame.identity(4))
    np.testing.assert_allclose(back.corner, found.corner, rtol=1e-12)


# ---- a mixture with noise


def beside(share=0.2):
    noise = Noise(share, np.array([-10.0, -5.0]), np.array([10.0, 15.0]))
    means, covariances = [[0.0, 0.0], [4.0, 8.0]], [np.eye(2), [[2.0, 0.5], [0.5, 1.0]]]
    return Mixture([0.3, 0.7], means, covariances, noise=noise)


def test_density_and_responsibilities():
    one, plain = beside(), beside().changed(noise=None)
    X = np.array([[0.0, 0.0], [4.0, 8.0], [-9.0, 14.0], [np.nan, 1.0], [np.nan, np.nan]])
    even = np.array([1 / 400, 1 / 400, 1 / 400, 1 / 20, 1.0])
    np.testing.assert_allclose(one.pdf(X), 0.8 * plain.pdf(X) + 0.2 * even, rtol=1e-13)
    lost = 0.2 * even / one.pdf(X)
    np.testing.assert_allclose(one.outlier_probability(X), lost, rtol=1e-12)
    expected = plain.responsibilities(X) * (1.0 - lost)[:, None]
    np.testing.assert_allclose(one.responsibilities(X), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(one.outlier_weights(X), 1.0 - lost, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(one.predict(X)[:3], [0, 1, -1])
    np.testing.assert_array_equal(plain.outlier_probability(X), 0.0)


def test_samples_moments_and_imputation():
    one = beside()
    X, labels = one.sample(100_000, 0, return_labels=True)
    assert np.mean(labels == -1) == pytest.approx(0.2, abs=0.005)
    # Deviations of 5: means of 1e5 rows are good to 0.02, covariances to 0.2.
    np.testing.assert_allclose(X.mean(axis=0), one.mean(), atol=0.08)
    np.testing.assert_allclose(np.cov(X.T), one.covariance(), atol=0.8)
    row = np.array([[np.nan, 14.0]])
    lost, share = one.outlier_probability(row)[0], one.responsibilities(row)[0]
    conditional = [0.0, 4.0 + 0.5 * (14.0 - 8.0)]
    expected = share @ conditional + lost * 0.0  # the middle of the box's first side
    assert one.impute(row)[0, 0] == pytest.approx(expected)


def test_closed_operations():
    one = beside()
    some = one.take([1])
    odds = some.noise.share / (1.0 - some.noise.share)
    assert odds == pytest.approx(0.2 / (0.8 * 0.7))
    grid = np.linspace(-8, 8, 9)
    rest = one.condition({1: 7.0})
    rows = np.column_stack([grid, np.full(9, 7.0)])
    expected = one.logpdf(rows) - one.marginal([1]).logpdf([[7.0]])
    np.testing.assert_allclose(rest.logpdf(grid[:, None]), expected, atol=1e-12)
    assert one == one.changed() and one != one.changed(noise=one.noise.sharing(0.1))
    assert "noise: 0.200" in repr(one)


def test_certain_noise_is_no_trouble():
    one = beside(1.0)
    X = np.array([[0.0, 0.0], [1e9, 1e9]])
    np.testing.assert_array_equal(one.outlier_probability(X), 1.0)
    np.testing.assert_allclose(one.logpdf(X), -np.log(400.0))
    assert np.isfinite(one.condition({0: 0.0}).weights).all()
