"""What a mixture is made of, for the functions that it is built on."""

from __future__ import annotations

from typing import Protocol

from mixtura._types import Array, Mask
from mixtura.conditioning import Observed
from mixtura.covariance import Covariances
from mixtura.frame import Frame
from mixtura.law import Law
from mixtura.noise import Noise


class Parts(Protocol):
    """The fields of a `Mixture`, and what it works out of them."""

    @property
    def weights(self) -> Array: ...
    @property
    def location(self) -> Array: ...
    @property
    def structure(self) -> Covariances: ...
    @property
    def frame(self) -> Frame: ...
    @property
    def feature_names(self) -> tuple[str, ...] | None: ...
    @property
    def law(self) -> Law: ...
    @property
    def noise(self) -> Noise | None: ...
    @property
    def means(self) -> Array: ...
    @property
    def log_weights(self) -> Array: ...
    def observed(self, observed: Mask) -> Observed: ...
