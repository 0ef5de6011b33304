"""What any fitted mixture of inputs and outcomes can predict; fitting is left to the estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from mixtura import metrics
from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.estimators import attributes
from mixtura.estimators.outcomes import outcomes
from mixtura.estimators.partitioned import over_partitions
from mixtura.estimators.rows import rows_here
from mixtura.estimators.seeds import drawn_seed
from mixtura.mixture import Mixture
from mixtura.operations.mixtures import Mixtures
from mixtura.operations.predictions import POINTS, central_intervals, points, quantiles
from mixtura.operations.row_modes import RowModes


class PredictiveMixture(RegressorMixin, BaseEstimator):
    """An abstract regressor that holds a `mixture_` of inputs and outcomes once it is fitted.

    Outcomes handed in as (n,) are predicted as (n,); as (n, m), with an axis of m.
    """

    mixture_: Mixture
    n_features_in_: int
    n_outputs_: int
    point: str
    random_state: Any
    _flat: bool

    @over_partitions
    def predict(self, X: Any, return_std: bool = False, return_cov: bool = False) -> Any:
        """Predict the outcomes: the mean, median or highest mode, by the parameter `point`.

        Parameters
        ----------
        X : (n, d) array_like or data frame
            NaN where unobserved.
        return_std : bool, default=False
            Also give the standard deviation of each outcome.
        return_cov : bool, default=False
            Also give the covariance of the outcomes of each row.

        Returns
        -------
        values : (n,) or (n, m)
        std : (n,) or (n, m), with `return_std`
        cov : (n, m, m), with `return_cov`
        """
        if return_std and return_cov:
            raise InputError("return_std and return_cov: ask for one, the other follows from it")
        found = self.predict_dist(X)
        values = self._shaped(points(found, self._point()))
        if return_std:
            return values, self._shaped(found.std())
        return (values, found.covariance()) if return_cov else values

    def predict_dist(self, X: Any) -> Mixtures:
        """The distribution of the outcomes given each row: n mixtures, `mixtura.Mixtures`."""
        rows = rows_here(self, X)
        return self.mixture_.conditionals(rows, range(self.n_features_in_))

    @over_partitions
    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Central intervals: as likely to lie below the outcome as above.

        Each outcome by itself; `coverage` is the probability that the interval holds it.

        Returns
        -------
        (n, 2) or (n, m, 2)
        """
        return self._shaped(central_intervals(self.predict_dist(X), coverage))

    def predict_region(self, X: Any, coverage: float = 0.9) -> Array:
        """The shortest intervals that hold an outcome: several where it has several modes.

        Of a single outcome; NaN fills up where a row has fewer intervals than others.

        Returns
        -------
        (n, j, 2)
        """
        return self.predict_dist(X).regions(coverage)

    @over_partitions
    def predict_quantile(self, X: Any, q: Any = 0.5) -> Array:
        """Quantiles of each outcome, (n,) or (n, m); for (q,) of them with a last axis q."""
        return self._shaped(quantiles(self.predict_dist(X), q))

    def predict_modes(self, X: Any) -> RowModes:
        """The modes of the outcomes given each row, the highest first, with their weights."""
        return self.predict_dist(X).modes()

    def sample(self, X: Any, n_samples: int = 1, random_state: Any = None) -> Array:
        """Draw outcomes given each row: (n, n_samples) or (n, n_samples, m)."""
        chosen = self.random_state if random_state is None else random_state
        seed = drawn_seed(chosen)
        drawn = self.predict_dist(X).sample(n_samples, seed)
        return drawn[:, :, 0] if self._flat else drawn

    def log_score(self, X: Any, y: Any, *, sample_weight: Any = None, average: bool = True) -> Any:
        """Mean of log p(y | x) in nats a row, by weight; (n,) with ``average=False``.

        An outcome that is NaN is left out: the row counts by its others.
        """
        rows = outcomes(y).rows
        found = self.predict_dist(X)
        return metrics.log_score(rows, found, sample_weight=sample_weight, average=average)

    @over_partitions
    def score_samples(self, X: Any) -> Array:
        """Log-density of the inputs alone, (n,): low where the predictions extrapolate."""
        return self.predict_dist(X).log_evidence

    def _point(self) -> str:
        if self.point not in POINTS:
            raise InputError(f"point={self.point!r}: use one of {POINTS}")
        return self.point

    def _shaped(self, values: Array) -> Array:
        return np.asarray(values[:, 0] if self._flat else values)

    n_components_ = attributes.n_components

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.multi_output = True
        return tags
