"""Arrays in, arrays out: the sums over rows that every fit is made of.

`plain` is the definition in NumPy, `compiled` the same names in Numba. Loading the compiled
kernels costs about a second, so work below that runs on the plain ones unless the compiled ones
are already there.
"""

from __future__ import annotations

from types import ModuleType

from mixtura.kernels import plain

WORTH_LOADING = 2e9
"""Multiplications from which the compiled kernels are loaded: about a second of plain work."""

_state: dict[str, ModuleType] = {"active": plain}


def active() -> ModuleType:
    """The kernels in use."""
    return _state["active"]


def prepare(work: float) -> None:
    """Load the compiled kernels if so many multiplications lie ahead that it pays."""
    if work >= WORTH_LOADING and active() is plain and not _state.get("fixed"):
        use("compiled", optional=True)


def use(name: str, *, optional: bool = False) -> str:
    """Choose the kernels by name, "plain" or "compiled"; say which are in use.

    Raises
    ------
    ImportError
        Numba is not installed (unless `optional`).

    Examples
    --------
    >>> from mixtura import kernels
    >>> kernels.use("plain")
    'plain'
    """
    if name == "plain":
        _state["active"] = plain
        return name
    try:
        from mixtura.kernels import compiled
    except ImportError:
        if not optional:
            raise
        _state["fixed"] = plain
        return "plain"
    _state["active"] = compiled
    return "compiled"
