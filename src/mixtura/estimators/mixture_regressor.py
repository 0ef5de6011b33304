"""Regression by a mixture of inputs and outcomes together."""

from __future__ import annotations

from typing import Any, Self

from mixtura.estimators.behind import fit_behind, keep_fit, mixture_parameters
from mixtura.estimators.following import as_it_was
from mixtura.estimators.gaussian_mixture import GaussianMixture
from mixtura.estimators.joining import joint_to_fit
from mixtura.estimators.predictive import PredictiveMixture
from mixtura.operations.experts import steadied


class MixtureRegressor(PredictiveMixture):
    """Gaussian mixture regression: fit the joint density of X and y, then condition on X.

    ``p(y | x) = Σ_k π_k(x) N(y | μ_y,k + Σ_yx,k Σ_xx,k⁻¹ (x - μ_x,k), Σ_yy·x,k)`` with
    ``π_k(x) ∝ π_k N(x | μ_x,k, Σ_xx,k)``: straight lines, each where it holds, with a noise of its
    own. The prediction is a whole distribution, which may have several modes. Rows may lack any
    of their inputs and outcomes, in `fit` and, of the inputs, in prediction.

    Parameters
    ----------
    n_components : int, iterable of int, or "auto", default="auto"
        Several numbers, or "auto" for 1..9, are compared by `criterion`.
    covariance_type : str or sequence of str, default="full"
        Of inputs and outcomes together. In "diag" and "spherical" families a component predicts
        a constant.
    point : {"mean", "median", "mode"}, default="mean"
        What `predict` gives: the best guess in squared error, in absolute error (outcome by
        outcome), or the most likely value.
    rank, criterion, distribution, dof, noise, trim, prior, reg_covar, tol, max_iter, n_init
        As in `GaussianMixture`.
    random_state : int, RandomState or None, default=None
        For the fit, and for draws.
    n_jobs : int, optional
        Threads; all cores by default.

    Attributes
    ----------
    mixture_ : Mixture
        Of the inputs and, in its last columns, the outcomes.
    n_outputs_ : int
    n_components_, covariance_type_, selection_, converged_, n_iter_
        As in `GaussianMixture`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    MixtureOfLinearExperts : The same model with separate structures for inputs and noise.

    References
    ----------
    Ghahramani & Jordan (1994), "Supervised learning from incomplete data via an EM approach",
    NIPS 6; Sung (2004), "Gaussian mixture regression and classification", Rice University.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import MixtureRegressor
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-3, 3, 400)
    >>> y = np.abs(x) + rng.normal(0, 0.1 + 0.2 * (x > 0), 400)
    >>> model = MixtureRegressor(2, random_state=0).fit(x[:, None], y)
    >>> model.predict([[-2.0], [2.0]]).round(1).tolist()
    [2.0, 2.0]
    >>> low, high = model.predict_interval([[-2.0], [2.0]], coverage=0.9).T
    >>> (high - low).round(1).tolist()
    [0.3, 1.0]
    """

    def __init__(
        self,
        n_components: Any = "auto",
        *,
        covariance_type: Any = "full",
        point: str = "mean",
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
        self.point = point
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

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the mixture of inputs and outcomes.

        Parameters
        ----------
        X : (n, d) array_like, data frame, scan, or Dask or Spark collection
            NaN where unobserved.
        y : (n,) or (n, m) array_like, series or data frame; str or sequence of str
            NaN where unobserved: the rest of the row still counts. Or names of columns of X.
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
        self._point()
        with as_it_was(self):
            model = GaussianMixture(**mixture_parameters(self))
            joint = joint_to_fit(self, model, X, y, sample_weight)
            keep_fit(self, fit_behind(model, joint.given))
        steady = steadied(model.mixture_, self.n_features_in_)
        self.mixture_ = steady.changed(feature_names=joint.names)
        self.n_outputs_, self._flat = joint.outputs, joint.flat
        return self
