"""The families by name, and the way in for covariances that users hand over."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura.covariance.diagonal import Diagonal
from mixtura.covariance.factor_rule import NAMES, Factor, factor_rules
from mixtura.covariance.full import Full
from mixtura.covariance.protocol import Covariances, Family
from mixtura.covariance.spherical import EqualSpherical, Spherical
from mixtura.covariance.tied import Tied

FAMILIES: dict[str, Family] = {
    family.name: family for family in (Full(), Tied(), Diagonal(), Spherical(), EqualSpherical())
}
"""The families by name, most flexible first."""

ALIASES = {
    "VVV": "full",
    "EEE": "tied",
    "VVI": "diag",
    "VII": "spherical",
    "EII": "equal-spherical",
}
"""The parsimonious-model names of the same families (Celeux & Govaert 1995)."""

_LAYOUTS = {
    "full": lambda k, d: (k, d, d),
    "tied": lambda k, d: (d, d),
    "diag": lambda k, d: (k, d),
    "spherical": lambda k, d: (k,),
    "equal-spherical": lambda k, d: (k,),
}


def family(name: Any) -> Family:
    """The family of a name or alias.

    Raises
    ------
    InputError
        An unknown name; lists the known ones.
    """
    found = factor_rules(name)
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"covariance_type={name!r} names {len(found)} ranks: give one")
    known = FAMILIES.get(ALIASES.get(str(name), str(name)))
    if known is None:
        raise InputError(
            f"covariance_type={name!r} is unknown: use one of {sorted(FAMILIES)} "
            f"or their other names {sorted(ALIASES)}, or {', '.join(sorted(NAMES))} with a rank, "
            'as in "factor:3"'
        )
    return known


def named(name: Any) -> list[Family]:
    """The families of a name: several where it names several ranks."""
    found: list[Family] = [*factor_rules(name)]
    return found or [family(name)]


def structure(array: Any, name: str, k: int, d: int, where: str = "covariances") -> Covariances:
    """Covariances from numbers as scikit-learn lays them out for the family.

    Raises
    ------
    InputError
        Wrong shape, not finite, not symmetric, not positive definite (names the component).
    """
    rule = family(name)
    if isinstance(rule, Factor):
        return rule.read(array, k, d, where)
    values = _checks.numbers(array, where)
    shape = _LAYOUTS[rule.name](k, d)
    if values.shape != shape and not (rule.name == "equal-spherical" and values.shape == ()):
        raise InputError(
            f"{where} have shape {values.shape}; {rule.name} covariances of {k} components "
            f"in {d} dimensions have shape {shape}"
        )
    if not np.isfinite(values).all():
        raise InputError(f"{where} hold NaN or infinite numbers")
    if rule.moments.shape == 0:
        for index, matrix in enumerate(values.reshape(-1, d, d)):
            _check_matrix(matrix, f"{where} of component {index}" if rule.name == "full" else where)
    elif (values <= 0).any():
        raise InputError(f"{where} hold a variance that is not positive: {values.min()}")
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
