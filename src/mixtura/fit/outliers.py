"""What a fit does about outliers: heavy tails, a uniform noise component, trimming."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import Any

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.block import Block
from mixtura.frame import Frame
from mixtura.law import StudentT
from mixtura.mixture import Mixture
from mixtura.noise import Noise
from mixtura.source import Source
from mixtura.trimming import Trim

START_DOF = 20.0
"""Degrees of freedom that a climb starts from where they are estimated."""

START_SHARE = 0.05
"""Share of noise that a climb starts from unless another is given."""

_FEW = 10_000
"""Rows that the quartiles are taken from."""

_QUARTILES_APART = 1.349
"""How far the quartiles of a standard normal are apart."""

_ALIKE = 1e-12
"""Variances along principal components, relative to the largest, below which they say nothing."""


@dataclass(frozen=True)
class Outliers:
    """The outliers' part of a problem.

    Attributes
    ----------
    dof : None, "common", "own" or float
        Student's t components with one ν, a ν each, or a given one; None for Gaussian components.
    noise : float
        Share of uniform noise to start from; 0 for none.
    trim : float
        Share of the rows, those of least density, that is left out.
    region : Noise or None
        Where noise is, once the data are known.
    """

    dof: str | float | None = None
    noise: float = 0.0
    trim: float = 0.0
    region: Noise | None = None

    @property
    def none(self) -> bool:
        """Whether this is an ordinary fit."""
        return self.dof is None and self.noise == 0.0 and self.trim == 0.0

    def n_parameters(self, k: int) -> int:
        """What the mixture gains: degrees of freedom, and two for noise, its share and volume."""
        dof = {"common": 1, "own": k}.get(self.dof, 0) if isinstance(self.dof, str) else 0
        return dof + (2 if self.noise else 0)

    def fitted_out(self, mixture: Mixture) -> Mixture:
        """The mixture with a law and noise to start from, where it has none yet."""
        law, noise = mixture.law, mixture.noise
        if self.dof is not None and not isinstance(law, StudentT):
            known = not isinstance(self.dof, str)
            dof = np.full(mixture.n_components, START_DOF if known is False else self.dof)
            law = StudentT(dof.astype(float), "fixed" if known else str(self.dof))
        if self.noise and self.region is not None and noise is None:
            noise = self.region.sharing(self.noise)
        return mixture.changed(law=law, noise=noise)

    def over(self, source: Source, frame: Frame) -> Outliers:
        """The same over the rows of a source."""
        return replace(self, region=region(source, frame)) if self.noise else self

    def trimmed(self, frame: Frame, deviation: Array) -> Trim | None:
        """How rows are ranked, for columns of these deviations in the data's units."""
        if not self.trim:
            return None
        spread = deviation * frame.scale
        return Trim.of(self.trim, frame.scale, np.where(spread > 0, spread, 1.0))


NONE = Outliers()


def asked(distribution: Any, dof: Any, noise: Any, trim: Any) -> Outliers:
    """What a user's words say of outliers.

    Raises
    ------
    InputError
        An unknown distribution, degrees of freedom that are neither a word nor positive, shares
        outside their range; says which and what to use.
    """
    if distribution not in ("gaussian", "t"):
        raise InputError(f'distribution={distribution!r}: use "gaussian" or "t"')
    if not isinstance(dof, Real) or isinstance(dof, bool):
        if dof not in ("common", "own"):
            raise InputError(f'dof={dof!r}: use "common", "own" or a number above 0')
    elif not 0.0 < float(dof) < np.inf:
        raise InputError(f"dof={dof!r} must be finite and above 0: 3 for heavy tails, 30 for light")
    if isinstance(noise, (bool, np.bool_)):
        noise = START_SHARE if noise else 0.0
    share: Any
    for name, share in (("noise", noise), ("trim", trim)):
        if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= float(share) < 1:
            raise InputError(f"{name}={share!r} must be a share of the rows: at least 0, below 1")
    law = (dof if isinstance(dof, str) else float(dof)) if distribution == "t" else None
    return Outliers(law, float(noise), float(trim))


def bulk(source: Source, deviation: Array) -> tuple[Array, Array]:
    """Middles and deviations of the columns by quartiles, which outliers do not move, (d,) each.

    Of some of the rows where there are many; a deviation that quartiles do not see, or see larger,
    stays as it is.
    """
    block = source.take(
        np.unique(np.linspace(0, source.n - 1, min(source.n, _FEW)).astype(np.intp))
    )
    middle, spread = np.zeros(source.d), np.array(deviation)
    for index, column in enumerate(np.asarray(block.rows, dtype=np.float64).T):
        low, middle[index], high = _quartiles(column, block.weight())
        if high > low:
            spread[index] = min(spread[index], (high - low) / _QUARTILES_APART)
    return middle, spread


def _quartiles(column: Array, weights: Array) -> Array:
    """Weighted quartiles and median of the observed cells; zeros where there are none."""
    seen = ~np.isnan(column) & (weights > 0)
    order = np.argsort(column[seen], kind="stable")
    running = np.cumsum(weights[seen][order])
    if not len(running):
        return np.zeros(3)
    places = np.searchsorted(running, np.array([0.25, 0.5, 0.75]) * running[-1] * (1.0 - 1e-12))
    return np.asarray(column[seen][order][places])


def region(source: Source, frame: Frame) -> Noise:
    """The smaller of the columns' box and that of the principal component scores.

    The latter, of the columns in the data's units, only for complete rows (Fraley & Raftery 1998).
    """
    spans = source.map(partial(_span, frame=frame))
    low, high = np.min([one[0] for one in spans], axis=0), np.max([one[1] for one in spans], axis=0)
    flat = ~(high > low)
    box = Noise(0.0, np.where(flat, low - 0.5, low), np.where(flat, low + 0.5, high))
    if flat.any() or len(low) == 1 or not all(source.map(lambda block: block.complete)):
        return box
    rotated = _rotated(source, frame, box)
    everything = np.ones(len(low), dtype=bool)
    smaller = rotated is not None and rotated.log_density(everything) > box.log_density(everything)
    return rotated if smaller and rotated is not None else box


def _rotated(source: Source, frame: Frame, box: Noise) -> Noise | None:
    """The box of the principal component scores; None for columns that are (nearly) collinear."""
    sums = source.map(partial(_sums, frame=frame))
    total, first, second = (sum(one[i] for one in sums) for i in range(3))
    mean = first / total
    units = frame.scale / frame.scale.min()  # z / units is in the data's units, up to a power of 2
    covariance = (second / total - np.outer(mean, mean)) / units[:, None] / units
    values, axes = np.linalg.eigh(covariance)
    if values[0] <= _ALIKE * values[-1]:
        return None
    spans = source.map(partial(_span, frame=frame, units=units, axes=axes))
    low, high = np.min([one[0] for one in spans], axis=0), np.max([one[1] for one in spans], axis=0)
    corner, edges = units * (axes @ low), units[:, None] * axes * (high - low)
    return replace(box, corner=corner, edges=edges)


def _rows(block: Block, frame: Frame) -> Array:
    return frame.read(block.rows if block.weights is None else block.rows[block.weights > 0])


def _span(
    block: Block, frame: Frame, units: Array | None = None, axes: Array | None = None
) -> tuple[Array, Array]:
    z = _rows(block, frame)
    if units is not None and axes is not None:
        z = (z / units) @ axes
    return np.fmin.reduce(z, axis=0, initial=np.inf), np.fmax.reduce(z, axis=0, initial=-np.inf)


def _sums(block: Block, frame: Frame) -> tuple[float, Array, Array]:
    z, weights = frame.read(block.rows), block.weight()
    weighted = z * weights[:, None]
    return float(weights.sum()), weighted.sum(axis=0), z.T @ weighted
