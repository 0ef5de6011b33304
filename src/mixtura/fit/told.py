"""What a user says of rows besides their numbers: how they were measured, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixtura import _checks, _limits
from mixtura._errors import InputError
from mixtura._types import Array, Rows
from mixtura.block import Block
from mixtura.fit.measured import measured, with_errors
from mixtura.fit.outliers import NONE, Outliers
from mixtura.fit.truncation import Truncation


@dataclass(frozen=True, eq=False)
class Told:
    """What is said of measured cells, missing cells and missing rows.

    Attributes
    ----------
    noise_cov, projection : how rows were measured, as handed in
    lower, upper : what missing cells lie between, as handed in
    box : Truncation or None
    """

    noise_cov: Any = None
    projection: Any = None
    lower: Any = None
    upper: Any = None
    box: Truncation | None = None

    @property
    def blurred(self) -> bool:
        """Whether rows were measured with errors."""
        return self.noise_cov is not None or self.projection is not None

    @property
    def bounded(self) -> bool:
        """Whether anything is said of what is missing."""
        return self.lower is not None or self.upper is not None or self.box is not None


def known(
    rows: Rows, sample_weight: Any, told: Told, outliers: Outliers = NONE, labels: Any = None
) -> Block:
    """Rows to fit, with their weights, their labels aside, and all that is said of them.

    Raises
    ------
    InputError
        Weights, errors or limits that do not fit the rows, or do not go together.
    """
    aside = None if labels is None else labels_beside(labels, len(rows))
    if not told.blurred:
        block = bounded(*_checks.weighted(rows, sample_weight), told)
    else:
        _check_alone(told)
        block = with_errors(rows, sample_weight, told.noise_cov, told.projection, outliers)
    return block if aside is None else replace(block, aside=aside)


def labels_beside(labels: Any, n: int) -> Any:
    """Labels (n,) or (n, k) as an array.

    Raises
    ------
    InputError
        Another number of them than of rows.
    """
    given = np.asarray(labels.to_numpy() if hasattr(labels, "to_numpy") else labels)
    if given.shape[:1] != (n,):
        raise InputError(
            f"labels have shape {given.shape}: ({n},) with -1 for unknown, or ({n}, k) for k "
            "components"
        )
    return given


def seen(rows: Rows, told: Told) -> Block:
    """Rows for a mixture that is fitted, with all that is said of them.

    Raises
    ------
    InputError
        As for `known`.
    """
    if told.blurred:
        _check_alone(told)
        return measured(rows, None, told.noise_cov, told.projection)
    return bounded(rows, None, told)


def bounded(rows: Rows, weights: Array | None, told: Told) -> Block:
    """Rows with what missing cells lie within, by the limits and the box."""
    rows, limits = _limits.within(rows, weights, told.lower, told.upper)
    block = Block(rows, weights, limits=limits)
    return block if told.box is None else told.box.around(block)


def _check_alone(told: Told) -> None:
    if told.bounded:
        raise InputError(
            "measurement errors do not go with lower, upper or truncation: leave out noise_cov "
            "and projection, or the limits"
        )
