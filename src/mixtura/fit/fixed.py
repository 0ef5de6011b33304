"""What the user wants held: checked, and turned into values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura._errors import InputError, InputTypeError
from mixtura._types import Array, Mask
from mixtura.covariance import LAYOUTS, Covariances, Factor, Family
from mixtura.fit.given import Start, inverted
from mixtura.frame import Frame
from mixtura.held import Held
from mixtura.mixture import Mixture

GIVEN = {"weights": "weights_init", "means": "means_init", "covariances": "precisions_init"}
"""What may be held, and where its values are given."""

SEPARATE = ("full", "diag", "spherical")
"""Families whose components have nothing in common: covariances may be held one by one."""


@dataclass(frozen=True, eq=False)
class Fixed:
    """What is to be held.

    Attributes
    ----------
    how : None, str, sequence of str, or mapping
        Names of parameters; or a mapping of these to True, or to the numbers of components.
    last : Mixture or None
        A fit whose values are held, in place of those given to start from.
    """

    how: Any = None
    last: Mixture | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters of which something is held.

        Raises
        ------
        InputError, InputTypeError
            Anything but names of parameters.
        """
        if self.how is None:
            return ()
        listed = (self.how,) if isinstance(self.how, str) else self.how
        if not hasattr(listed, "__iter__"):
            raise InputTypeError(f"fixed={self.how!r}: use a name, names or a mapping of names")
        unknown = [name for name in listed if name not in GIVEN]
        if unknown:
            raise InputError(f"fixed={self.how!r} names {unknown}: use some of {tuple(GIVEN)}")
        if isinstance(self.how, Mapping):
            return tuple(name for name, which in self.how.items() if which is not False)
        return tuple(listed)

    def held(self, start: Start, rule: Family, k: int, d: int) -> Held | None:
        """The parameters held in a fit of k components, with their values.

        Raises
        ------
        InputError, InputTypeError
            Components that there are not, values that are not given, and what a family cannot
            hold; says what to do.
        """
        masks = {name: self._mask(name, k) for name in GIVEN}
        if not any(mask.any() for mask in masks.values()):
            return None
        _check_family(rule, masks["covariances"])
        last = self.last
        if last is None or last.location.shape != (k, d):
            values = _stated(start, rule, masks, d)
        else:
            values = _of_last(last, rule, masks["covariances"])
        _check_weights(values.weights, masks["weights"])
        return Held(masks["weights"], masks["means"], masks["covariances"], values)

    def _mask(self, name: str, k: int) -> Mask:
        """(k,) whose parameter of this name is held."""
        if name not in self.names:
            return np.zeros(k, dtype=bool)
        which = self.how[name] if isinstance(self.how, Mapping) else True
        if which is True:
            return np.ones(k, dtype=bool)
        listed = list(which) if np.iterable(which) else [which]
        mask = np.zeros(k, dtype=bool)
        for one in listed:
            if not isinstance(one, (int, np.integer)) or isinstance(one, bool):
                raise InputTypeError(f"fixed[{name!r}]={which!r}: use True or component numbers")
            if not 0 <= one < k:
                raise InputError(
                    f"fixed[{name!r}]={which!r}: the {k} components are numbered 0 to {k - 1}"
                )
            mask[one] = True
        return mask


def _check_family(rule: Family, mask: Mask) -> None:
    """Refuse covariances that the family cannot hold."""
    if not mask.any():
        return
    if isinstance(rule, Factor):
        raise InputError(
            f"{rule.name} covariances cannot be held, as their loadings have no precisions_init: "
            'hold means or weights, or use covariance_type="full" or "diag"'
        )
    if not mask.all() and rule.name not in SEPARATE:
        raise InputError(
            f"{rule.name} ties the components' covariances together, so those of "
            f"{np.flatnonzero(mask).tolist()} alone cannot be held: hold all, or use one of "
            f"{SEPARATE}"
        )


def _check_weights(weights: Array, mask: Mask) -> None:
    """Refuse weights that leave nothing for the others, or that are all held and not one."""
    if not mask.any():
        return
    held, total = weights[mask], float(weights[mask].sum())
    if not (held > 0).all():
        raise InputError(f"held weights {held} must be above 0: leave such components out")
    if mask.all() and abs(total - 1.0) > 1e-12:
        raise InputError(
            f"the weights are all held and sum to {total!r}, not to one: divide them by their sum"
        )
    if not mask.all() and total >= 1.0:
        raise InputError(
            f"the held weights {held} sum to {total:.6g} and leave nothing for the others: hold "
            "smaller ones"
        )


def _of_last(last: Mixture, rule: Family, covariances: Mask) -> Mixture:
    """The last fit in the units of the data."""
    structure = last.unframed()
    if covariances.any() and structure.name != rule.name:
        raise InputError(
            f"the covariances to be held are {structure.name}, and {rule.name} ones are fitted: "
            f'use covariance_type="{structure.name}", or give precisions_init without warm_start'
        )
    return Mixture.of(last.weights, last.means, structure, Frame.identity(last.n_features))


def _stated(start: Start, rule: Family, masks: Mapping[str, Mask], d: int) -> Mixture:
    """The values given to start from, with something harmless where none are."""
    k = len(masks["means"])
    weights = _read(start.weights, masks["weights"], "weights", (k,), np.ones(()))
    means = _read(start.means, masks["means"], "means", (k, d), np.zeros(d))
    structure: Covariances
    if isinstance(rule, Factor):
        structure = rule.from_array(np.ones((k, d, 1 + rule.rank)), k, d)
    else:
        shape = LAYOUTS[rule.name](k, d)
        unit = np.eye(d) if rule.moments.shape == 0 else np.ones(shape[1:])
        precisions = start.precisions if masks["covariances"].any() else None
        array = _read(precisions, masks["covariances"], "covariances", shape, unit)
        structure = inverted(array, rule, k, d)
    return Mixture.of(weights, means, structure, Frame.identity(d))


def _read(values: Any, mask: Mask, name: str, shape: tuple[int, ...], other: Array) -> Array:
    """What is given of held components, and `other` for the rest."""
    if not mask.any():
        return np.array(np.broadcast_to(other, shape))
    where = GIVEN[name]
    if values is None:
        raise InputError(
            f"fixed holds {name}, and {where} is not given: give it, with NaN for components "
            "that are not held, or start from a fit by warm_start"
        )
    array = np.array(values, dtype=np.float64)
    if array.shape != shape:
        raise InputError(f"{where} has shape {array.shape}; {shape} is needed")
    if mask.all():  # which may be one matrix for all components
        held, rest = array, np.zeros(1)
    else:
        held, rest = array[mask], array[~mask]
        array[~mask] = other
    if not np.isfinite(held).all():
        raise InputError(f"{where} holds NaN or infinite numbers for {name} that fixed holds")
    if not np.isfinite(rest).all() and not np.isnan(rest).all():
        raise InputError(
            f"{where} states some components that are not held and leaves others open: state "
            "all, or those held alone, with NaN for the others"
        )
    return array
