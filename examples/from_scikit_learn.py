"""A script written for scikit-learn, with its import changed.

Run from anywhere: python examples/from_scikit_learn.py
"""

from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# from sklearn.mixture import GaussianMixture
from mixtura import GaussianMixture

X, species = load_iris(return_X_y=True)

model = GaussianMixture(n_components=3, covariance_type="full", random_state=42)
labels = model.fit_predict(X)
print("converged:", model.converged_, "after", model.n_iter_, "steps")
print("means:", model.means_.round(2), sep="\n")
print(f"BIC {model.bic(X):.1f}, log-likelihood {model.score(X) * len(X):.2f}")
print(f"agreement with the species {adjusted_rand_score(species, labels):.2f}")

pipeline = make_pipeline(StandardScaler(), GaussianMixture(random_state=0))
folds = KFold(5, shuffle=True, random_state=0)
search = GridSearchCV(pipeline, {"gaussianmixture__n_components": [1, 2, 3]}, cv=folds)
search.fit(X)
print("chosen by cross-validation:", search.best_params_)

rows, components = model.sample(5)
print("drawn:", rows.round(1), sep="\n")
