"""The estimator: scikit-learn's GaussianMixture and more, as a thin shell."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from mixtura import _checks
from mixtura._errors import InputError, warn
from mixtura._types import Array
from mixtura.conditioning import log_sums, shares
from mixtura.estimators import parameters
from mixtura.estimators.convert import laid_out, plain, rescaled
from mixtura.estimators.following import (
    CallbackSupportMixin,
    counter,
    printer,
    scikit_learn,
    together,
    with_callbacks,
)
from mixtura.fit.em import Fit
from mixtura.fit.fitting import Outcome, fitted, renamed
from mixtura.fit.given import given_start
from mixtura.fit.select import Selection, Task, counts, grid, n_parameters, rules, threads
from mixtura.inference.validation import Validation, validation
from mixtura.mixture import Mixture
from mixtura.source import MemorySource
from mixtura.source.memory import one_blas_thread


class GaussianMixture(CallbackSupportMixin, DensityMixin, BaseEstimator):
    """Gaussian mixture, fitted by accelerated expectation-maximization.

    A drop-in for ``sklearn.mixture.GaussianMixture`` that also takes weights, missing values,
    partial labels and priors, in any combination and with every covariance family, and chooses
    the number of components and the family if asked to.

    Parameters
    ----------
    n_components : int, iterable of int, or "auto", default=1
        Several numbers, or "auto" for 1..9, are compared by `criterion`.
    covariance_type : str or sequence of str, default="full"
        "full", "tied", "diag", "spherical", "equal-spherical" or their mclust names VVV, EEE, VVI,
        VII, EII; several, or "all", are compared by `criterion`. Mixtures of factor analyzers and
        of principal components, at a cost linear in the columns: "factor:3", "ppca:3", or
        ``mixtura.covariance.Factor(3, ...)``; "factor:1-5" and "factor:auto" compare ranks.
    tol : float, default=1e-6
        The climb ends when the estimate of the gain that remains, in nats a row, is below.
    reg_covar : float or "auto", default="auto"
        A number is added to the variances, in squared units of the data. "auto" adds nothing and
        keeps eigenvalues above 1e-12 of the columns' variances.
    max_iter : int, default=1000
        E+M steps at most.
    n_init : int, default=1
        Tournaments' worth of starts that compete; above one, none is spared because others agree.
    init_params : str, callable or array_like, default="auto"
        "auto" lets k-means++, farthest-point, random and hierarchical starts compete; "kmeans",
        "k-means++", "random" and "random_from_data" take that start alone, as in scikit-learn. A
        callable ``f(X, n_components, random_state)`` or an array gives labels (n,) or
        responsibilities (n, k).
    weights_init, means_init, precisions_init : array_like, optional
        Parameters to start from, laid out as in scikit-learn.
    random_state : int, RandomState or None, default=None
    warm_start : bool, default=False
        Start from the last fit.
    verbose, verbose_interval : int
        Print the objective every so many steps.
    criterion : {"bic", "aic", "icl", "cv"}, default="bic"
    prior : None, "fraley-raftery" or Conjugate, default=None
    assignment : {"soft", "hard"}, default="soft"
        "hard" is classification EM; with "equal-spherical" covariances it is k-means.
    equal_weights : bool or "auto", default="auto"
        Hold all weights at 1/k. "auto" does so for hard assignment with equal-spherical
        covariances, which makes the fit k-means (Celeux & Govaert 1992).
    n_jobs : int, optional
        Threads; all cores by default. The result does not depend on it.
    callback : callable, optional
        ``callback(step, objective, mixture)`` after each step; returning True stops the climb.

    Attributes
    ----------
    mixture_ : Mixture
        The fitted value, with densities, conditionals, marginals and sampling.
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : ndarray
        As in scikit-learn.
    converged_ : bool
    n_iter_ : int
    lower_bound_ : float
        Log-likelihood (plus log-prior) in nats a row at the solution.
    lower_bounds_, trace_ : list of float
        The same after each accepted step; it never falls.
    n_components_, covariance_type_
        As chosen.
    selection_ : Selection or None
        The grid that was compared.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    mixtura.Mixture : The mixture as a value.
    mixtura.select : The comparison alone.

    Notes
    -----
    Rows with NaN are used by what was observed of them (Ghahramani & Jordan 1994). A weight counts
    as so many repetitions of the row.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import GaussianMixture
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (100, 2)), rng.normal(6, 1, (100, 2))])
    >>> X[3, 0] = np.nan
    >>> model = GaussianMixture(2, random_state=0).fit(X)
    >>> sorted(model.means_.round(0).astype(int).tolist())
    [[0, 0], [6, 6]]
    """

    def __init__(
        self,
        n_components: Any = 1,
        *,
        covariance_type: Any = "full",
        tol: float = 1e-6,
        reg_covar: Any = "auto",
        max_iter: int = 1000,
        n_init: int = 1,
        init_params: Any = "auto",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        criterion: str = "bic",
        prior: Any = None,
        assignment: str = "soft",
        equal_weights: Any = "auto",
        n_jobs: int | None = None,
        callback: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.criterion = criterion
        self.prior = prior
        self.assignment = assignment
        self.equal_weights = equal_weights
        self.n_jobs = n_jobs
        self.callback = callback

    # ---- fitting

    @with_callbacks
    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None, labels: Any = None) -> Self:
        """Fit the mixture.

        Parameters
        ----------
        X : (n, d) array_like or data frame
            NaN where unobserved.
        y : ignored
        sample_weight : (n,) array_like, optional
        labels : (n,) or (n, k) array_like, optional
            Components known for some rows, -1 for unknown; or soft labels, the plausibility of
            each component for each row.

        Returns
        -------
        self

        Raises
        ------
        InputError, InputTypeError
            Data, weights, labels or parameters that cannot be used; says which and what to do.
        """
        before = vars(self).copy()
        try:
            with one_blas_thread():
                return self._fit(X, sample_weight, labels)
        except BaseException:  # an interrupted or failed fit leaves everything as it was
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _fit(self, X: Any, sample_weight: Any, labels: Any) -> Self:
        parameters.checked(self)
        X = _checks.eager(X)
        read = _checks.table(X)
        validate_data(self, X, skip_check_array=True, reset=True)
        self.n_features_in_ = read.rows.shape[1]
        if read.names is not None:
            self.feature_names_in_ = np.array(read.names, dtype=object)
        source = MemorySource(*_checks.weighted(read.rows, sample_weight))
        task = parameters.task(self, source, read.names, labels)
        components, families = counts(self.n_components), rules(self.covariance_type)
        if len(components) * len(families) > 1:
            parameters.compared(self)
            told = counter() if self.verbose else None
            self._keep_selection(grid(task, components, families, self.n_jobs, told))
        else:
            self._keep(self._fit_one(task, components[0], families[0], X), families[0].name, None)
        return self

    def fit_predict(self, X: Any, y: Any = None, **fit_params: Any) -> Array:
        """Fit, then give the most probable component of each row, (n,)."""
        return self.fit(X, y, **fit_params).predict(X)

    def _fit_one(self, task: Task, k: int, family: Any, X: Any) -> Outcome:
        problem = task.problem(family, k, task.told(k))
        with scikit_learn(self, X) as told:
            return fitted(
                problem,
                k,
                task.rng(k),
                start=self._start(problem, k, task),
                stop=task.stop,
                fields=self.n_init,
                follow=together(self.callback, printer(self.verbose, self.verbose_interval), told),
            )

    def _start(self, problem: Any, k: int, task: Task) -> Mixture | None:
        """The mixture to start from, or None for a tournament."""
        if self.warm_start and hasattr(self, "mixture_"):
            last = self.mixture_
            if last.n_components == k and last.n_features == problem.source.d:
                return problem.adopted(last)
        return given_start(problem, k, task.start, task.rng(k))

    def _keep_selection(self, selection: Selection) -> None:
        for note in selection.notes:
            note.warn()
        best = selection.best
        self._keep_fit(selection.fit, best.covariance_type)
        self.selection_: Selection | None = selection

    def _keep(self, outcome: Outcome, name: str, selection: Selection | None) -> None:
        for note in outcome.notes:
            note.warn()
        names = getattr(self, "feature_names_in_", None)
        self._keep_fit(renamed(outcome.fit, None if names is None else tuple(names)), name)
        self.selection_ = selection

    def _keep_fit(self, fit: Fit, name: str) -> None:
        self.mixture_ = fit.mixture
        self.converged_, self.n_iter_ = fit.converged, fit.n_iter
        self.lower_bounds_ = [float(value) for value in fit.trace]
        self.covariance_type_ = name
        if not fit.converged and self.tol > 0 and self.callback is None:
            warn(
                f"the fit did not converge in {fit.n_iter} steps: about {fit.remaining:.2g} nats "
                "a row remain to be gained; raise max_iter or tol",
                ConvergenceWarning,
            )

    # ---- using the fit

    def predict(self, X: Any) -> Array:
        """The most probable component of each row, (n,)."""
        return self._map(X, lambda joint: joint.argmax(axis=1), ()).astype(np.intp)

    def predict_proba(self, X: Any) -> Array:
        """Responsibilities (n, k): the posterior probability of each component."""
        return self._map(X, shares, (self.mixture_.n_components,) if self._fitted() else ())

    def score_samples(self, X: Any) -> Array:
        """Log-density of each row, (n,), by its observed coordinates."""
        return self._map(X, log_sums, ())

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log-density in nats a row, by weight."""
        values = self.score_samples(X)
        weights = _checks.row_weights(sample_weight, len(values))
        return float(np.average(values, weights=weights))

    def sample(self, n_samples: int = 1, random_state: Any = None) -> tuple[Array, Array]:
        """Draw rows (n_samples, d) and their components (n_samples,)."""
        self._fitted()
        if n_samples < 1:
            raise InputError(
                f"Invalid value for 'n_samples': {n_samples}. At least one row is needed"
            )
        chosen = self.random_state if random_state is None else random_state
        seed = check_random_state(chosen).randint(2**31 - 1)
        return self.mixture_.sample(n_samples, int(seed), return_labels=True)

    def impute(self, X: Any) -> Array:
        """Rows with each NaN replaced by its conditional mean given the row's observed values."""
        rows = self._rows(X)
        return self.mixture_.impute(rows)

    def bic(self, X: Any, sample_weight: Any = None) -> float:
        """Bayesian information criterion ``-2 log L + p log n``; smaller is better."""
        total, n = self._likelihood(X, sample_weight)
        return -2.0 * total + self._n_parameters() * float(np.log(n))

    def aic(self, X: Any, sample_weight: Any = None) -> float:
        """Akaike's information criterion ``-2 log L + 2 p``; smaller is better."""
        total, _ = self._likelihood(X, sample_weight)
        return -2.0 * total + 2.0 * self._n_parameters()

    def icl(self, X: Any, sample_weight: Any = None) -> float:
        """Integrated completed likelihood: BIC ``- 2 Σ log max_k r_ik``; smaller is better."""
        best = self.predict_proba(X).max(axis=1)
        weights = _checks.row_weights(sample_weight, len(best))
        sharpness = np.log(best).sum() if weights is None else np.log(best) @ weights
        return self.bic(X, sample_weight) - 2.0 * float(sharpness)

    def validate(self, X: Any, sample_weight: Any = None, labels: Any = None) -> Validation:
        """Check the fit numerically on the data, weights and labels it was fitted to.

        Returns
        -------
        Validation
            Facts with their figures and what each means; prints as a table.
        """
        rows = self._rows(X)
        source = MemorySource(*_checks.weighted(rows, sample_weight))
        task = parameters.task(self, source, labels=labels)
        rule = rules(self.covariance_type_)[0]
        problem = task.problem(rule, self.n_components_, task.told(self.n_components_))
        return validation(problem, self.mixture_, self.lower_bounds_)

    def save(self, path: Any) -> None:
        """Write the mixture to a model file ``*.mixtura``; read it with `mixtura.load`."""
        from mixtura.io.model_file import save

        self._fitted()
        save(self.mixture_, path, {"covariance_type": self.covariance_type_})

    @classmethod
    def from_mixture(cls, mixture: Mixture, **parameters: Any) -> Self:
        """A fitted estimator with a given mixture."""
        from mixtura.estimators.convert import covariance_name

        name = covariance_name(mixture.structure)
        estimator = cls(mixture.n_components, covariance_type=name, **parameters)
        estimator.mixture_, estimator.covariance_type_ = mixture, name
        estimator.converged_, estimator.n_iter_, estimator.lower_bounds_ = True, 0, []
        estimator.n_features_in_, estimator.selection_ = mixture.n_features, None
        if mixture.feature_names is not None:
            estimator.feature_names_in_ = np.array(mixture.feature_names, dtype=object)
        return estimator

    def _map(self, X: Any, finish: Any, tail: tuple[int, ...]) -> Array:
        """Apply `finish` to the log joint of every row, block by block, side by side."""
        rows = self._rows(X)
        source = MemorySource(rows, threads=threads(self.n_jobs))
        out = np.empty((len(rows), *tail))
        source.each(lambda block, place: self.mixture_.fill(block, finish, out[place]))
        return out

    def _rows(self, X: Any) -> Any:
        self._fitted()
        X = _checks.eager(X)
        read = _checks.table(X)
        validate_data(self, X, skip_check_array=True, reset=False)
        if read.rows.shape[1] != self.n_features_in_:
            return _checks.rows_like(read.rows, self.n_features_in_)
        return read.rows

    def _fitted(self) -> bool:
        check_is_fitted(self, "mixture_")
        return True

    def _likelihood(self, X: Any, sample_weight: Any) -> tuple[float, float]:
        values = self.score_samples(X)
        weights = _checks.row_weights(sample_weight, len(values))
        if weights is None:
            return float(values.sum()), float(len(values))
        return float(values @ weights), float(weights.sum())

    def _n_parameters(self) -> int:
        k, d = self.mixture_.location.shape
        rule = rules(self.covariance_type_)[0]
        task = parameters.task(self, MemorySource(np.empty((0, d))))
        return n_parameters(rule, k, d, task.equally(rule))

    # ---- scikit-learn's names

    @property
    def n_components_(self) -> int:
        """The number of components as chosen."""
        return self._value.n_components

    @property
    def weights_(self) -> Array:
        """(k,) mixing weights."""
        return self._value.weights

    @property
    def means_(self) -> Array:
        """(k, d) means."""
        return self._value.means

    @property
    def covariances_(self) -> Array:
        """Covariances as scikit-learn lays them out for the family."""
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(plain(self._value.unframed()).array())

    @property
    def precisions_(self) -> Array:
        """Inverse covariances, laid out like the covariances."""
        structure, scale = plain(self._value.structure), self._value.frame.scale
        return laid_out(rescaled(structure.precisions, structure, scale, 2), structure)

    @property
    def precisions_cholesky_(self) -> Array:
        """Upper factors U with ``U Uᵀ = Σ⁻¹``, laid out like the covariances."""
        structure, scale = plain(self._value.structure), self._value.frame.scale
        return laid_out(rescaled(structure.factors, structure, scale, 1), structure)

    @property
    def lower_bound_(self) -> float:
        """The objective in nats a row at the solution."""
        return self.lower_bounds_[-1] if self.lower_bounds_ else float("nan")

    @property
    def trace_(self) -> list[float]:
        """The objective in nats a row after each accepted step."""
        return self.lower_bounds_

    @property
    def _value(self) -> Mixture:
        if "mixture_" not in self.__dict__:
            raise AttributeError(f"this {type(self).__name__} is not fitted yet: call fit first")
        return self.mixture_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
