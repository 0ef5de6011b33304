"""Waiting times that an instrument cuts off: known to be short, or never recorded at all.

Old Faithful's short waiting times are hidden in two ways. First, all below 60 minutes are known to
be that short and no more. Then, rows below 50 minutes never reach the file. Each time the fit that
knows is compared with the one that does not, and with the fit to all rows.

Run from anywhere: python examples/detection_limit.py
"""

from pathlib import Path

import numpy as np
import pandas as pd

from mixtura import GaussianMixture

geyser = pd.read_csv(Path(__file__).parent / "data" / "faithful.csv")
waiting = geyser["waiting"]


def told(name: str, model: GaussianMixture) -> None:
    """The short waits, as a fit sees them: the component with the smaller mean."""
    short = model.means_[:, 1].argmin()
    mean, variance = model.means_[short, 1], model.covariances_[short, 1, 1]
    print(f"{name:28s} {mean:5.1f} ± {variance**0.5:4.1f}, {100 * model.weights_[short]:3.0f} %")


def fitted(rows: pd.DataFrame, truncation: tuple | None = None, **limits: list) -> GaussianMixture:
    return GaussianMixture(2, truncation=truncation, random_state=0).fit(rows, **limits)


print("short waits, minutes")
told("all rows", fitted(geyser))

# Censored: the row is there, its waiting time is only known to be below 60.
limit = 60.0
censored = geyser.assign(waiting=waiting.where(waiting >= limit))
upper = [np.inf, limit]
print(f"\n{censored['waiting'].isna().sum()} of {len(geyser)} waiting times below {limit:g}")
model = fitted(censored, upper=upper)
told("known to be below", model)
told("taken for missing", fitted(censored))
told("rows dropped", fitted(censored.dropna()))
guess = model.impute(censored, upper=upper)[:, 1]
hidden = censored["waiting"].isna().to_numpy()
error = np.sqrt(np.mean((guess - waiting)[hidden] ** 2))
print(f"filled in with an error of {error:.1f} minutes")

# Truncated: rows with a waiting time below 50 are not in the file, and nobody knows how many.
box = ([-np.inf, 50.0], np.inf)
recorded = geyser[waiting >= 50]
print(f"\n{len(recorded)} of {len(geyser)} rows recorded")
model = fitted(recorded, truncation=box)
told("known to be cut", model)
told("taken for all", fitted(recorded))
share = model.mixture_.truncate(*box).probability
print(f"by the fit, {len(recorded) / share - len(recorded):.0f} rows were not recorded")
