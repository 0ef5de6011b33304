"""The parsimonious families whose components share volume, shape or orientation in part."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mixtura import kernels
from mixtura._types import Array
from mixtura.covariance.diagonal import DiagonalCovariances
from mixtura.covariance.full import FullCovariances
from mixtura.covariance.guard import Guard
from mixtura.covariance.protocol import Covariances
from mixtura.kernels import forms, layout
from mixtura.kernels.plain_forms import Bounds
from mixtura.statistics import Moments, Statistics

_COMMON_AXES = ("EVE", "VVE")


@dataclass(frozen=True)
class Parsimonious:
    """``Σ_k = λ_k D_k A_k D_kᵀ`` with volume λ, orientation D, shape A, partly in common.

    The letters of the name say of volume, shape and orientation whether the components have the
    same (E) or each its own (V); a third letter I is the identity (Celeux & Govaert 1995).

    Attributes
    ----------
    name : str
    form : int
        The code of `mixtura.kernels.forms`.
    one_scale : bool
        Whether the family survives only a common scaling of all columns.
    """

    name: str
    form: int
    one_scale: bool

    averages = True

    @property
    def moments(self) -> Moments:
        return Moments(layout.DIAGONAL if self.name[2] == "I" else layout.FULL)

    def n_parameters(self, k: int, d: int) -> int:
        """One volume, d - 1 of shape and d(d-1)/2 of orientation, k times where they vary.

        >>> ELLIPSOIDAL[0].name, ELLIPSOIDAL[0].n_parameters(3, 4)
        ('EVV', 28)
        """
        many = {"E": 1, "V": k, "I": 0}
        volume, shape, orientation = (many[letter] for letter in self.name)
        return volume + shape * (d - 1) + orientation * (d * (d - 1) // 2)

    def maximize(
        self, data: Statistics, guard: Guard, before: Covariances | None = None
    ) -> FullCovariances | DiagonalCovariances:
        averages = guard.ridged(data.average())
        if self.moments.shape == layout.DIAGONAL:
            averages = np.maximum(averages, 0.0)
        covariances, axes = kernels.active().constrain(
            averages,
            data.dof,
            self.form,
            guard.bounds,
            axes=None if before is None else common_axes(before),
            volumes=None if before is None else np.exp(before.log_det / before.d),
        )
        if covariances.ndim == 2:
            return DiagonalCovariances(covariances, self.name)
        # Volumes in common can stretch a thin one beyond all digits.
        covariances, lower = guard.definite(covariances)
        known = axes is not None and not _round(covariances)
        return FullCovariances(covariances, self.name, axes if known else None, lower)

    def from_array(self, array: Array, k: int, d: int) -> FullCovariances | DiagonalCovariances:
        if self.moments.shape == layout.DIAGONAL:
            return DiagonalCovariances(array.reshape(k, d), self.name)
        return FullCovariances(array.reshape(k, d, d), self.name)

    def holds(self, array: Array) -> bool:
        """Whether covariances belong to the family, to a millionth or what their digits allow."""
        ones = np.ones(len(array))
        nearest, _ = kernels.plain.constrain(array, ones, self.form, Bounds(1e-300))
        size, values = array, array
        if array.ndim == 3:
            deviations = np.sqrt(array.diagonal(axis1=1, axis2=2))
            size = deviations[:, :, None] * deviations[:, None, :]
            values = np.maximum(np.linalg.eigvalsh(array), 1e-300)
        condition = float((values.max(axis=1) / values.min(axis=1)).max())
        tolerance = min(max(1e-6, 1e-13 * condition), 0.1)
        return bool((np.abs(nearest - array) <= tolerance * size).all())


def common_axes(structure: Covariances) -> Array | None:
    """The eigenvectors (d, d) that the components have in common, or None if any will do.

    Those of the structure where it knows them; else the axes that come nearest to being common.
    """
    if not isinstance(structure, FullCovariances) or structure.name not in _COMMON_AXES:
        return None
    if structure.axes is not None or _round(structure.covariances):
        return structure.axes
    ones = np.ones(structure.k)
    given = structure.covariances, ones, forms.VVE, Bounds(1e-300)
    return np.asarray(kernels.active().constrain(*given)[1])


def with_axes(structure: Covariances, axes: Array) -> Covariances:
    """The structure, told its common axes (d, d) if it is of a family that has them."""
    if not isinstance(structure, FullCovariances) or structure.name not in _COMMON_AXES:
        return structure
    return replace(structure, axes=None if _round(structure.covariances) else axes)


def _round(covariances: Array) -> bool:
    """Whether all matrices are multiples of the identity, to the last bit."""
    d = covariances.shape[1]
    return bool(np.array_equal(covariances, covariances[:, :1, :1] * np.eye(d)))


ELLIPSOIDAL = (
    Parsimonious("EVV", forms.EVV, one_scale=False),
    Parsimonious("VEV", forms.VEV, one_scale=True),
    Parsimonious("EEV", forms.EEV, one_scale=True),
    Parsimonious("VVE", forms.VVE, one_scale=True),
    Parsimonious("EVE", forms.EVE, one_scale=True),
    Parsimonious("VEE", forms.VEE, one_scale=False),
)
DIAGONAL = (
    Parsimonious("EVI", forms.EVI, one_scale=False),
    Parsimonious("VEI", forms.VEI, one_scale=False),
)
"""The families whose M-step is more than an average, most flexible first."""
