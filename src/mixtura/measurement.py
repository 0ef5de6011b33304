"""How rows were measured: through linear maps, with errors of known covariance."""

from __future__ import annotations

from dataclasses import dataclass

from mixtura._types import Array, Indices, Rows


@dataclass(frozen=True, eq=False)
class Errors:
    """``y_i = A_i x_i + e_i`` with ``e_i ~ N(0, R_i)``, in the units of the data.

    Attributes
    ----------
    covariances : (1 or n, p, 1) variances, or (1 or n, p, p)
        R; one for all rows, or one for each. Zero for what was measured exactly.
    projections : (1 or n, p, d) or None
        A; the identity without.
    observations : (n, p) or None
        y where there are projections. The block's rows are then stand-ins (n, d) for x, for
        whatever needs a place and no likelihood; without projections they are y.
    """

    covariances: Array
    projections: Array | None = None
    observations: Rows | None = None

    @property
    def shared(self) -> bool:
        """Whether all rows were measured alike."""
        return len(self.covariances) == 1 and self.steady

    @property
    def steady(self) -> bool:
        """Whether all rows were measured through the same map."""
        return self.projections is None or len(self.projections) == 1

    @property
    def variances(self) -> Array:
        """(1 or n, p) the variances of e."""
        if self.covariances.shape[2] == 1:
            return self.covariances[:, :, 0]
        return self.covariances.diagonal(axis1=1, axis2=2)

    def take(self, rows: Indices | slice) -> Errors:
        """Those of some of the rows."""
        one = len(self.covariances) == 1
        return Errors(
            self.covariances if one else self.covariances[rows],
            self.projections if self.steady or self.projections is None else self.projections[rows],
            None if self.observations is None else self.observations[rows],
        )
