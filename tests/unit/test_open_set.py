"""The open-set classifier: densities by SciPy, guarantees by simulation."""

import numpy as np
import pytest
from scipy import integrate, linalg, optimize, stats

from mixtura import OpenSetClassifier
from mixtura._errors import InputError
from mixtura.fit.class_gaussians import Shape, class_densities
from mixtura.fit.class_scatter import Labelled
from mixtura.fit.class_shape import _tempered, log_posterior
from mixtura.inference.conformal import Conformal
from mixtura.inference.conformal_sets import ConformalSets, adaptive, least_ambiguous
from mixtura.inference.open_set import held_out


def drawn(n, seed, classes=3, d=2):
    """Rows of Gaussian classes whose means are fixed; they overlap."""
    means = np.random.default_rng(7).normal(0, 2.0, (classes, d))
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    return means[y] + rng.normal(size=(n, d)) * (1.0 + 0.3 * y[:, None]), y


@pytest.fixture(scope="module")
def fitted():
    return OpenSetClassifier(calibration=None, random_state=0).fit(*drawn(300, 0))


# ---- densities


@pytest.mark.parametrize(
    ("pooling", "rank", "common"),
    [(3.0, 5, False), (3.0, 2, False), (np.inf, 2, True), (3.0, 5, True)],
)
def test_densities_are_those_of_shrunk_covariances(pooling, rank, common):
    """By SciPy, from the definitions; beyond the rank, eigenvalues beside W are averaged."""
    rng = np.random.default_rng(1)
    y, shrinkage = np.repeat([0, 1, 2], [4, 9, 20]), 0.3  # the first class has fewer rows than d
    X = rng.normal(size=(33, 5)) @ rng.normal(size=(5, 5)) + 3.0 * y[:, None]
    times = rng.integers(1, 4, 33)
    shape = Shape(shrinkage, pooling, rank, 1, common)
    found = class_densities(Labelled.of(X, y, times.astype(float), 3), shape, 0, broad=True)
    X, y = np.repeat(X, times, axis=0), np.repeat(y, times)
    means = np.array([X[y == c].mean(axis=0) for c in range(3)])
    scatters = [np.cov(X[y == c].T, bias=True) * np.sum(y == c) for c in range(3)]
    within = shrunk(sum(scatters) / (len(X) - 3), shrinkage, common)
    new = rng.normal(size=(7, 5)) * 5.0
    logs = found.log_densities(new)
    for c in range(3):
        values, vectors = linalg.eigh(scatters[c], within)
        values[: 5 - rank] = values[: 5 - rank].mean() if rank < 5 else values[:0]
        scatter = within @ vectors @ np.diag(values) @ vectors.T @ within
        dof = np.sum(y == c) - 1
        sigma = within if np.isinf(pooling) else (pooling * within + scatter) / (pooling + dof)
        wanted = stats.multivariate_normal(means[c], sigma).logpdf(new)
        np.testing.assert_allclose(logs[:, c], wanted, rtol=1e-9)
    np.testing.assert_allclose(np.exp(found.log_priors), np.bincount(y) / len(y), rtol=1e-12)
    total = shrunk(np.cov(X.T, bias=True), shrinkage, common)
    parts = [stats.multivariate_normal(X.mean(axis=0), f * total).pdf(new) for f in (1.0, 1e4)]
    broad = found.background.log_density(new)
    np.testing.assert_allclose(broad, np.log(0.99 * parts[0] + 0.01 * parts[1]), rtol=1e-9)


def shrunk(covariance, shrinkage, common):
    variances = covariance.diagonal()
    target = np.diag(np.full(len(variances), variances.mean()) if common else variances)
    return (1 - shrinkage) * covariance + shrinkage * target


def test_classes_of_several_gaussians_are_densities():
    """Each integrates to one; two far groups in one class are two Gaussians."""
    rng = np.random.default_rng(2)
    X = np.concatenate([rng.normal(m, 1.0, 40) for m in (-20.0, 0.0, 20.0)])[:, None]
    y = np.repeat([0, 1, 0], 40)
    found = class_densities(Labelled.of(X, y, None, 2), Shape(0.5, 5.0, 16, 2), 0, broad=True)
    assert found.owners.tolist() == [0, 0, 1, 1]
    grid = np.linspace(-60, 60, 4001)[:, None]
    mass = integrate.simpson(np.exp(found.log_densities(grid)), x=grid[:, 0], axis=0)
    np.testing.assert_allclose(mass, 1.0, atol=1e-6)
    at = np.exp(found.log_densities(np.array([[-20.0], [0.0], [20.0]])))
    assert (at[[0, 2], 0] > 0.1).all() and at[1, 0] < 1e-6


@pytest.mark.parametrize("change", ["scale", "constant", "order"])
def test_what_must_not_matter_does_not(change):
    """Units, columns that are constant, and the order of the rows."""
    (X, y), (new, _) = drawn(120, 3, d=3), drawn(20, 4, d=3)
    options = {"units": "own" if change == "scale" else "auto", "random_state": 0}
    plain = OpenSetClassifier(**options).fit(X, y)
    wanted = plain.p_values(new), plain.predict_proba(new)
    if change == "scale":
        X, new = (rows * [1e-100, 1.0, 2.0**30] + [0, 1e5, 0] for rows in (X, new))
    elif change == "constant":
        X = np.column_stack([X, np.full(len(X), 1e9 / 3)])
        new = np.column_stack([new, np.arange(len(new))])
    else:
        order = np.random.default_rng(0).permutation(len(X))
        X, y = X[order], y[order]
    found = OpenSetClassifier(**options).fit(X, y)
    np.testing.assert_array_equal(found.p_values(new), wanted[0])
    np.testing.assert_allclose(found.predict_proba(new), wanted[1], rtol=1e-6)  # eps * 1e5 / sd


def test_rows_far_away_are_novel_whatever_their_direction():
    """Also where a rare class is far wider than the rest."""
    rng = np.random.default_rng(5)
    wide = rng.normal(size=(60, 2)) * [40.0, 1.0]
    X = np.concatenate([rng.normal(size=(400, 2)), wide])
    model = OpenSetClassifier(pooling=1.0, shrinkage=0.1, random_state=0)
    model.fit(X, np.repeat([0, 1], [400, 60]))
    angle = np.linspace(0.0, np.pi, 25)
    far = np.column_stack([np.cos(angle), np.sin(angle)])
    for distance in (1e3, 1e6, 1e100):
        np.testing.assert_allclose(model.p_values(distance * far), 1.0 / 93.0, rtol=1e-12)


@pytest.mark.parametrize("distance", [1e155, 1e200, 1.7e308])
def test_rows_whose_squares_are_no_numbers_are_judged_as_those_far_away(fitted, distance):
    """The limit is that of the direction; 1e100 deviations off are there already."""
    angle = np.linspace(0.1, 2.0 * np.pi, 7)
    ahead = np.column_stack([np.cos(angle), np.sin(angle)])
    near, far = ({"X": size * ahead} for size in (1e100, distance))
    np.testing.assert_allclose(fitted.predict_proba(**far), fitted.predict_proba(**near))
    assert (fitted.novelty(**far) > fitted.novelty(**near)).all()
    assert np.isfinite(fitted.novelty(**far)).all()


def test_a_row_far_away_is_held_out_or_fitted():
    X, y = drawn(60, 0)
    X[3] = 1e200
    for seed in range(4):
        found = OpenSetClassifier(random_state=seed).fit(X, y)
        assert np.isfinite(found.predict_proba(X)).all() and np.isfinite(found.novelty(X)).all()


@pytest.mark.parametrize("total", [1e-140, 0.1, 1.0])
def test_weights_that_are_shares_of_little(total):
    """Less than a row in all says nothing of the deviations, which do not become smaller."""
    X, y = drawn(60, 0)
    options = {"shrinkage": 0.5, "pooling": np.inf, "calibration": None, "random_state": 0}
    one, other = (
        OpenSetClassifier(**options).fit(X, y, sample_weight=np.full(60, share / 60))
        for share in (1.0, total)
    )
    np.testing.assert_allclose(other.predict_proba(X), one.predict_proba(X), rtol=1e-6)


def test_heavy_rows_of_large_numbers():
    X, y = drawn(60, 0)
    found = OpenSetClassifier(random_state=0).fit(X * 1e200, y, sample_weight=np.full(60, 1e140))
    assert np.isfinite(found.predict_proba(X * 1e200)).all()


def test_rows_of_single_precision():
    X, y = drawn(60, 0)
    one, other = (OpenSetClassifier(random_state=0).fit(rows, y) for rows in (X, X.astype("f4")))
    np.testing.assert_allclose(other.predict_proba(X), one.predict_proba(X), atol=1e-3)


@pytest.mark.parametrize("size", [1e-310, 1e306])
def test_columns_that_no_number_brings_to_size_are_refused(size):
    X, y = drawn(60, 0)
    with pytest.raises(InputError, match=r"column 1 spans .*: scale it"):
        OpenSetClassifier().fit(X * [1.0, size], y)


def test_the_temperature_is_the_best_one():
    rng = np.random.default_rng(6)
    truth, weights = rng.integers(0, 4, 200), rng.uniform(0.5, 2.0, 200)
    logs = rng.normal(size=(200, 4)) * 5.0
    logs[np.arange(200), truth] += 6.0
    priors = np.log([0.1, 0.2, 0.3, 0.4])

    def loss(log_t):
        joint = logs / np.exp(log_t) + priors
        own = joint[np.arange(200), truth] - np.log(np.exp(joint).sum(axis=1))
        return -np.average(own, weights=weights)

    best = optimize.minimize_scalar(loss, bracket=(0.0, 1.0))
    temperature, score = _tempered(logs, truth, weights, priors)
    assert temperature == pytest.approx(np.exp(best.x), rel=0.02)  # xatol=1e-3 in 1/T
    assert score == pytest.approx(-best.fun, abs=1e-4)
    np.testing.assert_allclose(np.exp(log_posterior(logs, priors, 3.0)).sum(axis=1), 1.0)


# ---- guarantees


REPEATS, HELD = 2000, 39


@pytest.fixture(scope="module")
def judged(fitted):
    """Posteriors, ratios and classes of 2000 sets of 39 rows held out and a new one."""
    X, y = drawn(REPEATS * (HELD + 1), 8)
    posterior, ratio = fitted.model_.judged(X)
    shape = REPEATS, HELD + 1
    return posterior.reshape(*shape, 3), ratio.reshape(shape), y.reshape(shape)


def near(share, wanted, n):
    """Within four binomial deviations."""
    return abs(share - wanted) < 4.0 * np.sqrt(wanted * (1.0 - wanted) / n)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.33])
def test_p_values_are_exact(judged, alpha):
    """``P(p <= α) = floor(α (n + 1)) / (n + 1)`` for a score without ties."""
    _, ratio, _ = judged
    p = np.array([Conformal.of(one[:-1]).p_values(one[-1:])[0] for one in ratio])
    assert near(np.mean(p <= alpha), np.floor(alpha * (HELD + 1)) / (HELD + 1), REPEATS)


@pytest.mark.parametrize("error_rate", [0.05, 0.2])
@pytest.mark.parametrize("score", [least_ambiguous, adaptive])
def test_sets_hold_the_class_as_often_as_promised(judged, score, error_rate):
    """Exactly where scores do not tie, else at least."""
    posterior, _, y = judged
    inside = []
    for logs, codes in zip(posterior, y, strict=True):
        sets = ConformalSets.of(score, logs[:-1], codes[:-1])
        inside.append(sets.members(logs[-1:], error_rate)[0, codes[-1]])
    slack = 4.0 * np.sqrt(error_rate * (1.0 - error_rate) / REPEATS)
    assert np.mean(inside) > 1.0 - error_rate - slack
    if score is least_ambiguous:
        assert np.mean(inside) < 1.0 - error_rate + slack


def test_sets_by_class_hold_for_each_class(judged):
    """``P(y ∈ set | y = c) >= 1 - ε`` where the common threshold misses it for one class."""
    posterior, _, y = judged
    missed = {True: np.zeros(3), False: np.zeros(3)}
    for logs, codes in zip(posterior, y, strict=True):
        for by_class in missed:
            sets = ConformalSets.of(least_ambiguous, logs[:-1], codes[:-1], by_class=by_class)
            missed[by_class][codes[-1]] += not sets.members(logs[-1:], 0.2)[0, codes[-1]]
    counts = np.bincount(y[:, -1])
    slack = 4.0 * np.sqrt(0.16 / counts)
    assert (missed[True] / counts < 0.2 + slack).all()
    assert (missed[False] / counts > 0.2 + slack).any()


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("score", [least_ambiguous, adaptive])
def test_sets_are_those_of_the_definition(score, by_class):
    """By loops, with a weight as so many rows."""
    rng = np.random.default_rng(9)
    held, new = (np.round(rng.dirichlet(np.ones(4), n), 1) + 0.05 for n in (30, 10))
    codes, times = rng.integers(0, 4, 30), rng.integers(0, 3, 30)
    sets = ConformalSets.of(score, np.log(held), codes, times.astype(float), by_class=by_class)

    def conformity(row, c):
        return np.log(row[c]) if score is least_ambiguous else -row[row > row[c]].sum()

    for row, members in zip(new, sets.members(np.log(new), 0.15), strict=True):
        for c in range(4):
            scores = [
                conformity(one, code)
                for one, code, n in zip(held, codes, times, strict=True)
                for _ in range(n)
                if not by_class or code == c
            ]
            as_low = sum(s <= conformity(row, c) + 1e-12 for s in scores)
            assert members[c] == ((1 + as_low) / (1 + len(scores)) > 0.15 + 1e-12)


def test_rows_held_out_are_apart_from_those_fitted():
    """Equal rows on one side, a row of each class to fit, and the share asked for."""
    rng = np.random.default_rng(10)
    X, y = rng.integers(0, 6, (400, 2)).astype(float), rng.integers(0, 3, 400)
    y[:1] = 3
    data = Labelled.of(X, y, None, 4)
    assert data.weights.sum() == 400 and len(data) < 120
    for seed in range(20):
        fit, held = held_out(data, 0.4, seed)
        sides = [{(*row, c) for row, c in zip(s.rows, s.codes, strict=True)} for s in (fit, held)]
        assert not sides[0] & sides[1] and len(fit) + len(held) == len(data)
        assert set(fit.codes) == {0, 1, 2, 3}
        assert abs(len(held) - 0.4 * len(data)) <= 1.5  # rounding, and a row given back


# ---- answers


@pytest.fixture(scope="module")
def named():
    X, y = drawn(400, 11)
    names = np.array(["pay", "move", "ask"])
    return OpenSetClassifier(novel_label="none", random_state=0).fit(X, names[y])


@pytest.fixture(scope="module")
def new():
    return np.concatenate([drawn(60, 12)[0], [[1e3, -1e3], [0.0, 99.0]]])


def test_decisions_follow_from_sets_and_p_values(named, new):
    found = named.decide(new, error_rate=0.1, novelty_rate=0.03)
    sets, p = named.predict_set(new, error_rate=0.1), named.p_values(new)
    probability = named.predict_proba(new)
    for i in range(len(new)):
        best = named.classes_[probability[i].argmax()]
        wanted = {*named.classes_[sets[i]], best}
        assert set(found.candidates[i]) == wanted and found.candidates[i][0] == best
        action = "abstain" if p[i] <= 0.03 else "label" if len(wanted) == 1 else "ask"
        assert found.action[i] == action and found.label[i] == best
    np.testing.assert_allclose(found.entropy, stats.entropy(probability, axis=1), atol=1e-12)
    assert set(found.action) == {"label", "ask", "abstain"}
    assert found.action[-2:].tolist() == ["abstain", "abstain"]
    text = str(found)
    assert text.startswith("62 rows at error rate 0.1, novelty rate 0.03: ")
    assert text.endswith("… and 52 more rows")
    frame = found.to_frame()
    assert frame["candidates"][0] == ", ".join(found.candidates[0]) and len(frame) == 62


def test_novel_rows_have_the_label_asked_for(named, new):
    labels, p = named.predict(new), named.p_values(new)
    assert ((labels == "none") == (p <= 0.05)).all() and (labels[-2:] == "none").all()
    plain = OpenSetClassifier(random_state=0).fit(*drawn(400, 11))
    assert set(plain.predict(new)) <= {0, 1, 2}
    numbered = OpenSetClassifier(novel_label=-1, random_state=0).fit(*drawn(400, 11))
    novel = numbered.p_values(new) <= 0.05
    assert (numbered.predict(new) == np.where(novel, -1, plain.predict(new))).all()


def test_other_rows_calibrate(fitted):
    X, y = drawn(99, 13)
    with pytest.raises(InputError, match="call calibrate"):
        fitted.p_values(X)
    fitted.calibrate(X, y)
    ratio = -fitted.novelty(X)
    wanted = (1 + (ratio[:, None] >= ratio).sum(axis=1)) / 100.0
    np.testing.assert_allclose(fitted.p_values(X), wanted, rtol=1e-12)
    with pytest.raises(InputError, match="were not there"):
        fitted.calibrate(X, y + 2)
    fitted.calibrated_ = None


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"shrinkage": 2.0}, "shrinkage=2.0"),
        ({"pooling": 0}, "singular"),
        ({"rank": 0}, "rank=0"),
        ({"calibration": 1.0}, "calibration=1.0"),
        ({"sets": "small"}, "use one of"),
        ({"novel_label": 1}, "is one of the classes"),
        ({"novel_label": "none"}, "a number among numbers"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        OpenSetClassifier(**options).fit(*drawn(30, 14))


def test_gaps_and_rates_are_refused(named):
    with pytest.raises(InputError, match="row 1, column 0: fill gaps"):
        named.predict([[0.0, 1.0], [np.nan, 2.0]])
    with pytest.raises(InputError, match="error_rate=0"):
        named.decide([[0.0, 1.0]], error_rate=0)
