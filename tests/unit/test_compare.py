"""Comparing models on the same items: paired errors, stacking, probability of being best."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KernelDensity

from mixtura import GaussianMixture, InputError, InputTypeError, Mixture, compare
from mixtura.inference.stacking import stacking_weights
from strategies import seeds


def scores_of(seed, n=300, m=3, apart=0.1):
    rng = np.random.default_rng(seed)
    hard = rng.normal(-3, 2, (n, 1))
    return hard + rng.normal(0, 0.5, (n, m)) + apart * rng.normal(size=m)


@pytest.fixture(scope="module")
def found():
    return compare(dict(zip("abc", scores_of(0).T, strict=True)))


# ---- differences and their errors


def test_means_and_paired_errors(found):
    scores = scores_of(0)
    best = scores[:, scores.mean(axis=0).argmax()]
    for index, column in enumerate(scores.T):
        gap = column - best
        assert found.log_scores[index] == pytest.approx(column.mean(), rel=1e-13)
        assert found.errors[index] == pytest.approx(column.std(ddof=1) / np.sqrt(300), rel=1e-12)
        assert found.differences[index] == pytest.approx(gap.mean(), abs=1e-13)
        assert found.difference_errors[index] == pytest.approx(
            gap.std(ddof=1) / np.sqrt(300), rel=1e-12, abs=1e-15
        )
    assert found.difference_errors.max() < 0.4 * found.errors.min()  # pairing pays
    other = found.difference("a", "b")
    gap = scores[:, 0] - scores[:, 1]
    assert other.value == pytest.approx(gap.mean(), rel=1e-12)
    assert other.error == pytest.approx(gap.std(ddof=1) / np.sqrt(300), rel=1e-12)
    with pytest.raises(InputError, match="no model is named 'z'"):
        found.difference("a", "z")


def test_grouped_errors_by_the_definition():
    scores, rng = scores_of(1), np.random.default_rng(1)
    groups = rng.choice(["x", "y", "z", "u", "v"], 300)
    grouped = compare(scores, groups=groups)
    for index, column in enumerate(scores.T):
        off = column - column.mean()
        squares = sum(off[groups == name].sum() ** 2 for name in "xyzuv")
        assert grouped.errors[index] == pytest.approx(np.sqrt(5 / 4 * squares) / 300, rel=1e-12)
    assert (grouped.n_groups, grouped.n_items) == (5, 300)
    assert "in 5 groups" in repr(grouped)


def test_items_repeated_in_groups_say_no_more():
    scores = scores_of(2, n=80)
    once = compare(scores)
    four = compare(np.repeat(scores, 4, axis=0), groups=np.repeat(np.arange(80), 4))
    assert four.difference_errors == pytest.approx(once.difference_errors, rel=1e-12)
    assert four.weights == pytest.approx(once.weights, abs=1e-6)
    assert four.probabilities == pytest.approx(once.probabilities, abs=1e-12)  # the same draws
    blind = compare(np.repeat(scores, 4, axis=0))
    assert blind.errors == pytest.approx(once.errors / 2, rel=0.02)


# ---- stacking


@pytest.mark.parametrize("seed", range(4))
def test_stacking_against_a_general_optimizer(seed):
    scores = scores_of(seed, m=4, apart=0.3)

    def loss(weights):
        return -np.log(np.exp(scores - scores.max(axis=1, keepdims=True)) @ weights).mean()

    other = minimize(
        loss, np.full(4, 0.25), bounds=[(0, 1)] * 4, method="SLSQP", options={"ftol": 1e-13},
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
    )  # fmt: skip
    weights = stacking_weights(scores)
    assert loss(weights) <= other.fun + 1e-9
    assert weights == pytest.approx(other.x, abs=1e-3)  # SLSQP's gradients are differences
    assert weights.sum() == pytest.approx(1.0) and (weights >= 0).all()


@settings(max_examples=10)
@example(seed=627, n=14, m=5, spread=0.015625)  # models so alike that plain steps crawl
@given(seed=seeds(), n=st.integers(2, 200), m=st.integers(2, 6), spread=st.floats(1e-6, 200.0))
def test_stacking_meets_the_conditions_of_a_maximum(seed, n, m, spread):
    """``(1/n) Σ_i p_m / Σ w p <= 1`` for every model: a concave function, so no other is better."""
    scores = spread * np.random.default_rng(seed).normal(size=(n, m))
    weights = stacking_weights(scores)
    density = np.exp(scores - scores.max(axis=1, keepdims=True))
    gain = (density / (density @ weights)[:, None]).mean(axis=0)
    assert np.log(gain.max()) < 1e-7


def test_stacking_of_equal_models_shares():
    one, two = scores_of(3, m=2).T
    weights = stacking_weights(np.column_stack([one, two, one]))
    assert weights[0] == pytest.approx(weights[2], rel=1e-6)


def test_stacking_keeps_the_specialist():
    """A model that is worst on average, and alone right on a tenth of the items."""
    general, special = np.full(100, -2.0), np.full(100, -9.0)
    general[:10], special[:10] = -20.0, -1.0
    found = compare({"general": general, "special": special})
    assert found.weights[1] == pytest.approx(0.1, abs=0.01)
    assert found.stacked_log_score > found.log_scores.max() + 1


# ---- probability of being best


def test_probability_against_the_normal_approximation():
    rng = np.random.default_rng(5)
    gap = rng.normal(0.05, 1.0, 2000)
    found = compare({"a": gap, "b": np.zeros(2000)}, draws=20_000)
    exact = norm.cdf(gap.mean() / (gap.std() / np.sqrt(2000)))
    assert found.probabilities[0] == pytest.approx(exact, abs=0.015)  # 4 sd of the draws
    assert found.probabilities.sum() == pytest.approx(1.0)


def test_models_that_tie_share_the_probability():
    one = scores_of(6, m=1)[:, 0]
    assert compare([one, one]).probabilities.tolist() == [0.5, 0.5]


def test_blocks_of_draws_change_nothing(monkeypatch):
    whole = compare(scores_of(7), draws=300)
    monkeypatch.setattr("mixtura.inference.comparison._CELLS", 900)
    np.testing.assert_array_equal(
        compare(scores_of(7), draws=300).probabilities, whole.probabilities
    )


# ---- what may be compared


def test_models_of_every_kind():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 2)) + 4 * rng.integers(0, 2, (300, 1))
    train, held = rows[:150], rows[150:]
    fit = GaussianMixture(2, random_state=0).fit(train)
    broad = Mixture([1.0], [[2.0, 2.0]], [9 * np.eye(2)])
    models = {
        "estimator": fit,
        "mixture": fit.mixture_,
        "broad": broad,
        "kernel": KernelDensity(bandwidth=0.5).fit(train),
        "function": lambda X: broad.logpdf(X) + 1.0,
        "array": fit.score_samples(held),
        "list": fit.score_samples(held).tolist(),
    }
    found = compare(models, pd.DataFrame(held))
    assert found.names == tuple(models)
    same = [found.names.index(name) for name in ("estimator", "mixture", "array", "list")]
    assert np.ptp(found.log_scores[same]) < 1e-12
    assert found.difference("function", "broad").value == pytest.approx(1.0)
    with pytest.raises(InputError, match="'estimator' is a model"):
        compare(models)


def test_classifiers_by_the_labels(iris):
    rows, species = iris
    train = np.arange(150) % 2 == 0
    models = {
        "two": LogisticRegression(max_iter=1000).fit(rows[train][:, :2], species[train]),
        "function": lambda X, y: np.full(len(X), -np.log(3)),
    }
    held = rows[~train][:, :2]
    found = compare(models, held, species[~train])
    proba = models["two"].predict_proba(held)[np.arange(75), species[~train]]
    assert found.log_scores[0] == pytest.approx(np.log(proba).mean(), rel=1e-10)
    with pytest.raises(InputError, match="knows no class 7"):
        compare(models, held, np.full(75, 7))


def test_regressors_by_their_densities():
    class Regressor:
        def predict_dist(self, X):
            return Mixture([1.0], [[2.0]], [[[4.0]]])

    y = np.linspace(0, 5, 20)
    found = compare({"a": Regressor(), "b": norm.logpdf(y, 1.0, 1.0)}, y[:, None], y)
    assert found.log_scores[0] == pytest.approx(norm.logpdf(y, 2.0, 2.0).mean(), rel=1e-12)


@pytest.mark.parametrize("kind", ["frame", "array", "list", "mapping"])
def test_scores_in_every_form(kind):
    scores = scores_of(8)
    forms = {
        "frame": pd.DataFrame(scores, columns=["x", "y", "z"]),
        "array": scores,
        "list": list(scores.T),
        "mapping": dict(zip("xyz", scores.T, strict=True)),
    }
    found = compare(forms[kind])
    assert found.log_scores == pytest.approx(scores.mean(axis=0))
    assert found.names == (("x", "y", "z") if kind in ("frame", "mapping") else found.names)


def test_what_is_refused():
    good = np.linspace(-3, -1, 9)
    gap, endless = good.copy(), good.copy()
    gap[4], endless[2] = np.nan, -np.inf
    for models, text in (
        ({"a": good, "b": gap}, r"'b' has no score for item 4 \(1 such items\): score it"),
        ({"a": good, "b": endless}, "'b' gives item 2 the score -inf.*background"),
        ({"a": good, "b": good[1:]}, "different numbers of items.*'b': 8"),
        ({"a": good}, "at least two are compared"),
        ({"a": good[:1], "b": good[:1]}, "one item"),
        ({"a": good, "b": np.ones((9, 2))}, r"shape \(9, 2\)"),
    ):
        with pytest.raises(InputError, match=text):
            compare(models)
    with pytest.raises(InputTypeError, match="without logpdf or score_samples"):
        compare({"a": good, "b": 3.0})
    with pytest.raises(InputTypeError, match="without predict_dist or predict_log_proba"):
        compare({"a": good, "b": Mixture([1.0], [[0.0]], [[[1.0]]])}, good[:, None], np.ones(9))
    for groups, text in ((np.zeros(9), "one group"), (np.zeros(8), r"\(9,\)")):
        with pytest.raises(InputError, match=text):
            compare({"a": good, "b": good + 1}, groups=groups)
    with pytest.raises(InputError, match="draws=0"):
        compare({"a": good, "b": good + 1}, draws=0)


# ---- the table


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_the_table_as_a_frame(found, backend):
    pytest.importorskip(backend)
    table = found.table()
    assert table["model"][0] == found.best and table["difference"][0] == 0.0
    assert table["log_score"] == sorted(table["log_score"], reverse=True)
    frame = found.to_frame(backend)
    assert list(getattr(frame, "column_names", getattr(frame, "columns", None))) == list(table)
    with pytest.raises(InputError, match="polars"):
        found.to_frame("excel")


def test_the_table_in_words(found):
    text = repr(found)
    assert text.startswith(f"{found.best} scores best on 300 items")
    assert len(text.splitlines()) == 5 and "P(best)" in text
    odd = compare({"<b>": scores_of(0)[:, 0], "c": scores_of(0)[:, 1]})
    assert "<b>" not in odd._repr_html_() and "&lt;b&gt;" in odd._repr_html_()
