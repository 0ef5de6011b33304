"""A fitted classifier: the model, what was compared, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixtura._types import Array
from mixtura.fit.class_model import ClassModel
from mixtura.fit.fitting import Note
from mixtura.fit.select import Candidate


@dataclass(frozen=True, eq=False)
class ClassFit:
    """A fitted classifier.

    Attributes
    ----------
    model : ClassModel
    tables : tuple of tuples of Candidate
        What was compared: one table a class, or one for all.
    best : tuple of Candidate
        What was chosen, in the same order.
    log_likelihood : float
        ``Σ w log π_y P_y(x)`` over labelled rows plus ``Σ w log Σ_c π_c P_c(x)`` over the others.
    n_parameters : int
        Of all densities; the probabilities of the classes are not counted.
    trace : tuple of float
        Log-likelihood plus log-prior after each step of a semi-supervised climb.
    converged : bool
    notes : tuple of Note
    """

    model: ClassModel
    tables: tuple[tuple[Candidate, ...], ...]
    best: tuple[Candidate, ...]
    log_likelihood: float
    n_parameters: int
    trace: tuple[float, ...]
    converged: bool
    notes: tuple[Note, ...]
    counts: Array
    weight: float
    n_iter: int

    @property
    def bic(self) -> float:
        """``-2 log L + p log n``; smaller is better."""
        return -2.0 * self.log_likelihood + self.n_parameters * float(np.log(self.weight))

    def text(self, names: Sequence[str]) -> str:
        """What was fitted, a line a class."""
        shared = len(self.best) == 1 < len(names)
        best = self.best * len(names) if shared else self.best
        wide = max(5, *map(len, names))
        lines = [
            "Mixture classifier: "
            + ("one family for all classes" if shared else "a mixture a class"),
            f"log-likelihood {self.log_likelihood:.3f}, {self.weight:g} rows, "
            f"{self.n_parameters} parameters, BIC {self.bic:.3f} (smaller is better)",
            f"{'class':<{wide}}  {'rows':>8}  {'prior':>6}  {'k':>2}  covariance",
        ]
        for name, rows, prior, one, mixture in zip(
            names, self.counts, self.model.priors, best, self.model.mixtures, strict=True
        ):
            lines.append(
                f"{name:<{wide}}  {rows:8.6g}  {prior:6.3f}  {mixture.n_components:2d}  "
                f"{one.covariance_type}"
            )
        unlabelled = self.weight - float(self.counts.sum())
        if unlabelled > 0:
            lines.append(f"{unlabelled:g} rows without a label took part")
        return "\n".join(lines)
