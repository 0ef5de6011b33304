"""The shapes of covariances: one file a family, the value and the rule that estimates it."""

from mixtura.covariance.diagonal import Diagonal, DiagonalCovariances, EqualDiagonal
from mixtura.covariance.eigen import Parsimonious, common_axes, with_axes
from mixtura.covariance.full import Full, FullCovariances
from mixtura.covariance.guard import FLOOR, Guard
from mixtura.covariance.protocol import Covariances, Family
from mixtura.covariance.registry import (
    ALIASES,
    FAMILIES,
    LAYOUTS,
    RATIO,
    UNIVARIATE,
    family,
    structure,
)
from mixtura.covariance.spherical import EqualSpherical, Spherical, SphericalCovariances
from mixtura.covariance.tied import Tied, TiedCovariances

__all__ = [
    "ALIASES",
    "FAMILIES",
    "FLOOR",
    "LAYOUTS",
    "RATIO",
    "UNIVARIATE",
    "Covariances",
    "Diagonal",
    "DiagonalCovariances",
    "EqualDiagonal",
    "EqualSpherical",
    "Family",
    "Full",
    "FullCovariances",
    "Guard",
    "Parsimonious",
    "Spherical",
    "SphericalCovariances",
    "Tied",
    "TiedCovariances",
    "common_axes",
    "family",
    "structure",
    "with_axes",
]
