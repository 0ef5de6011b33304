"""Gaps filled by draws from their conditional distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._random import generator
from mixtura._types import Array, Mask, Rows
from mixtura.block import Block
from mixtura.conditioning import shares
from mixtura.mixture import Mixture
from mixtura.scoring import joint_at, squared_distances


def drawn_into_gaps(mixture: Mixture, X: Any, rng: Any = None) -> Array:
    """Rows with each NaN replaced by a draw given the row's observed values.

    A component by its responsibility, then ``x_m ~ N(μ_m + Σ_mo Σ_oo⁻¹ (x_o - μ_o), Σ_mm - Σ_mo
    Σ_oo⁻¹ Σ_om)``, or Student's t with ``ν + d_o`` degrees of freedom. What is missing in a row is
    drawn together, so that it hangs together.

    Parameters
    ----------
    mixture : Mixture
    X : (n, d) array_like or data frame
    rng : numpy.random.Generator, int or None

    Returns
    -------
    (n, d) ndarray
        Observed values are those of X to the last bit.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture
    >>> from mixtura.operations.filling import drawn_into_gaps
    >>> one = Mixture([1.0], [[0.0, 0.0]], [[[1.0, 0.9], [0.9, 1.0]]])
    >>> filled = drawn_into_gaps(one, [[2.0, np.nan]] * 5000, 0)[:, 1]
    >>> float(filled.mean().round(1)), float(filled.std().round(1))  # 1.8 and 0.44
    (1.8, 0.4)
    """
    rng = generator(rng)
    given = _checks.rows_like(X, mixture.n_features, mixture.feature_names)
    rows = np.array(given, dtype=np.float64)
    for pattern in Block(given).patterns:
        if not pattern.complete:
            gappy, missing = given[pattern.rows], ~pattern.observed
            drawn = mixture.frame.take(missing).unread(
                _draws(mixture, gappy, pattern.observed, rng)
            )
            rows[np.ix_(np.arange(len(rows))[pattern.rows], missing)] = drawn
    return rows


def _draws(mixture: Mixture, rows: Rows, observed: Mask, rng: np.random.Generator) -> Array:
    """Draws (m, d_m) in frame coordinates for rows that have the same gaps."""
    squared = squared_distances(mixture, rows, observed)
    seen, missing, features = mixture.observed(observed), ~observed, int(observed.sum())
    labels = _chosen(shares(joint_at(mixture, squared, observed)), rng)
    z = mixture.frame.read(rows)
    out = rng.standard_normal((len(rows), int(missing.sum())))
    law, _ = mixture.law.given(squared[0], features)
    spread = 1.0 / np.sqrt(mixture.law.row_weights(squared, features))
    rest = seen.rest(np.ones(mixture.n_components))
    for index in np.unique(labels[labels < mixture.n_components]):
        mine = labels == index
        off = z[mine][:, observed] - mixture.location[index, observed]
        coloured = rest.colorize(out[mine], index) * spread[mine, index][:, None]
        coloured = coloured / law.shrunk(rng, len(coloured), index)
        out[mine] = mixture.location[index, missing] + seen.missing(off, index) + coloured
    if mixture.noise is not None:
        lost = labels == mixture.n_components
        out[lost] = mixture.noise.marginal(missing).sample(int(lost.sum()), rng)
    return out


def _chosen(share: Array, rng: np.random.Generator) -> Array:
    """A column of each row (m,), drawn by the row's shares."""
    running = np.cumsum(share, axis=1)
    return np.asarray((running < rng.random((len(share), 1)) * running[:, -1:]).sum(axis=1))
