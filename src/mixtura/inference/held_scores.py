"""Log scores of several models on the same items, whatever the models are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError, InputTypeError
from mixtura._types import Array, Indices


def held_scores(models: Any, X: Any, y: Any) -> tuple[tuple[str, ...], Array]:
    """Names (m,) and log scores (n, m), finite.

    Raises
    ------
    InputError, InputTypeError
        Fewer than two models or items, other lengths, missing or infinite scores, or a model that
        gives none.
    """
    names, given = _named(models)
    columns = [_scores(name, model, X, y) for name, model in zip(names, given, strict=True)]
    lengths = {name: len(column) for name, column in zip(names, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        raise InputError(
            f"the models scored different numbers of items, {lengths}: score all on the same "
            "items, in the same order"
        )
    scores = np.column_stack(columns)
    if len(scores) < 2:
        raise InputError("one item: at least two are needed to say how far scores vary")
    for name, column in zip(names, columns, strict=True):
        _finite(name, column)
    return names, scores


def _named(models: Any) -> tuple[tuple[str, ...], list[Any]]:
    """Names and models, or columns of scores."""
    if isinstance(models, Mapping):
        names, given = tuple(map(str, models)), list(models.values())
    elif isinstance(models, Sequence):
        names, given = tuple(f"model {i}" for i in range(len(models))), list(models)
    else:
        table = _checks.table(models)
        given = list(np.asarray(table.rows, dtype=np.float64).T)
        names = table.names or tuple(f"model {i}" for i in range(len(given)))
    if len(given) < 2:
        raise InputError(
            f"{len(given)} model{'s' * (len(given) != 1)}: at least two are compared; give a "
            "mapping of names to models or to arrays of log scores"
        )
    return names, given


def _scores(name: str, model: Any, X: Any, y: Any) -> Array:
    """Log scores (n,) of one model."""
    scored = _by_model(name, model, X, y)
    values = _checks.numbers(model if scored is None else scored, f"the log scores of {name!r}")
    if values.ndim != 1:
        raise InputError(
            f"the log scores of {name!r} have shape {values.shape}: one an item is needed, (n,)"
        )
    return values


def _by_model(name: str, model: Any, X: Any, y: Any) -> Any:
    """What a model says of the items; None where it is an array of scores already."""
    if isinstance(model, type):
        raise InputTypeError(f"{name!r} is the class {model.__name__}: give a fitted instance")
    methods = ("logpdf", "score_samples") if y is None else ("predict_dist", "predict_log_proba")
    method = next((getattr(model, own) for own in methods if hasattr(model, own)), None)
    if method is None and not callable(model):
        if hasattr(model, "__len__") or hasattr(model, "__array__"):
            return None
        raise InputTypeError(
            f"{name!r} is a {type(model).__name__} without {' or '.join(methods)}: give a model "
            "that has it, a function of X, or an array of log scores"
        )
    if X is None:
        raise InputError(f"{name!r} is a model: give the items that it is to score as X")
    if y is None:
        return (method or model)(X)
    if method is None:
        return model(X, y)
    if hasattr(model, "predict_dist"):
        return method(X).logpdf(np.asarray(y).reshape(len(np.asarray(y)), -1))
    return _of_classes(name, model, method(X), y)


def _of_classes(name: str, model: Any, log_proba: Any, y: Any) -> Array:
    """The log-probability of each row's class."""
    truth, classes = np.asarray(y), np.asarray(model.classes_)
    codes = np.minimum(np.searchsorted(classes, truth), len(classes) - 1)
    lost = np.flatnonzero(classes[codes] != truth)
    if len(lost):
        raise InputError(
            f"{name!r} knows no class {truth[lost[0]]}; its classes: {classes.tolist()}. "
            "Leave such items out for every model"
        )
    return np.asarray(log_proba)[np.arange(len(truth)), codes]


def _finite(name: str, column: Array) -> None:
    missing, endless = np.flatnonzero(np.isnan(column)), np.flatnonzero(np.isinf(column))
    if len(missing):
        raise InputError(
            f"{name!r} has no score for item {missing[0]} ({len(missing)} such items): score it, "
            "or leave these items out for every model; filling them in would favour one"
        )
    if len(endless):
        raise InputError(
            f"{name!r} gives item {endless[0]} the score {column[endless[0]]} ({len(endless)} such "
            "items): a single probability of zero decides any mean. Mix the model with a broad "
            "background, or leave it out"
        )


def group_codes(groups: Any, n: int) -> Indices:
    """Numbers 0..G-1 of the items' groups, (n,); each item its own where none are given.

    Raises
    ------
    InputError
        Another length, or a single group.
    """
    if groups is None:
        return np.arange(n)
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise InputError(f"groups have shape {labels.shape}: one label an item is needed, ({n},)")
    _, codes = np.unique(labels, return_inverse=True)
    if codes.max() == 0:
        raise InputError("all items are in one group: at least two are needed for standard errors")
    return codes.astype(np.intp)
