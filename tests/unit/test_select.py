"""Choosing the number of components and the family."""

import warnings

import numpy as np
import pytest
from scipy.special import logsumexp

from mixtura import GaussianMixture, select
from mixtura._errors import InputError, MixturaWarning
from mixtura.fit.select import Candidate, counts, rules, threads
from oracle import FAMILIES, log_joint, n_parameters

pytestmark = pytest.mark.filterwarnings("ignore::mixtura.MixturaWarning")


def blobs(k, d=2, n=80, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(8.0 * c, 1, (n, d)) for c in range(k)])


@pytest.mark.parametrize("criterion", ["bic", "icl", "cv"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_clear_blobs_are_counted(criterion, k):
    found = select(blobs(k), range(1, 5), "equal-spherical", criterion=criterion)
    if criterion == "cv":  # what is held out does not punish a needless component by much
        assert found.best.n_components >= k
    else:
        assert found.best.n_components == k


@pytest.mark.parametrize("family", FAMILIES)
def test_criteria_are_their_formulas(family, faithful):
    found = select(faithful, [2], family)
    c, m = found.best, found.fit.mixture
    joint = log_joint(faithful, m.weights, m.means, m.covariances)
    values = logsumexp(joint, axis=1)
    p = n_parameters(family, 2, 2)
    assert c.n_parameters == p
    assert c.log_likelihood == pytest.approx(values.sum(), rel=1e-11)
    assert c.bic == pytest.approx(-2 * values.sum() + p * np.log(272), rel=1e-11)
    assert c.aic == pytest.approx(-2 * values.sum() + 2 * p, rel=1e-11)
    assert c.icl == pytest.approx(c.bic - 2 * (joint.max(axis=1) - values).sum(), rel=1e-10)
    assert c.converged and not c.degenerate and c.failure is None and c.n_iter > 0
    assert (c.n_components, c.covariance_type) == (2, family)


def test_weights_count_as_repetitions(faithful):
    w = np.random.default_rng(0).integers(1, 3, 272)
    a = select(faithful, [1, 2], ["full"], sample_weight=w)
    b = select(np.repeat(faithful, w, axis=0), [1, 2], ["full"])
    for left, right in zip(a.candidates, b.candidates, strict=True):
        assert left.bic == pytest.approx(right.bic, rel=1e-6)
        assert left.icl == pytest.approx(right.icl, rel=1e-5)


def test_gaps_and_labels(faithful):
    X = faithful.copy()
    X[::3, 0] = np.nan
    told = np.where(faithful[:, 1] > 85, 1, -1)
    told[faithful[:, 1] < 50] = 0
    found = select(X, [2], "all", labels=told)
    assert all(c.failure is None for c in found.candidates)
    assert found.fit.mixture.means[0, 1] < found.fit.mixture.means[1, 1]


def test_labels_beyond_the_components_are_a_failure_of_that_cell():
    X = blobs(3)
    told = np.full(len(X), -1)
    told[-3:] = 2
    found = select(X, [2, 3], "full", labels=told)
    by_k = {c.n_components: c for c in found.candidates}
    assert by_k[2].failure is not None and "0..1" in by_k[2].failure
    assert found.best.n_components == 3
    assert found.ranked()[-1] is by_k[2]


def test_more_components_than_rows_is_a_failure_of_that_cell():
    found = select(np.arange(6.0).reshape(3, 2) ** 1.5, [1, 2, 5], "equal-spherical")
    by_k = {c.n_components: c for c in found.candidates}
    assert "5" in by_k[5].failure
    assert found.best.n_components in (1, 2)
    with pytest.raises(InputError):
        select(np.eye(2), [3, 4])


def test_degenerate_candidates_rank_behind_sound_ones():
    """A spike on two equal rows has an unbounded likelihood, and must not win."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 2)), np.full((4, 2), 3.0)])
    found = select(X, [1, 2, 3], ["full", "spherical"])
    assert not found.best.degenerate
    assert any(c.degenerate for c in found.candidates)
    ranked = found.ranked()
    flags = [c.degenerate for c in ranked]
    assert flags == sorted(flags)


def test_ranked_and_best(faithful):
    found = select(faithful, [1, 2, 3], "all")
    ranked = found.ranked()
    assert ranked[0] is found.best
    assert set(ranked) == set(found.candidates)
    assert sorted(c.score for c in ranked) == [c.score for c in ranked] or any(
        c.degenerate for c in ranked
    )
    grid = [(c.n_components, c.covariance_type) for c in found.candidates]
    assert grid == [(k, name) for k in (1, 2, 3) for name in FAMILIES]


def test_the_sentence(faithful):
    found = select(faithful, [1, 2, 3, 4], "all")
    text = found.sentence()
    assert "3 components" in text and "tied" in text and "BIC" in text and text.endswith(".")
    assert "1 component " in select(blobs(1), [1], "full").sentence()
    assert "try more" in select(blobs(4), [1, 2], "full").sentence()


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_the_number_of_threads_does_not_matter(n_jobs, faithful):
    one = select(faithful, [2, 3], ["full", "diag"], n_jobs=1)
    other = select(faithful, [2, 3], ["full", "diag"], n_jobs=n_jobs)
    assert other.candidates == one.candidates
    assert other.fit.mixture == one.fit.mixture


def test_progress(faithful):
    seen = []
    select(faithful, [1, 2], ["full", "diag"], n_jobs=2, progress=lambda *at: seen.append(at))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_cross_validation_is_out_of_sample(faithful):
    """A richer model always gains in sample; held out, it must not gain for nothing."""
    X = np.random.default_rng(1).normal(size=(120, 3))
    found = select(X, [1, 6], "full", criterion="cv")
    by_k = {c.n_components: c for c in found.candidates}
    assert by_k[6].log_likelihood > by_k[1].log_likelihood
    assert by_k[1].score < by_k[6].score
    assert found.best.n_components == 1


def test_names_reach_the_mixture(faithful):
    pd = pytest.importorskip("pandas")
    found = select(pd.DataFrame(faithful, columns=["eruptions", "waiting"]), [2], "full")
    assert found.fit.mixture.feature_names == ("eruptions", "waiting")


def test_the_winner_is_the_fit_of_the_estimator(faithful):
    found = select(faithful, [2], "diag", random_state=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixturaWarning)
        model = GaussianMixture([2], covariance_type="diag", random_state=5).fit(faithful)
    assert model.bic(faithful) == pytest.approx(found.best.bic, rel=1e-8)


def test_arguments():
    assert counts(3) == [3] and counts({2, 1}) == [1, 2] and counts(np.int64(2)) == [2]
    for wrong in ([], [0], [1.5], -1):
        with pytest.raises(InputError):
            counts(wrong)
    assert [rule.name for rule in rules("all")] == list(FAMILIES)
    assert [rule.name for rule in rules(["VVV", "EII"])] == ["full", "equal-spherical"]
    with pytest.raises(InputError, match="VVX"):
        rules("VVX")
    assert threads(3) == 3 and threads(1) == 1 and threads(-1) >= 1
    with pytest.raises(InputError, match="n_jobs"):
        threads(0)
    with pytest.raises(InputError, match="criterion"):
        select(np.eye(4), [1], criterion="gut")
    assert Candidate(1, "full").rank[0] is False


def test_one_model_has_a_checkpoint_and_is_watched(tmp_path):
    """Gaps keep the climb from being compiled as a whole, so that it has rounds to tell of."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2)) + 2.0 * rng.integers(3, size=(500, 1))
    X[::9, 0] = np.nan
    told = []
    plain = select(X, 3, "full")
    path = tmp_path / "fit.checkpoint"
    for _ in range(2):  # from the beginning, and as it is kept
        kept = select(X, 3, "full", checkpoint=path, watch=lambda *seen: told.append(seen))
        assert kept.fit.trace == plain.fit.trace
    steps = [state.n_iter for _, _, state in told if state is not None]
    assert len(steps) > 1 and min(steps) > 0
    assert [seen[:2] for seen in told if seen[2] is None] == [(3, "full")] * 2
    with pytest.raises(InputError, match="belongs to one fit"):
        select(X, [2, 3], "full", checkpoint=path)
