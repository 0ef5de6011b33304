"""Facts about a fit, checked numerically, each with its figure and what it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mixtura._types import Array
from mixtura.conditioning import shares
from mixtura.covariance import FactorCovariances
from mixtura.fit.problem import Problem
from mixtura.mixture import Mixture
from mixtura.source.views import weighing_twice
from mixtura.statistics import Statistics


@dataclass(frozen=True)
class Fact:
    """One check.

    Attributes
    ----------
    name : str
    figure : float
    bound : str
        What the figure is held against, in words.
    holds : bool
    meaning : str
    """

    name: str
    figure: float
    bound: str
    holds: bool
    meaning: str


@dataclass(frozen=True)
class Validation:
    """The facts of a fit; true where all hold."""

    facts: tuple[Fact, ...]

    @property
    def holds(self) -> bool:
        """Whether every fact holds."""
        return all(fact.holds for fact in self.facts)

    def __bool__(self) -> bool:
        return self.holds

    def __getitem__(self, name: str) -> Fact:
        """The fact of a name."""
        for fact in self.facts:
            if fact.name == name:
                return fact
        raise KeyError(f"{name!r}; facts: {[fact.name for fact in self.facts]}")

    def __str__(self) -> str:
        lines = []
        for fact in self.facts:
            mark = "ok  " if fact.holds else "LOOK"
            lines.append(f"{mark} {fact.name}: {fact.figure:.3g} ({fact.bound})")
            lines.append(f"     {fact.meaning}")
        return "\n".join(lines)

    __repr__ = __str__


def validation(problem: Problem, mixture: Mixture, trace: Sequence[float]) -> Validation:
    """Check a fitted mixture against the data of its problem."""
    here = problem.at(mixture)
    facts = [
        _weights(mixture),
        _inverse(mixture),
        _conditioning(mixture),
        *_trace(trace, problem, mixture),
        _gradient(problem, mixture, here.data),
        _responsibilities(problem, mixture),
        *_sizes(problem, mixture, _rows_each(problem, mixture, here.data.counts)),
    ]
    return Validation(tuple(facts))


def _weights(mixture: Mixture) -> Fact:
    off = abs(float(mixture.weights.sum()) - 1.0)
    return Fact(
        "weights sum to one", off, "off by at most 1e-12", off <= 1e-12,
        "the mixture is a probability density",
    )  # fmt: skip


def _inverse(mixture: Mixture) -> Fact:
    structure = mixture.structure
    if isinstance(structure, FactorCovariances):
        return _inverse_by_factors(structure)
    if structure.shape == 0:
        product = structure.dense() @ structure.precisions
    else:
        product = structure.dense() * np.atleast_2d(structure.precisions.T).T[:, :, None]
    off = float(np.abs(product - np.eye(structure.d)).max())
    values = structure.eigenvalues()
    low, high = values[:, 0], values[:, -1]
    bound = 1e-14 * structure.d * float((high / low).max())
    return Fact(
        "covariance times precision is the identity", off, f"off by at most {bound:.2g}",
        off <= max(bound, 1e-12),
        "densities and distances use the inverse of the covariances reported",
    )  # fmt: skip


def _inverse_by_factors(structure: FactorCovariances) -> Fact:
    """``Σ (Σ⁻¹ Λ) = Λ``, without a dense matrix."""
    solved, loadings = structure.regressions, structure.loadings
    back = loadings @ (loadings.swapaxes(1, 2) @ solved) + structure.noise[:, :, None] * solved
    off = float(np.abs(back - loadings).max() / max(float(np.abs(loadings).max()), 1e-300))
    spread = float((structure.variances_by_column / structure.noise).max())
    bound = 1e-14 * structure.d * spread
    return Fact(
        "covariance times precision is the identity", off, f"off by at most {bound:.2g}",
        off <= max(bound, 1e-12),
        "on the loadings: densities and distances use the inverse of the covariances reported",
    )  # fmt: skip


def _conditioning(mixture: Mixture) -> Fact:
    values = mixture.structure.eigenvalues()
    low, high = values[:, 0], values[:, -1]
    ratio = float((high / low).max())
    which = int((high / low).argmax())
    sound = bool((low > 0).all()) and ratio < 1e10
    return Fact(
        "covariances are positive definite", ratio, "largest condition number below 1e10", sound,
        f"component {which} is the most elongated: its longest axis is {np.sqrt(ratio):.3g} times "
        "its shortest, in units of the columns' deviations"
        + ("" if sound else "; it has collapsed, or columns are collinear"),
    )  # fmt: skip


def _trace(trace: Sequence[float], problem: Problem, mixture: Mixture) -> list[Fact]:
    if len(trace) < 2:
        return []
    fall = float(max(0.0, -np.diff(np.asarray(trace)).min()))
    noise = max(1e-10 * max(1.0, abs(trace[-1])), problem.noise(mixture))
    if problem.guard.ridge.any():
        noise = max(noise, 1e-4)  # a ridge bends the M-step off the maximum
    return [
        Fact(
            "the objective never falls", fall, f"largest fall at most {noise:.2g} nats a row",
            fall <= noise,
            "every step explained the data better, as expectation-maximization must"
            if fall <= noise
            else "a step lost likelihood: nearly singular covariances lose digits; drop columns",
        )
    ]  # fmt: skip


def _gradient(problem: Problem, mixture: Mixture, data: Statistics) -> Fact:
    """What one more M-step would move, in deviations: the gradient in its natural metric."""
    after = problem.maximized(data, mixture)
    deviations = np.sqrt(mixture.structure.variances_by_column)
    move = np.abs(after.location - mixture.location) / deviations
    spread = after.structure.variances_by_column / mixture.structure.variances_by_column
    moves = [
        float(np.abs(after.weights - mixture.weights).max()),
        float((move * (mixture.weights[:, None] > 1e-8)).max()),
        float(np.abs(np.log(spread) * (mixture.weights[:, None] > 1e-8)).max()),
    ]
    figure = max(moves)
    return Fact(
        "the gradient vanishes", figure, "a further step moves less than 0.01", figure < 0.01,
        "in weights, in means by deviations, and in log-variances: "
        + ("the climb is at a stationary point" if figure < 0.01 else "lower tol to climb on"),
    )  # fmt: skip


def _responsibilities(problem: Problem, mixture: Mixture) -> Fact:
    def worst(block: object) -> float:
        return max(
            float(np.abs(shares(joint).sum(axis=1) - 1.0).max(initial=0.0))
            for _, joint in mixture.log_joint(block)  # type: ignore[arg-type]
        )

    off = max(problem.source.map(worst))
    return Fact(
        "responsibilities sum to one", off, "off by at most 1e-12", off <= 1e-12,
        "every row is shared out whole among the components",
    )  # fmt: skip


def _rows_each(problem: Problem, mixture: Mixture, counts: Array) -> Array:
    """(k,) how many rows each component rests on: ``max(Σ w_i r_ik, (Σ w_i r_ik)² / Σ w_i² r_ik)``.

    A weight counts as so many repetitions of its row, and the first term is what the repeated rows
    would give. Weights that are shares of a whole add up to little, whatever the number of rows:
    the second, the effective number of Kish (1965, Survey Sampling, section 11.7), does not depend
    on their scale, and is ``Σ r_ik`` again where they are equal.
    """
    mean = problem.summary.weight / problem.source.n
    twice = problem.on(problem.source.viewed(partial(weighing_twice, scale=1.0 / mean)))
    squares = mean * twice.at(mixture).data.counts
    effective = counts * np.divide(counts, squares, out=np.zeros_like(counts), where=squares > 0)
    return np.maximum(counts, effective)


def _sizes(problem: Problem, mixture: Mixture, counts: Array) -> list[Fact]:
    counts = np.where(problem.estimated(len(counts)), counts, np.inf)
    if not np.isfinite(counts).any():
        return []
    structure = mixture.structure
    d = structure.rank if isinstance(structure, FactorCovariances) else mixture.n_features
    what = "rank" if isinstance(structure, FactorCovariances) else "d"
    smallest, which = float(counts.min()), int(counts.argmin())
    fact = Fact(
        "components are large enough", smallest, f"at least {what} + 1 = {d + 1} rows each",
        smallest >= d + 1,
        f"component {which} is the smallest; with fewer rows than {what} + 1 its own covariance "
        "could not be estimated",
    )  # fmt: skip
    return [fact]
