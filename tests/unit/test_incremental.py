"""Incremental EM: the iterates of the definition, a bound that never falls, the ends of EM."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mixtura import Conjugate, GaussianMixture, InputError, scan
from mixtura.assignment import hard, soft
from mixtura.block import Block
from mixtura.covariance import family
from mixtura.fit import em, incremental
from mixtura.fit.em import Stop
from mixtura.fit.priors import with_prior
from mixtura.fit.problem import state
from mixtura.kernels import plain
from mixtura.source import MemorySource
from mixtura.source.opening import remote
from mixtura.tree import Sums, tree_sum


def overlapping(n=400, seed=0):
    """Three groups (n, 2) that overlap, so that climbs take many passes."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(3, size=n)
    return rng.normal(size=(n, 2)) + np.array([[0.0, 0.0], [3.0, 1.5], [6.0, -1.0]])[groups]


def begun(problem, k):
    """A start of the family at the first rows."""
    flat = problem.isotropic(np.nan_to_num(problem.frame.read(problem.source.take(slice(k)).rows)))
    return problem.maximized(problem.at(flat).data, flat)


def oracle(X, weights, means, covariances, parts, passes):
    """Neal & Hinton's algorithm as it is written: yields the parameters after each pass."""
    edges = [len(X) * i // parts for i in range(parts + 1)]
    places = [slice(*ends) for ends in pairwise(edges)]

    def statistics(rows):
        laws = zip(weights, means, covariances, strict=True)
        joint = np.stack([w * multivariate_normal.pdf(rows, m, c) for w, m, c in laws])
        r = joint / joint.sum(axis=0)
        return r.sum(axis=1), r @ rows, np.einsum("kn,ni,nj->kij", r, rows, rows)

    kept = [statistics(X[place]) for place in places]
    for step in range(1 + parts * passes):
        if step:
            kept[(step - 1) % parts] = statistics(X[places[(step - 1) % parts]])
        mass, first, second = (sum(one[i] for one in kept) for i in range(3))
        weights, means = mass / mass.sum(), first / mass[:, None]
        outer = means[:, :, None] * means[:, None, :]
        covariances = second / mass[:, None, None] - outer
        if step and step % parts == 0:
            yield weights, means, covariances


@pytest.mark.parametrize("parts", [2, 5])
def test_the_iterates_are_those_of_the_definition(parts):
    """Raw moments of rows near zero: some tens of roundings."""
    X = overlapping()
    problem = state(MemorySource(X), family("full"))
    start, seen = begun(problem, 3), []
    incremental.run(problem, start, Stop(0.0, 7, parts=parts), lambda *at: seen.append(at[2]))
    expected = oracle(X, start.weights, start.means, start.covariances, parts, 6)
    for found, (weights, means, covariances) in zip(seen, expected, strict=True):
        np.testing.assert_allclose(found.weights, weights, rtol=1e-12)
        np.testing.assert_allclose(found.means, means, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.covariances, covariances, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("count", [*range(1, 18), 33])
def test_an_exchanged_value_leaves_no_trace(count):
    rng = np.random.default_rng(count)
    values = (10.0 ** rng.uniform(-20, 20, count)).tolist()
    sums = Sums.of(values)
    for _ in range(3):
        for index in range(count):
            values[index] = 10.0 ** rng.uniform(-20, 20)
            sums = sums.exchanged(index, values[index])
            assert sums.total == tree_sum(values)
            assert sums.leaves == tuple(values)


def told(mode, X, rng):
    """A problem's source in a mode of the data."""
    X, block = X.copy(), {}
    if mode in ("gaps", "all"):
        X[rng.random(X.shape) < 0.2] = np.nan
    if mode in ("weights", "all"):
        block["weights"] = rng.random(len(X)) * (rng.random(len(X)) < 0.9)
    if mode in ("labels", "all"):
        told = np.zeros((len(X), 3))
        told[np.arange(0, 60), rng.integers(3, size=60)] = -3.0
        told[:10, 1] = -np.inf
        block["plausibility"] = told
    if mode == "limits":
        low = np.full(X.shape, -np.inf)
        X[:40, 0], low[:40, 0] = np.nan, 2.0
        block["limits"] = low, np.full(X.shape, np.inf)
    return MemorySource.of(Block(X, **block))


MODES = [
    *((name, "plain") for name in ("tied", "VEV", "EVE")),
    *(("full", mode) for mode in ("all", "weights", "limits", "hard")),
    ("equal-spherical", "all"),
    ("diag", "labels"),
    ("VEI", "prior"),
]


@pytest.mark.parametrize(("name", "mode"), MODES)
def test_the_free_energy_never_falls_and_ends_where_em_stands_still(name, mode):
    """A step of EM from an end 1e-11 nats a row from the limit moves means by about its root."""
    rng = np.random.default_rng(1)
    assign = hard if mode == "hard" else soft
    problem = state(told(mode, overlapping(150), rng), family(name), assign=assign)
    if mode in ("prior", "all"):
        problem = with_prior(problem, "fraley-raftery", 3)
    mixture, sources = begun(problem, 3), problem.source.parts(4)
    pivot = mixture.location
    sums = Sums.of(incremental.leaf(problem, one, mixture, pivot) for one in sources)
    values = [incremental.free_energy(problem, sums, mixture)]
    assert values[0] == pytest.approx(problem.at(mixture).value, abs=1e-12)
    for step in range(12):
        index = step % 4
        sums = sums.exchanged(index, incremental.leaf(problem, sources[index], mixture, pivot))
        values.append(incremental.free_energy(problem, sums, mixture))
        mixture = problem.maximized(sums.total, mixture)
        values.append(incremental.free_energy(problem, sums, mixture))
    assert (np.diff(values) >= -1e-13).all()
    fit = incremental.run(problem, mixture, Stop(1e-11, 1000, parts=4))
    assert fit.converged
    assert (np.diff(fit.trace) >= -1e-13).all()
    again = problem.at(fit.mixture)
    assert fit.value == pytest.approx(again.value, abs=1e-12)
    np.testing.assert_allclose(fit.counts, again.data.counts, rtol=1e-9)
    moved = problem.maximized(again.data, fit.mixture)
    np.testing.assert_allclose(moved.means, fit.mixture.means, atol=3e-5)


def test_one_step_is_that_of_em():
    problem = state(MemorySource(overlapping()), family("full"))
    start = begun(problem, 3)
    ours = incremental.run(problem, start, Stop(0.0, 1, parts=3))
    theirs = em.climbed(problem, em.State.of(problem, start, one := Stop(0.0, 1)), one)
    assert ours.n_iter == theirs.n_iter == 1
    np.testing.assert_allclose(ours.trace, theirs.trace, rtol=1e-13)
    np.testing.assert_allclose(ours.mixture.means, theirs.mixture.means, rtol=1e-12)


@pytest.mark.parametrize("offset", [1e8, -3e5])
def test_far_from_zero_nothing_cancels(offset):
    """The same rows elsewhere; float64 rows at 1e8 keep 1e-8 of what they were."""
    X = overlapping(2500)
    near = GaussianMixture(3, incremental=4, random_state=0, tol=1e-10).fit(X)
    far = GaussianMixture(3, incremental=4, random_state=0, tol=1e-10).fit(X + offset)
    np.testing.assert_allclose(far.means_ - offset, near.means_, atol=1e-4)
    assert far.lower_bound_ == pytest.approx(near.lower_bound_, abs=1e-7)


@pytest.fixture(scope="module")
def many():
    """Rows of several blocks."""
    return overlapping(70_000, seed=4)


def ends(model):
    mixture = model.mixture_
    arrays = mixture.weights, mixture.location, mixture.structure.array(), model.trace_
    return *(np.asarray(one).tobytes() for one in arrays), model.n_iter_


def test_any_number_of_threads_and_any_place_give_the_same_bits(many, tmp_path):
    np.save(tmp_path / "rows.npy", many)
    places = many, scan([many[:30_000], many[30_000:]]), str(tmp_path / "rows.npy")
    given = {"incremental": 3, "random_state": 0, "max_iter": 6, "tol": 0}
    found = [GaussianMixture(3, n_jobs=jobs, **given).fit(X) for jobs in (1, 3) for X in places]
    assert len({ends(model) for model in found}) == 1
    assert found[0].lower_bound_ == pytest.approx(found[0].score(many), abs=1e-12)


def test_the_usual_number_of_parts_shrinks_with_the_size_of_statistics():
    few = state(MemorySource(overlapping(10)), family("full"))
    wide = state(MemorySource(np.random.default_rng(0).normal(size=(400, 300))), family("full"))
    counts = [incremental.count(one, k, 0) for one, k in ((few, 3), (wide, 1), (wide, 40))]
    assert counts == [10, 16, 4]
    assert incremental.count(few, 3, 50) == 10


def test_a_killed_fit_goes_on_to_the_same_bits(tmp_path):
    X, given = overlapping(2500), {"incremental": 4, "random_state": 0, "tol": 1e-10}
    whole = GaussianMixture(3, **given).fit(X)
    path = tmp_path / "kept"

    def strike(step, value, mixture):
        if step == strike.at:
            raise KeyboardInterrupt

    assert whole.n_iter_ > 12
    for strike.at in (3, 9, 11):
        with pytest.raises(KeyboardInterrupt):
            GaussianMixture(3, callback=strike, **given).fit(X, checkpoint=path)
    assert ends(GaussianMixture(3, **given).fit(X, checkpoint=path)) == ends(whole)
    with pytest.raises(Exception, match="incremental"):
        GaussianMixture(3, **given | {"incremental": 5}).fit(X, checkpoint=path)


def test_a_callback_can_stop_it():
    X = overlapping(2500)
    model = GaussianMixture(3, incremental=4, random_state=0, tol=0, callback=lambda *at: at[0] > 4)
    model.fit(X)
    assert model.n_iter_ == 6  # and one pass for the likelihood
    assert model.lower_bound_ == pytest.approx(model.score(X), abs=1e-12)


def test_grids_and_streams_and_held_parameters_go_with_it():
    X = overlapping(600)
    model = GaussianMixture([1, 2], incremental=True, random_state=0).fit(X)
    assert model.n_components_ in (1, 2)
    held = GaussianMixture(
        2, incremental=4, random_state=0, fixed="means", means_init=[[0, 0], [4, 0]]
    ).fit(X)
    assert held.means_.tolist() == [[0, 0], [4, 0]]
    GaussianMixture(2, incremental=4, random_state=0).partial_fit(X)


def test_rows_with_errors_end_as_in_em():
    """Both within the tolerance of the limit."""
    X, given = overlapping(2200), {"random_state": 0, "tol": 1e-8}
    variances = np.linspace(0.0, 0.5, 4400).reshape(2200, 2)
    found = GaussianMixture(2, incremental=3, **given).fit(X, noise_cov=variances)
    usual = GaussianMixture(2, **given).fit(X, noise_cov=variances)
    assert (np.diff(found.trace_) >= -1e-12).all()
    assert found.lower_bound_ == pytest.approx(usual.lower_bound_, abs=1e-6)


def test_rows_in_partitions_are_refused():
    da = pytest.importorskip("dask.array")
    rows = da.from_array(overlapping(), chunks=(200, 2))
    with pytest.raises(InputError, match="incremental"):
        GaussianMixture(2, incremental=4).fit(rows)
    with pytest.raises(InputError, match="incremental"):
        remote(rows).parts(4)


@pytest.mark.parametrize("weights", [None, np.arange(2500.0)])
def test_rows_on_a_device_climb_alike(weights):
    torch = pytest.importorskip("torch")
    X, given = overlapping(2500), {"incremental": 4, "random_state": 0, "max_iter": 5, "tol": 0}
    here = GaussianMixture(2, **given).fit(X, sample_weight=weights)
    there = GaussianMixture(2, **given).fit(torch.from_numpy(X), sample_weight=weights)
    np.testing.assert_allclose(there.means_, here.means_, rtol=1e-9)


@pytest.mark.parametrize(
    "given",
    [
        {"distribution": "t"},
        {"noise": True},
        {"trim": 0.1},
        {"truncation": (-9, 9)},
        {"candidates": 2},
        {"covariance_type": "factor:1"},
        {"incremental": 1},
        {"incremental": "yes"},
        {"incremental": 2.5},
    ],
)
def test_what_does_not_go_is_refused(given):
    with pytest.raises(InputError, match="incremental"):
        GaussianMixture(2, **{"incremental": 4} | given).fit(overlapping(50))


def test_plain_kernels_climb_alike(many):
    """Other orders of summation."""
    problem = state(MemorySource(many), family("full"))
    start = begun(problem, 3)
    stop = Stop(0.0, 3, parts=4)
    usual = incremental.run(problem, start, stop)
    from mixtura import kernels

    before = kernels.active()
    kernels.use("plain")
    try:
        assert kernels.active() is plain
        found = incremental.run(problem, start, stop)
    finally:
        kernels.use("plain" if before is plain else "compiled")
    np.testing.assert_allclose(found.trace, usual.trace, rtol=1e-12)


def test_a_given_prior_counts_once():
    """A heavy prior's mode is its own."""
    X = overlapping(100)
    prior = Conjugate(1e9, np.zeros(2), 1e9, 1e9 * np.eye(2), 1.0)
    model = GaussianMixture(1, incremental=4, prior=prior, random_state=0).fit(X)
    np.testing.assert_allclose(model.means_, 0.0, atol=1e-5)
