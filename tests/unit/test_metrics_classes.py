"""Metrics of probabilities and withheld answers against definitions and scikit-learn's own."""

from itertools import pairwise, permutations

import numpy as np
import pytest
import sklearn.metrics as theirs
from hypothesis import given, settings
from sklearn.calibration import calibration_curve

from mixtura import InputError, metrics
from strategies import seeds

# ---- probabilities of classes


@pytest.fixture(scope="module")
def classes():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 300)
    truth = np.array(["a", "b", "c"])[[rng.choice(3, p=p) for p in probabilities]]
    return truth, probabilities, rng.uniform(size=300)


def test_brier_is_scikit_learns(classes):
    truth, p, weights = classes
    for options in ({}, {"scale_by_half": True}, {"sample_weight": weights}):
        ours, other = (one.brier_score_loss(truth, p, **options) for one in (metrics, theirs))
        assert ours == pytest.approx(other, rel=1e-13)
    positive, chance = (truth == "a").astype(int), p[:, 0]
    assert metrics.brier_score_loss(positive, chance) == pytest.approx(
        theirs.brier_score_loss(positive, chance), rel=1e-13
    )
    some_rows = truth != "b"
    assert metrics.brier_score_loss(
        truth[some_rows], p[some_rows], labels=["a", "b", "c"]
    ) == pytest.approx(
        theirs.brier_score_loss(truth[some_rows], p[some_rows], labels=["a", "b", "c"]), rel=1e-13
    )


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_calibration_curve_is_scikit_learns(classes, strategy):
    truth, p, _ = classes
    positive, chance = truth == "a", np.round(p[:, 0], 2)
    ours = metrics.calibration_curve(positive, chance, n_bins=7, strategy=strategy)
    other = calibration_curve(positive, chance, n_bins=7, strategy=strategy)
    for one, two in zip(ours, other, strict=True):
        assert one == pytest.approx(two, rel=1e-13)
    assert ours.weight.sum() == pytest.approx(1.0)
    assert ours.expected_error == pytest.approx(ours.weight @ np.abs(other[0] - other[1]))
    assert (np.abs(ours.prob_true - ours.prob_pred) < 4.5 * ours.error).all()
    doubled = metrics.calibration_curve(
        np.repeat(positive, 2), np.repeat(chance, 2), n_bins=7, strategy="uniform"
    )
    twice = metrics.calibration_curve(positive, chance, n_bins=7, sample_weight=np.full(300, 2.0))
    assert doubled.prob_true == pytest.approx(twice.prob_true)


@settings(max_examples=20)
@given(seed=seeds())
def test_fpr_at_tpr_is_on_the_roc_curve(seed):
    rng = np.random.default_rng(seed)
    truth = np.append([0, 1], rng.integers(0, 2, 40))
    score = np.round(truth + rng.normal(size=42), 1)  # with ties
    for tpr in (0.5, 0.95, 1.0):
        false, true, _ = theirs.roc_curve(truth, score, drop_intermediate=False)
        least = false[true >= tpr - 1e-12].min()
        assert metrics.fpr_at_tpr(truth, score, tpr=tpr) == pytest.approx(least)
    weights = rng.integers(1, 4, 42)
    repeated = metrics.fpr_at_tpr(np.repeat(truth, weights), np.repeat(score, weights), tpr=0.8)
    weighted = metrics.fpr_at_tpr(truth, score, tpr=0.8, sample_weight=weights)
    assert weighted == pytest.approx(repeated)


def test_what_probabilities_refuse(classes):
    truth, p, _ = classes
    for call, text in (
        (lambda: metrics.brier_score_loss(truth, 2 * p), r"sum to one; row 0"),
        (lambda: metrics.brier_score_loss(truth, p[:, 0]), "3 classes need"),
        (lambda: metrics.brier_score_loss(truth, p[:, :2] / p[:, :2].sum(1)[:, None]), "column"),
        (lambda: metrics.brier_score_loss(["a"], [0.5]), "name both classes"),
        (lambda: metrics.brier_score_loss(truth, p, labels=["a", "b", "d"]), "not in"),
        (lambda: metrics.brier_score_loss(truth, p, scale_by_half="no"), "scale_by_half"),
        (lambda: metrics.fpr_at_tpr([1, 1], [0.1, 0.2]), "one kind alone"),
        (lambda: metrics.fpr_at_tpr(["x", "y"], [0.1, 0.2]), "pos_label"),
        (lambda: metrics.fpr_at_tpr([0, 1], [0.1, 0.2], tpr=0), "tpr=0"),
        (lambda: metrics.fpr_at_tpr([0, 1, 2], [0.1, 0.2, 0.3]), "3 labels"),
        (lambda: metrics.calibration_curve([0, 1], [0.1, 1.2]), r"within 0\.\.1"),
        (lambda: metrics.calibration_curve([0, 1], [0.1, 0.2], strategy="odd"), "quantile"),
    ):
        with pytest.raises(InputError, match=text):
            call()


# ---- risk and coverage


def areas(losses, confidence):
    """Both areas by their definitions, averaged over every order of rows that tie."""
    orders = [
        order
        for order in permutations(range(len(losses)))
        if all(confidence[a] >= confidence[b] for a, b in pairwise(order))
    ]
    n, first, second = len(losses), [], []
    for order in orders:
        answered = np.cumsum([losses[i] for i in order])
        first.append(np.mean([total / (i + 1) for i, total in enumerate(answered)]))
        joint = np.append(0.0, answered / n)
        second.append(np.trapezoid(joint, dx=1 / n))
    return np.mean(first), np.mean(second)


@settings(max_examples=15)
@given(seed=seeds())
def test_areas_by_their_definitions(seed):
    rng = np.random.default_rng(seed)
    truth, guess = rng.integers(0, 2, (2, 6))
    confidence = rng.integers(0, 4, 6) / 4
    first, second = areas((truth != guess).astype(float), confidence)
    assert metrics.aurc(truth, guess, confidence) == pytest.approx(first, abs=1e-14)
    assert metrics.augrc(truth, guess, confidence) == pytest.approx(second, abs=1e-14)
    values = rng.normal(size=(2, 6))
    first, second = areas((values[0] - values[1]) ** 2, confidence)

    def squared(y_true, y_pred):
        return (y_true - y_pred) ** 2

    found = metrics.risk_coverage_curve(*values, confidence, loss=squared)
    assert (found.aurc, found.augrc) == pytest.approx((first, second), rel=1e-12)


def test_augrc_by_the_auroc(classes):
    """``(1 - AUROC) acc (1 - acc) + ½ (1 - acc)²`` (Traub et al. 2024), with ties."""
    truth, p, _ = classes
    guess, sure = np.array(["a", "b", "c"])[p.argmax(axis=1)], np.round(p.max(axis=1), 1)
    right = truth == guess
    accuracy, auroc = right.mean(), theirs.roc_auc_score(right, sure)
    exact = (1 - auroc) * accuracy * (1 - accuracy) + 0.5 * (1 - accuracy) ** 2
    assert metrics.augrc(truth, guess, sure) == pytest.approx(exact, rel=1e-12)


def test_what_selection_refuses():
    with pytest.raises(InputError, match="same rows"):
        metrics.aurc([0, 1], [0], [0.1, 0.2])
    with pytest.raises(InputError, match="confidence has 1 rows"):
        metrics.aurc([0, 1], [0, 1], [0.1])
    with pytest.raises(InputError, match="several outputs"):
        metrics.aurc([[0.0, 1.0]], [[0.0, 1.0]], [0.1])
