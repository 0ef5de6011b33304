"""What any fitted mixture can do, by scikit-learn's names; fitting is left to the estimators."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.block import Block
from mixtura.conditioning import labels as best_labels
from mixtura.conditioning import log_sums, shares
from mixtura.estimators import attributes, criteria, parameters
from mixtura.estimators.convert import covariance_name, outliers_of
from mixtura.estimators.partitioned import apart_like_fitted, over_partitions
from mixtura.estimators.rows import answered, block_like_fitted, rows_like_fitted, source_of
from mixtura.estimators.seeds import drawn_seed
from mixtura.fit.apart import refuse_told
from mixtura.fit.select import rules, threads
from mixtura.fit.told import Told, known
from mixtura.fitted import fitted_mixture
from mixtura.inference.summary import Summary, summary
from mixtura.inference.validation import Validation, validation
from mixtura.io.model_file import save
from mixtura.mixture import Mixture
from mixtura.reading.scan import opened
from mixtura.scoring import ahead
from mixtura.source import DeviceSource, MemorySource
from mixtura.trimming import Cut


class FittedMixture(DensityMixin, BaseEstimator):
    """An abstract estimator that holds a `mixture_` once its `fit` has run."""

    mixture_: Mixture
    covariance_type_: str
    lower_bounds_: list[float]
    cut_: Cut | None
    deconvolved_: bool
    n_censored_: int
    random_state: Any
    n_jobs: int | None

    @over_partitions
    def predict(
        self,
        X: Any,
        *,
        noise_cov: Any = None,
        projection: Any = None,
        lower: Any = None,
        upper: Any = None,
    ) -> Array:
        """The most probable component of each row, (n,); -1 for noise and what is trimmed.

        With `noise_cov` and `projection` as in `fit`, here and in what follows, for rows that were
        measured with errors; without, rows count as exact. With `lower` and `upper`, missing cells
        are known to lie between them.
        """
        k, X = self.mixture_.n_components if self._fitted() else 0, opened(X)
        source = self._known(X, noise_cov, projection, lower, upper)
        found = self._map(source, lambda joint: best_labels(joint, k), ()).astype(np.intp)
        if self.cut_ is not None:
            found[criteria.trimmed(self, self.score_samples(X), self._rows(X))] = -1
        return answered(X, found)

    @over_partitions
    def predict_proba(
        self,
        X: Any,
        *,
        noise_cov: Any = None,
        projection: Any = None,
        lower: Any = None,
        upper: Any = None,
    ) -> Array:
        """Responsibilities (n, k): the posterior probability of each component.

        Rows sum to one, or to one less the probability of noise. Measurement errors as in `fit`.
        """
        k = self.mixture_.n_components if self._fitted() else 0
        source = self._known(X, noise_cov, projection, lower, upper)
        return answered(X, self._map(source, lambda joint: shares(joint)[:, :k], (k,)))

    @over_partitions
    def score_samples(
        self,
        X: Any,
        *,
        noise_cov: Any = None,
        projection: Any = None,
        lower: Any = None,
        upper: Any = None,
    ) -> Array:
        """Log-density of each row, (n,), by its observed coordinates; of y where it is noisy.

        Cells within limits add the logarithm of their probability. With `truncation`, the density
        is that of rows within the box.
        """
        return answered(X, self._densities(self._known(X, noise_cov, projection, lower, upper)))

    def score(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        noise_cov: Any = None,
        projection: Any = None,
        lower: Any = None,
        upper: Any = None,
    ) -> float:
        """Mean log-density in nats a row, by weight."""
        apart = apart_like_fitted(self, X, sample_weight)
        if apart is not None:
            refuse_told(self._told(noise_cov, projection, lower, upper))
            total, _, weight = criteria.totals_apart(self, apart, whole=True)
            return total / weight
        values = self._densities(self._known(X, noise_cov, projection, lower, upper))
        weights = _checks.row_weights(_checks.weights_beside(X, sample_weight), len(values))
        return float(np.average(values, weights=weights))

    def sample(self, n_samples: int = 1, random_state: Any = None) -> tuple[Array, Array]:
        """Draw rows (n_samples, d) and their components (n_samples,); within `truncation`."""
        self._fitted()
        if _checks.whole(n_samples, "n_samples") < 1:
            raise InputError(
                f"Invalid value for 'n_samples': {n_samples}. At least one row is needed"
            )
        chosen = self.random_state if random_state is None else random_state
        seed = drawn_seed(chosen)
        return criteria.law(self).sample(n_samples, seed, return_labels=True)

    def impute(self, X: Any, *, lower: Any = None, upper: Any = None) -> Array:
        """Rows with each NaN replaced by its mean given what is known of the row."""
        source = self._known(X, lower=lower, upper=upper)
        return self.mixture_.completed(source.take(slice(None)))

    def outlier_weights(self, X: Any) -> Array:
        """How much each row counts, (n,): near zero for outliers, zero for rows to be trimmed.

        ``Σ_k r_ik u_ik`` with ``u = (ν + d)/(ν + δ²)`` for Student's t and one for Gaussian
        components; with noise, responsibilities of outliers sum to little.
        """
        weights = self.mixture_.outlier_weights(rows := self._rows(X))
        if self.cut_ is not None:
            weights[criteria.trimmed(self, self.score_samples(X), rows)] = 0.0
        return weights

    def outlier_probability(self, X: Any) -> Array:
        """Probability that each row is noise, (n,); zero where no noise was fitted."""
        rows = self._rows(X)
        return self.mixture_.outlier_probability(rows)

    def bic(self, X: Any, sample_weight: Any = None, **told: Any) -> float:
        """Bayesian information criterion ``-2 log L + p log n``; smaller is better.

        Here and in what follows, what is told of the rows as in `fit`: noise_cov, projection,
        lower, upper.
        """
        total, _, n = self._totals(X, sample_weight, **told)
        return -2.0 * total + criteria.count(self) * float(np.log(n))

    def aic(self, X: Any, sample_weight: Any = None, **told: Any) -> float:
        """Akaike's information criterion ``-2 log L + 2 p``; smaller is better."""
        total, _, _ = self._totals(X, sample_weight, **told)
        return -2.0 * total + 2.0 * criteria.count(self)

    def icl(self, X: Any, sample_weight: Any = None, **told: Any) -> float:
        """Integrated completed likelihood: BIC ``- 2 Σ log max_k r_ik``; smaller is better."""
        total, sharpness, n = self._totals(X, sample_weight, **told)
        return -2.0 * (total + sharpness) + criteria.count(self) * float(np.log(n))

    def validate(
        self, X: Any, sample_weight: Any = None, labels: Any = None, **told: Any
    ) -> Validation:
        """Check the fit numerically on the data, and what was told of them, that it was fitted to.

        Returns
        -------
        Validation
            Facts with their figures and what each means; prints as a table.

        Notes
        -----
        The size of a component is the larger of ``Σ w r``, its rows where a weight counts as so
        many repetitions, and Kish's effective number ``(Σ w r)² / Σ w² r``, which is the same
        whatever the weights add up to.
        """
        self._fitted()
        said = self._told(**told)
        if self.deconvolved_ and not said.blurred:
            raise InputError(
                "the fit took measurement errors into account: pass the same noise_cov and "
                "projection to validate"
            )
        rows = self._rows(X) if said.projection is None else _checks.table(X).rows
        weights = _checks.weights_beside(X, sample_weight)
        block = known(rows, weights, said, parameters.outliers(self), labels)
        labelled, source = labels is not None, MemorySource.of(block)
        task = parameters.task(self, source, labelled=labelled, last=self.mixture_)
        rule = rules(self.covariance_type_)[0]
        problem = task.problem(rule, self.n_components_, task.told(self.n_components_))
        return validation(problem, self.mixture_, self.lower_bounds_)

    def summary(self, X: Any = None, **options: Any) -> Summary:
        """A printed account of the fit, with criteria and sizes if given X: `mixtura.summary`."""
        return summary(self, X, **options)

    def save(self, path: Any) -> None:
        """Write the mixture to a model file ``*.mixtura``; read it with `mixtura.load`."""
        self._fitted()
        cut = {} if self.cut_ is None else {"outliers": {"trim": self.cut_.told}}
        save(self.mixture_, path, {"covariance_type": self.covariance_type_, **cut})

    @classmethod
    def from_mixture(cls, mixture: Any, **parameters: Any) -> Self:
        """A fitted estimator with a given mixture, or that of another fitted estimator."""
        mixture = fitted_mixture(mixture)
        name = covariance_name(mixture.structure)
        given = {**outliers_of(mixture), **parameters}
        estimator = cls(mixture.n_components, covariance_type=name, **given)
        estimator.mixture_, estimator.covariance_type_ = mixture, name
        estimator.converged_, estimator.n_iter_, estimator.lower_bounds_ = True, 0, []
        estimator.n_features_in_, estimator.selection_ = mixture.n_features, None
        estimator.cut_, estimator.deconvolved_, estimator.n_censored_ = None, False, 0
        if mixture.feature_names is not None:
            estimator.feature_names_in_ = np.array(mixture.feature_names, dtype=object)
        return estimator

    def _totals(self, X: Any, sample_weight: Any, **told: Any) -> tuple[float, float, float]:
        """What criteria are made of, wherever the rows are."""
        apart = apart_like_fitted(self, X, sample_weight)
        if apart is None:
            weights = _checks.weights_beside(X, sample_weight)
            return criteria.totals(self, self._known(X, **told), weights)
        refuse_told(self._told(**told))
        return criteria.totals_apart(self, apart)

    def _densities(self, source: MemorySource | DeviceSource) -> Array:
        return criteria.within_box(self, source, self._map(source, log_sums, ()))

    def _map(
        self, source: MemorySource | DeviceSource, finish: Any, tail: tuple[int, ...]
    ) -> Array:
        """Apply `finish` to the log joint of every row, block by block, side by side."""
        if isinstance(source, MemorySource):
            ahead(self.mixture_, source.whole.rows)
        out = np.empty((source.n, *tail))

        def fill(part: Block, place: slice) -> None:
            self.mixture_.fill(part, finish, out[place])

        source.each(fill)
        return out

    def _told(
        self,
        noise_cov: Any = None,
        projection: Any = None,
        lower: Any = None,
        upper: Any = None,
    ) -> Told:
        """What is said of some rows, and the box of the fit."""
        box = parameters.truncation(self, self.mixture_.n_features)
        return Told(noise_cov, projection, lower, upper, box)

    def _known(self, X: Any, *given: Any, **named: Any) -> MemorySource | DeviceSource:
        """Rows with all that is said of them."""
        self._fitted()
        block = block_like_fitted(self, X, self._told(*given, **named))
        return source_of(block, threads(self.n_jobs))

    def _rows(self, X: Any) -> Any:
        return rows_like_fitted(self, X)

    def _fitted(self) -> bool:
        check_is_fitted(self, "mixture_")
        return True

    # ---- what was fitted, by scikit-learn's names

    n_components_ = attributes.n_components
    weights_ = attributes.weights
    means_ = attributes.means
    covariances_ = attributes.covariances
    precisions_ = attributes.precisions
    precisions_cholesky_ = attributes.precisions_cholesky
    dof_ = attributes.dof
    noise_share_ = attributes.noise_share
    lower_bound_ = attributes.lower_bound
    trace_ = attributes.trace

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
