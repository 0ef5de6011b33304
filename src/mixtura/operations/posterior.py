"""The posterior of a mixture given noisy linear observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.block import Block
from mixtura.conditioning import log_sums
from mixtura.covariance.full import FullCovariances
from mixtura.law import log_norms
from mixtura.mixture import Mixture
from mixtura.operations.frames import gaussian_only
from mixtura.operations.mixtures import Mixtures

_CELLS = 1 << 21


def posterior(mixture: Mixture, y: Any, noise_cov: Any, A: Any = None) -> Any:
    """The mixture of x given ``y = A x + e`` with ``e ~ N(0, R)``: again a mixture.

    ``π_k' ∝ π_k N(y | A μ_k, S_k)`` with ``S_k = A Σ_k Aᵀ + R``, ``μ_k' = μ_k + G_k (y - A μ_k)``
    with ``G_k = Σ_k Aᵀ S_k⁻¹``, and ``Σ_k' = (Σ_k⁻¹ + Aᵀ R⁻¹ A)⁻¹``, worked out as
    ``L (I + Lᵀ Aᵀ R⁻¹ A L)⁻¹ Lᵀ`` for ``Σ_k = L Lᵀ``, which stays positive definite however small
    R is.

    Parameters
    ----------
    mixture : Mixture
        Gaussian.
    y : (p,) or (n, p) array_like
        One observation, or one a row. NaN is a coordinate that was not observed.
    noise_cov : number, (p, p) or (n, p, p) array_like
        R, positive definite: a variance for every coordinate, one matrix, or one for each row.
    A : (p, d) array_like, optional
        The identity by default.

    Returns
    -------
    Mixture
        For one observation.
    Mixtures
        For n, which share covariances unless R differs by row; its `log_evidence` is log p(y_i).

    Raises
    ------
    InputError
        Shapes that do not fit, R not positive definite, Student's t or noise.

    References
    ----------
    Bovy, Hogg & Roweis (2011), "Extreme deconvolution", Annals of Applied Statistics 5, 1657-1677,
    section 2.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> mixture = Mixture([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]])
    >>> sharp = mixture.posterior([3.0], noise_cov=1.0)
    >>> sharp.weights.round(4).tolist(), sharp.means.ravel().round(4).tolist()
    ([0.1192, 0.8808], [1.5, 3.5])
    >>> mixture.posterior([[3.0], [0.0]], noise_cov=1.0).mean().ravel().round(3).tolist()
    [3.262, 0.036]
    """
    gaussian_only(
        mixture, "the posterior given noisy observations", "condition on exact values instead"
    )
    A = _matrix(mixture, A)
    single = np.ndim(y) == 1 and not hasattr(y, "columns")
    rows = _rows(np.atleast_2d(y) if single else y, len(A))
    found = _given(mixture, Block(rows), A, _noise(noise_cov, len(A), len(rows)))
    return found[0] if single else found


def _matrix(mixture: Mixture, A: Any) -> Array:
    d = mixture.n_features
    values = np.eye(d) if A is None else _checks.numbers(A, "A")
    if values.ndim != 2 or values.shape[1] != d or not len(values):
        raise InputError(f"A has shape {values.shape}; (p, {d}) is needed for {d} features")
    if not np.isfinite(values).all():
        raise InputError("A holds NaN or infinite numbers")
    return values


def _rows(y: Any, p: int) -> Array:
    rows = np.asarray(_checks.table(y).rows, dtype=np.float64)
    if rows.shape[1] != p:
        raise InputError(f"y has {rows.shape[1]} columns, and A makes {p}: one for each row of A")
    return rows


def _noise(given: Any, p: int, n: int) -> Array:
    """(1, p, p) or (n, p, p)."""
    R = _checks.numbers(given, "noise_cov")
    R = np.diag(np.full(p, R)) if R.ndim == 0 else R
    R = R[None] if R.ndim == 2 else R
    if R.shape not in ((1, p, p), (n, p, p)):
        raise InputError(
            f"noise_cov has shape {np.shape(given)}: a variance, ({p}, {p}) or ({n}, {p}, {p}) is "
            "needed; np.diag makes a matrix of variances"
        )
    if not np.isfinite(R).all():
        raise InputError("noise_cov is NaN or infinite: use NaN in y for what was not observed")
    skew = np.abs(R - R.swapaxes(1, 2)).max(axis=(1, 2)) > 1e-8 * np.abs(R).max(axis=(1, 2))
    bad = np.flatnonzero(skew | ~(np.linalg.eigvalsh(R)[:, 0] > 0))
    if len(bad):
        where = f" of row {bad[0]}" if len(R) > 1 else ""
        raise InputError(
            f"noise_cov{where} should be symmetric, positive-definite: for an exact observation "
            "use mixture.condition, or conditionals for many"
        )
    return R


@dataclass(frozen=True, eq=False)
class _View:
    """What an observation tells through one pattern of gaps, for one or m noise covariances.

    Attributes
    ----------
    expected : (k, p) A μ_k, less A times the pivot of the frame
    whiten : (m, k, p, p) L⁻¹ for S_k = L Lᵀ
    log_det : (m, k) log |S_k|
    gains : (m, k, d, p)
    residual : (m, k, d, d)
    """

    expected: Array
    whiten: Array
    log_det: Array
    gains: Array
    residual: Array

    @classmethod
    def of(cls, mixture: Mixture, A: Array, R: Array) -> _View:
        across = A / mixture.frame.scale
        dense = mixture.structure.dense()
        root = FullCovariances(dense).cholesky
        cross = across @ dense  # (k, p, d)
        S = cross @ across.T + R[:, None]
        lower = np.linalg.cholesky(S)
        whiten = np.linalg.inv(lower)
        gains = (whiten @ cross).swapaxes(-1, -2) @ whiten
        sharp = np.linalg.inv(np.linalg.cholesky(R))[:, None] @ (across @ root)
        inner = np.eye(len(across.T)) + sharp.swapaxes(-1, -2) @ sharp
        half = np.linalg.inv(np.linalg.cholesky(inner)) @ root.swapaxes(-1, -2)
        log_det = 2.0 * np.log(lower.diagonal(axis1=2, axis2=3)).sum(axis=2)
        residual = half.swapaxes(-1, -2) @ half
        return cls(mixture.location @ across.T, whiten, log_det, gains, residual)

    def log_likelihood(self, off: Array) -> Array:
        """log N(y_i | A μ_k, S_k), (n, k), of ``y - A pivot``, (n, p)."""
        squared = np.empty((len(off), len(self.expected)))
        for index, expected in enumerate(self.expected):
            whiten = self.whiten[:, index]
            gaps = off - expected
            white = gaps @ whiten[0].T if len(whiten) == 1 else (whiten @ gaps[:, :, None])[:, :, 0]
            squared[:, index] = np.einsum("np,np->n", white, white)
        return np.asarray(log_norms(self.log_det, off.shape[1]) - 0.5 * squared)

    def means(self, location: Array, off: Array) -> Array:
        """(n, k, d) ``μ_k + G_k (y - A μ_k)``."""
        m, k, d, p = self.gains.shape
        if m > 1:
            gaps = (off[:, None] - self.expected)[..., None]
            return np.asarray(location + (self.gains @ gaps)[..., 0])
        middle = self.expected.mean(axis=0)
        lead = (self.gains[0] @ (middle - self.expected)[:, :, None])[:, :, 0]
        moved = ((off - middle) @ self.gains[0].reshape(k * d, p).T).reshape(-1, k, d)
        moved += location + lead
        return np.asarray(moved)


def _given(mixture: Mixture, block: Block, A: Array, R: Array) -> Mixtures:
    n, k, d = len(block), mixture.n_components, mixture.n_features
    own, patterns = len(R) > 1, block.patterns
    logs, evidence = np.empty((n, k)), np.empty(n)
    location, group = np.empty((n, k, d)), np.arange(n)
    spread = np.empty((n if own else len(patterns), k, d, d))
    off = block.rows - A @ mixture.frame.pivot
    for number, pattern in enumerate(patterns):
        some, mine = np.flatnonzero(pattern.observed), np.arange(n)[pattern.rows]
        size = max(_CELLS // (k * (d + len(some)) * (d + len(some) if own else 1)), 1)
        view = None if own else _View.of(mixture, A[some], R[:, some][:, :, some])
        if view is not None:
            spread[number], group[mine] = view.residual[0], number
        for start in range(0, len(mine), size):
            part: Any = mine[start : start + size]
            if len(patterns) == 1:  # a slice is not copied
                part = slice(start, start + len(part))
            here = view
            if here is None:
                here = _View.of(mixture, A[some], R[part][:, some][:, :, some])
                spread[part] = here.residual
            y = off[part][:, some]
            joint = here.log_likelihood(y) + mixture.log_weights
            evidence[part] = log_sums(joint)
            logs[part] = joint - evidence[part][:, None]
            location[part] = here.means(mixture.location, y)
    names = mixture.feature_names
    return Mixtures(logs, location, spread, group, mixture.frame, evidence, names)
