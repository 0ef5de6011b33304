"""An estimator's parameters, checked and turned into what a fit takes."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from mixtura._errors import InputError, InputTypeError
from mixtura.assignment import hard, soft
from mixtura.estimators.seeds import drawn_seed
from mixtura.fit.candidates import Shortlist
from mixtura.fit.checkpoint import Checkpoint, with_checkpoint
from mixtura.fit.em import Stop
from mixtura.fit.fixed import GIVEN, Fixed
from mixtura.fit.given import Start
from mixtura.fit.outliers import Outliers, asked
from mixtura.fit.select import criterion
from mixtura.fit.task import Task
from mixtura.fit.truncation import Truncation
from mixtura.mixture import Mixture
from mixtura.source import Source

_ASSIGN = {"soft": soft, "hard": hard}


def checked(estimator: Any) -> None:
    """Refuse parameters that cannot be used.

    Raises
    ------
    InputError, InputTypeError
        Names the parameter and what to use instead.
    """
    kind: Any
    for name, kind, low in (("tol", Real, 0), ("max_iter", Integral, 0), ("n_init", Integral, 1)):
        value = getattr(estimator, name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputTypeError(f"{name}={value!r} must be a number, at least {low}")
        if not value >= low:
            raise InputError(f"{name}={value!r} must be at least {low}")
    criterion(estimator.criterion)
    ridge = 0.0 if estimator.reg_covar == "auto" else estimator.reg_covar
    if not isinstance(ridge, (int, float, np.number)) or not ridge >= 0:
        raise InputError(f'reg_covar={estimator.reg_covar!r}: use "auto" or a number, at least 0')
    ratio = 1.0 if estimator.max_ratio is None else estimator.max_ratio
    if not isinstance(ratio, (int, float, np.number)) or not ratio >= 1:
        raise InputError(f"max_ratio={estimator.max_ratio!r}: use None or a number, at least 1")
    outliers(estimator)
    shortlist(estimator)
    parts(estimator)
    _check_fixed(estimator)
    if estimator.assignment not in _ASSIGN:
        raise InputError(f"assignment={estimator.assignment!r}: use one of {tuple(_ASSIGN)}")
    if estimator.equal_weights not in ("auto", True, False):
        raise InputError(f'equal_weights={estimator.equal_weights!r}: use "auto", True or False')
    if estimator.callback is not None and not callable(estimator.callback):
        raise InputTypeError(f"callback={estimator.callback!r} is no function of a step")


def _check_fixed(estimator: Any) -> None:
    """Refuse to hold what something else sets."""
    names = Fixed(estimator.fixed).names
    if "weights" in names and estimator.equal_weights not in ("auto", False):
        raise InputError(
            'fixed holds weights, which equal_weights=True sets to 1/k: drop "weights" from '
            "fixed, or equal_weights"
        )
    if "covariances" in names and estimator.max_ratio is not None:
        raise InputError(
            "max_ratio moves all covariances together, so none can be held: drop max_ratio, or "
            '"covariances" from fixed'
        )


def compared(estimator: Any, components: Sequence[int], families: Sequence[Any]) -> None:
    """Refuse what belongs to a single fit where several candidates are compared.

    Raises
    ------
    InputError
    """
    held = Fixed(estimator.fixed).names
    if held and len(components) > 1:
        raise InputError(
            f"fixed={estimator.fixed!r} belongs to one number of components, and n_components has "
            f"{len(components)}: give one, or leave fixed out"
        )
    if "covariances" in held and len(families) > 1:
        raise InputError(
            "covariances are held in one family: give one covariance_type, or hold weights and "
            "means alone"
        )
    allowed = {GIVEN[name] for name in held}
    for name in ("weights_init", "means_init", "precisions_init", "callback"):
        if getattr(estimator, name) is not None and name not in allowed:
            raise InputError(
                f"{name} belongs to one fit: give one n_components and one covariance_type, "
                "or leave it out"
            )


def task(
    estimator: Any,
    source: Source,
    names: tuple[str, ...] | None = None,
    labelled: bool = False,
    last: Mixture | None = None,
) -> Task:
    """What the estimator's parameters ask for, over the rows of a source.

    What is held are values of the `last` fit if there is one.
    """
    return Task(
        source,
        estimator.criterion,
        drawn_seed(estimator.random_state),
        Stop(estimator.tol, estimator.max_iter, parts=parts(estimator)),
        estimator.prior,
        None if isinstance(estimator.reg_covar, str) else float(estimator.reg_covar),
        _ASSIGN[estimator.assignment],
        estimator.equal_weights,
        estimator.n_init,
        names,
        labelled,
        Start(
            estimator.init_params,
            estimator.weights_init,
            estimator.means_init,
            estimator.precisions_init,
        ),
        outliers(estimator),
        max_ratio=estimator.max_ratio,
        fixed=Fixed(estimator.fixed, last),
        shortlist=shortlist(estimator),
        truncation=truncation(estimator, source.d),
    )


def kept(estimator: Any, asked: Task, path: Any, models: int) -> tuple[Task, Checkpoint | None]:
    """The task with the seed of the fit that a checkpoint keeps, and the checkpoint, if any.

    Raises
    ------
    InputError, InputTypeError, CheckpointError
        As `with_checkpoint` does.
    """
    given = isinstance(estimator.random_state, Integral)
    return with_checkpoint(asked, path, models, given=given)


def truncation(estimator: Any, features: int) -> Truncation | None:
    """The box that the estimator's rows come from."""
    return Truncation.of(estimator.truncation, features)


def shortlist(estimator: Any) -> Shortlist | None:
    """How many components a row counts for; None for all."""
    given = getattr(estimator, "candidates", None)
    return given if given is None or isinstance(given, Shortlist) else Shortlist(given)


def parts(estimator: Any) -> int:
    """M-steps in a pass over the rows: 1, so many as are given, or 0 for the usual number.

    Raises
    ------
    InputError
        Neither a truth value nor a whole number above one.
    """
    given = getattr(estimator, "incremental", False)
    if isinstance(given, (bool, np.bool_)):
        return 0 if given else 1
    if not isinstance(given, Integral) or given < 2:
        raise InputError(
            f"incremental={given!r}: use True, False or a number of parts of the rows, at least 2"
        )
    return int(given)


def outliers(estimator: Any) -> Outliers:
    """What the estimator's parameters say of outliers."""
    return asked(estimator.distribution, estimator.dof, estimator.noise, estimator.trim)
