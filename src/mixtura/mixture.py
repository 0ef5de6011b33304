"""The mixture P(x) = Σ π_k N(x | μ_k, Σ_k) as a frozen value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError, InputTypeError
from mixtura._random import generator
from mixtura._types import Array
from mixtura.block import Block, cuts
from mixtura.borrowed import Borrowed
from mixtura.censoring import filled_within
from mixtura.covariance import Covariances, structure
from mixtura.densities import Densities, many_gaps
from mixtura.drawing import centre, drawn, total_covariance
from mixtura.frame import Frame
from mixtura.law import GAUSSIAN, Law
from mixtura.noise import Noise
from mixtura.scoring import conditioned, filled, filled_with_gaps
from mixtura.wording import described

_COMPARED = ("feature_names", "frame", "law", "noise")
_FIELDS = ("weights", "location", "structure", "frame", "feature_names", "law", "noise")


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Mixture(Densities):
    """A mixture with k components in d dimensions, Gaussian unless `law` says otherwise.

    ``P(x) = Σ_k π_k N(x | μ_k, Σ_k)``. The value is frozen: every operation gives a new one.
    NaN in a row means that the coordinate was not observed; such rows are scored by their
    marginal density. Fits with ``distribution="t"`` or ``noise`` give mixtures with heavier tails:
    ``P(x) = (1 - share) Σ_k π_k t(x | μ_k, Σ_k, ν_k) + share / V``.

    Parameters
    ----------
    weights : (k,) array_like
        Mixing weights, at least 0, summing to one.
    means : (k, d) array_like
    covariances : array_like or FactorCovariances
        Laid out for `covariance_type` as in scikit-learn: ``(k, d, d)`` full, ``(d, d)`` tied,
        ``(k, d)`` diag, ``(k,)`` spherical and equal-spherical; ``(d,)`` for EEI, ``(k, d)`` for
        VEI and EVI, ``(k, d, d)`` for the rest; ``(k, d, 1 + r)``, noise variances and then
        loadings, for factor analyzers of rank r.
    covariance_type : str, default="full"
        A covariance family: full, tied, diag, spherical, equal-spherical, or its mclust name; or
        a kind of factor analyzers with its rank, as in "factor:3" (`mixtura.covariance.Factor`).
    feature_names : sequence of str, optional
        Names for the d columns, usable wherever a dimension is asked for.
    law : Law, optional
        Gaussian, or `mixtura.StudentT` with the degrees of freedom of the components.
    noise : Noise, optional
        A uniform component beside the k.

    Attributes
    ----------
    weights : (k,)
    location : (k, d)
        Means in frame coordinates.
    structure : Covariances
        Covariances in frame coordinates.
    frame : Frame
        Coordinates ``z = (x - pivot) * scale`` in which the numbers are kept.
    feature_names : tuple of str or None
    law : Law
    noise : Noise or None
        With its box in frame coordinates.

    Raises
    ------
    InputError
        Shapes that do not fit, weights that do not sum to one, covariances that are not symmetric
        positive definite (names the component).

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import Mixture
    >>> mixture = Mixture([0.3, 0.7], [[0.0], [4.0]], [[[1.0]], [[0.25]]])
    >>> mixture.pdf([[4.0]]).round(4)
    array([0.5586])
    >>> mixture.predict([[0.5], [3.5]])
    array([0, 1])
    """

    weights: Array
    location: Array
    structure: Covariances
    frame: Frame
    feature_names: tuple[str, ...] | None
    law: Law
    noise: Noise | None

    def __init__(
        self,
        weights: Any,
        means: Any,
        covariances: Any,
        *,
        covariance_type: str = "full",
        feature_names: Sequence[str] | None = None,
        law: Law = GAUSSIAN,
        noise: Noise | None = None,
    ) -> None:
        means = _checks.mean_vectors(means)
        k, d = means.shape
        shape = structure(covariances, covariance_type, k, d)
        weights = _checks.mixing_weights(weights, k)
        law.check(k)
        self._set(weights, means, shape, Frame.identity(d), feature_names, law, noise)

    @classmethod
    def of(
        cls,
        weights: Array,
        location: Array,
        structure: Covariances,
        frame: Frame,
        feature_names: Sequence[str] | None = None,
        law: Law = GAUSSIAN,
        noise: Noise | None = None,
    ) -> Mixture:
        """A mixture from numbers that are known to be valid, in frame coordinates."""
        mixture = object.__new__(cls)
        mixture._set(weights, location, structure, frame, feature_names, law, noise)
        return mixture

    def changed(self, **fields: Any) -> Mixture:
        """The mixture with other values for some of the fields, known to be valid."""
        return Mixture.of(*(fields.get(name, getattr(self, name)) for name in _FIELDS))

    def _set(self, *values: Any) -> None:
        fields = dict(zip(_FIELDS, values, strict=True))
        names, d = fields["feature_names"], fields["location"].shape[1]
        if names is not None and len(names) != d:
            raise InputError(f"{len(names)} feature names for {d} features")
        fields["feature_names"] = None if names is None else tuple(names)
        fields["weights"], fields["location"] = map(_frozen, values[:2])
        self.__dict__.update(fields)

    # ---- the numbers in the units of the data

    @cached_property
    def means(self) -> Array:
        """(k, d) means."""
        return _frozen(self.frame.unread(self.location))

    @cached_property
    def covariances(self) -> Array:
        """(k, d, d) matrices Σ_k, dense whatever the structure.

        The components' covariances; for Student's t what ``ν / (ν - 2)`` multiplies to these.
        """
        with np.errstate(over="ignore", under="ignore"):
            return _frozen(self.unframed().dense())

    def unframed(self) -> Covariances:
        """The structured covariances in the units of the data."""
        return self.structure.scaled(1.0 / self.frame.scale)

    def shaped(self, frame: Frame) -> Covariances:
        """The structured covariances in another frame, even if they are no numbers in the data's.

        Variances of columns of size 1e200 are beyond what a float can hold.
        """
        return self.structure.scaled(frame.scale / self.frame.scale)

    def mean(self) -> Array:
        """E[x] = Σ π_k μ_k, (d,), and the middle of the noise by its share."""
        return self.frame.unread(centre(self))

    def covariance(self) -> Array:
        """Cov[x] = Σ π_k (Σ_k + (μ_k - m)(μ_k - m)ᵀ), (d, d), and that of noise by its share.

        With ``ν_k / (ν_k - 2)`` before Σ_k for Student's t: infinite for ν up to 2.
        """
        return np.asarray(total_covariance(self) / self.frame.scale[:, None] / self.frame.scale)

    cov = covariance

    # ---- distribution functions, summaries and closed operations, by `mixtura.operations`

    affine = Borrowed("affine.affine")
    box_probability = Borrowed("probability.box_probability")
    cdf = Borrowed("probability.cdf")
    conditionals = Borrowed("conditionals.conditionals")
    convolve = Borrowed("algebra.convolve")
    covariance_parts = Borrowed("moments.covariance_parts")
    entropy = Borrowed("entropy.entropy")
    icdf = Borrowed("univariate.quantile")
    isf = Borrowed("univariate.isf")
    kurtosis = Borrowed("moments.kurtosis")
    logcdf = Borrowed("probability.logcdf")
    logsf = Borrowed("univariate.logsf")
    moment = Borrowed("moments.moment")
    posterior = Borrowed("posterior.posterior")
    ppf = Borrowed("univariate.quantile")
    product = Borrowed("algebra.product")
    quantile = Borrowed("univariate.quantile")
    sf = Borrowed("univariate.sf")
    skewness = Borrowed("moments.skewness")
    std = Borrowed("moments.std")
    truncate = Borrowed("truncation.truncate")
    var = Borrowed("moments.var")

    # ---- drawing

    def sample(
        self,
        n: int = 1,
        rng: Any = None,
        *,
        component: int | None = None,
        return_labels: bool = False,
    ) -> Any:
        """Draw rows.

        Parameters
        ----------
        n : int
        rng : numpy.random.Generator, int or None
        component : int, optional
            Draw from this component alone.
        return_labels : bool, default=False
            Also give the component of each row.

        Returns
        -------
        rows : (n, d)
        labels : (n,), with `return_labels`; -1 for noise
        """
        n = _checks.whole(n, "n")
        if n < 1 or (component is not None and not 0 <= component < self.n_components):
            raise InputError(f"n={n}, component={component}: n >= 1, 0 <= component < k are needed")
        z, labels = drawn(self, n, generator(rng), component)
        rows = self.frame.unread(z)
        return (rows, labels) if return_labels else rows

    # ---- closed operations

    def take(self, components: Any) -> Mixture:
        """The mixture of some components, in the order asked for, with their weights made whole.

        Noise stays, and weighs against these components what it did.
        """
        weights, noise = self.weights[components], self.noise
        if noise is not None:
            whole = noise.share + (1.0 - noise.share) * weights.sum()
            noise = noise.sharing(noise.share / whole)
        return self.changed(
            weights=weights / weights.sum(),
            location=self.location[components],
            structure=self.structure.take(components),
            law=self.law.take(components),
            noise=noise,
        )

    def marginal(self, dims: Any) -> Mixture:
        """The mixture of some coordinates, by number or name, in the order asked for."""
        some = _checks.positions(dims, self.n_features, self.feature_names)
        return self.changed(
            location=self.location[:, some],
            structure=self.structure.marginal(some),
            frame=self.frame.take(some),
            feature_names=self._names(some),
            noise=None if self.noise is None else self.noise.marginal(some),
        )

    def condition(self, given: Mapping[Any, float]) -> Mixture:
        """The mixture of the other coordinates given values of some.

        ``π_k' ∝ π_k p(x_o | k)``, ``μ_k' = μ_m + Σ_mo Σ_oo⁻¹ (x_o - μ_o)``,
        ``Σ_k' = Σ_mm - Σ_mo Σ_oo⁻¹ Σ_om``. Student's t stays one, with ``ν' = ν + d_o`` and Σ'
        times ``(ν + δ_o²)/(ν + d_o)`` (Ding 2016). Noise is judged by its box.

        Parameters
        ----------
        given : mapping of dimension (number or name) to value

        Returns
        -------
        Mixture
            Over the dimensions not given, in their order.
        """
        if not isinstance(given, Mapping):
            raise InputTypeError(
                f"condition takes a mapping of dimensions to values, {{0: 1.5}}, not {given!r}"
            )
        dims = _checks.positions(list(given), self.n_features, self.feature_names)
        row = np.full((1, self.n_features), np.nan)
        row[0, dims] = _checks.numbers(list(given.values()), "the given values")
        if not np.isfinite(row[0, dims]).all() or len(dims) == self.n_features:
            raise InputError("condition needs finite values for some, not all, of the dimensions")
        rest = np.flatnonzero(np.isnan(row[0]))
        names = self._names(rest)
        return self.changed(**conditioned(self, row), feature_names=names)

    def impute(self, X: Any) -> Array:
        """Rows with each NaN replaced by its conditional mean given the row's observed values."""
        return self.completed(Block(self._rows(X)))

    def completed(self, block: Block) -> Array:
        """Rows (n, d) of a block with each NaN replaced by its mean given all that is known."""
        rows = np.empty((len(block), self.n_features))
        for part in cuts(len(block), self.n_features):
            rows[part] = self._filled(block.take(part))
        return rows

    def _filled(self, block: Block) -> Array:
        joint = self.joint_of(block)
        if many_gaps(block):
            found = filled_with_gaps(self, block, joint)
            if found is not None:
                return found
        rows = np.array(block.rows, dtype=np.float64)
        for pattern in block.patterns:
            some, logs = block.take(pattern.rows), joint[pattern.rows]
            if pattern.bounded is not None:
                rows[pattern.rows] = filled_within(self, some, pattern, logs)
            elif not pattern.complete:
                rows[pattern.rows] = filled(self, some.rows, pattern.observed, logs)
        return rows

    def _names(self, some: Any) -> list[str] | None:
        return None if self.feature_names is None else [self.feature_names[i] for i in some]

    # ---- as a value

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Mixture:
        """The mixture of a fitted ``sklearn.mixture.GaussianMixture`` (or Bayesian one)."""
        from mixtura.estimators.convert import refuse_unfitted

        refuse_unfitted(estimator)
        if not hasattr(estimator, "covariances_"):
            raise InputTypeError(
                f"a fitted GaussianMixture is needed, not {type(estimator).__name__}: it has no "
                "covariances_"
            )
        return cls(
            estimator.weights_ / np.sum(estimator.weights_),
            estimator.means_,
            estimator.covariances_,
            covariance_type=estimator.covariance_type,
            feature_names=getattr(estimator, "feature_names_in_", None),
        )

    def to_sklearn(self) -> Any:
        """A fitted ``sklearn.mixture.GaussianMixture`` with these parameters."""
        from mixtura.estimators.convert import to_sklearn

        return to_sklearn(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mixture):
            return NotImplemented
        return (
            self.structure.name == other.structure.name
            and all(getattr(self, name) == getattr(other, name) for name in _COMPARED)
            and np.array_equal(self.weights, other.weights)
            and np.array_equal(self.location, other.location)
            and np.array_equal(self.structure.array(), other.structure.array())
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return described(self)


def _frozen(values: Array) -> Array:
    """A view that cannot be written to."""
    if not values.flags.writeable:
        return values
    view = values.view()
    view.flags.writeable = False
    return view
