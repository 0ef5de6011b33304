"""Whole climbs in one compiled call, from several starts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixtura.kernels.calling import call, compiled, frozen, native, packed, plan, unpacked
from mixtura.kernels.compiled_calls import address_of
from mixtura.kernels.compiled_climb import race as _race
from mixtura.kernels.compiled_forms import address, first_axes
from mixtura.kernels.compiled_sums import accumulate, alone, directed
from mixtura.kernels.crew import Crew
from mixtura.kernels.forms import FREE
from mixtura.kernels.layout import FULL, LINEAR, second_width, width

__all__ = ["Climb", "race", "race_at", "room", "slots"]

Array = NDArray[Any]


class Climb(NamedTuple):
    """The end of a compiled EM run, in frame coordinates.

    Attributes
    ----------
    weights, means : (k,), (k, d)
    covariances : (k, d, d), (k, d) or (k,)
        By shape; all equal if pooled.
    axes : (d, d)
        Common to all components, for the forms EVE and VVE.
    counts : (k,)
        Total row weight of each component at these parameters.
    trace : (m,)
        Objective per unit of row weight at the start and after each accepted step; the last
        belongs to the parameters.
    n_iter : int
        E+M steps taken, with those that were not accepted.
    remaining : float
        Aitken estimate of what the objective would still gain.
    status : int
        `CONVERGED`, `EXHAUSTED` (all steps taken) or `CARE`: the next step would empty a component,
        fall below the floor or lose too many digits; the caller goes on from these parameters
        with its own M-step or the centred kernel. An empty trace: already at the start.
    """

    weights: Array
    means: Array
    covariances: Array
    axes: Array
    counts: Array
    trace: Array
    n_iter: int
    remaining: float
    status: int


def race(
    rows: Array,
    pivot: Array,
    scale: Array,
    row_weights: Array,
    starts: tuple[Array, Array, Array],
    shape: int,
    pooled: bool,
    hard: bool,
    *,
    most: Array,
    labels: Array | None = None,
    form: int = FREE,
    axes: Sequence[Array | None] = (),
    blocks: int = 1,
    crew: Crew | None = None,
    prior: tuple[Array, Array, Array] | None = None,
    ridge: Array | None = None,
    floor: float = 0.0,
    loss: float | None = None,
    noise: float = 0.0,
    tol: float = 1e-6,
    accelerate: bool = True,
) -> list[Climb]:
    """Run EM from each of several starts until what is left to gain is below `tol`.

    Parameters
    ----------
    rows, pivot, scale, row_weights, hard
        As in `accumulate`.
    starts, shape, pooled
        Weights (E, k), means (E, k, d) and covariances (E, k, d, d), (E, k, d) or (E, k) by
        `shape`, in frame coordinates; `pooled` for one covariance common to all components.
    most : (E,)
        E+M steps at most, and exactly if `tol` is 0.
    labels : (E, n), optional
        Partitions whose M-steps are the starts instead; of `starts` only the shapes count.
    form : int
        What the components have in common, a code of `mixtura.kernels.forms`.
    axes : sequence of (d, d) or None
        Common axes of the starts, for the forms EVE and VVE, where they are known.
    blocks : int
        Equal parts of the rows that are summed one by one, and then in their tree.
    crew : Crew, optional
        Whose threads share the blocks; None for the thread that calls.
    prior : (sums, dof, counts), optional
        Pseudo-sums (k, width(shape, d)) whose last column divides the means, what to add to the
        divisor of the scatters (k,), and to the counts that become weights (k,).
    ridge : (d,), optional
        Added to the variances in every M-step.
    floor : float
        Smallest eigenvalue allowed.
    loss : float, optional
        Nats a row that may be lost to rounding; 1e-9, or 1e-4 for float32 rows.
    noise : float
        Relative change of the objective that counts as rounding.
    tol : float
        In nats per unit of row weight.
    accelerate : bool
        Take SQUAREM leaps (Varadhan & Roland 2008, scheme S3) in the space of the sums, where
        they climb.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.kernels.compiled_climb import CONVERGED
    >>> rows = np.array([[-1.5], [-0.5], [9.5], [10.5]])
    >>> nothing = np.empty((1, 2)), np.empty((1, 2, 1)), np.empty((1, 2, 1, 1))
    >>> given = rows, np.zeros(1), np.ones(1), np.empty(0), nothing, 0, False, False
    >>> (end,) = race(*given, most=np.array([100]), labels=np.array([[0, 0, 1, 1]]))
    >>> end.means.round(6).tolist(), end.status == CONVERGED
    ([[-1.0], [10.0]], True)
    """
    rows = native(rows)
    n, d = rows.shape
    k, field = starts[1].shape[1], len(most)
    inner = LINEAR if pooled else shape
    pair, constants, *tile = plan(rows, k, inner)
    single = rows.dtype == np.float32
    total = _total(rows, pivot, scale, row_weights, shape) if pooled else np.empty(0)
    mass = float(row_weights.sum()) if len(row_weights) else float(n)
    coefficients = width(inner, d)
    given = tuple(
        frozen(part)
        for part in (*starts[:2], packed(starts[2], shape), first_axes(form, k, d, axes, field))
    )
    places = slots(given, coefficients, pair.shape[1])
    work = np.empty((k, coefficients), rows.dtype)
    data = frozen(pivot), frozen(scale), frozen(row_weights), pair, constants, mass, total, *tile
    ridge = frozen(np.zeros(d) if ridge is None else ridge)
    model = int(shape), bool(pooled), bool(hard), ridge, int(form), address(form)
    if prior is None:
        prior = np.zeros((k, width(shape, d))), np.zeros(k), np.zeros(k)
    loss = (1e-4 if single else 1e-9) if loss is None else loss
    limits = float(floor), float(loss * (2.0**24 if single else 2.0**53))
    ends = room(given, int(most.max()))
    counts, traces, facts = ends[4:]
    begin = given, frozen(np.empty((0, 0)) if labels is None else labels, np.int32), places
    bounds = tuple(map(frozen, prior)), limits, frozen(most, np.int64), float(tol)
    last = bool(accelerate), max(1e-9 if single else 1e-14, noise), ends

    def climb(control: Array) -> bool:
        call(_race, rows, *begin, (*data, work), (*model, control), *bounds, *last)
        return True

    if blocks == 1:
        climb(alone(rows.dtype))
    else:
        for one in (crew or Crew(1), Crew(1)):  # without helpers where the crew is busy
            if one.does(lambda control: climb(directed(control, rows.dtype, blocks))):
                break
    dense = unpacked(ends[2], shape, d)
    return [
        Climb(
            ends[0][e],
            ends[1][e],
            dense[e],
            ends[3][e, 0],
            counts[e],
            traces[e, : int(fact[0])],
            int(fact[1]),
            float(fact[2]),
            int(fact[3]),
        )
        for e, fact in enumerate(facts)
    ]


def _total(rows: Array, pivot: Array, scale: Array, weights: Array, shape: int) -> Array:
    """Second moments of all rows together, which a pooled covariance needs once."""
    second = second_width(shape, rows.shape[1])
    nothing = np.zeros((1, width(shape, rows.shape[1])))
    return accumulate(rows, pivot, scale, weights, nothing, shape, True)[1][0, :second].copy()


def room(starts: tuple[Array, ...], steps: int) -> tuple[Array, ...]:
    """Room for where the climbs of a race end."""
    ends = tuple(np.empty(part.shape) for part in starts)
    count = len(starts[0])
    return *ends, np.empty(starts[0].shape), np.empty((count, steps + 1)), np.empty((count, 4))


def slots(starts: tuple[Array, ...], coefficients: int, padded: int) -> tuple[Array, ...]:
    """Four slots for parameters, coefficients, sums, objectives and axes."""
    k = starts[1].shape[1]
    *own, axes = (np.zeros((4, *part.shape[1:])) for part in starts)
    return *own, np.zeros((4, k, coefficients)), np.zeros((4, k, padded)), np.zeros(4), axes


@cache
def race_at() -> int:
    """Where the compiled race lies; compiled or loaded by a first small one."""
    rows = np.array([[-1.0], [1.0]])
    nothing = np.empty((1, 1)), np.empty((1, 1, 1)), np.empty((1, 1, 1, 1))
    given = rows, np.zeros(1), np.ones(1), np.empty(0), nothing, FULL, False, False
    race(*given, most=np.array([1]), labels=np.zeros((1, 2), np.int32))
    return address_of(compiled(_race, rows))
