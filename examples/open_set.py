"""Confidence: digits of which two kinds were never seen. Label, ask, or abstain.

Run from anywhere: python examples/open_set.py

The digits are scikit-learn's copy of a UCI data set (Alpaydin & Kaynak 1998, CC BY 4.0). Threes and
nines are left out of the fit. The others are fitted to 60 %, of which a third calibrates; all the
rest tests.
"""

from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mixtura import OpenSetClassifier
from mixtura.metrics import fpr_at_tpr
from mixtura.plot import PValueDisplay, RiskCoverageDisplay

X, y = load_digits(return_X_y=True)
novel = np.isin(y, [3, 9])
fitted = ~novel & (np.random.default_rng(0).random(len(y)) < 0.6)
X_new, y_new, novel = X[~fitted], y[~fitted], novel[~fitted]

model = OpenSetClassifier(calibration=1 / 3, random_state=0).fit(X[fitted], y[fitted])
print(
    f"shrinkage {model.shrinkage_:g}, pooling {model.pooling_:g}, "
    f"temperature {model.temperature_:.1f}"
)

# What to do with each row, and whether the promises hold for the digits that are known.
decisions = model.decide(X_new, error_rate=0.01, novelty_rate=0.05)
print(decisions)
known = ~novel
pairs = zip(y_new[known], np.flatnonzero(known), strict=True)
missed = np.mean([truth not in decisions.candidates[i] for truth, i in pairs])
abstained = decisions.action == "abstain"
print(f"known digits: not among the candidates {missed:.1%}, ", end="")
print(f"abstained on {abstained[known].mean():.1%}")
print(f"threes and nines: abstained on {abstained[novel].mean():.1%}")

# Beside the probability of a logistic regression.
scaled = X / 16.0
other = LogisticRegression(max_iter=1000).fit(scaled[fitted], y[fitted])
probability = other.predict_proba(scaled[~fitted])
sure = probability.max(axis=1)
for name, confidence in (("density ratio", -model.novelty(X_new)), ("regression", sure)):
    print(
        f"{name}: AUROC of known against novel {roc_auc_score(known, confidence):.3f}, "
        f"novel let through with 95 % of known {fpr_at_tpr(known, confidence):.1%}"
    )

folder = Path(mkdtemp())
guess = other.classes_[probability.argmax(axis=1)]
truth = np.where(novel, -1, y_new)  # a digit that was never seen cannot be answered rightly
risks = RiskCoverageDisplay.from_estimator(
    model, X_new, truth, others={"regression": (guess, sure)}
)
risks.figure_.savefig(folder / "risk-coverage.png", dpi=110)
values = PValueDisplay.from_estimator(model, X_new, outliers=novel)
values.figure_.savefig(folder / "p-values.png", dpi=110)
print("written to", folder)
