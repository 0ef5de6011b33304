"""How long did Old Faithful erupt, given the wait that followed? A distribution as the answer.

The rows are those of data/faithful.csv; every fourth has lost its outcome, and still counts.
Writes regression.png.

Run from anywhere: python examples/regression.py [FOLDER]   (default: here)
"""

import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score

from mixtura import MixtureOfLinearExperts, MixtureRegressor
from mixtura.metrics import crps
from mixtura.plot import FanDisplay

geyser = pd.read_csv(Path(__file__).parent / "data" / "faithful.csv")
X, y = geyser[["waiting"]], geyser["eruptions"]

# BIC chooses two components; five folds say what a bend is worth.
model = MixtureRegressor(random_state=0)
for name, one in (("a line", LinearRegression()), ("a mixture", model)):
    print(f"{name}: R² {cross_val_score(one, X, y, cv=5).mean():.3f} on rows held out")

gappy = y.copy()
gappy.iloc[::4] = float("nan")
model.fit(X, gappy)
unseen = gappy.isna()
print(f"{model.n_components_} components; {unseen.sum()} outcomes were not told, and")
low, high = model.predict_interval(X[unseen], coverage=0.9).T
print(
    f"90 % intervals hold {100 * ((low <= y[unseen]) & (y[unseen] <= high)).mean():.0f} % of them"
)
print(f"CRPS {crps(y[unseen], model.predict_dist(X[unseen])):.3f} minutes")

# At 67 minutes there are two answers, and the mean is neither.
at = pd.DataFrame({"waiting": [67]})
modes = model.predict_modes(at)
for place, weight in zip(modes.points[0, :, 0], modes.weights[0], strict=True):
    print(f"before a wait of 67 minutes: {place:.1f} min, with probability {weight:.2f}")
print(
    f"their mean {model.predict(at)[0]:.1f}; regions {model.predict_region(at).round(1).tolist()}"
)

# The same with one noise for both experts: what are the lines?
experts = MixtureOfLinearExperts(2, noise_type="tied", random_state=0).fit(X, gappy)
for slope, start in zip(experts.slopes_.ravel(), experts.intercepts_.ravel(), strict=True):
    print(f"expert: {start:.2f} min + {slope:.4f} for each minute waited")

figure = Figure(figsize=(9.5, 3.6), layout="constrained")
left, right = figure.subplots(1, 2, sharey=True)
FanDisplay.from_estimator(model, X, gappy, ax=left, legend=False)
left.set_title("central intervals and the mean", fontsize=10)
FanDisplay.from_estimator(model, X, gappy, ax=right, kind="highest", mean=False, modes=True)
right.set_title("regions of highest density and the modes", fontsize=10)
right.set_ylabel("")
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
figure.savefig(folder / "regression.png", dpi=110)
print(f"{folder / 'regression.png'}")
