"""A mixture seen through a transformation: a density on bounded columns that integrates to one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.mixture import Mixture
from mixtura.operations.line import Line
from mixtura.operations.transformation import Transformation
from mixtura.operations.truncation import TruncatedMixture
from mixtura.operations.univariate import values


@dataclass(frozen=True, eq=False)
class BoundedMixture:
    """The density ``f(x) = P(z(x)) |dz/dx| / P(z within its range)`` of columns with bounds.

    A power other than 0 maps onto a half-line; the mixture is truncated to it, so that the density
    integrates to one.

    Attributes
    ----------
    mixture : Mixture
        Of the transformed columns z.
    transformation : Transformation

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture
    >>> from mixtura.operations.bounded import BoundedMixture
    >>> from mixtura.operations.transformation import Transformation
    >>> zero, none = np.zeros(1), np.full(1, np.inf)
    >>> logarithm = Transformation(zero, none, power=np.zeros(1), unit=np.ones(1))
    >>> lognormal = BoundedMixture(Mixture([1.0], [[0.0]], [[[1.0]]]), logarithm)
    >>> lognormal.quantile([0.5, 0.975]).round(4)
    array([1.    , 7.0991])
    """

    mixture: Mixture
    transformation: Transformation

    def __post_init__(self) -> None:
        if not self.mixture.plain:
            raise InputError("bounded columns need Gaussian components, and no noise")

    @property
    def n_features(self) -> int:
        """d."""
        return self.mixture.n_features

    @cached_property
    def truncated(self) -> TruncatedMixture:
        """The mixture within the range of the transformation."""
        return TruncatedMixture(self.mixture, *self.transformation.limits)

    # ---- densities

    def logpdf(self, X: Any) -> Array:
        """Log-density log f(x) of each row, (n,), by the observed coordinates; -inf outside."""
        rows = self._rows(X)
        out = np.full(len(rows), -np.inf)
        z = self.transformation.read(rows)
        some = self.transformation.inside(rows) & ~np.isinf(z).any(axis=1)
        if some.any():
            out[some] = self.truncated.logpdf(z[some])
            out[some] += self.transformation.log_jacobian(rows[some])
        return out

    def pdf(self, X: Any) -> Array:
        """Density f(x) of each row, (n,)."""
        return np.exp(self.logpdf(X))

    # ---- one feature

    def cdf(self, X: Any) -> Array:
        """P(x' <= x) of each value, (n,); for one feature."""
        return self.truncated.cdf(self._read(X))

    def sf(self, X: Any) -> Array:
        """P(x' > x) of each value, (n,); for one feature."""
        return self.truncated.sf(self._read(X))

    def quantile(self, probability: Any) -> Array:
        """Where the cdf reaches each probability, in the same shape; for one feature."""
        z = self.truncated.quantile(probability)
        rows = self.transformation.unread(z.reshape(-1, 1))
        lowest, highest = self.transformation.lower[0], self.transformation.upper[0]
        return np.clip(rows[:, 0], lowest, highest).reshape(z.shape)

    def _read(self, X: Any) -> Array:
        """The values, transformed."""
        Line.of(self.mixture)  # refuses several features
        x = values(self.mixture, X)
        inside = np.clip(x, self.transformation.lower[0], self.transformation.upper[0])
        return self.transformation.read(inside.reshape(-1, 1))[:, 0].reshape(x.shape)

    # ---- drawing

    def sample(self, n: int = 1, rng: Any = None) -> Array:
        """Draw rows (n, d)."""
        return self.transformation.unread(self.truncated.sample(n, rng))

    def _rows(self, X: Any) -> Array:
        rows = _checks.rows_like(X, self.n_features, self.mixture.feature_names)
        return np.asarray(rows, dtype=np.float64)
