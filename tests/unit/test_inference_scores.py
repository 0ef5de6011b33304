"""Scores and Hessians against differences of a slow log-likelihood, for every family and mode."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import special_ortho_group

import oracle
from mixtura import InputError, Mixture, standard_errors
from mixtura.block import Block
from mixtura.covariance import family
from mixtura.fit.priors import with_prior
from mixtura.fit.problem import state
from mixtura.inference.chart import chart
from mixtura.inference.score import derivatives, of_prior, row_scores
from mixtura.maximization import log_prior
from mixtura.source import MemorySource
from strategies import conjugate, make, spread

LETTERS = ("EEI", "VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV")
NAMES = ("full", "tied", "diag", "spherical", "equal-spherical", *LETTERS)
SHORT = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII", "equal-spherical": "EII"}
MODES = ("complete", "gaps", "weights", "labels", "all")
K, D, N = 2, 3, 8


def parsimonious(letters, rng):
    """Covariances (K, D, D) with the volume, shape and orientation that the letters share."""
    volume, shape, orientation = letters

    def vary(letter, draw):
        return np.repeat(draw()[None], K, 0) if letter == "E" else np.stack([draw(), draw()])

    sizes = vary(volume, lambda: rng.uniform(0.5, 2.0, 1))
    shapes = vary(shape, lambda: np.sort(rng.uniform(0.3, 3.0, D)))
    shapes = np.ones((K, D)) if shape == "I" else shapes
    shapes = shapes / np.exp(np.log(shapes).mean(axis=1, keepdims=True))
    axes = vary(orientation, lambda: special_ortho_group.rvs(D, random_state=rng))
    axes = np.tile(np.eye(D), (K, 1, 1)) if orientation == "I" else axes
    return np.einsum("kij,kj,klj->kil", axes, sizes * shapes, axes)


def case(name, mode, seed=0):
    rng = np.random.default_rng(seed)
    covariances = parsimonious(SHORT.get(name, name), rng)
    mixture = Mixture(rng.dirichlet([5.0] * K), rng.normal(size=(K, D)), covariances)
    X = mixture.sample(N, rng) + rng.normal(size=(N, D))
    w = told = None
    if mode in ("gaps", "all"):
        X[rng.random(X.shape) < 0.3] = np.nan
        X[0] = np.nan
    if mode in ("weights", "all"):
        w = rng.uniform(0.0, 3.0, N)
    if mode in ("labels", "all"):
        told = np.log(rng.uniform(0.1, 1.0, (N, K)))
    return mixture, X, w, told


def log_densities(mixture, X, told):
    joint = oracle.log_joint(X, mixture.weights, mixture.means, mixture.covariances)
    return logsumexp(joint if told is None else joint + told, axis=1)


def slope(f, step=1e-3):
    """f'(0) by differences of sixth order."""
    ends = [f(i * step) - f(-i * step) for i in (1, 2, 3)]
    return (45.0 * ends[0] - 9.0 * ends[1] + ends[2]) / (60.0 * step)


def bend(f, step=2e-2):
    """f''(0) by differences of eighth order."""
    sums = [f(i * step) + f(-i * step) for i in (1, 2, 3, 4)]
    factors = (8 / 5, -1 / 5, 8 / 315, -1 / 560)
    return (sum(c * s for c, s in zip(factors, sums, strict=True)) - 205 / 72 * f(0.0)) / step**2


@pytest.mark.parametrize(("name", "mode"), spread(NAMES[::-1], MODES, every=2))
def test_row_scores_are_the_gradients_of_each_log_density(name, mode):
    mixture, X, w, told = case(name, mode)
    local = chart(mixture, name)
    found = row_scores(mixture, Block(X, w, told), local.moves.entries)
    scores = np.einsum("nka,kap->np", found, local.jacobian())
    for u in np.random.default_rng(1).normal(size=(3, scores.shape[1])):
        wanted = slope(lambda t, u=u: log_densities(local.at(t * u), X, told))
        np.testing.assert_allclose(scores @ u, wanted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("name", "mode"), spread(NAMES, MODES, every=2))
def test_hessians_bend_as_the_log_likelihood_does(name, mode):
    mixture, X, w, told = case(name, mode, seed=1)
    local = chart(mixture, name)
    found = derivatives(mixture, Block(X, w, told), local.moves.entries)
    hessian, outer = local.hessian(found), local.outer(found)
    weights = np.ones(N) if w is None else w
    rng = np.random.default_rng(2)
    for _ in range(2):
        u = rng.normal(size=len(hessian)) / 4.0
        rows = slope(lambda t, u=u: log_densities(local.at(t * u), X, told))
        np.testing.assert_allclose(u @ outer @ u, weights @ rows**2, rtol=1e-8)
        np.testing.assert_allclose(u @ local.gradient(found), weights @ rows, atol=1e-8)
        wanted = bend(lambda t, u=u: weights @ log_densities(local.at(t * u), X, told))
        size = np.abs(u) @ np.abs(hessian) @ np.abs(u)
        # differences: about eps / step² of the likelihood, and the tenth derivative's share
        np.testing.assert_allclose(u @ hessian @ u, wanted, atol=1e-8 * size)


@pytest.mark.parametrize("name", NAMES)
def test_charts_have_as_many_parameters_as_their_family(name):
    mixture, _, _, _ = case(name, "complete")
    a, b, q = chart(mixture, name).sizes
    volume, shape, orientation = SHORT.get(name, name)
    turns = {"I": 0, "E": 3, "V": 3 * K}[orientation]
    shapes = {"I": 0, "E": D - 1, "V": K * (D - 1)}[shape]
    assert (a, b, q) == (K - 1, K * D, (K if volume == "V" else 1) + shapes + turns)


@pytest.mark.parametrize("name", NAMES)
def test_charts_stay_inside_their_family(name):
    mixture, _, _, _ = case(name, "complete")
    local = chart(mixture, name)
    np.testing.assert_allclose(
        local.at(np.zeros(sum(local.sizes))).covariances, mixture.covariances, rtol=1e-13
    )
    step = np.random.default_rng(3).normal(size=sum(local.sizes)) / 20.0
    moved = local.at(step).covariances
    volume, shape, orientation = SHORT.get(name, name)
    determinants = np.linalg.det(moved)
    values = np.linalg.eigvalsh(moved / determinants[:, None, None] ** (1 / D))
    if volume == "E":
        np.testing.assert_allclose(determinants[0], determinants[1], rtol=1e-12)
    if shape != "V":
        np.testing.assert_allclose(values[0], values[1], rtol=1e-12)
    if orientation == "E":
        np.testing.assert_allclose(moved[0] @ moved[1], moved[1] @ moved[0], atol=1e-12)


@pytest.mark.parametrize("name", ["full", "tied", "diag", "spherical", "equal-spherical"])
def test_a_prior_adds_its_own_curvature(name):
    drawn = make(name, "prior", 4)
    rule = family(name)
    problem = with_prior(state(MemorySource(drawn.X), rule), conjugate(drawn.prior), drawn.k)
    mixture = problem.adopted(drawn.mixture)
    local = chart(mixture, name)
    hessian = local.hessian(of_prior(problem, mixture, local.moves.entries))
    gradient = local.gradient(of_prior(problem, mixture, local.moves.entries))

    def value(step):
        moved = local.at(step)
        array = moved.structure.dense()
        if name == "tied":
            array = array[0]
        if name in ("diag", "spherical", "equal-spherical"):
            array = array.diagonal(axis1=1, axis2=2)
            array = array if name == "diag" else array[:, 0]
        k, d = moved.location.shape
        shape = rule.from_array(np.array(array), k, d)
        whole = Mixture.of(moved.weights, moved.location, shape, moved.frame)
        return log_prior(problem.prior, whole, rule.moments)

    for u in np.random.default_rng(5).normal(size=(4, len(hessian))) / 8.0:
        size = np.abs(u) @ np.abs(hessian) @ np.abs(u)
        np.testing.assert_allclose(
            u @ hessian @ u, bend(lambda t, u=u: value(t * u)), atol=1e-8 * size
        )
        np.testing.assert_allclose(u @ gradient, slope(lambda t, u=u: value(t * u)), rtol=1e-7)


def test_one_component_has_the_textbook_standard_errors():
    X = np.random.default_rng(0).normal(size=(50, 2)) @ [[2.0, 0.5], [0.0, 1.0]] + [1e3, -5.0]
    mean, covariance = X.mean(axis=0), np.cov(X.T, bias=True)
    errors = standard_errors(Mixture([1.0], [mean], [covariance]), X)
    variances = covariance.diagonal()
    np.testing.assert_allclose(errors.means[0], np.sqrt(variances / 50), rtol=1e-9)
    wanted = np.sqrt((covariance**2 + np.outer(variances, variances)) / 50)
    np.testing.assert_allclose(errors.covariances[0], wanted, rtol=1e-9)
    assert errors.weights[0] == 0.0


def test_no_maximum_is_an_error_that_says_so():
    mixture, X, _, _ = case("full", "complete")
    with pytest.raises(InputError, match="not at a maximum"):
        standard_errors(mixture, X)
