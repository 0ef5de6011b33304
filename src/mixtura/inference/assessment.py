"""How well a classifier foretells: error, Brier score, and both by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array, Indices
from mixtura.conditioning import log_sums, shares
from mixtura.fit.class_fit import ClassFit
from mixtura.fit.class_plan import Plan
from mixtura.source import MemorySource


def brier(probabilities: Array, codes: Indices, weights: Array) -> float:
    """Brier score ``Σ_i w_i Σ_c (p_ic - [y_i = c])² / 2 Σ_i w_i``, between 0 and 1.

    Brier (1950), halved as in mclust, so that for two classes it is the mean squared error of the
    probability of either.

    Examples
    --------
    >>> import numpy as np
    >>> float(brier(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0, 0]), np.ones(2)))
    0.125
    """
    return float(weights @ squared_errors(probabilities, codes) / weights.sum())


def squared_errors(probabilities: Array, codes: Indices) -> Array:
    """``Σ_c (p_ic - [y_i = c])² / 2`` of each row, (n,)."""
    truth = np.eye(probabilities.shape[1])[codes]
    return np.asarray(0.5 * ((probabilities - truth) ** 2).sum(axis=1))


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Error and Brier score on rows that had no part in the fit.

    Attributes
    ----------
    error, brier, log_loss : float
        Means over all rows held out: share of wrong classes, Brier score in 0..1,
        ``-log P(y | x)``.
    error_se, brier_se, log_loss_se : float
        Standard errors, from the spread over the folds.
    folds : (n,)
        The fold in which each row was held out, -1 for rows without a label.
    probabilities : (n, C)
        Probabilities of the classes by the fit without the row's fold; NaN for rows without a
        label.
    """

    error: float
    error_se: float
    brier: float
    brier_se: float
    log_loss: float
    log_loss_se: float
    folds: Indices
    probabilities: Array

    def __str__(self) -> str:
        return (
            f"cross-validated in {int(self.folds.max()) + 1} folds: "
            f"error {self.error:.4f} ± {self.error_se:.4f}, "
            f"Brier score {self.brier:.4f} ± {self.brier_se:.4f}, "
            f"log-loss {self.log_loss:.4f} ± {self.log_loss_se:.4f} (± one standard error)"
        )

    __repr__ = __str__


def cross_validated(
    plan: Plan, fit: Callable[[Plan], ClassFit], folds: Indices, jobs: int
) -> CrossValidation:
    """Fit without each fold in turn, and foretell its rows.

    Everything that was chosen is chosen anew in each fold, so the figures are honest about it.
    """
    n = plan.source.n
    joint = np.full((n, plan.size), np.nan)

    def one(part: int) -> None:
        test = np.flatnonzero(folds == part)
        found = fit(plan.take(np.flatnonzero(folds != part)))
        joint[test] = found.model.log_joint(MemorySource(plan.source.whole.rows[test]))

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, range(int(folds.max()) + 1)))
    return _judged(plan, joint, folds)


def stratified(codes: Indices, folds: int, seed: int) -> Indices:
    """The fold (n,) of each labelled row, every class spread evenly; -1 for rows without a label.

    Raises
    ------
    InputError
        Fewer than two folds, or a class of a single row.
    """
    sizes = np.bincount(codes[codes >= 0])
    if folds < 2 or (sizes < 2).any():
        raise InputError(
            f"cross-validation needs two folds and two rows a class at least; folds={folds}, the "
            f"smallest class has {sizes.min()} rows: drop or merge small classes"
        )
    rng = np.random.default_rng(seed)
    folds = min(folds, int(sizes.sum()))
    out = np.full(len(codes), -1)
    labelled = np.flatnonzero(codes >= 0)
    order = labelled[np.lexsort((rng.random(len(labelled)), codes[labelled]))]
    out[order] = np.arange(len(order)) % folds
    return out


def _judged(plan: Plan, joint: Array, folds: Indices) -> CrossValidation:
    known = np.flatnonzero(folds >= 0)
    truth, weights = plan.codes[known], plan.weights[known]
    guess = shares(joint[known])
    surprise = log_sums(joint[known]) - joint[known, truth]
    losses = (guess.argmax(axis=1) != truth, squared_errors(guess, truth), surprise)
    figures = [_mean(np.asarray(loss, dtype=float), weights, folds[known]) for loss in losses]
    probabilities = np.full(joint.shape, np.nan)
    probabilities[known] = guess
    (error, error_se), (score, score_se), (log_loss, log_loss_se) = figures
    return CrossValidation(
        error, error_se, score, score_se, log_loss, log_loss_se, folds, probabilities
    )


def _mean(loss: Array, weights: Array, folds: Indices) -> tuple[float, float]:
    """The mean, and its standard error ``sd / √V`` from the means of V folds, by their weight."""
    mass = np.bincount(folds, weights)
    means = np.bincount(folds, weights * loss) / np.where(mass > 0, mass, 1.0)
    mean = float(mass @ means / mass.sum())
    spread = float(mass @ (means - mean) ** 2 / mass.sum())
    return mean, float(np.sqrt(spread / max(len(mass) - 1, 1)))


def confusion(truth: Indices, guess: Indices, size: int, weights: Array) -> Array:
    """Weight (C, C) of the rows of each class (down) by the class foretold (across)."""
    table = np.zeros((size, size))
    np.add.at(table, (truth, guess), weights)
    return table


def confusion_text(table: Array, names: Sequence[str]) -> str:
    """The table with its margins named."""
    cells = [[f"{value:g}" for value in row] for row in table]
    wide = max(len(text) for text in [*names, *(c for row in cells for c in row)]) + 2
    head = max(map(len, names))
    lines = [" " * head + "".join(name.rjust(wide) for name in names)]
    for name, row in zip(names, cells, strict=True):
        lines.append(name.ljust(head) + "".join(cell.rjust(wide) for cell in row))
    return "\n".join(lines)
