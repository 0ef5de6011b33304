"""E-steps in which each row counts for few components: exact in the limit, a bound else."""

import warnings

import numpy as np
import pytest

from mixtura import GaussianMixture, InputError, Shortlist
from mixtura._errors import DegenerateWarning
from mixtura.covariance import family
from mixtura.fit.candidates import audited, neighbours, searched
from mixtura.fit.em import Stop, run
from mixtura.fit.problem import shortlisted, state
from mixtura.kernels import plain, plain_truncated
from mixtura.source import MemorySource

NAMES = ["full", "tied", "diag", "spherical", "equal-spherical", "VEV"]


def blobs(n=600, d=3, k=12, seed=0, apart=3.0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(0.0, apart, (k, d))
    return centres[rng.integers(k, size=n)] + rng.normal(size=(n, d)), centres


def problem(X, shortlist=None, name="full", **given):
    return shortlisted(state(MemorySource(X, **given), family(name)), shortlist)


def begun(stated, X, k):
    """A start of the family on rows."""
    flat = stated.isotropic(stated.frame.read(X[:k]))
    exact = shortlisted(stated, None)
    return exact.maximized(exact.at(flat).data, flat)


def numbers(k=9, d=3, n=200, shape=0, seed=0):
    """Arguments of the kernels: rows of any place, components of any shape."""
    rng = np.random.default_rng(seed)
    full = np.triu(rng.normal(size=(k, d, d))) + 2.0 * np.eye(d)
    factors = (full, rng.random((k, d)) + 0.5, rng.random(k) + 0.5)[shape]
    rows, frame = rng.normal(size=(n, d)) * 2.0, (rng.normal(size=d), np.array([1.0, 0.5, 2.0]))
    logs = np.log(rng.dirichlet(np.ones(k))), rng.normal(size=k)
    component = logs[0], rng.normal(size=(k, d)) * 2.0, factors, logs[1]
    held = np.argsort(rng.random((n, k)), axis=1)[:, :3].astype(np.int32)
    held[::5, 2] = -1
    near = np.argsort(rng.random((k, k)), axis=1)[:, :3].astype(np.int32)
    return (rows, *frame, rng.random(n), *component, shape), held, near


@pytest.mark.parametrize("is_hard", [False, True])
@pytest.mark.parametrize("shape", [0, 1, 2])
def test_the_compiled_kernel_is_the_plain_one(shape, is_hard):
    """Other orders of summation of 200 rows: a few hundred roundings."""
    compiled = pytest.importorskip("mixtura.kernels.compiled")
    given, held, near = numbers(shape=shape)
    for nearby in (near, near[:, :0]):
        expected = plain_truncated.accumulate_truncated(*given, is_hard, held, nearby)
        found = compiled.accumulate_truncated(*given, is_hard, held, nearby)
        assert found[0] == pytest.approx(expected[0], rel=1e-13)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-12, atol=1e-11)
        np.testing.assert_array_equal(found[2], expected[2])


def test_a_row_keeps_the_best_of_all_when_all_are_searched():
    """By brute force over the dense table of the log joint."""
    given, held, near = numbers()
    rows, pivot, scale, weights, *component, shape = given
    joint = plain.log_joint(rows, pivot, scale, *component, shape)
    energy, _, kept = plain_truncated.accumulate_truncated(*given, False, held, near[:, :0])
    best = np.argsort(-joint, axis=1)[:, :3]
    assert (kept[:, 0] == best[:, 0]).all()
    assert ((kept == best) | (kept == -1)).all()
    bound = np.logaddexp.reduce(np.take_along_axis(joint, best, 1), axis=1)
    assert energy == pytest.approx(weights @ bound, rel=1e-13)  # what is let go is below rounding


@pytest.mark.parametrize("name", NAMES)
def test_nothing_left_out_is_the_exact_step(kernel, name):
    """1e-12: the same numbers, summed in another order and by another formula."""
    X, _ = blobs()
    weights = np.random.default_rng(1).uniform(0.0, 2.0, len(X))
    exact = problem(X, None, name, weights=weights)
    mixture = begun(exact, X, 12)
    one = exact.at(mixture)
    other = problem(X, Shortlist(12), name, weights=weights).at(mixture)
    assert other.value == pytest.approx(one.value, rel=1e-12)
    a, b = (point.data.about(np.zeros_like(mixture.location)) for point in (one, other))
    for field in ("counts", "first", "second"):
        left, right = getattr(a, field), getattr(b, field)
        np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-12 * np.abs(right).max())


@pytest.mark.parametrize("mode", ["plain", "gaps", "labels", "float32"])
@pytest.mark.parametrize("name", ["full", "diag"])
def test_the_bound_never_falls_and_never_passes_the_likelihood(name, mode):
    X, _ = blobs(apart=1.5)
    given = {}
    if mode == "gaps":
        X[::7, 1] = np.nan
    if mode == "labels":
        given["plausibility"] = np.zeros((len(X), 12))
        given["plausibility"][:50, 3:] = -np.inf
    rows = X.astype(np.float32) if mode == "float32" else X
    exact = problem(rows, None, name, **given)
    stated = shortlisted(exact, Shortlist(2, 3))
    here = stated.at(begun(exact, X[~np.isnan(X).any(axis=1)], 12))
    for _ in range(12):
        assert here.value <= exact.at(here.mixture).value + 1e-12
        after = stated.at(stated.maximized(here.data, here.mixture), here)
        assert after.value >= here.value - 1e-12
        here = after
    lost = exact.at(here.mixture).value - here.value
    audit = audited(stated.source, here.mixture, here.candidates)
    assert audit.rows == len(X)
    # all rows are audited: the same difference, up to single precision of the exact kernel
    assert audit.loss == pytest.approx(lost, abs=1e-5 if mode == "float32" else 1e-12)


def test_leaps_do_not_lower_the_bound():
    X, _ = blobs(apart=1.0)
    stated = problem(X, Shortlist(2, 2))
    fit = run(stated, begun(stated, X, 12), Stop(1e-8, 60))
    assert (np.diff(fit.trace) >= -1e-12).all()


def test_threads_do_not_change_a_bit(monkeypatch):
    monkeypatch.setattr("mixtura.fit.candidates._LEAST", 100)
    monkeypatch.setattr("mixtura.fit.candidates._PER_COMPONENT", 1)
    X, _ = blobs()
    traces = []
    for threads in (1, 2):
        stated = problem(X, Shortlist(3, 4), threads=threads)
        traces.append(run(stated, begun(stated, X, 12), Stop(0.0, 8)).trace)
    assert traces[0] == traces[1]


@pytest.mark.parametrize("name", ["full", "diag", "spherical", "tied", "equal-spherical"])
def test_neighbours_are_those_of_least_divergence(name):
    """`max(E_i[l_j - l_i], E_j[l_i - l_j])` by the divergence of Gaussians in closed form."""
    X, _ = blobs(k=8)
    mixture = begun(problem(X, None, name), X, 8)
    dense, m, logs = mixture.structure.dense(), mixture.location, mixture.log_weights
    away = np.empty((8, 8))
    for i in range(8):
        for j in range(8):
            P, off = np.linalg.inv(dense[j]), m[j] - m[i]
            trace = np.trace(P @ dense[i]) - mixture.n_features + off @ P @ off
            dets = np.linalg.slogdet(dense[j])[1] - np.linalg.slogdet(dense[i])[1]
            away[i, j] = 0.5 * (trace + dets) - (logs[j] - logs[i])
    apart = np.minimum(away, away.T)
    np.fill_diagonal(apart, -np.inf)
    near = neighbours(mixture, 4)
    np.testing.assert_array_equal(np.sort(near), np.sort(np.argsort(apart)[:, :4]))


def test_every_pair_of_components_meets_within_some_steps():
    X, _ = blobs(k=40, n=2000)
    mixture = begun(problem(X), X, 40)
    met = np.eye(40, dtype=bool)
    for turn in range(1, 33):
        near = searched(mixture, 3, turn)
        assert near.shape == (40, 5)
        np.put_along_axis(met, near, True, axis=1)
    assert met.all()


def test_separated_components_are_found():
    """Means within three standard errors; seeds now and then miss a pair of forty."""
    X, centres = blobs(n=6000, d=4, k=40, apart=20.0)
    model = GaussianMixture(40, candidates=3, random_state=0, n_init=2).fit(X)
    distance = np.linalg.norm(model.means_[:, None] - centres, axis=2)
    assert (distance.min(axis=0) < 0.6).sum() >= 38
    assert model.audit_.loss < 1e-8
    assert (np.diff(model.trace_) >= -1e-12).all()


def test_a_weight_is_a_repetition():
    X, _ = blobs()
    counts = np.random.default_rng(3).integers(1, 4, len(X))
    once = problem(X, Shortlist(2), weights=counts.astype(float))
    start = begun(once, X, 12)
    twice = problem(np.repeat(X, counts, axis=0), Shortlist(2))
    assert once.at(start).value == pytest.approx(twice.at(twice.adopted(start)).value, rel=1e-12)


def test_a_large_loss_is_told():
    X, _ = blobs(n=1500, apart=0.2)
    with pytest.warns(DegenerateWarning, match="nats a row of the log-likelihood"):
        model = GaussianMixture(8, candidates=1, random_state=0, max_iter=5, tol=0.0).fit(X)
    assert model.lower_bound_ + model.audit_.loss == pytest.approx(model.score(X), abs=1e-9)


@pytest.mark.parametrize("given", [0, True, 2.5, "few"])
def test_a_shortlist_is_a_whole_number(given):
    with pytest.raises(InputError, match="whole number"):
        GaussianMixture(3, candidates=given).fit(blobs()[0])


@pytest.mark.parametrize(
    "given", [{"distribution": "t"}, {"noise": True}, {"trim": 0.1}, {"covariance_type": "ppca:1"}]
)
def test_what_needs_all_components_is_refused(given):
    with pytest.raises(InputError, match="candidates=None"):
        GaussianMixture(3, candidates=2, **given).fit(blobs()[0])


def test_hundreds_of_groups_are_seeded():
    """Twenty rows a group on a grid twenty deviations wide: all but a few have their component."""
    centres = 20.0 * np.stack(np.divmod(np.arange(200), 20), axis=1)
    X = np.repeat(centres, 20, axis=0) + np.random.default_rng(0).normal(size=(4000, 2))
    model = GaussianMixture(200, candidates=3, covariance_type="spherical", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateWarning)  # where two share a group
        model.set_params(max_iter=20, tol=0.0).fit(X)
    distance = np.linalg.norm(model.means_[:, None] - centres, axis=2).min(axis=0)
    assert (distance < 1.5).sum() >= 180
