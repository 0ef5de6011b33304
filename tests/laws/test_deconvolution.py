"""Measurement errors: the E-step against loops and 50 digits, and what any fit with them keeps."""

import mpmath
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mixtura import GaussianMixture, Mixture
from mixtura.assignment import hard, soft
from mixtura.block import Block
from mixtura.expectation import expectation
from mixtura.frame import Frame
from mixtura.kernels.layout import DIAGONAL, FULL, SPHERICAL
from mixtura.measurement import Errors
from mixtura.statistics import Moments
from oracle import FAMILIES, plausibility_of
from strategies import make

KINDS = {  # p, projections of each row, noise of each row, noise a matrix
    "own variances": (3, None, True, False),
    "own covariances": (3, None, True, True),
    "common variances": (3, None, False, False),
    "common covariance": (3, None, False, True),
    "own maps": (2, True, True, True),
    "own maps, common noise": (2, True, False, False),
    "one map, own noise": (4, False, True, False),
    "one map, common noise": (2, False, False, True),
}


def measured(kind, X, rng, exact=0.2):
    """Readings of rows, with a fifth of them exact where there are no maps."""
    p, own_maps, own_noise, full = KINDS[kind]
    (n, d), m = X.shape, len(X) if own_noise else 1
    A = None if own_maps is None else rng.normal(size=(n if own_maps else 1, p, d))
    variances = rng.uniform(0.1, 2.0, (m, p))
    if A is None and own_noise:
        variances[rng.random(m) < exact] = 0.0
    R = variances[:, :, None]
    if full:
        root = rng.normal(size=(m, p, p)) * np.sqrt(variances)[:, :, None]
        R = root @ root.swapaxes(1, 2)
    dense = R if full else R * np.eye(p)
    every = np.broadcast_to(np.eye(d) if A is None else A, (n, p, d))
    noise = np.array(
        [rng.multivariate_normal(np.zeros(p), one) for one in np.broadcast_to(dense, (n, p, p))]
    )
    return np.einsum("npd,nd->np", every, X) + noise, A, R, np.broadcast_to(dense, (n, p, p)), every


def loops(mixture, Y, every, dense, w, plausibility, is_hard):
    """The sums of Bovy, Hogg & Roweis (2011), equations 12 to 16, row by row."""
    k, d = mixture.means.shape
    counts, first, second, total = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d)), 0.0
    for i, y in enumerate(Y):
        o = ~np.isnan(y)
        A, R, logs, parts = every[i][o], dense[i][np.ix_(o, o)], np.log(mixture.weights), []
        for c, (mean, S) in enumerate(zip(mixture.means, mixture.covariances, strict=True)):
            T = A @ S @ A.T + R
            if o.any():
                logs[c] += multivariate_normal(A @ mean, T, allow_singular=False).logpdf(y[o])
            gain = S @ A.T @ np.linalg.inv(T)
            parts.append((gain @ (y[o] - A @ mean), S - gain @ A @ S))
        logs = logs if plausibility is None else logs + plausibility[i]
        norm = logs.max() if is_hard else np.logaddexp.reduce(logs)
        shares = np.eye(k)[logs.argmax()] if is_hard else np.exp(logs - norm)
        total += w[i] * norm
        for c, (b, B) in enumerate(parts):
            counts[c] += w[i] * shares[c]
            first[c] += w[i] * shares[c] * b
            second[c] += w[i] * shares[c] * (np.outer(b, b) + B)
    return counts, first, second, total


def framed(mixture):
    """The same mixture in a frame that is not the data's units."""
    frame = Frame(np.array([1.0, -2.0, 0.5]), np.array([0.5, 2.0, 4.0]))
    return mixture.changed(
        location=frame.read(mixture.means),
        structure=mixture.structure.scaled(frame.scale),
        frame=frame,
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("assign", [soft, hard])
def test_the_e_step_is_that_of_loops(kind, assign, kernel):
    rng = np.random.default_rng(5)
    case = make("full", "complete", 5, n=40, k=2)
    mixture = Mixture(case.weights[:2] / case.weights[:2].sum(), case.means, case.array)
    Y, A, R, dense, every = measured(kind, case.X, rng)
    Y = np.where(rng.random(Y.shape) < 0.15, np.nan, Y)
    Y[3] = np.nan
    w = rng.uniform(0.2, 2.0, 40)
    told = plausibility_of(np.where(rng.random(40) < 0.2, 1, -1), 2)
    rows = Y if A is None else np.zeros((40, 3))
    block = Block(rows, w, told, Errors(R, A, None if A is None else Y))
    inner = framed(mixture)
    found = expectation(inner, block, moments=Moments(FULL), assign=assign)
    want = loops(mixture, Y, every, dense, w, told, assign is hard)
    scale = inner.frame.scale
    np.testing.assert_allclose(found.counts, want[0], rtol=1e-10)
    np.testing.assert_allclose(found.first, want[1] * scale, rtol=1e-9, atol=1e-9)
    want_second = want[2] * scale * scale[:, None]
    np.testing.assert_allclose(found.second, want_second, rtol=1e-9, atol=1e-9)
    volume = (~np.isnan(rows) * w[:, None]).sum(axis=0) @ np.log(scale)
    assert found.log_likelihood + volume == pytest.approx(want[3], rel=1e-12)
    for shape, reduce in ((DIAGONAL, "kii->ki"), (SPHERICAL, "kii->k")):
        pooled = expectation(inner, block, moments=Moments(shape, pooled=True), assign=assign)
        total = np.einsum(reduce, want_second).sum(axis=0)
        np.testing.assert_allclose(pooled.second[0], total, rtol=1e-9)


def test_the_e_step_in_fifty_digits(kernel):
    mpmath.mp.dps = 50
    Y = np.array([[0.3, -1.0], [2.5, 0.7], [1.0, 1.0]])
    S = np.array([[0.01, 4.0], [0.3, 0.0], [100.0, 1e-6]])
    mixture = Mixture([0.4, 0.6], [[0.0, 0.0], [2.0, 1.0]], [[[1.0, 0.9], [0.9, 1.0]], np.eye(2)])
    total, second = mpmath.mpf(0), mpmath.zeros(2, 2)
    for y, s in zip(Y, S, strict=True):
        logs, parts = [], []
        for c in range(2):
            V = mpmath.matrix(mixture.covariances[c].tolist())
            T = V + mpmath.diag([mpmath.mpf(v) for v in s])
            off = mpmath.matrix((y - mixture.means[c]).tolist())
            inverse = mpmath.inverse(T)
            squared = (off.T * inverse * off)[0]
            density = mpmath.exp(-squared / 2) / (2 * mpmath.pi * mpmath.sqrt(mpmath.det(T)))
            logs.append(mpmath.mpf(mixture.weights[c]) * density)
            b = V * inverse * off
            parts.append(b * b.T + V - V * inverse * V)
        total += mpmath.log(sum(logs))
        second += parts[0] * (logs[0] / sum(logs))
    found = expectation(mixture, Block(Y, errors=Errors(S[:, :, None])), moments=Moments(FULL))
    assert found.log_likelihood == pytest.approx(float(total), rel=1e-14)
    want = np.array(second.tolist(), dtype=float)
    np.testing.assert_allclose(found.second[0], want, rtol=1e-13)  # some ten roundings of 1e-16


# ---- fits


def test_faithful_with_known_errors(faithful):
    """`algorithms.md`: a stored maximum found by an implementation of its own."""
    i = np.arange(len(faithful))
    S = np.column_stack([0.01 * (1 + i % 3), 4.0 * (1 + i % 5)])
    start = (faithful[:, 0] > 3).astype(int)
    model = GaussianMixture(2, init_params=start, tol=1e-12).fit(faithful, noise_cov=S)
    assert model.lower_bound_ * 272 == pytest.approx(-1133.0502069791, abs=1e-8)
    other = GaussianMixture(2, random_state=0, tol=1e-12)
    other.fit(faithful, noise_cov=np.array([np.diag(row) for row in S]))
    assert other.lower_bound_ * 272 == pytest.approx(-1133.0502069791, abs=1e-8)
    assert model.score(faithful, noise_cov=S) == pytest.approx(model.lower_bound_, rel=1e-12)
    seen = [
        Mixture([1.0], [m], [V + np.diag(S[7])])
        for m, V in zip(model.means_, model.covariances_, strict=True)
    ]
    joint = np.log(model.weights_) + [one.logpdf(faithful[7:8])[0] for one in seen]
    shares = np.exp(joint - np.logaddexp.reduce(joint))
    np.testing.assert_allclose(
        model.predict_proba(faithful[7:8], noise_cov=S[7])[0], shares, rtol=1e-9
    )
    assert model.predict(faithful[7:8], noise_cov=S[7])[0] == shares.argmax()


def fit(X, k=2, **given):
    """From the first half against the second to the very end, so that fits can be compared."""
    options = {name: given.pop(name) for name in ("covariance_type", "prior") if name in given}
    start = given.pop("start", np.arange(len(X)) * 2 // len(X))
    return GaussianMixture(k, init_params=start, tol=0, max_iter=40, **options).fit(X, **given)


def blurry(seed=0, n=150):
    rng = np.random.default_rng(seed)
    X = np.concatenate([rng.normal(0, 1, (n // 2, 3)), rng.normal(4, 0.7, (n - n // 2, 3))])
    X[:, 1] += 0.8 * X[:, 2]
    S = rng.uniform(0.0, 1.5, X.shape) ** 2
    return X + rng.normal(size=X.shape) * np.sqrt(S), S, rng


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "factor:1"])
def test_no_noise_is_an_ordinary_fit(kind):
    Y, _, rng = blurry()
    Y[rng.random(Y.shape) < 0.1] = np.nan
    exact = fit(Y, covariance_type=kind)
    for noise in (0.0, np.zeros((len(Y), 3))):
        found = fit(Y, covariance_type=kind, noise_cov=noise)
        if kind == "factor:1":  # whose leaps depend on how sums were rounded
            assert found.lower_bound_ == pytest.approx(exact.lower_bound_, rel=1e-8)
            continue
        np.testing.assert_allclose(found.means_, exact.means_, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(found.covariances_, exact.covariances_, rtol=1e-9, atol=1e-10)
        assert found.lower_bound_ == pytest.approx(exact.lower_bound_, rel=1e-11)


def test_infinite_noise_is_a_gap():
    Y, S, rng = blurry()
    absent = rng.random(Y.shape) < 0.2
    gaps = fit(np.where(absent, np.nan, Y), noise_cov=S)
    infinite = fit(np.where(absent, Y + 50.0, Y), noise_cov=np.where(absent, np.inf, S))
    np.testing.assert_allclose(infinite.means_, gaps.means_, rtol=1e-8)
    huge = gaps.score_samples(Y, noise_cov=np.where(absent, 1e12, S))
    lost = np.log(2.0 * np.pi * 1e12) / 2.0 * absent.sum(axis=1)
    want = gaps.score_samples(np.where(absent, np.nan, Y), noise_cov=S)
    np.testing.assert_allclose(huge + lost, want, atol=1e-8)


def test_a_projection_on_coordinates_is_a_pattern_of_gaps():
    """Rows that see two of three coordinates, in any order, are rows with a gap."""
    Y, S, rng = blurry()
    pairs = np.array([rng.permutation(3)[:2] for _ in Y])
    A = np.eye(3)[pairs]
    seen, noise = (np.take_along_axis(one, pairs, axis=1) for one in (Y, S))
    hidden = np.ones(Y.shape, dtype=bool)
    np.put_along_axis(hidden, pairs, False, axis=1)
    model = GaussianMixture(2, random_state=0, tol=1e-11).fit(
        np.where(hidden, np.nan, Y), noise_cov=S
    )
    other = GaussianMixture(2, random_state=0, tol=1e-11).fit(seen, noise_cov=noise, projection=A)
    assert other.n_features_in_ == 3
    assert other.lower_bound_ == pytest.approx(model.lower_bound_, rel=1e-8)
    np.testing.assert_allclose(other.means_, model.means_, atol=1e-3)  # two climbs, each stopped
    logs = other.score_samples(seen, noise_cov=noise, projection=A)
    assert logs.mean() == pytest.approx(other.lower_bound_, rel=1e-12)


def test_one_map_for_all_rows_is_a_change_of_coordinates():
    Y, S, rng = blurry()
    turn = rng.normal(size=(3, 3))
    model = GaussianMixture(2, random_state=0, tol=1e-11).fit(Y, noise_cov=S)
    other = GaussianMixture(2, random_state=0, tol=1e-11).fit(Y, noise_cov=S, projection=turn)
    np.testing.assert_allclose(other.means_ @ turn.T, model.means_, atol=1e-3)
    assert other.lower_bound_ == pytest.approx(model.lower_bound_, rel=1e-8)
    assert other.bic(Y, noise_cov=S, projection=turn) == pytest.approx(model.bic(Y, noise_cov=S))


def test_units_do_not_matter():
    """Other units move the end of a climb by rounding; an offset costs of the rows' own digits."""
    Y, S, _ = blurry()
    units = np.array([2.0**-40, 1.0, 2.0**33])
    model, other = fit(Y, noise_cov=S), fit(Y * units, noise_cov=S * units**2)
    np.testing.assert_allclose(other.means_ / units, model.means_, rtol=1e-8)
    np.testing.assert_allclose(
        other.covariances_ / np.outer(units, units), model.covariances_, rtol=1e-7, atol=1e-9
    )
    far = fit(Y + 2.0**30, noise_cov=S)
    np.testing.assert_allclose(far.means_ - 2.0**30, model.means_, atol=1e-5)
    huge = 2.0**508  # sums of variances of 1e306 are no numbers
    found = fit(Y * huge, noise_cov=S * huge**2)
    np.testing.assert_allclose(found.means_ / huge, model.means_, rtol=1e-4)


USUAL = ("full", "VEE", "tied", "VEI", "spherical", "factor:1")
SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in FAMILIES if kind not in USUAL]


@pytest.mark.parametrize("kind", [*USUAL, *SLOW])
def test_every_family_climbs_with_everything_at_once(kind):
    """Gaps, weights, labels and a prior beside errors: the objective never falls, and validates."""
    Y, S, rng = blurry()
    Y[rng.random(Y.shape) < 0.1] = np.nan
    told = np.where(rng.random(len(Y)) < 0.2, np.arange(len(Y)) * 2 // len(Y), -1)
    w = rng.uniform(0.2, 2.0, len(Y))
    model = GaussianMixture(2, covariance_type=kind, random_state=0, prior="fraley-raftery")
    model.fit(Y, noise_cov=S, labels=told, sample_weight=w)
    assert model.converged_
    assert np.diff(model.lower_bounds_).min() > -1e-10
    assert model.means_[0, 0] < 1.0 < 3.0 < model.means_[1, 0]
    if not kind.startswith("factor"):
        facts = model.validate(Y, w, told, noise_cov=S)
        assert facts["the gradient vanishes"].holds


def test_weights_are_repetitions_and_zero_is_absence():
    Y, S, rng = blurry()
    times = rng.integers(0, 3, len(Y))
    weighted = fit(Y, noise_cov=S, sample_weight=times.astype(float))
    several = np.repeat(np.arange(len(Y)), times)
    repeated = fit(Y[several], noise_cov=S[several], start=several * 2 // len(Y))
    np.testing.assert_allclose(repeated.means_, weighted.means_, rtol=1e-8)
    Y[times == 0], S[times == 0] = 1e9, 7.0
    again = fit(Y, noise_cov=S, sample_weight=times.astype(float))
    np.testing.assert_allclose(again.means_, weighted.means_, rtol=1e-10)


def test_deconvolution_finds_what_was_blurred():
    """40 000 rows, in blocks, of variance one, blurred to three: near the truth."""
    rng = np.random.default_rng(0)
    S = rng.uniform(1.0, 3.0, (40_000, 1))
    X = rng.normal(5.0 * (rng.random((40_000, 1)) < 0.3), 1.0)
    Y = X + rng.normal(size=X.shape) * np.sqrt(S)
    model = GaussianMixture(2, random_state=0).fit(Y, noise_cov=S)
    assert model.means_.ravel() == pytest.approx([0.0, 5.0], abs=0.1)
    assert model.covariances_.ravel() == pytest.approx([1.0, 1.0], abs=0.25)
    assert model.score(Y, noise_cov=S) == pytest.approx(model.lower_bound_, rel=1e-12)
    common = GaussianMixture(2, random_state=0).fit(Y, noise_cov=2.0)
    assert common.score(Y, noise_cov=2.0) == pytest.approx(common.lower_bound_, rel=1e-12)
    blurred = GaussianMixture(2, random_state=0).fit(Y)
    assert (blurred.covariances_ > 2.5).all()
