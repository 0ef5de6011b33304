"""Where a density is high: grids that miss no component, and highest-density regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixtura._types import Array
from mixtura.plot.ellipse import deviations, radii

if TYPE_CHECKING:
    from mixtura.mixture import Mixture

DRAWS = 20_000
REACH = 0.25  # how far beyond the data a component may stretch the view, in spans of the data


def spans(points: Array, mixture: Mixture, probability: float = 0.95) -> Array:
    """Lower and upper limit per feature (d, 2): all points, all centres, most of the components.

    A component far wider than the data may stretch the view by a quarter on each side.
    """
    reach = radii(mixture, probability)[:, None] * deviations(mixture)
    low, high = (mixture.means - reach).min(axis=0), (mixture.means + reach).max(axis=0)
    seen = np.vstack([points, mixture.means])
    first, last = np.nanmin(seen, axis=0), np.nanmax(seen, axis=0)
    if len(points):
        width = last - first
        first, last = (
            np.minimum(first, np.maximum(low, first - REACH * width)),
            np.maximum(last, np.minimum(high, last + REACH * width)),
        )
    else:
        first, last = low, high
    width = last - first
    pad = np.where(width > 0, 0.04 * width, np.maximum(0.05 * np.abs(first), 1e-12))
    return np.column_stack([first - pad, last + pad])


def grid_lines(span: Array, means: Array, spread: Array, resolution: int) -> Array:
    """Increasing coordinates over a span, denser around each mean: narrow peaks keep their shape.

    `means` and `spread` (k,), standard deviations, belong to one feature.
    """
    around = np.linspace(-4.0, 4.0, 33)
    fine = (means[:, None] + spread[:, None] * around).ravel()
    even = np.linspace(span[0], span[1], resolution)
    lines = np.unique(np.concatenate([even, fine[(fine > span[0]) & (fine < span[1])]]))
    gap = (span[1] - span[0]) * 1e-6
    return lines[np.concatenate([[True], np.diff(lines) > gap])]


def thresholds(mixture: Mixture, probabilities: Sequence[float]) -> Array:
    """Log-density above which the highest-density region of each probability lies.

    The (1 - p)-quantile of the log-density over draws of the mixture: Hyndman (1996),
    "Computing and graphing highest density regions", The American Statistician 50, section 3.
    """
    draws = mixture.sample(DRAWS, np.random.default_rng(0))
    return np.quantile(mixture.logpdf(draws), 1.0 - np.asarray(probabilities, dtype=float))


@dataclass(frozen=True)
class Landscape:
    """A bivariate log-density on a grid, with the thresholds of its regions.

    Attributes
    ----------
    x, y : coordinates of the grid, of lengths a and b
    log_density : (b, a)
    probabilities, thresholds : of the highest-density regions, same length
    """

    x: Array
    y: Array
    log_density: Array
    probabilities: tuple[float, ...]
    thresholds: Array

    @property
    def cut(self) -> bool:
        """Whether a region goes on beyond the grid."""
        ends = [self.log_density[[0, -1]].max(), self.log_density[:, [0, -1]].max()]
        return bool(max(ends) > self.thresholds.min())

    @classmethod
    def of(
        cls,
        mixture: Mixture,
        span: Array,
        probabilities: Sequence[float],
        resolution: int = 160,
    ) -> Landscape:
        """Evaluate a mixture of two features over a span (2, 2)."""
        spread = deviations(mixture)
        x, y = (grid_lines(span[j], mixture.means[:, j], spread[:, j], resolution) for j in (0, 1))
        grid = np.column_stack([np.tile(x, len(y)), np.repeat(y, len(x))])
        log_density = mixture.logpdf(grid).reshape(len(y), len(x))
        kept = tuple(sorted(probabilities))
        return cls(x, y, log_density, kept, thresholds(mixture, kept))
