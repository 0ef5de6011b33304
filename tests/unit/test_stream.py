"""Streams: a step by hand, the batch optimum on stationary rows, drifts seen and recovered from."""

import pickle

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mixtura import DriftWarning, GaussianMixture, InputError, Mixture
from mixtura.fit import stream
from mixtura.fit.drift import Watch

TRUTH = Mixture(
    [0.3, 0.5, 0.2],
    [[0.0, 0.0], [3.0, 1.0], [-2.0, 4.0]],
    [np.eye(2), [[1.0, 0.6], [0.6, 1.0]], 0.5 * np.eye(2)],
)


@pytest.fixture(scope="module")
def rows():
    return TRUTH.sample(20_000, np.random.default_rng(0))


@pytest.fixture(scope="module")
def later():
    """Rows that no fit sees."""
    return TRUTH.sample(20_000, np.random.default_rng(1))


def streamed(rows, size=1000, model=None, weights=None, **parameters):
    """A model that has been told rows call by call."""
    model = model or GaussianMixture(3, random_state=0, **parameters)
    for at in range(0, len(rows), size):
        some = slice(at, at + size)
        model.partial_fit(rows[some], sample_weight=None if weights is None else weights[some])
    return model


def sums(X, w, pi, mu, sigma):
    """Σ w r, Σ w r x and Σ w r x xᵀ of every component, and the log-likelihood."""
    joint = np.column_stack(
        [p * multivariate_normal(m, s).pdf(X) for p, m, s in zip(pi, mu, sigma, strict=True)]
    )
    total = joint.sum(axis=1)
    r = w[:, None] * joint / total[:, None]
    return r.sum(axis=0), r.T @ X, np.einsum("nk,ni,nj->kij", r, X, X), w @ np.log(total)


def test_two_steps_are_those_by_hand(rows, monkeypatch):
    monkeypatch.setattr(stream, "SIZE", 300)
    rng = np.random.default_rng(5)
    parts = [rows[:300] + 10.0, rows[300:500] + 10.0, rows[500:600] + 10.0]
    weights = [rng.uniform(0.5, 2.0, len(part)) for part in parts]
    model = GaussianMixture(3, random_state=0).partial_fit(parts[0], sample_weight=weights[0])
    theta = model.weights_, model.means_, model.covariances_
    n, first, second, _ = sums(parts[0], weights[0], *theta)
    unit = weights[0].sum()
    mean = [n / unit, first / unit, second / unit]
    t = 1.0
    for X, w in zip(parts[1:], weights[1:], strict=True):
        *told, log = sums(X, w, *theta)
        units = w.sum() / unit
        gamma = 1.0 - (1.0 - (t + 1.0) ** -0.6) ** units
        t += units
        mean = [(1 - gamma) * a + gamma * b / w.sum() for a, b in zip(mean, told, strict=True)]
        mu = mean[1] / mean[0][:, None]
        sigma = mean[2] / mean[0][:, None, None] - mu[:, :, None] * mu[:, None, :]
        theta = mean[0] / mean[0].sum(), mu, sigma
        model.partial_fit(X, sample_weight=w)
        for mine, hand in zip(
            (model.weights_, model.means_, model.covariances_), theta, strict=True
        ):
            # Raw moments about an offset of ten lose two digits of sixteen.
            np.testing.assert_allclose(mine, hand, rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(model.stream_scores_[-1], log / w.sum(), rtol=1e-12)


def test_stationary_rows_lead_to_the_batch_optimum(rows, later):
    batch = GaussianMixture(3, random_state=0).fit(rows)
    model = streamed(rows)
    # About 5 000 rows are remembered: 17 parameters cost 17 / 10 000 nats a row.
    assert batch.score(later) - model.score(later) < 4e-3
    assert np.abs(model.means_ - batch.means_).max() < 0.15
    assert model.drifts_ == [] and model.n_samples_seen_ == len(rows)
    assert np.isnan(model.stream_scores_[0])
    assert abs(model.stream_scores_[5:].mean() - batch.score(rows)) < 0.02


def test_how_rows_are_cut_hardly_matters(rows):
    whole, units = streamed(rows, len(rows)), streamed(rows, 2000)
    assert whole.mixture_ == units.mixture_
    fine = streamed(rows[:4000], 200)
    assert np.abs(fine.means_ - streamed(rows[:4000], 2000).means_).max() < 0.05


def test_a_drift_is_named_and_recovered_from(rows, later):
    model = streamed(rows[:10_000])
    shift = np.array([1.5, 0.0])
    with pytest.warns(DriftWarning, match=r"call 1[123] of partial_fit"):
        streamed(rows[10_000:] + shift, model=model)
    batch = GaussianMixture(3, random_state=0).fit(rows[10_000:] + shift)
    there = later + shift
    assert batch.score(there) - model.score(there) < 0.01  # it was one nat at the drift
    assert len(model.drifts_) == 1 and model.stream_scores_[11] < model.stream_scores_[9] - 0.5
    moved = model.means_ - shift - streamed(rows[:10_000]).means_
    assert np.abs(moved).max() < 0.3  # components stay who they are


def test_weights_count_by_their_ratios(rows):
    weights = np.random.default_rng(2).uniform(0.5, 2.0, 6000)
    one = streamed(rows[:6000], weights=weights)
    other = streamed(rows[:6000], weights=4.0 * weights)
    np.testing.assert_allclose(one.means_, other.means_, rtol=1e-10, atol=1e-12)
    absent = np.where(np.arange(6000) % 2, 1.0, 0.0)
    wild = np.where(absent[:, None] > 0, rows[:6000], 1e150)
    assert np.abs(streamed(wild, weights=absent).means_ - TRUTH.means[[2, 0, 1]]).max() < 0.2


@pytest.mark.parametrize(
    "parameters",
    [
        {"covariance_type": "tied", "prior": "fraley-raftery"},
        {"covariance_type": "diag", "assignment": "hard"},
        pytest.param({"covariance_type": "VEE"}, marks=pytest.mark.slow),
        {"fixed": "means", "means_init": TRUTH.means},
    ],
    ids=str,
)
def test_modes_compose(rows, later, parameters):
    some = rows[:8000].copy()
    some[np.random.default_rng(0).random(some.shape) < 0.1] = np.nan
    model = streamed(some, weights=np.ones(len(some)), **parameters)
    batch = GaussianMixture(3, random_state=0, **parameters).fit(some)
    assert abs(batch.score(later) - model.score(later)) < 0.02  # 3 000 rows remembered, with gaps
    if "fixed" in parameters:
        assert (model.means_ == TRUTH.means).all()


def test_units_do_not_matter(rows):
    scales = np.array([2.0**-30, 2.0**20])
    one, other = streamed(rows[:6000]), streamed(rows[:6000] * scales)
    assert (other.means_ == one.means_ * scales).all()
    assert (other.weights_ == one.weights_).all()


def test_few_rows_give_a_fit_that_grows(rows):
    model = GaussianMixture(3, random_state=0)
    model.partial_fit(rows[:10])
    assert not hasattr(model, "mixture_")
    model.partial_fit(rows[10:20])
    first = model.mixture_
    model.partial_fit(rows[20:25])
    assert model.mixture_ is first or model.mixture_ == first
    model.partial_fit(rows[25:60])
    assert model.mixture_ != first
    assert np.isfinite(model.stream_scores_[2:]).all() and np.isnan(model.stream_scores_[:2]).all()


def test_a_stream_is_pickled_midway(rows):
    model = streamed(rows[:5000])
    copy = pickle.loads(pickle.dumps(model))
    assert len(pickle.dumps(model)) < 50_000
    assert streamed(rows[5000:9000], model=copy).mixture_ == (
        streamed(rows[5000:9000], model=model).mixture_
    )


def test_fit_ends_a_stream_and_warm_start_begins_one(rows):
    model = streamed(rows[:5000])
    model.fit(rows)
    assert model.mixture_ == GaussianMixture(3, random_state=0).fit(rows).mixture_
    assert not hasattr(model, "stream_scores_") and not hasattr(model, "drifts_")
    model.set_params(warm_start=True, init_params="random", max_iter=1)
    model.partial_fit(rows[:2000])
    assert np.abs(model.means_ - TRUTH.means[[2, 0, 1]]).max() < 0.2
    assert np.isfinite(model.stream_scores_[0])


def test_a_call_that_fails_leaves_the_stream_as_it_was(rows):
    model = streamed(rows[:4000])
    before = model.mixture_
    for bad, wrong in ((rows[:5, :1], "features"), (np.full((3, 2), np.inf), "infinity")):
        with pytest.raises(ValueError, match=wrong):
            model.partial_fit(bad)
    with pytest.raises(InputError, match="zero for every row"):
        model.partial_fit(rows[:5], sample_weight=np.zeros(5))
    assert model.mixture_ is before and model.n_samples_seen_ == 4000


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"n_components": [1, 2]}, "one model"),
        ({"covariance_type": "factor:1"}, "low-rank"),
        ({"distribution": "t"}, "all rows together"),
        ({"noise": True}, "all rows together"),
        ({"trim": 0.1}, "all rows together"),
        ({"truncation": (0, None)}, "all rows together"),
    ],
)
def test_what_a_stream_cannot_fit_is_refused(parameters, named):
    with pytest.raises(AttributeError, match="partial_fit") as raised:
        _ = GaussianMixture(**parameters).partial_fit
    assert isinstance(raised.value.__cause__, InputError)
    assert named in str(raised.value.__cause__)


def alarms(watch, scores, weight=100.0):
    """The numbers of the scores at which a watch sounds."""
    found = []
    for number, score in enumerate(scores):
        watch, alarm = watch.after(score, weight)
        found += [number] if alarm else []
    return found


def test_the_watch_sleeps_while_nothing_changes_and_wakes_soon():
    rng, watch = np.random.default_rng(0), Watch(variance=4.0, least=100.0)
    quiet = rng.normal(-3.0, 0.2, 5000)
    assert alarms(watch, quiet) == []
    assert alarms(watch, np.repeat(quiet[:500], 4), 25.0) == []  # gathered to 100
    wide = -3.0 + 5.0 * (quiet + 3.0)  # blocks that differ more than their rows say
    assert len(alarms(watch, wide)) <= 1
    falls = [[*quiet[:200], *rng.normal(-3.4, 0.2, 100)] for _ in range(20)]
    delays = [alarms(watch, scores)[0] - 199 for scores in falls]
    assert 6 < np.mean(delays) < 12  # a fall by two errors: LIMIT / (2 - SLACK) is 8
    assert alarms(watch, [*quiet[:200], *rng.normal(-9.0, 0.2, 100)])[0] == 202


def test_an_abrupt_drift_does_not_hide_itself():
    """The first score after it is so low that it once pulled the mean down to what follows."""
    scores = [-5.0] * 40 + [-474.0, -16.0, -12.0, -10.0, -9.0]
    watch, alarms = Watch(variance=1.5, least=100.0), []
    for score in scores:
        watch, alarm = watch.after(score, 150.0)
        alarms.append(alarm)
    assert alarms.index(True) in (41, 42)
    watch, alarms = Watch(variance=1.5, least=100.0), []
    for score in [-5.0] * 40 + [-474.0] + [-5.0] * 40:
        watch, alarm = watch.after(score, 150.0)
        alarms.append(alarm)
    assert not any(alarms)  # one bad call among good ones is none
