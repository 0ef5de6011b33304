"""A first fit: choose a mixture for the eruptions of Old Faithful, look at it, save it, load it.

Run from anywhere: python examples/first_fit.py
"""

from pathlib import Path
from tempfile import mkdtemp

import pandas as pd

import mixtura
from mixtura import GaussianMixture
from mixtura.plot import ClusterDisplay

geyser = pd.read_csv(Path(__file__).parent / "data" / "faithful.csv")

# Choose the number of components and the family of covariances by BIC.
model = GaussianMixture([1, 2, 3, 4], covariance_type=["full", "tied"], random_state=0)
model.fit(geyser)
print(model.selection_.sentence())
print(model.mixture_)

# Is the fit sound, and how sure are the labels?
print("all checks hold:", model.validate(geyser).holds)
certainty = model.predict_proba(geyser).max(axis=1)
print(f"mean largest responsibility {certainty.mean():.3f}")

# Look at it.
folder = Path(mkdtemp())
display = ClusterDisplay.from_estimator(model, geyser)
display.figure_.savefig(folder / "clusters.png")

# Save it, load it, and use what was loaded.
model.save(folder / "geyser.mixtura")
mixture = mixtura.load(folder / "geyser.mixtura")
print("the same to the last bit:", mixture == model.mixture_)
wait = mixture.condition({"eruptions": 3.0})
print(f"after an eruption of 3 minutes the next is due in {wait.mean()[0]:.0f} minutes")
print("written to", folder)
