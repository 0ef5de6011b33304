"""Rubin's rules: one answer from analyses of several completed tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array


@dataclass(frozen=True, eq=False)
class Pooled:
    """An estimate over m completed tables, or an array of them.

    Attributes
    ----------
    estimate : the mean of the estimates
    within : mean of their variances, what there would be without gaps
    between : variance of the estimates, what the gaps add
    variance : ``within + (1 + 1/m) between``
    dof : degrees of freedom of the t distribution that goes with it
    missing_information : the share of information that the gaps cost
    """

    estimate: Array
    within: Array
    between: Array
    variance: Array
    dof: Array
    missing_information: Array

    @property
    def standard_error(self) -> Array:
        """Square root of the variance."""
        return np.sqrt(self.variance)

    def confidence_interval(self, level: float = 0.95) -> tuple[Array, Array]:
        """Lower and upper end, by Student's t with `dof` degrees of freedom."""
        if not 0 < level < 1:
            raise InputError(f"level={level!r}: a probability between 0 and 1 is needed")
        half = t.ppf(0.5 + 0.5 * level, self.dof) * self.standard_error
        return self.estimate - half, self.estimate + half


def pool(estimates: Any, variances: Any, dof: Any = np.inf) -> Pooled:
    """Pool the same estimate from m completed tables by Rubin's rules.

    ``T = U + (1 + 1/m) B`` with the mean U of the variances and the variance B of the estimates;
    degrees of freedom ``1/ν = 1/ν_m + 1/ν_o`` with ``ν_m = (m-1)/λ²``, ``λ = (1 + 1/m) B / T`` and
    ``ν_o = (1-λ) ν (ν+1)/(ν+3)`` for ν that the analysis would have without gaps (Barnard & Rubin
    1999). The share of missing information is ``(r + 2/(ν+3)) / (r+1)`` with
    ``r = λ/(1-λ)``.

    Parameters
    ----------
    estimates, variances : (m, ...) array_like
        Of each table: a number, or an array of them; squared standard errors.
    dof : array_like, default=inf
        Degrees of freedom of the analysis of a table without gaps: n - 1 for a mean.

    Returns
    -------
    Pooled

    References
    ----------
    Rubin (1987), "Multiple imputation for nonresponse in surveys"; Barnard & Rubin (1999),
    "Small-sample degrees of freedom with multiple imputation", Biometrika 86, 948-955.

    Examples
    --------
    >>> from mixtura.inference.pooling import pool
    >>> pooled = pool([4.8, 5.2, 5.0], [0.04, 0.05, 0.045], dof=49)
    >>> round(float(pooled.estimate), 3), round(float(pooled.standard_error), 3)
    (5.0, 0.314)
    """
    estimates = _checks.numbers(estimates, "estimates")
    variances = _checks.numbers(variances, "variances")
    whole = _checks.numbers(dof, "dof")
    _check(estimates, variances, whole)
    m = len(estimates)
    within, between = variances.mean(axis=0), estimates.var(axis=0, ddof=1)
    extra = (1.0 + 1.0 / m) * between
    total = within + extra
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(total > 0, extra / total, 0.0)
        repeated = (m - 1.0) / part**2
        observed = (1.0 - part) * np.where(
            np.isinf(whole), np.inf, whole * (whole + 1.0) / (whole + 3.0)
        )
        found = 1.0 / (1.0 / repeated + np.where(part < 1.0, 1.0 / observed, 0.0))
        missing = part + (1.0 - part) * 2.0 / (found + 3.0)
    missing = np.where(part > 0, missing, 0.0)
    return Pooled(estimates.mean(axis=0), within, between, total, found, missing)


def _check(estimates: Array, variances: Array, dof: Array) -> None:
    if estimates.ndim == 0 or len(estimates) < 2 or estimates.shape != variances.shape:
        raise InputError(
            f"estimates of shape {estimates.shape} and variances of shape {variances.shape}: both "
            "need one entry a table, of two tables or more"
        )
    if not (
        np.isfinite(estimates).all() and np.isfinite(variances).all() and (variances >= 0).all()
    ):
        raise InputError("estimates must be finite, and variances finite and not negative")
    if not (dof > 0).all():
        raise InputError(f"dof={dof}: degrees of freedom above 0 are needed")
