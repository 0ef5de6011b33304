"""What a classifier does on some rows, as a table that prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixtura._types import Array, Indices
from mixtura.conditioning import shares
from mixtura.fit.class_fit import ClassFit
from mixtura.inference.assessment import brier, confusion, confusion_text
from mixtura.source import MemorySource


@dataclass(frozen=True, eq=False)
class ClassReport:
    """Confusion, error and Brier score of a classifier on some rows.

    Attributes
    ----------
    names : C names of the classes
    confusion : (C, C)
        Weight of the rows of each class (down) by the class foretold (across).
    error : float
        Share of the weight that goes to a wrong class.
    brier : float
        Between 0 and 1.
    """

    names: tuple[str, ...]
    confusion: Array
    error: float
    brier: float

    def __str__(self) -> str:
        table = confusion_text(self.confusion, self.names)
        return (
            f"{table}\n(class down, foretold across)\n"
            f"error {self.error:.4f}, Brier score {self.brier:.4f}"
        )

    __repr__ = __str__


def reported(
    fit: ClassFit, names: Sequence[str], source: MemorySource, codes: Indices
) -> ClassReport:
    """Foretell the classes of rows and compare with the truth."""
    probabilities = shares(fit.model.log_joint(source))
    weights = source.whole.weight()
    guess = probabilities.argmax(axis=1)
    table = confusion(codes, guess, len(names), weights)
    error = 1.0 - float(np.trace(table) / table.sum())
    return ClassReport(tuple(names), table, error, brier(probabilities, codes, weights))
