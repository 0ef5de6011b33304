"""The shapes of covariances: one file a family, the value and the rule that estimates it."""

from mixtura.covariance.diagonal import Diagonal, DiagonalCovariances, EqualDiagonal
from mixtura.covariance.eigen import Parsimonious, common_axes, with_axes
from mixtura.covariance.experts import ExpertCovariances, Experts
from mixtura.covariance.factor import FactorCovariances
from mixtura.covariance.factor_rule import Factor, rule_of
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
    named,
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
    "ExpertCovariances",
    "Experts",
    "Factor",
    "FactorCovariances",
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
    "named",
    "rule_of",
    "structure",
    "with_axes",
]
