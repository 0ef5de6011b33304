"""Predicted densities, one for all rows or one each, as arrays of their components."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError, InputTypeError
from mixtura._types import Array
from mixtura.fitted import fitted_distribution
from mixtura.mixture import Mixture

_CELLS = 1 << 20


@dataclass(frozen=True, eq=False)
class Components:
    """Gaussian components of m mixtures; m is 1 where one serves all rows.

    Attributes
    ----------
    weights : (m, k)
    means : (m, k, d)
    covariances : (m, k, d, d)
    """

    weights: Array
    means: Array
    covariances: Array


def distributions(predicted: Any) -> Any:
    """What can be scored: one distribution, also that of a fitted estimator, or one for each row.

    Raises
    ------
    NotFittedError, InputTypeError, InputError
        What is no density: says what to pass.
    """
    if isinstance(predicted, Sequence) and len(predicted):
        found = [fitted_distribution(one) for one in predicted]
        one = found[0]
    else:
        found = one = fitted_distribution(predicted)
    if not hasattr(one, "n_features") or not hasattr(one, "logpdf"):
        raise InputTypeError(
            f"a Mixture, or one for each row, is needed, not {type(one).__name__}: it lacks "
            "n_features or logpdf"
        )
    return found


def _first(predicted: Any) -> Any:
    return predicted[0] if isinstance(predicted, Sequence) else predicted


def many(predicted: Any) -> bool:
    """Whether each row has a mixture of its own."""
    return not isinstance(predicted, Mixture) and hasattr(predicted, "__len__")


def rows_of(y_true: Any, predicted: Any) -> Array:
    """Observations (n, d) in float64, as many as there are predictions; NaN where unobserved."""
    d = int(_first(predicted).n_features)
    given = y_true
    if not hasattr(given, "columns") and np.ndim(given) < 2 and d == 1:
        given = np.atleast_1d(_checks.numbers(given, "y_true")).reshape(-1, 1)
    names = getattr(_first(predicted), "feature_names", None)
    rows = _checks.rows_like(given, d, names)
    if many(predicted) and len(predicted) != len(rows):
        raise InputError(
            f"{len(predicted)} predictions for {len(rows)} rows of y_true: one mixture each is "
            "needed, or a single one for all"
        )
    return np.asarray(rows, dtype=np.float64)


def complete_rows(y_true: Any, predicted: Any) -> Array:
    """The same without NaN."""
    rows = rows_of(y_true, predicted)
    bad = np.flatnonzero(np.isnan(rows).any(axis=1))
    if len(bad):
        raise InputError(
            f"y_true is NaN in row {bad[0]} ({len(bad)} such rows): drop them and their "
            "predictions; log_score alone takes rows with gaps, by what is observed"
        )
    return rows


def values_of(y_true: Any, predicted: Any, what: str) -> Array:
    """Observations (n,) of one feature."""
    d = int(_first(predicted).n_features)
    if d != 1:
        raise InputError(
            f"{what} is defined for one feature, and {d} are predicted: take marginal(feature), or "
            "energy_score for all together"
        )
    return complete_rows(y_true, predicted)[:, 0]


def plain(predicted: Any) -> bool:
    """Whether all is known to be Gaussian and without noise."""
    if isinstance(predicted, Mixture):
        return predicted.plain
    if isinstance(predicted, Sequence):
        return all(isinstance(one, Mixture) and one.plain for one in predicted)
    arrays = all(hasattr(predicted, name) for name in ("weights", "means", "covariances"))
    law = getattr(predicted, "dof", None), getattr(predicted, "noise", None)
    return arrays and law == (None, None)


def blocks(predicted: Any, n: int, cells: int) -> Iterator[tuple[slice, Components]]:
    """The components of the rows' mixtures, all at once where one mixture serves all rows.

    Otherwise so many rows at a time that n k² `cells` stay small.
    """
    if isinstance(predicted, Mixture):
        parts = predicted.weights, predicted.means, predicted.covariances
        yield slice(0, n), Components(*(part[None] for part in parts))
        return
    listed = isinstance(predicted, Sequence)
    k = max(one.n_components for one in predicted) if listed else predicted.n_components
    size = max(1, _CELLS // (k * k * cells))
    for start in range(0, n, size):
        part = predicted[start : start + size]
        if listed:
            yield slice(start, start + size), _stacked(part, k)
        else:
            yield (
                slice(start, start + size),
                Components(part.weights, part.means, part.covariances),
            )


def _stacked(mixtures: Sequence[Mixture], k: int) -> Components:
    """Mixtures of up to k components, those that lack filled up with weights of zero."""
    d = mixtures[0].n_features
    weights, means = np.zeros((len(mixtures), k)), np.zeros((len(mixtures), k, d))
    covariances = np.tile(np.eye(d), (len(mixtures), k, 1, 1))
    for row, mixture in enumerate(mixtures):
        own = slice(mixture.n_components)
        weights[row, own], means[row, own] = mixture.weights, mixture.means
        covariances[row, own] = mixture.covariances
    return Components(weights, means, covariances)
