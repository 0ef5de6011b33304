"""A mixture of inputs and outcomes as linear experts behind a gate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtura._types import Array
from mixtura.covariance import ExpertCovariances
from mixtura.covariance.experts import split
from mixtura.covariance.guard import FLOOR
from mixtura.mixture import Mixture


@dataclass(frozen=True, eq=False)
class LinearExperts:
    """``p(y | x) = Σ π_k(x) N(y | A_k x + b_k, S_k)``, ``π_k(x) ∝ π_k N(x | μ_k, G_k)``.

    Attributes
    ----------
    gate : Mixture
        ``Σ π_k N(x | μ_k, G_k)``.
    slopes : (k, m, d)
        A, in the units of the data.
    intercepts : (k, m)
        b
    noise : (k, m, m)
        S
    """

    gate: Mixture
    slopes: Array
    intercepts: Array
    noise: Array


def linear_experts(mixture: Mixture, inputs: int) -> LinearExperts:
    """A mixture whose first columns are the inputs, as experts: ``b = μ_y - A μ_x``.

    Slopes and variances of columns of size 1e±200 may be beyond what a float can hold.
    """
    framed, scale = mixture.structure, mixture.frame.scale
    if not isinstance(framed, ExpertCovariances):
        framed = split(framed.dense(), inputs)
    lead = framed.slopes @ (mixture.means[:, :inputs] * scale[:inputs])[:, :, None]
    with np.errstate(over="ignore", under="ignore"):
        told = framed.scaled(1.0 / scale)
        noise = told.noise.dense()
    return LinearExperts(
        mixture.marginal(range(inputs)).changed(structure=framed.gate),
        told.slopes,
        mixture.means[:, inputs:] - lead[:, :, 0] / scale[inputs:],
        noise,
    )


def steadied(mixture: Mixture, inputs: int) -> Mixture:
    """The mixture with no slope in directions where the inputs of a component do not vary.

    Where only the floor holds up their covariance, rounding would decide the slopes. A mixture
    that needs no such care comes back as it is.
    """
    if isinstance(mixture.structure, ExpertCovariances):
        return mixture
    within = mixture.structure.marginal(range(inputs))
    if (within.eigenvalues()[:, 0] > 16.0 * FLOOR).all():
        return mixture
    return mixture.changed(structure=split(mixture.structure.dense(), inputs))
