"""The model file ``*.mixtura``: a zip of JSON and plain arrays that can be read without trust.

| member | what |
|---|---|
| `model.json` | format, version, k, d, covariance structure, feature names |
| `weights.npy` | (k,) |
| `means.npy` | (k, d) in frame coordinates |
| `covariances.npy` | in frame coordinates, laid out for the structure |
| `pivot.npy`, `scale.npy` | (d,) the frame |
| `dof.npy`, `noise.npy`, ... | version 2: Student's t and noise, see `mixtura.io.law_members` |
| `metadata.json` | optional: how the model was made |

Numbers are little-endian float64 in NumPy's format 1.0. Nothing is executed or unpickled, and no
size is believed before it agrees with the shape that `model.json` declares. A mixture that version
1 can hold is written as version 1.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from mixtura._errors import InputError, ModelFileError
from mixtura._types import Array
from mixtura.atomic import written_whole
from mixtura.covariance import LAYOUTS, Covariances, structure
from mixtura.covariance.factor_rule import NAMES
from mixtura.fitted import fitted_mixture
from mixtura.frame import Frame
from mixtura.io.law_members import LAW_ARRAYS, law_members, read_law, read_noise
from mixtura.io.plain_json import json_text
from mixtura.mixture import Mixture

FORMAT = "mixtura model"
VERSION = 2
ARRAYS = ("weights.npy", "means.npy", "covariances.npy", "pivot.npy", "scale.npy")
TEXTS = ("model.json", "metadata.json")
TEXT_LIMIT = 1 << 26  # bytes of JSON
SMALL = 1 << 20  # members up to this size may be compressed to any ratio
RATIO = 200  # larger ones at most to this
_NUMBER = np.dtype("<f8")


STRUCTURES = LAYOUTS
"""The closed list of structures, with the shape of their numbers; others are refused."""


def save(
    mixture: Any, path: str | os.PathLike[str], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write a mixture to a model file, whole or not at all.

    The same mixture and metadata give the same bytes.

    Parameters
    ----------
    mixture : Mixture or fitted estimator; the frame of the mixture is kept, so that every number
        comes back to the last bit
    path : where to; `.mixtura` is the usual suffix
    metadata : anything JSON can hold, beside the model

    Raises
    ------
    NotFittedError, InputTypeError
        What holds no mixture.
    InputError
        A fit that trimmed rows, of which the mixture alone does not tell.

    Examples
    --------
    >>> import tempfile
    >>> from mixtura.mixture import Mixture
    >>> path = Path(tempfile.mkdtemp()) / "pair.mixtura"
    >>> pair = Mixture([0.3, 0.7], [[0.0], [4.0]], [[1.0], [0.25]], covariance_type="diag")
    >>> save(pair, path, {"made": "by hand"})
    >>> load(path) == pair, load_metadata(path)
    (True, {'made': 'by hand'})
    """
    found = fitted_mixture(mixture)
    if metadata is None and getattr(mixture, "cut_", None) is not None:
        raise InputError(
            "the fit trimmed rows, which its mixture does not tell: write it by model.save(path), "
            "or give model.mixture_"
        )
    members = _members(found)
    if metadata is not None:
        members["metadata.json"] = _json_bytes(metadata)
    with written_whole(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for key, content in members.items():
            info = zipfile.ZipInfo(key, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content)


def load(path: str | os.PathLike[str]) -> Mixture:
    """Read the mixture in a model file.

    Raises
    ------
    ModelFileError
        The file is missing, no model file, of a newer format, damaged, or holds numbers that are
        no mixture; says which member and what is wrong with it.
    """
    with _opened(path) as archive:
        told, name, k, d, names = _description(archive)
        shapes = ((k,), (k, d), _shape(name, k, d), (d,), (d,))
        weights, location, numbers, pivot, scale = (
            _array(archive, key, shape) for key, shape in zip(ARRAYS, shapes, strict=True)
        )
        _check_values(weights, scale)
        covariances = structure(numbers, name, k, d, where="covariances.npy: the covariances")
        read = partial(_array, archive)
        law, noise = read_law(told, k, read), read_noise(told, d, read, archive.namelist())
        return Mixture.of(weights, location, covariances, Frame(pivot, scale), names, law, noise)


def load_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What was written beside the model; empty when nothing was."""
    with _opened(path) as archive:
        _description(archive)
        if "metadata.json" not in archive.namelist():
            return {}
        metadata = _json(archive, "metadata.json")
        return metadata if isinstance(metadata, dict) else {}


def structure_name(covariances: Covariances) -> str:
    """The name under which a covariance structure is known to model files.

    Examples
    --------
    >>> structure_name(structure(np.eye(2), "EEE", 3, 2))
    'tied'
    """
    if covariances.name in STRUCTURES or _is_factor(covariances.name):
        return covariances.name
    raise InputError(
        f"{type(covariances).__name__} cannot be written to a model file: "
        f"known structures are {', '.join(STRUCTURES)}"
    )


# ---- writing


def _members(mixture: Mixture) -> dict[str, bytes]:
    told, extra = law_members(mixture)
    description = {
        "format": FORMAT,
        "version": VERSION if told else 1,
        "components": mixture.n_components,
        "features": mixture.n_features,
        "covariance": structure_name(mixture.structure),
        "feature_names": None if mixture.feature_names is None else list(mixture.feature_names),
        **told,
    }
    numbers = (
        mixture.weights,
        mixture.location,
        mixture.structure.array(),
        mixture.frame.pivot,
        mixture.frame.scale,
    )
    arrays = {**dict(zip(ARRAYS, numbers, strict=True)), **extra}
    packed = {key: _npy_bytes(values) for key, values in arrays.items()}
    return {"model.json": _json_bytes(description), **packed}


def _npy_bytes(values: Array) -> bytes:
    stream = BytesIO()
    numbers = np.array(values, dtype=_NUMBER, order="C")
    npy.write_array(stream, numbers, version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _json_bytes(value: Any) -> bytes:
    return json_text(value, sort_keys=True).encode() + b"\n"


# ---- reading


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """The archive, its directory checked; whatever is wrong with it becomes a ModelFileError."""
    source = os.fspath(path)
    try:
        with Path(path).open("rb") as stream:
            _check_start(stream)
            with zipfile.ZipFile(stream) as archive:
                _check_directory(archive, Path(path).stat().st_size)
                yield archive
    except FileNotFoundError:
        raise ModelFileError(
            f"there is no model file {source}: check its name and folder"
        ) from None
    except IsADirectoryError:
        raise ModelFileError(f"{source} is a folder: name the model file in it") from None
    except (ModelFileError, InputError) as error:
        raise ModelFileError(f"{source}: {error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelFileError(
            f"{source} is damaged or cut short ({error}): copy or save it again"
        ) from None
    except (ValueError, OverflowError, OSError) as error:
        raise ModelFileError(f"{source} cannot be read as a model file ({error})") from None


def _check_start(stream: IO[bytes]) -> None:
    start = stream.read(4)
    if not start:
        raise ModelFileError("the file is empty: save the model again")
    if start != b"PK\x03\x04":
        raise ModelFileError("this is not a model file: name one that mixtura has written")
    stream.seek(0)


def _check_directory(archive: zipfile.ZipFile, size: int) -> None:
    """Known members only, each once, none packed beyond reason."""
    names = archive.namelist()
    for info in archive.infolist():
        if info.filename not in (*ARRAYS, *LAW_ARRAYS, *TEXTS):
            raise ModelFileError(f"member {_short(info.filename)} does not belong in a model file")
        if names.count(info.filename) > 1:
            raise ModelFileError(f"member {info.filename} is there twice")
        if info.flag_bits & 1:
            raise ModelFileError(f"member {info.filename} is encrypted: save the model again")
        if info.file_size > max(SMALL, RATIO * info.compress_size):
            raise ModelFileError(
                f"member {info.filename} unpacks {info.compress_size} bytes to {info.file_size}: "
                "refused, no model is so repetitive"
            )
        if info.filename in TEXTS and info.file_size > TEXT_LIMIT:
            raise ModelFileError(f"member {info.filename} is too large: {info.file_size} bytes")
    if sum(info.compress_size for info in archive.infolist()) > size:
        raise ModelFileError("its members overlap: save the model again")
    for name in ("model.json", *ARRAYS):
        if name not in names:
            raise ModelFileError(f"member {name} is missing: save the model again")


def _json(archive: zipfile.ZipFile, name: str) -> Any:
    try:
        return json.loads(_content(archive, name), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"member {name} is not valid JSON ({error})") from None


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as stream:
        return stream.read()


def _refuse_constant(text: str) -> None:
    raise ValueError(f"the number {text} is not allowed")


def _description(
    archive: zipfile.ZipFile,
) -> tuple[dict[str, Any], str, int, int, tuple[str, ...] | None]:
    """All that is told; and of it structure, k, d and feature names, each checked."""
    told = _json(archive, "model.json")
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise ModelFileError(f'model.json does not say "format": "{FORMAT}"')
    version = told.get("version")
    if type(version) is not int or version < 1:
        raise ModelFileError(
            f"model.json: the version is {_short(version)}, not a number from 1 up"
        )
    if version > VERSION:
        raise ModelFileError(
            f"written in format {version} by a newer mixtura (this one reads up to {VERSION}): "
            'pip install --upgrade "mixtura"'
        )
    k, d = _count(told, "components"), _count(told, "features")
    name = told.get("covariance")
    if not isinstance(name, str) or not (name in STRUCTURES or _is_factor(name)):
        raise ModelFileError(
            f"model.json: the covariance structure {_short(name)} is unknown; "
            f"known are {', '.join(STRUCTURES)}, and {', '.join(NAMES)} with a rank"
        )
    return told, name, k, d, _feature_names(told.get("feature_names"), d)


def _is_factor(name: str) -> bool:
    """Whether it names factor analyzers of one rank."""
    kind, _, rank = name.partition(":")
    return kind in NAMES and len(rank) < 10 and rank.isascii() and rank.isdecimal() and rank > "0"


def _shape(name: str, k: int, d: int) -> tuple[int, ...]:
    """The declared shape of the covariances' numbers."""
    if name in STRUCTURES:
        return STRUCTURES[name](k, d)
    return (k, d, 1 + int(name.partition(":")[2]))


def _count(told: dict[str, Any], what: str) -> int:
    count = told.get(what)
    if type(count) is not int or not 1 <= count < 1 << 31:
        raise ModelFileError(f"model.json: {what} is {_short(count)}, not a count from 1 up")
    return count


def _feature_names(names: Any, d: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelFileError("model.json: feature_names is not a list of texts")
    if len(names) != d or len(set(names)) != d:
        raise ModelFileError(f"model.json: feature_names are not {d} different names")
    return tuple(names)


def _array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> Array:
    """An array of the declared shape; nothing is allocated before the sizes agree."""
    if name not in archive.namelist():
        raise ModelFileError(f"member {name} is missing: save the model again")
    with archive.open(name) as stream:
        try:
            if npy.read_magic(stream) != (1, 0):
                raise ValueError("its version is not 1.0")
            found, fortran, dtype = npy.read_array_header_1_0(stream)
        except (ValueError, EOFError) as error:
            raise ModelFileError(f"member {name} is no plain array ({error})") from None
        if dtype != _NUMBER or fortran:
            raise ModelFileError(
                f"member {name} holds {dtype.str!r} in {'columns' if fortran else 'rows'}: "
                "little-endian float64 in rows is needed"
            )
        if found != shape:
            raise ModelFileError(
                f"member {name} has shape {_short(found)}, but model.json declares {shape}"
            )
        bytes_needed = int(np.prod(shape, dtype=object)) * _NUMBER.itemsize
        bytes_there = archive.getinfo(name).file_size - stream.tell()
        if bytes_there != bytes_needed:
            raise ModelFileError(
                f"member {name} holds {bytes_there} bytes of numbers, but shape {shape} "
                f"needs {bytes_needed}"
            )
        values = np.frombuffer(stream.read(), dtype=_NUMBER).reshape(shape).astype(np.float64)
    if not np.isfinite(values).all():
        raise ModelFileError(f"member {name} holds NaN or infinite numbers")
    return values


def _check_values(weights: Array, scale: Array) -> None:
    if (weights < 0).any() or abs(weights.sum() - 1.0) > 1e-6:
        raise ModelFileError(
            "member weights.npy: the weights must be at least 0 and sum to one; "
            f"they sum to {weights.sum():.6g}"
        )
    if (scale <= 0).any() or (np.frexp(scale)[0] != 0.5).any():
        raise ModelFileError("member scale.npy: the scales are not powers of two")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
