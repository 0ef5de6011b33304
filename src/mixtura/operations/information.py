"""Mutual information between groups of coordinates."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.fitted import fitted_mixture
from mixtura.mixture import Mixture
from mixtura.operations.density_ratio import (
    DRAWS,
    Side,
    drawn,
    log_density,
    quadratic_controls,
)
from mixtura.operations.divergence import kl_term
from mixtura.operations.estimate import Estimate


def mutual_information(mixture: Any, *groups: Any, draws: int = DRAWS, rng: Any = 0) -> Estimate:
    """Mutual information between groups of coordinates, in nats.

    ``KL(p(x_A, x_B) ‖ p(x_A) p(x_B))``; of more than two groups the total correlation, a factor for
    each. By draws from the joint and from the product, with the control variates of `kl`; of a
    single Gaussian these leave rounding alone. Where the groups are nearly independent few draws
    show any dependence: take no fewer than the default then.

    Parameters
    ----------
    mixture : Mixture or fitted estimator
    *groups : int, str, or sequence of these
        Two or more groups of coordinates, by number or name; those in none are left out.
    draws : int, default=100_000
    rng : numpy.random.Generator, int or None, default=0

    Returns
    -------
    Estimate

    Raises
    ------
    InputError
        Fewer than two groups, a coordinate in two of them, or noise in a rotated box, which has no
        marginals of its kind.

    Examples
    --------
    >>> from mixtura import Mixture, divergence
    >>> one = Mixture([1.0], [[0.0, 0.0]], [[[1.0, 0.6], [0.6, 1.0]]])
    >>> round(float(divergence.mutual_information(one, 0, 1)), 12)  # -½ log(1 - 0.6²)
    0.223143551314
    """
    mixture = fitted_mixture(mixture)
    named = [_checks.positions(dims, mixture.n_features, mixture.feature_names) for dims in groups]
    flat = [dim for dims in named for dim in dims]
    if len(named) < 2 or len(set(flat)) < len(flat):
        raise InputError(
            f"{groups}: two or more groups of coordinates are needed, none of them in two groups, "
            "as in mutual_information(mixture, [0, 1], [2])"
        )
    if mixture.noise is not None and mixture.noise.edges is not None:
        raise InputError(
            "the noise fills a rotated box, whose marginals are not uniform: give the mixture "
            "noise in a box of the columns' ranges, or none"
        )
    ends = np.cumsum([0, *map(len, named)])
    where = [slice(low, high) for low, high in pairwise(ends)]
    joint = Side.of(mixture.marginal(flat))
    apart = _product([mixture.marginal(dims) for dims in named], where, joint)
    controls = None
    if joint.moments is not None and apart.moments is not None:
        controls = quadratic_controls(joint.moments, apart.moments)
    return drawn(joint, apart, kl_term, draws=draws, rng=rng, controls=controls)


def _product(parts: list[Mixture], where: list[slice], joint: Side) -> Side:
    """The distribution in which the groups are independent."""

    def sample(n: int, rng: np.random.Generator) -> Array:
        return np.hstack([part.sample(n, rng) for part in parts])

    def log_densities(X: Array) -> Array:
        return np.sum(
            [log_density(part, X[:, dims]) for part, dims in zip(parts, where, strict=True)], axis=0
        )

    if joint.moments is None:
        return Side(sample, log_densities, None)
    mean, covariance = joint.moments
    blocks = np.zeros_like(covariance)
    for dims in where:
        blocks[dims, dims] = covariance[dims, dims]
    return Side(sample, log_densities, (mean, blocks))
