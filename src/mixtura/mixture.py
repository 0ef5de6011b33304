"""The mixture P(x) = Σ π_k N(x | μ_k, Σ_k) as a frozen value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtura import _checks, kernels
from mixtura._errors import InputError
from mixtura._types import Array, Mask, Rows
from mixtura.block import Block, Pattern, cuts
from mixtura.conditioning import Observed, log_sums, seen_through, shares
from mixtura.covariance import Covariances, FactorCovariances, structure
from mixtura.frame import Frame
from mixtura.kernels.layout import FACTOR
from mixtura.kernels.low_rank import Gaps, tiled
from mixtura.law import log_norms

_FAR = 1e140
"""Where coordinates are clipped if the squared distance would overflow."""


_FEW = 8
"""Patterns of gaps that low-rank covariances take one by one."""


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Mixture:
    """A Gaussian mixture with k components in d dimensions.

    ``P(x) = Σ_k π_k N(x | μ_k, Σ_k)``. The value is frozen: every operation gives a new one.
    NaN in a row means that the coordinate was not observed; such rows are scored by their
    marginal density.

    Parameters
    ----------
    weights : (k,) array_like
        Mixing weights, at least 0, summing to one.
    means : (k, d) array_like
    covariances : array_like or FactorCovariances
        Laid out for `covariance_type` as in scikit-learn: ``(k, d, d)`` full, ``(d, d)`` tied,
        ``(k, d)`` diag, ``(k,)`` spherical and equal-spherical; ``(k, d, 1 + r)``, the noise
        variances and then the loadings, for factor analyzers of rank r.
    covariance_type : str, default="full"
        A covariance family: full, tied, diag, spherical, equal-spherical, or its mclust name;
        or a kind of factor analyzers with its rank, as in "factor:3" (`mixtura.covariance.Factor`).
    feature_names : sequence of str, optional
        Names for the d columns, usable wherever a dimension is asked for.

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

    def __init__(
        self,
        weights: Any,
        means: Any,
        covariances: Any,
        *,
        covariance_type: str = "full",
        feature_names: Sequence[str] | None = None,
    ) -> None:
        means = _checks.mean_vectors(means)
        k, d = means.shape
        shape = structure(covariances, covariance_type, k, d)
        weights = _checks.mixing_weights(weights, k)
        self._set(weights, means, shape, Frame.identity(d), feature_names)

    @classmethod
    def of(
        cls,
        weights: Array,
        location: Array,
        structure: Covariances,
        frame: Frame,
        feature_names: Sequence[str] | None = None,
    ) -> Mixture:
        """A mixture from numbers that are known to be valid, in frame coordinates."""
        mixture = object.__new__(cls)
        mixture._set(weights, location, structure, frame, feature_names)
        return mixture

    def _set(
        self,
        weights: Array,
        location: Array,
        structure: Covariances,
        frame: Frame,
        names: Sequence[str] | None,
    ) -> None:
        if names is not None and len(names) != location.shape[1]:
            raise InputError(f"{len(names)} feature names for {location.shape[1]} features")
        values = {
            "weights": _frozen(weights),
            "location": _frozen(location),
            "structure": structure,
            "frame": frame,
            "feature_names": None if names is None else tuple(names),
        }
        self.__dict__.update(values)

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
        """(k, d, d) covariance matrices, dense whatever the structure."""
        with np.errstate(over="ignore", under="ignore"):
            return _frozen(self.unframed().dense())

    def unframed(self) -> Covariances:
        """The structured covariances in the units of the data."""
        return self.structure.scaled(1.0 / self.frame.scale)

    def mean(self) -> Array:
        """E[x] = Σ π_k μ_k, (d,)."""
        return self.frame.unread(self.weights @ self.location)

    def covariance(self) -> Array:
        """Cov[x] = Σ π_k (Σ_k + (μ_k - m)(μ_k - m)ᵀ), (d, d)."""
        spread = self.location - self.weights @ self.location
        if isinstance(self.structure, FactorCovariances):
            within = self.structure.averaged(self.weights)
        else:
            within = np.einsum("k,kij->ij", self.weights, self.structure.dense())
        total = within + (self.weights * spread.T) @ spread
        return np.asarray(total / self.frame.scale[:, None] / self.frame.scale)

    # ---- densities

    def logpdf(self, X: Any) -> Array:
        """Log-density log P(x) of each row, (n,), by the observed coordinates."""
        return self._by_rows(X, log_sums, ())

    def pdf(self, X: Any) -> Array:
        """Density P(x) of each row, (n,)."""
        return np.exp(self.logpdf(X))

    def component_logpdf(self, X: Any) -> Array:
        """Log-density log N(x | μ_k, Σ_k) of each row in each component, (n, k)."""
        with np.errstate(divide="ignore"):
            free = Mixture.of(np.ones_like(self.weights), self.location, self.structure, self.frame)
        return free._by_rows(self._rows(X), lambda joint: joint, (self.n_components,))

    def responsibilities(self, X: Any) -> Array:
        """Posterior probability of each component given the row, (n, k); rows sum to one."""
        return self._by_rows(X, shares, (self.n_components,))

    def predict(self, X: Any) -> Array:
        """The most probable component of each row, (n,)."""
        labels = self._by_rows(X, lambda joint: joint.argmax(axis=1), ())
        return labels.astype(np.intp)

    def mahalanobis(self, X: Any) -> Array:
        """Distance √((x - μ_k)ᵀ Σ_k⁻¹ (x - μ_k)) of each row to each component, (n, k).

        With gaps, that of the observed coordinates.
        """
        rows = self._rows(X)
        out = np.empty((len(rows), self.n_components))
        nothing = np.zeros(self.n_components)
        for part in cuts(*rows.shape):
            block = Block(rows[part])
            for pattern in block.patterns:
                some = block.rows[pattern.rows]
                out[part][pattern.rows] = np.sqrt(
                    -2.0 * self._logs(some, pattern.observed, nothing, nothing)
                )
        return out

    @cached_property
    def log_weights(self) -> Array:
        """(k,) log π_k, -inf for an empty component."""
        with np.errstate(divide="ignore"):
            return np.log(self.weights)

    def log_joint(self, block: Block) -> Iterator[tuple[Pattern, Array]]:
        """``log π_k + log N(z | k)`` (m, k) in frame coordinates, pattern by pattern."""
        if isinstance(self.structure, FactorCovariances) and len(block.patterns) > _FEW:
            joint = self._through_factors(self.structure, block)
            yield from ((pattern, joint[pattern.rows]) for pattern in block.patterns)
            return
        for pattern in block.patterns:
            yield pattern, self.joint(block.rows[pattern.rows], pattern.observed)

    def _through_factors(self, structure: FactorCovariances, block: Block) -> Array:
        """Log joint (n, k) of rows with many patterns of gaps, all at once."""
        seen, which = block.masks
        gaps = Gaps(self.frame.read(block.rows), seen, which)
        with np.errstate(over="ignore", invalid="ignore"):
            squared, log_det, _ = gaps.distances(structure.terms(self.location))
        joint = self.log_weights - 0.5 * squared
        joint += log_norms(log_det, seen.sum(axis=1)[which, None])
        for row in np.flatnonzero(~np.isfinite(joint.max(axis=1))):
            joint[row] = self.joint(block.rows[[row]], seen[which[row]] > 0)[0]
        return joint

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
        """Log joint (m, k) of rows that have the coordinates `observed`."""
        return self._logs(rows, observed, self.log_weights, self.observed(observed).log_norms)

    def _logs(self, rows: Rows, observed: Mask, log_weights: Array, log_norms: Array) -> Array:
        """``log_weights + log_norms - δ²/2`` (m, k) for the squared Mahalanobis distance δ²."""
        if not observed.any():
            return np.broadcast_to(log_weights, (len(rows), self.n_components))
        some = slice(None) if observed.all() else observed
        frame = self.frame.take(some)
        measured = self._measured(observed, some, frame, (log_weights, log_norms))
        with np.errstate(over="ignore", invalid="ignore"):
            logs = measured(rows[:, some])
        lost = np.flatnonzero(~np.isfinite(logs.max(axis=1)))
        if len(lost):  # so far away that the square overflows: move in along the ray
            with np.errstate(over="ignore"):
                near = frame.unread(np.clip(frame.read(rows[lost][:, some]), -_FAR, _FAR))
            logs[lost] = measured(near)
        return np.asarray(logs)

    def _measured(
        self, observed: Mask, some: Any, frame: Frame, logs: tuple[Array, Array]
    ) -> Callable[[Rows], Array]:
        """How rows of some coordinates are measured: by the kernels, or through the factors."""
        structure, means = self.observed(observed).structure, self.location[:, some]
        log_weights, log_norms = logs
        if isinstance(structure, FactorCovariances):
            constant, terms = log_weights + log_norms, structure.terms(means)
            return lambda rows: constant - 0.5 * tiled(frame.read, rows, terms)
        numbers = (log_weights, means, structure.factors, log_norms, structure.shape)
        kernel = kernels.active().log_joint
        return lambda rows: np.asarray(kernel(rows, frame.pivot, frame.scale, *numbers))

    def _rows(self, X: Any) -> Rows:
        return _checks.rows_like(X, self.n_features, self.feature_names)

    def _by_rows(self, X: Any, finish: Any, tail: tuple[int, ...]) -> Array:
        """Apply `finish` to the log joint (in the data's units) of every row, block by block."""
        rows = self._rows(X)
        out = np.empty((len(rows), *tail))
        for part in cuts(*rows.shape):
            self.fill(Block(rows[part]), finish, out[part])
        return out

    def fill(self, block: Block, finish: Any, out: Array) -> None:
        """Write ``finish(log joint)`` of a block's rows into `out`."""
        for pattern, joint in self.log_joint(block):
            volume = self.frame.take(pattern.observed).log_volume
            out[pattern.rows] = finish(joint + volume)

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
        labels : (n,), with `return_labels`
        """
        if n < 1 or (component is not None and not 0 <= component < self.n_components):
            raise InputError(f"n={n}, component={component}: n >= 1, 0 <= component < k are needed")
        rng = np.random.default_rng(rng)
        chances = self.weights if component is None else np.eye(self.n_components)[component]
        labels = rng.choice(self.n_components, size=n, p=chances / chances.sum())
        rows = rng.standard_normal((n, self.n_features))
        for index in range(self.n_components):
            mine = labels == index
            rows[mine] = self.structure.colorize(rows[mine], index) + self.location[index]
        rows = self.frame.unread(rows)
        return (rows, labels) if return_labels else rows

    # ---- closed operations

    def take(self, components: Any) -> Mixture:
        """The mixture of some components, in the order asked for, with their weights made whole."""
        weights = self.weights[components]
        return Mixture.of(
            weights / weights.sum(),
            self.location[components],
            self.structure.take(components),
            self.frame,
            self.feature_names,
        )

    def marginal(self, dims: Any) -> Mixture:
        """The mixture of some coordinates, by number or name, in the order asked for."""
        some = _checks.positions(dims, self.n_features, self.feature_names)
        return Mixture.of(
            self.weights,
            self.location[:, some],
            self.structure.marginal(some),
            self.frame.take(some),
            self._names(some),
        )

    def condition(self, given: Mapping[Any, float]) -> Mixture:
        """The mixture of the other coordinates given values of some.

        ``π_k' ∝ π_k N(x_o | k)``, ``μ_k' = μ_m + Σ_mo Σ_oo⁻¹ (x_o - μ_o)``,
        ``Σ_k' = Σ_mm - Σ_mo Σ_oo⁻¹ Σ_om``.

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
        observed = ~np.isnan(row[0])
        seen = self.observed(observed)
        share = shares(self.joint(row, observed))[0]
        off = self.frame.read(row)[0, observed] - self.location[:, observed]
        rest = np.flatnonzero(~observed)
        location = self.location[:, rest] + seen.lead(off)
        return Mixture.of(share, location, seen.rest(), self.frame.take(rest), self._names(rest))

    def impute(self, X: Any) -> Array:
        """Rows with each NaN replaced by its conditional mean given the row's observed values."""
        rows = np.array(self._rows(X), dtype=np.float64)
        for part in cuts(*rows.shape):
            block = Block(rows[part].copy())
            for pattern, joint in self.log_joint(block):
                if not pattern.complete:
                    gappy = block.rows[pattern.rows]
                    rows[part][pattern.rows] = self._filled(gappy, pattern, joint)
        return rows

    def _filled(self, rows: Rows, pattern: Pattern, joint: Array) -> Array:
        seen, o, m = self.observed(pattern.observed), pattern.observed, ~pattern.observed
        z = self.frame.read(rows)
        share = shares(joint)
        guess = np.zeros((len(rows), int(m.sum())))
        for index in range(self.n_components):
            off = z[:, o] - self.location[index, o]
            conditional = self.location[index, m] + seen.missing(off, index)
            guess += share[:, [index]] * conditional
        filled = np.array(rows, dtype=np.float64)
        filled[:, m] = self.frame.take(m).unread(guess)
        return filled

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
            type(self.structure) is type(other.structure)
            and self.feature_names == other.feature_names
            and self.frame == other.frame
            and np.array_equal(self.weights, other.weights)
            and np.array_equal(self.location, other.location)
            and np.array_equal(self.structure.array(), other.structure.array())
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        kind = type(self.structure).__name__.removesuffix("Covariances").lower()
        size = f"{self.n_components} component{'s' * (self.n_components > 1)} in "
        size += f"{self.n_features} dimension{'s' * (self.n_features > 1)}"
        lines = [f"Mixture of {size} ({kind})"]
        deviations = np.sqrt(self.structure.variances_by_column) / self.frame.scale
        names = self.feature_names or [f"x{i}" for i in range(self.n_features)]
        for index in range(min(self.n_components, 12)):
            cells = ", ".join(
                f"{name} {self.means[index, i]:.4g} ± {deviations[index, i]:.2g}"
                for i, name in list(enumerate(names))[:6]
            )
            more = ", …" if self.n_features > 6 else ""
            lines.append(f"  {index}: weight {self.weights[index]:.3f}; {cells}{more}")
        if self.n_components > 12:
            lines.append(f"  … and {self.n_components - 12} more")
        return "\n".join(lines)


def _frozen(values: Array) -> Array:
    """A view that cannot be written to."""
    view = values.view()
    view.flags.writeable = False
    return view
