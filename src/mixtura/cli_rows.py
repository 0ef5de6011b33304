"""Rows and the components they belong to, as the command line tells and writes them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtura._types import Array, Indices, Mask
from mixtura.mixture import Mixture
from mixtura.trimming import Cut


@dataclass(frozen=True, eq=False)
class Assignment:
    """Rows by a mixture, and by the cut of a fit that trimmed rows.

    Attributes
    ----------
    responsibilities : (n, k)
    noise : (n,) or None
        Probability that the row is noise, where the mixture has noise.
    log_density : (n,)
    trimmed : (n,) or None
        Rows that the fit would have left out, where it trimmed.
    """

    responsibilities: Array
    noise: Array | None
    log_density: Array
    trimmed: Mask | None

    @classmethod
    def of(cls, mixture: Mixture, rows: Array, cut: Cut | None = None) -> Assignment:
        """What the mixture says of rows (n, d)."""
        log_density = mixture.logpdf(rows)
        noise = None if mixture.noise is None else mixture.outlier_probability(rows)
        trimmed = None if cut is None else cut.trims(log_density, rows)
        return cls(mixture.responsibilities(rows), noise, log_density, trimmed)

    @cached_property
    def kept(self) -> Mask:
        """Which rows are not trimmed."""
        everything = np.ones(len(self.log_density), dtype=bool)
        return everything if self.trimmed is None else ~self.trimmed

    @cached_property
    def largest(self) -> Array:
        """The largest of each row's responsibilities, that of the noise among them."""
        largest = self.responsibilities.max(axis=1)
        return largest if self.noise is None else np.maximum(largest, self.noise)

    @cached_property
    def labels(self) -> Indices:
        """The most probable component; -1 for noise and for what is trimmed."""
        labels = self.responsibilities.argmax(axis=1)
        if self.noise is not None:
            labels[self.noise > self.responsibilities.max(axis=1)] = -1
        labels[~self.kept] = -1
        return labels

    @property
    def sizes(self) -> Indices:
        """How many rows each component has, (k,)."""
        return np.bincount(self.labels[self.labels >= 0], minlength=self.responsibilities.shape[1])

    @property
    def aside(self) -> dict[str, int]:
        """How many rows are noise, and how many trimmed, where a row can be that."""
        lone = int((self.kept & (self.labels < 0)).sum())
        counts = {} if self.noise is None else {"noise_rows": lone}
        if self.trimmed is not None:
            counts["trimmed_rows"] = int(self.trimmed.sum())
        return counts

    def columns(self, identifier: str | None, ids: Any) -> dict[str, Any]:
        """Columns by name: row, label, responsibilities, uncertainty and log-density."""
        columns: dict[str, Any] = {
            "label": self.labels,
            **{f"responsibility_{k}": one for k, one in enumerate(self.responsibilities.T)},
            **({} if self.noise is None else {"responsibility_noise": self.noise}),
            "uncertainty": 1.0 - self.largest,
            "log_density": self.log_density,
        }
        if identifier is None:
            return {"row": np.arange(len(self.log_density)), **columns}
        return {"id" if identifier in columns else identifier: ids, **columns}
