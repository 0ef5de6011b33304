"""The kernels compiled by Numba: the same names, arguments and results as `plain`, and `race`.

Importing this module compiles nothing. The first call for a type of rows compiles, or loads what
an earlier process compiled. Several threads may run the functions at once, each on its own rows:
they share nothing but what they compile to, and call no library that starts threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numba import njit, typeof, types
from numpy.typing import NDArray

from mixtura.kernels.compiled_climb import CARE, CONVERGED, EXHAUSTED
from mixtura.kernels.compiled_climb import race as _race
from mixtura.kernels.compiled_forms import address, constrain, first_axes
from mixtura.kernels.compiled_hierarchy import agglomerate as _agglomerate
from mixtura.kernels.compiled_math import exp_constants
from mixtura.kernels.compiled_observed import observed_sums
from mixtura.kernels.compiled_products import lanes
from mixtura.kernels.compiled_seeds import lloyd as _lloyd
from mixtura.kernels.compiled_seeds import spread as _spread
from mixtura.kernels.compiled_sweep import OPTIONS, pairs, sweep, tiling
from mixtura.kernels.compiled_whiten import BAND, whitened_joint, whitened_sums
from mixtura.kernels.compiled_wide import bands, wide_sweep
from mixtura.kernels.forms import FREE
from mixtura.kernels.layout import DIAGONAL, FULL, LINEAR, SPHERICAL, second_width, width

__all__ = [
    "CARE",
    "CONVERGED",
    "EXHAUSTED",
    "Climb",
    "accumulate",
    "accumulate_centred",
    "accumulate_observed",
    "agglomerate",
    "constrain",
    "is_wide",
    "lloyd",
    "log_joint",
    "race",
    "spread",
]

Array = NDArray[Any]

# From so many features, and so many for each component, on.
_WIDE, _WIDE_PER_COMPONENT = 48, 4


def is_wide(shape: int, d: int, k: int) -> bool:
    """Whether features are so many that a table of their products does not pay."""
    return shape == FULL and d >= max(_WIDE, _WIDE_PER_COMPONENT * k)


def accumulate(
    rows: Array,
    pivot: Array,
    scale: Array,
    weights: Array,
    theta: Array,
    shape: int,
    hard: bool,
) -> tuple[float, Array]:
    """As `plain.accumulate`; for float32 rows the products are in float32, the sums in float64."""
    rows = _native(rows)
    k, p = theta.shape
    if is_wide(shape, rows.shape[1], k):
        return _accumulate_wide(rows, pivot, scale, weights, theta, hard)
    pair, constants, *tile = _plan(rows, k, shape)
    sums = np.zeros((k, pair.shape[1]))
    given = _frozen(pivot), _frozen(scale), _frozen(weights), np.array(theta, rows.dtype, order="C")
    log_likelihood = _call(sweep, rows, *given, pair, bool(hard), sums, constants, *tile)
    return log_likelihood, sums[:, :p]


def _accumulate_wide(
    rows: Array, pivot: Array, scale: Array, weights: Array, theta: Array, hard: bool
) -> tuple[float, Array]:
    """`accumulate` with full covariances of many features."""
    k, d = len(theta), rows.shape[1]
    starts, places = bands(d)
    banded, sums = np.zeros((k, starts[-1]), rows.dtype), np.zeros((k, starts[-1]))
    banded[:, places] = theta
    step = lanes(rows.dtype)
    b = min(256, -(-max(len(rows), 1) // step) * step)
    given = _frozen(pivot), _frozen(scale), _frozen(weights), banded, _frozen(starts, np.intp)
    constants = exp_constants(rows.dtype)
    log_likelihood = _call(wide_sweep, rows, *given, bool(hard), sums, constants, b, step)
    return log_likelihood, sums[:, places]


def accumulate_centred(
    rows: Array,
    pivot: Array,
    scale: Array,
    weights: Array,
    log_weights: Array,
    means: Array,
    factors: Array,
    log_norms: Array,
    shape: int,
    hard: bool,
) -> tuple[float, Array]:
    """As `plain.accumulate_centred`, in float64 throughout."""
    rows = _native(rows)
    k, d = means.shape
    component, ends = _components(log_weights, means, factors, log_norms, shape)
    b, step, constants = _centred_plan(rows)
    first = np.zeros((k, d + 1))
    second = np.zeros((k, component[2].shape[1], -(-d // 4) * 4))
    given = _frozen(pivot), _frozen(scale), _frozen(weights), component, ends, bool(hard)
    log_likelihood = _call(whitened_sums, rows, *given, constants, b, step, first, second)
    moments = second[:, :, :d] if shape == FULL else second[:, 0, :d]
    if shape == SPHERICAL:
        moments = moments.sum(axis=1)
    return log_likelihood, np.hstack([_packed(moments, shape), first])


def accumulate_observed(
    rows: Array,
    pivot: Array,
    scale: Array,
    weights: Array,
    plausibility: Array | None,
    groups: tuple[Array, Array, Array],
    log_weights: Array,
    means: Array,
    covariances: Array,
    shape: int,
    hard: bool,
) -> tuple[float, Array]:
    """Log-likelihood and expected sums of ``T(z - mean_k)`` of rows with gaps or labels.

    Parameters
    ----------
    rows, pivot, scale, weights, shape, hard
        As in `accumulate`; what was not observed is not read.
    plausibility : (n, k) or None
        Added to the log joint.
    groups : (order, ends, masks)
        The rows by pattern: their order (n,), where each pattern's end (P,), and what it observes
        (P, d).
    log_weights : (k,)
    means : (k, d)
    covariances : (k, d, d), or variances (k, d)

    Examples
    --------
    One standard normal; its second row saw nothing, so it adds the expected square, 1:

    >>> import numpy as np
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> groups = np.array([0, 1]), np.array([1, 2]), np.array([[True], [False]])
    >>> rows, means = np.array([[2.0], [np.nan]]), np.zeros((1, 1))
    >>> given = rows, zero, one, zero[:0], None, groups, zero, means, np.ones((1, 1, 1))
    >>> accumulate_observed(*given, 0, False)[1]
    array([[5., 2., 2.]])
    """
    rows = _native(rows)
    k, d = means.shape
    sums = np.zeros((k, width(shape, d)))
    told = np.empty((0, 0)) if plausibility is None else plausibility
    order, ends, masks = groups
    log_likelihood = _call(
        observed_sums,
        rows,
        _frozen(pivot),
        _frozen(scale),
        _frozen(weights),
        _frozen(told),
        (_frozen(order, np.intp), _frozen(ends, np.intp), _frozen(masks, np.bool_)),
        (_frozen(log_weights), _frozen(means), _frozen(covariances.reshape(k, -1, d))),
        int(shape),
        bool(hard),
        sums,
    )
    return log_likelihood, sums


def log_joint(
    rows: Array,
    pivot: Array,
    scale: Array,
    log_weights: Array,
    means: Array,
    factors: Array,
    log_norms: Array,
    shape: int,
) -> Array:
    """As `plain.log_joint`."""
    rows = _native(rows)
    component, ends = _components(log_weights, means, factors, log_norms, shape)
    b, step, _ = _centred_plan(rows)
    out = np.empty((len(rows), len(means)))
    _call(whitened_joint, rows, _frozen(pivot), _frozen(scale), component, ends, b, step, out)
    return out


def spread(columns: Array, weights: Array, draws: Array) -> Array:
    """As `plain.spread`."""
    chosen = np.empty(len(draws), np.intp)
    _call(_spread, np.ascontiguousarray(columns), _frozen(weights), _frozen(draws), chosen)
    return chosen


def lloyd(columns: Array, weights: Array, seeds: Array, rounds: int) -> Array:
    """As `plain.lloyd`."""
    labels = np.full(columns.shape[1], -1, np.int32)
    moving = np.array(seeds, order="C")
    _call(_lloyd, np.ascontiguousarray(columns), _frozen(weights), moving, int(rounds), labels)
    return labels


def agglomerate(rows: Array, weights: Array, ridge: float, model: int) -> tuple[Array, Array]:
    """As `plain.agglomerate`."""
    merges = np.empty((max(len(rows) - 1, 0), 2), np.int64)
    costs = np.empty(len(merges))
    given = _frozen(weights), float(ridge), int(model), merges, costs
    _call(_agglomerate, np.ascontiguousarray(rows, np.float64), *given)
    return merges, costs


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
    >>> rows = np.array([[-1.5], [-0.5], [9.5], [10.5]])
    >>> nothing = np.empty((1, 2)), np.empty((1, 2, 1)), np.empty((1, 2, 1, 1))
    >>> given = rows, np.zeros(1), np.ones(1), np.empty(0), nothing, 0, False, False
    >>> (end,) = race(*given, most=np.array([100]), labels=np.array([[0, 0, 1, 1]]))
    >>> end.means.round(6).tolist(), end.status == CONVERGED
    ([[-1.0], [10.0]], True)
    """
    rows = _native(rows)
    n, d = rows.shape
    k, field = starts[1].shape[1], len(most)
    inner = LINEAR if pooled else shape
    pair, constants, *tile = _plan(rows, k, inner)
    single = rows.dtype == np.float32
    total = _total(rows, pivot, scale, row_weights, shape) if pooled else np.empty(0)
    mass = float(row_weights.sum()) if len(row_weights) else float(n)
    coefficients = width(inner, d)
    given = tuple(
        _frozen(part)
        for part in (*starts[:2], _packed(starts[2], shape), first_axes(form, k, d, axes, field))
    )
    points = _points(given, coefficients, pair.shape[1])
    work = np.empty((k, coefficients), rows.dtype)
    data = _frozen(pivot), _frozen(scale), _frozen(row_weights), pair, constants, mass, total, *tile
    ridge = _frozen(np.zeros(d) if ridge is None else ridge)
    model = int(shape), bool(pooled), bool(hard), ridge, int(form), address(form)
    if prior is None:
        prior = np.zeros((k, width(shape, d))), np.zeros(k), np.zeros(k)
    loss = (1e-4 if single else 1e-9) if loss is None else loss
    limits = float(floor), float(loss * (2.0**24 if single else 2.0**53))
    ends = tuple(np.empty(part.shape) for part in given)
    counts, facts = np.empty((field, k)), np.empty((field, 4))
    traces = np.empty((field, int(most.max()) + 1))
    _call(
        _race,
        rows,
        given,
        _frozen(np.empty((0, 0)) if labels is None else labels, np.int32),
        points,
        (*data, work),
        model,
        tuple(map(_frozen, prior)),
        limits,
        _frozen(most, np.int64),
        float(tol),
        bool(accelerate),
        max(1e-9 if single else 1e-14, noise),
        (*ends, counts, traces, facts),
    )
    dense = _unpacked(ends[2], shape, d)
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


def _plan(rows: Array, k: int, shape: int) -> tuple[Array, Array, int, int, int]:
    """Pairs of features, constants of the exponential, and the tiling."""
    pair = pairs(shape, rows.shape[1])
    step = lanes(rows.dtype)
    b, q = tiling(len(rows), k, pair.shape[1], rows.dtype.itemsize, step)
    return pair, exp_constants(rows.dtype), b, q, step


def _centred_plan(rows: Array) -> tuple[int, int, Array]:
    """Rows per tile, their padding, and constants of the exponential; all in float64."""
    double = np.dtype(np.float64)
    step = lanes(double)
    whole = -(-max(len(rows), 1) // step) * step
    return min(256 if rows.shape[1] <= 64 else 128, whole), step, exp_constants(double)


def _components(
    log_weights: Array, means: Array, factors: Array, log_norms: Array, shape: int
) -> tuple[tuple[Array, Array, Array], Array]:
    """Constants, means and transposed whiteners, and where the bands of the latter end.

    Those of full covariances are lower triangles.
    """
    k, d = means.shape
    if shape == FULL:
        whiteners = factors.swapaxes(1, 2)
        ends = np.tile(np.minimum(np.arange(0, d, BAND) + BAND, d), (k, 1))
    else:
        whiteners = np.broadcast_to(factors.reshape(k, 1, -1), (k, 1, d))
        ends = np.zeros((k, 0), int)
    component = _frozen(log_weights + log_norms), _frozen(means), _frozen(whiteners)
    return component, _frozen(ends, np.intp)


def _native(rows: Array) -> Array:
    """The rows as native, aligned float32 or float64; copied only if they are not."""
    single = rows.dtype.newbyteorder("=") == np.float32
    kind = np.float32 if single else np.float64
    return np.require(rows, kind, "A")


def _frozen(values: Array, dtype: Any = np.float64) -> Array:
    """Contiguous and read-only, whatever it was: each combination would be compiled anew."""
    flags = values.flags
    if values.dtype is not np.dtype(dtype) or not (flags.c_contiguous and flags.aligned):
        values = np.require(values, dtype, ["C", "A"])
        flags = values.flags
    if not flags.writeable:
        return values
    out = values.view()
    out.setflags(write=False)
    return out


_compiled: dict[tuple[Any, np.dtype[Any]], Any] = {}
_compiling = Lock()


def _call(function: Any, rows: Array, *given: Any) -> Any:
    """Run a function, compiled once for float64 and once for float32 rows of any strides.

    Seeds are sought in columns, which are contiguous.
    """
    known = _compiled.get((function, rows.dtype))
    if known is None:
        with _compiling:
            kind = types.float32 if rows.dtype == np.float32 else types.float64
            layout = "C" if function in (_lloyd, _spread, _agglomerate) else "A"
            signature = (types.Array(kind, 2, layout, readonly=True), *map(typeof, given))
            known = _compile(function.py_func, signature)
            _compiled[function, rows.dtype] = known
    return known(rows, *given)


def _compile(function: Any, signature: tuple[Any, ...]) -> Any:
    try:
        return njit(signature, cache=True, **OPTIONS)(function)
    except RuntimeError:  # no folder may be written to: compile in every process
        return njit(signature, **OPTIONS)(function)


def _total(rows: Array, pivot: Array, scale: Array, weights: Array, shape: int) -> Array:
    """Second moments of all rows together, which a pooled covariance needs once."""
    second = second_width(shape, rows.shape[1])
    nothing = np.zeros((1, width(shape, rows.shape[1])))
    return accumulate(rows, pivot, scale, weights, nothing, shape, True)[1][0, :second].copy()


def _packed(dense: Array, shape: int) -> Array:
    """(..., k, d, d), (..., k, d) or (..., k) as second moments are kept: (..., k, s)."""
    if shape == FULL:
        left, right = pairs(FULL, dense.shape[-1])[:, : second_width(FULL, dense.shape[-1])]
        return dense[..., left, right]
    return dense if shape == DIAGONAL else dense[..., None]


def _points(starts: tuple[Array, ...], coefficients: int, padded: int) -> tuple[Array, ...]:
    """Four slots for parameters, coefficients, sums, objectives and axes."""
    k = starts[1].shape[1]
    *slots, axes = (np.zeros((4, *part.shape[1:])) for part in starts)
    return *slots, np.zeros((4, k, coefficients)), np.zeros((4, k, padded)), np.zeros(4), axes


def _unpacked(packed: Array, shape: int, d: int) -> Array:
    if shape == FULL:
        left, right = pairs(FULL, d)[:, : second_width(FULL, d)]
        out = np.empty((*packed.shape[:-1], d, d))
        out[..., left, right] = out[..., right, left] = packed
        return out
    return packed if shape == DIAGONAL else packed[..., 0]
