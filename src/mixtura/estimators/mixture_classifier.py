"""The classifier: a mixture for each class, as a thin shell."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.conditioning import log_sums
from mixtura.estimators.following import as_it_was
from mixtura.estimators.partitioned import over_partitions
from mixtura.estimators.plans import checked, plan_of
from mixtura.estimators.rows import rows_at_hand, rows_here
from mixtura.estimators.seeds import drawn_seed
from mixtura.estimators.targets import coded, known_codes
from mixtura.fit.class_model import ClassModel
from mixtura.fit.classes import classified
from mixtura.fit.select import threads
from mixtura.inference.assessment import (
    CrossValidation,
    brier,
    cross_validated,
    stratified,
)
from mixtura.inference.class_report import ClassReport, reported
from mixtura.mixture import Mixture
from mixtura.source import MemorySource
from mixtura.source.memory import one_blas_thread


class MixtureClassifier(ClassifierMixin, BaseEstimator):
    """Classification by Gaussian mixtures: a density for each class, and Bayes' rule.

    ``P(c | x) ∝ π_c P_c(x)``. By default each class has one Gaussian of its own, which is quadratic
    discriminant analysis; with several components it is mixture discriminant analysis (Hastie &
    Tibshirani 1996; Fraley & Raftery 2002), with ``shared=True`` eigenvalue decomposition
    discriminant analysis (Bensmail & Celeux 1996), of which ``covariance_type="tied"`` is linear
    discriminant analysis. Weights, missing values, priors and rows without a label can be had in
    any combination.

    Parameters
    ----------
    n_components : int, iterable of int, "auto", or dict of these by class, default=1
        Components of each class; several, or "auto" for 1..9, are compared by `criterion`.
    covariance_type : str, sequence of str, "all", or dict of these by class, default="full"
        Families of covariances; several are compared by `criterion`.
    shared : bool, default=False
        One family, fitted to all classes together, with one component each.
    criterion : {"bic", "aic", "icl", "cv"}, default="bic"
        Smaller is better; "cv" is not available with ``shared=True``.
    semi_supervised : bool or "missing", default=False
        Take rows without a label too: those whose y is -1, NaN or None; with "missing" only NaN
        and None, so that -1 may name a class.
    priors : None, "uniform", dict by class or (C,) array_like, default=None
        Probabilities of the classes; None takes their shares of the rows.
    reg_covar : float or "auto", default="auto"
        A number is added to the variances, in squared units of the data.
    prior : None, "fraley-raftery" or Conjugate, default=None
        On the parameters of each class's mixture.
    tol : float, default=1e-6
    max_iter : int, default=1000
    n_init : int, default=1
    random_state : int, RandomState or None, default=None
    n_jobs : int, optional
        Threads; all cores by default. The result does not depend on it.

    Attributes
    ----------
    classes_ : (C,) ndarray
    priors_ : (C,) ndarray
        Probabilities of the classes.
    mixtures_ : list of C Mixtures
    model_ : ClassModel
        Priors and mixtures as one value.
    fit_ : ClassFit
        What was compared and chosen, the log-likelihood and the number of parameters.
    converged_ : bool
    n_iter_ : int
        E+M steps taken, of the class that took most.
    mixture_ : Mixture
        All components together: the density of a row whose class is unknown.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    Where several components or families are compared by BIC, AIC or ICL without a prior, those
    with more parameters than the class has rows are not tried: their likelihoods have spurious
    maxima. ``fit_.tables`` names them. ``prior="fraley-raftery"`` and ``criterion="cv"`` lift the
    bound; `cross_validate` tells whether a choice pays.

    With rows that have no label, the first guess comes from one covariance common to all classes;
    then the choice and the climb take turns (structural EM: Friedman 1998).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from mixtura import MixtureClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MixtureClassifier(covariance_type="tied", shared=True).fit(X, y)
    >>> round(model.score(X, y), 3)
    0.98
    """

    def __init__(
        self,
        n_components: Any = 1,
        *,
        covariance_type: Any = "full",
        shared: bool = False,
        criterion: str = "bic",
        semi_supervised: Any = False,
        priors: Any = None,
        reg_covar: Any = "auto",
        prior: Any = None,
        tol: float = 1e-6,
        max_iter: int = 1000,
        n_init: int = 1,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.shared = shared
        self.criterion = criterion
        self.semi_supervised = semi_supervised
        self.priors = priors
        self.reg_covar = reg_covar
        self.prior = prior
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state
        self.n_jobs = n_jobs

    # ---- fitting

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit a density to each class.

        Parameters
        ----------
        X : (n, d) array_like, data frame, scan, or Dask or Spark collection
            NaN where unobserved. Rows of collections are brought here.
        y : (n,) array_like, or str
            Classes; see `semi_supervised` for rows that have none. Or the name of a column.
        sample_weight : (n,) array_like, or str, optional
            Or the name of a column.

        Returns
        -------
        self

        Raises
        ------
        InputError, InputTypeError
            Data, classes, weights or parameters that cannot be used; says which and what to do.
        """
        with as_it_was(self), one_blas_thread():
            return self._fit(X, y, sample_weight)

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> Self:
        checked(self)
        _, read = rows_at_hand(self, X, sample_weight, y)
        source = MemorySource(*_checks.weighted(read.rows, read.weights))
        told = source.n, self.semi_supervised, source.whole.weights
        self.classes_, codes = coded(read.aside, *told)
        plan = plan_of(self, source, codes, read.names)
        self.fit_ = classified(plan, self.shared)
        for note in self.fit_.notes:
            note.warn()
        return self

    def cross_validate(
        self, X: Any, y: Any, folds: int = 10, *, sample_weight: Any = None
    ) -> CrossValidation:
        """Error, Brier score and log-loss on rows held out, with standard errors.

        The folds are stratified by class and drawn by `random_state`; in each, everything is
        chosen and fitted anew. Rows without a label take part in every fit. The estimator itself
        is left as it is.

        Parameters
        ----------
        X : (n, d) array_like or data frame
        y : (n,) array_like
        folds : int, default=10
        sample_weight : (n,) array_like, optional

        Returns
        -------
        CrossValidation

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from mixtura import MixtureClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> found = MixtureClassifier(random_state=0).cross_validate(X, y)
        >>> found.error < 0.05
        True
        """
        checked(self)
        _, read = rows_at_hand(clone(self), X, sample_weight, y)
        source = MemorySource(*_checks.weighted(read.rows, read.weights))
        told = source.n, self.semi_supervised, source.whole.weights
        classes, codes = coded(read.aside, *told)
        plan = plan_of(self, source, codes, read.names, classes)
        seed = drawn_seed(self.random_state)
        jobs = threads(self.n_jobs)
        with one_blas_thread():
            return cross_validated(
                plan.alone(),
                lambda part: classified(part, self.shared),
                stratified(plan.codes, folds, seed),
                jobs,
            )

    # ---- using the fit

    @over_partitions
    def predict(self, X: Any) -> Any:
        """The most probable class of each row, (n,)."""
        best = self._model_joint(X).argmax(axis=1)
        return self.classes_[best]

    @over_partitions
    def predict_proba(self, X: Any) -> Array:
        """Probabilities (n, C) of the classes given each row; rows sum to one."""
        source = self._source(X)
        return self.fit_.model.probabilities(source)

    @over_partitions
    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms (n, C) of the probabilities, exact where these underflow."""
        source = self._source(X)
        return self.fit_.model.log_probabilities(source)

    @over_partitions
    def score_samples(self, X: Any) -> Array:
        """Log-density ``log Σ_c π_c P_c(x)`` of each row, (n,): low where no class fits."""
        return log_sums(self._model_joint(X))

    def brier_score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Brier score ``Σ w Σ_c (p_c - [y = c])² / 2 Σ w``, between 0 (best) and 1."""
        probabilities = self.predict_proba(X)
        codes = known_codes(y, len(probabilities), self.classes_)
        weights = _checks.row_weights(_checks.weights_beside(X, sample_weight), len(codes))
        return brier(probabilities, codes, np.ones(len(codes)) if weights is None else weights)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> tuple[Array, Any]:
        """Draw rows (n_samples, d) and their classes (n_samples,)."""
        check_is_fitted(self, "fit_")
        if _checks.whole(n_samples, "n_samples") < 0:
            raise InputError(f"n_samples={n_samples}: no fewer than no rows can be drawn")
        chosen = self.random_state if random_state is None else random_state
        seed = drawn_seed(chosen)
        rows, codes = self.fit_.model.sample(n_samples, np.random.default_rng(seed))
        return rows, self.classes_[codes]

    def report(self, X: Any, y: Any, sample_weight: Any = None) -> ClassReport:
        """Confusion, error and Brier score on some rows, beside what was fitted; prints."""
        source = self._source(X)
        weights = _checks.row_weights(_checks.weights_beside(X, sample_weight), source.n)
        codes = known_codes(y, source.n, self.classes_)
        source = MemorySource(source.whole.rows, weights, threads=source.threads)
        return reported(self.fit_, [str(name) for name in self.classes_], source, codes)

    def summary(self) -> str:
        """What was fitted, as text."""
        check_is_fitted(self, "fit_")
        return self.fit_.text([str(name) for name in self.classes_])

    def _model_joint(self, X: Any) -> Array:
        source = self._source(X)
        return self.fit_.model.log_joint(source)

    def _source(self, X: Any) -> MemorySource:
        rows = rows_here(self, X, "fit_")
        return MemorySource(rows, threads=threads(self.n_jobs))

    # ---- the fit by its parts

    @property
    def model_(self) -> ClassModel:
        """Priors and mixtures as one value."""
        return self._value.model

    @property
    def priors_(self) -> Array:
        """(C,) probabilities of the classes."""
        return self._value.model.priors

    @property
    def mixtures_(self) -> list[Mixture]:
        """The mixture of each class."""
        return list(self._value.model.mixtures)

    @property
    def converged_(self) -> bool:
        """Whether every climb ended by itself."""
        return bool(self._value.converged)

    @property
    def n_iter_(self) -> int:
        """E+M steps taken, of the class that took most."""
        return int(self._value.n_iter)

    @property
    def mixture_(self) -> Mixture:
        """All components together: the density of a row whose class is unknown."""
        return self._value.model.union

    @property
    def _value(self) -> Any:
        if "fit_" not in self.__dict__:
            raise AttributeError(f"this {type(self).__name__} is not fitted yet: call fit first")
        return self.fit_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
