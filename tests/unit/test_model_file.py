"""The model file: what goes in comes out to the last bit, and nothing hostile comes in."""

import json
import os
import zipfile
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest

from mixtura._errors import InputError, ModelFileError
from mixtura.covariance import structure
from mixtura.frame import Frame
from mixtura.io.model_file import STRUCTURES, load, load_metadata, save
from mixtura.mixture import Mixture
from strategies import covariance_array


def numbers_for(name, k, d, rng):
    """Covariances of `k` components in `d` dimensions, laid out for the structure."""
    return covariance_array(name, k, d, rng)


def mixture_of(name, k=3, d=2, seed=0, names=("eruptions", "waiting")):
    rng = np.random.default_rng(seed)
    shape = structure(numbers_for(name, k, d, rng), name, k, d)
    frame = Frame(rng.normal(size=d) * 1e6, 2.0 ** rng.integers(-30, 30, size=d))
    return Mixture.of(rng.dirichlet(np.ones(k)), rng.normal(size=(k, d)), shape, frame, names)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "m.mixtura"
    save(mixture_of("full"), path, {"columns": ["a"], "bic": 1.5})
    return path


def rewritten(path, changes, compression=zipfile.ZIP_STORED):
    """The file with some members replaced, added or (None) left out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members |= changes
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)
    return path


def npy(values, **how):
    stream = BytesIO()
    np.lib.format.write_array(stream, np.asarray(values), **how)
    return stream.getvalue()


def described(**changes):
    told = {
        "format": "mixtura model",
        "version": 1,
        "components": 3,
        "features": 2,
        "covariance": "full",
        "feature_names": None,
    }
    return json.dumps(told | changes).encode()


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("names", [("eruptions", 'wärts, "x"'), None])
def test_every_structure_comes_back_to_the_last_bit(tmp_path, name, names):
    mixture = mixture_of(name, names=names)
    save(mixture, tmp_path / "m.mixtura")
    again = load(tmp_path / "m.mixtura")
    assert again == mixture
    assert type(again.structure) is type(mixture.structure)
    assert again.structure.shared == mixture.structure.shared
    rows = mixture.sample(50, 1)
    rows[::7, 0] = np.nan
    np.testing.assert_array_equal(again.logpdf(rows), mixture.logpdf(rows))


def test_same_mixture_gives_same_bytes(tmp_path):
    for name in ("a", "b"):
        save(mixture_of("tied"), tmp_path / name, {"b": 1, "a": [np.float64(2), np.nan]})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_metadata_beside_the_model(tmp_path, model):
    assert load_metadata(model) == {"columns": ["a"], "bic": 1.5}
    save(mixture_of("full"), model)
    assert load_metadata(model) == {}
    save(mixture_of("full"), model, {"worst": np.inf, "size": np.int64(3), "x": np.arange(2)})
    assert load_metadata(model) == {"worst": None, "size": 3, "x": [0, 1]}


def test_interrupted_save_leaves_the_old_file_and_nothing_else(tmp_path, model, monkeypatch):
    before = model.read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "writestr", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(mixture_of("diag"), model)
    assert model.read_bytes() == before
    assert os.listdir(tmp_path) == [model.name]


def test_structure_outside_the_list_is_not_written(tmp_path):
    mixture = mixture_of("diag")

    class Odd:
        name = "odd"

    odd = Mixture.of(mixture.weights, mixture.location, Odd(), mixture.frame)
    with pytest.raises(InputError, match="Odd cannot be written"):
        save(odd, tmp_path / "m")


HOSTILE = {
    "missing member": ({"means.npy": None}, r"means\.npy is missing"),
    "unknown member": ({"../../evil": b""}, r"evil' does not belong"),
    "pickled objects": (
        {"weights.npy": npy(np.array([1, "x", None], dtype=object), allow_pickle=True)},
        "holds '|O'",
    ),
    "float32": ({"weights.npy": npy(np.full(3, 1 / 3, np.float32))}, "holds '<f4'"),
    "big-endian": ({"weights.npy": npy(np.full(3, 1 / 3, ">f8"))}, "holds '>f8'"),
    "fortran": ({"means.npy": npy(np.asfortranarray(np.ones((3, 2))))}, "in columns"),
    "shape": ({"means.npy": npy(np.ones((2, 3)))}, r"has shape \(2, 3\).*declares \(3, 2\)"),
    "not an array": ({"means.npy": b"hello"}, "means.npy is no plain array"),
    "version 3 array": ({"means.npy": npy(np.ones((3, 2)), version=(3, 0))}, "not 1.0"),
    "too few numbers": ({"means.npy": npy(np.ones((3, 2)))[:-8]}, "holds 40 bytes.*needs 48"),
    "too many numbers": ({"means.npy": npy(np.ones((3, 2))) + b"x"}, "holds 49 bytes"),
    "NaN": ({"means.npy": npy(np.full((3, 2), np.nan))}, "means.npy holds NaN"),
    "weights": ({"weights.npy": npy(np.ones(3))}, "sum to 3"),
    "negative weight": ({"weights.npy": npy([1.5, -0.5, 0.0])}, "at least 0"),
    "scale": ({"scale.npy": npy([1.0, 3.0])}, "powers of two"),
    "zero scale": ({"scale.npy": npy([1.0, 0.0])}, "powers of two"),
    "not positive definite": (
        {"covariances.npy": npy(np.ones((3, 2, 2)))},
        "component 0 should be symmetric, positive-definite",
    ),
    "not JSON": ({"model.json": b"{"}, "model.json is not valid JSON"),
    "not text": ({"model.json": b"\xff\xfe\xfd"}, "model.json is not valid JSON"),
    "deep JSON": ({"model.json": b"[" * 200_000}, "model.json is not valid JSON"),
    "JSON NaN": ({"model.json": described(version=float("nan"))}, "NaN is not allowed"),
    "JSON list": ({"model.json": b"[]"}, "does not say"),
    "other format": ({"model.json": described(format="x")}, "does not say"),
    "newer": ({"model.json": described(version=3)}, "newer mixtura.*pip install --upgrade"),
    "no version": ({"model.json": described(version="1")}, "version is '1'"),
    "huge k": ({"model.json": described(components=10**9)}, "declares"),
    "k of 2^70": ({"model.json": described(components=2**70)}, "components is"),
    "boolean k": ({"model.json": described(components=True)}, "components is True"),
    "zero d": ({"model.json": described(features=0)}, "features is 0"),
    "structure": ({"model.json": described(covariance="os.system")}, "'os.system' is unknown"),
    "names": ({"model.json": described(feature_names=["a"])}, "not 2 different names"),
    "repeated names": ({"model.json": described(feature_names=["a", "a"])}, "2 different names"),
    "names of numbers": ({"model.json": described(feature_names=[1, 2])}, "not a list of texts"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_content_is_refused_by_name(model, case):
    changes, message = HOSTILE[case]
    rewritten(model, changes)
    with pytest.raises(ModelFileError, match=message) as caught:
        load(model)
    assert str(model) in str(caught.value)


def test_bomb_is_refused_before_it_is_unpacked(model):
    bomb = npy(np.zeros((3, 2))) + bytes(50_000_000)
    rewritten(model, {"means.npy": bomb}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFileError, match=r"unpacks .* refused"):
        load(model)


def test_deflated_model_is_read(model):
    rewritten(model, {}, zipfile.ZIP_DEFLATED)
    assert load(model) == mixture_of("full")


def test_repeated_member_is_refused(model):
    with zipfile.ZipFile(model, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("weights.npy", npy(np.ones(3) / 3))
    with pytest.raises(ModelFileError, match=r"weights\.npy is there twice"):
        load(model)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ModelFileError, match="there is no model file"):
        load(tmp_path / "none.mixtura")
    with pytest.raises(ModelFileError, match="is a folder"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"eruptions,waiting\n1,2\n", b"PK\x03\x04"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "m.mixtura"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        load(path)


def test_truncated_anywhere_is_refused(model):
    whole = model.read_bytes()
    for length in range(0, len(whole), 37):
        model.write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            load(model)


def test_changed_bytes_are_refused_or_harmless(model):
    whole, mixture = model.read_bytes(), load(model)
    rng = np.random.default_rng(0)
    for place in rng.choice(len(whole), size=400, replace=False):
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.integers(8)
        model.write_bytes(changed)
        with suppress(ModelFileError):
            assert load(model) == mixture
