"""What a comparison minimises, and how large a difference must be to mean something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixtura._errors import InputError
from mixtura.fit import slope

if TYPE_CHECKING:
    from mixtura.fit.selection import Candidate

Formula = Callable[["Candidate"], float]
"""A candidate's score from its likelihood, parameters and rows; smaller is better."""


@dataclass(frozen=True)
class Criterion:
    """A rule that scores candidates; smaller is better.

    Attributes
    ----------
    name : str
    title : str
        As a reader knows it.
    scores : callable
        Candidates -> a score each.
    evidence : callable or None
        A difference of scores -> words for how firmly it decides.
    remarks : callable
        Candidates -> sentences about how the scores came to be.
    held_out : bool
        Whether rows are held out, so that differences have standard errors.
    by_rows : bool
        Whether the number of rows enters, for which weights must count repetitions.
    sizes : int
        Numbers of parameters that the candidates must have between them.
    """

    name: str
    title: str
    scores: Callable[[Sequence[Candidate]], Sequence[float]]
    evidence: Callable[[float], str] | None = None
    remarks: Callable[[Sequence[Candidate]], list[str]] = lambda candidates: []
    held_out: bool = False
    by_rows: bool = False
    sizes: int = 1


def kass_raftery(difference: float) -> str:
    """Words for a difference of BIC, an approximation of twice the log Bayes factor.

    Kass & Raftery (1995), section 3.2.

    Examples
    --------
    >>> [kass_raftery(difference) for difference in (1.0, 5.0, 7.0, 20.0)]
    ['barely any evidence', 'positive evidence', 'strong evidence', 'very strong evidence']
    """
    kinds = ("barely any", "positive", "strong", "very strong")
    return f"{kinds[int(np.searchsorted((2.0, 6.0, 10.0), difference, 'right'))]} evidence"


def burnham_anderson(difference: float) -> str:
    """Words for a difference of AIC: what support the model behind still has.

    Burnham & Anderson (2002), section 2.6.
    """
    kinds = ("about as much", "less", "considerably less", "essentially no")
    place = int(np.searchsorted((2.0, 4.0, 10.0), difference, "right"))
    return f"which leaves that one {kinds[place]} support"


def _each(formula: Formula) -> Callable[[Sequence[Candidate]], list[float]]:
    return lambda candidates: [formula(candidate) for candidate in candidates]


def _sclove(c: Candidate) -> float:
    return -2.0 * c.log_likelihood + c.n_parameters * float(np.log((c.n_rows + 2.0) / 24.0))


def _bozdogan(c: Candidate) -> float:
    return c.bic + c.n_parameters


def _hannan_quinn(c: Candidate) -> float:
    return -2.0 * c.log_likelihood + 2.0 * c.n_parameters * float(np.log(np.log(c.n_rows)))


_RULES = (
    Criterion("bic", "BIC", _each(lambda c: c.bic), kass_raftery, by_rows=True),
    Criterion("aic", "AIC", _each(lambda c: c.aic), burnham_anderson),
    Criterion("icl", "ICL", _each(lambda c: c.icl), kass_raftery, by_rows=True),
    Criterion(
        "cv",
        "cross-validated log-likelihood",
        _each(lambda c: -2.0 * c.cv * c.n_rows),
        held_out=True,
    ),
    Criterion("sabic", "sample-size adjusted BIC", _each(_sclove), by_rows=True),
    Criterion("caic", "consistent AIC", _each(_bozdogan), kass_raftery, by_rows=True),
    Criterion("hqc", "Hannan–Quinn criterion", _each(_hannan_quinn), by_rows=True),
    Criterion("slope", "slope heuristic", slope.scores, remarks=slope.remarks, sizes=slope.SIZES),
)

CRITERIA: dict[str, Criterion] = {rule.name: rule for rule in _RULES}
"""The criteria by name.

"bic" (Schwarz 1978), "aic" (Akaike 1974), "icl" (Biernacki et al. 2000), "cv" (Smyth 2000), "sabic"
(Sclove 1987), "caic" (Bozdogan 1987), "hqc" (Hannan & Quinn 1979), "slope" (Birgé & Massart 2007).
"""


def criterion(asked: Any) -> Criterion:
    """The criterion of a name, or of a function that scores a candidate.

    Raises
    ------
    InputError
        An unknown name; lists the known ones.
    """
    if isinstance(asked, str) and asked in CRITERIA:
        return CRITERIA[asked]
    if not callable(asked):
        raise InputError(
            f"criterion={asked!r} is unknown: use one of {tuple(CRITERIA)}, or a function that "
            "takes a Candidate and gives a number, smaller for better"
        )
    name = str(getattr(asked, "__name__", type(asked).__name__))

    def scored(candidates: Sequence[Candidate]) -> list[float]:
        return [_number(asked(candidate), name) for candidate in candidates]

    return Criterion(name, name, scored)


def title(name: str) -> str:
    """A criterion's name as a reader knows it."""
    known = CRITERIA.get(name)
    return name if known is None else known.title


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if np.isnan(number):
        raise InputError(f"the criterion {name} gave {value!r}: a number is needed")
    return number
