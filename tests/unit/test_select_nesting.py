"""Which models contain which, and that a grid's likelihoods rise where they must."""

import itertools

import numpy as np
import pytest

from mixtura import GaussianMixture, kernels, select
from mixtura.covariance import FAMILIES as RULES
from mixtura.fit import nesting
from mixtura.fit.problem import state
from mixtura.fit.sample import from_shares
from mixtura.source import MemorySource
from oracle import FAMILIES, LETTERS

pytestmark = pytest.mark.filterwarnings("ignore::mixtura.MixturaWarning")

TEXT = (
    "EII<VII EII<EEI VII<VEI EEI<VEI EEI<EVI EEI<EEE VEI<VVI VEI<VEE EVI<VVI EVI<EVE VVI<VVE "
    "EEE<VEE EEE<EVE EEE<EEV VEE<VVE VEE<VEV EVE<VVE EVE<EVV EEV<VEV EEV<EVV VVE<VVV VEV<VVV "
    "EVV<VVV"
)
STEPS = tuple(TEXT.split())
"""One letter freer at a time, by hand from the table of Celeux & Govaert (1995)."""


def closure():
    pairs = {tuple(step.split("<")) for step in STEPS}
    while True:
        more = {(a, d) for (a, b), (c, d) in itertools.product(pairs, pairs) if b == c} - pairs
        if not more:
            return pairs
        pairs |= more


def test_the_fourteen_families_nest_as_their_letters_say():
    inside = closure()
    for inner, outer in itertools.product(FAMILIES, FAMILIES):
        expected = (LETTERS[inner], LETTERS[outer]) in inside
        assert nesting.contains(outer, inner) is expected, (inner, outer)


def test_unknown_structures_nest_in_nothing():
    assert not nesting.contains("full", "odd") and not nesting.contains("odd", "EII")


def test_a_containing_family_has_no_fewer_parameters():
    for inner, outer in itertools.product(FAMILIES, FAMILIES):
        if nesting.contains(outer, inner):
            for k, d in itertools.product((1, 2, 5), (1, 2, 4)):
                assert RULES[outer].n_parameters(k, d) >= RULES[inner].n_parameters(k, d)


def test_by_freedom_no_family_comes_before_one_it_contains():
    order = [rule.name for rule in nesting.by_freedom(RULES.values())]
    for first, second in itertools.combinations(order, 2):
        assert not nesting.contains(first, second)


def rows(seed=0, n=150, d=3, k=3):
    rng = np.random.default_rng(seed)
    shapes = rng.normal(size=(k, d, d))
    labels = rng.integers(k, size=n)
    noise = np.einsum("nij,nj->ni", shapes[labels], rng.normal(size=(n, d)))
    return 3.0 * rng.normal(size=(k, d))[labels] + noise, labels


def start(name, X, labels, k=3):
    problem = state(MemorySource(X), RULES[name])
    mixture = from_shares(problem, problem.source.take(slice(None)), np.eye(k)[labels])
    return problem, mixture


@pytest.mark.parametrize("pair", [step for step in STEPS if step != "EVV<VVV"], ids=str)
def test_a_nested_mixture_starts_at_least_as_high(pair):
    """An E-step and an M-step over a larger set can only gain, up to rounding."""
    names = {letters: name for name, letters in LETTERS.items()}
    inner, outer = (names[letters] for letters in pair.split("<"))
    X, labels = rows()
    smaller, mixture = start(inner, X, labels)
    larger, _ = start(outer, X, labels)
    begun = nesting.embedded(larger, mixture)
    below = smaller.at(mixture).value
    assert larger.at(begun).value >= below - 1e-12 * abs(below)


@pytest.mark.parametrize("family", FAMILIES)
def test_splits_keep_mass_and_mean(family):
    X, labels = rows()
    _, mixture = start(family, X, labels)
    for component, half in enumerate(nesting.splits(mixture, 4)):
        assert half.n_components == 4
        np.testing.assert_allclose(half.weights.sum(), 1.0)
        np.testing.assert_allclose(half.mean(), mixture.mean(), rtol=1e-12, atol=1e-12)
        apart = half.location[component] - half.location[3]
        # A deviation apart along the longest axis.
        longest = mixture.structure.eigenvalues()[component, -1]
        assert np.linalg.norm(apart) == pytest.approx(np.sqrt(longest), rel=1e-9)
    assert [m.n_components for m in nesting.splits(mixture, 6)] == [6] * 5


@pytest.fixture(scope="module")
def grid(iris):
    """Four numbers of components and all families on iris: 56 fits."""
    return select(iris[0], range(1, 5), "all")


def test_likelihoods_rise_with_freedom_and_with_components(grid):
    sound = [c for c in grid.candidates if c.sound]
    assert len(sound) > 50
    assert list(nesting.shortfalls(sound)) == []
    slack = 150 * 1e-5  # ten times the tolerance of a fit, in nats over all rows
    for inner, outer in itertools.product(sound, sound):
        more = outer.n_components - inner.n_components
        same = outer.covariance_type == inner.covariance_type
        wider = same or nesting.contains(outer.covariance_type, inner.covariance_type)
        if wider and more in (0, 1):
            assert outer.log_likelihood >= inner.log_likelihood - slack, (inner, outer)


def test_shortfalls_are_found_only_where_nesting_holds(grid):
    from dataclasses import replace

    best = grid.best
    low = [
        replace(c, log_likelihood=c.log_likelihood - 500.0) if c is best else c
        for c in grid.candidates
    ]
    fallen = [candidate.n_components for candidate, _, lost in nesting.shortfalls(low) if lost > 10]
    assert fallen == [best.n_components]
    free = [replace(c, nests="") for c in low]
    assert list(nesting.shortfalls(free)) == []


@pytest.mark.parametrize(
    "given", [{"prior": "fraley-raftery"}, {"labels": np.r_[np.zeros(5), -np.ones(145)]}]
)
def test_priors_and_labels_end_the_nesting(given, iris):
    found = select(iris[0], [1, 2], ["full", "tied"], **given)
    expected = "" if "prior" in given else "families"
    assert {c.nests for c in found.candidates} == {expected}


@pytest.mark.parametrize("family", ["tied", "VEE", "EEV", "EII"])
def test_too_few_components_join_the_right_clusters(family):
    """Four clusters, three components: the best pair to join, of all six, is found.

    By the compiled kernels, on which alone partitions are exchanged.
    """
    kernels.use("compiled")
    rng = np.random.default_rng(505)
    labels = rng.integers(4, size=300)
    shapes = np.linalg.qr(rng.normal(size=(4, 5, 5)))[0] * rng.uniform(0.4, 1.8, (4, 1, 5))
    noise = np.einsum("nij,nj->ni", shapes[labels], rng.normal(size=(300, 5)))
    X = 4.0 * rng.normal(size=(4, 5))[labels] + noise
    best = -np.inf
    for i, j in itertools.combinations(range(4), 2):
        joined = np.unique(np.where(labels == j, i, labels), return_inverse=True)[1]
        model = GaussianMixture(3, covariance_type=family, init_params=joined).fit(X)
        best = max(best, model.score(X) * 300)
    found = select(X, [2, 3, 4], [family, "full"])
    ours = next(
        c for c in found.candidates
        if c.n_components == 3 and c.covariance_type == RULES_NAME[family]
    )  # fmt: skip
    assert ours.log_likelihood >= best - 300 * 2e-6


RULES_NAME = {name: name for name in RULES} | {"EII": "equal-spherical"}


def test_an_asked_start_is_kept(faithful):
    """`init_params` says where every candidate starts, and no neighbour says otherwise."""
    grid = GaussianMixture([2, 3], covariance_type="diag", init_params="random", random_state=3)
    alone = GaussianMixture(3, covariance_type="diag", init_params="random", random_state=3)
    found = grid.fit(faithful).selection_
    cell = next(c for c in found.candidates if c.n_components == 3)
    value = alone.fit(faithful).score(faithful) * 272
    assert cell.log_likelihood == pytest.approx(value, abs=1e-6)
