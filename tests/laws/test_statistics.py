"""Statistics are a vector space, and every cut of the rows gives the same sum."""

import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixtura.assignment import hard, soft
from mixtura.block import Block, cuts
from mixtura.covariance import FAMILIES as RULES
from mixtura.expectation import EStep, expectation
from mixtura.frame import Frame
from mixtura.kernels.layout import DIAGONAL, FULL, SPHERICAL
from mixtura.mixture import Mixture
from mixtura.source import MemorySource
from mixtura.statistics import Moments, Statistics, packed, unpacked
from mixtura.tree import joined, runs, tree_sum
from oracle import FAMILIES
from strategies import cases, covariance_array, make, seeds, spread

MOMENTS = [
    Moments(shape, pooled) for shape in (FULL, DIAGONAL, SPHERICAL) for pooled in (False, True)
]
PARTS = ("counts", "mass", "dof", "first", "second", "log_likelihood")


def close(a, b, rtol=1e-12):
    """Equal as vectors: relative to the largest number of each part."""
    for name in PARTS:
        left, right = np.asarray(getattr(a, name)), np.asarray(getattr(b, name))
        np.testing.assert_allclose(
            left, right, rtol=rtol, atol=rtol * np.abs(left).max(), err_msg=name
        )


def identical(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in PARTS)


def some(moments, rng, k=3, d=4, pivot=None):
    """The statistics of random rows with random shares."""
    pivot = rng.normal(size=(k, d)) if pivot is None else pivot
    rows, shares = rng.normal(size=(20, d)), rng.dirichlet(np.ones(k), size=20)
    first, second = np.zeros((k, d)), moments.zeros(k, d)
    for x, r in zip(rows, shares, strict=True):
        off = x - pivot
        first += r[:, None] * off
        outer = moments.outer(off, off)
        second = second + moments.total(r.reshape(-1, *[1] * (outer.ndim - 1)) * outer)
    mass = shares.sum(axis=0)
    return Statistics(moments, pivot, mass, mass, mass, first, second, float(rng.normal()))


@pytest.mark.parametrize("moments", MOMENTS)
@given(seed=seeds())
def test_vector_space(moments, seed):
    rng = np.random.default_rng(seed)
    pivot = rng.normal(size=(3, 4))
    a, b, c = (some(moments, rng, pivot=pivot) for _ in range(3))
    s, t = rng.normal(size=2)
    close((a + b) + c, a + (b + c))
    close(a + b, b + a)
    close(a + Statistics.zero(moments, pivot), a)
    close(s * (a + b), s * a + s * b)
    close((s + t) * a, s * a + t * a, rtol=1e-11)
    assert (a - a).norm() == 0.0
    close(1.0 * a, a)
    assert (s * a).norm() == pytest.approx(abs(s) * a.norm(), rel=1e-12)


@pytest.mark.parametrize("moments", MOMENTS)
@given(seed=seeds())
def test_about_is_consistent(moments, seed):
    """Moving the pivot there and back changes nothing; it is linear; what matters is unmoved."""
    rng = np.random.default_rng(seed)
    a = some(moments, rng)
    b = some(moments, rng, pivot=a.pivot)
    other, third = rng.normal(size=(2, *a.pivot.shape))
    close(a.about(other).about(a.pivot), a, rtol=1e-11)
    close(a.about(other).about(third), a.about(third), rtol=1e-11)
    close((a + b).about(other), a.about(other) + b.about(other), rtol=1e-11)
    np.testing.assert_allclose(a.about(other).means(), a.means(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(a.about(other).scatter(), a.scatter(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("moments", MOMENTS)
def test_about_agrees_with_summing_about_the_other_pivot(moments):
    one, other = np.random.default_rng(7), np.random.default_rng(7)
    pivot = np.arange(12.0).reshape(3, 4)
    moved = some(moments, one).about(pivot)
    other.normal(size=(3, 4))  # what `one` drew for its pivot
    close(moved, some(moments, other, pivot=pivot), rtol=1e-11)


@pytest.mark.parametrize("shape", [FULL, DIAGONAL, SPHERICAL])
def test_packed_is_the_inverse_of_unpacked(shape):
    rng = np.random.default_rng(0)
    second = Moments(shape).zeros(3, 4) + 0.0
    noise = rng.normal(size=second.shape)
    second = noise + np.swapaxes(noise, 1, 2) if shape == FULL else noise
    assert np.array_equal(unpacked(packed(second, shape), shape, 4), second)


# ---- sums over rows


@given(case=cases(n=70), cut=st.lists(st.integers(0, 70), max_size=6))
def test_any_cut_of_the_rows_gives_the_same_sum(case, cut):
    block = Block(case.X, case.w, case.plausibility)
    moments = RULES[case.family].moments
    step = partial(expectation, case.mixture, moments=moments)
    whole = step(block)
    edges = [0, *sorted(cut), len(case.X)]
    parts = [step(block.take(slice(a, b))) for a, b in itertools.pairwise(edges) if b > a]
    close(tree_sum(parts), whole, rtol=1e-10)


@given(case=cases(n=50), seed=seeds())
def test_the_order_of_rows_does_not_matter(case, seed):
    order = np.random.default_rng(seed).permutation(len(case.X))
    block = Block(case.X, case.w, case.plausibility)
    step = partial(expectation, case.mixture, moments=RULES[case.family].moments)
    close(step(block.take(order)), step(block), rtol=1e-10)


@pytest.mark.parametrize(("family", "mode"), spread(FAMILIES, ["complete", "all"], every=2))
def test_threads_give_the_same_bits(family, mode, kernel):
    """More than 40 000 rows fall into several blocks; who sums them must not matter."""
    case = make(family, mode, seed=1, n=41_000, k=3, d=3)
    rule = RULES[family]
    assert len(cuts(*case.X.shape)) > 1
    whole = Block(case.X, case.w, case.plausibility)
    step = EStep(case.mixture, rule.moments)
    one = step.over(case.source(threads=1))
    close(one, expectation(case.mixture, whole, moments=rule.moments), rtol=1e-10)
    for threads in (2, 3):
        assert identical(step.over(case.source(threads=threads)), one)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("gap", [0, -1])
def test_rows_without_gaps_add_up_with_others(family, gap, kernel):
    """Runs of blocks without gaps are summed packed: to the bits of blocks one by one."""
    case = make(family, "complete", seed=2, n=90_000, k=3, d=3)
    X = case.X.copy()
    X[gap, 0] = np.nan
    step = EStep(case.mixture, RULES[family].moments)
    one = step.over(MemorySource(X))
    for threads in (2, 3):
        assert identical(step.over(MemorySource(X, threads=threads)), one)
    apart = [expectation(case.mixture, b, moments=step.moments) for b in MemorySource(X).blocks]
    assert identical(tree_sum(apart), one)


class Leaf(tuple):
    """A sum that shows its tree."""

    def __add__(self, other):
        return Leaf((self, other))


def test_sums_of_runs_have_the_tree_of_all_leaves():
    """Neighbours, then sums of neighbours, an odd one out waiting: whoever sums which run."""
    for n in (1, 2, 3, 7, 13, 31, 100):
        leaves = level = [Leaf((i,)) for i in range(n)]
        while len(level) > 1:
            level = [sum(level[i + 1 : i + 2], level[i]) for i in range(0, len(level), 2)]
        for workers in (1, 2, 3, 16):
            cut = runs(n, workers)
            assert joined([tree_sum(leaves[run]) for run in cut], cut) == level[0]


def test_blocks_are_cut_by_row_number_alone():
    for n, d in ((1, 1), (1000, 3), (100_001, 8), (70_000, 300)):
        places = cuts(n, d)
        assert places[0].start == 0 and places[-1].stop == n
        assert all(a.stop == b.start for a, b in itertools.pairwise(places))
        assert all(place.stop > place.start for place in places)


@pytest.mark.parametrize("pooled", [False, True])
def test_a_kept_second_moment_belongs_to_its_frame(pooled):
    """A block keeps Σ w z zᵀ: for the frame it was asked for, even if that frame is gone."""
    rng = np.random.default_rng(0)
    block = Block(rng.normal(size=(20, 2)))
    moments = Moments(FULL, pooled)
    for shift in range(10):
        frame = Frame(np.full(2, float(shift)), np.ones(2))
        z = block.rows - shift
        np.testing.assert_allclose(block.second(frame, moments)[0], z.T @ z, rtol=1e-12)
        del frame


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("assign", [soft, hard])
def test_a_frame_changes_nothing_but_the_volume(family, assign, kernel):
    """The same mixture in another frame: the same responsibilities, sums that transform."""
    rng = np.random.default_rng(3)
    k, d = 3, 3
    array = covariance_array(family, k, d, rng)
    given_in = Mixture(np.full(k, 1 / k), rng.normal(size=(k, d)), array, covariance_type=family)
    frame = Frame(rng.normal(size=d), np.full(d, 0.25))
    other = Mixture.of(
        given_in.weights,
        frame.read(given_in.means),
        given_in.structure.scaled(frame.scale),
        frame,
    )
    X = given_in.sample(100, rng)
    moments = RULES[family].moments
    a = expectation(given_in, Block(X), moments=moments, assign=assign)
    b = expectation(other, Block(X), moments=moments, assign=assign)
    np.testing.assert_allclose(a.mass, b.mass, rtol=1e-11)
    np.testing.assert_allclose(a.means(), frame.unread(b.means()), rtol=1e-10, atol=1e-11)
    volume = len(X) * frame.log_volume
    assert a.log_likelihood == pytest.approx(b.log_likelihood + volume, rel=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_far_means_use_moments_about_the_means(family, kernel):
    """Means 1e7 deviations from the frame's origin: the scatter keeps its digits."""
    rng = np.random.default_rng(0)
    k, d = 2, 3
    array = covariance_array(family, k, d, rng)
    means = rng.normal(size=(k, d)) + 1e7
    mixture = Mixture([0.5, 0.5], means, array, covariance_type=family)
    near = Mixture([0.5, 0.5], means - 1e7, array, covariance_type=family)
    X = np.round(near.sample(400, rng) * 2**20) / 2**20  # so that adding 1e7 rounds nothing
    moments = RULES[family].moments
    moved = expectation(mixture, Block(X + 1e7), moments=moments)
    still = expectation(near, Block(X), moments=moments)
    # means - 1e7 loses 1e7 u = 2e-9, which enters responsibilities at first order.
    np.testing.assert_allclose(moved.scatter(), still.scatter(), rtol=1e-6, atol=1e-6)
    assert moved.log_likelihood == pytest.approx(still.log_likelihood, rel=1e-7)


def test_the_source_keeps_rows_weights_and_labels_together():
    case = make("full", "all", seed=4, n=41_000)
    source = MemorySource(case.X, case.w, case.plausibility)
    assert source.n == 41_000 and source.d == 3
    rows = np.concatenate([block.rows for block in source.blocks])
    weights = np.concatenate([block.weight() for block in source.blocks])
    np.testing.assert_array_equal(rows, case.X)
    np.testing.assert_array_equal(weights, case.w)
    some_rows = np.array([5, 3, 40_999])
    taken = source.take(some_rows)
    np.testing.assert_array_equal(taken.rows, case.X[some_rows])
    np.testing.assert_array_equal(taken.plausibility, case.plausibility[some_rows])
