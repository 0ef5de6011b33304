"""Outliers with p-values that hold: tumours, of which the benign are the usual ones.

Run from anywhere: python examples/outlier_p_values.py

The rows are scikit-learn's copy of Wolberg, Mangasarian, Street & Street's UCI data set (1995,
CC BY 4.0): ten means over the cells of a picture. The detector sees benign tumours alone; others,
and the malignant ones, are tested.
"""

from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from sklearn.datasets import load_breast_cancer

from mixtura import MixtureOutlierDetector
from mixtura.plot import PValueDisplay

cancer = load_breast_cancer()
rows, malignant = np.log1p(cancer.data[:, :10]), cancer.target == 0
fitted = ~malignant & (np.random.default_rng(0).random(len(rows)) < 0.6)
new, odd = rows[~fitted], malignant[~fitted]

# Half of the benign rows are kept from the fit, to calibrate by.
detector = MixtureOutlierDetector(alpha=0.05, calibration=0.5, random_state=0).fit(rows[fitted])
print(f"{detector.n_components_} components, {detector.conformal_.total:g} rows held out")

# The rate of false alarms is what was asked for, whether the mixture fits or not.
called = detector.predict(new) == -1
print(
    f"called odd: {called[~odd].mean():.1%} of the benign, {called[odd].mean():.1%} of the others"
)

# Many rows at once: at most a tenth of those named are benign, in expectation.
named = detector.select(new, fdr=0.1)
print(
    f"named at a false-discovery rate of 10 %: {named.sum()}, of which {named[~odd].sum()} benign"
)

# Why the oddest row is odd.
oddest = int(detector.score_samples(new).argmin())
reasons = detector.explain(new[[oddest]]).ranked(0)[:3]
names = [str(name).removeprefix("mean ") for name in cancer.feature_names[:10]]
print("the oddest row:", ", ".join(f"{names[column]} {share:.0%}" for column, share in reasons))

# Are the p-values calibrated? The benign rows follow the diagonal within the band.
folder = Path(mkdtemp())
display = PValueDisplay.from_estimator(detector, new, outliers=odd)
display.figure_.savefig(folder / "p-values.png", dpi=110)
print(f"outside the band at {display.outside_:.0%} of places; written to {folder}")
