"""Mixtures brought into one frame, and what cannot be brought together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.frame import Frame
from mixtura.mixture import Mixture


def in_frame(mixture: Mixture, frame: Frame) -> Mixture:
    """The same mixture with its numbers kept in another frame."""
    old = mixture.frame
    if old == frame:
        return mixture
    ratio = frame.scale / old.scale
    shift = (old.pivot - frame.pivot) * frame.scale
    return mixture.changed(
        location=mixture.location * ratio + shift,
        structure=mixture.structure.scaled(ratio),
        frame=frame,
        noise=None if mixture.noise is None else mixture.noise.reframed(old, frame),
    )


def in_one_frame(mixtures: Sequence[Mixture]) -> list[Mixture]:
    """Mixtures over the same features in the frame of the first, with the widest units of all.

    Raises
    ------
    InputError
        Other numbers of features, or other names.
    """
    first = mixtures[0]
    for other in mixtures[1:]:
        if other.n_features != first.n_features:
            raise InputError(
                f"the mixtures have {first.n_features} and {other.n_features} features: "
                "take the same marginal of both first"
            )
        if None not in (first.feature_names, other.feature_names) and (
            other.feature_names != first.feature_names
        ):
            raise InputError(
                f"the mixtures are of {list(first.feature_names or ())} and "
                f"{list(other.feature_names or ())}: take one's marginal in the order of the other"
            )
    scale = np.min([mixture.frame.scale for mixture in mixtures], axis=0)
    frame = Frame(first.frame.pivot, scale)
    return [in_frame(mixture, frame) for mixture in mixtures]


def names_of(mixtures: Sequence[Mixture]) -> tuple[str, ...] | None:
    """The first feature names that any of them has."""
    return next((one.feature_names for one in mixtures if one.feature_names is not None), None)


def gaussian_only(mixture: Mixture, what: str, advice: str) -> None:
    """Refuse Student's t and noise where an operation has no closed form for them.

    Raises
    ------
    InputError
    """
    if not mixture.plain:
        kind = "noise" if mixture.noise is not None else "Student's t components"
        raise InputError(
            f"{what} is for Gaussian components without noise, not for {kind}: {advice}"
        )


def powers_of_two(size: Array) -> Array:
    """The powers of two nearest to sizes above zero; one for a size of zero."""
    known = np.where(size > 0, size, 1.0)
    return np.asarray(np.exp2(np.round(np.log2(known))))
