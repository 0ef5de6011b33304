"""Metrics of densities and intervals against quadrature and their definitions."""

import numpy as np
import pytest
import sklearn.metrics as theirs
from hypothesis import given, settings
from scipy.integrate import quad
from scipy.special import gammaln, hyp1f1
from scipy.stats import norm

from mixtura import (
    DensityEstimator,
    InputError,
    InputTypeError,
    Mixture,
    Noise,
    StudentT,
    metrics,
)
from strategies import seeds


def some(seed, k=3, d=1, spread=2.0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, d, d + 2))
    covariances = root @ root.swapaxes(1, 2) / d + 0.1 * np.eye(d)
    return Mixture(rng.dirichlet(np.ones(k)), spread * rng.normal(size=(k, d)), covariances)


class Each:
    """One mixture a row as arrays, as conditionals come: k components each."""

    def __init__(self, mixtures):
        self.mixtures = list(mixtures)
        names = ("weights", "means", "covariances")
        for name in names:
            setattr(self, name, np.stack([getattr(one, name) for one in self.mixtures]))
        self.n_components, self.n_features = self.means.shape[1:]

    def __len__(self):
        return len(self.mixtures)

    def __getitem__(self, rows):
        return Each(self.mixtures[rows])

    def logpdf(self, X):
        return np.array([one.logpdf([x])[0] for one, x in zip(self.mixtures, X, strict=True)])

    def cdf(self, x):
        return np.array([one.cdf(v) for one, v in zip(self.mixtures, x, strict=True)])


HEAVY = Mixture([0.4, 0.6], [[0.0], [2.0]], [[[1.0]], [[0.5]]], law=StudentT(np.array([6.0, 8.0])))
NOISY = Mixture([1.0], [[0.0]], [[[1.0]]], noise=Noise(0.2, np.array([-9.0]), np.array([11.0])))


# ---- densities


def test_log_score():
    p, y = some(0, d=2), np.array([[0.0, 1.0], [np.nan, 2.0]])
    rows = [p.logpdf(y[[0]])[0], p.marginal(1).logpdf([[2.0]])[0]]
    assert metrics.log_score(y, p) == pytest.approx(np.mean(rows), rel=1e-14)
    assert metrics.log_score(y, p, average=False) == pytest.approx(rows, rel=1e-14)
    assert metrics.log_score(y, p, sample_weight=[1, 3]) == pytest.approx(
        (rows[0] + 3 * rows[1]) / 4, rel=1e-14
    )


def integrated_crps(mixture, y):
    """∫ (F(x) - [y <= x])² dx, on either side of y."""
    low = quad(lambda x: mixture.cdf(x) ** 2, -60, y, limit=400, epsabs=1e-11)[0]
    return low + quad(lambda x: mixture.sf(x) ** 2, y, 60, limit=400, epsabs=1e-11)[0]


@pytest.mark.parametrize("y", [-7.0, 0.3, 25.0])
def test_crps_is_the_integral(y):
    p = some(1)
    assert metrics.crps([y], p) == pytest.approx(integrated_crps(p, y), abs=1e-8)


def test_crps_of_one_gaussian():
    """``σ (z (2Φ(z) - 1) + 2 φ(z) - 1/√π)`` (Gneiting & Raftery 2007, equation 21)."""
    y, m, s = np.array([1e8 - 3.0, 1e8, 1e8 + 0.5]), 1e8, 0.25
    z = (y - m) / s
    exact = s * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    one = Mixture([1.0], [[m]], [[[s**2]]])
    assert metrics.crps(y, one, average=False) == pytest.approx(exact, rel=1e-12)


def test_a_mixture_for_each_row():
    """As arrays, as a list with different k, and one by one."""
    y = np.array([0.1, -2.0, 3.0])
    each = [some(seed) for seed in range(3)]
    for score in (metrics.crps, metrics.log_score):
        alone = [score([v], one) for v, one in zip(y, each, strict=True)]
        assert score(y, Each(each), average=False) == pytest.approx(alone, rel=1e-13)
        mixed = [each[0], some(7, k=2), some(8, k=5)]
        alone = [score([v], one) for v, one in zip(y, mixed, strict=True)]
        assert score(y, mixed, average=False) == pytest.approx(alone, rel=1e-13)
    alone = [one.cdf(v) for v, one in zip(y, each, strict=True)]
    assert metrics.pit(y, each) == pytest.approx(alone) == metrics.pit(y, Each(each))


def test_blocks_of_rows_change_nothing(monkeypatch):
    y, each = np.linspace(-3, 3, 7), [some(seed) for seed in range(7)]
    whole = metrics.crps(y, each, average=False)
    energy = metrics.energy_score(np.column_stack([y, y]), [some(s, d=2) for s in range(7)])
    monkeypatch.setattr("mixtura.metrics.predicted._CELLS", 20)
    monkeypatch.setattr("mixtura.metrics.energy._CELLS", 2)
    np.testing.assert_array_equal(metrics.crps(y, each, average=False), whole)
    again = metrics.energy_score(np.column_stack([y, y]), [some(s, d=2) for s in range(7)])
    assert again.value == pytest.approx(energy.value, rel=1e-13)


def test_other_densities_with_the_same_methods():
    rows = np.random.default_rng(0).exponential(1.0, (200, 1))
    fit = DensityEstimator(bounds=(0, None), random_state=0).fit(rows)
    assert metrics.log_score(rows, fit.density_) == pytest.approx(fit.score(rows), rel=1e-12)
    assert metrics.pit(rows, fit.density_) == pytest.approx(fit.pit(rows), abs=1e-14)


# ---- the energy score


def mean_length(offset, deviation, d):
    """E|x| for x ~ N(offset, deviation² I): the mean of a noncentral chi, by 1F1."""
    shift = np.sum(offset**2) / (2 * deviation**2)
    ratio = np.exp(gammaln((d + 1) / 2) - gammaln(d / 2))
    return np.sqrt(2) * deviation * ratio * hyp1f1(-0.5, d / 2, -shift)


@pytest.mark.parametrize("d", [2, 3, 8])
def test_energy_of_round_components(d):
    rng = np.random.default_rng(d)
    means, deviations = rng.normal(size=(3, d)), np.array([0.01, 1.0, 7.0])
    weights = np.array([0.2, 0.5, 0.3])
    p = Mixture(weights, means, deviations**2, covariance_type="spherical")
    rows = np.vstack([means[0], rng.normal(size=d), 40 + rng.normal(size=d)])
    found = metrics.energy_score(rows, p, average=False)
    near = np.array(
        [[mean_length(y - m, s, d) for m, s in zip(means, deviations, strict=True)] for y in rows]
    )
    apart = np.array(
        [
            [mean_length(m - o, np.hypot(s, t), d) for o, t in zip(means, deviations, strict=True)]
            for m, s in zip(means, deviations, strict=True)
        ]
    )
    exact = near @ weights - 0.5 * weights @ apart @ weights
    assert found.value == pytest.approx(exact, rel=1e-12, abs=1e-12)
    assert (np.abs(found.value - exact) <= found.error + 1e-15).all()
    assert found.error.max() < 1e-11


@pytest.mark.parametrize("ratio", [1.0, 1e-4, 1e-12])
def test_energy_of_flat_components(ratio):
    """Against the integral over the angle: E|x| of a centred Gaussian in the plane."""
    p = Mixture([1.0], [[0.0, 0.0]], [np.diag([1.0, ratio])])
    angle = quad(
        lambda a: np.sqrt(np.cos(a) ** 2 + ratio * np.sin(a) ** 2), 0, np.pi / 2, epsabs=1e-13,
        limit=400,
    )[0]  # fmt: skip
    length = np.sqrt(np.pi / 2) * angle * 2 / np.pi
    found = metrics.energy_score([[0.0, 0.0]], p)
    assert found.value == pytest.approx(length * (1 - np.sqrt(2) / 2), abs=1e-10)


def test_energy_of_each_row_against_draws():
    each, y = [some(seed, d=3) for seed in range(4)], np.random.default_rng(0).normal(size=(4, 3))
    found = metrics.energy_score(y, Each(each), average=False)
    assert found.value == pytest.approx(metrics.energy_score(y, each, average=False).value)
    for row, one in enumerate(each):
        alone = metrics.energy_score(y[[row]], one).value
        assert found.value[row] == pytest.approx(alone, rel=1e-12)
        pairs = one.sample(40_000, row).reshape(2, -1, 3)
        drawn = np.linalg.norm(pairs[0] - y[row], axis=1)
        drawn -= 0.5 * np.linalg.norm(pairs[0] - pairs[1], axis=1)
        assert abs(drawn.mean() - alone) < 4 * drawn.std() / np.sqrt(len(drawn))
    weighted = metrics.energy_score(y, each, sample_weight=[1, 0, 0, 3])
    assert weighted.value == pytest.approx((found.value[0] + 3 * found.value[3]) / 4)


def test_energy_of_one_feature_is_the_crps():
    p, y = some(3), [0.0, 4.0]
    assert metrics.energy_score(y, p).value == metrics.crps(y, p)
    assert metrics.energy_score(y, p).error == 0.0


@pytest.mark.parametrize("mixture", [HEAVY, NOISY], ids=["t", "noise"])
def test_energy_by_draws(mixture):
    y = [0.5, 3.0, -6.0]
    exact = np.mean([integrated_crps(mixture, v) for v in y])
    found = metrics.energy_score(y, mixture)
    assert abs(found.value - exact) < 4 * found.error + 1e-4  # tails beyond 60
    assert 0 < found.error < 0.02
    rows = metrics.energy_score(y, mixture, average=False)
    assert rows.value.mean() == pytest.approx(found.value, rel=1e-12)


def test_the_truth_scores_best():
    """Proper scores: in expectation no other density does better."""
    truth, other = some(4, d=2), some(5, d=2)
    rows = truth.sample(4000, 0)
    assert metrics.log_score(rows, truth) > metrics.log_score(rows, other)
    good, bad = (metrics.energy_score(rows, one).value for one in (truth, other))
    assert good < bad


def test_what_densities_refuse():
    p = some(0)
    for mixture in (HEAVY, NOISY):
        with pytest.raises(InputError, match="energy_score estimates"):
            metrics.crps([0.0], mixture)
    with pytest.raises(InputError, match="row by row"):
        metrics.energy_score([0.0, 1.0], [HEAVY, HEAVY])
    cauchy = Mixture([1.0], [[0.0]], [[[1.0]]], law=StudentT(np.array([1.5])))
    with pytest.raises(InputError, match="two degrees of freedom"):
        metrics.energy_score([0.0], cauchy)
    with pytest.raises(InputError, match=r"marginal\(feature\)"):
        metrics.crps([[0.0, 0.0]], some(0, d=2))
    with pytest.raises(InputError, match="NaN in row 1"):
        metrics.crps([0.0, np.nan], p)
    with pytest.raises(InputError, match="2 predictions for 3 rows"):
        metrics.crps([0.0, 1.0, 2.0], [p, p])
    with pytest.raises(InputTypeError, match="mixture_"):
        metrics.log_score([[0.0]], "normal")
    with pytest.raises(InputError, match="average=False"):
        metrics.crps([0.0], p, sample_weight=[1.0], average=False)
    with pytest.raises(InputError, match="draws=5"):
        metrics.energy_score([0.0], HEAVY, draws=5)


# ---- intervals and calibration


@pytest.mark.parametrize("mixture", [some(6), HEAVY, NOISY], ids=["gaussian", "t", "noise"])
def test_transforms_of_draws_are_uniform(mixture):
    u = metrics.pit(mixture.sample(4000, 0), mixture)
    gap = np.abs(np.sort(u) - (np.arange(4000) + 0.5) / 4000).max()
    assert gap < 1.95 / np.sqrt(4000)  # Kolmogorov, 0.1 %
    curve = metrics.coverage_curve(mixture.sample(4000, 1), mixture)
    assert (np.abs(curve.coverage - curve.levels) < 4 * curve.error).all()
    assert curve.distance == np.abs(curve.coverage - curve.levels).max()


def test_coverage_curve_counts_intervals():
    p, y = some(6), some(6).sample(200, 0)[:, 0]
    levels, held = metrics.coverage_curve(y, p, levels=[0.3, 0.9])
    for level, share in zip(levels, held, strict=True):
        low, high = p.quantile([(1 - level) / 2, (1 + level) / 2])
        assert share == metrics.coverage(y, np.full(200, low), np.full(200, high))
    with pytest.raises(InputError, match=r"within 0\.\.1"):
        metrics.coverage_curve(y, p, levels=[1.2])


@settings(max_examples=10)
@given(seed=seeds())
def test_interval_score_by_its_definition(seed):
    rng = np.random.default_rng(seed)
    y, ends = rng.normal(size=20), np.sort(rng.normal(size=(2, 20)), axis=0)
    exact = []
    for v, low, high in zip(y, *ends, strict=True):
        score = high - low
        if v < low:
            score += 2 / 0.2 * (low - v)
        if v > high:
            score += 2 / 0.2 * (v - high)
        exact.append(score)
    found = metrics.interval_score(y, *ends, level=0.8, average=False)
    assert found == pytest.approx(exact, rel=1e-12)
    # two pinball losses: a third way
    pinball = theirs.mean_pinball_loss(y, ends[0], alpha=0.1)
    pinball += theirs.mean_pinball_loss(y, ends[1], alpha=0.9)
    assert metrics.interval_score(y, *ends, level=0.8) == pytest.approx(
        2 / 0.2 * pinball, rel=1e-12
    )


def test_what_intervals_refuse():
    with pytest.raises(InputError, match="exchanged"):
        metrics.coverage([0.0], [1.0], [-1.0])
    with pytest.raises(InputError, match="lower has 2 rows"):
        metrics.coverage([0.0], [1.0, 0.0], [1.0])
    with pytest.raises(InputError, match="level=95"):
        metrics.interval_score([0.0], [1.0], [1.0], level=95)
    with pytest.raises(InputError, match="row 0 is nan"):
        metrics.coverage([np.nan], [1.0], [1.0])
