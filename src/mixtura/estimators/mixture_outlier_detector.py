"""Outliers as rows of low density under a robust mixture, with calibrated p-values."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array, Mask, Rows
from mixtura.block import Block
from mixtura.estimators import attributes
from mixtura.estimators.behind import behind, fit_behind, take_over
from mixtura.estimators.partitioned import over_partitions
from mixtura.estimators.rows import rows_here
from mixtura.estimators.seeds import drawn_seed
from mixtura.estimators.thresholds import check_line, ordinary_level
from mixtura.fit.select import threads
from mixtura.inference.conformal import Conformal, selected
from mixtura.mixture import Mixture
from mixtura.operations.completed import completed_log_density
from mixtura.operations.contributions import Contributions, contributions
from mixtura.source import MemorySource, Source
from mixtura.source.ranks import quantile
from mixtura.source.views import held

_HELD_OUT = 0.3
"""Share of the rows held out where an `alpha` needs some and no share is given."""

_MOST = 100_000
"""Rows held out at most: p-values are exact with any number, and these are kept."""


class MixtureOutlierDetector(OutlierMixin, BaseEstimator):
    """Outlier detection by the density of a robustly fitted mixture.

    Rows of low density are odd. The number of components is chosen by BIC, and a fifth of the rows,
    those of least density, is left out of the fit (García-Escudero et al. 2008), so that outliers
    in the data neither bend it nor get a component. The line between typical and odd is drawn at a
    share of the rows (`contamination`), at a rate of false alarms (`alpha`), or, by default, where
    about 1 % of ordinary rows would lie beyond.

    Parameters
    ----------
    n_components : int, iterable of int, or "auto", default=(1, 2, 3, 4, 5)
        Several numbers are compared by `criterion`.
    covariance_type : str or sequence of str, default=("full", "diag")
    rank : int, iterable of int or "auto", optional
    criterion : str or callable, default="bic"
    trim : float, default=0.2
        Share of the rows, those of least density, left out of the fit.
    distribution : {"gaussian", "t"}, default="gaussian"
    dof : "common", "own" or float, default="common"
        As in `GaussianMixture`.
    smallest : float, default=0.05
        Share of the rows below which a component is left out after the fit, so that a few rows
        that are odd together do not vouch for each other. The largest component stays.
    contamination : "auto" or float, default="auto"
        Share of outliers among the rows of the fit, in (0, 0.5]. "auto" draws the line where 1 % of
        rows would lie beyond if those of each component were Gaussian about its centre.
    alpha : float, optional
        Rate of false alarms among new rows that are like those of the fit, in (0, 0.5]: the line is
        where the p-value is `alpha`.
    calibration : float, optional
        Share of the rows kept from the fit, at random, to calibrate p-values against, of at most
        100 000 rows; 0.3 where `alpha` is given, else none. `calibrate` takes other rows.
    prior, reg_covar, tol, max_iter, n_init
        As in `GaussianMixture`.
    random_state : int, RandomState or None, default=None
    n_jobs : int, optional
        Threads; all cores by default. The result does not depend on it.

    Attributes
    ----------
    mixture_ : Mixture
        Without the components that are too small.
    offset_ : float
        ``decision_function = score_samples - offset_``; negative for outliers.
    conformal_ : Conformal or None
        Scores of the rows held out.
    n_components_, covariance_type_, selection_, converged_, n_iter_
        As in `GaussianMixture`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    Rows may have gaps, in `fit` and after: a cell that was not observed counts as usual. A weight
    counts as so many repetitions of the row.

    p-values are exact for rows exchangeable with those held out. Outliers among the rows held out
    make p-values larger: fewer rows are called odd, and none falsely.

    References
    ----------
    Bates, Candès, Lei, Romano & Sesia (2023), "Testing for outliers with conformal p-values",
    Annals of Statistics 51, 149-178. García-Escudero, Gordaliza, Matrán & Mayo-Iscar (2008), "A
    general trimming approach to robust cluster analysis", Annals of Statistics 36, 1324-1345.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import MixtureOutlierDetector
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (200, 2)), rng.normal(8, 1, (200, 2)), [[4.0, 4.0]]])
    >>> detector = MixtureOutlierDetector(random_state=0).fit(X)
    >>> detector.n_components_, int(detector.predict([[4.0, 4.0]])[0])
    (2, -1)
    >>> tested = MixtureOutlierDetector(alpha=0.05, random_state=0).fit(X)
    >>> bool(tested.p_values([[4.0, 4.0]])[0] < 0.03 < tested.p_values([[0.5, 0.0]])[0])
    True
    """

    mixture_: Mixture

    def __init__(
        self,
        n_components: Any = (1, 2, 3, 4, 5),
        *,
        covariance_type: Any = ("full", "diag"),
        rank: Any = None,
        criterion: Any = "bic",
        trim: float = 0.2,
        distribution: str = "gaussian",
        dof: Any = "common",
        smallest: float = 0.05,
        contamination: Any = "auto",
        alpha: float | None = None,
        calibration: float | None = None,
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
        self.rank = rank
        self.criterion = criterion
        self.trim = trim
        self.distribution = distribution
        self.dof = dof
        self.smallest = smallest
        self.contamination = contamination
        self.alpha = alpha
        self.calibration = calibration
        self.prior = prior
        self.reg_covar = reg_covar
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state
        self.n_jobs = n_jobs

    # ---- fitting

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> Self:
        """Fit the mixture and draw the line.

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
        check_line(self.contamination, self.alpha, self.calibration, self.smallest)
        model, given = behind(self, X, sample_weight)
        source, apart = self._split(given.source)
        fit_behind(model, replace(given, source=source))
        mixture, calibrated = _large(model.mixture_, float(self.smallest)), None
        if apart is not None:
            calibrated = Conformal.of(completed_log_density(mixture, apart), apart.weight())
        offset = self._offset(mixture, given.source, calibrated)
        take_over(self, model)
        self.mixture_, self.conformal_, self.offset_ = mixture, calibrated, offset
        return self

    def calibrate(self, X: Any, sample_weight: Any = None) -> Self:
        """Take other rows to calibrate p-values against: typical ones, not those of the fit.

        With `alpha`, the line moves to where the p-value is `alpha`.

        Returns
        -------
        self
        """
        logs = self.score_samples(X)
        weights = _checks.row_weights(_checks.weights_beside(X, sample_weight), len(logs))
        calibrated = Conformal.of(logs, weights)
        if self.alpha is not None:
            self.offset_ = calibrated.threshold(self.alpha)
        self.conformal_ = calibrated
        return self

    def _split(self, source: Source) -> tuple[Source, Block | None]:
        """The rows to fit, and those that are kept from the fit, here; None for none."""
        share, n = self.calibration, source.n
        if share is None and self.alpha is None:
            return source, None
        count = min(round((_HELD_OUT if share is None else float(share)) * n), _MOST)
        if not 0 < count < n:
            raise InputError(
                f"calibration={share!r} of {n} rows leaves none to fit or to calibrate: give more"
            )
        seed = drawn_seed(self.random_state)
        view = partial(held, n=n, seed=seed, count=count)
        apart = source.viewed(partial(view, inside=True))
        return source.viewed(partial(view, inside=False)), apart.take(slice(None))

    def _offset(self, mixture: Mixture, source: Source, calibrated: Conformal | None) -> float:
        """Where the line is drawn."""
        if self.alpha is not None and calibrated is not None:
            return calibrated.threshold(float(self.alpha))
        if self.contamination == "auto":
            return ordinary_level(mixture, source)
        return quantile(source, partial(_scored, mixture), float(self.contamination))

    # ---- using the fit

    @over_partitions
    def predict(self, X: Any) -> Array:
        """-1 for outliers and 1 for the rest, (n,)."""
        return np.where(self.decision_function(X) < 0.0, -1, 1)

    @over_partitions
    def decision_function(self, X: Any) -> Array:
        """Nats (n,) above the line; negative for outliers."""
        return self.score_samples(X) - self.offset_

    @over_partitions
    def score_samples(self, X: Any) -> Array:
        """Log-density of each row, (n,), what was not observed counted as usual; low is odd.

        For rows with gaps ``log p(x_o) - Σ_k r_k (h_k - h_k,o)``, with the entropies h of component
        k over all and over the observed coordinates, so that rows with different gaps compare.
        """
        rows = rows_here(self, X)
        return self._logs(self.mixture_, rows)

    @over_partitions
    def p_values(self, X: Any) -> Array:
        """Conformal p-value of each row, (n,), for being like the rows held out.

        ``(1 + #{held out rows that score as low}) / (1 + #{held out rows})``: for a new row like
        these at most α with a probability of at most α, whatever the distribution of the data.

        Raises
        ------
        InputError
            No rows were held out.
        """
        logs = self.score_samples(X)
        if self.conformal_ is None:
            raise InputError(
                "no rows were held out to calibrate p-values: give alpha or calibration, as in "
                "calibration=0.3, or call calibrate with typical rows that the fit has not seen"
            )
        return self.conformal_.p_values(logs)

    def select(self, X: Any, fdr: float = 0.1) -> Mask:
        """Which rows (n,) are odd, with an expected share of false ones of at most `fdr`.

        Benjamini & Hochberg's procedure on the p-values of these rows together (Bates et al. 2023).
        """
        if not 0.0 < fdr < 1.0:
            raise InputError(f"fdr={fdr!r}: a share between 0 and 1 is needed")
        return selected(self.p_values(X), fdr)

    def explain(self, X: Any) -> Contributions:
        """What each feature contributes to the squared distance of each row.

        ``δ² = Σ_j w_j²`` with ``w = R^(-1/2) D (x - μ)`` for the likeliest component, D one over
        its standard deviations and R its correlations (Garthwaite & Koch 2016); see
        `mixtura.operations.contributions.contributions`.
        """
        rows = rows_here(self, X)
        return contributions(self.mixture_, rows)

    def _logs(self, mixture: Mixture, rows: Rows) -> Array:
        out = np.empty(len(rows))

        def fill(block: Any, place: slice) -> None:
            out[place] = completed_log_density(mixture, block)

        MemorySource(rows, threads=threads(self.n_jobs)).each(fill)
        return out

    n_components_ = attributes.n_components

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _large(mixture: Mixture, smallest: float) -> Mixture:
    """The mixture of the components that have at least this share, and of the largest."""
    large = mixture.weights >= min(smallest, float(mixture.weights.max()))
    return mixture if large.all() else mixture.take(np.flatnonzero(large))


def _scored(mixture: Mixture, block: Block) -> tuple[Array, Array]:
    return completed_log_density(mixture, block), block.weight()
