"""Values of a fit as JSON and back, to the last bit; nothing is executed or unpickled.

Arrays are float64 in base64 with the order their numbers lie in, as sums can depend on it. Of
classes only those listed here are known.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from mixtura._types import Array
from mixtura.covariance import FactorCovariances, FullCovariances, Guard, TiedCovariances
from mixtura.covariance.diagonal import DiagonalCovariances
from mixtura.covariance.spherical import SphericalCovariances
from mixtura.fit.accelerate import Stride
from mixtura.fit.em import Fit, State
from mixtura.fit.incremental import Progress
from mixtura.fit.outliers import Outliers
from mixtura.frame import Frame
from mixtura.held import Held
from mixtura.law import Gaussian, StudentT
from mixtura.mixture import Mixture
from mixtura.noise import Noise
from mixtura.prior import Conjugate, Flat
from mixtura.statistics import Moments, Statistics

__all__ = ["decoded", "encoded"]

_KINDS: dict[str, Callable[..., Any]] = {
    kind.__name__: kind
    for kind in (
        DiagonalCovariances,
        FactorCovariances,
        FullCovariances,
        SphericalCovariances,
        TiedCovariances,
        Conjugate,
        Fit,
        Flat,
        Frame,
        Gaussian,
        Guard,
        Held,
        Moments,
        Noise,
        Outliers,
        Progress,
        State,
        Statistics,
        Stride,
        StudentT,
    )
} | {"Mixture": Mixture.of}
"""The classes that may be named, and how their values are made."""


def encoded(value: Any) -> Any:
    """A value as what JSON can hold.

    Examples
    --------
    >>> encoded((1, None, "x", True))
    [1, None, 'x', True]
    >>> decoded(encoded(Stride(longest=np.inf, memory=((np.ones(2), np.zeros(2)),)))).longest
    inf
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return {"float": float(value).hex()}
    if isinstance(value, np.ndarray):
        return _packed(value)
    if isinstance(value, tuple | list):
        if len(value) > 1 and all(isinstance(one, float) for one in value):
            return {"floats": _packed(np.array(value))}
        return [encoded(one) for one in value]
    kind = type(value).__name__
    if not is_dataclass(value) or kind not in _KINDS:
        raise TypeError(f"a {kind} cannot be kept in a checkpoint")
    return {"kind": kind} | {one.name: encoded(getattr(value, one.name)) for one in fields(value)}


def decoded(told: Any) -> Any:
    """The value of what `encoded` gave; sequences come back as tuples.

    Raises
    ------
    KeyError, TypeError, ValueError
        Anything else.
    """
    if isinstance(told, list):
        return tuple(decoded(one) for one in told)
    if not isinstance(told, dict):
        return told
    if "float" in told:
        return float.fromhex(told["float"])
    if "floats" in told:
        return tuple(_unpacked(told["floats"]).tolist())
    if "numbers" in told:
        return _unpacked(told)
    known = {name: decoded(one) for name, one in told.items() if name != "kind"}
    return _KINDS[told["kind"]](**known)


def _packed(values: Array) -> dict[str, Any]:
    """Numbers in the order they lie in memory, and which axes run slowest to fastest there."""
    order = sorted(range(values.ndim), key=lambda axis: -values.strides[axis])
    laid = np.ascontiguousarray(values.transpose(order), dtype="<f8")
    numbers = base64.b64encode(laid.tobytes()).decode()
    return {"shape": list(laid.shape), "order": order, "numbers": numbers}


def _unpacked(told: dict[str, Any]) -> Array:
    laid = np.frombuffer(base64.b64decode(told["numbers"], validate=True), dtype="<f8")
    back = laid.astype(np.float64).reshape(told["shape"])
    return back.transpose(np.argsort(told["order"])) if back.ndim else back
