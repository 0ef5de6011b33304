"""The families by name, and the way in for covariances that users hand over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura.covariance.diagonal import Diagonal, EqualDiagonal
from mixtura.covariance.eigen import DIAGONAL, ELLIPSOIDAL, Parsimonious
from mixtura.covariance.experts import Experts
from mixtura.covariance.factor_rule import NAMES, Factor, factor_rules
from mixtura.covariance.full import Full
from mixtura.covariance.protocol import Covariances, Family
from mixtura.covariance.spherical import EqualSpherical, Spherical
from mixtura.covariance.tied import Tied

_RULES: tuple[Family, ...] = (
    Full(),
    *ELLIPSOIDAL,
    Tied(),
    Diagonal(),
    *DIAGONAL,
    EqualDiagonal(),
    Spherical(),
    EqualSpherical(),
)

FAMILIES: dict[str, Family] = {rule.name: rule for rule in _RULES}
"""The families by name: ellipsoids, diagonal and spherical ones, most flexible first."""

ALIASES = {
    "VVV": "full",
    "EEE": "tied",
    "VVI": "diag",
    "VII": "spherical",
    "EII": "equal-spherical",
}
"""The parsimonious-model names of the same families (Celeux & Govaert 1995)."""

UNIVARIATE = {"V": "full", "E": "equal-spherical"}
"""Names for one dimension: each component its own variance, or one for all."""

RATIO = ("full", "tied", "diag", "spherical", "equal-spherical", "EEI", "EEV", "VVE")
"""The families that can be held exactly to a ratio of eigenvalues."""

_MATRICES: Callable[[int, int], tuple[int, ...]] = lambda k, d: (k, d, d)  # noqa: E731
_VARIANCES: Callable[[int, int], tuple[int, ...]] = lambda k, d: (k, d)  # noqa: E731

LAYOUTS: dict[str, Callable[[int, int], tuple[int, ...]]] = {
    "full": _MATRICES,
    "tied": lambda k, d: (d, d),
    "diag": _VARIANCES,
    "spherical": lambda k, d: (k,),
    "equal-spherical": lambda k, d: (k,),
    "EEI": lambda k, d: (d,),
    **{rule.name: _VARIANCES for rule in DIAGONAL},
    **{rule.name: _MATRICES for rule in ELLIPSOIDAL},
}
"""The shapes of ``covariances_`` by family, for k components of d features."""


def family(name: Any, d: int | None = None) -> Family:
    """The family of a name or alias; E and V are for d = 1, where they are known.

    Raises
    ------
    InputError
        An unknown name; lists the known ones. E or V in more dimensions.
    """
    found = factor_rules(name)
    if len(found) > 1:
        raise InputError(f"covariance_type={name!r} names {len(found)} ranks: give one")
    if found:
        return found[0]
    text = str(name)
    if text in UNIVARIATE and d in (None, 1):
        return FAMILIES[UNIVARIATE[text]]
    if text in UNIVARIATE:
        raise InputError(
            f"covariance_type={name!r} is for one column, and there are {d}: "
            f"use {'EII, EEI or EEE' if text == 'E' else 'VII, VVI or VVV'}"
        )
    known = FAMILIES.get(ALIASES.get(text, text))
    if known is None:
        raise InputError(
            f"covariance_type={name!r} is unknown: use one of {sorted(FAMILIES)}, "
            f"their other names {sorted(ALIASES)}, E or V for one column, or one of "
            f'{sorted(NAMES)} with a rank, as in "factor:3"'
        )
    return known


def named(name: Any, d: int | None = None, rank: Any = None) -> list[Family]:
    """The families of a name: several where it, or `rank`, names several ranks.

    Raises
    ------
    InputError
        As in `family`; a rank beside one in the name.
    """
    if isinstance(name, Experts):
        return [name]
    if rank is not None and (isinstance(name, Factor) or ":" in str(name)):
        raise InputError(
            f"covariance_type={name!r} has its rank, and rank={rank!r} is another: leave one out"
        )
    found: list[Family] = [*factor_rules(name, rank, d)]
    return found or [family(name, d)]


def structure(array: Any, name: str, k: int, d: int, where: str = "covariances") -> Covariances:
    """Covariances from numbers as scikit-learn lays them out for the family.

    Raises
    ------
    InputError
        Wrong shape, not finite, not symmetric, not positive definite (names the component), or
        not of the family.
    """
    rule = family(name, d)
    if isinstance(rule, Factor):
        return rule.read(array, k, d, where)
    values = _checks.numbers(array, where)
    shape = LAYOUTS[rule.name](k, d)
    if values.shape != shape and not (rule.name == "equal-spherical" and values.shape == ()):
        raise InputError(
            f"{where} have shape {values.shape}; {rule.name} covariances of {k} components "
            f"in {d} dimensions have shape {shape}"
        )
    if not np.isfinite(values).all():
        raise InputError(f"{where} hold NaN or infinite numbers")
    if rule.moments.shape == 0:
        for index, matrix in enumerate(values.reshape(-1, d, d)):
            each = rule.name != "tied"
            _check_matrix(matrix, f"{where} of component {index}" if each else where)
    elif (values <= 0).any():
        raise InputError(f"{where} hold a variance that is not positive: {values.min()}")
    if rule.name == "equal-spherical" and np.ptp(values) > 1e-6 * values.max():
        raise InputError(
            f"{where} are {values.ravel()}, and equal-spherical ones are one number: use "
            'covariance_type="spherical"'
        )
    if isinstance(rule, Parsimonious) and not rule.holds(values):
        raise InputError(
            f"{where} are not of the family {rule.name}: use "
            f'covariance_type="{"diag" if values.ndim == 2 else "full"}", or fit them to data'
        )
    return rule.from_array(values, k, d)


def _check_matrix(matrix: Any, where: str) -> None:
    size = np.abs(matrix).max(initial=0.0)
    if np.abs(matrix - matrix.T).max(initial=0.0) > 1e-8 * size:
        raise InputError(f"{where} should be symmetric, positive-definite: it is not symmetric")
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        lowest = np.linalg.eigvalsh(matrix)[0]
        raise InputError(
            f"{where} should be symmetric, positive-definite: an eigenvalue is {lowest:.3g}"
        ) from None
