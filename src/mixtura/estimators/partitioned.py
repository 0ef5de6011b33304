"""Estimators and what engines hold: columns noted, and answers that stay where the rows are."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from mixtura._errors import InputError, InputTypeError
from mixtura.estimators.seeds import drawn_seed
from mixtura.fit.apart import refuse_told
from mixtura.fit.told import Told
from mixtura.source.opening import engine, module, remote
from mixtura.source.remote import RemoteSource

__all__ = ["assign", "assigned_column", "over_partitions"]

TOLD = ("noise_cov", "projection", "lower", "upper")
"""What may be said of rows besides their numbers."""

_NAMES = {
    "predict": "label",
    "score_samples": "log_density",
    "predict_proba": "probabilities",
}
"""Methods, and what a column of their answers is called; others have the method's name."""


def assign(model: Any, X: Any, **columns: str) -> Any:
    """A Dask or Spark data frame with columns of answers, not computed yet.

    Parameters
    ----------
    model : Mixture or fitted estimator
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
    light = lightened(model)
    asked = columns or {"label": "label", "log_density": "log_density"}
    answers = {name: Answer.of(light, _method(what)) for name, what in asked.items()}
    kind = engine(X)
    if kind == "pyspark":
        typed = {name: answer.typed(X.columns) for name, answer in answers.items()}
        return module("pyspark").with_columns(X, typed)
    if kind is None or not hasattr(X, "columns"):
        raise InputTypeError("assign adds columns to a Dask or Spark data frame; use predict")
    return X.assign(**{name: answer.dask(X) for name, answer in answers.items()})


def assigned_column(model: Any, *columns: Any, what: str = "label") -> Any:
    """An answer as a Spark expression over columns: ``frame.withColumn("label", ...)``.

    Parameters
    ----------
    model : Mixture or fitted estimator
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
    light = lightened(model)
    answer = Answer.of(light, _method(what))
    if len(columns) != light.n_features_in_:
        raise InputError(f"{len(columns)} columns for {light.n_features_in_} features: name each")
    function = partial(_answer_by_position, answer)
    return module("pyspark").as_column(columns, answer.kind, function)


def over_partitions(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method of an estimator, partition by partition where X is an engine's collection.

    What it gives of each row, and of what kind, it is asked with a row of zeros.
    """

    @wraps(method)
    def called(self: Any, X: Any, *given: Any, **told: Any) -> Any:
        kind = engine(X)
        if kind is None:
            return method(self, X, *given, **told)
        refuse_told(Told(**{name: told.get(name) for name in TOLD}))
        check_is_fitted(self)
        answer = Answer.of(lightened(self), method.__name__, *given, **told)
        return answer.dask(X) if kind == "dask" else answer.spark(X)

    return called


def apart_like_fitted(model: Any, X: Any, sample_weight: Any) -> RemoteSource | None:
    """The source of new rows in partitions, with the columns of the fit; None for rows at hand.

    Raises
    ------
    NotFittedError
    InputError
        Other columns than those of the fit, or weights that cannot be used.
    """
    if engine(X) is None:
        return None
    check_is_fitted(model)
    columns = getattr(X, "columns", None)
    if columns is not None:
        beside = [sample_weight] if isinstance(sample_weight, str) else []
        wanted = _wanted(model, [name for name in columns if name not in beside])
        X = X[[*wanted, *(name for name in beside if name in columns)]]
    apart = remote(X, sample_weight)
    if apart is not None and apart.d != model.n_features_in_:
        raise InputError(
            f"X has {apart.d} features, but the mixture is expecting {model.n_features_in_} "
            "features as input: pass the same columns, in the same order"
        )
    return apart


@dataclass(frozen=True, eq=False)
class Answer:
    """What a fitted estimator says of each row.

    Attributes
    ----------
    light : the estimator with nothing but what it needs to answer
    method : its name
    given, told : what the method is given besides rows
    like : (1, ...) array
        What it says of one row.
    """

    light: Any
    method: str
    given: tuple[Any, ...]
    told: dict[str, Any]
    like: Any

    @classmethod
    def of(cls, light: Any, method: str, *given: Any, **told: Any) -> Answer:
        """Of a method that gives an array."""
        bare = copy(light)
        vars(bare).pop("feature_names_in_", None)
        like = getattr(bare, method)(np.zeros((1, light.n_features_in_)), *given, **told)
        if not isinstance(like, np.ndarray):
            raise InputError(
                f"{method} with these options gives no array, and rows are in partitions: ask for "
                "one array, or for some of the rows, X.head()"
            )
        return cls(light, method, given, told, like)

    def __call__(self, rows: Any) -> Any:
        return getattr(self.light, self.method)(rows, *self.given, **self.told)

    def dask(self, X: Any) -> Any:
        """A Dask collection, not computed yet."""
        columns = getattr(X, "columns", None)
        if columns is not None:
            X = X[_wanted(self.light, list(columns))]
        names = self.light.get_feature_names_out() if self.method == "transform" else None
        return module("dask").by_rows(X, self, self.like, names)

    def spark(self, X: Any) -> Any:
        """The Spark data frame with a column more."""
        return module("pyspark").with_columns(X, {self.column: self.typed(X.columns)})

    def typed(self, columns: Any) -> tuple[str, Any]:
        """Spark's name of the type, and a function of an Arrow table."""
        return self.kind, partial(_answer, self, _wanted(self.light, columns))

    @property
    def __name__(self) -> str:
        """What Dask calls it."""
        return self.method

    @property
    def column(self) -> str:
        """What a column of such answers is called."""
        return _NAMES.get(self.method, self.method)

    @property
    def kind(self) -> str:
        """Spark's name of the type."""
        one = {"i": "bigint", "f": "double", "b": "boolean"}.get(self.like.dtype.kind, "string")
        for _ in range(self.like.ndim - 1):
            one = f"array<{one}>"
        return one


_HEAVY = ("_fitted_to", "_stream", "selection_")
"""What they do without."""


def lightened(model: Any) -> Any:
    """A fitted estimator with nothing but what it answers by: what is sent to every partition."""
    from mixtura.estimators.gaussian_mixture import GaussianMixture

    if not isinstance(model, BaseEstimator):
        return GaussianMixture.from_mixture(model, n_jobs=1)
    check_is_fitted(model)
    light = copy(model)
    for name in _HEAVY:
        vars(light).pop(name, None)
    for name, value in (("n_jobs", 1), ("callback", None)):
        if name in vars(light):
            setattr(light, name, value)
    if "random_state" in vars(light):  # what is computed again must come out the same
        light.random_state = drawn_seed(light.random_state)
    return light


def _method(what: str) -> str:
    known = {name: method for method, name in _NAMES.items()}
    if what not in known:
        raise InputError(f"{what!r} is no answer: use one of {tuple(known)}")
    return known[what]


def _wanted(light: Any, columns: list[Any]) -> list[Any]:
    """The columns that the model was fitted to, in its order."""
    names = list(getattr(light, "feature_names_in_", columns))
    missing = [name for name in names if name not in columns]
    if missing:
        raise InputError(f"the data lack the model's columns {missing}; they have {columns}")
    return names


def _answer(answer: Answer, wanted: list[str], table: Any) -> Any:
    return answer(table.select(wanted))


def _answer_by_position(answer: Answer, table: Any) -> Any:
    names = list(getattr(answer.light, "feature_names_in_", table.column_names))
    return answer(table.rename_columns(names))
