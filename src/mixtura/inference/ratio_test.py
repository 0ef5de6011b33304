"""How many components: the likelihood-ratio test with its null distribution by simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura import _checks
from mixtura._errors import InputError, InputTypeError
from mixtura._random import generator
from mixtura._types import Array
from mixtura.covariance import Family, family
from mixtura.fit.em import run
from mixtura.fit.fitting import fitted, renamed
from mixtura.fit.problem import Problem, state
from mixtura.fit.select import threads
from mixtura.inference.draws import simulated, whole_weights
from mixtura.inference.refit import Drawn, able, batch, in_chunks, on, prepare
from mixtura.inference.splits import doubled, splits
from mixtura.inference.subject import Subject, refits_stop
from mixtura.inference.tables import aligned
from mixtura.mixture import Mixture
from mixtura.source import MemorySource

SEEDED, SEEDED_NULL = 20, 4
"""Starts from drawn seeds for each replicate, besides those that the null fit gives."""

SHORT = 15
"""Steps that starts climb before the best goes on."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """One test of k₀ against k₁ components.

    Attributes
    ----------
    k0, k1 : int
    statistic : float
        ``2 (log L₁ - log L₀)``.
    p_value : float
        ``(1 + #{replicates >= statistic}) / (B + 1)``.
    replicates : (B,)
        Statistics of rows drawn from the null fit.
    n_left_out : int
        Replicates without a sound fit, as a component collapsed; they are not among the B.
    null, alternative : Mixture
        The fits to the data.
    """

    k0: int
    k1: int
    statistic: float
    p_value: float
    replicates: Array
    n_left_out: int
    null: Mixture
    alternative: Mixture


@dataclass(frozen=True, eq=False)
class RatioTest:
    """Bootstrap likelihood-ratio tests, one after the other.

    Attributes
    ----------
    comparisons : tuple of Comparison
    covariance_type : str
    level : float
        Sequential tests stop at the first p-value above it.
    """

    comparisons: tuple[Comparison, ...]
    covariance_type: str
    level: float

    @property
    def statistic(self) -> float:
        """Of the first comparison."""
        return self.comparisons[0].statistic

    @property
    def p_value(self) -> float:
        """Of the first comparison."""
        return self.comparisons[0].p_value

    @property
    def n_components(self) -> int:
        """The fewest components that the data do not reject."""
        for one in self.comparisons:
            if one.p_value > self.level:
                return one.k0
        return self.comparisons[-1].k1

    def __str__(self) -> str:
        rows = [["components", "2 log ratio", "p-value", "replicates", "left out"]]
        for one in self.comparisons:
            rows.append(
                [
                    f"{one.k0} against {one.k1}",
                    f"{one.statistic:.3f}",
                    f"{one.p_value:.4f}",
                    str(len(one.replicates)),
                    str(one.n_left_out),
                ]
            )
        title = f"Bootstrap likelihood-ratio test, {self.covariance_type} covariance"
        verdict = f"{self.n_components} components are not rejected at level {self.level:g}"
        return "\n".join([title, aligned(rows), verdict])

    __repr__ = __str__


def likelihood_ratio_test(
    X: Any,
    k0: int = 1,
    k1: int | None = None,
    *,
    up_to: int | None = None,
    covariance_type: str = "full",
    n_replicates: int = 999,
    level: float = 0.05,
    sample_weight: Any = None,
    n_jobs: int | None = None,
    random_state: Any = 0,
) -> RatioTest:
    """Test the number of components by the bootstrap likelihood-ratio test (McLachlan 1987).

    The statistic ``2 (log L₁ - log L₀)`` has no chi-squared distribution here, as the null lies on
    the edge of the alternative; so both models are refitted to rows drawn from the null fit.

    Parameters
    ----------
    X : (n, d) array_like or data frame
        NaN where unobserved; replicates have their gaps in the same places.
    k0 : int, default=1
        Components under the null hypothesis.
    k1 : int, optional
        Under the alternative; k0 + 1 by default.
    up_to : int, optional
        Test k0 against k0 + 1, that against one more, and so on while the p-value is at most
        `level` and there are not more components than this.
    covariance_type : str, default="full"
        One covariance family.
    n_replicates : int, default=999
    level : float, default=0.05
    sample_weight : (n,) array_like, optional
        Whole numbers of repetitions.
    n_jobs : int, optional
        Threads; all cores by default. The result does not depend on it.
    random_state : int, numpy.random.Generator or None

    Returns
    -------
    RatioTest

    Raises
    ------
    InputError
        Numbers that make no test, or weights that are not whole.
    InputTypeError
        A fitted model in place of the rows.

    Notes
    -----
    Both models are fitted by maximum likelihood, with Gaussian components: what a prior, Student's
    t, noise or trimming maximise has no such ratio, and `mixtura.select` compares these.

    A replicate's alternative climbs from the null fit with each of its components split along its
    longest axes or given a broad double, and from twenty seeded partitions; the best goes on to
    the end, and never ends below the replicate's null, which it contains. The statistic of the
    data is found in the same way, or by the tournament of an ordinary fit where that is better.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import likelihood_ratio_test
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (40, 1)), rng.normal(6, 1, (40, 1))])
    >>> test = likelihood_ratio_test(X, 1, covariance_type="tied", n_replicates=99)
    >>> test.p_value, test.n_components
    (0.01, 2)
    """
    last = up_to if up_to is not None else (k0 + 1 if k1 is None else k1)
    if k0 < 1 or (k1 is not None and k1 <= k0) or last <= k0:
        raise InputError(f"k0={k0}, k1={k1}, up_to={up_to}: 1 <= k0 < k1 (or up_to) is needed")
    if k1 is not None and up_to is not None:
        raise InputError("give k1 for one test, or up_to for a sequence of tests, not both")
    if n_replicates < 1:
        raise InputError(f"n_replicates={n_replicates} must be at least 1")
    if isinstance(X, Mixture) or hasattr(X, "mixture_"):
        raise InputTypeError(
            "the test takes the rows, not a fitted model, and makes its own fits by maximum "
            "likelihood: with a prior, Student's t, noise or trimming, choose the number of "
            'components by mixtura.select, criterion="bic" or "cv"'
        )
    read = _checks.table(X)
    source = MemorySource(*_checks.weighted(read.rows, _checks.weights_beside(X, sample_weight)))
    rule = family(covariance_type)
    search = _Search(state(source, rule, names=read.names), rule, n_replicates, threads(n_jobs))
    rng = generator(random_state, "random_state")
    found, k = [], k0
    while k < last:
        after = k + 1 if up_to is not None or k1 is None else k1
        found.append(search.compare(k, after, rng))
        k = after
        if found[-1].p_value > level:
            break
    return RatioTest(tuple(found), rule.name, level)


@dataclass(frozen=True, eq=False)
class _Search:
    """What all tests share."""

    problem: Problem
    rule: Family
    count: int
    jobs: int

    def compare(self, k0: int, k1: int, rng: np.random.Generator) -> Comparison:
        """One test."""
        problem = self.problem
        null, alternative = (fitted(problem, k, rng).fit for k in (k0, k1))
        about = Subject(null.mixture, problem, refits_stop(problem))
        whole_weights(about, "the bootstrap likelihood-ratio test")
        here = Drawn(problem.source.take(slice(None)).rows[None], _weights(problem))
        batches = prepare(problem, k1, 10 * self.count)
        again = _statistics(about, k1, here, rng, batches)[0]
        weight = problem.summary.weight
        statistic = 2.0 * weight * (alternative.value - null.value)
        statistic = float(np.fmax(statistic, again))

        def chunk(own: np.random.Generator, first: int, size: int) -> Array:
            return _statistics(about, k1, simulated(about, own, size), own, batches)

        numbers = problem.source.n * problem.source.d
        replicates = np.concatenate(in_chunks(chunk, self.count, numbers, rng, self.jobs))
        kept = replicates[~np.isnan(replicates)]
        p_value = (1.0 + float((kept >= statistic).sum())) / (len(kept) + 1.0)
        names = problem.names
        return Comparison(
            k0,
            k1,
            statistic,
            p_value,
            kept,
            int(np.isnan(replicates).sum()),
            renamed(null, names).mixture,
            renamed(alternative, names).mixture,
        )


def _weights(problem: Problem) -> Array:
    weights = problem.source.take(slice(None)).weights
    return np.empty((0, problem.source.n)) if weights is None else weights[None]


def _statistics(
    about: Subject, k1: int, drawn: Drawn, rng: np.random.Generator, batches: bool
) -> Array:
    """``2 (log L₁ - log L₀)`` of each replicate; NaN where a component collapsed."""
    if batches and able(about, drawn):
        return _batched(about, k1, drawn, rng)
    return np.array([_single(about, k1, drawn.source(i), rng) for i in range(len(drawn))])


def _batched(about: Subject, k1: int, drawn: Drawn, rng: np.random.Generator) -> Array:
    problem, null = about.problem, about.mixture
    k0, count = null.n_components, len(drawn)
    whitener = _whitener(null)
    seeds = rng.random((count, SEEDED_NULL if k0 > 1 else 0, k0))
    low = batch(problem, drawn, [null], about.stop, short=SHORT, draws=seeds, whitener=whitener)
    starts = splits(problem, null)
    for _ in range(k1 - k0 - 1):
        starts = [end for start in starts[:3] for end in splits(problem, start)]
    high = batch(
        problem,
        drawn,
        starts,
        about.stop,
        short=SHORT,
        draws=rng.random((count, SEEDED, k1)),
        whitener=whitener,
    )
    n = drawn.rows.shape[1] if not len(drawn.weights) else drawn.weights.sum(axis=1)
    found = 2.0 * n * (high.values - low.values)
    found[(high.status == 2) | (low.status == 2)] = np.nan
    return np.maximum(found, 0.0)


def _single(about: Subject, k1: int, source: MemorySource, rng: np.random.Generator) -> float:
    """The statistic of one replicate by ordinary fits."""
    problem = on(about.problem, source)
    low = run(problem, about.mixture, about.stop)
    outcome = fitted(problem, k1, rng, stop=about.stop)
    high = outcome.fit
    if outcome.degenerate:
        return float("nan")
    if high.value < low.value and k1 == about.mixture.n_components + 1:
        high = run(problem, doubled(problem, low.mixture), about.stop)
    weight = problem.summary.weight
    return max(2.0 * weight * (high.value - low.value), 0.0)


def _whitener(mixture: Mixture) -> Array:
    """Lower triangular W with W C Wᵀ = 1 for the covariance C of the whole mixture."""
    scale = mixture.frame.scale
    covariance = scale[:, None] * mixture.covariance() * scale
    return np.linalg.inv(np.linalg.cholesky(covariance))
