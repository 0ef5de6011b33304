"""Many mixtures at once: each row has its own weights and means, groups share covariances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._random import generator
from mixtura._types import Array, Indices
from mixtura.block import Block
from mixtura.conditioning import log_sums
from mixtura.covariance.full import FullCovariances
from mixtura.frame import Frame
from mixtura.law import FARTHEST, GAUSSIAN, Law, StudentT
from mixtura.mixture import Mixture
from mixtura.noise import Noise

if TYPE_CHECKING:
    from mixtura.operations.row_modes import RowModes


@dataclass(frozen=True, eq=False)
class Mixtures:
    """n mixtures of k components in d dimensions: the conditionals or posteriors of n rows.

    ``P_i(x) = Σ_k π_ik N(x | μ_ik, c_ik Σ_{g(i) k})``. Only weights and means are kept for each
    row; covariances are shared by all rows of a group. `mixtures[i]` is one `Mixture`.

    Attributes
    ----------
    log_weights : (n, k)
        log π_ik.
    location : (n, k, d)
        Means in frame coordinates.
    spread : (g, k, d, d)
        Covariances Σ in frame coordinates.
    group : (n,)
        Which of the g each row has.
    frame : Frame
    log_evidence : (n,)
        Log-density of what each row was conditioned on.
    feature_names : tuple of str or None
    growth : (n, k) or None
        c, for Student's t; None for ones.
    dof : (g, k) or None
        Degrees of freedom, for Student's t.
    noise : Noise or None
        The region of a uniform component.
    noise_share : (n,) or None
        Its weight in each mixture.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> joint = Mixture([0.5, 0.5], [[0, 0], [4, 4]], [[[1, 0.8], [0.8, 1]]] * 2)
    >>> lines = joint.conditionals([[0.0], [2.0], [4.0]], given=[0])
    >>> lines.mean().ravel().round(3).tolist()
    [0.0, 2.0, 4.0]
    >>> lines[1].weights.tolist()
    [0.5, 0.5]
    """

    log_weights: Array
    location: Array
    spread: Array
    group: Indices
    frame: Frame
    log_evidence: Array
    feature_names: tuple[str, ...] | None = None
    growth: Array | None = None
    dof: Array | None = None
    noise: Noise | None = None
    noise_share: Array | None = None

    # ---- as a sequence

    def __len__(self) -> int:
        return len(self.location)

    def __iter__(self) -> Iterator[Mixture]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, rows: int) -> Mixture: ...
    @overload
    def __getitem__(self, rows: Any) -> Mixtures: ...
    def __getitem__(self, rows: Any) -> Mixture | Mixtures:
        """One mixture by its number; some of them by a slice, numbers or a mask."""
        if np.ndim(rows) == 0 and not isinstance(rows, slice):
            return self._one(int(rows))
        row_wise = ("log_weights", "location", "group", "log_evidence", "growth", "noise_share")
        held = ((name, getattr(self, name)) for name in row_wise)
        parts: dict[str, Any] = {name: value[rows] for name, value in held if value is not None}
        return replace(self, **parts)

    def _one(self, row: int) -> Mixture:
        group, weights = self.group[row], self.weights[row]
        spread = self.spread[group]
        if self.growth is not None:
            spread = spread * self.growth[row][:, None, None]
        noise = None
        if self.noise is not None and self.noise_share is not None:
            noise = self.noise.sharing(self.noise_share[row])
        law: Law = GAUSSIAN if self.dof is None else StudentT(self.dof[group])
        structure = FullCovariances(spread)
        parts = (self.location[row], structure, self.frame, self.feature_names, law, noise)
        return Mixture.of(weights, *parts)

    # ---- the numbers in the units of the data

    @property
    def n_components(self) -> int:
        """k."""
        return self.location.shape[1]

    @property
    def n_features(self) -> int:
        """d."""
        return self.location.shape[2]

    @cached_property
    def weights(self) -> Array:
        """(n, k), each row summing to one."""
        shares = np.exp(self.log_weights)
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    @property
    def means(self) -> Array:
        """(n, k, d)."""
        return self.frame.unread(self.location)

    @property
    def covariances(self) -> Array:
        """(n, k, d, d), written out."""
        out = self.spread[self.group] / self.frame.scale[:, None] / self.frame.scale
        return out if self.growth is None else out * self.growth[:, :, None, None]

    def mean(self) -> Array:
        """(n, d) the mean of each mixture."""
        return self.frame.unread(self._centre())

    def _centre(self) -> Array:
        within = (self.weights[:, None, :] @ self.location)[:, 0]
        if self.noise is None or self.noise_share is None:
            return within
        return np.asarray(within + self.noise_share[:, None] * (self.noise.mean() - within))

    def covariance(self) -> Array:
        """(n, d, d) the covariance of each mixture, within and between its components."""
        middle = self._centre()
        shares = self.weights * self._inflation()
        within = np.empty((len(self), self.n_features, self.n_features))
        for group in range(len(self.spread)):
            rows = self._rows_of(group)
            within[rows] = np.tensordot(shares[rows], self.spread[group], 1)
        off = self.location - middle[:, None]
        total = within + (self.weights[:, :, None] * off).swapaxes(1, 2) @ off
        if self.noise is not None and self.noise_share is not None:
            lone = self.noise.mean() - middle
            even = self.noise.covariance() + lone[:, :, None] * lone[:, None, :]
            share = self.noise_share[:, None, None]
            total = (1.0 - share) * total + share * even
        return np.asarray(total / self.frame.scale[:, None] / self.frame.scale)

    def var(self) -> Array:
        """(n, d) variances."""
        return self.covariance().diagonal(axis1=1, axis2=2).copy()

    def std(self) -> Array:
        """(n, d) standard deviations."""
        return np.sqrt(self.var())

    def _inflation(self) -> Array:
        """(n, k) or () what turns Σ into the covariance of a component."""
        if self.dof is None or self.growth is None:
            return np.ones(())
        heavy = self.dof <= 2.0
        ratio = np.where(heavy, np.inf, self.dof / np.where(heavy, 1.0, self.dof - 2.0))
        return np.asarray(ratio[self.group] * self.growth)

    def _rows_of(self, group: int) -> Any:
        return slice(None) if len(self.spread) == 1 else np.flatnonzero(self.group == group)

    # ---- densities and draws

    def logpdf(self, X: Any) -> Array:
        """(n,) log P_i(x_i): the density of row i in mixture i, by its observed coordinates."""
        rows = _checks.rows_like(X, self.n_features, self.feature_names)
        if len(rows) != len(self):
            raise InputError(f"{len(rows)} rows for {len(self)} mixtures: one row each is needed")
        block, out = Block(np.asarray(rows, dtype=np.float64)), np.zeros(len(rows))
        for pattern in block.patterns:
            if pattern.observed.any():
                some = np.flatnonzero(pattern.observed)
                part = self[pattern.rows].marginal(some)
                out[pattern.rows] = part._log_densities(block.rows[pattern.rows][:, some])
        return out

    def pdf(self, X: Any) -> Array:
        """(n,) P_i(x_i)."""
        return np.exp(self.logpdf(X))

    def _log_densities(self, rows: Array) -> Array:
        z, d = self.frame.read(rows), self.n_features
        lower = np.linalg.cholesky(self.spread)
        log_det = 2.0 * np.log(lower.diagonal(axis1=2, axis2=3)).sum(axis=2)
        joint = np.array(self.log_weights)
        for group in np.unique(self.group):
            some = self._rows_of(group)
            off = (z[some][:, None] - self.location[some]).swapaxes(0, 1)  # (k, m, d)
            white = np.linalg.solve(lower[group], off.swapaxes(1, 2)).clip(-FARTHEST, FARTHEST)
            squared, logs = (white * white).sum(axis=1).T, log_det[group]
            if self.growth is not None:
                squared, logs = squared / self.growth[some], logs + d * np.log(self.growth[some])
            law: Law = GAUSSIAN if self.dof is None else StudentT(self.dof[group])
            joint[some] += law.log_densities(squared, logs, d)
        total = log_sums(joint)
        if self.noise is not None and self.noise_share is not None:
            with np.errstate(divide="ignore"):
                even = np.log(self.noise_share) + self.noise.log_density(np.ones(d, dtype=bool))
                total = np.logaddexp(np.log1p(-self.noise_share) + total, even)
        return np.asarray(total + self.frame.log_volume)

    def sample(self, size: int = 1, rng: Any = None) -> Array:
        """(n, size, d): so many draws from each mixture."""
        if size < 1:
            raise InputError(f"size={size}: at least one draw is needed")
        rng = generator(rng)
        n, k, d = self.location.shape
        steps = np.cumsum(self.weights, axis=1)
        chosen = (rng.random((n, size, 1)) * steps[:, None, -1:] > steps[:, None]).sum(axis=2)
        chosen = np.minimum(chosen, k - 1)
        z = rng.standard_normal((n, size, d))
        lower, group = np.linalg.cholesky(self.spread), self.group[:, None]
        for code in np.unique(group * k + chosen):
            here = (group * k + chosen) == code
            z[here] = z[here] @ lower[code // k, code % k].T
        rows = np.arange(n)[:, None]
        if self.growth is not None and self.dof is not None:
            dof = self.dof[group, chosen]
            z *= np.sqrt(self.growth[rows, chosen] * dof / rng.chisquare(dof))[:, :, None]
        z += self.location[rows, chosen]
        if self.noise is not None and self.noise_share is not None:
            lost = rng.random((n, size)) < self.noise_share[:, None]
            z[lost] = self.noise.sample(int(lost.sum()), rng)
        return self.frame.unread(z)

    def marginal(self, dims: Any) -> Mixtures:
        """The mixtures of some coordinates, by number or name."""
        some = _checks.positions(dims, self.n_features, self.feature_names)
        if some == list(range(self.n_features)):
            return self
        names = self.feature_names
        return replace(
            self,
            location=self.location[:, :, some],
            spread=self.spread[:, :, some][:, :, :, some],
            frame=self.frame.take(some),
            feature_names=None if names is None else tuple(names[i] for i in some),
            noise=None if self.noise is None else self.noise.marginal(some),
        )

    # ---- one feature

    def cdf(self, x: Any) -> Array:
        """P(x' <= x) in each mixture, for one feature: a number, or (n,) one for each."""
        from mixtura.operations.lines import Lines

        return Lines.of(self).cdf(x)

    def quantile(self, probability: Any) -> Array:
        """Where each cdf reaches a probability, (n,); (n, q) for q probabilities; one feature."""
        from mixtura.operations.lines import Lines

        return Lines.of(self).quantile(probability)

    def regions(self, probability: float) -> Array:
        """(n, j, 2) the intervals of highest density that hold a probability, NaN where fewer.

        For one feature; j is the largest number of intervals.
        """
        from mixtura.operations.row_regions import row_regions

        return row_regions(self, probability)

    # ---- any number of features

    def modes(self) -> RowModes:
        """The local maxima of each density with their weights, the highest first."""
        from mixtura.operations.row_modes import row_modes

        return row_modes(self)

    def __repr__(self) -> str:
        n, k, d = self.location.shape
        shared = "one set" if len(self.spread) == 1 else f"{len(self.spread)} sets"
        return (
            f"{n} mixtures of {k} component{'s' * (k > 1)} in {d} dimension{'s' * (d > 1)}, "
            f"with {shared} of covariances"
        )
