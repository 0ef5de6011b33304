"""Two densities against each other: E_m[φ(log p/q)] for their even mixture m = (p + q) / 2.

Kullback-Leibler, Jensen-Shannon, Hellinger and total variation are all of this form (Csiszár 1967),
and under m the ratios p/m and q/m lie within 0..2, so that draws from m have finite variance where
draws from p may not. ``s = (p - q) / (p + q) = tanh(log(p/q) / 2)`` has expectation zero under m:
it is a control variate for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from mixtura._errors import InputError
from mixtura._random import generator
from mixtura._types import Array
from mixtura.fitted import fitted_mixture
from mixtura.mixture import Mixture
from mixtura.operations.estimate import Estimate
from mixtura.operations.line import Line
from mixtura.operations.quadrature import breaks, integral

Phi = Callable[[Array], Array]
Controls = Callable[[Array, Array], Array]
Moments = tuple[Array, Array]

DRAWS = 100_000
_LEAST_DRAWS = 100
_CELLS = 1 << 22


@dataclass(frozen=True, eq=False)
class Side:
    """A distribution that can be drawn from and scored.

    Attributes
    ----------
    sample : (n, Generator) -> (n, d)
    log_density : (n, d) -> (n,)
    moments : (mean (d,), covariance (d, d)), or None where draws of their squares vary too widely
    """

    sample: Callable[[int, np.random.Generator], Array]
    log_density: Callable[[Array], Array]
    moments: Moments | None

    @classmethod
    def of(cls, mixture: Mixture) -> Side:
        """A mixture; its noise is within its region alone."""
        moments = (mixture.mean(), mixture.covariance()) if mixture.plain else None
        return cls(mixture.sample, lambda X: log_density(mixture, X), moments)


def log_density(mixture: Mixture, X: Array) -> Array:
    """The log-density that integrates to one: noise is within its region alone.

    `Mixture.logpdf` gives noise the same density everywhere, as fits do.
    """
    noise = mixture.noise
    if noise is None:
        return mixture.logpdf(X)
    z = mixture.frame.read(X)
    if noise.corner is None or noise.edges is None:
        inside = ((noise.low <= z) & (z <= noise.high)).all(axis=1)
    else:
        t = np.linalg.solve(noise.edges, (z - noise.corner).T)
        inside = ((t >= 0.0) & (t <= 1.0)).all(axis=0)
    whole = np.ones(mixture.n_features, dtype=bool)
    with np.errstate(divide="ignore"):
        even = np.log(noise.share * inside) + noise.log_density(whole) + mixture.frame.log_volume
        beside = np.log1p(-noise.share)
    return np.asarray(np.logaddexp(beside + mixture.changed(noise=None).logpdf(X), even))


def pair(p: Any, q: Any) -> tuple[Mixture, Mixture]:
    """Two mixtures of the same features, in the same order."""
    p, q = fitted_mixture(p), fitted_mixture(q)
    if p.n_features != q.n_features:
        raise InputError(
            f"{p.n_features} and {q.n_features} features: both mixtures must describe the same "
            "columns; take marginal(...) of the wider one"
        )
    if None in (p.feature_names, q.feature_names) or p.feature_names == q.feature_names:
        return p, q
    if set(p.feature_names) != set(q.feature_names):
        raise InputError(
            f"features {list(p.feature_names)} and {list(q.feature_names)}: both mixtures must "
            "describe the same columns"
        )
    return p, q.marginal(list(p.feature_names))


def bounded(p: Any, q: Any, phi: Phi, top: float, *, draws: int, rng: Any) -> Estimate:
    """E_m[φ(log p/q)] for φ within 0..top: by quadrature for one feature, otherwise by draws."""
    p, q = pair(p, q)
    if p.n_features == 1:
        found = integrated(p, q, phi)
    else:
        found = drawn(Side.of(p), Side.of(q), phi, draws=draws, rng=rng)
    return replace(found, value=min(max(found.value, 0.0), top))


def integrated(p: Mixture, q: Mixture, phi: Phi) -> Estimate:
    """The same on the line, in the frame of p."""
    first, second = Line.of(p), _reframed(Line.of(q), p)

    def integrand(z: Array) -> Array:
        logs = first.log_density(z), second.log_density(z)
        return np.asarray(0.5 * np.exp(np.logaddexp(*logs)) * phi(logs[0] - logs[1]))

    return integral(integrand, breaks([first, second]))


def _reframed(line: Line, other: Mixture) -> Line:
    """A line in the frame of another mixture."""
    old, new = line.frame, other.frame
    if old == new:
        return line
    ratio, shift = new.scale[0] / old.scale[0], (old.pivot - new.pivot)[0] * new.scale[0]
    noise = None if line.noise is None else line.noise.reframed(old, new)
    return replace(
        line,
        means=line.means * ratio + shift,
        deviations=line.deviations * ratio,
        frame=new,
        noise=noise,
    )


def drawn(
    p: Side, q: Side, phi: Phi, *, draws: int, rng: Any, controls: Controls | None = None
) -> Estimate:
    """The same by draws from either side, less what control variates explain.

    A tenth of the draws from each side tell how far the values vary there; the rest are shared out
    in proportion (Neyman 1934). `controls` gives columns of expectation zero under m for rows and
    their log-ratios; s is always one.
    """
    if draws < _LEAST_DRAWS:
        raise InputError(f"draws={draws}: at least {_LEAST_DRAWS} are needed")
    source = generator(rng)

    def columns(side: Side, n: int) -> Array:
        parts = []
        for rows in _rows(side, n, source):
            log_ratio = p.log_density(rows) - q.log_density(rows)
            found = [phi(log_ratio), np.tanh(0.5 * log_ratio)]
            if controls is not None:
                found.extend(controls(rows, log_ratio))
            parts.append(np.column_stack(found))
        return np.concatenate(parts)

    pilot = draws // 10
    first = [columns(side, pilot) for side in (p, q)]
    spread = np.array([rest.std() for rest in rests(first)])
    share = spread[0] / spread.sum() if spread.any() else 0.5
    more = int(np.clip(share, 0.1, 0.9) * (draws - 2 * pilot))
    counts = more, draws - 2 * pilot - more
    sides = zip((p, q), first, counts, strict=True)
    return controlled([np.concatenate([held, columns(side, n)]) for side, held, n in sides])


def _rows(side: Side, n: int, rng: np.random.Generator) -> Iterator[Array]:
    """Draws, in blocks."""
    first = side.sample(1, rng)
    size = max(1, _CELLS // first.shape[1])
    yield first
    for start in range(1, n, size):
        yield side.sample(min(size, n - start), rng)


def controlled(strata: list[Array]) -> Estimate:
    """The mean over equally likely strata of a first column, less its regression on the others.

    The others have mean zero over the strata together; each stratum is (n, 1 + c).
    """
    left = rests(strata)
    value = np.mean([rest.mean() for rest in left])
    spread = sum(rest.var(ddof=1) / len(rest) for rest in left)
    return Estimate(float(value), float(np.sqrt(spread) / len(left)), "Monte Carlo")


def rests(strata: list[Array]) -> list[Array]:
    """What the first column of each stratum holds besides its regression on the others."""
    centred = np.concatenate(
        [(stratum - stratum.mean(axis=0)) / len(stratum) for stratum in strata]
    )
    scale = np.sqrt(np.sum(centred**2, axis=0))
    scale[scale == 0.0] = 1.0
    slopes = np.linalg.lstsq(centred[:, 1:] / scale[1:], centred[:, 0], rcond=1e-12)[0] / scale[1:]
    return [stratum[:, 0] - stratum[:, 1:] @ slopes for stratum in strata]


def quadratic_controls(p: Moments, q: Moments) -> Controls:
    """``(p/m)(h - E_p h)`` for the squared distances h from the means of p and of q.

    Their expectation under p is known, ``tr(S⁻¹ Cov_p) + (μ_p - c)ᵀ S⁻¹ (μ_p - c)``; of two
    Gaussians they explain the log-ratio entirely.
    """
    scale = 1.0 / np.sqrt(np.diag(p[1]))
    within = p[1] * scale[:, None] * scale

    def squared(moments: Moments) -> Callable[[Array], Array]:
        factor = np.linalg.cholesky(moments[1] * scale[:, None] * scale)
        offset = (moments[0] - p[0]) * scale
        expected = np.trace(cho_solve((factor, True), within))
        expected += np.sum(solve_triangular(factor, offset, lower=True) ** 2)

        def centred(z: Array) -> Array:
            away = solve_triangular(factor, (z - offset).T, lower=True)
            return np.asarray(np.sum(away**2, axis=0) - expected)

        return centred

    both = [squared(p), squared(q)]

    def columns(rows: Array, log_ratio: Array) -> Array:
        z, share = (rows - p[0]) * scale, 1.0 + np.tanh(0.5 * log_ratio)
        return np.array([share * one(z) for one in both])

    return columns
