"""What a comparison gives back: the table, words, weights, and the averaged density."""

import numpy as np
import pytest
from scipy.integrate import quad

from mixtura import GaussianMixture, select
from mixtura._errors import InputError, MixturaWarning
from mixtura.fit import verdict
from mixtura.fit.averaging import weights
from mixtura.fit.criteria import CRITERIA, burnham_anderson, criterion, kass_raftery
from mixtura.fit.selection import Candidate, Selection

pytestmark = pytest.mark.filterwarnings("ignore::mixtura.MixturaWarning")

COLUMNS = [
    *("n_components", "covariance_type", "log_likelihood", "n_parameters", "bic", "aic", "icl"),
    *("score", "delta", "weight", "converged", "degenerate", "failure"),
]


def blobs(k, d=2, n=80, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(8.0 * c, 1, (n, d)) for c in range(k)])


def candidate(k, bic, *, family="full", p=5, n=100.0, **other):
    """A candidate with this BIC."""
    value = -0.5 * (bic - p * np.log(n))
    given = {"score": bic, "converged": True, "n_rows": n, **other}
    return Candidate(k, family, value, p, bic, -2 * value + 2 * p, bic, **given)


def chosen(*candidates, name="bic"):
    best = min(candidates, key=lambda one: one.rank)
    return Selection(tuple(candidates), best, None, name)


@pytest.fixture(scope="module")
def found(faithful):
    return select(faithful, range(1, 5), ["full", "tied", "diag"])


# ---- the table


def test_the_table_holds_the_candidates_best_first(found):
    table = found.table()
    assert list(table) == COLUMNS
    assert {len(column) for column in table.values()} == {12}
    for name in COLUMNS[:8]:
        assert table[name] == [getattr(c, name) for c in found.ranked()]
    assert table["delta"][0] == 0.0 and table["delta"] == sorted(table["delta"])


def test_weights_are_posterior_probabilities_by_bic():
    """exp(-BIC/2) over its sum, by hand; what cannot be chosen weighs nothing."""
    some = [
        candidate(1, 104.0),
        candidate(2, 100.0, p=7),
        candidate(3, 90.0, p=9, degenerate=True),
        Candidate(4, "full", failure="no"),
    ]
    by_hand = np.exp([-2.0, 0.0]) / np.exp([-2.0, 0.0]).sum()
    np.testing.assert_allclose(weights(some), [*by_hand, 0.0, 0.0], rtol=1e-14)


def test_one_model_under_several_names_weighs_once():
    one, two, other = candidate(1, 100.0), candidate(1, 100.0, family="tied"), candidate(2, 100.0)
    np.testing.assert_allclose(weights([one, two, other]), [0.25, 0.25, 0.5])
    assert weights([Candidate(1, "full", failure="no")]).tolist() == [0.0]


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_frames(backend, found):
    pytest.importorskip(backend)
    frame = found.to_frame(backend)
    assert type(frame).__module__.split(".")[0] == backend
    names = frame.column_names if backend == "pyarrow" else list(frame.columns)
    assert names == COLUMNS
    kept = frame["n_components"]
    numbers = kept.to_pylist() if backend == "pyarrow" else list(kept)
    assert numbers == found.table()["n_components"]


def test_an_unknown_backend_is_refused(found):
    with pytest.raises(InputError, match="pandas"):
        found.to_frame("excel")


def test_repr_and_html(found):
    text = repr(found)
    assert text.startswith(found.sentence()) and "7 more" in text and "weight 0.9" in text
    html = found._repr_html_()
    assert html.count("<tr>") == 13 and "<td>tied</td>" in html
    odd = chosen(candidate(1, 1.0), Candidate(2, "full", failure="<b> & so on"))
    assert "<b>" not in odd._repr_html_() and "&lt;b&gt;" in odd._repr_html_()


# ---- words


def test_evidence_words_of_kass_and_raftery():
    words = [kass_raftery(x).split()[0] for x in (0.0, 1.99, 2.0, 5.9, 6.0, 9.9, 10.0, 1e4)]
    assert words == ["barely"] * 2 + ["positive"] * 2 + ["strong"] * 2 + ["very"] * 2
    assert "essentially no" in burnham_anderson(11.0) and "as much" in burnham_anderson(1.0)


def test_the_verdict_compares_another_number_and_another_family():
    text = chosen(
        candidate(2, 100.0, p=7),
        candidate(2, 103.0, p=9, family="diag"),
        candidate(3, 115.0, p=10),
    ).verdict()
    assert "ahead of 2 with diag covariance by 3.0: positive evidence" in text
    assert "another number, 3 with full covariance, is behind by 15.0: very strong" in text


def test_other_names_of_the_best_do_not_come_second():
    text = chosen(candidate(1, 100.0), candidate(1, 100.0, family="tied"), candidate(2, 120.0, p=9))
    assert "ahead of 2 with full covariance by 20.0" in text.sentence()


def test_a_single_model_is_not_called_the_best():
    text = chosen(candidate(2, 100.0)).verdict()
    assert text == "2 components with full covariance, the only model tried: BIC 100.00."


def noted(selection):
    return " ".join(note.text for note in verdict.notes(selection))


def test_the_edge_of_the_range():
    three = [candidate(k, 100.0 - k, p=k) for k in (1, 2, 3)]
    assert "edge" in noted(chosen(*three)) and "try more" in chosen(*three).sentence()
    assert "edge" not in noted(chosen(*three, candidate(4, 120.0, p=9)))
    two = [candidate(k, 100.0 + k, p=k) for k in (2, 3, 4)]
    assert "fewest" in noted(chosen(*two)) and "try fewer" in chosen(*two).sentence()
    one = [candidate(k, 100.0 + k, p=k) for k in (1, 2, 3)]
    assert noted(chosen(*one)) == "" and "try" not in chosen(*one).sentence()


def test_what_decides_without_deserving_to_is_said():
    """A collapsed candidate set aside, one unfinished within reach, one short of a nested one."""
    good = candidate(2, 100.0, p=7)
    assert noted(chosen(good)) == ""
    assert "collapsed" in noted(chosen(good, candidate(3, 90.0, p=9, degenerate=True)))
    assert "collapsed" not in noted(chosen(good, candidate(3, 101.0, p=9, degenerate=True)))
    slow = {"converged": False, "p": 9}
    assert "overtake" in noted(chosen(good, candidate(3, 105.0, remaining=3.0, **slow)))
    assert "overtake" not in noted(chosen(good, candidate(3, 105.0, remaining=2.0, **slow)))
    flat = candidate(2, 90.0, degenerate=True)
    assert noted(chosen(flat)).startswith("2 with full covariance is degenerate: add a prior")
    two = noted(chosen(flat, candidate(3, 95.0, p=9, degenerate=True)))
    assert "every candidate is degenerate, 2 with" in two
    assert "not converged" in noted(chosen(candidate(2, 90.0, converged=False, remaining=1.0)))
    short = candidate(3, good.bic + np.log(100) + 4.0, p=8, nests="both")
    assert "3 with full covariance is 2 nats less likely" in noted(chosen(good, short))
    hopeless = candidate(3, good.bic + 4 * np.log(100) + 4.0, p=11, nests="both")
    assert noted(chosen(good, hopeless)) == ""
    near = candidate(2, good.bic + 3.0, p=7, family="VEV", nests="both")
    inner = candidate(2, good.bic + 3.5, p=6, family="EEV")
    assert "VEV" not in noted(chosen(good, near, inner))


def test_a_failed_optimisation_is_reported_where_it_could_decide():
    best = candidate(2, 100.0, p=6, family="tied")
    fallen = candidate(2, 108.0, p=7, nests="families")
    assert fallen.log_likelihood < best.log_likelihood
    assert "less likely than 2 with tied covariance, which it contains" in noted(
        chosen(best, fallen)
    )
    risen = candidate(2, 104.0, p=7, nests="families")
    assert risen.log_likelihood > best.log_likelihood and noted(chosen(best, risen)) == ""


def test_edges_are_warned_of_by_the_estimator():
    with pytest.warns(MixturaWarning, match="edge of the range"):
        GaussianMixture([1, 2, 3], covariance_type="spherical", random_state=0).fit(blobs(3))


# ---- the average


def test_the_average_is_the_weighted_density(found, faithful):
    """Σ weight × density, over all candidates whose fits are kept."""
    shares = weights(found.candidates)
    by_hand = np.zeros(len(faithful))
    for c, share in zip(found.candidates, shares, strict=True):
        if share >= 1e-4:
            by_hand += share * found.fits[c.n_components, c.covariance_type].mixture.pdf(faithful)
    by_hand /= shares[shares >= 1e-4].sum()
    np.testing.assert_allclose(found.average().pdf(faithful), by_hand, rtol=1e-9)


def test_the_best_alone_is_the_best(found, faithful):
    alone = found.average(top=1)
    np.testing.assert_allclose(
        alone.logpdf(faithful), found.fit.mixture.logpdf(faithful), rtol=1e-9
    )
    assert found.average(top=2).n_components == 3 + 4
    with pytest.raises(InputError, match="top"):
        found.average(top=0)


def test_averages_of_heavy_tails_and_noise():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(0, 1, (80, 1)), rng.normal(6, 2, (60, 1)), [[40.0]]])
    for given in ({"distribution": "t"}, {"noise": True}):
        found = select(X, [1, 2, 3], ["full", "tied"], **given)
        mean = found.average()
        assert mean.noise is None or 0 < mean.noise.share < 1
        total = quad(lambda x, m=mean: m.pdf([[x]])[0], -60, 120, limit=400)[0]
        # Noise has the same density beyond its region; tails of t reach beyond the range.
        assert total == pytest.approx(1.0, abs=2e-2) or mean.noise is not None
        shares = weights(found.candidates)
        keys = [(c.n_components, c.covariance_type) for c in found.candidates]
        by_hand = sum(
            share * found.fits[key].mixture.pdf(X)
            for key, share in zip(keys, shares, strict=True)
            if share >= 1e-4
        )
        # The noise's region is the same in all fits of the same rows.
        np.testing.assert_allclose(mean.pdf(X), by_hand / shares[shares >= 1e-4].sum(), rtol=1e-8)


def test_hopeless_fits_are_not_kept(found):
    keys = {(c.n_components, c.covariance_type) for c in found.candidates if c.bic <= 2314.3 + 40}
    assert set(found.fits) == keys


# ---- criteria


def test_further_criteria_are_their_formulas(found):
    """Sclove (1987), Bozdogan (1987), Hannan & Quinn (1979)."""
    for c in found.candidates:
        L, p, n = c.log_likelihood, c.n_parameters, 272
        by_hand = {
            "sabic": -2 * L + p * np.log((n + 2) / 24),
            "caic": -2 * L + p * (np.log(n) + 1),
            "hqc": -2 * L + 2 * p * np.log(np.log(n)),
        }
        for name, value in by_hand.items():
            assert CRITERIA[name].scores([c])[0] == pytest.approx(value, rel=1e-13)


@pytest.mark.parametrize("name", ["sabic", "caic", "hqc"])
def test_further_criteria_choose(name):
    found = select(blobs(2), range(1, 4), "spherical", criterion=name)
    scores = CRITERIA[name].scores(found.candidates)
    assert found.criterion == name and found.best.n_components >= 2
    assert [c.score for c in found.candidates] == scores and found.best.score == min(scores)


def test_a_function_as_criterion():
    def fewest(candidate):
        return candidate.n_parameters

    found = select(blobs(2), [1, 2, 3], "full", criterion=fewest)
    assert found.best.n_components == 1 and found.criterion == "fewest"
    assert "best fewest" in found.sentence()
    model = GaussianMixture([1, 2], criterion=fewest, random_state=0).fit(blobs(2))
    assert model.n_components_ == 1
    for wrong in (lambda c: None, lambda c: float("nan")):
        with pytest.raises(InputError, match="a number"):
            select(blobs(1), [1, 2], "full", criterion=wrong)
    with pytest.raises(InputError, match="slope"):
        criterion("gut")


def test_modified_bic_is_bic_at_the_mode_without_the_prior(faithful):
    """Fraley & Raftery (2007): the likelihood, not the posterior, at the mode."""
    found = select(faithful, [2], "full", prior="fraley-raftery")
    m, c = found.fit.mixture, found.best
    assert c.log_likelihood == pytest.approx(m.logpdf(faithful).sum(), rel=1e-11)
    assert c.bic == pytest.approx(-2 * m.logpdf(faithful).sum() + 11 * np.log(272), rel=1e-11)
    assert found.fit.value * 272 != pytest.approx(c.log_likelihood, abs=0.1)
