"""The members of a model file that say how the components' tails fall and where noise is.

| member | what |
|---|---|
| `dof.npy` | (k,) degrees of freedom, where `model.json` says ``"law": "t"`` |
| `noise.npy` | (2, d) lowest and highest corner of the noise's box, in frame coordinates |
| `noise_edges.npy` | (d + 1, d) optional: corner and edges of the rotated box |

`model.json` holds ``"dof"``: "own", "common" or "fixed", and ``"noise"``: its share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mixtura._errors import InputError, ModelFileError
from mixtura._types import Array
from mixtura.law import GAUSSIAN, Gaussian, Law, StudentT
from mixtura.mixture import Mixture
from mixtura.noise import Noise

LAW_ARRAYS = ("dof.npy", "noise.npy", "noise_edges.npy")
_TIES = ("own", "common", "fixed")

Read = Callable[[str, tuple[int, ...]], Array]
"""Name and shape of a member -> its numbers, checked."""


def law_members(mixture: Mixture) -> tuple[dict[str, Any], dict[str, Array]]:
    """What `model.json` says of law and noise, and the arrays; nothing for a plain mixture."""
    told: dict[str, Any] = {}
    arrays: dict[str, Array] = {}
    law, noise = mixture.law, mixture.noise
    if isinstance(law, StudentT):
        told |= {"law": "t", "dof": law.tie}
        arrays["dof.npy"] = law.dof
    elif not isinstance(law, Gaussian):
        raise InputError(f"a law of {type(law).__name__} cannot be written to a model file")
    if noise is not None:
        told["noise"] = noise.share
        arrays["noise.npy"] = np.stack([noise.low, noise.high])
        if noise.corner is not None and noise.edges is not None:
            arrays["noise_edges.npy"] = np.vstack([noise.corner, noise.edges])
    return told, arrays


def read_law(told: dict[str, Any], k: int, read: Read) -> Law:
    """The law that `model.json` names.

    Raises
    ------
    ModelFileError
    """
    name, tie = told.get("law", "gaussian"), told.get("dof")
    if name == "gaussian":
        return GAUSSIAN
    if name != "t" or tie not in _TIES:
        raise ModelFileError('model.json: the law is neither "gaussian" nor "t" with a known dof')
    dof = read("dof.npy", (k,))
    if (dof <= 0).any():
        raise ModelFileError("member dof.npy: degrees of freedom must be above 0")
    return StudentT(dof, tie)


def read_noise(told: dict[str, Any], d: int, read: Read, names: list[str]) -> Noise | None:
    """The noise that `model.json` tells of, among the members of these names.

    Raises
    ------
    ModelFileError
    """
    share = told.get("noise")
    if share is None:
        return None
    if type(share) not in (int, float) or not 0.0 <= share <= 1.0:
        raise ModelFileError("model.json: the noise is no share from 0 to 1")
    low, high = read("noise.npy", (2, d))
    if not (high > low).all():
        raise ModelFileError("member noise.npy: the box has no volume")
    if "noise_edges.npy" not in names:
        return Noise(float(share), low, high)
    both = read("noise_edges.npy", (d + 1, d))
    if not np.isfinite(np.linalg.slogdet(both[1:])[1]):
        raise ModelFileError("member noise_edges.npy: the rotated box has no volume")
    return Noise(float(share), low, high, both[0], both[1:])
