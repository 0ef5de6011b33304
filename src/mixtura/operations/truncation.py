"""A mixture truncated to a box."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import ndtri_exp, stdtr, stdtrit

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._random import generator
from mixtura._types import Array, Mask
from mixtura.block import Block
from mixtura.censoring import hidden
from mixtura.conditioning import shares
from mixtura.covariance import Covariances
from mixtura.integrals.box import POINTS, box
from mixtura.integrals.interval import within
from mixtura.integrals.tilting import Tilted
from mixtura.kernels.layout import DIAGONAL, SPHERICAL
from mixtura.law import Gaussian, StudentT
from mixtura.mixture import Mixture
from mixtura.operations.line import Line
from mixtura.operations.moments import moment_order
from mixtura.operations.probability import (
    component_boxes,
    corners,
    log_component_boxes,
    log_totals,
)
from mixtura.operations.univariate import probabilities, solved, values

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)
_PANELS = 8
_DEPTH = 45.0
"""Nats below its peak at which a tail no longer counts in a moment of order zero."""
_RARE = 1e-4


@dataclass(frozen=True, eq=False)
class TruncatedMixture:
    """The density ``f(x) = P(x) / P(box)`` within a box, and zero outside.

    Made by `Mixture.truncate`.

    Attributes
    ----------
    mixture : Mixture
        Without noise.
    lower, upper : (d,)
        The box, infinite where there is no bound.
    """

    mixture: Mixture
    lower: Array
    upper: Array

    @property
    def n_features(self) -> int:
        """d."""
        return self.mixture.n_features

    # ---- how much is kept

    @cached_property
    def log_component_probability(self) -> Array:
        """(k,) log of the probability that each component gives to the box."""
        tight = self._tight
        if not tight.any():
            return np.zeros(self.mixture.n_components)
        inner = self.mixture.marginal(np.flatnonzero(tight))
        ends = (self.lower[None, tight], self.upper[None, tight])
        return np.asarray(log_component_boxes(inner, *ends)[0])

    @cached_property
    def log_probability(self) -> float:
        """log P(box)."""
        logs = self.log_component_probability + self.mixture.log_weights
        return float(log_totals(logs[None])[0]) if self._tight.any() else 0.0

    @property
    def probability(self) -> float:
        """P(box) under the mixture."""
        return float(np.exp(self.log_probability))

    @property
    def probability_error(self) -> float:
        """Standard error of the probability; 0 where it is exact."""
        ends = (self.lower[None], self.upper[None])
        errors = component_boxes(self.mixture, *ends)[1][0]
        return float(np.sqrt(errors**2 @ self.mixture.weights**2))

    @property
    def weights(self) -> Array:
        """(k,) share of each component in what is kept."""
        logs = self.log_component_probability + self.mixture.log_weights
        return np.asarray(np.exp(logs - log_totals(logs[None])[0]))

    @property
    def _tight(self) -> Mask:
        return np.asarray(np.isfinite(self.lower) | np.isfinite(self.upper))

    # ---- densities

    def logpdf(self, X: Any) -> Array:
        """log f(x) of each row, (n,), by the observed coordinates; -inf outside."""
        mixture = self.mixture
        rows = _checks.rows_like(X, mixture.n_features, mixture.feature_names)
        out = np.full(len(rows), -np.inf)
        inside = ~((rows < self.lower) | (rows > self.upper)).any(axis=1)
        if inside.any():
            part = np.asarray(rows[inside], dtype=np.float64)
            out[inside] = mixture.logpdf(part) + self._log_unseen(part) - self.log_probability
        return out

    def pdf(self, X: Any) -> Array:
        """f(x) of each row, (n,)."""
        return np.exp(self.logpdf(X))

    def _log_unseen(self, rows: Array) -> Array:
        """log P(what was not observed is within the box | what was), (n,)."""
        out = np.zeros(len(rows))
        if not (self._tight & np.isnan(rows)).any():
            return out
        if not isinstance(self.mixture.law, Gaussian):
            raise InputError(
                "rows with gaps in a truncated column need Gaussian components: "
                "pass complete rows, or truncate the marginal"
            )
        for pattern in Block(rows).patterns:
            if (self._tight & ~pattern.observed).any():
                out[pattern.rows] = self._log_inside(rows[pattern.rows], pattern.observed)
        return out

    def _log_inside(self, rows: Array, observed: Mask) -> Array:
        mixture, frame = self.mixture, self.mixture.frame
        low, high = (frame.read(end[None])[0] for end in (self.lower, self.upper))
        seen, share = mixture.observed(observed), shares(mixture.joint(rows, observed))
        missing = np.flatnonzero(~observed)
        asked = self._tight[missing]
        held = np.zeros(len(rows))
        for k in range(mixture.n_components):
            off = frame.read(rows)[:, observed] - mixture.location[k, observed]
            centre = (mixture.location[k, missing] + seen.missing(off, k))[:, asked]
            covariance = seen.residual[k][np.ix_(asked, asked)]
            ends = (end[missing][asked] - centre for end in (low, high))
            held += share[:, k] * box(covariance, *ends)[0]
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(held))

    # ---- one feature

    def cdf(self, X: Any) -> Array:
        """P(x' <= x) of each value, (n,); for one feature."""
        return self._kept(X, above=False)

    def sf(self, X: Any) -> Array:
        """P(x' > x) of each value, (n,); for one feature."""
        return self._kept(X, above=True)

    def _kept(self, X: Any, above: bool) -> Array:
        """The share of what is kept on one side of each value; no tail is lost far out."""
        Line.of(self.mixture)  # refuses several features
        x = values(self.mixture, X)
        inside = np.clip(x, self.lower[0], self.upper[0]).reshape(-1, 1)
        low, high = (np.broadcast_to(end, inside.shape) for end in (self.lower, self.upper))
        low, high = (inside, high) if above else (low, inside)
        logs = log_component_boxes(self.mixture, low, high) + self.mixture.log_weights
        return np.exp(np.minimum(log_totals(logs) - self.log_probability, 0.0)).reshape(x.shape)

    def quantile(self, probability: Any) -> Array:
        """Where the cdf reaches each probability, in the same shape; for one feature."""
        line, p = Line.of(self.mixture), probabilities(probability)
        low, high = line.read(self.lower[0]), line.read(self.upper[0])
        with np.errstate(divide="ignore"):
            below = np.logaddexp(line.log_lower(low), np.log(p) + self.log_probability)
            above = np.logaddexp(line.log_upper(high), np.log1p(-p) + self.log_probability)
        lower_half = below < above
        score = np.where(
            lower_half, ndtri_exp(np.minimum(below, 0.0)), -ndtri_exp(np.minimum(above, 0.0))
        )
        found = line.unread(np.clip(solved(line, score), low, high))
        return np.clip(found, self.lower[0], self.upper[0])

    ppf = icdf = quantile

    # ---- moments

    def mean(self) -> Any:
        """E[x]: a number with one feature, else (d,)."""
        return self.moment(1) if self.n_features == 1 else self._centre_and_spread[0]

    def covariance(self) -> Array:
        """Cov[x], (d, d), of Gaussian components.

        Exact where at most two columns that have bounds are correlated, else over fixed points.

        Examples
        --------
        >>> from mixtura import Mixture
        >>> pair = Mixture([1.0], [[0, 0]], [[[1, 0.5], [0.5, 1]]]).truncate(lower=[0.0, -9.0])
        >>> pair.mean().round(3), pair.covariance().round(3).tolist()
        (array([0.798, 0.399]), [[0.363, 0.182], [0.182, 0.841]])
        """
        return self._centre_and_spread[1]

    @cached_property
    def _centre_and_spread(self) -> tuple[Array, Array]:
        if not self._tight.any():
            return self.mixture.mean(), self.mixture.covariance()
        nothing = np.full((1, self.n_features), np.nan)
        block = Block(nothing, limits=(self.lower[None], self.upper[None]))
        parts = hidden(self.mixture, block, block.patterns[0], POINTS)
        centres = self.mixture.location + np.concatenate([part.off for part in parts])
        middle = self.weights @ centres
        scale, spread = self.mixture.frame.scale, np.zeros((self.n_features, self.n_features))
        for share, part, off in zip(self.weights, parts, centres - middle, strict=True):
            spread += share * (part.doubt(np.ones(1)) + np.outer(off, off))
        return self.mixture.frame.unread(middle), spread / scale[:, None] / scale

    # ---- moments of one feature

    def moment(self, order: int, kind: str = "raw") -> float:
        """E[x^r], or with kind="central" E[(x - mean)^r]; for one Gaussian feature.

        By Gauss points over what each component keeps, so that nothing cancels far out.
        """
        order, kind = moment_order(order, kind)
        nodes, mass = self._quadrature(order)
        if kind == "raw":
            return float((mass * nodes**order).sum())
        spread = nodes - float((mass * nodes).sum())
        if kind == "standardized":
            spread = spread / _deviation(spread, mass)
        return float((mass * spread**order).sum())

    def var(self) -> float:
        """Var[x], of one feature."""
        return self.moment(2, "central")

    def std(self) -> float:
        """√Var[x], of one feature."""
        nodes, mass = self._quadrature(2)
        return _deviation(nodes - float((mass * nodes).sum()), mass)

    def _quadrature(self, order: int) -> tuple[Array, Array]:
        """Points in the data's units, and the probability of each."""
        line = Line.of(self.mixture)
        if not line.plain:
            raise InputError(
                "moments of truncated Student's t are not worked out: average functions of "
                "sample(n), or use quantile"
            )
        a, b = (
            (line.read(end)[0] - line.means) / line.deviations for end in (self.lower, self.upper)
        )
        peak = np.clip(0.0, a, b)
        depth = _DEPTH + 5.0 * order
        left = np.maximum(a, peak - (np.sqrt(peak**2 + 2.0 * depth) + np.minimum(peak, 0.0)))
        right = np.minimum(b, peak + np.sqrt(peak**2 + 2.0 * depth) - np.maximum(peak, 0.0))
        step = (right - left) / _PANELS
        shares_ = (np.arange(_PANELS)[:, None] + 0.5 * (1.0 + _NODES)).ravel()
        offsets = (left - peak)[:, None] + step[:, None] * shares_
        mass = np.exp(-offsets * (peak[:, None] + 0.5 * offsets)) * np.tile(_WEIGHTS, _PANELS)
        kept = self.weights[self.mixture.weights > 0]
        mass *= (kept / mass.sum(axis=1))[:, None]
        z = line.means[:, None] + line.deviations[:, None] * (peak[:, None] + offsets)
        return line.unread(z), mass

    # ---- drawing

    def sample(self, n: int = 1, rng: Any = None, *, return_labels: bool = False) -> Any:
        """Draw rows (n, d), and with `return_labels` their components (n,).

        One feature and diagonal covariances by inversion, without rejections; other Gaussians by
        minimax tilting (Botev 2017), which rejects few draws however improbable the box is.

        Raises
        ------
        InputError
            n below one; Student's t in several dimensions that gives the box hardly anything.
        """
        if n < 1:
            raise InputError(f"n={n}: at least one row is needed")
        rng = generator(rng)
        weights = self.weights
        labels = rng.choice(len(weights), size=n, p=weights / weights.sum())
        low, high = (self.mixture.frame.read(end[None])[0] for end in (self.lower, self.upper))
        z = np.empty((n, self.n_features))
        for k in np.unique(labels):
            mine = labels == k
            centre = self.mixture.location[k]
            z[mine] = centre + self._drawn(
                int(k), int(mine.sum()), (low - centre, high - centre), rng
            )
        rows = np.clip(self.mixture.frame.unread(z), self.lower, self.upper)
        return (rows, labels) if return_labels else rows

    def _drawn(self, k: int, n: int, ends: tuple[Array, Array], rng: np.random.Generator) -> Array:
        """(n, d) draws of a component, about its mean, in the frame."""
        low, high = ends
        structure, law = self.mixture.structure.take([k]), self.mixture.law
        deviations = np.sqrt(structure.variances_by_column[0])
        scaled = low / deviations, high / deviations
        if isinstance(law, StudentT):
            if len(low) > 1:
                return self._rejected(k, n, low, high, rng)
            return deviations * _t_within(*scaled, rng.random((n, 1)), law.dof[k])
        if _by_columns(structure):
            return deviations * within(*scaled, rng.random((n, len(low))))
        return Tilted.of(structure.dense()[0], low, high).sample(n, rng)

    def _rejected(self, k: int, n: int, low: Array, high: Array, rng: np.random.Generator) -> Array:
        if self.log_component_probability[k] < np.log(_RARE):
            raise InputError(
                f"component {k} of Student's t gives the box less than {_RARE}: "
                "drawing until rows fall into it takes too long; widen the box, or use Gaussians"
            )
        kept: list[Array] = []
        while (lack := n - sum(map(len, kept))) > 0:
            rows = self.mixture.structure.colorize(rng.standard_normal((2 * lack + 8, len(low))), k)
            rows = rows / self.mixture.law.shrunk(rng, len(rows), k)
            kept.append(rows[((low <= rows) & (rows <= high)).all(axis=1)])
        return np.concatenate(kept)[:n]

    def __repr__(self) -> str:
        return f"{100 * self.probability:.4g} % kept by a box of\n{self.mixture!r}"


def truncate(mixture: Mixture, lower: Any = -np.inf, upper: Any = np.inf) -> TruncatedMixture:
    """The mixture within a box: ``P(x) / P(box)`` there, zero outside.

    Parameters
    ----------
    mixture : Mixture
        Gaussian or of Student's t, without noise.
    lower, upper : number or (d,) array_like
        The box; infinite, or NaN, where there is no bound.

    Returns
    -------
    TruncatedMixture
        With `probability`, `logpdf`, `pdf`, `sample`, `mean` and `covariance`; with one feature
        `cdf`, `sf`, `quantile`, `var` and `moment` as well.

    Raises
    ------
    InputError
        A lower bound that is not below the upper; noise; a box of probability zero.

    Examples
    --------
    >>> from mixtura import Mixture
    >>> mixture = Mixture([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]])
    >>> positive = mixture.truncate(lower=0.0)
    >>> round(positive.probability, 4), positive.pdf([[1.0], [-1.0]]).round(4).tolist()
    (0.75, [0.1643, 0.0])
    >>> far = Mixture([1.0], [[0.0]], [[[1.0]]]).truncate(lower=40.0)
    >>> round(far.log_probability, 3), round(far.mean(), 6), round(far.std(), 6)
    (-804.608, 40.024969, 0.024953)
    """
    if mixture.noise is not None:
        raise InputError(
            "noise has no density that a box could cut: use mixture.changed(noise=None).truncate, "
            "or box_probability, which counts it"
        )
    low, high, single = corners(mixture, lower, upper)
    if not single or not (low < high).all():
        raise InputError("one box is needed, with each lower bound below the upper")
    found = TruncatedMixture(mixture, low[0].copy(), high[0].copy())
    if found.log_probability == -np.inf:
        raise InputError("the box has probability zero under the mixture: widen it")
    return found


def _deviation(spread: Array, mass: Array) -> float:
    """√Σ m x², whatever the units."""
    size = float(np.abs(spread).max())
    return size * float(np.sqrt((mass * (spread / size) ** 2).sum()))


def _by_columns(structure: Covariances) -> bool:
    """Whether a single component's columns are independent by their structure, or alone."""
    return structure.d == 1 or structure.shape in (DIAGONAL, SPHERICAL)


def _t_within(low: Array, high: Array, share: Array, dof: float) -> Array:
    """Quantiles of a standard t variable within an interval, from its thinner tail."""
    turned = bool(low[0] > 0)
    a, b = (-high, -low) if turned else (low, high)
    bottom, top = stdtr(dof, a), stdtr(dof, b)
    found = np.clip(stdtrit(dof, bottom + share * (top - bottom)), a, b)
    return np.asarray(-found if turned else found)
