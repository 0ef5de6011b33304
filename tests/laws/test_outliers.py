"""What holds for heavy tails, noise and trimming with every family in every data mode."""

import warnings

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_t

from mixtura import GaussianMixture, Mixture, StudentT, kernels
from mixtura.assignment import hard
from mixtura.covariance import FAMILIES as RULES
from mixtura.expectation import expectation
from mixtura.fit.em import Stop, run
from mixtura.fit.outliers import Outliers
from mixtura.fit.priors import with_prior
from mixtura.fit.problem import state, with_outliers
from mixtura.source import MemorySource
from oracle import FAMILIES, conditional
from strategies import MODES, conjugate, dense, make, spread

KINDS = {
    "t": Outliers(dof="common"),
    "t own": Outliers(dof="own"),
    "t fixed": Outliers(dof=3.0),
    "noise": Outliers(noise=0.1),
    "trim": Outliers(trim=0.15),
    "all": Outliers(dof="own", noise=0.1, trim=0.1),
}


def stated(case, kind, **options):
    problem = state(case.source(), RULES[case.family], **options)
    problem = with_outliers(problem, KINDS[kind])
    return with_prior(problem, conjugate(case.prior), case.k)


def climb(case, kind, *, assign=None, **stop):
    problem = stated(case, kind, **({} if assign is None else {"assign": assign}))
    start = problem.outliers.fitted_out(problem.adopted(case.mixture))
    return run(problem, start, Stop(**stop)), problem


def contaminated(family, mode, seed, **sizes):
    case = make(family, mode, seed, **sizes)
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(case.X), 6, replace=False)
    case.X[rows] *= 15.0
    return case


@pytest.mark.parametrize(("family", "mode", "kind"), spread(FAMILIES, MODES, KINDS, every=8))
def test_the_trace_never_falls(family, mode, kind):
    case = contaminated(family, mode, seed=51, n=50)
    fit, problem = climb(case, kind, tol=1e-9, max_iter=16)
    # One objective is a sum of 50 terms: rounding of some 1e-14 of its size.
    assert np.diff(fit.trace).min() >= -1e-12 * max(1.0, abs(fit.trace[-1]))
    assert len(fit.trace) > 2
    assert fit.trace[-1] == pytest.approx(problem.at(fit.mixture).value, rel=1e-12)


@pytest.mark.parametrize(("kind", "family"), spread(KINDS, ["full", "equal-spherical"], every=2))
def test_nor_without_leaps_nor_under_hard_assignment(family, kind):
    case = contaminated(family, "gaps", seed=52, n=80)
    for how in ({"accelerate": False}, {"assign": hard}):
        fit, _ = climb(case, kind, tol=1e-9, max_iter=30, **how)
        assert np.diff(fit.trace).min() >= -1e-12 * max(1.0, abs(fit.trace[-1]))


@pytest.mark.parametrize(
    ("mode", "kind"), [("complete", "t own"), ("prior", "all"), ("gaps", "noise"), ("gaps", "t")]
)
def test_leaps_end_where_plain_steps_end_or_higher(mode, kind):
    case = contaminated("full", mode, seed=53, n=80, spread=4.0)
    fast, _ = climb(case, kind, tol=1e-10, max_iter=2000)
    slow, _ = climb(case, kind, tol=1e-10, max_iter=2000, accelerate=False)
    assert fast.value >= slow.value - 1e-6  # two degrees of freedom within the profile's flat
    # Leaps that are taken back cost a step, and what a round with one gained must be small, too.
    assert fast.n_iter < 1.25 * slow.n_iter


# ---- the E-step, row by row


def expected(case, dof, low, high, share):
    """Counts, mass, moments about zero, weight of noise and log-likelihood, in plain loops."""
    k, d = case.means.shape
    covariances = dense(case.family, case.array, k, d)
    counts, mass, noise, total = np.zeros(k), np.zeros(k), 0.0, 0.0
    first, second = np.zeros((k, d)), np.zeros((k, d, d))
    for i, x in enumerate(case.X):
        o = ~np.isnan(x)
        p, w = int(o.sum()), 1.0 if case.w is None else case.w[i]
        logs, u = np.log(case.weights) + np.log1p(-share), np.ones(k)
        for c in range(k if p else 0):
            sigma = covariances[c][np.ix_(o, o)]
            logs[c] += multivariate_t(case.means[c][o], sigma, df=dof[c]).logpdf(x[o])
            off = x[o] - case.means[c][o]
            u[c] = (dof[c] + p) / (dof[c] + off @ np.linalg.solve(sigma, off))
        even = np.log(share) - np.log((high - low)[o]).sum()
        told = np.zeros(k) if case.plausibility is None else case.plausibility[i]
        joint = np.append(logs + told, even + told.min())
        total += w * logsumexp(joint)
        r = w * np.exp(joint - logsumexp(joint))
        noise += r[-1]
        for c in range(k):
            z, spread = conditional(x, o, case.means[c], covariances[c])
            counts[c] += r[c]
            mass[c] += r[c] * u[c]
            first[c] += r[c] * u[c] * z
            second[c] += r[c] * (u[c] * np.outer(z, z) + spread)
    return counts, mass, first, second, noise, total


@pytest.mark.parametrize("mode", ["complete", "gaps", "weights", "labels", "soft labels", "all"])
@pytest.mark.parametrize("family", ["full", "diag"])
def test_the_expectation_is_the_sum_over_rows(family, mode):
    case = contaminated(family, mode, seed=54, n=40)
    _compare_with_the_sum_over_rows(case, family)


@pytest.mark.parametrize("mode", ["gaps", "all"])
@pytest.mark.parametrize("family", ["full", "diag"])
def test_the_expectation_of_many_patterns_is_the_sum_over_rows(family, mode, each_kernel):
    """Up to 31 patterns, taken at once by the compiled kernels."""
    for _ in each_kernel():
        case = contaminated(family, mode, seed=58, n=60, d=5)
        case.X[np.random.default_rng(2).random(case.X.shape) < 0.2] = np.nan
        _compare_with_the_sum_over_rows(case, family)


def _compare_with_the_sum_over_rows(case, family):
    case.prior = None
    problem = stated(case, "all")
    region = problem.outliers.region
    low, high = problem.frame.unread(region.low), problem.frame.unread(region.high)
    dof = np.array([2.5, 6.0, 40.0])
    box = region.marginal(slice(None)).sharing(0.1)
    mixture = problem.adopted(case.mixture).changed(law=StudentT(dof, "own"), noise=box)
    data = expectation(mixture, problem.source.whole, moments=problem.family.moments)
    counts, mass, first, second, noise, total = expected(case, dof, low, high, 0.1)
    np.testing.assert_allclose(data.counts, counts, rtol=1e-10)
    np.testing.assert_allclose(data.mass, mass, rtol=1e-10)
    np.testing.assert_allclose(data.dof, counts, rtol=1e-10)
    assert data.noise == pytest.approx(noise, rel=1e-9)
    seen = ~np.isnan(case.X)
    weights = np.ones(len(case.X)) if case.w is None else case.w
    volume = weights @ seen @ np.log(problem.frame.scale)
    assert data.log_likelihood + volume == pytest.approx(total, rel=1e-10)
    means = problem.frame.unread(data.means())
    np.testing.assert_allclose(means, first / mass[:, None], rtol=1e-9, atol=1e-9)
    scatter = second - first[:, :, None] * first[:, None, :] / mass[:, None, None]
    found = data.scatter()
    if family == "diag":
        found, scatter = found / problem.frame.scale**2, scatter.diagonal(axis1=1, axis2=2)
    else:
        found = found / problem.frame.scale[:, None] / problem.frame.scale
    np.testing.assert_allclose(found, scatter, rtol=1e-8, atol=1e-8 * np.abs(scatter).max())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_column_that_is_never_seen_with_others(family):
    """Rows that lack a column say of the others what they say without it."""
    case = make(family, "complete", seed=55, n=60)
    X = case.X.copy()
    X[:, 2] = np.nan
    mixture = case.mixture.changed(law=StudentT(np.array([3.0, 5.0, 9.0])))
    moments = RULES[family].moments
    whole = expectation(mixture, MemorySource(X).whole, moments=moments)
    part = expectation(
        mixture.marginal([0, 1]), MemorySource(X[:, :2].copy()).whole, moments=moments
    )
    np.testing.assert_allclose(whole.mass, part.mass, rtol=1e-11)
    np.testing.assert_allclose(whole.means()[:, :2], part.means(), atol=1e-11)
    assert whole.log_likelihood == pytest.approx(part.log_likelihood, rel=1e-12)


# ---- whole fits


def fitted(X, kind, **given):
    words = {
        "t": {"distribution": "t"},
        "t own": {"distribution": "t", "dof": "own"},
        "t fixed": {"distribution": "t", "dof": 3.0},
        "noise": {"noise": True},
        "trim": {"trim": 0.1},
        "all": {"distribution": "t", "noise": True, "trim": 0.05},
    }[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return GaussianMixture(2, random_state=0, **words).fit(X, **given)


def rows(seed=0, n=200):
    rng = np.random.default_rng(seed)
    X = np.concatenate([rng.normal(size=(n, 2)), rng.normal(size=(n, 2)) * [1, 2] + [7, 0]])
    return np.concatenate([X, rng.uniform(-30, 30, (n // 10, 2))])


@pytest.mark.parametrize("kind", KINDS)
def test_units_do_not_matter(kind):
    """One factor for all columns and any shift; noise by principal components depends on units."""
    X = rows()
    one = fitted(X, kind)
    two = fitted(1e-7 * X + 1e-3, kind)
    agreement = (one.predict(X) == two.predict(1e-7 * X + 1e-3)).mean()
    assert agreement > 0.99
    np.testing.assert_allclose(two.means_, 1e-7 * one.means_ + 1e-3, rtol=1e-3, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_repetitions_and_order_is_nothing(kind):
    X = rows(1, 60)
    rng = np.random.default_rng(2)
    w = rng.integers(0, 3, len(X))
    a = fitted(X, kind, sample_weight=w.astype(float))
    b = fitted(rng.permutation(np.repeat(X, w, axis=0)), kind)
    assert a.mixture_ == b.mixture_  # equal rows are merged and sorted first


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "t fixed"])
def test_contaminated_data_are_recovered(kind):
    """A tenth of the rows are spread widely: components are where they would be without them."""
    X = rows(3, 300)
    clean = GaussianMixture(2, random_state=0).fit(X[:600])
    model = fitted(X, kind)
    order, other = (np.argsort(one.means_[:, 0]) for one in (clean, model))
    # The means of 300 rows are good to 0.06 and 0.12 in their two directions.
    np.testing.assert_allclose(model.means_[other], clean.means_[order], atol=0.3)
    np.testing.assert_allclose(model.weights_[other], 0.5, atol=0.06)
    far = np.abs(X[600:] - [3.5, 0]).max(axis=1) > 15
    assert (model.outlier_weights(X)[600:][far] < 0.2).all()
    assert np.median(model.outlier_weights(X)[:600]) > 0.8
    spoilt = GaussianMixture(2, random_state=0).fit(X)
    off = np.abs(spoilt.means_[np.argsort(spoilt.means_[:, 0])] - clean.means_[order]).max()
    assert off > 1.0


def test_labels_exclude_noise():
    X = rows(4, 60)
    told = np.full(len(X), -1)
    told[120:] = 0  # the outliers are said to be of component 0
    free, bound = fitted(X, "noise"), fitted(X, "noise", labels=told)
    assert free.noise_share_ > 0.03
    assert bound.noise_share_ < 0.01


def test_gaussians_are_the_limit():
    X = rows(5, 60)[:120]
    plain = GaussianMixture(2, random_state=0, tol=1e-10).fit(X)
    near = GaussianMixture(2, random_state=0, tol=1e-10, distribution="t", dof=1e8).fit(X)
    np.testing.assert_allclose(near.means_, plain.means_, atol=1e-4)
    np.testing.assert_allclose(near.covariances_, plain.covariances_, atol=1e-4)
    assert near.lower_bound_ == pytest.approx(plain.lower_bound_, abs=1e-6)


def test_float32_rows_and_blocks_side_by_side():
    X = np.concatenate([rows(seed, 2000) for seed in range(8)])  # more rows than one block holds
    one = Mixture([0.5, 0.5], [[0, 0], [7, 0]], [np.eye(2), np.diag([1.0, 4.0])])
    ends = []
    for data, threads in ((X, 1), (X, 2), (X.astype(np.float32), 1)):
        problem = with_outliers(
            state(MemorySource(data, threads=threads), RULES["full"]), KINDS["all"]
        )
        start = problem.outliers.fitted_out(problem.adopted(one))
        ends.append(run(problem, start, Stop(1e-9, 8)))
    assert len(problem.source.blocks) > 1
    assert ends[0].mixture == ends[1].mixture and ends[0].trace == ends[1].trace
    np.testing.assert_allclose(ends[2].mixture.means, ends[0].mixture.means, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_either_kernel(kind):
    """Distances come from the kernels: a few plain steps agree but for rounding."""
    pytest.importorskip("numba")
    ends = []
    for name in ("plain", "compiled"):
        kernels.use(name)
        case = contaminated("full", "gaps", seed=56, n=60, spread=4.0)
        ends.append(climb(case, kind, tol=0.0, max_iter=6, accelerate=False)[0])
    np.testing.assert_allclose(ends[0].trace, ends[1].trace, rtol=1e-9)
    np.testing.assert_allclose(ends[0].mixture.means, ends[1].mixture.means, atol=1e-7)


@pytest.mark.parametrize("family", ["full", "tied", "diag"])
@pytest.mark.parametrize("mode", ["t", "noise", "trim", "labels"])
def test_many_patterns_of_gaps_at_once_are_as_one_by_one(family, mode, each_kernel):
    """The NumPy kernels take pattern by pattern; 31 patterns of five columns, five steps."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400, 5)) + np.repeat([[0.0], [6.0]], 200, axis=0)
    X[:8] *= 9.0
    X[rng.random(X.shape) < 0.3] = np.nan
    labels = np.where(rng.random(400) < 0.3, np.repeat([0, 1], 200), -1)
    told = {"labels": labels} if mode == "labels" else {}
    options = {"t": {"distribution": "t"}, "noise": {"noise": True}, "trim": {"trim": 0.05}}
    given = {"covariance_type": family, "means_init": [[0.0] * 5, [6.0] * 5], "tol": 0.0}
    fits = []
    for _ in each_kernel():
        model = GaussianMixture(2, max_iter=5, **given, **options.get(mode, {}))
        fits.append(model.fit(X, sample_weight=np.arange(400.0) % 7, **told))
    one, other = fits
    np.testing.assert_allclose(other.means_, one.means_, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(other.covariances_, one.covariances_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(other.weights_, one.weights_, rtol=1e-8)
    np.testing.assert_allclose(other.trace_, one.trace_, rtol=1e-9)
