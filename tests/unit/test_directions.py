"""Directions that separate: their definition, what they do not depend on, and the figure."""

import numpy as np
import pytest
from scipy.linalg import eigh
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from mixtura import GaussianMixture, Mixture, MixtureClassifier, separating_directions
from mixtura._errors import InputError


@pytest.fixture(scope="module")
def mixture():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(3, 4, 6))
    return Mixture([0.2, 0.3, 0.5], rng.normal(size=(3, 4)), roots @ roots.swapaxes(1, 2) / 6)


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 1.0])
def test_they_solve_the_generalised_eigenproblem(mixture, weight):
    pi, mu, sigma = mixture.weights, mixture.means, mixture.covariances
    whole, centre = mixture.covariance(), mixture.mean()
    between = sum(p * np.outer(m - centre, m - centre) for p, m in zip(pi, mu, strict=True))
    within = np.einsum("k,kij->ij", pi, sigma)
    inverse = np.linalg.inv(whole)
    shapes = sum(p * (s - within) @ inverse @ (s - within) for p, s in zip(pi, sigma, strict=True))
    kernel = 2 * weight * between @ inverse @ between + 2 * (1 - weight) * shapes
    values = eigh(kernel, whole)[0][::-1]
    found = separating_directions(mixture, weight=weight)
    r = 2 if weight == 1.0 else 4
    np.testing.assert_allclose(found.eigenvalues, values[:r], rtol=1e-9)
    np.testing.assert_allclose(found.basis.T @ whole @ found.basis, np.eye(r), atol=1e-10)
    np.testing.assert_allclose(
        kernel @ found.basis, whole @ found.basis * found.eigenvalues, atol=1e-10
    )
    np.testing.assert_allclose(found.by_means + found.by_shapes, found.eigenvalues, rtol=1e-9)


def test_the_mixture_in_the_subspace_is_the_image(mixture):
    found = separating_directions(mixture)
    X = mixture.sample(50, 0)
    # All four directions: a change of coordinates, so densities differ by its volume.
    volume = np.linalg.slogdet(found.basis)[1]
    np.testing.assert_allclose(
        found.mixture.logpdf(found.project(X)) + volume, mixture.logpdf(X), rtol=1e-9
    )
    basis, image = found.basis[:, :2], found.mixture.marginal([0, 1])
    np.testing.assert_allclose(image.means, (mixture.means - mixture.mean()) @ basis, atol=1e-12)
    np.testing.assert_allclose(
        image.covariances, basis.T @ mixture.covariances @ basis, rtol=1e-9, atol=1e-12
    )


def test_rows_give_the_mean_and_covariance(iris):
    X = iris[0]
    mixture = GaussianMixture(3, random_state=0).fit(X).mixture_
    found = separating_directions(mixture, X)
    points = found.project(X)
    np.testing.assert_allclose(points.mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(np.cov(points.T, bias=True), np.eye(4), atol=1e-9)
    w = np.random.default_rng(0).uniform(0.1, 2.0, 150)
    points = separating_directions(mixture, X, sample_weight=w).project(X)
    np.testing.assert_allclose(np.cov(points.T, bias=True, aweights=w), np.eye(4), atol=1e-9)


def test_linear_maps_do_not_matter(mixture):
    rng = np.random.default_rng(1)
    turn = rng.normal(size=(4, 4)) * [1e-8, 1.0, 1e3, 1e8]
    moved = Mixture(
        mixture.weights, mixture.means @ turn + 5.0, turn.T @ mixture.covariances @ turn
    )
    X = mixture.sample(20, 0)
    a, b = separating_directions(mixture), separating_directions(moved)
    np.testing.assert_allclose(a.eigenvalues, b.eigenvalues, rtol=1e-6)
    np.testing.assert_allclose(
        np.abs(a.project(X)), np.abs(b.project(X @ turn + 5.0)), rtol=1e-4, atol=1e-5
    )


def test_means_alone_are_linear_discriminants(iris):
    X, y = iris
    model = MixtureClassifier(covariance_type="tied", shared=True).fit(X, y)
    found = separating_directions(model.mixture_, weight=1.0, groups=model.model_.owners)
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(X, y).scalings_[:, :2]
    assert found.basis.shape == (4, 2)
    for ours, other in zip(found.basis.T, theirs.T, strict=True):
        cosine = ours @ other / np.linalg.norm(ours) / np.linalg.norm(other)
        assert abs(cosine) == pytest.approx(1.0, abs=1e-9)


def test_groups_count_by_their_moments():
    """Two components of one group, left and right: the other group differs in shape alone."""
    means = np.array([[-3.0, 0.0], [3.0, 0.0], [0.0, 0.0]])
    mixture = Mixture([0.25, 0.25, 0.5], means, np.eye(2)[None].repeat(3, axis=0))
    found = separating_directions(mixture, groups=["a", "a", "b"])
    np.testing.assert_allclose(found.by_means, 0.0, atol=1e-12)
    np.testing.assert_allclose(np.abs(found.basis[:, 0]), [1 / np.sqrt(5.5), 0.0], atol=1e-9)
    one = Mixture([0.5, 0.5], [[0.0, 0.0], [0.0, 0.0]], [np.diag([10.0, 1.0]), np.eye(2)])
    np.testing.assert_allclose(
        found.eigenvalues, separating_directions(one).eigenvalues, rtol=1e-12
    )


def test_a_gap_counts_as_its_conditional_mean(mixture):
    found = separating_directions(mixture)
    X = mixture.sample(10, 0)
    X[3, 1] = np.nan
    filled = X.copy()
    rest = mixture.condition({0: X[3, 0], 2: X[3, 2], 3: X[3, 3]})
    filled[3, 1] = rest.mean()[0]
    np.testing.assert_allclose(found.project(X), found.project(filled), rtol=1e-9)


def test_collinear_columns(mixture):
    lift = np.column_stack([np.eye(4), np.ones(4)])
    dense = lift.T @ mixture.covariances @ lift + 1e-14 * np.eye(5)
    doubled = Mixture(mixture.weights, mixture.means @ lift, dense)
    a, b = separating_directions(mixture), separating_directions(doubled)
    np.testing.assert_allclose(a.eigenvalues, b.eigenvalues, rtol=1e-6)


def test_an_offset_does_not_matter(iris):
    X = iris[0]
    a, b = (
        separating_directions(GaussianMixture(3, random_state=0).fit(rows).mixture_)
        for rows in (X, X + 1e8)
    )
    np.testing.assert_allclose(a.eigenvalues, b.eigenvalues, rtol=1e-3)  # eight digits of the rows
    np.testing.assert_allclose(a.project(X), b.project(X + 1e8), atol=1e-2)


def test_what_is_refused(mixture):
    with pytest.raises(InputError, match="weight=2"):
        separating_directions(mixture, weight=2.0)
    with pytest.raises(InputError, match="do not differ"):
        separating_directions(Mixture([1.0], [[0.0, 0.0]], [np.eye(2)]))
    with pytest.raises(InputError, match="groups"):
        separating_directions(mixture, groups=[0, 1])
    assert "4 directions of 4 features" in repr(separating_directions(mixture))


# ---- the figure


@pytest.fixture(scope="module")
def display_class():
    pytest.importorskip("matplotlib")
    from mixtura.plot import DirectionsDisplay

    return DirectionsDisplay


def drawn_rows(ax):
    return np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections])


def test_figure_of_a_mixture(display_class, iris):
    model = GaussianMixture(3, random_state=0).fit(iris[0])
    display = display_class.from_estimator(model, iris[0])
    found = separating_directions(model.mixture_)
    points = found.project(iris[0])[:, :2]
    drawn = drawn_rows(display.ax_)
    for row in points:
        assert np.abs(drawn - row).sum(axis=1).min() < 1e-9
    assert display.ax_.get_xlabel().startswith("direction 1 (")
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts[0].startswith("0") and "ellipse holds 95 %" in texts
    np.testing.assert_array_equal(display.labels, model.predict(iris[0]))


def test_figure_of_a_classifier(display_class, iris):
    names = np.array(["x", "y", "z"])
    model = MixtureClassifier(2, random_state=0).fit(iris[0], names[iris[1]])
    display = display_class.from_estimator(model, iris[0], names[iris[1]])
    np.testing.assert_array_equal(display.labels, iris[1])
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts[:3] == ["x", "y", "z"]
    from matplotlib.colors import to_rgba

    from mixtura.plot.palette import component_color

    # Each class has two components, whose ellipses have the colour of the class.
    lines = [line.get_color() for line in display.ax_.lines]
    assert [to_rgba(c) for c in lines[:6]] == [to_rgba(component_color(c // 2)) for c in range(6)]
    guessed = display_class.from_estimator(model, iris[0])
    np.testing.assert_array_equal(names[guessed.labels], model.predict(iris[0]))


def test_figure_of_a_single_direction(display_class, iris):
    model = GaussianMixture(2, random_state=0).fit(iris[0])
    display = display_class.from_estimator(model, iris[0], weight=1.0)
    drawn = drawn_rows(display.ax_)
    assert (np.round(drawn[:, 1]) == [0.0]).mean() == pytest.approx(1 / 3, abs=0.01)
    with pytest.raises(InputError, match="directions"):
        display.plot(directions=(0, 0))
    assert display_class.from_mixture(model.mixture_).ax_.get_legend() is not None
