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
    patterns = [
        (_over_all(pattern.observed, dims, mixture), pattern.rows)
        for pattern in Block(seen).patterns
    ]
    return _assembled(mixture, rows, patterns, rest)


def _over_all(seen: Mask, dims: list[int], mixture: Mixture) -> Mask:
    """What is observed of the given dimensions, as a mask over all."""
    observed = np.zeros(mixture.n_features, dtype=bool)
    observed[np.asarray(dims)[seen]] = True
    return observed


def _assembled(
    mixture: Mixture, table: Array, patterns: list[tuple[Mask, Any]], rest: Array
) -> Mixtures:
    """The mixtures of all rows, pattern by pattern, in blocks of rows."""
    n, k, m, count = len(table), mixture.n_components, len(rest), len(patterns)
    heavy = isinstance(mixture.law, StudentT)
    names = mixture.feature_names
    found = Mixtures(
        np.empty((n, k)),
        np.empty((n, k, m)),
        np.empty((count, k, m, m)),
        np.zeros(n, dtype=np.intp),
        mixture.frame.take(rest),
        np.empty(n),
        None if names is None else tuple(names[i] for i in rest),
        np.ones((n, k)) if heavy else None,
        np.empty((count, k)) if heavy else None,
        None if mixture.noise is None else mixture.noise.marginal(rest),
        None if mixture.noise is None else np.empty(n),
    )
    for number, (observed, where) in enumerate(patterns):
        kept, mine = _within(observed, rest), np.arange(n)[where]
        found.group[mine] = number
        found.spread[number] = mixture.observed(observed).residual[:, kept][:, :, kept]
        if isinstance(mixture.law, StudentT) and found.dof is not None:
            found.dof[number] = mixture.law.dof + observed.sum()
        for part in cuts(len(mine), mixture.n_features):
            some: Any = mine[part] if count > 1 else part  # a slice is not copied
            rows = table[some]
            found.location[some] = _means(mixture, rows, observed, rest, kept)
            _weigh(mixture, rows, observed, (found, some))
    return found


def _weigh(mixture: Mixture, rows: Array, observed: Mask, into: tuple[Mixtures, Any]) -> None:
    """Write the weights of some rows, and what else their distances tell, into the mixtures."""
    found, some = into
    volume = mixture.frame.take(observed).log_volume
    if mixture.plain:
        alone = whole = mixture.joint(rows, observed)
    else:
        squared = squared_distances(mixture, rows, observed)
        alone = component_joint(mixture, squared, observed)
        whole = joint_at(mixture, squared, observed)
        if found.growth is not None:
            found.growth[some] = mixture.law.given(squared, int(observed.sum()))[1]
    evidence = log_sums(whole)
    total = evidence if mixture.noise is None else log_sums(alone)
    found.log_weights[some] = alone - total[:, None]
    found.log_evidence[some] = evidence + volume
    if found.noise_share is not None:
        found.noise_share[some] = np.exp(whole[:, -1] - evidence)


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
    lead = coefficients @ (middle - mixture.location[:, observed])[:, :, None]
    start = mixture.location[:, rest] + lead[:, :, 0]
    with np.errstate(over="ignore", invalid="ignore"):
        z = mixture.frame.read(rows)[:, observed] - middle
        moved = (z @ coefficients.reshape(k * m, o).T).reshape(-1, k, m)
        moved += start
    if not np.isfinite(moved).all():
        raise InputError(
            f"a row holds {np.nanmax(np.abs(rows)):.3g}, too far off for what follows to be "
            "numbers: leave such rows out, or set their far cells to NaN"
        )
    return np.asarray(moved)
