"""Gaps filled by what a mixture expects or draws given the rest of the row."""

from __future__ import annotations

from functools import partial
from typing import Any, Self
from zlib import crc32

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.impute import MissingIndicator

from mixtura._errors import InputError, InputTypeError
from mixtura._tables import with_columns
from mixtura._types import Array, Mask
from mixtura.block import Block
from mixtura.estimators import attributes
from mixtura.estimators.behind import behind, fit_behind, mixture_parameters, take_over
from mixtura.estimators.filled import Filled
from mixtura.estimators.gaussian_mixture import GaussianMixture
from mixtura.estimators.partitioned import lightened, over_partitions
from mixtura.estimators.rows import Given, answered, rows_here
from mixtura.estimators.seeds import drawn_seed
from mixtura.fit.summary import weight_of
from mixtura.inference.pooling import pool
from mixtura.mixture import Mixture
from mixtura.operations.filling import drawn_into_gaps
from mixtura.reading.scan import Scan, opened, scan
from mixtura.source import RemoteSource
from mixtura.source.opening import engine
from mixtura.source.views import bootstrapped, weighing

_METHODS = ("mean", "draw")


class MixtureImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Imputation by a mixture that is fitted to rows with gaps.

    Parameters
    ----------
    n_components : int, iterable of int, or "auto", default="auto"
        Several numbers, or "auto" for 1..9, are compared by `criterion`.
    covariance_type : str or sequence of str, default="full"
    method : {"mean", "draw"}, default="mean"
        What `transform` fills in: the conditional mean, the best guess in squared error; or a draw
        from the conditional distribution, which keeps spread and correlations.
    add_indicator : bool, default=False
        Append a column of 0 and 1 for each column that had gaps in `fit`, as in scikit-learn.
    rank, criterion, distribution, dof, noise, trim, prior, reg_covar, tol, max_iter, n_init
        As in `GaussianMixture`.
    random_state : int, RandomState or None, default=None
        For the fit, and for draws.
    n_jobs : int, optional
        Threads; all cores by default.

    Attributes
    ----------
    mixture_ : Mixture
    indicator_ : MissingIndicator or None
    n_components_, covariance_type_, selection_, converged_, n_iter_
        As in `GaussianMixture`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    The estimator keeps the rows that it was fitted to, for `impute_many`; of partitions, where
    they are, and copies by pickle do without.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import MixtureImputer
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=300)
    >>> X = np.column_stack([x, 2 * x + 0.1 * rng.normal(size=300)])
    >>> X[:100, 1] = np.nan
    >>> imputer = MixtureImputer(1).fit(X)
    >>> imputer.transform([[3.0, np.nan]]).round(1).tolist()
    [[3.0, 6.0]]
    """

    mixture_: Mixture

    def __init__(
        self,
        n_components: Any = "auto",
        *,
        covariance_type: Any = "full",
        method: str = "mean",
        add_indicator: bool = False,
        rank: Any = None,
        criterion: Any = "bic",
        distribution: str = "gaussian",
        dof: Any = "common",
        noise: Any = False,
        trim: float = 0.0,
        prior: Any = None,
        reg_covar: Any = "auto",
        tol: float = 1e-6,
        max_iter: int = 1000,
        n_init: int = 1,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.method = method
        self.add_indicator = add_indicator
        self.rank = rank
        self.criterion = criterion
        self.distribution = distribution
        self.dof = dof
        self.noise = noise
        self.trim = trim
        self.prior = prior
        self.reg_covar = reg_covar
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> Self:
        """Fit the mixture to rows with gaps.

        Parameters
        ----------
        X : (n, d) array_like, data frame, scan, or Dask or Spark collection
            NaN where unobserved.
        y : ignored
        sample_weight : (n,) array_like, or str, optional
            Or the name of a column.

        Returns
        -------
        self

        Raises
        ------
        InputError, InputTypeError
            Data, weights or parameters that cannot be used; says which and what to do.
        """
        if self.method not in _METHODS:
            raise InputError(f"method={self.method!r}: use one of {_METHODS}")
        model, given = behind(self, X, sample_weight)
        fit_behind(model, given)
        gappy = np.any(given.source.map(_gappy), axis=0) if self.add_indicator else None
        take_over(self, model)
        self._fitted_to, self.indicator_ = given.source, None
        if gappy is not None:
            shown = np.where(gappy, [[0.0], [np.nan]], 0.0)
            self.indicator_ = MissingIndicator(error_on_new=False).fit(shown)
        return self

    @over_partitions
    def transform(self, X: Any) -> Any:
        """Rows with their gaps filled, (n, d), and the indicators behind them.

        What was observed comes back to the last bit. Of a scan (a path, a query, blocks) a scan of
        the filled rows, which are worked out block by block when they are read: to fit, or to
        `mixtura.reading.scan.Scan.write`. Of a Dask collection one that is not computed yet.
        """
        X = opened(X)
        if isinstance(X, Scan):
            light = lightened(self)
            return scan(Filled(light, light._filled, X), dtype=X.dtype, cache=X.cache)
        return answered(X, self._filled(rows_here(self, X)))

    def _filled(self, rows: Array) -> Array:
        if self.method == "mean":
            filled = self.mixture_.impute(rows)
        else:
            drawn = np.random.default_rng([self._seed(), crc32(np.ascontiguousarray(rows))])
            filled = drawn_into_gaps(self.mixture_, rows, drawn)  # others for other blocks
        filled = filled.astype(rows.dtype, copy=False)
        if self.indicator_ is None:
            return filled
        return np.hstack([filled, self.indicator_.transform(rows)])

    def impute_many(
        self, X: Any, m: int = 20, *, proper: bool = True, random_state: Any = None
    ) -> list[Any]:
        """Complete the rows m times by draws, for multiple imputation.

        Analyse each table as if nothing had been missing, and `pool` the results. With `proper`,
        each table comes from a fit of its own, to the rows of `fit` under the weights of a Bayesian
        bootstrap (Rubin 1981), so that what is not known of the mixture is in the spread, too;
        number of components and family stay. Without it the variance is understated.

        Parameters
        ----------
        X : (n, d) array_like or data frame
        m : int, default=20
        proper : bool, default=True
        random_state : int, RandomState or None
            By default the estimator's.

        Returns
        -------
        list of m tables
            (n, d) arrays; data frames of the same library if X is one; scans and Dask collections
            that are drawn when they are read.

        Raises
        ------
        InputError
            With `proper`, the rows of the fit did not come along with a copy of the estimator.
        """
        if not isinstance(m, (int, np.integer)) or isinstance(m, bool):
            raise InputTypeError(f"m={m!r} must be a whole number, at least 1")
        if m < 1:
            raise InputError(f"m={m!r} must be at least 1")
        rng, X = np.random.default_rng(self._seed(random_state)), opened(X)
        if engine(X) or isinstance(X, Scan):
            return [self._drawing(rng, proper).transform(X) for _ in range(m)]
        rows = rows_here(self, X)
        gappy, tables = np.asarray(np.isnan(rows).any(axis=0)), []
        for _ in range(m):
            mixture = self._refitted(rng) if proper else self.mixture_
            filled = drawn_into_gaps(mixture, rows, rng).astype(rows.dtype, copy=False)
            tables.append(with_columns(X, filled, gappy))
        return tables

    pool = staticmethod(pool)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Names of the columns, then those of the indicators."""
        names = super().get_feature_names_out(input_features)
        if self.indicator_ is None:
            return names
        return np.concatenate([names, self.indicator_.get_feature_names_out(names)])

    def _drawing(self, rng: np.random.Generator, proper: bool) -> Any:
        """An imputer that fills gaps by draws from one of many mixtures."""
        one = lightened(self)
        one.mixture_ = self._refitted(rng) if proper else self.mixture_
        one.method, one.indicator_ = "draw", None
        one.random_state = int(rng.integers(2**31 - 1))
        return one

    def _refitted(self, rng: np.random.Generator) -> Mixture:
        """The mixture of rows that weigh at random: from a fit that begins at the present one."""
        source = getattr(self, "_fitted_to", None)
        if source is None:
            raise InputError(
                "impute_many with proper=True fits anew, and the rows of the fit are not with this "
                "copy of the imputer: fit it, or set proper=False"
            )
        drawn = source.viewed(partial(bootstrapped, seed=int(rng.integers(2**63 - 1))))
        scale = weight_of(source) / weight_of(drawn)
        given = mixture_parameters(self) | {"warm_start": True}
        for name in ("n_components", "covariance_type", "rank"):
            del given[name]
        model = GaussianMixture.from_mixture(self.mixture_, **given)
        scaled = drawn.viewed(partial(weighing, scale=scale))
        return fit_behind(model, Given(None, scaled, None)).mixture_

    def __getstate__(self) -> Any:
        state = dict(super().__getstate__())
        if isinstance(state.get("_fitted_to"), RemoteSource):  # tied to an engine that runs here
            del state["_fitted_to"]
        return state

    def _seed(self, random_state: Any = None) -> int:
        chosen = self.random_state if random_state is None else random_state
        return drawn_seed(chosen)

    n_components_ = attributes.n_components

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _gappy(block: Block) -> Mask:
    """Which columns have gaps, (d,)."""
    return np.asarray(np.isnan(block.rows).any(axis=0))
