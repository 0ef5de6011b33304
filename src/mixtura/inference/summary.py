"""What a statistician expects printed of anything fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from html import escape
from typing import Any

import numpy as np

from mixtura._errors import InputTypeError
from mixtura._types import Array
from mixtura.covariance import ALIASES
from mixtura.fit.judgement import n_parameters, totals
from mixtura.fit.select import Selection
from mixtura.fitted import fitted_mixture
from mixtura.inference.bootstrap import Bootstrap
from mixtura.inference.standard_errors import StandardErrors, standard_errors
from mixtura.inference.subject import Subject, family_name, subject, traits
from mixtura.inference.tables import aligned, parameter_rows
from mixtura.law import Gaussian, StudentT
from mixtura.mixture import Mixture

SIGN = "BIC = -2 log L + df log n and ICL: smaller is better (mclust prints their negatives)"


@dataclass(frozen=True)
class Table:
    """A table with a caption; the first row is the header."""

    caption: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Summary:
    """A printed account of something fitted.

    Attributes
    ----------
    title : str
    facts : tuple of (name, value)
    tables : tuple of Table
    notes : tuple of str
    """

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"{self.title}\n{'-' * len(self.title)}"]
        if self.facts:
            parts.append(aligned(self.facts))
        parts += [f"{table.caption}\n{aligned(table.rows)}" for table in self.tables]
        parts += list(self.notes)
        return "\n\n".join(parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The same for notebooks."""
        parts = [f"<h4>{escape(self.title)}</h4>"]
        if self.facts:
            parts.append(_html(self.facts, header=False))
        for table in self.tables:
            parts.append(f"<p>{escape(table.caption)}</p>{_html(table.rows, header=True)}")
        parts += [f"<p>{escape(note)}</p>" for note in self.notes]
        return "".join(parts)


def _html(rows: Sequence[Sequence[str]], *, header: bool) -> str:
    lines = []
    for number, row in enumerate(rows):
        tag = "th" if header and number == 0 else "td"
        cells = "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)
        lines.append(f"<tr>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"


def summary(
    model: Any, X: Any = None, *, sample_weight: Any = None, errors: str | None = None
) -> Summary:
    """An account of a mixture, estimator, selection, bootstrap or standard errors.

    Parameters
    ----------
    model : Mixture, fitted estimator, Selection, Bootstrap or StandardErrors
    X : (n, d) array_like or data frame, optional
        The data: adds the log-likelihood, criteria and sizes of the clusters.
    sample_weight : (n,) array_like, optional
    errors : {"information", "opg", "sandwich"}, optional
        Put standard errors by this estimator beside the parameters; needs X.

    Returns
    -------
    Summary
        Prints as text, and as tables in a notebook.

    Raises
    ------
    InputTypeError
        Something else.

    Examples
    --------
    >>> from mixtura import Mixture, summary
    >>> print(summary(Mixture([0.3, 0.7], [[0.0], [4.0]], [[[1.0]], [[0.25]]])))
    Gaussian mixture of 2 components in 1 dimension
    -----------------------------------------------
    <BLANKLINE>
    covariance      full (VVV)
    parameters, df           5
    <BLANKLINE>
    Components
    component      0     1
    weight       0.3   0.7
    mean x0        0     4
    variance x0    1  0.25
    """
    return _summary(model, X, sample_weight, errors)


@singledispatch
def _summary(model: Any, X: Any, sample_weight: Any, errors: str | None) -> Summary:
    """A mixture or an estimator."""
    mixture = fitted_mixture(model)
    about = None if X is None else subject(model, X, sample_weight)
    if errors is not None and about is None:
        raise InputTypeError(f"errors={errors!r} needs the data: pass X")
    facts = [("covariance", _both_names(family_name(model)))]
    facts += _law(mixture)
    facts += [("parameters, df", str(_df(model)))] if about is None else _facts(model, about)
    if model is not mixture:
        converged = "yes" if model.converged_ else "no"
        facts.append(("converged", f"{converged}, {model.n_iter_} steps"))
    spread = None
    if errors is not None:
        spread = standard_errors(model, X, method=errors, sample_weight=sample_weight)
    caption = (
        "Components" if spread is None else f"Components (standard errors: {spread.estimator})"
    )
    rows = parameter_rows(mixture, spread)
    if about is not None:
        rows.insert(2, ["rows", *_sizes(about)[: len(rows[0]) - 1]])
    table = Table(caption, tuple(map(tuple, rows)))
    notes = () if about is None else (SIGN,)
    return Summary(_title(mixture), tuple(facts), (table,), notes)


@_summary.register
def _of_selection(model: Selection, X: Any, sample_weight: Any, errors: str | None) -> Summary:
    rows: list[tuple[str, ...]] = [
        ("components", "covariance", "log L", "df", "BIC", "ICL", "note")
    ]
    for one in model.ranked()[:10]:
        note = one.failure or ("degenerate" if one.degenerate else "")
        numbers = (f"{value:.3f}" for value in (one.bic, one.icl))
        rows.append(
            (
                str(one.n_components),
                _both_names(one.covariance_type),
                f"{one.log_likelihood:.3f}",
                str(one.n_parameters),
                *numbers,
                note[:40],
            )
        )
    best = Table("The best", tuple(map(tuple, parameter_rows(model.fit.mixture, None))))
    tables = Table(f"{min(10, len(model.candidates))} of {len(model.candidates)} candidates, by "
                   f"{model.criterion}", tuple(rows)), best  # fmt: skip
    return Summary("Selection of a Gaussian mixture", (), tables, (model.verdict(), SIGN))


@_summary.register
def _of_bootstrap(model: Bootstrap, X: Any, sample_weight: Any, errors: str | None) -> Summary:
    facts = (
        ("method", model.estimator),
        ("replicates", str(len(model))),
        ("left out, as a component collapsed", str(model.n_left_out)),
    )
    rows = parameter_rows(model.mixture, model.standard_errors)
    table = Table("Estimates (standard errors)", tuple(map(tuple, rows)))
    return Summary(f"Bootstrap: {_title(model.mixture)}", facts, (table,))


@_summary.register
def _of_errors(model: StandardErrors, X: Any, sample_weight: Any, errors: str | None) -> Summary:
    rows = parameter_rows(model.mixture, model)
    table = Table("Estimates (standard errors)", tuple(map(tuple, rows)))
    facts = (("estimator", model.estimator),)
    return Summary(f"Standard errors: {_title(model.mixture)}", facts, (table,))


def _title(mixture: Mixture) -> str:
    k, d = mixture.location.shape
    kind = "Gaussian" if isinstance(mixture.law, Gaussian) else "Student's t"
    return f"{kind} mixture of {k} component{'s' * (k > 1)} in {d} dimension{'s' * (d > 1)}"


def _both_names(name: str) -> str:
    """A family's name with its three letters."""
    letters = [short for short, long in ALIASES.items() if long == name]
    return f"{name} ({letters[0]})" if letters else name


def _df(model: Any) -> int:
    k, d = fitted_mixture(model).location.shape
    known = traits(model)
    return n_parameters(known.rule, k, d, known.equal_weights, known.outliers, known.held)


def _law(mixture: Mixture) -> list[tuple[str, str]]:
    """Degrees of freedom and the share of noise, where there are any."""
    facts = []
    if isinstance(mixture.law, StudentT):
        facts.append(("degrees of freedom", " ".join(f"{dof:.4g}" for dof in mixture.law.dof)))
    if mixture.noise is not None:
        facts.append(("share of noise", f"{mixture.noise.share:.4g}"))
    return facts


def _facts(model: Any, about: Subject) -> list[tuple[str, str]]:
    likelihood, sharpness, n = totals(about.mixture, about.problem)
    df = _df(model)
    bic = -2.0 * likelihood + df * float(np.log(n))
    facts = [
        ("rows, n", f"{n:g}"),
        ("log-likelihood", f"{likelihood:.6f}"),
        ("parameters, df", str(df)),
        ("BIC", f"{bic:.6f}"),
        ("ICL", f"{bic - 2.0 * sharpness:.6f}"),
    ]
    found = about.mixture.predict(about.source.whole.rows) < 0
    if found.any():
        facts.append(("rows that are noise", f"{about.source.whole.weight()[found].sum():g}"))
    missing = int(np.isnan(about.source.whole.rows).sum())
    return facts + ([("missing cells", str(missing))] if missing else [])


def _sizes(about: Subject) -> list[str]:
    """The weight of the rows that are put into each component."""
    labels: Array = about.mixture.predict(about.source.whole.rows)
    weights = about.source.whole.weight()
    kept = labels >= 0
    sizes = np.bincount(labels[kept], weights[kept], minlength=about.mixture.n_components)
    return [f"{size:g}" for size in sizes]
