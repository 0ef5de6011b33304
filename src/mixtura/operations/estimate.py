"""A number that is known up to an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Estimate:
    """A value with its numerical error.

    Attributes
    ----------
    value : float or array
    error : float or array of the same shape
        Of Monte Carlo the standard error; of quadrature a bound on the error, as found.
    method : str
        "quadrature", "Monte Carlo" or "closed form".

    Examples
    --------
    >>> found = Estimate(0.25, 0.0031, "Monte Carlo")
    >>> found
    0.2500 ± 0.0031 (Monte Carlo)
    >>> float(found)
    0.25
    """

    value: Any
    error: Any
    method: str

    def __float__(self) -> float:
        return float(self.value)

    def __repr__(self) -> str:
        if np.ndim(self.value) or not np.isfinite(self.value):
            return f"{self.value} ± {self.error} ({self.method})"
        if self.error <= 1e-12 * max(1.0, abs(self.value)):
            return f"{self.value:.12g} ({self.method})"
        digits = max(0, 1 - int(np.floor(np.log10(self.error))))
        return f"{self.value:.{digits}f} ± {self.error:.2g} ({self.method})"
