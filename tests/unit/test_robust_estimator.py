"""The estimator's words for outliers: what it refuses, what it says of rows, files, warm starts."""

import json
import pickle
import warnings
import zipfile

import numpy as np
import pytest

from mixtura import (
    GaussianMixture,
    InputError,
    Mixture,
    ModelFileError,
    Noise,
    StudentT,
    load,
    save,
    select,
)
from mixtura.io.model_file import load_metadata


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    inside = np.concatenate([rng.normal(size=(80, 2)), rng.normal(size=(80, 2)) + 7.0])
    return np.concatenate([inside, rng.uniform(-25, 25, (12, 2))])


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"distribution": "cauchy"}, 'distribution=.*use "gaussian" or "t"'),
        ({"distribution": "t", "dof": "many"}, 'dof=.*"common", "own" or a number'),
        ({"dof": 0.0}, "dof=0.0 must be finite and above 0"),
        ({"dof": float("inf")}, "must be finite"),
        ({"dof": True}, "dof=True"),
        ({"noise": 1.0}, "noise=1.0 must be a share"),
        ({"noise": -0.1}, "noise=-0.1"),
        ({"noise": "yes"}, "noise='yes'"),
        ({"trim": 1}, "trim=1 must be a share"),
        ({"trim": True}, "trim=True"),
        ({"trim": float("nan")}, "trim=nan"),
    ],
)
def test_words_that_are_refused(words, match, X):
    with pytest.raises(InputError, match=match):
        GaussianMixture(2, **words).fit(X)


def test_defaults_are_the_gaussian_fit(X):
    model = GaussianMixture(2, random_state=0).fit(X[:160])
    assert model.mixture_.plain and model.cut_ is None and model.dof_ is None
    assert model.noise_share_ == 0.0
    np.testing.assert_array_equal(model.outlier_probability(X), 0.0)
    np.testing.assert_allclose(model.outlier_weights(X), 1.0, rtol=1e-12)
    off = GaussianMixture(2, random_state=0, noise=False, trim=0, dof=3).fit(X[:160])
    assert off.mixture_ == model.mixture_


def test_noise_labels(X):
    model = GaussianMixture(2, noise=0.1, random_state=0).fit(X)
    labels = model.predict(X)
    lost, share = model.outlier_probability(X), model.predict_proba(X)
    np.testing.assert_allclose(share.sum(axis=1) + lost, 1.0, rtol=1e-12)
    np.testing.assert_array_equal(labels == -1, lost > share.max(axis=1))
    assert (labels[160:] == -1).sum() >= 9 and (labels[:160] == -1).sum() <= 3
    assert model.weights_.sum() == pytest.approx(1.0)
    assert lost.mean() == pytest.approx(model.noise_share_, abs=1e-4)
    drawn, parts = model.sample(4000, 0)
    assert (parts == -1).mean() == pytest.approx(model.noise_share_, abs=0.02)
    assert drawn.shape == (4000, 2)


def test_trimmed_labels_and_criteria(X):
    model = GaussianMixture(2, trim=12 / 172, random_state=0).fit(X)
    assert (model.predict(X) == -1).sum() == pytest.approx(12, abs=1)
    assert (model.fit_predict(X) == model.predict(X)).all()
    kept = model.predict(X) >= 0
    total = model.score_samples(X)[kept].sum()
    assert model.lower_bound_ == pytest.approx(total / kept.sum(), rel=1e-6)
    assert model.bic(X) == pytest.approx(-2 * total + 11 * np.log(160), rel=1e-6)
    assert model.aic(X) == pytest.approx(-2 * total + 22, rel=1e-6)
    assert model.icl(X) >= model.bic(X)
    grid = GaussianMixture((1, 2), trim=12 / 172, random_state=0).fit(X)
    assert grid.n_components_ == 2
    assert grid.selection_.best.bic == pytest.approx(grid.bic(X), rel=1e-9)
    assert (grid.predict(X) == -1).sum() == pytest.approx(12, abs=1)


@pytest.mark.parametrize("criterion", ["bic", "icl"])
def test_selection_with_outliers(criterion, X):
    """Outliers cost Gaussians components; not where they are minded."""
    words = {"n_jobs": 1, "criterion": criterion}
    assert select(X, range(1, 4), "spherical", **words).best.n_components == 3
    for minded in ({"noise": True}, {"trim": 0.08}):
        found = select(X, range(1, 4), "spherical", **words, **minded)
        assert found.best.n_components == 2, minded


def test_held_out_rows_are_trimmed_too(X):
    """Otherwise the outliers among them would drown the rest."""
    settings = {"criterion": "cv", "trim": 0.08, "n_jobs": 1}
    found = select(X, (1, 2), "spherical", random_state=4, **settings)  # outliers in every fold
    assert found.best.n_components == 2
    # Two nats a kept row or so: a standard normal row in two columns has 2.8, and log 2 for two.
    assert found.best.score < 2 * 172 * 0.92 * 4.0


def test_heavy_tails_need_no_component():
    heavy = Mixture([0.5, 0.5], [[0, 0], [30, 0]], [1, 1], covariance_type="spherical")
    rows = heavy.changed(law=StudentT(np.array([1.5, 1.5]))).sample(200, 0)
    assert select(rows, (2, 3), "spherical", n_jobs=1, distribution="t").best.n_components == 2
    assert select(rows, (2, 3), "spherical", n_jobs=1).best.n_components == 3


def test_words_of_a_mixture(X):
    model = GaussianMixture(2, distribution="t", dof="own", noise=True, random_state=0).fit(X)
    again = GaussianMixture.from_mixture(model.mixture_)
    assert again.distribution == "t" and again.dof == "own"
    assert again.bic(X) == pytest.approx(model.bic(X), rel=1e-12)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    held = GaussianMixture.from_mixture(
        Mixture([1.0], [[0.0]], [[[1.0]]], law=StudentT(np.array([4.0]), "fixed"))
    )
    assert held.dof == 4.0
    assert pickle.loads(pickle.dumps(model)).mixture_ == model.mixture_


def test_warm_starts_and_given_starts(X):
    words = {"distribution": "t", "noise": True, "trim": 0.02}
    model = GaussianMixture(2, random_state=0, warm_start=True, **words).fit(X)
    first = model.lower_bound_
    model.fit(X + 0.01)
    assert model.n_iter_ <= 20 and model.lower_bound_ == pytest.approx(first, abs=0.05)
    given = GaussianMixture(2, means_init=[[0.0, 0.0], [7.0, 7.0]], **words).fit(X)
    assert given.lower_bound_ == pytest.approx(first, abs=1e-4)
    named = GaussianMixture(2, init_params=(X[:, 0] > 3.5).astype(int), **words).fit(X)
    assert named.lower_bound_ == pytest.approx(first, abs=1e-4)


def test_a_callback_sees_the_law(X):
    seen = []
    GaussianMixture(
        2, distribution="t", random_state=0, callback=lambda step, value, at: seen.append(at.law)
    ).fit(X)
    assert seen and all(isinstance(law, StudentT) for law in seen)


def test_facts_hold(X):
    for words in ({"distribution": "t"}, {"noise": True}, {"trim": 0.1}):
        model = GaussianMixture(2, random_state=0, tol=1e-9, **words).fit(X)
        assert model.validate(X), str(model.validate(X))


@pytest.mark.parametrize("words", [{"distribution": "t"}, {"noise": True}, {"trim": 0.2}])
@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((1, 2)),
        np.zeros((7, 2)),
        np.arange(6.0)[:, None],
        np.column_stack([np.arange(9.0), np.ones(9)]),
        np.where(np.eye(8, 3) > 0, np.nan, np.arange(24.0).reshape(8, 3) ** 2),
        np.full((5, 1), 1e300) * np.arange(5)[:, None] / 4,
    ],
    ids=["one row", "equal rows", "few rows", "constant column", "gaps", "huge"],
)
def test_hostile_rows_give_numbers(words, rows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(min(2, len(rows)), random_state=0, max_iter=50, **words).fit(rows)
        assert np.isfinite(model.means_).all() and np.isfinite(model.lower_bounds_).all()
        assert np.isfinite(model.score_samples(rows)).all()
        weights = model.outlier_weights(rows)
    assert (weights >= 0).all() and np.isfinite(weights).all()


# ---- files


def test_files_keep_law_and_noise(tmp_path, X):
    path = tmp_path / "a.mixtura"
    model = GaussianMixture(2, distribution="t", dof="own", noise=True, random_state=0).fit(X)
    model.save(path)
    assert load(path) == model.mixture_
    assert load_metadata(path)["covariance_type"] == "full"
    turned = model.mixture_.changed(
        noise=Noise(0.2, np.zeros(2), np.ones(2), np.zeros(2), np.eye(2) + 0.1)
    )
    save(turned, path)
    assert load(path) == turned


def test_plain_mixtures_are_still_written_as_version_1(tmp_path):
    path = tmp_path / "a.mixtura"
    save(Mixture([1.0], [[0.0]], [[[1.0]]]), path)
    with zipfile.ZipFile(path) as archive:
        told = json.loads(archive.read("model.json"))
    assert told["version"] == 1 and "law" not in told


def tampered(path, change=None, **members):
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    told = json.loads(content["model.json"])
    content["model.json"] = json.dumps({**told, **(change or {})}).encode()
    content.update(members.get("replace", {}))
    for name in members.get("drop", ()):
        del content[name]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("change", "members", "match"),
    [
        ({"law": "cauchy"}, {}, "law"),
        ({"dof": "many"}, {}, "law"),
        ({"noise": 1.5}, {}, "no share"),
        ({"noise": "x"}, {}, "no share"),
        ({}, {"drop": ["dof.npy"]}, "dof.npy is missing"),
        ({}, {"drop": ["noise.npy"]}, "noise.npy is missing"),
        ({"version": 3}, {}, "newer"),
    ],
)
def test_damaged_files_are_refused(change, members, match, tmp_path):
    path = tmp_path / "a.mixtura"
    noise = Noise(0.1, np.zeros(1), np.ones(1))
    law = StudentT(np.array([3.0]))
    save(Mixture([1.0], [[0.0]], [[[1.0]]], law=law, noise=noise), path)
    tampered(path, change, **members)
    with pytest.raises(ModelFileError, match=match):
        load(path)
