"""Rows blurred by errors of known size: the mixture behind them, and what is left of a species.

Every measurement of an iris gets an error of its own, of known standard deviation up to 0.6 cm. The
mixture fitted with these errors is compared with those of the clean rows and of the blurred ones.

Run from anywhere: python examples/measurement_errors.py [PICTURE]
"""

import sys

import numpy as np
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score

from mixtura import GaussianMixture

iris = load_iris(as_frame=True)
clean, species = iris.data, iris.target.to_numpy()
rng = np.random.default_rng(0)
deviations = rng.uniform(0.05, 0.6, clean.shape)
blurred = clean + rng.normal(size=clean.shape) * deviations

model = GaussianMixture(3, covariance_type="tied", random_state=0)
fits = {
    "clean rows": model.fit(clean).mixture_,
    "blurred rows": model.fit(blurred).mixture_,
    "blurred, errors known": model.fit(blurred, noise_cov=deviations**2).mixture_,
}
columns = [name.removesuffix(" (cm)") for name in clean.columns]
print("standard deviations within a component, cm")
for name, mixture in fits.items():
    within = np.sqrt(mixture.covariances[0].diagonal())
    told = ", ".join(f"{c} {v:.2f}" for c, v in zip(columns, within, strict=True))
    print(f"{name:22s} {told}")
    held = mixture.logpdf(clean).mean()
    print(f"{'':22s} log-density of the clean rows {held:.2f} nats a row")

found = model.predict(blurred, noise_cov=deviations**2)
naive = fits["blurred rows"].predict(blurred)
for name, labels in (("errors ignored", naive), ("errors known", found)):
    print(f"agreement with the species, {name}: {adjusted_rand_score(species, labels):.2f}")

# Where each flower more likely is: the posterior given its measurement and the mixture.
restored = model.mixture_.posterior(blurred, deviations**2).mean()
for name, rows in (("as measured", blurred.to_numpy()), ("restored", restored)):
    error = np.sqrt(np.mean((rows - clean.to_numpy()) ** 2))
    print(f"root mean squared error, {name}: {error:.3f} cm")

if len(sys.argv) > 1:
    from mixtura.plot import DeconvolutionDisplay

    display = DeconvolutionDisplay.from_estimator(model, blurred, deviations**2, features=[0, 2])
    display.figure_.savefig(sys.argv[1], dpi=110)
