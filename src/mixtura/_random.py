"""The door for what random numbers come from: generators and seeds, checked once."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura._errors import InputError


def generator(given: Any, what: str = "rng") -> np.random.Generator:
    """The generator itself, or a new one: of a seed, or of none and then of no repeatable draws.

    Raises
    ------
    InputError
        What is no seed; `what` names the parameter.
    """
    try:
        return np.random.default_rng(given)
    except (TypeError, ValueError):
        raise InputError(
            f"{what}={given!r}: a whole number from 0 on, a numpy.random.Generator or None is "
            "needed"
        ) from None


def whole_seed(given: Any, what: str = "rng") -> int:
    """A seed that is a whole number.

    Raises
    ------
    InputError
        Something else; `what` names the parameter.
    """
    if not isinstance(given, (int, np.integer)) or given < 0:
        raise InputError(f"{what}={given!r}: a whole number from 0 on is needed, as in {what}=0")
    return int(given)
