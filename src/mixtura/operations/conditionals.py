"""The conditional mixture of every row of a table, at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array, Mask
from mixtura.block import Block, cuts
from mixtura.conditioning import log_sums
from mixtura.law import StudentT
from mixtura.mixture import Mixture
from mixtura.operations.mixtures import Mixtures
from mixtura.scoring import component_joint, joint_at, squared_distances


def conditionals(mixture: Mixture, X: Any, given: Any) -> Mixtures:
    """The mixture of the other coordinates given values of some, for every row of a table.

    The formulas of `Mixture.condition`: ``μ_ik = μ_m,k + Σ_mo Σ_oo⁻¹ (x_i - μ_o,k)`` is one product
    of matrices for all rows and components, and all rows share the conditional covariances.

    Parameters
    ----------
    mixture : Mixture
    X : (n, o) array_like or data frame
        Values of the dimensions `given`. NaN is one that was not observed: the row is conditioned
        on the others, and rows with the same gaps share covariances.
    given : dimension or sequence of dimensions, by number or name

    Returns
    -------
    Mixtures
        n mixtures over the dimensions not given, in their order.

    Raises
    ------
    InputError
        X without a column for each dimension given, or all dimensions given.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> joint = Mixture([0.5, 0.5], [[0, 0], [4, 4]], [[[1, 0.8], [0.8, 1]]] * 2)
    >>> lines = joint.conditionals([[0.0], [4.0], [float("nan")]], given=[0])
    >>> lines
    3 mixtures of 2 components in 1 dimension, with 2 sets of covariances
    >>> lines.mean().ravel().round(3).tolist()
    [0.0, 4.0, 2.0]
    """
    dims = _checks.positions(given, mixture.n_features, mixture.feature_names)
    if len(dims) == mixture.n_features:
        raise InputError("all dimensions are given: leave at least one to be predicted")
    names = mixture.feature_names
    seen = _checks.rows_like(X, len(dims), None if names is None else [names[i] for i in dims])
    rows = np.full((len(seen), mixture.n_features), np.nan)
    rows[:, dims] = seen
    rest = np.setdiff1d(np.arange(mixture.n_features), dims)
    return _assembled(mixture, Block(rows), rest)


def _assembled(mixture: Mixture, block: Block, rest: Array) -> Mixtures:
    n, k, m = len(block), mixture.n_components, len(rest)
    count, names = len(block.patterns), mixture.feature_names
    logs, evidence = np.empty((n, k)), np.empty(n)
    location, group = np.empty((n, k, m)), np.zeros(n, dtype=np.intp)
    spread, heavy = np.empty((count, k, m, m)), isinstance(mixture.law, StudentT)
    growth = np.ones((n, k)) if heavy else None
    dof = np.empty((count, k)) if heavy else None
    share = None if mixture.noise is None else np.empty(n)
    for number, pattern in enumerate(block.patterns):
        observed, kept = pattern.observed, _within(pattern.observed, rest)
        mine = np.arange(n)[pattern.rows]
        group[mine] = number
        spread[number] = mixture.observed(observed).residual[:, kept][:, :, kept]
        volume = mixture.frame.take(observed).log_volume
        if isinstance(mixture.law, StudentT) and dof is not None:
            dof[number] = mixture.law.dof + observed.sum()
        for part in cuts(len(mine), mixture.n_features):
            some = mine[part] if count > 1 else part
            rows = block.rows[some]
            location[some] = _means(mixture, rows, observed, rest, kept)
            if mixture.plain:
                joint = mixture.joint(rows, observed)
                evidence[some] = log_sums(joint)
                logs[some] = joint - evidence[some][:, None]
            else:
                squared = squared_distances(mixture, rows, observed)
                alone = component_joint(mixture, squared, observed)
                logs[some] = alone - log_sums(alone)[:, None]
                whole = joint_at(mixture, squared, observed)
                evidence[some] = log_sums(whole)
                if growth is not None:
                    growth[some] = mixture.law.given(squared, int(observed.sum()))[1]
                if share is not None:
                    share[some] = np.exp(whole[:, -1] - evidence[some])
            evidence[some] += volume
    return Mixtures(
        logs,
        location,
        spread,
        group,
        mixture.frame.take(rest),
        evidence,
        None if names is None else tuple(names[i] for i in rest),
        growth,
        dof,
        None if mixture.noise is None else mixture.noise.marginal(rest),
        share,
    )


def _within(observed: Mask, rest: Array) -> Array:
    """Where the coordinates `rest` stand among those that are not observed."""
    return np.searchsorted(np.flatnonzero(~observed), rest)


def _means(mixture: Mixture, rows: Array, observed: Mask, rest: Array, kept: Array) -> Array:
    """(n, k, m) ``μ_m + C (z_o - μ_o)``, by one product about the middle of the μ_o."""
    coefficients = mixture.observed(observed).coefficients[:, kept]  # (k, m, o)
    k, m, o = coefficients.shape
    if not o:
        return np.broadcast_to(mixture.location[:, rest], (len(rows), k, m))
    middle = mixture.weights @ mixture.location[:, observed]
    z = mixture.frame.read(rows)[:, observed] - middle
    lead = coefficients @ (middle - mixture.location[:, observed])[:, :, None]
    start = mixture.location[:, rest] + lead[:, :, 0]
    moved = (z @ coefficients.reshape(k * m, o).T).reshape(-1, k, m)
    moved += start
    return np.asarray(moved)
