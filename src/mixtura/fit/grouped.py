"""Mixtures of many groups as one value: their parameters in stacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._tables import data_frame
from mixtura._types import Array, Indices, Rows
from mixtura.conditioning import labels, log_sums, shares
from mixtura.covariance import family
from mixtura.fit.group_keys import looked_up, split
from mixtura.fit.judgement import n_parameters
from mixtura.frame import Frame
from mixtura.kernels.layout import DIAGONAL, FULL
from mixtura.mixture import Mixture

CONVERGED, UNCONVERGED, DEGENERATE, NO_FIT = "converged", "not converged", "degenerate", "no fit"

_NUMBERS = 1 << 19  # in the matrices of the rows that are scored at a time
_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, eq=False, repr=False)
class GroupedMixtures:
    """The mixtures of G groups, at most K components each, in d dimensions.

    ``groups[key]`` is the `Mixture` of a group; `len`, iteration and ``in`` go by keys. Where a
    group has fewer than K components, or none, the numbers of the others are zero weights and NaN.

    Attributes
    ----------
    keys : tuple
        The groups, sorted where they compare.
    covariance_type : str
    feature_names : tuple of str or None
    n_components : (G,)
        Zero where a group has no fit.
    weights : (G, K)
    location : (G, K, d)
        Means in the frame of the group.
    structure : (G, K, d, d)
        Covariances in the frame of the group.
    pivot, scale : (G, d)
        The frames: ``z = (x - pivot) * scale``.
    n_rows : (G,)
        Rows of positive weight.
    weight : (G,)
        Their total weight.
    log_likelihood : (G,)
        Total over the rows, by weight.
    n_iter : (G,)
        E+M steps, with those of the starts.
    status : (G,) str
        "converged"; "not converged" after `max_iter` steps; "degenerate", where a component
        collapsed or emptied, or a column is constant; "no fit", for instance with fewer rows than
        components.
    alone : (G,) bool
        Whether the group was fitted by itself, as `GaussianMixture` fits.
    notes : mapping of key to str
        What there is to say about groups that were fitted by themselves.

    See Also
    --------
    mixtura.fit_groups : Fits them.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import fit_groups
    >>> rng = np.random.default_rng(0)
    >>> X, by = rng.normal(size=(300, 2)), np.repeat(["a", "b", "c"], 100)
    >>> groups = fit_groups(X, by, 1)
    >>> list(groups), groups["b"].n_components, groups.means.shape
    (['a', 'b', 'c'], 1, (3, 1, 2))
    """

    keys: tuple[Any, ...]
    covariance_type: str
    feature_names: tuple[str, ...] | None
    n_components: Indices
    weights: Array
    location: Array
    structure: Array
    pivot: Array
    scale: Array
    n_rows: Indices
    weight: Array
    log_likelihood: Array
    n_iter: Indices
    status: Any
    alone: Any
    notes: Mapping[Any, str]

    # ---- groups by key

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __getitem__(self, key: Any) -> Mixture:
        """The mixture of a group.

        Raises
        ------
        KeyError
            A group that there is not.
        InputError
            A group without a fit; says why.
        """
        place = self._places[key]
        k, d = int(self.n_components[place]), self.pivot.shape[1]
        if k == 0:
            raise InputError(f"group {key!r} has no fit: {self.notes.get(key, '')}")
        rule, dense = family(self.covariance_type, d), self.structure[place, :k]
        if rule.moments.shape == FULL:
            numbers = dense[0] if rule.moments.pooled else dense
        else:
            variances = np.einsum("kii->ki", dense)
            numbers = variances if rule.moments.shape == DIAGONAL else variances[:, 0]
        return Mixture.of(
            self.weights[place, :k],
            self.location[place, :k],
            rule.from_array(np.array(numbers), k, d),
            Frame(self.pivot[place], self.scale[place]),
            self.feature_names,
        )

    # ---- the numbers in the units of the data

    @cached_property
    def means(self) -> Array:
        """(G, K, d)"""
        return self.pivot[:, None] + self.location / self.scale[:, None]

    @cached_property
    def covariances(self) -> Array:
        """(G, K, d, d)"""
        unit = 1.0 / self.scale
        return np.asarray(self.structure * unit[:, None, :, None] * unit[:, None, None, :])

    @property
    def converged(self) -> Any:
        """(G,) bool"""
        return self.status == CONVERGED

    @cached_property
    def n_parameters(self) -> Indices:
        """(G,) free parameters."""
        d, rule = self.pivot.shape[1], family(self.covariance_type, self.pivot.shape[1])
        sizes = [0] + [n_parameters(rule, k, d) for k in range(1, self.weights.shape[1] + 1)]
        return np.array(sizes)[self.n_components]

    @property
    def bic(self) -> Array:
        """(G,) ``-2 log L + p log n``, n the total weight of the group; smaller is better."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.n_parameters * np.log(self.weight) - 2.0 * self.log_likelihood)

    def table(self) -> dict[str, list[Any]]:
        """Columns of the groups, in the order of the keys: what each fit came to."""
        names = "n_rows", "weight", "n_components", "log_likelihood", "bic", "n_iter", "status"
        columns = {name: getattr(self, name).tolist() for name in names}
        return {"key": list(self.keys), **columns, "alone": self.alone.tolist()}

    def to_frame(self, backend: str = "pandas") -> Any:
        """`table` as a data frame of "pandas", "polars" or "pyarrow", whichever is installed.

        Keys that are not all whole numbers are told as text.
        """
        table = self.table()
        whole = all(isinstance(key, int) for key in self.keys)
        table["key"] = list(self.keys) if whole else [str(key) for key in self.keys]
        counts = dict.fromkeys(("n_rows", "n_components", "n_iter"), int)
        kinds = {"key": int if whole else str, "status": str, "alone": bool, **counts}
        return data_frame(table, kinds, backend)

    # ---- rows with their groups

    def logpdf(self, X: Any, by: Any) -> Array:
        """Log-density of each row under the mixture of its group, (n,).

        Parameters
        ----------
        X : (n, d) array_like or data frame
            NaN where unobserved.
        by : (n,) array_like, or names of columns of a data frame
            The groups, as in `fit_groups`.

        Returns
        -------
        (n,)
            NaN where the group has no fit.

        Raises
        ------
        InputError
            Other columns, and groups that were not fitted.
        """
        return self._by_rows(X, by, log_sums, ())

    def responsibilities(self, X: Any, by: Any) -> Array:
        """Posterior probability of each component of its group given the row, (n, K); `logpdf`."""
        return self._by_rows(X, by, shares, (self.weights.shape[1],))

    def predict(self, X: Any, by: Any) -> Array:
        """The most probable component of each row in its group, (n,); -1 where there is no fit."""
        k = self.weights.shape[1]
        found = self._by_rows(X, by, lambda joint: labels(joint, k), ())
        return np.nan_to_num(found, nan=-1.0).astype(np.intp)

    def _by_rows(self, X: Any, by: Any, finish: Any, tail: tuple[int, ...]) -> Array:
        rest, keys = split(X, by)
        d = self.pivot.shape[1]
        rows = _checks.rows_like(rest, d, self.feature_names)
        places = looked_up(keys, len(rows), self._places)
        out = np.full((len(rows), *tail), np.nan)
        gaps = np.isnan(rows).any(axis=1)
        fitted = self.n_components[places] > 0
        whole = np.flatnonzero(fitted & ~gaps)
        size = max(_NUMBERS // (self.weights.shape[1] * d * d), 1)
        for first in range(0, len(whole), size):
            some = whole[first : first + size]
            out[some] = finish(self._joint(rows[some], places[some]))
        for place in np.unique(places[fitted & gaps]):
            self._fill(rows, np.flatnonzero(gaps & (places == place)), int(place), finish, out)
        return out

    def _joint(self, rows: Rows, places: Indices) -> Array:
        """Log joint (m, K) of complete rows in the units of the data."""
        z = (rows - self.pivot[places]) * self.scale[places]
        white, constants = self._white
        known = np.nan_to_num(self.location, nan=0.0)
        y = np.einsum("mkij,mkj->mki", white[places], z[:, None] - known[places])
        return np.asarray(constants[places] - 0.5 * (y**2).sum(axis=2))

    def _fill(self, rows: Rows, some: Indices, place: int, finish: Any, out: Array) -> None:
        """Rows of one group with gaps."""
        mixture = self[self.keys[place]]
        joint = np.full((len(some), self.weights.shape[1]), -np.inf)
        own = joint[:, : mixture.n_components]
        own[:] = mixture.component_logpdf(rows[some]) + mixture.log_weights
        out[some] = finish(joint)

    @cached_property
    def _white(self) -> tuple[Array, Array]:
        """Whiteners (G, K, d, d), lower triangular, and the constants (G, K) of the densities."""
        d = self.pivot.shape[1]
        there = np.arange(self.weights.shape[1]) < self.n_components[:, None]
        safe = np.where(there[..., None, None], self.structure, np.eye(d))
        white = np.linalg.inv(np.linalg.cholesky(safe))
        log_det = np.log(np.einsum("gkii->gki", white)).sum(axis=2)
        with np.errstate(divide="ignore"):
            constants = np.log(self.weights) + log_det - 0.5 * d * _LOG_2PI
        return white, constants + np.log(self.scale).sum(axis=1)[:, None]

    @cached_property
    def _places(self) -> dict[Any, int]:
        return {key: place for place, key in enumerate(self.keys)}

    def __repr__(self) -> str:
        kinds, counts = np.unique(self.status, return_counts=True)
        said = ", ".join(f"{count} {kind}" for kind, count in zip(kinds, counts, strict=True))
        k, d = self.weights.shape[1], self.pivot.shape[1]
        return (
            f"GroupedMixtures of {len(self)} groups, up to {k} components in {d} dimensions "
            f"({self.covariance_type}): {said}"
        )
