"""How the compiled kernels for rows with errors are called."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixtura.kernels.calling import call, frozen
from mixtura.kernels.compiled_blurred import blurred_sums
from mixtura.kernels.compiled_posterior import blurred_posterior
from mixtura.kernels.plain_blurred import Component, Errors, Groups, Units

__all__ = ["accumulate_blurred", "joint_blurred", "posterior_blurred"]

Array = NDArray[Any]


def accumulate_blurred(
    rows: Array,
    units: Units,
    errors: Errors,
    groups: Groups,
    component: Component,
    *,
    weights: Array | None = None,
    plausibility: Array | None = None,
    hard: bool = False,
) -> tuple[float, tuple[Array, Array, Array]]:
    """As `plain_blurred.accumulate_blurred`."""
    k, d = component[1].shape
    sums = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
    told = np.empty((0, 0)) if plausibility is None else plausibility
    weights = np.empty(0) if weights is None else weights
    given = frozen(weights), frozen(told)
    value = _call(rows, units, errors, given, groups, component, hard, np.empty((0, 0)), sums)
    lower = np.tril(sums[2], -1)
    return value, (sums[0], sums[1], sums[2] + lower.swapaxes(1, 2))


def joint_blurred(
    rows: Array, units: Units, errors: Errors, groups: Groups, component: Component
) -> Array:
    """As `plain_blurred.joint_blurred`."""
    k, d = component[1].shape
    logs = np.empty((len(rows), k))
    sums = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
    given = frozen(np.empty(0)), frozen(np.empty((0, 0)))
    _call(rows, units, errors, given, groups, component, False, logs, sums)
    return logs


def posterior_blurred(
    rows: Array, units: Units, errors: tuple[Array, Array], groups: Groups, component: Component
) -> tuple[Array, Array, Array]:
    """As `plain_blurred.posterior_blurred`."""
    k, d = component[1].shape
    out = np.empty((len(rows), k)), np.empty((len(rows), k, d)), np.empty((len(rows), k, d, d))
    order, ends, masks = groups
    call(
        blurred_posterior,
        np.ascontiguousarray(rows, np.float64),
        tuple(map(frozen, units)),
        tuple(map(frozen, errors)),
        (frozen(order, np.intp), frozen(ends, np.intp), frozen(masks, np.bool_)),
        tuple(map(frozen, component)),
        frozen(np.linalg.cholesky(component[2])),
        *out,
        layout="C",
    )
    return out


def _call(
    rows: Array,
    units: Units,
    errors: Errors,
    given: tuple[Array, Array],
    groups: Groups,
    component: Component,
    hard: bool,
    logs: Array,
    sums: tuple[Array, Array, Array],
) -> float:
    noise, projections = errors
    moving = np.empty((0, 0, 0)) if projections is None else projections
    order, ends, masks = groups
    return float(
        call(
            blurred_sums,
            np.ascontiguousarray(rows, np.float64),
            tuple(map(frozen, units)),
            (frozen(noise), frozen(moving)),
            *given,
            (frozen(order, np.intp), frozen(ends, np.intp), frozen(masks, np.bool_)),
            tuple(map(frozen, component)),
            bool(hard),
            logs,
            sums,
            layout="C",
        )
    )
