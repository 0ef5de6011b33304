"""Many small fits at once: the same model to each of many groups of rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import DegenerateWarning, InputError, MixturaWarning, warn
from mixtura._random import whole_seed
from mixtura._types import Array, Indices
from mixtura.covariance import Family
from mixtura.fit.em import Stop
from mixtura.fit.group_fits import GroupedRows, Model, chosen, of_size
from mixtura.fit.group_keys import coded, split
from mixtura.fit.grouped import DEGENERATE, NO_FIT, UNCONVERGED, GroupedMixtures
from mixtura.fit.select import counts, rules, threads
from mixtura.source.memory import one_blas_thread


def fit_groups(
    X: Any,
    by: Any,
    n_components: Any,
    covariance_type: str = "full",
    *,
    sample_weight: Any = None,
    reg_covar: Any = "auto",
    tol: float = 1e-6,
    max_iter: int = 1000,
    n_init: int | None = None,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> GroupedMixtures:
    """Fit a mixture to each group of rows, thousands of groups at once.

    Groups with complete rows climb in one compiled call; a group whose rows have gaps, whose
    columns are constant, or all of whose starts come near a collapse is fitted by itself, as
    `GaussianMixture` fits, and so are few groups, for which there is nothing to gain.

    Parameters
    ----------
    X : (n, d) array_like or data frame
        NaN where unobserved.
    by : (n,) array_like, or names of columns of a data frame
        The group of each row. A name, or a list of names, stands for columns of `X`, which are
        then no features; with several, the keys are tuples.
    n_components : int or iterable of int
        Of several numbers, each group takes that of its smallest BIC, degenerate fits last.
    covariance_type : str, default="full"
        A family as in `GaussianMixture`, but no factor analyzers.
    sample_weight : (n,) array_like, optional
    reg_covar, tol, max_iter
        As in `GaussianMixture`.
    n_init : int, optional
        Starts of each group; by default ``2 k - 1``, and at least three.
    random_state : int, default=0
        A group's fit depends on its rows and on this seed alone: not on other groups, their order,
        or the number of threads.
    n_jobs : int, optional
        Threads; all cores by default.

    Returns
    -------
    GroupedMixtures

    Raises
    ------
    InputError, InputTypeError
        Rows, keys or parameters that cannot be used.

    Warns
    -----
    DegenerateWarning
        Groups that are degenerate or could not be fitted: how many, and the first of them.

    Notes
    -----
    The starts are partitions by k-means++ (Arthur & Vassilvitskii 2007) in columns scaled by powers
    of two and, in turn, in whitened ones. All climb a few steps, and the best goes on (emEM,
    Biernacki et al. 2003).

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import fit_groups
    >>> rng = np.random.default_rng(0)
    >>> shops = np.repeat(["north", "south"], 100)
    >>> X = rng.normal(size=(200, 2)) + np.tile([[0.0], [9.0]], (100, 2))
    >>> X[shops == "south"] *= 100
    >>> groups = fit_groups(X, shops, 2)
    >>> np.sort(groups["south"].means[:, 0]).round(-2).astype(int).tolist()
    [0, 900]
    >>> groups.predict([[0, 0], [0, 0]], ["north", "south"]).shape
    (2,)
    """
    rest, labels = split(X, by)
    read = _checks.table(rest)
    keys, codes = coded(labels, len(read.rows))
    weights = read.weights if sample_weight is None else sample_weight
    data = _grouped(read, codes, len(keys), _checks.row_weights(weights, len(codes)))
    ridge = _ridge(reg_covar)
    _check(tol=(tol, 0.0), max_iter=(max_iter, 1), n_init=(n_init, 1))
    rule = _averaging(covariance_type, read.rows.shape[1])
    seed = whole_seed(random_state, "random_state")
    model = Model(rule, Stop(tol, max_iter), ridge, n_init, seed)
    with one_blas_thread(), ThreadPoolExecutor(threads(n_jobs)) as pool:
        found = chosen([of_size(data, keys, model, k, pool) for k in counts(n_components)])
    _warn(found)
    return found


def _grouped(read: _checks.Table, codes: Indices, size: int, weights: Array | None) -> GroupedRows:
    """The rows group after group, in their order within a group, without those of weight zero."""
    rows, own = read.rows, np.empty(0)
    if weights is not None or (np.diff(codes) < 0).any():
        order = np.argsort(codes, kind="stable")
        order = order if weights is None else order[weights[order] > 0]
        rows, codes = rows[order], codes[order]
        own = own if weights is None else weights[order]
    bounds = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=size))])
    return GroupedRows(np.ascontiguousarray(rows, np.float64), own, bounds, read.names)


def _averaging(covariance_type: Any, d: int) -> Family:
    found = rules(covariance_type, d)
    if len(found) > 1 or not found[0].averages:
        raise InputError(
            f"covariance_type={covariance_type!r}: groups take one family, and no factor "
            "analyzers; fit those with GaussianMixture, one group at a time"
        )
    return found[0]


def _ridge(reg_covar: Any) -> float | None:
    if isinstance(reg_covar, str) and reg_covar == "auto":
        return None
    if isinstance(reg_covar, str) or not reg_covar >= 0:
        raise InputError(f'reg_covar={reg_covar!r}: use "auto" or a number, at least 0')
    return float(reg_covar)


def _check(**given: tuple[Any, float]) -> None:
    for name, (value, least) in given.items():
        if value is not None and not value >= least:
            raise InputError(f"{name}={value!r} must be at least {least}")


def _warn(found: GroupedMixtures) -> None:
    """One warning for all groups that the user should look at."""
    parts = []
    for status in (NO_FIT, DEGENERATE, UNCONVERGED):
        places = np.flatnonzero(found.status == status)
        if len(places):
            keys = ", ".join(repr(found.keys[place]) for place in places[:3])
            parts.append(f"{len(places)} are {status!r} ({keys}{', …' * (len(places) > 3)})")
    if parts:
        worst = np.isin(found.status, (NO_FIT, DEGENERATE)).any()
        warn(
            f"of {len(found)} groups {'; '.join(parts)}: see their notes; fewer components, a "
            "simpler covariance_type, reg_covar, or more steps (max_iter) would help",
            DegenerateWarning if worst else MixturaWarning,
        )
