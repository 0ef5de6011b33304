"""Divergences between mixtures: laws, other oracles, heavy tails, noise, and what is refused."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.integrate import quad
from scipy.linalg import sqrtm

from mixtura import GaussianMixture, InputError, InputTypeError, Mixture
from mixtura import divergence as between
from strategies import seeds

BOUNDED = (between.jensen_shannon, between.hellinger, between.total_variation)


def some(seed, k=3, d=2, spread=1.5):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, d, d + 2))
    covariances = root @ root.swapaxes(1, 2) / d + 0.1 * np.eye(d)
    return Mixture(rng.dirichlet(np.ones(k)), spread * rng.normal(size=(k, d)), covariances)


def on_the_line(weights, means, deviations, **options):
    means = np.array(means)[:, None]
    return Mixture(weights, means, np.square(deviations), covariance_type="spherical", **options)


def gaussian_kl(p, q):
    (m, a), (n, b) = ((one.means[0], one.covariances[0]) for one in (p, q))
    solved = np.linalg.solve(b, np.column_stack([a, n - m]))
    trace, squared = np.trace(solved[:, :-1]), (n - m) @ solved[:, -1]
    return 0.5 * (trace + squared - len(m) + np.linalg.slogdet(b)[1] - np.linalg.slogdet(a)[1])


# ---- against other ways to compute them


@pytest.fixture(scope="module")
def plane():
    """Two mixtures in the plane, and both log-densities on a fine grid with its cell."""
    p, q = some(1), some(2)
    x = np.linspace(-14, 14, 801)
    grid = np.column_stack([np.repeat(x, len(x)), np.tile(x, len(x))])
    return p, q, p.logpdf(grid), q.logpdf(grid), (x[1] - x[0]) ** 2


def test_draws_against_a_grid(plane):
    p, q, log_p, log_q, cell = plane
    a, b = np.exp(log_p), np.exp(log_q)
    middle = np.logaddexp(log_p, log_q) - np.log(2)
    jensen = 0.5 * (a * (log_p - middle) + b * (log_q - middle)).sum() * cell
    exact = {
        between.kl: (a * (log_p - log_q)).sum() * cell,
        between.jensen_shannon: jensen,
        between.hellinger: np.sqrt(1 - np.sqrt(a * b).sum() * cell),
        between.total_variation: 0.5 * np.abs(a - b).sum() * cell,
    }
    for function, value in exact.items():
        found = function(p, q)
        assert abs(found.value - value) < 4 * found.error + 1e-6  # the grid's own error
        assert 0 < found.error < 0.02 * value
    assert between.l2(p, q) == pytest.approx(np.sqrt(((a - b) ** 2).sum() * cell), rel=1e-6)
    similarity = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    assert between.cauchy_schwarz(p, q) == pytest.approx(-np.log(similarity), rel=1e-6)


def test_control_variates_beat_plain_draws(plane):
    p, q = plane[:2]
    rows = p.sample(100_000, 0)
    plain = (p.logpdf(rows) - q.logpdf(rows)).std() / np.sqrt(len(rows))
    assert between.kl(p, q).error < 0.8 * plain


def test_errors_are_of_the_size_they_say(plane):
    """Twenty estimates spread as their errors claim: χ² with 19 degrees of freedom, 1e-4 a side."""
    p, q = plane[:2]
    for function in (between.kl, between.total_variation):
        found = [function(p, q, draws=4000, rng=seed) for seed in range(20)]
        ratio = np.var([one.value for one in found]) / np.mean([one.error**2 for one in found])
        assert 0.2 < ratio < 2.9


def test_two_gaussians_leave_rounding_alone():
    p, q = some(3, k=1, d=4), some(4, k=1, d=4)
    found = between.kl(p, q, draws=2000)
    assert found.value == pytest.approx(gaussian_kl(p, q), rel=1e-10)
    assert found.error < 1e-10
    for function in (between.kl_variational, between.kl_matching):
        assert function(p, q) == pytest.approx(gaussian_kl(p, q), rel=1e-12)


# ---- laws


@settings(max_examples=8)
@given(seed=seeds())
def test_bounds_hold(seed):
    p, q = some(seed, k=2, d=1), some(seed + 1, k=3, d=1)
    lower, upper = between.kl_bounds(p, q)
    assert lower - 1e-12 <= between.kl(p, q).value <= upper + 1e-12


@settings(max_examples=8)
@given(seed=seeds())
def test_order_between_the_distances(seed):
    """H² <= TV <= H √(2 - H²), JS <= TV log 2, 2 TV² <= KL (Pinsker), symmetry."""
    p, q = some(seed, k=2, d=1), some(seed + 1, k=2, d=1)
    jensen, root, total = (function(p, q).value for function in BOUNDED)
    assert root**2 <= total + 1e-14 and total <= root * np.sqrt(2 - root**2) + 1e-14
    assert jensen <= total * np.log(2) + 1e-14
    assert 2 * total**2 <= between.kl(p, q).value + 1e-14
    assert [one(q, p).value for one in BOUNDED] == pytest.approx([jensen, root, total], abs=1e-14)


@pytest.mark.parametrize("d", [1, 3])
def test_a_mixture_against_itself(d):
    p = some(5, d=d)
    for function in (between.kl, *BOUNDED, between.l2, between.cauchy_schwarz, between.mw2):
        assert float(function(p, p)) == pytest.approx(0.0, abs=1e-7)
    assert between.kl_variational(p, p) == between.kl_bounds(p, p)[0] == 0.0


def test_components_without_weight_do_not_count():
    p, q = some(6, d=1), some(7, d=1)
    more = Mixture([*p.weights, 0.0], [*p.means, [90.0]], [*p.covariances, [[1e-6]]])
    for function in (between.kl, between.l2, between.kl_variational, between.kl_matching):
        assert float(function(more, q)) == pytest.approx(float(function(p, q)), rel=1e-13)
    plan = between.mw2(more, q).plan
    assert not plan[-1].any() and plan.sum(axis=1) == pytest.approx(more.weights, abs=1e-12)


@pytest.mark.parametrize(("scale", "shift"), [(1e-8, 0.0), (1e8, 1e9), (2.0**20, -3.0)])
def test_units_do_not_matter(scale, shift):
    p, q = some(8, d=1), some(9, d=1)

    def moved(one):
        return Mixture(one.weights, one.means * scale + shift, one.covariances * scale**2)

    for function in (between.kl, *BOUNDED, between.cauchy_schwarz, between.kl_product):
        assert float(function(moved(p), moved(q))) == pytest.approx(
            float(function(p, q)), rel=1e-12
        )
    there = between.mw2(moved(p), moved(q))
    assert there.value == pytest.approx(scale * float(between.mw2(p, q)), rel=1e-12)
    length = between.l2(moved(p), moved(q)) * np.sqrt(scale)
    assert length == pytest.approx(between.l2(p, q), rel=1e-12)


def test_fits_in_frames_of_their_own():
    rows = np.random.default_rng(0).normal(1e6, 1e-3, (400, 1))
    p = GaussianMixture(1).fit(rows[:200]).mixture_
    q = GaussianMixture(2, random_state=0).fit(rows[200:]).mixture_
    assert p.frame != q.frame

    def integrand(x):
        logs = (one.logpdf([[x * 1e-3 + 1e6]])[0] for one in (p, q))
        first, second = logs
        return 1e-3 * np.exp(first) * (first - second)

    exact = quad(integrand, -9, 9, limit=200)[0]
    assert between.kl(p, q).value == pytest.approx(exact, rel=1e-6)  # x has few digits left


def test_narrow_and_far_components():
    """A needle beside a broad one, far apart: what fixed panels would miss."""
    p = on_the_line([0.5, 0.5], [0.0, 1e6], [1e-6, 1.0])
    q = on_the_line([1.0], [0.0], [1e-6])
    assert between.total_variation(p, q).value == pytest.approx(0.5, abs=1e-13)
    apart = 0.25 * np.log(0.5 / 0.75) + 0.25 * np.log(2) + 0.5 * np.log(1 / 0.75)
    assert between.jensen_shannon(p, q).value == pytest.approx(apart, abs=1e-13)


def test_in_many_features_nothing_underflows():
    d, offset = 400, 3.0
    p = Mixture([1.0], [np.zeros(d)], [1e-4], covariance_type="spherical")
    q = Mixture([1.0], [np.full(d, offset * 1e-2)], [1e-4], covariance_type="spherical")
    assert between.cauchy_schwarz(p, q) == pytest.approx(d * offset**2 / 4, rel=1e-10)
    assert between.kl_variational(p, q) == pytest.approx(d * offset**2 / 2, rel=1e-10)
    assert between.mw2(p, q).value == pytest.approx(np.sqrt(d) * offset * 1e-2, rel=1e-12)


def test_bounded_divergences_stay_within_their_bounds():
    near, far = some(18), some(18).means + 60.0
    far = Mixture(near.weights, far, near.covariances)
    tops = (np.log(2), 1.0, 1.0)
    for function, top in zip(BOUNDED, tops, strict=True):
        assert 0.99 * top < function(near, far, draws=500).value <= top
        barely = Mixture(near.weights, near.means + 1e-9, near.covariances)
        assert 0 <= function(near, barely, draws=500).value < 1e-4


# ---- transport


def test_transport_of_single_gaussians():
    p, q = some(10, k=1, d=3), some(11, k=1, d=3)
    a, b = p.covariances[0], q.covariances[0]
    root = sqrtm(a)
    exact = np.sum((p.means - q.means) ** 2) + np.trace(a + b - 2 * sqrtm(root @ b @ root)).real
    assert between.mw2(p, q).value ** 2 == pytest.approx(exact, rel=1e-10)


def test_transport_against_every_assignment():
    """With equal weights an optimal plan is a permutation."""
    k = 5
    p, q = (
        Mixture(np.full(k, 1 / k), one.means, one.covariances)
        for one in (some(12, k=k), some(13, k=k))
    )
    found = between.mw2(p, q)
    least = min(
        sum(found.costs[i, j] for i, j in enumerate(order)) for order in permutations(range(k))
    )
    assert found.value**2 == pytest.approx(least / k, rel=1e-12)
    assert found.plan.sum(axis=0) == pytest.approx(q.weights, abs=1e-14)
    assert "5 moves" in repr(found)


def test_transport_obeys_the_triangle():
    a, b, c = (some(seed) for seed in (14, 15, 16))
    assert float(between.mw2(a, c)) <= float(between.mw2(a, b)) + float(between.mw2(b, c))


# ---- mutual information


def test_information_of_a_gaussian():
    one = some(17, k=1, d=4)
    s = one.covariances[0]
    parts = [[2, 0], [1, 3]]
    exact = 0.5 * (
        sum(np.linalg.slogdet(s[np.ix_(g, g)])[1] for g in parts) - np.linalg.slogdet(s)[1]
    )
    found = between.mutual_information(one, *parts, draws=2000)
    assert found.value == pytest.approx(exact, rel=1e-10)


def test_information_against_a_grid(plane):
    p, _, log_p, _, cell = plane
    joint = np.exp(log_p).reshape(801, 801)
    step = np.sqrt(cell)
    first, second = joint.sum(axis=1) * step, joint.sum(axis=0) * step
    ratio = np.log(np.maximum(joint, 1e-300)) - np.log(np.outer(first, second) + 1e-300)
    exact = (joint * ratio).sum() * cell
    found = between.mutual_information(p, 0, 1)
    assert abs(found.value - exact) < 4 * found.error + 1e-6 and found.error < 0.01


def test_information_by_names_and_of_three_groups():
    one = Mixture(
        [1.0], [np.zeros(3)], [np.eye(3) + 0.5 * (1 - np.eye(3))], feature_names=["a", "b", "c"]
    )
    found = between.mutual_information(one, "c", "a", ["b"], draws=500)
    assert found.value == pytest.approx(-0.5 * np.log(np.linalg.det(one.covariances[0])), rel=1e-10)
    for groups in (("a",), ("a", "a"), (["a", "b"], "b")):
        with pytest.raises(InputError, match="two or more groups"):
            between.mutual_information(one, *groups)


# ---- what is handed in


def test_features_are_matched_by_name():
    p = Mixture([1.0], [[0.0, 5.0]], [np.diag([1.0, 4.0])], feature_names=["a", "b"])
    q = Mixture([1.0], [[6.0, 0.0]], [np.diag([4.0, 1.0])], feature_names=["b", "a"])
    assert between.mw2(p, q).value == pytest.approx(1.0)
    with pytest.raises(InputError, match="same columns"):
        between.mw2(p, Mixture([1.0], [[0.0, 0.0]], [np.eye(2)], feature_names=["a", "c"]))


def test_what_is_no_pair_is_refused():
    p = some(1, d=2)
    with pytest.raises(InputError, match="2 and 1 features"):
        between.kl(p, some(1, d=1))
    with pytest.raises(InputTypeError, match="not list"):
        between.kl(p, [p])
    with pytest.raises(InputError, match="draws=3"):
        between.kl(p, some(2), draws=3)


def test_one_seed_one_estimate():
    p, q = some(1), some(2)
    assert between.kl(p, q, draws=500).value == between.kl(p, q, draws=500).value
    assert between.kl(p, q, draws=500).value != between.kl(p, q, draws=500, rng=1).value


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(1.23456, 0.0123, "1.235 ± 0.012"), (120.0, 30.0, "120 ± 30"), (0.25, 1e-16, "0.25 (q")],
)
def test_estimates_in_words(value, error, text):
    assert repr(between.Estimate(value, error, "quadrature")).startswith(text)
