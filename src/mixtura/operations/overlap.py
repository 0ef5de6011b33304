"""How far the components of a mixture overlap, and how far apart they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from mixtura._types import Array
from mixtura.covariance.full import FullCovariances
from mixtura.fitted import fitted_mixture
from mixtura.integrals.sobol import averaged, scrambled
from mixtura.mixture import Mixture
from mixtura.operations.frames import gaussian_only
from mixtura.operations.pairs import Pairs


@dataclass(frozen=True, eq=False)
class Overlap:
    """Overlap and separation of the components, pair by pair.

    Attributes
    ----------
    misclassified : (k, k)
        ``ω_ab = P(π_b N_b(x) > π_a N_a(x))`` for x drawn from component a: how often a row of a
        would rather be put into b.
    error : float
        The largest standard error of these; 0 in one dimension.
    bhattacharyya : (k, k)
        Distances ``-log ∫ √(N_a N_b)``, whatever the weights.
    mahalanobis : (k, k)
        Distances of the means, by the average of both covariances.
    """

    misclassified: Array
    error: float
    bhattacharyya: Array
    mahalanobis: Array

    @property
    def pairs(self) -> Array:
        """(k, k) ``ω_ab + ω_ba``: 0 for components apart, 1 for two that are the same."""
        both = self.misclassified + self.misclassified.T
        return np.asarray(both)

    @property
    def largest(self) -> float:
        """The overlap of the pair that overlaps most; 0 for one component."""
        return float(self.pairs.max(initial=0.0))

    @property
    def mean(self) -> float:
        """The average overlap of the pairs; 0 for one component."""
        k = len(self.misclassified)
        return float(self.misclassified.sum() / max(k * (k - 1) / 2, 1))

    def __repr__(self) -> str:
        k = len(self.misclassified)
        if k == 1:
            return "1 component: nothing overlaps"
        a, b = divmod(int(np.triu(self.pairs).argmax()), k)
        return (
            f"overlap of {k} components: {self.mean:.4g} on average, {self.largest:.4g} at most "
            f"(components {a} and {b})"
        )


def overlap(mixture: Any, *, points: int = 4096, rng: int = 0) -> Overlap:
    """How far the components overlap: the probabilities to mistake each for each other.

    In the coordinates that whiten component a and make b's covariance diagonal the log-ratio of
    the two is ``Σ_l (½ (1 - λ_l) z_l² + λ_l m_l z_l) + c``. Given all coordinates but one, the
    probability that it is positive is that of an interval or its complement, exactly; the others
    are summed over randomised Sobol' points.

    Parameters
    ----------
    mixture : Mixture or fitted estimator
        Gaussian.
    points : int, default=4096
        For each pair, in more than one dimension.
    rng : int, default=0
        Seed of the points.

    Returns
    -------
    Overlap

    Raises
    ------
    InputError
        Student's t or noise.

    References
    ----------
    Maitra & Melnykov (2010), "Simulating data to study performance of finite mixture modeling and
    clustering algorithms", Journal of Computational and Graphical Statistics 19, 354-376.

    Examples
    --------
    >>> from mixtura import Mixture, overlap
    >>> found = overlap(Mixture([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]]))
    >>> found.misclassified.round(4)  # Φ(-2)
    array([[0.    , 0.0228],
           [0.0228, 0.    ]])
    >>> float(found.mahalanobis[0, 1]), float(found.bhattacharyya[0, 1])
    (4.0, 2.0)
    """
    mixture = fitted_mixture(mixture)
    advice = "draw rows with sample(n, return_labels=True) and compare predict with the labels"
    gaussian_only(mixture, "the overlap of components", advice)
    k, d = mixture.location.shape
    chances, errors = np.zeros((k, k)), np.zeros((k, k))
    normal = ndtri(scrambled(d - 1, points, rng))
    structure = FullCovariances(mixture.structure.dense())
    for a in range(k):
        for b in range(k):
            if a != b:
                chances[a, b], errors[a, b] = _mistaken(mixture, structure, (a, b), normal)
    pairs = Pairs.of(mixture)
    return Overlap(chances, float(errors.max()), pairs.bhattacharyya, pairs.mahalanobis)


def _mistaken(
    mixture: Mixture, structure: FullCovariances, pair: tuple[int, int], normal: Array
) -> tuple[float, float]:
    """P(π_b N_b > π_a N_a) under N_a, and its standard error."""
    a, b = pair
    if not (mixture.weights[a] and mixture.weights[b]):
        return 0.0, 0.0  # no row comes from an empty component, or goes to it
    root = structure.cholesky[a]
    values, turn = np.linalg.eigh(root.T @ structure.precisions[b] @ root)
    off = turn.T @ np.linalg.solve(root, mixture.location[b] - mixture.location[a])
    bend, slope = 1.0 - values, values * off
    rest = mixture.log_weights[b] - mixture.log_weights[a]
    rest += 0.5 * float(np.log(values).sum()) - 0.5 * float((values * off**2).sum())
    one = int(np.argmax(np.abs(slope) + np.abs(bend)))
    others = np.delete(np.arange(len(values)), one)
    summed = (0.5 * bend[others] * normal + slope[others]) * normal
    each = _positive(float(bend[one]), float(slope[one]), rest + summed.sum(axis=2)).mean(axis=1)
    chance, error = averaged(each)
    return float(chance), float(error)


def _positive(bend: float, slope: float, rest: Array) -> Array:
    """P(½ bend z² + slope z + rest > 0) for a standard normal z."""
    if bend == 0.0 and slope == 0.0:
        return np.where(rest == 0.0, 0.5, np.asarray(rest > 0, dtype=float))
    square = slope * slope - 2.0 * bend * rest
    reach = -(slope + np.copysign(np.sqrt(np.maximum(square, 0.0)), slope))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        far = reach / bend if bend else np.full_like(rest, -np.copysign(np.inf, slope))
        near = np.where(reach == 0.0, 0.0, 2.0 * rest / reach)
    if bend == 0.0:
        return np.asarray(ndtr(np.copysign(1.0, slope) * -near))
    low, high = np.minimum(near, far), np.maximum(near, far)
    between = np.where(low > 0, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))
    if bend > 0:
        return np.where(square < 0, 1.0, ndtr(low) + ndtr(-high))
    return np.where(square < 0, 0.0, between)
