"""A mixture seen through a transformation: a density on bounded columns that integrates to one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import ndtri

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array, Mask
from mixtura.block import Block
from mixtura.conditioning import shares
from mixtura.mixture import Mixture
from mixtura.operations.box import box_probability
from mixtura.operations.line import Line
from mixtura.operations.transformation import Transformation
from mixtura.operations.univariate import probabilities, solved, values


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
    def log_mass(self) -> float:
        """log of the probability that the mixture gives to the range of the transformation."""
        low, high = self.transformation.limits
        tight = np.isfinite(low) | np.isfinite(high)
        if not tight.any():
            return 0.0
        inner = self.mixture.marginal(np.flatnonzero(tight))
        if inner.n_features == 1:
            line = Line.of(inner)
            ends = line.read(np.array([low[tight][0], high[tight][0]]))
            return float(np.log1p(-(line.lower(ends[0]) + line.upper(ends[1]))))
        box = inner.frame.read(np.stack([low[tight], high[tight]]))
        held = [
            box_probability(mean[None], covariance, *box)[0]
            for mean, covariance in zip(inner.location, inner.structure.dense(), strict=True)
        ]
        return float(np.log(inner.weights @ np.array(held)))

    # ---- densities

    def logpdf(self, X: Any) -> Array:
        """Log-density log f(x) of each row, (n,), by the observed coordinates; -inf outside."""
        rows = self._rows(X)
        out = np.full(len(rows), -np.inf)
        z = self.transformation.read(rows)
        some = self.transformation.inside(rows) & ~np.isinf(z).any(axis=1)
        if some.any():
            out[some] = self.mixture.logpdf(z[some]) + self._log_unseen(z[some]) - self.log_mass
            out[some] += self.transformation.log_jacobian(rows[some])
        return out

    def pdf(self, X: Any) -> Array:
        """Density f(x) of each row, (n,)."""
        return np.exp(self.logpdf(X))

    def _log_unseen(self, z: Array) -> Array:
        """log P(what was not observed is within its range | what was), (n,)."""
        low, high = self.transformation.limits
        tight = np.isfinite(low) | np.isfinite(high)
        out = np.zeros(len(z))
        if not (tight & np.isnan(z)).any():
            return out
        for pattern in Block(z).patterns:
            if (tight & ~pattern.observed).any():
                out[pattern.rows] = self._log_inside(z[pattern.rows], pattern.observed, tight)
        return out

    def _log_inside(self, z: Array, observed: Mask, tight: Mask) -> Array:
        mixture, frame = self.mixture, self.mixture.frame
        low, high = (frame.read(end[None])[0] for end in self.transformation.limits)
        seen = mixture.observed(observed)
        share = shares(mixture.joint(z, observed))
        missing = np.flatnonzero(~observed)
        asked = tight[missing]
        held = np.zeros(len(z))
        for k in range(mixture.n_components):
            off = frame.read(z)[:, observed] - mixture.location[k, observed]
            centre = mixture.location[k, missing] + off @ seen.coefficients[k].T
            covariance = seen.residual[k][np.ix_(asked, asked)]
            box = low[missing][asked], high[missing][asked]
            held += share[:, k] * box_probability(centre[:, asked], covariance, *box)
        return np.asarray(np.log(held))

    # ---- one feature

    def cdf(self, X: Any) -> Array:
        """P(x' <= x) of each value, (n,); for one feature."""
        line, z = self._read(X)
        low, _ = self._ends(line)
        below, above = line.lower(z), line.upper(z)
        mass = np.where(below < 0.5, below - line.lower(low), line.upper(low) - above)
        return np.asarray(np.clip(mass / np.exp(self.log_mass), 0.0, 1.0))

    def sf(self, X: Any) -> Array:
        """P(x' > x) of each value, (n,); for one feature."""
        line, z = self._read(X)
        _, high = self._ends(line)
        below, above = line.lower(z), line.upper(z)
        mass = np.where(above < 0.5, above - line.upper(high), line.lower(high) - below)
        return np.asarray(np.clip(mass / np.exp(self.log_mass), 0.0, 1.0))

    def quantile(self, probability: Any) -> Array:
        """Where the cdf reaches each probability, in the same shape; for one feature."""
        line, p = Line.of(self.mixture), probabilities(probability)
        low, high = self._ends(line)
        mass = float(np.exp(self.log_mass))
        below = np.asarray(line.lower(low)) + p * mass
        above = np.asarray(line.upper(high)) + (1.0 - p) * mass
        score = np.where(below < 0.5, ndtri(np.minimum(below, 1.0)), -ndtri(np.minimum(above, 1.0)))
        z = np.clip(solved(line, score), low, high)
        rows = self.transformation.unread(line.unread(z).reshape(-1, 1))
        lowest, highest = self.transformation.lower[0], self.transformation.upper[0]
        return np.clip(rows[:, 0], lowest, highest).reshape(p.shape)

    def _read(self, X: Any) -> tuple[Line, Array]:
        """The mixture as a line, and the values in its coordinates."""
        line, x = Line.of(self.mixture), values(self.mixture, X)
        inside = np.clip(x, self.transformation.lower[0], self.transformation.upper[0])
        z = self.transformation.read(inside.reshape(-1, 1))[:, 0].reshape(x.shape)
        return line, line.read(z)

    def _ends(self, line: Line) -> tuple[Array, Array]:
        low, high = self.transformation.limits
        return line.read(low[0]), line.read(high[0])

    # ---- drawing

    def sample(self, n: int = 1, rng: Any = None) -> Array:
        """Draw rows (n, d); what falls outside the range of the transformation is drawn again."""
        if n < 1:
            raise InputError(f"n={n}: at least one row is needed")
        rng = np.random.default_rng(rng)
        low, high = self.transformation.limits
        kept: list[Array] = []
        while (lack := n - sum(map(len, kept))) > 0:
            z = self.mixture.sample(int(lack * 1.1) + 8, rng)
            kept.append(z[((z > low) & (z < high)).all(axis=1)])
        return self.transformation.unread(np.concatenate(kept)[:n])

    def _rows(self, X: Any) -> Array:
        rows = _checks.rows_like(X, self.n_features, self.mixture.feature_names)
        return np.asarray(rows, dtype=np.float64)
