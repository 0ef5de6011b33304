"""One component of low rank against closed forms and against scikit-learn's factor analysis."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, FactorAnalysis

from mixtura import GaussianMixture


@pytest.fixture(scope="module")
def rows():
    """300 rows of 12 columns with three factors and noise of very different sizes."""
    rng = np.random.default_rng(0)
    loadings, noise = rng.normal(size=(12, 3)), rng.uniform(0.05, 2.0, 12)
    X = rng.normal(size=(300, 3)) @ loadings.T + rng.normal(size=(300, 12)) * np.sqrt(noise)
    return X + rng.normal(size=12)


@pytest.mark.parametrize("rank", [1, 3, 6, 11])
def test_isotropic_noise_is_the_closed_form(rows, rank):
    """Tipping & Bishop (1999), eq. 8: ψ = mean of the last eigenvalues, Λ = U (L - ψ)^½."""
    model = GaussianMixture(1, covariance_type=f"ppca:{rank}", tol=1e-12).fit(rows)
    values, vectors = np.linalg.eigh(np.cov(rows.T, bias=True))
    noise = values[: 12 - rank].mean()
    lead = vectors[:, 12 - rank :]
    best = (lead * (values[12 - rank :] - noise)) @ lead.T + noise * np.eye(12)
    d = 12
    exact = -0.5 * (d * np.log(2 * np.pi) + np.linalg.slogdet(best)[1] + d)
    assert model.lower_bound_ == pytest.approx(exact, abs=1e-9)
    np.testing.assert_allclose(model.covariances_[0], best, atol=1e-3)
    np.testing.assert_allclose(model.means_[0], rows.mean(axis=0), atol=1e-10)


def test_isotropic_noise_is_pca_of_scikit_learn(rows):
    """`PCA.score` is that density with the covariance's divisor n - 1."""
    pca = PCA(3).fit(rows)
    model = GaussianMixture(1, covariance_type="ppca:3", tol=1e-12).fit(rows)
    scaled = GaussianMixture.from_mixture(model.mixture_)
    ratio = (len(rows) - 1) / len(rows)
    np.testing.assert_allclose(
        scaled.covariances_[0], pca.get_covariance() * ratio, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_diagonal_noise_is_factor_analysis_of_scikit_learn(rows, rank):
    theirs = FactorAnalysis(rank, tol=1e-10, max_iter=20_000, svd_method="lapack").fit(rows)
    ours = GaussianMixture(1, covariance_type=f"factor:{rank}", tol=1e-10).fit(rows)
    assert ours.lower_bound_ >= theirs.score(rows) - 1e-8
    assert ours.lower_bound_ == pytest.approx(theirs.score(rows), abs=1e-5)
    if rank == 3:  # the rank of the truth
        np.testing.assert_allclose(ours.covariances_[0], theirs.get_covariance(), atol=2e-2)


def test_digits_as_factor_analyzers():
    """As good as scikit-learn's single analyzer, and several are better.

    Within a digit pixels are constant, so several need the prior.
    """
    X = load_digits().data[:600]
    X = X[:, X.var(axis=0) > 0.5]
    theirs = FactorAnalysis(5, tol=1e-8, max_iter=5000, svd_method="lapack").fit(X)
    ours = GaussianMixture(1, covariance_type="factor:5").fit(X)
    assert ours.lower_bound_ >= theirs.score(X) - 1e-4
    several = GaussianMixture(5, covariance_type="factor:5", random_state=0, prior="fraley-raftery")
    several.fit(X)
    assert several.score(X) > ours.score(X) + 5.0
    assert several.bic(X) < ours.bic(X)
