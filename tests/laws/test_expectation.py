"""One E-step and one M-step against the oracle, for every family in every data mode."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from mixtura import Mixture
from mixtura.assignment import hard, soft
from mixtura.block import Block
from mixtura.covariance import FAMILIES as RULES
from mixtura.expectation import expectation
from oracle import (
    FAMILIES,
    LETTERS,
    conditional,
    expected_objective,
    log_likelihood,
    log_prior,
    n_parameters,
)
from oracle import expectation as oracle_expectation
from oracle import maximization as oracle_maximization
from strategies import MODES, cases, changed, dense, layout, make, seeds, spread

PRODUCT = [(family, mode) for family in FAMILIES for mode in MODES]
HOW = [False, True]


def shaped(moments, second):
    """The oracle's (k, d, d) second moments in the shape that a family keeps."""
    kept = {
        0: second,
        1: second.diagonal(axis1=1, axis2=2),
        2: second.trace(axis1=1, axis2=2),
    }[moments.shape]
    return kept.sum(axis=0, keepdims=True) if moments.pooled else kept


def close(ours, theirs, rtol=1e-10):
    """Relative to the largest number of an array: sums of 60 terms of either sign."""
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max())


def digits(family):
    """The oracle finds common axes by BFGS with differences: gradients to 1e-5, angles alike."""
    return 3e-5 if family in ("EVE", "VVE") else 1e-10


@pytest.mark.parametrize(("family", "mode", "is_hard"), spread(FAMILIES, MODES, HOW, every=2))
def test_expectation_is_the_oracle(family, mode, is_hard, each_kernel):
    case = make(family, mode, seed=PRODUCT.index((family, mode)))
    moments = RULES[family].moments
    theirs = oracle_expectation(
        case.X,
        case.weights,
        case.means,
        case.covariances,
        case.means,
        case.w,
        case.plausibility,
        hard=is_hard,
    )
    for _ in each_kernel():
        ours = expectation(
            case.mixture,
            Block(case.X, case.w, case.plausibility),
            moments=moments,
            assign=hard if is_hard else soft,
        ).about(case.means)
        assert ours.log_likelihood == pytest.approx(theirs.log_likelihood, rel=1e-11)
        close(ours.mass, theirs.mass)
        close(ours.first, theirs.first)
        close(ours.second, shaped(moments, theirs.second))


@pytest.mark.parametrize(("family", "mode"), spread(FAMILIES, MODES, every=2))
def test_a_step_is_the_oracle(family, mode, each_kernel):
    """E and M in the fit's own frame, unread, against the formulas in the data's units."""
    case = make(family, mode, seed=17)
    zero = np.zeros_like(case.means)
    sums = oracle_expectation(
        case.X, case.weights, case.means, case.covariances, zero, case.w, case.plausibility
    )
    weights, means, covariances = oracle_maximization(family, sums, zero, case.prior)
    for _ in each_kernel():
        problem = case.problem()
        here = problem.adopted(case.mixture)
        after = problem.maximized(problem.at(here).data, here)
        close(after.weights, weights)
        close(after.means, means)
        close(after.covariances, covariances, rtol=digits(family))


@pytest.mark.parametrize(("family", "mode"), spread(FAMILIES[::-1], MODES, every=2))
def test_the_objective_is_the_oracle_up_to_a_constant(family, mode, each_kernel):
    """Differences of the objective between two mixtures: constants of the prior drop out."""
    case, other = make(family, mode, seed=5), make(family, mode, seed=6)
    n = len(case.X) if case.w is None else case.w.sum()

    def ours(mixture):
        problem = case.problem()
        return problem.at(problem.adopted(mixture)).value * n

    def theirs(weights, means, covariances):
        return log_likelihood(
            case.X, weights, means, covariances, case.w, case.plausibility
        ) + log_prior(family, case.prior, means, covariances)

    here = (case.weights, case.means, case.covariances)
    there = (other.weights, other.means, other.covariances)
    objective = theirs(*here)
    expected = objective - theirs(*there)
    for _ in each_kernel():
        found = ours(case.mixture)
        assert found - ours(other.mixture) == pytest.approx(expected, rel=1e-9, abs=1e-8)
        if case.prior is None:
            assert found == pytest.approx(objective, rel=1e-11)


@given(case=cases(), seed=seeds())
def test_maximize_is_a_maximum(case, seed):
    """No neighbour within the family explains the expected statistics better."""
    problem = case.problem()
    here = problem.adopted(case.mixture)
    best = problem.maximized(problem.at(here).data, here)
    k, d = case.means.shape
    zero = np.zeros((k, d))
    sums = oracle_expectation(
        case.X, case.weights, case.means, case.covariances, zero, case.w, case.plausibility
    )

    def value(weights, means, array):
        return expected_objective(
            case.family, sums, zero, weights, means, dense(case.family, array, k, d), case.prior
        )

    array = layout(case.family, best.covariances)
    top = value(best.weights, best.means, array)
    rng = np.random.default_rng(seed)
    for size in (1e-4, 1e-2, 0.3):
        weights = best.weights * np.exp(size * rng.normal(size=k))
        means = best.means + size * rng.normal(size=(k, d))
        neighbours = [
            (weights / weights.sum(), best.means, array),
            (best.weights, means, array),
            (best.weights, best.means, jostled(case.family, array, size, rng)),
        ]
        for neighbour in neighbours:
            # Rounding of a sum of some hundred nats.
            assert value(*neighbour) <= top + 1e-9 * abs(top)
    # And it is a strict maximum: a step of 0.3 costs more than rounding.
    assert value(best.weights, best.means + 0.3, array) < top - 1e-4


def jostled(family, array, size, rng):
    """Another member of the family nearby."""
    if family in ("full", "tied"):
        shape = array.shape[-1]
        mix = np.eye(shape) + size * rng.normal(size=array.shape)
        return mix @ array @ np.swapaxes(mix, -1, -2)
    if family in ("diag", "spherical", "equal-spherical"):
        factor = np.exp(size * rng.normal(size=array.shape))
        return array * (factor[0] if family == "equal-spherical" else factor)
    return layout(
        family, changed(family, dense(family, array, *shape_of(family, array)), size, rng)
    )


def shape_of(family, array):
    """k and d of the cases of `make`, whatever the layout."""
    return (3, len(array)) if family == "EEI" else array.shape[:2]


@pytest.mark.parametrize(("family", "mode"), spread(FAMILIES, ["complete", "prior"], every=2))
def test_maximize_is_where_a_numerical_optimiser_ends(family, mode):
    """BFGS over unconstrained parameters of the family, from somewhere else."""
    case = make(family, mode, seed=3, n=40, k=2, d=2)
    problem = case.problem()
    here = problem.adopted(case.mixture)
    best = problem.maximized(problem.at(here).data, here)
    zero = np.zeros((2, 2))
    sums = oracle_expectation(
        case.X, case.weights, case.means, case.covariances, zero, case.w, case.plausibility
    )

    def unpack(p):
        weights = np.exp([0.0, p[0]])
        return weights / weights.sum(), p[1:5].reshape(2, 2), _covariances(family, p[5:])

    def loss(p):
        return -expected_objective(family, sums, zero, *unpack(p), case.prior)

    free = n_parameters(family, 2, 2) - 5
    start = np.concatenate([[0.1], case.means.ravel(), np.linspace(0.0, 0.3, free)])
    found = minimize(loss, start, method="BFGS", options={"gtol": 1e-7, "maxiter": 2000})
    weights, means, covariances = unpack(found.x)
    # Finite differences leave a gradient of about 1e-5: parameters good to 1e-4.
    np.testing.assert_allclose(best.weights, weights, atol=1e-4)
    np.testing.assert_allclose(best.means, means, atol=1e-4)
    np.testing.assert_allclose(best.covariances, covariances, rtol=1e-3, atol=1e-3)


def _covariances(family, p):
    def matrix(q):
        lower = np.array([[np.exp(q[0]), 0.0], [q[1], np.exp(q[2])]])
        return lower @ lower.T

    if family == "full":
        return np.stack([matrix(p[:3]), matrix(p[3:])])
    if family == "tied":
        return np.stack([matrix(p)] * 2)
    if family == "diag":
        return np.stack([np.diag(np.exp(p[:2])), np.diag(np.exp(p[2:]))])
    if family not in ("spherical", "equal-spherical"):
        return by_letters(LETTERS[family], p)
    return np.stack([np.eye(2) * v for v in np.exp(np.broadcast_to(p, (2,)))])


def by_letters(letters, p):
    """Two covariances in two dimensions from log volumes, log ratios of axes, and angles."""
    p, parts = list(p), []
    for letter in letters:
        count = {"E": 1, "V": 2, "I": 0}[letter]
        parts.append(np.broadcast_to([p.pop(0) for _ in range(count)] or [0.0], (2,)))
    out = []
    for volume, ratio, angle in zip(*parts, strict=True):
        axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        out.append((axes * np.exp([volume + ratio, volume - ratio])) @ axes.T)
    return np.stack(out)


# ---- what is known of a row


@given(case=cases(modes=("weights", "all"), n=40), seed=seeds())
def test_a_weight_is_a_repetition(case, seed):
    """Weight 2 is the row twice, weight 0 the row absent."""
    rng = np.random.default_rng(seed)
    w = rng.integers(0, 4, len(case.X)).astype(float)
    w[0] = 1.0
    X = case.X.copy()
    X[w == 0] = 1e6
    repeated = np.repeat(np.arange(len(X)), w.astype(int))
    moments = RULES[case.family].moments
    weighted = expectation(case.mixture, Block(X, w, case.plausibility), moments=moments)
    told = None if case.plausibility is None else case.plausibility[repeated]
    plain = expectation(case.mixture, Block(X[repeated], None, told), moments=moments)
    for name in ("mass", "first", "second", "log_likelihood"):
        close(np.asarray(getattr(weighted, name)), np.asarray(getattr(plain, name)))


@pytest.mark.parametrize("family", FAMILIES)
def test_uniform_soft_labels_are_no_labels(family, kernel):
    case = make(family, "complete", seed=8)
    moments = RULES[family].moments
    bare = expectation(case.mixture, Block(case.X), moments=moments)
    for told in (np.zeros((60, 3)), np.full((60, 3), np.log(0.25))):
        uniform = expectation(case.mixture, Block(case.X, None, told), moments=moments)
        shift = told[0, 0] * 60
        close(uniform.about(bare.pivot).second, bare.second)
        close(uniform.mass, bare.mass)
        assert uniform.log_likelihood - shift == pytest.approx(bare.log_likelihood, rel=1e-11)


@pytest.mark.parametrize("family", FAMILIES)
def test_known_labels_are_a_supervised_fit(family, kernel):
    """All labels known: one step is each class's own moments, whatever the start."""
    case = make(family, "complete", seed=12, n=80)
    labels = np.random.default_rng(0).integers(0, 3, 80)
    told = np.where(np.eye(3)[labels] > 0, 0.0, -np.inf)
    case.plausibility = told
    problem = case.problem()
    here = problem.adopted(case.mixture)
    after = problem.maximized(problem.at(here).data, here)
    zero = np.zeros((3, 3))
    sums = oracle_expectation(
        case.X, np.full(3, 1 / 3), zero, np.stack([np.eye(3)] * 3), zero, None, told
    )
    weights, _means, covariances = oracle_maximization(family, sums, zero)
    close(after.weights, np.bincount(labels) / 80)
    close(after.means, np.stack([case.X[labels == c].mean(axis=0) for c in range(3)]))
    close(after.covariances, covariances, rtol=digits(family))
    assert weights == pytest.approx(after.weights)


@given(seed=seeds(), family=st.sampled_from(FAMILIES), missing=st.integers(0, 2))
def test_a_missing_column_is_a_dropped_column(seed, family, missing):
    """A column missing in every row: the densities and responsibilities of the marginal."""
    case = make(family, "complete", seed, n=20)
    mixture = case.mixture
    X = case.X.copy()
    X[:, missing] = np.nan
    rest = [j for j in range(3) if j != missing]
    marginal = Mixture(case.weights, case.means[:, rest], case.covariances[:, rest][:, :, rest])
    np.testing.assert_allclose(mixture.logpdf(X), marginal.logpdf(X[:, rest]), rtol=1e-11)
    np.testing.assert_allclose(
        mixture.responsibilities(X), marginal.responsibilities(X[:, rest]), atol=1e-11
    )
    by_name = mixture.marginal(rest)
    np.testing.assert_allclose(by_name.logpdf(X[:, rest]), marginal.logpdf(X[:, rest]), rtol=1e-11)


@given(seed=seeds(), family=st.sampled_from(FAMILIES))
def test_one_gap_is_that_row_marginalised(seed, family):
    case = make(family, "complete", seed, n=15)
    rng = np.random.default_rng(seed)
    X, row, column = case.X.copy(), rng.integers(15), rng.integers(3)
    X[row, column] = np.nan
    before, after = case.mixture.logpdf(case.X), case.mixture.logpdf(X)
    others = np.arange(15) != row
    np.testing.assert_allclose(after[others], before[others], rtol=1e-12)
    rest = [j for j in range(3) if j != column]
    expected = case.mixture.marginal(rest).logpdf(X[[row]][:, rest])
    assert after[row] == pytest.approx(expected[0], rel=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_that_tells_nothing_has_the_prior_responsibilities(family):
    case = make(family, "complete", seed=2)
    nothing = np.full((1, 3), np.nan)
    np.testing.assert_allclose(case.mixture.responsibilities(nothing)[0], case.weights, rtol=1e-12)
    assert case.mixture.logpdf(nothing)[0] == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(case.mixture.impute(nothing)[0], case.mixture.mean(), rtol=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
def test_impute_is_the_mean_of_the_conditionals(family):
    case = make(family, "gaps", seed=21)
    filled = case.mixture.impute(case.X)
    shares = case.mixture.responsibilities(case.X)
    for i, x in enumerate(case.X):
        o = ~np.isnan(x)
        expected = sum(
            shares[i, c] * conditional(x, o, case.means[c], case.covariances[c])[0]
            for c in range(3)
        )
        np.testing.assert_allclose(filled[i], expected, rtol=1e-10, atol=1e-12)
    assert np.array_equal(filled[~np.isnan(case.X)], case.X[~np.isnan(case.X)])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_huge_shrinkage_pins_the_means(family):
    case = make(family, "prior", seed=9)
    case.prior.shrinkage = 1e9
    problem = case.problem()
    here = problem.adopted(case.mixture)
    after = problem.maximized(problem.at(here).data, here)
    # n/(n + κ) = 6e-8 of the way from the prior's mean to the data's.
    np.testing.assert_allclose(after.means, np.tile(case.prior.mean, (3, 1)), atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_faint_prior_is_no_prior(family):
    case = make(family, "prior", seed=9)
    case.prior.shrinkage, case.prior.dof = 1e-12, -4.0  # exponents of |Σ| vanish where ν = -(d+1)
    rule = RULES[family]
    exponent = {0: 4.0, 1: 2.0, 2: 2.0}[rule.moments.shape]
    case.prior.dof = -exponent
    case.prior.matrix, case.prior.variance = 1e-12 * np.eye(3), 1e-12
    bare = make(family, "complete", seed=9)
    with_prior, without = case.problem(), bare.problem()
    here = without.adopted(bare.mixture)
    a = with_prior.maximized(with_prior.at(here).data, here)
    b = without.maximized(without.at(here).data, here)
    np.testing.assert_allclose(a.means, b.means, rtol=1e-9)
    # One row is left for each component's mean: |Σ/κ|^-1/2 divides by n + 1.
    smallest = float(without.at(here).data.mass.min())
    np.testing.assert_allclose(a.covariances, b.covariances, rtol=2 / smallest, atol=1e-9)
