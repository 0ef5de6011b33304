"""What the command line knows about a table, a choice and a mixture, as values for JSON.

The same facts are told to a person (`report`), written beside the model, and given as JSON.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixtura._types import Indices
from mixtura.cli_rows import DOUBT, Tally
from mixtura.covariance import family
from mixtura.io.model_file import structure_name
from mixtura.law import StudentT
from mixtura.mixture import Mixture
from mixtura.reading.sql import is_query
from mixtura.reading.uri import shown

if TYPE_CHECKING:
    from mixtura.fit.select import Candidate, Selection
    from mixtura.io.columns import Skipped
    from mixtura.trimming import Cut

Facts = dict[str, Any]


def of_data(
    source: str,
    columns: Sequence[str],
    rows: int,
    missing: Sequence[int] | Indices,
    *,
    skipped: Sequence[Skipped] = (),
    notes: Sequence[str] = (),
    identifier: str | None = None,
    weights: str | None = None,
    where: Sequence[str] = (),
) -> Facts:
    """Where the rows come from, and what was left out."""
    return {
        "file": _title(source),
        "rows": rows,
        "columns": list(columns),
        "missing": dict(zip(columns, np.asarray(missing).tolist(), strict=True)),
        "skipped": [{"column": one.column, "reason": one.reason} for one in skipped],
        "id": identifier,
        "weights": weights,
        "where": list(where),
        "notes": list(notes),
    }


def _title(source: str) -> str:
    """The name of a file or folder; patterns, URIs and queries as they are."""
    whole = is_query(source) or "://" in source or glob.has_magic(source)
    return shown(source) if whole else Path(source).name


def of_selection(selection: Selection) -> Facts:
    """The choice, and every model that was tried, best first."""
    from mixtura.fit.verdict import reasons

    best = selection.best
    ranked = selection.ranked()
    return {
        "choice": {
            "sentence": selection.sentence(),
            "reasons": reasons(selection),
            "criterion": str(selection.criterion),
            **_of_candidate(best, best.score),
        },
        "candidates": [
            _of_candidate(candidate, best.score) | {"same_as": _other_name(candidate, ranked)}
            for candidate in ranked
        ],
    }


def of_components(mixture: Mixture, sizes: Indices | None = None) -> list[Facts]:
    """Weight, mean and standard deviation of each component, and its rows where they are known.

    Of Student's t also its scale, which the standard deviation is a multiple of.
    """
    names = column_names(mixture)
    k = mixture.n_components
    scale = np.sqrt(mixture.structure.variances_by_column) / mixture.frame.scale
    deviation = scale * np.sqrt(np.broadcast_to(mixture.law.inflation, (k,)))[:, None]
    spreads = {"sd": deviation} | ({"scale": scale} if isinstance(mixture.law, StudentT) else {})
    return [
        {
            "label": label,
            "weight": float(mixture.weights[label]),
            "size": None if sizes is None else int(sizes[label]),
            "mean": dict(zip(names, mixture.means[label].tolist(), strict=True)),
            **{
                name: dict(zip(names, spread[label].tolist(), strict=True))
                for name, spread in spreads.items()
            },
        }
        for label in range(k)
    ]


def of_outliers(mixture: Mixture, cut: Cut | None = None) -> Facts:
    """Degrees of freedom, share of noise and trimming; nothing for an ordinary fit."""
    law = mixture.law
    told: Facts = {}
    if isinstance(law, StudentT):
        told = {"distribution": "t", "dof": law.dof, "dof_tie": law.tie}
    if mixture.noise is not None:
        told["noise"] = mixture.noise.share
    if cut is not None:
        told["trim"] = cut.told
    return told


def of_certainty(tally: Tally) -> Facts:
    """How sure the assignment of the rows is, but for trimmed ones."""
    return {
        "mean_maximum_responsibility": tally.largest / tally.kept if tally.kept else float("nan"),
        "doubtful": tally.doubtful,
        "threshold": DOUBT,
    }


def of_scores(mixture: Mixture, tally: Tally) -> Facts:
    """How well a mixture describes rows."""
    n, total = tally.kept, tally.log_likelihood
    parameters = n_parameters(mixture)
    return {
        "rows": n,
        "mean_log_density": total / n if n else float("nan"),
        "log_likelihood": total,
        "n_parameters": parameters,
        "bic": -2.0 * total + parameters * float(np.log(max(n, 1))),
        "aic": -2.0 * total + 2.0 * parameters,
    }


def n_parameters(mixture: Mixture) -> int:
    """Free parameters of weights, means, covariances, degrees of freedom and noise."""
    k, d = mixture.n_components, mixture.n_features
    rule = family(structure_name(mixture.structure))
    noise = 0 if mixture.noise is None else 2  # its share and its volume
    return rule.n_parameters(k, d) + k * d + k - 1 + mixture.law.n_parameters + noise


def column_names(mixture: Mixture) -> Sequence[str]:
    """The names of the features; x1, x2, … where it has none."""
    return mixture.feature_names or tuple(f"x{i + 1}" for i in range(mixture.n_features))


def count(number: int, what: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> count(1, "row"), count(12000, "row")
    ('1 row', '12,000 rows')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _other_name(candidate: Candidate, ranked: Sequence[Candidate]) -> str | None:
    """The family of a better candidate that is the same model, as for one component."""
    if candidate.failure is not None:
        return None
    better = ranked[: ranked.index(candidate)]
    return next((one.covariance_type for one in better if one.same(candidate)), None)


def _of_candidate(candidate: Candidate, best: float) -> Facts:
    return {
        "components": candidate.n_components,
        "covariance": candidate.covariance_type,
        "log_likelihood": candidate.log_likelihood,
        "n_parameters": candidate.n_parameters,
        "bic": candidate.bic,
        "aic": candidate.aic,
        "icl": candidate.icl,
        "score": candidate.score,
        "behind": candidate.score - best,
        **({} if np.isnan(candidate.cv) else {"cv": candidate.cv, "cv_error": candidate.cv_error}),
        "converged": candidate.converged,
        "n_iter": candidate.n_iter,
        "degenerate": candidate.degenerate,
        "failure": candidate.failure,
    }
