"""Tensors: the device's kernels are the plain ones, and a fit to a tensor is that to its array."""

import importlib
import importlib.util

import numpy as np
import pytest

from mixtura import GaussianMixture, InputError, InputTypeError
from mixtura.kernels import plain
from mixtura.kernels.layout import DIAGONAL, FULL, LINEAR, SPHERICAL, width

pytest.importorskip("array_api_compat")
from mixtura.kernels import device


def tensors():
    """NumPy follows the standard, too: its arrays stand for any device's."""
    found = [pytest.param(np.asarray, id="numpy")]
    if importlib.util.find_spec("torch"):
        torch = importlib.import_module("torch")
        found.append(pytest.param(torch.from_numpy, id="torch", marks=pytest.mark.engines))
    return found


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3)) * [1.0, 10.0, 0.1] + 5.0
    X[:1000] += [4.0, 40.0, 0.4]
    return X


@pytest.mark.parametrize("there", tensors())
@pytest.mark.parametrize("shape", [FULL, DIAGONAL, SPHERICAL, LINEAR])
@pytest.mark.parametrize("hard", [False, True])
def test_sums_are_those_of_the_plain_kernel(there, shape, hard, rows, monkeypatch):
    monkeypatch.setattr(device, "_TILE_NUMBERS", 5000)  # several tiles
    rng = np.random.default_rng(1)
    theta = 0.1 * rng.normal(size=(4, width(shape, 3)))
    frame = rows.mean(axis=0), 1.0 / rows.std(axis=0)
    for w in (np.empty(0), rng.uniform(size=len(rows))):
        ours = device.accumulate(there(rows), *frame, there(w), theta, shape, hard)
        theirs = plain.accumulate(rows, *frame, w, theta, shape, hard)
        assert ours[0] == pytest.approx(theirs[0], rel=1e-12)
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("there", tensors())
@pytest.mark.parametrize("shape", [FULL, DIAGONAL, SPHERICAL])
def test_centred_sums_and_log_joint(there, shape, rows):
    rng = np.random.default_rng(2)
    factors = {
        FULL: np.triu(rng.uniform(0.5, 1.0, size=(2, 3, 3))),
        DIAGONAL: rng.uniform(0.5, 1.0, size=(2, 3)),
        SPHERICAL: rng.uniform(0.5, 1.0, size=2),
    }[shape]
    frame = rows.mean(axis=0), 1.0 / rows.std(axis=0)
    model = np.log([0.3, 0.7]), rng.normal(size=(2, 3)), factors, np.array([-1.0, -2.0]), shape
    ours = device.log_joint(there(rows), *frame, *model)
    np.testing.assert_allclose(
        device.to_host(ours), plain.log_joint(rows, *frame, *model), rtol=1e-11, atol=1e-11
    )
    none = np.empty(0)
    ours = device.accumulate_centred(there(rows), *frame, there(none), *model, False)
    theirs = plain.accumulate_centred(rows, *frame, none, *model, False)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-12)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-9, atol=1e-8)


# ---- whole fits


@pytest.mark.engines
@pytest.mark.parametrize("family", ["full", "tied", "diag", "equal-spherical"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_fit_to_a_tensor(family, weighted, rows):
    torch = pytest.importorskip("torch")
    w = np.random.default_rng(3).uniform(size=len(rows)) if weighted else None
    given = {"covariance_type": family, "random_state": 0, "tol": 1e-13}
    here = GaussianMixture(2, **given).fit(rows, sample_weight=w)
    X = torch.from_numpy(rows)
    there = GaussianMixture(2, **given).fit(X, sample_weight=w)
    np.testing.assert_allclose(there.means_, here.means_, rtol=1e-9)
    for name in ("predict", "predict_proba", "score_samples"):
        answer = getattr(there, name)(X)
        assert isinstance(answer, torch.Tensor) and answer.device == X.device
        np.testing.assert_allclose(answer.numpy(), getattr(here, name)(rows), rtol=1e-7, atol=1e-9)
    assert there.bic(X, w) == pytest.approx(here.bic(rows, w), rel=1e-10)


@pytest.mark.engines
def test_single_precision_stays_single(rows):
    torch = pytest.importorskip("torch")
    X = torch.from_numpy(rows).float()
    model = GaussianMixture(2, random_state=0).fit(X)
    assert model.predict_proba(X).dtype == torch.float32
    here = GaussianMixture(2, random_state=0).fit(rows)
    np.testing.assert_allclose(model.means_, here.means_, rtol=1e-4)


@pytest.mark.engines
def test_what_the_device_does_not_know_is_worked_out_here(rows):
    """Heavy tails, several families, narrow clusters far off: the same answers all the same."""
    torch = pytest.importorskip("torch")
    X = torch.from_numpy(rows[900:1100])
    for given in ({"distribution": "t", "dof": 5.0}, {"covariance_type": ["full", "tied"]}):
        here = GaussianMixture(2, random_state=0, **given).fit(X.numpy())
        there = GaussianMixture(2, random_state=0, **given).fit(X)
        assert there.score(X) == pytest.approx(here.score(X.numpy()), rel=1e-7)
    far = np.concatenate([rows, rows + np.array([1e5, 0.0, 0.0])])
    ends = [GaussianMixture(4, random_state=0).fit(f) for f in (far, torch.from_numpy(far))]
    np.testing.assert_allclose(ends[0].covariances_, ends[1].covariances_, rtol=1e-5)


@pytest.mark.engines
def test_refusals():
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError, match=r"\(n, d\)"):
        GaussianMixture().fit(torch.ones(3))
    with pytest.raises(InputTypeError, match=r"X\.float\(\)"):
        GaussianMixture().fit(torch.ones((4, 2), dtype=torch.int64))
    with pytest.raises(InputError, match="no observed value"):
        GaussianMixture().fit(torch.full((4, 2), float("nan")))
    with pytest.raises(InputError, match="infinity"):
        GaussianMixture().fit(torch.full((4, 2), float("inf")))
    with pytest.raises(InputError, match=r"X\.cpu\(\)"):
        GaussianMixture(2).fit(torch.rand((40, 2)), lower=0.0)
