"""Against stored numbers of mclust: classifiers, directions and trees on iris.

The numbers are in mclust_classes.json, written by mclust_classes.R beside this file; the odd rows
of iris were fitted and the even ones foretold.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from mixtura import GaussianMixture, MixtureClassifier, hierarchical, separating_directions

STORED = json.loads((Path(__file__).parent / "mclust_classes.json").read_text())
EXACT = ("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "EEV", "VEV", "EVV", "VVV")


@pytest.fixture(scope="module")
def halves(iris):
    X, y = iris
    return X[::2], y[::2], X[1::2], y[1::2]


def agree(model, stored, halves, atol):
    X, y, Z, z = halves
    assert model.score_samples(X).sum() == pytest.approx(stored["log_likelihood"][0], abs=atol)
    assert model.fit_.n_parameters == stored["df"][0]
    assert 1 - model.score(X, y) == pytest.approx(stored["train_error"][0], abs=1e-12)
    assert 1 - model.score(Z, z) == pytest.approx(stored["test_error"][0], abs=1e-12)
    assert model.brier_score(X, y) == pytest.approx(stored["train_brier"][0], abs=atol)
    assert model.brier_score(Z, z) == pytest.approx(stored["test_brier"][0], abs=atol)
    labels = np.array(list(stored["test_labels"]), int) - 1
    np.testing.assert_array_equal(model.predict(Z), labels)


@pytest.mark.parametrize("family", STORED["edda"])
def test_one_family_for_all_classes(family, halves):
    """EDDA. mclust stops VEE and EVE at a relative change of 1e-5, and its VVE is no maximum."""
    stored = STORED["edda"][family]
    model = MixtureClassifier(covariance_type=family, shared=True, tol=1e-10)
    model.fit(halves[0], halves[1])
    if family == "VVE":
        joint = model.fit_.log_likelihood - 75 * np.log(1 / 3)
        assert model.fit_.n_parameters == stored["df"][0] and joint > -200
        assert model.score_samples(halves[0]).sum() > stored["log_likelihood"][0]
    else:
        agree(model, stored, halves, 1e-6 if family in EXACT else 5e-4)


@pytest.mark.parametrize("family", STORED["one_each"])
def test_one_component_a_class(family, halves):
    model = MixtureClassifier(covariance_type=family).fit(halves[0], halves[1])
    agree(model, STORED["one_each"][family], halves, 1e-6)


@pytest.mark.parametrize("family", STORED["two_each"])
def test_two_components_a_class(family, halves):
    """Never a lower likelihood in any class."""
    model = MixtureClassifier(2, covariance_type=family, random_state=0, n_init=2)
    model.fit(halves[0], halves[1])
    found = [one.log_likelihood for one in model.fit_.best]
    assert (np.array(found) >= np.array(STORED["two_each"][family]) - 1e-4).all()


def test_the_mixtures_that_it_chooses(halves):
    """With mclust's numbers of components and families, the likelihoods are not lower.

    VEE has several maxima on these 25 rows; from every other seed two tournaments reach the best.
    """
    chosen = list(STORED["chosen_models"].values())
    families = {c: "full" if one[0] == "XXX" else one[0] for c, one in enumerate(chosen)}
    model = MixtureClassifier(
        {c: one[1] for c, one in enumerate(chosen)},
        covariance_type=families,
        random_state=4,
        n_init=2,
    ).fit(halves[0], halves[1])
    for ours, theirs in zip(model.fit_.best, chosen, strict=True):
        assert ours.log_likelihood >= theirs[2] - 1e-4
    assert model.fit_.n_parameters == STORED["chosen"]["df"][0]


def test_leave_one_out(iris):
    """mclust keeps the classes' probabilities at those of all rows."""
    found = MixtureClassifier(priors="uniform").cross_validate(*iris, 150)
    assert found.error == pytest.approx(STORED["leave_one_out"][0], abs=1e-12)
    assert found.brier == pytest.approx(STORED["leave_one_out"][1], abs=1e-9)


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_directions(weight, iris):
    stored = STORED["directions"][f"{weight:g}"]
    mixture = GaussianMixture(3, random_state=0, tol=1e-13, max_iter=5000).fit(iris[0]).mixture_
    found = separating_directions(mixture, weight=weight)
    r = len(found.eigenvalues)
    assert r == (4 if weight == 0.5 else 2)
    np.testing.assert_allclose(found.eigenvalues, stored["eigenvalues"][:r], rtol=1e-5)
    theirs = np.reshape(stored["basis"], (-1, 4))[:r]
    ours = (found.basis / np.linalg.norm(found.basis, axis=0)).T
    np.testing.assert_allclose(np.abs((ours * theirs).sum(axis=1)), 1.0, atol=1e-8)


def criterion(rows, labels, model):
    """Twice the negative classification log-likelihood, but for a constant."""
    n, d = rows.shape
    total, common = 0.0, np.zeros((d, d))
    for label in np.unique(labels):
        mine = rows[labels == label]
        scatter = np.cov(mine.T, bias=True) * len(mine)
        common += scatter
        if model == "EII":
            total += np.trace(scatter)
        elif model == "VII":
            total += len(mine) * d * np.log(np.trace(scatter) / len(mine) / d)
        else:
            total += len(mine) * np.linalg.slogdet(scatter / len(mine))[1]
    return n * np.linalg.slogdet(common / n)[1] if model == "EEE" else total


@pytest.mark.parametrize("model", STORED["trees"])
def test_trees(model, iris):
    """EII and EEE meet its partitions; the sum over 2 to 5 clusters is never worse."""
    rows, tree = iris[0], hierarchical(iris[0], model, scale="data")
    ours = [criterion(rows, tree.cut(k), model) for k in range(2, 6)]
    parts = [np.array(list(text), int) for text in STORED["trees"][model].values()]
    theirs = [criterion(rows, labels, model) for labels in parts]
    if model in ("EII", "EEE"):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert sum(ours) <= sum(theirs) + 1e-6
