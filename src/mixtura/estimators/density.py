"""Density estimation as an estimator: bounds on columns, a mixture behind them."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.estimators.following import as_it_was
from mixtura.estimators.limits import held_powers, limits, refuse_outside
from mixtura.estimators.partitioned import over_partitions
from mixtura.estimators.rows import rows_at_hand, rows_here
from mixtura.estimators.seeds import drawn_seed
from mixtura.fit.bounded import DensityFit, Plan, fitted
from mixtura.fit.em import Stop
from mixtura.fit.select import counts, rules
from mixtura.operations.bounded import BoundedMixture
from mixtura.operations.transformation import Transformation
from mixtura.source.memory import one_blas_thread


class DensityEstimator(DensityMixin, BaseEstimator):
    """Density estimate by a Gaussian mixture, on the line or on bounded columns.

    A bounded column is mapped to the line by a range and a power transformation whose power is
    chosen by maximum likelihood, and the mixture is fitted there. All that is reported is in the
    units of the data: the Jacobian is part of every density, and every density integrates to one
    over the bounds.

    Parameters
    ----------
    n_components : int, iterable of int, or "auto", default="auto"
        Several numbers, or "auto" for 1..9, are compared by `criterion`.
    bounds : None, pair, sequence of pairs, or mapping, default=None
        ``(low, high)`` for every column, a pair for each, or a mapping of names or numbers of
        columns to pairs; None stands for no bound. ``(0, None)`` is a column that is positive.
    power : float, sequence of float, or "auto", default="auto"
        λ of the transformation ``(y^λ - 1) / λ`` of each bounded column; 0 is the logarithm (the
        logit between two bounds).
    covariance_type : str or sequence of str, default=("full", "tied")
        Families to compare, as in `GaussianMixture`.
    criterion : {"bic", "aic"}, default="bic"
        Powers that are estimated count as parameters.
    prior : None, "fraley-raftery" or Conjugate, default=None
        On the mixture of the transformed columns.
    tol, max_iter, n_init
        As in `GaussianMixture`.
    random_state : int, RandomState or None, default=None
    n_jobs : int, optional
        Threads; all cores by default.

    Attributes
    ----------
    density_ : BoundedMixture
        The fitted density as a value; ``density_.mixture`` is over the transformed columns.
    n_components_ : int
    covariance_type_ : str
    power_ : (d,) ndarray
        λ of each column; NaN where it has no bound.
    bounds_ : (d, 2) ndarray
    log_likelihood_ : float
        Over the rows, by weight.
    n_parameters_ : int
    converged_ : bool
    n_features_in_, feature_names_in_
        As in scikit-learn.

    References
    ----------
    Scrucca (2019), "A transformation-based approach to Gaussian mixture density estimation for
    bounded data", Biometrical Journal 61, 873-888.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import DensityEstimator
    >>> waits = np.random.default_rng(0).exponential(2.0, (300, 1))
    >>> estimate = DensityEstimator(bounds=(0, None), random_state=0).fit(waits)
    >>> bool(estimate.cdf([[0.0]])[0] == 0.0), float(estimate.quantile(0.5).round(1))
    (True, 1.7)
    """

    def __init__(
        self,
        n_components: Any = "auto",
        *,
        bounds: Any = None,
        power: Any = "auto",
        covariance_type: Any = ("full", "tied"),
        criterion: str = "bic",
        prior: Any = None,
        tol: float = 1e-6,
        max_iter: int = 1000,
        n_init: int = 1,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.bounds = bounds
        self.power = power
        self.covariance_type = covariance_type
        self.criterion = criterion
        self.prior = prior
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state
        self.n_jobs = n_jobs

    # ---- fitting

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> Self:
        """Fit the density.

        Parameters
        ----------
        X : (n, d) array_like, data frame, scan, or Dask or Spark collection
            NaN where unobserved. Rows of collections are brought here.
        y : ignored
        sample_weight : (n,) array_like, or str, optional
            Or the name of a column.

        Returns
        -------
        self

        Raises
        ------
        InputError, InputTypeError
            Data outside or on the bounds, or parameters that cannot be used.
        """
        with as_it_was(self):
            return self._fit(X, sample_weight)

    def _fit(self, X: Any, sample_weight: Any) -> Self:
        if self.criterion not in ("bic", "aic"):
            raise InputError(f'criterion={self.criterion!r}: use "bic" or "aic"')
        _, read = rows_at_hand(self, X, sample_weight)
        rows, weights = _checks.weighted(np.asarray(read.rows, dtype=np.float64), read.weights)
        lower, upper = limits(self.bounds, self.n_features_in_, read.names)
        refuse_outside(rows, lower, upper, read.names)
        seed = drawn_seed(self.random_state)
        plan = Plan(
            rows, weights, counts(self.n_components), rules(self.covariance_type), self.criterion,
            seed, Stop(self.tol, self.max_iter), self.prior, self.n_init, self.n_jobs, read.names,
        )  # fmt: skip
        with one_blas_thread():
            power = held_powers(self.power, self.n_features_in_)
            self._keep(fitted(plan, Transformation.of(lower, upper, rows), power))
        return self

    def _keep(self, best: DensityFit) -> None:
        for note in best.notes:
            note.warn()
        self.density_, self.covariance_type_ = best.density, best.family
        self.log_likelihood_, self.n_parameters_ = best.log_likelihood, best.n_parameters
        self.converged_, self.n_iter_ = best.fit.converged, best.fit.n_iter

    # ---- using the fit

    @over_partitions
    def score_samples(self, X: Any) -> Array:
        """Log-density of each row, (n,), in the units of the data; -inf outside the bounds."""
        return self._value.logpdf(self._rows(X))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log-density in nats a row, by weight."""
        logs = self.score_samples(X)
        weights = _checks.row_weights(_checks.weights_beside(X, sample_weight), len(logs))
        return float(np.average(logs, weights=weights))

    @over_partitions
    def cdf(self, X: Any) -> Array:
        """P(x' <= x) of each row, (n,); for one feature."""
        return self._value.cdf(self._rows(X))

    def quantile(self, probability: Any) -> Array:
        """Where the cdf reaches each probability, in the same shape; for one feature."""
        return self._value.quantile(probability)

    @over_partitions
    def pit(self, X: Any) -> Array:
        """Probability integral transform F(x) of each row, (n,): uniform where the fit holds."""
        return self.cdf(X)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Array:
        """Draw rows (n_samples, d)."""
        chosen = self.random_state if random_state is None else random_state
        seed = drawn_seed(chosen)
        return self._value.sample(n_samples, seed)

    def _rows(self, X: Any) -> Array:
        return rows_here(self, X, "density_")

    @property
    def _value(self) -> BoundedMixture:
        check_is_fitted(self, "density_")
        return self.density_

    @property
    def n_components_(self) -> int:
        """The number of components as chosen."""
        return self._fitted.mixture.n_components

    @property
    def power_(self) -> Array:
        """(d,) λ of each column, NaN where it has no bound."""
        transformation = self._fitted.transformation
        return np.where(transformation.bounded, transformation.power, np.nan)

    @property
    def bounds_(self) -> Array:
        """(d, 2) bounds, infinite where there is none."""
        transformation = self._fitted.transformation
        return np.column_stack([transformation.lower, transformation.upper])

    @property
    def _fitted(self) -> BoundedMixture:
        if "density_" not in self.__dict__:
            raise AttributeError(f"this {type(self).__name__} is not fitted yet: call fit first")
        return self.density_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
