"""Impartial trimming: a share of the rows, those of least density, is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura._types import Array, Mask, Rows

ENTROPY = 0.5 * (1.0 + float(np.log(2.0 * np.pi)))
"""Nats of a standard normal cell."""

_TOLD = ("share", "log_scale", "absent", "level", "fraction")


@dataclass(frozen=True)
class Place:
    """A value among those of all rows.

    Attributes
    ----------
    level : float
    under, weight, total : float
        Weight of the rows below the value, of those at it, and of all.
    """

    level: float
    under: float
    weight: float
    total: float


@dataclass(frozen=True, eq=False)
class Trim:
    """How rows are ranked, and how many are left out.

    Rows are ranked by log-density in the units of the data. A cell that was not observed counts as
    one of average density for its column, so that rows with different gaps can be compared.

    Attributes
    ----------
    share : float
        Of the rows' total weight.
    log_scale : (d,)
        Logarithms of the frame's scales.
    absent : (d,)
        Nats that a cell of average density would have taken from the row.
    """

    share: float
    log_scale: Array
    absent: Array

    @classmethod
    def of(cls, share: float, scale: Array, deviation: Array) -> Trim:
        """For columns of these deviations in frame coordinates."""
        log_scale = np.log(scale)
        return cls(share, log_scale, ENTROPY + np.log(deviation) - log_scale)

    def keys(self, values: Array, observed: Mask) -> Array:
        """What rows are ranked by, (m,), for their log-densities in the frame.

        `observed` (d,) tells what all rows observe, or (m, d) what each does.
        """
        return np.asarray(values + np.where(observed, self.log_scale, -self.absent).sum(axis=-1))

    def ranking(self, values: Array, rows: Rows) -> Array:
        """What rows (m, d) are ranked by for their log-densities in the units of the data."""
        return np.asarray(values - np.isnan(rows) @ self.absent)

    def below(self, total: float) -> float:
        """More than this lies at the cut or under it, of rows that weigh so much in all."""
        return self.share * total * (1.0 + 1e-12)

    def cut(self, at: Place) -> Cut:
        """The ranking cut where more than `below` is reached: exactly the share is left out."""
        fraction = 1.0 - (self.share * at.total - at.under) / at.weight if at.weight > 0 else 1.0
        return Cut(self, at.level, float(np.clip(fraction, 0.0, 1.0)))


@dataclass(frozen=True, eq=False)
class Cut:
    """The ranking cut: rows above the level are kept, those at it by a fraction of their weight."""

    trim: Trim
    level: float
    fraction: float

    def kept(self, keys: Array) -> Array:
        """Share of each row's weight that is kept, (m,)."""
        return np.where(keys > self.level, 1.0, np.where(keys == self.level, self.fraction, 0.0))

    def trims(self, values: Array, rows: Rows) -> Mask:
        """Which rows (m, d) of these log-densities in the units of the data are left out whole."""
        rounding = 1e-9 * (1.0 + abs(self.level))  # rows at the level are kept in part
        return np.asarray(self.trim.ranking(values, rows) < self.level - rounding)

    @property
    def told(self) -> dict[str, Any]:
        """The numbers, to be written beside a model."""
        trim = self.trim
        numbers = (trim.share, trim.log_scale, trim.absent, self.level, self.fraction)
        return dict(zip(_TOLD, numbers, strict=True))

    @classmethod
    def read(cls, told: Any, features: int) -> Cut | None:
        """The cut of such numbers; None where they are none."""
        try:
            numbers = [np.asarray(told[name], dtype=np.float64) for name in _TOLD]
        except (KeyError, TypeError, ValueError, IndexError):
            return None
        shapes = ((), (features,), (features,), (), ())
        sound = (
            number.shape == shape and np.isfinite(number).all()
            for number, shape in zip(numbers, shapes, strict=True)
        )
        if not all(sound):
            return None
        share, log_scale, absent, level, fraction = numbers
        return cls(Trim(float(share), log_scale, absent), float(level), float(fraction))

    @classmethod
    def told_by(cls, metadata: Mapping[str, Any], features: int) -> Cut | None:
        """Where a fit trimmed, by what stands beside its model, which may be anybody's."""
        outliers = metadata.get("outliers")
        told = outliers.get("trim") if isinstance(outliers, dict) else None
        return None if told is None else cls.read(told, features)
