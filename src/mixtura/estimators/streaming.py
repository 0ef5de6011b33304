"""An estimator's stream: what its calls of ``partial_fit`` have taught."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if

from mixtura import _checks, kernels
from mixtura._errors import InputError
from mixtura.estimators import parameters
from mixtura.estimators.following import as_it_was
from mixtura.estimators.rows import rows_to_fit, rows_to_go_on
from mixtura.fit.select import counts, rules
from mixtura.fit.stream import Stream
from mixtura.kernels.layout import FACTOR
from mixtura.reading.naming import taken
from mixtura.reading.scan import opened
from mixtura.source import MemorySource

_KEPT = ("_stream", "stream_scores_", "drifts_", "n_samples_seen_")


def forget(estimator: Any) -> None:
    """Drop the stream: a `fit` starts anew."""
    for name in _KEPT:
        vars(estimator).pop(name, None)


def _able(estimator: Any) -> bool:
    """Whether a stream can fit what the parameters ask for.

    Raises
    ------
    InputError
        It cannot; says why, and what to do.
    """
    components = counts(estimator.n_components)
    families = rules(estimator.covariance_type, None, estimator.rank)
    models = len(components) * len(families)
    if models > 1:
        raise InputError(
            f"a stream fits one model, and {models} would be compared: give one n_components and "
            "one covariance_type, or choose them by fit on some of the rows"
        )
    if families[0].moments.shape == FACTOR:
        raise InputError(
            f"covariance_type={estimator.covariance_type!r}: the moments of low-rank covariances "
            'are of use to one step alone, and a stream keeps them; use "full", "diag" or another '
            "family, or fit"
        )
    if not parameters.outliers(estimator).none or estimator.truncation is not None:
        raise InputError(
            "distribution, noise, trim and truncation need all rows together, and a stream lets "
            "them go: leave them out, or fit"
        )
    return True


@available_if(_able)
def partial_fit(self: Any, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Learn from more rows of a stream, and forget old ones by and by.

    Stochastic EM on statistics (Cappé & Moulines 2009), ``s ← (1 - γ) s + γ s̄``, with
    ``γ_t = (t + 1)^(-0.6)``. The first 2000 rows (or 10 k d) are gathered, and fitted as `fit`
    does; they fix the coordinates, and as many rows are one unit of t, where it is 1. What
    follows is learnt in pieces of about one unit and not kept. The parameters count as they
    are in the first call; `warm_start` begins with the last fit, and `fit` ends the stream.

    Parameters
    ----------
    X : (n, d) array_like or data frame
        NaN where unobserved.
    y : ignored
    sample_weight : (n,) array_like, optional

    Returns
    -------
    self
        With a `mixture_` from 2 k (d + 1) rows on, and besides
        `stream_scores_`, the mean log score of each call's rows before they were learnt, in
        nats a row, NaN where nothing was known (of the last 10 000 calls);
        `drifts_`, the calls, from 0, whose rows fell short of those before by more than chance
        (`mixtura.fit.drift.Watch`), a `DriftWarning` each: rows are then gathered anew, and
        what came before is forgotten;
        `n_samples_seen_`; `lower_bounds_`, the finite scores; and `n_iter_`, steps.

    Raises
    ------
    InputError, InputTypeError
        Other columns than before, rows on a device.
    AttributeError
        There is no such method for several models, low-rank covariances, Student's t, noise,
        trimming or truncation; the cause says what to do.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import GaussianMixture
    >>> rng, model = np.random.default_rng(0), GaussianMixture(2, random_state=0)
    >>> for _ in range(10):
    ...     X = rng.normal(size=(500, 1)) + rng.choice([0.0, 6.0], size=(500, 1))
    ...     model = model.partial_fit(X)
    >>> model.means_.ravel().round(1).tolist(), model.n_samples_seen_, model.drifts_
    ([0.0, 6.0], 5000, [])
    """
    with as_it_was(self):
        _learn(self, X, sample_weight)
    return self


def _learn(estimator: Any, X: Any, sample_weight: Any) -> None:
    """Take one more call's rows into the stream, which the first call begins.

    Raises
    ------
    InputError, InputTypeError
        What cannot be used as rows or weights; what a stream cannot fit.
    """
    stream: Stream | None = getattr(estimator, "_stream", None)
    X, sample_weight, _ = taken(opened(X), sample_weight, None)
    read = rows_to_go_on(estimator, X) if stream else rows_to_fit(estimator, X)[1]
    if kernels.on_device(read.rows):
        raise InputError("a stream takes rows in memory: pass X.cpu().numpy()")
    rows, weights = _checks.weighted(
        read.rows, read.weights if sample_weight is None else sample_weight
    )
    stream = stream or _begun(estimator, read)
    stream, notes = stream.after(rows, weights)
    _keep(estimator, stream)
    for note in notes:
        note.warn()


def _begun(estimator: Any, read: _checks.Table) -> Stream:
    """A stream of no rows yet, for the estimator's parameters as they are now."""
    parameters.checked(estimator)
    components = counts(estimator.n_components)
    families = rules(estimator.covariance_type, read.rows.shape[1], estimator.rank)
    last = getattr(estimator, "mixture_", None) if estimator.warm_start else None
    if last is not None and last.location.shape != (components[0], read.rows.shape[1]):
        last = None
    nothing = MemorySource(read.rows[:0])
    task = parameters.task(estimator, nothing, read.names, last=last)
    return Stream(task, families[0], components[0], nothing.whole, last, last)


def _keep(estimator: Any, stream: Stream) -> None:
    """What the stream has come to, by scikit-learn's names."""
    estimator._stream, estimator.n_samples_seen_ = stream, stream.rows
    scores = np.array(stream.scores)
    estimator.stream_scores_, estimator.drifts_ = scores, list(stream.drifts)
    if stream.mixture is None:
        return
    names = getattr(estimator, "feature_names_in_", None)
    estimator.mixture_ = stream.mixture.changed(
        feature_names=None if names is None else tuple(names)
    )
    estimator.lower_bounds_ = scores[np.isfinite(scores)].tolist()
    estimator.converged_, estimator.n_iter_ = False, stream.steps
    estimator.covariance_type_, estimator.selection_ = stream.rule.name, None
    estimator.cut_, estimator.deconvolved_, estimator.n_censored_ = None, False, 0
