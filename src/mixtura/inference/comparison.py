"""Several models on the same held-out items: which scores best, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura._errors import InputError
from mixtura._random import generator
from mixtura._tables import data_frame, html_table
from mixtura._types import Array, Indices
from mixtura.inference.held_scores import group_codes, held_scores
from mixtura.inference.stacking import stacking_weights
from mixtura.inference.tables import aligned
from mixtura.operations.estimate import Estimate

_DRAWS = 4000
_CELLS = 1 << 20


@dataclass(frozen=True, eq=False)
class Comparison:
    """Models side by side, in the order given; `table` has the best first.

    Attributes
    ----------
    names : tuple of str
    scores : (n, m)
        Log scores, one an item and model.
    groups : (n,)
        The number of each item's group; its own where none were given.
    log_scores, errors : (m,)
        Mean log score in nats an item, larger being better, and its standard error.
    differences, difference_errors : (m,)
        Mean log score less the best one's, and the standard error of this paired difference.
    weights : (m,)
        Stacking weights: of the mixture of the models that scores best.
    probabilities : (m,)
        Probability of being best, over the items that might have come.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import compare
    >>> easy = np.random.default_rng(0).normal(-2, 1, 200)  # how hard the items are, for both
    >>> noise = np.random.default_rng(1).normal(0, 0.2, 200)
    >>> found = compare({"a": easy + 0.1, "b": easy + noise})
    >>> found.best
    'a'
    >>> found.difference("a", "b")
    0.115 ± 0.013 (paired items)
    """

    names: tuple[str, ...]
    scores: Array
    groups: Indices
    log_scores: Array
    errors: Array
    differences: Array
    difference_errors: Array
    weights: Array
    probabilities: Array

    @property
    def n_items(self) -> int:
        """n."""
        return len(self.scores)

    @property
    def n_groups(self) -> int:
        """Groups of items, n where none were given."""
        return int(self.groups.max()) + 1

    @property
    def best(self) -> str:
        """The name of the model with the largest mean log score."""
        return self.names[int(self.log_scores.argmax())]

    @property
    def stacked_log_score(self) -> float:
        """Mean log score of the models mixed by `weights`, on the items that chose these."""
        top = self.scores.max(axis=1)
        return float(np.mean(top + np.log(np.exp(self.scores - top[:, None]) @ self.weights)))

    def difference(self, model: str, other: str) -> Estimate:
        """Mean log score of one model less that of another, with its paired standard error."""
        for name in (model, other):
            if name not in self.names:
                raise InputError(f"no model is named {name!r}; names: {list(self.names)}")
        gap = self.scores[:, [self.names.index(model)]] - self.scores[:, [self.names.index(other)]]
        paired = "paired items" if self.n_groups == self.n_items else "paired groups"
        return Estimate(float(gap.mean()), float(standard_errors(gap, self.groups)[0]), paired)

    def table(self) -> dict[str, list[Any]]:
        """Columns of the models, best first."""
        order = np.argsort(-self.log_scores, kind="stable")
        columns = {
            "log_score": self.log_scores,
            "error": self.errors,
            "difference": self.differences,
            "difference_error": self.difference_errors,
            "weight": self.weights,
            "probability_best": self.probabilities,
        }
        numbers = {name: values[order].tolist() for name, values in columns.items()}
        return {"model": [self.names[i] for i in order], **numbers}

    def to_frame(self, backend: str = "pandas") -> Any:
        """`table` as a data frame of "pandas", "polars" or "pyarrow", whichever is installed."""
        return data_frame(self.table(), {"model": str}, backend)

    def sentence(self) -> str:
        """The outcome in words."""
        best = int(self.log_scores.argmax())
        others = np.where(np.arange(len(self.names)) == best, -np.inf, self.log_scores)
        second = int(others.argmax())
        items = f"{self.n_items} items"
        if self.n_groups < self.n_items:
            items += f" in {self.n_groups} groups"
        return (
            f"{self.names[best]} scores best on {items}, {-self.differences[second]:.3g} ± "
            f"{self.difference_errors[second]:.2g} nats an item before {self.names[second]}; the "
            f"probability that it is best is {self.probabilities[best]:.3f}."
        )

    def __repr__(self) -> str:
        table = self.table()
        rows = [["model", "log score", "error", "difference", "error", "weight", "P(best)"]]
        for name, *cells in zip(*table.values(), strict=True):
            rows.append([name, *(f"{cell:.4f}" for cell in cells[:4]), f"{cells[4]:.3f}"])
            rows[-1].append(f"{cells[5]:.3f}")
        return f"{self.sentence()}\n{aligned(rows)}"

    def _repr_html_(self) -> str:
        return html_table(self.table())


def compare(
    models: Any,
    X: Any = None,
    y: Any = None,
    *,
    groups: Any = None,
    draws: int = _DRAWS,
    rng: Any = 0,
) -> Comparison:
    """Compare models by their log scores on the same held-out items.

    Differences are paired: what makes an item hard for all models does not count. Standard errors
    are over items, or over groups of items that are not independent of each other (rows of one
    person, sentences of one text), ``SE² = G/(G-1) Σ_g (Σ_{i in g} (d_i - d̄))² / n²``. The
    probability of being best is by the Bayesian bootstrap over items or groups. Stacking weights
    maximise the log score of the models' mixture: a model that is seldom the best weighs much where
    it alone is right.

    Parameters
    ----------
    models : mapping of name to model, sequence of models, or data frame or array (n, m) of scores
        Each a `Mixture` or other distribution with `logpdf`; an estimator whose `score_samples` are
        log-densities; with `y` a classifier with `predict_log_proba` or a regressor with
        `predict_dist`; a function of X (and y); or an array (n,) of log scores that were made
        elsewhere, by a retriever or a language model.
    X : (n, d) array_like or data frame, optional
        The items, which no model was fitted to. Not needed for arrays of scores.
    y : (n,) array_like, optional
        Classes or values, where the models are to predict these.
    groups : (n,) array_like, optional
        Labels of groups of items.
    draws : int, default=4000
        Of the Bayesian bootstrap.
    rng : numpy.random.Generator, int or None, default=0

    Returns
    -------
    Comparison

    Raises
    ------
    InputError, InputTypeError
        Fewer than two models or items, items that differ between models, or scores that are missing
        or infinite; says which.

    References
    ----------
    Yao, Vehtari, Simpson & Gelman (2018), "Using stacking to average Bayesian predictive
    distributions", Bayesian Analysis 13, 917-1007. Rubin (1981), "The Bayesian bootstrap", Annals
    of Statistics 9, 130-134. Cameron & Miller (2015), "A practitioner's guide to cluster-robust
    inference", J. Human Resources 50, 317-372.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura import GaussianMixture, compare
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(600, 2)) + 4 * rng.integers(0, 2, (600, 1))
    >>> fits = {f"k={k}": GaussianMixture(k, random_state=0).fit(rows[:300]) for k in (1, 2)}
    >>> found = compare(fits, rows[300:])
    >>> found.best, bool(found.difference("k=2", "k=1").value > 0.2)
    ('k=2', True)
    """
    if draws < 1:
        raise InputError(f"draws={draws}: at least one is needed")
    names, scores = held_scores(models, X, y)
    codes = group_codes(groups, len(scores))
    means = scores.mean(axis=0)
    behind = scores - scores[:, [int(means.argmax())]]
    return Comparison(
        names,
        scores,
        codes,
        means,
        standard_errors(scores, codes),
        behind.mean(axis=0),
        standard_errors(behind, codes),
        stacking_weights(scores),
        best_probabilities(scores, codes, draws=draws, rng=rng),
    )


def standard_errors(values: Array, codes: Indices) -> Array:
    """(m,) standard errors of the means of columns (n, m) whose rows come in groups."""
    sums = group_sums(values - values.mean(axis=0), codes)
    count = len(sums)
    return np.asarray(np.sqrt(count / (count - 1.0) * np.sum(sums**2, axis=0)) / len(values))


def group_sums(values: Array, codes: Indices) -> Array:
    """(G, m) sums of the rows of each group."""
    return np.column_stack([np.bincount(codes, column) for column in values.T])


def best_probabilities(scores: Array, codes: Indices, *, draws: int, rng: Any) -> Array:
    """(m,) how often each model has the largest mean under Dirichlet(1, ..., 1) weights of groups.

    Models that tie share.
    """
    centred = scores - scores.mean(axis=1, keepdims=True)  # the same differences, fewer digits lost
    sums = group_sums(centred, codes)
    draw = generator(rng)
    wins = np.zeros(scores.shape[1])
    size = max(1, _CELLS // len(sums))
    for start in range(0, draws, size):
        weights = draw.standard_exponential((min(size, draws - start), len(sums)))
        totals = weights @ sums
        first = totals >= totals.max(axis=1, keepdims=True)
        wins += (first / first.sum(axis=1, keepdims=True)).sum(axis=0)
    return np.asarray(wins / draws)
