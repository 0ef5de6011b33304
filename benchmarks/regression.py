"""Predicted distributions of mixtures beside a line with Gaussian noise and quantile boosting.

    python benchmarks/regression.py

Ten folds, all models on the same; all with their defaults. Data that scikit-learn brings along, and
Old Faithful of this repository. CRPS is twice the mean pinball loss at 5 %, 10 % ... 95 %, for
all models alike; smaller is better, in units of the outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold

from machine import describe
from mixtura import MixtureOfLinearExperts, MixtureRegressor

LEVELS = np.linspace(0.05, 0.95, 19)
DATA = Path(__file__).parent.parent / "examples" / "data"
Quantiles = Callable[[Any, Any, Any], Any]


def line(X: Any, y: Any, new: Any) -> Any:
    """Least squares; the noise's variance over the degrees of freedom left."""
    model = LinearRegression().fit(X, y)
    left = y - model.predict(X)
    deviation = np.sqrt(left @ left / (len(y) - X.shape[1] - 1))
    return model.predict(new)[:, None] + deviation * ndtri(LEVELS)


def boosting(X: Any, y: Any, new: Any) -> Any:
    """scikit-learn's gradient boosting, one model a level; sorted, so that none cross."""
    models = (GradientBoostingRegressor(loss="quantile", alpha=q, random_state=0) for q in LEVELS)
    return np.sort(np.column_stack([one.fit(X, y).predict(new) for one in models]), axis=1)


def regressor(X: Any, y: Any, new: Any) -> Any:
    return MixtureRegressor(random_state=0).fit(X, y).predict_quantile(new, LEVELS)


def experts(X: Any, y: Any, new: Any) -> Any:
    """The gate's family by BIC, with the number of experts."""
    gates = ["full", "tied", "diag", "spherical"]
    model = MixtureOfLinearExperts(covariance_type=gates, noise_type="full", random_state=0)
    return model.fit(X, y).predict_quantile(new, LEVELS)


MODELS: dict[str, Quantiles] = {
    "line, Gaussian noise": line,
    "gradient boosting, 19 quantiles": boosting,
    "MixtureRegressor": regressor,
    "MixtureOfLinearExperts": experts,
}


def problems() -> dict[str, tuple[Any, Any]]:
    """Inputs and one outcome."""
    geyser = np.loadtxt(DATA / "faithful.csv", delimiter=",", skiprows=1)
    return {
        "Old Faithful, eruption by waiting": (geyser[:, 1:], geyser[:, 0]),
        "diabetes": load_diabetes(return_X_y=True),
    }


def held_out(model: Quantiles, X: Any, y: Any) -> Any:
    """Quantiles (n, 19) of each row from the folds without it."""
    out = np.empty((len(y), len(LEVELS)))
    for rest, part in KFold(10, shuffle=True, random_state=0).split(X):
        out[part] = model(X[rest], y[rest], X[part])
    return out


def main() -> None:
    describe()
    print("| data | model | CRPS | median, mean absolute error | 90 % intervals hold | width |")
    print("|---|---|--:|--:|--:|--:|")
    for data, (X, y) in problems().items():
        for name, model in MODELS.items():
            found = held_out(model, X, y)
            off = y[:, None] - found
            crps = 2.0 * np.mean(np.maximum(LEVELS * off, (LEVELS - 1.0) * off))
            held = np.mean((found[:, 0] <= y) & (y <= found[:, -1]))
            width, error = np.mean(found[:, -1] - found[:, 0]), np.abs(off[:, 9]).mean()
            print(
                f"| {data} | {name} | {crps:.4g} | {error:.4g} | {100 * held:.1f} % | {width:.4g} |"
            )


if __name__ == "__main__":
    main()
