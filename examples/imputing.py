"""Iris with a fifth of its cells hidden: fill them, and see how far the fillings can be trusted.

Writes imputing.png: what was hidden against what was filled in, with the range of the draws.

Run from anywhere: python examples/imputing.py [FOLDER]   (default: here)
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_iris

from mixtura import MixtureImputer

iris = load_iris(as_frame=True).data
hidden = np.random.default_rng(0).random(iris.shape) < 0.2
gaps = iris.mask(hidden)
whole = (~hidden.any(axis=1)).sum()
print(f"{hidden.sum()} of {hidden.size} cells are hidden; {whole} rows are whole")

imputer = MixtureImputer(range(1, 5), random_state=0).fit(gaps)
filled = imputer.transform(gaps)
tables = np.stack([table.to_numpy() for table in imputer.impute_many(gaps, 100)])
low, high = np.quantile(tables, [0.05, 0.95], axis=0)
truth = iris.to_numpy()

figure = Figure(figsize=(11.5, 3.3), layout="constrained")
for column, (ax, name) in enumerate(zip(figure.subplots(1, 4), iris.columns, strict=True)):
    some = hidden[:, column]
    true, guess = truth[some, column], filled[some, column]
    error = np.sqrt(np.mean((guess - true) ** 2))
    naive = np.sqrt(np.mean((gaps[name].mean() - true) ** 2))
    held = np.mean((low[some, column] <= true) & (true <= high[some, column]))
    print(
        f"{name}: error {error:.2f}, of the mean {naive:.2f}; 90 % of draws hold {100 * held:.0f} %"
    )
    ends = [true.min(), true.max()]
    ax.plot(ends, ends, color="#6B6B6B", linewidth=1, linestyle=(0, (4, 2)))
    ax.vlines(true, low[some, column], high[some, column], color="#ABB9C6", linewidth=1.2)
    ax.scatter(true, guess, s=14, color="#0072B2", zorder=3)
    ax.set_title(name, fontsize=10)
    ax.set_xlabel("hidden")
    ax.spines[["top", "right"]].set_visible(False)
figure.axes[0].set_ylabel("filled in, and 90 % of the draws")
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
figure.savefig(folder / "imputing.png", dpi=110)
print(f"{folder / 'imputing.png'}")
