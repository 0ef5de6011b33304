"""The shapes of covariances: one file a family, the value and the rule that estimates it."""

from mixtura.covariance.diagonal import Diagonal, DiagonalCovariances
from mixtura.covariance.factor import FactorCovariances
from mixtura.covariance.factor_rule import Factor, rule_of
from mixtura.covariance.full import Full, FullCovariances
from mixtura.covariance.guard import FLOOR, Guard
from mixtura.covariance.protocol import Covariances, Family
from mixtura.covariance.registry import ALIASES, FAMILIES, family, named, structure
from mixtura.covariance.spherical import EqualSpherical, Spherical, SphericalCovariances
from mixtura.covariance.tied import Tied, TiedCovariances

__all__ = [
    "ALIASES",
    "FAMILIES",
    "FLOOR",
    "Covariances",
    "Diagonal",
    "DiagonalCovariances",
    "EqualSpherical",
    "Factor",
    "FactorCovariances",
    "Family",
    "Full",
    "FullCovariances",
    "Guard",
    "Spherical",
    "SphericalCovariances",
    "Tied",
    "TiedCovariances",
    "family",
    "named",
    "rule_of",
    "structure",
]
