"""Conformal prediction sets: the classes that rows held out do not rule out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixtura._types import Array, Indices, Mask
from mixtura.inference.conformal import Conformal

_ROUNDING = 1e-12


def least_ambiguous(log_posterior: Array) -> Array:
    """``log P(c | x)``: the score of the sets that are smallest on average (Sadinle et al. 2019).

    Parameters
    ----------
    log_posterior : (m, C)
    """
    return log_posterior


def adaptive(log_posterior: Array) -> Array:
    """Less the probability of all classes that are more probable: sets grow where there is doubt.

    ``-Σ_{c': P(c'|x) > P(c|x)} P(c' | x)``, the score of Romano, Sesia & Candès (2020) at that end
    of their randomisation at which the most probable class is always in the set.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive(np.log([[0.2, 0.5, 0.3]])).round(9).tolist()
    [[-0.8, 0.0, -0.5]]
    """
    posterior = np.exp(log_posterior)
    order = np.argsort(-posterior, axis=1, kind="stable")
    falling = np.take_along_axis(posterior, order, axis=1)
    above = np.cumsum(falling, axis=1) - falling
    for place in range(1, falling.shape[1]):  # classes that tie have the same above them
        tied = falling[:, place] == falling[:, place - 1]
        above[tied, place] = above[tied, place - 1]
    out = np.empty_like(posterior)
    np.put_along_axis(out, order, 0.0 - above, axis=1)
    return out


Score = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class ConformalSets:
    """Sets of classes ``{c : p_c(x) > ε}`` by the scores of rows held out under their own class.

    ``p_c(x) = (1 + #{i : s(x_i, y_i) <= s(x, c)}) / (n + 1)`` over all rows held out, or over those
    of class c alone. For a row exchangeable with those, ``P(y ∈ set) >= 1 - ε``: on average over
    rows held out and new in the first case, and in the second given the class, ``P(y ∈ set | y = c)
    >= 1 - ε`` for each c (Vovk 2012), at the price of larger sets.

    Attributes
    ----------
    score : callable
        ``log P(c | x)`` (m, C) to scores (m, C), low for classes that do not fit.
    held : tuple of one Conformal, or of C

    References
    ----------
    Sadinle, Lei & Wasserman (2019), "Least ambiguous set-valued classifiers with bounded error
    levels", JASA 114, 223-234. Romano, Sesia & Candès (2020), "Classification with valid and
    adaptive coverage", NeurIPS 33. Vovk (2012), "Conditional validity of inductive conformal
    predictors", ACML.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.inference.conformal_sets import ConformalSets, least_ambiguous
    >>> held = np.log(np.linspace(0.55, 0.95, 9)[:, None] * [1, -1] + [0, 1])
    >>> sets = ConformalSets.of(least_ambiguous, held, np.zeros(9, dtype=int))
    >>> sets.members(np.log([[0.9, 0.1], [0.5, 0.5]]), 0.1).tolist()
    [[True, False], [False, False]]
    """

    score: Score
    held: tuple[Conformal, ...]

    @classmethod
    def of(
        cls,
        score: Score,
        log_posterior: Array,
        codes: Indices,
        weights: Array | None = None,
        *,
        by_class: bool = False,
    ) -> ConformalSets:
        """Of rows held out: their posterior (n, C) and classes (n,)."""
        own = score(log_posterior)[np.arange(len(codes)), codes]
        if not by_class:
            return cls(score, (Conformal.of(own, weights),))
        counts = np.ones(len(codes)) if weights is None else weights
        groups = [codes == index for index in range(log_posterior.shape[1])]
        return cls(score, tuple(Conformal.of(own[rows], counts[rows]) for rows in groups))

    def p_values(self, log_posterior: Array) -> Array:
        """p-values (m, C) of the classes."""
        scores = self.score(log_posterior)
        if len(self.held) == 1:
            return self.held[0].p_values(scores)
        columns = zip(self.held, scores.T, strict=True)
        return np.column_stack([held.p_values(column) for held, column in columns])

    def members(self, log_posterior: Array, error_rate: float) -> Mask:
        """Which classes (m, C) are in the set."""
        return np.asarray(self.p_values(log_posterior) > error_rate + _ROUNDING)
