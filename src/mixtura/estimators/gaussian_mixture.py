"""The estimator: scikit-learn's GaussianMixture and more, as a thin shell."""

from __future__ import annotations

from typing import Any, Self

from sklearn.exceptions import ConvergenceWarning

from mixtura._errors import warn
from mixtura._types import Array
from mixtura.estimators import criteria, parameters, streaming
from mixtura.estimators.fitted import FittedMixture
from mixtura.estimators.following import (
    CallbackSupportMixin,
    as_it_was,
    counter,
    printer,
    scikit_learn,
    together,
    with_callbacks,
)
from mixtura.estimators.partitioned import TOLD
from mixtura.estimators.rows import Given, source_to_fit
from mixtura.fit.apart import refuse_apart
from mixtura.fit.checkpoint import Checkpoint
from mixtura.fit.em import Fit
from mixtura.fit.fitting import Outcome, fitted, renamed
from mixtura.fit.given import given_start
from mixtura.fit.select import Selection, counts, grid, rules
from mixtura.fit.task import Task
from mixtura.fit.watching import Watched
from mixtura.mixture import Mixture
from mixtura.reading.scan import opened
from mixtura.source import MemorySource
from mixtura.source.memory import one_blas_thread
from mixtura.source.opening import engine


class GaussianMixture(CallbackSupportMixin, FittedMixture):
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
        VII, EII; EEI, VEI, EVI, VEE, EVE, VVE, EEV, VEV, EVV; E or V for one column. Several, or
        "all", are compared by `criterion`. Mixtures of factor analyzers and of principal
        components, at a cost linear in the columns: "factor", "ppca" and other kinds of
        `mixtura.covariance.Factor` with a `rank`, or with it in the name, as in "factor:3";
        "factor:1-5" and "factor:auto" compare ranks.
    rank : int, iterable of int or "auto", optional
        Number of factors of "factor", "ppca" and their kin, below the number of columns. Several,
        or "auto" for some up to 8, are compared by `criterion`.
    tol : float, default=1e-6
        The climb ends when the estimate of the gain that remains, in nats a row, is below.
    reg_covar : float or "auto", default="auto"
        A number is added to the variances, in squared units of the data. "auto" adds nothing and
        keeps eigenvalues above 1e-12 of the columns' variances.
    max_ratio : float, optional
        How many times the smallest the largest eigenvalue of all covariances may be, in the units
        of the data (García-Escudero et al. 2008): the usual guard of trimmed fits. Kept exactly
        by the families that `mixtura.covariance.RATIO` names.
    max_iter : int, default=1000
        E+M steps at most; 0 stays at the start, or a step from it where
        there are outliers or `incremental` parts.
    n_init : int, default=1
        Tournaments' worth of starts that compete; above one, none is spared because others agree.
    init_params : str, callable or array_like, default="auto"
        "auto" lets k-means++, farthest-point, random and hierarchical starts compete; "kmeans",
        "k-means++", "random" and "random_from_data" take that start alone, as in scikit-learn, and
        "hierarchical" a tree of Gaussian clusters (`mixtura.hierarchical`). A
        callable ``f(X, n_components, random_state)`` or an array gives labels (n,) or
        responsibilities (n, k).
    weights_init, means_init, precisions_init : array_like, optional
        Parameters to start from, laid out as in scikit-learn.
    fixed : str, sequence of str, or mapping, optional
        What the fit leaves as it is: "means", or ("weights", "covariances"), of all components; or
        of some, as in ``{"means": [0, 2], "covariances": True}``. The values are those of
        `weights_init`, `means_init` and `precisions_init`, or with `warm_start` of the last fit.
        These may be NaN for components that are not held: the fit then looks for them around the
        others. Held weights and means come back to the last bit, held covariances as the inverse of
        `precisions_init`. Components keep their numbers, and what is held counts as no parameter.
    random_state : int, RandomState or None, default=None
    warm_start : bool, default=False
        Start from the last fit.
    verbose, verbose_interval : int
        Print the objective every so many steps.
    criterion : str or callable, default="bic"
        "bic", "aic", "icl", "cv", "sabic", "caic", "hqc", "slope", or a function of a `Candidate`;
        see `mixtura.select`.
    prior : None, "fraley-raftery" or Conjugate, default=None
    assignment : {"soft", "hard"}, default="soft"
        "hard" is classification EM; with "equal-spherical" covariances it is k-means.
    equal_weights : bool or "auto", default="auto"
        Hold all weights at 1/k. "auto" does so for hard assignment with equal-spherical
        covariances, which makes the fit k-means (Celeux & Govaert 1992).
    distribution : {"gaussian", "t"}, default="gaussian"
        "t" is Student's: rows far from a component count for less (Peel & McLachlan 2000).
    dof : "common", "own" or float, default="common"
        Degrees of freedom of "t": one estimate for all components, one for each, within 1 to 500;
        or a number to hold.
    noise : bool or float, default=False
        Add a component that is uniform over the data (Banfield & Raftery 1993), its share
        estimated; a number is the share to start from, True stands for 0.05.
    trim : float, default=0.0
        Share of the rows, those of least density, left out of the fit (García-Escudero et al.
        2008). The objective is then that of the rows kept, in nats a row kept.
    candidates : int or Shortlist, optional
        For hundreds of components and more: each row counts for so many of them, found by a search
        among neighbours, so that a step costs little more with 1000 components than with 100
        (variational EM; Hirschberger, Forster & Lücke 2022). A `mixtura.Shortlist` also says how
        far to search. None takes exact steps.
    incremental : bool or int, default=False
        Take an M-step after each of so many parts of the rows, in place of accelerated steps of
        all (incremental EM; Neal & Hinton 1998); True stands for 16. To the same ends; see the
        guide for when this takes fewer passes over the rows.
    truncation : pair, optional
        ``(lower, upper)``, numbers or one for each column, infinite where there is no bound: rows
        outside this box were never recorded (Lee & Scott 2012). `mixture_` is then the whole
        mixture, of which the rows show a part; densities and criteria are those within the box.
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
    dof_ : (k,) or None
    noise_share_ : float
        Share of the noise; `weights_` are those among the components and sum to one.
    audit_ : Audit or None
        With `candidates`, how far ``audit_.loss`` the lower bound is from the log-likelihood, in
        nats a row, on a sample of rows; a warning tells where that is much.
    n_censored_ : int
        Missing cells that were known to lie within limits.
    cut_ : Cut or None
        Where rows were trimmed: at the log-density ``cut_.level``.
    deconvolved_ : bool
        Whether the rows were measured with errors, and the mixture is of what lies behind them.
    converged_ : bool
    n_iter_ : int
    lower_bound_ : float
        Log-likelihood (plus log-prior) in nats a row at the solution; with `candidates` the free
        energy, a lower bound of it.
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
    Rows with NaN are used by what was observed of them (Ghahramani & Jordan 1994), cells within
    limits by their probability. A weight counts as so many repetitions of the row.

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
        rank: Any = None,
        tol: float = 1e-6,
        reg_covar: Any = "auto",
        max_ratio: float | None = None,
        max_iter: int = 1000,
        n_init: int = 1,
        init_params: Any = "auto",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        fixed: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        criterion: Any = "bic",
        prior: Any = None,
        assignment: str = "soft",
        equal_weights: Any = "auto",
        distribution: str = "gaussian",
        dof: Any = "common",
        noise: Any = False,
        trim: float = 0.0,
        candidates: Any = None,
        incremental: Any = False,
        truncation: Any = None,
        n_jobs: int | None = None,
        callback: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.rank = rank
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_ratio = max_ratio
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.fixed = fixed
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.criterion = criterion
        self.prior = prior
        self.assignment = assignment
        self.equal_weights = equal_weights
        self.distribution = distribution
        self.dof = dof
        self.noise = noise
        self.trim = trim
        self.candidates = candidates
        self.incremental = incremental
        self.truncation = truncation
        self.n_jobs = n_jobs
        self.callback = callback

    # ---- fitting

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        labels: Any = None,
        noise_cov: Any = None,
        projection: Any = None,
        lower: Any = None,
        upper: Any = None,
        checkpoint: Any = None,
    ) -> Self:
        """Fit the mixture.

        Parameters
        ----------
        X : (n, d) array_like, data frame, or Dask or Spark collection
            NaN where unobserved.
        y : ignored
        sample_weight : (n,) array_like, or str, optional
            Or the name of a column of a frame or scan. Beside a Dask collection a Dask array or
            series, or the name of a column; beside a Spark data frame the name of a column.
        labels : (n,) or (n, k) array_like, or str, optional
            Components known for some rows, -1 for unknown; or soft labels, the plausibility of
            each component for each row. As weights beside a Dask or Spark collection.
        noise_cov : float or array_like, optional
            The rows are ``x + e`` with ``e ~ N(0, R)`` of known R, and the mixture is that of x
            (extreme deconvolution; Bovy, Hogg & Roweis 2011). R is a variance, (d,) or (n, d)
            variances, (d, d) or (n, d, d) covariances; zero for what was measured exactly,
            infinite for what was not observed.
        projection : (p, d) or (n, p, d) array_like, optional
            X has p columns ``A x + e``, and the mixture is that of x with d.
        lower, upper : number, (d,) or (n, d) array_like, optional
            What cells that are NaN in X lie between, infinite or NaN where nothing is known:
            values below a detection limit, above a range, or within an interval. Limits of cells
            that were observed say nothing.
        checkpoint : path, optional
            A file that is written after each round of steps, of two E+M steps and a leap. After
            whatever ended the fit, the same call goes on from there and ends with the same bits; a
            fit that is over comes back at once. For one fit, not for several that are compared.

        Returns
        -------
        self

        Raises
        ------
        InputError, InputTypeError
            Data, weights, labels or parameters that cannot be used; says which and what to do.
        CheckpointError
            The checkpoint is damaged, or that of a fit of other data or parameters.
        """
        said = dict(zip(TOLD, (noise_cov, projection, lower, upper), strict=True))
        with as_it_was(self), one_blas_thread():
            return self._fit(X, sample_weight, labels, said, checkpoint)

    def _fit(
        self, X: Any, sample_weight: Any, labels: Any, said: dict[str, Any], checkpoint: Any
    ) -> Self:
        parameters.checked(self)  # before many rows are read
        given = source_to_fit(self, X, sample_weight, said, labels)
        return self._fit_given(given, labels is not None, checkpoint)

    def _fit_given(self, given: Given, labelled: bool = False, checkpoint: Any = None) -> Self:
        """Fit the mixture to rows that are known already."""
        parameters.checked(self)
        streaming.forget(self)
        source = given.source
        last = self.mixture_ if self.warm_start and hasattr(self, "mixture_") else None
        task = parameters.task(self, source, given.names, labelled, last)
        refuse_apart(task)
        components = counts(self.n_components)
        families = rules(self.covariance_type, source.d, self.rank)
        task, saved = parameters.kept(self, task, checkpoint, len(components) * len(families))
        if len(components) * len(families) > 1:
            parameters.compared(self, components, families)
            told = Watched(len(components) * len(families), counter() if self.verbose else None)
            self._keep_selection(grid(task, components, families, self.n_jobs, told))
        else:
            outcome = self._fit_one(task, components[0], families[0], given.X, saved)
            self._keep(outcome, families[0].name, None)
        chosen = next(rule for rule in families if rule.name == self.covariance_type_)
        self.cut_ = criteria.cut(self, task, chosen)
        whole = source.whole if isinstance(source, MemorySource) else None
        self.n_censored_ = 0 if whole is None else whole.censored
        self.deconvolved_ = whole is not None and whole.errors is not None
        return self

    partial_fit = streaming.partial_fit

    def fit_predict(self, X: Any, y: Any = None, **fit_params: Any) -> Array:
        """Fit, then give the most probable component of each row, (n,)."""
        X = X if engine(X) else opened(X)  # a file is read once
        told = {name: fit_params.get(name) for name in TOLD}
        return self.fit(X, y, **fit_params).predict(X, **told)

    def _fit_one(
        self, task: Task, k: int, family: Any, X: Any, saved: Checkpoint | None
    ) -> Outcome:
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
                checkpoint=saved,
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
        self.mixture_, self.audit_ = fit.mixture, fit.audit
        self.converged_, self.n_iter_ = fit.converged, fit.n_iter
        self.lower_bounds_ = [float(value) for value in fit.trace]
        self.covariance_type_ = name
        if not fit.converged and self.tol > 0 and self.max_iter > 0 and self.callback is None:
            known = fit.remaining < float("inf")
            rest = f"about {fit.remaining:.2g} nats a row remain" if known else "much may remain"
            warn(
                f"the fit did not converge in {fit.n_iter} steps: {rest} to be gained; raise "
                "max_iter or tol",
                ConvergenceWarning,
            )
