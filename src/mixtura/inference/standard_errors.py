"""Standard errors of the parameters from derivatives of the log-likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtura._errors import InputError, MixturaWarning, warn
from mixtura._types import Array
from mixtura.assignment import soft
from mixtura.inference.chart import Chart, chart
from mixtura.inference.intervals import Intervals, delta, of_parameters
from mixtura.inference.score import Derivatives, derivatives, of_prior
from mixtura.inference.subject import Subject, family_name, subject
from mixtura.inference.tables import parameter_table
from mixtura.mixture import Mixture

METHODS = {
    "information": "observed information",
    "opg": "outer product of gradients",
    "sandwich": "sandwich",
}

_AT_THE_BOUND = 1e-6
"""How near the bound on their ratio, relative to it, eigenvalues rest on it."""

SHORT = 0.02
"""Nats short of the maximum from which a warning says so: a fifth of a standard error."""


@dataclass(frozen=True, eq=False)
class StandardErrors:
    """Standard errors of a mixture's weights, means and covariances.

    Attributes
    ----------
    weights : (k,)
    means : (k, d)
    covariances : (k, d, d)
        Zero for what the fit held.
    vcov : (q, q)
        Estimated covariance of the estimates in the order of `names`; singular, as weights sum to
        one and families share entries.
    names : tuple of str
        ``weight[c]``, ``mean[c,column]`` and ``covariance[c,column,column]``.
    method : {"information", "opg", "sandwich"}
        The estimator; they differ, by up to 40 % on small samples.
    mixture : Mixture
        The estimates.
    """

    weights: Array
    means: Array
    covariances: Array
    vcov: Array
    names: tuple[str, ...]
    method: str
    mixture: Mixture
    _chart: Chart
    _free: Array

    @property
    def estimator(self) -> str:
        """The estimator in words."""
        return METHODS[self.method]

    @cached_property
    def intervals(self) -> Intervals:
        """95 % intervals of all parameters."""
        return self.confidence_intervals()

    def confidence_intervals(self, level: float = 0.95) -> Intervals:
        """Wald intervals of weights (logit scale), means, and covariances (variances as logs)."""
        return of_parameters(self, level)

    def interval(self, f: Callable[[Mixture], Any], level: float = 0.95) -> tuple[Any, Any]:
        """Interval of any function of the parameters by the delta method.

        Parameters
        ----------
        f : callable
            ``f(mixture)`` gives a number or an array, smooth in the parameters.
        level : float

        Returns
        -------
        low, high : float or ndarray
            ``f ± z √(∇fᵀ V ∇f)``, gradients by central differences along the axes of V.
        """
        return delta(self._chart, self._free, f, level)

    def __str__(self) -> str:
        title = f"Standard errors by {self.estimator}"
        return title + "\n" + parameter_table(self.mixture, self)

    __repr__ = __str__


def standard_errors(
    model: Any,
    X: Any,
    *,
    method: str = "information",
    sample_weight: Any = None,
    labels: Any = None,
) -> StandardErrors:
    """Standard errors of a maximum-likelihood fit.

    Parameters
    ----------
    model : Mixture or fitted estimator
    X : (n, d) array_like or data frame
        What it was fitted to; NaN where unobserved.
    method : {"information", "opg", "sandwich"}, default="information"
        "information" inverts the observed information ``I = -∂² log L`` (Louis 1982), "opg" the
        outer product of gradients ``G = Σ s sᵀ`` (Berndt et al. 1974), and "sandwich" is
        ``I⁻¹ G I⁻¹``, which holds up if the data are not from such a mixture (White 1982).
    sample_weight : (n,) array_like, optional
        Repetitions of the rows.
    labels : (n,) or (n, k) array_like, optional
        Known components, as in the fit.

    Returns
    -------
    StandardErrors

    Raises
    ------
    InputError
        The information is singular (the fit is no maximum, or the parameters are not identified);
        a family without parametrisation; hard assignment, trimming, Student's t or noise; a bound
        on eigenvalues that holds, or a `reg_covar` that matters.

    Notes
    -----
    Fit with a small `tol` first: the formulas hold at the maximum. A prior adds its information.
    Mixtures need large samples for these; `bootstrap` is the check.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import GaussianMixture, standard_errors
    >>> X = np.random.default_rng(0).normal(size=(400, 1))
    >>> errors = standard_errors(GaussianMixture(1).fit(X), X)
    >>> errors.means.round(2), errors.estimator  # 1 / √400
    (array([[0.05]]), 'observed information')
    """
    if method not in METHODS:
        raise InputError(f"method={method!r} is unknown: use one of {tuple(METHODS)}")
    about = subject(model, X, sample_weight, labels)
    _refuse_others(about)
    problem = about.problem
    local = chart(about.mixture, family_name(model), not problem.equal_weights, problem.held)
    if not sum(local.sizes):
        raise InputError("everything is held, so nothing was estimated that could err")
    found = _summed(about, local)
    free = _covariance(local, found, about, method)
    _tell_if_short(about, local, found, free)
    return _reported(about, local, free, method)


def _refuse_others(about: Subject) -> None:
    """Only Gaussian mixtures at a maximum of the likelihood have these formulas."""
    if about.problem.assign is not soft or about.problem.outliers.trim:
        raise InputError(
            "hard assignment and trimming do not maximise the likelihood, so there is no "
            "information to invert: use mixtura.bootstrap"
        )
    if not about.mixture.plain:
        raise InputError(
            "the information is known for Gaussian components without noise: "
            "use mixtura.bootstrap, which takes Student's t and noise as well"
        )
    ratio = about.problem.guard.ratio
    if ratio is not None and _spread(about.mixture) > ratio * (1.0 - _AT_THE_BOUND):
        raise InputError(
            f"the fit rests on max_ratio={ratio:g}, where the likelihood still rises, so there is "
            "no information to invert: use mixtura.bootstrap, or fit with a larger max_ratio"
        )


def _spread(mixture: Mixture) -> float:
    """The largest eigenvalue of all covariances over the smallest, in the data's units."""
    values = np.linalg.eigvalsh(mixture.unframed().dense())
    return float(values.max() / values.min())


def _summed(about: Subject, local: Chart) -> Derivatives:
    blocks = about.source.map(lambda b: derivatives(about.mixture, b, local.moves.entries))
    total = blocks[0]
    for one in blocks[1:]:
        total = total + one
    return total


def _covariance(local: Chart, found: Derivatives, about: Subject, method: str) -> Array:
    """(p, p) of the free parameters."""
    outer = local.outer(found)
    if method == "opg":
        return _inverse(outer, "the outer product of gradients")
    penalised = found + of_prior(about.problem, about.mixture, local.moves.entries)
    bread = _inverse(-local.hessian(penalised), "the observed information")
    return bread if method == "information" else np.asarray(bread @ outer @ bread)


def _tell_if_short(about: Subject, local: Chart, found: Derivatives, free: Array) -> None:
    """Warn where the gradient tells of a climb that ended ``½ gᵀ V g`` nats too early."""
    penalised = found + of_prior(about.problem, about.mixture, local.moves.entries)
    gradient = local.gradient(penalised)
    short = 0.5 * float(gradient @ free @ gradient)
    if short > SHORT and np.any(about.problem.guard.ridge):
        raise InputError(
            f"reg_covar holds the fit about {short:.2g} nats below the maximum of the likelihood, "
            "where these formulas do not hold: use mixtura.bootstrap, or leave reg_covar out"
        )
    if short > SHORT:
        warn(
            f"the fit is about {short:.2g} nats short of the maximum: its parameters lie up to "
            f"{np.sqrt(2.0 * short):.2g} standard errors off; fit with a lower tol, to these rows",
            MixturaWarning,
        )


def _inverse(matrix: Array, what: str) -> Array:
    """The inverse of what should be positive definite, scaled to a unit diagonal first."""
    diagonal = matrix.diagonal()
    if (diagonal > 0).all():
        scale = 1.0 / np.sqrt(diagonal)
        values, vectors = np.linalg.eigh(scale[:, None] * matrix * scale)
        if values[0] > 1e-12:
            root = scale[:, None] * vectors / np.sqrt(values)
            return np.asarray(root @ root.T)
    raise InputError(
        f"{what} is not positive definite: the fit is not at a maximum (lower tol, or check that "
        "X, weights and labels are those of the fit), or the parameters are not identified (too "
        "few rows, equal components): use fewer components or mixtura.bootstrap"
    )


def _reported(about: Subject, local: Chart, free: Array, method: str) -> StandardErrors:
    """Delta method from the free parameters to all that is reported, in the data's units."""
    mixture = about.mixture
    k, d = mixture.location.shape
    i, j = local.moves.entries
    jacobian = local.jacobian()
    scale = mixture.frame.scale
    weights = mixture.weights[:, None] * jacobian[:, 0]
    means = jacobian[:, 1 : 1 + d] / scale[:, None]
    moved = jacobian[:, 1 + d :] / (scale[i] * scale[j])[:, None]
    whole = np.concatenate([part.reshape(-1, free.shape[0]) for part in (weights, means, moved)])
    vcov = whole @ free @ whole.T
    deviations = np.sqrt(np.maximum(vcov.diagonal(), 0.0))
    covariances = np.zeros((k, d, d))
    covariances[:, i, j] = deviations[k + k * d :].reshape(k, -1)
    covariances[:, j, i] = covariances[:, i, j]
    return StandardErrors(
        deviations[:k],
        deviations[k : k + k * d].reshape(k, d),
        covariances,
        vcov,
        _names(k, about.columns, (i, j)),
        method,
        mixture,
        local,
        free,
    )


def _names(k: int, columns: tuple[str, ...], entries: tuple[Array, Array]) -> tuple[str, ...]:
    components = range(k)
    return (
        *(f"weight[{c}]" for c in components),
        *(f"mean[{c},{name}]" for c in components for name in columns),
        *(
            f"covariance[{c},{columns[i]},{columns[j]}]"
            for c in components
            for i, j in zip(*entries, strict=True)
        ),
    )


def confidence_intervals(
    model: Any,
    X: Any,
    *,
    level: float = 0.95,
    method: str = "information",
    sample_weight: Any = None,
    labels: Any = None,
) -> Intervals:
    """Confidence intervals of weights, means and covariances from standard errors.

    Wald intervals: of weights on the logit scale, of variances on the log scale, so that they stay
    in range; of means and covariances as they are.

    Parameters
    ----------
    model, X, method, sample_weight, labels
        As in `standard_errors`.
    level : float, default=0.95

    Returns
    -------
    Intervals

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import GaussianMixture, confidence_intervals
    >>> X = np.random.default_rng(0).normal(size=(400, 1))
    >>> found = confidence_intervals(GaussianMixture(1).fit(X), X)
    >>> found.means.round(2).tolist()  # low and high of the mean
    [[[-0.13, 0.06]]]
    """
    errors = standard_errors(model, X, method=method, sample_weight=sample_weight, labels=labels)
    return errors.confidence_intervals(level)
