"""Linear experts behind a Gaussian gate, with structures of their own."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from mixtura._errors import InputError, InputTypeError
from mixtura._types import Array
from mixtura.covariance import Experts
from mixtura.estimators.behind import fit_behind, keep_fit, mixture_parameters
from mixtura.estimators.following import as_it_was
from mixtura.estimators.gaussian_mixture import GaussianMixture
from mixtura.estimators.joining import joint_to_fit
from mixtura.estimators.predictive import PredictiveMixture
from mixtura.fit.select import rules
from mixtura.mixture import Mixture
from mixtura.operations.experts import LinearExperts, linear_experts


class MixtureOfLinearExperts(PredictiveMixture):
    """Linear regressions, each where its Gaussian of the inputs holds.

    ``p(y | x) = Σ_k π_k(x) N(y | A_k x + b_k, S_k)`` with the gate
    ``π_k(x) = π_k N(x | μ_k, G_k) / Σ_l π_l N(x | μ_l, G_l)``. Inputs and outcomes together are a
    Gaussian mixture, and are fitted as such; but the covariances G of the inputs and S of the noise
    have families of their own, and the slopes a ridge. With full ones the model is that of
    `MixtureRegressor`; with "diag", "spherical" or "factor" gates it has far fewer parameters for
    many inputs, while each expert still has a slope for every input.

    Parameters
    ----------
    n_components : int, iterable of int, or "auto", default="auto"
        Numbers of experts; several, or "auto" for 1..9, are compared by `criterion`.
    covariance_type : str or sequence of str, default="full"
        Families of the gate; several are compared by `criterion`.
    noise_type : str, default="full"
        Family of the noise around the lines, as `covariance_type`: "tied" for one noise of all
        experts, "diag" for outcomes that are independent given inputs and expert.
    ridge : float, default=0.0
        How many rows the belief is worth, in each expert, that its slopes are zero. It adds
        ``-½ ridge Σ_k tr(S_k⁻¹ A_k V A_kᵀ)`` to the log-likelihood, V the variances of the inputs.
    point : {"mean", "median", "mode"}, default="mean"
        What `predict` gives: the best guess in squared error, in absolute error (outcome by
        outcome), or the most likely value.
    rank : int, iterable of int or "auto", optional
        Of "factor", "ppca" and their kin, for the gate.
    criterion, distribution, dof, noise, trim, prior, reg_covar, tol, max_iter, n_init
        As in `GaussianMixture`, for inputs and outcomes together.
    random_state : int, RandomState or None, default=None
        For the fit, and for draws.
    n_jobs : int, optional
        Threads; all cores by default.

    Attributes
    ----------
    gate_ : Mixture
        Of the inputs.
    slopes_ : (k, m, d) ndarray
    intercepts_ : (k, m) ndarray
    noise_covariances_ : (k, m, m) ndarray
    mixture_ : Mixture
        Of the inputs and, in its last columns, the outcomes.
    covariance_type_ : str
        Of the gate, as chosen.
    trace_ : list of float
        The objective in nats a row after each step; it never falls.
    n_outputs_ : int
    n_components_, selection_, converged_, n_iter_
        As in `GaussianMixture`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    MixtureRegressor : One family for inputs and outcomes together.

    References
    ----------
    Xu, Jordan & Hinton (1995), "An alternative model for mixtures of experts", NIPS 7.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import MixtureOfLinearExperts
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-3, 3, 400)
    >>> y = np.abs(x) + rng.normal(0, 0.1, 400)
    >>> model = MixtureOfLinearExperts(2, noise_type="tied", random_state=0).fit(x[:, None], y)
    >>> sorted(model.slopes_.ravel().round(1).tolist())
    [-1.0, 1.0]
    >>> model.predict([[-2.0], [2.0]]).round(1).tolist()
    [2.0, 2.0]
    """

    def __init__(
        self,
        n_components: Any = "auto",
        *,
        covariance_type: Any = "full",
        noise_type: str = "full",
        ridge: float = 0.0,
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
        self.noise_type = noise_type
        self.ridge = ridge
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
        """Fit gate and experts, by expectation-maximization on inputs and outcomes together.

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
            model = GaussianMixture(**mixture_parameters(self) | {"rank": None})
            joint = joint_to_fit(self, model, X, y, sample_weight)
            model.covariance_type = self._families(self.n_features_in_, joint.outputs)
            keep_fit(self, fit_behind(model, joint.given))
        self.mixture_ = model.mixture_.changed(feature_names=joint.names)
        self.experts_ = linear_experts(self.mixture_, self.n_features_in_)
        self.covariance_type_ = self.experts_.gate.structure.name
        self.trace_ = model.trace_
        self.n_outputs_, self._flat = joint.outputs, joint.flat
        return self

    def _families(self, inputs: int, outputs: int) -> list[Experts]:
        ridge = self.ridge
        if not isinstance(ridge, (int, float, np.number)) or isinstance(ridge, bool):
            raise InputTypeError(f"ridge={ridge!r} must be a number, at least 0")
        if not 0 <= ridge < np.inf:
            raise InputError(f"ridge={ridge!r} must be at least 0")
        gates = rules(self.covariance_type, inputs, self.rank)
        noise = rules(self.noise_type, outputs)
        if len(noise) > 1:
            raise InputError(f"noise_type={self.noise_type!r} names several families: give one")
        return [Experts(gate, noise[0], inputs, float(ridge)) for gate in gates]

    # ---- the fit by its parts

    experts_: LinearExperts

    @property
    def gate_(self) -> Mixture:
        """Of the inputs."""
        return self._value.gate

    @property
    def slopes_(self) -> Array:
        """(k, m, d)"""
        return self._value.slopes

    @property
    def intercepts_(self) -> Array:
        """(k, m)"""
        return self._value.intercepts

    @property
    def noise_covariances_(self) -> Array:
        """(k, m, m)"""
        return self._value.noise

    @property
    def _value(self) -> LinearExperts:
        if "experts_" not in self.__dict__:
            raise AttributeError(f"this {type(self).__name__} is not fitted yet: call fit first")
        return self.experts_
