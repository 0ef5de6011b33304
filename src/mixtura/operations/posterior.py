"""The posterior of a mixture given noisy linear observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks, _measured, kernels
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
    noise_cov : number, (p,), (n, p), (p, p) or (n, p, p) array_like
        R, positive definite: a variance for every coordinate, variances of all rows or of each,
        one matrix, or one for each row. Infinite variances are for what was not observed.
    A : (p, d) or (n, p, d) array_like, optional
        The identity by default.

    Returns
    -------
    Mixture
        For one observation.
    Mixtures
        For n, which share covariances unless R or A differs by row; its `log_evidence` is
        log p(y_i).

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
    single = np.ndim(y) == 1 and not hasattr(y, "columns")
    rows = np.asarray(_checks.table(np.atleast_2d(y) if single else y).rows, dtype=np.float64)
    maps = _maps(mixture, A, *rows.shape)
    rows, R = _measured.noise(noise_cov, rows)
    _check_definite(R, rows)
    if len(R) == len(maps) == 1:
        noise = R[0] * np.eye(rows.shape[1]) if R.shape[2] == 1 else R[0]
        found = _alike(mixture, Block(rows), maps[0], noise)
    else:
        found = _own(mixture, Block(rows), maps, R)
    return found[0] if single else found


def _maps(mixture: Mixture, A: Any, n: int, p: int) -> Array:
    """(1 or n, p, d)."""
    d = mixture.n_features
    given = _measured.projections(np.eye(d) if A is None else A, n, d if A is None else p)
    assert given is not None
    if given.shape[2] != d:
        raise InputError(f"A has shape {np.shape(A)}; (p, {d}) is needed for {d} features")
    if given.shape[1] != p:
        raise InputError(f"y has {p} columns, and A makes {d}: one for each row of A")
    return given


def _check_definite(R: Array, rows: Array) -> None:
    unit = R / np.maximum(np.abs(R).max(axis=(1, 2), keepdims=True), 1e-300)
    if len(R) > 1:  # what was not observed has no noise
        absent = np.isnan(rows)[:, :, None]
        eye = np.eye(rows.shape[1])
        unit = unit + (absent if R.shape[2] == 1 else absent * eye)
    low = unit.min(axis=(1, 2)) if R.shape[2] == 1 else np.linalg.eigvalsh(unit)[:, 0]
    bad = np.flatnonzero(~(low > 0))
    if len(bad):
        where = f" of row {bad[0]}" if len(R) > 1 else ""
        raise InputError(
            f"noise_cov{where} should be symmetric, positive-definite: for an exact observation "
            "use mixture.condition, or conditionals for many"
        )


@dataclass(frozen=True, eq=False)
class _View:
    """What an observation tells through one pattern of gaps.

    Attributes
    ----------
    expected : (k, p) A μ_k, less A times the pivot of the frame
    whiten : (k, p, p) L⁻¹ for S_k = L Lᵀ
    log_det : (k,) log |S_k|
    gains : (k, d, p)
    residual : (k, d, d)
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
        lower = np.linalg.cholesky(cross @ across.T + R)
        whiten = np.linalg.inv(lower)
        gains = (whiten @ cross).swapaxes(1, 2) @ whiten
        sharp = np.linalg.inv(np.linalg.cholesky(R)) @ (across @ root)
        inner = np.eye(len(across.T)) + sharp.swapaxes(1, 2) @ sharp
        half = np.linalg.inv(np.linalg.cholesky(inner)) @ root.swapaxes(1, 2)
        log_det = 2.0 * np.log(lower.diagonal(axis1=1, axis2=2)).sum(axis=1)
        residual = half.swapaxes(1, 2) @ half
        return cls(mixture.location @ across.T, whiten, log_det, gains, residual)

    def log_likelihood(self, off: Array) -> Array:
        """log N(y_i | A μ_k, S_k), (n, k), of ``y - A pivot``, (n, p)."""
        squared = np.empty((len(off), len(self.expected)))
        for index, (expected, whiten) in enumerate(zip(self.expected, self.whiten, strict=True)):
            white = (off - expected) @ whiten.T
            squared[:, index] = np.einsum("np,np->n", white, white)
        return np.asarray(log_norms(self.log_det, off.shape[1]) - 0.5 * squared)

    def means(self, location: Array, off: Array) -> Array:
        """(n, k, d) ``μ_k + G_k (y - A μ_k)``."""
        k, d, p = self.gains.shape
        middle = self.expected.mean(axis=0)
        lead = (self.gains @ (middle - self.expected)[:, :, None])[:, :, 0]
        moved = ((off - middle) @ self.gains.reshape(k * d, p).T).reshape(-1, k, d)
        moved += location + lead
        return np.asarray(moved)


def _alike(mixture: Mixture, block: Block, A: Array, R: Array) -> Mixtures:
    """Rows with the same noise and map: covariances are shared by pattern."""
    n, k, d = len(block), mixture.n_components, mixture.n_features
    patterns = block.patterns
    logs, evidence = np.empty((n, k)), np.empty(n)
    location, group = np.empty((n, k, d)), np.zeros(n, dtype=np.intp)
    spread = np.empty((len(patterns), k, d, d))
    off = block.rows - A @ mixture.frame.pivot
    for number, pattern in enumerate(patterns):
        some, mine = np.flatnonzero(pattern.observed), np.arange(n)[pattern.rows]
        view = _View.of(mixture, A[some], R[some][:, some])
        spread[number], group[mine] = view.residual, number
        size = max(_CELLS // (k * (d + len(some))), 1)
        for start in range(0, len(mine), size):
            part: Any = mine[start : start + size]
            if len(patterns) == 1:  # a slice is not copied
                part = slice(start, start + len(part))
            y = off[part][:, some]
            joint = view.log_likelihood(y) + mixture.log_weights
            evidence[part] = log_sums(joint)
            logs[part] = joint - evidence[part][:, None]
            location[part] = view.means(mixture.location, y)
    names = mixture.feature_names
    return Mixtures(logs, location, spread, group, mixture.frame, evidence, names)


def _own(mixture: Mixture, block: Block, maps: Array, R: Array) -> Mixtures:
    """Rows with noise or maps of their own."""
    n, (k, d), p = len(block), mixture.location.shape, block.rows.shape[1]
    kernels.prepare(n * k * (d**3 + p**3 + 500) * 1e-8)
    frame, component = mixture.frame, (mixture.location, mixture.structure.dense())
    joint, location, spread = kernels.active().posterior_blurred(
        block.rows,
        (frame.pivot, frame.scale),
        (R, maps),
        block.groups,
        (mixture.log_weights, *component),
    )
    evidence, names = log_sums(joint), mixture.feature_names
    logs = joint - evidence[:, None]
    return Mixtures(logs, location, spread, np.arange(n), frame, evidence, names)
