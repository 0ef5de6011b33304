"""Weights that stack densities: the mixture of several models that scores best."""

from __future__ import annotations

import numpy as np

from mixtura._types import Array

_ENOUGH = 1e-10
_ROUNDS = 5000
_SHRINK = 0.1


def stacking_weights(log_scores: Array) -> Array:
    """Weights (m,) of the models that maximise ``Σ_i log Σ_m w_m p_m(i)``.

    EM for the weights of a mixture whose densities are given: ``w ← w g`` with
    ``g_m = (1/n) Σ_i p_m(i) / Σ_l w_l p_l(i)``, two steps and a squared extrapolation in turn
    (Varadhan & Roland 2008) where that scores better. The objective is concave and the mean log
    score is within ``log max g`` nats of its maximum, which ends the climb at 1e-10. Models with
    equal scores keep equal weights.

    Parameters
    ----------
    log_scores : (n, m)
        Finite log-densities of n items, held out.

    References
    ----------
    Yao, Vehtari, Simpson & Gelman (2018), "Using stacking to average Bayesian predictive
    distributions", Bayesian Analysis 13, 917-1007, equation 4.
    """
    density = np.exp(log_scores - log_scores.max(axis=1, keepdims=True))
    weights = np.full(density.shape[1], 1.0 / density.shape[1])
    for _ in range(_ROUNDS):
        first, gap = _step(density, weights)
        if gap <= _ENOUGH:
            break
        second, _ = _step(density, first)
        weights = _extrapolated(density, weights, first, second)
    return weights / weights.sum()


def _step(density: Array, weights: Array) -> tuple[Array, float]:
    """A step of EM, and what the mean log score is at most short of its maximum before it."""
    gain = (1.0 / (density @ weights)) @ density / len(density)
    return weights * gain, float(np.log(gain.max()))


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
