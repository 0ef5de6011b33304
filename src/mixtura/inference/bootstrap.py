"""The sampling distribution of a fit, by refitting it to replicates of the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixtura._errors import InputError
from mixtura._random import generator
from mixtura._types import Array
from mixtura.fit.select import threads
from mixtura.inference.draws import METHODS, draw, jackknife_counts
from mixtura.inference.intervals import Deviations, Intervals, of_parameters, quantile
from mixtura.inference.refit import Refits, in_chunks, prepare, refitted
from mixtura.inference.subject import Subject, refits_stop, subject
from mixtura.inference.tables import parameter_table
from mixtura.mixture import Mixture

MOST = 4.0
"""GB that the covariances of all replicates may take."""


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Refits to replicates of the data, components matched to those of the fit.

    Attributes
    ----------
    weights : (B, k)
    means : (B, k, d)
    covariances : (B, k, d, d)
    method : {"nonparametric", "parametric", "weighted", "jackknife"}
    mixture : Mixture
        The fit.
    counts : (B,)
        How many rows a replicate stands for; ones but for the jackknife of weighted rows.
    n_left_out : int
        Replicates in which a component emptied or collapsed onto few rows, where the likelihood
        has no maximum; they are not among the B.
    """

    weights: Array
    means: Array
    covariances: Array
    method: str
    mixture: Mixture
    counts: Array
    n_left_out: int
    _refits: Refits

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, index: int) -> Mixture:
        """The mixture of one replicate."""
        return self._refits.mixture(range(len(self))[index], self.mixture)

    @property
    def estimator(self) -> str:
        """The estimator in words."""
        return METHODS[self.method]

    @property
    def standard_errors(self) -> Deviations:
        """Standard errors of weights, means and covariances."""
        return Deviations(
            self._deviation(self.weights),
            self._deviation(self.means),
            self._deviation(self.covariances),
            self.estimator,
            self.mixture,
        )

    def of(self, f: Callable[[Mixture], Any]) -> Array:
        """``f(mixture)`` of every replicate, (B, ...)."""
        return np.stack([np.asarray(f(self[index]), np.float64) for index in range(len(self))])

    def standard_error(self, f: Callable[[Mixture], Any]) -> Any:
        """Standard error of any function of the mixture."""
        found = self._deviation(self.of(f))
        return found if np.ndim(found) else float(found)

    def interval(
        self, f: Callable[[Mixture], Any], level: float = 0.95, kind: str | None = None
    ) -> tuple[Any, Any]:
        """Interval of any function of the mixture.

        Parameters
        ----------
        f : callable
            ``f(mixture)`` gives a number or an array.
        level : float
        kind : {"percentile", "normal"}, optional
            Percentiles of the replicates, the default, or ``f ± z`` standard errors, the default
            (and the only choice) for the jackknife.
        """
        values = self.of(f)
        if self._kind(kind) == "normal":
            half = quantile(level) * self._deviation(values)
            centre = np.asarray(f(self.mixture), np.float64)
            low, high = centre - half, centre + half
        else:
            low, high = _percentiles(values, level)
        return (low, high) if np.ndim(low) else (float(low), float(high))

    def confidence_intervals(self, level: float = 0.95, kind: str | None = None) -> Intervals:
        """Intervals of all parameters: percentiles, or normal on the scales of `Intervals`."""
        if self._kind(kind) == "normal":
            return of_parameters(self.standard_errors, level)
        weights, means, covariances = (
            np.moveaxis(_percentiles(values, level), 0, -1)
            for values in (self.weights, self.means, self.covariances)
        )
        estimator = f"{self.estimator}, percentiles"
        return Intervals(weights, means, covariances, level, estimator, self.mixture)

    def _kind(self, kind: str | None) -> str:
        chosen = kind or ("normal" if self.method == "jackknife" else "percentile")
        allowed = ("normal",) if self.method == "jackknife" else ("percentile", "normal")
        if chosen not in allowed:
            raise InputError(f"kind={kind!r}: the {self.method} offers {allowed}")
        return chosen

    def _deviation(self, values: Array) -> Array:
        """Over the replicates; for the jackknife ``√((n - 1)/n Σ (θ_i - θ̄)²)``."""
        if self.method != "jackknife":
            return np.asarray(values.std(axis=0, ddof=1))
        n = self.counts.sum()
        off = values - np.tensordot(self.counts, values, 1) / n
        return np.asarray(np.sqrt((n - 1.0) / n * np.tensordot(self.counts, off**2, 1)))

    def __str__(self) -> str:
        title = f"Standard errors by {self.estimator}, {len(self)} replicates"
        if self.n_left_out:
            title += (
                f"; {self.n_left_out} more are left out, as a component emptied or collapsed "
                "(a prior prevents that, and the weighted bootstrap mostly)"
            )
        return title + "\n" + parameter_table(self.mixture, self.standard_errors)

    __repr__ = __str__


def bootstrap(
    model: Any,
    X: Any,
    n_replicates: int = 999,
    *,
    method: str = "nonparametric",
    sample_weight: Any = None,
    labels: Any = None,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> Bootstrap:
    """Refit a mixture to replicates of its data.

    Parameters
    ----------
    model : Mixture or fitted estimator
        Refits are in its family, with its prior and bounds, and start from it.
    X : (n, d) array_like or data frame
        What it was fitted to; NaN where unobserved.
    n_replicates : int, default=999
        The jackknife has as many as there are rows.
    method : {"nonparametric", "parametric", "weighted", "jackknife"}
        "nonparametric" draws rows with replacement; "parametric" draws rows from the fit, with
        gaps where X has them; "weighted" gives the rows Dirichlet weights, so that none is lost
        (weighted-likelihood bootstrap, Newton & Raftery 1994; for mixtures O'Hagan et al. 2019);
        "jackknife" leaves out one row at a time.
    sample_weight : (n,) array_like, optional
        Repetitions of the rows.
    labels : (n,) or (n, k) array_like, optional
        As in the fit.
    n_jobs : int, optional
        Threads; all cores by default. The result does not depend on it.
    random_state : int, numpy.random.Generator or None

    Returns
    -------
    Bootstrap

    Raises
    ------
    InputError
        An unknown method, weights that a method cannot use, or no replicate with a sound refit.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import GaussianMixture, bootstrap
    >>> X = np.random.default_rng(0).normal(size=(400, 1))
    >>> found = bootstrap(GaussianMixture(1).fit(X), X, 200, random_state=0)
    >>> found.standard_errors.means.round(2)  # 1 / √400
    array([[0.05]])
    >>> low, high = found.interval(lambda mixture: mixture.means[0, 0])
    >>> low < 0.0 < high
    True
    """
    if method not in METHODS:
        raise InputError(f"method={method!r} is unknown: use one of {tuple(METHODS)}")
    about = subject(model, X, sample_weight, labels)
    counts = None
    if method == "jackknife":  # a row's pull is a 1/n of a standard error: climb to the very end
        counts = jackknife_counts(about)
        about = replace(about, stop=refits_stop(about.problem, 1e-6 / counts.sum()))
    count = n_replicates if counts is None else len(counts)
    if count < 2:
        raise InputError(f"{count} replicates tell nothing of a spread: ask for at least 2")
    _check_size(about.mixture, count)
    batches = prepare(about.problem, about.mixture.n_components, count)

    def chunk(rng: np.random.Generator, first: int, size: int) -> Refits:
        return refitted(about, draw(about, method, rng, first, size), batches)

    rng = generator(random_state, "random_state")
    parts = in_chunks(chunk, count, about.source.n * about.source.d, rng, threads(n_jobs))
    ones = np.ones(count)
    return _kept(about, Refits.joined(parts), method, ones if counts is None else counts)


def _check_size(mixture: Mixture, count: int) -> None:
    k, d = mixture.location.shape
    size = 8e-9 * count * k * d * d
    if size > MOST:
        raise InputError(
            f"{count} replicates of {k} covariances of {d} columns would take {size:.0f} GB: "
            f"ask for at most {int(MOST / size * count)}"
        )


def _percentiles(values: Array, level: float) -> Array:
    """Low and high (2, ...) of the middle share of the replicates."""
    quantile(level)
    tail = 0.5 - level / 2.0
    return np.quantile(values, [tail, 1.0 - tail], axis=0)


def _kept(about: Subject, found: Refits, method: str, counts: Array) -> Bootstrap:
    sound = found.sound
    if sound.sum() < 2:
        raise InputError(
            f"a component emptied or collapsed in {int((~sound).sum())} of {len(sound)} "
            "replicates: use fewer components, a simpler covariance family or a prior"
        )
    kept = Refits(*(getattr(found, name)[sound] for name in Refits.__dataclass_fields__))
    frame = about.mixture.frame
    return Bootstrap(
        kept.weights,
        frame.unread(kept.location),
        kept.covariances / frame.scale[:, None] / frame.scale,
        method,
        about.mixture,
        counts[sound],
        int((~sound).sum()),
        kept,
    )
