"""Arrays in, arrays out: the sums over rows that every fit is made of.

`plain` is the definition in NumPy, `compiled` the same names in Numba. Loading the compiled
kernels costs about a second, and compiling them once on a machine a minute or two, so shorter work
runs on the plain ones unless the compiled ones are already there.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mixtura._errors import MissingDependency
from mixtura.kernels import plain

LOADING = 1.5
"""Seconds of plain work from which loading the compiled kernels pays."""

COMPILING = 40.0
"""The same on a machine where they have not been compiled yet."""

_state: dict[str, ModuleType] = {"active": plain}
_spent = {"seconds": 0.0}


def active() -> ModuleType:
    """The kernels in use."""
    return _state["active"]


def of(rows: Any) -> ModuleType:
    """The kernels for some rows: those in use, or those of the device that the rows lie on."""
    if isinstance(rows, np.ndarray):
        return active()
    try:
        return import_module("mixtura.kernels.device")
    except ImportError as error:
        raise MissingDependency.of("array-api-compat", extra="torch") from error


def on_device(X: Any) -> bool:
    """Whether X is a tensor of a library that computes on devices."""
    return type(X).__module__.split(".")[0] in ("torch", "cupy")


def prepare(seconds: float) -> None:
    """Load the compiled kernels if so many seconds of plain work lie ahead that it pays."""
    if active() is not plain or "fixed" in _state or seconds <= LOADING:
        return
    cached = any((Path(__file__).parent / "__pycache__").glob("compiled*.nbi"))
    if cached or seconds > COMPILING:
        use("compiled", optional=True)


def spend(seconds: float) -> None:
    """Count plain work that comes in small parts, of which nobody knows how many will follow.

    When as much has been done as would have paid, the compiled kernels are loaded: that never takes
    more than twice the time of the better choice.
    """
    _spent["seconds"] += seconds
    prepare(_spent["seconds"])


def use(name: str, *, optional: bool = False) -> str:
    """Choose the kernels by name: "plain", "compiled" or "auto"; say which are in use.

    "auto", the default, begins with the plain ones and loads the compiled ones when work ahead
    makes that pay.

    Raises
    ------
    ImportError
        Numba is not installed (unless `optional`).

    Examples
    --------
    >>> from mixtura import kernels
    >>> kernels.use("plain")
    'plain'
    >>> kernels.use("auto")
    'plain'
    """
    if name == "auto":
        _state.pop("fixed", None)
        _state["active"], _spent["seconds"] = plain, 0.0
        return "plain"
    if name == "plain":
        _state.update(active=plain, fixed=plain)
        return name
    try:
        from mixtura.kernels import compiled
    except ImportError:
        if not optional:
            raise
        return use("plain")
    _state["active"] = compiled
    return "compiled"
