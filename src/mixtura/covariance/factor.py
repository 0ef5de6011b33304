"""Low-rank covariances: r loadings a component plus a diagonal, at a cost linear in d."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from mixtura._types import Array
from mixtura.kernels.layout import FACTOR
from mixtura.kernels.low_rank import Terms

_POWERS = 50
"""Of the covariance, in search of its longest axis."""


def kind_name(common: bool, isotropic: bool, noise_common: bool, rank: int) -> str:
    """factor or ppca, what is common, and the rank: as `covariance_type` takes it."""
    text = ("ppca" if isotropic else "factor") + ("-common" if common else "")
    return text + ("-equal-noise" if noise_common else "") + f":{rank}"


@dataclass(frozen=True, eq=False)
class FactorCovariances:
    """k covariance matrices ``Σ_k = Λ_k Λ_kᵀ + Ψ_k``.

    Attributes
    ----------
    loadings : (k, d, r)
        Λ, up to a rotation of its columns.
    noise : (k, d)
        The diagonals of Ψ.
    common, noise_common : bool
        Whether all components have the same Λ, the same Ψ.
    isotropic : bool
        Whether Ψ_k = ψ_k I: mixtures of probabilistic principal components.

    Notes
    -----
    `precisions` are laid out so that their product with the moments ``[diag S, S B]`` is
    ``tr(Σ⁻¹ S)``: ``[1/ψ, -Ψ⁻¹ Λ]``, (k, d, 1 + r). `factors` are the directions H of
    ``Σ⁻¹ = Ψ⁻¹ - H Hᵀ``, (k, d, r).
    """

    loadings: Array
    noise: Array
    common: bool = False
    isotropic: bool = False
    noise_common: bool = False

    shape = FACTOR

    @property
    def name(self) -> str:
        return kind_name(self.common, self.isotropic, self.noise_common, self.rank)

    @property
    def k(self) -> int:
        return len(self.noise)

    @property
    def d(self) -> int:
        return self.noise.shape[1]

    @property
    def rank(self) -> int:
        """r."""
        return self.loadings.shape[2]

    @property
    def shared(self) -> bool:
        return self.common and self.noise_common

    # ---- in the basis where a row tells of each factor apart

    @cached_property
    def _svd(self) -> tuple[Array, Array, Array]:
        """``Ψ^(-½) Λ = U diag(s) Vᵀ``: (k, d, r), (k, r), (k, r, r)."""
        scaled = self.loadings / np.sqrt(self.noise)[:, :, None]
        extra = max(self.rank - self.d, 0)
        padded = np.pad(scaled, ((0, 0), (0, extra), (0, 0))) if extra else scaled
        left, lengths, right = np.linalg.svd(padded, full_matrices=False)
        return left[:, : self.d], lengths, right

    @cached_property
    def _sharpness(self) -> Array:
        """(k, r) ``1 / √(1 + s²)``: deviations of the factors given a row."""
        return np.asarray(1.0 / np.sqrt(1.0 + self._svd[1] ** 2))

    @cached_property
    def _turned(self) -> Array:
        """(k, r, r) ``diag(1/√(1 + s²)) Vᵀ``: scores to factors."""
        return np.asarray(self._sharpness[:, :, None] * self._svd[2])

    @property
    def doubt(self) -> Array:
        """(k, r, r) ``Cov[u | z] = (I + Λᵀ Ψ⁻¹ Λ)⁻¹`` of the factors given a row."""
        return np.asarray(self._turned.swapaxes(1, 2) @ self._turned)

    @property
    def doubt_root(self) -> Array:
        """(k, r, r) a root W of the doubt, ``W Wᵀ = Cov[u | z]``."""
        return np.asarray(self._turned.swapaxes(1, 2))

    @cached_property
    def factors(self) -> Array:
        left, lengths, _ = self._svd
        share = (lengths * self._sharpness)[:, None, :]
        return np.asarray(left * share / np.sqrt(self.noise)[:, :, None])

    @cached_property
    def regressions(self) -> Array:
        """(k, d, r) ``B = Σ⁻¹ Λ``: the factors expected of a row are ``(z - μ) B``."""
        return np.asarray(self.factors @ self._turned)

    @cached_property
    def log_det(self) -> Array:
        """``log |Σ| = Σ log ψ + log |I + Λᵀ Ψ⁻¹ Λ|``: the matrix determinant lemma."""
        inner = np.log1p(self._svd[1] ** 2).sum(axis=1)
        return np.asarray(np.log(self.noise).sum(axis=1) + inner)

    def onto_regressions(self, projected: Array) -> Array:
        """Moments (k, d, r) projected on the directions H, projected on B instead."""
        return np.asarray(projected @ self._turned)

    @cached_property
    def precisions(self) -> Array:
        return np.concatenate(
            [1.0 / self.noise[:, :, None], -self.loadings / self.noise[:, :, None]], axis=2
        )

    @property
    def variances_by_column(self) -> Array:
        return np.asarray((self.loadings**2).sum(axis=2) + self.noise)

    @property
    def moments(self) -> Array:
        """``[diag Σ, Σ B]``, the moments of one row from each component; ``Σ B = Λ``."""
        return np.concatenate([self.variances_by_column[:, :, None], self.loadings], axis=2)

    def projected(self, rows: Array) -> Array:
        """Rows (k, ..., d) times B (k, d, r)."""
        return np.asarray(rows @ self.regressions)

    def terms(self, means: Array) -> Terms:
        """What the sums over rows need, for means (k, d)."""
        spread = self.factors * self.noise[:, :, None]
        return Terms(means, self.noise, spread, self.factors, self._sharpness**2)

    # ---- dense, on request

    def dense(self) -> Array:
        matrices = self.loadings @ self.loadings.swapaxes(1, 2)
        matrices[:, np.arange(self.d), np.arange(self.d)] += self.noise
        return np.asarray(matrices)

    def averaged(self, weights: Array) -> Array:
        """``Σ_k w_k Σ_k``, (d, d), without the k matrices."""
        flat = (self.loadings * np.sqrt(weights)[:, None, None]).swapaxes(0, 1).reshape(self.d, -1)
        return np.asarray(flat @ flat.T + np.diag(weights @ self.noise))

    def array(self) -> Array:
        """(k, d, 1 + r): the noise, then the loadings."""
        return np.concatenate([self.noise[:, :, None], self.loadings], axis=2)

    def eigenvalues(self) -> Array:
        """(k, d) in rising order: through r x r if isotropic, else one dense matrix at a time."""
        if self.isotropic:
            values = np.repeat(self.noise[:, :1], self.d, axis=1)
            few = min(self.rank, self.d)
            gram = np.linalg.eigvalsh(self.loadings.swapaxes(1, 2) @ self.loadings)
            values[:, self.d - few :] += np.maximum(gram[:, self.rank - few :], 0.0)
            return values
        return np.stack([np.linalg.eigvalsh(self.take([i]).dense()[0]) for i in range(self.k)])

    def longest(self, component: int) -> Array:
        """The longest half-axis (d,) of a component's ellipsoid, by power iteration."""
        loadings, noise = self.loadings[component], self.noise[component]
        axis = loadings @ np.linalg.svd(loadings, full_matrices=False)[2][0]
        for _ in range(_POWERS):
            moved = loadings @ (axis @ loadings) + noise * axis
            axis = moved / max(float(np.linalg.norm(moved)), 1e-300)
        return np.asarray(axis * np.sqrt((axis @ loadings) @ (axis @ loadings) + axis**2 @ noise))

    def below(self, limit: float) -> Array:
        """How many eigenvalues of each matrix (k,) are below the limit.

        By Sylvester's law of inertia (Haynsworth 1968): as many as noise variances are, less the
        negative eigenvalues of ``I + Λᵀ (Ψ - limit)⁻¹ Λ``.
        """
        off = self.noise - limit
        off = np.where(off == 0.0, np.finfo(float).tiny + 1e-9 * limit, off)
        inner = self.loadings.swapaxes(1, 2) @ (self.loadings / off[:, :, None])
        lifted = (np.linalg.eigvalsh(inner + np.eye(self.rank)) < 0).sum(axis=1)
        return np.asarray((off < 0).sum(axis=1) - lifted)

    # ---- closed operations

    def colorize(self, noise: Array, component: int) -> Array:
        """By the square root ``Ψ^½ (I + A Aᵀ)^½`` with ``A = Ψ^(-½) Λ``."""
        grown = self._stretched(noise, component, lambda g: np.sqrt(1.0 + g))
        return np.asarray(grown * np.sqrt(self.noise[component]))

    def whiten(self, rows: Array, component: int) -> Array:
        """The inverse of `colorize`: centred rows (n, d) -> standard normal ones."""
        scaled = rows / np.sqrt(self.noise[component])
        return self._stretched(scaled, component, lambda g: 1.0 / np.sqrt(1.0 + g))

    def _stretched(self, rows: Array, component: int, root: Any) -> Array:
        """``rows f(A Aᵀ)`` for a function f of the eigenvalues with f(0) = 1."""
        scaled = self.loadings[component] / np.sqrt(self.noise[component])[:, None]
        values, vectors = np.linalg.eigh(scaled.T @ scaled)
        kept = values > 1e-14 * max(float(values[-1]), 1e-300) if len(values) else values > 0
        axes = scaled @ vectors[:, kept] / np.sqrt(values[kept])
        return np.asarray(rows + (rows @ axes) * (root(values[kept]) - 1.0) @ axes.T)

    def marginal(self, dims: Any) -> FactorCovariances:
        return replace(self, loadings=self.loadings[:, dims], noise=self.noise[:, dims])

    def conditional(self, rest: Any, root: Array, factor: Array) -> FactorCovariances:
        """Of the coordinates `rest`, if the factors vary as W Wᵀ: ``Λ_m W Wᵀ Λ_mᵀ + Ψ_m``, each
        times a factor (k,).
        """
        grown = factor[:, None, None]
        same = bool((factor == factor[0]).all())
        return replace(
            self,
            loadings=np.sqrt(grown) * (self.loadings[:, rest] @ root),
            noise=grown[:, 0] * self.noise[:, rest],
            common=same and self.common and self.noise_common,
            noise_common=same and self.noise_common,
        )

    def take(self, components: Any) -> FactorCovariances:
        return replace(self, loadings=self.loadings[components], noise=self.noise[components])

    def scaled(self, factors: Array) -> FactorCovariances:
        isotropic = self.isotropic and bool(np.all(factors == factors[0]))
        loadings = self.loadings * factors[:, None]
        return replace(self, loadings=loadings, noise=self.noise * factors**2, isotropic=isotropic)
