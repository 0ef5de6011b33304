"""The outcome of a comparison: candidates in a table, the best of them, and what to make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from mixtura._tables import data_frame, html_table
from mixtura.fit import averaging, criteria, verdict
from mixtura.fit.em import Fit
from mixtura.fit.fitting import Note
from mixtura.mixture import Mixture
from mixtura.trimming import Cut

_KINDS = {
    "n_components": int,
    "n_parameters": int,
    "converged": bool,
    "degenerate": bool,
    "covariance_type": str,
    "failure": str,
}

SHOWN = 5
"""Candidates in the repr."""


@dataclass(frozen=True)
class Candidate:
    """One cell of the grid. All criteria are signed so that smaller is better.

    Attributes
    ----------
    n_components : int
    covariance_type : str
    log_likelihood : float
        Total over the rows, by weight; without the prior, so that BIC under a prior is the
        modified BIC of Fraley & Raftery (2007).
    n_parameters : int
    bic, aic, icl : float
        ``-2 log L + p log n``, ``-2 log L + 2 p``, and BIC plus twice the entropy of the
        classification, ``-2 Σ log max_k r_ik`` (Biernacki et al. 2000).
    score : float
        The criterion asked for; for "cv" minus twice the held-out log-likelihood.
    converged, degenerate : bool
        A degenerate candidate has a component on the floor of the covariances; its likelihood
        says nothing.
    n_iter : int
    failure : str or None
        Why there is no fit.
    n_rows : float
        n: the rows' total weight.
    remaining : float
        Aitken estimate of the log-likelihood that more steps would gain, in nats over all rows.
    cv, cv_error : float
        For "cv", the held-out log-likelihood in nats a row and its standard error over the rows.
    score_error : float
        For "cv", the standard error of how far `score` is behind the best, row by row.
    """

    n_components: int
    covariance_type: str
    log_likelihood: float = float("nan")
    n_parameters: int = 0
    bic: float = float("inf")
    aic: float = float("inf")
    icl: float = float("inf")
    score: float = float("inf")
    converged: bool = False
    degenerate: bool = False
    n_iter: int = 0
    failure: str | None = None
    n_rows: float = float("nan")
    remaining: float = 0.0
    cv: float = float("nan")
    cv_error: float = float("nan")
    score_error: float = float("nan")
    nests: str = ""

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Sound candidates first, then by score."""
        return (self.failure is not None, self.degenerate, self.score)

    @property
    def sound(self) -> bool:
        """Whether the candidate may be chosen before others."""
        return self.failure is None and not self.degenerate

    def same(self, other: Candidate) -> bool:
        """Whether both are one model under two names, as full and tied are for one component."""
        if (self.n_components, self.n_parameters) != (other.n_components, other.n_parameters):
            return False
        return bool(abs(self.log_likelihood - other.log_likelihood) <= 1e-5 * self.n_rows)

    def __str__(self) -> str:
        return f"{self.n_components} with {self.covariance_type} covariance"


@dataclass(frozen=True, eq=False)
class Selection:
    """The grid of candidates and the fit of the best.

    Attributes
    ----------
    candidates : tuple of Candidate, in the order of the grid
    best : Candidate
    fit : Fit
        Of the best.
    criterion : str
        Its name.
    notes : tuple of Note
        What the user should know of the best fit and of the choice.
    fits : mapping of (n_components, covariance_type) to Fit
        Of all sound candidates that are not hopelessly behind by BIC.
    cut : Cut or None
        Where the best fit trimmed rows.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import select
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (80, 2)), rng.normal(8, 1, (80, 2))])
    >>> found = select(X, range(1, 4), ["tied", "spherical"])
    >>> found.table()["n_components"]
    [2, 2, 3, 3, 1, 1]
    >>> found.average().n_components > found.best.n_components
    True
    """

    candidates: tuple[Candidate, ...]
    best: Candidate
    fit: Fit
    criterion: str
    notes: tuple[Note, ...] = ()
    fits: Mapping[tuple[int, str], Fit] = field(default_factory=dict)
    cut: Cut | None = None

    def ranked(self) -> tuple[Candidate, ...]:
        """The candidates, best first."""
        return tuple(sorted(self.candidates, key=lambda candidate: candidate.rank))

    def sentence(self) -> str:
        """The choice in a sentence."""
        return verdict.sentence(self)

    def verdict(self) -> str:
        """The choice in words, with what speaks for it and against it."""
        return " ".join(verdict.sentences(self))

    def table(self) -> dict[str, list[Any]]:
        """Columns of the candidates, best first.

        ``delta`` is how far the score is behind the best, ``weight`` the share of the sound
        candidates' ``exp(-BIC/2)``: by BIC's approximation the posterior probability of the model
        where all are equally likely before (Kass & Raftery 1995). With "cv" there are ``cv`` and
        ``cv_error``, nats a row, and ``delta_error``.
        """
        rows = self.ranked()
        weights = averaging.weights(rows)
        names = [
            *("n_components", "covariance_type", "log_likelihood", "n_parameters"),
            *("bic", "aic", "icl"),
        ]
        columns: dict[str, list[Any]] = {name: [getattr(c, name) for c in rows] for name in names}
        columns["score"] = [c.score for c in rows]
        if any(np.isfinite(c.cv) for c in rows):
            columns["cv"] = [c.cv for c in rows]
            columns["cv_error"] = [c.cv_error for c in rows]
        columns["delta"] = [c.score - self.best.score for c in rows]
        if "cv" in columns:
            columns["delta_error"] = [c.score_error for c in rows]
        columns["weight"] = weights.tolist()
        for name in ("converged", "degenerate", "failure"):
            columns[name] = [getattr(c, name) for c in rows]
        return columns

    def to_frame(self, backend: str = "pandas") -> Any:
        """`table` as a data frame of "pandas", "polars" or "pyarrow", whichever is installed."""
        return data_frame(self.table(), _KINDS, backend)

    def average(self, top: int | None = None) -> Mixture:
        """The density averaged over the candidates by their BIC weights, as one mixture.

        A mixture of mixtures is a mixture; its covariances are full.

        Parameters
        ----------
        top : int, optional
            Only so many of the best by BIC; by default all that weigh anything (1e-4).
        """
        return averaging.average(self, top)

    def __repr__(self) -> str:
        lines = [self.sentence()]
        title = criteria.title(self.criterion)
        weights = averaging.weights(self.ranked())
        for c, weight in list(zip(self.ranked(), weights, strict=True))[:SHOWN]:
            remark = c.failure or ("degenerate" if c.degenerate else "")
            lines.append(
                f"  {c.n_components:3d} {c.covariance_type:16s}{title} {c.score:.2f}  "
                f"+{c.score - self.best.score:.2f}  weight {weight:.3f}  {remark}".rstrip()
            )
        more = len(self.candidates) - SHOWN
        return "\n".join(lines + [f"  … and {more} more: .table()"] * (more > 0))

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{escape(sentence)}</p>" for sentence in verdict.sentences(self))
        return said + html_table(self.table())
