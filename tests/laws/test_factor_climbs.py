"""Steps and climbs of low-rank covariances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from factor_cases import KINDS, MODES, ROUNDING, draw, problem_of, rows
from mixtura.covariance import Factor, family
from mixtura.fit.em import Stop, run
from mixtura.fit.priors import with_prior
from mixtura.fit.problem import state
from mixtura.source import MemorySource
from oracle import expectation as oracle_expectation
from strategies import seeds


def expected(covariance, scatter, dof):
    """What an M-step raises: -½ Σ dof (log |Σ| + tr Σ⁻¹ S/dof)."""
    values = [
        -0.5 * (n * np.linalg.slogdet(c)[1] + np.trace(np.linalg.solve(c, s)))
        for c, s, n in zip(covariance, scatter, dof, strict=True)
    ]
    return sum(values)


@given(seed=seeds(), kind=st.sampled_from(KINDS), mode=st.sampled_from(MODES))
def test_a_step_raises_what_it_should(seed, kind, mode):
    """On the dense scatter about the new means, whatever the step did with its projections."""
    mixture = draw(kind, seed)
    X, w, told = rows(mixture, mode, seed)
    X[1:] += np.random.default_rng(seed).normal(size=X[1:].shape)
    problem = problem_of(kind, X, w, told)
    here = problem.adopted(mixture)
    after = problem.maximized(problem.at(here).data, here)
    sums = oracle_expectation(
        X, mixture.weights, mixture.means, mixture.covariances, after.means, w, told
    )
    before = expected(mixture.covariances, sums.second, sums.mass)
    now = expected(after.covariances, sums.second, sums.mass)
    assert now >= before - 1e-9 * abs(before)


@pytest.mark.parametrize("mode", [*MODES, "prior"])
@pytest.mark.parametrize("kind", KINDS)
def test_plain_steps_never_fall(kind, mode):
    mixture = draw(kind, 4)
    X, w, told = rows(mixture, mode, 4)
    problem = problem_of(kind, X, w, told)
    if mode == "prior":
        problem = with_prior(problem, "fraley-raftery", 3)
    start = problem.adopted(draw(kind, 5))
    fit = run(problem, start, Stop(0.0, 40, accelerate=False))
    assert len(fit.trace) == 41
    assert np.diff(fit.trace).min() >= ROUNDING
    assert fit.value > fit.trace[0]


@pytest.mark.parametrize("kind", KINDS)
def test_accelerated_steps_climb_higher_than_as_many_plain_ones(kind):
    mixture = draw(kind, 21)
    X, _, _ = rows(mixture, "complete", 21, n=300)
    problem = problem_of(kind, X)
    start = problem.adopted(draw(kind, 22))
    fast = run(problem, start, Stop(1e-8, 800))
    slow = run(problem, start, Stop(0.0, min(fast.n_iter, 200), accelerate=False))
    assert fast.converged
    assert np.diff(fast.trace).min() >= ROUNDING
    assert fast.value >= slow.value - 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_a_climb_is_stationary(kind):
    """No small change of any loading or noise raises the likelihood: against dense densities."""
    mixture = draw(kind, 31, k=2, d=4, rank=1)
    X, _, _ = rows(mixture, "complete", 31, n=200)
    problem = problem_of(kind, X, rank=1)
    end = run(problem, problem.adopted(mixture), Stop(1e-11, 1000)).mixture
    array, rule, rng = end.unframed().array(), family(f"{kind}:1"), np.random.default_rng(0)

    def value(numbers):
        dense = rule.from_array(numbers, 2, 4).dense()
        parts = [
            np.log(w) + multivariate_normal.logpdf(X, m, c)
            for w, m, c in zip(end.weights, end.means, dense, strict=True)
        ]
        return np.logaddexp.reduce(parts, axis=0).sum()

    best = value(array)
    for _ in range(10):
        step = rng.normal(size=array.shape)
        if rule.common:
            step[:, :, 1:] = step[0, :, 1:]
        if rule.noise_common:
            step[:, :, 0] = step[0, :, 0]
        if rule.one_scale:
            step[:, :, 0] = step[:, :1, 0]
        slope = (value(array * (1 + 1e-5 * step)) - value(array * (1 - 1e-5 * step))) / 2e-5
        assert abs(slope) < 1e-3 * len(X)
    assert np.isfinite(best)


def test_the_prior_is_pseudo_rows_on_the_covariance():
    """Without factors to speak of, the MAP step is that of diagonal covariances."""
    X = np.random.default_rng(0).normal(size=(40, 3)) * [1.0, 2.0, 3.0]
    low = with_prior(state(MemorySource(X), Factor(1)), "fraley-raftery", 1)
    diagonal = with_prior(state(MemorySource(X), family("diag")), "fraley-raftery", 1)
    steps = []
    for problem in (low, diagonal):
        flat = problem.isotropic(np.zeros((1, 3)))
        point = problem.at(flat)
        steps.append((point.value, problem.maximized(point.data, flat)))
    assert steps[0][0] == pytest.approx(steps[1][0], rel=1e-13)
    np.testing.assert_allclose(steps[0][1].means, steps[1][1].means, rtol=1e-12)
    ours = steps[0][1].structure.variances_by_column
    np.testing.assert_allclose(ours, steps[1][1].structure.variances_by_column, rtol=1e-12)
