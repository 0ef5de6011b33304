"""A classifier's parameters, checked and turned into a plan of what to fit."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError, InputTypeError
from mixtura._types import Array, Indices
from mixtura.estimators.seeds import drawn_seed
from mixtura.fit.class_plan import Plan
from mixtura.fit.em import Stop
from mixtura.fit.select import counts, rules, threads
from mixtura.fit.task import Task
from mixtura.source import MemorySource

_SHARED = ("bic", "aic", "icl")
"""Criteria that a family common to all classes can be chosen by."""


def checked(estimator: Any) -> None:
    """Refuse parameters that cannot be used.

    Raises
    ------
    InputError, InputTypeError
        Names the parameter and what to use instead.
    """
    kind: Any
    for name, kind, low in (("tol", Real, 0), ("max_iter", Integral, 1), ("n_init", Integral, 1)):
        value = getattr(estimator, name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputTypeError(f"{name}={value!r} must be a number, at least {low}")
        if not value >= low:
            raise InputError(f"{name}={value!r} must be at least {low}")
    ridge = 0.0 if estimator.reg_covar == "auto" else estimator.reg_covar
    if not isinstance(ridge, (int, float, np.number)) or not ridge >= 0:
        raise InputError(f'reg_covar={estimator.reg_covar!r}: use "auto" or a number, at least 0')
    if estimator.semi_supervised not in (False, True, "missing"):
        raise InputError(
            f'semi_supervised={estimator.semi_supervised!r}: use True, False or "missing"'
        )
    criteria = _SHARED if estimator.shared else (*_SHARED, "cv")
    if estimator.criterion not in criteria:
        raise InputError(
            f"criterion={estimator.criterion!r} with shared={estimator.shared}: use {criteria}"
        )
    if estimator.shared and not _one_component(estimator.n_components):
        raise InputError(
            f"n_components={estimator.n_components!r}: shared=True has one component a class; "
            "leave n_components at 1, or set shared=False"
        )


def plan_of(
    estimator: Any,
    source: MemorySource,
    codes: Indices,
    columns: tuple[str, ...] | None,
    classes: Any = None,
) -> Plan:
    """What the estimator's parameters ask for, over the rows of a source."""
    names = estimator.classes_ if classes is None else classes
    seed = drawn_seed(estimator.random_state)
    ridge = None if isinstance(estimator.reg_covar, str) else float(estimator.reg_covar)
    jobs = threads(estimator.n_jobs)
    task = Task(
        source=MemorySource(source.whole.rows, source.whole.weights, threads=jobs),
        criterion=estimator.criterion,
        seed=seed,
        stop=Stop(estimator.tol, estimator.max_iter),
        prior=estimator.prior,
        reg_covar=ridge,
        fields=estimator.n_init,
        names=columns,
    )
    return Plan(
        task,
        codes,
        tuple(counts(one) for one in _by_class(estimator.n_components, names, "n_components")),
        tuple(rules(one) for one in _by_class(estimator.covariance_type, names, "covariance_type")),
        tuple(str(name) for name in names),
        _priors(estimator.priors, names),
        jobs,
    )


def _one_component(components: Any) -> bool:
    return isinstance(components, (int, np.integer)) and components == 1


def _by_class(given: Any, classes: Any, name: str) -> list[Any]:
    """What was given for each class."""
    if not isinstance(given, Mapping):
        return [given] * len(classes)
    lacking = [one for one in classes.tolist() if one not in given]
    unknown = [one for one in given if one not in classes.tolist()]
    if lacking or unknown:
        raise InputError(
            f"{name} by class lacks {lacking} and names unknown classes {unknown}; "
            f"the classes are {classes.tolist()}"
        )
    return [given[one] for one in classes.tolist()]


def _priors(given: Any, classes: Any) -> Array | None:
    """Probabilities of the classes, or None where they are to be found."""
    if given is None:
        return None
    size = len(classes)
    if isinstance(given, str):
        if given != "uniform":
            raise InputError(f'priors={given!r}: use None, "uniform" or {size} probabilities')
        return np.full(size, 1.0 / size)
    listed = _by_class(given, classes, "priors") if isinstance(given, Mapping) else given
    values = _checks.numbers(listed, "priors")
    if values.shape != (size,) or not (values >= 0).all() or abs(values.sum() - 1.0) > 1e-6:
        raise InputError(
            f"priors={given!r}: {size} probabilities that sum to one are needed, in the order of "
            f"the classes {classes.tolist()}"
        )
    return np.asarray(values / values.sum())
