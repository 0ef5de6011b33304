"""Entropy and its bounds, modes, level sets; reduction, pruning, overlap."""

import mpmath
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import dblquad, quad

from mixtura import (
    InputError,
    Mixture,
    Noise,
    StudentT,
    entropy_bounds,
    highest_density_region,
    level_set,
    log_inner_product,
    modes,
    overlap,
    prune,
    reduce,
)
from mixtura.frame import Frame
from mixtura.operations.frames import in_frame
from mixtura.operations.pairs import Pairs

F = Mixture([0.2, 0.5, 0.3], [[-2.0], [0.0], [3.0]], [[[0.25]], [[1.0]], [[2.25]]])
"""Its numbers to 30 digits, by mpmath, are in the notes on mixture operations."""


def drawn(seed, k, d, spread=1.0, **more):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(k, d, d))
    covariances = roots @ roots.swapaxes(1, 2) + 0.2 * np.eye(d)
    means = rng.normal(0, spread, (k, d))
    return Mixture(rng.dirichlet(np.ones(k)), means, covariances, **more)


def framed(mixture, seed=9):
    rng = np.random.default_rng(seed)
    d = mixture.n_features
    return in_frame(mixture, Frame(rng.normal(size=d), np.exp2(rng.integers(-5, 6, d))))


# ---- entropy


def test_entropy_and_its_bounds_to_the_digits():
    for mixture in (F, framed(F)):
        value, error = mixture.entropy(return_error=True)
        assert value == pytest.approx(2.0811655995025275122, abs=1e-13) and error < 1e-13
        bounds = entropy_bounds(mixture)
        assert bounds.huber_lower == pytest.approx(2.0015813356541429917, rel=1e-14)
        assert bounds.huber_upper == pytest.approx(2.4316016435897065219, rel=1e-14)
        assert bounds.pairwise_lower == pytest.approx(1.9141556044977895868, rel=1e-14)
        assert bounds.pairwise_upper == pytest.approx(2.3481389243519735748, rel=1e-14)
        assert bounds.gaussian_upper == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 4.475))
        assert bounds.lower == bounds.huber_lower and bounds.upper == bounds.gaussian_upper


def test_entropy_of_students_t_and_with_noise():
    for dof in (1.0, 4.0):
        one = Mixture([1.0], [[5.0]], [[[4.0]]], law=StudentT(np.array([dof])))
        assert one.entropy() == pytest.approx(stats.t(dof, scale=2).entropy(), abs=1e-10)
    noisy = F.changed(noise=Noise(0.4, np.array([-1.0]), np.array([9.0])))

    def minus(x):
        f = 0.6 * F.pdf([[x]])[0] + 0.04 * (-1 < x < 9)
        return -f * np.log(f)

    want = sum(quad(minus, a, b)[0] for a, b in [(-25, -1), (-1, 3), (3, 9), (9, 25)])
    assert noisy.entropy() == pytest.approx(want, abs=1e-8)


def test_entropy_in_the_plane_agrees_with_quadrature():
    mixture = framed(drawn(3, 3, 2))
    low, high = mixture.mean() - 8 * mixture.std(), mixture.mean() + 8 * mixture.std()
    grids = [np.linspace(a, b, 801) for a, b in zip(low, high, strict=True)]
    X = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, 2)
    logs = mixture.logpdf(X)  # the trapezium rule is as good as exact for what decays so
    want = -(np.exp(logs) * logs).sum() * np.prod([grid[1] - grid[0] for grid in grids])
    value, error = mixture.entropy(return_error=True)
    assert value == pytest.approx(want, abs=5 * error + 1e-7) and error < 5e-4
    bounds = entropy_bounds(mixture)
    assert bounds.lower < value < bounds.upper


@pytest.mark.parametrize("law", [None, StudentT(np.array([5.0, 5.0]))])
def test_entropy_of_components_apart_is_exact(law):
    mixture = Mixture(
        [0.3, 0.7],
        [np.zeros(5), np.full(5, 1e6)],
        [np.eye(5), 4 * np.eye(5)],
        **({} if law is None else {"law": law}),
    )
    one = (
        stats.multivariate_normal(np.zeros(5))
        if law is None
        else stats.multivariate_t(np.zeros(5), df=5)
    )
    want = one.entropy() + 0.7 * 5 * np.log(2) - 0.3 * np.log(0.3) - 0.7 * np.log(0.7)
    value, error = mixture.entropy(return_error=True)
    assert value == pytest.approx(want, rel=1e-9) and error < 1e-6


def test_entropies_that_are_refused():
    flat = drawn(0, 2, 2, noise=Noise(0.1, np.zeros(2), np.ones(2)))
    with pytest.raises(InputError, match="noise"):
        flat.entropy()
    with pytest.raises(InputError, match="entropy"):
        entropy_bounds(drawn(0, 1, 2, law=StudentT(np.array([5.0]))))


def test_pairs_of_components_agree_with_quadrature():
    mixture = drawn(5, 2, 2)
    pairs = Pairs.of(mixture)
    a, b = (
        stats.multivariate_normal(m, c)
        for m, c in zip(mixture.means, mixture.covariances, strict=True)
    )
    rows = a.rvs(400_000, random_state=0)
    gap = a.logpdf(rows) - b.logpdf(rows)
    assert pairs.divergence[0, 1] == pytest.approx(gap.mean(), abs=5 * gap.std() / 632)
    roots = np.exp(-0.5 * gap)
    assert np.exp(-pairs.bhattacharyya[0, 1]) == pytest.approx(
        roots.mean(), abs=5 * roots.std() / 632
    )
    np.testing.assert_allclose(pairs.divergence.diagonal(), 0.0, atol=1e-12)
    one, two = mixture.take([0]), mixture.take([1])
    assert pairs.log_products[0, 1] == pytest.approx(log_inner_product(one, two), rel=1e-12)
    assert pairs.entropies[0] == pytest.approx(a.entropy(), rel=1e-12)


# ---- modes and level sets


def test_two_modes_of_three_components_to_the_digits():
    found = modes(F)
    assert len(found) == 2
    want = [0.076851583520025829134, -1.8988199550963504042]
    np.testing.assert_allclose(found.points[:, 0], want, rtol=0, atol=1e-12)


def test_a_level_set_holds_what_it_says():
    region = highest_density_region(F, 0.7)
    found = level_set(F, region.threshold)
    assert found.probability == pytest.approx(0.7, abs=1e-12)
    np.testing.assert_allclose(found.intervals, region.intervals, rtol=1e-10)
    high = level_set(F, 9.0)
    assert high.probability == 0.0 and len(high.intervals) == 0
    one = Mixture([1.0], [[1.0, 2.0]], [[[2.0, 0.5], [0.5, 1.0]]])
    region = highest_density_region(one, 0.9)
    assert level_set(one, region.threshold).probability == pytest.approx(0.9, abs=1e-12)
    many = framed(drawn(1, 3, 2))
    region = highest_density_region(many, 0.6)
    found = level_set(many, region.threshold, rng=1)
    assert found.probability == pytest.approx(0.6, abs=6 * found.probability_error)
    assert "standard error" in found.sentence()
    with pytest.raises(InputError, match="above 0"):
        level_set(F, 0.0)


# ---- reduction


def test_the_costs_of_merging_to_the_digits():
    """30 digits by mpmath for each pair; then the bound telescopes."""
    costs = {
        (0, 1): 0.30357685044919671011,
        (0, 2): 0.51904341177680678418,
        (1, 2): 0.38829603564537780218,
    }
    for pair, cost in costs.items():
        some = F.take(list(pair))
        share = F.weights[list(pair)].sum()
        assert share * reduce(some, 1).divergence_bound == pytest.approx(cost, rel=1e-13)
    found = reduce(framed(F), 2)
    assert found.groups == ((0, 1), (2,))
    assert found.divergence_bound == pytest.approx(costs[0, 1], rel=1e-12)
    assert "3 components reduced to 2" in repr(found)


def test_a_reduction_keeps_the_moments_within_its_bound():
    mixture = framed(drawn(2, 8, 2, spread=2.0))
    found = reduce(mixture, 3)
    small = found.mixture
    np.testing.assert_allclose(small.mean(), mixture.mean(), rtol=1e-10)
    np.testing.assert_allclose(small.covariance(), mixture.covariance(), rtol=1e-10)
    assert sorted(sum(found.groups, ())) == list(range(8))
    rows = mixture.sample(50_000, 0)
    gap = mixture.logpdf(rows) - small.logpdf(rows)
    assert -5 * gap.std() / 223 < gap.mean() < found.divergence_bound
    assert found.divergence_bound == pytest.approx(found.costs.sum())
    bound = found.costs[:3].sum() + 1e-12
    assert len(reduce(mixture, max_divergence=bound).groups) == 5
    for group, one in zip(found.groups, range(3), strict=True):
        part = mixture.take(list(group))
        np.testing.assert_allclose(small.means[one], part.mean(), rtol=1e-9)
        np.testing.assert_allclose(small.covariances[one], part.covariance(), rtol=1e-9)


def test_reductions_with_nothing_to_do():
    assert reduce(F, 3).mixture is F and reduce(F, 9).divergence_bound == 0.0
    one = F.take([1])
    assert reduce(one).groups == ((0,),)
    empty = Mixture([0.5, 0.0, 0.5], [[0.0], [3.0], [9.0]], [[[1.0]]] * 3)
    assert reduce(empty, 2).divergence_bound == pytest.approx(0.0, abs=1e-15)
    noisy = F.changed(noise=Noise(0.25, np.array([-5.0]), np.array([5.0])))
    found = reduce(noisy, 2)
    assert found.divergence_bound == pytest.approx(0.75 * 0.30357685044919671011, rel=1e-12)
    assert found.mixture.noise == noisy.noise
    with pytest.raises(InputError, match="at least one"):
        reduce(F, 0)
    with pytest.raises(InputError, match="prune"):
        reduce(F.changed(law=StudentT(np.full(3, 4.0))))


def test_pruning_loses_what_it_says():
    mixture = drawn(4, 6, 2, law=StudentT(np.full(6, 4.0)))
    found = prune(mixture, 0.1)
    assert (mixture.weights[found.kept] >= 0.1).all()
    assert found.lost == pytest.approx(mixture.weights[mixture.weights < 0.1].sum())
    rows = found.mixture.sample(20_000, 0)
    gap = found.mixture.logpdf(rows) - mixture.logpdf(rows)
    assert gap.max() <= found.divergence_bound + 1e-12
    assert len(prune(mixture, n_components=2).kept) == 2
    assert len(prune(mixture, 2.0).kept) == 1
    with pytest.raises(InputError, match="what to prune"):
        prune(mixture)
    with pytest.raises(InputError, match="at least one"):
        prune(mixture, n_components=0)


# ---- overlap


def test_overlap_on_the_line_to_the_digits():
    """P(π_b N_b > π_a N_a | a) between the roots of a quadratic, by mpmath."""
    found = overlap(framed(F))
    assert found.error == 0.0
    terms = [(0.2, -2, 0.5), (0.5, 0, 1.0), (0.3, 3, 1.5)]
    for a, b in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2)]:
        (wa, ma, sa), (wb, mb, sb) = terms[a], terms[b]

        def gap(x, wa=wa, ma=ma, sa=sa, wb=wb, mb=mb, sb=sb):
            return mpmath.log(wb / mpmath.mpf(wa)) + mpmath.log(
                mpmath.npdf(x, mb, sb) / mpmath.npdf(x, ma, sa)
            )

        A = 0.5 / sa**2 - 0.5 / sb**2
        B = mb / sb**2 - ma / sa**2
        width = mpmath.sqrt(B**2 - 4 * A * gap(mpmath.mpf(0)))
        roots = sorted([(-B - width) / (2 * A), (-B + width) / (2 * A)])
        inner = mpmath.ncdf(roots[1], ma, sa) - mpmath.ncdf(roots[0], ma, sa)
        want = inner if gap(sum(roots) / 2) > 0 else 1 - inner
        assert found.misclassified[a, b] == pytest.approx(float(want), rel=1e-9, abs=1e-14)


def test_overlap_agrees_with_simulation():
    mixture = framed(drawn(6, 3, 3))
    found = overlap(mixture)
    n = 200_000
    for a in range(3):
        rows = mixture.sample(n, a, component=a)
        joint = mixture.component_logpdf(rows) + np.log(mixture.weights)
        want = (joint > joint[:, [a]]).mean(axis=0)
        assert found.misclassified[a] == pytest.approx(want, abs=5 * np.sqrt(0.25 / n))
    assert found.error < 2e-3 and found.largest == found.pairs.max()
    assert "components" in repr(found)


def test_overlap_of_equal_and_of_lone_components():
    twins = Mixture([0.5, 0.5], [[0.0, 0.0]] * 2, [np.eye(2)] * 2)
    assert overlap(twins).largest == pytest.approx(1.0)
    tied = Mixture([0.3, 0.7], [[0.0, 0.0], [3.0, 0.0]], np.eye(2), covariance_type="tied")
    want = stats.norm.cdf(-1.5 + np.log(0.7 / 0.3) / 3)
    assert overlap(tied).misclassified[0, 1] == pytest.approx(want, rel=1e-12)
    one = overlap(F.take([0]))
    assert one.largest == 0.0 and one.mean == 0.0 and "nothing overlaps" in repr(one)
    with pytest.raises(InputError, match="return_labels"):
        overlap(F.changed(law=StudentT(np.full(3, 4.0))))


def test_the_plane_by_double_quadrature():
    """The entropy and the box agree with SciPy's adaptive quadrature for one Gaussian pair."""
    mixture = Mixture([0.4, 0.6], [[0, 0], [1, 1]], [[[1, 0.3], [0.3, 1]], np.eye(2)])
    want, _ = dblquad(lambda y, x: mixture.pdf([[x, y]])[0], -1, 1, -0.5, 2, epsabs=1e-8)
    assert mixture.box_probability([-1, -0.5], [1, 2]) == pytest.approx(want, abs=1e-8)


# ---- whatever the structure and the units


def structured(name, seed=0):
    rng = np.random.default_rng(seed)
    k, d = 3, 4
    loadings = rng.normal(size=(k, d, 2))
    arrays = {
        "tied": np.eye(d) + 0.3,
        "diag": rng.uniform(0.5, 2, (k, d)),
        "spherical": rng.uniform(0.5, 2, k),
        "EEI": rng.uniform(0.5, 2, d),
        "factor:2": np.concatenate([rng.uniform(0.5, 1, (k, d, 1)), loadings], axis=2),
    }
    return Mixture([0.2, 0.3, 0.5], rng.normal(size=(k, d)), arrays[name], covariance_type=name)


@pytest.mark.parametrize("name", ["tied", "diag", "spherical", "EEI", "factor:2"])
def test_every_structure_gives_what_its_dense_matrices_give(name):
    mixture = structured(name)
    dense = Mixture(mixture.weights, mixture.means, mixture.covariances)
    X = mixture.sample(8, 0)
    X[2, 1], X[3, [0, 3]] = np.nan, np.nan
    for one, two in [
        (mixture.conditionals(X[:, :2], [0, 1]), dense.conditionals(X[:, :2], [0, 1])),
        (mixture.posterior(X, 0.3), dense.posterior(X, 0.3)),
    ]:
        np.testing.assert_allclose(one.mean(), two.mean(), rtol=1e-9)
        np.testing.assert_allclose(one.covariance(), two.covariance(), rtol=1e-9)
        np.testing.assert_allclose(one.log_evidence, two.log_evidence, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mixture.cdf(X), dense.cdf(X), rtol=1e-9)
    np.testing.assert_allclose(mixture.kurtosis(), dense.kurtosis(), rtol=1e-9)
    assert mixture.entropy() == pytest.approx(dense.entropy(), abs=1e-3)  # other points
    assert reduce(mixture, 2).divergence_bound == pytest.approx(reduce(dense, 2).divergence_bound)
    cut, other = mixture.truncate(-1, 1), dense.truncate(-1, 1)
    inside = np.clip(X, -1, 1)
    np.testing.assert_allclose(cut.logpdf(inside), other.logpdf(inside), rtol=1e-9)
    assert stats.ks_2samp(cut.sample(4000, 0)[:, 0], other.sample(4000, 1)[:, 0]).pvalue > 1e-4
    assert mixture.affine(2 * np.eye(4)).structure.name == name


@pytest.mark.parametrize("unit", [1e-200, 1e150])
def test_units_do_not_matter(unit):
    mixture = drawn(3, 3, 2)
    scale = np.full(2, 2.0 ** np.round(np.log2(1 / unit)))
    unit = 1 / scale[0]
    moved = Mixture.of(
        mixture.weights, mixture.location, mixture.structure, Frame(np.zeros(2), scale)
    )
    X = mixture.sample(3, 0)
    np.testing.assert_allclose(moved.cdf(X * unit), mixture.cdf(X), rtol=1e-12)
    np.testing.assert_allclose(moved.std() / unit, mixture.std(), rtol=1e-12)
    np.testing.assert_allclose(moved.skewness(), mixture.skewness(), rtol=1e-12)
    shift = 2 * np.log(unit)
    assert moved.entropy() - shift == pytest.approx(mixture.entropy(), abs=1e-10)
    assert entropy_bounds(moved).lower - shift == pytest.approx(entropy_bounds(mixture).lower)
    assert overlap(moved).largest == overlap(mixture).largest
    np.testing.assert_allclose(
        moved.product(moved).means / unit, mixture.product(mixture).means, rtol=1e-12
    )
    total = moved.affine([[1.0, -2.0]], unit)
    np.testing.assert_allclose(total.means / unit, mixture.affine([[1.0, -2.0]], 1.0).means)
    lines, others = moved.conditionals(X[:, :1] * unit, 0), mixture.conditionals(X[:, :1], 0)
    np.testing.assert_allclose(lines.quantile(0.1) / unit, others.quantile(0.1), rtol=1e-10)
    cut = moved.truncate(-unit, np.inf)
    assert cut.probability == pytest.approx(mixture.truncate(-1.0).probability, rel=1e-12)
    one = moved.marginal(0).truncate(-unit)
    assert one.std() / unit == pytest.approx(mixture.marginal(0).truncate(-1.0).std(), rel=1e-12)


def test_an_empty_component_changes_nothing():
    mixture = Mixture(
        [0.4, 0, 0.6], [[0, 0], [1, 1], [3, 1]], [np.eye(2), np.eye(2), 2 * np.eye(2)]
    )
    fewer, X = mixture.take([0, 2]), [[0.5, 1.0]]
    assert overlap(mixture).largest == overlap(fewer).largest
    assert mixture.entropy() == fewer.entropy()
    assert entropy_bounds(mixture).lower == pytest.approx(entropy_bounds(fewer).lower)
    np.testing.assert_array_equal(mixture.cdf(X), fewer.cdf(X))
    np.testing.assert_allclose(mixture.posterior(X, 1.0).mean(), fewer.posterior(X, 1.0).mean())
    assert reduce(mixture, 2).divergence_bound == 0.0
    cut = mixture.truncate(-1, 2)
    assert cut.probability == pytest.approx(fewer.truncate(-1, 2).probability, rel=1e-14)
    assert np.isfinite(cut.sample(9, 0)).all()
