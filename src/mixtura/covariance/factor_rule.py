"""How low-rank covariances are estimated: factor analyzers and principal components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura._errors import InputError, InputTypeError
from mixtura._types import Array
from mixtura.covariance.factor import FactorCovariances, kind_name
from mixtura.covariance.guard import Guard
from mixtura.kernels.forms import FREE
from mixtura.kernels.layout import FACTOR
from mixtura.statistics import Moments, Statistics

AUTO = (1, 2, 3, 4, 6, 8)
"""The ranks that "auto" compares."""


NAMES = {
    "factor": "UUU",
    "factor-equal-noise": "UCU",
    "factor-common": "CUU",
    "factor-common-equal-noise": "CCU",
    "ppca": "UUC",
    "ppca-equal-noise": "UCC",
    "ppca-common": "CUC",
    "ppca-common-equal-noise": "CCC",
}
"""The eight kinds, and their codes in McNicholas & Murphy (2008): loadings, noise common (C) or not
(U), and whether the noise is isotropic (C)."""


@dataclass(frozen=True)
class Factor:
    """Σ_k = Λ_k Λ_kᵀ + Ψ_k: mixtures of factor analyzers, and of principal components.

    The rows are explained by r hidden factors u, ``x = μ_k + Λ_k u + e`` with ``e ~ N(0, Ψ_k)``,
    so cost and memory are linear in d. A step is one EM step for the loadings on the scatter about
    the new means, in the parameter-expanded form of Liu, Rubin & Wu (1998): with
    ``B = Σ⁻¹ Λ`` of the last mixture and ``R = Bᵀ S B + (I - Bᵀ Λ) = L Lᵀ``,
    ``Λ ← S B L⁻ᵀ`` and ``Ψ ← diag(S - Λ Λᵀ)``. It never lowers the likelihood and needs no more of
    the scatter S than its diagonal and S B.

    Parameters
    ----------
    rank : int
        r, at least 1 and less than d.
    loadings : {"own", "common"}
    noise : {"diagonal", "isotropic"}
        Isotropic noise makes probabilistic principal components (Tipping & Bishop 1999).
    noise_common : bool
        Whether all components have the same noise.

    References
    ----------
    Ghahramani & Hinton (1997); McLachlan, Peel & Bean (2003); the eight constraints are those of
    McNicholas & Murphy (2008).

    Examples
    --------
    >>> Factor(3).name, Factor(2, noise="isotropic", loadings="common").name
    ('factor:3', 'ppca-common:2')
    >>> Factor(3).n_parameters(k=2, d=10)
    74
    """

    rank: int
    loadings: str = "own"
    noise: str = "diagonal"
    noise_common: bool = False

    averages = False
    form = FREE

    def __post_init__(self) -> None:
        if not isinstance(self.rank, (int, np.integer)) or isinstance(self.rank, bool):
            raise InputTypeError(f"rank={self.rank!r}: the number of factors is a whole number")
        if self.rank < 1:
            raise InputError(
                f"rank={self.rank}: at least one factor is needed; none at all is the family "
                '"diag" or "spherical"'
            )
        if self.loadings not in ("own", "common"):
            raise InputError(f'loadings={self.loadings!r}: use "own" or "common"')
        if self.noise not in ("diagonal", "isotropic"):
            raise InputError(f'noise={self.noise!r}: use "diagonal" or "isotropic"')

    @property
    def name(self) -> str:
        return kind_name(self.common, self.one_scale, self.noise_common, self.rank)

    @property
    def common(self) -> bool:
        """Whether all components have the same loadings."""
        return self.loadings == "common"

    @property
    def one_scale(self) -> bool:
        return self.noise == "isotropic"

    @property
    def moments(self) -> Moments:
        return Moments(FACTOR, pooled=self.common and self.noise_common, rank=self.rank)

    def n_parameters(self, k: int, d: int) -> int:
        """Loadings ``d r - r(r-1)/2``, as a rotation is free, and noise; never more than full."""
        rank = min(self.rank, d)
        loadings = d * rank - rank * (rank - 1) // 2
        noise = 1 if self.one_scale else d
        own = (1 if self.common else k) * loadings + (1 if self.noise_common else k) * noise
        matrices = 1 if self.common and self.noise_common else k
        return min(own, matrices * d * (d + 1) // 2)

    def maximize(self, data: Statistics, guard: Guard, before: Any = None) -> FactorCovariances:
        """One EM step from the covariances whose directions the statistics were projected on.

        Without any, the loadings are zero.
        """
        k, d = data.pivot.shape
        self.check(d)
        scatter = data.average()
        variances, projected = scatter[:, :, 0], scatter[:, :, 1:]
        dof = data.dof if len(scatter) == k else data.dof.sum(keepdims=True)
        basis = data.moments.basis
        if basis is None:
            loadings, rest = np.zeros_like(projected), variances
        elif self.common and len(scatter) > 1:
            loadings, rest = _common(basis, variances, projected, dof)
        else:
            loadings, rest = _own(basis, variances, projected)
        return self.made(loadings, self._noise(rest, dof, guard), k)

    def contains(self, other: Factor) -> bool:
        """Whether every structure of another rule is one of this."""
        return (
            self != other
            and self.rank >= other.rank
            and self.common <= other.common
            and self.one_scale <= other.one_scale
            and self.noise_common <= other.noise_common
        )

    def check(self, d: int) -> None:
        """Refuse a rank that is no reduction.

        Raises
        ------
        InputError
        """
        if self.rank >= d:
            raise InputError(
                f"rank={self.rank} in {d} dimensions: at most {d - 1} factors; "
                'for all directions use covariance_type="full"'
            )

    def made(self, loadings: Array, noise: Array, k: int) -> FactorCovariances:
        """The structure, common parts repeated."""
        d = noise.shape[1]
        return FactorCovariances(
            np.broadcast_to(loadings, (k, d, self.rank)),
            np.broadcast_to(noise, (k, d)),
            self.common,
            self.one_scale,
            self.noise_common,
        )

    def read(self, given: Any, k: int, d: int, where: str) -> FactorCovariances:
        """Covariances that users hand over: the value itself, or [noise, loadings] (k, d, 1 + r).

        Raises
        ------
        InputError
            Wrong shape, not finite, noise that is not positive.
        """
        values = given.array() if isinstance(given, FactorCovariances) else given
        array = np.array(values, dtype=np.float64)
        if array.shape != (k, d, 1 + self.rank):
            raise InputError(
                f"{where} have shape {array.shape}; {self.name} covariances of {k} components in "
                f"{d} dimensions are the noise and {self.rank} loadings of each column, "
                f"{(k, d, 1 + self.rank)}"
            )
        if not np.isfinite(array).all():
            raise InputError(f"{where} hold NaN or infinite numbers")
        if (array[:, :, 0] <= 0).any():
            raise InputError(f"{where} hold a noise variance that is not positive")
        self._check_constraints(array, where)
        return self.from_array(array, k, d)

    def _check_constraints(self, array: Array, where: str) -> None:
        noise, loadings = array[:, :, 0], array[:, :, 1:]
        for wanted, holds, what in (
            (self.common, np.array_equal(loadings, loadings[:1] + 0.0 * loadings), "one Λ"),
            (self.noise_common, np.array_equal(noise, noise[:1] + 0.0 * noise), "one Ψ"),
            (self.one_scale, np.array_equal(noise, noise[:, :1] + 0.0 * noise), "isotropic noise"),
        ):
            if wanted and not holds:
                raise InputError(f"{where}: {self.name} has {what} for all components")

    def from_array(self, array: Array, k: int, d: int) -> FactorCovariances:
        return self.made(array[:, :, 1:], array[:, :, 0], k)

    def _noise(self, rest: Array, dof: Array, guard: Guard) -> Array:
        """Bounded noise from the variances (k or 1, d) that the loadings leave."""
        if self.noise_common:
            rest, dof = (dof / dof.sum())[None] @ rest, dof.sum(keepdims=True)
        if not self.one_scale:
            return guard.variances(rest, dof)
        return np.repeat(guard.common(rest.mean(axis=1), dof)[:, None], rest.shape[1], axis=1)


def _expected(basis: FactorCovariances, projected: Array) -> Array:
    """``R = E[u uᵀ] = Bᵀ S B + Cov[u | z]`` (k, r, r) of the factors."""
    count = len(projected)
    second = basis.regressions[:count].swapaxes(1, 2) @ projected + basis.doubt[:count]
    return np.asarray((second + second.swapaxes(1, 2)) / 2)


def _own(basis: FactorCovariances, variances: Array, projected: Array) -> tuple[Array, Array]:
    """Loadings of each component, and the variances they leave."""
    lower = np.linalg.cholesky(_expected(basis, projected))
    loadings = np.linalg.solve(lower, projected.swapaxes(1, 2)).swapaxes(1, 2)
    return loadings, variances - (loadings**2).sum(axis=2)


def _common(
    basis: FactorCovariances, variances: Array, projected: Array, dof: Array
) -> tuple[Array, Array]:
    """One Λ for components with noise of their own, and the variances it leaves.

    Row j solves ``λ_j Σ_k (n_k/ψ_kj) R_k = Σ_k (n_k/ψ_kj) (S_k B_k)_j``; then, as the factors'
    covariance is a free parameter of the expanded model, Λ absorbs its root.
    """
    expected = _expected(basis, projected)
    weights = dof[:, None] / basis.noise
    weights = weights / weights.sum(axis=0)
    left = np.einsum("kd,krs->drs", weights, expected)
    right = np.einsum("kd,kdr->dr", weights, projected)
    loadings = np.linalg.solve(left, right[:, :, None])[:, :, 0]
    explained = np.einsum("dr,kdr->kd", loadings, projected)
    again = np.einsum("dr,krs,ds->kd", loadings, expected, loadings)
    root = np.linalg.cholesky(np.einsum("k,krs->rs", dof / dof.sum(), expected))
    return (loadings @ root)[None], variances - 2.0 * explained + again


def rule_of(structure: FactorCovariances) -> Factor:
    """The rule whose structure it is."""
    return Factor(
        structure.rank,
        loadings="common" if structure.common else "own",
        noise="isotropic" if structure.isotropic else "diagonal",
        noise_common=structure.noise_common,
    )


def factor_rules(name: Any, rank: Any = None, d: int | None = None) -> list[Factor]:
    """The rules that a covariance_type of factor analyzers names, one a rank; none for others.

    Parameters
    ----------
    name : Factor, or str
        A kind in `NAMES` or its code, with the rank behind a colon: ``"factor:3"``, several as in
        ``"ppca:1-4"`` or ``"ppca:1,2,5"``, or ``"factor:auto"``.
    rank : int, iterable of int or "auto", optional
        In place of the one in the name.
    d : int, optional
        "auto" has no rank that is no reduction of so many features.

    Raises
    ------
    InputError
        No rank, or one that is none.

    Examples
    --------
    >>> [rule.name for rule in factor_rules("ppca:1-3")]
    ['ppca:1', 'ppca:2', 'ppca:3']
    >>> factor_rules("UCU", rank=2), factor_rules("full")
    ([Factor(rank=2, loadings='own', noise='diagonal', noise_common=True)], [])
    """
    if isinstance(name, Factor):
        return [name]
    kind, _, told = str(name).partition(":")
    code = NAMES.get(kind, kind if kind in NAMES.values() else None)
    if code is None:
        return []
    return [
        Factor(
            one,
            loadings="common" if code[0] == "C" else "own",
            noise="isotropic" if code[2] == "C" else "diagonal",
            noise_common=code[1] == "C",
        )
        for one in _ranks(told if rank is None else rank, str(name), d)
    ]


def _ranks(told: Any, name: str, d: int | None) -> list[int]:
    """Numbers of factors from a number, numbers, "auto", "1-4" or "1,2,5"."""
    if isinstance(told, str) and told == "auto":
        return [rank for rank in AUTO if d is None or rank < d] or [AUTO[0]]
    if not isinstance(told, str):
        ranks = list(dict.fromkeys(told)) if hasattr(told, "__iter__") else [told]
        if not ranks:
            raise InputError(f'rank={told!r} is empty: give a number of factors, several or "auto"')
        return ranks
    found: list[int] = []
    for part in told.split(","):
        low, _, high = part.partition("-")
        if not low.strip().isdigit() or not (high.strip() or "0").isdigit():
            raise InputError(
                f"covariance_type={name!r} needs a number of factors: write "
                f'"{name.partition(":")[0]}:3", several as ":1-4", or ":auto"; or give a '
                'GaussianMixture rank=3, several or "auto"'
            )
        found.extend(range(int(low), int(high or low) + 1))
    return sorted({*found})
