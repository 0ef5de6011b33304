"""Wherever a mixture is wanted, a fitted estimator serves."""

from __future__ import annotations

from typing import Any

from mixtura._errors import InputError, InputTypeError
from mixtura.mixture import Mixture


def fitted_mixture(model: Any) -> Mixture:
    """The mixture itself, or that of a fitted estimator.

    Raises
    ------
    NotFittedError
        Of scikit-learn: an estimator before its fit.
    InputTypeError
        What holds no mixture; names it, and what to pass instead.
    """
    mixture = model if isinstance(model, Mixture) else getattr(model, "mixture_", None)
    if isinstance(mixture, Mixture):
        return mixture
    if hasattr(model, "get_params") and not isinstance(model, type):
        from mixtura.estimators.convert import refuse_unfitted

        refuse_unfitted(model)
    given = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
    raise InputTypeError(
        f"a Mixture, or a fitted estimator with a mixture_, is needed, not {given}; of "
        "scikit-learn's GaussianMixture pass Mixture.from_sklearn(model)"
    )


def fitted_distribution(model: Any) -> Any:
    """A distribution itself, or what a fitted estimator says of the rows it was fitted to.

    Raises
    ------
    NotFittedError, InputTypeError
        As `fitted_mixture`.
    InputError
        A fit that knows its rows to be truncated.
    """
    if (hasattr(model, "logpdf") or hasattr(model, "cdf")) and not hasattr(model, "get_params"):
        return model
    density = getattr(model, "density_", None)
    if density is not None:
        return density
    mixture = fitted_mixture(model)
    if getattr(model, "truncation", None) is not None:
        raise InputError(
            f"{type(model).__name__} was fitted with truncation: pass mixture_.truncate(lower, "
            "upper) for the rows within the bounds, or mixture_ for all there would be"
        )
    return mixture
