"""Seeds by scikit-learn's rules."""

from __future__ import annotations

from typing import Any

from sklearn.utils import check_random_state

from mixtura._errors import InputError


def drawn_seed(random_state: Any) -> int:
    """A seed from an estimator's `random_state`: always the same one of a whole number.

    Raises
    ------
    InputError
        What is no `random_state`.
    """
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except (TypeError, ValueError):
        raise InputError(
            f"random_state={random_state!r}: a whole number from 0 to 2**32 - 1, a "
            "numpy.random.RandomState or None is needed"
        ) from None
