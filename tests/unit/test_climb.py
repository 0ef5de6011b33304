"""Whole EM runs in compiled code, against the same written with NumPy."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mixtura.fit.em import gain_left
from mixtura.kernels import plain
from mixtura.kernels.layout import DIAGONAL, FULL, SPHERICAL, width

CASES = [(shape, pooled) for shape in (FULL, DIAGONAL, SPHERICAL) for pooled in (False, True)]


@pytest.fixture(scope="module")
def compiled() -> ModuleType:
    pytest.importorskip("numba")
    from mixtura.kernels import compiled

    return compiled


def climb(
    rows: np.ndarray,
    pivot: np.ndarray,
    scale: np.ndarray,
    row_weights: np.ndarray,
    *given: Any,
    max_iter: int = 1000,
    **options: Any,
) -> Any:
    """A race of one."""
    from mixtura.kernels import compiled

    *start, shape, pooled, hard = given
    starts = tuple(part[None] for part in start)
    most = np.array([max_iter])
    frame = rows, pivot, scale, row_weights
    return compiled.race(*frame, starts, shape, pooled, hard, most=most, **options)[0]


def blobs(n: int = 400, d: int = 3, k: int = 3, apart: float = 2.0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(5)
    centres = apart * rng.normal(size=(k, d))
    return centres[rng.integers(k, size=n)] + rng.normal(size=(n, d)), centres


def start(shape: int, k: int, d: int, variance: float = 1.5) -> np.ndarray:
    return {
        FULL: np.repeat(variance * np.eye(d)[None], k, axis=0),
        DIAGONAL: np.full((k, d), variance),
        SPHERICAL: np.full(k, variance),
    }[shape]


def dense(covariances: np.ndarray, shape: int, d: int) -> np.ndarray:
    if shape == FULL:
        return covariances
    return covariances.reshape(len(covariances), -1, 1) * np.eye(d)


class Slow:
    """EM with the plain accurate kernel and an M-step written out."""

    def __init__(self, rows: np.ndarray, row_weights: np.ndarray, hard: bool, prior: Any) -> None:
        self.rows, self.row_weights, self.hard, self.prior = rows, row_weights, hard, prior

    def expect(self, point: tuple[np.ndarray, ...], shape: int) -> tuple[float, np.ndarray]:
        """Objective and sums of the full T(z)."""
        weights, means, covariances = point
        k, d = means.shape
        matrices = dense(covariances, shape, d)
        precisions = np.linalg.inv(matrices)
        factors = np.linalg.cholesky(precisions)
        log_dets = np.linalg.slogdet(matrices)[1]
        norms = -0.5 * (d * np.log(2 * np.pi) + log_dets)
        frame = self.rows, np.zeros(d), np.ones(d)
        given = *frame, np.log(weights), means, factors, norms, FULL
        joint = plain.log_joint(*given)
        top = joint.max(axis=1)
        shares = np.exp(joint - top[:, None])
        values = top if self.hard else top + np.log(shares.sum(axis=1))
        shares = (
            (joint == top[:, None]) * 1.0 if self.hard else shares / shares.sum(axis=1)[:, None]
        )
        w = self.row_weights if len(self.row_weights) else np.ones(len(self.rows))
        sums = (shares * w[:, None]).T @ plain.features(self.rows, FULL).T
        value = float(values @ w)
        if self.prior is not None:
            pseudo, dof, counts = self.prior
            for c in range(k):
                second = unpacked(pseudo[c], d)
                first, mass = pseudo[c, -d - 1 : -1], pseudo[c, -1]
                mean = means[c]
                cross = np.outer(first, mean)
                about = second - cross - cross.T + mass * np.outer(mean, mean)
                value -= 0.5 * (np.vdot(precisions[c], about) + dof[c] * log_dets[c])
                value += counts[c] * np.log(weights[c])
        return value / w.sum(), sums

    def maximize(self, sums: np.ndarray, shape: int, pooled: bool) -> tuple[np.ndarray, ...]:
        k, d = len(sums), int((np.sqrt(8 * sums.shape[1] + 1) - 3) / 2)
        counts = dof = sums[:, -1]
        if self.prior is not None:
            sums, dof, counts = (
                sums + self.prior[0],
                dof + self.prior[1],
                counts + self.prior[2],
            )
        mass = sums[:, -1]
        means = sums[:, -d - 1 : -1] / mass[:, None]
        scatter = np.array([unpacked(row, d) for row in sums])
        scatter -= mass[:, None, None] * np.einsum("ki,kj->kij", means, means)
        if pooled:
            scatter, dof = np.repeat(scatter.sum(0)[None], k, 0), np.full(k, dof.sum())
        covariances = scatter / dof[:, None, None]
        diagonal = covariances.diagonal(axis1=1, axis2=2)
        shaped = {FULL: covariances, DIAGONAL: diagonal, SPHERICAL: diagonal.mean(axis=1)}[shape]
        return counts / counts.sum(), means, shaped


def unpacked(row: np.ndarray, d: int) -> np.ndarray:
    out = np.empty((d, d))
    i, j = np.triu_indices(d)
    out[i, j] = out[j, i] = row[: len(i)]
    return out


def conjugate(k: int, d: int, shape: int) -> tuple[Any, Any]:
    """A prior of half a pseudo-row at (1, ..., 1): for `climb` by shape, and in full."""
    rng = np.random.default_rng(0)
    mean, half = np.ones(d), rng.normal(size=(d, d))
    second = 0.5 * np.outer(mean, mean) + half @ half.T + np.eye(d)
    i, j = np.triu_indices(d)
    kept = {FULL: second[i, j], DIAGONAL: second.diagonal(), SPHERICAL: [np.trace(second)]}
    tails = np.full(k, 3.0), np.full(k, 0.7)
    by_shape = np.tile([*kept[shape], *(0.5 * mean), 0.5], (k, 1))
    full = np.tile([*kept[FULL], *(0.5 * mean), 0.5], (k, 1))
    return (by_shape, *tails), (full, *tails)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("informed", [False, True])
@pytest.mark.parametrize(("shape", "pooled"), CASES)
def test_plain_steps_are_em(
    compiled: ModuleType, shape: int, pooled: bool, informed: bool, weighted: bool
) -> None:
    rows, centres = blobs()
    k, d = centres.shape
    row_weights = np.random.default_rng(1).random(len(rows)) if weighted else np.empty(0)
    prior, full = conjugate(k, d, shape) if informed else (None, None)
    point = np.full(k, 1 / k), centres, start(shape, k, d)
    end = climb(
        *(rows, np.zeros(d), np.ones(d), row_weights, *point, shape, pooled, False),
        prior=prior,
        max_iter=7,
        tol=0.0,
        accelerate=False,
    )
    slow, trace = Slow(rows, row_weights, False, full), []
    for step in range(8):
        value, sums = slow.expect(point, shape)
        trace.append(value)
        if step < 7:
            point = slow.maximize(sums, shape, pooled)
    assert (end.n_iter, end.status) == (7, compiled.EXHAUSTED)
    np.testing.assert_allclose(end.trace, trace, rtol=1e-11)
    for found, expected in zip(end[:3], point, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(end.counts, sums[:, -1], rtol=1e-9)


@pytest.mark.parametrize(("shape", "pooled"), CASES)
def test_leaps_reach_the_same_place_and_never_fall(
    compiled: ModuleType, shape: int, pooled: bool
) -> None:
    rows, centres = blobs(apart=1.5)
    k, d = centres.shape
    given = rows, np.zeros(d), np.ones(d), np.empty(0), np.full(k, 1 / k), centres
    given = *given, start(shape, k, d), shape, pooled, False
    leaping = climb(*given, tol=1e-9, max_iter=20000)
    walking = climb(*given, tol=1e-9, max_iter=20000, accelerate=False)
    assert leaping.status == walking.status == compiled.CONVERGED
    assert (np.diff(leaping.trace) >= -1e-13).all()
    assert (np.diff(walking.trace) >= -1e-13).all()
    assert leaping.trace[-1] > walking.trace[-1] - 1e-7
    assert leaping.n_iter < walking.n_iter


def test_leaps_cross_a_plateau(compiled: ModuleType) -> None:
    """Two crossed elongated clusters with one diagonal covariance: EM takes thousands of steps."""
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal(size=(1500, 2)) * [6, 1], rng.normal(size=(1500, 2)) * [1, 6]])
    rows /= rows.std(axis=0)
    means = np.array([[-0.3, 0.02], [0.31, 0.03]])
    given = rows, np.zeros(2), np.ones(2), np.empty(0), np.full(2, 0.5), means
    given = *given, start(DIAGONAL, 2, 2), DIAGONAL, True, False
    leaping = climb(*given, tol=1e-9, max_iter=100000)
    walking = climb(*given, tol=1e-9, max_iter=100000, accelerate=False)
    assert leaping.trace[-1] == pytest.approx(walking.trace[-1], abs=1e-7)
    assert leaping.n_iter * 20 < walking.n_iter


def test_hard_assignment_is_k_means(compiled: ModuleType) -> None:
    rows, centres = blobs(apart=3.0)
    k, d = centres.shape
    means = centres + 0.5
    end = climb(
        *(rows, np.zeros(d), np.ones(d), np.empty(0), np.full(k, 1 / k), means),
        *(start(SPHERICAL, k, d), SPHERICAL, True, True),
        max_iter=1,
        tol=0.0,
    )
    label = ((rows[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    expected = [rows[label == c].mean(axis=0) for c in range(k)]
    np.testing.assert_allclose(end.means, expected, rtol=1e-12)


def test_ridge_is_added_to_the_variances(compiled: ModuleType) -> None:
    rows, _ = blobs()
    ridge = np.array([0.1, 0.2, 0.4])
    for shape, expected in [(FULL, np.diag(ridge)), (DIAGONAL, ridge), (SPHERICAL, ridge.mean())]:
        given = rows, np.zeros(3), np.ones(3), np.empty(0), np.ones(1), np.zeros((1, 3))
        given = *given, start(shape, 1, 3), shape, False, False
        bare = climb(*given, max_iter=1, tol=0.0)
        more = climb(*given, max_iter=1, tol=0.0, ridge=ridge)
        np.testing.assert_allclose(more.covariances[0] - bare.covariances[0], expected, atol=1e-12)


@pytest.mark.parametrize(("shape", "pooled"), CASES)
def test_collapse_is_handed_back(compiled: ModuleType, shape: int, pooled: bool) -> None:
    """A component on copies of one row: the parameters returned are still good ones."""
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal(size=(50, 2)), np.full((9, 2), 30.0)])
    if pooled:
        rows = np.round(rows / 20)
    means = np.array([[0.0, 0.0], [30.0 if not pooled else 2.0, 30.0 if not pooled else 2.0]])
    end = climb(
        *(rows, np.zeros(2), np.ones(2), np.empty(0), np.full(2, 0.5), means),
        *(start(shape, 2, 2), shape, pooled, False),
        floor=1e-9,
    )
    assert end.status == compiled.CARE
    assert len(end.trace) >= 1
    assert (np.diff(end.trace) >= -1e-13).all()
    assert np.isfinite(end.means).all()
    assert (np.linalg.eigvalsh(dense(end.covariances, shape, 2)) >= 1e-9).all()


def test_lost_digits_are_handed_back(compiled: ModuleType) -> None:
    rows, centres = blobs()
    k, d = centres.shape
    given = np.zeros(d), np.ones(d), np.empty(0), np.full(k, 1 / k), centres + 1e5
    given = *given, start(FULL, k, d), FULL, False, False
    end = climb(rows + 1e5, *given)
    assert end.status == compiled.CARE
    assert len(end.trace) == 0
    assert climb(rows + 1e5, *given, loss=1e-3).status == compiled.CONVERGED


def test_single_precision_rows(compiled: ModuleType) -> None:
    rows, centres = blobs()
    k, d = centres.shape
    given = np.zeros(d), np.ones(d), np.empty(0), np.full(k, 1 / k), centres
    given = *given, start(FULL, k, d), FULL, False, False
    single, double = (climb(rows.astype(kind), *given) for kind in ("f4", "f8"))
    assert single.status == double.status == compiled.CONVERGED
    assert single.trace[-1] == pytest.approx(double.trace[-1], abs=1e-5)
    np.testing.assert_allclose(single.means, double.means, atol=0.02)


@pytest.mark.parametrize(("shape", "pooled"), CASES)
def test_partitions_start_from_their_m_step(compiled: ModuleType, shape: int, pooled: bool) -> None:
    rows, centres = blobs()
    k, d = centres.shape
    rng = np.random.default_rng(3)
    labels = rng.integers(k, size=(2, len(rows)))
    row_weights = rng.random(len(rows))
    sizes = {FULL: (k, d, d), DIAGONAL: (k, d), SPHERICAL: (k,)}[shape]
    nothing = np.empty((2, k)), np.empty((2, k, d)), np.empty((2, *sizes))
    frame = rows, np.full(d, 0.25), np.full(d, 2.0), row_weights
    ends = compiled.race(
        *frame, nothing, shape, pooled, False, most=np.array([0, 3]), labels=labels, tol=0.0
    )
    assert [end.n_iter for end in ends] == [0, 3]
    z = (rows - 0.25) * 2.0
    for end, partition in zip(ends, labels, strict=True):
        shares = np.eye(k)[partition] * row_weights[:, None]
        mass = shares.sum(axis=0)
        means = shares.T @ z / mass[:, None]
        scatter = [((z - m).T * s) @ (z - m) for m, s in zip(means, shares.T, strict=True)]
        whole = np.sum(scatter, axis=0) / mass.sum()
        full = np.array([whole] * k) if pooled else np.array(scatter) / mass[:, None, None]
        diagonal = full.diagonal(axis1=1, axis2=2)
        covariances = {FULL: full, DIAGONAL: diagonal, SPHERICAL: diagonal.mean(axis=1)}[shape]
        point = mass / mass.sum(), means, covariances
        alone = climb(*frame, *point, shape, pooled, False, max_iter=end.n_iter, tol=0.0)
        for found, expected in zip(end[:5], alone[:5], strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_width_of_prior_sums() -> None:
    for shape in (FULL, DIAGONAL, SPHERICAL):
        assert conjugate(2, 3, shape)[0][0].shape == (2, width(shape, 3))


def test_what_a_ridge_still_costs_is_told_like_a_gain():
    assert gain_left(0.0, 1.0, 1.5) == pytest.approx(0.5)
    assert gain_left(0.0, -1.0, -1.5) == pytest.approx(0.5)
    assert gain_left(0.0, -1.0, -2.5) == gain_left(0.0, 1.0, 2.5) == np.inf
    assert gain_left(0.0, -1.0, 0.5) == np.inf
