"""A data frame with gaps and weights: fit it as it is, then fill the gaps.

Every seventh alcohol and every third proline of the wines is removed, and the wines of the third
cultivar count double.

Run from anywhere: python examples/gaps_and_weights.py
"""

import numpy as np
from sklearn.datasets import load_wine
from sklearn.metrics import adjusted_rand_score

from mixtura import GaussianMixture

wine = load_wine(as_frame=True)
columns = ["alcohol", "flavanoids", "color_intensity", "proline"]
complete = wine.data[columns]
cultivar = wine.target.to_numpy()

gaps = complete.copy()
gaps.loc[::7, "alcohol"] = np.nan
gaps.loc[::3, "proline"] = np.nan
weights = np.where(cultivar == 2, 2.0, 1.0)
print(f"{gaps.isna().to_numpy().sum()} of {gaps.size} cells are missing")

model = GaussianMixture(3, covariance_type="tied", random_state=0)
model.fit(gaps, sample_weight=weights)
print(model.mixture_)
print(f"agreement with the cultivars {adjusted_rand_score(cultivar, model.predict(gaps)):.2f}")

# Fill the gaps with what the other columns suggest, and compare with the column's mean.
filled = model.impute(gaps)
for place, name in enumerate(columns):
    hidden = gaps[name].isna().to_numpy()
    if hidden.any():
        true = complete[name].to_numpy()[hidden]
        error = np.sqrt(np.mean((filled[hidden, place] - true) ** 2))
        naive = np.sqrt(np.mean((gaps[name].mean() - true) ** 2))
        print(f"{name}: error {error:.3g}, of the column's mean {naive:.3g}")

# A tenth of the wines have a known cultivar. The components then carry the cultivars' numbers.
known = np.full(len(gaps), -1)
known[::10] = cultivar[::10]
model.fit(gaps, sample_weight=weights, labels=known)
right = np.mean(model.predict(gaps) == cultivar)
print(f"with {np.sum(known >= 0)} wines labelled, {100 * right:.0f} % of all get their cultivar")
