"""What regressors are given as y: numbers in one or more columns, NaN where not observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks, _frames
from mixtura._errors import InputError, InputTypeError
from mixtura._types import Rows


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The columns to be predicted.

    Attributes
    ----------
    rows : (n, m)
    names : tuple of str or None
    flat : bool
        Whether they came as one column without a second axis, and predictions go back as such.
    """

    rows: Rows
    names: tuple[str, ...] | None
    flat: bool

    def beside(self, inputs: _checks.Table) -> tuple[Rows, tuple[str, ...] | None]:
        """The rows (n, d + m) of inputs and outcomes, and their names where the inputs have some.

        Raises
        ------
        InputError
            Other rows than the inputs have, or a name that an input has, too.
        """
        n, m = self.rows.shape
        if n != len(inputs.rows):
            raise InputError(
                "Found input variables with inconsistent numbers of samples: "
                f"[{len(inputs.rows)}, {n}]: y needs one row for each of X"
            )
        joint = np.column_stack([inputs.rows, self.rows])
        if inputs.names is None:
            return joint, None
        own = self.names or (("y",) if m == 1 else tuple(f"y{j}" for j in range(m)))
        twice = sorted(set(own) & set(inputs.names))
        if twice and self.names is not None:
            raise InputError(f"columns {twice} are in X and in y: take them out of one of the two")
        return joint, (*inputs.names, *own) if not twice else None


def outcomes(y: Any) -> Outcomes:
    """Read y.

    Raises
    ------
    InputError, InputTypeError
        None, not numbers, or infinite; says which and what to do.
    """
    if y is None:
        raise InputError("a regressor requires y to be passed, but the target y is None")
    frame = _frame(y)
    if frame is not None:
        return frame
    values = y if isinstance(y, np.ndarray) else np.asarray(y)
    return _read(values[:, None] if values.ndim == 1 else values, values.ndim == 1)


def _read(table: Any, flat: bool) -> Outcomes:
    try:
        read = _checks.table(table, finite=False)
    except (InputError, InputTypeError) as error:
        raise type(error)(f"y is not what is needed: {error}") from None
    if np.isinf(read.rows).any():
        row = int(np.argwhere(np.isinf(read.rows))[0, 0])
        raise InputError(
            f"Input y contains infinity, first in row {row}: drop it, or use NaN for a value that "
            "was not observed"
        )
    return Outcomes(read.rows, read.names, flat)


def _frame(y: Any) -> Outcomes | None:
    """Of a data frame or a series; None for what is neither."""
    if isinstance(y, (np.ndarray, list, tuple)):
        return None
    import narwhals as nw

    found = nw.from_native(_frames.eager(y), pass_through=True, allow_series=True)
    if isinstance(found, nw.DataFrame):
        return _read(found.to_native(), False)
    if not isinstance(found, nw.Series):
        return None
    return _read((found if found.name else found.alias("y")).to_frame().to_native(), True)
