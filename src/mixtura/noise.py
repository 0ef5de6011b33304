"""A uniform component for rows that belong to none: density one over the volume of the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixtura._types import Array, Mask
from mixtura.frame import Frame


@dataclass(frozen=True, eq=False)
class Noise:
    """A share of rows spread evenly over a region, in frame coordinates.

    ``P(z) = (1 - share) Σ_k π_k p(z | k) + share / V``. The density is the same everywhere, also
    outside the region (Banfield & Raftery 1993). The region is the box of the columns' ranges, or
    for complete rows a rotated box of smaller volume; rows with gaps have the density of the box's
    observed sides.

    Attributes
    ----------
    share : float
        Weight of the noise in the mixture.
    low, high : (d,)
        The box.
    corner : (d,) or None
    edges : (d, d) or None
        The rotated box ``corner + edges @ t`` for t in the unit cube, where it is the smaller.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> noise = Noise(0.1, np.array([-50.0]), np.array([50.0]))
    >>> mixture = Mixture([1.0], [[0.0]], [[[1.0]]], noise=noise)
    >>> mixture.outlier_probability([[0.0], [3.0], [9.0]]).round(3).tolist()
    [0.003, 0.2, 1.0]
    """

    share: float
    low: Array
    high: Array
    corner: Array | None = None
    edges: Array | None = None

    def log_density(self, observed: Mask) -> Array:
        """Log-density (...) of rows with these coordinates (..., d) observed."""
        box = -np.where(observed, np.log(self.high - self.low), 0.0).sum(axis=-1)
        if self.edges is None:
            return np.asarray(box)
        return np.where(observed.all(axis=-1), -np.linalg.slogdet(self.edges)[1], box)

    def sharing(self, share: float) -> Noise:
        """The same region with another share."""
        return replace(self, share=float(share))

    def marginal(self, dims: Any) -> Noise:
        """Over some coordinates: that side of the box."""
        return Noise(self.share, self.low[dims], self.high[dims])

    def reframed(self, old: Frame, new: Frame) -> Noise:
        """The same region in another frame."""
        low, high = (new.read(old.unread(bound)) for bound in (self.low, self.high))
        if self.corner is None or self.edges is None:
            return Noise(self.share, low, high)
        edges = self.edges * (new.scale / old.scale)[:, None]
        return Noise(self.share, low, high, new.read(old.unread(self.corner)), edges)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Rows (n, d) spread evenly over the region."""
        t = rng.random((n, len(self.low)))
        if self.corner is None or self.edges is None:
            return np.asarray(self.low + t * (self.high - self.low))
        return np.asarray(self.corner + t @ self.edges.T)

    def mean(self) -> Array:
        """The middle of the region, (d,)."""
        if self.corner is None or self.edges is None:
            return np.asarray((self.low + self.high) / 2)
        return np.asarray(self.corner + self.edges.sum(axis=1) / 2)

    def covariance(self) -> Array:
        """(d, d): a twelfth of the squared sides."""
        edges = np.diag(self.high - self.low) if self.edges is None else self.edges
        return np.asarray(edges @ edges.T / 12.0)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Noise):
            return NotImplemented
        same = (np.array_equal(a, b) for a, b in zip(self._parts(), other._parts(), strict=True))
        return self.share == other.share and all(same)

    __hash__ = None  # type: ignore[assignment]

    def _parts(self) -> tuple[Any, ...]:
        rotated = (None, None) if self.edges is None else (self.corner, self.edges)
        return (self.low, self.high, *rotated)
