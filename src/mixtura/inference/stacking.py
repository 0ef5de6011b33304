"""Weights that stack densities: the mixture of several models that scores best."""

from __future__ import annotations

import numpy as np

from mixtura._types import Array

_ENOUGH = 1e-10
_ROUNDS, _NEWTON = 200, 100
_SHRINK = 0.1


def stacking_weights(log_scores: Array) -> Array:
    """Weights (m,) of the models that maximise ``Σ_i log Σ_m w_m p_m(i)``.

    EM for the weights of a mixture whose densities are given: ``w ← w g`` with
    ``g_m = (1/n) Σ_i p_m(i) / Σ_l w_l p_l(i)``, two steps and a squared extrapolation in turn
    (Varadhan & Roland 2008) where that scores better. Where models are so alike that this crawls,
    constrained Newton steps (Wang 2007) go on. The objective is concave and the mean log
    score is within ``log max g`` nats of its maximum, which ends the climb at 1e-10. Models with
    equal scores have equal weights.

    Parameters
    ----------
    log_scores : (n, m)
        Finite log-densities of n items, held out.

    References
    ----------
    Yao, Vehtari, Simpson & Gelman (2018), "Using stacking to average Bayesian predictive
    distributions", Bayesian Analysis 13, 917-1007, equation 4.
    Wang (2007), "On fast computation of the non-parametric maximum likelihood estimate of a mixing
    distribution", Journal of the Royal Statistical Society B 69, 185-198.
    """
    density = np.exp(log_scores - log_scores.max(axis=1, keepdims=True))
    density, same, times = np.unique(density, axis=1, return_inverse=True, return_counts=True)
    weights = times / times.sum()
    for number in range(_ROUNDS + _NEWTON):
        first, gap = _step(density, weights)
        if gap <= _ENOUGH:
            break
        second, _ = _step(density, first)
        quick = number < _ROUNDS
        weights = (
            _extrapolated(density, weights, first, second) if quick else _newton(density, second)
        )
    return np.asarray((weights / weights.sum() / times)[same.ravel()])


def _step(density: Array, weights: Array) -> tuple[Array, float]:
    """A step of EM, and what the mean log score is at most short of its maximum before it."""
    gain = (1.0 / (density @ weights)) @ density / len(density)
    return weights * gain, float(np.log(gain.max()))


def _newton(density: Array, start: Array) -> Array:
    """The best of the quadratic that touches the objective, or as far towards it as that climbs.

    ``min |S v - 2|²`` over weights v, for S the densities over that of `start`: with the 2 as
    ``2 Σ v``, non-negative least squares to which the sum of the weights is one more row.
    """
    from scipy.optimize import nnls

    system = np.vstack([density / (density @ start)[:, None] - 2.0, np.ones(len(start))])
    found = nnls(system, np.append(np.zeros(len(density)), 1.0))[0]
    move, here = found / found.sum() - start, np.log(density @ start).sum()
    for halving in range(30):
        there = start + 0.5**halving * move
        if np.log(density @ there).sum() >= here:
            return there
    return start


def _extrapolated(density: Array, start: Array, first: Array, second: Array) -> Array:
    """The second step, or a point further along where that scores better."""
    move = first - start
    bend = second - first - move
    size = np.sqrt(np.sum(bend**2))
    if size == 0.0:
        return second
    length = max(1.0, float(np.sqrt(np.sum(move**2)) / size))
    far = np.maximum(start + 2.0 * length * move + length**2 * bend, _SHRINK * second)
    far /= far.sum()
    better = np.log(density @ far).sum() > np.log(density @ second).sum()
    return far if better else second
