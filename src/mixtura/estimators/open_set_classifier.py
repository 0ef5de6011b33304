"""The classifier that knows what it does not know, as a thin shell."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array, Mask, Rows
from mixtura.estimators.following import as_it_was
from mixtura.estimators.partitioned import over_partitions
from mixtura.estimators.rows import rows_at_hand, rows_here
from mixtura.estimators.seeds import drawn_seed
from mixtura.estimators.targets import coded, known_codes
from mixtura.fit.class_scatter import Labelled
from mixtura.inference.conformal import Conformal
from mixtura.inference.decisions import Decisions, entropies
from mixtura.inference.open_set import SETS, Calibrated, OpenSet, held_out

_NO_GAPS = (
    "fill gaps first, as by MixtureImputer, or use MixtureClassifier, which takes rows as they are"
)

_UNITS = {"auto": None, "own": False, "common": True}


class OpenSetClassifier(ClassifierMixin, BaseEstimator):
    """Classification of rows that may be of no known class: label, ask, or abstain.

    For embeddings, where columns are many and rows of a class few. Each class has a Gaussian whose
    covariance is shrunk towards the one that all classes share. A row is *novel* where the density
    of the known classes is low beside one broad Gaussian for all rows, and *ambiguous* where
    several classes are probable. Rows held out from the fit turn both into statements with a
    guaranteed rate of errors: p-values, and sets of candidates.

    Parameters
    ----------
    n_components : int, default=1
        Gaussians a class, split off by k-means; fewer where a class has fewer rows.
    shrinkage : "auto" or float in [0, 1], default="auto"
        λ: the covariance within the classes becomes ``(1 - λ) R + λ I`` in `units`.
    units : {"auto", "own", "common"}, default="auto"
        R is in units of the deviation of each column ("own": nothing depends on the columns' units)
        or in one unit for all ("common": nothing depends on rotations, and columns that hardly
        vary count little).
    pooling : "auto" or float > 0, default="auto"
        ν: how many rows of each class the pooled covariance is worth; infinity for one covariance
        common to all classes (linear discriminant analysis).
    rank : int, default=16
        Directions in which a class has a variance of its own; across them it is round.
    calibration : float in (0, 1) or None, default=0.2
        Share of the rows held out from the fit, at random. With None all rows are fitted to, and
        `calibrate` must be given others.
    sets : {"marginal", "adaptive", "by class"}, default="marginal"
        Sets of candidates: the smallest on average; such as grow with doubt; or the smallest with
        a guarantee for each class by itself, which takes some 20 rows held out of each class for
        an error rate of 5 %.
    novelty_rate : float in (0, 1), default=0.05
        Share of rows of the known classes that may be called novel.
    novel_label : optional
        What `predict` says of novel rows: a value of the kind of the classes that is none of them.
        With None, the default, every row gets the most probable class.
    random_state : int, RandomState or None, default=None

    Attributes
    ----------
    classes_ : (C,) ndarray
    model_ : OpenSet
        The class densities, what was chosen of them, and the temperature.
    temperature_ : float
        T >= 1 of the posterior ``P(c | x) ∝ π_c p(x | c)^(1/T)``.
    shrinkage_, pooling_ : float
        λ and ν, given or chosen.
    units_ : {"own", "common"}
    calibrated_ : Calibrated or None
        What the rows held out say.
    conformal_ : Conformal
        The part of it that p-values are by.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    Units, λ, ν and T are chosen together, by the mean ``log P(y | x)`` of parts of the fitted rows
    that are left out in turn; the rows held out for calibration take no part in it. In hundreds of
    columns class densities are far too sure of themselves: temperatures of ten are usual.

    Equal rows of one class count as one row with their weight, so that none is on both sides of a
    split. Columns that are constant in the fit do not count.

    With one class alone there is no background, and p-values are by the density itself.

    References
    ----------
    Greene & Rayens (1989), "Partially pooled covariance matrix estimation in discriminant
    analysis", Communications in Statistics 18, 3679-3702. Ren, Fort, Liu, Roy, Padhy &
    Lakshminarayanan (2021), "A simple fix to Mahalanobis distance for improving near-OOD
    detection", arXiv:2106.09022. Bates et al. (2023) for p-values, Sadinle et al. (2019), Romano et
    al. (2020) and Vovk (2012) for sets: see `mixtura.inference.conformal_sets.ConformalSets`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from mixtura import OpenSetClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> new, known = np.arange(len(y)) % 4 == 0, y < 8  # eights and nines are never fitted
    >>> fitted = known & ~new
    >>> model = OpenSetClassifier(random_state=0).fit(X[fitted], y[fitted])
    >>> odd = model.p_values(X[new]) <= 0.05
    >>> bool(odd[known[new]].mean() < 0.1), bool(odd[~known[new]].mean() > 0.6)
    (True, True)
    >>> print(model.decide(X[new], error_rate=0.01))  # doctest: +ELLIPSIS
    450 rows at error rate 0.01, novelty rate 0.05: ...
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        shrinkage: Any = "auto",
        units: str = "auto",
        pooling: Any = "auto",
        rank: int = 16,
        calibration: float | None = 0.2,
        sets: str = "marginal",
        novelty_rate: float = 0.05,
        novel_label: Any = None,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.shrinkage = shrinkage
        self.units = units
        self.pooling = pooling
        self.rank = rank
        self.calibration = calibration
        self.sets = sets
        self.novelty_rate = novelty_rate
        self.novel_label = novel_label
        self.random_state = random_state

    # ---- fitting

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit a density to each class, and calibrate on the rows held out.

        Parameters
        ----------
        X : (n, d) array_like, data frame, scan, or Dask or Spark collection
            Rows of collections are brought here.
        y : (n,) array_like, or str
            Classes. Or the name of a column, and so for weights.
        sample_weight : (n,) array_like, or str, optional
            A weight counts as so many repetitions.

        Returns
        -------
        self

        Raises
        ------
        InputError, InputTypeError
            Data, classes, weights or parameters that cannot be used; says which and what to do.
        """
        self._check()
        with as_it_was(self):
            return self._fit(rows_at_hand(self, X, sample_weight, y)[1])

    def _fit(self, read: _checks.Table) -> Self:
        rows = _checks.without_gaps(read.rows, _NO_GAPS)
        weights = _checks.row_weights(read.weights, len(rows))
        classes, codes = coded(read.aside, len(rows), False, weights)
        self._check_novel(classes)
        seed = drawn_seed(self.random_state)
        data, held = Labelled.of(rows, codes, weights, len(classes)), None
        if self.calibration is not None:
            data, held = held_out(data, float(self.calibration), seed)
        model = OpenSet.fitted(data, seed, **self._shape())
        calibrated = None
        if held is not None:
            calibrated = Calibrated.of(model, held.rows, held.codes, held.weights, self.sets)
        self.classes_, self.model_, self.calibrated_ = classes, model, calibrated
        return self

    def calibrate(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Take other rows to calibrate by: of the known classes, and not those of the fit.

        Returns
        -------
        self
        """
        rows = self._rows(X)
        codes = known_codes(y, len(rows), self.classes_)
        weights = _checks.row_weights(_checks.weights_beside(X, sample_weight), len(rows))
        self.calibrated_ = Calibrated.of(self.model_, rows, codes, weights, self.sets)
        return self

    def _check(self) -> None:
        for name, low, high in (("shrinkage", 0.0, 1.0), ("pooling", 0.0, np.inf)):
            value = getattr(self, name)
            if value != "auto" and not (_number(value) and low <= value <= high):
                raise InputError(f'{name}={value!r}: use "auto" or a number from {low} to {high}')
        if self.pooling == 0:
            raise InputError("pooling=0 leaves covariances singular: use a number above zero")
        for name in ("n_components", "rank"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name}={value!r} must be a whole number, at least 1")
        if self.calibration is not None:
            _check_rate("calibration", self.calibration)
        _check_rate("novelty_rate", self.novelty_rate)
        if self.sets not in SETS:
            raise InputError(f"sets={self.sets!r}: use one of {tuple(SETS)}")
        if self.units not in _UNITS:
            raise InputError(f"units={self.units!r}: use one of {tuple(_UNITS)}")

    def _check_novel(self, classes: Any) -> None:
        if self.novel_label is None:
            return
        if self.novel_label in classes.tolist():
            raise InputError(f"novel_label={self.novel_label!r} is one of the classes: use another")
        kind = np.asarray(self.novel_label).dtype.kind
        if (kind in "US") != (classes.dtype.kind in "US"):
            raise InputError(
                f"novel_label={self.novel_label!r} is not of the kind of the classes, such as "
                f"{classes[0]!r}: use text among texts and a number among numbers"
            )

    def _shape(self) -> dict[str, Any]:
        return {
            "shrinkage": None if self.shrinkage == "auto" else float(self.shrinkage),
            "pooling": None if self.pooling == "auto" else float(self.pooling),
            "common": _UNITS[self.units],
            "rank": int(self.rank),
            "cells": int(self.n_components),
        }

    # ---- using the fit

    @over_partitions
    def predict(self, X: Any) -> Any:
        """The most probable class of each row, (n,); `novel_label`, if any, for novel rows.

        Novel are rows with a p-value of at most `novelty_rate`.
        """
        posterior, ratio = self._judged(X)
        best = self.classes_[posterior.argmax(axis=1)]
        if self.novel_label is None:
            return best
        novel = self._calibrated().novelty.p_values(ratio) <= self.novelty_rate * (1.0 + 1e-9)
        out = best.astype(np.result_type(best.dtype, np.asarray(self.novel_label).dtype))
        out[novel] = self.novel_label
        return out

    @over_partitions
    def predict_proba(self, X: Any) -> Array:
        """Probabilities (n, C) of the classes, given that it is one of them."""
        return np.exp(self.predict_log_proba(X))

    @over_partitions
    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms (n, C) of the probabilities, exact where these underflow."""
        return self._judged(X)[0]

    @over_partitions
    def entropy(self, X: Any) -> Array:
        """Entropy (n,) of the probabilities of the classes, in nats: high for ambiguous rows."""
        return entropies(self.predict_log_proba(X))

    @over_partitions
    def novelty(self, X: Any) -> Array:
        """``log p_0(x) - log Σ_c π_c p(x | c)`` of each row, (n,): high for novel rows.

        How much better one broad Gaussian p_0 explains the row than the known classes do.
        """
        return -self._judged(X)[1]

    @over_partitions
    def p_values(self, X: Any) -> Array:
        """Conformal p-value (n,) for "the row is like those held out": small for novel rows.

        ``(1 + #{held out rows at least as novel}) / (1 + #{held out rows})``: for a new row that is
        exchangeable with these at most α with a probability of at most α.

        Raises
        ------
        InputError
            No rows were held out.
        """
        return self._calibrated().novelty.p_values(self._judged(X)[1])

    @over_partitions
    def predict_set(self, X: Any, error_rate: float = 0.05) -> Mask:
        """Which classes (n, C) the rows held out do not rule out.

        The class of a new row that is exchangeable with these is in the set with a probability of
        at least ``1 - error_rate``; with ``sets="by class"`` given its class, too. Sets may be
        empty.
        """
        _check_rate("error_rate", error_rate)
        return self._calibrated().sets.members(self.predict_log_proba(X), error_rate)

    def decide(
        self, X: Any, error_rate: float = 0.05, novelty_rate: float | None = None
    ) -> Decisions:
        """What to do with each row: name its class, ask among candidates, or abstain.

        Parameters
        ----------
        X : (n, d) array_like or data frame
        error_rate : float, default=0.05
            Probability, at most, that the class of a row of a known class is not among the
            candidates, and so that such a row gets a wrong label.
        novelty_rate : float, optional
            Probability, at most, that a row of a known class is abstained on; by default that of
            the estimator.

        Returns
        -------
        Decisions
        """
        rates = error_rate, self.novelty_rate if novelty_rate is None else novelty_rate
        for name, rate in zip(("error_rate", "novelty_rate"), rates, strict=True):
            _check_rate(name, rate)
        posterior, ratio = self._judged(X)
        known = self._calibrated()
        members = known.sets.members(posterior, error_rate)
        p_values = known.novelty.p_values(ratio)
        return Decisions.of(self.classes_, posterior, members, p_values, rates)

    def _judged(self, X: Any) -> tuple[Array, Array]:
        rows = self._rows(X)
        return self.model_.judged(rows)

    def _rows(self, X: Any) -> Rows:
        return _checks.without_gaps(rows_here(self, X, "model_"), _NO_GAPS)

    def _calibrated(self) -> Calibrated:
        check_is_fitted(self, "model_")
        if self.calibrated_ is None:
            raise InputError(
                "no rows were held out to calibrate by: give calibration, as in calibration=0.2, "
                "or call calibrate with rows of the known classes that the fit has not seen"
            )
        return self.calibrated_

    # ---- the fit by its parts

    @property
    def conformal_(self) -> Conformal:
        """How the rows held out score as known ones."""
        return self._calibrated().novelty

    @property
    def temperature_(self) -> float:
        """T of the posterior."""
        return self._chosen.temperature

    @property
    def shrinkage_(self) -> float:
        """λ."""
        return self._chosen.shape.shrinkage

    @property
    def units_(self) -> str:
        """The units of the columns."""
        return "common" if self._chosen.shape.common else "own"

    @property
    def pooling_(self) -> float:
        """ν."""
        return self._chosen.shape.pooling

    @property
    def _chosen(self) -> Any:
        if "model_" not in self.__dict__:
            raise AttributeError(f"this {type(self).__name__} is not fitted yet: call fit first")
        return self.model_.chosen


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_rate(name: str, value: Any) -> None:
    if not (_number(value) and 0.0 < value < 1.0):
        raise InputError(f"{name}={value!r} must be a share between 0 and 1")
