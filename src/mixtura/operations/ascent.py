"""Climbing the density: from any point to the mode above it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtura._types import Array
from mixtura.covariance.full import FullCovariances
from mixtura.mixture import Mixture

_STEPS = 5_000
_NEAR = 0.3
"""Newton's step is trusted while shorter than this, in local standard deviations."""
_ARRIVED = 1e-9
_POLISH = 3
_NUDGE = 1e-3
"""How far a climb that stopped on a saddle is pushed off it, in local standard deviations."""
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Local:
    """The log-density of the components at points (n, d), in frame coordinates, to second order.

    With ``u_k`` the law's weight of a row at distance δ_k and ``p_k = P_k (μ_k - z)``; u = 1 for
    Gaussian components.

    Attributes
    ----------
    log_density : (n,)
    gradient : (n, d)
        ``g = Σ r_k u_k p_k``.
    hessian : (n, d, d)
        ``Σ r_k ((u_k² - 2 ∂u_k/∂δ_k²) p_k p_kᵀ - u_k P_k) - g gᵀ``.
    metric : (n, d, d)
        ``M = Σ r_k u_k P_k``: the local precision. ``z + M⁻¹ g`` is the mean-shift step.
    """

    log_density: Array
    gradient: Array
    hessian: Array
    metric: Array


class Hill:
    """The components of a mixture, ready to be climbed; noise is flat and moves no mode."""

    def __init__(self, mixture: Mixture) -> None:
        some = mixture.weights > 0
        structure = FullCovariances(mixture.structure.take(some).dense())
        self.means = mixture.location[some]
        self.precisions = structure.precisions
        self.factors = structure.factors
        self.log_det = structure.log_det
        self.log_weights = mixture.log_weights[some]
        self.law = mixture.law.take(some)

    def local(self, z: Array) -> Local:
        """The density at points (n, d)."""
        n, d = z.shape
        off = np.stack([mean - z for mean in self.means], axis=1)  # (n, k, d)
        white = np.matmul(off.swapaxes(0, 1), self.factors)  # (k, n, d)
        squared = (white * white).sum(axis=2).T
        joint = self.log_weights + self.law.log_densities(squared, self.log_det, d)
        top = joint.max(axis=1, keepdims=True)
        shares = np.exp(joint - top)
        total = shares.sum(axis=1, keepdims=True)
        shares /= total
        pulls = np.matmul(white, self.factors.swapaxes(1, 2)).swapaxes(0, 1)  # (n, k, d)
        u, falls = self.law.row_weights(squared, d), self.law.weight_falls(squared, d)
        gradient = ((shares * u)[:, :, None] * pulls).sum(axis=1)
        metric = ((shares * u) @ self.precisions.reshape(-1, d * d)).reshape(n, d, d)
        bends = (shares * (u * u + falls))[:, :, None] * pulls
        hessian = bends.swapaxes(1, 2) @ pulls - metric
        hessian -= gradient[:, :, None] * gradient[:, None, :]
        return Local((top + np.log(total))[:, 0], gradient, hessian, metric)


def climb(hill: Hill, z: Array) -> Array:
    """The modes (n, d) to which points climb, in frame coordinates.

    The mean-shift iteration, which is EM with the row as its unknown and never descends
    (Carreira-Perpiñán 2000, "Mode-finding for mixtures of Gaussian distributions", IEEE PAMI 22,
    1318-1323; Li, Ray & Lindsay 2007), ended by Newton's method where the density is concave and
    the step so short that it cannot reach the slope of another mode.
    """
    size = max(1, _CHUNK // max(hill.means.size * z.shape[1], 1))
    parts = [_climb(hill, z[start : start + size]) for start in range(0, len(z), size)]
    return np.concatenate(parts)


def _climb(hill: Hill, start: Array) -> Array:
    z = start.copy()
    open_ = np.arange(len(z))
    pushed = np.zeros(len(z), dtype=bool)
    for _ in range(_STEPS):
        here = hill.local(z[open_])
        step, length, concave = _steps(here)
        stuck = (length < _ARRIVED) & ~concave & ~pushed[open_]
        step[stuck] = _off_saddle(here, stuck)
        pushed[open_[stuck]] = True
        z[open_] += step
        open_ = open_[(length >= _ARRIVED) | stuck]
        if not len(open_):
            break
    return _polished(hill, z)


def _steps(here: Local) -> tuple[Array, Array, Array]:
    """The step of each point, its length in local deviations, and whether the log is concave."""
    shift = _solved(here.metric, here.gradient)
    concave = _concave(here)
    newton = np.zeros_like(shift)
    newton[concave] = _solved(-here.hessian[concave], here.gradient[concave])
    lengths = _length(newton, here.metric)
    trusted = concave & (lengths < _NEAR)
    step = np.where(trusted[:, None], newton, shift)
    return step, np.where(trusted, lengths, _length(shift, here.metric)), concave


def _concave(here: Local) -> Array:
    """Whether each Hessian is negative definite, measured in the local metric."""
    return _relative(here)[0][:, -1] < -1e-12


def _relative(here: Local) -> tuple[Array, Array, Array]:
    """Eigenvalues and vectors of ``L⁻¹ H L⁻ᵀ`` with ``M = L Lᵀ``, and L⁻ᵀ."""
    lower = np.linalg.cholesky(here.metric)
    back = np.linalg.inv(lower).swapaxes(1, 2)
    values, vectors = np.linalg.eigh(back.swapaxes(1, 2) @ here.hessian @ back)
    return values, vectors, back


def _off_saddle(here: Local, stuck: Array) -> Array:
    """A small step along the direction in which the log-density bends up most."""
    if not stuck.any():
        return np.zeros((0, here.gradient.shape[1]))
    some = Local(*(part[stuck] for part in vars(here).values()))
    _, vectors, back = _relative(some)
    along = (back @ vectors[:, :, -1:])[:, :, 0]
    first = np.take_along_axis(along, np.abs(along).argmax(axis=1)[:, None], axis=1)
    return np.asarray(_NUDGE * along * np.sign(first))


def _polished(hill: Hill, z: Array) -> Array:
    """A few steps of Newton's method, to the last digits."""
    for _ in range(_POLISH):
        here = hill.local(z)
        concave = _concave(here)
        z = z.copy()
        step = _solved(-here.hessian[concave], here.gradient[concave])
        z[concave] += np.where((_length(step, here.metric[concave]) < 1e-3)[:, None], step, 0.0)
    return z


def _length(step: Array, metric: Array) -> Array:
    """√(stepᵀ M step)."""
    square = np.einsum("ni,nij,nj->n", step, metric, step)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def _solved(matrices: Array, vectors: Array) -> Array:
    return np.asarray(np.linalg.solve(matrices, vectors[:, :, None])[:, :, 0])
