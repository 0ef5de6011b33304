"""Methods whose functions live in `mixtura.operations`, loaded on first touch."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from types import MethodType
from typing import Any


class Borrowed:
    """A method that is a function of another module, with the value as its first argument.

    On the class it is the function itself, so that help and documentation show its signature.

    Parameters
    ----------
    home : str
        ``file.function`` within `mixtura.operations`.
    """

    def __init__(self, home: str) -> None:
        self._file, self._name = home.split(".")

    @cached_property
    def _function(self) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(
            import_module(f"mixtura.operations.{self._file}"), self._name
        )
        return found

    def __get__(self, value: Any, owner: type | None = None) -> Callable[..., Any]:
        return self._function if value is None else MethodType(self._function, value)
