"""The pictures of the documentation: one of each display.

Run from anywhere: python examples/figures.py [FOLDER]   (default: docs/images)
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.neighbors import NearestNeighbors

from mixtura import (
    DensityEstimator,
    GaussianMixture,
    MixtureOutlierDetector,
    MixtureRegressor,
    OpenSetClassifier,
    select,
)
from mixtura.plot import (
    ClusterDisplay,
    DeconvolutionDisplay,
    DensityDisplay,
    DirectionsDisplay,
    FanDisplay,
    HistogramDisplay,
    MergeDisplay,
    PairsDisplay,
    PITDisplay,
    PValueDisplay,
    QQDisplay,
    RiskCoverageDisplay,
    SelectionDisplay,
    TraceDisplay,
    UncertaintyDisplay,
)

ROOT = Path(__file__).parent


def pictures() -> Iterator[tuple[str, Any]]:
    """A name and a display for each picture."""
    geyser = pd.read_csv(ROOT / "data" / "faithful.csv")
    selection = select(geyser, range(1, 5), ["full", "tied", "diag"])
    mixture = selection.fit.mixture
    yield "clusters", ClusterDisplay.from_mixture(mixture, geyser)
    yield "density", DensityDisplay.from_mixture(mixture, geyser)
    yield "histogram", HistogramDisplay.from_mixture(mixture, geyser, feature="waiting")
    recorded = geyser[geyser["waiting"] >= 50]
    box = ([-np.inf, 50.0], np.inf)
    cut = GaussianMixture(2, truncation=box, random_state=0).fit(recorded)
    yield "truncated", HistogramDisplay.from_estimator(cut, recorded, feature="waiting")
    yield "selection", SelectionDisplay.from_selection(selection)
    yield "uncertainty", UncertaintyDisplay.from_mixture(mixture, geyser)
    yield "doubt", UncertaintyDisplay.from_mixture(mixture, geyser, features=[0, 1])
    climb = GaussianMixture(3, init_params="random", random_state=1).fit(geyser)
    yield "trace", TraceDisplay.from_estimator(climb)
    known, wanted = geyser[["waiting"]], geyser["eruptions"]
    regressor = MixtureRegressor(random_state=0).fit(known, wanted)
    options = {"kind": "highest", "modes": True}
    yield "fan", FanDisplay.from_estimator(regressor, known, wanted, **options)
    flowers = load_iris(as_frame=True).data
    species = GaussianMixture(3, random_state=0).fit(flowers)
    yield "directions", DirectionsDisplay.from_estimator(species, flowers)
    yield "merge", MergeDisplay.from_mixture(mixture, geyser)
    waiting = DensityEstimator(bounds=(0, None), random_state=0).fit(geyser[["waiting"]])
    yield "transforms", PITDisplay.from_estimator(waiting, geyser[["waiting"]])
    yield "quantiles", QQDisplay.from_estimator(waiting, geyser[["waiting"]])
    yield "p-values", benign_and_malignant()
    yield "deconvolution", blurred_flowers()
    yield "risk-coverage", digits_never_seen()
    yield "pairs", PairsDisplay.from_estimator(species, flowers, features=[1, 2, 3])


def blurred_flowers() -> DeconvolutionDisplay:
    """Irises with errors of known size, as in `measurement_errors.py`."""
    clean = load_iris(as_frame=True).data
    rng = np.random.default_rng(0)
    deviations = rng.uniform(0.05, 0.6, clean.shape)
    rows = clean + rng.normal(size=clean.shape) * deviations
    model = GaussianMixture(3, covariance_type="tied", random_state=0)
    model.fit(rows, noise_cov=deviations**2)
    return DeconvolutionDisplay.from_estimator(model, rows, deviations**2, features=[0, 2])


def benign_and_malignant() -> PValueDisplay:
    """Tumours: fitted and calibrated on some of the benign, tested on the others."""
    cancer = load_breast_cancer()
    rows = np.log1p(cancer.data[:, :10])  # means over the cells of a picture
    odd = cancer.target == 0
    known = ~odd & (np.random.default_rng(0).random(len(rows)) < 0.6)
    detector = MixtureOutlierDetector(calibration=0.5, random_state=0).fit(rows[known])
    return PValueDisplay.from_estimator(detector, rows[~known], outliers=odd[~known])


def digits_never_seen() -> RiskCoverageDisplay:
    """Digits: threes and nines are not fitted, so that no answer for them is right."""
    X, y = load_digits(return_X_y=True)
    novel = np.isin(y, [3, 9])
    fitted = ~novel & (np.random.default_rng(0).random(len(y)) < 0.6)
    model = OpenSetClassifier(random_state=0).fit(X[fitted], y[fitted])
    distance, place = NearestNeighbors(n_neighbors=1).fit(X[fitted]).kneighbors(X[~fitted])
    nearest = y[fitted][place[:, 0]], -distance[:, 0]
    truth = np.where(novel, -1, y)[~fitted]
    return RiskCoverageDisplay.from_estimator(
        model, X[~fitted], truth, others={"nearest neighbour": nearest}
    )


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, display in pictures():
        path = folder / f"{name}.png"
        display.figure_.savefig(path, dpi=110)
        with Image.open(path) as picture:  # fewer colours, a third of the bytes
            small = picture.convert("RGB").quantize(96)
        small.save(path, optimize=True)
        print(f"{path}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "docs" / "images")
