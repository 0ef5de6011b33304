"""Estimators and what engines hold: columns noted, and answers that stay where the rows are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from mixtura._errors import InputError, InputTypeError
from mixtura.fit.apart import refuse_told
from mixtura.fit.told import Told
from mixtura.mixture import Mixture
from mixtura.source.opening import engine, module

__all__ = ["assign", "assigned_column", "over_partitions"]

_KINDS: dict[str, tuple[str, str, Any]] = {
    "predict": ("label", "bigint", np.int64),
    "score_samples": ("log_density", "double", np.float64),
    "predict_proba": ("probabilities", "array<double>", np.float64),
}
"""Methods, and what a column of their answers is called and holds."""


def assign(model: Any, X: Any, **columns: str) -> Any:
    """A Dask or Spark data frame with columns of answers, not computed yet.

    Parameters
    ----------
    model : Mixture or fitted GaussianMixture
    X : dask.dataframe.DataFrame or pyspark.sql.DataFrame
        With the columns that the model was fitted to, and any others beside them.
    **columns : str
        Names of columns to add, and what they hold: "label", the most probable component,
        "log_density", or with Spark "probabilities". By default ``label="label",
        log_density="log_density"``.

    Returns
    -------
    data frame
        Of the same kind.

    Raises
    ------
    InputError, InputTypeError
        An unknown answer, a column that is there already or is missing, or what is no such frame.

    Examples
    --------
    >>> import dask.dataframe as dd
    >>> import pandas as pd
    >>> from mixtura import Mixture, assign
    >>> mixture = Mixture([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]], feature_names=["x"])
    >>> frame = dd.from_pandas(pd.DataFrame({"x": [0.1, 3.9], "id": [7, 8]}), npartitions=1)
    >>> assign(mixture, frame, cluster="label").compute()["cluster"].tolist()
    [0, 1]
    """
    light = _light(model)
    asked = columns or {"label": "label", "log_density": "log_density"}
    methods = {name: _method(what) for name, what in asked.items()}
    kind = engine(X)
    if kind == "pyspark":
        return _spark(light, X, methods)
    if kind is None or not hasattr(X, "columns"):
        raise InputTypeError("assign adds columns to a Dask or Spark data frame; use predict")
    return X.assign(**{name: _dask(light, X, method) for name, method in methods.items()})


def assigned_column(model: Any, *columns: Any, what: str = "label") -> Any:
    """An answer as a Spark expression over columns: ``frame.withColumn("label", ...)``.

    Parameters
    ----------
    model : Mixture or fitted GaussianMixture
    *columns : str or pyspark.sql.Column
        In the order of the model's features.
    what : "label", "log_density" or "probabilities"

    Returns
    -------
    pyspark.sql.Column

    Raises
    ------
    InputError
        An unknown answer, or another number of columns than the model has features.
    """
    light, method = _light(model), _method(what)
    if len(columns) != light.n_features_in_:
        raise InputError(f"{len(columns)} columns for {light.n_features_in_} features: name each")
    function = partial(_answer_by_position, light, method)
    return module("pyspark").as_column(columns, _KINDS[method][1], function)


def over_partitions(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method of an estimator, partition by partition where X is an engine's collection."""

    @wraps(method)
    def called(self: Any, X: Any, **told: Any) -> Any:
        kind = engine(X)
        if kind is None:
            return method(self, X, **told)
        refuse_told(Told(**told))
        check_is_fitted(self, "mixture_")
        light, name = _light(self), method.__name__
        if kind == "dask":
            return _dask(light, X, name)
        return _spark(light, X, {_KINDS[name][0]: name})

    return called


def _light(model: Any) -> Any:
    """A fitted estimator with nothing but its mixture: what is sent to every partition."""
    from mixtura.estimators.gaussian_mixture import GaussianMixture

    if isinstance(model, Mixture):
        return GaussianMixture.from_mixture(model, n_jobs=1)
    check_is_fitted(model, "mixture_")
    box = {name: value for name, value in model.get_params().items() if name == "truncation"}
    light = type(model).from_mixture(model.mixture_, n_jobs=1, **box)
    light.cut_ = model.cut_
    return light


def _method(what: str) -> str:
    known = {kind[0]: name for name, kind in _KINDS.items()}
    if what not in known:
        raise InputError(f"{what!r} is no answer: use one of {tuple(known)}")
    return known[what]


def _dask(light: Any, X: Any, name: str) -> Any:
    width = light.n_components_ if name == "predict_proba" else None
    columns = getattr(X, "columns", None)
    if columns is not None:
        X = X[_wanted(light, list(columns))]
    return module("dask").by_rows(X, getattr(light, name), width, _KINDS[name][2])


def _spark(light: Any, X: Any, methods: dict[str, str]) -> Any:
    wanted = _wanted(light, X.columns)
    added = {
        name: (_KINDS[method][1], partial(_answer, light, method, wanted))
        for name, method in methods.items()
    }
    return module("pyspark").with_columns(X, added)


def _wanted(light: Any, columns: list[Any]) -> list[Any]:
    """The columns that the model was fitted to, in its order."""
    names = list(getattr(light, "feature_names_in_", columns))
    missing = [name for name in names if name not in columns]
    if missing:
        raise InputError(f"the data lack the model's columns {missing}; they have {columns}")
    return names


def _answer(light: Any, method: str, wanted: list[str], table: Any) -> Any:
    return getattr(light, method)(table.select(wanted))


def _answer_by_position(light: Any, method: str, table: Any) -> Any:
    names = list(getattr(light, "feature_names_in_", table.column_names))
    return getattr(light, method)(table.rename_columns(names))
