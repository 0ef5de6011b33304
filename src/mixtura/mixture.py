"""The mixture P(x) = Σ π_k N(x | μ_k, Σ_k) as a frozen value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array, Mask, Rows
from mixtura.block import Block, Pattern, cuts
from mixtura.borrowed import Borrowed
from mixtura.conditioning import Observed, labels, log_sums, seen_through, shares
from mixtura.covariance import Covariances, structure
from mixtura.drawing import centre, drawn, total_covariance
from mixtura.frame import Frame
from mixtura.kernels.layout import FACTOR
from mixtura.law import GAUSSIAN, Gaussian, Law
from mixtura.noise import Noise
from mixtura.scoring import (
    conditioned,
    distances_with_gaps,
    filled,
    gaussian_joint,
    joint_at,
    joint_with,
    squared_distances,
)
from mixtura.wording import described

_COMPARED = ("feature_names", "frame", "law", "noise")
_FIELDS = ("weights", "location", "structure", "frame", "feature_names", "law", "noise")

_FEW = 8
"""Patterns of gaps that low-rank covariances take one by one."""


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Mixture:
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

    @property
    def n_components(self) -> int:
        """k."""
        return len(self.weights)

    @property
    def n_features(self) -> int:
        """d."""
        return self.location.shape[1]

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

    def mean(self) -> Array:
        """E[x] = Σ π_k μ_k, (d,), and the middle of the noise by its share."""
        return self.frame.unread(centre(self))

    def covariance(self) -> Array:
        """Cov[x] = Σ π_k (Σ_k + (μ_k - m)(μ_k - m)ᵀ), (d, d), and that of noise by its share.

        With ``ν_k / (ν_k - 2)`` before Σ_k for Student's t: infinite for ν up to 2.
        """
        return np.asarray(total_covariance(self) / self.frame.scale[:, None] / self.frame.scale)

    cov = covariance

    # ---- densities

    def logpdf(self, X: Any) -> Array:
        """Log-density log P(x) of each row, (n,), by the observed coordinates."""
        return self._by_rows(X, log_sums, ())

    def pdf(self, X: Any) -> Array:
        """Density P(x) of each row, (n,)."""
        return np.exp(self.logpdf(X))

    def component_logpdf(self, X: Any) -> Array:
        """Log-density log p(x | μ_k, Σ_k) of each row in each component, (n, k)."""
        free = self.changed(weights=np.ones_like(self.weights), noise=None)
        return free._by_rows(self._rows(X), lambda joint: joint, (self.n_components,))

    def responsibilities(self, X: Any) -> Array:
        """Posterior probability of each component given the row, (n, k).

        Rows sum to one, or with noise to one less the probability that the row is noise.
        """
        k = self.n_components
        return self._by_rows(X, lambda joint: shares(joint)[:, :k], (k,))

    def predict(self, X: Any) -> Array:
        """The most probable component of each row, (n,); -1 where that is the noise."""
        k = self.n_components
        return self._by_rows(X, lambda joint: labels(joint, k), ()).astype(np.intp)

    def outlier_probability(self, X: Any) -> Array:
        """Probability that the row is noise, (n,); zero without a noise component."""
        k = self.n_components
        return self._by_rows(X, lambda joint: shares(joint)[:, k:].sum(axis=1), ())

    def outlier_weights(self, X: Any) -> Array:
        """How much each row counts in a fit, ``Σ_k r_ik u_ik``, (n,): near zero for outliers.

        ``u = (ν + d)/(ν + δ²)`` for Student's t with d coordinates observed, one for a Gaussian;
        the responsibilities r of a row that is probably noise sum to little.

        Examples
        --------
        >>> from mixtura import StudentT
        >>> one = Mixture([1.0], [[0.0]], [[[1.0]]], law=StudentT(np.array([3.0])))
        >>> one.outlier_weights([[0.0], [1.0], [9.0]]).round(3).tolist()
        [1.333, 1.0, 0.048]
        """

        def weighed(squared: Array, observed: Mask) -> Array:
            share = shares(joint_at(self, squared, observed))[:, : self.n_components]
            return np.asarray(share * self.law.row_weights(squared, int(observed.sum())))

        return self._by_distance(X, weighed).sum(axis=1)

    def mahalanobis(self, X: Any) -> Array:
        """Distance √((x - μ_k)ᵀ Σ_k⁻¹ (x - μ_k)) of each row to each component, (n, k).

        With gaps, that of the observed coordinates.
        """
        return self._by_distance(X, lambda squared, observed: np.sqrt(squared))

    @cached_property
    def log_weights(self) -> Array:
        """(k,) log π_k, -inf for an empty component."""
        with np.errstate(divide="ignore"):
            return np.log(self.weights)

    def log_joint(self, block: Block) -> Iterator[tuple[Pattern, Array]]:
        """``log π_k + log p(z | k)`` (m, k) in frame coordinates, pattern by pattern.

        With noise, ``log (1 - share)`` is added and a last column holds the noise's.
        """
        if self.structure.shape == FACTOR and len(block.patterns) > _FEW:
            squared, log_det = distances_with_gaps(self, block)
            for pattern in block.patterns:
                at = squared[pattern.rows], log_det[pattern.rows]
                yield pattern, joint_with(self, *at, pattern.observed)
            return
        for pattern in block.patterns:
            yield pattern, self.joint(block.rows[pattern.rows], pattern.observed)

    def observed(self, observed: Mask) -> Observed:
        """The mixture seen through a pattern (d,) of observed coordinates."""
        if self.structure.shape == FACTOR:  # cheap, and as large as the loadings
            return seen_through(self.structure, observed)
        key = np.packbits(observed).tobytes()
        if key not in self._seen:
            self._seen[key] = seen_through(self.structure, observed)
        return self._seen[key]

    def kept(self, name: str, make: Any) -> Any:
        """``make(mixture)``, made once: what every block of rows needs of the mixture."""
        if name not in self._kept:
            self._kept[name] = make(self)
        return self._kept[name]

    @cached_property
    def _kept(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _seen(self) -> dict[bytes, Observed]:
        return {}

    def joint(self, rows: Rows, observed: Mask) -> Array:
        """Log joint (m, k) of rows that have the coordinates `observed`; see `log_joint`."""
        if self.plain:
            norms = self.observed(observed).log_norms
            return gaussian_joint(self, rows, observed, self.log_weights, norms)
        return joint_at(self, squared_distances(self, rows, observed), observed)

    @property
    def plain(self) -> bool:
        """Whether all components are Gaussian and there is no noise."""
        return isinstance(self.law, Gaussian) and self.noise is None

    def _rows(self, X: Any) -> Rows:
        return _checks.rows_like(X, self.n_features, self.feature_names)

    def _by_rows(self, X: Any, finish: Any, tail: tuple[int, ...]) -> Array:
        """Apply `finish` to the log joint (in the data's units) of every row, block by block."""
        rows = self._rows(X)
        out = np.empty((len(rows), *tail))
        for part in cuts(*rows.shape):
            self.fill(Block(rows[part]), finish, out[part])
        return out

    def _by_distance(self, X: Any, finish: Any) -> Array:
        """``finish(squared distances, observed)``, (n, k), of every row."""
        rows = self._rows(X)
        out = np.empty((len(rows), self.n_components))
        for part in cuts(*rows.shape):
            block = Block(rows[part])
            for pattern in block.patterns:
                squared = squared_distances(self, block.rows[pattern.rows], pattern.observed)
                out[part][pattern.rows] = finish(squared, pattern.observed)
        return out

    def fill(self, block: Block, finish: Any, out: Array) -> None:
        """Write ``finish(log joint)`` of a block's rows into `out`."""
        for pattern, joint in self.log_joint(block):
            volume = self.frame.take(pattern.observed).log_volume
            out[pattern.rows] = finish(joint + volume)

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
        if n < 1 or (component is not None and not 0 <= component < self.n_components):
            raise InputError(f"n={n}, component={component}: n >= 1, 0 <= component < k are needed")
        z, labels = drawn(self, n, np.random.default_rng(rng), component)
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
        rows = np.array(self._rows(X), dtype=np.float64)
        for part in cuts(*rows.shape):
            block = Block(rows[part].copy())
            for pattern, joint in self.log_joint(block):
                if not pattern.complete:
                    gappy = block.rows[pattern.rows]
                    rows[part][pattern.rows] = filled(self, gappy, pattern.observed, joint)
        return rows

    def _names(self, some: Any) -> list[str] | None:
        return None if self.feature_names is None else [self.feature_names[i] for i in some]

    # ---- as a value

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Mixture:
        """The mixture of a fitted ``sklearn.mixture.GaussianMixture`` (or Bayesian one)."""
        if not hasattr(estimator, "covariances_"):
            raise InputError(f"{type(estimator).__name__} is not fitted: call fit first")
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
